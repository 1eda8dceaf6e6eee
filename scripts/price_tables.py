"""Make ``data/prices/agreed.json``: the prices on which two independent tables agree, where we have none.

A model is taken where litellm's table and another (models.dev, or what genai-prices answers) state the same
rates for input and output (or the one unit that both have), and neither contradicts the other in a rate
that both state; a rate that one of them alone states is taken from it. So is a row that litellm copied from
a provider's own machine-readable price list, and one at the price that the provider's page states for the
size of the model. A dated or decorated name is taken as another spelling where litellm's row for it is, rate
by rate, the price that we have for the plain name.

    python scripts/price_tables.py --models-dev FOLDER [--model-prices FILE] [--check]

``FOLDER`` is a checkout of models.dev (or a folder with its ``providers``), ``FILE`` the snapshot of the
package model-prices, which dates what models.dev says. litellm has to be installed.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
import tomllib
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, NamedTuple

from shared.costs.memory import Memory
from shared.costs.pricing.catalogue import Catalogue
from shared.costs.pricing.genai import GenaiPrices
from shared.costs.pricing.names import normalize_service, rule_of_service, spellings, without_version
from shared.costs.pricing.offers import Quote
from shared.costs.pricing.peers import DEV_PROVIDERS, Peer, PeerPrice, installed_peers, read_models_dev
from shared.costs.pricing.rates import UNITS, Price, Rate, Rates
from shared.costs.pricing.sources import TABLE, own_book
from shared.costs.shipped import DATA

NOW = datetime(2026, 11, 28, 12, tzinfo=UTC)
TARGET = Path(str(TABLE))
TOOLS = frozenset({"web_searches", "maps_searches", "containers", "requests"})
"""Parts that the tables state for some models and the price files for all of a service."""

PAGES = {
    "ai21": "https://www.ai21.com/pricing/",
    "anthropic": "https://platform.claude.com/docs/en/about-claude/pricing",
    "aws": "https://aws.amazon.com/bedrock/pricing/",
    "azure": "https://azure.microsoft.com/en-us/pricing/details/ai-foundry-models/",
    "cerebras": "https://www.cerebras.ai/pricing",
    "cohere": "https://cohere.com/pricing",
    "dashscope": "https://www.alibabacloud.com/help/en/model-studio/model-pricing",
    "deepinfra": "https://deepinfra.com/pricing",
    "deepseek": "https://api-docs.deepseek.com/quick_start/pricing",
    "fireworks": "https://fireworks.ai/pricing",
    "google": "https://ai.google.dev/gemini-api/docs/pricing",
    "groq": "https://groq.com/pricing",
    "minimax": "https://platform.minimax.io/docs/guides/pricing",
    "mistral": "https://mistral.ai/pricing",
    "moonshotai": "https://platform.moonshot.ai/docs/pricing/chat",
    "nebius": "https://nebius.com/token-factory/prices",
    "novita": "https://novita.ai/pricing",
    "openai": "https://developers.openai.com/api/docs/pricing",
    "openrouter": "https://openrouter.ai/models",
    "perplexity": "https://docs.perplexity.ai/getting-started/pricing",
    "together": "https://www.together.ai/pricing",
    "vertex": "https://cloud.google.com/vertex-ai/generative-ai/pricing",
    "voyageai": "https://docs.voyageai.com/docs/pricing",
    "x-ai": "https://docs.x.ai/docs/models",
    "zai": "https://docs.z.ai/guides/overview/pricing",
}


SELLERS = Path(str(DATA)) / "sellers.json"

RESELLERS = frozenset(
    {"azure", "vertex", "aws", "openrouter", "github-copilot", "cursor", "databricks", "perplexity"}
)
"""Services that sell others' models: a maker's name for its model is not theirs."""


HOSTS = frozenset(
    {
        "ovhcloud",
        "cerebras",
        "nebius",
        "sambanova",
        "novita",
        "deepinfra",
        "cloudflare",
        "baseten",
        "whisperx",
    }
    | {"quicksilverpro", "avian", "typesafe", "doubleword", "ideogram"}
)
MACHINES = frozenset({"modal", "huggingface", "lambda-labs", "runpod"})
OPEN = re.compile(
    r"(code|meta-)?(llama|gemma|qwen|bge|mixtral|phi|yi-|olmo|nemotron|falcon|dbrx|starcoder|gpt-oss|whisper"
    r"|medlm|sd3|seedance|veo3|hailuo)"
)
"""Weights that anybody can run: who sells one of them says nothing about who ran it."""


ESTIMATED: Final = ("2025-01-01", "2026-01-01")
"""From when on a price is taken to hold where no table says it; the row says so."""


class Row(NamedTuple):
    """What the second table says about a model: its price, from when on, and which table that is."""

    price: PeerPrice
    since: str
    by: str


def main() -> int:
    """Write the file, or with ``--check`` return 1 when it is not what the tables give."""
    options = _options()
    catalogue = _catalogue()
    litellm = next(peer for peer in installed_peers() if peer.name == "litellm")
    second = _second(options.models_dev, options.model_prices)
    table = {
        "checked": f"{NOW:%Y-%m-%d}",
        "pages": PAGES,
        "models": dict(sorted(_agreed(catalogue, litellm, second))),
        "aliases": dict(sorted(_spelled(catalogue, litellm))),
    }
    text = _written(table)
    if options.check:
        return int(text != TARGET.read_text("utf-8"))
    TARGET.write_text(text, "utf-8")
    print(f"{len(table['models'])} models and {len(table['aliases'])} spellings written to {TARGET}")
    alone = _sold_by_one(Catalogue.load(), litellm)
    rows = ",\n".join(f"{json.dumps(name)}: {json.dumps(service)}" for name, service in alone.items())
    SELLERS.write_text(f"{{\n{rows}\n}}\n", "utf-8")
    print(f"{len(alone)} names that one service alone sells written to {SELLERS}")
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--models-dev", type=Path, required=True, help="a checkout of models.dev")
    parser.add_argument("--model-prices", type=Path, help="snapshot.json of the package model-prices")
    parser.add_argument("--check", action="store_true", help="compare with the file instead of writing it")
    return parser.parse_args()


def _catalogue() -> Catalogue:
    """Return the catalogue without the table that is to be made."""
    memory = Memory(None)
    return Catalogue(own_book(memory, table=False), None, GenaiPrices(memory))


def _written(table: Mapping[str, Any]) -> str:
    """Return the table as JSON with one row a line, so that a change of one price is one line."""
    lines = [f'"checked": {json.dumps(table["checked"])}']
    for key in ("pages", "models", "aliases"):
        rows = ",\n".join(f"{json.dumps(name)}: {json.dumps(row)}" for name, row in table[key].items())
        lines.append(f'"{key}": {{\n{rows}\n}}')
    return "{" + ",\n".join(lines) + "}\n"


# --- what two tables agree on


def _agreed(
    catalogue: Catalogue, litellm: Peer, second: Mapping[str, Row]
) -> Iterator[tuple[str, dict[str, Any]]]:
    for name, key in litellm.known.items():
        service, _, model = name.partition("/")
        first, other = litellm.read(litellm.table[key]), _found(second, service, model)
        if service not in PAGES or first is None or _is_priced(catalogue, name, service, model):
            continue
        others = [other] if other is not None else []
        others += _answers(catalogue, service, model) + _copies(litellm.table[key], first)
        for one in others:
            if merged := _merged(first, one.price):
                row: dict[str, Any] = {"since": one.since}
                if one.since in ESTIMATED:
                    row["since_estimated"] = True
                row["by"] = f"litellm {litellm.version}, {one.by}"
                yield name, row | merged
                break


def _answers(catalogue: Catalogue, service: str, model: str) -> list[Row]:
    """Return what genai-prices answers for a name, the maker's price for another seller too."""
    genai = catalogue.genai
    answers = [genai.answer(service, name) for name in spellings(service, model).names] if genai else []
    maker, slash, rest = model.partition("/")
    if slash and genai and (known := normalize_service(maker)) != service:
        answers.append(genai.answer(known, rest))
    for answer in answers:
        price = answer.at(NOW) if answer is not None else None
        if genai and price is not None and price.rates:
            return [Row(PeerPrice(price.rates, price.above), ESTIMATED[0], f"genai-prices {genai.version}")]
    return []


