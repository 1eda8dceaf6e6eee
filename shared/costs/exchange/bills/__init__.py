"""The formats of providers' bills and usage reports, one module each; a module in this package is a format.

A module has its formats in ``BILLS``. Whatever a format calls these fields, a :class:`BillLine` has the time,
model and tier, the tokens of each kind, and the cost. Tools, storage, tax and credits are lines of their own
category, never spread over models.
"""

from __future__ import annotations

import pkgutil
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import cache
from importlib import import_module
from itertools import chain
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple

from ...errors import WrongUsage
from ...pricing.names import normalize_service
from .. import times
from ..foreign import decimal_of, refuse_thousands_or_decimals
from ..imports import FileSample
from ..rows import CannotRead, NotUnderstood

Category = Literal["model", "tool", "storage", "tax", "credit", "other"]
"""What a line charges for. Only ``model`` is compared by tokens and model, ``tool`` by the day's fees."""

TOKENS: Final = ("tokens_input", "tokens_output", "tokens_cached", "tokens_cache_write")
"""The kinds of tokens that are compared; input includes cached and cache-written tokens."""

Counts = tuple[int, int, int, int]
"""Tokens in the order of :data:`TOKENS`."""


class BillLine(NamedTuple):
    """One line of a bill.

    ``where`` is its position in the file. ``counts`` are ``None`` if it states only an amount, ``amount`` is
    ``None`` if it states only counts; a count of -1 is of a kind that its source does not state. ``at`` is
    when the usage, or the bucket that sums it, began. ``amount`` is in the bill's currency; ``kind`` is the
    index in :data:`TOKENS` of the tokens that it is for, if it is for one kind. ``response_id`` is the id of
    the provider's response if the line is a single call, ``invoice`` the id of the line's invoice.
    """

    where: str
    service: str
    at: datetime
    model: str | None = None
    category: Category = "model"
    tier: str | None = None
    key: str | None = None
    response_id: str | None = None
    counts: Counts | None = None
    requests: int | None = None
    amount: Decimal | None = None
    label: str = ""
    kind: int | None = None
    invoice: str = ""


class CallColumns(NamedTuple):
    """Many lines that are single calls, as columns: the fields of :class:`BillLine` for files of millions.

    ``lines`` are their line numbers in the file, ``ids`` the ids of the responses; ``tokens_cached`` is -1 if
    not stated.
    """

    lines: Sequence[int]
    services: Sequence[str]
    ats: Sequence[datetime]
    models: Sequence[str]
    ids: Sequence[str]
    tokens_input: Sequence[int]
    tokens_output: Sequence[int]
    tokens_cached: Sequence[int]
    amounts: Sequence[Decimal]


Read = BillLine | CallColumns | NotUnderstood
"""What a format's reader yields: a line, many at once, or a row that is not understood."""


@dataclass(slots=True)
class Statement:
    """What a file says about itself; completed while it is read.

    ``zone`` is the time zone of its days. ``has_tiers`` is true if its lines state the tier; ``incomplete``
    are reasons why lines are missing, ``missing`` the days that it leaves out. ``unit`` is what its amounts
    are rounded to, if files of its format differ in that. ``first`` and ``after`` bound the time that it
    covers, if it says so.
    """

    zone: str = "UTC"
    currency: str = "USD"
    has_tiers: bool = False
    unit: Decimal | None = None
    incomplete: list[str] = field(default_factory=list)
    first: datetime | None = None
    after: datetime | None = None
    missing: set[str] = field(default_factory=set)

    def cover(self, start: datetime, end: datetime) -> None:
        """Record that the file covers a range of time."""
        self.first = start if self.first is None else min(self.first, start)
        self.after = end if self.after is None else max(self.after, end)


@dataclass(frozen=True, slots=True)
class BillFormat:
    """One format: its name, how it is recognised, its reader, its service, its precision and its delay.

    ``unit`` is what amounts are rounded to, 0 if they are exact. ``lateness`` is how long after the usage
    lines may appear. With ``by_id`` lines are single calls with response ids, which with ``loose_ids`` may
    differ from ours. With ``in_part`` a file has only some calls of an account. With ``estimates`` its
    amounts are not billed ones.
    """

    name: str
    summary: str
    recognises: Callable[[FileSample], bool]
    read: Callable[[Path, Statement], Iterator[Read]]
    service: str | None = None
    unit: Decimal = Decimal(0)
    lateness: timedelta = timedelta(hours=24)
    by_id: bool = False
    loose_ids: bool = False
    in_part: bool = False
    estimates: bool = False


