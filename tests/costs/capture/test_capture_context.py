"""What workflow engines say in the environment, and how it gets into the entries."""

from __future__ import annotations

from pathlib import Path

import pytest

from shared.cost_tracker import CostTracker
from shared.costs.capture.context import WorkContext, work_context
from shared.costs.ledger.reader import read
from shared.costs.model import Entry

AIRFLOW = {
    "AIRFLOW_CTX_DAG_ID": "media",
    "AIRFLOW_CTX_TASK_ID": "summarize",
    "AIRFLOW_CTX_DAG_RUN_ID": "scheduled__2026-11-22",
    "AIRFLOW_CTX_TRY_NUMBER": "3",
}


@pytest.mark.parametrize(
    ("environ", "work"),
    [
        ({}, WorkContext()),
        (
            AIRFLOW,
            WorkContext("summarize", "media", 3, {"airflow_run": "scheduled__2026-11-22"}),
        ),
        ({"PREFECT__FLOW_RUN_ID": "p-1"}, WorkContext(runs={"prefect_run": "p-1"})),
        ({"DVC_STAGE": "train", "METAFLOW_RUN_ID": "77"}, WorkContext("train", runs={"metaflow_run": "77"})),
        ({"AWS_BATCH_JOB_ATTEMPT": "2"}, WorkContext(attempt=2)),
        (AIRFLOW | {"COST_TRACKER_STAGE": "13_x", "COST_TRACKER_ATTEMPT": "9"}, "own names win"),
    ],
)
def test_engines(environ: dict[str, str], work: WorkContext | str) -> None:
    found = work_context(environ)
    if isinstance(work, WorkContext):
        assert found == work
    else:
        assert (found.stage, found.attempt, found.workflow) == ("13_x", 9, "media")


@pytest.mark.parametrize("nonsense", ["0", "-1", "two", "", "²", "99999999", "1.5"])
def test_an_attempt_that_makes_no_sense_is_the_first(nonsense: str) -> None:
    assert work_context({"AIRFLOW_CTX_TRY_NUMBER": nonsense}).attempt == 1


def test_names_that_make_no_sense_are_left_out() -> None:
    assert work_context({"AIRFLOW_CTX_TASK_ID": "a\nb", "DVC_STAGE": "  "}).stage is None
    assert len(work_context({"DVC_STAGE": "x" * 999}).stage or "") == 200


def test_entries_have_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in AIRFLOW.items():
        monkeypatch.setenv(name, value)
    with CostTracker(tmp_path / "job-1") as tracker:
        tracker.log_usage("openai", "gpt-4o", 10, 1)
        with tracker.stage("13_x"):
            tracker.log_usage("openai", "gpt-4o", 10, 1, workflow="mine", attempt=1, metadata={"a": 1})
        first, second = (located.content for located in read(tracker._session.job.ledger))
    assert isinstance(first, Entry)
    assert isinstance(second, Entry)
    assert (first.stage, first.workflow, first.attempt) == ("summarize", "media", 3)
    assert first.metadata == {"airflow_run": "scheduled__2026-11-22"}
    assert (second.stage, second.workflow, second.attempt) == ("13_x", "mine", 1)
    assert second.metadata == {"airflow_run": "scheduled__2026-11-22", "a": 1}
