"""Messages that really arrive: webhook, Slack, Discord and e-mail against servers of our own."""

from __future__ import annotations

import logging
import re
import socket
import sys
import threading
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email import message_from_string
from email.utils import parsedate_to_datetime
from pathlib import Path

import pytest
from notify_servers import mail_server, tls_proxy, web_server

from shared.costs.budgets.port import Notice
from shared.costs.extras import install_command
from shared.costs.notify import channel
from shared.costs.notify.addresses import Address, addresses_of
from shared.costs.notify.channel import MissingNotifyExtra, send
from shared.costs.notify.message import Mail, Message
from shared.costs.notify.sender import name_of
from shared.costs.profile.types import Budget
from tests.support.elapsed import PATIENCE_S

pytest.importorskip("apprise")

TEXT = "🚨 CRITICAL: Budget limit reached! $50.00 / $50.00 (100.0%)"


def sent(url: str) -> str:
    return send(Address("test", url), Message("AI costs", TEXT, "critical"))


@pytest.mark.no_cover
def test_a_webhook_gets_the_text() -> None:
    with web_server() as web:
        assert sent(f"json://127.0.0.1:{web.port}/hook") == ""
        taken = web.taken.get(timeout=PATIENCE_S)
    assert taken.path == "/hook"
    assert (taken.data["title"], taken.data["message"], taken.data["type"]) == ("AI costs", TEXT, "failure")


