"""``reconcile``: what a bill and the ledgers agree on, what they do not, and the likely reasons."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

from ..exits import BAD_NEWS, FINE
from ..money import ZERO, Nanos, to_usd
from ..reports.common import plural
from ..reports.derive import derive
from ..reports.document import Column, Figure, Note, Ref, Report, Row, Table, Tone
from .reconciling.differences import TEXTS, Comparison, Difference, Kind

SHOWN: Final = 40
"""How many differences are listed; JSON and CSV have all of them."""

_KINDS: Final[dict[Kind, str]] = {
    "only_theirs": "Only on the bill",
    "only_ours": "Only in the ledgers",
    "priced_differently": "Priced differently",
    "usage_differs": "Usage differs",
    "moved": "Under another day or tier",
}


class Reconciled(NamedTuple):
    """A comparison of bills with the ledgers. ``adjusted`` entries were appended, if any were to be."""

    bills: Sequence[str]
    found: Comparison
    adjusted: int | None = None
    adjusted_cost: Nanos = ZERO

    @property
    def exit_code(self) -> int:
        """1 where differences are left that no later line of the bill will mend."""
        return BAD_NEWS if self.found.settled and self.adjusted is None else FINE


def reconciled_report(facts: Reconciled) -> Report:
    """Return what agrees and what differs, by reason and one by one."""
    return Report(
        title=_title(facts),
        subtitle=", ".join(facts.bills),
        figures=tuple(_figures(facts.found)),
        tables=tuple(_tables(facts.found)),
        notes=tuple(_notes(facts)),
        data=_data(facts),
    )


def _title(facts: Reconciled) -> str:
    found = facts.found
    if facts.adjusted is not None:
        return "Adjusted to the bill"
    if found.settled:
        return "The bill and the ledgers differ"
    return "The bill agrees, as far as it is final" if found.differences else "The bill agrees"


def _figures(found: Comparison) -> Iterator[Figure]:
    yield Figure("billed", "On the bill", found.total("theirs"), places=4, note=_span(found))
    yield Figure("recorded", "In the ledgers", found.total("ours"), places=4)
    agreed = found.agreed
    yield Figure(
        "matched", "Agree", Nanos(agreed.theirs), places=4, note=_counted(agreed.count, agreed.calls)
    )
    for kind, label in _KINDS.items():
        of_kind = [one for one in found.differences if one.kind == kind]
        if of_kind:
            tone: Tone = "warning" if any(one in found.settled for one in of_kind) else "plain"
            amount = Nanos(sum(one.amount for one in of_kind))
            yield Figure(
                kind,
                label,
                amount,
                note=plural(len(of_kind), "difference", "differences"),
                tone=tone,
                places=4,
            )
    if found.apart:
        yield Figure("apart", "Credits, tax, others", Nanos(sum(one.nanos for one in found.apart)), places=4)
    if agreed.rounding:
        yield Figure("rounding", "Rounding", agreed.rounding, places=6, note="within what the bill rounds to")


def _counted(sums: int, calls: int) -> str:
    return (
        plural(calls, "call", "calls") if sums == calls else f"{plural(sums, 'sum', 'sums')}, {calls:,} calls"
    )


def _span(found: Comparison) -> str:
    if found.first is None or found.after is None:
        return ""
    return f"{found.first:%Y-%m-%d %H:%M} to {found.after:%Y-%m-%d %H:%M} UTC"


def _tables(found: Comparison) -> Iterator[Table]:
    if found.differences:
        yield Table("Why", _WHY, tuple(_reasons(found)), key="reasons")
        shown = tuple(_row(one) for one in found.differences[:SHOWN])
        yield Table("Differences", _DIFFERENCES, shown, key="differences")
    if found.apart:
        columns = (
            Column("label", "Line", wraps=True),
            Column("category", "Is"),
            Column("rows", "Rows", "count"),
            Column("amount", "Amount", "money", places=4),
        )
        rows: tuple[Row, ...] = tuple(
            (one.label or one.service, one.category, one.rows, one.nanos) for one in found.apart[:SHOWN]
        )
        yield Table("Compared with nothing", columns, rows, key="apart")
    if len(found.keys) > 1:
        keys = tuple((key, count) for key, count in found.keys.most_common(SHOWN))
        yield Table(
            "Keys and projects on the bill",
            (Column("key", "Key"), Column("rows", "Rows", "count")),
            keys,
            key="keys",
        )
    if found.refused:
        yield Table(
            "Not understood",
            (Column("row", "Row"), Column("why", "Why", wraps=True)),
            tuple((one.row, one.why) for one in found.refused[:SHOWN]),
            key="refused",
        )


_WHY: Final = (
    Column("reason", "Likely reason", wraps=True),
    Column("count", "Times", "count", rank=2),
    Column("calls", "Calls", "count", rank=1),
    Column("amount", "Bill less ledgers", "money", places=4),
)
_DIFFERENCES: Final = (
    Column("day", "Day"),
    Column("model", "Model"),
    Column("tier", "Tier", rank=3),
    Column("theirs", "Bill", "money", rank=1, places=4),
    Column("ours", "Ledgers", "money", rank=1, places=4),
    Column("amount", "Difference", "money", places=4),
    Column("factor", "Factor", rank=4),
    Column("reason", "Reason"),
    Column("line", "Line of the bill", rank=5),
)


def _reasons(found: Comparison) -> Iterator[Row]:
    sums: dict[str, list[Difference]] = {}
    for one in found.differences:
        sums.setdefault(one.reason if one.settled else f"{one.reason}*", []).append(one)
    for _, those in sorted(sums.items(), key=lambda item: -abs(sum(one.amount for one in item[1]))):
        text = TEXTS[those[0].reason] + ("" if those[0].settled else " (may still change)")
        yield text, len(those), sum(one.calls for one in those), sum(one.amount for one in those)


def _row(one: Difference) -> Row:
    model = f"{one.service}/{one.model}" if one.model else one.service
    factor = f"{one.factor:.4g}" if one.factor is not None else None
    reason = one.reason.replace("_", " ") + ("" if one.settled else " (provisional)")
    line = Ref(one.lines[0], "path") if one.lines else None
    return one.day, model, one.tier, one.theirs, one.ours, one.amount, factor, reason, line


def _notes(facts: Reconciled) -> Iterator[Note]:
    found = facts.found
    for why in found.incomplete:
        yield Note(f"The bill is incomplete: {why}.", "warning")
    young = [one for one in found.differences if not one.settled]
    if young:
        yield Note(
            f"{plural(len(young), 'difference is', 'differences are')} provisional: the bill may change."
        )
    for names, rate in found.currencies.items():
        known = (
            f"one {names} is about {rate:.4f} USD by the amounts themselves" if rate else "no rate fits them"
        )
        yield Note(f"The bill is in {names}; {known}. Give its rate: --rate {names.partition(',')[0]}=RATE.")
    for service, zone in found.zones.items():
        yield Note(f"Days of {service} agree best in {zone}: compared so.")
    yield from map(Note, found.notes)
    if found.refused_count:
        yield Note(f"{plural(found.refused_count, 'row was', 'rows were')} not understood.", "warning")
    if facts.adjusted is not None:
        yield Note(f"{plural(facts.adjusted, 'entry was', 'entries were')} appended; no line was edited.")
    elif found.settled:
        yield Note("To append adjustments that carry the bill's lines: --adjust.")


def _data(facts: Reconciled) -> dict[str, object]:
    found = facts.found
    return {
        "bills": list(facts.bills),
        "start": found.first.isoformat() if found.first else None,
        "end": found.after.isoformat() if found.after else None,
        "rows": found.rows,
        "calls": found.calls,
        "agrees": not found.settled,
        "billed_usd": to_usd(found.total("theirs")),
        "recorded_usd": to_usd(found.total("ours")),
        "matched": {
            "count": found.agreed.count,
            "calls": found.agreed.calls,
            "theirs_usd": to_usd(Nanos(found.agreed.theirs)),
            "ours_usd": to_usd(Nanos(found.agreed.ours)),
            "rounding_usd": to_usd(found.agreed.rounding),
        },
        "differences": [{**derive(one), "text": one.text} for one in found.differences],
        "apart": [
            {
                "category": one.category,
                "service": one.service,
                "label": one.label,
                "rows": one.rows,
                "amount_usd": to_usd(one.nanos),
            }
            for one in found.apart
        ],
        "keys": dict(found.keys),
        "incomplete": list(found.incomplete),
        "zones": dict(found.zones),
        "currencies": dict(found.currencies),
        "not_understood": {"count": found.refused_count, "rows": [derive(one) for one in found.refused]},
        "notes": list(found.notes),
        "adjusted": facts.adjusted,
        "adjusted_usd": to_usd(facts.adjusted_cost),
    }
