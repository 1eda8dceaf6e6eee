"""Batches end to end: what is held, each result once at batch rates, what never ran given back."""

from __future__ import annotations

import gzip
import itertools
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from shared.costs.apps.cli.program import run as main
from shared.costs.ledger.reader import read
from shared.costs.model import Entry
from shared.costs.storage import LEDGER_NAME


def openai_request(name: str) -> dict[str, Any]:
    body = {"model": "gpt-4o", "max_tokens": 1000, "messages": [{"role": "user", "content": "x" * 4000}]}
    return {"custom_id": name, "method": "POST", "url": "/v1/chat/completions", "body": body}


def openai_result(name: str) -> dict[str, Any]:
    usage = {"prompt_tokens": 1000, "completion_tokens": 200, "total_tokens": 1200}
    body = {
        "object": "chat.completion",
        "id": f"chatcmpl-Batch{name}",
        "model": "gpt-4o-2024-08-06",
        "usage": usage,
    }
    return {"custom_id": name, "response": {"status_code": 200, "body": body}, "error": None}


def openai_failed(name: str, code: str) -> dict[str, Any]:
    if code == "batch_expired":
        return {"custom_id": name, "response": None, "error": {"code": code}}
    return {"custom_id": name, "response": {"status_code": 400, "body": {"error": {}}}, "error": None}


def anthropic_request(name: str) -> dict[str, Any]:
    messages = [{"role": "user", "content": "x" * 4000}]
    return {
        "custom_id": name,
        "params": {"model": "claude-sonnet-4-6", "max_tokens": 1000, "messages": messages},
    }


def anthropic_result(name: str, kind: str = "succeeded") -> dict[str, Any]:
    usage = {"input_tokens": 1000, "output_tokens": 200}
    message = {"type": "message", "id": f"msg_{name}", "model": "claude-sonnet-4-6", "usage": usage}
    return {
        "custom_id": name,
        "result": {"type": kind} | ({"message": message} if kind == "succeeded" else {}),
    }


def gemini_request(name: str) -> dict[str, Any]:
    parts = [{"parts": [{"text": "x" * 4000}]}]
    return {"key": name, "request": {"contents": parts, "generation_config": {"max_output_tokens": 1000}}}


def gemini_result(name: str) -> dict[str, Any]:
    usage = {"promptTokenCount": 1000, "candidatesTokenCount": 200, "totalTokenCount": 1200}
    response = {
        "candidates": [],
        "modelVersion": "gemini-2.5-flash",
        "responseId": f"r-{name}",
        "usageMetadata": usage,
    }
    return {"key": name, "response": response}


ENDED = {
    "id": "batch_1",
    "object": "batch",
    "status": "expired",
    "request_counts": {"completed": 2, "failed": 1, "total": 5},
}
BATCHES: dict[str, tuple[list[Any], dict[str, list[Any]], float]] = {
    "openai": (
        [openai_request(name) for name in "abcde"],
        {
            "output": [openai_result("a"), openai_result("b")],
            "errors": [openai_failed("c", "400"), openai_failed("d", "batch_expired")],
            "batch": [ENDED],
        },
        2 * (1000 * 1.25e-6 + 200 * 5e-6),
    ),
    "anthropic": (
        [anthropic_request(name) for name in "abcd"],
        {
            "one": [anthropic_result("a"), anthropic_result("b", "errored")],
            "two": [anthropic_result("c", "expired"), anthropic_result("d", "canceled")],
        },
        1000 * 1.5e-6 + 200 * 7.5e-6,
    ),
    "gemini": (
        [gemini_request(name) for name in "ab"],
        {"results": [gemini_result("a"), {"key": "b", "error": {"code": 3, "message": "m"}}]},
        1000 * 0.15e-6 + 200 * 1.25e-6,
    ),
}


def written(folder: Path, name: str, values: Sequence[Any]) -> Path:
    path = folder / f"{name}.jsonl"
    path.write_text("".join(f"{json.dumps(value)}\n" for value in values))
    return path


def asked(capsys: pytest.CaptureFixture[str], *arguments: str | Path) -> Any:
    capsys.readouterr()
    assert main([*map(str, arguments), "--json"]) == 0, capsys.readouterr().err
    return json.loads(capsys.readouterr().out)


