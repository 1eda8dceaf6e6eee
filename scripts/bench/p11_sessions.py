"""P11: a million lines of Claude Code's logs, imported, beside ccusage reading the same files.

    .venv/bin/python -m scripts.bench.p11_sessions             # 1,000,000 lines: 1.5 GB in a temporary folder
    .venv/bin/python -m scripts.bench.p11_sessions --lines 50000
    .venv/bin/python -m scripts.bench.p11_sessions --at DIR    # where ccusage is installed, and stays

The import prices every answer and brings it to the disk; ccusage adds up. Each is a process of its own; the
peak memory is that process's. The lines are like those that Claude Code 2.1.332 writes: of each answer one to
three blocks, a result of a tool, often an attachment.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final, NamedTuple
from uuid import UUID

from scripts.agents.installing import Environment
from scripts.bench.harness import Row, show
from scripts.faults.command_line import command_line

LINES_A_SESSION: Final = 500
MODELS: Final = ("claude-sonnet-4-5-20250929", "claude-opus-4-5-20251101", "claude-haiku-4-5-20251001")
BLOCKS: Final = (
    ("thinking", "tool_use"),
    ("text", "tool_use"),
    ("tool_use",),
    ("text",),
    ("thinking", "text"),
)
TEXT: Final = "a line of a program, or what was said about it; " * 10


class Ran(NamedTuple):
    """What a process took: seconds of the clock and of processors, and its peak memory in bytes."""

    wall_s: float
    cpu_s: float
    peak: int
    output: str


def main() -> None:
    """Write the logs, read them with both programs, and print the ratios."""
    parser = command_line(__doc__, lines=1_000_000)
    parser.add_argument("--at", type=Path, metavar="DIR")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        environment = Environment(options.at or folder / "installed")
        write_logs(folder / "home" / ".claude" / "projects", options.lines)
        measure(folder, str(environment.program("ccusage")), options.lines)


def measure(folder: Path, ccusage: str, lines: int) -> None:
    """Run both programs in turns and print the table."""
    variables = {
        "HOME": str(folder / "home"),
        "COST_TRACKER_HOME": str(folder / "costs"),
        "PATH": os.environ["PATH"],
        "TZ": "UTC",
    }
    ours = [str(Path(sys.executable).with_name("cost-dashboard"))]
    theirs = [ccusage, "claude", "daily", "--json", "--offline"]
    run(theirs, variables)  # once for the page cache
    before = run(theirs, variables)
    first = run([*ours, "import", "--from", "claude-code", "--json"], variables)
    again = run([*ours, "import", "--from", "claude-code", "--json"], variables)
    month = run([*ours, "show-monthly", "--json"], variables)
    after = run(theirs, variables)
    peer = min(before, after)
    agree = abs(json.loads(first.output)["cost_usd"] - json.loads(peer.output)["totals"]["totalCost"]) < 0.01
    second = again.wall_s + month.wall_s
    show(
        f"{lines:,} lines of Claude Code's logs; costs {'agree to the cent' if agree else 'DIFFER'}",
        [
            Row(
                "ccusage 20.0.24", f"{peer.wall_s:.2f} s, {peer.cpu_s:.2f} s of processors, {megabytes(peer)}"
            ),
            _row("first import", first.wall_s, peer.wall_s, 2.5, first),
            _row("first import, processors", first.cpu_s, peer.cpu_s, 2.5, first),
            _row("again, with the month", second, peer.wall_s, 0.05, again),
            Row(
                "memory of the first import",
                megabytes(first),
                f"{first.peak / peer.peak:.3f}",
                "0.100",
                first.peak <= peer.peak / 10,
            ),
        ],
    )


def _row(what: str, seconds: float, floor: float, most: float, ran: Ran) -> Row:
    ratio = seconds / floor
    return Row(what, f"{seconds:.2f} s, {megabytes(ran)}", f"{ratio:.2f}", f"{most}", ratio <= most)


def megabytes(ran: Ran) -> str:
    """Return a peak of memory for people."""
    return f"{ran.peak / 1e6:.0f} MB"


def run(words: list[str], variables: dict[str, str]) -> Ran:
    """Run a program to its end in a process that does nothing else."""
    code = (
        "import json, resource, subprocess, sys\n"
        "done = subprocess.run(sys.argv[1:], capture_output=True, text=True)\n"
        "used = resource.getrusage(resource.RUSAGE_CHILDREN)\n"
        "print(json.dumps([used.ru_utime + used.ru_stime, used.ru_maxrss, done.stdout, done.stderr]))\n"
    )
    began = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-c", code, *words], env=variables, capture_output=True, text=True, check=True
    )
    wall_s = time.perf_counter() - began
    cpu_s, peak, output, errors = json.loads(done.stdout)
    if not output:
        raise RuntimeError(f"{words[0]}: {errors}")
    return Ran(wall_s, cpu_s, peak * (1 if sys.platform == "darwin" else 1024), output)


# --- the logs


def write_logs(folder: Path, lines: int) -> None:
    """Write sessions of 500 lines each, in forty projects, always the same."""
    chance = random.Random(14)
    at = datetime(2026, 8, 1, tzinfo=UTC)
    for number in range(lines // LINES_A_SESSION):
        project = folder / f"-home-ana-project{number % 40}"
        project.mkdir(parents=True, exist_ok=True)
        session = Session(chance, at, f"/home/ana/project{number % 40}")
        (project / f"{session.name}.jsonl").write_text("\n".join(session.lines(LINES_A_SESSION)) + "\n")
        at = session.at


class Session:
    """One session's lines."""

    def __init__(self, chance: random.Random, at: datetime, folder: str) -> None:
        self.at = at
        self._chance = chance
        self._folder = folder
        self.name = self._id()

    def lines(self, count: int) -> list[str]:
        """Return that many lines."""
        found: list[str] = []
        while len(found) < count:
            self.at += timedelta(seconds=self._chance.randint(1, 40))
            found += self._answer()
            result = {
                "type": "tool_result",
                "tool_use_id": "toolu_1",
                "content": TEXT * self._chance.randint(0, 6),
            }
            found.append(self._line("user", message={"role": "user", "content": [result]}))
            if self._chance.random() < 0.6:
                found.append(self._line("attachment", attachment={"type": "reminder", "content": TEXT}))
        return found[:count]

    def _answer(self) -> list[str]:
        model, usage = self._chance.choice(MODELS), self._usage()
        message = {"id": f"msg_01{self._chance.getrandbits(96):024x}", "type": "message", "role": "assistant"}
        request = f"req_011{self._chance.getrandbits(80):020x}"
        ended = {"stop_reason": "tool_use", "stop_sequence": None, "usage": usage, "stop_details": None}
        return [
            self._line(
                "assistant",
                apiBlockIndex=index,
                requestId=request,
                requestedModel=model,
                message={
                    **message,
                    "model": model,
                    "content": [{"type": kind, "text": self._text()}],
                    **ended,
                },
            )
            for index, kind in enumerate(self._chance.choice(BLOCKS))
        ]

    def _usage(self) -> dict[str, Any]:
        written = self._chance.randint(0, 5_000)
        return {
            "input_tokens": self._chance.randint(1, 3_000),
            "cache_creation_input_tokens": written,
            "cache_read_input_tokens": self._chance.randint(0, 90_000),
            "output_tokens": self._chance.randint(1, 2_500),
            "output_tokens_details": {"thinking_tokens": 0},
            "server_tool_use": {"web_search_requests": 0, "web_fetch_requests": 0},
            "service_tier": "standard",
            "cache_creation": {"ephemeral_1h_input_tokens": 0, "ephemeral_5m_input_tokens": written},
            "inference_geo": "",
            "iterations": [],
            "speed": "standard",
            "fallback_credit": None,
        }

    def _line(self, kind: str, **more: object) -> str:
        told = {
            "parentUuid": self._id(),
            "isSidechain": False,
            **more,
            "type": kind,
            "uuid": self._id(),
            "timestamp": self.at.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "userType": "external",
            "entrypoint": "cli",
            "cwd": self._folder,
            "sessionId": self.name,
            "version": "2.1.332",
            "gitBranch": "main",
        }
        return json.dumps(told, separators=(",", ":"))

    def _id(self) -> str:
        return str(UUID(int=self._chance.getrandbits(128)))

    def _text(self) -> str:
        return TEXT[: self._chance.randint(10, 400)]


if __name__ == "__main__":
    main()
