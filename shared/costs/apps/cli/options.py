"""Options as click has them, made of how reports describe theirs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import wraps
from pathlib import Path
from typing import Any, Final, Literal, TypeVar

import click

from ...money import Nanos
from ...reports.spec import Option, OptionGroup, parse_count, parse_usd
from ...rollup import Dimension, Query
from ...workspace import Workspace

F = TypeVar("F", bound=Callable[..., Any])

NO_LIMIT: Final = "none"


class ParsedOption(click.ParamType[Any]):
    """A value that a function makes of the text; its ``ValueError`` is wrong usage."""

    name = "text"

    def __init__(self, parse: Callable[[str], object]) -> None:
        self._parse = parse

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the value; a default, which is one already, as it is."""
        if not isinstance(value, str):
            return value
        try:
            return self._parse(value)
        except ValueError as fault:
            self.fail(str(fault), param, ctx)


def parameter(option: Option) -> click.Parameter:
    """Return an option as click has it."""
    given: dict[str, Any] = {"type": _type(option), "required": option.required}
    if option.completes:
        given["shell_complete"] = completion_of(option.completes)
    if option.default is not None:
        given["default"] = option.default
    if option.is_argument:
        given["nargs"] = -1 if option.many else 1
        return click.Argument([option.field], metavar=option.metavar, **given)
    if option.flag:
        given = {"is_flag": True}
    return click.Option(
        [*option.names, option.field],
        help=option.help,
        metavar=option.metavar,
        multiple=option.many,
        show_default=option.shows_default or None,
        **given,
    )


def parameters(*options: Option | OptionGroup) -> Iterator[click.Parameter]:
    """Return options as click has them, those of groups one by one."""
    for each in options:
        yield from map(parameter, each.options if isinstance(each, OptionGroup) else (each,))


def asked_with(*options: Option | OptionGroup) -> Callable[[F], F]:
    """Add options to a command; it gets one value for each group."""

    def decorate(function: F) -> F:
        @wraps(function)
        def call(*args: Any, **given: Any) -> Any:
            for group in groups:
                fields = [option.field for option in group.options]
                given[group.field] = group.make(**{field: given.pop(field) for field in fields})
            return function(*args, **given)

        params = getattr(call, "__click_params__", [])
        call.__click_params__ = [*params, *reversed(list(parameters(*options)))]  # type: ignore[attr-defined]  # as click.option does
        return call  # type: ignore[return-value]  # the wrapper takes click's options in place of the groups

    groups = [each for each in options if isinstance(each, OptionGroup)]
    return decorate


def _type(option: Option) -> click.ParamType[Any] | None:
    if option.choices:
        return click.Choice(option.choices)
    if option.parse is Path:  # which the shell completes
        return click.Path(path_type=Path)
    if isinstance(option.parse, click.ParamType):
        return option.parse
    if option.least is None and option.most is None:
        return ParsedOption(option.parse) if option.parse else None
    if isinstance(option.least, float):
        least = int(option.least) if option.least.is_integer() else option.least  # as people read it
        return click.FloatRange(least, option.most)
    bounds: Mapping[str, Any] = {"min": option.least, "max": option.most}
    return click.IntRange(**bounds)


def limit(text: str) -> Nanos | str:
    """Return an amount in USD, or ``none`` for no limit, which stays as it is."""
    return NO_LIMIT if text == NO_LIMIT else parse_usd(text, f", or {NO_LIMIT}")


def count_limit(text: str) -> int | str:
    """Return a whole number, or ``none`` for no limit, which stays as it is."""
    return NO_LIMIT if text == NO_LIMIT else parse_count(text, f", or {NO_LIMIT}")


def named_limit(text: str) -> tuple[str, Nanos | str]:
    """Return both sides of ``NAME=AMOUNT``."""
    name, sign, amount = text.rpartition("=")
    if not sign or not name:
        raise ValueError(f"{text!r} is not NAME=USD; write it as openai/gpt-4=10")
    return name, limit(amount)


Completion = Callable[[object, object, str], list[str]]
"""What click asks: the context, the parameter, and what was typed of it so far."""


def complete_job(_ctx: object, _param: object, incomplete: str) -> list[str]:
    """Return the job ids that begin with what was typed."""
    with _quietly() as workspace:
        return _beginning(incomplete, (job.job_id for job in workspace.index.jobs(Query())))


def complete_side(_ctx: object, _param: object, incomplete: str) -> list[str]:
    """Return the months with calls, and the jobs, that begin with what was typed."""
    with _quietly() as workspace:
        buckets = workspace.index.groups(("bucket",), Query())
        starts = (datetime.fromtimestamp(int(group.key[0] or 0), UTC) for group in buckets)
        months = (f"{start:%Y-%m}" for start in starts)
        jobs = (job.job_id for job in workspace.index.jobs(Query()))
        return _beginning(incomplete, (*months, *jobs))


def complete_name(dimension: Dimension) -> Completion:
    """Return what completes a name that calls were logged with."""

    def complete(_ctx: object, _param: object, incomplete: str) -> list[str]:
        with _quietly() as workspace:
            keys = (group.key[0] for group in workspace.index.groups((dimension,), Query()))
            names = (name for key in keys if key is not None for name in str(key).split(","))
            return _beginning(incomplete, names)

    return complete


def completion_of(names: Dimension | Literal["job", "side"] | Callable[[], Iterable[str]]) -> Completion:
    """Return what completes names of this kind, or those that it gives."""
    if callable(names):
        return lambda _context, _param, incomplete: _beginning(incomplete, names())
    if names == "job":
        return complete_job
    return complete_side if names == "side" else complete_name(names)


def _beginning(incomplete: str, names: Iterable[str]) -> list[str]:
    return sorted({name for name in names if name.startswith(incomplete)})


@contextmanager
def _quietly() -> Iterator[Workspace]:
    """Open the workspace without a word: what is said here would land in the line that is being typed."""
    import logging  # 3 ms that no command pays for whom nothing is completed

    before = logging.root.manager.disable
    logging.disable()
    try:
        with Workspace() as workspace:
            yield workspace
    finally:
        logging.disable(before)
