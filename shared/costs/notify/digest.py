"""What one message says: a single notice as it is, several as a list."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from ..budgets.port import Level, Notice
from .look import filled
from .message import Mail, Message

_LOUDNESS: Final[dict[Level, int]] = {"info": 0, "warning": 1, "critical": 2}
_PERCENT: Final = re.compile(r"\((\d+(?:\.\d+)?)%\)")


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
    text = "\n".join(f"{notice.text} ({_when(notice)})" for notice in notices)
    about = f"{len(notices)} alerts" if len(notices) > 1 else notices[0].text.partition("|")[0].strip()
    subject = f"AI costs: {about}"
    html = filled("alerts.html.j2", title=subject, alerts=[_alert(notice) for notice in notices])
    return Message(subject, text, level, Mail(html, text))


def _alert(notice: Notice) -> dict[str, object]:
    first, *rest = (part.strip() for part in notice.text.split("|"))
    percent = _PERCENT.search(first)
    return {
        "first": first,
        "rest": rest,
        "percent": float(percent[1]) if percent else None,
        "tone": notice.level,
        "at": _when(notice),
    }


def _when(notice: Notice) -> str:
    return f"{notice.made_at:%Y-%m-%d %H:%M} UTC"
