"""What every request must pass before a page is made, and the headers that every answer carries.

In this order: a method and a size that pages take, a host that is ours (else a name that was pointed at this
address could be read by its page), the token or a session, and for what changes something a form of ours from
a page of ours.

>>> hosts = Hosts.of("127.0.0.1", 8765, ())
>>> hosts.origin(["localhost:8765"], "http"), hosts.origin(["evil.example"], "http")
('http://localhost:8765', None)
"""

from __future__ import annotations

import ipaddress
import re
import time
from asyncio import CancelledError
from collections.abc import Callable, Sequence
from http import HTTPStatus
from http.cookies import CookieError, SimpleCookie
from typing import TYPE_CHECKING, Final, NamedTuple, Self
from urllib.parse import parse_qsl, quote, urlencode, urlsplit

from ...errors import WrongUsage
from .access import Access

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send


_LOOPBACK: Final = ("127.0.0.1", "localhost", "[::1]")
_NAME: Final = re.compile(
    r"(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?)*|\[[0-9a-f:.]+\])"
    r"(?::[0-9]{1,5})?",
    re.ASCII,
)


class Hosts(NamedTuple):
    """The hosts, each with its port, as a ``Host`` header names them."""

    names: frozenset[str]

    @classmethod
    def of(cls, host: str, port: int, allowed: Sequence[str]) -> Self:
        """Return the names of this machine's own address, and those that are allowed beside them.

        A name without a port is allowed with ours, and as it stands, for a server in front of this one.

        Raises:
            WrongUsage: an allowed name is not a host, or pages are served to others without any.
        """
        if not allowed and not is_loopback(host):
            raise WrongUsage(
                f"--host {host} serves other machines: name the address that they will open, "
                f"such as --allow-host costs.example:{port}"
            )
        own = {f"{name}:{port}" for name in _LOOPBACK}
        for name in map(str.lower, allowed):
            if not _NAME.fullmatch(name):
                raise WrongUsage(f"--allow-host {name!r} is not a host; write it as costs.example:{port}")
            own |= {name, name if _has_port(name) else f"{name}:{port}"}
        if port == _HTTP:
            own |= set(_LOOPBACK)
        return cls(frozenset(own))

    def origin(self, given: Sequence[str], scheme: str) -> str | None:
        """Return the origin that a request names by its one ``Host`` header; ``None`` for another's."""
        if len(given) != 1 or given[0].lower() not in self.names:
            return None
        return f"{scheme}://{given[0].lower()}"

    def matches(self, origin: str, own: str) -> bool:
        """Tell whether an ``Origin`` header is that of the page itself, perhaps by ``https`` to a proxy."""
        try:
            there = urlsplit(origin)
        except ValueError:
            return False
        return there.scheme in ("http", "https") and there.netloc.lower() == own.partition("://")[2]


_HTTP: Final = 80


def is_loopback(host: str) -> bool:
    """Tell whether only this machine can reach a host.

    >>> is_loopback("127.0.0.1"), is_loopback("::1"), is_loopback("localhost"), is_loopback("0.0.0.0")
    (True, True, True, False)
    """
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _has_port(name: str) -> bool:
    return re.search(r":\d+$", name) is not None and not name.endswith("]")


COOKIE: Final = "cost_dashboard"
ASSETS: Final = "/assets/"
MAX_TARGET: Final = 8192
"""Longer addresses are refused, in bytes."""

_READING: Final = ("GET", "HEAD")
_METHODS: Final = (*_READING, "POST")
_AMBIENT_SITES: Final = ("same-origin", "none")
"""Where a request that carries our cookie may come from: a page of ours, or the user's own hand."""

_POLICY: Final = (
    "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
# With `no-referrer` a browser sends our own forms with `Origin: null` (Fetch standard, "append a request
# Origin header"); other sites are told nothing by `same-origin` either.
HEADERS: Final = (
    (b"content-security-policy", _POLICY.encode()),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"cross-origin-opener-policy", b"same-origin"),
)
_NO_STORE: Final = (b"cache-control", b"no-store")


class Visitor(NamedTuple):
    """Who asks. ``base`` is the path before that of the page, ``session`` is empty for programs.

    ``at`` is the origin that the visitor sees.
    """

    base: str
    session: str
    at: str


