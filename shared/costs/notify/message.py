"""What is sent to one address: for chats a short text, for mails a page and its words, and perhaps a file."""

from __future__ import annotations

import json
import re
from base64 import b64decode, b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Final, NamedTuple

from ..budgets.port import Level, Notice
from ..shipped import PACKAGE

if TYPE_CHECKING:
    from jinja2 import Environment


class Mail(NamedTuple):
    """What a mail has in place of a message's text: its HTML, and the same in words."""

    html: str
    text: str


class Attachment(NamedTuple):
    """A file that goes with a message, where its service takes files."""

    name: str
    media_type: str
    content: bytes


@dataclass(frozen=True, slots=True)
class Message:
    """A subject, a text and how loud it is."""

    subject: str
    text: str
    level: Level
    mail: Mail | None = None
    attachment: Attachment | None = None


def packed(message: Message) -> bytes:
    """Return a message as it is kept until it was sent."""
    file = message.attachment
    return json.dumps(
        {
            "subject": message.subject,
            "text": message.text,
            "level": message.level,
            "mail": message.mail,
            "attachment": file and [file.name, file.media_type, b64encode(file.content).decode("ascii")],
        }
    ).encode("ascii")


def unpacked(data: bytes) -> Message:
    """Return the message that was packed.

    Raises:
        ValueError: it is damaged.

    >>> message = Message("a", "b", "info", Mail("<p>", "p"), Attachment("c.pdf", "application/pdf", b"%"))
    >>> unpacked(packed(message)) == message
    True
    """
    try:
        found = json.loads(data)
        mail, file = found["mail"], found["attachment"]
        return Message(
            found["subject"],
            found["text"],
            found["level"],
            Mail(*mail) if mail else None,
            Attachment(file[0], file[1], b64decode(file[2])) if file else None,
        )
    except (KeyError, TypeError, IndexError) as fault:
        raise ValueError(f"not a message: {fault!r}") from fault


def filled(template: str, **values: object) -> str:
    """Return a template of a mail with these values in it."""
    return _environment().get_template(template).render(values).lstrip()


@cache
def _environment() -> Environment:
    from jinja2 import Environment, PackageLoader, StrictUndefined  # no stage pays for it

    return Environment(
        loader=PackageLoader(PACKAGE, "data/mail"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


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
