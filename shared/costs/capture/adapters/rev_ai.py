"""Rev AI: recordings by the second of the file, which the job states; its transcript states nothing.

Sources: https://docs.rev.ai/api/asynchronous/ and ``Job`` of ``rev-ai`` 2.21, 2026-11-28.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from ..adapter import Adapter
from ..captured import Captured
from ..fields import Fields
from ._media import NoStream, media_call, never_a_chunk, seconds_of

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


ADAPTER = Adapter(
    name="Rev AI",
    knows="Rev AI (asynchronous jobs)",
    packages=frozenset({"rev_ai"}),
    recognises=_recognises,
    read=_read,
    recognises_chunk=never_a_chunk,
    follow=lambda: NoStream("rev-ai"),
)
