"""Times as other programs write them: read where there is one way to, refused where there are two."""

from __future__ import annotations

import re
from datetime import UTC, datetime, tzinfo
from decimal import Decimal
from email.utils import parsedate_to_datetime
from typing import Final

from ..ledger.redact import clean_text

FIRST_YEAR: Final = 2000
"""No call of a model was made before it: a number that means such a time means something else."""

_EPOCH: Final = re.compile(r"\d{9,13}(?:\.\d*)?|\d{16}|\d{19}")
"""Seconds, milliseconds, microseconds or nanoseconds since 1970."""

_MILLISECONDS_ABOVE: Final = 100_000_000_000
"""Seconds since 1970 reach this in the year 5138; larger numbers are of finer units."""

_DATES: Final = tuple(
    re.compile(rf"{date}(?=\D|$)(?P<rest>.*)")
    for date in (
        r"(?P<y>\d{4})/(?P<m>\d{1,2})/(?P<d>\d{1,2})",
        r"(?P<d>\d{1,2})\.(?P<m>\d{1,2})\.(?P<y>\d{4})",
        r"(?P<y>\d{4})-(?P<m>\d{1,2})-(?P<d>\d{1,2})",
    )
)
_CLOCK: Final = re.compile(
    r"[T ]+(?P<h>\d{1,2})(?P<rest>:\d{2}(?::\d{2}(?:[.,]\d+)?)?)(?: ?(?P<half>[AP]M))?(?P<zone>.*)",
    re.IGNORECASE,
)
_UTC: Final = re.compile(r" ?(?:UTC|GMT|Z)", re.IGNORECASE)
_COMPACT: Final = re.compile(r"((?:19|20)\d{6})(\d{6})")
_MAIL: Final = re.compile(r"(?:[A-Z][a-z]{2}, )?\d{1,2} [A-Z][a-z]{2} \d{4} \d{2}:\d{2}(?::\d{2})? \S+")


def iso_text(value: object) -> str:
    """Return a time as ISO 8601, or as digits, as far as there is one way to read it; else as it stands.

    A day that stands before or after a month of digits is not guessed at: ``3/10/2026`` stays as it is.

    >>> [iso_text(each) for each in ("2026/10/3", "3.10.2026 9:30 PM", "2026-10-03 09:30 UTC", "3/10/2026")]
    ['2026-10-03', '2026-10-03T21:30', '2026-10-03T09:30+00:00', '3/10/2026']
    """
    text = f"{value:f}" if isinstance(value, (float, Decimal)) else str(value).strip()
    if _MAIL.fullmatch(text):
        return parsedate_to_datetime(text).isoformat()
    if match := _COMPACT.fullmatch(text):
        return f"{match[1]}T{match[2]}"
    date = next((match for each in _DATES if (match := each.fullmatch(text))), None)
    if date is None:
        return text
    day = f"{date['y']}-{int(date['m']):02}-{int(date['d']):02}"
    clock = _CLOCK.fullmatch(date["rest"])
    if clock is None:
        return f"{day}{date['rest']}"
    hour, zone = int(clock["h"]), "+00:00" if _UTC.fullmatch(clock["zone"]) else clock["zone"].strip()
    if clock["half"] and 1 <= hour <= 12:
        hour = hour % 12 + 12 * (clock["half"].lower() == "pm")
    return f"{day}T{hour:02}{clock['rest']}{zone}"


def instant(value: object, zone: tzinfo) -> tuple[datetime, bool]:
    """Return an instant in UTC, and whether its zone had to be taken from ``zone``.

    Raises:
        ValueError: it is no time, can be read in several ways, or is before 2000.

    >>> [f"{instant(each, UTC)[0]:%m-%d %H:%M}" for each in ("1793446200", 1793446200.5, "1793446200000000")]
    ['10-31 11:30', '10-31 11:30', '10-31 11:30']
    >>> [f"{instant(each, UTC)[0]:%H:%M}" for each in ("Sat, 03 Oct 2026 10:00:00 +0200", "20261003093000")]
    ['08:00', '09:30']
    """
    try:
        text = iso_text(value)
        at = _from_epoch(text) if _EPOCH.fullmatch(text) else datetime.fromisoformat(text)
        if at.year >= FIRST_YEAR:
            return (at.replace(tzinfo=zone) if at.tzinfo is None else at).astimezone(UTC), at.tzinfo is None
    except (ValueError, TypeError, OverflowError, OSError):
        pass
    raise ValueError(f"is no time: {clean_text(repr(value))}; write it as 2026-11-22T09:30:00Z")


def _from_epoch(text: str) -> datetime:
    seconds = float(text)
    while seconds > _MILLISECONDS_ABOVE:
        seconds /= 1_000
    return datetime.fromtimestamp(seconds, UTC)
