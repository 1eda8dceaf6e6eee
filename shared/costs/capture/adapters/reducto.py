"""Reducto: parsing, extracting, splitting, editing and classifying documents, in the credits that it states.

For accounts on the prices of September 2026 it states the billed quantities instead (pages, charts, fields),
whose prices are in their contract: pages are counted, the others are units without a price.
Sources: https://docs.reducto.ai/reference/credit-usage, https://reducto.ai/pricing (a credit is 0.015 USD)
and the types of ``reductoai`` 0.25, 2026-11-30.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from ...money import Nanos
from ..captured import Captured
from ..fields import Fields
from ..unread import every_number
from ._media import billed_call, credits_cost, media_call, unstreamed

_CREDIT: Final = Nanos(15_000_000)
"""The cost of a credit, in nano-dollars."""

_KINDS: Final = frozenset({"parse", "extract", "v3_extract", "split", "edit", "classify", "pipeline"})
_PAGES: Final = frozenset({"extract_pages", "classify_pages", "ocr_pages"})
_ADVICE: Final = "give pages, or actual_cost_usd, to log_usage"


def _answer(fields: Fields) -> Fields:
    """Return the answer: the object itself, or the one inside a finished job."""
    inner = fields.part("result")
    return inner if inner.text("response_type") in _KINDS else fields


def _recognises(fields: Fields) -> bool:
    return _answer(fields).text("response_type") in _KINDS


def _read(fields: Fields) -> Iterable[Captured]:
    answer = _answer(fields)
    usage, kind = answer.part("usage"), (answer.text("response_type") or "").removeprefix("v3_")
    job = answer.text("job_id") or fields.text("job_id")
    if usage.has("credits"):
        billed = usage.number("credits")
        yield billed_call(
            "reducto", kind, kind, credits_cost(billed, _CREDIT), {"credits": billed}, request_id=job
        )
        return
    yield media_call(
        "reducto",
        kind,
        kind,
        {"pages": usage.count("num_pages")},
        _ADVICE,
        request_id=job,
        unpriced_units=every_number(usage.part("usage_breakdown"), _PAGES),
    )


ADAPTER = unstreamed(
    "Reducto",
    "Reducto (documents parsed, extracted, split, edited, classified)",
    "reducto",
    _recognises,
    _read,
    "reducto",
)
