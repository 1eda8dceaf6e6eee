"""Imports that an exception from a signal handler cannot tear."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from shared.costs import importing
from shared.costs.importing import import_safely
from tests.support.elapsed import PATIENCE_S

SLOW = """
import threading, time
time.sleep(0.1)
is_main = threading.current_thread() is threading.main_thread()
"""


AT_EXIT = """
import time
from shared.costs.importing import import_safely
class Last:
    def __del__(self):
        began = time.monotonic()
        import_safely("imported_slowly")
        print(time.monotonic() - began)
last = Last()
last.itself = last
"""


class Late(Exception):
    """What the handler of an alarm raises."""


def test_another_thread_imports_and_is_not_interrupted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "imported_slowly.py").write_text(SLOW)
    monkeypatch.syspath_prepend(tmp_path)

    def late(*_: object) -> None:
        raise Late

    before = signal.signal(signal.SIGALRM, late)
    try:
        with pytest.raises(Late):
            signal.setitimer(signal.ITIMER_REAL, 0.02)
            import_safely("imported_slowly")
            threading.Event().wait(60)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    import_safely("imported_slowly")
    assert not sys.modules["imported_slowly"].is_main
    other = threading.Thread(target=import_safely, args=("imported_slowly",))
    other.start()
    other.join(PATIENCE_S)
    assert not other.is_alive()


@pytest.mark.parametrize("module", ["no_such_module", "imported_never"])
def test_what_cannot_be_imported_is_left_to_the_import(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, module: str
) -> None:
    """Waiting for an import that does not end, and one that fails, raises nothing."""
    (tmp_path / "imported_never.py").write_text("import threading; threading.Event().wait(0.3)")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(importing, "WAIT_S", 0.01)
    import_safely(module)


def test_where_no_thread_can_be_started_the_import_does_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr("_thread.start_new_thread", refuse)
    import_safely("another_module")


def test_no_thread_is_waited_for_while_the_interpreter_ends(tmp_path: Path) -> None:
    """None gets to run any more: each call at exit took as long as all is waited for."""
    (tmp_path / "imported_slowly.py").write_text(SLOW)
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), *sys.path])}
    done = subprocess.run(
        [sys.executable, "-c", AT_EXIT], env=environ, capture_output=True, text=True, check=True
    )
    assert float(done.stdout) < importing.WAIT_S / 2
