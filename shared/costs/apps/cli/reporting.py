"""The options of ``report`` and its presets, and how they become a question."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, Final, TypeVar

import click

from ...reports.report import LABELS, Asked
from ...reports.span import Span
from ...rollup import Dimension, Query
from .completing import complete_job, complete_name
from .options import span_options, user_option

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


def _filter(*names: str, by: Dimension, text: str) -> Callable[[F], F]:
    return click.option(*names, metavar="NAME", help=text, shell_complete=complete_name(by))


_OPTIONS = (
    _filter("--service", by="service", text="Only this provider, such as openai."),
    _filter("--model", by="model", text="Only this model: gpt-4o, or openai/gpt-4o."),
    _filter("--stage", by="stage", text="Only this stage."),
    _filter("--category", "--operation", "category", by="operation", text="Only this category (operation)."),
    user_option,
    click.option("--job", metavar="ID", help="Only this job.", shell_complete=complete_job),
    _filter("--workflow", by="workflow", text="Only this workflow."),
    _filter("--project", by="project", text="Only this project."),
    _filter("--tag", by="tags", text="Only calls with this tag."),
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
