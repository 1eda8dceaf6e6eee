"""Compare our prices with what genai-prices, litellm and tokencost answer, model by model.

For every model that all installed peers know, random usages are put to each of them. Where the
peers agree with each other, we must agree with them to the nano-dollar; every model where we do not
is listed with the reason that ``price_differences.yaml`` beside this program gives. genai-prices
always takes part, the others where they are installed.

    python scripts/price_agreement.py [--usages 1000] [--peers PEER ...] [--json]
"""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import json
import os
import random
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from price_coverage import read_reasons, reason_of

from shared.costs.model import Charge, Unpriced, Usage
from shared.costs.money import NANOS_PER_USD
from shared.costs.pricing.catalogue import Catalogue
from shared.costs.pricing.offers import Quote
from shared.costs.pricing.peers import installed_peers

NOW = datetime.now(UTC).replace(hour=12, minute=0)
"""Outside of DeepSeek's peak hours: genai-prices counts them on Saturdays and Sundays too."""
SEED = 20261122

Ask = Callable[[str, str, int, int], Decimal | None]
"""Answers what a call costs in nano-dollars: provider, model, input and output tokens."""


@dataclass
class Agreement:
    """What the comparison found. ``differing`` maps a model to one case and the reason.

    ``refused`` maps a model that is unpriced for a known reason to that reason. ``unexplained`` are the
    models that differ, or are unpriced, without a reason.
    """

    peers: list[str]
    models: int = 0
    alike: int = 0
    usages: int = 0
    unlike: list[str] = field(default_factory=list)
    unpriced: list[str] = field(default_factory=list)
    differing: dict[str, str] = field(default_factory=dict)
    refused: dict[str, str] = field(default_factory=dict)
    unexplained: list[str] = field(default_factory=list)


def main() -> int:
    """Compare, print, and return 1 when there is a difference without a reason."""
    options = _options()
    found = compare(options.usages, options.peers)
    if options.json:
        print(json.dumps(asdict(found), indent=1))
    else:
        _show(found)
    return int(bool(found.unexplained))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--usages", type=int, default=1_000, help="random usages for each model")
    parser.add_argument(
        "--peers", nargs="+", default=[], choices=PEERS, help="without it: all that are installed"
    )
    parser.add_argument("--json", action="store_true")
    return parser.parse_args()


def compare(usages: int, named: Sequence[str] = ()) -> Agreement:
    """Put ``usages`` random usages of every model that all peers know to all of them and to us."""
    peers = _peers(named)
    catalogue, dice = Catalogue.load(), random.Random(SEED)
    found, reasons = Agreement(list(peers)), read_reasons()
    for provider, model in _models(set(peers)):
        name = f"{provider}/{model}"
        unpriced = _compare_model(name, peers, catalogue, _usages(dice, usages), found)
        reason = reason_of(name, reasons)
        if reason is None and (unpriced or name in found.differing):
            found.unexplained.append(name)
        if name in found.differing:
            found.differing[name] += f": {reason or 'no reason is known'}"
        if unpriced and reason is not None:
            found.refused[name] = reason
        elif unpriced:
            found.unpriced.append(f"{name}: {unpriced.reason}")
    return found


def _compare_model(
    name: str, peers: dict[str, Ask], catalogue: Catalogue, usages: list[tuple[int, int]], found: Agreement
) -> Unpriced | None:
    """Compare one model; return why we have no price of it, where its peers agree on one."""
    provider, _, model = name.partition("/")
    if any(ask(provider, model, 1_000, 1_000) is None for ask in peers.values()):
        return None
    found.models += 1
    alike, unlike, unpriced = 0, "", None
    quote = catalogue.quote(provider, model, NOW)
    # The peers give output that has no price, such as an embedding's, for nothing; it is never used.
    output = int(isinstance(quote, Quote) and "output" in quote.price.rates)
    for tokens_input, tokens_output in ((i or 1, o * output) for i, o in usages):
        answers = {peer: ask(provider, model, tokens_input, tokens_output) for peer, ask in peers.items()}
        theirs = next(iter(answers.values()))
        ours = catalogue.charge(provider, model, Usage(tokens_input, tokens_output), NOW)
        case = f"{tokens_input:,} in, {tokens_output:,} out: {_told(answers, ours)}"
        # A peer answers zero where it has no rate: that is no price.
        if not theirs or any(answer is None or abs(answer - theirs) > 1 for answer in answers.values()):
            unlike = unlike or case
            continue
        alike += 1
        if not isinstance(ours, Charge):
            unpriced = ours
            break
        if abs(ours.total - theirs) > 1:
            found.differing[name] = case
            break
    found.usages += alike
    found.alike += bool(alike)
    if unlike and name not in found.differing:
        found.unlike.append(f"{name} ({len(usages) - alike} of {len(usages)} usages), such as {unlike}")
    return unpriced


