"""Jobs, stages and days whose cost is unusual for their kind, and how far above normal it is.

Compared per minute of audio, per 1,000 tokens, per job and per day. Without dates: the last 30 days.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date
from itertools import chain, repeat
from types import MappingProxyType
from typing import Any, Final, NamedTuple

from ..analysis.sums import UNNAMED, by_day, median, split, split_by, total
from ..money import Nanos, divide
from ..periods import Period, between
from ..rollup import Group, Query, Totals
from .common import Health, doubts, more_note, named, plural, usd
from .document import Column, Figure, Note, Ref, Report, Table, derive
from .queries import health, within, zone_of
from .questions import Question, TimeSpan
from .reader import Reader
from .spec import FILTERS, SPAN, Spec

THRESHOLD: Final = 3.5
WHOLES: Final = frozenset({"a job", "a day"})
FEWEST: Final = 8
"""A group of fewer values has no usual value."""

LEAST_SHARE: Final = 0.25
LEAST_AMOUNT: Final = Nanos(10_000_000)

_TO_SIGMA: Final = 0.6745
_MEAN_TO_SIGMA: Final = 1.2533


class Observation(NamedTuple):
    """One value of a group: the cost of one ``unit``, such as a minute of audio.

    It is compared with the other values of ``group``. ``where`` is the job or the day; ``value`` is the cost
    of one unit and ``cost`` the whole amount behind it, both in nano-dollars and above zero.
    """

    group: str
    unit: str
    where: str
    value: Nanos
    cost: Nanos


class Anomaly(NamedTuple):
    """An outlier: the sample, the usual value of its group, and how far it is from that.

    ``excess`` is what it cost above the usual, in nano-dollars; negative where it cost less.
    """

    sample: Observation
    usual: Nanos
    score: float
    excess: Nanos

    @property
    def times(self) -> float:
        """The value as a multiple of the usual one."""
        return self.sample.value / self.usual


def find_anomalies(samples: Iterable[Observation]) -> list[Anomaly]:
    """Return the outliers among samples, the largest excess first.

    A value is compared with the others of its group by the modified z-score, 0.6745 * (x - median) / MAD,
    where MAD is the median distance from the median: unlike mean and standard deviation, neither is moved
    by the outliers themselves. Scores above 3.5 are outliers. Where more than half of the values
    are equal the MAD is zero, and 1.2533 times the mean distance takes its place. x is the logarithm of
    the cost: costs vary by factors, so that half the usual cost is as unusual as twice the usual cost.
    Source: B. Iglewicz and D. Hoaglin, How to Detect and Handle Outliers (ASQC, 1993), as in
    https://www.itl.nist.gov/div898/handbook/eda/section3/eda35h.htm

    A value that differs by less than a quarter, or by less than a cent, is ignored, however similar the
    others are: nobody would look into it. Low costs are outliers only below half the usual, and those of
    whole jobs and days never are: small jobs and quiet days are normal.

    >>> usual = [Observation("asr", "job", f"job-{n}", Nanos(10**8 + n), Nanos(10**8)) for n in range(9)]
    >>> odd = Observation("asr", "job", "job-9", Nanos(5 * 10**8), Nanos(5 * 10**8))
    >>> [(anomaly.sample.where, round(anomaly.times, 1)) for anomaly in find_anomalies([*usual, odd])]
    [('job-9', 5.0)]
    """
    groups: dict[tuple[str, str], list[Observation]] = {}
    for sample in samples:
        groups.setdefault((sample.group, sample.unit), []).append(sample)
    anomalies = [anomaly for group in groups.values() for anomaly in _in_group(group)]
    return sorted(anomalies, key=lambda anomaly: (-abs(anomaly.excess), anomaly.sample))


def _in_group(group: Sequence[Observation]) -> Iterable[Anomaly]:
    if len(group) < FEWEST:
        return
    usual = median([sample.value for sample in group])
    logs = [math.log(sample.value) for sample in group]
    centre = statistics.median(logs)
    distances = [abs(log - centre) for log in logs]
    spread = statistics.median(distances) / _TO_SIGMA or _MEAN_TO_SIGMA * statistics.fmean(distances)
    for sample, log in zip(group, logs, strict=True):
        score = (log - centre) / spread if spread else 0.0
        excess = Nanos(divide(sample.cost * (sample.value - usual), sample.value))
        if abs(score) > THRESHOLD and abs(excess) >= LEAST_AMOUNT and _is_notable(sample, usual):
            yield Anomaly(sample, usual, score, excess)


def _is_notable(sample: Observation, usual: Nanos) -> bool:
    if sample.value > usual:
        return sample.value >= (1 + LEAST_SHARE) * usual
    return sample.unit not in WHOLES and 2 * sample.value < usual


def job_samples(groups: Iterable[Group]) -> list[Observation]:
    """Return samples of groups keyed by job id, stage, service, model and tier, one for each job in each.

    The unit is a minute of audio where there is any, else 1,000 tokens, else a call. Groups that were free
    or have no price yet give no sample. Each job's whole cost is a sample too.
    """
    samples = []
    jobs: dict[str, Totals] = {}
    for group in groups:
        job_id, stage, service, model, _ = (str(UNNAMED if part is None else part) for part in group.key)
        tier = f", {group.key[4]}" if group.key[4] else ""
        jobs.setdefault(job_id, Totals()).merge(group.totals)
        unit_price = per_unit(group.totals)
        if unit_price is not None:
            unit, value = unit_price
            samples.append(
                Observation(f"{stage}, {service}/{model}{tier}", unit, job_id, value, group.totals.cost)
            )
    whole_jobs = [
        Observation("all stages", "a job", name, totals.cost, totals.cost)
        for name, totals in jobs.items()
        if totals.cost > 0
    ]
    return [*samples, *whole_jobs]


def per_unit(totals: Totals) -> tuple[str, Nanos] | None:
    """Return a unit and its cost; ``None`` where nothing was paid, or less than a nano-dollar a unit."""
    unit_price = _unit(totals)
    return unit_price if unit_price and unit_price[1] > 0 else None


def _unit(totals: Totals) -> tuple[str, Nanos] | None:
    if totals.cost <= 0:
        return None
    if totals.audio_microseconds:
        return "a minute of audio", Nanos(divide(totals.cost * 60_000_000, totals.audio_microseconds))
    if totals.tokens_total:
        return "1,000 tokens", Nanos(divide(totals.cost * 1_000, totals.tokens_total))
    return ("a call", Nanos(divide(totals.cost, totals.calls))) if totals.calls > 0 else None


def day_samples(costs: Mapping[str, Nanos]) -> list[Observation]:
    """Return days with any cost as samples, by their names."""
    return [Observation("all jobs", "a day", name, cost, cost) for name, cost in costs.items() if cost > 0]


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
    anomalies = find_anomalies(samples)
    return AnomalyFacts(
        period=period,
        anomalies=anomalies,
        samples=len(samples),
        totals=total(groups),
        filters=asked.filters,
        health=health(reader),
        causes=[_causes(reader, anomaly, groups, query) for anomaly in anomalies[:SHOWN]],
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
        Figure("excess", "Above normal", excess, note="in jobs and stages; one cause may count in both"),
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
        f"{values} compared with the median of their kind (modified z-score above 3.5). Kinds with fewer "
        f"than {FEWEST} values are left out, and so are differences below 25% or one cent."
    )


def _anomaly(anomaly: Anomaly, causes: Sequence[Cause]) -> dict[str, object]:
    names = ("sample.where", "sample.group", "sample.unit", "sample.value", "usual")
    return {
        **derive(anomaly, *names),
        "score": round(anomaly.score, 2),
        **derive(anomaly, "sample.cost", "excess"),
        "causes": [derive(cause) for cause in causes],
    }


def _question(span: TimeSpan, **given: Any) -> Question:
    return Question("Anomalies", TimeSpan(days=30) if span == TimeSpan() else span, **given)


SPEC: Final = Spec(
    "Look",
    ("anomalies", "anomalies --days 90 --stage 06_whisperx_asr", "anomalies --user rpatel --json"),
    _question,
    anomaly_facts,
    anomaly_report,
    options=(SPAN, FILTERS),
    shared=True,
)
