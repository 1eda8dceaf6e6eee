"""What becomes of holds however their block ends: cancelled, forked, dropped, interrupted, lost."""

from __future__ import annotations

import asyncio
import gc
import json
import linecache
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

import shared.costs
from shared.cost_tracker import BudgetExceeded, CostTracker
from shared.costs.budgets.hold import Hold
from shared.costs.budgets.port import HoldStatus
from shared.costs.workspace import Workspace
from tests.support.elapsed import PATIENCE_S

MODEL = ("openai", "gpt-4o")
ASKED: dict[str, Any] = {"tokens_input": 100_000, "max_tokens_output": 10_000}
"""A call of at most $0.35."""


@pytest.fixture(autouse=True)
def profile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A profile that blocks at $10 a month."""
    path = tmp_path / "profile.yaml"
    path.write_text("budget: {monthly_limit_usd: 10, block_at_limit: true}\n")
    monkeypatch.setenv("COST_TRACKER_PROFILE", str(path))
    return path


@pytest.fixture
def job(tmp_path: Path) -> Iterator[CostTracker]:
    with CostTracker(tmp_path / "jobs" / "job-1") as made:
        yield made


def holds() -> list[HoldStatus]:
    """What another tracker of this storage sees held."""
    with Workspace() as workspace:
        return workspace.gate.holds()


def states() -> list[tuple[str, float]]:
    """The state of each hold, and what counts of it in USD."""
    return [(held.reservation.state, held.amount / 1e9) for held in holds()]


"""How long to wait for what the background does, on a machine however busy: what is stuck stays an hour."""


def soon(wanted: list[tuple[str, float]]) -> bool:
    """Wait for what is done in the background."""
    end = time.monotonic() + PATIENCE_S
    while (found := states()) != wanted and time.monotonic() < end:
        time.sleep(0.01)
    assert found == wanted
    return True


def log(tracker: CostTracker, hold: Hold | str | None, tokens: int = 100_000) -> float:
    return tracker.log_usage(*MODEL, tokens, tokens // 10, reservation=hold)


@pytest.mark.parametrize("blocks", ["true", "false"])
def test_calls_of_a_job_whose_folder_cannot_be_looked_at_are_held_for(
    tmp_path: Path, profile: Path, blocks: str
) -> None:
    """Its name is longer than the file system has; they wait in the spool, and count."""
    profile.write_text(f"budget: {{monthly_limit_usd: 0.5, block_at_limit: {blocks}}}\n")
    with CostTracker(tmp_path / ("j" * 300)) as tracker:
        with tracker.reserve(*MODEL, **ASKED) as hold:
            assert log(tracker, hold) == 0.35
        if blocks == "true":
            with pytest.raises(BudgetExceeded), tracker.reserve(*MODEL, **ASKED):
                pass
        assert tracker.get_monthly_cost() == 0.35


# --- several calls under one hold


def test_a_hold_covers_all_calls_of_its_block(job: CostTracker, caplog: pytest.LogCaptureFixture) -> None:
    with job.reserve(*MODEL, tokens_input=300_000, max_tokens_output=30_000) as hold:  # $1.05
        log(job, hold)
        assert states() == [("live", 0.7)]
        log(job, hold)
        assert states() == [("live", 0.35)]
        assert "more than" not in caplog.text
        log(job, hold, 200_000)
        assert f"under reservation {hold.id} cost $1.4000, $0.3500 more than the $1.0500 held" in caplog.text
        assert states() == [("live", 0.0)]
    assert states() == []
    assert job.get_monthly_cost() == 1.4


def test_a_call_logged_again_is_no_second_one(job: CostTracker, caplog: pytest.LogCaptureFixture) -> None:
    with job.reserve(*MODEL, **ASKED) as hold:
        for _ in range(2):
            job.log_usage(*MODEL, 100_000, 10_000, reservation=hold, request_id="r-1")
    assert "more than" not in caplog.text
    assert states() == []


def test_holds_nest(job: CostTracker) -> None:
    with job.stage("13", reserve=2) as stage:
        with job.reserve(*MODEL, **ASKED) as inner:
            log(job, inner)
        log(job, None)
        assert states() == [("live", 1.65)]
        with job.reserve(*MODEL, **ASKED):
            pass
        assert stage.hold is not None
    assert states() == [("orphaned", 0.35)]


def test_what_is_held_by_one_tracker_is_denied_to_another(job: CostTracker, tmp_path: Path) -> None:
    other = CostTracker(tmp_path / "jobs" / "job-2")
    with job.reserve(*MODEL, tokens_input=3_900_000, max_tokens_output=0):
        with pytest.raises(BudgetExceeded), other.reserve(*MODEL, **ASKED):
            pytest.fail("it was admitted")
        other.close()
        assert [state for state, _ in states()] == ["live"]


def test_closing_a_tracker_leaves_its_own_and_other_holds_alive(job: CostTracker, tmp_path: Path) -> None:
    other = CostTracker(tmp_path / "jobs" / "job-2")
    with job.reserve(*MODEL, **ASKED) as mine, other.reserve(*MODEL, **ASKED) as theirs:
        log(job, mine)
        log(other, theirs)
        other.close()
        job.close()
        assert [state for state, _ in states()] == ["live", "live"]
    assert states() == []


# --- results that come later


SUBMIT = """
import os, signal, sys
from shared.cost_tracker import CostTracker
ask = dict(tokens_input=100_000, max_tokens_output=10_000, expires_after_s=90_000)
with CostTracker(sys.argv[1]).reserve("openai", "gpt-4o", **ask) as hold:
    if sys.argv[2] == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
    if sys.argv[2] == "failed":
        sys.exit(0)
