"""Calls that were already recorded, live or from another log: an imported row about one adds nothing.

They are recognised by the response's id, which a provider uses once. A row without one, or with one that a
server reuses, cannot be recognised: if its call was also recorded live, it counts twice, and ``reconcile``
names it. A refund is recognised by the response that it takes back, a credit by its amount as well.
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

_MIN_ID_LENGTH: Final = 16
"""A response's id of at least this many characters is globally unique, like ids of rows."""

_TIME_TOLERANCE: Final = timedelta(days=1)
"""How far the times of two records of one call may be apart: clocks, zones, and the call's duration."""

_ID: Final = re.compile(rb'"request_id":"([^"\\]+)"').search
_REVERSAL: Final = b'"kind":"reversal"'
_REFUND_OF: Final = b'"refund_of":'


class StatedCall(NamedTuple):
    """What a row states about its call: the response's id, if any, and when it was made.

    For a row that takes something back, the id is that of :func:`response_of`.
    """

    request_id: str | None
    at: datetime


def recorded_elsewhere(index: Store, calls: Iterable[StatedCall], source: str) -> set[str]:
    """Return the response ids whose calls already count and were not recorded by ``source`` itself.

    ``source`` is the ``imported_from`` of the calling import. A call that was reversed does not count, nor
    does one whose cost is not known, or the cost that the import states would be in no sum.
    Reads each ledger with entries of the same days once.
    """
    identified = [call for call in calls if call.request_id is not None and _is_unique(call.request_id)]
    wanted = {call.request_id for call in identified}
    if not wanted:
        return set()
    times = [call.at for call in identified]
    index.catch_up_all()
    entry_ids: dict[str, str] = {}
    reversed_ids: set[str | None] = set()
    own = f'"imported_from":{json.dumps(source)}'.encode()
    for line in index.lines(Query(start=min(times) - _TIME_TOLERANCE, end=max(times) + _TIME_TOLERANCE)):
        if own in line:
            continue
        match = _ID(line)
        is_wanted = match is not None and match[1].decode("ascii", "replace") in wanted
        if not (is_wanted or _REVERSAL in line or _REFUND_OF in line):
            continue
        try:
            entry = decode(line)
        except DamagedLine:
            continue
        if entry.kind == "reversal":
            reversed_ids.add(entry.corrects)
        response = response_of(entry)
        if response is not None and response in wanted and _counts(entry, source):
            entry_ids[response] = entry.id
    return {response for response, entry_id in entry_ids.items() if entry_id not in reversed_ids}


def response_of(entry: Entry) -> str | None:
    """Return the response id by which other logs know an entry; for a correction, with its kind."""
    if entry.kind == "usage":
        return entry.request_id
    response = entry.metadata.get("refund_of")
    if not isinstance(response, str) or not _is_unique(response):
        return None
    return f"{response}/{entry.kind}" + (f"/{entry.cost}" if entry.kind == "adjustment" else "")


def _counts(entry: Entry, source: str) -> bool:
    return entry.metadata.get("imported_from") != source and entry.cost_state != "unknown"


def _is_unique(request_id: str) -> bool:
    return len(request_id) >= _MIN_ID_LENGTH and not comes_again(request_id)
