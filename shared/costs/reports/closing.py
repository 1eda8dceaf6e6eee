"""``close-month`` and ``verify --sealed``: digests of a month's files, and what changed since.

The document that ``close-month`` writes is small and is to be kept elsewhere: whoever can change the ledgers
could rewrite it too. It has a digest of itself, so that damage to it is noticed.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from hashlib import sha256
from pathlib import Path
from typing import Any, Final, NamedTuple

from .. import __version__
from ..errors import BAD_NEWS, FINE, CostError, WrongUsage
from ..ledger.digests import Digest, FileChange, appended_since, changes_since, digest_from, digest_of
from ..ledger.reader import read
from ..ledger.spool import waiting_paths
from ..model import Entry
from ..money import ZERO, Nanos, from_json_number, to_usd
from ..periods import Period, parse_month, zone
from ..rollup import Query, Totals
from ..shipped import DATA
from ..small_file import MAX_BYTES
from .common import noted, plural, priced_in_part, usd
from .document import Column, Figure, Note, Ref, Report, Table, derive
from .queries import at_hand, zone_of
from .reader import Reader

FORMAT: Final = "cost-ledger month"
VERSIONS: Final = (1, 2)
"""Of the document's format: 2 where months begin on another day than the 1st, which older versions of this
program do not read; they would compare a sealed month with another one."""

_ROLES: Final = ("profile", "prices")
_MOST_BYTES: Final = 1 << 28


class CannotCheck(CostError):
    """A file is not the digest of a month, or was damaged itself."""


class SealedFile(NamedTuple):
    """One file as it was when the month was closed. ``role`` is ledger, profile or prices."""

    role: str
    path: Path
    digest: Digest
    job_id: str | None = None


class ClosedMonth(NamedTuple):
    """A month as it was closed: its sums (cost in nano-dollars), its files, and the version of its prices."""

    month: str
    zone: str
    at: datetime
    calls: int
    cost: Nanos
    unpriced_calls: int
    partial_calls: int
    files: Sequence[SealedFile]
    price_list: str
    billing_day: int = 1
    unread: Sequence[str] = ()


class SealedChange(NamedTuple):
    """A change since the month was closed, and in which file."""

    role: str
    path: Path
    change: FileChange


class LaterEntries(NamedTuple):
    """What was appended to a ledger since, and counts in the closed month."""

    path: Path
    entries: int
    cost: Nanos


class SealCheck(NamedTuple):
    """What became of a closed month: changes of its files, later entries, ledgers that are new in it."""

    closed: ClosedMonth
    found: Sequence[SealedChange]
    later: Sequence[LaterEntries]
    new: Sequence[Path]
    calls: int
    cost: Nanos
    price_list: str

    @property
    def exit_code(self) -> int:
        """1 when anything that was sealed changed, or the month has other entries or sums than it had."""
        same_sums = (self.calls, self.cost) == (self.closed.calls, self.closed.cost)
        return FINE if not (self.found or self.later or self.new) and same_sums else BAD_NEWS


# --- closing


def close_month(reader: Reader, name: str) -> ClosedMonth:
    """Return the digests of a month that is over.

    Raises:
        WrongUsage: there is no such month, or it is not over.

    """
    of_all = zone_of(reader, None)
    period = _period(name, of_all.key, reader.billing_day)
    if period.end > reader.now:
        raise WrongUsage(f"{name} is not over: it ends at {period.end:%Y-%m-%d %H:%M %Z}")
    reader.index.catch_up_all()
    totals, ledgers = _sums(reader, period)
    files, unread = [], [f"a line waits in the spool: {path}" for path in waiting_paths(reader.storage)]
    for (ledger, job_id), there in zip(ledgers.items(), at_hand(reader, list(ledgers)), strict=True):
        try:
            files.append(SealedFile("ledger", ledger, digest_of(there), job_id))
        except OSError as fault:
            unread.append(f"{ledger}: {fault.strerror or fault}")
    files += _settings(reader)
    return ClosedMonth(
        name,
        of_all.key,
        reader.now,
        totals.calls,
        totals.cost,
        totals.unpriced_calls,
        totals.partial_calls,
        files,
        _price_list(),
        reader.billing_day,
        tuple(unread),
    )


def _period(name: str, zone_name: str, billing_day: int) -> Period:
    try:
        return parse_month(name, zone(zone_name), billing_day)
    except ValueError as fault:
        raise WrongUsage(str(fault)) from fault


def _sums(reader: Reader, period: Period) -> tuple[Totals, dict[Path, str]]:
    query = Query(start=period.start, end=period.end)
    totals = next((group.totals for group in reader.index.groups((), query)), Totals())
    return totals, {job.ledger: job.job_id for job in reader.index.jobs(query)}


def _settings(reader: Reader) -> Iterator[SealedFile]:
    for role, path in zip(_ROLES, (reader.profile_path, reader.prices_path), strict=True):
        if path is not None and path.exists():
            yield SealedFile(role, path, digest_of(path, MAX_BYTES))


def _price_list() -> str:
    """Return a digest of the price list that comes with this version."""
    whole = sha256(__version__.encode())
    for name, content in sorted((file.name, file.read_bytes()) for file in (DATA / "prices").iterdir()):
        whole.update(name.encode() + content)
    return f"{__version__} {whole.hexdigest()[:16]}"


def document_of(closed: ClosedMonth) -> str:
    """Return the document that ``close-month`` writes."""
    content = {
        "format": FORMAT,
        "version": VERSIONS[closed.billing_day != 1],
        "month": closed.month,
        "timezone": closed.zone,
        "billing_day": closed.billing_day,
        "closed_at": closed.at.isoformat(),
        **derive(closed, "calls", "cost", "unpriced_calls", "partial_calls"),
        "price_list": closed.price_list,
        "files": [
            {"role": one.role, "path": str(one.path), "job": one.job_id, **one.digest._asdict()}
            for one in closed.files
        ],
    }
    return json.dumps({**content, "digest": _digest(content)}, indent=1) + "\n"


def _digest(content: Mapping[str, Any]) -> str:
    return sha256(json.dumps(content, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


# --- checking


def read_document(path: Path) -> ClosedMonth:
    """Return a month as it was closed.

    Raises:
        CannotCheck: the file cannot be read, is not such a document, or was changed itself.

    """
    try:
        if os.path.isfile(path) and path.stat().st_size > _MOST_BYTES:
            raise ValueError("it is too large")
        content = json.loads(_bytes(path))
        stated = content.pop("digest")
        if content["format"] != FORMAT or content["version"] not in VERSIONS:
            raise ValueError(f"it is of another format: {content['format']!r}, {content['version']!r}")
        if _digest(content) != stated:
            raise CannotCheck(f"{path}: was changed since it was written: its own digest does not match")
        return _closed(content)
    except OSError as fault:
        raise CannotCheck(f"{path}: cannot be read: {fault.strerror or fault}") from fault
    except (ValueError, KeyError, TypeError, AttributeError) as fault:
        raise CannotCheck(f"{path}: was not written by cost-dashboard close-month: {fault}") from None


def _bytes(path: Path) -> bytes:
    fd = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0))
    with open(fd, "rb") as file:
        return file.read(_MOST_BYTES)


def _closed(content: Mapping[str, Any]) -> ClosedMonth:
    files = [
        SealedFile(one["role"], Path(one["path"]), digest_from(one), one["job"]) for one in content["files"]
    ]
    return ClosedMonth(
        content["month"],
        content["timezone"],
        datetime.fromisoformat(content["closed_at"]),
        content["calls"],
        from_json_number(content["cost_usd"]),
        content["unpriced_calls"],
        content.get("partial_calls", 0),  # older files do not say
        files,
        content["price_list"],
        content.get("billing_day", 1),  # as above
    )


def check_seal(reader: Reader, path: Path) -> SealCheck:
    """Return what became of a month since it was closed.

    Raises:
        CannotCheck: ``close-month`` did not write the file.

    """
    closed = read_document(path)
    period = _period(closed.month, closed.zone, closed.billing_day)
    reader.index.catch_up_all()
    totals, ledgers = _sums(reader, period)
    changed, grown, later = list[SealedChange](), list[SealedChange](), list[LaterEntries]()
    for one, there in zip(closed.files, at_hand(reader, [one.path for one in closed.files]), strict=True):
        changes = changes_since(one.digest, there)
        changed += [SealedChange(one.role, one.path, change) for change in changes]
        if one.role == "ledger" and not changes:
            later += _later(one, there, period)
        elif one.role != "ledger" and _has_grown(one.digest, there, changed=bool(changes)):
            change = FileChange("changed", "lines were added", one.digest.lines + 1)
            grown.append(SealedChange(one.role, one.path, change))
    known = {one.path for one in closed.files}
    new = sorted(ledger for ledger in ledgers if ledger not in known)
    return SealCheck(closed, [*changed, *grown], later, new, totals.calls, totals.cost, _price_list())


def _has_grown(before: Digest, there: Path, *, changed: bool) -> bool:
    """Tell whether lines were added at a file's end; what changed in it makes it longer, too."""
    if not appended_since(before, there):
        return False
    return not changed or digest_of(there, MAX_BYTES).lines > before.lines


