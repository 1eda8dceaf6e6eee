"""Writes closed months into an archive, each entry once even after a crash; and checks an archive.

Ledgers are read from the offset up to which they are archived. Lines of closed months are written to Parquet,
unless the archive already has their ids (a ledger that was copied, a run that was interrupted). Parts are
stored first, then the manifest that names them replaces the one that was read. A stored file that it does not
name is not in the archive; the next run of the same storage removes it.

>>> import tempfile
>>> from ..profile.types import Profile
>>> from ..storage import CostStorage
>>> with tempfile.TemporaryDirectory() as folder, Store.of(CostStorage(Path(folder).resolve())) as store:
...     known = KnownArchives(store.storage)
...     archive(store, Calendar(Profile()), known, known.place(f"{folder}/archive"), "2026-09").written
()
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from .. import platform
from ..archive.duck import connect, quoted, run
from ..archive.known import KnownArchives
from ..archive.manifest import ArchiveUnreachable, DamagedArchive, HeldLedger, Manifest, ParquetPart, RowSums
from ..archive.places import ArchiveStorage, OtherManifest, StoredManifest
from ..errors import BAD_NEWS, FINE, WrongUsage
from ..ledger.lines import split
from ..replacing import replacing
from ..rollup import Query
from ..store.gone import CountedExtent, fingerprint, recognised
from ..store.journal import opened
from ..store.queries import ReadableLedger
from ..store.store import Store
from .calendar import Calendar
from .staging import PART, SUMS, PartWriter, Staging, sums_of

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection


TRIES: Final = 5
"""How many times archiving is attempted if other hosts write to the archive meanwhile."""

Progress = Callable[[int, int], None]
"""Called with the number of ledgers that were read, and the number of all."""


class ArchiveResult(NamedTuple):
    """The result of a run: the new manifest, the new parts, and the ledgers that could not be read.

    ``known`` is the number of entries read that were already in the archive.
    """

    manifest: Manifest
    written: tuple[ParquetPart, ...] = ()
    known: int = 0
    unread: tuple[tuple[Path, str], ...] = ()


def archive(
    index: Store,
    calendar: Calendar,
    known: KnownArchives,
    place: ArchiveStorage,
    before: str,
    progress: Progress = lambda _done, _fetch_all: None,
) -> ArchiveResult:
    """Add all entries of months before ``before`` that are not in the archive yet.

    Raises:
        MissingExtra: DuckDB is not installed.
        ArchiveBusy: another process of this storage is writing to it.
        DamagedArchive: its manifest, or a part that is needed, cannot be read.
        OtherManifest: other hosts wrote to it during each of the attempts.
        NotArchived: what was written differs from what was read.
        CannotWrite: it cannot be written.

    """
    index.catch_up_all()
    with known.writing(place) as pending:
        for tries_left in reversed(range(TRIES)):
            stored = place.manifest()
            manifest = Manifest.parsed(stored.document, place.location) if stored else Manifest()
            clear(place, manifest, pending)
            run = _ArchiveRun(index, calendar, place, before, manifest)
            try:
                archived = run.bring_up(stored, pending, progress)
            except OtherManifest:
                if not tries_left:
                    raise
            else:
                if archived.manifest != Manifest():
                    known.remember(place, archived.manifest.document())
                return archived
    raise AssertionError("the last attempt returns or raises")


def clear(place: ArchiveStorage, manifest: Manifest, pending: Path) -> None:
    """Remove what a run left behind that ended before its manifest was written."""
    with suppress(FileNotFoundError, ValueError, KeyError, TypeError):
        leftovers = json.loads(pending.read_bytes())
        shutil.rmtree(leftovers["drafts"], ignore_errors=True)
        for name in set(leftovers["names"]) - {part.name for part in manifest.parts}:
            place.remove(name)
    pending.unlink(missing_ok=True)


class _LedgerSource(NamedTuple):
    """A ledger to read from the offset ``start`` on, and its number in the archive."""

    ledger: ReadableLedger
    number: int
    start: int


class _HeldIndex:
    """The ledgers of an archive, indexed to find the one that a file is."""

    def __init__(self, manifest: Manifest) -> None:
        self._by_path: dict[str, list[HeldLedger]] = {}
        self._by_head: dict[int, list[HeldLedger]] = {}
        for held in manifest.ledgers:
            self._by_path.setdefault(held.path, []).append(held)
            self._by_head.setdefault(held.head, []).append(held)

    def held_of(self, ledger: ReadableLedger) -> HeldLedger | None:
        """Return what the archive holds of a ledger's file, even if the file was moved."""
        path = str(ledger.job.ledger)
        with suppress(OSError), opened(os.fsencode(path)) as file:
            for held in self._by_path.get(path, ()):
                if recognised(CountedExtent(held.size, held.head, held.tail), file):
                    return held
            head, _ = fingerprint(file, ledger.read_to or 0)
            for held in self._by_head.get(head, ()):
                is_moved = not os.path.lexists(held.path)
                if is_moved and recognised(CountedExtent(held.size, held.head, held.tail), file):
                    return held
        return None


