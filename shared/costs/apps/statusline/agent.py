"""What an agent tells its status hook on standard input: Claude Code's JSON, whose fields may all be missing.

Its fields: https://code.claude.com/docs/en/statusline, checked 2026-11-29. What it says of a session's cost
is its own estimate, at list prices, whatever plan pays for it.
"""

from __future__ import annotations

import json
import math
import os
import select
import time
from typing import Any, Final

from ...money import Nanos, from_usd
from .standing import AgentSession

WAIT_S: Final = 0.2
"""How long the agent's JSON is waited for: one that is slow costs its session's part of the line."""

_MOST_BYTES: Final = 1_000_000
_MOST_USD: Final = 1_000_000_000


def session_on(fd: int) -> AgentSession:
    """Return the session that the JSON on a descriptor is about; an empty one where there is none.

    A terminal is not read.
    """
    if os.isatty(fd):
        return AgentSession()
    try:
        told = json.loads(_read(fd))
    except (ValueError, RecursionError):  # no JSON, or lists within lists without end
        return AgentSession()
    model, cost = _at(told, "model", "display_name"), _at(told, "cost", "total_cost_usd")
    return AgentSession(model if isinstance(model, str) else "", _amount(cost))


def _read(fd: int) -> bytes:
    pieces, size, end = [], 0, time.monotonic() + WAIT_S
    while size < _MOST_BYTES and select.select([fd], [], [], max(end - time.monotonic(), 0))[0]:
        piece = os.read(fd, 65_536)
        if not piece:
            break
        pieces.append(piece)
        size += len(piece)
    return b"".join(pieces)


def _at(told: Any, *names: str) -> object:
    for name in names:
        told = told.get(name) if isinstance(told, dict) else None
    return told


def _amount(cost: object) -> Nanos | None:
    if not isinstance(cost, int | float) or isinstance(cost, bool):
        return None
    return from_usd(cost) if math.isfinite(cost) and 0 <= cost < _MOST_USD else None
