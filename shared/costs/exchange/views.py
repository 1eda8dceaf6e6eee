"""The views in SQL: one file each in ``data/sql/``, the same text for every engine.

A file begins with a line that says what it shows.

>>> view_named("months").splitlines()[0]
'-- What each billing month cost.'
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from ..errors import WrongUsage

FOLDER: Final = Path(__file__).parents[1] / "data" / "sql"


def view_names() -> list[str]:
    """Return the names of all views."""
    return sorted(path.stem for path in FOLDER.glob("*.sql"))


def view_named(name: str) -> str:
    """Return the SQL of a view.

    Raises:
        WrongUsage: there is none of that name.

    """
    if name not in view_names():
        raise WrongUsage(f"no view is called {name!r}; there are {', '.join(view_names())}")
    return (FOLDER / f"{name}.sql").read_text(encoding="utf-8")