def entries(job: Path) -> list[Entry]:
    return [e for each in read(job / LEDGER_NAME) if isinstance(e := each.content, Entry)]


def states(capsys: pytest.CaptureFixture[str]) -> list[str]:
    return [hold["state"] for hold in asked(capsys, "reservations")["reservations"]]


def embedding_request(name: str, value: object = "hello") -> dict[str, Any]:
    body = {"model": "text-embedding-3-small", "input": value}
    return {"custom_id": name, "method": "POST", "url": "/v1/embeddings", "body": body}


@pytest.mark.parametrize("value", [["x" * 4000], [7] * 1000, [[7] * 600, [7] * 400]])
def test_a_batch_of_embeddings_holds_its_input_alone_as_text_or_as_numbers_of_tokens(
    value: object, tmp_path: Path, cost_home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "profile.yaml").write_text("budget: {monthly_limit_usd: 1.00, block_at_limit: true}\n")
    sent = written(tmp_path, "requests", [embedding_request(name, value) for name in "ab"])
    held = asked(capsys, "batch", "submit", sent, "--profile", tmp_path / "profile.yaml")
    assert held["estimate_usd"] == pytest.approx(2 * 1000 * 0.01e-6, rel=0.5)
    assert held["estimate_usd"] >= 2 * 1000 * 0.01e-6
    assert states(capsys) == ["submitted"]


ORDERS = [(name, order) for name in BATCHES for order in itertools.permutations(BATCHES[name][1])]


