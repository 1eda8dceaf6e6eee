"""The user's own machines: what an hour of work on them costs, and which calls run on them.

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
"""The prefix of the tag that names the machine a call ran on."""


class Machine(NamedTuple):
    """The cost of a machine while it works: ``rent`` per hour, and ``watts`` at a price per kWh.

    Calls of local models run on it if it names their stage or service. One that ``takes_rest`` names neither:
    all other local calls run on it. The tag ``machine:NAME`` of a call has precedence over both.
    Amounts are in nano-dollars.
    """

    rent: Nanos = ZERO
    watts: int = 0
    usd_per_kwh: Nanos = ZERO
    stages: tuple[str, ...] = ()
    services: tuple[str, ...] = ()
    takes_rest: bool = False

    @property
    def usd_per_hour(self) -> Nanos:
        """The cost of an hour of work, in nano-dollars."""
        return self.cost(_HOUR)

    def cost(self, microseconds: int) -> Nanos:
        """Return the cost of work of this length in nano-dollars, rounded once, half to even."""
        thousandths = self.rent * 1_000 + self.watts * self.usd_per_kwh  # of a nano-dollar an hour
        return Nanos(divide(microseconds * thousandths, _HOUR * 1_000))

    @property
    def terms(self) -> str:
        """The machine's price, in words.

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
    matching = (
        name for name, machine in machines.items() if stage in machine.stages or service in machine.services
    )
    fallback = (name for name, machine in machines.items() if machine.takes_rest)
    return next(matching, None) or next(fallback, None)


def read_machines(top: Node) -> dict[str, Machine]:
    """Return the machines under ``machines:``.

    Raises:
        FileRefused: one has no price, or two of them name neither stages nor services.
    """
    from ..yaml_strict import check_name  # only a profile that is read anew needs it

    node = top.get("machines")
    machines: dict[str, Machine] = {}
    for name, entry in node.map().items() if node is not None else ():
        check_name(name, entry)
        machine = _machine(entry)
        if without_names := [
            other for other in machines if machines[other].takes_rest and machine.takes_rest
        ]:
            raise entry.refused(
                f"{name!r} and {without_names[0]!r} both name neither stages nor services",
                "add stages: or services: to one of them, so that each call runs on one machine",
            )
        machines[name] = machine
    return machines


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
