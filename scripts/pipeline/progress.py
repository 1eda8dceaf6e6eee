"""What a batch shows while it runs: a line per finished stage, and on a terminal a line of state."""

from __future__ import annotations

import shutil
import sys
import time
from dataclasses import dataclass, field
from typing import Final, TextIO

from .job import Job

_ERASE_LINE: Final = "\r\x1b[K"


@dataclass
class LineProgress:
    """Progress on standard error.

    Every finished stage leaves a line with its cost line, so a pipe or a log file reads well. On a
    terminal the last line says how far the batch is and what is running now.
    """

    total: int
    stream: TextIO = field(default_factory=lambda: sys.stderr)
    done: int = 0
    running: dict[str, str] = field(default_factory=dict)
    began: float = field(default_factory=time.monotonic)

    def started(self, job: Job, stage: str) -> None:
        """Show the stage among the running ones."""
        self.running[job.id] = stage
        self._show_state()

    def ended(self, job: Job, stage: str, said: str) -> None:
        """Print how the stage ended, and its cost line."""
        self.running.pop(job.id, None)
        state = job.state(stage)
        self._line(f"{job.id} {stage}: {state.status if state else 'did not start'}")
        for line in said.splitlines():
            if line.strip():
                self._line(f"    {line}", counts=False)

    def passed_over(self, job: Job, stage: str) -> None:
        """Print that the stage did not run."""
        what = "completed before" if job.completed(stage) else "not run, the stage before it has no result"
        self._line(f"{job.id} {stage}: {what}")

    def not_started(self, job: Job, stages: int, why: str) -> None:
        """Print that a job is not started."""
        self.done += stages
        self._line(f"{job.id}: not started, the budget cannot finish it: {why}", counts=False)

    def close(self) -> None:
        """Take the line of state away."""
        if self.stream.isatty():
            self.stream.write(_ERASE_LINE)
            self.stream.flush()

    def _line(self, text: str, *, counts: bool = True) -> None:
        self.done += counts
        place = f"[{self.done}/{self.total}] " if counts else ""
        self.close()
        print(f"{place}{text}", file=self.stream, flush=True)
        self._show_state()

    def _show_state(self) -> None:
        if not self.stream.isatty() or not self.running:
            return
        now = ", ".join(f"{job} {stage}" for job, stage in self.running.items())
        text = f"{self.done}/{self.total} stages, {time.monotonic() - self.began:.0f} s: {now}"
        width = shutil.get_terminal_size().columns - 1
        self.stream.write(f"{_ERASE_LINE}{text[:width]}")
        self.stream.flush()
