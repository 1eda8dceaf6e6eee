"""The guard that fails a test which leaves a process running."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.support import leftovers


@pytest.mark.skipif(sys.platform != "linux", reason="reads Linux's /proc")
def test_what_outlives_the_process_that_started_it_is_named_and_ended(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(leftovers, "_ENDS_WITHIN_S", 0.1)
    guard = leftovers.Leftovers()
    subprocess.run(["/bin/sh", "-c", "sleep 600 </dev/null >/dev/null 2>&1 &"], check=True)
    [left] = guard.end()
    assert "sleep 600" in left
    assert guard.end() == []
