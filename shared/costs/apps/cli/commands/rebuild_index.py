"""``cost-dashboard rebuild-index``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import click

from ....errors import BAD_NEWS, FINE, WrongUsage
from ....ledger.reader import read
from ....model import Entry
from ....reports.document import Column, Figure, Ref, Report, Table, derive
from ....reports.reader import ProgressCallback
from ....reports.spec import Option
from ....rollup import Query
from ....storage import LEDGER_NAME
from ....store.build import RebuildResult
from ....store.store import Store
from ..app import App, dashboard_command, share_bar
from ..options import asked_with


@dashboard_command(
    "Keep in order",
    "rebuild-index",
    "rebuild-index --root ~/pipelines/out",
    "rebuild-index out/2026-11-22/job-20261122-rpatel-0001",
)
@asked_with(
    Option("", "", "[LEDGER_OR_JOB_DIR]...", called="paths", many=True, parse=Path),
    Option(
        "--root",
        "Also look for ledgers under this directory; may be repeated.",
        "DIR",
        click.Path(file_okay=False, path_type=Path),
        called="roots",
        many=True,
    ),
)
def command(app: App, paths: tuple[Path, ...], roots: tuple[Path, ...]) -> int:
    """Rebuild the index from the ledgers, all of it or for those named; ledgers are never changed.

    Only needed when doctor says so, or, with --root, when the list of ledgers was lost.
    Exit code 1 when a ledger could not be read.
    """
    if paths and roots:
        raise WrongUsage("name ledgers or give --root, not both")
    for root in roots:
        if not root.is_dir():
            raise WrongUsage(f"{root} is not a directory")
    index = app.workspace.index
    added = sum(index.add_under(root.resolve()) for root in roots)
    with share_bar("Rebuilding") as advance:
        result = _some(index, paths, advance) if paths else index.rebuild(advance)
    app.show(rebuilt_report(result, added))
    return BAD_NEWS if result.unread else FINE


def _some(index: Store, paths: Sequence[Path], advance: ProgressCallback) -> RebuildResult:
    """Take these ledgers out and in again, and register those that are new."""
    ledgers = [(path / LEDGER_NAME if path.is_dir() else path).resolve() for path in paths]
    entries, size, unread = 0, 0, list[tuple[Path, str]]()
    for number, ledger in enumerate(ledgers):
        if not ledger.is_file():
            unread.append((ledger, "there is no such file"))
        elif not _is_a_ledger(ledger):
            unread.append((ledger, "no line of it is an entry, so it does not count as a ledger"))
        else:
            index.add([ledger])
            index.rebuild_ledger(ledger)
            entries += sum(1 for _ in index.lines(Query(ledger=ledger)))
            size += ledger.stat().st_size
        advance(number + 1, len(ledgers))
    return RebuildResult(len(ledgers) - len(unread), entries, size, tuple(unread))


def _is_a_ledger(path: Path) -> bool:
    """Tell whether a file is one by its name, or by a line of it; what cannot be read says so later."""
    try:
        return path.name == LEDGER_NAME or any(isinstance(line.content, Entry) for line in read(path))
    except OSError:
        return True


_UNREAD: Final = (Column("ledger", "Ledger"), Column("why", "Why", wraps=True))


def rebuilt_report(result: RebuildResult, added: int) -> Report:
    """Return what the index was built from; ``added`` ledgers were not known before."""
    unread = tuple((Ref(str(path), "path"), why) for path, why in result.unread)
    return Report(
        title="Index rebuilt",
        figures=(
            Figure("ledgers", "Ledgers", result.ledgers, "count", f"{added:,} new" if added else ""),
            Figure("entries", "Entries", result.entries, "count"),
            Figure("bytes", "Bytes", result.bytes, "count"),
        ),
        tables=(Table("Could not be read", _UNREAD, unread),) if unread else (),
        data={
            **derive(result, "ledgers"),
            "added": added,
            **derive(result, "entries", "bytes"),
            "unread": [{"ledger": path, "why": why} for path, why in unread],
        },
    )
