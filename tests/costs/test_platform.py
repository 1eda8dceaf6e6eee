from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from shared.costs import platform
from shared.costs.errors import UnsafePath
from tests.support.elapsed import PATIENCE_S, own_time


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[platform.SecureFile]:
    fd = platform.open_file(tmp_path / "file", write=True, create=True)
    yield fd
    platform.close(fd)


def test_a_lock_excludes_other_descriptors_of_the_same_process(
    tmp_path: Path, opened: platform.SecureFile
) -> None:
    assert platform.lock(opened, 0)
    other = platform.open_file(tmp_path / "file", write=True)
    assert not platform.lock(other, 0.01)
    platform.unlock(opened)
    assert platform.lock(other, 0)
    platform.close(other)


def test_a_lock_is_waited_for(tmp_path: Path, opened: platform.SecureFile) -> None:
    assert platform.lock(opened, 0)
    other = platform.open_file(tmp_path / "file", write=True)
    release = threading.Timer(0.05, platform.unlock, [opened])
    release.start()
    began = own_time()
    assert platform.lock(other, 5)
    assert own_time() - began < 2
    release.join()
    platform.close(other)


def test_a_forked_child_does_not_keep_the_lock(tmp_path: Path) -> None:
    code = (
        "import os, sys, time; from pathlib import Path; from shared.costs import platform\n"
        "fd = platform.open_file(Path(sys.argv[1]), write=True, create=True)\n"
        "assert platform.lock(fd, 1)\n"
        "child = os.fork()\n"
        "if not child: sys.stdin.read(); os._exit(0)\n"
        "platform.close(fd)\n"
        "other = platform.open_file(Path(sys.argv[1]), write=True)\n"
        "print(platform.lock(other, 1), flush=True)\n"
    )
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code, str(tmp_path / "file")],
        input="",
        capture_output=True,
        text=True,
        check=True,
        timeout=PATIENCE_S,
    )
    assert done.stdout == "True\n"


def test_a_program_that_was_started_meanwhile_does_not_keep_the_lock(tmp_path: Path) -> None:
    """As when its parent is killed: nobody gave the lock up by name."""
    fd = platform.open_file(tmp_path / "file", write=True, create=True)
    assert platform.lock(fd, 0)
    command = [sys.executable, "-c", "import sys; print(flush=True); sys.stdin.read()"]
    started = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, close_fds=False)
    assert started.stdout is not None
    started.stdout.readline()
    fd.close()
    other = platform.open_file(tmp_path / "file", write=True)
    assert platform.lock(other, 1)
    platform.close(other)
    started.communicate()


def test_a_closed_descriptor_gives_its_lock_up(tmp_path: Path) -> None:
    for _ in range(2):
        fd = platform.open_file(tmp_path / "file", write=True, create=True)
        assert platform.lock(fd, 0)
        platform.close(fd)


def test_files_of_other_accounts_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch(0o600)
    monkeypatch.setattr(os, "geteuid", lambda: 4711)
    with pytest.raises(UnsafePath, match="belongs to account"):
        platform.open_file(tmp_path / "file")
    with pytest.raises(UnsafePath, match="belongs to account"):
        platform.secure_directory(tmp_path)


def test_a_device_is_no_file() -> None:
    with pytest.raises(UnsafePath, match="not a regular file"):
        platform.open_file(Path("/dev/null"))


def test_a_new_file_is_made_once(tmp_path: Path) -> None:
    platform.close(platform.create_file(tmp_path / "file"))
    with pytest.raises(FileExistsError):
        platform.create_file(tmp_path / "file")
    (tmp_path / "link").symlink_to(tmp_path / "nothing")
    with pytest.raises(FileExistsError):
        platform.create_file(tmp_path / "link")


def test_directories_that_exist_keep_their_mode(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir(mode=0o755)
    platform.secure_directory(tmp_path / "there" / "new" / "deep")
    assert (tmp_path / "there").stat().st_mode & 0o777 == 0o755
    assert (tmp_path / "there" / "new").stat().st_mode & 0o777 == 0o700
    assert (tmp_path / "there" / "new" / "deep").stat().st_mode & 0o777 == 0o700


def test_a_directory_that_another_process_makes_first_is_fine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = os.mkdir

    def mkdir(path: Path, mode: int) -> None:
        real(path, 0o700)
        real(path, mode)

    monkeypatch.setattr(os, "mkdir", mkdir)
    platform.secure_directory(tmp_path / "new")
    assert (tmp_path / "new").is_dir()


@pytest.mark.parametrize("kind", ["link", "file"])
def test_what_is_no_directory_of_ours_is_refused(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "place"
    if kind == "link":
        (tmp_path / "real").mkdir()
        path.symlink_to(tmp_path / "real")
    else:
        path.touch()
    with pytest.raises(UnsafePath, match="not a directory of its own"):
        platform.secure_directory(path)


def test_a_path_names_the_file_behind_a_descriptor_until_it_is_replaced(
    tmp_path: Path, opened: platform.SecureFile
) -> None:
    assert platform.same_file(opened.fileno(), tmp_path / "file")
    (tmp_path / "file").unlink()
    assert not platform.same_file(opened.fileno(), tmp_path / "file")
    (tmp_path / "file").touch()
    assert not platform.same_file(opened.fileno(), tmp_path / "file")


def test_syncs_reach_the_disk_or_raise(tmp_path: Path, opened: platform.SecureFile) -> None:
    platform.sync(opened)
    platform.sync_directory(tmp_path)
    with pytest.raises(FileNotFoundError):
        platform.sync_directory(tmp_path / "nothing")


def test_loose_modes_are_found(tmp_path: Path) -> None:
    (tmp_path / "loose").touch(0o644)
    (tmp_path / "tight").touch(0o600)
    found = platform.loose_modes([tmp_path / "loose", tmp_path / "tight", tmp_path / "gone"])
    assert found == [(tmp_path / "loose", 0o644)]


def test_the_host_has_a_name() -> None:
    assert platform.host_name()
