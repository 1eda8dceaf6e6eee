"""A call that is logged by hand under a profile that is refused: recorded, and said."""

from __future__ import annotations

from pathlib import Path

from tests.costs.cli.cli_support import Dashboard


def test_a_refused_profile_is_named(tmp_path: Path, dashboard: Dashboard) -> None:
    profile = tmp_path / "nowhere.yaml"
    ran = dashboard("log", "--model", "gpt-4o", "--input-tokens", "5", "--profile", profile)
    assert ran.code == 0
    assert (
        f"limits are the defaults, because the profile is refused: {profile}: the file cannot be" in ran.err
    )
