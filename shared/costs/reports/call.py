"""One call: all that its line says, what its cost is made of, and the price behind it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final, NamedTuple
from zoneinfo import ZoneInfo

from ..errors import CostError
from ..model import Entry
from ..money import Nanos, percent, to_usd
from ..pricing.description import DatedPrice, PricedModel
from ..rollup import Query
from .document import Column, Figure, Note, Ref, Report, Row, Table, Thing, derive
from .lists import calls_table
from .queries import zone_of
from .reader import Reader

_NAMED: Final[tuple[tuple[str, str, Thing | None], ...]] = (
    ("job_id", "Job", "job"),
    ("user_id", "User", "user"),
    ("stage", "Stage", "stage"),
    ("service", "Service", "service"),
    ("operation", "Category", "operation"),
    ("workflow", "Workflow", "workflow"),
    ("project", "Project", "project"),
    ("service_tier", "Tier", "tier"),
    ("region", "Region", None),
    ("attempt", "Attempt", None),
    ("request_id", "Request", None),
    ("reservation", "Reservation", None),
    ("description", "Description", None),
    ("host", "Host", None),
    ("pid", "Process", None),
    ("corrects", "Corrects", "call"),
    ("why", "Reason", None),
)
"""Fields of an entry in the order in which people ask for them, and what each is the name of."""


class UnknownCall(CostError, LookupError):
    """No known ledger has a call of this id."""


class CallFacts(NamedTuple):
    """What the report shows. ``corrections`` are lines that correct the call; ``price`` holds at its date."""

    entry: Entry
    ledger: Path
    offset: int
    zone: ZoneInfo
    corrections: Sequence[Entry] = ()
    price: PricedModel | None = None


def call_facts(reader: Reader, entry_id: str) -> CallFacts:
    """Return the call or correction of this id.

    Raises:
        UnknownCall: there is none.
    """
    reader.index.catch_up_all()
    location = reader.index.find(entry_id)
    if location is None:
        raise UnknownCall(f"no call has the id {entry_id}")
    entry = reader.index.entry(entry_id)
    if entry is None:
        raise UnknownCall(f"the call {entry_id} is not in {location.ledger} any more")
    beside = reader.index.entries(Query(ledger=location.ledger))
    return CallFacts(
        entry,
        location.ledger,
        location.offset,
        zone_of(reader, entry.user_id),
        [other for other in beside if other.corrects == entry.id],
        reader.loaded_catalogue().catalogue.describe(entry.service, entry.model, entry.timestamp),
    )


def call_report(facts: CallFacts) -> Report:
    """Return all fields of a call, the parts of its cost, and its price."""
    entry = facts.entry
    words = {"usage": "Call", "adjustment": "Correction", "reversal": "Reversal"}
    return Report(
        title=f"{words[entry.kind]} of {entry.service}/{entry.model}",
        subtitle=f"{entry.timestamp.astimezone(facts.zone):%A, %d %B %Y, %H:%M:%S} {facts.zone.key}",
        figures=tuple(_figures(entry)),
        tables=tuple(_tables(facts)),
        notes=tuple(_notes(facts)),
        data=_data(facts),
    )


def _figures(entry: Entry) -> Iterator[Figure]:
    cost = entry.cost if entry.charge else None
    tone = "plain" if entry.cost_state == "whole" else "warning"
    note = "" if entry.cost_state != "partial" else "the price of a part is not known"
    yield Figure("cost", "Cost", cost, "amount", note, tone)  # type: ignore[arg-type]  # one of the tones
    if entry.actual_cost is not None:
        yield Figure("actual_cost", "Stated", entry.actual_cost, "amount")
    if entry.usage.tokens_total:
        yield Figure("tokens", "Tokens", entry.usage.tokens_total, "count")


def _tables(facts: CallFacts) -> Iterator[Table]:
    entry = facts.entry
    if entry.charge is not None and entry.charge.parts:
        yield _parts(entry, entry.charge.parts)
    if counts := entry.usage.counts():
        columns = (Column("unit", "Unit"), Column("count", "Count", "count"))
        yield Table("Usage", columns, tuple((_words(name), count) for name, count in counts.items()))
    yield Table(
        "Fields", (Column("field", "Field"), Column("value", "Value", wraps=True)), tuple(_fields(facts))
    )
    if facts.corrections:
        yield calls_table(facts.corrections, facts.zone, with_job=False, title="Corrections of this call")


def _parts(entry: Entry, parts: Mapping[str, Nanos]) -> Table:
    return Table.of(
        "What the cost is made of",
        parts.items(),
        (Column("part", "Part of the cost"), lambda part: _words(part[0])),
        (Column("amount", "Amount", "amount"), lambda part: part[1]),
        (
            Column("share", "Share", "share"),
            lambda part: percent(part[1], entry.cost) if entry.cost > 0 else 0.0,
        ),
    )


def _words(name: str) -> str:
    return name.replace("_", " ").capitalize()


def _fields(facts: CallFacts) -> Iterator[Row]:
    entry = facts.entry
    yield "Id", entry.id
    yield "Model", Ref(entry.model, "price", f"{entry.service}/{entry.model}")
    for name, label, thing in _NAMED:
        value = getattr(entry, name)
        if value not in (None, "", 0):
            yield label, Ref(str(value), thing) if thing else str(value)
    for tag in entry.tags:
        yield "Tag", Ref(tag, "tag")
    if entry.period_at is not None:
        yield "Counts at", f"{entry.period_at.astimezone(facts.zone):%Y-%m-%d %H:%M:%S}"
    if entry.estimated:
        yield "Estimated", "its counts were estimated"
    for name, value in entry.metadata.items():
        yield f"Metadata {name}", str(value)
    yield "Ledger", Ref(f"{facts.ledger}, byte {facts.offset}", "path", str(facts.ledger))


def _notes(facts: CallFacts) -> Iterator[Note]:
    entry = facts.entry
    if entry.charge is None and entry.kind == "usage":
        text = (
            f"No price is known for {entry.service}/{entry.model}: the call counts as unpriced, not as free."
        )
        yield Note(text, "warning", "cost-dashboard prices check")
    elif entry.charge is not None:
        by = entry.charge.priced_by
        yield Note(f"Priced by {by.source} {by.version} as {by.model}.")
    price = _price(facts)
    if price is not None and price.reference:
        since = f" since {price.since:%Y-%m-%d}" if price.since else ""
        rates = ", ".join(map(str, price.rates))
        yield Note(f"Price at that date{since}: {rates}. Source: {price.reference}")


def _price(facts: CallFacts) -> DatedPrice | None:
    """Return the price of the call's tier that holds at its date, or else the standard one."""
    holding = [price for price in facts.price.prices if price.current] if facts.price else []
    wanted = [price for price in holding if price.tier == facts.entry.service_tier]
    return next(iter([*wanted, *(price for price in holding if price.tier is None)]), None)


def _data(facts: CallFacts) -> dict[str, object]:
    entry = facts.entry
    charge = entry.charge
    return {
        **derive(entry, "id", "kind", "timestamp", "model", *(name for name, _, _ in _NAMED), "tags"),
        "usage": entry.usage.counts(),
        "cost_usd": to_usd(entry.cost) if charge else None,
        "cost_state": entry.cost_state,
        "cost_parts": {name: to_usd(amount) for name, amount in charge.parts.items()} if charge else {},
        "priced_by": charge.priced_by._asdict() if charge else None,
        **derive(entry, "unpriced_units", "estimated"),
        "metadata": dict(entry.metadata),
        "ledger": str(facts.ledger),
        "corrections": [other.id for other in facts.corrections],
    }
