"""Imports a history into the cost storage: each row once, priced if it states no cost.

Imported entries go through the same writer as all others, into ledgers under ``imported/SOURCE/`` of the cost
storage: one for each job that the source names, and one for the rest. An entry's id is a hash of the row's
values in a canonical form (equal rows are numbered, unless they name one request), or of the row's own id if
that is globally unique. So importing a file again, a longer version of it, or another format of it adds only
what is new. If other options turn its rows into other entries, these are recorded again
(``ledger_access.py``). Entries of our own exports keep their ids, so the storage that they came from knows
them. A row whose response was already recorded, live or from another log, adds nothing
(``recorded_calls.py``). A row below zero becomes a reversal or an adjustment of its own.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from hashlib import blake2b
from itertools import islice
from pathlib import Path
from typing import Final, NamedTuple, Protocol

from ..capture.adapter import comes_again
from ..ledger.line import encode
from ..ledger.redact import clean_text
from ..model import NO_UNITS, Charge, Entry, PricedBy, Units, Usage
from ..money import ZERO, Nanos
from ..platform import host_name
from ..pricing.catalogue import Catalogue
from ..storage import LEDGER_NAME, CostStorage
from .delimited import LocalNumber
from .foreign import Defaults, ForeignCall, known_name, plain_value, understand
from .imports import Import
from .ledger_access import FREE, RecordedCall, recorded_anew
from .recorded_calls import StatedCall, response_of
from .rows import ForeignRow, NotUnderstood

MAX_REFUSALS: Final = 100
"""How many rows that were not understood are kept with their reasons; further ones are only counted."""

_FOREIGN_CHUNK: Final = 20_000
"""How many foreign rows are looked up together among the recorded calls."""

_OWN_CHUNK: Final = 500
"""How many entries of our own exports, which are looked up only by their ids, are written together."""

_UNIQUE_FROM: Final = 16
"""A row id with this many characters is globally unique (a UUID, a hash), a shorter one in its file."""

_OTHER_CALL: Final = (
    "has the id of an earlier row and other values: if it is another call, "
    "import such rows in a file of their own, without that column"
)


@dataclass(frozen=True, slots=True)
class ImportSource:
    """What is imported: the file, its format, a name for its origin, and defaults for what rows leave out.

    A stated cost of zero beside usage is ignored, unless the model is listed as free or ``zero_is_free``:
    tools without a price write it. ``settled`` are the fields of entries that this run's options decide: rows
    that were imported before with other values are recorded again.
    """

    path: Path
    format: Import
    name: str
    defaults: Defaults = field(default_factory=Defaults)
    zero_is_free: bool = False
    settled: frozenset[str] = frozenset()


class _Costs(NamedTuple):
    """The usage and cost of an imported row."""

    usage: Usage
    charge: Charge | None
    missing: Units = NO_UNITS
    catalogue: Nanos | None = None
    estimated: bool = False


@dataclass(slots=True)
class Tally:
    """What an import did, or with ``dry_run`` would do. ``cost`` is that of the added entries.

    ``elsewhere`` counts rows whose call was already recorded, live or from another log; ``zero_stated`` rows
    that state a cost of zero beside usage although their model is not free; ``sums`` rows that are sums of a
    day or a month; ``unnamed`` rows without a model; ``anew`` rows that replaced an earlier import;
    ``refunds`` added rows that take something back.
    """

    rows: int = 0
    added: int = 0
    known: int = 0
    elsewhere: int = 0
    anew: int = 0
    refused: int = 0
    stated: int = 0
    priced: int = 0
    unpriced: int = 0
    partial: int = 0
    zone_assumed: int = 0
    zero_stated: int = 0
    sums: int = 0
    unnamed: int = 0
    refunds: int = 0
    refunded: Nanos = ZERO
    cost: Nanos = ZERO
    first: datetime | None = None
    last: datetime | None = None
    refusals: list[NotUnderstood] = field(default_factory=list)
    unused: Counter[str] = field(default_factory=Counter)

    def refuse(self, row: str, why: str) -> None:
        """Count a row that was not understood."""
        self.refused += 1
        if len(self.refusals) < MAX_REFUSALS:
            self.refusals.append(NotUnderstood(row, clean_text(why)))

    def add(self, entry: Entry) -> None:
        """Count an entry that was added."""
        self.added += 1
        self.cost = Nanos(self.cost + entry.cost)
        self.first = min(self.first or entry.timestamp, entry.timestamp)
        self.last = max(self.last or entry.timestamp, entry.timestamp)
        self.partial += entry.kind == "usage" and entry.partial_delta
        if entry.kind != "usage":
            self.refunds += 1
            self.refunded = Nanos(self.refunded - entry.cost)
        elif entry.charge is None:
            self.unpriced += 1
        elif entry.charge.priced_by.source == "stated":
            self.stated += 1
        else:
            self.priced += 1


class _ImportRow(NamedTuple):
    """An entry, the position and content digest of its row, and the ids that earlier versions gave it.

    Those versions identified rows by their exact text.
    """

    entry: Entry
    former_ids: tuple[str, ...] = ()
    position: str = ""
    content: bytes = b""

    @property
    def ids(self) -> tuple[str, ...]:
        """The ids under which the row may have been recorded."""
        return self.entry.id, *self.former_ids


class LedgerAccess(Protocol):
    """What an import needs of the ledgers: to look up recorded calls and to write entries."""

    def known(self, entry_ids: Sequence[str]) -> Container[str]:
        """Return the ids whose entries count already, without those that wait to be written."""
        ...

    def import_lock(self) -> AbstractContextManager[object]:
        """Acquire the lock that keeps other imports from recording the same calls."""
        ...

    def ids_recorded_elsewhere(self, calls: Iterable[StatedCall], source: str) -> set[str]:
        """Return the response ids among these whose calls were recorded, but not by ``source``."""
        ...

    def recorded_call(self, entry_id: str) -> RecordedCall | None:
        """Return the recorded call; ``None`` if there is none, or its ledger cannot be read."""
        ...

    def write(self, ledger: Path, entry: Entry) -> None:
        """Queue an entry; it is on disk after the next :meth:`flush` at the latest."""
        ...

    def flush(self) -> None:
        """Write everything that is queued to disk."""
        ...


@dataclass(frozen=True, slots=True)
class Importer:
    """Imports from one source into one cost storage."""

    source: ImportSource
    storage: CostStorage
    catalogue: Catalogue
    recorded: LedgerAccess
    dry_run: bool = False
    progress: Callable[[int], None] = lambda _rows: None
    now: datetime = field(default_factory=lambda: datetime.now(UTC))

    def run(self) -> Tally:
        """Import every row and return the tally.

        If it is interrupted or fails, some rows are imported; running it again adds the others.

        Raises:
            CannotRead: the file cannot be read.
            NotWritten: a ledger cannot be written to.

        """
        tally, fresh = Tally(), dict[str, bytes]()
        for chunk in _chunks(self._entries(tally)):
            with nullcontext() if self.dry_run else self.recorded.import_lock():
                self._import_chunk(chunk, fresh, tally)
                self.recorded.flush()
        self.progress(tally.rows)
        return tally

    def _import_chunk(self, chunk: Sequence[_ImportRow], fresh: dict[str, bytes], tally: Tally) -> None:
        elsewhere = self._recorded_elsewhere(chunk)
        known = self.recorded.known([*dict.fromkeys(entry_id for row in chunk for entry_id in row.ids)])
        for row in chunk:
            entry = row.entry
            if fresh.get(entry.id, row.content) != row.content:
                tally.refuse(row.position, _OTHER_CALL)
            elif entry.id in fresh:
                tally.known += 1
            elif (recorded := next((row_id for row_id in row.ids if row_id in known), None)) is not None:
                fresh[entry.id] = row.content
                self._reimport(replace(entry, id=recorded), tally)
            elif response_of(entry) in elsewhere and _is_foreign(entry):
                tally.elsewhere += 1
            else:
                fresh[entry.id] = row.content
                if not self.dry_run:
                    self.recorded.write(self.ledger(entry), entry)
                tally.add(entry)

    def _reimport(self, entry: Entry, tally: Tally) -> None:
        """Count a known row as known, or record it again if this run's options make it another entry."""
        lines = [*self._replacement_lines(entry)] if _is_foreign(entry) else []
        tally.known += not lines
        tally.anew += bool(lines)
        for ledger, line in lines:
            tally.cost = Nanos(tally.cost + line.cost)
            if not self.dry_run:
                self.recorded.write(ledger, line)

    def _replacement_lines(self, entry: Entry) -> Iterator[tuple[Path, Entry]]:
        settled = self.source.settled | ({FREE} if self.source.zero_is_free else frozenset())
        if not settled:
            return iter(())
        return recorded_anew(entry, self.ledger(entry), self.recorded.recorded_call, settled, self.now)

    def _recorded_elsewhere(self, chunk: Sequence[_ImportRow]) -> set[str]:
        """Return the response ids of a chunk's foreign rows whose calls were already recorded."""
        entries = (row.entry for row in chunk)
        rows = (StatedCall(response_of(entry), entry.timestamp) for entry in entries if _is_foreign(entry))
        return self.recorded.ids_recorded_elsewhere(rows, self.source.format.name)

    def _entries(self, tally: Tally) -> Iterator[_ImportRow]:
        copies: Counter[bytes] = Counter()
        for item in self.source.format.read(self.source.path):
            tally.rows += 1
            if tally.rows % 100 == 0:
                self.progress(tally.rows)
            try:
                entry = self._entry(item, copies, tally)
            except (ValueError, TypeError) as error:
                tally.refuse(item.row if isinstance(item, ForeignRow) else f"row {tally.rows}", str(error))
            else:
                if entry is not None:
                    yield entry

    def _entry(
        self, item: ForeignRow | Entry | NotUnderstood, copies: Counter[bytes], tally: Tally
    ) -> _ImportRow | None:
        if isinstance(item, NotUnderstood):
            tally.refuse(item.row, item.why)
            return None
        if isinstance(item, Entry):
            encode(item)  # raises what the ledger would refuse before it counts as added
            return _ImportRow(item)
        call = understand(item.values, self.source.defaults)
        call = replace(call, sum_of=item.sum_of or call.sum_of, billed=item.billed)
        id_values = item.values if item.id_values is None else item.id_values
        content = content_of(id_values)
        copies[content] += 1
        copy = 1 if _is_of_one_response(call) else copies[content]
        entry = self._build_entry(call, entry_id(_own_id(call, content), content, copy))
        encode(entry)
        tally.unused.update(call.unused)
        tally.zone_assumed += call.zone_assumed
        tally.zero_stated += self._is_doubtful_zero(call)
        tally.sums += call.sum_of is not None
        tally.unnamed += not call.names_model
        former_content = former_content_of(id_values)
        ids = [entry_id(_own_id(call, former_content), former_content, copy)]
        if item.former_id_values is not None:  # numbered, so that no two rows were alike
            former_contents = content_of(item.former_id_values), former_content_of(item.former_id_values)
            ids = [entry_id(None, digest, 1) for digest in former_contents]
        return _ImportRow(entry, tuple(ids), item.row, content)

    def _build_entry(self, row: ForeignCall, entry_id: str) -> Entry:
        call, is_call = row.call, row.kind == "usage"
        costs = self._costs(row)
        if not is_call and costs.charge is None:
            raise ValueError(
                f"takes back a call of {call.service}/{call.model}, of no known price: state its cost"
            )
        return Entry(
            id=entry_id,
            kind=row.kind,
            timestamp=row.at,
            job_id=folder_name(row.job_id) if row.job_id else self._own_job,
            user_id=row.user_id,
            service=call.service,
            model=call.model,
            usage=costs.usage,
            charge=costs.charge if is_call or costs.charge is None else _negated(costs.charge),
            unpriced_units=costs.missing if is_call else NO_UNITS,
            catalogue_cost=costs.catalogue if is_call else None,
            stage=call.stage,
            attempt=call.attempt or 1,
            # a reversal or a credit has the response id of its call, so it is not its own
            request_id=call.request_id if is_call else None,
            operation=call.operation,
            description=call.description,
            workflow=call.workflow,
            project=call.project,
            tags=call.tags,
            service_tier=call.service_tier,
            region=call.region,
            estimated=call.estimated or costs.estimated,
            host=host_name()[:64],
            metadata=self._metadata(row),
        )

    def _costs(self, row: ForeignCall) -> _Costs:
        """Return what a row costs: what it states (billed or estimated by its tool), else by our prices."""
        usage, priced = self._priced(row)
        summed = usage != row.call.usage
        if row.parts is not None and (self.source.zero_is_free or not self._is_doubtful_zero(row)):
            call = row.call
            stated = Charge(row.parts, PricedBy("stated", "1", f"{call.service}/{call.model}"))
            return _Costs(usage, stated, NO_UNITS, priced.total if priced else None, not row.billed)
        if row.call.usage.is_zero:
            raise ValueError("has neither usage nor a cost: no input_tokens, cost or similar field")
        if priced is None:
            return _Costs(usage, None)
        return _Costs(usage, priced._replace(missing=NO_UNITS), priced.missing, estimated=summed)

    def _priced(self, row: ForeignCall) -> tuple[Usage, Charge | None]:
        """Return a row's usage and our charge for it.

        A sum of calls must not pay the higher rate of one large request. If that makes a difference, it
        counts as two requests: the row does not say how many there were, and it cannot be fewer.
        """
        usage = row.call.usage
        charge = self._charge(row, usage)
        if row.sum_of and usage.requests <= 1:
            as_several = replace(usage, requests=2)
            if (charge_of_several := self._charge(row, as_several)) != charge:
                return as_several, charge_of_several
        return usage, charge

    def _charge(self, row: ForeignCall, usage: Usage) -> Charge | None:
        call = row.call
        verdict = self.catalogue.charge(
            call.service, call.model, usage, row.at, call.service_tier, call.region
        )
        return verdict if isinstance(verdict, Charge) else None

    def _is_doubtful_zero(self, row: ForeignCall) -> bool:
        if row.parts is None or any(row.parts.values()) or row.call.usage == Usage():
            return False
        _, charge = self._priced(row)
        return charge is None or charge.total > 0

    def _metadata(self, row: ForeignCall) -> dict[str, object]:
        metadata: dict[str, object] = {"imported_from": self.source.format.name, **row.call.metadata}
        if row.sum_of:
            metadata["sum_of"] = row.sum_of
        if row.kind != "usage" and row.call.request_id:
            metadata["refund_of"] = row.call.request_id
        if row.job_id and row.job_id != folder_name(row.job_id):
            metadata["job"] = row.job_id
        return metadata

    @property
    def _own_job(self) -> str:
        """The job of rows that name none."""
        return f"imported-{self.source.name}"

    def ledger(self, entry: Entry) -> Path:
        """Return the ledger of an entry's job in the source's directory."""
        return self.storage.root / "imported" / self.source.name / folder_name(entry.job_id) / LEDGER_NAME


