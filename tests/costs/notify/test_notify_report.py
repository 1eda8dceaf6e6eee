"""A month's report as a mail: once a month and user, tried again, and readable by every reader of mails."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.message import EmailMessage
from email.parser import BytesParser
from email.policy import default
from pathlib import Path
from queue import Queue
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from notify_servers import web_server

from shared.cost_tracker import CostTracker
from shared.costs import periods
from shared.costs.apps.cli.program import run
from shared.costs.budgets.port import Level, Notice
from shared.costs.notify.message import Message, StoredMessages, digest
from shared.costs.storage import CostStorage
from tests.support.elapsed import PATIENCE_S

pytest.importorskip("apprise")

NOW = datetime.now(UTC)
PROFILE = """\
organization: {monthly_limit_usd: 50, notification_email: team@example.org}
users:
  ana: {budget: {notification_email: ana@example.org}}
  kim: {budget: {notify: [env:HOOK]}}
"""


class Mailbox:
    """An SMTP server that keeps what it gets, or refuses it, and the month that a report is about."""

    def __init__(self) -> None:
        self.mails: Queue[EmailMessage] = Queue()
        self.refuses, self.answer = False, "451 later"
        self.month = periods.previous_month(periods.month(datetime.now(UTC), periods.zone("UTC")))

    async def handle_DATA(self, server: object, session: object, envelope: Any) -> str:  # noqa: N802  # aiosmtpd's
        if self.refuses and not self.answer:
            server.transport.close()  # type: ignore[attr-defined]  # aiosmtpd's own
        if self.refuses:
            return self.answer
        self.mails.put(BytesParser(policy=default).parsebytes(envelope.content))
        return "250 taken"


class Server(Controller):
    """A server on a free port, which Controller would not find."""

    def _trigger_server(self) -> None:
        assert isinstance(self.server, asyncio.Server)
        self.port = self.server.sockets[0].getsockname()[1]
        super()._trigger_server()  # type: ignore[no-untyped-call]  # aiosmtpd's own


@pytest.fixture(autouse=True)
def _without_pdf(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Attach pages, which are made sooner, but where a test is about paper."""
    if "on_paper" not in request.node.name:
        monkeypatch.setitem(sys.modules, "weasyprint", None)  # so that importing it fails


@pytest.fixture(autouse=True)
def woken(monkeypatch: pytest.MonkeyPatch) -> list[CostStorage]:
    """Note where a sender was to be started. A real one stays for minutes: it tries again."""
    started = list[CostStorage]()
    monkeypatch.setattr("shared.costs.apps.cli.commands.notify.wake", started.append)
    return started


@pytest.fixture
def mailbox(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Mailbox]:
    box = Mailbox()
    home, profile = tmp_path / "storage", tmp_path / "profile.yaml"
    profile.write_text(PROFILE)
    for user, cost in (("ana", 800_000), ("kim", 400_000)):
        with CostTracker(tmp_path / "out" / f"job-{user}", user_id=user, cost_storage_path=home) as tracker:
            for day in range(3):
                at = box.month.start + timedelta(days=day * 5)
                tracker.log_usage("openai", "gpt-4o", cost, stage="13_ai", timestamp=at)
    server = Server(box, hostname="127.0.0.1", port=0)
    server.start()
    monkeypatch.setenv("COST_TRACKER_HOME", str(home))
    monkeypatch.setenv("COST_TRACKER_PROFILE", str(profile))
    monkeypatch.setenv(
        "COST_TRACKER_SMTP", f"mailto://127.0.0.1:{server.port}?mode=insecure&from=costs@example.org"
    )
    yield box
    server.stop()


def asked(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, Any]:
    capsys.readouterr()
    code = run(["notify", *words, "--json"])
    return code, json.loads(capsys.readouterr().out)


