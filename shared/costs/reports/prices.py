"""``prices``: what models cost, since when and who says so; what is doubtful; what an update changes."""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Final, NamedTuple

from ..errors import CostError, WrongUsage
from ..ledger.line import decode
from ..ledger.lines import DamagedLine
from ..model import CostState, Entry
from ..pricing import update
from ..pricing.check import CatalogueFinding, UsedModel, check
from ..pricing.coverage import Coverage, UsedUnits, counted, of_known, of_used
from ..pricing.description import DatedPrice, PricedModel, RateLine, listing
from ..pricing.peers import installed_peers
from ..pricing.update import PriceChange, file_prices, merged_file
from ..replacing import replacing
from ..rollup import Query, Totals
from ..workspace import PRICES_NAME
from .common import more_note, plural
from .document import Column, Note, Report, Row, Table, Tone, derive
from .queries import named_model
from .reader import Reader

SHOWN: Final = 40
"""How many changes of an update are listed; the JSON has all of them."""

_LISTED: Final = (
    Column("model", "Model"),
    Column("input", "Input", "rate"),
    Column("cached", "Cached", "rate", rank=2),
    Column("output", "Output", "rate"),
    Column("other", "Other", wraps=True),
    Column("since", "Since", rank=3),
    Column("source", "From", rank=4),
)
_RATES: Final = (Column("per", "Per"), Column("usd", "USD", "rate"))
_IN_COLUMNS: Final = ("input", "cached", "output")
_APART: Final = frozenset({*_IN_COLUMNS, "web_searches"})
"""What the list has columns for, or leaves to ``show``."""

_SHORT: Final = {
    "cache_write": "cache write",
    "cache_write_1h": "for 1 h",
    "audio_input": "audio",
    "audio_cached": "cached audio",
    "image_input": "image",
    "audio_output": "audio out",
    "image_output": "image out",
}
"""How the list names rates per million tokens that have no column of their own."""


NEAREST = 5


class NoPrice(CostError, LookupError):
    """No source has a price for a model that was asked for."""


def listed(reader: Reader, at: datetime, wanted: str, *, everything: bool) -> list[PricedModel]:
    """Return the models with a price whose name has ``wanted`` in it."""
    return listing(reader.catalogue, at, wanted, everything=everything)


def some_listed(
    reader: Reader, at: datetime, wanted: str, first: int, most: int
) -> tuple[list[PricedModel], int]:
    """Return some of the models with ``wanted`` in their names, from the ``first`` on, and how many match.

    Only those are looked at, which is quick; all that ``genai-prices`` knows only where no known one matches.
    """
    catalogue = reader.catalogue
    names = [name for name in catalogue.models() if wanted.lower() in name.lower()]
    if not names:
        everything = listed(reader, at, wanted, everything=True)
        return everything[first : first + most], len(everything)
    described = (catalogue.describe(*named_model(name), at) for name in names[first : first + most])
    return [model for model in described if model is not None], len(names)


def shown(reader: Reader, name: str, at: datetime) -> PricedModel:
    """Return one model, named as ``provider/model`` or as calls name it.

    Raises:
        NoPrice: no source has a price for it; says which names are nearest.
    """
    described = reader.catalogue.describe(*named_model(name), at)
    if described is None:
        from difflib import get_close_matches  # only when there is nothing else to show

        near = get_close_matches(name, reader.catalogue.models(), n=NEAREST, cutoff=0.4)
        hint = f"; nearest: {', '.join(near)}" if near else ""
        raise NoPrice(f"no price for {name}{hint}; add it to {reader.prices_path or PRICES_NAME}")
    return described


def checked(reader: Reader, *, everything: bool = False) -> CheckedPrices:
    """Return what is doubtful about the prices of the models that the ledgers have, and of their sources."""
    used, peers = _used(reader), installed_peers()
    findings = check(reader.catalogue, used, reader.now, peers)
    return CheckedPrices(findings, len(used), {peer.name: peer.version for peer in peers}, everything)


