"""Bringing a history into the cost storage: each row once, priced if it states no cost, and reported.

Imported entries go through the same writer as all others, into ledgers under
``imported/SOURCE/`` of the cost storage: one per job that the source names, and one for the
rest. An entry's id is a hash of what the row says, however it is written (rows that say the same are told
apart by counting them, unless they name one request), or of the row's own id where that is unique in the
world; so importing a file again, a longer version of it, or another format of it adds only what is new. With
other options, which make its rows other entries, these are recorded anew (``revisions.py``). Entries of our
own exports keep their ids, and so are known where they came from. A row whose response was recorded already,
as it came or from another log, adds nothing (``elsewhere.py``). A row below zero is a reversal or an
adjustment of its own, for what it states.
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
from .elsewhere import StatedCall, response_of
from .foreign import Defaults, ForeignCall, known_name, plain_value, understand
from .imports import Import
from .revisions import FREE, RecordedCall, recorded_anew
from .rows import ForeignRow, NotUnderstood

MAX_REFUSALS: Final = 100
"""How many rows that were not understood are kept with their reasons; the others are counted."""

_TOGETHER: Final = 20_000
"""So many rows are looked up together among the calls that were recorded otherwise."""

_FEW: Final = 500
"""So many entries of our own exports, which are looked up by their ids alone, are written together."""

_UNIQUE_FROM: Final = 16
"""A row id of so many characters is unique in the world (a UUID, a hash), a shorter one in its file."""

_OTHER_CALL: Final = (
    "has the id of a row before it and says something else: if it is another call, "
    "import such rows in a file of their own, without that column"
)


@dataclass(frozen=True, slots=True)
class ImportSource:
    """What is imported: the file, its format, a name for where it comes from, and what rows leave out.

    A stated cost of zero beside usage is not believed, unless the model is listed as free or
    ``zero_is_free``: tools that know no price write that. ``settled`` are the fields of entries that somebody
    decided now: rows that were imported before and have others are recorded anew.
    """

    path: Path
    format: Import
    name: str
    defaults: Defaults = field(default_factory=Defaults)
    zero_is_free: bool = False
    settled: frozenset[str] = frozenset()


class _Costs(NamedTuple):
    """What an imported row used and costs."""

    usage: Usage
    charge: Charge | None
    missing: Units = NO_UNITS
    catalogue: Nanos | None = None
    estimated: bool = False


@dataclass(slots=True)
class Tally:
    """What an import did, or with ``dry_run`` would do. ``cost`` is that of the added entries.

    ``elsewhere`` counts rows whose call was recorded already, live or from another log; ``zero_stated`` rows
    that state a cost of zero beside usage although their model is not free;
    ``sums`` those that are sums of a day or a month, ``unnamed`` those that name no model;
    ``anew`` those that were recorded otherwise before; ``refunds`` those added that take something back.
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
    """An entry, where it stands, what its row says, and the ids that it had in earlier versions.

    These told rows by how they are written.
    """

    entry: Entry
    former_ids: tuple[str, ...] = ()
    place: str = ""
    content: bytes = b""

    @property
    def ids(self) -> tuple[str, ...]:
        """The ids under which the row may have been recorded."""
        return self.entry.id, *self.former_ids


