"""What is sent to one address: for chats a short text, for mails a page and its words, and perhaps a file."""

from __future__ import annotations

import json
from base64 import b64decode, b64encode
from dataclasses import dataclass
from typing import NamedTuple

from ..budgets.port import Level


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
