"""Ledgers together with what was packed away of them: for reports that look at lines where they stand."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from ..archive.restoring import Content
    from .reader import Reader


def with_packed(reader: Reader, ledgers: Sequence[Path]) -> Iterator[tuple[Path, list[Content]]]:
    """Return ledgers in the order given, each with the contents of those that were packed away from there."""
    packed = groupby(reader.index.packed([each.resolve() for each in ledgers]), key=itemgetter(0))
    path, contents = next(packed, _NONE)
    for ledger in ledgers:
        if ledger.resolve() != path:
            yield ledger, []
            continue
        yield ledger, [content for _, content in contents]
        path, contents = next(packed, _NONE)


_NONE: Final[tuple[Path | None, Iterable[tuple[Path, Content]]]] = (None, ())


def at_hand(reader: Reader, ledgers: Sequence[Path]) -> Iterator[Path]:
    """Return for each ledger a path at which all of it can be read until the next one is asked for.

    That is its own, unless it was packed away: then a private copy, with what was written there since at its
    end. What cannot be read back is left at its own path, where it is not.
    """
    for ledger, contents in with_packed(reader, ledgers):
        readable = [content for content in contents if isinstance(content, bytes)]
        if not readable or len(readable) < len(contents):
            yield ledger
            continue
        with tempfile.NamedTemporaryFile(prefix="cost-ledger-") as copy:
            copy.writelines(readable)
            if ledger.exists():
                copy.write(ledger.read_bytes())
            copy.flush()
            yield Path(copy.name)
