"""A report in another currency than US dollars, for people: a conversion of what is shown.

JSON and CSV keep US dollars, as ledgers do. Amounts are converted from whole nano-dollars and rounded half to
even where they are printed. Those that stand in sentences are rounded already: they are converted from the
amount of the report that they are, and rounded once more only where it has none or several.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from functools import partial
from typing import Final

from ..budgets.scopes import places_beside
from ..money import divide, from_usd
from ..profile.currency import Conversion, Currency
from ..reports.document import (
    ALIKE,
    MONEY,
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
from .values import evenly, places_for, with_plus

_MOST: Final = 9_000_000_000
"""No sum is as large, in US dollars."""


def as_shown(report: Report, currency: Currency | None, day: date | None, today: date) -> Report:
    """Return a report as a profile shows it: at the rate of its last ``day``, or of today."""
    return in_currency(report, currency, min(day or today, today))


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
    return _Converter(Conversion(currency.show, rate), amounts_of(report)).report(evenly(report))


def amounts_of(report: Report) -> list[int]:
    """Return all amounts of a report, in nano-dollars, ascending: those that are shown, and its data's."""
    amounts = {figure.value for figure in report.figures if figure.kind in MONEY}
    for gauge in report.gauges:
        amounts |= {gauge.part, gauge.whole} if gauge.measure == "cost" else set()
    for table in report.tables:
        money = [at for at, column in enumerate(table.columns) if column.kind in MONEY]
        rows = (*table.rows, *([table.total] if table.total else []))
        amounts |= {row[at] for row in rows for at in money}
    return sorted({each for each in amounts if isinstance(each, int)}.union(_amounts_in(report.data)))


def _amounts_in(data: object) -> Iterator[int]:
    if isinstance(data, float) and abs(data) < _MOST:
        yield from_usd(data)
    elif isinstance(data, Mapping):
        for value in data.values():
            yield from _amounts_in(value)
    elif isinstance(data, list | tuple):
        for value in data:
            yield from _amounts_in(value)


class _Converter:
    """Converts the parts of a report at one rate."""

    def __init__(self, conversion: Conversion, exact: Sequence[int]) -> None:
        self._code, self._rate = conversion
        self.amount = conversion.amount
        self.text = partial(conversion.text, exact=exact)

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

    def value(self, value: Value, kind: Kind, places: int) -> Value:
        if isinstance(value, str):
            # A name is a name, whatever signs are in it.
            return value if isinstance(value, Ref) else self.text(value)
        if value is None or kind not in MONEY:
            return value
        text = self.amount(int(value), places if kind in ALIKE else places_for([value]))
        return with_plus(text) if kind == "difference" and int(value) > 0 else text

    def gauge(self, gauge: Gauge) -> Gauge:
        if gauge.measure != "cost":
            return gauge
        places = places_beside(gauge.whole)
        words = f"{self.amount(gauge.part, places)} of {self.amount(gauge.whole, places)}"
        return gauge._replace(amounts=words)

    def figure(self, figure: Figure) -> Figure:
        places = max(figure.places, places_for([figure.value]))
        return figure._replace(
            value=self.value(figure.value, figure.kind, places), note=self.text(figure.note)
        )

    def table(self, table: Table) -> Table:
        rows = (*table.rows, *([table.total] if table.total else []))
        places = [
            max(column.places, places_for(row[at] for row in rows) if column.kind in ALIKE else 0)
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
        if series.kind not in MONEY:
            return series
        values = tuple(map(self._scaled, series.values))
        return series._replace(title=f"{series.title}, {self._code}", values=values, kind="units")

    def chart(self, chart: Chart) -> Chart:
        if chart.kind not in MONEY:
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
