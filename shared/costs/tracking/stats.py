"""What this process has spent so far: counters in memory, gone with the process."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from ..forks import lock_of
from ..model import Entry
from ..money import to_usd
from ..rollup import Totals

_Key = tuple[str, str, str]
"""Operation, ``service/model`` and job."""


class ProcessStats:
    """Running totals over every tracker of one process. Safe to use from several threads."""

    def __init__(self) -> None:
        self._lock = lock_of(self, "_lock")
        self.reset()

    def reset(self) -> None:
        """Begin again from zero."""
        with self._lock:
            self._sums: defaultdict[_Key, Totals] = defaultdict(Totals)

    def add(self, entry: Entry) -> None:
        """Count one entry that this process recorded."""
        key = entry.operation or "unspecified", f"{entry.service}/{entry.model}", entry.job_id
        with self._lock:
            self._sums[key].add(entry)

    def snapshot(self) -> dict[str, object]:
        """Return the totals, by operation and by model too; money in USD."""
        with self._lock:
            return {
                **_figures(self._whole()),
                "unique_jobs": len(self._jobs()),
                "by_operation": self._by(0),
                "by_model": self._by(1),
            }

    def average_cost_per_job(self) -> float:
        """Return the USD spent per job that this process recorded calls for; 0.0 before the first."""
        with self._lock:
            jobs = len(self._jobs())
            return to_usd(self._whole().cost) / jobs if jobs else 0.0

    def _jobs(self) -> set[str]:
        return {job for _, _, job in self._sums}

    def _whole(self) -> Totals:
        return _merged(self._sums.values())

    def _by(self, part: int) -> dict[str, dict[str, object]]:
        """Return the figures by one part of the keys."""
        values = sorted({key[part] for key in self._sums})
        return {
            value: _figures(_merged(sums for key, sums in self._sums.items() if key[part] == value))
            for value in values
        }


def _merged(many: Iterable[Totals]) -> Totals:
    whole = Totals()
    for one in many:
        whole.merge(one)
    return whole


def _figures(total: Totals) -> dict[str, object]:
    return {
        "total_calls": total.calls,
        "total_cost": to_usd(total.cost),
        "tokens_input": total.tokens_input,
        "tokens_output": total.tokens_output,
        "total_tokens": total.tokens_total,
        "unpriced_calls": total.unpriced_calls,
        "partial_calls": total.partial_calls,
        "average_cost_per_call": to_usd(total.cost) / total.calls if total.calls else 0.0,
        "average_tokens_per_call": total.tokens_total / total.calls if total.calls else 0.0,
    }


PROCESS_STATS = ProcessStats()
"""The one of this process."""
