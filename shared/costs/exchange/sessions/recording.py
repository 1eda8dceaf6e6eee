"""Records each call of an agent once, in the ledger of its session, and again if a later line counts more.

A session is a job: ``imported/PROGRAM/SESSION/cost_ledger.jsonl`` in the cost storage. The id of an entry is
a hash of the call's key in its program, so that copies of a line in any file are recognised. If a copy counts
more than what was recorded, because the log was read while an answer was still being written, the earlier
entry is reversed and the call is recorded again under the next id: the ledger is only appended to.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache
from hashlib import blake2b
from pathlib import Path
from typing import Final, NamedTuple

from ...ledger.line import decode, encode
from ...ledger.lines import Location
from ...ledger.redact import clean_text
from ...ledger.writer import append
from ...model import NO_UNITS, Charge, Entry, PricedBy
from ...money import ZERO, Nanos
from ...platform import host_name
from ...pricing.catalogue import Catalogue
from ...storage import LEDGER_NAME, CostStorage
from ...store.store import Store
from ...tracking.corrections import corrected_entry, reversal
from ..importing import folder_name
from ..ledger_access import LOCK_TIMEOUT_S, NotWritten, import_lock
from ..recorded_calls import StatedCall, recorded_elsewhere
from .calls import ModelCall, Program

BATCH: Final = 2_000
"""How many calls are collected in memory before they are looked up, priced and written together."""

GROWN: Final = "a later line of the log counts more for this call"


@dataclass(slots=True)
class SessionTotals:
    """What was recorded of one program: how many calls, and what they cost.

    ``elsewhere`` counts calls that had already been recorded, live or from another log.
    """

    seen: int = 0
    calls: int = 0
    known: int = 0
    grown: int = 0
    stated: int = 0
    unpriced: int = 0
    partial: int = 0
    zero_stated: int = 0
    cost: Nanos = ZERO
    tokens_input: int = 0
    tokens_output: int = 0
    first: datetime | None = None
    last: datetime | None = None
    unpriced_models: dict[str, int] = field(default_factory=dict)
    elsewhere: int = 0

    def add(self, entry: Entry) -> None:
        """Count an entry that was recorded."""
        usage = entry.usage
        self.calls += max(usage.requests, 1)
        self.cost = Nanos(self.cost + entry.cost)
        self.tokens_input += usage.tokens_input
        self.tokens_output += usage.tokens_output
        at = entry.timestamp
        self.first = at if self.first is None or at < self.first else self.first
        self.last = at if self.last is None or at > self.last else self.last
        self.partial += entry.partial_delta
        if entry.charge is None:
            self.unpriced += 1
            name = f"{entry.service}/{entry.model}"
            self.unpriced_models[name] = self.unpriced_models.get(name, 0) + 1
        elif entry.charge.priced_by.source == "stated":
            self.stated += 1


class _IdentifiedCall(NamedTuple):
    """A call with the id of its entry."""

    call: ModelCall
    entry_id: str


@dataclass(slots=True)
class SessionRecorder:
    """Records the calls of one program for one user. With ``dry_run`` nothing is written."""

    program: Program
    storage: CostStorage
    index: Store
    catalogue: Catalogue
    user_id: str
    dry_run: bool = False
    added: SessionTotals = field(default_factory=SessionTotals)
    _waiting: dict[str, ModelCall] = field(default_factory=dict)
    _fresh: set[str] = field(default_factory=set)
    _ledgers: dict[str, Path] = field(default_factory=dict)
    _host: str = field(default_factory=lambda: host_name()[:64])

    def add_call(self, call: ModelCall) -> bool:
        """Add a call; return whether it and all calls before it were written to disk by a :meth:`flush`.

        Raises:
            NotWritten: the batch is full, and a ledger cannot be written to.

        """
        known = self._waiting.get(call.key)
        if known is None or call.size > known.size:
            self._waiting[call.key] = call
        self.added.seen += known is None
        self.added.known += known is not None
        if len(self._waiting) < BATCH:
            return False
        self.flush()
        return True

    def flush(self) -> None:
        """Write all waiting calls that are not recorded yet.

        Raises:
            NotWritten: a ledger cannot be written to, or another import holds the lock too long.

        """
        if not self._waiting:
            return
        with nullcontext() if self.dry_run else import_lock(self.storage):
            entries = list(self._new_entries([*self._waiting.values()]))
            if not self.dry_run:
                self._write(entries)
        for entry in entries:
            if entry.kind == "usage":
                self.added.add(entry)
        self._waiting.clear()

    # --- what is new

    def _new_entries(self, calls: Sequence[ModelCall]) -> Iterator[Entry]:
        calls_with_ids = [_IdentifiedCall(call, self._id(call, 0)) for call in calls]
        known = self.index.find_many([identified.entry_id for identified in calls_with_ids])
        fresh = (identified.call for identified in calls_with_ids if identified.entry_id not in known)
        stated_calls = (StatedCall(call.request_id, call.at) for call in fresh)
        elsewhere = recorded_elsewhere(self.index, stated_calls, self.program.name)
        for identified in calls_with_ids:
            location = known.get(identified.entry_id)
            if location is not None:
                yield from self._grown_entries(identified, location)
            elif self.dry_run and identified.entry_id in self._fresh:
                self.added.known += 1
            elif identified.call.request_id in elsewhere:
                self.added.elsewhere += 1
            else:
                if self.dry_run:
                    self._fresh.add(identified.entry_id)
                yield self._entry(identified)

    def _grown_entries(self, identified_call: _IdentifiedCall, location: Location) -> Iterator[Entry]:
        """Yield a reversal and a new entry for a call that has grown since it was recorded, else nothing."""
        call, number = identified_call.call, 0
        while True:
            recorded = _entry_at(location)
            if recorded is None or call.size <= (recorded.usage.tokens_output, recorded.usage.tokens_input):
                self.added.known += 1
                return
            number += 1
            later = self.index.find(self._id(call, number))
            if later is None:
                break
            location = later
        self.added.grown += 1
        yield reversal(corrected_entry(recorded.id, self.index, location.ledger), GROWN, call.at)
        yield self._entry(_IdentifiedCall(call, self._id(call, number)))

    def _id(self, call: ModelCall, number: int) -> str:
        """Return the id of a call's entry after it was recorded again ``number`` times."""
        return call_id(self.program.name, call.key, number)

    # --- the entry of a call

    def _entry(self, identified_call: _IdentifiedCall) -> Entry:
        call = identified_call.call
        charge, catalogue_cost, units = self._costs(call)
        metadata: dict[str, object] = {"imported_from": self.program.name}
        if call.version:
            metadata["version"] = _name(call.version)[:40]
        if call.agent:
            metadata["agent"] = _name(call.agent)[:60]
        if call.incomplete:
            metadata["incomplete"] = clean_text(call.incomplete)[:200]
        return Entry(
            id=identified_call.entry_id,
            timestamp=call.at,
            job_id=_job(call.session),
            user_id=self.user_id,
            service=call.service,
            model=_name(call.model),
            usage=call.usage,
            charge=charge,
            unpriced_units=units,
            catalogue_cost=catalogue_cost,
            request_id=call.request_id,
            operation=call.operation or ("subagent" if call.agent else None),
            workflow=self.program.name,
            project=_name(call.project) if call.project else None,
            service_tier=call.tier,
            region=call.region,
            estimated=bool(
                call.is_estimate or call.incomplete or (charge and charge.priced_by.source == "stated")
            ),
            host=self._host,
            metadata=metadata,
        )

    def _costs(self, call: ModelCall) -> tuple[Charge | None, Nanos | None, dict[str, int | float]]:
        """Return what a call costs: what its program states, which is an estimate, else by our prices.

        A stated cost of zero beside usage is ignored: programs write it if they know no price.
        """
        verdict = self.catalogue.charge(call.service, call.model, call.usage, call.at, call.tier, call.region)
        priced = verdict if isinstance(verdict, Charge) else None
        if call.stated:
            priced_by = PricedBy("stated", "1", f"{call.service}/{call.model}")
            return Charge({"stated": call.stated}, priced_by), priced.total if priced else None, {}
        self.added.zero_stated += call.stated is not None and not call.usage.is_zero
        if priced is None:
            return None, None, dict(call.unread)
        return priced._replace(missing=NO_UNITS), None, {**priced.missing, **call.unread}

    # --- writing

    def _write(self, entries: Sequence[Entry]) -> None:
        """Append entries to their ledgers, each ledger once, and count them."""
        ledgers: dict[Path, list[bytes]] = {}
        for entry in entries:
            ledgers.setdefault(self._ledger(entry), []).append(encode(entry))
        # Registering them in one step makes all of them known before the first line is written.
        self.index.add(ledger for ledger in ledgers if not ledger.exists())
        for ledger, lines in ledgers.items():
            try:
                append(ledger, b"".join(lines), LOCK_TIMEOUT_S)
            except OSError as fault:
                raise NotWritten(f"{ledger}: cannot be written to: {fault.strerror or fault}") from fault
        self.index.add(ledgers)
        self.index.catch_up_all()

    def _ledger(self, entry: Entry) -> Path:
        ledger = self._ledgers.get(entry.job_id)
        if ledger is None:
            ledger = self.storage.root / "imported" / self.program.name / entry.job_id / LEDGER_NAME
            self._ledgers[entry.job_id] = ledger
        return ledger


@lru_cache(maxsize=1024)
def _name(text: str) -> str:
    """Return a name cleaned for a ledger; cached, because logs have few different names."""
    return clean_text(text)


@lru_cache(maxsize=1024)
def _job(session: str) -> str:
    return folder_name(session or "no-session")


def call_id(program: str, key: str, number: int = 0) -> str:
    """Return the id of an entry: 28 hexadecimal digits, the same for the same call of the same program.

    >>> call_id("codex", "a") == call_id("codex", "a") != call_id("codex", "a", 1)
    True
    """
    text = f"{program}\0{number}\0{key}".encode("utf-8", "surrogatepass")
    return blake2b(text, digest_size=14, person=b"cost-session").hexdigest()


def _entry_at(location: Location) -> Entry | None:
    """Return the entry at a location; ``None`` if the ledger has changed there."""
    try:
        with location.ledger.open("rb") as ledger:
            ledger.seek(location.offset)
            return decode(ledger.readline())
    except (OSError, ValueError):
        return None
