"""``cost-dashboard notify``."""

from __future__ import annotations

import json
from collections.abc import Sequence
from hashlib import blake2b
from typing import NamedTuple

from ....budgets.port import Alarm, Notice
from ....errors import BAD_NEWS, FINE
from ....formats import load
from ....formats.mail import brief, mail_of
from ....formats.page import figure_text
from ....formats.pdf import MissingPdfExtra
from ....notify.addresses import Address, addresses_of, budget_for
from ....notify.alerts import wake
from ....notify.message import Attachment, Message, StoredMessages
from ....notify.sender import QueueStatus, Sender, SendPass, deliver_digest, deliver_from, status
from ....periods import previous_month
from ....reports.document import Column, Figure, Note, Report, Table
from ....reports.queries import month_of
from ....reports.questions import UserMonth
from ....reports.spec import MONTH, USER, Option
from ....reports.statement import statement_facts, statement_report
from ..app import App, dashboard_command, last_day
from ..options import asked_with

SENT, NOT_SENT = "sent", "not sent"


@dashboard_command(
    "Budgets",
    "notify test",
    "notify test --user rpatel",
    "notify report",
    "notify report --month 2026-10 --user rpatel",
    "notify status",
    "notify send",
)
@asked_with(
    Option("", called="action", required=True, choices=("test", "report", "status", "send")),
    Option("--again", "Send a month's report again.", flag=True),
    MONTH,
    USER,
)
def command(app: App, action: str, user: str | None, month_name: str | None, again: bool) -> int:
    """Try where budget alerts are sent to, send a month's report, see what waits, or send it now.

    `test` sends one message to each address of the profile's `notify` and `notification_email` and
    says which were accepted; addresses themselves are not shown, since they can hold a password.
    `report` sends a month, by default the last whole one, to the addresses of a user, or without --user
    everyone's to those of the organization: as a mail with the page attached, on paper where the extra
    `pdf` is there, and to chats in a few lines. Once a month and user, so cron may run it every day.
    `status` tells what waits in the queue and what was given up; `send` sends all that waits.
    Needs Apprise: pip install '.[notify]'. The exit code is 1 where something was not sent.
    """
    if action == "test":
        return _test(app, user or app.default_user)
    if action == "report":
        return _report(app, user, month_name, again=again)
    if action == "send":
        return _send(app)
    app.show(_status_report(status(app.workspace.notices, app.workspace.clock())))
    return FINE


def _test(app: App, user: str) -> int:
    environ = app.workspace.environ
    addresses = addresses_of(budget_for(app.workspace.profile, user), environ)
    notice = Notice(
        audience=user,
        profile="",
        key="test",
        level="info",
        text=f"This is a test: budget alerts of user {user} will arrive here.",
        made_at=app.workspace.clock(),
    )
    faults = [(address, deliver_digest(address, [notice])) for address in addresses]
    app.show(_test_report(user, faults))
    return BAD_NEWS if not faults or any(fault for _, fault in faults) else FINE


def _test_report(user: str, faults: list[tuple[Address, str]]) -> Report:
    columns = (Column("address", "Address"), Column("state", "State"), Column("why", "Why", wraps=True))
    names = [address.name for address, _ in faults]
    rows = tuple(
        (name, NOT_SENT if fault else SENT, fault)
        for name, (_, fault) in zip(_told_apart(names), faults, strict=True)
    )
    remedy = "Name one under budget: notify: in the profile, or as notification_email."
    return Report(
        title=f"Test messages for user {user}",
        tables=(Table("", columns, rows, empty="no address"),),
        notes=() if rows else (Note(f"No address is configured for user {user}. {remedy}", "warning"),),
        data={
            "user_id": user,
            "addresses": [{"address": name, "sent": state == SENT, "why": why} for name, state, why in rows],
        },
    )


def _told_apart(names: Sequence[str]) -> list[str]:
    """Return names of addresses, numbered as the profile has them where several are called the same.

    >>> _told_apart(["json://...", "env:SLACK", "json://..."])
    ['json://... (1)', 'env:SLACK', 'json://... (2)']
    """
    return [
        f"{name} ({names[: at + 1].count(name)})" if names.count(name) > 1 else name
        for at, name in enumerate(names)
    ]


def _report(app: App, user: str | None, month_name: str | None, *, again: bool) -> int:
    """Queue a month's report and send what waits: it, and what could not be sent before."""
    whose = f"of user {user}" if user else "of the organization, or the default ones"
    if not addresses_of(budget_for(app.workspace.profile, user or ""), app.workspace.environ):
        remedy = "Name one under budget: notify: in the profile, or as notification_email."
        note = Note(f"No address {whose}. {remedy}", "warning")
        app.show(Report("Report", notes=(note,), data={"user_id": user, "queued": False, "sent": 0}))
        return BAD_NEWS
    queued = queue_report(app, user, month_name, again=again)
    sent = _deliver(app)
    if sent.faults:
        wake(app.workspace.storage)
    app.show(_sent_report(queued, user, sent))
    return BAD_NEWS if sent.faults else FINE


