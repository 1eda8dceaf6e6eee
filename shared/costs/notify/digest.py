"""What one message says: a single notice as it is, several as a list."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from ..budgets.port import Level, Notice

_LOUDNESS: Final[dict[Level, int]] = {"info": 0, "warning": 1, "critical": 2}


@dataclass(frozen=True, slots=True)
class Message:
    """A subject, a text and how loud it is."""

    subject: str
    text: str
    level: Level


def digest(notices: Sequence[Notice]) -> Message:
    """Return one message for one or more notices, as loud as the loudest.

    >>> from datetime import UTC, datetime
    >>> at = datetime(2026, 11, 22, 9, 30, tzinfo=UTC)
    >>> told = dict(audience="rpatel", profile="", level="warning", made_at=at)
    >>> digest([Notice(key="a", text="Budget threshold reached!", **told)]).subject
    'AI costs: Budget threshold reached!'
    >>> print(digest([Notice(key=k, text=f"Budget {k}", **told) for k in "ab"]).text)
    Budget a (2026-11-22 09:30 UTC)
    Budget b (2026-11-22 09:30 UTC)
    """
    level = max((notice.level for notice in notices), key=_LOUDNESS.__getitem__)
    text = "\n".join(f"{notice.text} ({notice.made_at:%Y-%m-%d %H:%M} UTC)" for notice in notices)
    if len(notices) > 1:
        return Message(f"AI costs: {len(notices)} alerts", text, level)
    return Message(f"AI costs: {notices[0].text.partition('|')[0].strip()}", text, level)
