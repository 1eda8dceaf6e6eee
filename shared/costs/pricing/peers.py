"""Other price tables on this machine, to compare with: litellm's and tokencost's, read as plain files.

Importing those packages costs seconds and litellm asks the network for prices; their tables are
JSON files beside them, so neither is imported.
"""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

from .rates import Rate, Rates

_TABLES: Final = {
    "litellm": ("litellm", "model_prices_and_context_window_backup.json"),
    "tokencost": ("tokencost", "model_prices.json"),
}
_COSTS: Final = {
    "input": ("input_cost_per_token", 1),
    "cached": ("cache_read_input_token_cost", 1),
    "cache_write": ("cache_creation_input_token_cost", 1),
    "cache_write_1h": ("cache_creation_input_token_cost_above_1hr", 1),
    "audio_input": ("input_cost_per_audio_token", 1),
    "output": ("output_cost_per_token", 1),
    "reasoning": ("output_cost_per_reasoning_token", 1),
    "audio_output": ("output_cost_per_audio_token", 1),
    # Some tables give a transcription's rate for input and for output; adding both would double it.
    "audio_seconds": ("input_cost_per_second", 1_000_000),
    "characters": ("input_cost_per_character", 1),
    "pages": ("ocr_cost_per_page", 1),
}
_PROVIDERS: Final[Mapping[str, tuple[str, ...]]] = {
    "openai": ("openai", "text-completion-openai"),
    "anthropic": ("anthropic",),
    "google": ("gemini", "vertex_ai-language-models"),
    "azure": ("azure",),
    "mistral": ("mistral",),
    "groq": ("groq",),
    "deepseek": ("deepseek",),
    "cohere": ("cohere", "cohere_chat"),
    "x-ai": ("xai",),
    "openrouter": ("openrouter",),
    "together": ("together_ai",),
    "fireworks": ("fireworks_ai",),
    "perplexity": ("perplexity",),
    "voyageai": ("voyage",),
    "cerebras": ("cerebras",),
}


@dataclass(frozen=True, slots=True)
class Peer:
    """A price table of another tool. Its prices have no dates: they are those of its release."""

    name: str
    version: str
    table: Mapping[str, Any]

    def rates(self, service: str, model: str) -> Rates | None:
        """Return the rates for a model of a provider, or ``None`` when the table has none."""
        key = self.key(service, model)
        return _rates(self.table[key]) if key is not None else None

    def key(self, service: str, model: str) -> str | None:
        """Return the name under which the table has a model of a provider."""
        providers = _PROVIDERS.get(service, ())
        for key in (model, *(f"{provider}/{model}" for provider in providers)):
            row = self.table.get(key)
            if isinstance(row, dict) and row.get("litellm_provider") in providers:
                return key
        return None

    def names(self) -> Iterator[str]:
        """Yield all models whose provider is known here, as ``provider/model`` in our words."""
        ours = {theirs: service for service, several in _PROVIDERS.items() for theirs in several}
        for key, row in self.table.items():
            stated = row.get("litellm_provider") if isinstance(row, dict) else None
            if stated in ours:
                yield f"{ours[stated]}/{key.removeprefix(f'{stated}/')}"


def installed_peers() -> list[Peer]:
    """Return the price tables that are on ``sys.path``; none of their packages is imported."""
    return [peer for name in _TABLES if (peer := _load(name))]


def _load(name: str) -> Peer | None:
    package, file = _TABLES[name]
    for folder in sys.path:
        path = Path(folder or ".") / package / file
        try:
            table = json.loads(path.read_bytes())
        except (OSError, ValueError):
            continue  # not in this folder, or not a table: the next folder may have it
        if isinstance(table, dict):
            return Peer(name, _version(folder, package), table)
    return None


def _version(folder: str, package: str) -> str:
    for entry in os.listdir(folder or "."):
        if found := re.fullmatch(rf"{package}-(.+)\.dist-info", entry):
            return found[1]
    return "unknown"


def _rates(row: Mapping[str, Any]) -> Rates | None:
    rates = {}
    for part, (key, units) in _COSTS.items():
        usd = row.get(key)
        if isinstance(usd, (int, float)) and not isinstance(usd, bool) and usd >= 0:
            rates[part] = Rate.of(Decimal(repr(usd)), units)
    return rates or None