def _sent_report(queued: QueuedReport, user: str | None, sent: SendPass) -> Report:
    shown = _send_report(sent)
    notes = []
    if not queued.is_new:
        notes.append(Note(f"{queued.title} was sent before, or waits; --again sends it once more."))
    if sent.faults:
        notes.append(Note("It stays queued and is tried again for three days.", "warning"))
    data = {"month": queued.month, "user_id": user, "queued": queued.is_new, **shown.data}
    return shown._replace(title=f"Report: {queued.title}", notes=tuple(notes), data=data)


def _deliver(app: App) -> SendPass:
    letters, now = StoredMessages(app.workspace.storage), app.workspace.clock()
    sender = Sender(app.workspace.notices, app.workspace.environ, deliver_from(letters))
    sent = sender.deliver_due(now, at_once=True)
    letters.tidy({queued.notice.key for queued in app.workspace.notices.waiting()}, now)
    return sent


def _send(app: App) -> int:
    sent = _deliver(app)
    app.show(_send_report(sent))
    return BAD_NEWS if sent.faults else FINE


def _send_report(done: SendPass) -> Report:
    columns = (Column("address", "Address"), Column("why", "Why", wraps=True))
    return Report(
        title="Waiting alerts",
        figures=(Figure("sent", "Sent", done.sent, "count"),),
        tables=(Table("Not accepted", columns, done.faults),) if done.faults else (),
        data={"sent": done.sent, "faults": [{"address": name, "why": why} for name, why in done.faults]},
    )


def _status_report(queue: QueueStatus) -> Report:
    columns = (Column("alert", "Alert"), Column("why", "Why", wraps=True))
    return Report(
        title="Alerts waiting to be sent",
        figures=(Figure("waiting", "Waiting", queue.waiting, "count"),),
        tables=(Table("Given up within 30 days", columns, queue.given_up),) if queue.given_up else (),
        data={
            "waiting": queue.waiting,
            "given_up": [{"alert": text, "why": why} for text, why in queue.given_up],
        },
    )


class QueuedReport(NamedTuple):
    """A month's report, and whether it was queued now."""

    title: str
    month: str
    is_new: bool


def queue_report(app: App, user: str | None, month_name: str | None, *, again: bool) -> QueuedReport:
    """Queue the report of a month, by default the last whole one, unless it was queued before.

    That is remembered in the transaction that queues it: of two processes one sends. With ``again`` it is
    queued all the same.

    Raises:
        StorageUnavailable: it cannot be remembered; nothing was queued.
    """
    month = month_name or _last_month(app, user)
    facts = statement_facts(app.reader, UserMonth(user, month))
    report = app.converted(statement_report(facts), last_day(facts))
    letters, notices, now = (
        StoredMessages(app.workspace.storage),
        app.workspace.notices,
        app.workspace.clock(),
    )
    about = blake2b(f"{user}".encode(), digest_size=6).hexdigest()
    key = letters.keep(f"{month}-{about}-{now:%Y%m%dT%H%M%S%f}", _message(report, month))
    path = app.workspace.profile.path
    notice = Notice(
        audience=user or "",
        profile=str(path.absolute()) if path else "",
        key=key,
        level="info",
        text=f"Report: {report.title}",
        made_at=now,
    )
    alarm = Alarm(json.dumps(["report", user]), month, 1.0, (1.0,), notice)
    is_new = bool(notices.fire([alarm], now)) or (again and bool(notices.enqueue([notice])))
    if not is_new:
        letters.drop(key)
    return QueuedReport(report.title, month, is_new)


def _last_month(app: App, user: str | None) -> str:
    return previous_month(month_of(app.reader, user)).name


def _message(report: Report, month: str) -> Message:
    file = _attachment(report, month)
    mail = mail_of(report, f"The whole report is attached: {file.name}.")
    spent = f": {figure_text(report.figures[0]).value}" if report.figures else ""
    return Message(
        subject=f"AI costs: {report.title}{spent}",
        text=brief(report),
        level="info",
        mail=mail,
        attachment=file,
    )


def _attachment(report: Report, month: str) -> Attachment:
    """Return the report on paper, or where nothing makes that as a page."""
    try:
        return Attachment(f"costs-{month}.pdf", "application/pdf", load("pdf").render(report))
    except MissingPdfExtra:
        return Attachment(f"costs-{month}.html", "text/html", load("html").render(report).encode())