LISTS = (
    "https://prices.azure.com/api/retail/prices",
    "https://pricing.us-east-1.amazonaws.com/",
    "https://b0.p.awsstatic.com/pricing/",
    "https://api.x.ai/v1/language-models",
    "https://api.together.ai/v1/models",
    "https://api.fireworks.ai/",
    "https://api.deepinfra.com/",
)
"""Price lists that providers publish for programs, from which litellm copies rows."""


def _copies(row: Mapping[str, Any], price: PeerPrice) -> list[Row]:
    source = str(row.get("source", ""))
    found = next((place for place in LISTS if source.startswith(place)), None)
    return [Row(price, ESTIMATED[1], f"copied from {found}")] if found else []


def _found(second: Mapping[str, Row], service: str, model: str) -> Row | None:
    names = spellings(service, model).names
    return next((row for name in names if (row := second.get(f"{service}/{name}")) is not None), None)


def _is_priced(catalogue: Catalogue, name: str, service: str, model: str) -> bool:
    """Whether a name has a price of ours, and not only that of another region."""
    quote = catalogue.quote(service, model, NOW)
    if not isinstance(quote, Quote):
        return False
    region = spellings(service, model).region
    return not (service == "aws" and region and quote.priced_by.unverified and quote.priced_by.model != name)


