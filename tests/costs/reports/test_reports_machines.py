"""``machines``: what own machines cost beside the cloud, and where other reports show it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from shared.costs.model import Entry, Usage
from shared.costs.reports.machines import MachinesQuestion, machines_facts, machines_report
from shared.costs.reports.questions import UserMonth
from shared.costs.reports.reader import Reader
from shared.costs.reports.show_job import job_facts, job_report
from shared.costs.reports.show_monthly import month_facts, month_report
from shared.costs.reports.show_optimization import SavingsQuestion, optimization_facts, optimization_report
from shared.costs.workspace import Workspace
from tests.support.golden import check_report
from tests.support.history import entry
from tests.support.saved import save

NOW = datetime(2026, 11, 22, 15, tzinfo=UTC)
PROFILE = """
machines:
  desk: {watts: 350, usd_per_kwh: 0.32}
  lab: {usd_per_hour: 0.45, stages: [06_whisperx_asr]}
"""
PRICES = "avoided: {local/whisperx-large-v3: openai/whisper-1}\n"
ASR, LOCAL = "06_whisperx_asr", "whisperx-large-v3"


def local(number: int, job: str = "job-a", stage: str = ASR, seconds: float = 600, **more: object) -> Entry:
    usage = Usage(audio_seconds=3_600, gpu_seconds=seconds)
    return entry(
        "0", id=f"{job}-{number}", job_id=job, stage=stage, service="local", model=LOCAL, usage=usage, **more
    )


CALLS = [
    local(1),
    local(2, "job-c", seconds=0),
    local(3, "job-b"),
    local(4, "job-b", tags=("machine:desk",)),
    local(5, "job-b", stage="10_translation", seconds=90.5),
    entry("0.36", id="paid", job_id="job-b", stage=ASR, model="whisper-1", usage=Usage(audio_seconds=3_600)),
    entry("0.0045", id="chat", job_id="job-b"),
]


@pytest.fixture
def reader(tmp_path: Path, cost_home: Path) -> Iterator[Reader]:
    (tmp_path / "profile.yaml").write_text(PROFILE)
    (tmp_path / "prices.yaml").write_text(PRICES)
    with Workspace(cost_home, tmp_path / "profile.yaml", clock=lambda: NOW) as workspace:
        workspace.storage.prepare()
        save(CALLS, tmp_path / "out", workspace)
        yield Reader(workspace)


def test_work_is_counted_by_machine_beside_the_cloud(reader: Reader) -> None:
    facts = machines_facts(reader, MachinesQuestion())
    rows = [(row.machine, row.stage, row.calls, row.untimed_calls, row.cost) for row in facts.work]
    assert rows == [
        ("lab", ASR, 3, 1, 150_000_000),
        ("desk", ASR, 1, 0, 18_666_667),
        ("desk", "10_translation", 1, 0, 2_815_556),
    ]
    assert list(facts.avoided.values()) == [1_080_000_000, 360_000_000, 360_000_000]
    check_report("machines", machines_report(facts))


def test_a_machine_that_the_profile_does_not_have_is_named_and_costs_no_other_one(reader: Reader) -> None:
    reader.profile_path.write_text(PROFILE.replace("desk:", "tower:"))  # type: ignore[union-attr]
    facts = machines_facts(reader, MachinesQuestion())
    rows = {(row.machine, row.stage): (row.calls, row.cost, row.priced) for row in facts.work}
    assert rows == {
        ("lab", ASR): (3, 150_000_000, True),
        ("tower", "10_translation"): (1, 2_815_556, True),
        ("desk", ASR): (1, 0, False),
    }
    shown = machines_report(facts)
    assert [row["cost_usd"] for row in shown.data["work"]] == [0.15, 0.002815556, None]  # type: ignore[attr-defined]  # a list
    [row] = [row for row in shown.tables[0].rows if row[0] == "desk"]
    assert "not known" in row
    [figure] = [each for each in job_report(job_facts(reader, "job-b")).figures if each.key == "machines"]
    assert figure.note == "lab, tower; not in what was spent"
    for report in (shown, month_report(month_facts(reader, UserMonth(None)))):
        assert "1 call names the machine desk, which the profile does not have" in str(report.notes)


def test_work_on_a_machine_without_a_price_alone_has_no_cost(reader: Reader) -> None:
    reader.profile_path.write_text("machines: {tower: {watts: 1, usd_per_kwh: 1, stages: [none]}}\n")  # type: ignore[union-attr]
    facts = machines_facts(reader, MachinesQuestion())
    assert [row.machine for row in facts.work] == ["desk"]
    [cost, *_] = machines_report(facts).figures
    assert cost.value == "not known"
    for report in (month_report(month_facts(reader, UserMonth())), job_report(job_facts(reader, "job-b"))):
        assert "machines" not in {figure.key for figure in report.figures}


def test_without_a_machine_it_says_how_to_add_one(cost_home: Path) -> None:
    with Workspace(cost_home, clock=lambda: NOW) as workspace:
        facts = machines_facts(Reader(workspace), MachinesQuestion("ana"))
    check_report("machines-none", machines_report(facts._replace(profile="config/profile.yaml")))


def test_other_reports_show_it_beside_what_was_spent(reader: Reader) -> None:
    month = month_report(month_facts(reader, UserMonth()))
    job = job_report(job_facts(reader, "job-b"))
    for report, cost in ((month, 171_482_223), (job, 96_482_223)):
        [figure] = [each for each in report.figures if each.key == "machines"]
        assert (figure.value, figure.note) == (cost, "lab, desk; not in what was spent")
    assert len(month.data["machines"]) == len(job.data["machines"]) == 3  # type: ignore[arg-type]  # a list
    [doubt] = [note for note in month.notes if "gpu_seconds" in note.text]
    assert doubt.tone == "warning"


def test_break_even_stands_beside_what_a_machine_gets_done(reader: Reader) -> None:
    report = optimization_report(optimization_facts(reader, SavingsQuestion(show="local")))
    [table] = [each for each in report.tables if each.title.startswith("Your machines")]
    assert [(row[0], row[1], row[4], row[5]) for row in table.rows] == [
        ("lab", ASR, "1,200 min/$", "167 min/$"),
        ("desk", ASR, "3,214 min/$", "167 min/$"),
        ("desk", "10_translation", "21,310 min/$", ""),
    ]
