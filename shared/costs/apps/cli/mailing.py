"""Puts a month's report into the queue of what is sent: once for each month and user."""

from __future__ import annotations

import json
from hashlib import blake2b
from typing import NamedTuple

from ... import periods
from ...budgets.port import Alarm, Notice
from ...formats import load
from ...formats.mail import brief, mail_of
from ...formats.page import figure_text
from ...formats.pdf import MissingPdfExtra
from ...notify.letters import Letters
from ...notify.message import Attachment, Message
from ...reports.document import Report
from ...reports.queries import zone_of
from ...reports.questions import UserMonth
from ...reports.statement import statement_facts, statement_report
from .app import App
from .reporting import last_day


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
    letters, notices, now = Letters(app.workspace.storage), app.workspace.notices, app.workspace.clock()
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
    here = periods.month(app.workspace.clock(), zone_of(app.reader, user))
    return periods.previous_month(here).name


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