def _told(answers: dict[str, Decimal | None], ours: Charge | Unpriced) -> str:
    said = [f"{peer} ${answer / NANOS_PER_USD:.6f}" for peer, answer in answers.items() if answer is not None]
    if isinstance(ours, Charge):
        said.append(f"ours ${ours.total / NANOS_PER_USD:.6f} by {ours.priced_by.source}")
    return ", ".join(said)


def _usages(dice: random.Random, number: int) -> list[tuple[int, int]]:
    sizes = [(int(10 ** dice.uniform(0, 5.7)), int(10 ** dice.uniform(0, 4.5))) for _ in range(number)]
    return [*sizes[: max(0, number - 2)], (0, 1), (1, 0)][:number]


# --- the peers


def _peers(named: Sequence[str]) -> dict[str, Ask]:
    """Return those that are installed; of ``named`` ones, where any are."""
    return {
        name: make()
        for name, make in PEERS.items()
        if name in (named or PEERS) and importlib.util.find_spec(name.replace("-", "_"))
    }


def _models(peers: set[str]) -> Iterator[tuple[str, str]]:
    """Yield provider and name of each model that stands in the tables of all peers that have one.

    With genai-prices alone these are the names it has for its models.
    """
    from genai_prices.data import providers

    tables = [table for table in installed_peers() if table.name in peers]
    if not tables:
        yield from ((provider.id, model.id) for provider in providers for model in provider.models)
        return
    known = {provider.id for provider in providers}
    for name in sorted(set.intersection(*({*table.names()} for table in tables))):
        provider, _, model = name.partition("/")
        if provider in known:
            yield provider, model


def _nanos(usd: Decimal | float) -> Decimal:
    return (usd if isinstance(usd, Decimal) else Decimal(repr(usd))) * NANOS_PER_USD


def _genai() -> Ask:
    from genai_prices import Usage as TheirUsage
    from genai_prices import calc_price

    def ask(provider: str, model: str, tokens_input: int, tokens_output: int) -> Decimal | None:
        usage = TheirUsage(input_tokens=tokens_input, output_tokens=tokens_output)
        try:
            found = calc_price(usage, model, provider_id=provider, genai_request_timestamp=NOW)
        except LookupError:
            return None
        return _nanos(found.total_price)

    return ask


def _litellm() -> Ask:
    os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"  # importing it would ask the network for prices
    litellm: Any = importlib.import_module("litellm")
    table = next(peer for peer in installed_peers() if peer.name == "litellm")

    def ask(provider: str, model: str, tokens_input: int, tokens_output: int) -> Decimal | None:
        key = table.key(provider, model)
        if key is None:
            return None
        usd_in, usd_out = litellm.cost_per_token(
            model=key,
            custom_llm_provider=table.table[key]["litellm_provider"],
            prompt_tokens=tokens_input,
            completion_tokens=tokens_output,
        )
        return _nanos(usd_in) + _nanos(usd_out)

    return ask


def _tokencost() -> Ask:
    tokencost: Any = importlib.import_module("tokencost")
    table = next(peer for peer in installed_peers() if peer.name == "tokencost")

    def ask(provider: str, model: str, tokens_input: int, tokens_output: int) -> Decimal | None:
        key = table.key(provider, model)
        if key is None:
            return None
        price = tokencost.calculate_cost_by_tokens
        try:
            return _nanos(price(tokens_input, key, "input")) + _nanos(price(tokens_output, key, "output"))
        except KeyError:
            return None  # it has no price per token for this model

    return ask


def _show(found: Agreement) -> None:
    print(f"peers: {', '.join(found.peers)}")
    print(f"models that all of them price: {found.models}; priced alike: {found.alike}")
    print(f"usages compared where they agree: {found.usages:,}")
    for title, lines in (
        ("the peers differ among themselves", found.unlike),
        ("unpriced here", found.unpriced),
        ("unpriced here, for a reason", [f"{name}: {why}" for name, why in found.refused.items()]),
        ("we differ", [f"{name}: {case}" for name, case in found.differing.items()]),
    ):
        print(f"\n{title}: {len(lines)}")
        for line in lines:
            print(f"  {line}")


PEERS: Mapping[str, Callable[[], Ask]] = {
    "genai-prices": _genai,
    "litellm": _litellm,
    "tokencost": _tokencost,
}


if __name__ == "__main__":
    sys.exit(main())
