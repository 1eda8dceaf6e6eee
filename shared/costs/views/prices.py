"""``prices``: what models cost, since when and who says so; what is doubtful; what an update changes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Final, NamedTuple

from ..pricing.check import Finding
from ..pricing.description import DatedPrice, PricedModel, RateLine
from ..pricing.update import Change
from .common import plural
from .report import Column, Note, Report, Row, Table

SHOWN: Final = 40
"""So many changes of an update are listed for people; JSON has them all."""

_LISTED: Final = (
    Column("model", "Model"),
    Column("input", "Input"),
    Column("cached", "Cached", rank=2),
    Column("output", "Output"),
    Column("other", "Other", rank=1),
    Column("since", "Since", rank=3),
    Column("source", "From", rank=4),
)
_RATES: Final = (
    Column("usd", "USD"),
    Column("per", "Per"),
    Column("since", "Since", rank=1),
    Column("tier", "Tier", rank=2),
    Column("now", "Holds", rank=3),
)
_IN_COLUMNS: Final = ("input", "cached", "output")
_APART: Final = frozenset({*_IN_COLUMNS, "web_searches"})
"""What the list has columns for, or leaves to ``show``."""


def prices_report(models: Sequence[PricedModel], at: datetime) -> Report:
    """Return the standard price of each model that holds at an instant."""
    return Report(
        title="Prices",
        subtitle=f"USD per million tokens on {at:%Y-%m-%d}, where no other unit is named",
        tables=(
            Table(
                plural(len(models), "model", "models"),
                _LISTED,
                tuple(map(_listed, models)),
                empty="No model matches.",
            ),
        ),
        notes=(Note("cost-dashboard prices show MODEL has every rate, with tiers, dates and sources."),),
        data={"at": at.isoformat(), "models": [_model(model) for model in models]},
    )


def _listed(model: PricedModel) -> Row:
    price = model.current
    if price is None:
        return (model.name, "no price", "", "", "", "", "")
    if model.local or not price.rates:
        return (model.name, "free", "", "free", "", _since(price), price.source)
    rates = {rate.part: rate.usd for rate in price.rates if rate.above is None}
    other = [str(rate) for rate in price.rates if rate.part not in _APART and rate.above is None]
    larger = ["dearer when large"] if any(rate.above for rate in price.rates) else []
    doubt = ["not verified"] if price.unverified else []
    columns = (rates.get(part, "") for part in _IN_COLUMNS)
    return (model.name, *columns, ", ".join([*other, *larger, *doubt]), _since(price), price.source)


def _since(price: DatedPrice) -> str:
    return f"{price.since:%Y-%m-%d}" if price.since else "always"


def price_report(model: PricedModel, at: datetime) -> Report:
    """Return every rate of a model with its dates and sources, and the arithmetic of an example."""
    about = [model.kind or "", "runs on your own machine" if model.local else ""]
    references = dict.fromkeys(price.reference for price in model.prices if price.reference)
    notes = [Note(f"Example: {line}" if number == 0 else line) for number, line in enumerate(model.example)]
    notes += [Note(f"{price.since:%Y-%m-%d}: {price.note}") for price in model.prices if _told(price)]
    notes += [Note(f"Source: {reference}") for reference in references]
    if model.current and model.current.unverified:
        notes.append(Note("Its own source is not sure of this price.", "warning"))
    return Report(
        title=model.name,
        subtitle=", ".join(filter(None, [*about, f"on {at:%Y-%m-%d}"])),
        tables=tuple(_by_source(model)),
        notes=tuple(notes),
        data={"at": at.isoformat(), **_model(model), "prices": [_price(price) for price in model.prices]},
    )


def _told(price: DatedPrice) -> bool:
    return bool(price.note and price.since)


def _by_source(model: PricedModel) -> Iterator[Table]:
    sources = dict.fromkeys((price.source, price.version) for price in model.prices)
    for source, version in sources:
        prices = [price for price in model.prices if (price.source, price.version) == (source, version)]
        rows = tuple(row for price in prices for row in _rates(price))
        yield Table(f"USD, {source} {version}", _RATES, rows)


def _rates(price: DatedPrice) -> list[Row]:
    hours = ""
    if price.hours:
        begin, end = (f"{minute // 60:02d}:{minute % 60:02d}" for minute in price.hours)
        hours = f", {begin} to {end} UTC"
    shared = (_since(price), f"{price.tier or 'standard'}{hours}", "yes" if price.current else "")
    return [(rate.usd, _unit(rate), *shared) for rate in price.rates] or [("0", "call", *shared)]


def _unit(rate: RateLine) -> str:
    return f"{rate.unit}, above {rate.above:,}" if rate.above else rate.unit


def _model(model: PricedModel) -> dict[str, object]:
    return {
        "model": model.name,
        "local": model.local,
        "class": model.kind,
        "current": _price(model.current) if model.current else None,
        "example": list(model.example),
    }


def _price(price: DatedPrice) -> dict[str, object]:
    return {
        "source": price.source,
        "version": price.version,
        "since": price.since.isoformat() if price.since else None,
        "service_tier": price.tier,
        "minutes_of_day": list(price.hours) if price.hours else None,
        "rates": [
            {"part": rate.part, "usd": rate.usd, "per": rate.unit, "above_input_tokens": rate.above}
            for rate in price.rates
        ],
        "reference": price.reference,
        "unverified": price.unverified,
        "note": price.note,
        "holds_now": price.current,
    }


# --- check


class CheckedPrices(NamedTuple):
    """What was found about prices, how many models are in use, and what was compared with."""

    findings: Sequence[Finding]
    used: int
    peers: Mapping[str, str]

    @property
    def exit_code(self) -> int:
        """1 when calls have no price."""
        return int(any(finding.kind in ("unpriced", "repriceable") for finding in self.findings))


def checked_prices_report(facts: CheckedPrices) -> Report:
    """Return what is doubtful about prices, each with what to do."""
    columns = (Column("kind", "What"), Column("name", "Model"), Column("text", "Found"))
    rows = tuple((finding.kind, finding.name, finding.text) for finding in facts.findings)
    remedies = dict.fromkeys(f"{finding.kind}: {finding.remedy}." for finding in facts.findings)
    others = ", ".join(f"{name} {version}" for name, version in facts.peers.items())
    compared = f"Compared with {others}." if others else "No other price table is installed to compare with."
    found = plural(len(rows), "finding", "findings") if rows else "Nothing is doubtful"
    return Report(
        title=f"Prices: {found}" if rows else "Prices: nothing is doubtful",
        subtitle=plural(facts.used, "model in use", "models in use"),
        tables=(Table("Findings", columns, rows),) if rows else (),
        notes=(*(Note(remedy, "warning") for remedy in remedies), Note(compared)),
        data={
            "models_in_use": facts.used,
            "compared_with": dict(facts.peers),
            "findings": [
                {"kind": one.kind, "model": one.name, "found": one.text, "remedy": one.remedy}
                for one in facts.findings
            ],
        },
    )


# --- update


class PriceUpdate(NamedTuple):
    """What taking newer prices changes: from where, to where, and whether it was done."""

    source: str
    target: str
    changes: Sequence[Change]
    written: bool


def price_update_report(facts: PriceUpdate) -> Report:
    """Return the difference that newer prices make, before or after they are taken."""
    columns = (
        Column("model", "Model"),
        Column("kind", "Is"),
        Column("before", "Was"),
        Column("after", "Is now"),
    )
    rows = tuple(_change(change) for change in facts.changes[:SHOWN])
    notes = []
    if len(facts.changes) > SHOWN:
        notes.append(Note(f"{len(facts.changes) - SHOWN:,} more; --json has them all."))
    if facts.changes and not facts.written:
        notes.append(Note("Nothing was changed yet: add --yes to take them."))
    if facts.written:
        notes.append(
            Note("Calls that are recorded keep their price; cost-dashboard reprice --all corrects them.")
        )
    count = plural(len(facts.changes), "price changes", "prices change")
    return Report(
        title=count if facts.changes else "No price changes",
        subtitle=f"{facts.source} into {facts.target}",
        tables=(Table("Difference", columns, rows),) if rows else (),
        notes=tuple(notes),
        data={
            "source": facts.source,
            "target": facts.target,
            "written": facts.written,
            "changes": [
                {"kind": c.kind, "model": c.name, "before": list(c.before), "after": list(c.after)}
                for c in facts.changes
            ],
        },
    )


def _change(change: Change) -> Row:
    before = [line for line in change.before if line not in change.after]
    after = [line for line in change.after if line not in change.before]
    return (change.name, change.kind, "; ".join(before), "; ".join(after))