def _used(reader: Reader) -> list[UsedModel]:
    reader.index.catch_up_all()
    bills = _bills(reader)
    models = []
    for group in reader.index.groups(("service", "model"), Query()):
        service, model = str(group.key[0]), str(group.key[1])
        unpriced, partial = group.totals.unpriced_calls, group.totals.partial_calls
        billed, computed = bills.get((service, model), (0, 0))
        models.append(
            UsedModel(
                service,
                model,
                group.totals.calls,
                unpriced,
                _example(reader, service, model) if unpriced else None,
                partial,
                _example(reader, service, model, partial=True) if partial else None,
                billed,
                computed,
            )
        )
    return models


def _bills(reader: Reader) -> dict[tuple[str, str], tuple[int, int]]:
    """Return what providers billed by service and model, and what our arithmetic makes of the same calls."""
    bills: dict[tuple[str, str], tuple[int, int]] = {}
    for raw in reader.index.lines(Query(), text=b'"stated@bill"'):
        with suppress(DamagedLine):
            entry = decode(raw)
            if entry.kind == "usage" and entry.catalogue_cost is not None:
                billed, computed = bills.get(key := (entry.service, entry.model), (0, 0))
                bills[key] = billed + entry.cost, computed + entry.catalogue_cost
    return bills


def _example(reader: Reader, service: str, model: str, *, partial: bool = False) -> Entry | None:
    """Return a call to a model that was logged without a price, or with the price of some of its units."""
    state = "partial" if partial else "unknown"
    entries = reader.index.entries(Query(service=service, model=model))
    return next((one for one in entries if one.kind == "usage" and one.cost_state == state), None)


def covered(reader: Reader) -> CoveredPrices:
    """Return of which models every unit has a price: of those in the ledgers, and of all that are known."""
    reader.index.catch_up_all()
    groups = reader.index.groups(("service", "model"), Query())
    used = [
        UsedUnits(str(group.key[0]), str(group.key[1]), group.totals.calls, _counts(group.totals))
        for group in groups
    ]
    catalogue, peers = reader.catalogue, installed_peers()
    known = of_known(catalogue, reader.now, peers)
    versions = {peer.name: peer.version for peer in peers}
    return CoveredPrices(of_used(catalogue, used, reader.now), known, versions)


def _counts(totals: Totals) -> frozenset[str]:
    """Return the counts of ``Usage`` that any call behind a sum used, as far as sums tell them."""
    tokens = ("tokens_input", "tokens_output", "tokens_cached", "tokens_reasoning")
    named = {name for name in tokens if getattr(totals, name)}
    named |= {"audio_seconds"} if totals.audio_microseconds else set()
    return frozenset(named | {name for name, count in totals.units.items() if count})


def updated(reader: Reader, source: Path, *, write: bool) -> PriceUpdate:
    """Return what a wheel of ``genai-prices`` or a price file changes; take it only with ``write``.

    Raises:
        UpdateFailed: the wheel cannot be read or installed.
        PriceFileError: a price file does not follow the format, or contradicts the user's own.
        WrongUsage: it is neither; or there is no place for the user's own prices yet.
    """
    if source.suffix == ".whl":
        return _from_release(reader, source, write=write)
    if source.suffix in (".yaml", ".yml"):
        return _from_file(reader, source, write=write)
    raise WrongUsage(f"{source} is neither a wheel of genai-prices (.whl) nor a price file (.yaml)")


def upgraded(reader: Reader) -> PriceUpdate:
    """Return what the installed ``genai-prices`` changes for the models that an earlier release priced here.

    Raises:
        WrongUsage: no earlier release priced anything here.
    """
    catalogue = reader.catalogue
    before, present = update.earlier_release(catalogue), update.installed_release(catalogue)
    if before is None:
        raise WrongUsage(
            f"no release before genai-prices {present.version or '(not installed)'} priced calls here: "
            "name a wheel or a price file to take"
        )
    after = {name: prices for name, prices in present.models.items() if name in before.models}
    changes = update.changes(before.models, after)
    return PriceUpdate(f"genai-prices {present.version}", f"genai-prices {before.version}", changes, True)