def _later(one: SealedFile, there: Path, period: Period) -> Iterator[LaterEntries]:
    """Yield what was appended since and counts in the month, where anything does."""
    if not appended_since(one.digest, there):
        return
    entries, cost = 0, ZERO
    for located in read(there, one.digest.size):
        entry = located.content
        if isinstance(entry, Entry) and period.start <= entry.counted_at < period.end:
            entries, cost = entries + 1, Nanos(cost + entry.cost)
    if entries:
        yield LaterEntries(one.path, entries, cost)


# --- reports


def closed_report(closed: ClosedMonth, file: str) -> Report:
    """Return what was sealed, and where."""
    ledgers = [one for one in closed.files if one.role == "ledger"]
    figures = (
        Figure(
            "ledgers", "Ledgers", len(ledgers), "count", f"{sum(one.digest.size for one in ledgers):,} bytes"
        ),
        Figure("calls", "Calls", closed.calls, "count"),
        Figure("cost", "Cost", closed.cost),
    )
    roles = [one.role for one in closed.files if one.role != "ledger"]
    notes = [
        Note(
            f"Keep {file} elsewhere. To see what changed since: cost-dashboard verify --sealed {file}.",
            places=(file,),
        ),
        Note(f"Also sealed: {', '.join(roles) or 'no profile, no prices of your own'}."),
        *(Note(f"Not sealed: {why}.", "warning") for why in closed.unread),
    ]
    notes += noted(closed.unpriced_calls, "call has", "calls have", "no price yet.")
    if closed.partial_calls:
        notes.append(priced_in_part(closed.partial_calls))
    data = {
        "month": closed.month,
        "file": file,
        "ledgers": len(ledgers),
        **derive(closed, "calls", "cost", "unpriced_calls", "partial_calls", "not_sealed=unread"),
    }
    return Report(f"{closed.month} is closed", figures=figures, notes=tuple(notes), data=data)


