"""The views in SQL: one file each in ``data/sql/``, the same text for every engine.

A file begins with a line that says what it shows. How each entry changes the sums is computed once, in
``data/entries.sql``, so that views only add up.

>>> view_named("months").splitlines()[0]
'-- What each billing month cost.'
"""

from __future__ import annotations

from typing import Final

from ..errors import WrongUsage
from ..shipped import DATA

FOLDER: Final = DATA / "sql"

ENTRIES: Final = (DATA / "entries.sql").read_text(encoding="utf-8")
"""The SELECT of ``entries`` from ``stored``, the rows as they are in files."""

DELTAS: Final = ("sign", "unpriced_delta", "partial_delta")
"""The columns that it adds: how an entry changes the number of calls, of unpriced and of partial calls.

They are named after the properties of ``Entry``.
"""


def entries_of(stored: str) -> str:
    """Return the SQL of the entries, given the SQL of the rows in files."""
    return f"WITH stored AS ({stored})\n{ENTRIES}"


def view_names() -> list[str]:
    """Return the names of all views."""
    return sorted(file.name.removesuffix(".sql") for file in FOLDER.iterdir())


def view_named(name: str) -> str:
    """Return the SQL of a view.

    Raises:
        WrongUsage: there is no view of that name.

    """
    if name not in view_names():
        raise WrongUsage(f"no view is called {name!r}; there are {', '.join(view_names())}")
    return (FOLDER / f"{name}.sql").read_text(encoding="utf-8")
