"""Each call of an agent once, in the ledger of its session: in bulk, and again where a later line says more.

A session is a job: ``imported/PROGRAM/SESSION/cost_ledger.jsonl`` in the cost storage. The id of an entry is
a hash of what tells the call in its program, so that copies of a line, in whatever file, are known. Where a
copy counts more than what was recorded, as when a log was read while an answer was still being written, the
earlier entry is taken back by a reversal and the call is recorded anew under the next id: the ledger is only
appended to.
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
from ..elsewhere import StatedCall, recorded_elsewhere
from ..importing import folder_name
from ..shelf import LOCK_TIMEOUT_S, NotWritten, import_lock
from .calls import ModelCall, Program

BATCH: Final = 2_000
"""So many calls wait in memory before they are looked up, priced and written together."""

GROWN: Final = "a later line of the log counts more for this call"


@dataclass(slots=True)
class SessionTotals:
    """What was recorded of one program: how many calls, and what they cost.

    ``elsewhere`` are calls that had been recorded already, live or from another log.
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


class _PlacedCall(NamedTuple):
    """A call with its id and its session's ledger."""

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

    def take(self, call: ModelCall) -> bool:
        """Take a call; return whether it and all before it are on the disk now (:meth:`flush` brings them).

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
        """Write everything that waits and is not known.

        Raises:
            NotWritten: a ledger cannot be written to, or another import does not come to its end.

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
        placed = [_PlacedCall(call, self._id(call, 0)) for call in calls]
        known = self.index.find_many([each.entry_id for each in placed])
        fresh = (each.call for each in placed if each.entry_id not in known)
        told = (StatedCall(call.request_id, call.at) for call in fresh)
        elsewhere = recorded_elsewhere(self.index, told, self.program.name)
        for each in placed:
            place = known.get(each.entry_id)
            if place is not None:
                yield from self._grown(each, place)
            elif self.dry_run and each.entry_id in self._fresh:
                self.added.known += 1
            elif each.call.request_id in elsewhere:
                self.added.elsewhere += 1
            else:
                if self.dry_run:
                    self._fresh.add(each.entry_id)
                yield self._entry(each)

    def _grown(self, placed: _PlacedCall, place: Location) -> Iterator[Entry]:
        """Yield nothing for a call that is recorded as large as it is, else its correction."""
        call, number = placed.call, 0
        while True:
            recorded = _recorded(place)
            if recorded is None or call.size <= (recorded.usage.tokens_output, recorded.usage.tokens_input):
                self.added.known += 1
                return
            number += 1
            later = self.index.find(self._id(call, number))
            if later is None:
                break
            place = later
        self.added.grown += 1
        yield reversal(corrected_entry(recorded.id, self.index, place.ledger), GROWN, call.at)
        yield self._entry(_PlacedCall(call, self._id(call, number)))

    def _id(self, call: ModelCall, number: int) -> str:
        """Return the id of a call's account: the first one, or after ``number`` larger ones."""
        return call_id(self.program.name, call.key, number)

    # --- what an entry says

    def _entry(self, placed: _PlacedCall) -> Entry:
        call = placed.call
        charge, catalogue_cost, units = self._costs(call)
        metadata: dict[str, object] = {"imported_from": self.program.name}
        if call.version:
            metadata["version"] = _name(call.version)[:40]
        if call.agent:
            metadata["agent"] = _name(call.agent)[:60]
        if call.incomplete:
            metadata["incomplete"] = clean_text(call.incomplete)[:200]
        return Entry(
            id=placed.entry_id,
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
        """Return what a call costs: as its program says, which is an estimate, else by our prices.

        A stated cost of nothing beside a usage is not believed: programs say so where they know no price.
        """
        verdict = self.catalogue.charge(call.service, call.model, call.usage, call.at, call.tier, call.region)
        priced = verdict if isinstance(verdict, Charge) else None
        if call.stated:
            by = PricedBy("stated", "1", f"{call.service}/{call.model}")
            return Charge({"stated": call.stated}, by), priced.total if priced else None, {}
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
        # One record makes all of them known before the first line is written.
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
    """Return a name, of which logs have few, without what must not be in a ledger."""
    return clean_text(text)


@lru_cache(maxsize=1024)
def _job(session: str) -> str:
    return folder_name(session or "no-session")


def call_id(program: str, key: str, number: int = 0) -> str:
    """Return the id of an entry: 28 hexadecimal digits, the same for the same call of the same program.

    >>> call_id("codex", "a") == call_id("codex", "a") != call_id("codex", "a", 1)
    True
    """
    said = f"{program}\0{number}\0{key}".encode("utf-8", "surrogatepass")
    return blake2b(said, digest_size=14, person=b"cost-session").hexdigest()


def _recorded(place: Location) -> Entry | None:
    """Return the entry at a place of a ledger; ``None`` where the ledger is not what it was."""
    try:
        with place.ledger.open("rb") as ledger:
            ledger.seek(place.offset)
            return decode(ledger.readline())
    except (OSError, ValueError):
        return None
