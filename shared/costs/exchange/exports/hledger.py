r"""A journal for hledger (https://hledger.org), one transaction an entry.

Seen in hledger 1.25 (Debian): it shows and balances amounts by the commodity directive, so that this one has
nine decimals; two spaces end an account's name, and signs such as ``(`` and ``*`` at the beginning of a name
or a description mean something else.

>>> shaped("a  b;c:d"), shaped("(x)"), shaped("gpt-4.1")
('a b-c-d', '-x)', 'gpt-4.1')
"""

from __future__ import annotations

import re
from datetime import date
from functools import partial
from typing import Final

from ...model import Entry
from ..journal import Accounts, exact_usd, one_line, write_journal
from . import Export


def shaped(name: str) -> str:
    """Return a name as a part of an account's name."""
    text = re.sub(r"\s+", " ", one_line(name)).strip()
    text = re.sub(r'[:;|"]', "-", text)
    return re.sub(r"^[^\w]", "-", text) or "-"


def described(text: str) -> str:
    """Return a text as a description: nothing in it begins a comment, a status or a code."""
    return re.sub(r"^[(*!]", "-", one_line(text).replace(";", ",").strip())


class _Hledger:
    """hledger's journal format."""

    def head(self) -> str:
        return "; Made by cost-dashboard export hledger\n\ncommodity 1000.000000000 USD\n\n"

    def accounts(self) -> Accounts:
        return Accounts("expenses:ai", "liabilities:ai", shaped)

    def transaction(self, entry: Entry, day: date, cost: int, expenses: str, owed: str) -> str:
        code = re.sub(r"[()]", "-", one_line(entry.id))
        notes = {"kind": entry.kind, "user": entry.user_id, "service": entry.service, "model": entry.model}
        lines = "".join(f"    ; {name}: {_value(value)}\n" for name, value in notes.items())
        return (
            f"{day} ({code}) {described(entry.job_id)}\n{lines}"
            f"    {expenses}  {exact_usd(cost)} USD\n    {owed}  {exact_usd(-cost)} USD\n\n"
        )

    def declared(self, account: str, first: date) -> str:  # noqa: ARG002 - it needs no day
        return f"account {account}\n"


def _value(text: str) -> str:
    """Return a text as the value of a tag, which a comma would end."""
    return one_line(text).replace(",", " ")


EXPORT: Final = Export(
    "hledger",
    ".journal",
    "A journal for hledger, exact to the nano-dollar.",
    partial(write_journal, _Hledger()),
)
