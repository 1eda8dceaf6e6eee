"""How views show what local work would have cost in the cloud."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from ..money import Nanos
from .derive import derive
from .document import Figure

if TYPE_CHECKING:
    from ..analysis.avoided import Saving  # with it come the prices, which not every view needs


def avoided_figure(savings: Sequence[Saving], places: int = 2) -> Iterator[Figure]:
    """Return one figure where something is known: the sum, and by which prices."""
    known = [one for one in savings if one.cost is not None]
    if known:
        total = Nanos(sum(one.cost or 0 for one in known))
        clouds = " and ".join(dict.fromkeys(one.cloud for one in known))
        doubt = ", not verified" if any(one.unverified for one in known) else ""
        yield Figure(
            "avoided", "Avoided", total, note=f"local work at the price of {clouds}{doubt}", places=places
        )


def avoided_data(savings: Sequence[Saving]) -> list[dict[str, object]]:
    """Return the savings as JSON has them; the amount is null where the cloud price does not cover them."""
    return [derive(one, cost="avoided") for one in savings]