@cache
def bill_formats() -> Mapping[str, BillFormat]:
    """Return every format by its name."""
    modules = (import_module(f"{__name__}.{module.name}") for module in pkgutil.iter_modules(__path__))
    formats = chain.from_iterable(getattr(module, "BILLS", ()) for module in modules)
    return {bill_format.name: bill_format for bill_format in formats}


def bill_format_for(path: Path, name: str | None = None) -> BillFormat:
    """Return the format called ``name``, or without one the format that recognises the file.

    Raises:
        WrongUsage: no format has this name.
        CannotRead: the file cannot be read, or no format recognises it.

    """
    if name is not None:
        if name not in bill_formats():
            raise WrongUsage(f"no bill is called {name!r}; there are {', '.join(bill_formats())}")
        return bill_formats()[name]
    sample = FileSample(path)
    for bill_format in bill_formats().values():
        if bill_format.recognises(sample):
            return bill_format
    known = "\n".join(
        f"  {bill_format.name}: {bill_format.summary}" for bill_format in bill_formats().values()
    )
    because = f" ({sample.advice})" if sample.advice else ""
    raise CannotRead(f"{path}: is not a known bill or usage report{because}:\n{known}")


# --- what formats share


@cache
def billed_by(service: str, model: str) -> str:
    """Return the service whose bill has a call: Google Cloud's bill has Gemini from both of its services.

    >>> billed_by("vertex_ai", "gemini-2.5-pro"), billed_by("vertex", "claude-sonnet-4-5")
    ('google', 'vertex')
    """
    name = normalize_service(service)
    return "google" if name == "vertex" and model.rpartition("/")[2].startswith("gemini") else name


def instant(value: Any) -> datetime:
    """Return an instant in UTC: Unix seconds, ISO 8601, or a date; one without a zone is UTC.

    Raises:
        ValueError: it is none of these.

    >>> instant(1761955200).isoformat(), instant("2026-11-01").isoformat(), instant("11/01/2026").day
    ('2025-11-01T00:00:00+00:00', '2026-11-01T00:00:00+00:00', 1)
    """
    if match := _MONTH_FIRST.fullmatch(str(value).strip()):
        return datetime(int(match[3]), int(match[1]), int(match[2]), tzinfo=UTC)
    return times.instant(value, UTC)[0]


_MONTH_FIRST: Final = re.compile(r"(\d{1,2})/(\d{1,2})/(\d{4})")
"""A date in Azure's format."""


def days_between(first: datetime, after: datetime) -> set[str]:
    """Return the days that a range of time touches.

    >>> sorted(days_between(datetime(2026, 11, 1), datetime(2026, 11, 3)))
    ['2026-11-01', '2026-11-02']
    """
    days, day = set[str](), first.replace(hour=0, minute=0, second=0, microsecond=0)
    while day < after and len(days) < _MAX_DAYS:
        days.add(f"{day:%Y-%m-%d}")
        day += timedelta(days=1)
    return days


_MAX_DAYS: Final = 10_000


def count_of(value: Any) -> int:
    """Return a count of tokens as an integer; an empty value is 0, and ``59200.0`` is accepted.

    Raises:
        ValueError: it is not a number, or its dot may group thousands (``1.000``).

    """
    refuse_thousands_or_decimals("a count", value)
    number = decimal_of(value)
    return 0 if number is None else round(number)


def end_of_line(value: Any, start: datetime, usual: timedelta) -> datetime:
    """Return when a line's period ends; ``usual`` after its start if the line does not state it."""
    return instant(value) if value not in (None, "") else start + usual


def lowered(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return a row with its names in lower case, in which exports of the same kind differ."""
    return {str(name).strip().lower(): value for name, value in row.items()}


def understood(
    rows: Iterator[tuple[str, Any] | NotUnderstood], to_line: Callable[[str, Any], BillLine | None]
) -> Iterator[BillLine | NotUnderstood]:
    """Yield the bill lines of rows; a row that is not understood is yielded as such, an empty one skipped."""
    for item in rows:
        if isinstance(item, NotUnderstood):
            yield item
            continue
        where, row = item
        if isinstance(row, NotUnderstood):
            yield row
            continue
        try:
            line = to_line(where, row)
        except (ValueError, TypeError, AttributeError, ArithmeticError) as error:
            yield NotUnderstood(where, str(error))
        except KeyError as error:
            yield NotUnderstood(where, f"has no {error.args[0]}")
        else:
            if line is not None:
                yield line
