"""Calls that were recorded already, as they were made or from another log: a row about one adds nothing.

They are told by the response's id, which a provider gives once. A row without one, or with one that a server
uses again, cannot be told from others: such a call counts twice where it was recorded live too, and
``reconcile`` names it. A refund is told by the response that it takes back, a credit by its amount, too.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Final, NamedTuple

from ..capture.adapter import comes_again
from ..ledger.line import decode
from ..ledger.lines import DamagedLine
from ..model import Entry
from ..rollup import Query
from ..store.store import Store

_LEAST: Final = 16
"""A response's id of so many characters is unique in the world, as those of rows are."""

_AROUND: Final = timedelta(days=1)
"""By how much the times of two records of one call may differ: clocks, zones, and how long it took."""

_ID: Final = re.compile(rb'"request_id":"([^"\\]+)"').search
_TAKEN_BACK: Final = b'"kind":"reversal"'
_REFUND_OF: Final = b'"refund_of":'


class StatedCall(NamedTuple):
    """What a row says of its call: the response's id, where it states one, and when it was made.

    Of a row that takes something back it is what :func:`response_of` makes of that id.
    """

    request_id: str | None
    at: datetime


def recorded_elsewhere(index: Store, calls: Iterable[StatedCall], source: str) -> set[str]:
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
        if not (is_meant or _TAKEN_BACK in line or _REFUND_OF in line):
            continue
        try:
            entry = decode(line)
        except DamagedLine:
            continue
        if entry.kind == "reversal":
            gone.add(entry.corrects)
        response = response_of(entry)
        if response is not None and response in wanted and _counts(entry, source):
            found[response] = entry.id
    return {response for response, entry_id in found.items() if entry_id not in gone}


def response_of(entry: Entry) -> str | None:
    """Return by what an entry is known elsewhere: its response, or of a refund or credit the one it is of."""
    if entry.kind == "usage":
        return entry.request_id
    response = entry.metadata.get("refund_of")
    if not isinstance(response, str) or not _tells(response):
        return None
    return f"{response}/{entry.kind}" + (f"/{entry.cost}" if entry.kind == "adjustment" else "")


def _counts(entry: Entry, source: str) -> bool:
    return entry.metadata.get("imported_from") != source and entry.cost_state != "unknown"


def _tells(request_id: str) -> bool:
    return len(request_id) >= _LEAST and not comes_again(request_id)
