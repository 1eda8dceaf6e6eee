"""Pages of OpenAI's and Anthropic's reports: buckets of time with results, on one page or several."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

from ..files import json_rows
from ..imports import FileSample
from . import Statement, days_between, instant


class BucketResult(NamedTuple):
    """One result of a bucket: the start of its bucket, and its fields."""

    at: datetime
    values: Mapping[str, Any]


def results_of(path: Path, statement: Statement, start: str, end: str) -> Iterator[tuple[str, BucketResult]]:
    """Yield the results of all pages of a file, each with its position; gaps are recorded in ``statement``.

    ``start`` and ``end`` are the names of the fields that bound a bucket.
    """
    reached: datetime | None = None
    more = False
    for where, page in json_rows(path):
        if not isinstance(page, Mapping) or not isinstance(page.get("data"), list):
            continue
        more = bool(page.get("has_more"))  # only the value of the last page matters
        for number, bucket in enumerate(page["data"], start=1):
            first, after = instant(bucket[start]), instant(bucket[end])
            if reached is not None and first > reached:
                statement.incomplete.append(f"{reached:%Y-%m-%d %H:%M} to {first:%Y-%m-%d %H:%M} is missing")
                statement.missing |= days_between(reached, first)
            reached = max(after, reached or after)
            statement.cover(first, after)
            for position, result in enumerate(bucket.get("results") or bucket.get("result") or (), start=1):
                yield f"{where}.data[{number}].results[{position}]", BucketResult(first, result)
    if more:
        until = f"{reached:%Y-%m-%d %H:%M}" if reached else "its beginning"
        statement.incomplete.append(f"it ends at {until}, and says that there is more (has_more)")


def first_result(sample: FileSample, start: str) -> Mapping[str, Any] | None:
    """Return the first result of a page, an empty one if it has none, ``None`` if it is not a page."""
    page: Any = sample.document
    if page is None and sample.row:
        page = sample.row
    if isinstance(page, list):
        page = page[0] if page else None
    buckets = page.get("data") if isinstance(page, Mapping) else None
    if not isinstance(buckets, list) or not all(
        isinstance(bucket, Mapping) and start in bucket for bucket in buckets
    ):
        return None
    results = (bucket.get("results") or bucket.get("result") or () for bucket in buckets)
    return next((result for group in results for result in group if isinstance(result, Mapping)), {})