def _merged(first: PeerPrice, other: PeerPrice) -> dict[str, Any] | None:
    """Return one price of two that agree, in USD; ``None`` where they do not, or state nothing in common."""
    common = {part for part in first.rates if part in other.rates} - TOOLS
    if "audio_seconds" in first.rates or "images" in first.rates or "video_seconds" in first.rates:
        return None  # priced by hand: their increments stand in no table
    main = {
        part for part in ("input", "output") if _positive(first.rates, part) or _positive(other.rates, part)
    }
    apart = {part for part in common if not _alike(first.rates[part], other.rates[part])}
    if not main or not main <= common or apart & main:
        return None
    rates = {part: rate for part, rate in {**other.rates, **first.rates}.items() if part not in apart}
    found: dict[str, Any] = {"usd": _usd(rates)}
    if apart:
        found["unknown"] = sorted(apart)  # billed at a rate on which the two do not agree
        return found
    if first.above and (not other.above or first.above[0][0] == other.above[0][0]):
        found["above"] = {str(size): _usd(rates) for size, rates in first.above}
    elif other.above:
        found["above"] = {str(size): _usd({**first.rates, **rates}) for size, rates in other.above}
    if tiers := {tier: _usd(rates) for tier, rates in first.tiers.items() if {"input"} <= rates.keys()}:
        found["tiers"] = tiers
    return found


def _positive(rates: Rates, part: str) -> bool:
    return part in rates and rates[part].nanos > 0


def _alike(one: Rate, other: Rate) -> bool:
    return abs(one.nanos * other.units - other.nanos * one.units) * 10_000 <= one.nanos * other.units


def _usd(rates: Rates) -> dict[str, str]:
    order = list(UNITS)
    positive = {
        part: rate for part, rate in rates.items() if part not in TOOLS and (rate.nanos or part != "output")
    }
    return {part: positive[part].usd_per(UNITS[part].per) for part in sorted(positive, key=order.index)}


# --- names that say who sells them


def _sold_by_one(catalogue: Catalogue, litellm: Peer) -> dict[str, str]:
    """Return the names that one service alone sells, where no rule of names tells; local engines too."""
    sold: dict[str, set[str]] = {}
    genai = catalogue.genai
    listed = [prices.name for prices in genai.everything()] if genai else []
    for full in (*listed, *catalogue.own.names(), *litellm.known):
        service, _, name = full.lower().partition("/")
        service = normalize_service(service)
        if "/" not in name and "*" not in name and service not in RESELLERS | MACHINES and len(name) > 4:
            sold.setdefault(name, set()).add(service)
    engines = {name: "local" for name in catalogue.own.local_services if "-" in name or "." in name}
    alone = {name: next(iter(services)) for name, services in sold.items() if len(services) == 1}
    known = {name: service for name, service in alone.items() if _says_nothing(name) and service not in HOSTS}
    return dict(sorted({**known, **engines}.items()))


def _says_nothing(name: str) -> bool:
    """Whether no rule of names tells who sells a model, and its weights are not anybody's to run."""
    own = name.endswith(("-versatile", "-instant", "-specdec", "-tool-use-preview"))
    return rule_of_service(name) is None and (own or not OPEN.match(name)) and bool(re.search(r"[0-9]", name))


# --- other spellings of what has a price


