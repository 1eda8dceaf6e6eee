"""The receipt of one job: its stages, models, retries, and the doubts about its cost."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime

from ..model import Entry
from ..money import Nanos, divide
from ..rollup import Group, Totals
from .sums import UNNAMED


@dataclass(slots=True)
class JobLine:
    """The sums of one stage, or one model, of a job.

    ``attempts`` is the highest attempt seen; ``models`` are ``service/model`` in order of first use.
    """

    totals: Totals = field(default_factory=Totals)
    attempts: int = 1
    models: list[str] = field(default_factory=list)

    def add(self, entry: Entry) -> None:
        """Add one entry."""
        self.totals.add(entry)
        self.attempts = max(self.attempts, entry.attempt)
        if (model := model_of(entry)) not in self.models:
            self.models.append(model)


@dataclass(frozen=True, slots=True)
class Receipt:
    """A job over its whole life and all its users.

    ``unpriced`` counts the calls without a price by ``service/model``; ``corrections`` counts
    adjustments and reversals, which are in the sums. ``first`` and ``last`` are ``None`` where there is no
    call, or only sums of the calls are available.
    """

    job_id: str
    totals: Totals
    by_stage: Mapping[str, JobLine]
    by_model: Mapping[str, JobLine]
    unpriced: Mapping[str, int]
    users: tuple[str, ...] = ()
    corrections: int = 0
    first: datetime | None = None
    last: datetime | None = None


def receipt(job_id: str, entries: Iterable[Entry]) -> Receipt:
    """Return the receipt of a job from its entries. Stages are in the order in which they first ran.

    >>> receipt("job-1", []).totals.calls
    0
    """
    whole = JobLine()
    stages: dict[str, JobLine] = {}
    models: dict[str, JobLine] = {}
    users: dict[str, None] = {}
    unpriced: dict[str, int] = {}
    times: list[datetime] = []
    corrections = 0
    for entry in sorted(entries, key=lambda entry: (entry.timestamp, entry.id)):
        whole.add(entry)
        stages.setdefault(entry.stage or UNNAMED, JobLine()).add(entry)
        models.setdefault(model_of(entry), JobLine()).add(entry)
        users.setdefault(entry.user_id)
        if entry.unpriced_delta:
            unpriced[model_of(entry)] = unpriced.get(model_of(entry), 0) + entry.unpriced_delta
        corrections += entry.kind != "usage"
        times.append(entry.timestamp)
    return replace(
        _receipt(job_id, whole.totals, stages, models, unpriced),
        users=tuple(users),
        corrections=corrections,
        first=times[0] if times else None,
        last=times[-1] if times else None,
    )


def receipt_of_sums(job_id: str, groups: Iterable[Group]) -> Receipt:
    """Return the receipt of a job from its sums, where not all of its entries are available.

    ``groups`` are its sums by stage, service, model and user. Times, attempts and corrections are not known.
    """
    whole = JobLine()
    stages: dict[str, JobLine] = {}
    models: dict[str, JobLine] = {}
    unpriced: dict[str, int] = {}
    users: dict[str, None] = {}
    for (stage, service, model, user), totals in groups:
        name = f"{service}/{model}"
        line = stages.setdefault(str(stage or UNNAMED), JobLine())
        line.models += [name] if name not in line.models else []
        models.setdefault(name, JobLine(models=[name])).totals.merge(totals)
        whole.totals.merge(totals)
        line.totals.merge(totals)
        unpriced[name] = unpriced.get(name, 0) + totals.unpriced_calls
        users.setdefault(str(user))
    return replace(_receipt(job_id, whole.totals, stages, models, unpriced), users=tuple(users))


def _receipt(
    job_id: str,
    totals: Totals,
    stages: Mapping[str, JobLine],
    models: Mapping[str, JobLine],
    unpriced: Mapping[str, int],
) -> Receipt:
    return Receipt(
        job_id=job_id,
        totals=totals,
        by_stage=stages,
        by_model=dict(sorted(models.items(), key=lambda item: -item[1].totals.cost)),
        unpriced={model: count for model, count in unpriced.items() if count},
    )


def model_of(entry: Entry) -> str:
    """Return the entry's ``service/model``, as recorded."""
    return f"{entry.service}/{entry.model}"


def per_audio_minute(totals: Totals) -> Nanos | None:
    """Return the cost of a minute of audio, or ``None`` where there was none.

    >>> per_audio_minute(Totals(cost=Nanos(12_000_000), audio_microseconds=120_000_000))
    6000000
    """
    if not totals.audio_microseconds:
        return None
    return Nanos(divide(totals.cost * 60_000_000, totals.audio_microseconds))
