"""Reports as they are sent to others: without the local paths that mean nothing to them."""

from __future__ import annotations

from pathlib import PurePath
from typing import Final

from ..reports.document import Note, Ref, Report, Row, Table, Value
from ..storage import LEDGER_NAME

_A_PLACE: Final = "path"


def sendable(report: Report) -> Report:
    """Return a report that names jobs and files, but not where they lie on this machine."""
    return report._replace(tables=tuple(map(_table, report.tables)), notes=tuple(map(_note, report.notes)))


def short_place(path: str) -> str:
    """Return a path as others may see it: a ledger by its job, any other file by its name.

    >>> short_place("/home/ana/out/job-7/cost_ledger.jsonl"), short_place("/home/ana/prices.yaml")
    ('job-7', 'prices.yaml')
    """
    place = PurePath(path)
    return place.parent.name if place.name == LEDGER_NAME and place.parent.name else place.name or path


def _note(note: Note) -> Note:
    text, remedy = note.text, note.remedy
    for place in sorted(note.places, key=len, reverse=True):
        text, remedy = text.replace(place, short_place(place)), remedy.replace(place, short_place(place))
    return note._replace(text=text, remedy=remedy, places=())


def _table(table: Table) -> Table:
    total = None if table.total is None else _row(table.total)
    return table._replace(rows=tuple(map(_row, table.rows)), total=total)


def _row(row: Row) -> Row:
    return tuple(map(_cell, row))


def _cell(value: Value) -> Value:
    if isinstance(value, Ref) and value.thing == _A_PLACE:
        return Ref(value.replace(value.target, short_place(value.target)), "path", short_place(value.target))
    return value