def _spelled(catalogue: Catalogue, litellm: Peer) -> Iterator[tuple[str, str]]:
    for name, key in litellm.known.items():
        service, _, model = name.partition("/")
        price = litellm.read(litellm.table[key])
        if price is None or _is_priced(catalogue, name, service, model) or spellings(service, model).region:
            continue
        for plain in _plainer(service, model):
            quote = catalogue.quote(service, plain, NOW)
            if isinstance(quote, Quote) and _is_price(price, quote.price):
                yield name, f"{service}/{plain}"
                break


def _plainer(service: str, model: str) -> Iterator[str]:
    """Yield names with fewer version marks, and of Bedrock's without the profile's region."""
    names = list(spellings(service, model).names)
    if service == "aws" and (match := re.fullmatch(r"(?:apac|au|ca|eu|jp|us)\.(.+)", model)):
        names.append(match[1])
        yield match[1]
    for name in names:
        shorter: str | None = name
        while shorter is not None and (shorter := without_version(shorter)) is not None:
            yield shorter


def _is_price(theirs: PeerPrice, ours: Price) -> bool:
    """Whether every rate of a row is ours, and the row says what the price's main rates are."""
    stated = {part: rate for part, rate in theirs.rates.items() if part not in TOOLS and rate.nanos}
    main = {part for part in ("input", "output", "audio_seconds", "characters") if part in ours.rates}
    return (
        bool(main)
        and main <= stated.keys()
        and all(part in ours.rates and _alike(rate, ours.rates[part]) for part, rate in stated.items())
    )


# --- the second table


def _second(folder: Path, snapshot: Path | None) -> dict[str, Row]:
    """Return what models.dev says, by ``provider/model`` in our words: the newest statement of each."""
    rows = dict(_of_package()) | dict(_of_checkout(folder))
    if snapshot is not None:
        rows |= dict(_of_snapshot(json.loads(snapshot.read_bytes())))
    return rows


def _of_package() -> Iterator[tuple[str, Row]]:
    """Yield the rows of the package models-dev, where it is installed: it has models removed since."""
    for peer in (peer for peer in installed_peers() if peer.name == "models-dev"):
        for name, key in peer.known.items():
            price = peer.read(peer.table[key])
            if price is not None:
                since = _day(str(peer.table[key].get("release_date", "")) or ESTIMATED[0])
                yield name, Row(price, since, f"{peer.name} {peer.version}")


def _of_checkout(folder: Path) -> Iterator[tuple[str, Row]]:
    for provider, service in DEV_PROVIDERS.items():
        for path in sorted((folder / "providers" / provider / "models").rglob("*.toml")):
            if not path.exists():
                continue  # a link to a file that is no longer there
            row = tomllib.loads(path.read_text("utf-8"))
            model = path.relative_to(folder / "providers" / provider / "models").with_suffix("").as_posix()
            base = row.get("base_model")
            if base and (parent := folder / "models" / f"{base}.toml").exists():
                row = {**tomllib.loads(parent.read_text("utf-8")), **row}
            price = read_models_dev(row)
            since = str(row.get("release_date", "")) or ESTIMATED[0]
            if price is not None:
                yield f"{service}/{model.lower()}", Row(price, _day(since), "models.dev of 2026-07-02")


def _of_snapshot(snapshot: Mapping[str, Any]) -> Iterator[tuple[str, Row]]:
    for provider, models in snapshot["prices"].items():
        service = DEV_PROVIDERS.get(provider)
        for model, tiers in models.items() if service else ():
            dated = [one["rates"] for one in tiers.get("standard", ()) if one["rates"]]
            if dated and (price := read_models_dev({"cost": _as_cost(dated[-1])})) is not None:
                since = str(dated[0]["valid_from"])[:10]
                yield f"{service}/{model.lower()}", Row(price, since, "models.dev of 2026-10-23")


def _as_cost(rates: Mapping[str, Any]) -> dict[str, Any]:
    cost = {key: value for key, value in rates.items() if key != "tiers"}
    for tier in rates.get("tiers", ()):
        if tier["above"] == 200_000:
            cost["context_over_200k"] = tier
    return cost


def _day(text: str) -> str:
    """Return a date of which the day, or the month, may be missing."""
    parts = [*text.split("-"), "01", "01"][:3]
    return "-".join(parts)


if __name__ == "__main__":
    sys.exit(main())
