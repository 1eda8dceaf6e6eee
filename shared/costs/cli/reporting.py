"""The options of ``report`` and its presets, and how they become a question."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, Final, TypeVar

import click

from ..rollup import Dimension, Query
from .facts.period import LABELS, Asked
from .options import Span, span_options, user_option

F = TypeVar("F", bound=Callable[..., Any])

BY: Final[dict[str, Dimension]] = {label.lower(): dimension for dimension, label in LABELS.items()}

_FILTERS: Final = ("service", "model", "stage", "category", "user", "job", "workflow", "project", "tag")
_FIELDS: Final = {"category": "operation", "user": "user_id", "job": "job_id"}


def filter_options(function: F) -> F:
    """Add one option per filter; the command gets ``filters``, a mapping of those that were given."""

    @wraps(function)
    def call(*args: Any, **given: Any) -> Any:
        filters = {name: value for name in _FILTERS if (value := given.pop(name)) is not None}
        return function(*args, filters=filters, **given)

    for option in reversed(_OPTIONS):
        call = option(call)
    return call  # type: ignore[return-value]  # the wrapper takes click's options in place of the filters


_OPTIONS = (
    click.option("--service", metavar="NAME", help="Only this provider, such as openai."),
    click.option("--model", metavar="NAME", help="Only this model: gpt-4o, or openai/gpt-4o."),
    click.option("--stage", metavar="NAME", help="Only this stage."),
    click.option(
        "--category", "--operation", "category", metavar="NAME", help="Only this category (operation)."
    ),
    user_option,
    click.option("--job", metavar="ID", help="Only this job."),
    click.option("--workflow", metavar="NAME", help="Only this workflow."),
    click.option("--project", metavar="NAME", help="Only this project."),
    click.option("--tag", metavar="NAME", help="Only calls with this tag."),
)


def query_of(filters: dict[str, str]) -> Query:
    """Return the filters as a query. A model may be written ``service/model``.

    >>> query_of({"model": "openai/gpt-4o", "category": "summary"})  # doctest: +ELLIPSIS
    Query(... service='openai', model='gpt-4o', operation='summary', ...)
    """
    values = {_FIELDS.get(name, name): value for name, value in filters.items()}
    service, slash, model = values.get("model", "").partition("/")
    if slash and "service" not in values:
        values |= {"service": service, "model": model}
    return Query(**values)  # type: ignore[arg-type]  # all of these fields are text


def asked(title: str, span: Span, filters: dict[str, str], **more: Any) -> Asked:
    """Return what a report is asked to show."""
    return Asked(title=title, span=span, query=query_of(filters), filters=filters, **more)


__all__ = ["BY", "asked", "filter_options", "query_of", "span_options"]
