"""What work on machines of one's own costs, beside what it would have cost in the cloud. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Final, NamedTuple

from ..money import NANOS_PER_USD, ZERO, Nanos
from ..profile.machines import Machine, machine_of
from ..rollup import Dimension, Group, Totals

BY: Final[tuple[Dimension, ...]] = ("stage", "service", "model", "tags", "ledger")
"""The dimensions by which sums are split: on which machine calls ran, and, job by job, whether they said how
long they took."""

Local = Callable[[str, str], bool]
"""Tells whether the model of a service runs on a machine of one's own."""


class MachineWork(NamedTuple):
    """Calls of one stage and model on one machine.

    ``untimed_calls`` said not how long they took (``gpu_seconds``): their cost is not known. Nor is that of
    any where the profile does not have the machine, which is not ``priced`` then.
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
        """How long it took."""
        return self.microseconds / 1_000_000

    @property
    def known_cost(self) -> Nanos | None:
        """What it cost; ``None`` where no call says how long it took, or the machine has no price."""
        return self.cost if self.priced and self.microseconds else None

    @property
    def audio_minutes_per_dollar(self) -> float | None:
        """How many minutes of audio it did for each dollar that the machine cost."""
        if not self.audio_microseconds or not self.cost:
            return None
        return self.audio_microseconds / 60_000_000 * NANOS_PER_USD / self.cost

    @property
    def tokens_per_dollar(self) -> int | None:
        """How many tokens it did for a dollar; ``None`` where it did minutes of audio."""
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
    spent, audio = totals.units.get("gpu_seconds", 0), totals.audio_microseconds
    cost = ZERO if machine is None else machine.cost(spent)
    priced = machine is not None
    return MachineWork(*key, totals.calls, untimed, spent, audio, totals.tokens_total, cost, priced)


def total_cost(work: Iterable[MachineWork]) -> Nanos:
    """Return what all of it cost together, in nano-dollars.

    >>> total_cost([])
    0
    """
    return Nanos(sum((row.cost for row in work), ZERO))
