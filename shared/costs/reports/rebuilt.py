"""``rebuild-index``: what the index was built from."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from .document import Column, Figure, Ref, Report, Table

if TYPE_CHECKING:
    from ..store.build import Rebuilt

_UNREAD: Final = (Column("ledger", "Ledger"), Column("why", "Why", wraps=True))


def rebuilt_report(found: Rebuilt, added: int) -> Report:
    """Return what the index was built from; ``added`` ledgers were not known before."""
    unread = tuple((Ref(str(path), "path"), why) for path, why in found.unread)
    return Report(
        title="Index rebuilt",
        figures=(
            Figure("ledgers", "Ledgers", found.ledgers, "count", f"{added:,} new" if added else ""),
            Figure("entries", "Entries", found.entries, "count"),
            Figure("bytes", "Bytes", found.bytes, "count"),
        ),
        tables=(Table("Could not be read", _UNREAD, unread),) if unread else (),
        data={
            "ledgers": found.ledgers,
            "added": added,
            "entries": found.entries,
            "bytes": found.bytes,
            "unread": [{"ledger": path, "why": why} for path, why in unread],
        },
    )
