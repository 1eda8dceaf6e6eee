"""Batches end to end: money held when one is submitted, each result recorded once, the rest given back.

What a batch still waits for is kept beside the holds, as one small file of the cost storage for each batch. A
result counts once, however often its file is collected, and files may come in any order: the hold ends when
every request has its result, or when the batch says that no more will come.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from hashlib import sha256
from pathlib import Path
from typing import Final, NamedTuple

from filelock import FileLock

from ..budgets.gate import GateRequest
from ..capture.batch_files import (
    BATCH_TIER,
    BatchEnd,
    BatchRequest,
    BatchResult,
    lines_of,
    read_end,
    read_result,
)
from ..capture.fields import Fields
from ..errors import WrongUsage
from ..ledger.counted import new_id
from ..model import Unpriced, Usage
from ..money import ZERO, Nanos
from ..replacing import replacing
from ..storage import CostStorage
from ..workspace import Workspace
from .call import ResponseDetails
from .context import fitting, job_context
from .responses import CallerDetails, as_call
from .session import Session

EXPIRES_AFTER: Final = timedelta(days=2)
"""How long to wait for a batch: providers promise a day, but keep some for two."""


@dataclass(slots=True)
class SubmittedBatch:
    """A batch that was submitted. ``waiting`` are the requests without a result so far.

    ``taken`` are the digests of the result lines that were read for it.
    """

    id: str
    reservation: str | None
    service: str
    model: str
    job_dir: str | None
    user_id: str
    stage: str | None
    total: int
    waiting: set[str]
    batch_id: str | None = None
    ended_with: int | None = None
    over: bool = False
    known: set[str] = field(default_factory=set)
    taken: set[str] = field(default_factory=set)

    @property
    def results(self) -> int:
        """How many requests have their result."""
        return self.total - len(self.waiting)

    @property
    def is_complete(self) -> bool:
        """Whether nothing more will come."""
        return not self.waiting or (self.over and self.results >= (self.ended_with or 0))


class BatchHold(NamedTuple):
    """What was held for a batch. ``unpriced`` says why no amount is known."""

    batch: SubmittedBatch
    estimate: Nanos | None
    unpriced: str = ""


@dataclass(slots=True)
class CollectResult:
    """What collecting files did: calls ``recorded``, calls ``known`` before, requests that cost nothing.

    ``unplaced`` are ended batches that could be more than one of those submitted.
    """

    recorded: int = 0
    known: int = 0
    unbilled: int = 0
    cost: Nanos = ZERO
    unpriced: int = 0
    partial: int = 0
    released: list[str] = field(default_factory=list)
    waiting: int = 0
    unplaced: list[str] = field(default_factory=list)


class Batches:
    """The batches of one cost storage."""

    def __init__(self, storage: CostStorage) -> None:
        self._folder = storage.root / "batches"

    def add(self, batch: SubmittedBatch) -> None:
        """Keep a batch that was submitted."""
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._write(batch)

    def lock(self) -> FileLock:
        """Return the lock under which batches are changed."""
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        return FileLock(self._folder / "lock")

    def all(self) -> list[SubmittedBatch]:
        """Return the batches that were submitted, the oldest first."""
        batches: list[SubmittedBatch] = []
        for path in sorted(self._folder.glob("*.json")):
            plain = json.loads(path.read_text(encoding="utf-8"))
            sets = {name: set(plain.get(name, ())) for name in _SETS}
            batches.append(SubmittedBatch(**{**plain, **sets}))
        return batches

    def save(self, batch: SubmittedBatch) -> None:
        """Keep what a batch still waits for."""
        self._write(batch)

    def _write(self, batch: SubmittedBatch) -> None:
        plain = {name: getattr(batch, name) for name in SubmittedBatch.__slots__}
        plain |= {name: sorted(plain[name]) for name in _SETS}
        with replacing(self._folder / f"{batch.id}.json") as draft:
            draft.write_text(json.dumps(plain), encoding="utf-8")


_SETS: Final = ("waiting", "known", "taken")


def submit(
    session: Session,
    requests: Sequence[BatchRequest],
    *,
    job_dir: Path | None,
    stage: str | None,
    max_output: int | None = None,
    batch_id: str | None = None,
) -> BatchHold:
    """Hold the most that a batch can cost, and store which results it waits for.

    Raises:
        BudgetExceeded: the budget does not allow it.
        WrongUsage: there are no requests, or two have the same id.

    """
    ids = {request.custom_id for request in requests}
    if not requests or len(ids) != len(requests):
        raise WrongUsage("a batch needs requests, each with a custom_id of its own")
    estimate, why = _highest_cost(session, requests, max_output)
    models = {(request.service, request.model) for request in requests}
    service, model = models.pop() if len(models) == 1 else ("any", "any")
    hold = session.hold(
        GateRequest(
            user_id=session.job.user_id,
            service=service,
            model=model,
            estimate=estimate,
            unknown=why,
            unpriced=bool(why),
            job=session.job_ref,
            stage=stage,
            one_call=False,
            calls=len(requests),
            tokens=_highest_tokens(requests, max_output),
            expires_after=EXPIRES_AFTER,
        )
    )
    batch = SubmittedBatch(
        id=new_id(),
        reservation=hold.id,
        service=requests[0].service,
        model=requests[0].model,
        job_dir=str(job_dir.absolute()) if job_dir else None,
        user_id=session.job.user_id,
        stage=stage,
        total=len(ids),
        waiting=ids,
        known=set(ids),
        batch_id=batch_id,
    )
    batches = Batches(session.workspace.storage)
    with batches.lock():
        batches.add(batch)
    hold.close()  # it goes on as submitted
    return BatchHold(batch, estimate, why)


def _highest_cost(
    session: Session, requests: Iterable[BatchRequest], max_output: int | None
) -> tuple[Nanos | None, str]:
    """Return the most that the requests can cost together; ``None`` and the reason if that is not known."""
    catalogue, total, now = session.recording.catalogue(), 0, session.workspace.clock()
    if catalogue is None:
        return None, "prices cannot be read now"
    for request in requests:
        most = max_output if request.max_output is None else request.max_output
        if most is None:
            return None, f"request {request.custom_id!r} states no maximum of output: give --max-output"
        usage = Usage(tokens_input=request.tokens_input, tokens_output=most)
        verdict = catalogue.ceiling(request.service, request.model, usage, now, BATCH_TIER)
        if isinstance(verdict, Unpriced):
            return None, verdict.reason
        total += verdict.total
    return Nanos(total), ""


def _highest_tokens(requests: Iterable[BatchRequest], max_output: int | None) -> int | None:
    """Return the most tokens that the requests can use together; ``None`` if one has no maximum."""
    total = 0
    for request in requests:
        most = max_output if request.max_output is None else request.max_output
        if most is None:
            return None
        total += request.tokens_input + most
    return total


def collect(
    workspace: Workspace, texts: Iterable[str], *, job_dir: Path | None, user: str | None
) -> CollectResult:
    """Record the results in files of batches, each once, and end the holds of batches that are over.

    Raises:
        WrongUsage: a line of a file is neither a result nor a batch; the text says which.

    """
    collected, batches = CollectResult(), Batches(workspace.storage)
    with batches.lock():
        known = batches.all()
        sessions = _JobSessions(workspace, job_dir, user)
        touched: list[SubmittedBatch] = []
        ends: list[BatchEnd] = []
        for text in texts:
            for line in _lines(text):
                end = read_end(line) if not line.has("custom_id") and not line.has("key") else None
                if end is not None:
                    ends.append(end)
                elif (
                    batch := _record_line(line, known, sessions, collected)
                ) is not None and batch not in touched:
                    touched.append(batch)
        for end in ends:
            if (batch := _batch_of(end, known, touched)) is not None:
                batch.over, batch.batch_id, batch.ended_with = True, end.batch_id, end.results
                touched.append(batch)
            elif any(not batch.is_complete for batch in known):
                collected.unplaced.append(end.batch_id)
        for batch in touched:
            batches.save(batch)
            collected.waiting += 0 if batch.is_complete else len(batch.waiting)
        sessions.close()
        over = [batch.reservation for batch in touched if batch.is_complete and batch.reservation]
        released = workspace.gate.release(over, also=("submitted", "live")) if over else []
        collected.released = [held.reservation.id for held in released]
    return collected


def _lines(text: str) -> Iterator[Fields]:
    try:
        yield from lines_of(text)
    except ValueError as fault:
        raise WrongUsage(f"this is not a file of a batch: {fault}") from None


class _JobSessions:
    """The sessions of the jobs that results belong to."""

    def __init__(self, workspace: Workspace, job_dir: Path | None, user: str | None) -> None:
        self._workspace = workspace
        self._default_job = (str(job_dir) if job_dir else None, user)
        self._open: dict[tuple[str | None, str | None], Session] = {}

    def of(self, batch: SubmittedBatch | None) -> Session:
        """Return the session of a batch's job, else that of the given job."""
        job_dir, user = (batch.job_dir, batch.user_id) if batch else self._default_job
        if (job_dir, user) not in self._open:
            job = job_context(job_dir, user, self._workspace.storage, os.environ)
            self._open[job_dir, user] = Session(self._workspace, job)
        return self._open[job_dir, user]

    def close(self) -> None:
        """Try once more to write what waits in memory; the workspace stays open."""
        for session in self._open.values():
            session.recording.close()


