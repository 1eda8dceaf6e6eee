"""Calls with their final cost: corrections are added to the call that they correct.

Analyses are about calls, not about ledger lines: a call that was reversed does not count, and one whose
price came later cost that price.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import groupby
from typing import NamedTuple

from ..model import Entry
from ..money import Nanos


class NetCall(NamedTuple):
    """One call. ``cost`` is in nano-dollars, with all corrections; ``None`` where it has no price.

    ``is_partial`` says that some of its units still have no price, which the cost leaves out. A correction
    whose call is not among the entries is a call by itself: the kind of its ``entry`` is not ``usage``.
    """

    entry: Entry
    cost: Nanos | None
    is_partial: bool = False

    @property
    def is_comparable(self) -> bool:
        """Whether all of its usage is known and priced, so that its cost elsewhere can be computed."""
        if self.is_partial:
            return False
        return not (self.cost and self.entry.kind == "usage" and self.entry.usage.is_zero)


def net_jobs(entries: Iterable[Entry]) -> Iterator[list[NetCall]]:
    """Yield the calls of one job after the other.

    ``entries`` come job by job; those of one job are kept until the next one begins.
    """
    for _, job in groupby(entries, key=lambda entry: entry.job_id):
        yield list(net_calls(job))


def net_calls(entries: Iterable[Entry]) -> Iterator[NetCall]:
    """Yield each call once, in the order in which they were recorded, without those reversed.

    A refund of an imported history names no call: it reverses one with the same usage and cost.

    >>> from dataclasses import replace
    >>> from datetime import UTC, datetime
    >>> from shared.costs.model import Charge, PricedBy
    >>> fields = {"timestamp": datetime(2026, 11, 22, tzinfo=UTC), "job_id": "j", "user_id": "u"}
    >>> call = Entry(id="a", service="openai", model="gpt-4o", **fields)
    >>> price = Charge({"stated": Nanos(5)}, PricedBy("stated", "1", "openai/gpt-4o"))
    >>> later = replace(call, id="b", kind="adjustment", corrects="a", charge=price)
    >>> [net.cost for net in net_calls([call, later])]
    [5]
    """
    calls: dict[str, NetCall] = {}
    corrections: list[Entry] = []
    for entry in entries:
        if entry.kind == "usage" and entry.corrects is None:
            charge = entry.charge
            partial = charge is not None and bool(entry.unpriced_units)
            calls[entry.id] = NetCall(entry, charge.total if charge is not None else None, partial)
        else:
            corrections.append(entry)
    for correction in corrections:
        _correct(calls, correction)
    _refund(calls)
    yield from calls.values()


def _correct(calls: dict[str, NetCall], correction: Entry) -> None:
    call = calls.get(correction.corrects or "")
    if call is None:
        calls[correction.id] = NetCall(correction, correction.cost)
    elif correction.kind != "adjustment":  # a reversed call, or a refund
        del calls[call.entry.id]
    else:
        cost, partial = Nanos((call.cost or 0) + correction.cost), call.is_partial + correction.partial_delta
        calls[call.entry.id] = NetCall(call.entry, cost, partial > 0)


def _refund(calls: dict[str, NetCall]) -> None:
    """Remove refunds with the calls that they reverse; one without such a call stays by itself."""
    refunds = [net for net in calls.values() if net.entry.kind == "reversal"]
    same_usage: dict[tuple[object, ...], list[str]] = {}
    for net in calls.values() if refunds else ():
        if net.entry.kind == "usage" and net.cost is not None:
            same_usage.setdefault(_refund_key(net.entry, net.cost), []).append(net.entry.id)
    for refund in refunds:
        if ids := same_usage.get(_refund_key(refund.entry, -refund.entry.cost)):
            del calls[ids.pop()], calls[refund.entry.id]


def _refund_key(entry: Entry, cost: int) -> tuple[object, ...]:
    return entry.job_id, entry.user_id, entry.service, entry.model, entry.usage, cost
