"""fal: only a header states what it bills, in the unit of the endpoint's own price.

The unit is a megapixel, a picture or a second of video, and the count may be a fraction. The client's answers
are dicts of the output, without the header. The status of a finished request states its time, which only some
endpoints bill: it is a call of unknown usage and never priced by guessing. An answer of the queue names the
application but not the endpoint, so the caller has to name it.
Sources: https://docs.fal.ai/documentation/serverless/publishing-to-marketplace (the header),
https://fal.ai/docs/documentation/model-apis/pricing.md and ``Completed`` of ``fal-client`` 1.0, 2026-11-30.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final
from urllib.parse import urlsplit

from ..captured import Captured
from ..fields import Fields
from ._media import Kinds, media_call, seconds_of, unstreamed

_UNITS: Final = "x-fal-billable-units"
_ADVICE: Final = f"give what the endpoint bills to log_usage; fal counts it in the header {_UNITS} alone"


def _is_response(fields: Fields) -> bool:
    return fields.header(_UNITS) is not None


def _response(fields: Fields) -> Iterable[Captured]:
    units = Fields({"units": float(fields.header(_UNITS) or 0)}).number("units")
    yield media_call(
        "fal",
        _endpoint(fields),
        "prediction",
        {"billable_units": units},
        _ADVICE,
        request_id=fields.header("x-fal-request-id"),
    )


def _endpoint(fields: Fields) -> str:
    """Return the endpoint that was called, if it is the path of the response's URL."""
    address = urlsplit(str(fields.get("url") or ""))
    return address.path.strip("/") if address.hostname == "fal.run" else ""


def _is_status(fields: Fields) -> bool:
    metrics = fields.part("metrics")
    return type(fields.raw).__name__ == "Completed" or (metrics.has("inference_time") and fields.has("logs"))


def _status(fields: Fields) -> Iterable[Captured]:
    seconds = seconds_of(fields.part("metrics").get("inference_time"))
    facts = {"inference_seconds": seconds} if seconds else {}
    yield media_call("fal", "", "prediction", {}, _ADVICE, metadata=facts)


_KINDS: Final = Kinds((_is_response, _response), (_is_status, _status))


ADAPTER = unstreamed(
    "fal",
    "fal (responses with their headers, the status of a finished request)",
    "fal",
    _KINDS.recognises,
    _KINDS.read,
    "fal_client",
)
