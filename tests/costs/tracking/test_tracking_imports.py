"""A call that was made is recorded once and raises nothing, whatever cannot be loaded on its way."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import shared
from shared.cost_tracker import CostTracker
from tests.support.elapsed import PATIENCE_S
from tests.support.plugin import remember

CALLS = {
    "plain": "t.log_usage('openai', 'gpt-4o', 1, 1)",
    "metadata": "t.log_usage('openai', 'gpt-4o', 1, 1, metadata={'a': 1}, tags=['x'], operation='y')",
    "request id": "t.log_usage('openai', 'gpt-4o', 1, 1, request_id='x')",
    "response": (
        "t.log_response({'object': 'chat.completion', 'id': 'c-1', 'model': 'gpt-4o',"
        " 'usage': {'prompt_tokens': 9, 'completion_tokens': 1}})"
    ),
    "model alone": "t.record_api_call('gpt-4o', 1, 1, 'summarization')",
    "stage": 'exec(\'with t.stage("13") as s: s.log_usage("openai", "gpt-4o", 1, 1)\')',
    "unknown model": "t.log_usage('openai', 'gpt-99', 1, 1)",
}

BEGIN = """
import logging, os, resource, sys
logging.disable(50)
from shared.cost_tracker import CostTracker
job, warm = sys.argv[1:]
t = CostTracker(job, cost_storage_path="home")
if warm == "warm": t.log_usage("openai", "gpt-4o", 1, 1)
"""
IN_CHILDREN = """
import logging, os, resource, sys
logging.disable(50)
from shared.cost_tracker import CostTracker
warm, *calls = sys.argv[1:]
for number, call in enumerate(calls):
    call = compile(call, "a call", "exec")
    child = os.fork()
    if child == 0: break
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
else:
    sys.exit()
for stream, name in ((1, "out"), (2, "err")):
    os.dup2(os.open(f"{number}.{name}", os.O_WRONLY | os.O_CREAT, 0o600), stream)
t = CostTracker(f"job-{number}", cost_storage_path=f"home-{number}")
if warm == "warm": t.log_usage("openai", "gpt-4o", 1, 1)
"""
"""Goes on in a child for each call, one after the other; says how each of them ended."""

WAYS = {
    "no descriptors": """
resource.setrlimit(resource.RLIMIT_NOFILE, (256, 256))
held = []
try:
    while True: held.append(os.open("/dev/null", 0))
except OSError: pass
try: CALL
except BaseException as error: print("raised", type(error).__name__, error)
for each in held: os.close(each)
t.close()
""",
    "package gone": """
os.rename("copy/shared", "copy/away")
try: CALL
except BaseException as error: print("raised", type(error).__name__, error)
os.rename("copy/away", "copy/shared")
""",
    "at exit": """
class Last:
    def __del__(self): CALL
last = Last(); last.itself = last
""",
    "at exit, generator": """
def last():
    try: yield
    finally: CALL
last = last(); next(last)
""",
}
WAYS |= {
    f"imports raise {error}": f"""
class Finder:
    def find_spec(self, name, path=None, target=None):
        if name.startswith("shared."): raise {error}
