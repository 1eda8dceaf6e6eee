"""``anomalies``: what cost unlike its kind, and which jobs caused it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Final, NamedTuple

from ..analysis.anomalies import FEWEST, Anomaly
from ..money import Nanos, to_usd
from ..periods import Period
from ..rollup import Totals
from .common import Health, doubts, named, plural
from .report import Column, Figure, Note, Report, Row, Table

_SHOWN: Final = 20


class AnomalyFacts(NamedTuple):
    """What the view needs to know. ``samples`` is how many values were compared."""

    period: Period
    anomalies: Sequence[Anomaly]
    samples: int
    totals: Totals
    filters: Mapping[str, str] = MappingProxyType({})
    health: Health = Health()


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
        notes=(*_more(facts.anomalies), *doubts(facts.totals, facts.health), Note(_basis(facts))),
        data={
            "start": facts.period.start.isoformat(),
            "end": facts.period.end.isoformat(),
            "filters": dict(facts.filters),
            "samples": facts.samples,
            "anomalies": [_anomaly(anomaly) for anomaly in facts.anomalies],
            "incomplete": len(facts.health.problems),
        },
    )


def _table(anomalies: Sequence[Anomaly]) -> Table:
    columns = (
        Column("where", "Where"),
        Column("what", "What", rank=1),
        Column("unit", "Cost of", rank=2),
        Column("value", "Was", "amount"),
        Column("usual", "Usual", "amount"),
        Column("times", "Times"),
        Column("excess", "Beyond", "money"),
    )
    return Table("Where", columns, tuple(map(_row, anomalies[:_SHOWN])), empty="Nothing stands out.")


def _more(anomalies: Sequence[Anomaly]) -> tuple[Note, ...]:
    more = len(anomalies) - _SHOWN
    return (Note(f"{more} more; --json has them all."),) if more > 0 else ()


def _row(anomaly: Anomaly) -> Row:
    sample = anomaly.sample
    times = f"{anomaly.times:.1f}x"
    return (sample.where, sample.group, sample.unit, sample.value, anomaly.usual, times, anomaly.excess)


def _basis(facts: AnomalyFacts) -> str:
    values = plural(facts.samples, "value", "values")
    return (
        f"{values} compared with the median of their kind (modified z-score above 3.5); kinds with fewer "
        f"than {FEWEST} values are left out, and so are differences below a quarter or a cent."
    )


def _anomaly(anomaly: Anomaly) -> dict[str, object]:
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
    }
