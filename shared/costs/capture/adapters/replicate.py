"""Replicate: predictions by the second of hardware, official models by their output.

A prediction that failed or was cancelled has used its hardware too: the SDK's ``ModelError`` has it.
If output is counted, the model bills that, and the time is only noted.
Sources: https://replicate.com/docs/topics/predictions (metrics), https://replicate.com/pricing, and
``Prediction`` of ``replicate`` 1.0, 2026-11-28.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from ..captured import Captured
from ..fields import Fields
from ._media import media_call, seconds_of, unstreamed

_OVER: Final = frozenset({"succeeded", "failed", "canceled", "aborted"})
_COUNTED: Final = {
    "tokens_input": "input_token_count",
    "tokens_output": "output_token_count",
    "images": "image_count",
}
_VIDEO: Final = "video_output_duration_seconds"


def _prediction(fields: Fields) -> Fields:
    """Return the prediction: the object itself, or the one inside an error."""
    inner = fields.part("prediction")
    return inner if inner.has("id", "status") else fields


def _recognises(fields: Fields) -> bool:
    prediction = _prediction(fields)
    return prediction.has("id", "status", "urls") and prediction.has("version")


def _read(fields: Fields) -> Iterable[Captured]:
    prediction = _prediction(fields)
    if prediction.text("status") not in _OVER:
        return
    metrics = prediction.part("metrics")
    counts: dict[str, int | float] = {name: metrics.count(field) for name, field in _COUNTED.items()}
    counts["video_seconds"] = seconds_of(metrics.get(_VIDEO))
    seconds = seconds_of(metrics.get("predict_time"))
    notes: dict[str, object] = {}
    if any(counts.values()):
        notes = {"predict_seconds": seconds} if seconds else {}
    else:
        counts["gpu_seconds"] = seconds
    if not any(counts.values()) and prediction.text("status") != "succeeded":
        return  # it never ran
    yield media_call(
        "replicate",
        prediction.text("model") or prediction.text("version") or "",
        "prediction",
        counts,
        "give gpu_seconds, images or video_seconds to log_usage",
        request_id=prediction.text("id"),
        metadata=notes,
    )


ADAPTER = unstreamed(
    "Replicate",
    "Replicate (predictions, and those in a ModelError)",
    "replicate",
    _recognises,
    _read,
    "replicate",
)
