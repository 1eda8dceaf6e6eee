"""Reads times as other programs write them; a time that can be read in two ways is refused."""

from __future__ import annotations

import re
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, date, datetime, tzinfo
from decimal import Decimal
from email.utils import parsedate_to_datetime
from typing import Final, Literal

from ..ledger.redact import clean_text

FIRST_YEAR: Final = 2000
"""No model was called before it: a number that would be an earlier time means something else."""

_EPOCH: Final = re.compile(r"\d{9,13}(?:\.\d*)?|\d{16}|\d{19}")
"""Seconds, milliseconds, microseconds or nanoseconds since 1970."""

_MILLISECONDS_ABOVE: Final = 100_000_000_000
"""Seconds since 1970 reach this in the year 5138; larger numbers are in smaller units."""

_DATES: Final = tuple(
    re.compile(rf"{date}(?=\D|$)(?P<rest>.*)")
    for date in (
        r"(?P<y>\d{4})/(?P<m>\d{1,2})/(?P<d>\d{1,2})",
        r"(?P<d>\d{1,2})\.(?P<m>\d{1,2})\.(?P<y>\d{4})",
        r"(?P<y>\d{4})-(?P<m>\d{1,2})-(?P<d>\d{1,2})",
    )
)
DateOrder = Literal["day-first", "month-first"]
"""Which of day and month comes first in a date such as 3/10/2026."""

_SLASHED: Final = r"(?P<{}>\d{{1,2}})[/-](?P<{}>\d{{1,2}})[/-](?P<y>\d{{4}})(?=\D|$)(?P<rest>.*)"
_BY_ORDER: Final[Mapping[DateOrder, re.Pattern[str]]] = {
    "day-first": re.compile(_SLASHED.format("d", "m")),
    "month-first": re.compile(_SLASHED.format("m", "d")),
}
_CLOCK: Final = re.compile(
    r"(?:[T ]+|, | at )(?P<h>\d{1,2})(?P<rest>:\d{2}(?::\d{2}(?:[.,]\d+)?)?)"
    r"(?: ?(?P<half>[AP]M))?(?P<zone>.*)",
    re.IGNORECASE,
)
_MONTHS: Final = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_MONTH: Final = (
    "(?P<month>jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|may|june?|july?|aug(?:ust)?|"
    r"sept?(?:ember)?|oct(?:ober)?|nov(?:ember)?|dec(?:ember)?)\.?"
)
_NAMED: Final = tuple(
    re.compile(rf"{date}(?=\D|$)(?P<rest>.*)", re.IGNORECASE)
    for date in (
        rf"{_MONTH} (?P<d>\d{{1,2}})(?:st|nd|rd|th)?,? (?P<y>\d{{4}})",
        rf"(?P<d>\d{{1,2}})(?:st|nd|rd|th|\.)?[ -]{_MONTH},?[ -](?P<y>\d{{4}})",
    )
)
"""Dates with the English name of a month: ``Oct 3, 2026``, ``3 October 2026``."""

_WEEK: Final = re.compile(r"\d{4}-?W\d{2}")
_UTC: Final = re.compile(r" ?(?:UTC|GMT|Z)", re.IGNORECASE)
_COMPACT: Final = re.compile(r"((?:19|20)\d{6})(\d{6})")
_MAIL: Final = re.compile(r"(?:[A-Z][a-z]{2}, )?\d{1,2} [A-Z][a-z]{2} \d{4} \d{2}:\d{2}(?::\d{2})? \S+")


