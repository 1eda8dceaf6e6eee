"""What an import, ccusage and tokscale make of the same logs, beside what was billed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

from shared.costs.exchange.sessions import usual_files
from shared.costs.exchange.sessions.importing import LogPositions, SessionImport
from shared.costs.pricing.catalogue import Catalogue
from shared.costs.rollup import Query
from shared.costs.storage import CostStorage
from shared.costs.store.store import Store
from tests.support.agents.billing import COUNTS, summed

from .installing import Environment
from .runs import Run

CCUSAGE: Final = {
    "claude-code": "claude",
    "codex": "codex",
    "gemini-cli": "gemini",
    "qwen-code": "qwen",
    "opencode": "opencode",
    "copilot-cli": "copilot",
}
TOKSCALE: Final = {"claude-code": "claude", "codex": "codex", "gemini-cli": "gemini", "opencode": "opencode"}

Sums = dict[str, Counter[str]]


class Row(NamedTuple):
    """Who says what of one agent: calls and tokens over all models."""

    agent: str
    who: str
    calls: int | None
    tokens_input: int | None
    tokens_output: int | None
    verdict: str


def imported(run: Run, folder: Path) -> Sums:
    """Return what our import makes of an agent's logs, by model."""
    storage = CostStorage(folder.resolve())
    storage.prepare()
    store, positions = Store.of(storage), LogPositions(storage)
    importer = SessionImport(storage, store, Catalogue.load(), "agent", positions)
    importer.run(usual_files([run.name], run.home, {}))
    sums: Sums = {}
    for entry in store.entries(Query()):
        mine = sums.setdefault(entry.model, Counter())
        mine["calls"] += entry.sign
        mine.update({name: entry.sign * getattr(entry.usage, name) for name in COUNTS})
    positions.close()
    store.close()
    return sums


def by_ccusage(run: Run, environment: Environment) -> Counter[str] | None:
    """Return what ccusage says of an agent's logs over all models."""
    words = [str(environment.program("ccusage")), CCUSAGE[run.name], "daily", "--json", "--offline"]
    told = _said(words, run)
    if told is None:
        return None
    days = told["daily"]
    inputs = ("inputTokens", "cacheReadTokens", "cacheCreationTokens")
    found = {name: sum(day.get(name, 0) for day in days) for name in (*inputs, "outputTokens", "totalTokens")}
    tokens = sum(found[name] for name in inputs)
    # Where its total has more than the parts that it names, that is output too: the thoughts.
    return Counter(
        tokens_input=tokens, tokens_output=max(found["totalTokens"] - tokens, found["outputTokens"])
    )


_TOKSCALE: Final = """
const { parseLocalSources } = require("@tokscale/core");
const [home, source] = process.argv.slice(1);
const sums = { calls: 0, tokens_input: 0, tokens_output: 0 };
for (const each of parseLocalSources({ homeDir: home, sources: [source] }).messages) {
  sums.calls += 1;
  sums.tokens_input += each.input + each.cacheRead + each.cacheWrite;
  sums.tokens_output += each.output + (source === "codex" ? 0 : each.reasoning);
}
console.log(JSON.stringify(sums));
"""


def by_tokscale(run: Run, environment: Environment) -> Counter[str] | None:
    """Return what tokscale says of an agent's logs over all models; ``None`` for agents it does not know."""
    if run.name not in TOKSCALE:
        return None
    node = environment.folder("node") / "node_modules" / "node" / "bin" / "node"
    words = [str(node), "-e", _TOKSCALE, str(run.home), TOKSCALE[run.name]]
    told = _said(words, run, environment.folder("tokscale"))
    return None if told is None else Counter(told)


def _said(words: list[str], run: Run, folder: Path | None = None) -> Any:  # whatever a program prints as JSON
    variables = {"HOME": str(run.home), "PATH": os.environ["PATH"], "TZ": "UTC"}
    done = subprocess.run(words, cwd=folder, env=variables, capture_output=True, text=True, check=False)
    try:
        return json.loads(done.stdout)
    except ValueError:
        sys.stderr.write(f"{words[0]}: {done.stderr.strip()[:500]}\n")
        return None


def expected(run: Run) -> Sums:
    """Return what an import must come to: the bills, less what the agent keeps no record of."""
    kept = {bill.number: part for bill, part, _ in run.unrecorded}
    parts = (kept.get(bill.number, bill) for bill in run.server.bills)
    return summed(part for part in parts if part is not None)


def rows(run: Run, ours: Sums, environment: Environment) -> list[Row]:
    """Return the rows of an agent."""
    billed, wanted = _total(summed(run.server.bills)), _total(expected(run))
    reasons = Counter(f"{why} (but its input)" if part else why for _, part, why in run.unrecorded)
    left_out = ", ".join(f"{count} x {why}" for why, count in reasons.items()) or "nothing"
    found: list[tuple[str, Mapping[str, int] | None, str]] = [
        ("the server billed", billed, ""),
        ("on record", wanted, f"without {left_out}"),
        ("our import", _total(ours), "equal" if ours == expected(run) else "DIFFERS"),
        ("ccusage 20.0.24", theirs := by_ccusage(run, environment), _verdict(theirs, wanted)),
        ("tokscale 1.4.3", theirs := by_tokscale(run, environment), _verdict(theirs, wanted)),
    ]
    return [_row(run.name, who, sums, verdict) for who, sums, verdict in found]


def _row(agent: str, who: str, sums: Mapping[str, int] | None, verdict: str) -> Row:
    said = sums or {}
    return Row(agent, who, said.get("calls"), said.get("tokens_input"), said.get("tokens_output"), verdict)


def _total(sums: Sums) -> Counter[str]:
    total: Counter[str] = Counter()
    for counts in sums.values():
        total.update(counts)
    return total


def _verdict(theirs: Mapping[str, int] | None, wanted: Mapping[str, int]) -> str:
    if theirs is None:
        return "does not read it"
    both = ("tokens_input", "tokens_output")
    if all(theirs[name] == wanted[name] for name in both):
        return "equal"
    shares = (100 * theirs[name] / max(wanted[name], 1) - 100 for name in both)
    return "input {:+.0f} %, output {:+.0f} %".format(*shares)