def _from_release(reader: Reader, wheel: Path, *, write: bool) -> PriceUpdate:
    before, after = update.installed_release(reader.catalogue), update.read_release(wheel)
    changes = update.changes(before.models, after.models)
    if write:
        update.install_release(wheel)
    target = f"genai-prices {before.version}" if before.version else "this environment"
    return PriceUpdate(f"genai-prices {after.version}", target, changes, write)


def _from_file(reader: Reader, source: Path, *, write: bool) -> PriceUpdate:
    target = reader.prices_path
    if target is None:
        raise WrongUsage(f"{PRICES_NAME} lies beside the profile, and there is none: cost-dashboard init")
    text = merged_file(source, target)
    before = file_prices(target) if target.exists() else {}
    with tempfile.TemporaryDirectory() as folder:
        draft = Path(folder) / PRICES_NAME
        draft.write_text(text, encoding="utf-8")
        changes = update.changes(before, file_prices(draft))
    if write and changes:
        with replacing(target) as draft:
            draft.write_text(text, encoding="utf-8", newline="\n")
    return PriceUpdate(str(source), str(target), changes, write)


def prices_report(models: Sequence[PricedModel], at: datetime) -> Report:
    """Return the standard price of each model that holds at an instant."""
    return Report(
        title="Prices",
        subtitle=f"USD per million tokens on {at:%Y-%m-%d}, where no other unit is named",
        tables=tuple(_by_service(models)) or (Table("Models", _LISTED, (), empty="No model matches."),),
        notes=(Note("cost-dashboard prices show MODEL has every rate, with tiers, dates and sources."),),
        data={"at": at.isoformat(), "models": [_model(model) for model in models]},
    )


def _by_service(models: Sequence[PricedModel]) -> Iterator[Table]:
    """Yield a table for each service, so that the models' names have room."""
    services: dict[str, list[Row]] = {}
    for model in models:
        service, _, name = model.name.partition("/")
        services.setdefault(service, []).append((name, *_listed(model)))
    for service, rows in services.items():
        yield Table(service, _LISTED, tuple(rows))


def _listed(model: PricedModel) -> Row:
    price = model.current
    if price is None:
        return ("no price", "", "", "", "", "")
    if model.local or not price.rates:
        return ("free", "", "free", "", _since(price), price.source)
    rates = {rate.part: rate.usd for rate in price.rates if rate.above is None}
    other = [_briefly(rate) for rate in price.rates if rate.part not in _APART and rate.above is None]
    doubt = ["not verified"] if price.unverified else []
    columns = (rates.get(part, "") for part in _IN_COLUMNS)
    return (*columns, ", ".join([*doubt, *other, *_larger(price)]), _since(price), price.source)


def _briefly(rate: RateLine) -> str:
    return f"{_SHORT[rate.part]} {rate.usd}" if rate.part in _SHORT else str(rate)


def _larger(price: DatedPrice) -> Iterator[str]:
    """Yield what input and output of requests above each size cost: ``above 128,000: 2.5 / 10``."""
    for size in dict.fromkeys(rate.above for rate in price.rates if rate.above):
        usd = {rate.part: rate.usd for rate in price.rates if rate.above == size}
        yield f"above {size:,}: {usd.get('input', '-')} / {usd.get('output', '-')}"


def _since(price: DatedPrice) -> str:
    return f"{price.since:%Y-%m-%d}" if price.since else "always"


def price_report(model: PricedModel, at: datetime) -> Report:
    """Return every rate of a model with its dates and sources, and the arithmetic of an example."""
    about = [model.kind or "", "runs on your own machine" if model.local else ""]
    notes = [Note(f"Example: {line}" if number == 0 else line) for number, line in enumerate(model.example)]
    notes += map(Note, dict.fromkeys(_origin(price) for price in model.prices if price.reference))
    if model.current and model.current.unverified:
        notes.append(Note("This price is not verified: its source is unsure of it.", "warning"))
    return Report(
        title=model.name,
        subtitle=", ".join(filter(None, [*about, f"on {at:%Y-%m-%d}"])),
        tables=tuple(_rates(price, model) for price in model.prices),
        notes=tuple(notes),
        data={"at": at.isoformat(), **_model(model), "prices": [_price(price) for price in model.prices]},
    )


