"""What a limit can be on, as one table. Pure; no I/O, no clock.

A new kind of limit is a row of :data:`KINDS`, the field of ``profile.types.Budget`` that it names, and that
field's key in ``profile.reading``.

>>> covers("tag", "customer:acme", CallScope(tags=("customer:acme", "night")), lambda s, m: f"{s}/{m}")
True
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple

from ..rollup import Dimension, Query

ModelName = Callable[[str, str], str]
"""Turns a service and a model as recorded into the catalogue's ``provider/model``."""

ANY: Final = "any"
"""Service and model of a reservation that stands for calls of whatever model."""

WHATEVER: Final = "\0"
"""Stands for whatever value, in the dimensions of calls that are not made yet."""


class CallScope(NamedTuple):
    """The dimensions of a call, of a hold, or of a group of sums, by which limits cover it.

    ``at`` is the instant that decides its period; ``None`` where that is settled already.
    """

    user_id: str | None = None
    at: datetime | None = None
    ledger: Path | None = None
    stage: str | None = None
    service: str = ANY
    model: str = ANY
    project: str | None = None
    tags: tuple[str, ...] = ()


class LimitKind(NamedTuple):
    """One kind of limit: how it is called and where a profile keeps it.

    Args:
        name: what a scope of this kind calls it; alerts that were told are remembered by it.
        field: the field of a budget that holds its amount, or its amounts by name.
        period: the stretch of time whose spend it bounds; ``None`` for the whole life of a job.
        matches: tells whether a call counts against the limit on a name; ``None`` where all calls do.
        query: the field of ``rollup.Query`` that selects its spend by that name.
        by: the dimensions by which sums must be split to tell what counts, where no query selects it.

    """

    name: str
    field: str
    period: Literal["day", "week", "month"] | None
    matches: Callable[[str, CallScope, ModelName], bool] | None = None
    query: str | None = None
    by: tuple[Dimension, ...] = ()

    def selecting(self, name: str | None, of_all: Query) -> Query:
        """Return the query of what a limit on ``name`` bounds, as far as a query can select it."""
        changes: dict[str, Any] = {} if self.query is None else {self.query: name}
        return of_all._replace(**changes)


def is_model(limited: str, service: str, model: str, names: ModelName) -> bool:
    """Return whether a call to ``model`` of ``service`` counts against the limit on ``limited``.

    ``limited`` is written ``service/model``, or as the bare model. Both sides are also compared by
    the catalogue's names, so a dated name or an alias counts with its model. What is held for
    :data:`ANY` model may be spent on this one, so it counts too.

    >>> is_model("openai/gpt-4", "openai", "gpt-4-0613", lambda s, m: "openai/gpt-4")
    True
    """
    if limited in (f"{service}/{model}", model) or service == model == ANY:
        return True
    head, slash, tail = limited.partition("/")
    known = names(service, model)
    return known in (limited, names(head, tail)) if slash else known.partition("/")[2] == limited


KINDS: Final = {
    kind.name: kind
    for kind in (
        LimitKind(
            "stage", "stage_limits", None, lambda name, call, _: call.stage in (name, WHATEVER), "stage"
        ),
        LimitKind("job", "job_limit", None),
        LimitKind("day", "daily_limit", "day"),
        LimitKind("week", "weekly_limit", "week"),
        LimitKind(
            "model",
            "model_limits",
            "month",
            lambda name, call, names: is_model(name, call.service, call.model, names),
            by=("service", "model"),
        ),
        LimitKind(
            "tag",
            "tag_limits",
            "month",
            lambda name, call, _: name in call.tags or WHATEVER in call.tags,
            "tag",
        ),
        LimitKind(
            "project",
            "project_limits",
            "month",
            lambda name, call, _: call.project in (name, WHATEVER),
            "project",
        ),
        LimitKind("month", "monthly_limit", "month"),
    )
}
"""All kinds by name, the narrowest first: of limits that leave equally little, that one is named."""


def covers(kind: str, name: str | None, call: CallScope, names: ModelName) -> bool:
    """Return whether a call counts against a limit of this kind on ``name``, whoever makes it and when."""
    matches = KINDS[kind].matches
    return matches is None or matches(name or "", call, names)
