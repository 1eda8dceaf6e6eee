"""Rev AI: recordings by the second of the file, which the job states and its transcript does not.

Sources: https://docs.rev.ai/api/asynchronous/ and ``Job`` of ``rev-ai`` 2.21, 2026-11-28.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from ..captured import Captured
from ..fields import Fields
from ._media import media_call, seconds_of, unstreamed

_DONE: Final = frozenset({"transcribed", "completed"})


def _recognises(fields: Fields) -> bool:
    return fields.has("id", "status", "created_on") and (
        type(fields.raw).__module__.startswith("rev_ai.") or fields.has("duration_seconds")
    )


def _read(fields: Fields) -> Iterable[Captured]:
    if (fields.text("status") or "").lower() not in _DONE:
        return
    yield media_call(
        "rev-ai",
        fields.text("transcriber") or "machine",
        "transcription",
        {"audio_seconds": seconds_of(fields.get("duration_seconds"))},
        "give audio_seconds to log_usage",
        request_id=fields.text("id"),
    )


ADAPTER = unstreamed("Rev AI", "Rev AI (asynchronous jobs)", "rev-ai", _recognises, _read, "rev_ai")