sys.meta_path.insert(0, Finder())
try: CALL
except BaseException as error: print("raised", type(error).__name__, error)
"""
    for error in ("MemoryError()", "SyntaxError('half a file')", "OSError(5, 'Input/output error')")
}


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    # With what is compiled of it: compiling the packages takes longer than the calls.
    shutil.copytree(Path(shared.__file__).parent, tmp_path / "copy" / "shared")
    kept = {name: value for name, value in os.environ.items() if not name.startswith("COST_TRACKER_")}
    return {**kept, "PYTHONPATH": f"{tmp_path / 'copy'}"}


def recorded(tmp_path: Path, said: str, number: str = "") -> list[dict[str, object]]:
    lines = [line.partition("{")[2] for line in said.splitlines() if '"kind":"usage"' in line]
    found = [json.loads("{" + line) for line in lines]
    for path in [*tmp_path.glob(f"job{number}/*.jsonl"), *tmp_path.glob(f"home{number}/spool/*.spooled")]:
        found += [json.loads(line) for line in path.read_bytes().splitlines() if line.startswith(b"{")]
    return found


@pytest.mark.parametrize(
    ("way", "warm"),
    [(way, warm) for way in WAYS for warm in ("cold", "warm") if warm == "cold" or "raise" not in way],
)
def test_calls_are_recorded_once_and_raise_nothing(
    tmp_path: Path, environment: dict[str, str], remembered_prices: list[Path], way: str, warm: str
) -> None:
    if warm == "warm":  # the call before reads them all the same
        for number in range(len(CALLS)):
            remember(remembered_prices, tmp_path / f"home-{number}" / "prices")
    ran = subprocess.run(
        [sys.executable, "-c", IN_CHILDREN + WAYS[way].replace("CALL", "exec(call)"), warm, *CALLS.values()],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
        timeout=PATIENCE_S,
    )
    assert ran.stdout.split() == ["0"] * len(CALLS), ran.stdout
    for number, name in enumerate(CALLS):
        out, err = ((tmp_path / f"{number}.{stream}").read_text() for stream in ("out", "err"))
        assert "raised" not in out, (name, out)
        assert "Exception ignored" not in err, (name, err)
        ids = {entry["id"] for entry in recorded(tmp_path, err, f"-{number}")}
        assert len(ids) == 1 + (warm == "warm"), (name, err)


def test_what_could_not_be_read_says_so(tmp_path: Path, environment: dict[str, str]) -> None:
    code = BEGIN + WAYS["imports raise MemoryError()"].replace("CALL", CALLS["response"])
    subprocess.run([sys.executable, "-c", code, "job", "warm"], cwd=tmp_path, env=environment, check=True)
    *_, last = recorded(tmp_path, "")
    assert (last["service"], last["model"], last["cost_usd"]) == ("unknown", "gpt-4o", None)
    assert last["request_id"] == "c-1"
    metadata = last["metadata"]
    assert isinstance(metadata, dict)
    assert "left_out" in metadata or metadata["usage"] == {"prompt_tokens": 9, "completion_tokens": 1}


def test_a_gate_that_cannot_be_loaded_is_unavailable(tmp_path: Path, environment: dict[str, str]) -> None:
    reserve = "t.reserve('openai', 'gpt-4o', tokens_input=9, max_tokens_output=9).__enter__()"
    for way in ("package gone", "no descriptors"):
        code = BEGIN + WAYS[way].replace("CALL", reserve)
        ran = subprocess.run(
            [sys.executable, "-c", code, "job", "cold"],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            check=True,
            timeout=PATIENCE_S,
        )
        assert "raised BudgetGateUnavailable" in ran.stdout, way


@pytest.mark.parametrize("fault", [RuntimeError("can't start new thread"), ImportError("asyncio")])
def test_without_threads_the_awaitable_form_records_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: Exception
) -> None:
    def to_thread(*_: object) -> object:
        raise fault

    tracker = CostTracker(tmp_path / "job", cost_storage_path=tmp_path / "home")
    with monkeypatch.context() as patched:
        patched.setattr(asyncio, "to_thread", to_thread)
        assert asyncio.run(tracker.alog_usage("openai", "gpt-4o", 1000, 200)) == 0.0045
    tracker.close()
    assert len((tmp_path / "job" / "cost_ledger.jsonl").read_bytes().splitlines()) == 1


@pytest.mark.parametrize("way", ["no descriptors", "package gone", "imports raise MemoryError()"])
@pytest.mark.parametrize("warm", ["cold", "warm"])
def test_looks_at_the_budgets_raise_nothing(
    tmp_path: Path, environment: dict[str, str], way: str, warm: str
) -> None:
    looks = "print(t.is_over_budget(), t.can_make_api_call(0.5), t.check_budget_alerts())"
    ran = subprocess.run(
        [sys.executable, "-c", BEGIN + WAYS[way].replace("CALL", looks), "job", warm],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
        timeout=PATIENCE_S,
    )
    assert ran.stdout.startswith("False "), ran.stdout
