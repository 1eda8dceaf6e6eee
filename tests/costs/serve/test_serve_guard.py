"""What is let through to a page, and what every answer carries."""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import Mapping
from http.cookies import SimpleCookie

import pytest
from starlette.testclient import TestClient
from starlette.types import Message, Receive, Scope, Send

from shared.costs.apps.serve.access import SESSION_S, Access
from shared.costs.apps.serve.guard import COOKIE, MAX_TARGET, Hosts, RequestGuard
from shared.costs.errors import WrongUsage
from tests.costs.serve.serve_support import ACCESS, BASE, ORIGIN, PORT

PAGE = f"{BASE}/months/2026-11"
TOKEN = {"Authorization": f"Bearer {ACCESS.token}"}


@pytest.fixture(scope="module")
def session() -> dict[str, str]:
    import time

    return {"Cookie": f"{COOKIE}={ACCESS.session(time.time())}"}


def test_the_printed_address_becomes_a_session_without_the_token(anybody: TestClient, access: Access) -> None:
    answer = anybody.get("/", params={"token": access.token})
    assert answer.status_code == 303
    assert answer.headers["location"] == f"{BASE}/"
    assert access.token not in str(answer.headers)
    cookie = SimpleCookie(answer.headers["set-cookie"])[COOKIE]
    assert (cookie["path"], cookie["httponly"], cookie["samesite"]) == (f"{BASE}/", True, "Strict")
    assert access.is_session(cookie.value, now=0)


def test_a_page_opened_with_the_token_keeps_the_rest_of_its_address(anybody: TestClient) -> None:
    answer = anybody.get(f"{PAGE}?user=r%C3%A9mi&token={ACCESS.token}&by=stage")
    assert answer.headers["location"] == f"{PAGE}?user=r%C3%A9mi&by=stage"


@pytest.mark.parametrize("token", ["", "wrong", ACCESS.token[:-1], f"{ACCESS.token}x", ACCESS.prefix])
def test_another_token_lets_nobody_in(token: str, anybody: TestClient) -> None:
    assert anybody.get("/", params={"token": token}).status_code == 401
    assert anybody.get("/", headers={"Authorization": f"Bearer {token}"}).status_code == 401


def a_request() -> dict[str, object]:
    """Return the head of a program's request, as servers hand it on."""
    headers = [(b"host", f"127.0.0.1:{PORT}".encode()), (b"authorization", TOKEN["Authorization"].encode())]
    path = {"path": "/health", "raw_path": b"/health", "query_string": b""}
    return {"type": "http", "method": "GET", "scheme": "http", **path, "headers": headers}


@pytest.mark.parametrize("begins", [False, True])
def test_an_answer_that_the_ending_server_does_not_wait_for_is_refused(begins: bool) -> None:
    """It was a 500, and a traceback in the terminal where Ctrl-C was pressed."""
    sent = list[Message]()

    async def send(message: Message) -> None:
        sent.append(message)

    async def slow(_: Scope, __: Receive, respond: Send) -> None:
        if begins:
            await respond({"type": "http.response.start", "status": 200, "headers": []})
        under_way.set()
        await asyncio.Event().wait()

    async def ended() -> None:
        guarded = RequestGuard(slow, lambda: ACCESS, Hosts.of("127.0.0.1", PORT, ()))
        answering = asyncio.create_task(guarded(scope, receive, send))
        await under_way.wait()
        answering.cancel()
        await answering

    async def receive() -> Message:
        return {"type": "http.request"}

    under_way = asyncio.Event()
    scope = a_request()
    if begins:
        with pytest.raises(asyncio.CancelledError):
            asyncio.run(ended())
        assert [message["status"] for message in sent] == [200]
    else:
        asyncio.run(ended())
        assert [message.get("status") for message in sent] == [503, None]


