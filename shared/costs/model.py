"""The types of the ledger: usage, charge, entry. Pure data; no I/O, no clock.

*Usage* is what a call consumed, *price* is a rate per unit, *charge* is usage x price. They are
separate because an entry keeps its usage, so that it can be priced again.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field, fields
from datetime import datetime
from operator import attrgetter
from typing import Final, Literal, NamedTuple

from .money import ZERO, Nanos
from .units import FRACTIONAL_FIELDS, SIGNS, USAGE_FIELDS, Kind

MAX_COUNT: Final = 10**12
"""Counts above this are refused. Doubles represent them exactly, and sums of nine million such
calls fit into the 64-bit integers of a database."""

MAX_SECONDS: Final = 10**9
"""Longer durations (31 years) in one call are refused, and higher counts of other units with fractions: in
millionths they are summed like the other counts."""


@dataclass(frozen=True, slots=True)
class Usage:
    """What one call consumed.

    ``tokens_input`` includes cached, cache-written, audio and image input tokens;
    ``tokens_output`` includes reasoning, audio and image output tokens. The other token counts
    are subsets of those two (``tokens_cache_write_1h`` of ``tokens_cache_write``,
    ``tokens_audio_cached`` of both ``tokens_cached`` and ``tokens_audio_input``,
    ``tokens_image_cached`` of both ``tokens_cached`` and ``tokens_image_input``). Providers that
    report otherwise are normalised before.

    ``audio_seconds`` is the length of the recording; ``channels`` is how many of its channels are
    billed separately (0 means one). ``requests`` above 1 says that the entry sums up that many requests.
    ``preview_searches`` are those of OpenAI's preview tool, which has a price of its own.
    ``containers`` are sandboxes that ran code, ``search_units`` are the unit of rerankers,
    ``cache_token_hours`` tokens kept in a cache times hours, ``session_seconds`` how long a hosted
    session ran, ``pixels`` the unit of embeddings of pictures and videos, ``billable_units`` a
    service's own units, which may have a fraction.

    Raises:
        TypeError: a count is a boolean or not a number.
        ValueError: a count is negative, not finite, above its maximum, not whole (those in
            ``FRACTIONAL_FIELDS`` alone may have a fraction, kept to the millionth), or a subset exceeds
            its whole.

    >>> Usage(tokens_input=1_000, tokens_cached=800, tokens_output=200).tokens_total
    1200
    """

    tokens_input: int = 0
    tokens_output: int = 0
    tokens_cached: int = 0
    tokens_cache_write: int = 0
    tokens_cache_write_1h: int = 0
    tokens_reasoning: int = 0
    tokens_audio_input: int = 0
    tokens_audio_output: int = 0
    tokens_audio_cached: int = 0
    tokens_image_input: int = 0
    tokens_image_output: int = 0
    audio_seconds: float = 0.0
    characters: int = 0
    images: int = 0
    pages: int = 0
    requests: int = 0
    web_searches: int = 0
    preview_searches: int = 0
    maps_searches: int = 0
    file_searches: int = 0
    search_units: int = 0
    containers: int = 0
    channels: int = 0
    video_seconds: float = 0.0
    gpu_seconds: float = 0.0
    session_seconds: float = 0.0
    cache_token_hours: int = 0
    tokens_image_cached: int = 0
    pixels: int = 0
    billable_units: float = 0.0

    def __post_init__(self) -> None:
        values = _counts_of(self)
        if (
            values[TEXT_COUNTS:] == _NO_OTHERS
            and tuple(map(type, values)) == _TYPES
            and is_text(*values[:TEXT_COUNTS])
        ):
            return  # only text tokens, as in most calls
        for name, value in zip(USAGE_FIELDS, values, strict=True):
            if value.__class__ is int and 0 <= value <= MAX_COUNT:
                continue
            if value.__class__ is float and not value and name in FRACTIONAL_FIELDS:
                continue
            object.__setattr__(self, name, _count(name, value))
        if any(values[2:]):  # all but input and output
            self.require_subsets()

    def require_subsets(self) -> None:
        """Raise ``ValueError`` if a count exceeds the one that includes it."""
        if not any(_parts_of(self)):
            return
        for part, whole in _SUBSETS:
            if getattr(self, part) > getattr(self, whole):
                raise ValueError(
                    f"{part}={getattr(self, part)} exceeds {whole}={getattr(self, whole)}, "
                    f"which must include it"
                )
        if self.tokens_cached + self.tokens_cache_write > self.tokens_input:
            raise ValueError(
                f"tokens_cached={self.tokens_cached} + tokens_cache_write={self.tokens_cache_write} exceed "
                f"tokens_input={self.tokens_input}, which must include both"
            )

    @property
    def tokens_total(self) -> int:
        """Input and output tokens together."""
        return self.tokens_input + self.tokens_output

    @property
    def audio_microseconds(self) -> int:
        """The audio duration as an integer, for exact arithmetic."""
        return round(self.audio_seconds * 1_000_000) if self.audio_seconds else 0

    @property
    def is_zero(self) -> bool:
        """Whether nothing was used; ``channels`` alone is not a usage."""
        return not (self.tokens_input or self.audio_seconds or any(_used_of(self)))

    def counts(self) -> dict[str, int | float]:
        """Return the counts that are not zero, by field name."""
        return {name: value for name in USAGE_FIELDS if (value := getattr(self, name))}


TEXT_COUNTS: Final = 6
"""How many of the counts, from the first on, are of text tokens."""


def is_text(fresh: int, output: int, cached: int, written: int, written_1h: int, reasoning: int) -> bool:
    """Return whether counts of text tokens are consistent, as those of one call.

    >>> is_text(1_000, 200, 300, 700, 700, 200), is_text(1_000, 200, 301, 700, 0, 0)
    (True, False)
    """
    return (
        0 <= written_1h <= written
        and cached >= 0
        and cached + written <= fresh <= MAX_COUNT
        and 0 <= reasoning <= output <= MAX_COUNT
    )


_counts_of: Final = attrgetter(*USAGE_FIELDS)
_used_of: Final = attrgetter(*(name for name in USAGE_FIELDS if name != "channels"))
_NO_OTHERS: Final = tuple(f.default for f in fields(Usage)[TEXT_COUNTS:])
_TYPES: Final = tuple(type(f.default) for f in fields(Usage))

_SUBSETS: Final = (
    ("tokens_cached", "tokens_input"),
    ("tokens_cache_write", "tokens_input"),
    ("tokens_cache_write_1h", "tokens_cache_write"),
    ("tokens_audio_input", "tokens_input"),
    ("tokens_image_input", "tokens_input"),
    ("tokens_audio_cached", "tokens_cached"),
    ("tokens_audio_cached", "tokens_audio_input"),
    ("tokens_image_cached", "tokens_cached"),
    ("tokens_image_cached", "tokens_image_input"),
    ("tokens_reasoning", "tokens_output"),
    ("tokens_audio_output", "tokens_output"),
    ("tokens_image_output", "tokens_output"),
)
_parts_of: Final = attrgetter(*dict.fromkeys(part for part, _ in _SUBSETS))


def plain_number(value: object) -> object:
    """Return a number of another type, such as numpy's, torch's or a ``Decimal``, as an ``int`` or ``float``.

    Anything else is returned unchanged, for the caller to refuse.

    >>> from decimal import Decimal
    >>> plain_number(Decimal("1.5")), plain_number("1.5"), plain_number([1])
    (1.5, '1.5', [1])
    """
    if isinstance(value, (int, float, str)):
        return value
    for method in ("__index__", "__float__"):
        convert = getattr(type(value), method, None)
        if convert is not None:
            with suppress(TypeError, ValueError, ArithmeticError, RuntimeError):  # an array of several
                return convert(value)
    return value


def _count(name: str, value: object) -> int | float:
    value = plain_number(value)
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError(f"{name} must be a number, not {value!r}")
    most = MAX_SECONDS if name in FRACTIONAL_FIELDS else MAX_COUNT
    if not 0 <= value <= most:  # also catches NaN
        raise ValueError(f"{name} must be between 0 and {most:,}, not {value!r}")
    if name in FRACTIONAL_FIELDS:
        return round(float(value), 6)
    if value != int(value):
        raise ValueError(f"{name} must be a whole number, not {value!r}")
    return int(value)


UNKNOWN: Final = "unknown"
"""The service or the model of a call that names none: the call is unpriced, but never missing."""


UNSTATED: Final = "nobody states what it used"
"""The reason of a call that no price list can price."""


class PricedBy(NamedTuple):
    """The source of a call's price, so that the charge can be recomputed and explained.

    ``source`` is ``profile`` (the user's ``prices.yaml``), ``catalogue`` (ours), ``genai-prices``,
    or ``stated`` (by the provider); ``version`` is its edition; ``model`` is the
    catalogue's own ``provider/model``; ``unverified`` marks a price that its source is not sure of.
    A source's name has no ``@``, which separates source and version in a ledger line.
    """

    source: str
    version: str
    model: str
    unverified: bool = False


CostState = Literal["whole", "partial", "unknown"]
"""What is known of a call's cost: all of it, the parts that have a price, or nothing."""

StatedBy = Literal["bill", "server", "estimate", "cache"]
"""Who stated a cost: the provider, in its response or through the caller; a server, whose service decides
whether that is a bill; a library that computed it; or a library that responded from its own cache, so that
nothing was sent."""

Units = Mapping[str, int | float]
"""Counts by the name of the unit, which is a field of :class:`Usage` where it has one."""

NO_UNITS: Final[Units] = {}


class Charge(NamedTuple):
    """Usage x price, in nano-dollars. ``parts`` is the amount per kind of unit; they sum to ``total``.

    ``missing`` are the units of the usage that are billed and have no price: with any, the charge is
    partial. They are recorded as ``unpriced_units`` of the entry.
    """

    parts: Mapping[str, Nanos]
    priced_by: PricedBy
    missing: Units = NO_UNITS

    @property
    def total(self) -> Nanos:
        """The whole charge: the sum of the rounded parts."""
        return Nanos(sum(self.parts.values()))


class Unpriced(NamedTuple):
    """No price is known for this call. Neither zero nor an error: a state that is shown and resolved later.

    ``reason`` is a complete sentence with the next step.
    """

    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One line of a ledger.

    ``charge`` is ``None`` for an unpriced call. In an adjustment or a reversal it is the
    difference to add (so it may be negative), ``corrects`` is the id of the entry it corrects, ``why``
    is the reason, ``resolves_unpriced`` says that the corrected entry had no charge, and
    ``resolves_partial`` that some of its units had no price.

    ``unpriced_units`` are the units that were used, are billed, and have no price: with a charge
    they make it partial. ``requests`` among them are requests whose usage is not known; without a
    charge there is then nothing to price later.
    ``actual_cost`` is the stated cost, by a bill or an estimate; ``catalogue_cost`` is our own arithmetic
    where a bill decided. ``region`` is where the call ran, if that is known and affects its price.

    ``period_at`` is the instant that decides which day and month the entry belongs to, if that
    is not ``timestamp``: that of its reservation, or of the entry it corrects.

    Folding ledgers into sums: charges add up; counts of a reversal are subtracted, those of an
    adjustment are zero.
    """

    id: str
    kind: Kind = "usage"
    timestamp: datetime
    job_id: str
    user_id: str
    service: str
    model: str
    usage: Usage = Usage()
    charge: Charge | None = None
    stage: str | None = None
    attempt: int = 1
    request_id: str | None = None
    reservation: str | None = None
    operation: str | None = None
    description: str | None = None
    workflow: str | None = None
    project: str | None = None
    tags: tuple[str, ...] = ()
    service_tier: str | None = None
    region: str | None = None
    actual_cost: Nanos | None = None
    catalogue_cost: Nanos | None = None
    unpriced_units: Units = field(default_factory=dict)
    estimated: bool = False
    period_at: datetime | None = None
    corrects: str | None = None
    why: str | None = None
    resolves_unpriced: bool = False
    resolves_partial: bool = False
    host: str = ""
    pid: int = 0
    metadata: Mapping[str, object] = field(default_factory=dict)

    @property
    def counted_at(self) -> datetime:
        """The instant that decides which day and month this entry belongs to."""
        return self.period_at or self.timestamp

    @property
    def sign(self) -> int:
        """The factor of this entry's counts in a sum: 1, 0 or -1."""
        return SIGNS[self.kind]

    @property
    def unpriced_delta(self) -> int:
        """How this entry changes the number of unpriced calls: 1, 0 or -1."""
        if self.kind == "usage":
            return int(self.charge is None)
        return -int(self.resolves_unpriced)

    @property
    def partial_delta(self) -> int:
        """How this entry changes the number of calls with a partial charge: 1, 0 or -1."""
        return int(self.charge is not None and bool(self.unpriced_units)) - int(self.resolves_partial)

    @property
    def cost_state(self) -> CostState:
        """Whether the charge is whole, partial or unknown."""
        if self.charge is None:
            return "unknown"
        return "partial" if self.unpriced_units else "whole"

    @property
    def states_no_usage(self) -> bool:
        """Whether the usage of this call is not known, so that no price list can ever price it."""
        return self.charge is None and "requests" in self.unpriced_units

    @property
    def cost(self) -> Nanos:
        """The charge in nano-dollars; zero when unpriced."""
        return self.charge.total if self.charge else ZERO
