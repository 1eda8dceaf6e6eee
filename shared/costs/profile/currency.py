"""The currency in which reports show amounts, with a table of dated rates. Ledgers stay in US dollars.

>>> euro = Currency("EUR", (("2026-10-01", 850_000_000), ("2026-11-01", 860_000_000)))
>>> euro.rate_on(date(2026, 10, 31)), euro.rate_on(date(2026, 9, 30))
(CurrencyRate(since='2026-10-01', billionths=850000000), None)
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from datetime import date
from typing import TYPE_CHECKING, Final, NamedTuple

from ..money import NANOS_PER_USD, Nanos, divide, format_usd, from_usd, shown_usd

if TYPE_CHECKING:
    from ..yaml_strict import Node

_CODE: Final = re.compile(r"[A-Z]{3}", re.ASCII)
_SYMBOLS: Final = {"EUR": "€", "GBP": "£", "JPY": "¥", "INR": "₹", "KRW": "₩", "PLN": "zł "}
_WHOLE: Final = frozenset({"CLP", "ISK", "JPY", "KRW", "PYG", "UGX", "VND", "XAF", "XOF"})
"""Currencies without a smaller unit (ISO 4217): amounts from 1,000 are written without decimals."""
_THOUSAND: Final = 1_000 * NANOS_PER_USD
_IN_TEXT: Final = re.compile(r"(-?)\$([0-9][0-9,]*)(?:\.([0-9]+))?")
_LEAST: Final = 0.000001
_MOST: Final = 1_000_000


class CurrencyRate(NamedTuple):
    """The value of a US dollar from a day on (ISO 8601), in billionths of the other currency's unit."""

    since: str
    billionths: int

    def convert(self, nanos: int) -> int:
        """Return an amount of nano-dollars in billionths of the unit, rounded half to even.

        >>> CurrencyRate("2026-11-01", 860_000_000).convert(1_500_000_000)
        1290000000
        """
        return divide(nanos * self.billionths, NANOS_PER_USD)

    @property
    def text(self) -> str:
        """The rate as people write it.

        >>> CurrencyRate("2026-11-01", 860_000_000).text
        '0.86'
        """
        whole, rest = divmod(self.billionths, NANOS_PER_USD)
        return f"{whole}.{rest:09d}".rstrip("0").rstrip(".")


class Conversion(NamedTuple):
    """Writes amounts in another currency, at one rate.

    >>> euro = Conversion("EUR", CurrencyRate("2026-11-01", 860_000_000))
    >>> euro.amount(Nanos(1_500_000_000), 2), euro.text("$1,000.50 of $50 (-$0.0010)")
    ('€1.29', '€860.43 of €43 (-€0.0009)')
    """

    code: str
    rate: CurrencyRate

    def amount(self, nanos: int, places: int = 2) -> str:
        """Return an amount of nano-dollars as people read it in the currency.

        >>> yen = Conversion("JPY", CurrencyRate("2026-11-01", 155_200_000_000))
        >>> yen.amount(123_456_780_000_000), yen.amount(80_400_000), yen.amount(1, 4)
        ('¥19,160,492', '¥12.48', '<¥0.0001')
        """
        symbol, converted = _SYMBOLS.get(self.code, f"{self.code} "), Nanos(self.rate.convert(nanos))
        if self.code in _WHOLE and abs(converted) >= _THOUSAND:
            return format_usd(converted, 0).replace("$", symbol)
        return shown_usd(converted, places).replace("$", symbol)

    def text(self, text: str, exact: Sequence[int] = ()) -> str:
        """Return a text with the amounts in it converted, with as many decimals as they had.

        ``exact`` are amounts in nano-dollars, ascending, that the text may show rounded: where only one of
        them can be meant, it is converted instead of the rounded amount, so that nothing is rounded twice.

        >>> euro = Conversion("EUR", CurrencyRate("2026-11-01", 860_000_000))
        >>> euro.text("$515.94", [515_935_627_748]), euro.text("$515.94")
        ('€443.70', '€443.71')
        """
        return _IN_TEXT.sub(lambda match: self._in_text(match, exact), text)

    def _in_text(self, match: re.Match[str], exact: Sequence[int]) -> str:
        sign, whole, fraction = match[1], match[2].replace(",", ""), match[3] or ""
        shown, places = from_usd(f"{sign}{whole}.{fraction or 0}"), min(len(fraction), 9)
        half = NANOS_PER_USD // 10**places // 2
        near = exact[bisect_left(exact, shown - half) : bisect_right(exact, shown + half)]
        meant = {self.amount(nanos, places) for nanos in near if format_usd(Nanos(nanos), places) == match[0]}
        return meant.pop() if len(meant) == 1 else self.amount(shown, places)


class Currency(NamedTuple):
    """A currency by its ISO 4217 code, and its rates, oldest first, as pairs of :class:`CurrencyRate`."""

    show: str
    rates: tuple[tuple[str, int], ...]

    def rate_on(self, day: date) -> CurrencyRate | None:
        """Return the rate that holds on a day, the latest until then; ``None`` before the first."""
        known = [CurrencyRate(*rate) for rate in self.rates if rate[0] <= day.isoformat()]
        return known[-1] if known else None


def conversion_on(currency: Currency | None, day: date) -> Conversion | None:
    """Return the conversion into a currency at a day's rate; ``None`` without a currency or a rate."""
    rate = currency.rate_on(day) if currency else None
    return Conversion(currency.show, rate) if currency and rate else None


def read_currency(top: Node) -> Currency | None:
    """Return the currency under ``currency:``; ``None`` where reports show US dollars.

    Raises:
        FileRefused: it has no code or no rate, or a date or a rate is not valid.
    """
    node = top.get("currency")
    if node is None:
        return None
    node.only(("show", "rates"))
    code = node.required("show")
    if not _CODE.fullmatch(code.text()):
        raise code.wrong("a currency", "write its ISO 4217 code, such as EUR")
    if code.text() == "USD":
        raise code.refused("amounts are in USD without a rate", "write currency: null, or another currency")
    rates = node.required("rates")
    billionths = {
        _day(key, rate): int(rate.number(_LEAST, _MOST) * NANOS_PER_USD) for key, rate in rates.map().items()
    }
    if not billionths:
        raise rates.refused("a currency without a rate", "write dated rates, such as {2026-11-01: 0.86}")
    return Currency(code.text(), tuple(sorted(billionths.items())))


def _day(text: str, node: Node) -> str:
    try:
        return date.fromisoformat(text).isoformat() if len(text) == 10 else _refuse(text, node)
    except ValueError:
        return _refuse(text, node)


def _refuse(text: str, node: Node) -> str:
    raise node.refused(f"{text!r} is not a date", "write rates by date, such as 2026-11-01: 0.86") from None