def _record_line(
    line: Fields, known: Sequence[SubmittedBatch], sessions: _JobSessions, collected: CollectResult
) -> SubmittedBatch | None:
    """Record one result; return the batch that it belongs to.

    Batches can share request ids: of several with this one, it is the batch for which the line was read
    before, else the first that still waits for it.
    """
    custom_id, digest = line.text("custom_id", "key"), _digest(line)
    candidates = [batch for batch in known if custom_id in batch.known]
    collected_before = [batch for batch in candidates if digest in batch.taken]
    waiting = [batch for batch in candidates if custom_id in batch.waiting]
    batch = next(iter(collected_before or waiting or candidates), None)
    try:
        result = read_result(
            line, service=batch.service if batch else None, model=batch.model if batch else None
        )
    except (TypeError, ValueError) as fault:
        raise WrongUsage(f"the result {custom_id!r} cannot be read: {fault}") from None
    if result is None:
        raise WrongUsage(f"a line is neither a result nor a batch that is over: {str(line.raw)[:80]}")
    _record_calls(result, batch, digest, sessions.of(batch), collected)
    if batch is not None:
        batch.waiting.discard(result.custom_id)
        batch.taken.add(digest)
    return batch


def _digest(line: Fields) -> str:
    """Return a hash that identifies a result line and reveals nothing of it."""
    return sha256(json.dumps(line.raw, sort_keys=True).encode()).hexdigest()[:16]


