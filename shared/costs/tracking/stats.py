"""What this process has spent so far: counters in memory, gone with the process."""

from __future__ import annotations

import threading
from collections import defaultdict

from ..model import Entry
from ..money import to_usd
from ..rollup import Totals


class ProcessStats:
    """Running totals over every tracker of one process. Safe to use from several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.reset()

    def reset(self) -> None:
        """Begin again from zero."""
        with self._lock:
            self._all = Totals()
            self._by_operation: defaultdict[str, Totals] = defaultdict(Totals)
            self._by_model: defaultdict[str, Totals] = defaultdict(Totals)
            self._jobs: set[str] = set()

    def add(self, entry: Entry) -> None:
        """Count one entry that this process recorded."""
        with self._lock:
            self._all.add(entry)
            self._by_operation[entry.operation or "unspecified"].add(entry)
            self._by_model[f"{entry.service}/{entry.model}"].add(entry)
            self._jobs.add(entry.job_id)

    def snapshot(self) -> dict[str, object]:
        """Return the totals, by operation and by model too; money in USD."""
        with self._lock:
            return {
                **_figures(self._all),
                "unique_jobs": len(self._jobs),
                "by_operation": {key: _figures(total) for key, total in sorted(self._by_operation.items())},
                "by_model": {key: _figures(total) for key, total in sorted(self._by_model.items())},
            }

    def average_cost_per_job(self) -> float:
        """Return the USD spent per job that this process recorded calls for; 0.0 before the first."""
        with self._lock:
            return to_usd(self._all.cost) / len(self._jobs) if self._jobs else 0.0


def _figures(total: Totals) -> dict[str, object]:
    return {
        "total_calls": total.calls,
        "total_cost": to_usd(total.cost),
        "tokens_input": total.tokens_input,
        "tokens_output": total.tokens_output,
        "total_tokens": total.tokens_total,
        "unpriced_calls": total.unpriced_calls,
        "average_cost_per_call": to_usd(total.cost) / total.calls if total.calls else 0.0,
        "average_tokens_per_call": total.tokens_total / total.calls if total.calls else 0.0,
    }


PROCESS_STATS = ProcessStats()
"""The one of this process."""