"""


@pytest.mark.parametrize("how", ["ended", "failed", "killed"])
def test_what_was_submitted_waits_for_its_results(
    job: CostTracker, tmp_path: Path, how: str, capsys: pytest.CaptureFixture[str]
) -> None:
    from shared.costs.apps.cli.program import run

    subprocess.run([sys.executable, "-c", SUBMIT, tmp_path / "jobs" / "batch", how], check=False)
    assert states() == [("submitted", 0.35)]
    [held] = holds()
    assert run(["reservations", "release"]) == 0
    assert run(["reservations", "release", held.reservation.id]) == 2
    said = capsys.readouterr().err
    assert f"{held.reservation.id} is submitted" in said
    assert f"reservations release {held.reservation.id} --also-submitted" in said
    assert states() == [("submitted", 0.35)]
    log(job, held.reservation.id)
    assert states() == []


def test_what_was_submitted_can_be_released_when_that_is_asked_for(tmp_path: Path) -> None:
    from shared.costs.apps.cli.program import run

    subprocess.run([sys.executable, "-c", SUBMIT, tmp_path / "jobs" / "batch", "ended"], check=True)
    assert run(["reservations", "release", "--also-live"]) == 0
    assert len(states()) == 1
    assert run(["reservations", "release", "--also-submitted"]) == 0
    assert states() == []


def test_an_orphan_of_a_process_that_died_ends_with_a_result_by_its_id(
    job: CostTracker, tmp_path: Path
) -> None:
    code = SUBMIT.replace(", expires_after_s=90_000", "")
    subprocess.run([sys.executable, "-c", code, tmp_path / "jobs" / "job-2", "killed"], check=False)
    [held] = holds()
    assert held.reservation.orphaned == "its process ended"
    log(job, held.reservation.id, 50_000)
    assert states() == []


def test_results_by_id_above_what_was_held_are_said(
    job: CostTracker, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    subprocess.run([sys.executable, "-c", SUBMIT, tmp_path / "jobs" / "batch", "ended"], check=True)
    [held] = holds()
    log(job, held.reservation.id, 200_000)
    assert f"under reservation {held.reservation.id} cost $0.7000, $0.3500 more" in caplog.text


def test_a_result_by_id_leaves_a_hold_that_is_at_work(job: CostTracker, tmp_path: Path) -> None:
    other = CostTracker(tmp_path / "jobs" / "job-2")
    with job.reserve(*MODEL, **ASKED) as hold:
        log(other, str(hold.id), 50_000)
        assert states() == [("live", 0.175)]
    other.close()


@pytest.mark.parametrize("state", ["live", "submitted"])
def test_a_result_by_id_under_another_model_has_that_models_limit_hold(
    job: CostTracker, tmp_path: Path, profile: Path, caplog: pytest.LogCaptureFixture, state: str
) -> None:
    """Whoever collects what another process sent has only the id; the next ones like it are denied."""
    limits = "monthly_limit_usd: 10, model_limits_usd: {openai/gpt-4.1: 0.5}"
    profile.write_text(f"budget: {{{limits}, block_at_limit: true}}\n")
    with ExitStack() as stack:
        if state == "live":
            stack.enter_context(job.reserve(*MODEL, **ASKED))
        else:
            subprocess.run([sys.executable, "-c", SUBMIT, tmp_path / "jobs" / "batch", "ended"], check=True)
        [held] = holds()
        assert held.reservation.state == state
        for _ in range(2):
            job.log_usage("openai", "gpt-4.1", 100_000, 10_000, reservation=held.reservation.id)
        assert caplog.text.count("model openai/gpt-4.1: was not named to reserve") == 1
        with CostTracker(tmp_path / "jobs" / "other") as other:
            with pytest.raises(BudgetExceeded, match=r"recorded with model openai/gpt-4\.1"):
                stack.enter_context(other.reserve(*MODEL, **ASKED))


def test_released_while_live_the_calls_count_all_the_same(job: CostTracker) -> None:
    with job.reserve(*MODEL, **ASKED) as hold:
        with Workspace() as workspace:
            assert len(workspace.gate.release([str(hold.id)], also=["live"])) == 1
        log(job, hold)
    assert states() == []
    assert job.get_monthly_cost() == 0.35


# --- forks


def test_a_child_forked_in_a_block_leaves_its_parents_hold_alone(job: CostTracker) -> None:
    with job.reserve(*MODEL, **ASKED) as hold:
        child = os.fork()
        if not child:
            with suppress(BaseException):
                log(job, hold, 50_000)
                hold.void()
                hold.close()
                del hold
                gc.collect()
            os._exit(0)
        assert os.waitpid(child, 0)[1] == 0
        assert states() == [("live", 0.175)]
        log(job, hold, 50_000)
    assert states() == []
    assert job.get_monthly_cost() == 0.35


def test_a_child_that_leaves_the_block_by_itself_leaves_the_hold_alone(job: CostTracker) -> None:
    pid = os.getpid()
    try:
        with job.reserve(*MODEL, **ASKED) as hold:
            child = os.fork()
            if child:
                assert os.waitpid(child, 0)[1] == 0
                assert states() == [("live", 0.35)]
                log(job, hold)
    finally:
        if os.getpid() != pid:
            os._exit(0)
    assert states() == []


def test_a_reservation_may_be_made_again_but_not_twice_at_once(job: CostTracker) -> None:
    again = job.reserve(*MODEL, **ASKED)
    for _ in range(2):
        with again as hold:
            log(job, hold, 100)
            with pytest.raises(RuntimeError, match="once for each block"):
                again.__enter__()
    assert states() == []

    async def retried() -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(0):
                async with again:
                    pytest.fail("it was entered")
        async with again as hold:
            log(job, hold, 100)

    asyncio.run(retried())
    assert states() == []
    assert job.get_monthly_cost() == pytest.approx(3 * 0.00035)


# --- dropped and interrupted


@pytest.mark.no_cover
def test_a_generator_dropped_within_its_block_leaves_an_orphan_or_settles(job: CostTracker) -> None:
    def calls(*, logged: bool) -> Iterator[None]:
        with job.reserve(*MODEL, **ASKED) as hold:
            if logged:
                log(job, hold)
            yield

    for logged in (True, False):
        running = calls(logged=logged)
        next(running)
        assert [state for state, _ in states()] == ["live"]
        del running
        gc.collect()
        assert states() == ([] if logged else [("orphaned", 0.35)])


def test_a_hold_that_nobody_ever_had_is_given_back(job: CostTracker) -> None:
    job.reserve(*MODEL, **ASKED).__enter__()
    gc.collect()
    assert soon([])


@pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="descriptors cannot be listed")
def test_a_hold_dropped_after_its_tracker_was_closed_ends_and_leaves_no_file_open(tmp_path: Path) -> None:
    tracker = CostTracker(tmp_path / "jobs" / "job-1")
    endings = tracker._session.workspace.gate._endings
    state = tracker._session.workspace.storage.state_path
    hold = tracker.reserve(*MODEL, **ASKED).__enter__()
    assert open_files(state)
    tracker.close()
    del hold
    gc.collect()
    until = time.monotonic() + PATIENCE_S
    while (endings._working or endings._dropped or endings._waiting) and time.monotonic() < until:
        time.sleep(0.01)
    assert not open_files(state)
    assert states() == []


def open_files(path: Path) -> list[str]:
    """The files that this process has open whose paths begin so."""
    found = []
    for descriptor in os.listdir("/proc/self/fd"):
        with suppress(FileNotFoundError):
            found.append(os.readlink(f"/proc/self/fd/{descriptor}"))
    return [each for each in found if each.startswith(os.fspath(path))]


def test_a_hold_dropped_after_it_was_used_counts(job: CostTracker) -> None:
    assert job.reserve(*MODEL, **ASKED).__enter__().id
    gc.collect()
    assert soon([("orphaned", 0.35)])


def test_an_exit_stack_ends_its_holds(job: CostTracker) -> None:
    with ExitStack() as stack:
        for _ in range(3):
            log(job, stack.enter_context(job.reserve(*MODEL, **ASKED)))
        gc.collect()
        assert [state for state, _ in states()] == ["live"] * 3
    assert states() == []


class Interrupt(BaseException):
    """As a signal handler raises it."""


COSTS = Path(shared.costs.__file__).parent
FILES = tuple(
    str(COSTS / each) for each in ("budgets", "tracking/reserving", "store/holds", "store/presence")
)
"""How the paths of the code begin that is interrupted; for the database see ``test_store_database.py``."""


@contextmanager
def interrupted_at(number: int, seen: list[int], places: list[str]) -> Iterator[None]:
    """Raise at the ``number``-th line that runs in the files which reserve.

    Lines are counted in ``seen``; in ``places`` it is noted where it was raised.
    """

    begun: set[tuple[int, int]] = set()

    def local(frame: FrameType, event: str, _: object) -> Any:
        # A block's end is a line event too, but signals come no closer to it than to what ends it.
        place = id(frame), frame.f_lineno
        text = linecache.getline(frame.f_code.co_filename, frame.f_lineno).strip()
        is_end = text.startswith("with ") and place in begun
        begun.add(place)
        if event == "line" and not is_end:
            seen[0] += 1
            if seen[0] == number:
                sys.settrace(None)
                places.append(f"{frame.f_code.co_filename}:{frame.f_lineno}")
                raise Interrupt
        return local

    def each(frame: FrameType, _: str, __: object) -> Any:
        code = frame.f_code
        # What is raised in a finaliser goes nowhere, so that it says nothing here.
        is_ours = code.co_filename.startswith(FILES) and code.co_name != "__del__"
        return local if is_ours else None

    sys.settrace(each)
    try:
        yield
    finally:
        sys.settrace(None)


SMALL: dict[str, Any] = {"tokens_input": 100, "max_tokens_output": 1}


def entered(job: CostTracker) -> None:
    with job.reserve(*MODEL, **SMALL) as hold:
        hold.void()


def settled(job: CostTracker) -> None:
    with job.reserve(*MODEL, **SMALL) as hold:
        hold.recorded(0)  # type: ignore[arg-type]  # nano-dollars


def unreported(job: CostTracker) -> None:
    with job.reserve(*MODEL, **SMALL):
        pass


def live() -> list[HoldStatus]:
    """What is still live when the background had its time."""
    end = time.monotonic() + PATIENCE_S
    while (
        found := [held for held in holds() if held.reservation.state == "live"]
    ) and time.monotonic() < end:
        time.sleep(0.01)
    return found


@pytest.mark.no_cover
@pytest.mark.parametrize(("use", "first"), [(entered, 1), (settled, 2), (unreported, 3)])
def test_interrupted_at_any_line_nothing_stays_live(
    job: CostTracker, use: Callable[[CostTracker], None], first: int
) -> None:
    """Of three uses, which enter in the same way, each is interrupted at every third line."""
    use(job)
    gc.freeze()  # so that collecting takes no time, and none in what follows
    lines, number, places = [first], first - 3, list[str]()
    while number <= lines[0]:
        number += 3
        lines = [0]
        with suppress(Interrupt), interrupted_at(number, lines, places):
            use(job)
        if number % 5 == 0 or number > lines[0]:
            gc.collect()
            assert not live(), f"after an interrupt at one of {places[-5:]}"
            with Workspace() as workspace:
                workspace.gate.release()  # orphans, so that there is not more to look at each time
    assert number > 100
    use(job)


# --- asynchronous


@pytest.mark.no_cover
def test_cancelled_at_any_moment_nothing_stays_live(job: CostTracker) -> None:
    """The long form is ``scripts/faults/cancellation.py``."""
    chance = random.Random(1)

    async def call() -> None:
        async with job.reserve(*MODEL, **SMALL) as hold:
            await asyncio.sleep(0)
            log(job, hold, 100)
            await asyncio.sleep(chance.random() * 0.002)

    async def together() -> None:
        with suppress(ExceptionGroup):
            async with asyncio.TaskGroup() as group:
                for _ in range(4):
                    group.create_task(call())
                await asyncio.sleep(chance.random() * 0.01)
                raise RuntimeError

    async def one() -> None:
        with suppress(TimeoutError):
            await asyncio.wait_for(call(), chance.random() * 0.006)

    for _ in range(40):
        asyncio.run(one())
        asyncio.run(together())
    assert not live()


def test_a_loop_that_is_closed_within_the_block_leaves_no_live_hold(job: CostTracker) -> None:
    async def call() -> None:
        async with job.reserve(*MODEL, **ASKED):
            asyncio.get_running_loop().stop()
            await asyncio.sleep(3600)

    loop = asyncio.new_event_loop()
    task = loop.create_task(call())
    loop.run_forever()
    loop.run_until_complete(loop.shutdown_default_executor())
    loop.close()
    task._log_destroy_pending = False  # type: ignore[attr-defined]  # the test is about this very task
    del task
    gc.collect()
    assert soon([("orphaned", 0.35)])


def test_a_loop_that_ends_while_it_is_reserving_holds_nothing(job: CostTracker) -> None:
    async def call() -> None:
        async with job.reserve(*MODEL, **ASKED):
            pytest.fail("it was entered")

    loop = asyncio.new_event_loop()
    task = loop.create_task(call())
    loop.call_soon(loop.stop)
    loop.run_forever()
    time.sleep(0.3)  # for the thread, which goes on; the task does not
    loop.close()
    task._log_destroy_pending = False  # type: ignore[attr-defined]  # the test is about this very task
    del task
    gc.collect()
    assert soon([])


def test_stages_that_reserve_do_not_hold_up_the_loop(job: CostTracker) -> None:
    async def stage() -> None:
        async with job.stage("13", reserve=0.5) as stage:
            assert stage.hold is not None
            log(job, None, 100)

    async def all_stages() -> None:
        await asyncio.gather(*(stage() for _ in range(4)))

    asyncio.run(all_stages())
    assert states() == []


# --- a lost database


LEAVE = """
import os, signal, sys
from shared.cost_tracker import CostTracker
t = CostTracker(sys.argv[1])
ask = dict(tokens_input=100_000, max_tokens_output=10_000)
for _ in range(3):
    with t.reserve("openai", "gpt-4o", **ask) as hold:
        t.log_usage("openai", "gpt-4o", 100, 10, reservation=hold)
