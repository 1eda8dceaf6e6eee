"""Writing the sample history into a directory: ledgers, profile, prices, and the index's register."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

from ..errors import WrongUsage
from ..ledger.line import encode
from ..money import ZERO, Nanos
from ..platform import create_file, secure_directory
from ..pricing.catalogue import Catalogue
from ..storage import LEDGER_NAME, CostStorage
from .history import PEOPLE, DemoHistory, DemoJob, Window, corrected

SEED: Final = 20


@dataclass(frozen=True, slots=True)
class DemoFiles:
    """What was written and where. ``damaged`` is the ledger with the line that does not count."""

    root: Path
    storage: CostStorage
    profile: Path
    jobs: tuple[tuple[Path, str], ...]
    entries: int
    cost: Nanos
    damaged: Path


def write_sample(root: Path, now: datetime, seed: int = SEED) -> DemoFiles:
    """Write the sample history into ``root``, a directory that is empty or not there yet.

    Raises:
        WrongUsage: the directory holds something.
        UnsafePath: it is a link.

    """
    root = Path(os.path.abspath(root))
    if root.exists() and any(root.iterdir()):
        raise WrongUsage(f"{root}: is not empty; name a directory that is empty or not there yet")
    secure_directory(root)
    storage = CostStorage(root / "storage")
    storage.prepare()
    profile = _write_text(root / "profile.yaml", _profile())
    prices = _write_text(root / "prices.yaml", _prices(now))
    catalogue = Catalogue.load(storage, prices, {})
    jobs = list(DemoHistory(catalogue, Window.until(now), seed).jobs())
    corrected(jobs, now)
    ledgers = [_write_job(root, job) for job in jobs]
    damaged = _damage(ledgers)
    return DemoFiles(
        root,
        storage,
        profile,
        tuple((ledger, job.job_id) for ledger, job in zip(ledgers, jobs, strict=True)),
        sum(len(job.entries) for job in jobs),
        sum((entry.cost for job in jobs for entry in job.entries), start=ZERO),
        damaged,
    )


def _write_job(root: Path, job: DemoJob) -> Path:
    folder = root / "out" / job.day.isoformat() / job.job_id
    folder.mkdir(mode=0o700, parents=True)
    return _write(folder / LEDGER_NAME, b"".join(encode(entry) for entry in job.entries))


def _damage(ledgers: Sequence[Path]) -> Path:
    """Flip one bit in a digit of an amount, as a failing disk would: the checksum notices.

    The ledger is one of several lines, so that its job is still among those that count.

    """
    for ledger in ledgers[-len(ledgers) // 4 :]:
        content = bytearray(ledger.read_bytes())
        if content.count(b"\n") > 1:
            break
    content[content.index(b'"cost_usd":') + len(b'"cost_usd":')] ^= 1
    ledger.write_bytes(content)
    return ledger


def _write_text(path: Path, text: str) -> Path:
    return _write(path, text.encode())


def _write(path: Path, content: bytes) -> Path:
    with create_file(path) as file, open(file.fileno(), "wb", closefd=False) as buffered:
        buffered.write(content)
    return path


def _profile() -> str:
    users = "\n".join(
        f"  {who.user_id}: {{timezone: {who.timezone}, budget: {{monthly_limit_usd: {who.limit_usd}}}}}"
        for who in PEOPLE
    )
    return f"""\
# The profile of the sample history: a small team, each with a limit of their own.
timezone: UTC
budget:
  monthly_limit_usd: 50
  alert_threshold_percent: [50, 80]
organization:
  monthly_limit_usd: 70
users:
{users}
"""


def _prices(now: datetime) -> str:
    raised = Window.until(now).first.replace(day=20)
    return f"""\
# Prices of an invented provider, raised on {raised}.
checked: {raised}
models:
  acme/editor-2:
    prices:
      - since: 2020-01-01
        source: the sample history
        per_million_tokens: {{input: 2.00, output: 6.00}}
      - since: {raised}
        source: the sample history
        per_million_tokens: {{input: 3.00, output: 9.00}}
avoided:
  local/whisperx-large-v3: openai/whisper-1
  local/indictrans2-local: indictrans2/api
"""