def seal_tables(check: SealCheck) -> Iterator[Table]:
    """Yield what changed, and what came later."""
    if check.found:
        yield Table.of(
            "Changed since",
            check.found,
            (Column("file", "File"), lambda one: Ref(str(one.path), "path")),
            (Column("what", "Is"), lambda one: one.role),
            (Column("where", "Where"), lambda one: _where(one.change)),
            (Column("why", "Why", wraps=True), lambda one: f"{one.change.what}: {one.change.why}"),
            key="sealed",
        )
    if check.later:
        yield Table.of(
            "Appended since, and counting in the month",
            check.later,
            (Column("file", "Ledger"), lambda one: Ref(str(one.path), "path")),
            (Column("entries", "Entries", "count"), lambda one: one.entries),
            (Column("cost", "Cost", "money"), lambda one: one.cost),
            key="later",
        )


def _where(change: FileChange) -> str:
    if change.line is None:
        return ""
    if change.last is None or change.last == change.line:
        return f"line {change.line:,}"
    return f"lines {change.line:,} to {change.last:,}"


def seal_notes(check: SealCheck) -> Iterator[Note]:
    """Yield what a reader of ``verify --sealed`` should know."""
    closed = check.closed
    if check.exit_code == FINE:
        yield Note(
            f"{closed.month} is as it was closed at {closed.at:%Y-%m-%d %H:%M}: {len(closed.files):,} files."
        )
    difference = Nanos(check.cost - closed.cost)
    if difference or check.calls != closed.calls:
        sign = "+" if difference >= 0 else "-"
        yield Note(
            f"{closed.month} had {closed.calls:,} calls for {usd(closed.cost)} and has {check.calls:,} for "
            f"{usd(check.cost)} now ({sign}{usd(Nanos(abs(difference)))}).",
            "warning",
        )
    elif check.later:
        entries = plural(sum(one.entries for one in check.later), "entry was", "entries were")
        yield Note(
            f"{entries} appended since that count in {closed.month}; its calls and cost are the same.",
            "warning",
        )
    for path in check.new:
        yield Note(
            f"{path} has calls of {closed.month}, and was not known when it was closed.",
            "warning",
            places=(str(path),),
        )
    if check.price_list != closed.price_list:
        yield Note(
            f"Prices then were those of version {closed.price_list.partition(' ')[0]}; entries keep theirs."
        )


def seal_data(check: SealCheck) -> dict[str, object]:
    """Return the check as JSON has it."""
    return {
        "month": check.closed.month,
        "closed_at": check.closed.at.isoformat(),
        "same": check.exit_code == FINE,
        "files": len(check.closed.files),
        "changed": [
            {
                **derive(one, "path", "role"),
                **derive(one.change, "what", "line", "last_line=last", "offset", "why"),
            }
            for one in check.found
        ],
        "appended": [derive(one) for one in check.later],
        "new_ledgers": [str(path) for path in check.new],
        "calls": {"closed": check.closed.calls, "now": check.calls},
        "cost_usd": {"closed": to_usd(check.closed.cost), "now": to_usd(check.cost)},
    }
