"""The ways in which people run stages, each on real processes: every call counts once, whatever ends how."""

from __future__ import annotations

import json
import os
import random
import re
import select
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path

import pytest

from scripts.faults.blackbox import LEDGER, NANOS, cost_of, paid, plain
from scripts.faults.common import ROOT
from tests.support.elapsed import PATIENCE_S

ONE_CALL = cost_of(1000, 10)
LIMITS = "budget: {monthly_limit_usd: 1000, block_at_limit: true}\n"


class Place:
    """Job folders and a storage of one test, and programs that use them."""

    def __init__(self, folder: Path, home: Path) -> None:
        self.folder, self.home = folder, home
        self.profile = folder / "profile.yaml"
        self.profile.write_text(LIMITS)

    @property
    def environ(self) -> dict[str, str]:
        """The environment of a stage."""
        return {
            **os.environ,
            "COST_TRACKER_PROFILE": str(self.profile),
            "PYTHONPATH": str(ROOT),
            "PYTHONWARNINGS": "error",
        }

    def start(self, code: str, *arguments: object) -> subprocess.Popen[str]:
        """Start a program, in a file of its own as `multiprocessing` wants it."""
        path = self.folder / f"stage-{len(list(self.folder.glob('stage-*.py')))}.py"
        path.write_text(code)
        return subprocess.Popen(
            [sys.executable, str(path), str(self.folder / "jobs"), *map(str, arguments)],
            env=self.environ,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, code: str, *arguments: object) -> str:
        """Run a program to its good end; return what it printed."""
        out, err = (process := self.start(code, *arguments)).communicate(timeout=PATIENCE_S)
        assert process.returncode == 0, err[-3000:]
        assert "Traceback" not in err, err[-3000:]
        return out

    def dashboard(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run a command of the dashboard."""
        command = [sys.executable, str(ROOT / "tools" / "cost-dashboard.py"), *arguments]
        return subprocess.run(command, env=self.environ, capture_output=True, text=True, check=False)

    def month(self) -> tuple[int, int]:
        """This month's nano-dollars and calls."""
        done = self.dashboard("show-monthly", "--json")
        assert done.returncode == 0, done.stderr
        facts = json.loads(done.stdout, parse_float=Decimal)
        return int(facts["total_cost"] * NANOS), facts["total_calls"]

    def ledgers(self) -> list[Path]:
        """The ledgers of all jobs."""
        return sorted((self.folder / "jobs").glob(f"*/{LEDGER}"))

    def has(self, calls: int, cost: int | None = None) -> None:
        """Assert that ledgers and month have so many calls, at ``cost`` or the cost of as many like ones."""
        lines = plain(*self.ledgers())
        owed = calls * ONE_CALL if cost is None else cost
        assert (paid(lines), len(lines)) == (owed, calls)
        assert self.month() == (owed, calls)


@pytest.fixture
def place(tmp_path: Path, cost_home: Path) -> Place:
    """A place of this test's own."""
    return Place(tmp_path, cost_home)


STAGE = """
import os, sys
from shared.cost_tracker import CostTracker
def log(job, times=3):
    tracker = CostTracker(f"{sys.argv[1]}/{job}")
    for _ in range(times):
        tracker.log_usage("openai", "gpt-4o", 1000, 10)
"""

# --- the end of a process


def test_a_call_counts_whose_process_died_once_its_line_was_written(place: Place) -> None:
    """Of a job that nobody knew before: it was noted before anything was written."""
    died = place.start(
        STAGE
        + """
from shared.costs.store.store import Store
Store.appended = lambda *_: os._exit(9)
log("new")
"""
    )
    died.communicate(timeout=PATIENCE_S)
    assert died.returncode == 9
    place.has(1)


# --- multiprocessing


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_processes_of_multiprocessing(place: Place, method: str) -> None:
    place.run(
        STAGE
        + """
import multiprocessing
if __name__ == "__main__":
    log("before")
    context = multiprocessing.get_context(sys.argv[2])
    processes = [context.Process(target=log, args=(f"job-{number % 3}",)) for number in range(4)]
    for process in processes: process.start()
    log("beside")
    for process in processes: process.join()
    assert not any(process.exitcode for process in processes)
""",
        method,
    )
    place.has(3 * 6)


def test_a_tracker_is_used_on_both_sides_of_a_fork(place: Place) -> None:
    place.run(
        STAGE
        + """
import multiprocessing
tracker = CostTracker(f"{sys.argv[1]}/job")
def work():
    with tracker.reserve("openai", "gpt-4o", tokens_input=1000, max_tokens_output=10) as hold:
        tracker.log_usage("openai", "gpt-4o", 1000, 10, reservation=hold)
tracker.log_usage("openai", "gpt-4o", 1000, 10)
with tracker.reserve("openai", "gpt-4o", tokens_input=1000, max_tokens_output=10) as hold:
    processes = [multiprocessing.get_context("fork").Process(target=work) for _ in range(4)]
    for process in processes: process.start()
    tracker.log_usage("openai", "gpt-4o", 1000, 10, reservation=hold)
    for process in processes: process.join()
    assert not any(process.exitcode for process in processes)
""",
    )
    place.has(6)
    assert json.loads(place.dashboard("reservations", "--json").stdout)["held_usd"] == 0


@pytest.mark.parametrize(
    "pool",
    [
        "concurrent.futures.ProcessPoolExecutor(3)",
        "multiprocessing.Pool(3)",
        "multiprocessing.Pool(3, maxtasksperchild=1)",
    ],
)
def test_pools_whose_workers_end_without_a_word(place: Place, pool: str) -> None:
    place.run(
        STAGE
        + f"""
import concurrent.futures, multiprocessing
multiprocessing.set_start_method("fork")
kept = {{}}
def work(number):
    tracker = kept.setdefault(number % 4, CostTracker(f"{{sys.argv[1]}}/job-{{number % 4}}"))
    tracker.log_usage("openai", "gpt-4o", 1000, 10)
    return tracker.get_monthly_cost() > 0
if __name__ == "__main__":
    with {pool} as pool:
        assert all(list(pool.map(work, range(24))))
"""
    )
    place.has(24)


# --- servers


PREFORKING = (
    STAGE
    + """
import signal, threading, time
tracker = CostTracker(f"{sys.argv[1]}/server")
tracker.log_usage("openai", "gpt-4o", 1000, 10)
def request():
    with tracker.stage("request", logger=__import__("logging").getLogger("x")) as stage:
        stage.log_usage("openai", "gpt-4o", 1000, 10)
def worker():
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    for _ in range(4):
        threads = [threading.Thread(target=request) for _ in range(2)]
        for thread in threads: thread.start()
        for thread in threads: thread.join()
    print("served", flush=True)
    while True: time.sleep(0.01)
pids = []
for _ in range(3):
    pid = os.fork()
    if not pid:
        worker()
    pids.append(pid)
input()
for pid in pids:
    os.kill(pid, signal.SIGTERM)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
tracker.log_usage("openai", "gpt-4o", 1000, 10)
"""
)


def test_a_server_that_forks_its_workers_beforehand(place: Place) -> None:
    server = place.start(PREFORKING)
    assert server.stdout is not None
    assert [server.stdout.readline().strip() for _ in range(3)] == ["served"] * 3
    place.has(1 + 24)  # while the workers live
    _, err = server.communicate("\n", timeout=PATIENCE_S)
    assert server.returncode == 0, err
    place.has(2 + 24)


SOFT_LIMIT = (
    STAGE
    + """
import signal
class SoftTimeLimitExceeded(Exception): pass
def handler(*_):
    global armed
    if armed:
        armed = False
        raise SoftTimeLimitExceeded
armed = False
tracker, done = CostTracker(f"{sys.argv[1]}/task"), 0
signal.signal(signal.SIGUSR1, handler)
if sys.argv[2] == "warm":
    with tracker.reserve("openai", "gpt-4o", tokens_input=1000, max_tokens_output=10) as hold:
        tracker.log_usage("openai", "gpt-4o", 1000, 10, reservation=hold, metadata={"n": "first"})
print("ready", flush=True)
hit = 0
while hit < 40:
    try:
        armed = True
        with tracker.reserve("openai", "gpt-4o", tokens_input=1000, max_tokens_output=10) as hold:
            tracker.log_usage("openai", "gpt-4o", 1000, 10, reservation=hold, metadata={"n": done})
        done += 1
        armed = False
    except SoftTimeLimitExceeded:
        hit += 1
        done += 1
armed = False
tracker.log_usage("openai", "gpt-4o", 1000, 10)
print(done, tracker.get_monthly_cost(), flush=True)
sys.stdin.read()
"""
)


@pytest.mark.parametrize("modules", ["warm", "cold"])
def test_a_soft_limit_interrupts_a_task_at_any_moment(place: Place, modules: str) -> None:
    """Where modules are ``cold``, the first interrupts come while they are imported."""
    worker, chance = place.start(SOFT_LIMIT, modules), random.Random(1)
    assert worker.stdout is not None
    assert worker.stdout.readline() == "ready\n"
    said = select.poll()  # `select` itself takes descriptors up to 1,023 alone
    said.register(worker.stdout)
    end = time.monotonic() + PATIENCE_S
    while worker.poll() is None and not said.poll(0):
        if time.monotonic() > end:
            worker.kill()
            pytest.fail("the task is stuck")
        os.kill(worker.pid, signal.SIGUSR1)
        time.sleep(chance.uniform(0.001, 0.01))
    out, err = worker.communicate(timeout=PATIENCE_S)
    assert worker.returncode == 0, err
    done, month = out.split()
    lines = plain(*place.ledgers())
    numbers = [line.metadata.get("n") for line in lines.values()]
    assert len(numbers) == len(set(numbers)), err
    ours = 1 + (modules == "warm")
    assert int(done) - 40 <= len(lines) - ours <= int(done)
    assert round(float(month) * NANOS) == paid(lines)
    assert place.month() == (paid(lines), len(lines))


def test_a_loop_of_its_own_for_each_task(place: Place) -> None:
    out = place.run(
        STAGE
        + """
import asyncio
tracker = CostTracker(f"{sys.argv[1]}/job")
async def task(cut):
    async with tracker.reserve("openai", "gpt-4o", tokens_input=1000, max_tokens_output=10) as hold:
        await tracker.alog_usage("openai", "gpt-4o", 1000, 10, reservation=hold)
        if cut:
            asyncio.current_task().cancel()
async def several():
    await asyncio.gather(*(task(False) for _ in range(5)))
asyncio.run(task(False))
before = len(os.listdir("/proc/self/fd"))
for _ in range(10):
    asyncio.run(task(False))
    try:
        asyncio.run(task(True))
    except asyncio.CancelledError:
        pass
asyncio.run(several())
print(len(os.listdir("/proc/self/fd")) - before)
"""
    )
    assert int(out) <= 0
    place.has(26)
    assert json.loads(place.dashboard("reservations", "--json").stdout)["held_usd"] == 0


# --- notebooks, cron, folders that others keep


def test_a_notebook_that_never_closes_its_trackers(place: Place) -> None:
    notebook = place.start(
        STAGE
        + """
for line in sys.stdin:
    for cell in range(int(line)):
        tracker = CostTracker(f"{sys.argv[1]}/cell-{cell % 7}")
        with tracker.reserve("openai", "gpt-4o", tokens_input=1000, max_tokens_output=10) as hold:
            tracker.log_usage("openai", "gpt-4o", 1000, 10, reservation=hold)
    print(len(os.listdir("/proc/self/fd")), flush=True)
"""
    )
    assert notebook.stdin is not None
    assert notebook.stdout is not None
    descriptors = []
    for round_ in range(1, 4):
        print(40, file=notebook.stdin, flush=True)
        descriptors.append(int(notebook.stdout.readline()))
        place.has(40 * round_)  # seen at once by others, while it lives
    notebook.kill()
    notebook.communicate()
    assert descriptors[-1] <= descriptors[0] + 2
    place.has(120)


def test_cron_jobs_that_overlap_log_the_same_requests(place: Place) -> None:
    job = (
        STAGE
        + """
import time
tracker = CostTracker(f"{sys.argv[1]}/nightly")
with tracker.stage("sum", logger=__import__("logging").getLogger("x")) as stage:
    for number in range(10):
        stage.log_usage("openai", "gpt-4o", 1000, 10, request_id=f"request-{number}")
        time.sleep(0.01)
"""
    )
    running = []
    for _ in range(5):
        running.append(place.start(job))
        time.sleep(0.1)
    for process in running:
        _, err = process.communicate(timeout=PATIENCE_S)
        assert process.returncode == 0, err
    place.has(10)


@pytest.mark.parametrize(
    "end", ["pass", "tracker.close()", "tracker.get_monthly_cost()", "os.kill(os.getpid(), 9)"]
)
def test_a_job_in_a_temporary_folder_that_goes_when_it_ends(place: Place, end: str) -> None:
    job = place.start(
        STAGE
        + f"""
tracker = CostTracker(f"{{sys.argv[1]}}/temporary")
for _ in range(3):
    tracker.log_usage("openai", "gpt-4o", 1000, 10)
{end}
"""
    )
    job.communicate(timeout=PATIENCE_S)
    shutil.rmtree(place.folder / "jobs")
    assert place.month() == (3 * ONE_CALL, 3)


def test_a_mirror_is_laid_over_the_jobs_while_one_is_open(place: Place) -> None:
    jobs, mirror = place.folder / "jobs", place.folder / "mirror"
    stage = place.start(
        STAGE
        + """
trackers = {}
for line in sys.stdin:
    job = line.strip()
    tracker = trackers.setdefault(job, CostTracker(f"{sys.argv[1]}/{job}"))
    tracker.log_usage("openai", "gpt-4o", 1000, 10)
    print(round(tracker.get_monthly_cost() * 10**9), flush=True)
"""
    )
    assert stage.stdin is not None
    assert stage.stdout is not None
    said, calls = [], 0
    for job in ("a", "b", "mirror", "a", "b", "c", "mirror", "a", "c", "b"):
        if job != "mirror":
            print(job, file=stage.stdin, flush=True)
            said.append(int(stage.stdout.readline()))
            calls += 1
            assert said[-1] == calls * ONE_CALL
        elif not mirror.exists():
            shutil.copytree(jobs, mirror)
        else:
            lay_over(mirror, jobs)
            assert place.month() == (calls * ONE_CALL, calls)
    stage.communicate()
    assert place.month() == (calls * ONE_CALL, calls)


def lay_over(mirror: Path, jobs: Path) -> None:
    """Make one folder like the other, as ``rsync --archive --delete`` does."""
    if shutil.which("rsync"):
        subprocess.run(["rsync", "-a", "--delete", f"{mirror}/", f"{jobs}/"], check=True)
        return
    for job in jobs.iterdir():
        if not (mirror / job.name).exists():
            shutil.rmtree(job)
    for saved in mirror.iterdir():
        fresh = jobs / saved.name / f".{LEDGER}.x7Yz2a"
        shutil.copy2(saved / LEDGER, fresh)
        fresh.replace(jobs / saved.name / LEDGER)


# --- disks


@contextmanager
def mounted(home: Path, options: str) -> Iterator[None]:
    """Have a disk of its own at the place of the storage."""
    home.mkdir(exist_ok=True)
    command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(home)]
    if os.geteuid() or subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("a disk can be mounted by root alone")
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", str(home)], check=True)


