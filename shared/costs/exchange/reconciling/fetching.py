"""Fetches OpenAI's and Anthropic's reports through their SDKs' typed methods, only with ``--fetch``.

The admin key comes from the environment (``OPENAI_ADMIN_KEY``, ``ANTHROPIC_ADMIN_KEY``) and is passed only to
the SDK. Pages are stored as they were sent: openai 3.57.0 parses amounts of 36 decimals as floats, so its raw
responses are used. Anthropic's reports are those of ``beta.organization.analytics`` (anthropic 2.14.0): from
2026 on, 31 days per request, at most 100 groups per day.
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

_MAX_DAYS: Final = 31
_DAY: Final = timedelta(days=1)


class CannotFetch(CostError):
    """A report cannot be fetched: no key, no SDK, no answer. Nothing was written."""


class FetchRequest(NamedTuple):
    """What to fetch: a range of whole UTC days, and whether lines are separate for each key."""

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
        with path.open("x", encoding="utf-8") as file, _translated_errors(service):
            for page in pages:
                file.write(page + "\n")
        path.chmod(0o600)
        bill = Bill.of_file(path, bill_formats()[name])
        yield Bill(f"{name}, fetched", bill.format, bill.lines, bill.made_at)


Reports = Iterator[tuple[str, Iterator[str]]]
"""Reports by the name of their format, each as pages of JSON."""


def request_of(period: Period, *, by_key: bool) -> FetchRequest:
    """Return a request for the whole UTC days that a period touches."""
    first, last = (at.replace(hour=0, minute=0, second=0, microsecond=0) for at in (period.start, period.end))
    return FetchRequest(first, last if last == period.end else last + _DAY, by_key)


_REPEATED_PAGE: Final = (
    "{} gives one page of its reports again and again: nothing was compared; try again later"
)


def _openai(key: str, request: FetchRequest) -> Reports:
    with _sdk("openai"):
        from openai import OpenAI
    # Only the admin key authorises these requests; the client requires an ordinary key as well.
    usage = OpenAI(api_key=key, admin_api_key=key).admin.organization.usage.with_raw_response
    by_key = ["api_key_id"] if request.by_key else []
    bounds = {"start_time": int(request.first.timestamp()), "end_time": int(request.after.timestamp())}

    def pages(method: Callable[..., Any], limit: int, group_by: list[str]) -> Iterator[str]:
        more: dict[str, Any] = {}
        while True:
            response = method(bucket_width="1d", group_by=[*group_by, *by_key], limit=limit, **bounds, **more)
            text = response.text() if callable(response.text) else response.text
            page = json.loads(text)
            yield " ".join(text.split("\n"))  # keeps the amounts as they were written
            if not page.get("has_more") or not page.get("next_page"):
                return
            if more == {"page": page["next_page"]}:
                raise CannotFetch(_REPEATED_PAGE.format("OpenAI"))
            more = {"page": page["next_page"]}

    def usages() -> Iterator[str]:
        yield from pages(usage.completions, _MAX_DAYS, ["model", "batch", "service_tier"])
        yield from pages(usage.embeddings, _MAX_DAYS, ["model"])

    yield "openai-usage", usages()
    yield "openai-costs", pages(usage.costs, 180, ["line_item"])


def _anthropic(key: str, request: FetchRequest) -> Reports:
    with _sdk("anthropic"):
        from anthropic import Anthropic
    analytics = Anthropic(api_key=key).beta.organization.analytics

    def pages(report: Any, group_by: list[str]) -> Iterator[str]:
        first = request.first
        while first < request.after:
            after = min(request.after, first + _MAX_DAYS * _DAY)
            listing = report.list(
                starting_at=first, ending_at=after, bucket_width="1d", group_by=group_by, limit=_MAX_DAYS
            )
            token = None
            for page in listing.iter_pages():
                yield json.dumps({"data": [bucket.to_dict(mode="json") for bucket in page.data]})
                if token is not None and page.next_page == token:
                    raise CannotFetch(_REPEATED_PAGE.format("Anthropic"))
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
def _translated_errors(service: str) -> Iterator[None]:
    """Raise errors of an SDK as ours, with a message that does not contain the key."""
    try:
        yield
    except CostError:
        raise
    except Exception as fault:  # the SDKs' errors have no other common class
        message = clean_text(" ".join(str(fault).split()))[:300]
        raise CannotFetch(
            f"{service} did not answer as expected: {type(fault).__name__}: {message}"
        ) from None