def _record_calls(
    result: BatchResult, batch: SubmittedBatch | None, digest: str, session: Session, collected: CollectResult
) -> None:
    """Record the calls of a result, each once."""
    collected.unbilled += not result.calls
    for number, captured in enumerate(result.calls):
        result_id = f"{batch.id if batch else 'batch'}/{digest}/{number}"
        request_id = fitting(captured.request_id) or fitting(result_id)
        details: ResponseDetails = {
            "service_tier": BATCH_TIER,
            "request_id": request_id,
            "reservation": batch.reservation if batch else None,
        }
        call = as_call(captured, CallerDetails(stage=batch.stage if batch else None, details=details))
        outcome = session.recording.record(call)
        if not outcome.new:
            collected.known += 1
            continue
        collected.recorded += 1
        collected.cost = Nanos(collected.cost + outcome.entry.cost)
        collected.unpriced += outcome.entry.unpriced_delta
        collected.partial += outcome.entry.partial_delta


def _batch_of(
    end: BatchEnd, known: Sequence[SubmittedBatch], touched: Sequence[SubmittedBatch]
) -> SubmittedBatch | None:
    """Return the batch that has ended: the one with its id, else the only one it can be."""
    named = [batch for batch in known if batch.batch_id == end.batch_id]
    open_batches = [batch for batch in known if batch.batch_id is None and not batch.is_complete]
    for candidates in (named, [batch for batch in touched if batch.batch_id is None], open_batches):
        if len(candidates) == 1:
            return candidates[0]
    return None
