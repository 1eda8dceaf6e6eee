"""The sample history: the same for the same seed, and with everything it promises in it."""

from __future__ import annotations

import json
import re
import shlex
from collections import Counter
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from shared.costs.apps.cli.program import run
from shared.costs.demo import PEOPLE, RUNAWAY_CALLS, DemoFiles, write_sample
from shared.costs.errors import WrongUsage
from shared.costs.ledger.line import decode
from shared.costs.ledger.lines import DamagedLine
from shared.costs.model import Entry
from shared.costs.reports.backtest import BackTestQuestion, back_test_facts, back_test_report
from shared.costs.reports.common import Health
from shared.costs.reports.reader import Reader
from shared.costs.rollup import Query
from shared.costs.workspace import Workspace
from tests.support.golden import check_report

NOW = datetime(2026, 11, 22, 9, 30, tzinfo=UTC)


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> DemoFiles:
    return write_sample(tmp_path_factory.mktemp("demo") / "sample", NOW)


@pytest.fixture(scope="module")
def history(sample: DemoFiles) -> list[Entry]:
    found = []
    for ledger, _ in sample.jobs:
        for line in ledger.read_bytes().splitlines(keepends=True):
            try:
                found.append(decode(line))
            except DamagedLine:
                assert ledger == sample.damaged
    return found


def test_it_has_what_it_promises(history: list[Entry], sample: DemoFiles) -> None:
    assert {entry.user_id for entry in history} == {person.user_id for person in PEOPLE}
    assert {entry.timestamp.strftime("%Y-%m") for entry in history} == {"2026-09", "2026-10", "2026-11"}
    assert len({entry.stage for entry in history}) == 4
    assert len({(entry.service, entry.model) for entry in history}) >= 9
    kinds = Counter(entry.kind for entry in history)
    assert (kinds["reversal"], kinds["adjustment"]) == (1, 1)
    assert sum(entry.attempt > 1 for entry in history) > 50
    assert any(entry.service_tier == "batch" for entry in history)
    assert any(entry.usage.tokens_cached for entry in history)
    assert len(history) == sample.entries - 1  # one line is damaged


def test_some_calls_are_unpriced_and_local_ones_are_free(history: list[Entry]) -> None:
    unpriced = {entry.model for entry in history if entry.kind == "usage" and entry.charge is None}
    assert unpriced == {"prototype-7"}
    assert all(entry.cost == 0 and entry.charge for entry in history if entry.service == "local")