def _chunks(rows: Iterable[_ImportRow]) -> Iterator[Sequence[_ImportRow]]:
    """Yield the rows in chunks that are looked up and written together."""
    remaining = iter(rows)
    while chunk := list(islice(remaining, _OWN_CHUNK)):
        if _is_foreign(chunk[0].entry):
            chunk += islice(remaining, _FOREIGN_CHUNK - _OWN_CHUNK)
        yield chunk


def _negated(charge: Charge) -> Charge:
    return Charge({part: Nanos(-amount) for part, amount in charge.parts.items()}, charge.priced_by)


def _own_id(row: ForeignCall, content: bytes) -> str | None:
    """Return the row's own id; for a refund with its content, because it may have the id of the call."""
    if row.kind == "usage" or row.row_id is None or len(row.row_id) < _UNIQUE_FROM:
        return row.row_id
    return f"{row.row_id}/{content.hex()}"


def _is_of_one_response(row: ForeignCall) -> bool:
    """Tell whether a row is about one call with an id, so that an equal row is the same call."""
    request_id = row.call.request_id
    return request_id is not None and row.sum_of is None and not comes_again(request_id)


def _is_foreign(entry: Entry) -> bool:
    """Tell whether an entry was made from another tool's row, not taken from an export of our own."""
    return "imported_from" in entry.metadata