def test_a_month_is_sent_once_to_each_and_again_where_that_is_asked(
    mailbox: Mailbox, woken: list[CostStorage], capsys: pytest.CaptureFixture[str]
) -> None:
    code, told = asked(capsys, "report")
    assert (code, told["queued"], told["sent"], told["month"]) == (0, True, 1, mailbox.month.name)
    first = mailbox.mails.get(timeout=PATIENCE_S)
    assert first["To"] == "team@example.org"
    assert woken == []
    assert first["Subject"] == f"AI costs: {mailbox.month.first_day:%B %Y}, everyone: $9.00"
    code, told = asked(capsys, "report")
    assert (code, told["queued"], told["sent"]) == (0, False, 0)
    code, told = asked(capsys, "report", "--user", "ana")
    assert (code, told["sent"]) == (0, 1)
    assert mailbox.mails.get(timeout=PATIENCE_S)["To"] == "ana@example.org"
    code, told = asked(capsys, "report", "--again")
    assert (code, told["sent"]) == (0, 1)
    assert mailbox.mails.get(timeout=PATIENCE_S)["To"] == "team@example.org"
    assert mailbox.mails.empty()


@pytest.mark.no_cover
def test_a_mail_is_a_page_of_tables_the_same_in_words_and_the_report_on_paper(mailbox: Mailbox) -> None:
    assert run(["notify", "report"]) == 0
    mail = mailbox.mails.get(timeout=PATIENCE_S)
    page, words = mail.get_body(("html",)), mail.get_body(("plain",))
    assert page is not None
    assert words is not None
    html, text = page.get_content(), words.get_content()
    assert "<svg" not in html
    assert "<style" not in html
    assert "http" not in html
    assert max(map(len, text.splitlines())) <= 72
    for amount in ("$9.00 of $50.00", "$6.00", "$3.00", "openai/gpt-4o", "13_ai"):
        assert amount in html
        assert amount in text
    [attached] = mail.iter_attachments()
    assert attached.get_filename() == f"costs-{mailbox.month.name}.pdf"
    assert attached.get_content().startswith(b"%PDF")


def test_a_month_is_sent_in_the_currency_of_the_profile(mailbox: Mailbox, tmp_path: Path) -> None:
    profile = tmp_path / "profile.yaml"
    profile.write_text(f"{PROFILE}currency: {{show: EUR, rates: {{2020-01-01: 0.5}}}}\n")
    assert run(["notify", "report"]) == 0
    mail = mailbox.mails.get(timeout=PATIENCE_S)
    assert str(mail["Subject"]).endswith("everyone: €4.50")
    words = mail.get_body(("plain",))
    assert words is not None
    assert "€4.50 of €25.00" in words.get_content()
    assert "$" not in words.get_content().replace("for $1", "")


def test_without_the_extra_for_pdf_the_page_itself_goes_along(mailbox: Mailbox) -> None:
    assert run(["notify", "report"]) == 0
    [attached] = mailbox.mails.get(timeout=PATIENCE_S).iter_attachments()
    assert attached.get_content_type() == "text/html"
    assert attached.get_filename() == f"costs-{mailbox.month.name}.html"


