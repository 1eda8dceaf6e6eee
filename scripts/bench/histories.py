"""Large histories for benchmarks: many jobs over a year, written about as fast as the disk takes them.

    python3 scripts/bench/histories.py DIR --entries 1000000 --jobs 10000

Every line is one that the ledger's own ``encode`` would write; only the id, the time, the job, the
counts and the amounts differ within one of some thirty kinds of call.
"""

from __future__ import annotations

import json
import random
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zlib import crc32

from scripts.faults.command_line import command_line
from shared.costs.ledger.line import encode
from shared.costs.model import Charge, Entry, PricedBy, Usage
from shared.costs.money import Nanos, json_number
from shared.costs.storage import LEDGER_NAME, CostStorage
from shared.costs.store.store import Store

END = datetime(2026, 11, 22, 12, tzinfo=UTC)
"""The last call of a history is made just before this."""

NOTE = "history.json"
"""The file of a history that says what its sums must be; written last."""

DAYS = 365
CALLS_A_MINUTE = 2
USERS = ("1", "rpatel", "mweber", "batch")

# stage, service, model, operation, nano-dollars per input and per output token
CALLS = (
    ("06_asr", "local", "pocketsphinx", "transcription", 0, 0),
    ("10_translation", "google", "gemini-1.5-flash", "translation", 75, 300),
    ("10_translation", "openai", "gpt-4o-mini", "translation", 150, 600),
    ("13_ai_summarization", "openai", "gpt-4o", "summarization", 2_500, 10_000),
    ("13_ai_summarization", "anthropic", "claude-3-haiku", "summarization", 250, 1_250),
)

_ID, _TIME, _JOB = "f" * 28, datetime(2001, 1, 1, tzinfo=UTC), "job-template"
_INPUT, _OUTPUT = 1_111_111, 2_222_222


@dataclass(frozen=True)
class History:
    """What was made: where, and what its sums must be."""

    root: Path
    jobs: int
    entries: int
    bytes: int
    cost: Nanos

    @property
    def storage(self) -> CostStorage:
        """The cost storage in which the ledgers are registered."""
        return CostStorage(self.root / "storage")


class _Template:
    """The line of one kind of call, cut where something differs from call to call."""

    def __init__(self, user: str, call: tuple[str, str, str, str, int, int]) -> None:
        stage, service, model, operation, self.input_rate, self.output_rate = call
        charge = Charge(
            {"input": Nanos(_INPUT * 10**6), "output": Nanos(_OUTPUT * 10**6)},
            PricedBy("catalogue", "2026-11-22", f"{service}/{model}"),
        )
        line = encode(
            Entry(
                id=_ID,
                timestamp=_TIME,
                job_id=_JOB,
                user_id=user,
                stage=stage,
                service=service,
                model=model,
                usage=Usage(tokens_input=_INPUT, tokens_output=_OUTPUT),
                charge=charge,
                operation=operation,
                host="worker-1",
                pid=4_242,
                metadata={"segments": 12},
            )
        ).decode()
        body = line[: line.index(',"crc"')].replace("%", "%%")
        cost, first, second = (json_number(Nanos(n * 10**6)) for n in (_INPUT + _OUTPUT, _INPUT, _OUTPUT))
        for old, new in (
            (_ID, "%s"),
            ("2001-01-01T00:00:00.000000Z", "%s"),
            (_JOB, "%s"),
            (f'"tokens_input":{_INPUT}', '"tokens_input":%d'),
            (f'"tokens_output":{_OUTPUT}', '"tokens_output":%d'),
            (f'"cost_usd":{cost}', '"cost_usd":%s'),
            (f'"input":{first}', '"input":%s'),
            (f'"output":{second}', '"output":%s'),
        ):
            if body.count(old) != 1:
                raise ValueError(f"the template has {old!r} {body.count(old)} times")
            body = body.replace(old, new)
        self.body = body

    def line(self, entry_id: str, at: str, job: str, counts: tuple[int, int]) -> tuple[bytes, int]:
        """Return the line of one call and its cost."""
        first, second = counts[0] * self.input_rate, counts[1] * self.output_rate
        amounts = tuple(json_number(Nanos(n)) for n in (first + second, first, second))
        body = (self.body % (entry_id, at, job, *counts, *amounts)).encode()
        return b'%b,"crc":"%08x"}\n' % (body, crc32(body)), first + second


def make(root: Path, entries: int, jobs: int, seed: int = 1) -> History:
    """Write a history under ``root`` and register its ledgers; nothing is indexed."""
    chance = random.Random(seed)
    templates = {user: [_Template(user, call) for call in CALLS] for user in USERS}
    written, cost, ledgers = 0, 0, []
    for number in range(jobs):
        calls = entries * (number + 1) // jobs - entries * number // jobs
        begin = END - timedelta(days=DAYS * (jobs - number) / jobs)
        name = f"job-{begin:%Y%m%d}-{number:06d}"
        folder = root / "jobs" / f"{begin:%Y-%m}" / name
        folder.mkdir(parents=True)
        text = bytearray()
        user = chance.choice(USERS)
        for line, amount in _lines(chance, templates[user], begin, name, calls):
            text += line
            cost += amount
        ledger = folder / LEDGER_NAME
        ledger.write_bytes(text)
        ledger.chmod(0o600)
        written += len(text)
        ledgers.append((ledger, name))
    history = History(root, jobs, entries, written, Nanos(cost))
    _register(history.storage, ledgers)
    return history


def kept(root: Path, entries: int, jobs: int) -> History:
    """Return the history in ``root``; where it is not there whole, a process of its own makes it.

    That one has ended, so that nobody may still write to the ledgers, as is the case of most of a history.
    """
    if not (root / NOTE).exists():
        command = [sys.executable, __file__, str(root), "--entries", str(entries), "--jobs", str(jobs)]
        subprocess.run(command, stdout=subprocess.DEVNULL, check=True)
    return History(root, **json.loads((root / NOTE).read_text()))


def _lines(
    chance: random.Random, templates: list[_Template], begin: datetime, job: str, calls: int
) -> Iterator[tuple[bytes, int]]:
    step = timedelta(seconds=60 / CALLS_A_MINUTE)
    for number in range(calls):
        at = begin + number * step + timedelta(microseconds=chance.randrange(10**6))
        stamp = f"{at:%Y-%m-%dT%H:%M:%S.%f}Z"
        entry_id = f"{int(at.timestamp() * 1000):012x}{chance.getrandbits(64):016x}"
        template = templates[number * len(templates) // calls]  # stage after stage
        counts = (chance.randrange(200, 6_000), chance.randrange(50, 800))
        yield template.line(entry_id, stamp, job, counts)


def _register(storage: CostStorage, ledgers: list[tuple[Path, str]]) -> None:
    storage.prepare()
    store = Store.of(storage)
    for ledger, _ in ledgers:
        store.note(ledger)
    store.close()


def main() -> None:
    """Write a history into a directory given on the command line."""
    parser = command_line(__doc__, entries=1_000_000, jobs=10_000)
    parser.add_argument("root", type=Path)
    given = parser.parse_args()
    history = make(given.root, given.entries, given.jobs)
    sums = {name: value for name, value in asdict(history).items() if name != "root"}
    (given.root / NOTE).write_text(json.dumps(sums))
    print(history)


if __name__ == "__main__":
    main()