@pytest.mark.parametrize(
    ("url", "host", "path"),
    [
        (
            "slack://T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ/",
            "hooks.slack.com",
            "/services/T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ",
        ),
        (
            "discord://417421/JHMHI8qBe7bk2ZwO5U711o3dV_js",
            "discord.com",
            "/api/webhooks/417421/JHMHI8qBe7bk2ZwO5U711o3dV_js",
        ),
    ],
)
def test_slack_and_discord_are_reached_over_tls_under_their_own_names(
    url: str, host: str, path: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with tls_proxy(tmp_path, host) as (web, environ):
        for name, value in environ.items():
            monkeypatch.setenv(name, value)
        assert sent(url) == ""
        taken = web.taken.get(timeout=PATIENCE_S)
    assert (taken.host, taken.path.partition("?")[0]) == (host, path)
    assert "Budget limit reached!" in str(taken.data)


def test_a_wrong_certificate_is_no_way_to_slack(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with tls_proxy(tmp_path, "evil.example.org") as (web, environ):
        for name, value in environ.items():
            monkeypatch.setenv(name, value)
        assert "could not be reached" in sent("slack://T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ/")
        assert web.taken.empty()


def test_an_email_arrives() -> None:
    with mail_server() as mail:
        environ = {"COST_TRACKER_SMTP": f"mailto://127.0.0.1:{mail.port}?mode=insecure"}
        (address,) = addresses_of(Budget(notification_email="ana@example.org"), environ)
        assert send(address, Message("AI costs", TEXT, "warning")) == ""
        taken = mail.taken.get(timeout=PATIENCE_S)
    parsed = message_from_string(taken.body)
    assert taken.host == "ana@example.org"
    assert parsed["Subject"] == "AI costs"
    bodies = [part.get_payload(decode=True) for part in parsed.walk() if not part.is_multipart()]
    assert any(isinstance(body, bytes) and TEXT in body.decode() for body in bodies)


@pytest.mark.parametrize("pages", [None, Mail("<p>over</p>", "over")])
def test_a_mail_that_is_sent_again_is_the_same_one(pages: Mail | None) -> None:
    """A server that took a mail and was not heard gets it again: its reader is shown one."""
    message = Message("AI costs", TEXT, "warning", pages)
    with mail_server() as mail:
        url = f"mailto://127.0.0.1:{mail.port}?to=ana@example.org&from=a@b.org&mode=insecure&+X-Team=video"
        for name in ("first", "first", "second", "", ""):
            assert send(Address("test", url), message, name) == ""
        taken = [message_from_string(mail.taken.get(timeout=PATIENCE_S).body) for _ in range(5)]
    ids = [each["Message-ID"] for each in taken]
    assert ids[0] == ids[1] == "<first@127.0.0.1>"
    assert len({*ids}) == 4
    assert all(each.get_all("Message-ID") == [each["Message-ID"]] for each in taken)
    assert {(each["Auto-Submitted"], each["X-Team"]) for each in taken} == {("auto-generated", "video")}
    assert all(parsedate_to_datetime(each["Date"]) for each in taken)


@pytest.mark.parametrize("overflow", ["split", "truncate"])
def test_a_mail_of_any_length_is_one_and_whole(overflow: str) -> None:
    """What an address asks for where a service takes short texts tore a page in two, both under one name."""
    page, words = (f"{each * 20_000}the end" for each in ("<p>a", "word "))
    with mail_server() as mail:
        url = f"mailto://127.0.0.1:{mail.port}?to=ana@example.org&from=a@b.org&mode=insecure&overflow={overflow}"
        assert send(Address("test", url), Message("AI costs", TEXT, "info", Mail(page, words)), "name") == ""
        taken = message_from_string(mail.taken.get(timeout=PATIENCE_S).body)
        assert mail.taken.empty()
    parts = [part.get_payload(decode=True) for part in taken.walk() if not part.is_multipart()]
    assert sorted(len(part) for part in parts if isinstance(part, bytes)) == sorted(map(len, (page, words)))


def test_what_an_address_says_of_who_sends_stands_once_however_it_is_written() -> None:
    with mail_server() as mail:
        url = (
            f"mailto://127.0.0.1:{mail.port}?to=ana@example.org&from=a@b.org&mode=insecure&+auto-submitted=no"
        )
        assert sent(url) == ""
        taken = message_from_string(mail.taken.get(timeout=PATIENCE_S).body)
    assert taken.get_all("Auto-Submitted") == ["no"]


def test_the_name_of_a_message_is_that_of_its_alerts() -> None:
    at = datetime(2026, 11, 22, 9, 30, tzinfo=UTC)
    one = Notice(audience="ana", profile="", key="month 80", level="warning", text="over", made_at=at)
    other = replace(one, key="month 100")
    assert name_of([one, other]) == name_of([other, one])
    assert len({name_of(each) for each in ([one], [other], [one, other])}) == 3
    assert name_of([one]) != name_of([replace(one, made_at=at + timedelta(days=1))])


def test_a_refused_mail_is_a_fault() -> None:
    with mail_server() as mail:
        mail.refuse = True
        assert sent(f"mailto://127.0.0.1:{mail.port}?to=ana@example.org&from=a@b.org&mode=insecure")


@pytest.mark.parametrize(("status", "said"), [(500, "status 500"), (403, "status 403"), (404, "status 404")])
def test_a_refusal_is_said_with_its_status(status: int, said: str) -> None:
    with web_server() as web:
        web.answers = [status]
        assert said in sent(f"json://127.0.0.1:{web.port}/hook")


@pytest.mark.parametrize("wish", ["", "?redirect=yes"])
def test_redirects_are_not_followed(wish: str) -> None:
    with web_server() as elsewhere, web_server() as web:
        web.answers, web.location = [302], f"http://127.0.0.1:{elsewhere.port}/stolen"
        assert sent(f"json://127.0.0.1:{web.port}/hook{wish}")
        assert elsewhere.taken.empty()


def test_nobody_is_waited_for_for_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(channel, "TIMEOUT_SECONDS", 0.2)
    with web_server() as web:
        web.hold = threading.Event()
        assert "did not answer in time" in sent(f"json://127.0.0.1:{web.port}/hook")
        web.hold.set()


def test_a_closed_port_is_a_fault() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        assert "could not be reached" in sent(f"json://127.0.0.1:{free.getsockname()[1]}/hook")


@pytest.mark.parametrize(
    "url",
    [
        "json://hooks.example.org/x",
        "xml://10.0.0.1/x",
        "form://example.org",
        "gotify://example.org/AbCdEf123456789",
        "mailto://user:pass@mail.example.org?to=a@example.org",
        "mailto://a@localhost?smtp=mail.example.org&to=a@example.org",
    ],
)
def test_nothing_crosses_the_network_in_the_clear(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_args: object, **_kwargs: object) -> None:
        pytest.fail("connected")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    assert "sends in the clear" in sent(url)


@pytest.mark.parametrize("url", ["nonsense://x", "slack://", "://", "json://"])
def test_what_is_no_address_is_said(url: str) -> None:
    assert sent(url) == "is not an address that Apprise understands"


def test_secrets_of_an_address_appear_nowhere(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    with web_server() as web:
        web.answers = [500]
        address = Address("json://...", f"json://user:hunter2secret@127.0.0.1:{web.port}/tok3n-path")
        fault = send(address, Message("AI costs", TEXT, "info"))
    for said in (caplog.text, fault, repr(address), str(address), address.fingerprint):
        assert "hunter2secret" not in said
        assert "tok3n-path" not in said


def test_without_apprise_the_message_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "apprise", None)
    with pytest.raises(MissingNotifyExtra, match=re.escape(install_command("notify"))):
        sent("json://127.0.0.1/x")
    assert send(Address("env:X", fault="is not set"), Message("", "", "info")) == "is not set"


@pytest.mark.parametrize(
    ("stated", "environ", "name", "url", "fault"),
    [
        ("env:SLACK", {"SLACK": " slack://a/b/c "}, "env:SLACK", "slack://a/b/c", ""),
        ("env:SLACK", {}, "env:SLACK", "", "the environment variable SLACK is not set"),
        ("discord://1/tok", {}, "discord://...", "discord://1/tok", ""),
    ],
)
def test_addresses_of_a_profile(
    stated: str, environ: dict[str, str], name: str, url: str, fault: str
) -> None:
    (found,) = addresses_of(Budget(notify=(stated, stated)), environ)
    assert (found.name, found.url, found.fault) == (name, url, fault)


@pytest.mark.parametrize(
    ("server", "url"),
    [
        (None, "mailto://localhost:25?to=a%40b.org&from=a%40b.org"),
        ("mailtos://u:p@smtp.b.org?from=x@b.org", "mailtos://u:p@smtp.b.org?from=x@b.org&to=a%40b.org"),
        ("https://b.org", ""),
    ],
)
def test_the_mail_server_is_the_one_of_the_environment_or_this_machine(server: str | None, url: str) -> None:
    environ = {"COST_TRACKER_SMTP": server} if server else {}
    (found,) = addresses_of(Budget(notification_email="a@b.org"), environ)
    assert found.url == url
    assert bool(found.fault) is not bool(url)