class _ArchiveRun:
    """One attempt at archiving."""

    def __init__(
        self, index: Store, calendar: Calendar, place: ArchiveStorage, before: str, manifest: Manifest
    ) -> None:
        self._index, self._calendar, self._place = index, calendar, place
        self._before, self._manifest = before, manifest
        self._unread: list[tuple[Path, str]] = []

    def bring_up(self, stored: StoredManifest | None, pending: Path, progress: Progress) -> ArchiveResult:
        """Write the parts that are missing, then the manifest that names them."""
        sources = list(self._sources())
        if not sources:
            return ArchiveResult(self._manifest)
        with _draft_folder(self._place, pending) as folder:
            staging = Staging(folder, self._calendar, self._before)
            held = list(self._stage_ledgers(staging, sources, progress))
            staging.close()
            writer = PartWriter(staging, self._overlapping_parts(staging))
            drafts = list(writer.drafts())
            first_offsets = dict(writer.duplicates)
            held = [
                ledger._replace(rest=min(ledger.rest, first_offsets.get(ledger.number, ledger.rest)))
                for ledger in held
            ]
            changed = self._manifest.with_more((draft.part for draft in drafts), held)
            if changed != self._manifest:
                _record_leftovers(pending, folder, [draft.part.name for draft in drafts])
                for draft in drafts:
                    self._place.put(draft.part.name, draft.path)
                self._place.commit(changed.document(), stored)
            pending.unlink()
        written = tuple(draft.part for draft in drafts)
        return ArchiveResult(changed, written, writer.skipped, tuple(self._unread))

    # --- which ledgers, from which offset

    def _sources(self) -> Iterator[_LedgerSource]:
        """Yield the ledgers that may have lines that are not in the archive, new ones last."""
        number = max((held.number for held in self._manifest.ledgers), default=0)
        held_index = _HeldIndex(self._manifest)
        new = list[_LedgerSource]()
        for ledger in self._index.readable(Query(end=self._calendar.begun_everywhere(self._before))):
            if ledger.gone is not None or not ledger.read_to:
                continue
            held = held_index.held_of(ledger)
            if held is None:
                number += 1
                new.append(_LedgerSource(ledger, number, 0))
            elif held.size < ledger.read_to or (not held.is_whole and held.before < self._before):
                yield _LedgerSource(ledger, held.number, held.rest)
        yield from new

    # --- reading

    def _stage_ledgers(
        self, staging: Staging, sources: Sequence[_LedgerSource], progress: Progress
    ) -> Iterator[HeldLedger]:
        for done, (ledger, number, start) in enumerate(sources):
            progress(done, len(sources))
            path, size = ledger.job.ledger, ledger.read_to or 0
            try:
                with opened(os.fsencode(path)) as file:
                    lines = split(file.fileno(), start, size)
                    rest = staging.add_lines(number, lines, ledger.uncounted, size)
                    head, tail = fingerprint(file, size)
            except OSError as fault:
                self._unread.append((path, fault.strerror or str(fault)))
                continue
            yield HeldLedger(number, str(path), size, rest, head, tail, self._before)
        progress(len(sources), len(sources))

    def _overlapping_parts(self, staging: Staging) -> list[Path]:
        """Return the parts of the archive that may have entries of a staging."""
        if not staging.rows:
            return []
        return [self._place.file(part.name) for part in self._manifest.overlapping(*staging.times)]


@contextmanager
def _draft_folder(place: ArchiveStorage, pending: Path) -> Iterator[Path]:
    """Create a private folder; it is removed at the end, or by the next run after a crash."""
    folder = place.drafts / f"_drafts-{secrets.token_hex(8)}"
    _record_leftovers(pending, folder, [])
    platform.secure_directory(folder)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _record_leftovers(pending: Path, folder: Path, names: Sequence[str]) -> None:
    """Record durably what a run may leave behind if it is interrupted."""
    with replacing(pending) as draft:
        draft.write_text(json.dumps({"drafts": str(folder), "names": names}), encoding="utf-8")