def test_nothing_of_a_stream_is_kept_that_was_sent() -> None:
    """A page that follows a batch has one for hours."""

    class Part(dict[str, object]):
        """A message that can be asked whether it is still there."""

    kept = list[int]()

    async def send(message: Message) -> None:
        del message

    async def receive() -> Message:
        return {"type": "http.request"}

    async def stream(_: Scope, __: Receive, respond: Send) -> None:
        await respond({"type": "http.response.start", "status": 200, "headers": []})
        parts = list[weakref.ref[Part]]()
        for _again in range(3):
            part = Part(type="http.response.body", body=b"", more_body=True)
            parts.append(weakref.ref(part))
            await respond(part)
            del part
        kept.append(sum(each() is not None for each in parts))

    asyncio.run(
        RequestGuard(stream, lambda: ACCESS, Hosts.of("127.0.0.1", PORT, ()))(a_request(), receive, send)
    )
    assert kept == [0]


def test_a_token_given_twice_lets_nobody_in(anybody: TestClient) -> None:
    assert anybody.get(f"/?token={ACCESS.token}&token={ACCESS.token}").status_code == 401


@pytest.mark.no_cover
def test_programs_read_with_the_token_with_and_without_the_prefix(anybody: TestClient) -> None:
    for path in (PAGE, "/months/2026-11", f"{PAGE}.json", "/health"):
        assert anybody.get(path, headers=TOKEN).status_code == 200
    assert anybody.post("/budgets", headers=TOKEN).status_code == 403


def test_a_session_holds_below_the_prefix_alone(anybody: TestClient, session: dict[str, str]) -> None:
    assert anybody.get(PAGE, headers=session).status_code == 200
    for path in ("/", "/months/2026-11", "/events", f"{BASE}x/months/2026-11", f"/x{PAGE}"):
        assert anybody.get(path, headers=session).status_code == 401


def test_a_session_that_is_over_lets_nobody_in(anybody: TestClient) -> None:
    import time

    old = ACCESS.session(time.time() - SESSION_S)
    assert anybody.get(PAGE, headers={"Cookie": f"{COOKIE}={old}"}).status_code == 401


def test_two_sessions_in_one_request_are_none(anybody: TestClient, session: dict[str, str]) -> None:
    twice = [("Cookie", session["Cookie"]), ("Cookie", session["Cookie"])]
    assert anybody.get(PAGE, headers=twice).status_code == 401


HOSTS = {
    f"127.0.0.1:{PORT}": 200,
    f"localhost:{PORT}": 200,
    f"LOCALHOST:{PORT}": 200,
    f"[::1]:{PORT}": 200,
    "costs.example": 200,
    f"costs.example:{PORT}": 200,
    "127.0.0.1": 421,
    f"127.0.0.1:{PORT + 1}": 421,
    "evil.example": 421,
    f"evil.example:{PORT}": 421,
    f"127.0.0.1.evil.example:{PORT}": 421,
    f"costs.example.:{PORT}": 421,
    f"127.0.0.1:{PORT}@evil.example": 421,
    "": 421,
}


@pytest.mark.parametrize(("host", "status"), HOSTS.items(), ids=str)
def test_only_names_that_are_ours_are_served(host: str, status: int, anybody: TestClient) -> None:
    """A page of another name that was pointed at this address is read by nobody (DNS rebinding)."""
    assert anybody.get("/health", headers={**TOKEN, "Host": host}).status_code == status


OWN = {"Origin": ORIGIN, "Sec-Fetch-Site": "same-origin"}
WRITING: dict[str, tuple[Mapping[str, str], int]] = {
    # 405: let through, to a page that takes no forms
    "own page": (OWN, 405),
    "own page in an older browser": ({"Origin": ORIGIN}, 405),
    "no origin": ({"Sec-Fetch-Site": "same-origin"}, 403),
    "nothing said": ({}, 403),
    "another port of this host": (
        {"Origin": f"http://127.0.0.1:{PORT + 1}", "Sec-Fetch-Site": "same-site"},
        403,
    ),
    "own origin from another port": ({**OWN, "Sec-Fetch-Site": "same-site"}, 403),
    "another site": ({"Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site"}, 403),
    "another of our names": ({**OWN, "Origin": f"http://localhost:{PORT}"}, 403),
    "a sandboxed frame": ({**OWN, "Origin": "null"}, 403),
    "an origin with a name in it": ({**OWN, "Origin": f"http://x@127.0.0.1:{PORT}"}, 403),
    "no address": ({**OWN, "Origin": "http://[::1"}, 403),
    "by the user's hand": ({**OWN, "Sec-Fetch-Site": "none"}, 403),
}


