"""Reads an archive back: every file as its manifest says, every sum, no entry twice."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from ..archive.duck import connect, quoted, run
from ..archive.manifest import ArchiveUnreachable, DamagedArchive, Manifest, ParquetPart, RowSums
from ..archive.places import ArchiveStorage
from ..errors import BAD_NEWS, FINE, WrongUsage
from .staging import PART, SUMS, sums_of

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection


class Fault(NamedTuple):
    """A file that is not as the manifest says, and how."""

    name: str
    why: str


class ArchiveCheck(NamedTuple):
    """What reading an archive back showed. ``surplus`` are files that the manifest does not name."""

    manifest: Manifest
    faults: tuple[Fault, ...]
    surplus: tuple[str, ...]

    @property
    def exit_code(self) -> int:
        """1 where anything is not as the manifest says."""
        return BAD_NEWS if self.faults else FINE


def check_archive(place: ArchiveStorage, progress: Callable[[int, int], None]) -> ArchiveCheck:
    """Read an archive back, every byte of it.

    Raises:
        WrongUsage: there is no archive.
        DamagedArchive: its manifest cannot be read.
        ArchiveUnreachable: what it lies on does not answer.
        MissingExtra: DuckDB is not installed.

    """
    stored = place.manifest()
    if stored is None:
        raise WrongUsage(f"{place.location}: there is no archive; cost-dashboard archive --to makes one")
    manifest = Manifest.parsed(stored.document, place.location)
    with tempfile.TemporaryDirectory() as folder, connect() as database:
        database.execute(f"SET temp_directory = '{quoted(folder)}'")
        faults = list(_checked(place, manifest, database, progress))
        wrong = {fault.name for fault in faults}
        sound = [part for part in manifest.parts if part.name not in wrong]
        faults += _repeated(place, sound, database)
    surplus = set(place.parts()) - {part.name for part in manifest.parts}
    return ArchiveCheck(manifest, tuple(faults), tuple(sorted(surplus)))


def _checked(
    place: ArchiveStorage,
    manifest: Manifest,
    database: DuckDBPyConnection,
    progress: Callable[[int, int], None],
) -> Iterator[Fault]:
    for done, part in enumerate(manifest.parts):
        progress(done, len(manifest.parts))
        try:
            yield from _faults(place, part, database)
        except ArchiveUnreachable:
            raise
        except DamagedArchive as fault:
            yield Fault(part.name, str(fault))
    progress(len(manifest.parts), len(manifest.parts))


def _faults(place: ArchiveStorage, part: ParquetPart, database: DuckDBPyConnection) -> Iterator[Fault]:
    size, sha256 = place.digest(part.name)
    if (size, sha256) != (part.size, part.sha256):
        yield Fault(part.name, f"its {size:,} bytes are not the {part.size:,} that were written (SHA-256)")
        return
    import duckdb  # there, since somebody is connected

    try:
        found = _read(database, f"{SUMS}, count(*) FILTER (billing_month IS DISTINCT FROM ?)", place, part)
    except duckdb.Error as error:
        yield Fault(part.name, f"cannot be read as Parquet: {error}")
        return
    sums = sums_of(found)
    if sums != part.sums or found[-1]:
        yield Fault(part.name, f"has {_told(sums)} where {_told(part.sums)} were written")


def _read(
    database: DuckDBPyConnection, what: str, place: ArchiveStorage, part: ParquetPart
) -> tuple[int, ...]:
    sql = f"SELECT {what} FROM ({PART})"  # noqa: S608 - our own text
    values = [part.month, str(place.file(part.name))]
    return run(database, lambda: database.execute(sql, values).fetchone()) or ()


def _told(sums: RowSums) -> str:
    return f"{sums.rows:,} entries for {sums.cost} nano-dollars"


def _repeated(
    place: ArchiveStorage, parts: Iterable[ParquetPart], database: DuckDBPyConnection
) -> Iterator[Fault]:
    """Yield the files with entries whose ids are in an earlier one too, or twice in the same."""
    names = {str(place.file(part.name)): part.name for part in parts}
    if not names:
        return
    sql = """SELECT last, count(*) FROM (
            SELECT id, max(filename) AS last FROM read_parquet(?, filename = true, hive_partitioning = false)
            GROUP BY id HAVING count(*) > 1) GROUP BY last ORDER BY last"""
    for path, count in run(database, partial(_all, database, sql, list(names))):
        yield Fault(names[path], f"{count:,} of its entries are in the archive twice")


def _all(database: DuckDBPyConnection, sql: str, files: list[str]) -> list[tuple[str, int]]:
    return database.execute(sql, [files]).fetchall()
