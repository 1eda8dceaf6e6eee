"""Sending one message to one address through Apprise (the extra ``notify``).

Apprise speaks the protocols. It is restricted here: connections are encrypted unless they stay on this
machine, redirects are not followed, a server gets a few seconds to answer, and of what Apprise logs about
a failure only a status code is shown, because its messages contain addresses.
"""

from __future__ import annotations

import ipaddress
import logging
import re
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from email.utils import make_msgid
from typing import TYPE_CHECKING, Any, Final

from ..budgets.port import Level
from ..errors import CostError
from ..extras import install_command
from .addresses import Address
from .message import Attachment, Message

if TYPE_CHECKING:
    from apprise import AppriseAttachment, NotifyBase

TIMEOUT_SECONDS: Final = 5.0

_SHORTEST_PAGE: Final = 20_000
"""A service that accepts fewer characters than this is a chat, not mail."""

_TYPES: Final[dict[Level, str]] = {"info": "info", "warning": "warning", "critical": "failure"}


class MissingNotifyExtra(CostError):
    """Apprise is not installed. The message says how to get it."""


def send(address: Address, message: Message, name: str = "") -> str:
    """Send one message; return an empty text when it was accepted, else the reason.

    Mail gets the message's HTML and plain text, every other service its text. Mail sent again under the same
    ``name`` has the same ``Message-ID``, so that mail programs show it once even if the server accepted the
    first attempt and its answer was lost.

    Raises:
        MissingNotifyExtra: Apprise is not installed.

    """
    if address.fault:
        return address.fault
    plugin = _plugin(address)
    if isinstance(plugin, str):
        return plugin
    with _captured_logs() as log_messages:
        accepted = _notify(plugin, message, name)
    return "" if accepted else _reason(log_messages)


def _notify(plugin: NotifyBase, message: Message, name: str) -> bool:
    from apprise import NotifyFormat, OverflowMode
    from apprise.plugins.email.base import NotifyEmail

    attachment = message.attachment if plugin.attachment_support else None
    arguments = {
        "title": message.subject,
        "notify_type": _TYPES[message.level],
        "attach": _attachments(attachment) if attachment else None,
    }
    if isinstance(plugin, NotifyEmail):
        plugin.overflow_mode = (
            OverflowMode.UPSTREAM
        )  # a mail may have any length, and its parts would share one Message-ID
        if "auto-submitted" not in map(str.lower, plugin.headers):
            plugin.headers["Auto-Submitted"] = "auto-generated"  # no out-of-office replies (RFC 3834, 5)
    if message.mail is None or not _accepts_html(plugin):
        with _patched(make_msgid=_message_id_maker(name)):
            return bool(plugin.notify(body=message.text, body_format=NotifyFormat.TEXT, **arguments))
    page, words = message.mail
    with _patched(make_msgid=_message_id_maker(name), convert_between=lambda *_, **__: words):
        return bool(plugin.notify(body=page, body_format=NotifyFormat.HTML, **arguments))


def _accepts_html(plugin: NotifyBase) -> bool:
    """Tell whether a service shows HTML as mail does; chats that support some accept only short texts."""
    from apprise import NotifyFormat

    formats: object = plugin.notify_format  # one, or since Apprise 2.3 several, the preferred one first
    preferred = formats[0] if isinstance(formats, tuple) else formats
    return preferred == NotifyFormat.HTML and plugin.body_maxlen >= _SHORTEST_PAGE


def _attachments(file: Attachment) -> AppriseAttachment:
    from apprise import AppriseAttachment
    from apprise.attachment import memory

    make: Any = memory.AttachMemory  # it has no type annotations
    attachments = AppriseAttachment()
    attachments.add(make(file.content, name=file.name, mimetype=file.media_type))
    return attachments


def _message_id_maker(name: str) -> Callable[..., str]:
    """Return a function that makes the ``Message-ID`` of a mail: from its name, or random without one."""
    return lambda domain=None: f"<{name}@{domain or 'localhost'}>" if name else make_msgid(domain=domain)


