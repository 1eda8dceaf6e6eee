"""``anomalies``: what cost unlike its kind, and which jobs caused it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import chain, repeat
from types import MappingProxyType
from typing import Final, NamedTuple

from ..analysis.anomalies import FEWEST, Anomaly
from ..money import Nanos, to_usd
from ..periods import Period
from ..rollup import Totals
from .common import Health, doubts, named, plural, usd
from .report import Column, Figure, Note, Report, Row, Table

SHOWN: Final = 20
MOST_CAUSES: Final = 3
"""How many parts of a day or a job that stands out are named."""


class Cause(NamedTuple):
    """A part of a day or a job that stands out, and what it cost."""

    name: str
    cost: Nanos


class AnomalyFacts(NamedTuple):
    """What the view needs to know. ``samples`` is how many values were compared.

    ``causes`` has, for each of the first anomalies, the dearest parts of what stands out, if it has any.
    """

    period: Period
    anomalies: Sequence[Anomaly]
    samples: int
    totals: Totals
    filters: Mapping[str, str] = MappingProxyType({})
    health: Health = Health()
    causes: Sequence[Sequence[Cause]] = ()


def anomaly_report(facts: AnomalyFacts) -> Report:
    """Return what stands out, the largest excess first."""
    excess = Nanos(sum(a.excess for a in facts.anomalies if a.excess > 0 and a.sample.unit != "a day"))
    figures = (
        Figure("anomalies", "Found", len(facts.anomalies), "count", f"among {facts.samples:,} values"),
        Figure("excess", "Beyond usual", excess, note="in jobs and stages; a cause may be counted in both"),
    )
    return Report(
        title="What stands out",
        subtitle=", ".join([named(facts.period), *(f"{k} {v}" for k, v in facts.filters.items())]),
        figures=figures if facts.anomalies else (),
        tables=(_table(facts.anomalies),),
        notes=(
            *_more(facts.anomalies),
            *_because(facts),
            *doubts(facts.totals, facts.health),
            Note(_basis(facts)),
        ),
        data={
            "start": facts.period.start.isoformat(),
            "end": facts.period.end.isoformat(),
            "filters": dict(facts.filters),
            "samples": facts.samples,
            "anomalies": [_anomaly(*pair) for pair in zip(facts.anomalies, _padded(facts), strict=False)],
            "incomplete": len(facts.health.problems),
        },
    )


def _table(anomalies: Sequence[Anomaly]) -> Table:
    columns = (
        Column("where", "Where"),
        Column("what", "What"),
        Column("unit", "Cost of", rank=1),
        Column("value", "Was", "amount"),
        Column("usual", "Usual", "amount", rank=2),
        Column("excess", "Beyond", "money"),
        Column("times", "Times"),
    )
    return Table("Where", columns, tuple(map(_row, anomalies[:SHOWN])), empty="Nothing stands out.")


def _more(anomalies: Sequence[Anomaly]) -> tuple[Note, ...]:
    more = len(anomalies) - SHOWN
    return (Note(f"{more} more; --json has them all."),) if more > 0 else ()


def _padded(facts: AnomalyFacts) -> Iterator[Sequence[Cause]]:
    """Return the causes of every anomaly: none for those beyond the first ones."""
    return chain(facts.causes, repeat(()))


def _because(facts: AnomalyFacts) -> Iterator[Note]:
    """Say which job or stage a day or job owes most to."""
    for anomaly, causes in zip(facts.anomalies, facts.causes, strict=False):
        if causes:
            most = f"{usd(causes[0].cost)} of {usd(anomaly.sample.cost)}"
            yield Note(f"{anomaly.sample.where}: {most} in {causes[0].name}.")


def _row(anomaly: Anomaly) -> Row:
    sample = anomaly.sample
    times = f"{anomaly.times:.1f}x"
    return (sample.where, sample.group, sample.unit, sample.value, anomaly.usual, anomaly.excess, times)


def _basis(facts: AnomalyFacts) -> str:
    values = plural(facts.samples, "value", "values")
    return (
        f"{values} compared with the median of their kind (modified z-score above 3.5); kinds with fewer "
        f"than {FEWEST} values are left out, and so are differences below a quarter or a cent."
    )


def _anomaly(anomaly: Anomaly, causes: Sequence[Cause]) -> dict[str, object]:
    sample = anomaly.sample
    return {
        "where": sample.where,
        "group": sample.group,
        "unit": sample.unit,
        "value_usd": to_usd(sample.value),
        "usual_usd": to_usd(anomaly.usual),
        "score": round(anomaly.score, 2),
        "cost_usd": to_usd(sample.cost),
        "excess_usd": to_usd(anomaly.excess),
        "causes": [{"name": cause.name, "cost_usd": to_usd(cause.cost)} for cause in causes],
    }
