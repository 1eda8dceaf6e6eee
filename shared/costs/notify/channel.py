"""Sending one message to one address through Apprise (the extra ``notify``).

Apprise speaks the protocols; what is narrowed here: connections are encrypted unless they stay on
this machine, redirects are not followed, nobody is waited for longer than a few seconds, and what
Apprise has to say about a failure is cut down to what gives no address away.
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

_PAGE: Final = 20_000
"""A service that takes fewer characters than this is a chat."""

_TYPES: Final[dict[Level, str]] = {"info": "info", "warning": "warning", "critical": "failure"}


class MissingNotifyExtra(CostError):
    """Apprise is not installed. The message says how to get it."""


def send(address: Address, message: Message, name: str = "") -> str:
    """Send one message; return an empty text when it was accepted, else why it was not.

    A mail gets the message's page and words, everything else its text. Under the same ``name`` it is the
    same mail, as mail programs see it: one that was accepted, and whose acceptance was not heard, shows once.

    Raises:
        MissingNotifyExtra: Apprise is not installed.

    """
    if address.fault:
        return address.fault
    plugin = _plugin(address)
    if isinstance(plugin, str):
        return plugin
    with _overheard() as said:
        accepted = _notify(plugin, message, name)
    return "" if accepted else _reason(said)


def _notify(plugin: NotifyBase, message: Message, name: str) -> bool:
    from apprise import NotifyFormat, OverflowMode
    from apprise.plugins.email.base import NotifyEmail

    file = message.attachment if plugin.attachment_support else None
    given = {
        "title": message.subject,
        "notify_type": _TYPES[message.level],
        "attach": _attached(file) if file else None,
    }
    if isinstance(plugin, NotifyEmail):
        plugin.overflow_mode = (
            OverflowMode.UPSTREAM
        )  # a mail has any length; parts of one would share its name
        if "auto-submitted" not in map(str.lower, plugin.headers):
            plugin.headers["Auto-Submitted"] = "auto-generated"  # nobody's absence is told (RFC 3834, 5)
    if message.mail is None or not _takes_pages(plugin):
        with _in_place(make_msgid=_named(name)):
            return bool(plugin.notify(body=message.text, body_format=NotifyFormat.TEXT, **given))
    page, words = message.mail
    with _in_place(make_msgid=_named(name), convert_between=lambda *_, **__: words):
        return bool(plugin.notify(body=page, body_format=NotifyFormat.HTML, **given))


def _takes_pages(plugin: NotifyBase) -> bool:
    """Tell whether a service shows HTML as mails do; chats that know some of it take short texts alone."""
    from apprise import NotifyFormat

    formats: object = plugin.notify_format  # one, or since Apprise 2.3 several, the preferred one first
    preferred = formats[0] if isinstance(formats, tuple) else formats
    return preferred == NotifyFormat.HTML and plugin.body_maxlen >= _PAGE


def _attached(file: Attachment) -> AppriseAttachment:
    from apprise import AppriseAttachment
    from apprise.attachment import memory

    make: Any = memory.AttachMemory  # which has no types
    attachments = AppriseAttachment()
    attachments.add(make(file.content, name=file.name, mimetype=file.media_type))
    return attachments


def _named(name: str) -> Callable[..., str]:
    """Return what makes the ``Message-ID`` of a mail: from its name, or of chance where it has none."""
    return lambda domain=None: f"<{name}@{domain or 'localhost'}>" if name else make_msgid(domain=domain)


@contextmanager
def _in_place(**functions: Callable[..., str]) -> Iterator[None]:
    """Put functions in the place of those of the same names with which Apprise makes mails.

    There is no other way to say the words of a mail, which it makes of the HTML, each cell of a table a line;
    nor its ``Message-ID``, which would stand there twice. Nobody else sends within a sender's process.
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
    """Return Apprise's own object for the address, or why it is not used."""
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
    with _overheard():
        plugin = Apprise.instantiate(address.url, asset=asset, suppress_exceptions=True)
    if plugin is None:
        return "is not an address that Apprise understands"
    plugin.redirects = False  # an address may not ask for them either
    plugin.socket_connect_timeout = min(plugin.socket_connect_timeout, TIMEOUT_SECONDS)
    plugin.socket_read_timeout = min(plugin.socket_read_timeout, TIMEOUT_SECONDS)
    return _unencrypted(plugin, address.url) or plugin


def _unencrypted(plugin: NotifyBase, url: str) -> str:
    """Return why a connection is refused that would cross the network in the clear."""
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


class _Listener(logging.Handler):
    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.said: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        message = record.getMessage()
        if record.levelno >= logging.WARNING or message.startswith(_OF_SMTP):
            self.said.append(message)


@contextmanager
def _overheard() -> Iterator[list[str]]:
    """Listen to the logs of Apprise and its HTTP client, and keep them to ourselves: they name addresses.

    Warnings are dropped: they are about modules that Apprise's plugins import, for no user to mend.
    """
    listener = _Listener()
    loggers = [logging.getLogger(name) for name in ("apprise", "urllib3")]
    before = [(logger.propagate, logger.level) for logger in loggers]
    for logger in loggers:
        logger.addHandler(listener)
        logger.propagate = False
    loggers[0].setLevel(logging.DEBUG)  # where what a mail server answered is told
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield listener.said
    finally:
        for logger, (propagates, level) in zip(loggers, before, strict=True):
            logger.propagate = propagates
            logger.setLevel(level)
            logger.removeHandler(listener)


_OF_SMTP: Final = "Socket Exception"
_STATUS: Final = re.compile(
    r"\b(?:error|status|code)\D{0,5}([1-5]\d\d)\b|\(([45]\d\d), b['\"]", re.IGNORECASE
)
"""A status as HTTP services say it, or as smtplib does: ``(550, b'no such user')``."""


def _reason(said: list[str]) -> str:
    """Return in our own words what Apprise said: a status code at most."""
    for message in said:
        status = _STATUS.search(message)
        if status:
            return f"was not accepted: status {status[1] or status[2]}"
    return "could not be reached, or did not answer in time"