def content_of(values: Mapping[str, object]) -> bytes:
    """Return a digest of a row's values: the same for equal rows, whether in CSV, JSON or a database.

    >>> row = {"Input Tokens": "1,000", "cost": LocalNumber("0,50"), "note": "", "ts": "2026-10-31 11:30"}
    >>> content_of(row) == content_of({"inputTokens": 1000, "cost": 0.5, "note": None, "ts": 1793446200})
    True
    """
    fields = sorted(
        [known, plain]
        for name, value in values.items()
        if (plain := plain_value(known := known_name(str(name)), value))
    )
    return blake2b(json.dumps(fields, separators=(",", ":")).encode(), digest_size=14).digest()


def former_content_of(values: Mapping[str, object]) -> bytes:
    """Return the digest by which earlier versions identified a row: that of its exact text."""
    values = {name: cell.dotted if isinstance(cell, LocalNumber) else cell for name, cell in values.items()}
    text = json.dumps(values, sort_keys=True, default=str, separators=(",", ":"))
    return blake2b(text.encode(), digest_size=14).digest()


def entry_id(row_id: str | None, content: bytes, copy: int) -> str:
    """Return the id of an imported row: 28 hexadecimal digits.

    >>> entry_id("1", b"{}", 1) == entry_id("1", b"{}", 1) != entry_id("1", b"{}", 2)
    True
    """
    if row_id and len(row_id) >= _UNIQUE_FROM:
        key = b"id:" + row_id.encode()
    else:
        key = b"row:%d:%b" % (copy, content)
    return blake2b(key, digest_size=14, person=b"cost-import").hexdigest()


def folder_name(job_id: str) -> str:
    """Return a job's id as the name of a directory; an id that cannot be one gets a hash.

    >>> folder_name("job-1"), folder_name("../../etc")
    ('job-1', 'etc-f470a0ab')
    """
    if re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}", job_id):
        return job_id
    readable = re.sub(r"[^A-Za-z0-9_-]+", "-", job_id).strip("-")[:60]
    return f"{readable or 'job'}-{blake2b(job_id.encode('utf-8', 'replace'), digest_size=4).hexdigest()}"
