r"""Journals of plain-text accounting: for beancount (https://beancount.github.io) and hledger (https://hledger.org).

An entry is one transaction on the UTC day in which it counts: its cost goes to an expense account of its
service, model and stage, and is owed to the service. An adjustment or a reversal is a transaction of its own,
with its sign. A call without a price is a comment, because it did not cost 0. Amounts have nine decimals, so
that both programs keep and balance every nano-dollar.

Seen in beancount 3.2.3: parts of an account's name begin with a capital or a digit and have only letters,
digits and dashes; the tolerance of a balance follows from the decimals of the amounts, so all have nine.
bean-query shows positions with the decimals that most amounts of the whole ledger have, also in CSV, but a
number with its own: findings/beanquery_csv_of_small_costs_is_rounded_to_cents.sh.

>>> [beancount_name(name) for name in ("gpt-4.1", "13_ai_summarization", "o1", "日本", "")]
['Gpt-4-1', '13-ai-summarization', 'O1', 'X日本', 'X']

Seen in hledger 1.25 (Debian): it shows and balances amounts by the commodity directive, so ours has nine
decimals; two spaces end an account's name, and characters such as ``(`` and ``*`` at the beginning of a name
or a description have a meaning of their own.

>>> hledger_name("a  b;c:d"), hledger_name("(x)"), hledger_name("gpt-4.1")
('a b-c-d', '-x)', 'gpt-4.1')
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, date
from functools import partial
from hashlib import blake2b
from pathlib import Path
from typing import Final, Protocol, TextIO

from ...model import Entry
from ...money import NANOS_PER_USD
from ..source import EntrySource
from . import Export, ExportContext, counted


def exact_usd(nanos: int) -> str:
    """Return an amount with nine decimals.

    >>> exact_usd(4_250_000), exact_usd(-1)
    ('0.004250000', '-0.000000001')
    """
    dollars, rest = divmod(abs(nanos), NANOS_PER_USD)
    return f"{'-' if nanos < 0 else ''}{dollars}.{rest:09d}"


@dataclass(slots=True)
class AccountNames:
    """Parts of account names: each name gets a part that the program accepts, and no two names the same.

    ``shaped`` makes a name valid; if two names become equal, the later one gets a hash as a suffix.
    """

    shaped: Callable[[str], str]
    _by_name: dict[tuple[str, str], str] = field(default_factory=dict)
    _taken: dict[tuple[str, str], str] = field(default_factory=dict)

    def part(self, parent: str, name: str) -> str:
        """Return the part for a name under the account ``parent``."""
        known_part = self._by_name.get((parent, name))
        if known_part is not None:
            return known_part
        part = self.shaped(name)
        if self._taken.setdefault((parent, part.lower()), name) != name:
            part = f"{part}-{blake2b(name.encode('utf-8', 'replace'), digest_size=4).hexdigest()}"
        self._by_name[parent, name] = part
        return part


class Accounts:
    """The accounts of a journal: those for expenses, and one for what is owed to each service."""

    def __init__(self, expenses: str, owed: str, shaped: Callable[[str], str]) -> None:
        self._expenses = expenses
        self._owed = owed
        self._names = AccountNames(shaped)
        self.used: dict[str, None] = {}

    def of(self, entry: Entry) -> tuple[str, str]:
        """Return the account of an entry's cost, and the account of its service's liability."""
        service = self._names.part("", entry.service)
        owed, expenses = f"{self._owed}:{service}", f"{self._expenses}:{service}"
        for name in (entry.model, entry.stage):
            if name:
                expenses = f"{expenses}:{self._names.part(expenses, name)}"
        self.used |= {expenses: None, owed: None}
        return expenses, owed


class JournalStyle(Protocol):
    """How a program writes its journal."""

    def head(self) -> str:
        """Return the text before the first transaction."""
        ...

    def accounts(self) -> Accounts:
        """Return new accounts, none of them used yet."""
        ...

    def transaction(self, entry: Entry, day: date, cost: int, expenses: str, owed: str) -> str:
        """Return an entry as a transaction."""
        ...

    def declaration(self, account: str, first: date) -> str:
        """Return the line that declares an account as of its first day."""
        ...


def write_journal(style: JournalStyle, source: EntrySource, target: Path, context: ExportContext) -> int:
    """Write entries as a journal; accounts are declared at its end, when all are known."""
    with target.open("w", encoding="utf-8", newline="\n") as file:
        file.write(style.head())
        return _write(style, counted(source.entries(), context), file)


def _write(style: JournalStyle, entries: Iterator[Entry], file: TextIO) -> int:
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
    file.writelines(style.declaration(account, first) for account in accounts.used)
    return written


def one_line(text: str) -> str:
    r"""Return a text with characters that end a line or cannot be printed replaced by spaces.

    >>> one_line("a\nb\u2028c")
    'a b c'
    """
    return "".join(sign if sign.isprintable() else " " for sign in text)


def beancount_name(name: str) -> str:
    """Return a name as a part of an account's name."""
    text = re.sub(r"[\W_]+", "-", one_line(name)).strip("-")
    head = text[:1].upper()
    if len(head) == 1 and (head.isupper() or head.isdecimal()):
        return head + text[1:]
    return f"X{text}"


