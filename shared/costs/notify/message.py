"""What is sent to one address: a short text for chats, HTML and plain text for mail, and perhaps a file.

A report is kept as a file in the cost storage until it was sent or given up. The queue has a notice for it,
whose key names the file and whose text says what it is about.
"""

from __future__ import annotations

import json
import re
from base64 import b64decode, b64encode
from collections.abc import Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from ..budgets.port import Level, Notice
from ..platform import secure_directory
from ..replacing import replacing
from ..shipped import PACKAGE
from ..storage import CostStorage

if TYPE_CHECKING:
    from jinja2 import Environment


class Mail(NamedTuple):
    """The body of a mail: HTML, and the same as plain text."""

    html: str
    text: str


class Attachment(NamedTuple):
    """A file sent with a message to services that accept files."""

    name: str
    media_type: str
    content: bytes


@dataclass(frozen=True, slots=True)
class Message:
    """A subject, a text and a level; for mail also HTML, for services that accept files an attachment."""

    subject: str
    text: str
    level: Level
    mail: Mail | None = None
    attachment: Attachment | None = None


def packed(message: Message) -> bytes:
    """Return a message as the bytes that are stored until it was sent."""
    attachment = message.attachment
    return json.dumps(
        {
            "subject": message.subject,
            "text": message.text,
            "level": message.level,
            "mail": message.mail,
            "attachment": attachment
            and [attachment.name, attachment.media_type, b64encode(attachment.content).decode("ascii")],
        }
    ).encode("ascii")


def unpacked(data: bytes) -> Message:
    """Return the message that :func:`packed` stored.

    Raises:
        ValueError: it is damaged.

    >>> message = Message("a", "b", "info", Mail("<p>", "p"), Attachment("c.pdf", "application/pdf", b"%"))
    >>> unpacked(packed(message)) == message
    True
    """
    try:
        fields = json.loads(data)
        mail, file = fields["mail"], fields["attachment"]
        return Message(
            fields["subject"],
            fields["text"],
            fields["level"],
            Mail(*mail) if mail else None,
            Attachment(file[0], file[1], b64decode(file[2])) if file else None,
        )
    except (KeyError, TypeError, IndexError) as fault:
        raise ValueError(f"not a message: {fault!r}") from fault


def filled(template: str, **values: object) -> str:
    """Render a mail template with these values."""
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


_SEVERITY: Final[dict[Level, int]] = {"info": 0, "warning": 1, "critical": 2}
_PERCENT: Final = re.compile(r"\((\d+(?:\.\d+)?)%\)")


def digest(notices: Sequence[Notice]) -> Message:
    """Return one message for one or more notices, at the highest of their levels.

    >>> from datetime import UTC, datetime
    >>> at = datetime(2026, 11, 22, 9, 30, tzinfo=UTC)
    >>> fields = dict(audience="rpatel", profile="", level="warning", made_at=at)
    >>> digest([Notice(key="a", text="Budget threshold reached!", **fields)]).subject
    'AI costs: Budget threshold reached!'
    >>> print(digest([Notice(key=k, text=f"Budget {k}", **fields) for k in "ab"]).text)
    Budget a (2026-11-22 09:30 UTC)
    Budget b (2026-11-22 09:30 UTC)
    """
    level = max((notice.level for notice in notices), key=_SEVERITY.__getitem__)
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


KEY: Final = "report "
"""Prefix of the key of a notice for a stored message; the name of its file follows."""

_SUFFIX: Final = ".json"
_FRESH: Final = timedelta(days=1)
"""A younger file may belong to a notice that is about to be queued."""


def is_stored_message(key: str) -> bool:
    """Tell whether a notice with this key is for a stored message."""
    return key.startswith(KEY)


class StoredMessages:
    """The messages stored in one cost storage, readable only by its owner."""

    def __init__(self, storage: CostStorage) -> None:
        self._folder = storage.root / "letters"

    def keep(self, name: str, message: Message) -> str:
        """Store a message under a name; return the key for its notice.

        Raises:
            CannotWrite: it cannot be stored.
        """
        secure_directory(self._folder)
        with replacing(self._path(name)) as draft:
            draft.write_bytes(packed(message))
        return f"{KEY}{name}"

    def read(self, key: str) -> Message | str:
        """Return the message of a notice, or why it cannot be read."""
        try:
            return unpacked(self._path(key.removeprefix(KEY)).read_bytes())
        except FileNotFoundError:
            return "its text is not in the cost storage any more; send it with notify report --again"
        except (OSError, ValueError) as fault:
            return f"its text cannot be read: {fault}"

    def drop(self, key: str) -> None:
        """Delete the message of a notice that will not be sent."""
        with suppress(OSError):
            self._path(key.removeprefix(KEY)).unlink()

    def tidy(self, waiting: Collection[str], now: datetime) -> None:
        """Delete the messages whose keys are not among those of the ``waiting`` notices."""
        with suppress(OSError):
            for file in self._folder.glob(f"*{_SUFFIX}"):
                age = now.timestamp() - file.stat().st_mtime
                if f"{KEY}{file.stem}" not in waiting and age > _FRESH.total_seconds():
                    file.unlink()

    def _path(self, name: str) -> Path:
        return self._folder / f"{name}{_SUFFIX}"