@contextmanager
def _patched(**functions: Callable[..., str]) -> Iterator[None]:
    """Replace functions of Apprise's mail module for the duration of the block.

    Apprise has no setting for a mail's plain text, which it derives from the HTML with one line for each
    table cell, nor for its ``Message-ID``: a header of that name would be sent twice. The sender's process
    has no other thread that sends.
    """
    from apprise.plugins.email import base

    names = vars(base)
    before = {name: names[name] for name in functions}
    names.update(functions)
    try:
        yield
    finally:
        names.update(before)


def _plugin(address: Address) -> NotifyBase | str:
    """Return Apprise's object for the address, or the reason why the address is refused."""
    try:
        from apprise import Apprise, AppriseAsset  # half a second, and an extra: only the sender pays
    except ImportError:
        raise MissingNotifyExtra(f"Apprise is needed here: {install_command('notify')}") from None
    asset = AppriseAsset(
        app_id="cost-ledger",
        app_desc="AI cost alerts",
        async_mode=False,
        http_redirects=False,
        secure_logging=True,
        storage_mode="memory",
    )
    with _captured_logs():
        plugin = Apprise.instantiate(address.url, asset=asset, suppress_exceptions=True)
    if plugin is None:
        return "is not an address that Apprise understands"
    plugin.redirects = False  # an address may not ask for them either
    plugin.socket_connect_timeout = min(plugin.socket_connect_timeout, TIMEOUT_SECONDS)
    plugin.socket_read_timeout = min(plugin.socket_read_timeout, TIMEOUT_SECONDS)
    return _encryption_fault(plugin, address.url) or plugin


def _encryption_fault(plugin: NotifyBase, url: str) -> str:
    """Return why a connection is refused that would cross the network unencrypted; empty if it is not."""
    scheme = url.partition("://")[0].lower()
    host = getattr(plugin, "smtp_host", None) or getattr(plugin, "host", None)
    encrypted_already = getattr(plugin, "secure", False) or scheme not in _names(plugin.protocol)
    if encrypted_already or not host or is_loopback(host):
        return ""
    encrypted = sorted(_names(plugin.secure_protocol))
    remedy = f"write it as {encrypted[0]}://..." if encrypted else "use another service"
    return f"{scheme}:// sends in the clear, and only to this machine may that be; {remedy}"


def _names(schemes: object) -> set[str]:
    if isinstance(schemes, str):
        return {schemes}
    return set(schemes) if isinstance(schemes, (tuple, list, set, frozenset)) else set()


def is_loopback(host: str) -> bool:
    """Tell whether a host is this machine.

    >>> is_loopback("127.0.0.1"), is_loopback("::1"), is_loopback("localhost"), is_loopback("10.0.0.1")
    (True, True, True, False)
    """
    if host.strip("[]").lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


class _LogCapture(logging.Handler):
    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.messages: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        message = record.getMessage()
        if record.levelno >= logging.WARNING or message.startswith(_SMTP_PREFIX):
            self.messages.append(message)


@contextmanager
def _captured_logs() -> Iterator[list[str]]:
    """Collect what Apprise and its HTTP client log, and keep it out of our logs: it names addresses.

    Python warnings are dropped: they are about modules that Apprise's plugins import.
    """
    capture = _LogCapture()
    loggers = [logging.getLogger(name) for name in ("apprise", "urllib3")]
    before = [(logger.propagate, logger.level) for logger in loggers]
    for logger in loggers:
        logger.addHandler(capture)
        logger.propagate = False
    loggers[0].setLevel(logging.DEBUG)  # the answers of mail servers are logged at this level
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield capture.messages
    finally:
        for logger, (propagates, level) in zip(loggers, before, strict=True):
            logger.propagate = propagates
            logger.setLevel(level)
            logger.removeHandler(capture)


_SMTP_PREFIX: Final = "Socket Exception"
_STATUS: Final = re.compile(
    r"\b(?:error|status|code)\D{0,5}([1-5]\d\d)\b|\(([45]\d\d), b['\"]", re.IGNORECASE
)
"""A status as HTTP services report it, or as smtplib does: ``(550, b'no such user')``."""


def _reason(messages: list[str]) -> str:
    """Return why sending failed, with nothing of Apprise's messages but a status code."""
    for message in messages:
        status = _STATUS.search(message)
        if status:
            return f"was not accepted: status {status[1] or status[2]}"
    return "could not be reached, or did not answer in time"
