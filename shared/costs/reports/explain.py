"""Why B cost more or less than A: the difference split exactly by reason.

A and B are months (2026-11), weeks (2026-W47), days (2026-11-22), stretches
(2026-11-01..2026-11-15) or jobs. The reasons: retries, volume, models, tiers, caching, size of
the calls, and prices; they add up to the difference.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import date, datetime
from types import MappingProxyType
from typing import Final, NamedTuple
from zoneinfo import ZoneInfo

from ..analysis.explain import Effect, Explanation, explain
from ..analysis.sums import UNNAMED
from ..errors import WrongUsage
from ..model import Entry
from ..money import Nanos, json_number, percent, to_usd
from ..periods import Period, between, parse_month, week
from ..rollup import Query
from .common import CHECK, Health, incomplete, named, noted, plural
from .document import Column, Figure, Note, Ref, Report, Row, Table, derive
from .queries import counted, find_job, health, problem_ref, zone_of
from .reader import Reader, in_turn
from .show_job import entries_of_job
from .spec import USER, Option, Spec

_WORDS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "retries": "repeated attempts at a stage",
        "credits": "refunds and credits",
        "volume": "more or fewer calls",
        "models": "other models",
        "tiers": "other service tiers, such as batch",
        "caching": "more or less input from caches",
        "size": "longer or shorter calls",
        "prices": "other prices",
    }
)
_STAGES_SHOWN: Final = 12


class ExplainFacts(NamedTuple):
    """What the report shows: the two sides as people named them, and what lies between them.

    ``alike`` is the command that compares as many days of both, where one of them is not over.
    """

    before: str
    after: str
    explanation: Explanation
    health: Health = Health()
    alike: str | None = None


class ExplainQuestion(NamedTuple):
    """Two periods or jobs as people name them; ``user`` and ``stage`` bound the calls."""

    before: str
    after: str
    user: str | None = None
    stage: str | None = None


def explain_facts(reader: Reader, asked: ExplainQuestion) -> ExplainFacts:
    """Return why ``after`` costs more or less than ``before``; each names a period or a job.

    Raises:
        WrongUsage, UnknownJob: one of them names nothing.
    """
    before, after, query = asked.before, asked.after, Query(user_id=asked.user, stage=asked.stage)
    zone = zone_of(reader, query.user_id)
    reader.index.catch_up_all()
    first, second = (_side(reader, name, query, zone) for name in (before, after))
    with reader.progress("Comparing") as advance:
        parts = explain(*in_turn([(side.entries, side.calls) for side in (first, second)], advance))
    one, other = (compared_period(name, zone, reader.billing_day) for name in (before, after))
    alike = _alike(one, other, reader.now)
    doubts = health(reader, *(side.read for side in (first, second) if side.read is not None))
    if first.problems is not None and second.problems is not None:
        doubts = doubts._replace(problems=first.problems + second.problems)
    return ExplainFacts(first.name, second.name, parts, doubts, alike)


def _alike(before: Period | None, after: Period | None, now: datetime) -> str | None:
    """Return the command that compares as many days of two months or weeks, of which one is not over."""
    if before is None or after is None or before.kind != after.kind or not (now in before or now in after):
        return None
    begun = now.astimezone(before.zone).date()
    sides = [period.dates() for period in (before, after)]
    days = min(len([day for day in dates if day <= begun]) for dates in sides)
    if not days or {len(dates) for dates in sides} == {days}:
        return None
    first, second = (f"{dates[0]}..{dates[days - 1]}" for dates in sides)
    return f"cost-dashboard explain {first} {second}"


class _SideLabel(NamedTuple):
    """What to call one side, its entries and how many calls they are about.

    ``problems`` are what is wrong in a job's ledger (``None`` of a period), ``read`` is which entries of a
    period are read (``None`` of a job).
    """

    name: str
    entries: Iterable[Entry]
    calls: int
    problems: tuple[Ref, ...] | None = None
    read: Query | None = None


def _side(reader: Reader, name: str, query: Query, zone: ZoneInfo) -> _SideLabel:
    period = compared_period(name, zone, reader.billing_day)
    if period is not None:
        within = query._replace(start=period.start, end=period.end)
        return _SideLabel(named(period), *counted(reader, within), read=within)
    job = find_job(reader, name)
    entries, problems, missed = entries_of_job(reader, job)
    mine = [e for e in entries if query.user_id in (None, e.user_id) and query.stage in (None, e.stage)]
    lost = (Ref(f"{job.ledger}: {fault.strerror}", "path", str(job.ledger)) for fault in missed)
    return _SideLabel(job.job_id, mine, len(mine), (*map(problem_ref, problems), *lost))


def compared_period(name: str, zone: ZoneInfo, billing_day: int = 1) -> Period | None:
    """Return the period that one side of a comparison names; ``None`` for the name of a job.

    A period is written ``2026-10``, ``2026-W41``, ``2026-10-05`` or ``FIRST..LAST``.

    Raises:
        WrongUsage: it looks like a period and is none.

    >>> compared_period("2026-W41", ZoneInfo("UTC")).name, compared_period("job-1", ZoneInfo("UTC"))
    ('2026-W41', None)
    """
    if not re.fullmatch(r"\d{4}-(\d\d|W\d\d|\d\d-\d\d(\.\.\d{4}-\d\d-\d\d)?)", name, re.ASCII):
        return None
    try:
        if "W" in name:
            monday = date.fromisocalendar(int(name[:4]), int(name[6:]), 1)
            return week(datetime(monday.year, monday.month, monday.day, 12, tzinfo=zone), zone)
        if len(name) == len("2026-10"):
            return parse_month(name, zone, billing_day)
        first, _, last = name.partition("..")
        return between(date.fromisoformat(first), date.fromisoformat(last or first), zone)
    except ValueError as fault:
        raise WrongUsage(f"{name!r} is not a month, week or day: {fault}") from fault


def explain_report(facts: ExplainFacts) -> Report:
    """Return the difference, split."""
    explanation = facts.explanation
    difference = Nanos(explanation.after - explanation.before)
    before, after = map(
        _known, (explanation.before, explanation.after), explanation.calls, explanation.unpriced
    )
    known = None if before is None or after is None else difference
    change = (
        f"{percent(difference, explanation.before):+.1f}%"
        if explanation.before > 0 and known is not None
        else ""
    )
    return Report(
        title=f"{facts.after} compared with {facts.before}",
        figures=(
            Figure("before", "Before", before, note=_side_words(facts.before, explanation.calls[0])),
            Figure("after", "After", after, note=_side_words(facts.after, explanation.calls[1])),
            Figure("difference", "Difference", known, "difference", note=change),
        ),
        tables=(reason_table(facts), _largest_parts(explanation)) if explanation.parts else (),
        notes=tuple(_notes(facts)),
        data=_data(facts),
    )


def _known(cost: Nanos, calls: int, unpriced: int) -> Nanos | None:
    """Return the cost of a side; ``None`` where not one of its calls has a price."""
    return cost if cost or unpriced < calls or not calls else None


def _side_words(name: str, calls: int) -> str:
    return f"{name}, {plural(calls, 'call', 'calls') if calls else 'no calls'}"


def reason_table(facts: ExplainFacts) -> Table:
    """Return what each reason did to the cost; they add up to the difference."""
    explanation = facts.explanation
    return Table(
        "Reason",
        (
            Column("reason", "Reason"),
            Column("what", "What", rank=1, wraps=True),
            Column("amount", "Effect", "difference"),
        ),
        tuple(
            (reason, _WORDS[reason], amount) for reason, amount in explanation.by_reason().items() if amount
        ),
        total=("total", "", Nanos(explanation.after - explanation.before)),
    )


def _largest_parts(explanation: Explanation) -> Table:
    columns = (
        Column("stage", "Stage"),
        Column("reason", "Reason"),
        Column("amount", "Effect", "difference"),
    )
    shown = explanation.parts[:_STAGES_SHOWN]
    rows: tuple[Row, ...] = tuple((_stage(part.stage), part.reason, part.amount) for part in shown)
    return Table("Largest effects", columns, rows)


def _stage(name: str) -> str:
    return name if name == UNNAMED else Ref(name, "stage")


def _notes(facts: ExplainFacts) -> Iterator[Note]:
    explanation = facts.explanation
    if not explanation.parts and (all(explanation.calls) or explanation.before):
        yield Note("Both cost the same, and nothing behind the cost changed.")
    elif not explanation.parts and not any(explanation.calls):
        yield Note("Neither has any calls.")
    has = ("call has", "calls have")
    for number, what in (
        (sum(explanation.unpriced), f"no known price and cannot be compared: {CHECK} says why."),
        (explanation.partial, f"units without a price, which are in neither cost: {CHECK} names them."),
    ):
        yield from (note._replace(remedy=CHECK) for note in noted(number, *has, what))
    yield from incomplete(facts.health)
    if facts.alike:
        yield Note(
            f"One of them is not over yet. To compare the same number of days: {facts.alike}",
            remedy=facts.alike,
        )


def _data(facts: ExplainFacts) -> dict[str, object]:
    explanation = facts.explanation
    return {
        **derive(facts, "before", "after"),
        **derive(explanation, "before", "after"),
        "difference_usd": to_usd(Nanos(explanation.after - explanation.before)),
        "by_reason": {reason: to_usd(amount) for reason, amount in explanation.by_reason().items()},
        "parts": [_part(part) for part in explanation.parts],
        **dict(zip(("calls_before", "calls_after"), explanation.calls, strict=True)),
        "unpriced_calls": sum(explanation.unpriced),
        **derive(explanation, "partial_calls=partial"),
        **derive(facts.health, "incomplete"),
    }


def _part(part: Effect) -> dict[str, object]:
    return {**derive(part, amount="effect"), "effect_exact": json_number(part.amount)}


_SIDE: Final = "A month (2026-10), a week (2026-W45), a day (2026-11-05), FIRST..LAST, or a job."

SPEC: Final = Spec(
    "Look",
    (
        "explain 2026-10 2026-11",
        "explain 2026-W45 2026-W46 --user rpatel",
        "explain job-20261121-rpatel-0001 job-20261122-rpatel-0001",
    ),
    ExplainQuestion,
    explain_facts,
    explain_report,
    options=(
        Option("", _SIDE, "A", called="before", required=True, completes="side"),
        Option("", _SIDE, "B", called="after", required=True, completes="side"),
        USER,
        Option("--stage", "Only this stage.", "NAME"),
    ),
)
