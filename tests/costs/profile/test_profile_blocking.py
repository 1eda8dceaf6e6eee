"""A profile that had limits that block does not lose them without a word."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from shared.cost_tracker import BudgetGateUnavailable, CostTracker
from shared.costs import small_file
from shared.costs.errors import ProfileError
from shared.costs.memory import Memory
from shared.costs.profile import loading
from shared.costs.profile.loading import load_profile, load_remembered, to_plain
from shared.costs.tracking import session
from shared.costs.workspace import Workspace

BLOCKS = "budget: {monthly_limit_usd: 1.00, block_at_limit: true}\n"
USER_BLOCKS = "users: {ana: {budget: {daily_limit_usd: 2, block_at_limit: true}}}\n"
TEAM_BLOCKS = "organization: {monthly_limit_usd: 9, block_at_limit: true}\n"
OPEN = "budget: {monthly_limit_usd: 1.00}\n"
TAG_BLOCKS = 'budget: {monthly_limit_usd: null, block_at_limit: true, tag_limits_usd: {"customer:acme": 5}}\n'
RULE = 'tag_rules: [{tag: "customer:acme", project: "acme-*"}]\n'
NEW_USER = "users: {ana: {%s}}\n"
GUARD = "budget: {guard: {usd_per_minute: 2, same_request: 20}}\n"


@pytest.fixture
def memory(tmp_path: Path) -> Memory:
    return Memory(tmp_path / "memory")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "profile.yaml"


def _gone(path: Path) -> None:
    path.unlink()


def _folder_gone(path: Path) -> None:
    path.unlink()
    path.parent.rename(path.parent.with_name("away"))


def _written(text: str) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        path.write_text(text)

    return write


def _directory(path: Path) -> None:
    path.unlink()
    path.mkdir()


def _dangling(path: Path) -> None:
    path.unlink()
    path.symlink_to("nowhere")


def _unreadable(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


LOST: dict[str, Callable[[Path], None]] = {
    "empty": _written(""),
    "blanks": _written(" \n\n"),
    "a comment": _written("# budget\n"),
    "marks alone": _written("\ufeff---\n# nothing\n...\n"),
    "half a document": _written('budget: {monthly_limit_usd: "1'),
    "gone": _gone,
    "gone with its folder": _folder_gone,
    "a directory": _directory,
    "a dangling link": _dangling,
    "a pipe": _unreadable,
}


@pytest.mark.parametrize("how", LOST)
@pytest.mark.parametrize("text", [BLOCKS, USER_BLOCKS, TEAM_BLOCKS, GUARD])
def test_a_blocking_profile_that_is_lost_is_refused(
    tmp_path: Path, memory: Memory, how: str, text: str
) -> None:
    path = tmp_path / "config" / "profile.yaml"
    path.parent.mkdir()
    path.write_text(text)
    load_remembered(path, memory)
    LOST[how](path)
    loading._read_here.clear()  # as another process
    for _ in range(2):  # it is not forgotten by being asked
        with pytest.raises(ProfileError) as fault:
            load_remembered(path, memory)
    if how in ("empty", "gone"):
        assert "budget: {}" in str(fault.value)


@pytest.mark.parametrize("how", ["empty", "blanks", "a comment", "marks alone"])
def test_a_profile_that_never_blocked_may_say_nothing(path: Path, memory: Memory, how: str) -> None:
    path.write_text(OPEN)
    load_remembered(path, memory)
    LOST[how](path)
    assert load_remembered(path, memory).profile == load_profile(path)


@pytest.mark.parametrize("text", ["budget: {}\n", "timezone: Europe/Berlin\n", OPEN])
def test_saying_so_opens_the_gate_and_is_reported(path: Path, memory: Memory, text: str) -> None:
    path.write_text(BLOCKS)
    load_remembered(path, memory)
    path.write_text(text)
    for _ in range(2):
        loading._read_here.clear()
        assert load_remembered(path, memory).loosened == (
            "the monthly limit of everyone, $1.00, does not block any more",
        )
    path.write_text("")
    assert load_remembered(path, memory).profile.budget == load_profile(None).budget


MODEL_BLOCKS = (
    BLOCKS.replace("}", ", model_limits_usd: {prod: 1, acme/chat: 2}}") + "aliases: {prod: openai/gpt-4o}\n"
)
CHANGES = {
    "a higher limit": (BLOCKS, BLOCKS.replace("1.00", "5.00"), 1),
    "a lower limit": (BLOCKS, BLOCKS.replace("1.00", "0.50"), 0),
    "no limit": (BLOCKS, BLOCKS.replace("1.00", "null"), 1),
    "another limit besides": (BLOCKS, BLOCKS + TEAM_BLOCKS, 0),
    "a comment": (BLOCKS, BLOCKS + "# fine\n", 0),
    "the user's section gone": (USER_BLOCKS, OPEN, 2),
    "the user under the same defaults": (
        USER_BLOCKS + "budget: {daily_limit_usd: 2, monthly_limit_usd: 50, block_at_limit: true}\n",
        "budget: {daily_limit_usd: 2, monthly_limit_usd: 50, block_at_limit: true}\n",
        0,
    ),
    "the organization": (TEAM_BLOCKS, OPEN, 1),
    "one stage": (
        BLOCKS.replace("}", ", stage_limits_usd: {a: 1, b: 2}}"),
        BLOCKS.replace("}", ", stage_limits_usd: {a: 1, b: 3}}"),
        1,
    ),
    "a faster guard": (GUARD, GUARD.replace("2,", "3,"), 1),
    "more repetitions": (GUARD, GUARD.replace("20", "21"), 1),
    "a narrower guard": (GUARD, GUARD.replace("2,", "1,").replace("20", "5"), 0),
    "no guard": (GUARD, OPEN, 2),
    "another first day": (BLOCKS, f"billing_day: 25\n{BLOCKS}", 1),
    "another first day of what does not block": (OPEN, f"billing_day: 25\n{OPEN}", 0),
    "another zone": (BLOCKS, f"timezone: Asia/Kolkata\n{BLOCKS}", 1),
    "the user's zone": (
        USER_BLOCKS.replace("{budget", "{timezone: Asia/Tokyo, budget"),
        USER_BLOCKS.replace("{budget", "{timezone: Asia/Kolkata, budget"),
        1,
    ),
    "the zone of everybody": (
        BLOCKS + "users: {ana: {}}\n",
        f"timezone: Asia/Kolkata\n{BLOCKS}users: {{ana: {{}}}}\n",
        1,
    ),
    "the zone of a user whom nothing blocks": (
        TEAM_BLOCKS + "users: {ana: {timezone: Asia/Tokyo}}\n",
        TEAM_BLOCKS + "users: {ana: {timezone: Asia/Kolkata}}\n",
        0,
    ),
    "another zone and first day where a guard alone denies": (
        GUARD,
        f"timezone: Asia/Kolkata\nbilling_day: 25\n{GUARD}",
        0,
    ),
    "a new user's higher limit": (BLOCKS, BLOCKS + NEW_USER % "budget: {monthly_limit_usd: 9}", 1),
    "a new user's lower limit": (BLOCKS, BLOCKS + NEW_USER % "budget: {monthly_limit_usd: 0.1}", 0),
    "a new user whom nothing blocks": (BLOCKS, BLOCKS + NEW_USER % "budget: {block_at_limit: false}", 1),
    "a new user's zone": (BLOCKS, BLOCKS + NEW_USER % "timezone: Asia/Tokyo", 1),
    "no rule for a tag": (TAG_BLOCKS + RULE, TAG_BLOCKS, 1),
    "a narrower rule for a tag": (TAG_BLOCKS + RULE, TAG_BLOCKS + RULE.replace("acme-*", "acme-web"), 1),
    "a rule for another customer before": (
        TAG_BLOCKS + RULE,
        TAG_BLOCKS + RULE.replace("rules: [", 'rules: [{tag: "customer:web", stage: web}, '),
        1,
    ),
    "a rule for another customer after": (
        TAG_BLOCKS + RULE,
        TAG_BLOCKS + RULE.replace("}]", '}, {tag: "customer:web", stage: web}]'),
        0,
    ),
    "a first rule for a tag": (TAG_BLOCKS, TAG_BLOCKS + RULE, 0),
    "no rule for a tag whose limit does not block": (
        TEAM_BLOCKS + TAG_BLOCKS.replace("true", "false") + RULE,
        TEAM_BLOCKS + TAG_BLOCKS.replace("true", "false"),
        0,
    ),
    "shared no more where a guard alone denies": ("shared: {url: env:SHARED}\n" + GUARD, GUARD, 0),
    "shared no more": ("shared: {url: env:SHARED}\n" + BLOCKS, BLOCKS, 1),
    "shared through another database": (
        "shared: {url: env:SHARED}\n" + BLOCKS,
        "shared: {url: env:OTHER}\n" + BLOCKS,
        1,
    ),
    "shared through the same database": (
        "shared: {url: env:SHARED}\n" + BLOCKS,
        "shared: {url: env:SHARED, lease_s: 60}\n" + BLOCKS,
        0,
    ),
    "a limit's model means another": (MODEL_BLOCKS, MODEL_BLOCKS.replace("gpt-4o}", "gpt-4o-mini}"), 1),
    "a limit's model means itself": (MODEL_BLOCKS, MODEL_BLOCKS.partition("aliases")[0], 1),
    "a limited model is called otherwise": (
        MODEL_BLOCKS,
        MODEL_BLOCKS.replace("prod: openai/gpt-4o", "prod: openai/gpt-4o, chat: openai/gpt-4"),
        1,
    ),
    "a limited model is called otherwise, spelled with a version and in capitals": (
        MODEL_BLOCKS,
        MODEL_BLOCKS.replace(
            "prod: openai/gpt-4o", "prod: openai/gpt-4o, ACME/Chat-2026-08-06: openai/gpt-4"
        ),
        1,
    ),
    "another model is called so": (
        MODEL_BLOCKS,
        MODEL_BLOCKS.replace("prod: openai/gpt-4o", "prod: openai/gpt-4o, new: openai/o3"),
        0,
    ),
    "a model is local now": (BLOCKS, BLOCKS + "aliases: {gpt-4o: local/llama}\n", 1),
    "names where no limit on models blocks": (
        BLOCKS + "aliases: {prod: openai/gpt-4o}\n",
        BLOCKS + "aliases: {prod: openai/gpt-4}\n",
        0,
    ),
    "a limit that did not block": (OPEN, "budget: {monthly_limit_usd: 7}\n", 0),
}


@pytest.mark.parametrize("name", CHANGES)
def test_what_loosens_a_limit_that_blocked(path: Path, memory: Memory, name: str) -> None:
    before, after, number = CHANGES[name]
    path.write_text(before)
    assert load_remembered(path, memory).loosened == ()
    path.write_text(after)
    assert len(load_remembered(path, memory).loosened) == number


def test_a_change_of_long_ago_is_not_reported(
    path: Path, memory: Memory, monkeypatch: pytest.MonkeyPatch
) -> None:
    path.write_text(BLOCKS)
    load_remembered(path, memory)
    path.write_text(OPEN)
    assert load_remembered(path, memory).loosened
    monkeypatch.setattr(loading, "REPORT_LOOSENED_S", -1.0)
    assert load_remembered(path, memory).loosened == ()


def test_what_an_earlier_version_remembered_counts(path: Path, memory: Memory) -> None:
    path.write_text(BLOCKS)
    known = {"by": "0.0.1", "text": BLOCKS, "profile": to_plain(load_profile(path))}
    memory.write(loading._name(path), known)
    path.write_text("")
    with pytest.raises(ProfileError, match="is empty"):
        load_remembered(path, memory)
    memory.write(loading._name(path), {**known, "profile": {"budget": 7}})
    assert load_remembered(path, memory).profile.budget == load_profile(None).budget


def test_without_a_memory_a_process_remembers_for_itself(path: Path) -> None:
    path.write_text(BLOCKS)
    load_remembered(path, Memory(None))
    path.write_text("")
    with pytest.raises(ProfileError, match="is empty"):
        load_remembered(path, Memory(None))


def test_a_relative_path_is_the_same_profile(
    path: Path, memory: Memory, monkeypatch: pytest.MonkeyPatch
) -> None:
    path.write_text(BLOCKS)
    load_remembered(path, memory)
    path.write_text("")
    loading._read_here.clear()
    monkeypatch.chdir(path.parent)
    with pytest.raises(ProfileError, match="is empty"):
        load_remembered(Path(path.name), memory)


RESERVE = """
import sys
from shared.cost_tracker import BudgetGateUnavailable, CostTracker
try:
    with CostTracker("job").reserve("openai", "gpt-4o", tokens_input=9, max_tokens_output=9) as hold:
        hold.void()
    print("open")