@pytest.mark.parametrize("case", WRITING)
def test_what_changes_something_comes_from_our_own_page(
    case: str, anybody: TestClient, session: dict[str, str]
) -> None:
    headers, status = WRITING[case]
    assert anybody.post(PAGE, headers={**session, **headers}).status_code == status


READING: dict[str, tuple[Mapping[str, str], int]] = {
    "a link on another page": (
        {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"},
        200,
    ),
    "an image on another port's page": (
        {"Sec-Fetch-Site": "same-site", "Sec-Fetch-Mode": "no-cors", "Sec-Fetch-Dest": "image"},
        403,
    ),
    "a frame on another port's page": (
        {"Sec-Fetch-Site": "same-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "iframe"},
        403,
    ),
    "a script on another page": ({"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "cors"}, 403),
    "own script": (
        {"Sec-Fetch-Site": "same-origin", "Sec-Fetch-Mode": "cors", "Sec-Fetch-Dest": "empty"},
        200,
    ),
}


@pytest.mark.parametrize("case", READING)
def test_other_pages_may_lead_here_and_load_nothing(
    case: str, anybody: TestClient, session: dict[str, str]
) -> None:
    headers, status = READING[case]
    assert anybody.get(PAGE, headers={**session, **headers}).status_code == status


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "CONNECT", "BREW", "get"])
def test_other_methods_are_refused(method: str, anybody: TestClient) -> None:
    answer = anybody.request(method, PAGE, headers=TOKEN)
    assert answer.status_code in (405, 200 if method == "get" else 405)


def test_addresses_are_bounded(anybody: TestClient) -> None:
    assert anybody.get(f"/{'x' * MAX_TARGET}", headers=TOKEN).status_code == 414
    assert anybody.get(f"/health?{'&' * 200}", headers=TOKEN).status_code == 400


@pytest.mark.parametrize(
    "path", ["/", PAGE, "/nowhere", f"{BASE}/assets/none.css", "/assets/x", f"{BASE}/jobs/x"]
)
@pytest.mark.parametrize(
    "headers", [{}, TOKEN, {"Host": "evil.example"}], ids=["nobody", "program", "elsewhere"]
)
def test_every_answer_carries_the_policy(path: str, headers: Mapping[str, str], anybody: TestClient) -> None:
    answer = anybody.get(path, headers=headers)
    assert answer.headers["content-security-policy"].startswith("default-src 'none'; style-src 'self'")
    assert "unsafe" not in answer.headers["content-security-policy"]
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["referrer-policy"] == "same-origin"
    assert answer.headers["cross-origin-resource-policy"] == "same-origin"
    assert answer.headers["cross-origin-opener-policy"] == "same-origin"
    assert answer.headers["cache-control"] == "no-store"
    assert "access-control-allow-origin" not in answer.headers


def test_web_sockets_are_closed(site: object) -> None:
    from starlette.websockets import WebSocketDisconnect

    async def never(*_: object) -> None:
        raise AssertionError("let through")

    guard = RequestGuard(never, lambda: ACCESS, Hosts.of("127.0.0.1", PORT, ()))
    with pytest.raises(WebSocketDisconnect), TestClient(guard).websocket_connect("/"):
        pass


@pytest.mark.parametrize(
    ("host", "allowed", "said"),
    [
        ("0.0.0.0", (), "--allow-host costs.example:8765"),
        ("192.168.1.5", (), "--allow-host"),
        ("::", (), "--allow-host"),
        ("127.0.0.1", ("http://costs.example",), "is not a host"),
        ("127.0.0.1", ("costs.example/path",), "is not a host"),
        ("127.0.0.1", ("*",), "is not a host"),
        ("127.0.0.1", ("",), "is not a host"),
    ],
)
def test_wrong_names_are_refused_at_the_start(host: str, allowed: tuple[str, ...], said: str) -> None:
    with pytest.raises(WrongUsage, match=said):
        Hosts.of(host, PORT, allowed)
