"""The way of one warm call and of one view: the project's files it passes, and the Python calls on it.

Counted with ``sys.setprofile``: calls of Python functions, and those of them that are the project's own. A
call is warm when the same tracker has recorded before: nothing is imported or opened for the first time. It
believes for some milliseconds what an earlier call saw of others' ledgers; one that looks again is counted by
itself. Of several calls, in each of which something else may fall due, the one with the fewest counts. With
``--each`` every function is listed, in the order of its first call.

    python scripts/bench/walk.py [--each]
"""

from __future__ import annotations

import atexit
import contextlib
import io
import os
import sys
import tempfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from unittest import mock

from scripts.bench.harness import Row, show
from scripts.faults.command_line import command_line
from shared.cost_tracker import CostTracker
from shared.costs.apps.cli.main import main as dashboard

ROOT = Path(__file__).resolve().parents[2]
OURS = str(ROOT / "shared") + os.sep


class Walk:
    """The Python functions that a piece of work calls."""

    def __init__(self, work: Callable[[], object]) -> None:
        self.functions: Counter[tuple[str, str]] = Counter()
        self.changes = 0
        self._file = ""

        def profiler(frame: FrameType, event: str, _: object) -> None:
            if event == "call":
                code = frame.f_code
                self.functions[code.co_filename, code.co_qualname] += 1
                if code.co_filename != self._file and code.co_filename.startswith(OURS):
                    self._file = code.co_filename
                    self.changes += 1

        sys.setprofile(profiler)
        try:
            work()
        finally:
            sys.setprofile(None)
        self.functions -= Counter({(__file__, name): 1 for _, name in self.functions})

    @property
    def files(self) -> list[str]:
        """The project's files on the way."""
        return sorted({file for file, _ in self.functions if file.startswith(OURS)})

    @property
    def calls(self) -> int:
        """All calls of Python functions."""
        return self.functions.total()

    @property
    def own_calls(self) -> int:
        """Those of the project's own functions."""
        return sum(count for (file, _), count in self.functions.items() if file.startswith(OURS))

    def rows(self, what: str, files: int, calls: int | None) -> list[Row]:
        """Set a walk against what it may be."""
        met = None if calls is None else self.own_calls <= calls
        return [
            Row(f"{what}: files", f"{len(self.files)}", "", f"<= {files}", len(self.files) <= files),
            Row(f"{what}: changes of file", f"{self.changes}"),
            Row(
                f"{what}: calls of own functions",
                f"{self.own_calls}",
                "",
                f"<= {calls}" if calls else "",
                met,
            ),
            Row(f"{what}: with those of libraries", f"{self.calls}"),
        ]


def log_usage(folder: Path, profile: str, believed_s: float) -> Walk:
    """One call of a tracker that has recorded before, under this profile; looks are believed for so long."""
    folder.mkdir(exist_ok=True)  # one of its own: what is believed is so for all trackers of a storage
    path = folder / "profile.yaml"
    path.write_text(profile)
    tracker = CostTracker(folder / "job", "1", folder / "storage", profile_path=path)

    def call() -> object:
        return tracker.log_usage("openai", "gpt-4o", 1500, 300, stage="13_ai_summarization")

    with mock.patch.multiple("shared.costs.store.store", LOOK_S=believed_s, LOOK_SHARE=0):
        for _ in range(30):
            call()
        return min((Walk(call) for _ in range(20)), key=lambda walk: walk.own_calls)


def show_budget(folder: Path) -> Walk:
    """The command, in a process that has imported it."""

    def command() -> None:
        with contextlib.suppress(SystemExit, _Ended), contextlib.redirect_stdout(io.StringIO()):
            sys.argv = ["cost-dashboard", "show-budget"]
            dashboard()

    environment = {
        "COST_TRACKER_HOME": str(folder / "storage"),
        "COST_TRACKER_PROFILE": str(folder / "profile.yaml"),
    }
    with (
        mock.patch.dict(os.environ, environment),
        mock.patch.object(os, "_exit", _end),  # the command ends its process, after what is to be done then
        mock.patch.object(atexit, "_run_exitfuncs", return_value=None),
    ):
        command()
        return Walk(command)


class _Ended(BaseException):
    """The command would end the process here."""


def _end(code: int) -> None:
    raise _Ended(code)


def main() -> None:
    """Walk and print."""
    parser = command_line(__doc__)
    parser.add_argument("--each", action="store_true", help="list every function")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        limits = "budget: {monthly_limit_usd: 1000000, daily_limit_usd: 1000000}\n"
        walks: dict[str, tuple[Walk, int, int | None]] = {
            "log_usage": (log_usage(folder, limits, 60.0), 25, 110),
            "log_usage, looking again": (log_usage(folder / "again", limits, 0.0), 25, None),
            "show-budget": (show_budget(folder), 25, None),
        }
    show(
        "the walk",
        [row for what, (walk, files, calls) in walks.items() for row in walk.rows(what, files, calls)],
    )
    if options.each:
        for what, (walk, *_) in walks.items():
            print(f"\n{what}\n")
            for (file, function), count in walk.functions.items():
                print(f"  {count:4}  {file.removeprefix(str(ROOT) + os.sep)}: {function}")


if __name__ == "__main__":
    main()
