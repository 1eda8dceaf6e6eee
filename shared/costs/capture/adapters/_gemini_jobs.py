"""What Gemini bills by time: videos by the second, stored caches by the token and hour.

Sources: https://ai.google.dev/gemini-api/docs/pricing (Veo, context caching), and ``GenerateVideosOperation``
and ``CachedContent`` of the ``google-genai`` package (3.6, 2026-11-28).

What grounding costs: Google Search by the query or by the prompt, Google Maps at its own price.

Gemini 3 and later bill each distinct query that is not empty; earlier models bill each grounded prompt,
however many searches it took. Source: https://ai.google.dev/gemini-api/docs/pricing (Grounding), 2026-11-28.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Final

from ...model import Usage
from ..captured import Captured, usage_of
from ..fields import Fields

SEARCH_TOOLS: Final = {"google_search": "web_searches", "google_maps": "maps_searches"}
"""The tools of an interaction whose uses have a field in a usage."""

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
    used_maps = False
    for grounding in groundings:
        web_queries = grounding.get("web_search_queries")
        if isinstance(web_queries, (list, tuple)):
            queries |= {query for query in web_queries if isinstance(query, str) and query.strip()}
        used_maps = used_maps or _used_maps(grounding)
    counts: dict[str, int | float] = {}
    if queries:
        counts["web_searches"] = len(queries) if bills_by_query(model) else 1
    if used_maps:
        counts["maps_searches"] = 1
        if queries and not _searched_the_web(groundings):
            del counts["web_searches"]  # the queries were those for places
    return {name: count for name, count in counts.items() if count}


def _used_maps(grounding: Fields) -> bool:
    chunks = grounding.parts("grounding_chunks")
    return grounding.has("google_maps_widget_context_token") or any(chunk.has("maps") for chunk in chunks)


def _searched_the_web(groundings: Iterable[Fields]) -> bool:
    return any(chunk.has("web") for grounding in groundings for chunk in grounding.parts("grounding_chunks"))


def interaction_searches(tools: Mapping[str | None, int]) -> dict[str, int | float]:
    """Return the searches of an interaction, which states the billed uses of each tool."""
    return {name: count for tool, name in SEARCH_TOOLS.items() if (count := tools.get(tool, 0))}


_SECONDS_AN_HOUR: Final = 3_600


def is_video_job(fields: Fields) -> bool:
    """Tell whether this is an operation that generates videos."""
    named = type(fields.raw).__name__ == "GenerateVideosOperation"
    return named or _videos(fields).has("generated_videos")


def _videos(fields: Fields) -> Fields:
    return fields.part("response", "result")


def video_job(fields: Fields) -> Iterable[Captured]:
    """Yield the call of a finished operation, which states neither its model nor the length of the videos.

    An operation that is not done is not a call yet, and videos that a filter removed are not billed.
    """
    count = len(_videos(fields).parts("generated_videos"))
    if fields.get("done") is not True or not count:
        return
    yield Captured(
        service="google",
        model="",
        usage=Usage(),
        request_id=fields.text("name"),
        operation="video",
        usage_known=False,
        unpriced_units={"videos": count},
        incomplete="the operation states no duration: give video_seconds to log_usage",
    )


def is_cache(fields: Fields) -> bool:
    """Tell whether this is an explicitly created cache of content."""
    return fields.has("expire_time", "create_time") and fields.part("usage_metadata").has("total_token_count")


def cache_storage(fields: Fields) -> Captured:
    """Return the cost of storing a cache until it expires; one that is deleted earlier costs less."""
    tokens = fields.part("usage_metadata").count("total_token_count")
    seconds = (_instant(fields.get("expire_time")) - _instant(fields.get("create_time"))).total_seconds()
    usage, fault = usage_of({"cache_token_hours": round(tokens * max(seconds, 0) / _SECONDS_AN_HOUR)})
    return Captured(
        service="google",
        model=(fields.text("model") or "").removeprefix("models/"),
        usage=usage,
        request_id=f"{fields.text('name')}/{fields.get('expire_time')}",
        operation="cache",
        incomplete=fault or "kept until it expires: one that is deleted before costs less",
    )


def _instant(value: object) -> datetime:
    """Return a time from the SDK's or the wire's format.

    Raises:
        ValueError: the value is not a time.

    """
    if isinstance(value, datetime):
        return value
    if isinstance(value, str):
        return datetime.fromisoformat(value)
    raise ValueError(f"a cache's time must be a time, not {value!r}")
