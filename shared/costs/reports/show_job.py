"""The receipt of one job: its stages, models, retries and unpriced calls.

JOB is the exact id, which is the name of the job's directory, or the directory itself.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple
from zoneinfo import ZoneInfo

from ..analysis.job import JobLine, Receipt, per_audio_minute, receipt, receipt_of_sums
from ..analysis.machines import MachineWork
from ..analysis.sums import UNNAMED, share
from ..budgets.limits import Spending, crossings, limits_for
from ..budgets.wording import message
from ..ledger.lines import LedgerProblem
from ..model import Entry
from ..money import Nanos, format_usd, percent, percent_words, to_usd
from ..periods import month
from ..rollup import JobRef, Query, Totals
from .common import (
    Health,
    cost_or_unpriced,
    doubts,
    gauge_of,
    limit_row,
    owner,
    plural,
    totals_data,
)
from .document import Column, Figure, Note, Ref, Report, Table, Value, derive
from .machines import (
    avoided_data,
    avoided_figure,
    machine_data,
    machine_doubts,
    machine_figure,
    work_of_calls,
)
from .queries import find_job, health, own_prices, problem_ref, spendings, zone_of
from .reader import Reader
from .show_monthly import count_figures, money_figures
from .spec import Option, Spec, only

if TYPE_CHECKING:
    from ..analysis.avoided import Saving  # with it come the prices, which not every view needs


@dataclass(frozen=True, slots=True)
class MonthShare:
    """What a job is of its user's month; amounts in nano-dollars.

    ``part`` is what the job cost this user in this month: others may have run it too, and longer.
    """

    user_id: str
    month: str
    part: Nanos
    spent: Nanos
    limit: Nanos | None


@dataclass(frozen=True, slots=True)
class JobFacts:
    """What the report shows. ``spendings`` are the limits on this job and its stages."""

    receipt: Receipt
    ledger: Path
    zone: ZoneInfo
    spendings: tuple[Spending, ...] = ()
    month: MonthShare | None = None
    health: Health = field(default_factory=Health)
    avoided: Sequence[Saving] = ()
    machines: Sequence[MachineWork] = ()


def job_facts(reader: Reader, name: str) -> JobFacts:
    """Return the receipt of one job, its limits, and its part of its user's month."""
    job = find_job(reader, name)
    entries, problems, missed = entries_of_job(reader, job)
    job_receipt = receipt(job.job_id, entries)
    if missed:
        sums = reader.index.groups(("stage", "service", "model", "user_id"), Query(ledger=job.ledger))
        job_receipt = receipt_of_sums(job.job_id, sums)
    user_id = job_receipt.users[0] if job_receipt.users else None
    return JobFacts(
        receipt=job_receipt,
        ledger=job.ledger,
        zone=zone_of(reader, user_id),
        spendings=_job_limits(reader, user_id, job),
        month=_month_share(reader, user_id, entries),
        health=health(reader)._replace(problems=tuple(map(problem_ref, problems))),
        avoided=_avoided(reader, entries),
        machines=work_of_calls(reader, entries),
    )


def _avoided(reader: Reader, entries: Sequence[Entry]) -> Sequence[Saving]:
    prices = own_prices(reader)
    if prices is None:
        return ()
    from ..analysis.avoided import of_calls  # only where prices name clouds

    return of_calls(entries, prices)


def entries_of_job(reader: Reader, job: JobRef) -> tuple[list[Entry], list[LedgerProblem], list[OSError]]:
    """Return a job's entries, what is wrong in its ledger, and why entries that count are not among them.

    A ledger that this cost storage does not know is read as it is, and stays unknown.
    """
    if job not in reader.index.jobs(Query(job_id=job.job_id)):
        return *_read(job.ledger), []
    reader.index.catch_up(job.ledger)
    here = [problem for problem in reader.problems() if problem.path == job.ledger]
    missed = list[OSError]()
    entries = list(reader.index.entries(Query(ledger=job.ledger), lambda _, fault: missed.append(fault)))
    return entries, here, missed


def _read(ledger: Path) -> tuple[list[Entry], list[LedgerProblem]]:
    from ..ledger.reader import read  # only for a ledger that the index does not know

    contents = [located.content for located in read(ledger)]
    entries = [item for item in contents if isinstance(item, Entry)]
    return entries, [item for item in contents if not isinstance(item, Entry)]


def _job_limits(reader: Reader, user_id: str | None, job: JobRef) -> tuple[Spending, ...]:
    limits = limits_for(reader.profile, user_id or "", reader.now, job)
    return spendings(reader, [limit for limit in limits if limit.period is None])


