"""The machine-made part of the catalogue: prices on which two independent tables agree, and dated spellings.

``data/prices/agreed.json`` is made by ``scripts/price_tables.py`` from other tools' tables and reviewed
before it is committed. A row counts only where no price file of the project has the model.

.. code-block:: json

    {"checked": "2026-11-28",
     "pages": {"aws": "https://aws.amazon.com/bedrock/pricing/"},
     "models": {"aws/cohere.embed-english-v3": {"since": "2023-11-01", "by": "litellm 1.110.2, models.dev",
                                                "usd": {"input": "0.1"}}},
     "aliases": {"openai/gpt-4o-mini-tts-2025-12-15": "openai/gpt-4o-mini-tts"}}

Amounts are USD for the units in which the part's rate is written (a million tokens, a minute of audio).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from .rates import SINCE_ESTIMATED, UNITS, Price, PriceList, Rate, Rates, to_plain


def add_names(plain: dict[str, Any], content: bytes) -> None:
    """Add a table's day and its spellings of names to a book in plain form."""
    table = json.loads(content)
    plain["checked"] = min(plain["checked"] or table["checked"], table["checked"])
    for alias, name in table["aliases"].items():
        plain["aliases"].setdefault(alias, name)


@lru_cache(maxsize=1)
def models_of(content: bytes) -> Mapping[str, Any]:
    """Return the models of a table in plain form, by name: converted once, for all trackers of a process."""
    table = json.loads(content)
    pages = table["pages"]
    return {
        name: to_plain(_prices(name, row, f"{pages[name.partition('/')[0]]} ({row['by']})"))
        for name, row in table["models"].items()
    }


def _prices(name: str, row: Mapping[str, Any], source: str) -> PriceList:
    since = datetime.fromisoformat(row["since"]).replace(tzinfo=UTC)
    above = tuple((int(size), _rates(usd)) for size, usd in row.get("above", {}).items())
    included = frozenset(row.get("included", ()))
    tiers = {
        tier: (Price(_rates(usd), since, included=included, source=source),)
        for tier, usd in row.get("tiers", {}).items()
    }
    unknown = frozenset(row.get("unknown", ()))
    note = SINCE_ESTIMATED if row.get("since_estimated") else ""
    price = Price(
        _rates(row["usd"]), since, above, included=included, unknown=unknown, source=source, note=note
    )
    return PriceList(name, (price,), tiers)


def _rates(usd: Mapping[str, str]) -> Rates:
    return {part: Rate.of(amount, UNITS[part].per) for part, amount in usd.items()}
