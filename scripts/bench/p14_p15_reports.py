"""Reports that read every call of a month, in this process, and a year by month (P14, P15).

    python scripts/bench/p14_p15_reports.py [--calls 60000]

The month before has five sixths as many calls. Each report is asked once with everything imported; what
reading the calls alone takes is the floor of those that read them.
"""

from __future__ import annotations

import gc
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

from scripts.bench.harness import Row, show
from scripts.faults.command_line import command_line
from shared.costs.ledger.line import encode
from shared.costs.model import Charge, Entry, Usage
from shared.costs.pricing.catalogue import Catalogue
from shared.costs.reports.questions import UserMonth
from shared.costs.reports.reader import Reader
from shared.costs.reports.show_budget import budget_facts
from shared.costs.reports.show_optimization import SavingsQuestion, optimization_facts
from shared.costs.reports.statement import statement_facts
from shared.costs.rollup import Query
from shared.costs.storage import LEDGER_NAME
from shared.costs.workspace import Workspace

NOW = datetime(2026, 11, 28, 12, tzinfo=UTC)
CALLS_A_JOB = 60
ROUNDS = 9
TOOL = Path(__file__).resolve().parents[2] / "tools" / "cost-dashboard.py"
CALLS = (
    ("06_asr", "openai", "whisper-1"),
    ("06_asr", "local", "pocketsphinx"),
    ("10_translation", "google", "gemini-1.5-flash"),
    ("10_translation", "openai", "gpt-4o-mini"),
    ("13_ai_summarization", "openai", "gpt-4o"),
    ("13_ai_summarization", "anthropic", "claude-3-haiku"),
)
"""Stage, service and model of calls."""


def write(folder: Path, calls: int) -> None:
    """Write two months of jobs, and make their ledgers known."""
    chance, catalogue, ledgers = random.Random(1), Catalogue.load(), []
    for month, count in ((10, calls * 5 // 6), (11, calls)):
        for job in range(count // CALLS_A_JOB):
            begun = datetime(2026, month, chance.randrange(1, 28), chance.randrange(24), tzinfo=UTC)
            ledger = folder / "out" / f"job-2026{month}-{job:05d}" / LEDGER_NAME
            ledger.parent.mkdir(parents=True)
            lines = _calls(catalogue, chance, ledger.parent.name, begun)
            ledger.write_bytes(b"".join(map(encode, lines)))
            ledgers.append(ledger)
    with Workspace(folder / "storage", environ={}) as workspace:
        workspace.storage.prepare()
        workspace.index.add(ledgers)
        workspace.index.catch_up_all()


def _calls(catalogue: Catalogue, chance: random.Random, job: str, begun: datetime) -> Iterator[Entry]:
    for number in range(CALLS_A_JOB):
        stage, service, model = chance.choice(CALLS)
        speech = stage == CALLS[0][0]
        usage = (
            Usage(audio_seconds=chance.randrange(10, 4_000))
            if speech
            else Usage(tokens_input=chance.randrange(100, 30_000), tokens_output=chance.randrange(50, 3_000))
        )
        at = begun + timedelta(seconds=7 * number)
        charge = catalogue.charge(service, model, usage, at)
        yield Entry(
            id=f"{job}-{number}",
            timestamp=at,
            job_id=job,
            user_id=chance.choice(("1", "rpatel")),
            stage=stage,
            service=service,
            model=model,
            usage=usage,
            attempt=2 if chance.random() < 0.03 else 1,
            charge=charge if isinstance(charge, Charge) else None,
        )


def rows(folder: Path) -> list[Row]:
    """Return the table."""
    gc.set_threshold(100_000)  # as the program does
    with Workspace(folder / "storage", environ={}, clock=lambda: NOW) as workspace:
        month = Query(start=NOW.replace(day=1, hour=0), end=NOW)
        reader = Reader(workspace)
        budget_facts(reader, UserMonth())  # opens what all of them use
        read = _timed(lambda: sum(1 for _ in workspace.index.entries(month)))
        savings = _timed(lambda: optimization_facts(reader, SavingsQuestion()))
        statement = _timed(lambda: statement_facts(reader, UserMonth()))
    budget, trend = (
        _command(folder, *words) for words in (["show-budget"], ["trend", "--period", "monthly"])
    )
    return [
        Row("reading the calls of the month", f"{read:.2f} s"),
        Row("show-optimization", f"{savings:.2f} s", f"{savings / read:.1f}", "1.5 s", savings <= 1.5),
        Row(
            "the month's statement",
            f"{statement:.2f} s",
            f"{statement / read:.1f}",
            "1.5 s",
            statement <= 1.5,
        ),
        Row("show-budget, whole process", f"{budget * 1000:.0f} ms"),
        Row(
            "trend --period monthly, whole process",
            f"{trend * 1000:.0f} ms",
            f"{trend / budget:.1f}",
            "1.2 x show-budget",
            trend <= 1.2 * budget,
        ),
    ]


def _command(folder: Path, *words: str) -> float:
    """Return the median time of a command in a process of its own, in seconds."""
    command = [sys.executable, str(TOOL), *words, "--cost-storage", str(folder / "storage")]
    times = [_timed(lambda: subprocess.run(command, check=True, capture_output=True)) for _ in range(ROUNDS)]
    return statistics.median(times)


def _timed(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def main() -> None:
    """Measure and print the table."""
    parser = command_line(__doc__, calls=60_000)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        write(Path(scratch), given.calls)
        show(f"P14, P15: reports of a month of {given.calls:,} calls", rows(Path(scratch)))


if __name__ == "__main__":
    main()