def _month_share(reader: Reader, user_id: str | None, entries: Sequence[Entry]) -> MonthShare | None:
    """Return the month in which a user's calls in the job ended, and the job's part of it."""
    mine = [entry for entry in entries if entry.user_id == user_id]
    if user_id is None or not mine:
        return None
    settings = reader.profile.for_user(user_id)
    period = month(max(entry.counted_at for entry in mine), settings.timezone, reader.billing_day)
    part = Nanos(sum(entry.cost for entry in mine if entry.counted_at in period))
    spent = reader.index.spend(period.start, period.end, user_id=user_id)
    return MonthShare(user_id, period.name, part, spent, settings.budget.monthly_limit)


def job_report(facts: JobFacts) -> Report:
    """Return the receipt of one job."""
    receipt = facts.receipt
    return Report(
        title=f"Job {receipt.job_id}",
        subtitle=_when(facts),
        gauges=tuple(map(gauge_of, facts.spendings)),
        figures=tuple(_figures(facts)),
        tables=(_stages(receipt), _models(receipt)) if not receipt.totals.is_empty else (),
        notes=tuple(_notes(facts)),
        data=_data(facts),
    )


def _when(facts: JobFacts) -> str:
    first, last = facts.receipt.first, facts.receipt.last
    if facts.receipt.totals.calls and first is None:
        return "Not all of its entries can be read; this is what was counted of them."
    if first is None or last is None:
        return "Its ledger has no entries yet."
    start, end = first.astimezone(facts.zone), last.astimezone(facts.zone)
    users = ", ".join(facts.receipt.users)
    begun = f"{start:%Y-%m-%d %H:%M}"
    ended = f"{end:%Y-%m-%d %H:%M}"
    until = "" if ended == begun else f" to {ended if start.date() != end.date() else ended[-5:]}"
    return f"{begun}{until} {facts.zone.key}, user {users}"


def _figures(facts: JobFacts) -> Iterator[Figure]:
    totals = facts.receipt.totals
    yield Figure("total_cost", "Total", cost_or_unpriced(totals), note=_impact(facts))
    yield from money_figures(totals)
    yield from avoided_figure(facts.avoided)
    yield from machine_figure(facts.machines)
    yield from count_figures(totals)
    if (minute := per_audio_minute(totals)) is not None and totals.cost:
        yield Figure("per_audio_minute", "Per minute", minute, note="of audio, all stages together")


def _impact(facts: JobFacts) -> str:
    month = facts.month
    if month is None or month.part <= 0:
        return ""
    if month.limit:
        limit, used = format_usd(month.limit), percent_words(percent(month.spent, month.limit))
        part = percent_words(percent(month.part, month.limit))
        return f"{part} of {owner(month.user_id)}'s {limit} a month, of which {used} is spent"
    if month.spent < month.part:
        return ""
    spent = percent_words(percent(month.part, month.spent))
    return f"{spent} of what {owner(month.user_id)} spent in {month.month}"


def _stages(receipt: Receipt) -> Table:
    """Return a line for each stage; with how often it was attempted, where that was more than once."""
    again = any(line.attempts > 1 for line in receipt.by_stage.values())
    totals, lines = receipt.totals, receipt.by_stage
    whole = cost_or_unpriced(totals)

    def attempts(name: str) -> Value:
        return lines[name].attempts

    return Table.of(
        "By stage",
        lines,
        (Column("stage", "Stage"), lambda name: Ref(name, "stage")),
        (Column("models", "Models", rank=2), lambda name: ", ".join(lines[name].models)),
        *([(Column("attempts", "Attempts", "count"), attempts)] if again else []),
        (Column("calls", "Calls", "count", rank=1), lambda name: lines[name].totals.calls),
        (Column("tokens", "Tokens", "tokens", rank=3), lambda name: lines[name].totals.tokens_total),
        (Column("cost", "Cost", "money"), lambda name: cost_or_unpriced(lines[name].totals)),
        (Column("share", "Share", "share"), lambda name: share(lines[name].totals, totals)),
        total=("Total", "", *([""] if again else []), totals.calls, totals.tokens_total, whole, ""),
    )


def _models(receipt: Receipt) -> Table:
    def priced(totals: Totals, part: Nanos) -> Value:
        return "" if cost_or_unpriced(totals) is None or not totals.is_split else part

    return Table.of(
        "By model",
        [(name, line.totals) for name, line in receipt.by_model.items()],
        (Column("model", "Model"), lambda one: Ref(one[0], "model")),
        (Column("calls", "Calls", "count"), lambda one: one[1].calls),
        (Column("tokens_input", "In", "tokens", rank=1), lambda one: one[1].tokens_input),
        (Column("tokens_output", "Out", "tokens", rank=1), lambda one: one[1].tokens_output),
        (
            Column("cost_input", "Input", "money", rank=2),
            lambda one: priced(one[1], one[1].cost_input),
        ),
        (
            Column("cost_output", "Output", "money", rank=2),
            lambda one: priced(one[1], one[1].cost_output),
        ),
        (Column("cost", "Cost", "money"), lambda one: cost_or_unpriced(one[1])),
    )


