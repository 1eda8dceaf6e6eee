"""The options that say how much work is asked about."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any, TypeVar

import click

from ...model import MAX_COUNT
from ...reports.estimate import Given

F = TypeVar("F", bound=Callable[..., Any])


def work_options(function: F) -> F:
    """Add the options; the command gets them as one ``given``."""

    @wraps(function)
    def call(*args: Any, **options: Any) -> Any:
        given = Given(**{name: options.pop(name) for name in Given._fields})
        return function(*args, given=given, **options)

    for option in reversed(_OPTIONS):
        call = option(call)
    return call  # type: ignore[return-value]  # the wrapper takes click's options in place of the work


_COUNT = click.IntRange(0, MAX_COUNT)
_OPTIONS = (
    click.option("--input-tokens", "tokens_input", type=_COUNT, metavar="N", help="Input of one call."),
    click.option(
        "--output-tokens", "tokens_output", type=_COUNT, metavar="N", help="Output. Default: a quarter of it."
    ),
    click.option("--audio-minutes", type=click.FloatRange(0, 10**8), metavar="N", help="Audio of one call."),
    click.option(
        "--file",
        type=click.Path(exists=True, dir_okay=False, path_type=Path),
        help="Take them from a text or a recording.",
    ),
    click.option("--calls", type=click.IntRange(1, 10**9), default=1, help="So many calls. Default: 1."),
    click.option("--tier", help="With this service tier, such as batch."),
)
