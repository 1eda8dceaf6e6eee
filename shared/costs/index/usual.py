"""Takes ledger lines apart that are in the form in which calls are usually written, in a few microseconds.

Whoever gets ``None`` here asks the ledger's own ``decode``, which knows every form and says what is wrong.
"""

from __future__ import annotations

from datetime import datetime
from functools import lru_cache
from operator import attrgetter
from typing import Annotated, Final, Literal

import msgspec

from ..ledger.line import is_usual
from ..model import MAX_COUNT, MAX_SECONDS
from ..money import MAX_ENTRY_NANOS, NANOS_PER_USD
from .tables import DIM_COLUMNS, Dim

_MAX_USD: Final = MAX_ENTRY_NANOS // NANOS_PER_USD

Seconds = Annotated[float, msgspec.Meta(ge=0, le=MAX_SECONDS)]
Count = Annotated[int, msgspec.Meta(ge=0, le=MAX_COUNT)]
Text = str | None
Amount = Annotated[int, msgspec.Meta(ge=0, le=_MAX_USD)] | Annotated[float, msgspec.Meta(ge=0, le=_MAX_USD)]


class _Parts(msgspec.Struct, gc=False, forbid_unknown_fields=True):
    """The usual parts of a charge, in USD."""

    input: Amount = 0
    output: Amount = 0
    cached: Amount = 0


class UsualCall(msgspec.Struct, gc=False, forbid_unknown_fields=True):
    """A call as it usually stands in a ledger. A line with any other field is no usual one."""

    v: Literal[1]
    kind: Literal["usage"]
    id: Annotated[str, msgspec.Meta(min_length=1)]
    timestamp: str
    job_id: str
    user_id: str
    service: str
    model: str
    cost_usd: Amount | None
    crc: str
    tokens_input: Count = 0
    tokens_output: Count = 0
    tokens_cached: Count = 0
    tokens_reasoning: Count = 0
    audio_seconds: Seconds = 0
    stage: Text = None
    attempt: Count = 1
    cost_parts: _Parts | None = None
    priced_by: Text = None
    estimated: bool = False
    request_id: Text = None
    service_tier: Text = None
    reservation: Text = None
    operation: Text = None
    description: Text = None
    workflow: Text = None
    project: Text = None
    host: Text = None
    pid: Count = 0
    metadata: dict[str, msgspec.Raw] = {}  # msgspec copies it


_decode: Final = msgspec.json.Decoder(UsualCall).decode

Names = tuple[str | None, ...]
"""What a call says for each of the dimensions but its tags, which no usual line has."""

names_of: Final = attrgetter(*(name for name in DIM_COLUMNS if name != "tags"))
_TAGS_AT: Final = DIM_COLUMNS.index("tags")


def usual_call(raw: bytes) -> UsualCall | None:
    """Return the call of a whole and sealed line in the usual form; ``None`` for any other."""
    if not is_usual(raw):
        return None
    try:
        call = _decode(raw)
    except (msgspec.MsgspecError, ValueError):
        return None
    if call.tokens_cached > call.tokens_input or call.tokens_reasoning > call.tokens_output:
        return None
    return call


def instant_of(call: UsualCall) -> datetime | None:
    """Return when a call was made, read as ``decode`` reads it; ``None`` for what it refuses."""
    text = call.timestamp
    try:
        return datetime.fromisoformat(text) if text[-1:] == "Z" else None
    except ValueError:
        return None


def charge_of(call: UsualCall) -> tuple[int, int] | None:
    """Return the cost in nano-dollars, and what of it pays for output; ``None`` where it is not plain."""
    total, parts = call.cost_usd, call.cost_parts
    if total is None:
        return 0, 0
    if parts is None or call.priced_by is None:
        return None
    cost, output = round(total * NANOS_PER_USD), round(parts.output * NANOS_PER_USD)
    others = round(parts.input * NANOS_PER_USD)
    if parts.cached:
        others += round(parts.cached * NANOS_PER_USD)
    if others + output != cost or cost > MAX_ENTRY_NANOS:
        return None
    return cost, output


@lru_cache(maxsize=4096)
def dim_of_names(names: Names) -> Dim:
    """Return the dimensions of a call; an empty text where it has none."""
    texts = [name or "" for name in names]
    return (*texts[:_TAGS_AT], "", *texts[_TAGS_AT:])  # type: ignore[return-value]  # one for each column
