"""What a report consists of: figures, gauges, tables and notes with typed values, free of any format.

A format renders *any* report, and a report knows no format. Values stay numbers until a format
prints them: money in nano-dollars, shares in percent (0 to 100), durations in seconds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import date, datetime
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, Literal, NamedTuple, TypeVar

from ..money import Nanos, to_usd
from ..rollup import Measure

T = TypeVar("T")

Kind = Literal[
    "money",
    "difference",
    "amount",
    "units",
    "count",
    "tokens",
    "percent",
    "change",
    "share",
    "duration",
    "times",
    "score",
    "rate",
    "text",
]
"""How a value is meant:

``money`` nano-dollars; ``difference`` the same between two amounts, with its sign; ``amount`` nano-dollars,
each with as many decimals as it needs rather than those of its column; ``units`` billionths of another
currency, which the title names;
``count`` whole things; ``tokens`` whole tokens, which may be abbreviated;
``percent`` 0 to 100; ``change`` a signed percentage; ``share`` a percentage drawn as a bar where
the format can; ``duration`` seconds; ``times`` how many times as much; ``score`` a mark somebody gave;
``rate`` a price as its source writes it, a text; ``text`` anything else."""

MONEY: Final[frozenset[Kind]] = frozenset({"money", "difference", "amount"})
"""The kinds that are in nano-dollars."""

ALIKE: Final[frozenset[Kind]] = MONEY - {"amount"}
"""Those of them whose values have the same decimals in a whole column."""

Tone = Literal["plain", "good", "warning", "critical"]
"""How a line should strike the reader; a format may show it by colour, never by colour alone."""

Thing = Literal[
    "job",
    "day",
    "month",
    "model",
    "service",
    "stage",
    "user",
    "operation",
    "workflow",
    "project",
    "tag",
    "tier",
    "price",
    "report",
    "path",
    "call",
]
"""What a text can be the name of."""


class Ref(str):
    """Text that names a thing, so that a page can link it and a file that is sent can leave out a place.

    ``target`` is what identifies the thing where the text shown is shorter.

    >>> day = Ref("22 Nov", "day", "2026-11-22")
    >>> day, day.thing, day.target
    ('22 Nov', 'day', '2026-11-22')
    """

    __slots__ = ("target", "thing")
    thing: Thing
    target: str

    def __new__(cls, text: str, thing: Thing, target: str | None = None) -> Ref:
        """Return the text, marked as the name of a thing."""
        made = super().__new__(cls, text)
        made.thing = thing
        made.target = text if target is None else target
        return made

    def __reduce__(self) -> tuple[type[Ref], tuple[str, Thing, str]]:
        """Let it be sent to another process."""
        return Ref, (str(self), self.thing, self.target)


Value = int | float | str | None
"""``None`` is *not known*: an unpriced cost, a projection that cannot be made. It is never zero."""

Row = tuple[Value, ...]


class Figure(NamedTuple):
    """One value with its name. ``note`` is a few words beside it.

    Money is shown with ``places`` decimals, or more where it would read as nothing.
    """

    key: str
    label: str
    value: Value
    kind: Kind = "money"
    note: str = ""
    tone: Tone = "plain"
    places: int = 2


class Gauge(NamedTuple):
    """How far a limit is used: ``part`` of ``whole``, in nano-dollars, calls or tokens as ``measure`` says.

    ``held`` is reserved on top of ``part``. ``percent`` of a limit of zero is 100 once anything
    is spent. ``amounts`` says both in words, where that is not in US dollars. ``of`` names what is summed: a
    period, a user, a job, so that a page can lead there.
    """

    label: str
    part: int
    whole: int
    percent: float
    held: int = 0
    tone: Tone = "good"
    measure: Measure = "cost"
    amounts: str = ""
    of: tuple[Ref, ...] = ()


class Column(NamedTuple):
    """One column: ``key`` names it for programs, ``title`` for people.

    Where the page is narrow, columns of the highest ``rank`` are left out first; 0 never is.
    Money has ``places`` decimals, or more where an amount would read as nothing. Text that ``wraps``
    goes on in the next line where the page is narrow, rather than lose its middle: it holds figures
    or reasons.
    """

    key: str
    title: str
    kind: Kind = "text"
    rank: int = 0
    places: int = 2
    wraps: bool = False


Section = Literal["", "standing", "spend", "why", "change", "details"]
"""The questions of a page: where we stand, what it went on, why, what to change; the rest is folded."""


class Table(NamedTuple):
    """Rows under typed columns.

    ``total`` is one more row, set apart. ``empty`` is said where there are no rows. ``key`` names the table
    for programs; ``section`` is the question it belongs to, for pages that group by it. Of tables that follow
    each other and have a ``choice`` a page shows the one chosen; a ``folded`` one opens on a click.
    """

    title: str
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    total: Row | None = None
    empty: str = ""
    key: str = ""
    section: Section = ""
    choice: str = ""
    folded: bool = False

    @classmethod
    def of(
        cls, title: str, items: Iterable[T], *columns: tuple[Column, Callable[[T], Value]], **more: Any
    ) -> Table:
        """Return a table with a row for each item: each column with what it shows of one.

        >>> Table.of("Letters", "ab", (Column("letter", "Letter"), str.upper)).rows
        (('A',), ('B',))
        """
        values = [value for _, value in columns]
        rows = tuple(tuple(value(item) for value in values) for item in items)
        return cls(title, tuple(column for column, _ in columns), rows, **more)


class Series(NamedTuple):
    """Values over time, one per label, oldest first: a sparkline or a chart. Same ``kind`` for all."""

    title: str
    labels: tuple[str, ...]
    values: tuple[float, ...]
    kind: Kind = "money"


Look = Literal["bar", "expected", "line", "before", "course", "range", "limit"]
"""How a layer is drawn: ``bar`` and ``expected`` (a bar that is only foreseen) stack on each other;
``line`` is what was, ``before`` what it is compared with, ``course`` where it leads; ``range`` is the
area from its values to ``upper``; ``limit`` is not to be crossed."""


class Layer(NamedTuple):
    """One thing in a chart: a value per label, ``None`` where it has none."""

    name: str
    values: tuple[float | None, ...]
    look: Look = "bar"
    upper: tuple[float | None, ...] = ()


class Chart(NamedTuple):
    """A picture of several layers over the same labels. Same ``kind`` for all values.

    ``section`` is the question it belongs to, for pages that group by it.
    """

    title: str
    labels: tuple[str, ...]
    layers: tuple[Layer, ...]
    kind: Kind = "money"
    section: Section = ""


class Note(NamedTuple):
    """A sentence under the figures: an alert, a warning about the data, where a setting comes from.

    ``remedy`` is the command in it that helps, ``places`` are the local paths in it: a page can offer the
    one to be copied, and a file that is sent leaves the others out.
    """

    text: str
    tone: Tone = "plain"
    remedy: str = ""
    places: tuple[str, ...] = ()


class Report(NamedTuple):
    """What is shown. ``data`` is its JSON: stable names, money as numbers in USD.

    ``charts`` are for formats that draw; where there are some, ``series`` stand in for them in formats
    that have only characters.
    """

    title: str
    subtitle: str = ""
    gauges: tuple[Gauge, ...] = ()
    figures: tuple[Figure, ...] = ()
    series: tuple[Series, ...] = ()
    tables: tuple[Table, ...] = ()
    notes: tuple[Note, ...] = ()
    charts: tuple[Chart, ...] = ()
    data: Mapping[str, object] = MappingProxyType({})


_JSON_SUFFIX: Final[dict[Kind, str]] = {
    "money": "_usd",
    "difference": "_usd",
    "amount": "_usd",
    "percent": "_percent",
    "duration": "_seconds",
}


def json_key(key: str, kind: Kind) -> str:
    """Return a name that tells its unit.

    >>> json_key("cost", "money"), json_key("calls", "count")
    ('cost_usd', 'calls')
    """
    suffix = _JSON_SUFFIX.get(kind, "")
    return key if key.endswith(suffix) else key + suffix


_MONEY: Final = "Nanos"


def derive(record: Any, *fields: str, **names: str) -> dict[str, object]:
    """Return fields of a record (a NamedTuple, a dataclass) as JSON has them: all, or those named, in order.

    A field or a property is named as it is, as ``path.to.it``, or as ``name=path.to.it`` where JSON calls it
    otherwise; what lies behind ``None`` is ``None``. With all fields, ``names`` has those names of JSON.
    What is declared as nano-dollars, or named ``..._usd``, is in USD under a name that ends in ``_usd``;
    dates are in ISO 8601, paths are texts, records and lists within are derived, too.

    Raises:
        TypeError: a field or a property that is not text has no declared type: it may be money.

    >>> from typing import NamedTuple
    >>> class Sum(NamedTuple):
    ...     model: str
    ...     cost: Nanos | None
    >>> derive(Sum("gpt-4o", Nanos(4_500_000)), model="name")
    {'name': 'gpt-4o', 'cost_usd': 0.0045}
    >>> class Most(NamedTuple):
    ...     stage: str
    ...     sum: Sum
    >>> derive(Most("asr", Sum("gpt-4o", None)), "stage", "to=sum.model", "sum.cost")
    {'stage': 'asr', 'to': 'gpt-4o', 'cost_usd': None}
    """
    if not fields:
        fields = tuple(f"{names.get(field, field)}={field}" for field in _declared(type(record)))
    return dict(_derived(record, field) for field in fields)


def _derived(record: Any, field: str) -> tuple[str, object]:
    name, _, path = field.rpartition("=")
    *way, last = path.split(".")
    for step in way:
        record = None if record is None else getattr(record, step)
    kind: Any = type(record)
    value, name = None if record is None else getattr(record, last), name or last
    if name.endswith("_usd"):
        return name, _money(value)
    is_money = not (record is None or isinstance(value, str)) and _is_money(kind, last)
    return (f"{name}_usd", _money(value)) if is_money else (name, _plain(value))


@cache
def _is_money(kind: type, field: str) -> bool:
    """Tell whether a field or a property is declared as an amount in nano-dollars."""
    computed = getattr(getattr(kind, field, None), "fget", None)
    declared = computed.__annotations__.get("return") if computed else _declared(kind).get(field)
    if declared is None:
        raise TypeError(f"{kind.__qualname__}.{field} has no declared type: it may be nano-dollars")
    return _MONEY in str(declared)


def _declared(kind: type) -> dict[str, object]:
    """Return the declared type of each field of a record, those that it inherits first."""
    own = (vars(each).get("__annotations__", {}) for each in reversed(kind.__mro__))
    return {field: declared for each in own for field, declared in each.items()}


def _money(value: Any) -> object:
    if value is None or isinstance(value, int):
        return None if value is None else to_usd(Nanos(value))
    if isinstance(value, Mapping):
        return {str(key): _money(each) for key, each in value.items()}
    return [_money(each) for each in value]


def _plain(value: Any) -> object:
    if value is None or isinstance(value, (bool, int, float, str)):
        return str(value) if isinstance(value, str) else value
    if isinstance(value, (date, datetime)):
        return value.isoformat()
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, Mapping):
        return {str(key): _plain(each) for key, each in value.items()}
    if _declared(type(value)):  # a record
        return derive(value)
    return [_plain(each) for each in value]
