"""The table as people read it: what each cell is recorded as, in Markdown."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from capture_cells import APIS, CELLS, FORMS, NONE, Api, Form

from shared.costs.capture.captured import Captured

_HEAD: Final = """# What is read of which provider, in which form

Written by `tests/costs/capture/test_capture_table.py` from what `log_response` and `log_stream` make of
objects of the providers' own SDKs; the objects themselves are kept beside this file. Input includes
what was read from or written to a cache, output includes reasoning. *Cut* is a stream that ended
before its usage came: what arrived is estimated, and the entry is flagged. A dash is a form that the
API does not have; the list below says why.
"""

_PARTS: Final = {
    "tokens_cached": "{:,} cached",
    "tokens_cache_write": "{:,} written to the cache",
    "tokens_cache_write_1h": "{:,} of it for 1 h",
    "tokens_reasoning": "{:,} reasoning",
    "tokens_audio_input": "{:,} audio in",
    "tokens_audio_cached": "{:,} audio cached",
    "tokens_audio_output": "{:,} audio out",
    "tokens_image_input": "{:,} image in",
    "tokens_image_output": "{:,} image out",
    "audio_seconds": "{:g} s of audio",
    "characters": "characters: {:,}",
    "images": "images: {:,}",
    "pages": "pages: {:,}",
    "requests": "requests: {:,}",
    "web_searches": "web searches: {:,}",
    "preview_searches": "searches of the preview tool: {:,}",
    "maps_searches": "searches of maps: {:,}",
    "file_searches": "file searches: {:,}",
    "search_units": "search units: {:,}",
    "containers": "containers: {:,}",
    "channels": "channels: {:,}",
    "video_seconds": "{:g} s of video",
    "gpu_seconds": "{:g} s of a GPU",
    "session_seconds": "{:g} s of a session",
    "cache_token_hours": "token-hours in a cache: {:,}",
    "tokens_image_cached": "{:,} image cached",
    "pixels": "pixels: {:,}",
    "billable_units": "billable units: {:g}",
}


def markdown(calls: Mapping[str, Captured]) -> str:
    """Return the whole page. ``calls`` are what the cells were read as, by their names."""
    return "\n".join([_HEAD, *_rows(calls), "", *_absent()]) + "\n"


def _rows(calls: Mapping[str, Captured]) -> Iterator[str]:
    yield f"| | {' | '.join(FORMS)} |"
    yield f"|{' --- |' * (len(FORMS) + 1)}"
    for api in APIS:
        yield f"| **{api.title}** | {' | '.join(_square(api, form, calls) for form in FORMS)} |"


def _square(api: Api, form: Form, calls: Mapping[str, Captured]) -> str:
    cells = [cell for cell in CELLS if (cell.api, cell.form) == (api, form)]
    texts = [f"*{c.variant}:* {_of(calls[c.id])}" if c.variant else _of(calls[c.id]) for c in cells]
    return "<br>".join(texts) or "-"


def _of(call: Captured) -> str:
    counts = call.usage.counts()
    tokens = f"{call.usage.tokens_input:,} in, {call.usage.tokens_output:,} out"
    words = [tokens] if call.usage.tokens_total else []
    words += [form.format(counts[name]) for name, form in _PARTS.items() if counts.get(name)]
    words += [f"{name}: {count:,} without a price" for name, count in call.unpriced_units.items()]
    words += [f"tier {call.service_tier}"] if call.service_tier else []
    words += [f"stated ${call.actual_cost / 1e9:.9f}".rstrip("0")] if call.actual_cost else []
    return ", ".join(words) or "nothing known"


def _absent() -> Iterator[str]:
    yield "Forms that are not there:"
    yield ""
    for api in APIS:
        reasons: dict[str, list[str]] = {}
        for none in NONE:
            if none.api == api:
                reasons.setdefault(none.why, []).append(none.form)
        if reasons:
            said = "; ".join(f"{', '.join(forms)}: {why}" for why, forms in reasons.items())
            yield f"- **{api.title}**: {said}."
