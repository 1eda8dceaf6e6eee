"""Recording one call: it is checked, priced, appended and synced, then indexed."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from ..errors import FAILURES, reraise_foreign
from ..importing import import_safely
from ..ledger.counted import id_for_request, new_id
from ..ledger.line import encode
from ..ledger.recorder import Recorder
from ..model import Charge, Entry, Unpriced
from ..money import MAX_ENTRY_NANOS, format_usd
from ..platform import host_name
from ..rollup import Query
from ..workspace import Workspace
from .call import Call
from .charging import SettledCost, settle
from .context import JobContext

if TYPE_CHECKING:
    from ..pricing.catalogue import Catalogue

log = logging.getLogger("shared.cost_tracker")

T = TypeVar("T")

_notices_logged: set[str] = set()
"""The notices about services' prices that this process has logged: each is logged once for all trackers."""


class RecordOutcome(NamedTuple):
    """The result of recording a call. ``entry`` is the one that counts; not ``new`` if it was there before.

    ``spends`` are the answers to the budget queries, if the index had them at hand.
    ``known`` is false if the ledger could not be registered in the cost storage.
    """

    entry: Entry
    new: bool
    local: bool = False
    in_ledger: bool = True
    spends: Sequence[int] | None = None
    known: bool = True


class WriteResult(NamedTuple):
    """Whether a line is in its ledger, and the answers to the budget queries, if they were at hand.

    ``known`` is false if the ledger could not be registered in the cost storage.
    """

    in_ledger: bool
    spends: Sequence[int] | None = None
    known: bool = True


class Progress:
    """How far the recording of one call got: its entry, and whether its line is stored somewhere."""

    entry: Entry | None = None
    is_safe = False