def iso_text(value: object, order: DateOrder | None = None) -> str:
    """Return a time as ISO 8601, or as digits, if there is only one way to read it; else unchanged.

    ``order`` says which of day and month comes first between slashes; without it such dates stay unchanged.

    >>> [iso_text(text) for text in ("2026/10/3", "3.10.2026 9:30 PM", "2026-10-03 09:30 UTC", "3/10/2026")]
    ['2026-10-03', '2026-10-03T21:30', '2026-10-03T09:30+00:00', '3/10/2026']
    >>> iso_text("Oct 3, 2026 at 9:30 PM"), iso_text("03-Oct-2026 09:30:15Z"), iso_text("Octember 3, 2026")
    ('2026-10-03T21:30', '2026-10-03T09:30:15+00:00', 'Octember 3, 2026')
    >>> iso_text("3/10/2026 9:30", "day-first"), iso_text("3/10/2026", "month-first")
    ('2026-10-03T09:30', '2026-03-10')
    """
    text = f"{value:f}" if isinstance(value, (float, Decimal)) else str(value).strip()
    if _MAIL.fullmatch(text):
        return parsedate_to_datetime(text).isoformat()
    if match := _COMPACT.fullmatch(text):
        return f"{match[1]}T{match[2]}"
    patterns = (*_DATES, *_NAMED, _BY_ORDER[order]) if order else (*_DATES, *_NAMED)
    date_match = next((match for pattern in patterns if (match := pattern.fullmatch(text))), None)
    if date_match is None:
        return text
    groups = date_match.groupdict()
    month = _MONTHS.index(groups["month"][:3].lower()) + 1 if "month" in groups else int(groups["m"])
    day = f"{groups['y']}-{month:02}-{int(groups['d']):02}"
    clock = _CLOCK.fullmatch(groups["rest"])
    if clock is None:
        return f"{day}{groups['rest']}"
    hour, zone = int(clock["h"]), "+00:00" if _UTC.fullmatch(clock["zone"]) else clock["zone"].strip()
    if clock["half"] and 1 <= hour <= 12:
        hour = hour % 12 + 12 * (clock["half"].lower() == "pm")
    return f"{day}T{hour:02}{clock['rest']}{zone}"


def instant(value: object, zone: tzinfo, order: DateOrder | None = None) -> tuple[datetime, bool]:
    """Return an instant in UTC, and whether it had no zone of its own and was read in ``zone``.

    ``order`` is as for :func:`iso_text`.

    Raises:
        ValueError: it is not a time, can be read in several ways, or is before 2000.

    >>> [f"{instant(time, UTC)[0]:%m-%d %H:%M}" for time in ("1793446200", 1793446200.5, "1793446200000000")]
    ['10-31 11:30', '10-31 11:30', '10-31 11:30']
    >>> [f"{instant(time, UTC)[0]:%H:%M}" for time in ("Sat, 03 Oct 2026 10:00:00 +0200", "20261003093000")]
    ['08:00', '09:30']
    """
    try:
        text = iso_text(value, order)
        if _WEEK.match(text):  # a sum of a week may span two months
            raise ValueError(text)
        at = _from_epoch(text) if _EPOCH.fullmatch(text) else datetime.fromisoformat(text)
        if at.year >= FIRST_YEAR:
            return (at.replace(tzinfo=zone) if at.tzinfo is None else at).astimezone(UTC), at.tzinfo is None
    except (ValueError, TypeError, OverflowError, OSError):
        pass
    raise ValueError(f"is not a time: {clean_text(repr(value))}; write it as 2026-11-22T09:30:00Z")


def readings(value: object) -> Mapping[DateOrder, str]:
    """Return the days that a date such as 3/10/2026 may be, by which of day and month comes first.

    >>> readings("3/10/2026 9:30"), readings("10/25/2026"), readings("2026-10-03")
    ({'day-first': '2026-10-03', 'month-first': '2026-03-10'}, {'month-first': '2026-10-25'}, {})
    """
    days: dict[DateOrder, str] = {}
    for order, pattern in _BY_ORDER.items():
        if pattern.fullmatch(str(value).strip()):
            with suppress(ValueError):
                days[order] = date.fromisoformat(iso_text(value, order)[:10]).isoformat()
    return days


def _from_epoch(text: str) -> datetime:
    seconds = float(text)
    while seconds > _MILLISECONDS_ABOVE:
        seconds /= 1_000
    return datetime.fromtimestamp(seconds, UTC)
