"""What Gemini bills by time: videos by the second, kept caches by the token and hour.

Sources: https://ai.google.dev/gemini-api/docs/pricing (Veo, context caching), and ``GenerateVideosOperation``
and ``CachedContent`` of the ``google-genai`` package (3.6, 2026-11-28).
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Final

from ...model import Usage
from ..captured import Captured, usage_of
from ..fields import Fields

_SECONDS_AN_HOUR: Final = 3_600


def is_video_job(fields: Fields) -> bool:
    """Tell whether this is an operation that makes videos."""
    named = type(fields.raw).__name__ == "GenerateVideosOperation"
    return named or _videos(fields).has("generated_videos")


def _videos(fields: Fields) -> Fields:
    return fields.part("response", "result")


def video_job(fields: Fields) -> Iterable[Captured]:
    """Return what a finished operation made; it states neither its model nor how long the videos are.

    One that is not done is no call yet, and videos that a filter held back are not billed.
    """
    made = len(_videos(fields).parts("generated_videos"))
    if fields.get("done") is not True or not made:
        return
    yield Captured(
        service="google",
        model="",
        usage=Usage(),
        request_id=fields.text("name"),
        operation="video",
        usage_known=False,
        unpriced_units={"videos": made},
        incomplete="the operation states no duration: give video_seconds to log_usage",
    )


def is_cache(fields: Fields) -> bool:
    """Tell whether this is a cache of content that was made to be kept."""
    return fields.has("expire_time", "create_time") and fields.part("usage_metadata").has("total_token_count")


def cache_storage(fields: Fields) -> Captured:
    """Return what keeping a cache until it expires costs; one that is deleted before costs less."""
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
    """Return a time as the SDK or the wire has it.

    Raises:
        ValueError: it is none.

    """
    if isinstance(value, datetime):
        return value
    if isinstance(value, str):
        return datetime.fromisoformat(value)
    raise ValueError(f"a cache's time must be a time, not {value!r}")