except BudgetGateUnavailable as fault:
    print("shut", fault)
"""


@pytest.mark.parametrize("place", ["config/profile.yaml", "storage/profile.yaml"])
@pytest.mark.parametrize("how", ["empty", "gone"])
def test_every_process_finds_the_gate_shut(tmp_path: Path, place: str, how: str) -> None:
    """Also where the profile is in a usual place, where a missing one is otherwise no fault."""
    path = tmp_path / place
    path.parent.mkdir()
    path.write_text(BLOCKS)
    environ = {name: value for name, value in os.environ.items() if not name.startswith("COST_TRACKER_")} | {
        "COST_TRACKER_HOME": str(tmp_path / "storage"),
        "PYTHONPATH": os.pathsep.join(sys.path),
    }

    def gate() -> str:
        done = subprocess.run(
            [sys.executable, "-c", RESERVE],
            cwd=tmp_path,
            env=environ,
            capture_output=True,
            text=True,
            check=True,
        )
        return done.stdout

    assert gate() == "open\n"
    LOST[how](path)
    said = gate()
    assert said.startswith("shut")
    assert "budget: {}" in said
    path.write_text("budget: {}\n")
    assert gate() == "open\n"


def test_trackers_report_a_loosened_limit_once_a_process(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session, "_REPORTED_CHANGES", set())
    path = tmp_path / "profile.yaml"

    def log_a_call(job: str) -> list[str]:
        caplog.clear()
        with (
            caplog.at_level(logging.WARNING),
            CostTracker(tmp_path / job, cost_storage_path=tmp_path / "storage", profile_path=path) as tracker,
        ):
            tracker.log_usage("openai", "gpt-4o", 10, 10)
        return [record.getMessage() for record in caplog.records if "any more" in record.getMessage()]

    path.write_text(BLOCKS)
    assert log_a_call("one") == []
    path.write_text(OPEN)
    [said] = log_a_call("two")
    assert said.endswith("the monthly limit of everyone, $1.00, does not block any more")
    assert log_a_call("three") == []


def test_a_profile_is_not_looked_for_at_each_call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    workspace = Workspace(tmp_path / "storage", environ={})
    monkeypatch.chdir(tmp_path)
    looks, real = list[int](), os.path.lexists

    def lexists(path: Path) -> bool:
        looks.append(1)
        return real(path)

    monkeypatch.setattr(os.path, "lexists", lexists)
    assert all(workspace.profile_path is None for _ in range(100))
    assert len(looks) == 2
    path = tmp_path / "config" / "profile.yaml"
    path.parent.mkdir()
    path.write_text(OPEN)
    small_file.note_edit()  # as this process's own set-budget does
    assert workspace.profile_path == path


def test_the_memory_says_no_more_than_the_profile(path: Path, memory: Memory, tmp_path: Path) -> None:
    path.write_text(BLOCKS)
    load_remembered(path, memory)
    [file] = (tmp_path / "memory").glob("*.json")
    assert file.stat().st_mode & 0o777 == 0o600
    data = json.loads(file.read_bytes().partition(b"\n")[2])["data"]
    assert data["blocking"] == {"everyone": {"monthly_limit": 10**9}}


def test_the_gate_of_a_running_process_shuts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shared.costs.workspace.LOOK_S", 0.0)
    path = tmp_path / "profile.yaml"
    path.write_text(BLOCKS)
    with CostTracker(tmp_path / "job", cost_storage_path=tmp_path / "storage", profile_path=path) as tracker:
        tracker.log_usage("openai", "gpt-4o", 10, 10)
        path.write_text("")
        with pytest.raises(BudgetGateUnavailable, match=r"budget: \{\}"):
            tracker.reserve("openai", "gpt-4o", tokens_input=9, max_tokens_output=9).__enter__()
        assert tracker.log_usage("openai", "gpt-4o", 10, 10) > 0  # recording goes on


FLAT = "plans: {max: {usd_per_month: 9, covers: [anthropic/*]%s}}\n"


@pytest.mark.parametrize(
    ("before", "after", "is_told"),
    [
        ("", FLAT % "", True),
        (FLAT % "", FLAT % "" + "timezone: Europe/Berlin\n", False),
        (FLAT % ", users: [ana]", FLAT % "", True),
        (FLAT % "", FLAT % ", users: [ana]", False),
        (FLAT % ", until: 2026-11-30", FLAT % ", until: 2026-12-31", True),
        (FLAT % ", since: 2026-11-02", FLAT % ", since: 2026-11-01", True),
        (FLAT % "", FLAT.replace("max", "pro") % "", False),
        ("", "plans: {free: {covers: [deepl/*], free: {characters: 5}}}\n", False),
    ],
)
def test_a_flat_rate_that_spares_more_is_told(
    path: Path, memory: Memory, before: str, after: str, is_told: bool
) -> None:
    for blocks, expected in ((OPEN, False), (BLOCKS, is_told)):
        for text in (blocks + before, blocks + after):
            path.write_text(text)
            told = load_remembered(path, memory).loosened
        assert any("takes calls to anthropic/*" in text for text in told) == expected
        path.write_text(OPEN)
        load_remembered(path, memory)
