"""Reports that read every call of a month are asked in a process of their own.

In a thread they would slow every other page down, and what they needed would stay in this process's memory.
An answer is kept as long as nothing changes.

Answers that were given lately are kept by what they were made of:

>>> kept = RecentCache[str](2)
>>> for name in ("a", "b", "a", "c"):
...     kept.put((name,), name.upper())
>>> kept.get(("a",)), kept.get(("b",))
('A', None)
"""

from __future__ import annotations

import json
import os
import pickle
import subprocess
import sys
import threading
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Final, Generic, NamedTuple, TypeVar

from ...errors import CostError, UnknownJob, WrongUsage
from ...formats import load
from ...reports.document import Report
from ...reports.reader import Reader
from ...workspace import Workspace
from .questions import question_of, spec_named

T = TypeVar("T")


class RecentCache(Generic[T]):
    """Keeps the last few things that were put or got. Thread-safe."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._kept: OrderedDict[tuple[object, ...], T] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: tuple[object, ...]) -> T | None:
        """Return what was made of this; ``None`` where it is not kept."""
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
            return self._kept.get(key)

    def put(self, key: tuple[object, ...], value: T) -> None:
        """Keep what was made."""
        with self._lock:
            self._kept[key] = value
            self._kept.move_to_end(key)
            while len(self._kept) > self._most:
                self._kept.popitem(last=False)


MOST_S: Final = 120
"""How long a report may take, in seconds."""

KEPT: Final = 16
"""How many answers are kept."""

_ROOT: Final = Path(__file__).parents[4]
_START: Final = "from shared.costs.apps.serve.apart import main; main()"
_PRINT: Final = "from shared.costs.apps.serve.apart import print_main; print_main()"
_FAULTS: Final[Mapping[str, type[CostError]]] = {"UnknownJob": UnknownJob, "WrongUsage": WrongUsage}


class TookTooLong(CostError):
    """A report was not ready in time."""


class ReportRequest(NamedTuple):
    """A report by its name, and the values of its options as an address carries them."""

    report: str
    values: tuple[tuple[str, str], ...] = ()


class ReportProcesses:
    """Asks reports in other processes, for one cost storage. Thread-safe."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self._kept = RecentCache[Sequence[Report]](KEPT)
        self._running: set[subprocess.Popen[bytes]] = set()
        self._lock = threading.Lock()
        self._turn = threading.Lock()
        self._ended = False

    def reports(self, asks: Sequence[ReportRequest], version: str) -> Sequence[Report]:
        """Return the reports, those that are known for this version of all that they are about.

        Raises:
            CostError: as asking them here would.
            TookTooLong: they were not ready in time.
        """
        key = (version, *asks)
        with self._turn:  # one at a time: two would each take twice as long
            kept = self._kept.get(key)
            if kept is None:
                kept = self._asked(asks)
                self._kept.put(key, kept)
        return kept

    def _asked(self, asks: Sequence[ReportRequest]) -> Sequence[Report]:
        workspace = self._workspace
        question = {
            "storage": str(workspace.storage.root),
            "profile": str(workspace.profile_path) if workspace.profile_path else None,
            "now": workspace.clock().isoformat(),
            "environ": {k: v for k, v in workspace.environ.items() if k.startswith("COST_TRACKER_")},
            "asks": asks,
        }
        reports: Sequence[Report] = _opened(self._run(_START, json.dumps(question).encode()))
        return reports

    def printed(self, report: Report) -> bytes:
        """Return a report as PDF: what makes one takes more memory than all pages.

        Raises:
            CostError: as making it here would.
        """
        plain = report._replace(data={})
        with self._turn:
            paper: bytes = _opened(self._run(_PRINT, pickle.dumps(plain)))
        return paper

    def _run(self, program: str, question: bytes) -> bytes:
        path = os.pathsep.join(filter(None, (str(_ROOT), os.environ.get("PYTHONPATH"))))
        child = subprocess.Popen(
            [sys.executable, "-c", program],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": path},
            start_new_session=True,  # an interrupt of the terminal is for the server, which ends it
        )
        with self._lock:
            self._running.add(child)
        try:
            if self._ended:
                child.kill()
            return child.communicate(question, timeout=MOST_S)[0]
        except subprocess.TimeoutExpired:
            raise TookTooLong(f"the report was not ready in {MOST_S} s; ask for fewer calls") from None
        finally:
            child.kill()
            child.wait()
            with self._lock:
                self._running.discard(child)

    def end(self) -> None:
        """End what is running. May be called from a signal handler."""
        self._ended = True
        for child in tuple(self._running):
            child.kill()


def _opened(answer: bytes) -> Any:
    """Return what another process of ours answered.

    Raises:
        CostError: it could not do what it was asked.
    """
    if not answer:
        raise TookTooLong("the report could not be made; the server's terminal says why")
    kind, value = pickle.loads(answer)  # noqa: S301  # our own process wrote it
    if kind != _DONE:
        raise _FAULTS.get(kind, CostError)(value)
    return value


_DONE: Final = "done"


def answer(question: Mapping[str, object]) -> tuple[str, object]:
    """Return what a question comes to: the reports, or the name of a fault and its text."""
    now = datetime.fromisoformat(str(question["now"]))
    environ: Mapping[str, str] = dict(question["environ"])  # type: ignore[call-overload]  # from JSON
    profile = question["profile"]
    with Workspace(
        str(question["storage"]),
        None if profile is None else str(profile),
        environ=environ,
        clock=lambda: now,
    ) as workspace:
        try:
            asks: Sequence[Sequence[object]] = question["asks"]  # type: ignore[assignment]  # from JSON
            return _DONE, [_report(workspace, str(name), values) for name, values in asks]
        except CostError as fault:
            return type(fault).__name__, str(fault)
        except OSError as fault:
            return "OSError", str(fault)


def _report(workspace: Workspace, name: str, values: object) -> Report:
    pairs = [(str(key), str(value)) for key, value in values]  # type: ignore[attr-defined]  # from JSON
    spec = spec_named(name)
    report = spec.report(spec.ask(Reader(workspace), question_of(spec, pairs)))
    # What JSON has of it is plain data, and can be sent.
    return report._replace(data=json.loads(load("json").render(report)))


def print_main() -> None:
    """Write the report on standard input as PDF on standard output."""
    report = pickle.load(sys.stdin.buffer)  # noqa: S301  # the server wrote it
    try:
        outcome: tuple[str, object] = (_DONE, load("pdf").render(report))
    except CostError as fault:
        outcome = (type(fault).__name__, str(fault))
    sys.stdout.buffer.write(pickle.dumps(outcome))
    sys.stdout.buffer.flush()


def main() -> None:
    """Answer the question on standard input on standard output."""
    outcome = answer(json.load(sys.stdin))
    sys.stdout.buffer.write(pickle.dumps(outcome))
    sys.stdout.buffer.flush()
