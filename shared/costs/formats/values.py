"""How values are printed: one place for amounts, tokens, percentages and times, and for taming text."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import PurePath
from typing import Final, TypeVar

from ..budgets.scopes import places_beside
from ..money import Nanos, format_usd, shown_usd
from ..reports.document import ALIKE, MONEY, Column, Figure, Gauge, Kind, Note, Ref, Report, Row, Table, Value
from ..storage import LEDGER_NAME

T = TypeVar("T", Column, Figure)

NOT_KNOWN = dict.fromkeys(MONEY, "unpriced")
"""What stands for ``None``; :data:`UNKNOWN` for every other kind."""

UNKNOWN: Final = "-"

_CENT = 10_000_000
_DOLLAR = 100 * _CENT


def places_for(amounts: Iterable[Value]) -> int:
    """Return how many decimals show every amount of a column: 2, 4 or 6.

    An amount below a cent must not read as nothing; one that is a trace beside the others is said to be less.

    >>> places_for([40_250_000_000, 0]), places_for([4_500_000]), places_for([75])
    (2, 4, 6)
    >>> places_for([40_250_000_000, 75])
    4
    """
    sizes = [abs(amount) for amount in amounts if isinstance(amount, int) and amount]
    least, most = min(sizes, default=_CENT), max(sizes, default=_CENT)
    if least >= _CENT:
        return 2
    return 4 if least >= _CENT // 100 or most >= _CENT else 6


def places_below_a_dollar(amounts: Iterable[int]) -> int:
    """Return how many decimals show amounts below a dollar alike: 6 where all are below a tenth of a cent.

    >>> places_below_a_dollar([6_750_000, 39_000]), places_below_a_dollar([750_000])
    (4, 6)
    """
    return 4 if max(map(abs, amounts), default=0) >= _CENT // 10 else 6


def evenly(report: Report) -> Report:
    """Return a report whose amounts have one precision: four decimals where all are below a dollar, or six.

    Dollars have two, and what is beside them two or as many as it needs.
    """
    amounts = [figure.value for figure in report.figures if figure.kind in ALIKE]
    for table in report.tables:
        rows = (*table.rows, *([table.total] if table.total else []))
        amounts += [row[at] for at, c in enumerate(table.columns) if c.kind in ALIKE for row in rows]
    most = max((abs(amount) for amount in amounts if isinstance(amount, int)), default=0)
    if not 0 < most < _DOLLAR:
        return report
    places = places_below_a_dollar([most])

    def finer(part: T) -> T:
        return part._replace(places=max(part.places, places)) if part.kind in ALIKE else part

    tables = (each._replace(columns=tuple(map(finer, each.columns))) for each in report.tables)
    return report._replace(figures=tuple(map(finer, report.figures)), tables=tuple(tables))


def show(value: Value, kind: Kind, places: int = 2) -> str:
    """Return a value as people read it.

    >>> show(4_500_000, "money", 4), show(None, "money"), show(1_234_567, "tokens")
    ('$0.0045', 'unpriced', '1.23M')
    >>> show(12345, "count"), show(80.53, "percent"), show(-12.34, "change"), show(93, "duration")
    ('12,345', '80.5%', '-12.3%', '1m 33s')
    >>> show(1_200_000_000, "difference"), show(-1_200_000_000, "difference"), show(0, "difference")
    ('+$1.20', '-$1.20', '$0.00')
    >>> show(202.46, "times"), show(0.8719, "score")
    ('202.5x', '0.872')
    """
    if value is None:
        return NOT_KNOWN.get(kind, UNKNOWN)
    if isinstance(value, str):
        return tame(value)
    if kind in MONEY:
        text = shown_usd(Nanos(int(value)), places if kind in ALIKE else places_for([value]))
        return with_plus(text) if kind == "difference" and value > 0 else text
    if kind == "units":
        return format_usd(Nanos(int(value)), places).replace("$", "")
    return _PRINTERS[kind](value)


def with_plus(text: str) -> str:
    """Return an amount above zero as a difference.

    >>> with_plus("$1.20"), with_plus("<$0.01")
    ('+$1.20', '<+$0.01')
    """
    return f"<+{text[1:]}" if text.startswith("<") else f"+{text}"


def gauge_amounts(gauge: Gauge) -> str:
    """Return how much of a limit is used, in its unit.

    >>> gauge_amounts(Gauge("month", 4_500_000_000, 50_000_000_000, 9.0))
    '$4.50 of $50.00'
    >>> gauge_amounts(Gauge("month", 4_500_000, 50_000_000_000, 0.009))
    '<$0.01 of $50.00'
    >>> gauge_amounts(Gauge("day", 4_500_000, 10_000_000, 45.0))
    '$0.0045 of $0.0100'
    >>> gauge_amounts(Gauge("daily tokens", 12_345, 1_000_000, 1.2, measure="tokens"))
    '12.3K of 1.00M tokens'
    """
    if gauge.amounts:
        return gauge.amounts
    if gauge.measure == "cost":
        places = places_beside(gauge.whole)
        return f"{shown_usd(Nanos(gauge.part), places)} of {shown_usd(Nanos(gauge.whole), places)}"
    kind: Kind = "count" if gauge.measure == "calls" else "tokens"
    return f"{show(gauge.part, kind)} of {show(gauge.whole, kind)} {gauge.measure}"


def _percent(value: float) -> str:
    """Return a percentage that never rounds a crossing away or a trace to nothing.

    >>> _percent(99.96), _percent(0.04), _percent(0), _percent(100), _percent(61_125_111.8)
    ('99.9%', '<0.1%', '0.0%', '100.0%', '61,125,111.8%')
    """
    if 0 < value < 0.05:
        return "<0.1%"
    if 99.9 < value < 100:
        return "99.9%"
    return f"{value:,.1f}%"


def short_count(number: int) -> str:
    """Return a count in at most four digits and a letter.

    >>> [short_count(n) for n in (999, 9_999, 12_345, 999_999, 1_500_000_000)]
    ['999', '9,999', '12.3K', '1.00M', '1.50B']
    """
    if abs(number) < 10_000:
        return f"{number:,}"
    scaled = float(number)
    letters = iter("KMB")
    letter = next(letters)
    scaled /= 1_000
    while abs(scaled) >= 999.5 and (following := next(letters, None)):
        scaled /= 1_000
        letter = following
    digits = 2 if abs(scaled) < 9.995 else 1 if abs(scaled) < 99.95 else 0
    return f"{scaled:.{digits}f}{letter}"


def duration(seconds: float) -> str:
    """Return a duration in its two largest units.

    >>> [duration(s) for s in (0, 4.25, 93, 7_384, 400_000)]
    ['0s', '4.2s', '1m 33s', '2h 3m', '4d 15h']
    """
    if seconds < 60:
        return f"{seconds:.1f}s" if seconds % 1 else f"{int(seconds)}s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    if days:
        return f"{days}d {hours}h"
    return f"{hours}h {minutes}m" if hours else f"{minutes}m {rest}s"


def tame(text: str) -> str:
    r"""Return text in which nothing can steer a terminal: every unprintable character is spelt out.

    Control characters, bidirectional overrides, lone surrogates and line breaks in names come from
    data; a name holding an escape sequence must not colour, move or hide what is printed.

    >>> print(tame("gpt\x1b[31m-4o\n"))
    gpt\x1b[31m-4o\n
    """
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)


_PRINTERS: Final[dict[Kind, Callable[[int | float], str]]] = {
    "count": lambda value: f"{value:,}",
    "tokens": lambda value: short_count(int(value)),
    "percent": _percent,
    "share": _percent,
    "change": lambda value: f"{value:+,.1f}%",
    "duration": duration,
    "times": lambda value: f"{value:,.1f}x",
    "score": lambda value: f"{value:.3g}",
    "rate": str,
    "text": str,
}


_A_PLACE: Final = "path"


def sendable(report: Report) -> Report:
    """Return a report that names jobs and files, but not where they lie on this machine."""
    return report._replace(tables=tuple(map(_table, report.tables)), notes=tuple(map(_note, report.notes)))


def short_place(path: str) -> str:
    """Return a path as others may see it: a ledger by its job, any other file by its name.

    >>> short_place("/home/ana/out/job-7/cost_ledger.jsonl"), short_place("/home/ana/prices.yaml")
    ('job-7', 'prices.yaml')
    """
    place = PurePath(path)
    return place.parent.name if place.name == LEDGER_NAME and place.parent.name else place.name or path


def _note(note: Note) -> Note:
    text, remedy = note.text, note.remedy
    for place in sorted(note.places, key=len, reverse=True):
        text, remedy = text.replace(place, short_place(place)), remedy.replace(place, short_place(place))
    return note._replace(text=text, remedy=remedy, places=())


def _table(table: Table) -> Table:
    total = None if table.total is None else _row(table.total)
    return table._replace(rows=tuple(map(_row, table.rows)), total=total)


def _row(row: Row) -> Row:
    return tuple(map(_cell, row))


def _cell(value: Value) -> Value:
    if isinstance(value, Ref) and value.thing == _A_PLACE:
        return Ref(value.replace(value.target, short_place(value.target)), "path", short_place(value.target))
    return value
