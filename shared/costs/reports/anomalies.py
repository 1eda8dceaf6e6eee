"""Jobs, stages and days whose cost is unusual for their kind, and how far above normal it is.

Compared per minute of audio, per 1,000 tokens, per job and per day. Without dates: the last 30 days.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from itertools import chain, repeat
from types import MappingProxyType
from typing import Any, Final, NamedTuple

from ..analysis.anomalies import FEWEST, Anomaly, day_samples, find_anomalies, job_samples
from ..analysis.sums import UNNAMED, by_day, split, split_by, total
from ..money import Nanos
from ..periods import Period, between
from ..rollup import Group, Query, Totals
from .common import Health, doubts, more_note, named, plural, usd
from .document import Column, Figure, Note, Ref, Report, Table, derive
from .queries import health, within, zone_of
from .questions import Question, Span
from .reader import Reader
from .spec import FILTERS, SPAN, Spec

SHOWN: Final = 20
MOST_CAUSES: Final = 3
"""How many parts of a day or a job that stands out are named."""


class Cause(NamedTuple):
    """A part of a day or a job that stands out, and what it cost."""

    name: str
    cost: Nanos


class AnomalyFacts(NamedTuple):
    """What the report shows. ``samples`` is how many values were compared.

    ``causes`` has the most expensive parts of each of the first anomalies, if it has any.
    """

    period: Period
    anomalies: Sequence[Anomaly]
    samples: int
    totals: Totals
    filters: Mapping[str, str] = MappingProxyType({})
    health: Health = Health()
    causes: Sequence[Sequence[Cause]] = ()


def anomaly_facts(reader: Reader, asked: Question) -> AnomalyFacts:
    """Return what stands out among jobs, stages and days."""
    period, query = within(reader, asked.span, asked.query)
    groups = reader.tagged.groups(("job_id", "stage", "service", "model", "service_tier"), query)
    samples = job_samples(groups)
    if asked.query in (Query(), Query(user_id=asked.query.user_id)):  # days are sums of everything
        spend = reader.index.spend_by_bucket(period.start, period.end, user_id=asked.query.user_id)
        days = zip(period.dates(), by_day(spend, period), strict=True)
        samples += day_samples({day.isoformat(): cost for day, cost in days})
    found = find_anomalies(samples)
    return AnomalyFacts(
        period=period,
        anomalies=found,
        samples=len(samples),
        totals=total(groups),
        filters=asked.filters,
        health=health(reader),
        causes=[_causes(reader, anomaly, groups, query) for anomaly in found[:SHOWN]],
    )


def _causes(reader: Reader, anomaly: Anomaly, groups: Sequence[Group], query: Query) -> tuple[Cause, ...]:
    """Return the most expensive parts of a whole that stands out: a day's jobs, a job's stages and models."""
    where, unit = anomaly.sample.where, anomaly.sample.unit
    if unit == "a day":
        named = date.fromisoformat(where)
        day = between(named, named, zone_of(reader, query.user_id))
        jobs = reader.tagged.groups(("job_id",), query._replace(start=day.start, end=day.end))
        return _most_expensive(split(jobs, 0))
    if unit == "a job":
        parts = [group for group in groups if (group.key[0] or UNNAMED) == where]
        return _most_expensive(split_by(parts, lambda key: f"{key[1] or UNNAMED}, {key[2]}/{key[3]}"))
    return ()


def _most_expensive(sums: Mapping[str, Totals]) -> tuple[Cause, ...]:
    return tuple(Cause(name, totals.cost) for name, totals in list(sums.items())[:MOST_CAUSES])


def anomaly_report(facts: AnomalyFacts) -> Report:
    """Return what stands out, the largest excess first."""
    excess = Nanos(sum(a.excess for a in facts.anomalies if a.excess > 0 and a.sample.unit != "a day"))
    figures = (
        Figure("anomalies", "Found", len(facts.anomalies), "count", f"among {facts.samples:,} values"),
        Figure("excess", "Above normal", excess, note="in jobs and stages; a cause may be counted in both"),
    )
    return Report(
        title="What stands out",
        subtitle=", ".join([named(facts.period), *(f"{k} {v}" for k, v in facts.filters.items())]),
        figures=figures if facts.anomalies else (),
        tables=(anomaly_table(facts),),
        notes=(
            *more_note(len(facts.anomalies) - SHOWN),
            *_because(facts),
            *doubts(facts.totals, facts.health),
            Note(_basis(facts)),
        ),
        data={
            **derive(facts, "period.start", "period.end", "filters", "samples"),
            "anomalies": [_anomaly(*pair) for pair in zip(facts.anomalies, _padded(facts), strict=False)],
            **derive(facts.health, "incomplete"),
        },
    )


def anomaly_table(facts: AnomalyFacts) -> Table:
    """Return what stands out, the largest excess first."""
    return Table.of(
        "Where",
        facts.anomalies[:SHOWN],
        (Column("where", "Where"), _where),
        (Column("what", "What"), lambda a: a.sample.group),
        (Column("unit", "Cost of", rank=1), lambda a: a.sample.unit),
        (Column("value", "Was", "amount"), lambda a: a.sample.value),
        (Column("usual", "Usual", "amount", rank=2), lambda a: a.usual),
        (Column("excess", "Above normal", "money"), lambda a: a.excess),
        (Column("times", "Times", "times"), lambda a: round(a.times, 1)),
        empty="Nothing stands out.",
    )


def _where(anomaly: Anomaly) -> str:
    """Return the day or the job that stands out as a name that leads there."""
    where, unit = anomaly.sample.where, anomaly.sample.unit
    return where if where == UNNAMED else Ref(where, "day" if unit == "a day" else "job")


def _padded(facts: AnomalyFacts) -> Iterator[Sequence[Cause]]:
    """Return the causes of every anomaly: none for those beyond the first ones."""
    return chain(facts.causes, repeat(()))


def _because(facts: AnomalyFacts) -> Iterator[Note]:
    """Say which job or stage a day or job owes most to."""
    for anomaly, causes in zip(facts.anomalies, facts.causes, strict=False):
        if causes:
            most = f"{usd(causes[0].cost)} of {usd(anomaly.sample.cost)}"
            yield Note(f"{anomaly.sample.where}: {most} in {causes[0].name}.")


def _basis(facts: AnomalyFacts) -> str:
    values = plural(facts.samples, "value", "values")
    return (
        f"{values} compared with the median of their kind (modified z-score above 3.5); kinds with fewer "
        f"than {FEWEST} values are left out, and so are differences below a quarter or a cent."
    )


def _anomaly(anomaly: Anomaly, causes: Sequence[Cause]) -> dict[str, object]:
    names = ("sample.where", "sample.group", "sample.unit", "sample.value", "usual")
    return {
        **derive(anomaly, *names),
        "score": round(anomaly.score, 2),
        **derive(anomaly, "sample.cost", "excess"),
        "causes": [derive(cause) for cause in causes],
    }


def _question(span: Span, **given: Any) -> Question:
    return Question("Anomalies", Span(days=30) if span == Span() else span, **given)


SPEC: Final = Spec(
    "Look",
    ("anomalies", "anomalies --days 90 --stage 06_whisperx_asr", "anomalies --user rpatel --json"),
    _question,
    anomaly_facts,
    anomaly_report,
    options=(SPAN, FILTERS),
    shared=True,
)
