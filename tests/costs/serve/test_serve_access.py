"""The token and its sessions."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.costs.apps.serve.access import FILE, SESSION_S, Access, StoredAccess, access_of
from shared.costs.errors import StorageUnavailable, UnsafePath

ONE = Access("one" * 12, "prefix" * 4)


def test_the_token_is_kept_for_its_owner_alone_and_stays(tmp_path: Path) -> None:
    first = access_of(tmp_path)
    assert stat.S_IMODE((tmp_path / FILE).stat().st_mode) == 0o600
    assert access_of(tmp_path) == first
    assert len(first.token) >= 43
    assert first.prefix not in first.token


def test_a_new_token_ends_all_sessions(tmp_path: Path) -> None:
    first = access_of(tmp_path)
    session = first.session(now=0)
    second = access_of(tmp_path, new=True)
    assert not second.is_token(first.token)
    assert not second.is_session(session, now=0)
    assert access_of(tmp_path) == second


def test_a_new_token_ends_the_sessions_of_servers_that_run(tmp_path: Path) -> None:
    running = StoredAccess(tmp_path)
    first = running()
    (tmp_path / FILE).unlink()
    assert running() == first
    second = access_of(tmp_path, new=True)
    assert running() == second != first
    (tmp_path / FILE).write_text("not JSON")
    assert running() == second


@pytest.mark.parametrize(
    "content", ["", "{}", "[]", "not JSON", '{"token": "short", "prefix": "short"}', "\xff"]
)
def test_a_damaged_file_is_made_anew(content: str, tmp_path: Path) -> None:
    path = tmp_path / FILE
    path.write_text(content, encoding="latin-1")
    path.chmod(0o600)
    made = access_of(tmp_path)
    assert access_of(tmp_path) == made


def test_a_token_that_others_could_read_is_not_used_again(tmp_path: Path) -> None:
    first = access_of(tmp_path)
    (tmp_path / FILE).chmod(0o644)
    assert access_of(tmp_path) != first


def test_a_link_in_its_place_is_refused(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").write_text("{}")
    (tmp_path / FILE).symlink_to(tmp_path / "elsewhere")
    with pytest.raises((UnsafePath, StorageUnavailable)):
        access_of(tmp_path)
    assert (tmp_path / "elsewhere").read_text() == "{}"


@pytest.mark.skipif(os.geteuid() == 0, reason="root writes everywhere")
def test_a_storage_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(StorageUnavailable, match=r"serve\.json"):
        access_of(tmp_path)


def test_a_session_ends_by_itself() -> None:
    session = ONE.session(now=1_000)
    assert ONE.is_session(session, now=1_000 + SESSION_S - 1)
    assert not ONE.is_session(session, now=1_000 + SESSION_S)


@given(st.text(max_size=90), st.integers(0, 80))
def test_no_other_text_is_a_session_or_a_form_secret(text: str, at: int) -> None:
    session = ONE.session(now=0)
    changed = f"{session[:at]}{text}{session[at + 1 :]}"
    assert ONE.is_session(changed, now=0) == (changed == session)
    assert not ONE.is_form_secret(text, session)
    assert ONE.is_form_secret(ONE.form_secret(session), session)
    assert not ONE.is_form_secret(ONE.form_secret(session), f"{session}x")
