"""Money as integer nano-dollars: the only module that rounds, parses or prints amounts.

One nano-dollar is 1e-9 USD. A price of $0.075 per million tokens is 75 nano-dollars per
token, so charges are exact and no fraction of a cent is lost in a sum.

>>> charge = from_usd("0.0045")
>>> charge
4500000
>>> format_usd(charge, places=4)
'$0.0045'
"""

from __future__ import annotations

import re
from functools import cache
from typing import TYPE_CHECKING, Final, NewType

if TYPE_CHECKING:
    from decimal import Context, Decimal

Nanos = NewType("Nanos", int)
"""An amount in nano-dollars (1e-9 USD). May be negative in corrections."""

NANOS_PER_USD = 1_000_000_000

MAX_ENTRY_NANOS = Nanos(1_000_000 * NANOS_PER_USD)
"""The largest amount one entry may carry: one million USD.

Below 2**50 nano-dollars an amount survives ``float`` in both directions, so readers that parse
JSON numbers as doubles (DuckDB, jq, ``json``) see the exact amount."""

ZERO = Nanos(0)


def from_usd(amount: str | int | float | Decimal) -> Nanos:
    """Return ``amount`` US dollars in nano-dollars, rounded half to even.

    A ``float``, numpy's too, is read by its shortest decimal form, so ``0.1`` is exactly 100,000,000.

    Raises:
        TypeError: for booleans and anything that is not a number or text.
        ValueError: for text that is not a number, and for NaN and infinities.

    >>> from_usd(50.0), from_usd("0.0000000015")
    (50000000000, 2)
    """
    # The usual forms of numbers need no import, which may fail while a call is recorded.
    plain = _PLAIN(amount if isinstance(amount, str) else repr(amount))
    if plain is not None:
        return _exact(*plain.groups())
    from decimal import Decimal, InvalidOperation  # 1 ms

    if isinstance(amount, bool) or not (isinstance(amount, str) or hasattr(type(amount), "__float__")):
        raise TypeError(f"an amount in USD must be a number, not {amount!r}")
    try:
        exact = amount if isinstance(amount, Decimal) else Decimal(str(amount))
    except InvalidOperation:
        raise ValueError(f"not an amount in USD: {amount!r}") from None
    if not exact.is_finite():
        raise ValueError(f"an amount in USD must be finite, not {amount!r}")
    nanos = _context().multiply(exact, Decimal(NANOS_PER_USD))
    return Nanos(int(_context().to_integral_value(nanos)))


_PLAIN: Final = re.compile(r"(-?\d{1,400})(?:\.(\d{1,400}))?(?:[eE]([+-]\d{1,3}))?", re.ASCII).fullmatch


def _exact(whole: str, fraction: str | None, exponent: str | None) -> Nanos:
    """Return the nano-dollars of a number as ``repr`` writes it."""
    fraction = fraction or ""
    digits, scale = int(whole + fraction), 9 - len(fraction) + int(exponent or 0)
    return Nanos(digits * 10**scale if scale >= 0 else divide(digits, 10**-scale))


@cache
def _context() -> Context:
    from decimal import ROUND_HALF_EVEN, Context

    # Enough digits for the longest exact expansion of a double; the default context rounds at 28 digits.
    return Context(prec=400, rounding=ROUND_HALF_EVEN)


def to_usd(amount: Nanos) -> float:
    """Return the nearest ``float`` in USD, for callers that want a plain number.

    >>> to_usd(Nanos(4_500_000))
    0.0045
    """
    return amount / NANOS_PER_USD


def json_number(amount: Nanos) -> str:
    """Return the amount in USD as a JSON number of one to nine decimals, exactly.

    Whole dollars have a decimal too: a reader that infers a column's type from its first values (DuckDB
    from the first 32 files, and 20,480 rows of a file) would otherwise make it an integer and round
    the later values.

    >>> json_number(Nanos(4_500_000)), json_number(Nanos(-1)), json_number(Nanos(50 * 10**9))
    ('0.0045', '-0.000000001', '50.0')
    """
    if amount < 0:
        return f"-{json_number(Nanos(-amount))}"
    dollars, rest = divmod(amount, NANOS_PER_USD)
    return f"{dollars}.{rest:09d}".rstrip("0") if rest else f"{dollars}.0"


def from_json_number(amount: float | int) -> Nanos:
    """Return the nano-dollars of a JSON number that :func:`json_number` wrote.

    Exact for amounts up to :data:`MAX_ENTRY_NANOS` in size.

    >>> from_json_number(0.0045)
    4500000
    """
    return Nanos(round(amount * NANOS_PER_USD))


def divide(numerator: int, denominator: int) -> int:
    """Return ``numerator / denominator`` as an integer, rounded half to even.

    >>> divide(5, 2), divide(7, 2), divide(-5, 2)
    (2, 4, -2)
    """
    quotient, rest = divmod(numerator, denominator)
    twice = 2 * rest
    if twice > denominator or (twice == denominator and quotient & 1):
        quotient += 1
    return quotient


def format_usd(amount: Nanos, places: int = 2) -> str:
    """Return the amount as people read it, rounded half to even to ``places`` decimals.

    >>> format_usd(Nanos(40_250_000_000)), format_usd(Nanos(-1_234_567_890_123), 3)
    ('$40.25', '-$1,234.568')
    """
    scale = 10 ** (9 - places)
    rounded = divide(abs(amount), scale)
    dollars, rest = divmod(rounded, 10**places)
    sign = "-" if amount < 0 and rounded else ""
    return f"{sign}${dollars:,}.{rest:0{places}d}" if places else f"{sign}${dollars:,}"


def shown_usd(amount: Nanos, places: int) -> str:
    """Return the amount with ``places`` decimals; one that would round to zero, as less than the smallest.

    >>> shown_usd(Nanos(75), 4), shown_usd(Nanos(-75), 4), shown_usd(Nanos(0), 4)
    ('<$0.0001', '>-$0.0001', '$0.0000')
    """
    smallest = 10 ** (9 - places)
    if not amount or 2 * abs(amount) > smallest:
        return format_usd(amount, places)
    return (
        f"<{format_usd(Nanos(smallest), places)}"
        if amount > 0
        else f">{format_usd(Nanos(-smallest), places)}"
    )


def percent(part: int, whole: int) -> float:
    """Return ``part`` in percent of ``whole``; where that is zero, 0.0 without spend and else 100.0.

    >>> percent(from_usd("40.25"), from_usd(50))
    80.5
    >>> percent(0, from_usd(-50))
    0.0
    """
    if part == 0 or whole == 0:
        return 0.0 if part <= 0 else 100.0
    return part * 100 / whole


def percent_words(value: float) -> str:
    """Return a percentage for a sentence; one that would read as 0.0% is ``less than 0.1%``.

    >>> percent_words(12.345), percent_words(0.01)
    ('12.3%', 'less than 0.1%')
    """
    return "less than 0.1%" if 0 < value < 0.05 else f"{value:.1f}%"
