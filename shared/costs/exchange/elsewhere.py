"""Calls that were recorded already, as they were made or from another log: a row about one adds nothing.

They are told by the response's id, which a provider gives once. A row without one, or with one that a server
uses again, cannot be told from others: such a call counts twice where it was recorded live too, and
``reconcile`` names it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Final, NamedTuple

from ..capture.adapter import comes_again
from ..ledger.line import decode
from ..ledger.places import DamagedLine
from ..model import Entry
from ..rollup import Query
from ..store.store import Store

_LEAST: Final = 16
"""A response's id of so many characters is unique in the world, as those of rows are."""

_AROUND: Final = timedelta(days=1)
"""By how much the times of two records of one call may differ: clocks, zones, and how long it took."""

_ID: Final = re.compile(rb'"request_id":"([^"\\]+)"').search
_TAKEN_BACK: Final = b'"kind":"reversal"'


class Told(NamedTuple):
    """What a row says of its call: the response's id, where it states one, and when it was made."""

    request_id: str | None
    at: datetime


def recorded_elsewhere(index: Store, calls: Iterable[Told], source: str) -> set[str]:
    """Return those of the responses' ids whose calls count already, other than from ``source`` itself.

    ``source`` is the ``imported_from`` of the import that asks. A call that was taken back does not count,
    nor does one whose cost is not known: what the import states of it would be in no sum.
    Reads the ledgers that have entries of the same days, each once.
    """
    listed = [call for call in calls if call.request_id is not None and _tells(call.request_id)]
    wanted = {call.request_id for call in listed}
    if not wanted:
        return set()
    times = [call.at for call in listed]
    index.catch_up_all()
    found: dict[str, str] = {}
    gone: set[str | None] = set()
    own = f'"imported_from":{json.dumps(source)}'.encode()
    for line in index.lines(Query(start=min(times) - _AROUND, end=max(times) + _AROUND)):
        if own in line:
            continue
        match = _ID(line)
        is_meant = match is not None and match[1].decode("ascii", "replace") in wanted
        if not is_meant and _TAKEN_BACK not in line:
            continue
        try:
            entry = decode(line)
        except DamagedLine:
            continue
        if entry.kind == "reversal":
            gone.add(entry.corrects)
        elif entry.kind == "usage" and entry.request_id and _counts(entry, source):
            found[entry.request_id] = entry.id
    return {request_id for request_id, entry_id in found.items() if entry_id not in gone}


def _counts(entry: Entry, source: str) -> bool:
    return entry.metadata.get("imported_from") != source and entry.cost_state != "unknown"


def _tells(request_id: str) -> bool:
    return len(request_id) >= _LEAST and not comes_again(request_id)
