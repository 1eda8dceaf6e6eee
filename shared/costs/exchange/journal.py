"""Entries as transactions of plain-text accounting: what both journals share.

An entry is one transaction of the UTC day that it counts in: what it cost goes to an expense account of
its service, model and stage, and is owed to the service. An adjustment or a reversal is a transaction of
its own, with its sign. A call without a price is a comment, since it did not cost 0. Amounts have nine
decimals, so that both programs keep and balance every nano-dollar.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, date
from hashlib import blake2b
from pathlib import Path
from typing import Protocol, TextIO

from ..model import Entry
from ..money import NANOS_PER_USD
from .exports import Context, counted
from .source import Source


def exact_usd(nanos: int) -> str:
    """Return an amount with nine decimals.

    >>> exact_usd(4_250_000), exact_usd(-1)
    ('0.004250000', '-0.000000001')
    """
    dollars, rest = divmod(abs(nanos), NANOS_PER_USD)
    return f"{'-' if nanos < 0 else ''}{dollars}.{rest:09d}"


@dataclass(slots=True)
class Names:
    """Parts of account names: each name gets one that the program takes, and no two names the same.

    ``shaped`` makes a name valid; where two names come out alike, the later one gets a mark of its own.
    """

    shaped: Callable[[str], str]
    _by_name: dict[tuple[str, str], str] = field(default_factory=dict)
    _taken: dict[tuple[str, str], str] = field(default_factory=dict)

    def part(self, above: str, name: str) -> str:
        """Return the part for a name under the account ``above``."""
        found = self._by_name.get((above, name))
        if found is not None:
            return found
        part = self.shaped(name)
        if self._taken.setdefault((above, part.lower()), name) != name:
            part = f"{part}-{blake2b(name.encode('utf-8', 'replace'), digest_size=4).hexdigest()}"
        self._by_name[above, name] = part
        return part


class Accounts:
    """The accounts of a journal: those of expenses, and what is owed to each service."""

    def __init__(self, expenses: str, owed: str, shaped: Callable[[str], str]) -> None:
        self._expenses = expenses
        self._owed = owed
        self._names = Names(shaped)
        self.used: dict[str, None] = {}

    def of(self, entry: Entry) -> tuple[str, str]:
        """Return the account that an entry's cost goes to, and the one it is owed to."""
        service = self._names.part("", entry.service)
        owed, expenses = f"{self._owed}:{service}", f"{self._expenses}:{service}"
        for name in (entry.model, entry.stage):
            if name:
                expenses = f"{expenses}:{self._names.part(expenses, name)}"
        self.used |= {expenses: None, owed: None}
        return expenses, owed


class Style(Protocol):
    """How a program writes its journal."""

    def head(self) -> str:
        """Return what stands before the first transaction."""
        ...

    def accounts(self) -> Accounts:
        """Return the accounts, none of them used yet."""
        ...

    def transaction(self, entry: Entry, day: date, cost: int, expenses: str, owed: str) -> str:
        """Return an entry as a transaction."""
        ...

    def declared(self, account: str, first: date) -> str:
        """Return the line that declares an account from its first day on."""
        ...


def write_journal(style: Style, source: Source, target: Path, context: Context) -> int:
    """Write entries as a journal; accounts are declared at its end, when all are known."""
    with target.open("w", encoding="utf-8", newline="\n") as file:
        file.write(style.head())
        return _write(style, counted(source.entries(), context), file)


def _write(style: Style, entries: Iterator[Entry], file: TextIO) -> int:
    accounts, written, first = style.accounts(), 0, date.max
    for entry in entries:
        written += 1
        day = entry.counted_at.astimezone(UTC).date()
        if entry.charge is None:
            file.write(
                f"; {day} unpriced: {one_line(f'{entry.service}/{entry.model}')}, {one_line(entry.id)}\n\n"
            )
            continue
        first = min(first, day)
        file.write(style.transaction(entry, day, entry.charge.total, *accounts.of(entry)))
    file.writelines(style.declared(account, first) for account in accounts.used)
    return written


def one_line(text: str) -> str:
    r"""Return a text without signs that end a line or cannot be printed.

    >>> one_line("a\nb\u2028c")
    'a b c'
    """
    return "".join(sign if sign.isprintable() else " " for sign in text)