def test_a_refused_mail_stays_queued_privately_and_goes_out_later(
    mailbox: Mailbox, capsys: pytest.CaptureFixture[str]
) -> None:
    mailbox.refuses = True
    code, told = asked(capsys, "report")
    assert (code, told["queued"], told["sent"]) == (1, True, 0)
    assert told["faults"][0]["address"] == "team@example.org"
    home = Path(os.environ["COST_TRACKER_HOME"])
    [kept] = (home / "letters").iterdir()
    assert kept.stat().st_mode & 0o777 == 0o600
    assert asked(capsys, "report")[1]["queued"] is False
    mailbox.refuses = False
    assert asked(capsys, "send") == (0, {"sent": 1, "faults": []})
    assert mailbox.mails.get(timeout=PATIENCE_S)["To"] == "team@example.org"
    assert asked(capsys, "send")[1]["sent"] == 0


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        ("451 later", "was not accepted: status 451"),
        ("550 no such user", "was not accepted: status 550"),
        ("", "could not be reached, or did not answer in time"),
    ],
)
def test_what_a_mail_server_answered_is_told(
    answer: str, why: str, mailbox: Mailbox, woken: list[CostStorage], capsys: pytest.CaptureFixture[str]
) -> None:
    """A recipient that is refused, a server that is busy; and one that hangs up after the whole mail."""
    mailbox.refuses, mailbox.answer = True, answer
    month = mailbox.month.name
    code, told = asked(capsys, "report", "--month", month, "--user", "ana")
    assert code == 1
    assert [each["why"] for each in told["faults"]] == [why]
    assert mailbox.mails.empty()
    assert [storage.root for storage in woken] == [Path(os.environ["COST_TRACKER_HOME"])]


def test_a_chat_gets_a_few_lines(mailbox: Mailbox, monkeypatch: pytest.MonkeyPatch) -> None:
    with web_server() as web:
        monkeypatch.setenv("HOOK", f"json://127.0.0.1:{web.port}")
        assert run(["notify", "report", "--user", "kim"]) == 0
        told = web.taken.get(timeout=PATIENCE_S).data
    assert told["title"].endswith("user kim: $3.00")
    assert "Spent: $3.00" in told["message"]
    assert len(told["message"].splitlines()) <= 12


def test_without_an_address_it_says_where_to_name_one(
    mailbox: Mailbox, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["notify", "report", "--user", "carl"]) == 1
    assert "No address of user carl" in capsys.readouterr().out


def test_a_letter_that_is_gone_or_damaged_is_a_fault(
    mailbox: Mailbox, capsys: pytest.CaptureFixture[str]
) -> None:
    mailbox.refuses = True
    run(["notify", "report"])
    [kept] = (Path(os.environ["COST_TRACKER_HOME"]) / "letters").iterdir()
    kept.write_bytes(b"{")
    assert "cannot be read" in asked(capsys, "send")[1]["faults"][0]["why"]
    kept.unlink()
    assert "notify report --again" in asked(capsys, "send")[1]["faults"][0]["why"]


def test_letters_of_which_nothing_waits_are_forgotten_after_a_day(tmp_path: Path) -> None:
    letters = StoredMessages(CostStorage(tmp_path))
    kept, done, fresh = (letters.keep(name, Message(name, "", "info")) for name in ("kept", "done", "fresh"))
    for name, days in (("kept", 2), ("done", 2), ("fresh", 0)):
        at = (NOW - timedelta(days=days)).timestamp()
        os.utime(tmp_path / "letters" / f"{name}.json", (at, at))
    letters.tidy({kept}, NOW)
    assert isinstance(letters.read(kept), Message)
    assert isinstance(letters.read(fresh), Message)
    assert isinstance(letters.read(done), str)


def test_alerts_have_the_same_look() -> None:
    texts = (
        "⚠️  WARNING: Budget threshold reached! $40.25 / $50.00 (80.5%) | Remaining: $9.75 | <b>ana</b>",
        "🚨 CRITICAL: Budget limit reached! $50.00 / $50.00 (100.0%)",
        "This is a test",
    )
    levels: tuple[Level, ...] = ("warning", "critical", "info")
    message = digest(
        [
            Notice(audience="ana", profile="", key=text, level=level, text=text, made_at=NOW)
            for level, text in zip(levels, texts, strict=True)
        ]
    )
    assert message.mail is not None
    html = message.mail.html
    assert message.mail.text == message.text
    assert "<h1" in html
    assert 'width="80.5%"' in html
    assert 'width="100.0%"' in html
    assert "&lt;b&gt;ana" in html
    assert "<svg" not in html
    assert "<style" not in html
    assert html.count("#8f5a00") >= 2
