"""Runway: a finished task states the credits that it was charged, also if it failed.

A new or running task states the most that it may cost, which is not a call yet. The SDK's
``TaskFailedError`` has the task. A credit costs one cent.
Sources: https://docs.dev.runwayml.com/guides/pricing/ and ``TaskRetrieveResponse`` of ``runwayml`` 5.24,
2026-11-28.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from ...money import Nanos
from ..captured import Captured
from ..fields import Fields
from ._media import billed_call, credits_cost, unstreamed

_CREDIT: Final = Nanos(10_000_000)
"""A cent, in nano-dollars."""


def _task(fields: Fields) -> Fields:
    """Return the task: the object itself, or the one inside an error."""
    return fields.part("task_details") or fields


def _recognises(fields: Fields) -> bool:
    task = _task(fields)
    has_credits = task.part("cost").has("credits") or task.part("estimated_cost").has("credits")
    return has_credits and task.has("id")


def _read(fields: Fields) -> Iterable[Captured]:
    task = _task(fields)
    charged = task.part("cost")
    if not charged.has("credits"):
        return
    billed = charged.number("credits")
    status = task.text("status")
    if not billed and status != "SUCCEEDED":
        return  # refunded in full
    yield billed_call(
        "runwayml",
        "",
        "video",
        credits_cost(billed, _CREDIT),
        {"credits": billed, **({} if status == "SUCCEEDED" else {"status": status})},
        request_id=task.text("id"),
    )


ADAPTER = unstreamed(
    "Runway", "Runway (tasks, and those in a TaskFailedError)", "runwayml", _recognises, _read, "runwayml"
)
