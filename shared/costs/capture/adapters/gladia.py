"""Gladia: recordings and live sessions by the billed second, which already includes every channel.

Sources: https://docs.gladia.io/api-reference, https://www.gladia.io/pricing and the types of ``gladiaio-sdk``
2.2, 2026-11-28.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from ..captured import Captured
from ..fields import Fields
from ._media import media_call, seconds_of, unstreamed

_KINDS: Final = frozenset({"pre-recorded", "live"})
_MODEL: Final = "solaria-1"
"""The model of a job that names none: Gladia offers only this one."""


def _recognises(fields: Fields) -> bool:
    return fields.text("kind") in _KINDS and fields.has("id", "status")


def _read(fields: Fields) -> Iterable[Captured]:
    if fields.text("status") != "done":
        return
    metadata = fields.part("result").part("metadata")
    yield media_call(
        "gladia",
        fields.part("request_params").text("model") or _MODEL,
        "transcription",
        {"audio_seconds": seconds_of(metadata.get("billing_time"))},
        "give audio_seconds to log_usage",
        request_id=fields.text("id"),
        service_tier="streaming" if fields.text("kind") == "live" else None,
    )


ADAPTER = unstreamed(
    "Gladia", "Gladia (recorded and live jobs)", "gladia", _recognises, _read, "gladiaio_sdk"
)
