r"""A journal for beancount (https://beancount.github.io), one transaction an entry.

Seen in beancount 3.2.3: parts of an account's name begin with a capital or a digit and have letters, digits
and dashes alone; the tolerance of a balance follows from the decimals of the amounts, so that all have nine.
bean-query shows positions with the decimals that most amounts of the whole ledger have, in CSV too, but a
number with its own: findings/beanquery_csv_of_small_costs_is_rounded_to_cents.sh.

>>> shaped("gpt-4.1"), shaped("13_ai_summarization"), shaped("o1"), shaped("日本"), shaped("")
('Gpt-4-1', '13-ai-summarization', 'O1', 'X日本', 'X')
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
    text = re.sub(r"[\W_]+", "-", one_line(name)).strip("-")
    head = text[:1].upper()
    if len(head) == 1 and (head.isupper() or head.isdecimal()):
        return head + text[1:]
    return f"X{text}"


def quoted(text: str) -> str:
    r"""Return a text as beancount writes one.

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
        return Accounts("Expenses:AI", "Liabilities:AI", shaped)

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

    def declared(self, account: str, first: date) -> str:
        return f"{first} open {account} USD\n"


EXPORT: Final = Export(
    "beancount",
    ".beancount",
    "A journal for beancount, exact to the nano-dollar.",
    partial(write_journal, _Beancount()),
)
