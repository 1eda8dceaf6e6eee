"""A cost storage with a gate whose clock is set by hand."""

from __future__ import annotations

import os
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from shared.costs.budgets.gate import Gate, GateRequest
from shared.costs.budgets.hold import Hold
from shared.costs.ledger.counted import new_id
from shared.costs.ledger.line import encode
from shared.costs.model import Charge, Entry, PricedBy
from shared.costs.money import from_usd
from shared.costs.platform import close, open_file
from shared.costs.profile import Profile
from shared.costs.profile.reading import parse_profile
from shared.costs.rollup import JobRef
from shared.costs.storage import CostStorage
from shared.costs.store.holds import LocalHolds
from shared.costs.store.presence import Presence
from shared.costs.store.store import Store

NOVEMBER = datetime(2026, 11, 22, 12, tzinfo=UTC)
BLOCKING = "budget: {monthly_limit_usd: 10, block_at_limit: true}\n"


def profile(text: str = BLOCKING) -> Profile:
    return parse_profile(text.encode(), Path("profile.yaml"))


@dataclass
class Bench:
    """A cost storage with a gate, whose clock is set by hand."""

    root: Path
    now: datetime = NOVEMBER
    gates: list[Gate] = field(default_factory=list)
    indexes: list[Store] = field(default_factory=list)
    presences: list[Presence] = field(default_factory=list)
    kept: list[Hold] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.storage = CostStorage(self.root / "costs")
        self.storage.prepare()
        self.gate = self.new_gate()
        self.index = self.indexes[0]

    def new_gate(self) -> Gate:
        """Return a gate as another process would have it."""
        index = Store.of(self.storage)
        presence = Presence(self.storage.writers_dir)
        holds = LocalHolds(index, presence, lambda: self.now)
        gate = Gate(holds, clock=lambda: self.now, names=lambda s, m: f"{s}/{m}")
        self.indexes.append(index)
        self.presences.append(presence)
        self.gates.append(gate)
        return gate

    def job(self, name: str = "job-1") -> JobRef:
        ledger = self.root / name / "cost_ledger.jsonl"
        ledger.parent.mkdir(exist_ok=True)
        self.index.note(ledger)
        return JobRef(name, ledger)

    def request(self, usd: str | None = "1", **values: Any) -> GateRequest:
        base = GateRequest(
            user_id="u",
            service="openai",
            model="gpt-4o",
            job=self.job(),
            estimate=None if usd is None else from_usd(usd),
        )
        return replace(base, **values)

    def reserve(self, usd: str | None = "1", text: str = BLOCKING, **values: Any) -> Hold:
        hold = self.gate.reserve(self.request(usd, **values), profile(text))
        self.kept.append(hold)  # a hold that nobody has any more is given back
        return hold

    def spend(self, usd: str, hold: Hold | None = None, user_id: str = "u", **values: Any) -> None:
        """Append an entry to the job's ledger, as the tracker does."""
        job = values.pop("job", None) or self.job()
        priced = Charge({"input": from_usd(usd)}, PricedBy("catalogue", "1", "openai/gpt-4o"))
        entry = Entry(
            id=new_id(),
            timestamp=self.now,
            job_id=job.job_id,
            user_id=user_id,
            service=values.pop("service", "openai"),
            model=values.pop("model", "gpt-4o"),
            charge=values.pop("charge", priced),
            reservation=hold.id if hold else None,
            period_at=hold.period_at if hold else None,
            **values,
        )
        descriptor = open_file(job.ledger, append=True, create=True)
        os.write(descriptor.fileno(), encode(entry))
        close(descriptor)

    def held(self) -> list[tuple[int, str | None]]:
        return [(h.amount, h.reservation.orphaned) for h in self.gate.holds()]

    def close(self) -> None:
        for presence in self.presences:
            presence.leave()
        for index in self.indexes:
            index.close()
