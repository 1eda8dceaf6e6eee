"""The meters of FOCUS rows: what each part of a charge is called there, and how much a call used of it."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Final

from ..model import Usage


@dataclass(frozen=True, slots=True)
class Meter:
    """A kind of unit that is charged: FOCUS's name for the meter, its unit, and the count behind it.

    ``within`` are the meters that count some of the same units: what they charge apart is taken off.
    """

    name: str
    unit: str
    count: str
    within: tuple[str, ...] = ()


_INPUT_APART: Final = (
    "cached",
    "cache_write",
    "cache_write_1h",
    "audio_input",
    "audio_cached",
    "image_input",
    "image_cached",
)
_OUTPUT_APART: Final = ("reasoning", "audio_output", "image_output")

METERS: Final[Mapping[str, Meter]] = {
    "input": Meter("Input Tokens", "Tokens", "tokens_input", _INPUT_APART),
    "cached": Meter("Cached Input Tokens", "Tokens", "tokens_cached", ("audio_cached", "image_cached")),
    "cache_write": Meter("Cache Write Tokens", "Tokens", "tokens_cache_write", ("cache_write_1h",)),
    "cache_write_1h": Meter("Cache Write Tokens (1 Hour)", "Tokens", "tokens_cache_write_1h"),
    "audio_input": Meter("Audio Input Tokens", "Tokens", "tokens_audio_input", ("audio_cached",)),
    "audio_cached": Meter("Cached Audio Input Tokens", "Tokens", "tokens_audio_cached"),
    "image_input": Meter("Image Input Tokens", "Tokens", "tokens_image_input", ("image_cached",)),
    "image_cached": Meter("Cached Image Input Tokens", "Tokens", "tokens_image_cached"),
    "output": Meter("Output Tokens", "Tokens", "tokens_output", _OUTPUT_APART),
    "reasoning": Meter("Reasoning Tokens", "Tokens", "tokens_reasoning"),
    "audio_output": Meter("Audio Output Tokens", "Tokens", "tokens_audio_output"),
    "image_output": Meter("Image Output Tokens", "Tokens", "tokens_image_output"),
    "audio_seconds": Meter("Audio Duration", "Seconds", "audio_seconds"),
    "characters": Meter("Characters", "Characters", "characters"),
    "images": Meter("Images", "Images", "images"),
    "pages": Meter("Pages", "Pages", "pages"),
    "requests": Meter("Requests", "Requests", "requests"),
    "web_searches": Meter("Web Searches", "Requests", "web_searches"),
    "preview_searches": Meter("Web Searches (Preview)", "Requests", "preview_searches"),
    "maps_searches": Meter("Map Searches", "Requests", "maps_searches"),
    "file_searches": Meter("File Searches", "Requests", "file_searches"),
    "search_units": Meter("Search Units", "Units", "search_units"),
    "containers": Meter("Containers", "Containers", "containers"),
    "video_seconds": Meter("Video Duration", "Seconds", "video_seconds"),
    "gpu_seconds": Meter("GPU Duration", "Seconds", "gpu_seconds"),
    "session_seconds": Meter("Session Duration", "Seconds", "session_seconds"),
    "cache_token_hours": Meter("Cache Storage", "Token-Hours", "cache_token_hours"),
    "pixels": Meter("Pixels", "Pixels", "pixels"),
    "billable_units": Meter("Billable Units", "Units", "billable_units"),
}
"""Every part a charge can have, by its name in ``cost_parts``."""

WHOLE_CALL: Final = Meter("Calls", "Requests", "")
"""The meter of a charge whose kinds of units are not known: one request."""


def quantity(part: str, usage: Usage, charged: Collection[str]) -> int:
    """Return how much of a part's unit a call used, in millionths; never below zero.

    ``charged`` are all parts of the call's charge: what has a price of its own is not counted here.

    >>> quantity("input", Usage(tokens_input=1000, tokens_cached=800), ["input", "cached"])
    200000000
    >>> quantity("input", Usage(tokens_input=1000, tokens_cached=800), ["input"])
    1000000000
    """
    meter = METERS.get(part, WHOLE_CALL)
    if not meter.count:
        return _MILLION
    used = round(float(getattr(usage, meter.count)) * _MILLION)
    if part == "requests":
        return max(used, _MILLION)  # a fee per request is due once where nobody counted
    return max(0, used - sum(quantity(other, usage, charged) for other in meter.within if other in charged))


_MILLION: Final = 1_000_000