class LedgerAccess(Protocol):
    """Where entries go and where they are known from: the ledgers, behind a narrow door."""

    def known(self, entry_ids: Sequence[str]) -> Container[str]:
        """Return those of the ids whose entries count already, what waits to be written left out."""
        ...

    def alone(self) -> AbstractContextManager[object]:
        """Return what keeps another import from recording the same calls meanwhile."""
        ...

    def elsewhere(self, calls: Iterable[StatedCall], source: str) -> set[str]:
        """Return the responses' ids among these whose calls were recorded other than from ``source``."""
        ...

    def account(self, entry_id: str) -> RecordedCall | None:
        """Return what was recorded of a call; ``None`` where nothing was, or its ledger cannot be read."""
        ...

    def write(self, ledger: Path, entry: Entry) -> None:
        """Take an entry; it is on the disk after the next :meth:`flush` at the latest."""
        ...

    def flush(self) -> None:
        """Bring everything that was taken to the disk."""
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

        Interrupted or failing, it has imported a part of the rows; running it again adds the others.

        Raises:
            CannotRead: the file cannot be read.
            NotWritten: a ledger cannot be written to.

        """
        tally, fresh = Tally(), dict[str, bytes]()
        for chunk in _chunks(self._entries(tally)):
            with nullcontext() if self.dry_run else self.recorded.alone():
                self._take(chunk, fresh, tally)
                self.recorded.flush()
        self.progress(tally.rows)
        return tally

    def _take(self, chunk: Sequence[_ImportRow], fresh: dict[str, bytes], tally: Tally) -> None:
        elsewhere = self._elsewhere(chunk)
        known = self.recorded.known([*dict.fromkeys(entry_id for row in chunk for entry_id in row.ids)])
        for row in chunk:
            entry = row.entry
            if fresh.get(entry.id, row.content) != row.content:
                tally.refuse(row.place, _OTHER_CALL)
            elif entry.id in fresh:
                tally.known += 1
            elif (recorded := next((each for each in row.ids if each in known), None)) is not None:
                fresh[entry.id] = row.content
                self._take_again(replace(entry, id=recorded), tally)
            elif response_of(entry) in elsewhere and _is_foreign(entry):
                tally.elsewhere += 1
            else:
                fresh[entry.id] = row.content
                if not self.dry_run:
                    self.recorded.write(self.ledger(entry), entry)
                tally.add(entry)

    def _take_again(self, entry: Entry, tally: Tally) -> None:
        """Leave a known row as it is, unless it was recorded as something else than it is said to be now."""
        lines = [*self._anew(entry)] if _is_foreign(entry) else []
        tally.known += not lines
        tally.anew += bool(lines)
        for ledger, line in lines:
            tally.cost = Nanos(tally.cost + line.cost)
            if not self.dry_run:
                self.recorded.write(ledger, line)

    def _anew(self, entry: Entry) -> Iterator[tuple[Path, Entry]]:
        settled = self.source.settled | ({FREE} if self.source.zero_is_free else frozenset())
        if not settled:
            return iter(())
        return recorded_anew(entry, self.ledger(entry), self.recorded.account, settled, self.now)

    def _elsewhere(self, chunk: Sequence[_ImportRow]) -> set[str]:
        """Return the responses' ids of a chunk's foreign rows whose calls were recorded otherwise."""
        entries = (row.entry for row in chunk)
        rows = (StatedCall(response_of(each), each.timestamp) for each in entries if _is_foreign(each))
        return self.recorded.elsewhere(rows, self.source.format.name)

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
            encode(item)  # what the ledger would not take is refused here, before it counts as added
            return _ImportRow(item)
        found = understand(item.values, self.source.defaults)
        found = replace(found, sum_of=item.sum_of or found.sum_of, billed=item.billed)
        said = item.values if item.said is None else item.said
        content = content_of(said)
        copies[content] += 1
        copy = 1 if _is_of_one_response(found) else copies[content]
        entry = self._made(found, entry_id(_own_id(found, content), content, copy))
        encode(entry)
        tally.unused.update(found.unused)
        tally.zone_assumed += found.zone_assumed
        tally.zero_stated += self._is_doubtful_zero(found)
        tally.sums += found.sum_of is not None
        tally.unnamed += not found.names_model
        former = former_content_of(said)
        ids = [entry_id(_own_id(found, former), former, copy)]
        if item.formerly is not None:  # numbered, so that no two rows were alike
            formers = content_of(item.formerly), former_content_of(item.formerly)
            ids = [entry_id(None, each, 1) for each in formers]
        return _ImportRow(entry, tuple(ids), item.row, content)

    def _made(self, found: ForeignCall, entry_id: str) -> Entry:
        call, is_call = found.call, found.kind == "usage"
        costs = self._costs(found)
        if not is_call and costs.charge is None:
            raise ValueError(
                f"takes back a call of {call.service}/{call.model}, of no known price: state its cost"
            )
        return Entry(
            id=entry_id,
            kind=found.kind,
            timestamp=found.at,
            job_id=folder_name(found.job_id) if found.job_id else self._own_job,
            user_id=found.user_id,
            service=call.service,
            model=call.model,
            usage=costs.usage,
            charge=costs.charge if is_call or costs.charge is None else _negative(costs.charge),
            unpriced_units=costs.missing if is_call else NO_UNITS,
            catalogue_cost=costs.catalogue if is_call else None,
            stage=call.stage,
            attempt=call.attempt or 1,
            # the response's id of what takes a call back is that of the call
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
            metadata=self._metadata(found),
        )

    def _costs(self, found: ForeignCall) -> _Costs:
        """Return what a row costs: as it states, by a bill or by its tool's estimate, else by our prices."""
        usage, priced = self._priced(found)
        summed = usage != found.call.usage
        if found.parts is not None and (self.source.zero_is_free or not self._is_doubtful_zero(found)):
            call = found.call
            stated = Charge(found.parts, PricedBy("stated", "1", f"{call.service}/{call.model}"))
            return _Costs(usage, stated, NO_UNITS, priced.total if priced else None, not found.billed)
        if found.call.usage.is_zero:
            raise ValueError("says neither what was used nor what it cost: no input_tokens, cost or the like")
        if priced is None:
            return _Costs(usage, None)
        return _Costs(usage, priced._replace(missing=NO_UNITS), priced.missing, estimated=summed)

    def _priced(self, found: ForeignCall) -> tuple[Usage, Charge | None]:
        """Return our charge for a row's usage, and that usage.

        A sum is no single request, so none of it pays the rate of large ones. Where that makes a
        difference, it counts as two requests: fewer cannot be, and how many there were it does not say.
        """
        usage = found.call.usage
        charge = self._charge(found, usage)
        if found.sum_of and usage.requests <= 1:
            several = replace(usage, requests=2)
            if (apart := self._charge(found, several)) != charge:
                return several, apart
        return usage, charge

    def _charge(self, found: ForeignCall, usage: Usage) -> Charge | None:
        call = found.call
        verdict = self.catalogue.charge(
            call.service, call.model, usage, found.at, call.service_tier, call.region
        )
        return verdict if isinstance(verdict, Charge) else None

    def _is_doubtful_zero(self, found: ForeignCall) -> bool:
        if found.parts is None or any(found.parts.values()) or found.call.usage == Usage():
            return False
        _, charge = self._priced(found)
        return charge is None or charge.total > 0

    def _metadata(self, found: ForeignCall) -> dict[str, object]:
        told: dict[str, object] = {"imported_from": self.source.format.name, **found.call.metadata}
        if found.sum_of:
            told["sum_of"] = found.sum_of
        if found.kind != "usage" and found.call.request_id:
            told["refund_of"] = found.call.request_id
        if found.job_id and found.job_id != folder_name(found.job_id):
            told["job"] = found.job_id
        return told

    @property
    def _own_job(self) -> str:
        """The job of rows that name none."""
        return f"imported-{self.source.name}"

    def ledger(self, entry: Entry) -> Path:
        """Return the ledger an entry goes to: that of its job, within the source's directory."""
        return self.storage.root / "imported" / self.source.name / folder_name(entry.job_id) / LEDGER_NAME


