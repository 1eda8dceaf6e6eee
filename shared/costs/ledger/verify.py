r"""Accounts for every byte of ledgers as an entry, a repetition of one, or damage with its position.

>>> import tempfile
>>> folder = tempfile.TemporaryDirectory()
>>> ledger = Path(folder.name) / "cost_ledger.jsonl"
>>> _ = ledger.write_bytes(b"nonsense\n")
>>> account = Verifier().verify(ledger)
>>> account.size, account.accounted, account.is_sound, account.findings[0].why
(9, 9, False, 'cut off: it has no checksum at its end')
>>> folder.cleanup()
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import Final, Literal, NamedTuple, get_args

from .. import platform
from ..rollup import Totals
from .counted import counted, substance
from .line import FORMAT, decode
from .lines import TORN, DamagedLine, Line, lines

LineKind = Literal["entry", "newer", "duplicate", "conflict", "damaged", "torn"]
"""What a line is. ``newer`` is an entry of a newer format; a ``duplicate`` repeats an id with the same
content, as a drained spool may leave it, and counts once; a ``conflict`` has an id that was seen before
with different content, and does not count; ``torn`` is an end without a newline whose writer is gone."""

LINE_KINDS: Final[tuple[LineKind, ...]] = get_args(LineKind)
DAMAGE: Final[frozenset[LineKind]] = frozenset({"conflict", "damaged", "torn"})

WRITER_S: Final = 2.0
"""How long to wait for a writer before its unfinished line is skipped, in seconds."""

# The beginning of every line of the present format: any other entry is of a newer one.
_USUAL: Final = b'{"v":%d,' % FORMAT


class LineFinding(NamedTuple):
    """A line that is not an ordinary entry."""

    kind: LineKind
    offset: int
    length: int
    why: str


@dataclass(slots=True)
class LedgerBytes:
    """The account of one ledger's bytes. ``lines`` and ``bytes`` count by kind, newlines included.

    ``size`` is without the beginning of a line that is still being written. ``totals`` are the sums of what
    counts.
    """

    ledger: Path
    size: int = 0
    lines: Counter[LineKind] = field(default_factory=Counter)
    bytes: Counter[LineKind] = field(default_factory=Counter)
    totals: Totals = field(default_factory=Totals)
    findings: list[LineFinding] = field(default_factory=list)

    @property
    def accounted(self) -> int:
        """How many bytes have a kind: ``size``, unless the ledger was shortened meanwhile."""
        return sum(self.bytes.values())

    @property
    def damaged_lines(self) -> int:
        """How many lines cannot be trusted."""
        return self.lines["damaged"] + self.lines["torn"]

    @property
    def is_sound(self) -> bool:
        """Whether all bytes were there and none of them were damaged."""
        return self.accounted >= self.size and not any(self.lines[kind] for kind in DAMAGE)


class _FirstSeen(NamedTuple):
    """The first line with an id, and a hash of what ``same_call`` compares."""

    ledger: Path
    offset: int
    substance: int


class Verifier:
    """Verifies ledgers one after the other and remembers the ids seen so far, at some 250 bytes each."""

    def __init__(self) -> None:
        self._seen: dict[str, _FirstSeen] = {}

    def verify(self, ledger: Path) -> LedgerBytes:
        """Account for every byte of a ledger; nothing is changed.

        Raises:
            UnsafePath: the ledger is a link, a pipe, has a second name or another owner.
            OSError: it cannot be opened or read.

        """
        account = LedgerBytes(ledger, size=ledger.lstat().st_size)
        end = self._add(account, _finished_lines(ledger))
        account.size = _settled_size(ledger, account.size, end)
        return account

    def verify_content(self, ledger: Path, content: bytes) -> LedgerBytes:
        """Verify the recovered content of a ledger that does not exist any more."""
        account, offset, lines = LedgerBytes(ledger, size=len(content)), 0, list[Line]()
        for raw in BytesIO(content):
            lines.append((offset, len(raw), raw))
            offset += len(raw)
        self._add(account, lines)
        return account

    def _add(self, account: LedgerBytes, lines: Iterable[Line]) -> int:
        """Account for lines; return where the last one ends."""
        end = 0
        for offset, length, raw in lines:
            kind, why = self._kind(account, offset, raw)
            end = offset + length
            account.lines[kind] += 1
            account.bytes[kind] += length
            if kind != "entry":
                account.findings.append(LineFinding(kind, offset, length, why))
        return end

    def _kind(self, account: LedgerBytes, offset: int, raw: bytes) -> tuple[LineKind, str]:
        if not raw.endswith(b"\n"):
            return "torn", TORN
        try:
            entry = decode(raw)
        except DamagedLine as damage:
            return "damaged", str(damage)
        seen = _FirstSeen(account.ledger, offset, hash(substance(counted(entry))))
        first = self._seen.setdefault(entry.id, seen)
        if first is not seen:
            where = "" if first.ledger == account.ledger else f" of {first.ledger}"
            kind: LineKind = "duplicate" if first.substance == seen.substance else "conflict"
            return kind, f"its id is that of the entry at byte {first.offset}{where}"
        account.totals.add(entry)
        return ("entry", "") if raw.startswith(_USUAL) else ("newer", "written in a newer format")


def _finished_lines(ledger: Path) -> Iterator[Line]:
    """Return each line, an unfinished last one only if its writer is gone."""
    for line in lines(ledger):
        if line[2].endswith(b"\n"):
            yield line
        else:
            yield from _tail(ledger, line[0])


def _tail(ledger: Path, offset: int) -> list[Line]:
    """Return the last lines, read under the ledger's lock; nothing if a writer keeps the lock."""
    with platform.open_file(ledger) as file:
        return list(lines(ledger, offset)) if platform.lock(file.fileno(), WRITER_S) else []


def _settled_size(ledger: Path, size: int, end: int) -> int:
    """Return how many bytes there were to account for: those from before, without an unfinished line."""
    if end >= size or ledger.lstat().st_size < size:
        return max(size, end)
    return end  # the rest is a line that is still being written
