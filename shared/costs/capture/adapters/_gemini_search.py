"""What grounding bills: Google Search by the query or by the prompt, Google Maps at a price of its own.

Gemini 3 and later bill each distinct query that is not empty, earlier ones each prompt that was grounded,
however many searches it took. Source: https://ai.google.dev/gemini-api/docs/pricing (Grounding), 2026-11-28.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Final

from ..fields import Fields

SEARCH_TOOLS: Final = {"google_search": "web_searches", "google_maps": "maps_searches"}
"""The tools of an interaction whose uses are counts of a usage."""

_GENERATION: Final = re.compile(r"gemini-(\d+)")
_BY_QUERY_SINCE: Final = 3


def bills_by_query(model: str) -> bool:
    """Tell whether a model bills each query rather than the prompt.

    >>> bills_by_query("models/gemini-3.8-flash"), bills_by_query("gemini-2.5-pro"), bills_by_query("")
    (True, False, True)
    """
    generation = _GENERATION.search(model)
    return generation is None or int(generation[1]) >= _BY_QUERY_SINCE


def grounding_counts(groundings: Iterable[Fields], model: str) -> dict[str, int | float]:
    """Return the searches of one request, from the grounding metadata of its candidates."""
    queries: set[str] = set()
    searched = on_maps = False
    for grounding in groundings:
        stated = grounding.get("web_search_queries")
        if isinstance(stated, (list, tuple)):
            queries |= {query for query in stated if isinstance(query, str) and query.strip()}
            searched = searched or bool(stated)
        on_maps = on_maps or _used_maps(grounding)
    counts: dict[str, int | float] = {}
    if searched:
        counts["web_searches"] = len(queries) if bills_by_query(model) else 1
    if on_maps:
        counts["maps_searches"] = 1
        if searched and not _searched_the_web(groundings):
            del counts["web_searches"]  # the queries were those for places
    return {name: count for name, count in counts.items() if count}


def _used_maps(grounding: Fields) -> bool:
    chunks = grounding.parts("grounding_chunks")
    return grounding.has("google_maps_widget_context_token") or any(chunk.has("maps") for chunk in chunks)


def _searched_the_web(groundings: Iterable[Fields]) -> bool:
    return any(chunk.has("web") for grounding in groundings for chunk in grounding.parts("grounding_chunks"))


def interaction_searches(tools: Mapping[str | None, int]) -> dict[str, int | float]:
    """Return the searches of an interaction, which counts what each tool bills."""
    return {name: count for tool, name in SEARCH_TOOLS.items() if (count := tools.get(tool, 0))}