TIMED = (
    STAGE
    + """
import logging
from tests.support.elapsed import own_time
logging.basicConfig(level=logging.WARNING)
tracker, slowest = CostTracker(f"{sys.argv[1]}/{sys.argv[2]}"), 0
for _ in range(int(sys.argv[3])):
    began = own_time()
    tracker.log_usage("openai", "gpt-4o", 1000, 10)
    slowest = max(slowest, own_time() - began)
tracker.is_over_budget()
print(slowest)
"""
)


def test_a_storage_on_a_small_disk_that_fills_up(place: Place) -> None:
    with mounted(place.home, "size=512k,mode=700"):
        place.run(STAGE + "log('known')")
        with (place.home / "filler").open("wb", buffering=0) as filler, pytest.raises(OSError, match="space"):
            while True:
                filler.write(b"x" * 1024)
        assert float(place.run(TIMED, "known", 40)) < 2.5
        examined = place.dashboard("doctor")
        assert examined.returncode == 1
        assert re.search(r"disk WRONG [\d,]+ bytes are free at ", " ".join(examined.stdout.split()))
        (place.home / "filler").unlink()
        place.has(43)


def test_a_storage_on_a_disk_that_cannot_be_written(place: Place) -> None:
    with mounted(place.home, "size=4m,mode=700"):
        place.run(STAGE + "log('known')")
        subprocess.run(["mount", "-o", "remount,ro", str(place.home)], check=True)
        assert float(place.run(TIMED, "known", 5)) < 2.5
        assert len(plain(*place.ledgers())) == 8
        for command in (("show-monthly", "--json"), ("doctor",), ("verify",)):
            done = place.dashboard(*command)
            assert done.returncode in {0, 1, 3}, done.stderr
            assert "Traceback" not in done.stderr, done.stderr
            if command[0] == "show-monthly" and done.returncode == 0:
                assert json.loads(done.stdout)["total_calls"] == 8
        subprocess.run(["mount", "-o", "remount,rw", str(place.home)], check=True)
        place.has(8)
