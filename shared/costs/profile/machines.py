"""Machines of one's own: what an hour of work on them costs, and which calls run on them.

>>> desk = Machine(watts=350, usd_per_kwh=Nanos(320_000_000))
>>> desk.usd_per_hour, desk.cost(1_800_000_000)
(112000000, 56000000)
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Final, NamedTuple

from ..money import ZERO, Nanos, divide, format_usd

if TYPE_CHECKING:
    from ..yaml_strict import Node

_HOUR: Final = 3_600_000_000
_KEYS: Final = ("usd_per_hour", "watts", "usd_per_kwh", "stages", "services")
_MOST_WATTS: Final = 1_000_000
TAG: Final = "machine:"
"""How a tag begins that says on which machine a call ran."""


class Machine(NamedTuple):
    """What a machine costs while it works: ``rent`` by the hour (USD), and ``watts`` at a price per kWh.

    Calls of local models run on it whose stage or service it names. One that ``takes_rest`` names neither:
    there all other local calls run. The tag ``machine:NAME`` of a call decides before any of that.
    """

    rent: Nanos = ZERO
    watts: int = 0
    usd_per_kwh: Nanos = ZERO
    stages: tuple[str, ...] = ()
    services: tuple[str, ...] = ()
    takes_rest: bool = False

    @property
    def usd_per_hour(self) -> Nanos:
        """What an hour of work costs, in nano-dollars."""
        return self.cost(_HOUR)

    def cost(self, microseconds: int) -> Nanos:
        """Return what work of this length costs: exact, rounded once, half to even."""
        thousandths = self.rent * 1_000 + self.watts * self.usd_per_kwh  # of a nano-dollar an hour
        return Nanos(divide(microseconds * thousandths, _HOUR * 1_000))

    @property
    def terms(self) -> str:
        """What was stated, in words.

        >>> Machine(rent=Nanos(450_000_000)).terms
        '$0.45 an hour'
        """
        power = f"{self.watts:,} W at {format_usd(self.usd_per_kwh, 4)} per kWh"
        if not self.watts:
            return f"{format_usd(self.rent)} an hour"
        return f"{format_usd(self.rent)} an hour and {power}" if self.rent else power


def machine_of(
    machines: Mapping[str, Machine], stage: str | None, service: str, tags: Iterable[str], *, is_local: bool
) -> str | None:
    """Return the name of the machine that a call ran on; ``None`` where the profile has none for it.

    A tag may name one that the profile does not have.

    >>> desk, lab = Machine(takes_rest=True), Machine(stages=("06_asr",))
    >>> known = {"desk": desk, "lab": lab}
    >>> machine_of(known, "06_asr", "whisperx-local", (), is_local=True)
    'lab'
    >>> machine_of(known, "06_asr", "whisperx-local", ("machine:desk",), is_local=True)
    'desk'
    """
    for tag in tags:
        if tag.startswith(TAG):
            return tag.removeprefix(TAG)
    if not is_local:
        return None
    named = (name for name, one in machines.items() if stage in one.stages or service in one.services)
    rest = (name for name, one in machines.items() if one.takes_rest)
    return next(named, None) or next(rest, None)


def read_machines(top: Node) -> dict[str, Machine]:
    """Return the machines under ``machines:``.

    Raises:
        FileRefused: one has no price, or two would be where all other local calls run.
    """
    from ..yaml_strict import check_name  # only a profile that is read anew needs it

    node = top.get("machines")
    found: dict[str, Machine] = {}
    for name, each in node.map().items() if node is not None else ():
        check_name(name, each)
        machine = _machine(each)
        if rest := [other for other, one in found.items() if one.takes_rest and machine.takes_rest]:
            raise each.refused(
                f"{name!r} and {rest[0]!r} both name neither stages nor services",
                "add stages: or services: to one of them, so that it is told which calls run on it",
            )
        found[name] = machine
    return found


def _machine(node: Node) -> Machine:
    from ..yaml_strict import read_names

    node.only(_KEYS)
    rent, watts, price = node.get("usd_per_hour"), node.get("watts"), node.get("usd_per_kwh")
    if rent is None and watts is None:
        raise node.refused("a machine without a price", "add usd_per_hour, or watts and usd_per_kwh")
    if (watts is None) != (price is None):
        missing = "watts" if watts is None else "usd_per_kwh"
        raise node.refused(f"the key {missing!r} is missing", "give watts and usd_per_kwh together")
    stages, services = node.get("stages"), node.get("services")
    return Machine(
        rent.amount() if rent is not None else ZERO,
        watts.integer(1, _MOST_WATTS) if watts is not None else 0,
        price.amount() if price is not None else ZERO,
        read_names(stages) if stages is not None else (),
        read_names(services) if services is not None else (),
        takes_rest=stages is None and services is None,
    )
