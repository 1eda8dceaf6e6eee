"""Sums and entries with the tags that the profile's ``tag_rules`` give, beside those in ledgers.

Ledgers and their sums keep the tags that calls were made with. Whoever asks for a tag, or by tags, asks here:
the calls that a rule gives it are told from the dimensions that the rules look at.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime
from operator import attrgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from ..profile.tag_rules import CONDITIONS, TagRule, dimensions_of, tagged
from ..rollup import Dimension, Group, JobOrder, JobPage, JobRef, JobSums, Query, Totals

if TYPE_CHECKING:
    from ..model import Entry
    from ..store.store import Missed, Store

_WITH_JOBS: Final = frozenset({"user_id", "job_id", "ledger"})
"""Dimensions by which jobs are counted, where no other is asked by."""

_ORDERS: Final[dict[JobOrder, Callable[[JobSums], Any]]] = {
    "newest": lambda job: -job.last,
    "cost": lambda job: -job.totals.cost,
    "calls": lambda job: -job.totals.calls,
    "name": lambda job: job.job.job_id,
}


class TagRuledReader:
    """An index in which calls have the tags of rules, too. What asks for no tags is answered as ever."""

    def __init__(self, index: Store, rules: Sequence[TagRule]) -> None:
        self._index = index
        self._rules = tuple(rules)
        self._by = dimensions_of(rules)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._index, name)

    def groups(self, by: Sequence[Dimension], query: Query) -> list[Group]:
        """As ``Store.groups``."""
        if not self._matters(by, query):
            return self._index.groups(by, query)
        return self._regrouped(by, query, self._index.groups(self._finer(by), query._replace(tag=None)))

    def groups_by_part(
        self, by: Sequence[Dimension], query: Query, parts: Sequence[tuple[datetime, datetime]]
    ) -> list[list[Group]]:
        """As ``Store.groups_by_part``."""
        if not self._matters(by, query):
            return self._index.groups_by_part(by, query, parts)
        parted = self._index.groups_by_part(self._finer(by), query._replace(tag=None), parts)
        return [self._regrouped(by, query, groups) for groups in parted]

    def spends(self, asked: Sequence[Query]) -> list[int]:
        """As ``Store.spends``, for queries that begin at edges of periods."""
        if not any(self._matters((), query) for query in asked):
            return self._index.spends(asked)
        return [
            sum(group.totals.measured(query.measure) for group in self.groups((), query)) for query in asked
        ]

    def entries(self, query: Query, missed: Missed | None = None) -> Iterator[Entry]:
        """As ``Store.entries``."""
        for _, entries in self.entries_by_job(query, missed):
            yield from entries

    def entries_by_job(
        self, query: Query, missed: Missed | None = None, *, whole: bool = False
    ) -> Iterator[tuple[JobRef, Iterator[Entry]]]:
        """As ``Store.entries_by_job``."""
        matters = self._matters((), query)
        asked = query._replace(tag=None) if matters else query
        for job, entries in self._index.entries_by_job(asked, missed, whole=whole):
            yield job, (each for each in entries if not matters or query.tag in self._tags_of(each))

    def jobs(self, query: Query) -> list[JobRef]:
        """As ``Store.jobs``."""
        if not self._matters((), query):
            return self._index.jobs(query)
        return sorted(each.job for each in self._jobs(query, ""))

    def job_page(
        self, query: Query, order: JobOrder = "newest", first: int = 0, count: int = 100, named: str = ""
    ) -> JobPage:
        """As ``Store.job_page``."""
        if not self._matters((), query):
            return self._index.job_page(query, order, first, count, named)
        jobs = sorted(self._jobs(query, named.lower()), key=lambda each: (_ORDERS[order](each), each.job))
        return JobPage(tuple(jobs[first : first + count]), len(jobs))

    # --- how

    def _matters(self, by: Sequence[Dimension], query: Query) -> bool:
        """Tell whether a rule bears on an answer."""
        return "tags" in by or any(rule.tag == query.tag for rule in self._rules)

    def _finer(self, by: Sequence[Dimension]) -> tuple[Dimension, ...]:
        jobs: tuple[Dimension, ...] = ("ledger",) if set(by) <= _WITH_JOBS else ()
        return tuple(dict.fromkeys((*by, "tags", *self._by, *jobs)))

    def _regrouped(self, by: Sequence[Dimension], query: Query, groups: Iterable[Group]) -> list[Group]:
        """Return finer groups by the dimensions asked for, those without the tag left out."""
        finer = self._finer(by)
        sums: dict[tuple[str | int | None, ...], Totals] = {}
        ledgers: dict[tuple[str | int | None, ...], set[object]] = {}
        for group in groups:
            values: dict[str, Any] = dict(zip(finer, group.key, strict=True))
            own = tuple(str(values["tags"]).split(",")) if values["tags"] else ()
            tags = tagged(self._rules, own, {name: str(values[name] or "") for name in self._by})
            if query.tag is not None and query.tag not in tags:
                continue
            values["tags"] = ",".join(sorted(tags)) or None
            key = tuple(values[name] for name in by)
            sums.setdefault(key, Totals()).merge(group.totals)
            ledgers.setdefault(key, set()).add(values.get("ledger"))
        for key, totals in sums.items():
            totals.jobs = len(ledgers[key]) if "ledger" in finer and set(by) <= _WITH_JOBS else 0
        return sorted(
            (Group(*each) for each in sums.items()), key=lambda each: (-each.totals.cost, str(each.key))
        )

    def _tags_of(self, entry: Entry) -> tuple[str, ...]:
        values = zip(CONDITIONS.values(), _values_of(entry), strict=True)
        return tagged(self._rules, entry.tags, {name: value or "" for name, value in values})

    def _jobs(self, query: Query, named: str) -> list[JobSums]:
        """Return the jobs with such calls whose ids contain a text in small letters."""
        by_job: dict[JobRef, list[Group]] = {}
        for group in self.groups(("job_id", "ledger", "user_id", "bucket"), query):
            if named in str(group.key[0]).lower():
                by_job.setdefault(JobRef(str(group.key[0]), Path(str(group.key[1]))), []).append(group)
        return [_job_sums(job, groups) for job, groups in by_job.items()]


_values_of: Final = attrgetter(*CONDITIONS.values())


def _job_sums(job: JobRef, groups: Sequence[Group]) -> JobSums:
    whole = Totals()
    for group in groups:
        whole.merge(group.totals)
    buckets = [int(group.key[3] or 0) for group in groups]
    return JobSums(job, whole, min(buckets), max(buckets), tuple(sorted({str(g.key[2]) for g in groups})))
