"""What a report is called, which options it has, and what answers it.

A module of this package with a ``SPEC`` is a report: the command line makes a command of it, a server a
route. Options are data here, so that nothing in this package knows who parses them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import date
from importlib import import_module
from inspect import cleandoc
from typing import Any, Final, Generic, Literal, NamedTuple, Protocol, TypeVar

from ..errors import FINE
from ..money import Nanos, from_usd
from ..profile.tag_rules import CUSTOMER
from ..rollup import Dimension
from .document import Report
from .questions import BY, TimeSpan
from .reader import Reader

Q = TypeVar("Q")
F = TypeVar("F")


class Option(NamedTuple):
    """One part of a question: an option with dashes, ``words`` are those it has, or an argument without.

    ``called`` names it for the program, where that is not the first of the words. Its value is text, or what
    ``parse`` makes of the text (it raises ``ValueError`` with the reason), a number of the type of ``least``,
    one of ``choices``, or a flag. ``completes`` says, or gives, the names that the shell may offer. One that
    ``changes`` something is for the command line alone: a page that only shows must not offer it; nor one
    ``at_terminal``, which names a file there.
    """

    words: str = ""
    help: str = ""
    metavar: str | None = None
    parse: Callable[[str], object] | None = None
    least: float | None = None
    most: float | None = None
    choices: tuple[str, ...] = ()
    flag: bool = False
    many: bool = False
    required: bool = False
    default: object = None
    shows_default: bool = False
    completes: Dimension | Literal["job", "side"] | Callable[[], Iterable[str]] | None = None
    changes: bool = False
    at_terminal: bool = False
    called: str = ""

    @property
    def names(self) -> list[str]:
        """The words that it has, with their dashes."""
        return self.words.split()

    @property
    def field(self) -> str:
        """What names it for the program."""
        return self.called or self.names[0].lstrip("-").replace("-", "_")

    @property
    def is_for_pages(self) -> bool:
        """Whether a page may offer it."""
        return not (self.changes or self.at_terminal)

    @property
    def is_argument(self) -> bool:
        """Whether it stands by itself, without dashes."""
        return not self.words

    def value_in(self, values: Mapping[str, Any]) -> Any:
        """Return its value; what a page does not offer has none there."""
        if self.is_for_pages:
            return values[self.field]
        return values.get(self.field, () if self.many else False if self.flag else None)


class OptionGroup(NamedTuple):
    """Options that are one field of the question together: ``make`` gets their values by field."""

    field: str
    options: tuple[Option, ...]
    make: Callable[..., object]


class Spec(NamedTuple, Generic[Q, F]):
    """A report: its options, and the functions that answer it. :func:`spec_in` adds its name and its help.

    ``question`` gets the values of the options by field; ``ask`` reads what the question needs; ``report`` is
    pure. ``watch`` tells that it may be shown again and again; without ``prepares`` no cost storage is made
    for it. One that is ``shared`` can also be made for all hosts that share the budgets.
    """

    section: str
    examples: Sequence[str]
    question: Callable[..., Q]
    ask: Callable[[Reader, Q], F]
    report: Callable[[F], Report]
    options: Sequence[Option | OptionGroup] = ()
    watch: bool = False
    prepares: bool = True
    shared: bool = False
    name: str = ""
    help: str | None = None

    def asked(self, values: Mapping[str, Any]) -> Q:
        """Return the question that these values of the options put."""
        fields = {
            each.field: each.make(**{option.field: option.value_in(values) for option in each.options})
            if isinstance(each, OptionGroup)
            else each.value_in(values)
            for each in self.options
        }
        return self.question(**fields)


def spec_in(module: str) -> Spec[Any, Any] | None:
    """Return a module's report, called like it, with its docstring as help unless it has one."""
    imported = import_module(module)
    spec: Spec[Any, Any] | None = getattr(imported, "SPEC", None)
    name = module.rpartition(".")[2].replace("_", "-")
    return None if spec is None else spec._replace(name=name, help=spec.help or imported.__doc__)


def exit_code_of(facts: object) -> int:
    """Return the exit code that facts call for; most call for none."""
    code: int = getattr(facts, "exit_code", FINE)
    return code


