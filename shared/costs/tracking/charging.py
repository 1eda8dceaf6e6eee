"""What a call is charged: what its bill says, else our prices, else an estimate. Pure.

>>> from ..model import PricedBy, Usage
>>> ours = Charge({"input": Nanos(2_000)}, PricedBy("catalogue", "1", "openai/gpt-4o"), {"file_searches": 4})
>>> call = Call(service="openai", model="gpt-4o", usage=Usage(tokens_input=1, file_searches=4))
>>> settled = settle(call, ours)
>>> settled.charge.total, settled.unpriced_units
(2000, {'file_searches': 4})
"""

from __future__ import annotations

from typing import Final, NamedTuple

from ..model import NO_UNITS, UNSTATED, Charge, PricedBy, Units, Unpriced
from ..money import ZERO, Nanos
from ..pricing.names import states_bills
from ..units import USAGE_FIELDS
from .call import Call


class SettledCost(NamedTuple):
    """What an entry says about its cost. ``why`` is what is missing, if anything is."""

    charge: Charge | None
    unpriced_units: Units = NO_UNITS
    catalogue_cost: Nanos | None = None
    estimated: bool = False
    why: str | None = None


UNKNOWN_USAGE: Final[Units] = {"requests": 1}
"""The units of a call whose usage nobody reported."""


def settle(call: Call, verdict: Charge | Unpriced) -> SettledCost:
    """Return what a call costs; ``verdict`` is its usage at our prices."""
    if call.stated_by == "cache":
        return SettledCost(_stated(call, ZERO, "cache"))
    if call.actual_cost is not None and _is_bill(call) and _is_believed(call, verdict):
        ours = verdict.total if isinstance(verdict, Charge) and call.usage_known else None
        return SettledCost(_stated(call, call.actual_cost, "bill"), catalogue_cost=ours)
    if not call.usage_known:
        return _unstated(call, verdict)
    if isinstance(verdict, Charge) and not (call.actual_cost and call.usage.is_zero):
        if not verdict.missing and not call.unpriced_units:
            return SettledCost(verdict)
        units = {**verdict.missing, **call.unpriced_units}
        why = f"{verdict.priced_by.model} has no price for {', '.join(units)}"
        return SettledCost(verdict._replace(missing=NO_UNITS), units, why=why)
    reason = verdict.reason if isinstance(verdict, Unpriced) else UNSTATED
    return _by_estimate(call, call.unpriced_units, reason)


def _is_bill(call: Call) -> bool:
    return call.stated_by == "bill" or (call.stated_by == "server" and states_bills(call.service))


def _unstated(call: Call, verdict: Charge | Unpriced) -> SettledCost:
    """Return what is known of a call whose usage was not fully reported, such as a stream that was cut off.

    Hosted tools that ran are certain to be billed.
    """
    units = {**UNKNOWN_USAGE, **call.unpriced_units}
    if call.actual_cost or not isinstance(verdict, Charge):
        return _by_estimate(call, units, UNSTATED)
    certain = [name for name in call.usage.counts() if name not in _DOUBTFUL]
    if not certain:
        return _by_estimate(call, units, UNSTATED)
    why = f"{UNSTATED} besides {', '.join(certain)}"
    return SettledCost(verdict._replace(missing=NO_UNITS), {**verdict.missing, **units}, why=why)


_DOUBTFUL: Final = frozenset(
    {name for name in USAGE_FIELDS if name.startswith("tokens_")} | {"requests", "channels"}
)
"""The counts that may be incomplete: the tokens of a stream that was cut off are its output's at best."""


def _is_believed(call: Call, verdict: Charge | Unpriced) -> bool:
    """Tell whether a stated cost counts: a zero does if what was used is free, or if nothing was used.

    If nothing was used of a free model, our prices give zero themselves, and a local engine stays local.
    """
    if call.actual_cost:
        return True
    is_free = isinstance(verdict, Charge) and not verdict.missing and verdict.total == 0
    return is_free != call.usage.is_zero


def _by_estimate(call: Call, units: Units, why: str) -> SettledCost:
    """Return the cost that a library or the caller states, for a call that we have no price for."""
    if call.actual_cost is None or (call.actual_cost == 0 and not (call.usage.is_zero and call.usage_known)):
        return SettledCost(None, units, why=why)
    is_estimate = call.stated_by != "bill"
    return SettledCost(
        _stated(call, call.actual_cost, "estimate" if is_estimate else "1"), estimated=is_estimate
    )


def _stated(call: Call, cost: Nanos, source: str) -> Charge:
    return Charge({"stated": cost}, PricedBy("stated", source, f"{call.service}/{call.model}"))