def _chunks(rows: Iterable[_ImportRow]) -> Iterator[Sequence[_ImportRow]]:
    """Yield what is looked up and written together."""
    left = iter(rows)
    while chunk := list(islice(left, _FEW)):
        if _is_foreign(chunk[0].entry):
            chunk += islice(left, _TOGETHER - _FEW)
        yield chunk


def _negative(charge: Charge) -> Charge:
    return Charge({part: Nanos(-amount) for part, amount in charge.parts.items()}, charge.priced_by)


def _own_id(row: ForeignCall, content: bytes) -> str | None:
    """Return what a row calls itself; what takes a call back may have that call's id, and so may the next."""
    if row.kind == "usage" or row.row_id is None or len(row.row_id) < _UNIQUE_FROM:
        return row.row_id
    return f"{row.row_id}/{content.hex()}"


def _is_of_one_response(row: ForeignCall) -> bool:
    """Whether a row is about one call that has an id: said again in the same words, it is the same call."""
    request_id = row.call.request_id
    return request_id is not None and row.sum_of is None and not comes_again(request_id)


def _is_foreign(entry: Entry) -> bool:
    """Whether an entry was made of another tool's row; our own exports have all that was recorded."""
    return "imported_from" in entry.metadata


def content_of(values: Mapping[str, object]) -> bytes:
    """Return a digest of what a row says: the same for equal rows, be they of a CSV, JSON or a database.

    >>> row = {"Input Tokens": "1,000", "cost": LocalNumber("0,50"), "note": "", "ts": "2026-10-31 11:30"}
    >>> content_of(row) == content_of({"inputTokens": 1000, "cost": 0.5, "note": None, "ts": 1793446200})
    True
    """
    said = sorted(
        [known, plain]
        for name, each in values.items()
        if (plain := plain_value(known := known_name(str(name)), each))
    )
    return blake2b(json.dumps(said, separators=(",", ":")).encode(), digest_size=14).digest()


def former_content_of(values: Mapping[str, object]) -> bytes:
    """Return the digest by which earlier versions told a row: the same for rows that are written alike."""
    values = {name: each.dotted if isinstance(each, LocalNumber) else each for name, each in values.items()}
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
    """Return a job's id as the name of a directory; ids that are none get a hash.

    >>> folder_name("job-1"), folder_name("../../etc")
    ('job-1', 'etc-f470a0ab')
    """
    if re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}", job_id):
        return job_id
    readable = re.sub(r"[^A-Za-z0-9_-]+", "-", job_id).strip("-")[:60]
    return f"{readable or 'job'}-{blake2b(job_id.encode('utf-8', 'replace'), digest_size=4).hexdigest()}"
