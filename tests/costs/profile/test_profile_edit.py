"""Edits change what they name and nothing else."""

from __future__ import annotations

import multiprocessing
import os
import stat
from multiprocessing.synchronize import Barrier
from pathlib import Path

import pytest
from filelock import FileLock
from hypothesis import given
from hypothesis import strategies as st

from shared.costs.errors import ProfileError, StorageUnavailable
from shared.costs.money import Nanos, from_usd
from shared.costs.profile import Budget, load_profile
from shared.costs.profile import edit as editing
from shared.costs.profile.edit import Edit, edit_profile, edited, template
from shared.costs.profile.reading import parse_profile
from tests.support.elapsed import PATIENCE_S

DAILY = {"daily_limit": from_usd(5)}

OURS = """\
# our team's budgets
timezone:  'Europe/Berlin'   # the office

budget:
    daily_limit_usd:   3   # as agreed
    notify: []

# people
users:
    ana: {timezone: Asia/Kolkata, budget: {monthly_limit_usd: 100}}   # she leads
    2:
        budget:
            weekly_limit_usd: ~

x-when: {on: 12:30, "q": 'z', h: 0x1F, f: 1e3, o: 010, t: yes}
x-note: |
  two
    lines
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "folder").mkdir()
    return tmp_path / "folder"


def edit(text: str, change: Edit) -> str:
    return edited(text.encode(), Path("p.yaml"), change).decode()


@pytest.mark.parametrize(
    ("change", "old", "new"),
    [
        (Edit(DAILY), "usd:   3   # as agreed", "usd:   5.00   # as agreed"),
        (Edit({"notify": ("env:X",)}), "notify: []", 'notify: ["env:X"]'),
        (Edit({"daily_limit": None}), "usd:   3   #", "usd:   null   #"),
        (Edit({}, timezone="Asia/Tokyo"), "'Europe/Berlin'", "Asia/Tokyo"),
        (Edit({"weekly_limit": from_usd("0.0045")}, "2"), "_usd: ~", "_usd: 0.0045"),
        (Edit(DAILY, "2"), "_usd: ~\n", "_usd: ~\n            daily_limit_usd: 5.00\n"),
        (Edit(DAILY, "ana"), "usd: 100}", "usd: 100, daily_limit_usd: 5.00}"),
        (Edit({}, "2", timezone="UTC"), "_usd: ~\n", "_usd: ~\n        timezone: UTC\n"),
        (
            Edit(DAILY, "bo"),
            "_usd: ~\n",
            "_usd: ~\n    bo:\n      budget:\n        daily_limit_usd: 5.00\n",
        ),
        (Edit({"block_at_limit": True}), "notify: []\n", "notify: []\n    block_at_limit: true\n"),
        (
            Edit({"stage_limits": {"13_sum": from_usd(1), "x": None}}),
            "notify: []\n",
            'notify: []\n    stage_limits_usd:\n      "13_sum": 1.00\n      x: null\n',
        ),
        (
            Edit({"thresholds": (50.0, 87.5)}, organization=True),
            "    lines\n",
            "    lines\norganization:\n  alert_threshold_percent: [50, 87.5]\n",
        ),
    ],
)
def test_only_what_was_named_changes(change: Edit, old: str, new: str) -> None:
    assert OURS.count(old) == 1
    assert edit(OURS, change) == OURS.replace(old, new)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("", "budget:\n  daily_limit_usd: 5.00\n"),
        ("# only words", "# only words\nbudget:\n  daily_limit_usd: 5.00\n"),
        ("timezone: UTC", "timezone: UTC\nbudget:\n  daily_limit_usd: 5.00\n"),
        ("{}\n", "{budget: {daily_limit_usd: 5.00}}\n"),
        ("budget:", "budget:\n  daily_limit_usd: 5.00\n"),
        ("budget: # later\nusers: {}\n", "budget: # later\n  daily_limit_usd: 5.00\nusers: {}\n"),
        ("budget: null # none\n", "budget: {daily_limit_usd: 5.00} # none\n"),
        ("budget: {}\n", "budget: {daily_limit_usd: 5.00}\n"),
        ("{budget: }\n", "{budget: {daily_limit_usd: 5.00} }\n"),
        ("{timezone: UTC}\n", "{timezone: UTC, budget: {daily_limit_usd: 5.00}}\n"),
        (
            "budget: {\n  # c\n  job_limit_usd: 1,\n}\n",
            "budget: {\n  # c\n  job_limit_usd: 1, daily_limit_usd: 5.00,\n}\n",
        ),
        ("{users: {a: {}}, budget: }\n", "{users: {a: {}}, budget: {daily_limit_usd: 5.00} }\n"),
        ("budget:\n  daily_limit_usd:\n", "budget:\n  daily_limit_usd: 5.00\n"),
        ("budget:\r\n  job_limit_usd: 1\r\n", "budget:\r\n  job_limit_usd: 1\r\n  daily_limit_usd: 5.00\r\n"),
        ("\ufeffbudget: {daily_limit_usd: 1}", "\ufeffbudget: {daily_limit_usd: 5.00}"),
        (
            "budget:\n  notify:\n  - env:A  # a\n  - env:B  # b\n\n# end\n",
            "budget:\n  notify:\n  - env:A  # a\n  - env:B  # b\n  daily_limit_usd: 5.00\n\n# end\n",
        ),
    ],
)
def test_every_way_to_write_a_file(before: str, after: str) -> None:
    assert edit(before, Edit(DAILY)) == after


def test_a_list_in_lines_is_replaced_as_a_whole() -> None:
    before = "budget:\n  alert_threshold_percent:\n    - 50\n    - 80\n  job_limit_usd: 1\n"
    after = "budget:\n  alert_threshold_percent:\n    95\n  job_limit_usd: 1\n"
    assert edit(before, Edit({"thresholds": (95.0,)})) == after


def test_an_edit_must_follow_the_contract(tmp_path: Path) -> None:
    path = tmp_path / "p.yaml"
    path.write_text(OURS)
    with pytest.raises(ProfileError, match="too small"):
        edit_profile(path, Edit({"daily_limit": Nanos(-1)}))
    with pytest.raises(ProfileError, match="no time zone is called Moon"):
        edit_profile(path, Edit({}, timezone="Moon"))
    assert path.read_text() == OURS


def test_a_broken_profile_is_not_edited(tmp_path: Path) -> None:
    path = tmp_path / "p.yaml"
    path.write_text("budgets: {}\n")
    with pytest.raises(ProfileError, match="did you mean 'budget'"):
        edit_profile(path, Edit(DAILY))
    assert path.read_text() == "budgets: {}\n"


def test_a_change_of_anything_else_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(editing, "put", lambda text, place, value: text.replace("100", "1"))
    with pytest.raises(ProfileError, match=r"would change users\.ana\.budget\.monthly_limit_usd"):
        edit(OURS, Edit(DAILY))


def test_a_new_profile_begins_with_the_example(tmp_path: Path) -> None:
    path = tmp_path / "config" / "profile.yaml"
    profile = edit_profile(path, Edit(DAILY, "rpatel"))
    assert profile.for_user("rpatel").budget.daily_limit == from_usd(5)
    assert profile.budget == Budget()
    added = set(path.read_text().splitlines()) - set(template().decode().splitlines())
    assert added == {"  rpatel:", "    budget:", "      daily_limit_usd: 5.00"}
    assert load_profile(path) == profile


def test_the_file_is_private_and_nothing_is_left_behind(folder: Path) -> None:
    path = folder / "p.yaml"
    path.write_text(OURS)
    path.chmod(0o644)
    old = os.umask(0)
    try:
        edit_profile(path, Edit(DAILY))
    finally:
        os.umask(old)
    modes = {p.name: stat.S_IMODE(p.stat().st_mode) for p in folder.iterdir()}
    assert modes == {"p.yaml": 0o600, ".p.yaml.lock": 0o600}


def test_an_edit_that_changes_nothing_does_not_touch_the_file(tmp_path: Path) -> None:
    path = tmp_path / "p.yaml"
    path.write_text("budget: {daily_limit_usd: 5.00}\n")
    before = path.stat()
    edit_profile(path, Edit(DAILY))
    assert (path.stat().st_ino, path.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


def test_a_link_is_followed(tmp_path: Path) -> None:
    (tmp_path / "real.yaml").write_text(OURS)
    (tmp_path / "link.yaml").symlink_to("real.yaml")
    edit_profile(tmp_path / "link.yaml", Edit(DAILY))
    assert (tmp_path / "link.yaml").is_symlink()
    assert "5.00   # as agreed" in (tmp_path / "real.yaml").read_text()


def test_a_failed_replacement_leaves_the_file_and_no_draft(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = folder / "p.yaml"
    path.write_text(OURS)

    def no_space(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(editing, "sync", no_space)
    with pytest.raises(StorageUnavailable, match="No space left"):
        edit_profile(path, Edit(DAILY))
    assert path.read_text() == OURS
    assert sorted(p.name for p in folder.iterdir()) == [".p.yaml.lock", "p.yaml"]


def test_an_editor_that_never_ends_is_waited_for_briefly(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(editing, "LOCK_WAIT_S", 0.05)
    with FileLock(tmp_path / ".p.yaml.lock"), pytest.raises(StorageUnavailable, match="another process"):
        edit_profile(tmp_path / "p.yaml", Edit(DAILY))


def _edit_often(path: Path, worker: int, barrier: Barrier) -> None:
    barrier.wait(timeout=PATIENCE_S)
    for turn in range(10):
        edit_profile(path, Edit(DAILY, f"user-{worker}-{turn}"))


def test_two_editors_at_once_lose_nothing(tmp_path: Path) -> None:
    path = tmp_path / "p.yaml"
    path.write_text(OURS)
    context = multiprocessing.get_context("spawn")
    barrier = context.Barrier(2)
    workers = [context.Process(target=_edit_often, args=(path, n, barrier)) for n in range(2)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(PATIENCE_S)
    assert [worker.exitcode for worker in workers] == [0, 0]
    expected = {f"user-{worker}-{turn}" for worker in range(2) for turn in range(10)}
    assert load_profile(path).users.keys() == expected | {"ana", "2"}


NAMES = st.text(min_size=1, max_size=12).filter(lambda t: t.isprintable() and bool(t.strip()))


@pytest.mark.no_cover
@given(NAMES, NAMES, st.integers(0, 10**18), st.sampled_from([OURS, "", template().decode()]))
def test_any_user_stage_and_amount_read_back(user: str, stage: str, nanos: int, text: str) -> None:
    after = edit(text, Edit({"stage_limits": {stage: Nanos(nanos)}}, user))
    budget = parse_profile(after.encode(), Path("p.yaml")).for_user(user).budget
    assert budget.stage_limits == {stage: nanos}
    kept = [line for line in text.splitlines() if "#" in line]
    assert [line for line in kept if line not in after.splitlines()] in (
        [],
        [kept[-1]] if user == "ana" else [],
    )
