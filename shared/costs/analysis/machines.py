"""The cost of work on the user's own machines, to compare with its cost in the cloud. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Final, NamedTuple

from ..money import NANOS_PER_USD, ZERO, Nanos
from ..profile.machines import Machine, machine_of
from ..rollup import Dimension, Group, Totals

BY: Final[tuple[Dimension, ...]] = ("stage", "service", "model", "tags", "ledger")
"""The dimensions of the sums: they show on which machine calls ran and, job by job, whether their duration is
known."""

Local = Callable[[str, str], bool]
"""Returns whether the model of a service runs on the user's own machine."""


class MachineWork(NamedTuple):
    """Calls of one stage and model on one machine.

    ``untimed_calls`` have no duration (``gpu_seconds``): their cost is not known. Where the profile does not
    have the machine, the work is not ``priced``, and no cost is known.
    """

    machine: str
    stage: str
    service: str
    model: str
    calls: int
    untimed_calls: int
    microseconds: int
    audio_microseconds: int
    tokens: int
    cost: Nanos
    priced: bool = True

    @property
    def seconds(self) -> float:
        """The duration of the work."""
        return self.microseconds / 1_000_000

    @property
    def known_cost(self) -> Nanos | None:
        """The cost; ``None`` where no call has a duration, or the machine has no price."""
        return self.cost if self.priced and self.microseconds else None

    @property
    def audio_minutes_per_dollar(self) -> float | None:
        """The minutes of audio for each dollar that the machine cost; ``None`` without audio or cost."""
        if not self.audio_microseconds or not self.cost:
            return None
        return self.audio_microseconds / 60_000_000 * NANOS_PER_USD / self.cost

    @property
    def tokens_per_dollar(self) -> int | None:
        """The tokens for each dollar that the machine cost; ``None`` where the work was audio."""
        if not self.tokens or self.audio_microseconds or not self.cost:
            return None
        return self.tokens * NANOS_PER_USD // self.cost


def work_on(
    machines: Mapping[str, Machine], groups: Iterable[Group], is_local: Local
) -> tuple[MachineWork, ...]:
    """Return the work of sums split by the first four of :data:`BY` and more, the most expensive first.

    Each row is rounded once, from the time of all its calls.
    """
    sums: dict[tuple[str, str, str, str], Totals] = {}
    untimed: dict[tuple[str, str, str, str], int] = {}
    for group in groups:
        stage, service, model, tags = (str(value or "") for value in group.key[:4])
        name = machine_of(machines, stage, service, tags.split(","), is_local=is_local(service, model))
        if name is None:
            continue
        key = (name, stage, service, model)
        sums.setdefault(key, Totals()).merge(group.totals)
        if not group.totals.units.get("gpu_seconds"):
            untimed[key] = untimed.get(key, 0) + group.totals.calls
    rows = (_work(key, totals, untimed.get(key, 0), machines.get(key[0])) for key, totals in sums.items())
    return tuple(sorted(rows, key=lambda row: (-row.cost, row[:4])))


def _work(
    key: tuple[str, str, str, str], totals: Totals, untimed: int, machine: Machine | None
) -> MachineWork:
    microseconds, audio = totals.units.get("gpu_seconds", 0), totals.audio_microseconds
    cost = ZERO if machine is None else machine.cost(microseconds)
    priced = machine is not None
    return MachineWork(*key, totals.calls, untimed, microseconds, audio, totals.tokens_total, cost, priced)


def total_cost(work: Iterable[MachineWork]) -> Nanos:
    """Return the cost of all rows together, in nano-dollars.

    >>> total_cost([])
    0
    """
    return Nanos(sum((row.cost for row in work), ZERO))
