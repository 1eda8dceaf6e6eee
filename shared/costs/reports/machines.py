"""What your own machines cost while they worked, compared with what the cloud would have charged.

Machines are listed under machines: in the profile, with usd_per_hour, or watts and usd_per_kwh. Calls of
local models run on the one that names their stage or service, or that their tag machine:NAME names.
How long they took is their gpu_seconds; calls without it are counted, but their cost is not known.
Without --user: everyone. Without dates: the present month.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Final, NamedTuple

from ..analysis.machines import BY, MachineWork, total_cost, work_on
from ..model import Entry
from ..money import Nanos, to_usd
from ..periods import Period
from ..profile.machines import Machine, machine_of
from ..rollup import Group, Query, Totals
from .common import named, noted, usd_or_none, whose
from .document import Column, Figure, Note, Ref, Report, Table, Value, derive
from .queries import own_prices, reading, within
from .questions import TimeSpan
from .reader import Reader
from .spec import SPAN, USER, Spec

if TYPE_CHECKING:
    from ..analysis.avoided import Saving  # with it come the prices, which not every view needs
    from ..pricing.catalogue import Catalogue


_RowKey = tuple[str, str, str, str]

HOW: Final = "machines: {desk: {watts: 350, usd_per_kwh: 0.32}}"
"""A machine as a profile has it."""


class MachinesFacts(NamedTuple):
    """The machines of the profile, their work in a period, and what the cloud would have charged for it.

    ``avoided`` is by the first four fields of a row, in nano-dollars; it has those that a cloud price is
    named for.
    """

    user_id: str | None
    period: Period
    machines: Mapping[str, Machine]
    work: Sequence[MachineWork] = ()
    avoided: Mapping[_RowKey, Nanos] = {}
    profile: str = "profile.yaml"


class MachinesQuestion(NamedTuple):
    """Whose calls (``None``: everyone's), and of when."""

    user: str | None = None
    span: TimeSpan = TimeSpan()


def machines_facts(reader: Reader, asked: MachinesQuestion) -> MachinesFacts:
    """Return the work on each machine, call by call."""
    machines = reader.profile.machines
    period, query = within(reader, asked.span, Query(user_id=asked.user))
    facts = MachinesFacts(asked.user, period, machines, profile=str(reader.profile_path or "profile.yaml"))
    if not machines:
        return facts
    avoided: dict[_RowKey, Nanos] = {}
    with reading(reader, "Reading", query) as entries:
        work = work_of_calls(reader, _noting_cloud_cost(entries, machines, reader, avoided))
    return facts._replace(work=work, avoided=avoided)


def _noting_cloud_cost(
    entries: Iterable[Entry], machines: Mapping[str, Machine], reader: Reader, avoided: dict[_RowKey, Nanos]
) -> Iterator[Entry]:
    """Pass entries on, and add up in ``avoided`` what the cloud would have charged for those on a machine."""
    prices, is_local = own_prices(reader), reader.catalogue.is_local
    for entry in entries:
        yield entry
        cost = None if prices is None else _cloud_cost(entry, prices)
        if cost is None:
            continue
        local = is_local(entry.service, entry.model)
        name = machine_of(machines, entry.stage, entry.service, entry.tags, is_local=local)
        if name is not None:
            key = (name, entry.stage or "", entry.service, entry.model)
            avoided[key] = Nanos(avoided.get(key, 0) + entry.sign * cost)


def _cloud_cost(entry: Entry, prices: Catalogue) -> Nanos | None:
    from ..analysis.avoided import LocalWork, saving  # only where prices name clouds

    cloud = prices.cloud_for(entry.service, entry.model)
    if cloud is None:
        return None
    return saving(LocalWork(entry.service, entry.model, entry.usage, entry.timestamp), cloud, prices).cost


def machine_work(reader: Reader, query: Query) -> tuple[MachineWork, ...]:
    """Return the work on the machines of the profile, from sums; nothing where it has none."""
    machines = reader.profile.machines
    if not machines:
        return ()
    return work_on(machines, reader.index.groups(BY, query), reader.catalogue.is_local)


def work_of_calls(reader: Reader, entries: Iterable[Entry]) -> tuple[MachineWork, ...]:
    """As :func:`machine_work`, call by call."""
    machines = reader.profile.machines
    if not machines:
        return ()
    return work_on(machines, map(_as_sum, entries), reader.catalogue.is_local)


def _as_sum(entry: Entry) -> Group:
    totals = Totals()
    totals.add(entry)
    return Group((entry.stage, entry.service, entry.model, ",".join(entry.tags)), totals)


def machines_report(facts: MachinesFacts) -> Report:
    """Return the cost of each machine, stage by stage."""
    return Report(
        title=f"Own machines, {whose(facts.user_id)}",
        subtitle=named(facts.period),
        figures=tuple(_figures(facts)),
        tables=tuple(_tables(facts)),
        notes=tuple(_notes(facts)),
        data=_data(facts),
    )


def _figures(facts: MachinesFacts) -> Iterator[Figure]:
    if not facts.work:
        return
    cost = total_cost(facts.work)
    seconds = sum(row.microseconds for row in facts.work) / 1_000_000
    timed = all(row.priced and not row.untimed_calls for row in facts.work)
    known = any(row.known_cost is not None for row in facts.work)
    yield Figure("cost", "Cost", cost if known else "not known", note="rent, and power while they worked")
    yield Figure("busy", "Busy", seconds, "duration")
    if facts.avoided:
        avoided = Nanos(sum(facts.avoided.values()))
        yield Figure("avoided", "Avoided", avoided, note="at the cloud prices that prices.yaml names")
        if timed:
            kept = Nanos(avoided - cost)
            yield Figure("kept", "Kept", kept, tone="good" if kept > 0 else "warning")


def machine_figure(work: Sequence[MachineWork], places: int = 2) -> Iterator[Figure]:
    """Return what machines of one's own cost, as one figure, where the cost of any is known."""
    if names := ", ".join(dict.fromkeys(row.machine for row in work if row.known_cost is not None)):
        yield Figure(
            "machines",
            "Own machines",
            total_cost(work),
            note=f"{names}; not in what was spent",
            places=places,
        )


def _tables(facts: MachinesFacts) -> Iterator[Table]:
    def cloud(row: MachineWork) -> Value:
        return facts.avoided.get(row[:4])

    if facts.machines:
        yield Table.of(
            "By machine",
            facts.work,
            (Column("machine", "Machine"), lambda row: row.machine),
            (Column("stage", "Stage"), lambda row: Ref(row.stage, "stage")),
            (Column("model", "Model", rank=2), lambda row: row.model),
            (Column("calls", "Calls", "count", rank=3), lambda row: row.calls),
            (Column("busy", "Busy", "duration", rank=1), lambda row: row.seconds),
            (
                Column("cost", "Cost", "money", places=4),
                lambda row: "not known" if row.known_cost is None else row.known_cost,
            ),
            *([(Column("avoided", "Cloud", "money", places=4), cloud)] if facts.avoided else []),
            empty="No call ran on a machine of the profile in this period.",
        )


def _notes(facts: MachinesFacts) -> Iterator[Note]:
    if not facts.machines:
        yield Note(f"No machine has a price: add {HOW} to {facts.profile}.", places=(facts.profile,))
    yield from (Note(f"{name}: {machine.terms}.") for name, machine in facts.machines.items())
    yield from machine_doubts(facts.work)


def machine_doubts(work: Iterable[MachineWork]) -> Iterator[Note]:
    """Return how many calls do not say how long they took, and which ran on machines without a price."""
    rows = tuple(work)
    for name in sorted({row.machine for row in rows if not row.priced}):
        calls = sum(row.calls for row in rows if row.machine == name)
        unknown = f"the machine {name}, which the profile does not have: its cost is not known here."
        yield from noted(calls, "call names", "calls name", unknown)
    untimed = sum(row.untimed_calls for row in rows if row.priced)
    one = "call does not say how long it took and costs"
    many = "calls do not say how long they took and cost"
    yield from noted(untimed, one, many, "nothing here: log gpu_seconds.")


def _data(facts: MachinesFacts) -> dict[str, object]:
    return {
        **derive(facts, "user_id", "period.start", "period.end"),
        "cost_usd": to_usd(total_cost(facts.work)),
        "avoided_usd": to_usd(Nanos(sum(facts.avoided.values()))) if facts.avoided else None,
        "untimed_calls": sum(row.untimed_calls for row in facts.work),
        "machines": {
            name: {"usd_per_hour": to_usd(machine.usd_per_hour), "terms": machine.terms}
            for name, machine in facts.machines.items()
        },
        "work": machine_data(facts.work, facts.avoided),
    }


def machine_data(
    work: Iterable[MachineWork], avoided: Mapping[_RowKey, Nanos] | None = None
) -> list[dict[str, object]]:
    """Return the work on machines as JSON has it; the cost is null where it is not known."""
    known = avoided or {}
    return [
        {
            **derive(row, "machine"),
            "stage": row.stage or None,
            **derive(
                row,
                "service",
                "model",
                "calls",
                "untimed_calls",
                "busy_seconds=seconds",
                "cost_usd=known_cost",
            ),
            "avoided_usd": usd_or_none(known.get(row[:4])),
        }
        for row in work
    ]


def avoided_figure(savings: Sequence[Saving], places: int = 2) -> Iterator[Figure]:
    """Return one figure where something is known: the sum, and by which prices."""
    known = [one for one in savings if one.cost is not None]
    if known:
        total = Nanos(sum(one.cost or 0 for one in known))
        clouds = " and ".join(dict.fromkeys(one.cloud for one in known))
        doubt = ", not verified" if any(one.unverified for one in known) else ""
        yield Figure(
            "avoided", "Avoided", total, note=f"local work at the price of {clouds}{doubt}", places=places
        )


def avoided_data(savings: Sequence[Saving]) -> list[dict[str, object]]:
    """Return the savings as JSON has them; the amount is null where the cloud price does not cover them."""
    return [derive(one, cost="avoided") for one in savings]


SPEC: Final = Spec(
    "Save",
    ("machines", "machines --month 2026-10 --user rpatel --json"),
    MachinesQuestion,
    machines_facts,
    machines_report,
    options=(USER, SPAN),
)