class CallRecorder:
    """Records the calls of a job. A storage failure never raises: it warns, and keeps the entry."""

    def __init__(self, workspace: Workspace, job: JobContext) -> None:
        self._workspace = workspace
        self._job = job
        self._recorder = Recorder(workspace.storage, self._note_ledger, self._index_lines)
        self._warned: set[object] = set()
        self._last_reserved: tuple[str | None, datetime | None] = (None, None)
        self._services_noticed: set[str] = set()
        """The services whose price notice was looked up."""

    @property
    def degraded(self) -> int:
        """How many entries of this process could not go straight into their ledger."""
        return self._recorder.degraded

    @property
    def waiting(self) -> int:
        """How many of those entries are still outside their ledger."""
        return self._recorder.waiting

    def record(
        self, call: Call, attempt: int = 1, queries: Sequence[Query] = (), progress: Progress | None = None
    ) -> RecordOutcome:
        """Price one call and write it durably; return its entry, and the answers to ``queries`` after it.

        ``progress`` holds afterwards, also after an exception, how far this got.

        Raises:
            ValueError: the charge is above one million USD, or the call does not fit into a line.

        """
        progress = progress or Progress()
        progress.entry = entry = progress.entry or self._entry(call, attempt)
        if entry.request_id is not None and (known := self._recorded_before(entry.id)):
            log.debug("request %s is recorded already, as entry %s", call.request_id, known.id)
            progress.is_safe = True
            return RecordOutcome(known, new=False)
        written = self.write(entry, self._job.ledger, queries, progress)
        is_free = entry.charge is not None and not entry.charge.parts  # a free price has no parts
        local = is_free and bool(self.tried("whether the model is local", lambda: self._is_local(entry)))
        return RecordOutcome(entry, True, local, written.in_ledger, written.spends, written.known)

    def write(
        self, entry: Entry, ledger: Path, queries: Sequence[Query] = (), progress: Progress | None = None
    ) -> WriteResult:
        """Append a complete entry to a ledger and bring the index up to it."""
        line, index, known = encode(entry), None, False
        try:
            index = self._workspace.index
            known = index.note(ledger)
        except FAILURES as fault:
            self._handle_failure("the cost storage", fault)
        recorded = self._recorder.record(ledger, line, entry.id)
        if progress is not None:
            progress.is_safe = True
        place = recorded.place
        if place is None:
            log.warning("cost tracking degraded: entry %s is %s", entry.id, recorded.explained)
            self.tried("the cost storage", lambda: self._workspace.index.waits(ledger, line))
            return WriteResult(in_ledger=False, known=known)
        if not known:
            unsummed = "%s is not known to the cost storage yet, and in no sum; see cost-dashboard doctor"
            self._warn_once((ledger, "unknown"), unsummed, ledger)
        if sys.is_finalizing():  # the next look counts it; CPython 3.13.0 dies of intervals of time here
            return WriteResult(in_ledger=True, known=known)
        spends = None
        try:
            spends = (index or self._workspace.index).appended(ledger, entry, place, line, queries)
        except FAILURES as fault:
            self._handle_failure("the cost storage", fault)
        try:
            self._workspace.publish(ledger)
        except FAILURES as fault:
            self._handle_failure("the shared budget", fault)
        return WriteResult(True, spends, known)

    def tried(self, what: str, action: Callable[[], T]) -> T | None:
        """Return the result of an action; ``None``, with a warning, if it fails.

        For what must not stop a call from being recorded. An exception from a signal handler is raised.
        """
        try:
            return action()
        except FAILURES as fault:
            self._handle_failure(what, fault)
            return None

    def _handle_failure(self, what: str, fault: BaseException) -> None:
        """Warn that something beside a call has failed. Call it in the ``except`` block."""
        reraise_foreign(fault)
        self._warn_once(what, "cost tracking degraded: %s: %s: %s", what, type(fault).__name__, fault)

    def close(self) -> None:
        """Try once more to write the entries that wait in memory."""
        self._recorder.close()

    def _note_ledger(self, ledger: Path) -> bool:
        return self._workspace.index.note(ledger)

    def _index_lines(self, ledger: Path, lines: Sequence[bytes], offset: int) -> None:
        self._workspace.index.arrived(ledger, lines, offset)

    def find(self, entry_id: str) -> Entry | None:
        """Return the recorded entry with this id, wherever its ledger lies."""
        return self._workspace.index.entry(entry_id)

    def _entry(self, call: Call, attempt: int) -> Entry:
        now = self._workspace.clock()
        at = call.at or now
        texts = self._safe_texts(call)
        settled = self._settle(call, at)
        reservation, reserved_at = (None, None) if call.reservation is None else self._reserved(call)
        return Entry(
            id=new_id()
            if call.request_id is None
            else id_for_request(self._job.job_id, call.service, call.request_id),
            timestamp=at,
            job_id=self._job.job_id,
            user_id=self._job.user_id,
            stage=call.stage or self._job.work.stage,
            attempt=call.attempt or max(attempt, self._job.work.attempt),
            service=call.service,
            model=call.model,
            usage=call.usage,
            charge=settled.charge,
            unpriced_units=settled.unpriced_units,
            catalogue_cost=settled.catalogue_cost,
            service_tier=call.service_tier,
            region=call.region,
            operation=texts.operation,
            description=texts.description,
            workflow=texts.workflow,
            project=texts.project,
            tags=texts.tags,
            request_id=call.request_id,
            reservation=reservation,
            period_at=reserved_at if reserved_at != at else None,
            estimated=call.estimated or settled.estimated,
            actual_cost=call.actual_cost,
            host=_HOST,
            pid=os.getpid(),
            metadata=texts.metadata,
        )

    def _reserved(self, call: Call) -> tuple[str | None, datetime | None]:
        """Return the id of a call's reservation, and the instant whose day and month pay for the call.

        No instant for the present: the reservation has ended.
        """
        reservation = call.reservation_id
        if call.hold or reservation is None:
            return reservation, call.hold.period_at if call.hold else None
        if reservation != self._last_reserved[0]:
            at = self.tried(
                "the month of the reservation", lambda: self._workspace.gate.period_at(reservation)
            )
            self._last_reserved = (reservation if at is not None else None, at)
        return reservation, self._last_reserved[1]

    def _safe_texts(self, call: Call) -> _Texts:
        """Return the redacted free texts of a call; none of them if redaction fails."""
        runs = self._job.work.runs
        metadata = call.metadata if call.reservation is None else _with_override(call)
        metadata = {**runs, **metadata} if runs else metadata
        workflow = call.workflow or self._job.work.workflow
        texts_given = (call.operation, call.description, workflow, call.project)
        if not (metadata or call.tags or any(texts_given)):
            return _NO_TEXTS
        texts = self.tried(
            "redaction, without which no texts are kept", lambda: _redact(texts_given, call.tags, metadata)
        )
        return texts or _NO_TEXTS._replace(metadata={"left_out": "texts and metadata: redaction failed"})

    def _settle(self, call: Call, at: datetime) -> SettledCost:
        """Return what a call costs, and warn once for each model that lacks a price."""
        if not call.usage_known and self.tried("prices", lambda: self._is_free(call, at)):
            call = replace(call, usage_known=True)  # a free model costs nothing, whatever it used
        settled = settle(call, self._verdict(call, at))
        if settled.charge is not None and settled.charge.total > MAX_ENTRY_NANOS:
            amount = format_usd(settled.charge.total)
            raise ValueError(f"one call cannot cost {amount}: check its counts, {call.usage}")
        if settled.charge is None:
            self._warn_once((call.service, call.model), "unpriced: %s", settled.why)
        elif settled.unpriced_units:
            key = (call.service, call.model, *settled.unpriced_units)
            self._warn_once(key, "priced in part: %s", settled.why)
        elif call.usage.requests > 1 and self._is_sum_above_tier(call, at):
            return settled._replace(estimated=True)
        return settled

    def _is_sum_above_tier(self, call: Call, at: datetime) -> bool:
        """Tell whether the input of several requests together exceeds the size that has a higher rate.

        It is charged at the ordinary rates: whether a single request was that large is not known.
        """
        catalogue = self.catalogue()
        if catalogue is None:
            return False
        quote = catalogue.quote(call.service, call.model, at, call.service_tier, call.region)
        above = () if isinstance(quote, Unpriced) else quote.price.above
        return bool(above) and call.usage.tokens_input > above[0][0]

    def _verdict(self, call: Call, at: datetime) -> Charge | Unpriced:
        try:
            if (catalogue := self.catalogue()) is not None:
                if call.service not in self._services_noticed:
                    self._log_notice(catalogue, call.service)
                return catalogue.charge(
                    call.service, call.model, call.usage, at, call.service_tier, call.region
                )
        except FAILURES as fault:
            self._handle_failure("prices", fault)
        return Unpriced(f"the price of {call.service}/{call.model} cannot be read now; reprice it later")

    def _log_notice(self, catalogue: Catalogue, service: str) -> None:
        self._services_noticed.add(service)
        if (notice := catalogue.notice(service)) is not None and notice not in _notices_logged:
            _notices_logged.add(notice)
            log.warning("%s", notice)

    def _is_free(self, call: Call, at: datetime) -> bool:
        catalogue = self.catalogue()
        return catalogue is not None and catalogue.is_free(call.service, call.model, at)

    def _is_local(self, entry: Entry) -> bool:
        catalogue = self.catalogue()
        return catalogue is not None and catalogue.is_local(entry.service, entry.model)

    def catalogue(self) -> Catalogue | None:
        """Return the prices; ``None`` if their files cannot be read: the call is recorded without a price."""
        try:
            loaded = self._workspace.loaded_catalogue()
        except FAILURES as fault:
            self._handle_failure("prices cannot be read", fault)
            return None
        if loaded.fault:
            self._warn_once(str(loaded.fault), "the project's own prices are not used: %s", loaded.fault)
        return loaded.catalogue

    def _recorded_before(self, entry_id: str) -> Entry | None:
        try:
            self._workspace.index.catch_up(self._job.ledger)
            return self.find(entry_id)
        except FAILURES as fault:  # recording it twice is harmless: an id counts once
            reraise_foreign(fault)
            log.debug("not known whether entry %s is recorded: %s", entry_id, fault)
            return None

    def _warn_once(self, key: object, message: str, *values: object) -> None:
        if key not in self._warned:
            self._warned.add(key)
            log.warning(message, *values)


