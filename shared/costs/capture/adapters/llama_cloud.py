"""LlamaCloud: jobs of parsing, extracting and classifying, in credits as billing recorded them.

Credits are null until billing has recorded them, and the helper that waits for a job does not wait for that:
such a job is recorded as unknown, without its id, and again when it is read again. Several extraction jobs
may share one parse job, and each includes the same parse credits in its own total: they are recorded
under the parse job's id, so that they count once.
Sources: https://developers.llamaindex.ai/llamaparse/general/faq/ (a thousand credits are 1.25 USD) and the
types of ``llama-cloud`` 2.19, 2026-11-28.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from ...money import Nanos
from ..captured import Captured
from ..fields import Fields
from ._media import billed_call, credits_cost, media_call, unstreamed

_CREDIT: Final = Nanos(1_250_000)
"""The cost of a credit, in nano-dollars."""

_OVER: Final = frozenset({"COMPLETED", "PARTIAL_SUCCESS", "FAILED", "CANCELLED"})
_FAILED: Final = frozenset({"FAILED", "CANCELLED"})
_UNRECORDED: Final = "billing has not recorded its credits yet: read the job again by its id"


def _job(fields: Fields) -> Fields:
    """Return the job: the object itself, or the job inside the result of a parse."""
    job = fields.part("job")
    return job if job.has("id", "status") else fields


def _recognises(fields: Fields) -> bool:
    return _job(fields).has("id", "status", "project_id")


def _read(fields: Fields) -> Iterable[Captured]:
    job = _job(fields)
    if job.text("status") not in _OVER:
        return []
    usage = job.part("usage")
    model, operation = _model(fields, job), _operation(job)
    if not usage.has("credits"):
        failed = job.text("status") in _FAILED
        return [] if failed else [media_call("llamaparse", model, operation, {}, _UNRECORDED)]
    return list(_billed(job, model, operation))


def _billed(job: Fields, model: str, operation: str) -> Iterable[Captured]:
    usage, job_id = job.part("usage"), job.text("id")
    billed, parsing = usage.number("credits"), usage.number("parse_credits")
    parse_id = _parse_job(job)
    if parsing and parse_id is not None and parse_id != job_id:
        billed = max(billed - parsing, 0)
        yield _credited("llamaparse", "parse", parsing, parse_id)
    if billed or not parsing:
        yield _credited(model, operation, billed, job_id)


def _credited(model: str, operation: str, billed: float, job_id: str | None) -> Captured:
    return billed_call(
        "llamaparse",
        model,
        operation,
        credits_cost(billed, _CREDIT),
        {"credits": billed},
        request_id=job_id,
    )


def _parse_job(job: Fields) -> str | None:
    return job.text("parse_job_id") or job.part("extract_metadata").text("parse_job_id")


def _operation(job: Fields) -> str:
    if job.has("file_input", "document_input_type"):
        return "classify"
    return "extract" if job.has("file_input") else "parse"


def _model(fields: Fields, job: Fields) -> str:
    """Return the tier of a job, which decides the price."""
    extract_tier = job.part("configuration").text("tier", "extract_tier")
    return job.text("tier") or extract_tier or fields.text("tier") or _operation(job)


ADAPTER = unstreamed(
    "LlamaCloud",
    "LlamaCloud (jobs of parsing, extracting and classifying)",
    "llamaparse",
    _recognises,
    _read,
    "llama_cloud",
)