class RequestRefused(Exception):
    """A request that is not answered: why, and what helps."""

    def __init__(self, status: HTTPStatus, text: str, headers: tuple[tuple[bytes, bytes], ...] = ()) -> None:
        super().__init__(text)
        self.status = status
        self.text = text
        self.headers = headers


class RequestGuard:
    """An ASGI application that lets requests through to another one."""

    def __init__(
        self,
        app: ASGIApp,
        access: Callable[[], Access],
        hosts: Hosts,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._app = app
        self._access = access
        self._hosts = hosts
        self._clock = clock

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or refuse it."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":
            await send({"type": "websocket.close", "code": 1008})
            return
        try:
            request = _RequestHead(scope)
            visit = self._admitted(request)
        except RequestRefused as refusal:
            await _refuse(send, refusal, scope["method"] == "HEAD")
            return
        scope = {**scope, "root_path": visit.base, "cost_visit": visit}
        begun = False

        async def sending(message: Message) -> None:
            nonlocal begun
            begun = True
            await send(message)

        try:
            await self._app(scope, receive, _with_headers(sending, is_asset=request.path.startswith(ASSETS)))
        except CancelledError:  # the server ends, and waits for this answer no longer
            if begun:
                raise
            ending = RequestRefused(HTTPStatus.SERVICE_UNAVAILABLE, "The server ended before this was ready.")
            await _refuse(send, ending, scope["method"] == "HEAD")

    def _admitted(self, request: _RequestHead) -> Visitor:
        """Return who asks.

        Raises:
            RequestRefused: the request is not to be answered by a page.
        """
        if request.method not in _METHODS:
            raise RequestRefused(
                HTTPStatus.METHOD_NOT_ALLOWED,
                "Pages are read, and forms sent.",
                ((b"allow", b"GET, HEAD, POST"),),
            )
        if request.size > MAX_TARGET:
            raise RequestRefused(
                HTTPStatus.REQUEST_URI_TOO_LONG, f"The address is longer than {MAX_TARGET} bytes."
            )
        origin = self._hosts.origin(request.all(b"host"), request.scheme)
        if origin is None:
            raise RequestRefused(
                HTTPStatus.MISDIRECTED_REQUEST, "This host is not served here; see --allow-host."
            )
        if request.path.startswith(ASSETS) and request.method in _READING:
            return Visitor("", "", origin)  # the same for everybody, and nobody's secret
        visit = self._program(request, origin) or self._person(request, origin)
        if visit is None:
            raise _unknown(request)
        return visit

    def _program(self, request: _RequestHead, origin: str) -> Visitor | None:
        """Return a program that names the token itself, which may read alone."""
        kind, _, token = request.one(b"authorization").partition(" ")
        if kind.lower() != "bearer":
            return None
        if not self._access().is_token(token.strip()):
            raise _unknown(request)
        if request.method not in _READING:
            raise RequestRefused(HTTPStatus.FORBIDDEN, "A token reads; changes are made on a page.")
        return Visitor(self._base_of(request), "", origin)

    def _person(self, request: _RequestHead, origin: str) -> Visitor | None:
        """Return a browser with a session."""
        self._exchange(request)
        base = self._base_of(request)
        session = _cookie(request.all(b"cookie")) if base else ""
        if not session or not self._access().is_session(session, self._clock()):
            return None
        _require_own_page(request, self._hosts.matches(request.one(b"origin"), origin))
        return Visitor(base, session, origin)

    def _base_of(self, request: _RequestHead) -> str:
        base = f"/{self._access().prefix}"
        return base if request.path == base or request.path.startswith(f"{base}/") else ""

    def _exchange(self, request: _RequestHead) -> None:
        """Send a browser that brings the token to the same page without it, with a session.

        Raises:
            RequestRefused: with the way to that page.
        """
        given = [value for name, value in request.query if name == "token"]
        if request.method not in _READING or len(given) != 1 or not self._access().is_token(given[0]):
            return
        base = f"/{self._access().prefix}"
        rest = urlencode([(name, value) for name, value in request.query if name != "token"])
        page = request.path if self._base_of(request) else f"{base}/"
        cookie = f"{COOKIE}={self._access().session(self._clock())}; Path={base}/; HttpOnly; SameSite=Strict"
        raise RequestRefused(
            HTTPStatus.SEE_OTHER,
            "",
            ((b"location", _target(page, rest)), (b"set-cookie", cookie.encode())),
        )


class _RequestHead:
    """The first lines of a request."""

    def __init__(self, scope: Scope) -> None:
        self.method: str = scope["method"]
        self.path: str = scope["path"]
        self.scheme: str = scope.get("scheme", "http")
        self.size = len(scope.get("raw_path") or b"") + len(scope["query_string"])
        self._headers: list[tuple[bytes, bytes]] = list(scope["headers"])
        try:
            text = scope["query_string"].decode("ascii")
            self.query = parse_qsl(text, keep_blank_values=True, max_num_fields=100)
        except ValueError:  # not ASCII, or too many
            raise RequestRefused(HTTPStatus.BAD_REQUEST, "The address cannot be read.") from None

    def all(self, name: bytes) -> list[str]:
        """Return all values of a header."""
        return [value.decode("latin-1") for key, value in self._headers if key.lower() == name]

    def one(self, name: bytes) -> str:
        """Return the value of a header; nothing where it is missing.

        Raises:
            RequestRefused: it is there twice.
        """
        values = self.all(name)
        if len(values) > 1:
            raise RequestRefused(
                HTTPStatus.BAD_REQUEST, f"The header {name.decode()} comes {len(values)} times."
            )
        return values[0] if values else ""


def _require_own_page(request: _RequestHead, is_own: bool) -> None:
    """Refuse what another page made the browser send.

    Every browser of the last years says by ``Sec-Fetch-Site`` where a request comes from; ``same-site`` is a
    page of another port of this host.
    """
    site = request.one(b"sec-fetch-site")
    if request.method in _READING:
        opens_page = request.one(b"sec-fetch-mode") in ("", "navigate") and request.one(
            b"sec-fetch-dest"
        ) in (
            "",
            "document",
        )
        if site and site not in _AMBIENT_SITES and not opens_page:
            raise RequestRefused(HTTPStatus.FORBIDDEN, "Another page asked for this.")
    elif not is_own or (site and site != "same-origin"):
        raise RequestRefused(HTTPStatus.FORBIDDEN, "Forms are taken from pages of this address alone.")


def _cookie(values: list[str]) -> str:
    """Return our session among the cookies; nothing where there is none, or more than one."""
    cookies = []
    for value in values:
        try:
            jar = SimpleCookie(value)
        except CookieError:
            continue
        cookies += [jar[COOKIE].value] if COOKIE in jar else []
    return cookies[0] if len(cookies) == 1 else ""


def _unknown(request: _RequestHead) -> RequestRefused:
    text = "Open the address that cost-dashboard serve printed: it lets this browser in."
    is_program = bool(request.all(b"authorization"))
    return RequestRefused(
        HTTPStatus.UNAUTHORIZED, text, ((b"www-authenticate", b"Bearer"),) if is_program else ()
    )


def _target(path: str, query: str) -> bytes:
    return f"{quote(path, safe='/@:')}{'?' if query else ''}{query}".encode("ascii")


def _with_headers(send: Send, *, is_asset: bool) -> Send:
    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            own = HEADERS if is_asset and message["status"] == HTTPStatus.OK else (*HEADERS, _NO_STORE)
            names = {name for name, _ in own}
            kept = [(name, value) for name, value in message.get("headers", ()) if name not in names]
            message = {**message, "headers": [*kept, *own]}
        await send(message)

    return sending


async def _refuse(send: Send, refusal: RequestRefused, is_head: bool) -> None:
    body = f"{refusal.text}\n".encode() if refusal.text else b""
    headers = [
        *HEADERS,
        _NO_STORE,
        *refusal.headers,
        (b"content-type", b"text/plain; charset=utf-8"),
        (b"content-length", str(len(body)).encode()),
    ]
    await send({"type": "http.response.start", "status": int(refusal.status), "headers": headers})
    await send({"type": "http.response.body", "body": b"" if is_head else body})