def _notes(facts: JobFacts) -> Iterator[Note]:
    receipt = facts.receipt
    for crossed in crossings(facts.spendings):
        yield Note(message(crossed), "critical" if crossed.critical else "warning")
    yield from doubts(receipt.totals, facts.health, tuple(receipt.unpriced))
    yield from machine_doubts(facts.machines)
    if receipt.corrections:
        yield Note(f"The sums include {plural(receipt.corrections, 'correction', 'corrections')}.")
    yield Note(f"Ledger: {facts.ledger}", places=(str(facts.ledger),))


def _data(facts: JobFacts) -> dict[str, object]:
    receipt = facts.receipt
    return {
        "job_id": receipt.job_id,
        "total_cost": to_usd(receipt.totals.cost),
        "by_stage": {name: to_usd(line.totals.cost) for name, line in receipt.by_stage.items()},
        "by_model": {name: to_usd(line.totals.cost) for name, line in receipt.by_model.items()},
        **derive(receipt.totals, "calls", "unpriced_calls", "partial_calls"),
        **derive(receipt, "users", "first_call=first", "last_call=last"),
        "totals": totals_data(receipt.totals),
        "stages": {name: _line(line) for name, line in receipt.by_stage.items()},
        "models": {name: _line(line) for name, line in receipt.by_model.items()},
        "corrections": receipt.corrections,
        "avoided": avoided_data(facts.avoided),
        **({"machines": machine_data(facts.machines)} if facts.machines else {}),
        "month": derive(facts.month) if facts.month else None,
        "limits": [limit_row(spending) for spending in facts.spendings],
        **derive(facts, "health.incomplete", "ledger"),
    }


def _line(line: JobLine) -> dict[str, object]:
    return {**totals_data(line.totals), "attempts": line.attempts, "models": line.models}


CALLS: Final = 500
"""How many calls a receipt lists; an export of the entries has all of them."""


class ReceiptFacts(NamedTuple):
    """What the report shows: the job as `show-job` has it, and its entries in order."""

    job: JobFacts
    entries: Sequence[Entry]


def receipt_facts(reader: Reader, name: str) -> ReceiptFacts:
    """Return one job's sums, limits and entries, in the order of its ledger."""
    facts = job_facts(reader, name)
    entries, *_ = entries_of_job(reader, find_job(reader, name))
    return ReceiptFacts(facts, entries)


def receipt_report(facts: ReceiptFacts) -> Report:
    """Return the receipt of one job."""
    receipt = job_report(facts.job)
    if not facts.entries:
        return receipt
    return receipt._replace(
        tables=(*receipt.tables, _calls(facts)), notes=(*receipt.notes, *_left_out(facts.entries))
    )


def _calls(facts: ReceiptFacts) -> Table:
    zone = facts.job.zone
    return Table.of(
        "Call by call",
        facts.entries[:CALLS],
        (Column("at", "At"), lambda entry: f"{entry.timestamp.astimezone(zone):%Y-%m-%d %H:%M:%S}"),
        (Column("stage", "Stage", rank=1), lambda entry: entry.stage or UNNAMED),
        (Column("model", "Model"), _model_and_kind),
        (Column("attempt", "Attempt", "count", rank=3), lambda entry: entry.attempt),
        (Column("tokens_input", "Input", "tokens", rank=2), lambda entry: entry.usage.tokens_input),
        (Column("tokens_cached", "Cached", "tokens", rank=3), lambda entry: entry.usage.tokens_cached),
        (Column("tokens_output", "Output", "tokens", rank=2), lambda entry: entry.usage.tokens_output),
        (Column("cost", "Cost", "money"), lambda entry: entry.cost if entry.charge else None),
    )


def _model_and_kind(entry: Entry) -> str:
    model = f"{entry.service}/{entry.model}"
    return model if entry.kind == "usage" else f"{model} ({entry.kind})"


def _left_out(entries: Sequence[Entry]) -> tuple[Note, ...]:
    more = len(entries) - CALLS
    if more <= 0:
        return ()
    return (Note(f"{plural(more, 'more entry is', 'more entries are')} not listed; export has them all."),)


SPEC: Final = Spec(
    "Look",
    ("show-job job-20261122-rpatel-0001", "show-job out/latest/"),
    only,
    job_facts,
    job_report,
    options=(Option("", called="job", required=True, completes="job"),),
    prepares=False,
)