@pytest.mark.parametrize(("name", "order"), ORDERS)
def test_a_batch_from_its_hold_to_its_last_result(
    name: str, order: tuple[str, ...], tmp_path: Path, cost_home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    requests, files, cost = BATCHES[name]
    job = tmp_path / "jobs" / "job-1"
    job.mkdir(parents=True)
    (tmp_path / "profile.yaml").write_text("budget: {monthly_limit_usd: 1.00, block_at_limit: true}\n")
    given = ("--profile", tmp_path / "profile.yaml")
    sent = written(tmp_path, "requests", requests)
    held = asked(capsys, "batch", "submit", sent, "--job-dir", job, "--model", "gemini-2.5-flash", *given)
    assert held["requests"] == len(requests)
    assert held["estimate_usd"] > cost
    assert states(capsys) == ["submitted"]
    total = 0.0
    for part in order:
        collected = asked(capsys, "batch", "collect", written(tmp_path, part, files[part]))
        total += collected["cost_usd"]
        again = asked(capsys, "batch", "collect", written(tmp_path, part, files[part]))
        assert (again["recorded"], again["cost_usd"]) == (0, 0)
    assert total == pytest.approx(cost, abs=1e-9)
    found = entries(job)
    assert sum(entry.cost for entry in found) == round(cost * 10**9)
    assert {entry.service_tier for entry in found} == {"batch"}
    assert {entry.reservation for entry in found} == {held["reservation"]}
    assert states(capsys) == [], "nothing more will come, so nothing is held"


def test_what_is_no_file_of_a_batch_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = written(tmp_path, "other", [{"hello": 1}])
    assert main(["batch", "collect", str(path)]) == 2
    assert "neither a result nor a batch" in capsys.readouterr().err
    (tmp_path / "broken.jsonl").write_text(f"{json.dumps(openai_result('a'))}\n{{nonsense\n")
    assert main(["batch", "collect", str(tmp_path / "broken.jsonl")]) == 2
    assert "line 2 is not JSON" in capsys.readouterr().err
    assert main(["batch", "submit", str(path)]) == 2
    assert "not a request of a batch" in capsys.readouterr().err


def test_a_result_may_hold_any_text_be_packed_and_begin_with_a_mark(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    result = openai_result("a")
    result["response"]["body"]["choices"] = [{"message": {"content": "one\u2028two\x85three"}}]
    lines = "".join(json.dumps(each, ensure_ascii=False) + "\r\n" for each in (result, openai_result("b")))
    path, job = tmp_path / "output.jsonl.gz", tmp_path / "job"
    path.write_bytes(gzip.compress(lines.encode("utf-8-sig")))
    assert asked(capsys, "batch", "collect", path, "--job-dir", job)["recorded"] == 2


@pytest.mark.parametrize("action", ["submit", "collect"])
def test_a_pipe_is_refused_before_it_is_waited_for(
    action: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    os.mkfifo(tmp_path / "pipe")
    assert main(["batch", action, str(tmp_path / "pipe")]) == 2
    assert "is not a regular file" in capsys.readouterr().err


def test_results_of_a_batch_that_was_not_submitted_here_count_too(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    job = tmp_path / "job-2"
    path = written(tmp_path, "output", [openai_result("a"), openai_result("b")])
    assert asked(capsys, "batch", "collect", path, "--job-dir", job)["recorded"] == 2
    assert asked(capsys, "batch", "collect", path, "--job-dir", job)["recorded_before"] == 2
    assert len(entries(job)) == 2


def embedded(name: str, request: int, **more: str) -> dict[str, Any]:
    body = {"object": "list", "model": "text-embedding-3-small", "data": [{"embedding": [0.1]}]}
    usage = {"prompt_tokens": 1000 + request, "total_tokens": 1000 + request}
    return {"custom_id": name, **more, "response": {"status_code": 200, "body": {**body, "usage": usage}}}


def results_of(batch: int) -> list[dict[str, Any]]:
    """Results with an id in their bodies, in the line, and with none."""
    answered = openai_result("a")
    answered["response"]["body"]["id"] = f"chatcmpl-{batch}"
    return [answered, embedded("b", 0, id=f"batch_req_{batch}"), embedded("c", batch)]


@pytest.mark.parametrize("apart", [True, False], ids=["jobs of their own", "one job"])
@pytest.mark.parametrize("order", [(1, 1, 2, 2, 1), (2, 1, 1, 2), (1, 2, 1, 2)])
def test_a_line_counts_once_where_two_batches_use_the_same_ids(
    order: tuple[int, ...], apart: bool, tmp_path: Path, cost_home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    requests = [openai_request("a"), embedding_request("b"), embedding_request("c")]
    jobs = [tmp_path / f"job-{batch if apart else 1}" for batch in (1, 2)]
    sent = written(tmp_path, "requests", requests)
    for job in jobs:
        asked(capsys, "batch", "submit", sent, "--job-dir", job, "--max-output", "1")
    for batch in order:
        asked(capsys, "batch", "collect", written(tmp_path, f"output-{batch}", results_of(batch)))
    found = [entry for job in set(jobs) for entry in entries(job)]
    assert len(found) == 6
    assert sorted(entry.usage.tokens_input for entry in found) == [1000, 1000, 1000, 1000, 1001, 1002]
    assert states(capsys) == []


def test_lines_of_two_batches_may_stand_in_one_file(
    tmp_path: Path, cost_home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sent = written(tmp_path, "requests", [openai_request("a")])
    for number in (1, 2):
        asked(capsys, "batch", "submit", sent, "--job-dir", tmp_path / f"job-{number}")
    both = written(tmp_path, "both", [results_of(2)[0], results_of(1)[0]])
    assert asked(capsys, "batch", "collect", both)["recorded"] == 2
    assert asked(capsys, "batch", "collect", both)["recorded_before"] == 2
    assert states(capsys) == []


def test_a_batch_that_is_over_and_may_be_one_of_several_is_said(
    tmp_path: Path, cost_home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sent = written(tmp_path, "requests", [openai_request("a")])
    for number in (1, 2):
        asked(capsys, "batch", "submit", sent, "--job-dir", tmp_path / f"job-{number}")
    counts = {"total": 1, "completed": 0, "failed": 0}
    over = written(tmp_path, "over", [{"id": "batch_7", "status": "cancelled", "request_counts": counts}])
    assert asked(capsys, "batch", "collect", over)["unplaced"] == ["batch_7"]
    assert main(["batch", "collect", str(over)]) == 0
    assert (
        "batch_7 is over, but which of the submitted batches it is cannot be told" in capsys.readouterr().out
    )
    assert states(capsys) == ["submitted", "submitted"]


@pytest.mark.parametrize("request_id", ["  ", "x" * 500])
def test_a_result_with_an_odd_id_counts_once(
    request_id: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    result = openai_result("a")
    result["response"]["body"]["id"] = request_id
    path, job = written(tmp_path, "output", [result]), tmp_path / "job"
    assert asked(capsys, "batch", "collect", path, "--job-dir", job)["recorded"] == 1
    assert asked(capsys, "batch", "collect", path, "--job-dir", job)["recorded_before"] == 1
