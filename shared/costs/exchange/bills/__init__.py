"""The formats of providers' bills and usage reports: one module each, found by its being here.

A module has a constant ``BILL``, or several in ``BILLS``. Whatever a format calls it, a line says here when,
which model and tier, how many tokens of which kind, and what it cost. Tools, storage, tax and credits are
lines of their own category, never spread over models.
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
"""What a line is about. Only ``model`` is compared by tokens and model, ``tool`` by the day's fees."""

TOKENS: Final = ("tokens_input", "tokens_output", "tokens_cached", "tokens_cache_write")
"""The kinds of tokens that are compared; input includes cached and cache-written tokens."""

Counts = tuple[int, int, int, int]
"""Tokens in the order of :data:`TOKENS`."""


class BillLine(NamedTuple):
    """One line of a bill.

    ``counts`` are ``None`` where it states an amount alone, ``amount`` the other way round; a count of -1 is
    of a kind that its source does not state. ``at`` is when the usage, or the bucket that it is summed in,
    began. ``amount`` is in the bill's currency; ``kind`` is the place among :data:`TOKENS` of what it is for,
    where it is for one. ``response_id`` is the id of the provider's response where the line is a single call,
    ``invoice`` the id of the invoice that it stands on.
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
    """Many lines that are single calls, by column: what :class:`BillLine` has of each, of millions.

    ``lines`` are the numbers of their lines in the file, ``ids`` those of the responses; ``cached`` tokens
    are -1 where not stated.
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
"""What a format's reader finds: a line, many at once, or a row that is not understood."""


@dataclass(slots=True)
class Statement:
    """What a file says of itself; some of it only while it is read.

    ``zone`` is where its days begin. ``has_tiers`` tells that its lines state the tier, ``incomplete`` why
    lines are missing in it, ``missing`` which days it leaves out. ``unit`` is what its amounts are rounded to
    where not all files of its format are alike. ``first`` and ``after`` bound the time that it covers, where
    it says so.
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
        """Say that the file covers a stretch of time."""
        self.first = start if self.first is None else min(self.first, start)
        self.after = end if self.after is None else max(self.after, end)


@dataclass(frozen=True, slots=True)
class BillFormat:
    """One format: its name, how it is known, its reader, its service, and how exact and how late it is.

    ``unit`` is what amounts are rounded to, 0 where they are exact. ``lateness`` is how long lines may come
    after the usage. With ``by_id`` lines are single calls with the ids of responses, which may be other ids
    than ours where ``loose_ids``. With ``in_part`` a file has some calls of an account and not all.
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
    found = chain.from_iterable(getattr(module, "BILLS", ()) for module in modules)
    return {each.name: each for each in found}


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
    for each in bill_formats().values():
        if each.recognises(sample):
            return each
    known = "\n".join(f"  {each.name}: {each.summary}" for each in bill_formats().values())
    because = f" ({sample.advice})" if sample.advice else ""
    raise CannotRead(f"{path}: is no bill or usage report that is known{because}:\n{known}")


# --- what formats share


@cache
def billed_by(service: str, model: str) -> str:
    """Return the service on whose bill a call stands: Google Cloud's has Gemini of either of its services.

    >>> billed_by("vertex_ai", "gemini-2.5-pro"), billed_by("vertex", "claude-sonnet-4-5")
    ('google', 'vertex')
    """
    name = normalize_service(service)
    return "google" if name == "vertex" and model.rpartition("/")[2].startswith("gemini") else name


def instant(value: Any) -> datetime:
    """Return an instant in UTC: Unix seconds, ISO 8601, or a date; one without a zone is UTC.

    Raises:
        ValueError: it is none of them.

    >>> instant(1761955200).isoformat(), instant("2026-11-01").isoformat(), instant("11/01/2026").day
    ('2025-11-01T00:00:00+00:00', '2026-11-01T00:00:00+00:00', 1)
    """
    if match := _MONTH_FIRST.fullmatch(str(value).strip()):
        return datetime(int(match[3]), int(match[1]), int(match[2]), tzinfo=UTC)
    return times.instant(value, UTC)[0]


_MONTH_FIRST: Final = re.compile(r"(\d{1,2})/(\d{1,2})/(\d{4})")
"""A date as Azure writes it."""


def days_between(first: datetime, after: datetime) -> set[str]:
    """Return the days that a stretch of time touches.

    >>> sorted(days_between(datetime(2026, 11, 1), datetime(2026, 11, 3)))
    ['2026-11-01', '2026-11-02']
    """
    days, day = set[str](), first.replace(hour=0, minute=0, second=0, microsecond=0)
    while day < after and len(days) < _MOST_DAYS:
        days.add(f"{day:%Y-%m-%d}")
        day += timedelta(days=1)
    return days


_MOST_DAYS: Final = 10_000


def count_of(value: Any) -> int:
    """Return a count of whole tokens; nothing is 0, and ``59200.0`` a whole number.

    Raises:
        ValueError: it is no number, or may be a thousand times as much (``1.000``).

    """
    refuse_thousands_or_decimals("a count", value)
    number = decimal_of(value)
    return 0 if number is None else round(number)


def end_of_line(value: Any, start: datetime, usual: timedelta) -> datetime:
    """Return when a line's time ends; ``usual`` after its start where it does not say so."""
    return instant(value) if value not in (None, "") else start + usual


def lowered(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return a row under its names in lower case: exports of one kind differ in it."""
    return {str(name).strip().lower(): value for name, value in row.items()}


def understood(
    rows: Iterator[tuple[str, Any] | NotUnderstood], line: Callable[[str, Any], BillLine | None]
) -> Iterator[BillLine | NotUnderstood]:
    """Yield the lines of rows; one that cannot be is told, and one that says nothing passed over."""
    for found in rows:
        if isinstance(found, NotUnderstood):
            yield found
            continue
        where, row = found
        if isinstance(row, NotUnderstood):
            yield row
            continue
        try:
            made = line(where, row)
        except (ValueError, TypeError, AttributeError, ArithmeticError) as error:
            yield NotUnderstood(where, str(error))
        except KeyError as error:
            yield NotUnderstood(where, f"says no {error.args[0]}")
        else:
            if made is not None:
                yield made
