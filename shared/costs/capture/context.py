"""Stage, attempt and run, as a workflow engine states them in environment variables. Pure.

Sources: https://airflow.apache.org/docs/apache-airflow/stable/howto/operator/bash.html (``AIRFLOW_CTX_*``),
https://docs.prefect.io/v3/api-ref (``PREFECT__FLOW_RUN_ID``), https://dvc.org/doc/user-guide/env
(``DVC_STAGE``), https://docs.metaflow.org/api/current (``METAFLOW_RUN_ID``),
https://docs.aws.amazon.com/batch/latest/userguide/job_env_vars.html (``AWS_BATCH_JOB_ATTEMPT``).
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, NamedTuple

STAGE_VARIABLE: Final = "COST_TRACKER_STAGE"
ATTEMPT_VARIABLE: Final = "COST_TRACKER_ATTEMPT"
RUN_VARIABLE: Final = "COST_TRACKER_RUN"
PURSE_VARIABLE: Final = "COST_TRACKER_RUN_PURSE"
"""Path of the file with the budget of a run."""

_STAGES: Final = (STAGE_VARIABLE, "AIRFLOW_CTX_TASK_ID", "DVC_STAGE")
_WORKFLOWS: Final = ("AIRFLOW_CTX_DAG_ID",)
_ATTEMPTS: Final = (ATTEMPT_VARIABLE, "AIRFLOW_CTX_TRY_NUMBER", "AWS_BATCH_JOB_ATTEMPT")
_RUNS: Final = {
    RUN_VARIABLE: "run",
    "AIRFLOW_CTX_DAG_RUN_ID": "airflow_run",
    "PREFECT__FLOW_RUN_ID": "prefect_run",
    "METAFLOW_RUN_ID": "metaflow_run",
}
_MAX: Final = 200


class WorkContext(NamedTuple):
    """The stage and workflow that are running, which attempt this is, and the ids of the run.

    ``attempt`` counts from 1: a second try of an engine's task is a retry of the stage. ``runs`` are
    the engines' own ids of this run, by their names in an entry's metadata; a rerun of a job gets new ones.
    """

    stage: str | None = None
    workflow: str | None = None
    attempt: int = 1
    runs: Mapping[str, str] = MappingProxyType({})


def work_context(environ: Mapping[str, str]) -> WorkContext:
    """Return what the environment states. Values that make no sense are left out.

    >>> work_context({"AIRFLOW_CTX_DAG_ID": "media", "AIRFLOW_CTX_TASK_ID": "summary",
    ...               "AIRFLOW_CTX_TRY_NUMBER": "2", "AIRFLOW_CTX_DAG_RUN_ID": "manual__1"})
    WorkContext(stage='summary', workflow='media', attempt=2, runs={'airflow_run': 'manual__1'})
    """
    return WorkContext(
        stage=_first(environ, _STAGES),
        workflow=_first(environ, _WORKFLOWS),
        attempt=_attempt(environ),
        runs={name: value for variable, name in _RUNS.items() if (value := _value(environ, variable))},
    )


def _first(environ: Mapping[str, str], variables: tuple[str, ...]) -> str | None:
    return next((value for variable in variables if (value := _value(environ, variable))), None)


def _value(environ: Mapping[str, str], variable: str) -> str | None:
    """Return a variable's value, cut to the length of a label; ``None`` if it is empty or not printable."""
    value = environ.get(variable, "").strip()
    return value[:_MAX] if value.isprintable() and value else None


def _attempt(environ: Mapping[str, str]) -> int:
    for variable in _ATTEMPTS:  # all count from 1
        text = environ.get(variable, "")
        if text.isascii() and text.isdigit() and len(text) < 7:
            return max(1, int(text))
    return 1