def _origin(price: DatedPrice) -> str:
    """Return where a price was read, and what its source remarks on it."""
    since = f" since {price.since:%Y-%m-%d}" if price.since else ""
    tier = f", {price.tier}" if price.tier else ""
    remark = f" ({price.note.rstrip('.')})" if price.note else ""
    return f"Source, {price.source} {price.version}{since}{tier}: {price.reference}{remark}"


def _rates(price: DatedPrice, model: PricedModel) -> Table:
    """Return the rates of one price; its title tells whose it is, of which tier, since when, if it holds."""
    of = f"{price.model.partition('/')[2]}: " if price.model != model.name else ""
    hours = f", {price.when}" if price.when else ""
    since = f"since {price.since:%Y-%m-%d}" if price.since else "at any date"
    holds = ", holds" if price.current else ""
    title = f"{of}{price.tier or 'standard'} {since}{hours}, {price.source}{holds}"
    rows = tuple((_unit(rate), rate.usd) for rate in price.rates) or (("call", "0"),)
    return Table(title, _RATES, rows)


def _unit(rate: RateLine) -> str:
    return f"{rate.unit}, above {rate.above:,}" if rate.above else rate.unit


def _model(model: PricedModel) -> dict[str, object]:
    return {
        **derive(model, "model=name", "local", "class=kind"),
        "current": _price(model.current) if model.current else None,
        "example": list(model.example),
    }


def _price(price: DatedPrice) -> dict[str, object]:
    names = ("model", "source", "version", "since", "service_tier=tier")
    return {
        **derive(price, *names, "minutes_of_day=hours", "days_of_week=days"),
        "rates": [derive(rate, unit="per", above="above_input_tokens") for rate in price.rates],
        **derive(price, "reference", "unverified", "note", "holds_now=current"),
    }


# --- coverage


class CoveredPrices(NamedTuple):
    """How far prices reach: the models of the ledgers, all known ones, and the tables that know them."""

    used: Sequence[Coverage]
    known: Sequence[Coverage]
    peers: Mapping[str, str]


_STATES: Final[tuple[CostState, ...]] = ("whole", "partial", "unknown")


def coverage_report(facts: CoveredPrices) -> Report:
    """Return of which models every unit has a price, some have, or none has."""
    sums = Counter(one.state for one in facts.used)
    services = counted(facts.known)
    used = Table.of(
        "Models of your ledgers",
        facts.used,
        (Column("model", "Model"), lambda one: one.name),
        (Column("state", "Price"), lambda one: one.state),
        (Column("calls", "Calls", "count"), lambda one: one.calls),
        (Column("missing", "Without a price", rank=1, wraps=True), lambda one: ", ".join(one.missing)),
        empty="There are no calls yet.",
    )
    known = Table(
        f"{plural(len(facts.known), 'known model', 'known models')}, by service",
        (Column("service", "Service"), *(Column(state, state.title(), "count") for state in _STATES)),
        tuple((service, *(count[state] for state in _STATES)) for service, count in services.items()),
    )
    others = ", ".join(f"{name} {version}" for name, version in facts.peers.items())
    told = ", ".join(f"{sums[state]} {state}" for state in _STATES)
    return Report(
        title=f"Prices of {plural(len(facts.used), 'model in use', 'models in use')}: {told}",
        tables=(used, known),
        notes=(
            Note(f"Known from the catalogue, genai-prices and {others}." if others else _ALONE),
            Note(
                "Unknown is no price at all; partial is a unit without one. See cost-dashboard prices show."
            ),
        ),
        data={
            "used": [_covered(one) for one in facts.used],
            "known": {
                "models": len(facts.known),
                "states": _by_state(sum(services.values(), Counter[CostState]())),
                "by_service": {service: _by_state(count) for service, count in services.items()},
                "not_whole": [_covered(one) for one in facts.known if one.state != "whole"],
            },
            "tables": dict(facts.peers),
        },
    )