def _with_override(call: Call) -> Mapping[str, object]:
    """Return the metadata with the budget override, and the model that the budget did not allow."""
    if call.hold is None:
        return call.metadata
    notes = {"budget_override": call.hold.override, "degraded_from": call.hold.degraded_from}
    overrides = {name: note for name, note in notes.items() if note is not None}
    return {**overrides, **call.metadata} if overrides else call.metadata


class _Texts(NamedTuple):
    """The free texts of an entry."""

    operation: str | None
    description: str | None
    workflow: str | None
    project: str | None
    tags: tuple[str, ...]
    metadata: Mapping[str, object]


_NO_TEXTS = _Texts(None, None, None, None, (), {})


def _redact(texts: tuple[str | None, ...], tags: tuple[str, ...], metadata: Mapping[str, object]) -> _Texts:
    redact, clean = _redaction()
    operation, description, workflow, project = (clean(text) if text else None for text in texts)
    return _Texts(
        operation,
        description,
        workflow,
        project,
        tuple(clean(tag) or tag for tag in tags),
        redact(metadata) if metadata else {},
    )


@cache
def _redaction() -> tuple[Callable[[Mapping[str, object]], dict[str, object]], Callable[[str], str]]:
    """Return the redaction of metadata and of texts; cached, because imports fail at interpreter shutdown."""
    import_safely("shared.costs.ledger.redact")
    from ..ledger.redact import clean_text, redact  # its patterns take 4 ms to compile

    return redact, clean_text


_HOST = host_name()[:64]