def quoted(text: str) -> str:
    r"""Return a text as a quoted string of beancount.

    >>> quoted('say "a"')
    '"say \\"a\\""'
    """
    escaped = one_line(text).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


class _Beancount:
    """beancount's journal format."""

    def head(self) -> str:
        return (
            "; Made by cost-dashboard export beancount\n\n"
            'option "title" "AI costs"\noption "operating_currency" "USD"\n'
            'option "inferred_tolerance_default" "USD:0"\n\n'
        )

    def accounts(self) -> Accounts:
        return Accounts("Expenses:AI", "Liabilities:AI", beancount_name)

    def transaction(self, entry: Entry, day: date, cost: int, expenses: str, owed: str) -> str:
        notes = {
            "entry": entry.id,
            "kind": entry.kind,
            "user": entry.user_id,
            "service": entry.service,
            "model": entry.model,
        }
        lines = "".join(f"  {name}: {quoted(value)}\n" for name, value in notes.items())
        return (
            f"{day} * {quoted(entry.job_id)} {quoted(entry.stage or '')}\n{lines}"
            f"  {expenses}  {exact_usd(cost)} USD\n  {owed}  {exact_usd(-cost)} USD\n\n"
        )

    def declaration(self, account: str, first: date) -> str:
        return f"{first} open {account} USD\n"


BEANCOUNT: Final = Export(
    "beancount",
    ".beancount",
    "A journal for beancount, exact to the nano-dollar.",
    partial(write_journal, _Beancount()),
)


def hledger_name(name: str) -> str:
    """Return a name as a part of an account's name."""
    text = re.sub(r"\s+", " ", one_line(name)).strip()
    text = re.sub(r'[:;|"]', "-", text)
    return re.sub(r"^[^\w]", "-", text) or "-"


def described(text: str) -> str:
    """Return a text as a description, without characters that begin a comment, a status or a code."""
    return re.sub(r"^[(*!]", "-", one_line(text).replace(";", ",").strip())


class _Hledger:
    """hledger's journal format."""

    def head(self) -> str:
        return "; Made by cost-dashboard export hledger\n\ncommodity 1000.000000000 USD\n\n"

    def accounts(self) -> Accounts:
        return Accounts("expenses:ai", "liabilities:ai", hledger_name)

    def transaction(self, entry: Entry, day: date, cost: int, expenses: str, owed: str) -> str:
        code = re.sub(r"[()]", "-", one_line(entry.id))
        notes = {"kind": entry.kind, "user": entry.user_id, "service": entry.service, "model": entry.model}
        lines = "".join(f"    ; {name}: {_value(value)}\n" for name, value in notes.items())
        return (
            f"{day} ({code}) {described(entry.job_id)}\n{lines}"
            f"    {expenses}  {exact_usd(cost)} USD\n    {owed}  {exact_usd(-cost)} USD\n\n"
        )

    def declaration(self, account: str, first: date) -> str:  # noqa: ARG002 - it needs no day
        return f"account {account}\n"


def _value(text: str) -> str:
    """Return a text as the value of a tag, which a comma would end."""
    return one_line(text).replace(",", " ")


HLEDGER: Final = Export(
    "hledger",
    ".journal",
    "A journal for hledger, exact to the nano-dollar.",
    partial(write_journal, _Hledger()),
)
