"""The names of counts and of models with features, for modules that read sums and no entries.

They are separate from the types with these fields in :mod:`.model`, because each import delays a status line.
"""

from __future__ import annotations

from typing import Final, Literal, NamedTuple

Kind = Literal["usage", "adjustment", "reversal"]
"""The kind of a ledger line: a call, a correction of a call's charge, or the reversal of a call."""

USAGE_FIELDS: Final = (
    "tokens_input",
    "tokens_output",
    "tokens_cached",
    "tokens_cache_write",
    "tokens_cache_write_1h",
    "tokens_reasoning",
    "tokens_audio_input",
    "tokens_audio_output",
    "tokens_audio_cached",
    "tokens_image_input",
    "tokens_image_output",
    "audio_seconds",
    "characters",
    "images",
    "pages",
    "requests",
    "web_searches",
    "preview_searches",
    "maps_searches",
    "file_searches",
    "search_units",
    "containers",
    "channels",
    "video_seconds",
    "gpu_seconds",
    "session_seconds",
    "cache_token_hours",
    "tokens_image_cached",
    "pixels",
    "billable_units",
)
"""The fields of :class:`~.model.Usage`: counts in a ledger line, keyword arguments of ``log_usage``."""

FRACTIONAL_FIELDS: Final = frozenset(
    {"audio_seconds", "video_seconds", "gpu_seconds", "session_seconds", "billable_units"}
)
"""The counts that may have a fraction: durations, and a service's own units. Kept in millionths."""

SIGNS: Final[dict[Kind, int]] = {"usage": 1, "adjustment": 0, "reversal": -1}
"""The factor of the counts of each kind of line in a sum."""


def without_features(model: str) -> str:
    """Return a model's name without the features that are billed on top of it.

    A plus sign without a name after it, or with nothing before it, is part of the model's name.

    >>> without_features("deepgram/nova-3+diarize+redact"), without_features("r+"), without_features("r+-08")
    ('deepgram/nova-3', 'r+', 'r+-08')
    """
    while (parts := last_feature(model)) is not None:
        model = parts.model
    return model


class FeaturedModel(NamedTuple):
    """A model's name, and the last feature that is billed on top of it."""

    model: str
    feature: str


def last_feature(name: str) -> FeaturedModel | None:
    """Return a name such as ``nova-3+diarize`` as the model and its last feature; ``None`` without one.

    >>> last_feature("nova-3+Diarize+redact"), last_feature("command-r+-08-2024"), last_feature("gpt-4o")
    (FeaturedModel(model='nova-3+Diarize', feature='redact'), None, None)
    """
    model, _, feature = (part.strip() for part in name.rpartition("+"))
    return FeaturedModel(model, feature.lower()) if model and feature[:1].isalnum() else None
