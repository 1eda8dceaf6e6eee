"""How complete prices are: for which models all billed units have a price, some of them, or none. Pure.

A model in the ledgers is checked for the units that its calls used. A model that nobody used yet is checked
for the units that any price table on this machine says it bills.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Final, NamedTuple

from ..model import CostState, Unpriced, Usage
from ..units import FRACTIONAL_FIELDS
from .catalogue import Catalogue
from .peers import Peer
from .rates import UNITS, Price

_MAIN: Final = frozenset(
    {
        *(
            "input",
            "output",
            "audio_seconds",
            "characters",
            "pages",
            "images",
            "video_seconds",
            "search_units",
        ),
    }
)
"""The main parts of prices. A missing fee besides them does not make a model partial."""


class UsedUnits(NamedTuple):
    """A model in the ledgers: how many calls it has, and which counts of ``Usage`` any of them used."""

    service: str
    model: str
    calls: int
    counts: frozenset[str]
    service_tier: str | None = None


class Coverage(NamedTuple):
    """Whether a model's price is whole, partial or unknown; ``missing`` are the counts without a price."""

    name: str
    state: CostState
    missing: tuple[str, ...] = ()
    calls: int = 0


def of_used(catalogue: Catalogue, used: Iterable[UsedUnits], now: datetime) -> list[Coverage]:
    """Return how much of what the ledgers' calls used has a price today, the least covered models first."""
    coverage = []
    for units in used:
        name = catalogue.name(units.service, units.model)
        charge = catalogue.charge(units.service, units.model, _usage(units.counts), now, units.service_tier)
        if isinstance(charge, Unpriced):
            coverage.append(Coverage(name, "unknown", tuple(sorted(units.counts)), units.calls))
        else:
            state: CostState = "partial" if charge.missing else "whole"
            coverage.append(Coverage(name, state, tuple(sorted(charge.missing)), units.calls))
    order: Mapping[CostState, int] = {"unknown": 0, "partial": 1, "whole": 2}
    return sorted(coverage, key=lambda units: (order[units.state], -units.calls, units.name))


def _usage(counts: frozenset[str]) -> Usage:
    """Return a usage with a little of each count; subsets are smaller than what includes them."""
    whole = {"tokens_input", "tokens_output"}
    values: dict[str, int | float] = {
        name: 60.0 if name in FRACTIONAL_FIELDS else 100 if name in whole else 1 for name in counts
    }
    return Usage(**values)  # type: ignore[arg-type]  # names and kinds of counts are those of Usage


def of_known(catalogue: Catalogue, now: datetime, peers: Sequence[Peer] = ()) -> list[Coverage]:
    """Return how complete today's prices are for every model that a source on this machine knows, by name.

    Imports ``genai-prices`` and takes some seconds. Nothing that is looked up here is remembered.
    """
    fresh = catalogue.forgetful()
    listed = {prices.name: prices for prices in fresh.genai.everything()} if fresh.genai else {}
    names = dict.fromkeys([*catalogue.models(), *listed])
    for peer in peers:
        names |= dict.fromkeys(name for name in peer.names() if _has_price(peer, name))
    return [
        Coverage(name, "whole")
        if (prices := listed.get(name)) is not None
        and prices.at(now) is not None
        and not _is_listed(peers, name)
        else of_name(fresh, name, now, peers)
        for name in sorted(names)
    ]


def _is_listed(peers: Sequence[Peer], name: str) -> bool:
    """Whether any other table has a row for a model."""
    return any(name in peer.known for peer in peers)


def _has_price(peer: Peer, name: str) -> bool:
    service, _, model = name.partition("/")
    return peer.price(service, model) is not None


def of_name(catalogue: Catalogue, name: str, now: datetime, peers: Sequence[Peer] = ()) -> Coverage:
    """Return whether every unit that a model called ``provider/model`` is billed by has a price."""
    service, _, model = name.partition("/")
    quote = catalogue.quote(service, model, now)
    if isinstance(quote, Unpriced):
        return Coverage(name, "unknown")
    missing = sorted(
        {UNITS[part].field for part in _billed(peers, service, model) if _lacks(quote.price, part)}
    )
    return Coverage(name, "partial" if missing else "whole", tuple(missing))


def _billed(peers: Sequence[Peer], service: str, model: str) -> Iterator[str]:
    for peer in peers:
        rates = peer.rates(service, model) or {}
        # A table that states tokens and seconds states an estimate; zero is what it does not know.
        positive = {part for part, rate in rates.items() if rate.nanos} & _MAIN
        yield from positive & {"input", "output"} or positive


def _lacks(price: Price, part: str) -> bool:
    return not price.free and part not in price.rates and part not in price.included


def counted(coverage: Iterable[Coverage]) -> dict[str, Counter[CostState]]:
    """Return how many models of each service are in each state, the services with most models first."""
    counts: dict[str, Counter[CostState]] = {}
    for model in coverage:
        counts.setdefault(model.name.partition("/")[0], Counter())[model.state] += 1
    return dict(sorted(counts.items(), key=lambda item: (-item[1].total(), item[0])))
