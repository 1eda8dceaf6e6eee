"""A report in another currency than US dollars, for people: a conversion of what is shown.

JSON and CSV keep US dollars, as ledgers do. Amounts are converted from whole nano-dollars and rounded half to
even where they are printed; those that stand in sentences, which are rounded already, are rounded once more.
"""

from __future__ import annotations

import re
from datetime import date
from typing import Final

from ..money import Nanos, divide, format_usd, from_usd
from ..profile.currency import Currency, Rate
from ..reports.document import (
    Chart,
    Column,
    Figure,
    Gauge,
    Kind,
    Layer,
    Note,
    Ref,
    Report,
    Row,
    Series,
    Table,
    Value,
)
from .values import places_for

EXACT: Final = frozenset({"json", "csv"})
"""The formats for programs, which keep US dollars."""

_MONEY: Final = frozenset({"money", "amount"})
_SYMBOLS: Final = {"EUR": "€", "GBP": "£", "JPY": "¥", "INR": "₹", "KRW": "₩", "PLN": "zł "}
_IN_TEXT: Final = re.compile(r"(-?)\$([0-9][0-9,]*)(?:\.([0-9]+))?")


def in_currency(report: Report, currency: Currency | None, day: date) -> Report:
    """Return a report in a currency, at the rate of a day, with a note that says so.

    Where there is no rate for the day it stays in US dollars, and says so.
    """
    if currency is None:
        return report
    rate = currency.rate_on(day)
    if rate is None:
        first = currency.rates[0][0]
        text = f"In US dollars: the first rate for {currency.show} is of {first}; add one to the profile."
        return report._replace(notes=(*report.notes, Note(text)))
    return _Conversion(currency.show, rate).report(report)


class _Conversion:
    """Converts the parts of a report at one rate."""

    def __init__(self, code: str, rate: Rate) -> None:
        self._code, self._rate = code, rate
        self._symbol = _SYMBOLS.get(code, f"{code} ")

    def report(self, report: Report) -> Report:
        said = f"Amounts in {self._code}, at {self._rate.text} for $1, the rate of {self._rate.since}."
        return report._replace(
            subtitle=self.text(report.subtitle),
            gauges=tuple(map(self.gauge, report.gauges)),
            figures=tuple(map(self.figure, report.figures)),
            series=tuple(map(self.series, report.series)),
            tables=tuple(map(self.table, report.tables)),
            notes=(*map(self.note, report.notes), Note(said)),
            charts=tuple(map(self.chart, report.charts)),
        )

    def amount(self, nanos: int, places: int) -> str:
        """Return an amount as people read it."""
        return format_usd(Nanos(self._rate.convert(nanos)), places).replace("$", self._symbol)

    def text(self, text: str) -> str:
        """Return a text with the amounts in it converted, with as many decimals as they had."""
        return _IN_TEXT.sub(self._in_text, text)

    def _in_text(self, found: re.Match[str]) -> str:
        sign, whole, fraction = found[1], found[2].replace(",", ""), found[3] or ""
        nanos = from_usd(f"{sign}{whole}.{fraction or 0}")
        return self.amount(nanos, min(len(fraction), 9))

    def value(self, value: Value, kind: Kind, places: int) -> Value:
        if isinstance(value, str):
            # A name is a name, whatever signs are in it.
            return value if isinstance(value, Ref) else self.text(value)
        if value is None or kind not in _MONEY:
            return value
        least = places if kind == "money" else places_for([value])
        return self.amount(int(value), least)

    def gauge(self, gauge: Gauge) -> Gauge:
        if gauge.measure != "cost":
            return gauge
        words = f"{self.amount(gauge.part, 2)} of {self.amount(gauge.whole, 2)}"
        return gauge._replace(amounts=words)

    def figure(self, figure: Figure) -> Figure:
        places = max(figure.places, places_for([figure.value]))
        return figure._replace(
            value=self.value(figure.value, figure.kind, places), note=self.text(figure.note)
        )

    def table(self, table: Table) -> Table:
        rows = (*table.rows, *([table.total] if table.total else []))
        places = [
            max(column.places, places_for(row[at] for row in rows) if column.kind == "money" else 0)
            for at, column in enumerate(table.columns)
        ]
        done = [self._row(row, table.columns, places) for row in rows]
        total = done.pop() if table.total else None
        return table._replace(rows=tuple(done), total=total)

    def _row(self, row: Row, columns: tuple[Column, ...], places: list[int]) -> Row:
        return tuple(
            self.value(value, column.kind, least)
            for value, column, least in zip(row, columns, places, strict=True)
        )

    def note(self, note: Note) -> Note:
        return note._replace(text=self.text(note.text))

    def series(self, series: Series) -> Series:
        if series.kind not in _MONEY:
            return series
        values = tuple(map(self._scaled, series.values))
        return series._replace(title=f"{series.title}, {self._code}", values=values, kind="units")

    def chart(self, chart: Chart) -> Chart:
        if chart.kind not in _MONEY:
            return chart
        layers = tuple(map(self._layer, chart.layers))
        return chart._replace(title=f"{chart.title}, {self._code}", layers=layers, kind="units")

    def _layer(self, layer: Layer) -> Layer:
        values, upper = (
            [None if v is None else self._scaled(v) for v in each] for each in (layer.values, layer.upper)
        )
        return layer._replace(values=tuple(values), upper=tuple(upper))

    def _scaled(self, value: float) -> float:
        return float(divide(round(value) * self._rate.billionths, 10**9))