_ALONE: Final = "Known from the catalogue and genai-prices: no other price table is installed."


def _by_state(count: Counter[CostState]) -> dict[str, int]:
    return {state: count[state] for state in _STATES}


def _covered(one: Coverage) -> dict[str, object]:
    return derive(one, "model=name", "state", "missing", "calls")


# --- check

_MISSING: Final = frozenset({"unpriced", "partial", "repriceable"})
"""The findings that say that money is missing from the sums."""


class CheckedPrices(NamedTuple):
    """What was found about prices, how many models are in use, and what was compared with.

    ``everything`` tells that findings about models that no ledger has are shown, too.
    """

    findings: Sequence[CatalogueFinding]
    used: int
    peers: Mapping[str, str]
    everything: bool = False

    @property
    def exit_code(self) -> int:
        """1 when calls have no price."""
        return int(any(finding.kind in _MISSING for finding in self.findings))


def checked_prices_report(facts: CheckedPrices) -> Report:
    """Return what is doubtful about prices, each with what to do."""
    shown = [one for one in facts.findings if one.in_use or facts.everything]
    count = len(shown)
    fine = "no findings" + (" about the models in use" if facts.findings else "")
    others = ", ".join(f"{name} {version}" for name, version in facts.peers.items())
    compared = f"Compared with {others}." if others else "No other price table is installed to compare with."
    return Report(
        title=f"Prices: {plural(count, 'finding', 'findings') if count else fine}",
        subtitle=plural(facts.used, "model in use", "models in use"),
        notes=(*map(_finding, shown), *_others(len(facts.findings) - count), Note(compared)),
        data={
            "models_in_use": facts.used,
            "compared_with": dict(facts.peers),
            "findings": [derive(one, name="model", text="found") for one in facts.findings],
        },
    )


_EVERYTHING: Final = "cost-dashboard prices check --everything"


def _others(count: int) -> Iterator[Note]:
    if count:
        others = plural(count, "finding is", "findings are")
        yield Note(f"{others} about models that you do not use: {_EVERYTHING}.", remedy=_EVERYTHING)


def _finding(one: CatalogueFinding) -> Note:
    """Return a finding in whole sentences: a table would cut off what it is about."""
    tone: Tone = "warning" if one.kind in _MISSING else "plain"
    return Note(f"{one.kind}: {one.name}: {one.text}. {one.remedy[:1].upper()}{one.remedy[1:]}.", tone)


# --- update


class PriceUpdate(NamedTuple):
    """What taking newer prices changes: from where, to where, and whether it was done."""

    source: str
    target: str
    changes: Sequence[PriceChange]
    written: bool


def price_update_report(facts: PriceUpdate) -> Report:
    """Return the difference that newer prices make, before or after they are taken."""
    notes = [Note(_change(change)) for change in facts.changes[:SHOWN]]
    notes += more_note(len(facts.changes) - SHOWN)
    if facts.changes and not facts.written:
        notes.append(Note("Nothing was changed yet: add --yes to apply them."))
    if facts.changes and facts.written:
        notes.append(Note("Recorded calls keep their price; cost-dashboard reprice --all corrects them."))
    count = plural(len(facts.changes), "price changes", "prices change")
    return Report(
        title=count if facts.changes else "No price changes",
        subtitle=f"{facts.source} into {facts.target}",
        notes=tuple(notes),
        data={
            **derive(facts, "source", "target", "written"),
            "changes": [derive(change, name="model") for change in facts.changes],
        },
    )


def _change(change: PriceChange) -> str:
    """Return a change in whole sentences: what it was, and what it is now."""
    before = "; ".join(line for line in change.before if line not in change.after)
    after = "; ".join(line for line in change.after if line not in change.before)
    was = f"was {before}" if before else ""
    now = f"{'now ' if before else ''}{after}" if after else ""
    return f"{change.kind} {change.name}: {' -> '.join(filter(None, (was, now)))}"
