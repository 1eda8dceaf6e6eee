"""The audit trail: when the profile and your prices changed, and when a blocked call was let through.

A change is recorded by the first process that reads the file after it, so that an editor's changes are there
too; values that look like keys or passwords are masked. Overrides stand in the ledgers, with the call.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Final, NamedTuple

from ..ledger.line import decode
from ..ledger.lines import DamagedLine
from ..ledger.redact import clean_text
from ..memory import Memory
from ..money import Nanos
from ..periods import Period
from ..rollup import Query
from ..trail import TRAIL
from .common import more_note, named
from .document import Column, Ref, Report, Table, derive
from .queries import period_of
from .questions import TimeSpan
from .reader import Reader
from .spec import SPAN, Spec

SHOWN: Final = 50
"""How many changes and overrides are listed; the JSON has all."""


class SettingsChange(NamedTuple):
    """A file that was read with other content than before, by line: ``-`` taken out, ``+`` put in."""

    at: datetime
    path: str
    first: bool
    lines: Sequence[str]
    more: int
    digest: str


class Override(NamedTuple):
    """A call that a budget would have denied: what it cost (nano-dollars), and why it was let through."""

    at: datetime
    user_id: str
    job_id: str
    stage: str | None
    model: str
    cost: Nanos
    why: str
    entry_id: str


class ChangesQuestion(NamedTuple):
    """Which period; without one the whole history."""

    span: TimeSpan = TimeSpan()


class ChangesFacts(NamedTuple):
    """The changes and overrides of a period, or of the whole history, newest first."""

    period: Period | None
    changes: Sequence[SettingsChange]
    overrides: Sequence[Override]


def changes_facts(reader: Reader, asked: ChangesQuestion) -> ChangesFacts:
    """Return what changed, and which refusals were overridden."""
    period = None if asked.span == TimeSpan() else period_of(reader, asked.span, None)
    changes = [
        change for change in _settings(reader) if period is None or period.start <= change.at < period.end
    ]
    overrides = list(_overrides(reader, period))
    return ChangesFacts(
        period,
        sorted(changes, key=lambda change: change.at, reverse=True),
        sorted(overrides, key=lambda override: (override.at, override.entry_id), reverse=True),
    )


def _settings(reader: Reader) -> Iterator[SettingsChange]:
    storage, seen = reader.storage, dict[str, str]()
    records = [
        *Memory(storage.profile_memory).read_log(TRAIL),
        *Memory(storage.prices_memory).read_log(TRAIL),
    ]
    for record in sorted(records, key=lambda record: float(record["at"])):
        # Several processes may see one change.
        if seen.get(record["path"]) != record["digest"]:
            seen[record["path"]] = record["digest"]
            lines = tuple(clean_text(line) for line in record["lines"])
            at = datetime.fromtimestamp(record["at"], UTC)
            yield SettingsChange(at, record["path"], record["first"], lines, record["more"], record["digest"])


def _overrides(reader: Reader, period: Period | None) -> Iterator[Override]:
    query = Query() if period is None else Query(start=period.start, end=period.end)
    reader.index.catch_up_all()
    for job in reader.index.jobs(query):
        for raw in reader.index.lines(Query(ledger=job.ledger)):
            if b'"budget_override":' not in raw:
                continue
            try:
                entry = decode(raw)
            except DamagedLine:
                continue  # verify reports it
            why = entry.metadata.get("budget_override")
            if why is None or (period and not period.start <= entry.counted_at < period.end):
                continue
            model = f"{entry.service}/{entry.model}"
            yield Override(
                entry.timestamp,
                entry.user_id,
                entry.job_id,
                entry.stage,
                model,
                entry.cost,
                str(why),
                entry.id,
            )


def changes_report(facts: ChangesFacts) -> Report:
    """Return the audit trail."""
    files = Table.of(
        "Changed settings",
        facts.changes[:SHOWN],
        (Column("at", "When"), _minute),
        (Column("path", "File"), lambda change: Ref(change.path, "path")),
        (Column("lines", "Lines", wraps=True), _lines),
        empty="None.",
    )
    calls = Table.of(
        "Overrides",
        facts.overrides[:SHOWN],
        (Column("at", "When"), _minute),
        (Column("user", "User", rank=1), lambda override: override.user_id),
        (Column("job", "Job", rank=2), lambda override: Ref(override.job_id, "job")),
        (Column("model", "Model"), lambda override: override.model),
        (Column("cost", "Cost", "money", places=4), lambda override: override.cost),
        (Column("why", "Why", wraps=True), lambda override: override.why),
        empty="None.",
    )
    more = max(0, len(facts.changes) - SHOWN) + max(0, len(facts.overrides) - SHOWN)

    return Report(
        "Changed settings and overrides",
        named(facts.period) if facts.period else "the whole history",
        tables=(files, calls),
        notes=tuple(more_note(more)),
        data={
            "changes": [derive(change) for change in facts.changes],
            "overrides": [derive(override) for override in facts.overrides],
        },
    )


def _minute(item: SettingsChange | Override) -> str:
    return f"{item.at:%Y-%m-%d %H:%M}"


def _lines(change: SettingsChange) -> str:
    lines = "; ".join(change.lines) or ("read for the first time" if change.first else "only blanks")
    return lines + (f"; {change.more:,} more" if change.more else "")


SPEC: Final = Spec(
    "Keep in order",
    ("changes", "changes --month 2026-10 --json"),
    ChangesQuestion,
    changes_facts,
    changes_report,
    options=(SPAN,),
)