def only(**given: Any) -> Any:
    """Return the one value of a question that has one."""
    [value] = given.values()
    return value


def parse_day(text: str) -> date:
    """Return a date written as ``2026-11-22``.

    Raises:
        ValueError: it is not a date.
    """
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise ValueError(f"{text!r} is not a date; write it as 2026-11-22") from None


def parse_usd(text: str, more: str = "") -> Nanos:
    """Return an amount in USD, such as ``0.50``, in nano-dollars; ``more`` ends the advice.

    Raises:
        ValueError: it is not an amount, or negative.
    """
    try:
        amount = from_usd(text.removeprefix("$"))
    except (TypeError, ValueError):
        raise ValueError(f"{text!r} is not an amount in USD; write 50 or 0.25{more}") from None
    if amount < 0:
        raise ValueError(f"{text} is negative; write 50 or 0.25{more}")
    return amount


def parse_count(text: str, more: str = "") -> int:
    """Return a whole number; ``more`` ends the advice.

    Raises:
        ValueError: it is not one, negative, or too large.
    """
    if not (text.isascii() and text.isdecimal() and len(text) <= 15):
        raise ValueError(f"{text!r} is not a whole number; write it as 500{more}")
    return int(text)


def _name(words: str, by: Dimension, help: str) -> Option:  # noqa: A002  # as Option calls it
    return Option(words, help, "NAME", completes=by)


USER: Final = Option("--user --user-id", "Only this user.", "ID", completes="user_id")
PAYER: Final = USER._replace(help="Who pays. Default: COST_TRACKER_USER, else 1.")
MONTH: Final = Option("--month", "This month instead of the present one.", "YYYY-MM", called="month_name")
SPAN: Final = OptionGroup(
    "span",
    (
        MONTH._replace(help="Only this month."),
        Option("--days", "The last N days, today included.", "N", least=1, most=36_500),
        Option("--since --start-date", "From this day on.", "DATE", parse_day),
        Option("--until --end-date", "Up to this day, included.", "DATE", parse_day),
    ),
    TimeSpan,
)
FILTERS: Final = OptionGroup(
    "filters",
    (
        _name("--service", "service", "Only this provider, such as openai."),
        _name("--model", "model", "Only this model: gpt-4o, or openai/gpt-4o."),
        _name("--stage", "stage", "Only this stage."),
        _name("--category --operation", "operation", "Only this category (operation)."),
        USER,
        Option("--job", "Only this job.", "ID", completes="job"),
        _name("--workflow", "workflow", "Only this workflow."),
        _name("--project", "project", "Only this project."),
        _name("--tag", "tags", "Only calls with this tag."),
        _name("--tier", "service_tier", "Only this service tier, such as batch."),
    ),
    lambda **given: {name: value for name, value in given.items() if value is not None},
)
FILTERS_BUT_TIER: Final = FILTERS._replace(options=FILTERS.options[:-1])
"""For reports in which a tier is something else."""

BREAKDOWNS: Final = Option(
    "--by", "Break down by this; may be repeated.", choices=tuple(sorted((*BY, CUSTOMER))), many=True
)
STEPS: Final = ("daily", "weekly", "monthly")


class Described(Protocol):
    """A format with a sentence of help."""

    @property
    def summary(self) -> str:
        """What it is."""
        ...


def with_formats(
    text: str | None, formats: Mapping[str, Described], more: Iterable[tuple[str, str]] = ()
) -> str:
    r"""Return a command's help with a list of formats after it; click does not rewrap what follows ``\b``.

    >>> from shared.costs.exchange.exports import exports
    >>> print(with_formats("Write it.", {"csv": exports()["csv"]}).replace("\b", "(as it stands)"))
    Write it.
    <BLANKLINE>
    (as it stands)
    Formats:
      csv  A table for spreadsheets and scripts; amounts in USD.
    """
    lines = [*((name, each.summary) for name, each in sorted(formats.items())), *more]
    width = max(len(name) for name, _ in lines)
    listed = "\n".join(f"  {name:<{width}}  {summary}" for name, summary in lines)
    return f"{cleandoc(text or '')}\n\n\b\nFormats:\n{listed}"
