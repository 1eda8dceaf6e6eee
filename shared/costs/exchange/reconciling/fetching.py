"""Fetching OpenAI's and Anthropic's own reports through their SDKs' typed methods, only when asked to.

The admin key comes from the environment (``OPENAI_ADMIN_KEY``, ``ANTHROPIC_ADMIN_KEY``) and goes to the SDK
alone. Pages are kept as they came: openai 3.57.0 parses amounts of 36 decimals as floats, so that its raw
responses are read. Anthropic's reports are those of ``beta.organization.analytics`` (anthropic 2.14.0): from
2026 on, 31 days a request, at most 100 groups a day.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final, NamedTuple

from ...errors import CostError
from ...ledger.redact import clean_text
from ...periods import Period
from ..bills import bill_formats
from .run import Bill

_MOST_DAYS: Final = 31
_DAY: Final = timedelta(days=1)


class CannotFetch(CostError):
    """A report cannot be fetched: no key, no SDK, no answer. Nothing was written."""


class FetchRequest(NamedTuple):
    """What to fetch: the time, in whole UTC days, and whether lines are to be told apart by key."""

    first: datetime
    after: datetime
    by_key: bool = False


def fetched(service: str, request: FetchRequest, environ: Mapping[str, str], folder: Path) -> Iterator[Bill]:
    """Fetch a service's reports into files of a folder, and yield them as bills.

    Raises:
        CannotFetch: the key or the SDK is missing, or the service answered with an error.

    """
    variable, reports = _SERVICES[service]
    key = environ.get(variable)
    if not key:
        raise CannotFetch(
            f"{variable} is not set: an admin key of the organisation is needed to fetch its reports"
        )
    for name, pages in reports(key, request):
        path = folder / f"{name}.json"
        with path.open("x", encoding="utf-8") as file, _told(service):
            for page in pages:
                file.write(page + "\n")
        path.chmod(0o600)
        bill = Bill.of_file(path, bill_formats()[name])
        yield Bill(f"{name}, fetched", bill.format, bill.lines, bill.made_at)


Reports = Iterator[tuple[str, Iterator[str]]]
"""Reports by the name of their format, each as pages of JSON."""


def request_of(period: Period, *, by_key: bool) -> FetchRequest:
    """Return the whole UTC days that a period touches."""
    first, last = (at.replace(hour=0, minute=0, second=0, microsecond=0) for at in (period.start, period.end))
    return FetchRequest(first, last if last == period.end else last + _DAY, by_key)


_ENDLESS: Final = "{} gives one page of its reports again and again: nothing was compared; try again later"


def _openai(key: str, request: FetchRequest) -> Reports:
    with _sdk("openai"):
        from openai import OpenAI
    # An admin key alone authorises these; the client wants another one to be there.
    usage = OpenAI(api_key=key, admin_api_key=key).admin.organization.usage.with_raw_response
    by_key = ["api_key_id"] if request.by_key else []
    bounds = {"start_time": int(request.first.timestamp()), "end_time": int(request.after.timestamp())}

    def pages(method: Callable[..., Any], limit: int, group_by: list[str]) -> Iterator[str]:
        more: dict[str, Any] = {}
        while True:
            told = method(bucket_width="1d", group_by=[*group_by, *by_key], limit=limit, **bounds, **more)
            text = told.text() if callable(told.text) else told.text
            page = json.loads(text)
            yield " ".join(text.split("\n"))  # amounts as they were written
            if not page.get("has_more") or not page.get("next_page"):
                return
            if more == {"page": page["next_page"]}:
                raise CannotFetch(_ENDLESS.format("OpenAI"))
            more = {"page": page["next_page"]}

    def usages() -> Iterator[str]:
        yield from pages(usage.completions, _MOST_DAYS, ["model", "batch", "service_tier"])
        yield from pages(usage.embeddings, _MOST_DAYS, ["model"])

    yield "openai-usage", usages()
    yield "openai-costs", pages(usage.costs, 180, ["line_item"])


def _anthropic(key: str, request: FetchRequest) -> Reports:
    with _sdk("anthropic"):
        from anthropic import Anthropic
    analytics = Anthropic(api_key=key).beta.organization.analytics

    def pages(report: Any, group_by: list[str]) -> Iterator[str]:
        first = request.first
        while first < request.after:
            after = min(request.after, first + _MOST_DAYS * _DAY)
            found = report.list(
                starting_at=first, ending_at=after, bucket_width="1d", group_by=group_by, limit=_MOST_DAYS
            )
            token = None
            for page in found.iter_pages():
                yield json.dumps({"data": [bucket.to_dict(mode="json") for bucket in page.data]})
                if token is not None and page.next_page == token:
                    raise CannotFetch(_ENDLESS.format("Anthropic"))
                token = page.next_page
            first = after

    yield "anthropic-usage", pages(analytics.usage_report, ["model"])
    yield "anthropic-costs", pages(analytics.cost_report, ["model", "cost_type", "token_type"])


_SERVICES: Final[Mapping[str, tuple[str, Callable[[str, FetchRequest], Reports]]]] = {
    "openai": ("OPENAI_ADMIN_KEY", _openai),
    "anthropic": ("ANTHROPIC_ADMIN_KEY", _anthropic),
}


@contextmanager
def _sdk(name: str) -> Iterator[None]:
    try:
        yield
    except ModuleNotFoundError as missing:
        raise CannotFetch(
            f"fetching needs the package {name}; install it with: pip install {name}"
        ) from missing


@contextmanager
def _told(service: str) -> Iterator[None]:
    """Turn what an SDK raises into a message without the key."""
    try:
        yield
    except CostError:
        raise
    except Exception as fault:  # the SDKs' errors have no common class but this one
        said = clean_text(" ".join(str(fault).split()))[:300]
        raise CannotFetch(f"{service} did not answer as expected: {type(fault).__name__}: {said}") from None
