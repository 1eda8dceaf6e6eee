"""Jobs of hosted services: nothing before they are over, each bill once, failures where they are billed."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from test_capture_unread import entries_of

from shared.cost_tracker import CostTracker
from shared.costs.capture.fields import UnreadableCount
from shared.costs.capture.reading import UnknownResponse, read_response
from shared.costs.capture.streams import track_stream
from shared.costs.ledger.reader import read
from shared.costs.model import Entry
from shared.costs.money import from_usd

PREDICTION = {"id": "p", "version": "v", "model": "o/m", "urls": {"get": "u"}}
PARSE = {"id": "parse-1", "project_id": "p", "tier": "agentic"}
EXTRACT = {"project_id": "p", "file_input": "f", "status": "COMPLETED"}
SONIOX = {"id": "s", "filename": "a", "model": "stt-async-v5", "enable_speaker_diarization": False}

NO_CALL: list[tuple[str, dict[str, Any]]] = [
    ("a prediction that runs", {**PREDICTION, "status": "processing", "metrics": {"predict_time": 1}}),
    ("a prediction that was cancelled before it ran", {**PREDICTION, "status": "canceled"}),
    ("a task that was made", {"id": "t", "estimatedCost": {"credits": 25}}),
    ("a task that was refunded", {"id": "t", "status": "FAILED", "cost": {"credits": 0}}),
    ("a parse that waits", {**PARSE, "status": "PENDING"}),
    ("a parse that failed", {**PARSE, "status": "FAILED"}),
    ("a transcription that was made", {**SONIOX, "status": "queued", "audio_duration_ms": 0}),
    ("a job of Gladia's that runs", {"id": "g", "kind": "live", "status": "processing"}),
    (
        "a job of Speechmatics's that runs",
        {"id": "j", "status": "running", "data_name": "a", "duration": None},
    ),
    (
        "a job of Rev AI's that failed",
        {"id": "r", "status": "failed", "created_on": "x", "duration_seconds": 3},
    ),
]


@pytest.mark.parametrize("answer", [row[1] for row in NO_CALL], ids=[row[0] for row in NO_CALL])
def test_what_is_not_billed_is_no_call(answer: dict[str, Any]) -> None:
    assert read_response(answer, model="m") == ()


UNKNOWN: list[tuple[str, dict[str, Any]]] = [
    ("vectors without a count", {"embeddings": [[0.1]], "total_tokens": 0}),
    ("a prediction without metrics", {**PREDICTION, "status": "succeeded"}),
    ("a transcription without a duration", {**SONIOX, "status": "completed"}),
    ("a parse whose bill is not recorded", {**PARSE, "status": "COMPLETED", "usage": {"credits": None}}),
    ("a job of Gladia's without a result", {"id": "g", "kind": "live", "status": "done"}),
    ("a status of fal's", {"logs": [], "metrics": {"inference_time": 2.0}}),
    ("a text of Cartesia's", {"type": "transcript", "text": "x"}),
]


@pytest.mark.parametrize("answer", [row[1] for row in UNKNOWN], ids=[row[0] for row in UNKNOWN])
def test_what_states_nothing_is_unknown_and_says_what_to_do(answer: dict[str, Any]) -> None:
    [call] = read_response(answer, model="m")
    assert not call.usage_known
    assert call.incomplete


def test_a_parse_whose_bill_comes_later_can_be_read_again(tmp_path: Path) -> None:
    tracker = CostTracker(job_dir=tmp_path / "job", cost_storage_path=tmp_path / "costs")
    tracker.log_response({**PARSE, "status": "COMPLETED"})
    for _ in range(2):
        tracker.log_response({**PARSE, "status": "COMPLETED", "usage": {"credits": 120}})
    assert tracker.get_job_cost() == 0.15
    tracker.close()


def test_parse_credits_that_two_extractions_state_count_once(tmp_path: Path) -> None:
    tracker = CostTracker(job_dir=tmp_path / "job", cost_storage_path=tmp_path / "costs")
    for job in ("x1", "x2"):
        stated = {"credits": 115.0, "parse_credits": 100.0, "extract_credits": 15.0}
        shared = {"usage": stated, "extract_metadata": {"parse_job_id": "parse-1"}}
        tracker.log_response({**EXTRACT, "id": job, **shared})
    tracker.log_response({**PARSE, "status": "COMPLETED", "usage": {"credits": 100.0}})
    assert tracker.get_job_cost() == pytest.approx((100 + 15 + 15) * 0.00125)
    tracker.close()


def test_a_classification_on_a_parse_of_ones_own_is_stated_at_zero() -> None:
    job = {**EXTRACT, "id": "c", "document_input_type": "parse_job_id", "usage": {"credits": 0.0}}
    [call] = read_response(job)
    assert (call.operation, call.actual_cost, call.stated_by) == ("classify", 0, "bill")


def test_what_an_error_carries_is_billed(tmp_path: Path) -> None:
    task = {"id": "t", "status": "FAILED", "cost": {"credits": 5}}
    prediction = {**PREDICTION, "status": "failed", "metrics": {"predict_time": 3.0}}
    [charged] = read_response(SimpleNamespace(task_details=task), model="gen4_turbo")
    [ran] = read_response(SimpleNamespace(prediction=prediction))
    assert (charged.actual_cost, ran.usage.gpu_seconds) == (50_000_000, 3.0)


FAL_DEV = "https://fal.run/fal-ai/flux/dev"
FAL_QUEUE = "https://queue.fal.run/fal-ai/flux/requests/f"


@pytest.mark.parametrize(
    ("address", "units", "said", "model", "usd"),
    [
        (FAL_DEV, "2.5", None, "fal-ai/flux/dev", "0.0625"),  # 2.5 megapixels x 0.025
        (FAL_DEV, "0.000001", None, "fal-ai/flux/dev", "0.000000025"),
        (FAL_QUEUE, "3", "fal-ai/flux/schnell", "fal-ai/flux/schnell", "0.009"),
        (FAL_QUEUE, "3", None, "unknown", None),  # the application alone: which endpoint is not said
        ("https://fal.run/acme/own", "7.25", None, "acme/own", None),  # an endpoint of one's own
        (FAL_DEV, "0", None, "fal-ai/flux/dev", None),  # states nothing that is billed
    ],
)
def test_units_of_a_header_are_priced_by_the_unit_of_the_endpoint_that_is_named(
    tmp_path: Path, address: str, units: str, said: str | None, model: str, usd: str | None
) -> None:
    headers = {"X-Fal-Billable-Units": units, "x-fal-request-id": "f"}
    [entry] = entries_of(tmp_path, SimpleNamespace(headers=headers, url=address), model=said)
    assert (entry.model, entry.usage.billable_units) == (model, float(units))
    assert entry.cost_state == ("unknown" if usd is None else "whole")
    assert entry.cost == from_usd(usd or 0)


REDUCTO = {"job_id": "job-1", "duration": 2.0, "result": {}, "response_type": "parse"}


@pytest.mark.parametrize(
    "answer",
    [
        {**REDUCTO, "usage": {"num_pages": 3, "credits": 4.5}},
        {"status": "Completed", "result": {**REDUCTO, "usage": {"num_pages": 3, "credits": 4.5}}},
    ],
)
def test_credits_of_reducto_are_its_bill(tmp_path: Path, answer: Any) -> None:
    [entry] = entries_of(tmp_path, answer)
    assert (entry.model, entry.cost, entry.request_id) == ("parse", from_usd("0.0675"), "job-1")


def test_quantities_of_reducto_without_credits_are_counted_and_not_priced(tmp_path: Path) -> None:
    usage = {"num_pages": 3, "num_fields": 2, "usage_breakdown": {"extract_pages": 3, "charts": 2}}
    [entry] = entries_of(tmp_path, {**REDUCTO, "response_type": "v3_extract", "usage": usage})
    assert (entry.model, entry.usage.pages, entry.cost_state) == ("extract", 3, "unknown")
    assert entry.unpriced_units["charts"] == 2


def test_a_job_of_reducto_that_is_under_way_is_no_call(tmp_path: Path) -> None:
    with pytest.raises(UnknownResponse):
        read_response({"status": "Pending", "result": None, "progress": 0.5})


def test_a_bill_of_the_usage_log_that_is_no_amount_is_refused() -> None:
    logged = {"uuid": "u", "request_scope": "api", "model": "m", "cost_usd": "much"}
    with pytest.raises(UnreadableCount, match="cost_usd must be an amount in USD, not 'much'"):
        read_response(logged)


def test_a_live_session_that_heard_nothing_is_unknown() -> None:
    calls: list[Any] = []
    list(track_stream(iter([{"tokens": [], "total_audio_proc_ms": 0, "finished": True}]), calls.append))
    [call] = calls
    assert (call.service, call.usage_known) == ("soniox", False)


def test_each_answer_has_a_price_or_says_what_is_missing(tmp_path: Path) -> None:
    """Twelve of the services, as their users log them."""
    tracker = CostTracker(job_dir=tmp_path / "job", cost_storage_path=tmp_path / "costs")
    tracker.log_response({"embeddings": [], "total_tokens": 1_000_000}, model="voyage-4")
    tracker.log_response(
        {**PREDICTION, "status": "succeeded", "metrics": {"image_count": 2}},
        model="black-forest-labs/flux-schnell",
    )
    tracker.log_response({**SONIOX, "status": "completed", "audio_duration_ms": 3_600_000})
    tracker.log_response(
        {"id": "g", "kind": "live", "status": "done", "result": {"metadata": {"billing_time": 3600}}}
    )
    tracker.log_response({"id": "j", "status": "done", "data_name": "a", "duration": 3600}, model="melia")
    tracker.log_response({"id": "r", "status": "transcribed", "created_on": "x", "duration_seconds": 3600})
    tracker.log_response({"type": "transcript", "text": "x", "duration": 7200.0, "request_id": "c"})
    tracker.close()
    entries = [line.content for line in read(tmp_path / "job" / "cost_ledger.jsonl")]
    cost = {each.service: each.cost / 1e9 for each in entries if isinstance(each, Entry)}
    assert cost == {
        "voyageai": 0.06,
        "replicate": 0.006,
        "soniox": 0.10,
        "gladia": 0.75,
        "speechmatics": 0.129,
        "rev-ai": 0.20,
        "cartesia": 0.18,
    }