with t.reserve("openai", "gpt-4o", expires_after_s=90_000, **ask): pass
with t.reserve("openai", "gpt-4o", **ask): pass
live = t.reserve("openai", "gpt-4o", **ask)
live.__enter__()
print("ready", flush=True)
sys.stdin.read()
"""


def test_a_lost_database_loses_no_hold(tmp_path: Path, cost_home: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", LEAVE, tmp_path / "jobs" / "job-2"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        before = holds()
        assert sorted(held.reservation.state for held in before) == ["live", "orphaned", "submitted"]
        for path in cost_home.glob("*.db*"):
            path.unlink()
        assert holds() == before
        process.send_signal(signal.SIGKILL)
    for path in cost_home.glob("*.db*"):
        path.unlink()
    again = holds()
    assert [held.reservation.id for held in again] == [held.reservation.id for held in before]
    assert sorted(held.reservation.state for held in again) == ["orphaned", "orphaned", "submitted"]
    with Workspace() as workspace:
        workspace.gate.release(also=["submitted"])
        for path in cost_home.glob("*.db*"):
            path.unlink()
    assert holds() == []


def test_a_job_whose_name_is_not_utf8_reserves_as_any_other(tmp_path: Path) -> None:
    with CostTracker(os.fsdecode(os.fsencode(tmp_path) + b"/job-\xe9t\xe9")) as tracker:
        with tracker.reserve(*MODEL, **ASKED):
            assert states() == [("live", 0.35)]
        [held] = holds()
    assert held.reservation.ledger is not None
    assert os.fsencode(held.reservation.ledger).endswith(b"/job-\xe9t\xe9/cost_ledger.jsonl")


# --- what costs nothing


@pytest.mark.parametrize("model", ["local/x", "acme/on-our-own-gpu"])
def test_what_costs_nothing_is_never_denied(job: CostTracker, profile: Path, model: str) -> None:
    own = "models:\n  acme/on-our-own-gpu: {free: true, source: our own machine}\n"
    profile.with_name("prices.yaml").write_text(own)
    job.log_usage(*MODEL, 10_000_000, 0)
    service, _, name = model.partition("/")
    for text in (profile.read_text(), "budget: {nonsense: 1}\n"):
        profile.write_text(text)
        with job.reserve(service, name, tokens_input=10, max_tokens_output=10) as hold:
            job.log_usage(service, name, 10, 10, reservation=hold)
    assert json.loads((job._session.job.ledger).read_text().splitlines()[-1])["cost_usd"] == 0


def test_a_call_that_uses_nothing_fits_into_a_limit_that_is_used_up(job: CostTracker) -> None:
    job.log_usage(*MODEL, 10_000_000, 0)
    with job.reserve(*MODEL, tokens_input=0, max_tokens_output=0) as hold:
        hold.void()
    with pytest.raises(BudgetExceeded), job.reserve(*MODEL, tokens_input=1, max_tokens_output=0):
        pytest.fail("it was admitted")


# --- limits on projects and tags


def test_limits_on_projects_and_tags_hold_alert_and_are_shown(
    job: CostTracker, profile: Path, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    from shared.costs.apps.cli.program import run

    limits = "project_limits_usd: {subtitles: 1}, tag_limits_usd: {'customer:acme': 0.5}"
    profile.write_text(f"budget: {{monthly_limit_usd: 10, block_at_limit: true, {limits}}}\n")
    job.log_usage(*MODEL, 100_000, 10_000, tags=["customer:other"])
    assert "budget of" not in caplog.text
    with job.reserve(*MODEL, **ASKED, project="subtitles", tags=["customer:acme"]) as hold:
        with pytest.raises(BudgetExceeded, match="limit of user 1 for tag customer:acme"):
            job.reserve(*MODEL, **ASKED, tags=["customer:acme"]).__enter__()
        job.log_usage(*MODEL, 120_000, 10_000, project="subtitles", tags=["customer:acme"], reservation=hold)
    assert "Tag budget of customer:acme threshold reached! $0.4000 / $0.5000 (80.0%)" in caplog.text
    with job.stage("13", reserve=0.5, project="subtitles") as stage:
        with pytest.raises(BudgetExceeded, match="limit of user 1 for project subtitles"):
            job.stage("14", reserve=0.5, project="subtitles").__enter__()
        log(job, stage.hold, 100)
    assert job.get_stage_costs()["13"] == pytest.approx(0.00035)
    capsys.readouterr()
    run(["show-budget", "--json"])
    shown = json.loads(capsys.readouterr().out)
    assert {one["scope"]: one["spent_usd"] for one in shown["limits"]} == {
        "limit of user 1 for tag customer:acme": 0.4,
        "limit of user 1 for project subtitles": 0.40035,
        "monthly limit of user 1": 0.75035,
    }


def test_a_limit_on_a_project_is_set_from_the_command_line(profile: Path) -> None:
    from shared.costs.apps.cli.program import run

    assert run(["set-budget", "--project", "subtitles=20", "--tag", "customer:acme=1.5"]) == 0
    with Workspace() as workspace:
        budget = workspace.profile.budget
    assert (budget.project_limits, budget.tag_limits) == (
        {"subtitles": 20_000_000_000},
        {"customer:acme": 1_500_000_000},
    )


@pytest.mark.parametrize("results", [1, 3])
def test_what_is_logged_by_the_id_of_a_hold_belongs_to_the_month_that_allowed_it(
    results: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def tracker(at: datetime) -> CostTracker:
        made = CostTracker(tmp_path / "jobs" / "job-1")
        monkeypatch.setattr(made._session.workspace, "clock", lambda: at)
        return made

    evening, morning = datetime(2026, 11, 30, 23, 50, tzinfo=UTC), datetime(2026, 12, 1, 0, 10, tzinfo=UTC)
    with tracker(evening) as first, first.reserve(*MODEL, **ASKED, expires_after_s=90_000) as batch:
        pass
    with tracker(morning) as second:
        for _ in range(results):
            second.log_usage(*MODEL, 100_000, 10_000, reservation=batch.id)
        second.log_usage(*MODEL, 100_000, 10_000)
        december = second.get_monthly_cost()
    with tracker(evening) as third:
        november = third.get_monthly_cost()
    assert [november, december] == pytest.approx([0.35 * results, 0.35])