def test_a_price_rises_within_the_history(history: list[Entry]) -> None:
    edited = [e for e in history if e.model == "editor-2" and e.kind == "usage" and e.charge]
    rates = {e.charge.parts["input"] // e.usage.tokens_input for e in edited if e.charge}
    assert rates == {2_000, 3_000}  # nano-dollars a token


def test_one_job_ran_away(history: list[Entry]) -> None:
    jobs = Counter(entry.job_id for entry in history if entry.model == "gpt-4")
    assert list(jobs.values()) == [RUNAWAY_CALLS]
    cost = sum(entry.cost for entry in history if entry.model == "gpt-4")
    others = Counter[str]()
    for entry in history:
        if entry.model != "gpt-4":
            others[entry.job_id] += entry.cost
    assert cost > 10 * max(others.values())


def test_nothing_happens_after_now_and_nothing_twice(history: list[Entry]) -> None:
    assert max(entry.timestamp for entry in history) <= NOW
    assert len({entry.id for entry in history}) == len(history)


@pytest.mark.no_cover
@pytest.mark.parametrize(
    "now", [NOW.replace(day=1, hour=0, minute=0), NOW.replace(year=2028, month=2, day=29)]
)
def test_it_can_be_written_on_any_day(now: datetime, tmp_path: Path) -> None:
    assert write_sample(tmp_path / "sample", now).entries > 1_000


@pytest.mark.no_cover
def test_the_same_seed_gives_the_same_bytes_and_another_one_does_not(
    sample: DemoFiles, tmp_path: Path
) -> None:
    again, other = write_sample(tmp_path / "again", NOW), write_sample(tmp_path / "other", NOW, seed=1)

    def ledgers(one: DemoFiles) -> dict[str, bytes]:
        return {str(path.relative_to(one.root)): path.read_bytes() for path, _ in one.jobs}

    assert ledgers(again) == ledgers(sample)
    assert ledgers(other) != ledgers(sample)


def test_a_directory_that_holds_something_is_left_alone(tmp_path: Path) -> None:
    target = tmp_path / "mine"
    target.mkdir()
    (target / "file").write_text("x")
    with pytest.raises(WrongUsage, match="is not empty"):
        write_sample(target, NOW)
    assert [path.name for path in target.iterdir()] == ["file"]


def test_files_are_private(sample: DemoFiles) -> None:
    for path, _ in sample.jobs[:20]:
        assert path.stat().st_mode & 0o777 == 0o600
    assert sample.root.stat().st_mode & 0o777 == 0o700


@pytest.mark.no_cover
@pytest.mark.parametrize("minute", [0, 500, 551, 1000])
def test_the_job_with_the_damaged_line_has_others_that_count(tmp_path: Path, minute: int) -> None:
    sample = write_sample(tmp_path / "sample", datetime(2026, 11, 30, tzinfo=UTC) + timedelta(minutes=minute))
    readable = 0
    for line in sample.damaged.read_bytes().splitlines(keepends=True):
        with suppress(DamagedLine):
            decode(line)
            readable += 1
    assert readable >= 1


def test_the_command_leaves_a_storage_that_answers(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COST_TRACKER_HOME", str(tmp_path / "own"))
    monkeypatch.chdir(tmp_path)
    assert run(["demo", str(tmp_path / "sample"), "--json"]) == 0
    assert not (tmp_path / "own").exists()
    told = json.loads(capsys.readouterr().out)
    with Workspace(told["cost_storage"], told["profile"], environ={}) as workspace:
        (group,) = workspace.index.groups((), Query())
        assert len(workspace.index.problems()) == 1
        assert [str(problem.path) for problem in workspace.index.problems()] == [told["damaged_ledger"]]
    assert group.totals.jobs == told["jobs"]
    assert group.totals.cost > 0
    assert not [path for path in (tmp_path / "own").rglob("*") if path.is_file()]
    for line in told["try"]:
        if line.startswith("cost-dashboard "):
            _runs(line, told, capsys)
    assert Path("costs.html").read_text(encoding="utf-8").startswith("<!DOCTYPE html>")


def test_what_to_try_can_be_pasted_from_a_narrow_terminal(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    assert run(["demo", str(tmp_path / "a sample")]) == 0
    shown = capsys.readouterr().out.partition("Try it:\n")[2].splitlines()
    assert len(shown) > 5
    assert [
        line for line in shown if not re.match(r"  (export COST_TRACKER_|\S*cost-dashboard(\.py)? )", line)
    ] == []


def _runs(line: str, told: dict[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    place = ["--cost-storage", told["cost_storage"], "--profile", told["profile"]]
    if "query" in line:
        pytest.importorskip("duckdb")
    assert run([*shlex.split(line)[1:], *place]) == 0, line
    assert capsys.readouterr().out or "--output" in line


STRICTER = """\
budget:
  monthly_limit_usd: 15
  weekly_limit_usd: 6
  job_limit_usd: 2
  rolling: {hours: 5, limit_usd: 3}
  monthly_calls: 700
  alert_threshold_percent: [50, 80]
  block_at_limit: true
organization: {monthly_limit_usd: 30}
users:
  rpatel: {timezone: Asia/Kolkata, budget: {on_unpriced: warn}}
"""


@pytest.mark.no_cover
def test_a_stricter_budget_is_tried_on_it(sample: DemoFiles, tmp_path: Path) -> None:
    file = tmp_path / "stricter.yaml"
    file.write_text(STRICTER)
    with Workspace(sample.storage.root, sample.profile, clock=lambda: NOW) as workspace:
        workspace.index.add(path for path, _ in sample.jobs)
        facts = back_test_facts(Reader(workspace), BackTestQuestion(file))
    report = back_test_report(facts._replace(file=Path("stricter.yaml"), health=Health()))
    folder = str(sample.jobs[0][0].parents[3])
    data = json.loads(json.dumps(dict(report.data)).replace(folder, "/home/rpatel"))
    check_report("whatif-budget", report._replace(data=data))
    assert data["denied_calls"] == sum(limit["denied_calls"] for limit in data["limits"]) > 0
