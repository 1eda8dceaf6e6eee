"""The façade on profiles that stage scripts import."""

from __future__ import annotations

from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from shared.costs.errors import ProfileError
from shared.costs.money import from_usd
from shared.costs.profile import load_profile
from shared.user_profile import Budget, UserProfile

TEXT = """\
budget: {daily_limit_usd: 3, stage_limits_usd: {asr: 1, mt: 2}}   # for all
users:
  ana:
    timezone: Asia/Kolkata   # hers
    budget: {monthly_limit_usd: 100}
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    (tmp_path / "p.yaml").write_text(TEXT)
    return tmp_path / "p.yaml"


def test_a_user_s_profile_is_typed(path: Path) -> None:
    ana = UserProfile.load("ana", path)
    assert (ana.user_id, ana.timezone.key, ana.path) == ("ana", "Asia/Kolkata", path)
    assert (ana.budget.monthly_limit, ana.budget.daily_limit) == (from_usd(100), from_usd(3))
    assert UserProfile.load(7, path).user_id == "7"


def test_save_writes_what_changed_and_keeps_the_rest(path: Path) -> None:
    ana = UserProfile.load("ana", path)
    ana.set_limits(daily_limit=5, stage_limits={"asr": "0.25"})
    ana.budget = ana.budget._replace(block_at_limit=True)
    assert ana.save() == path
    assert path.read_text() == TEXT.replace(
        "usd: 100}", "usd: 100, daily_limit_usd: 5.00, stage_limits_usd: {asr: 0.25}, block_at_limit: true}"
    )
    again = UserProfile.load("ana", path)
    assert again == ana
    assert again.budget.stage_limits == {"asr": from_usd("0.25"), "mt": from_usd(2)}


def test_a_limit_can_be_taken_away(path: Path) -> None:
    ana = UserProfile.load("ana", path)
    ana.set_limits(daily_limit=None, stage_limits={"mt": None})
    ana.save()
    budget = load_profile(path).for_user("ana").budget
    assert (budget.daily_limit, budget.stage_limits) == (None, {"asr": from_usd(1)})
    assert load_profile(path).budget.daily_limit == from_usd(3)


def test_without_a_user_the_defaults_of_all_change(path: Path) -> None:
    everyone = UserProfile.load(None, path)
    everyone.set_limits(daily_limit=4)
    everyone.timezone = ZoneInfo("Europe/Berlin")
    everyone.save()
    profile = load_profile(path)
    assert (profile.for_user("ana").budget.daily_limit, profile.timezone.key) == (
        from_usd(4),
        "Europe/Berlin",
    )
    assert profile.for_user("ana").timezone.key == "Asia/Kolkata"


def test_saving_twice_writes_once(path: Path) -> None:
    ana = UserProfile.load("ana", path)
    ana.set_limits(daily_limit=5)
    ana.save()
    saved = path.stat().st_ino
    ana.save()
    assert path.stat().st_ino == saved


@pytest.mark.parametrize("place", ["variable", "config", "storage"])
def test_a_first_profile_lies_where_it_is_found_again(
    place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    work, storage = tmp_path / "work", tmp_path / "storage"
    work.mkdir()
    monkeypatch.chdir(work)
    monkeypatch.setenv("COST_TRACKER_HOME", str(storage))
    monkeypatch.delenv("COST_TRACKER_PROFILE", raising=False)
    expected = {
        "variable": tmp_path / "named.yaml",
        "config": work / "config" / "profile.yaml",
        "storage": storage / "profile.yaml",
    }[place]
    if place == "config":
        expected.parent.mkdir()
    ana = UserProfile.load("ana")
    if place == "variable":  # set later: a named profile that is missing cannot be loaded
        monkeypatch.setenv("COST_TRACKER_PROFILE", str(expected))
    assert (ana.path, ana.budget) == (None, Budget())
    ana.set_limits(daily_limit=5)
    assert ana.save() == expected
    assert UserProfile.load("ana").budget.daily_limit == from_usd(5)


def test_wrong_names_and_amounts_are_refused(path: Path) -> None:
    ana = UserProfile.load("ana", path)
    with pytest.raises(TypeError, match="'dayly' is not a limit; known are daily_calls, daily_limit"):
        ana.set_limits(dayly=5)
    with pytest.raises(ValueError, match="not an amount"):
        ana.set_limits(daily_limit="five")
    with pytest.raises(TypeError, match="stage_limits must be a map"):
        ana.set_limits(stage_limits=None)
    ana.set_limits(daily_limit=-5)
    with pytest.raises(ProfileError, match="too small"):
        ana.save()
    assert path.read_text() == TEXT
