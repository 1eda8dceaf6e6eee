from __future__ import annotations

from pathlib import Path

import pytest

from shared.costs.errors import UnsafePath
from shared.costs.storage import CostStorage


@pytest.mark.parametrize(
    ("argument", "environ", "root"),
    [
        ("/a", {"COST_TRACKER_HOME": "/b"}, "/a"),
        (None, {"COST_TRACKER_HOME": "/b"}, "/b"),
        (None, {"HOME": "/home/me"}, "/home/me/.local/share/cost-ledger"),
        (None, {"HOME": "/home/me", "XDG_DATA_HOME": "/data"}, "/data/cost-ledger"),
        (None, {"HOME": "/home/me", "XDG_DATA_HOME": "relative"}, "/home/me/.local/share/cost-ledger"),
        (None, {"COST_TRACKER_HOME": "", "HOME": "/h"}, "/h/.local/share/cost-ledger"),
        (None, {"COST_TRACKER_HOME": "~nobody-here/costs"}, "/~nobody-here/costs"),
    ],
)
def test_where_the_storage_lies(argument: str | None, environ: dict[str, str], root: str) -> None:
    assert CostStorage.locate(argument, environ).root == Path(root)


def test_it_is_where_platformdirs_says(monkeypatch: pytest.MonkeyPatch) -> None:
    platformdirs = pytest.importorskip("platformdirs")
    monkeypatch.delenv("XDG_DATA_HOME", raising=False)
    monkeypatch.setenv("HOME", "/home/me")
    assert CostStorage.locate(None, {"HOME": "/home/me"}).root == platformdirs.user_data_path("cost-ledger")


def test_without_a_home_it_is_not_in_every_working_directory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.path.expanduser", str)  # as for an account without HOME and without an entry
    assert CostStorage.locate(None, {}).root == Path("/~/.local/share/cost-ledger")


def test_links_in_the_way_are_followed_once(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    assert CostStorage.locate(tmp_path / "link" / "costs", {}).root == tmp_path.resolve() / "real" / "costs"


def test_the_folders_are_for_the_owner_alone(tmp_path: Path) -> None:
    storage = CostStorage(tmp_path / "costs")
    storage.prepare()
    for folder in (storage.root, storage.spool_dir, storage.writers_dir, storage.unassigned_ledger.parent):
        assert folder.stat().st_mode & 0o777 == 0o700


def test_a_link_in_place_of_a_folder_is_refused(tmp_path: Path) -> None:
    storage = CostStorage(tmp_path / "costs")
    storage.root.mkdir()
    storage.spool_dir.symlink_to(tmp_path)
    with pytest.raises(UnsafePath):
        storage.prepare()


def test_the_files_lie_in_the_root(tmp_path: Path) -> None:
    storage = CostStorage(tmp_path)
    assert {p.parent for p in (storage.index_path, storage.state_path, storage.prices_memory)} == {tmp_path}