class PartFault(NamedTuple):
    """A file that is not as the manifest says, and how."""

    name: str
    why: str


class ArchiveCheck(NamedTuple):
    """The result of checking an archive. ``surplus`` are files that the manifest does not name."""

    manifest: Manifest
    faults: tuple[PartFault, ...]
    surplus: tuple[str, ...]

    @property
    def exit_code(self) -> int:
        """1 if anything differs from the manifest, else 0."""
        return BAD_NEWS if self.faults else FINE


def check_archive(place: ArchiveStorage, progress: Callable[[int, int], None]) -> ArchiveCheck:
    """Read every byte of an archive and compare it with the manifest.

    Raises:
        WrongUsage: there is no archive.
        DamagedArchive: its manifest cannot be read.
        ArchiveUnreachable: its storage does not answer.
        MissingExtra: DuckDB is not installed.

    """
    stored = place.manifest()
    if stored is None:
        raise WrongUsage(f"{place.location}: there is no archive; cost-dashboard archive --to makes one")
    manifest = Manifest.parsed(stored.document, place.location)
    with tempfile.TemporaryDirectory() as folder, connect() as database:
        database.execute(f"SET temp_directory = '{quoted(folder)}'")
        faults = list(_check_parts(place, manifest, database, progress))
        wrong = {fault.name for fault in faults}
        sound = [part for part in manifest.parts if part.name not in wrong]
        faults += _duplicates(place, sound, database)
    surplus = set(place.parts()) - {part.name for part in manifest.parts}
    return ArchiveCheck(manifest, tuple(faults), tuple(sorted(surplus)))


def _check_parts(
    place: ArchiveStorage,
    manifest: Manifest,
    database: DuckDBPyConnection,
    progress: Callable[[int, int], None],
) -> Iterator[PartFault]:
    for done, part in enumerate(manifest.parts):
        progress(done, len(manifest.parts))
        try:
            yield from _part_faults(place, part, database)
        except ArchiveUnreachable:
            raise
        except DamagedArchive as fault:
            yield PartFault(part.name, str(fault))
    progress(len(manifest.parts), len(manifest.parts))


def _part_faults(
    place: ArchiveStorage, part: ParquetPart, database: DuckDBPyConnection
) -> Iterator[PartFault]:
    size, sha256 = place.digest(part.name)
    if (size, sha256) != (part.size, part.sha256):
        yield PartFault(
            part.name, f"its {size:,} bytes are not the {part.size:,} that were written (SHA-256)"
        )
        return
    import duckdb  # installed, because ``database`` is a connection

    try:
        row = _read(database, f"{SUMS}, count(*) FILTER (billing_month IS DISTINCT FROM ?)", place, part)
    except duckdb.Error as error:
        yield PartFault(part.name, f"cannot be read as Parquet: {error}")
        return
    sums = sums_of(row)
    if sums != part.sums or row[-1]:
        yield PartFault(part.name, f"has {_described(sums)} where {_described(part.sums)} were written")


def _read(
    database: DuckDBPyConnection, columns: str, place: ArchiveStorage, part: ParquetPart
) -> tuple[int, ...]:
    sql = f"SELECT {columns} FROM ({PART})"  # noqa: S608 - our own text
    values = [part.month, str(place.file(part.name))]
    return run(database, lambda: database.execute(sql, values).fetchone()) or ()


def _described(sums: RowSums) -> str:
    return f"{sums.rows:,} entries for {sums.cost} nano-dollars"


def _duplicates(
    place: ArchiveStorage, parts: Iterable[ParquetPart], database: DuckDBPyConnection
) -> Iterator[PartFault]:
    """Yield the files with entries whose ids are also in an earlier file, or twice in the same."""
    names = {str(place.file(part.name)): part.name for part in parts}
    if not names:
        return
    sql = """SELECT last, count(*) FROM (
            SELECT id, max(filename) AS last FROM read_parquet(?, filename = true, hive_partitioning = false)
            GROUP BY id HAVING count(*) > 1) GROUP BY last ORDER BY last"""
    for path, count in run(database, partial(_fetch_all, database, sql, list(names))):
        yield PartFault(names[path], f"{count:,} of its entries are in the archive twice")


def _fetch_all(database: DuckDBPyConnection, sql: str, files: list[str]) -> list[tuple[str, int]]:
    return database.execute(sql, [files]).fetchall()
