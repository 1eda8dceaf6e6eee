"""What a limit can be on, as one table. Pure; no I/O, no clock.

A new kind of limit is a row of :data:`KINDS`, the field of ``profile.types.Budget`` that it names, and that
field's key in ``profile.reading``. Each kind derives the names that limits on a call can have, so that they
are looked up, however many a profile has.

>>> covers("tag", "customer:acme", CallScope(tags=("customer:acme", "night")), lambda s, m: f"{s}/{m}")
True
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple

from ..money import Nanos, format_usd
from ..profile.tag_rules import CONDITIONS, TagRule, tagged
from ..rollup import UNASSIGNED_JOB, Dimension, Measure, Query
from ..units import without_features

ModelName = Callable[[str, str], str]
"""Turns a service and a model as recorded into the catalogue's ``provider/model``."""

ANY: Final = "any"
"""Service and model of a reservation for calls of any model."""

LimitPeriod = Literal["rolling", "day", "week", "month", "year"]
"""The stretches of time that a limit can be on."""

WHATEVER: Final = "\0"
"""Stands for any value, in the dimensions of calls that are not made yet."""


class CallScope(NamedTuple):
    """The dimensions of a call, of a hold, or of a group of sums, by which limits cover it.

    ``at`` is the instant that decides its period; ``None`` if the period is known already.
    """

    user_id: str | None = None
    at: datetime | None = None
    ledger: Path | None = None
    stage: str | None = None
    service: str = ANY
    model: str = ANY
    project: str | None = None
    tags: tuple[str, ...] = ()
    workflow: str | None = None
    operation: str | None = None
    job_id: str | None = None

    def ruled(self, rules: Sequence[TagRule]) -> CallScope:
        """Return the scope with the tags that rules give such calls, or may give calls not made yet."""
        if not rules or WHATEVER in self.tags:
            return self
        values: dict[str, str | None] = {name: getattr(self, name) or "" for name in CONDITIONS.values()}
        values["job_id"] = self.job_id or UNASSIGNED_JOB
        unknown = {name for name, value in values.items() if value == WHATEVER}
        if self.service == self.model == ANY:
            unknown |= {"service", "model"}
        return self._replace(tags=tagged(rules, self.tags, {**values, **dict.fromkeys(unknown)}))


def scope_of(query: Query, by: Sequence[Dimension], key: Sequence[object]) -> CallScope:
    """Return the scope of the calls in a group of sums: its query, and the dimensions of its key."""
    fields: dict[str, Any] = {"user_id": query.user_id, "ledger": query.ledger}
    fields |= {name: value for name, value in zip(by, key, strict=False) if name in CallScope._fields}
    if "tags" in by:
        fields["tags"] = tuple(filter(None, str(fields["tags"] or "").split(",")))
    return CallScope(**fields)


class Labels(NamedTuple):
    """The dimensions of a call besides its user and its job.

    ``service`` and ``model`` are ``None`` if they are those of the scope that these are applied to.
    """

    project: str | None = None
    tags: tuple[str, ...] = ()
    stage: str | None = None
    workflow: str | None = None
    operation: str | None = None
    service: str | None = None
    model: str | None = None

    def on(self, call: CallScope) -> CallScope:
        """Return the scope of a call with these in place of its own."""
        service, model = self.service or call.service, self.model or call.model
        return call._replace(**self._asdict() | {"service": service, "model": model})

    def beyond(self, call: CallScope) -> Labels | None:
        """Return these, completed from the scope; ``None`` if the scope has all of them.

        A scope of :data:`ANY` model has every model.
        """
        named = Labels(call.project, call.tags, call.stage, call.workflow, call.operation)
        is_other = (
            call.model != ANY and self.model and (self.service, self.model) != (call.service, call.model)
        )
        filled = Labels(
            self.project or named.project,
            self.tags or named.tags,
            self.stage or named.stage,
            self.workflow or named.workflow,
            self.operation or named.operation,
            self.service if is_other else None,
            self.model if is_other else None,
        )
        is_named = set(self.tags) <= set(named.tags) and filled._replace(tags=named.tags) == named
        return None if is_named else filled


Names = Callable[[CallScope, ModelName], Collection[str] | None]
"""Returns the names that limits of a kind on a call can have; ``None`` if they can have any."""


class LimitKind(NamedTuple):
    """One kind of limit: its names and the field of a profile that has it.

    Args:
        name: its name in a scope, by which sent alerts are remembered.
        field: the field of a budget with its amount, or its amounts by name.
        period: the span of time that it bounds; ``None`` for the whole life of a job.
        measure: what it bounds: the cost, the number or the tokens of its calls.
        called: its name as an adjective; ``None`` if it is on something with a name.
        names: returns the names that such a limit on a call can have; ``None`` if it is on every call.
        known_as: returns the catalogue's name for a name in a profile, if there is one.
        query: the field of ``rollup.Query`` that selects its calls by that name.
        by: the dimensions by which sums must be split to tell what counts, if no query selects it.
        leaves_local: whether calls of local models are excluded.

    """

    name: str
    field: str
    period: LimitPeriod | None
    measure: Measure = "cost"
    called: str | None = None
    names: Names | None = None
    known_as: Callable[[str, ModelName], str] | None = None
    query: str | None = None
    by: tuple[Dimension, ...] = ()
    leaves_local: bool = False

    def selecting(self, name: str | None, of_all: Query) -> Query:
        """Return the query of the spend that a limit on ``name`` bounds, as far as a query can select it."""
        changes: dict[str, Any] = {"measure": self.measure}
        if self.query is not None:
            changes[self.query] = name
        return of_all._replace(**changes)


def _model_names(call: CallScope, names: ModelName) -> Collection[str] | None:
    """Return the names of a model in limits: as recorded or in the catalogue, with and without service.

    A model with features, such as ``nova-3+diarize``, has the plain model's names too, and a version, such as
    ``gpt-4o-2024-08-06``, those of its model, though each may have a price of its own.
    What is held for :data:`ANY` model may be spent on any, so it counts against each.
    """
    if call.service == call.model == ANY:
        return None
    # Its patterns take 2 ms, and a prompt has no calls.
    from ..pricing.names import normalize_service, without_version

    model_names: set[str] = set()
    seller = normalize_service(call.service)
    for model in {call.model, without_features(call.model)}:
        known = names(call.service, model)
        plain = known.partition("/")[2]
        sold = [
            f"{service}/{plain}" for service in (seller, *_OWNERS.get(seller, ()))
        ]  # at another's price, maybe
        for name in (known, without_features(known), *sold, f"{call.service}/{model}"):
            for version in (name, without_version(name) or name):
                model_names |= {version, version.partition("/")[2]}
    return model_names


def _known_model(limited: str, names: ModelName) -> str:
    """Return the catalogue's name for a model of a profile: ``gpt4o`` is ``openai/gpt-4o``.

    A name with a seller means that seller alone, though the price may be that of the maker:
    ``azure/gpt-4o`` does not cover OpenAI's own calls.
    """
    known = names("", limited)
    service, slash, model = limited.partition("/")
    if not slash or service.lower() in _PATHS:
        return known
    if known.startswith(_UNKNOWN):
        known = names(service, model)
    called = known.partition("/")[2]
    if called.startswith(f"{service.lower()}/"):
        return called  # the part before the slash belongs to the name: deepseek-ai/DeepSeek-R1
    from ..pricing.names import normalize_service  # as above

    return f"{normalize_service(service)}/{called}"


_PATHS: Final = frozenset({"models", "publishers", "projects"})
"""The beginnings of Google's names that do not name a service."""

_UNKNOWN: Final = "unknown/"
"""The beginning of the catalogue's names for models that are not known without a service."""


def _service_names(call: CallScope, names: ModelName) -> Collection[str] | None:
    if call.service == ANY:
        return None
    known = _known_service(call.service, names)
    return {call.service, known, *_OWNERS.get(known, ())}


_OWNERS: Final = {"vertex": ("google",)}
"""The services whose limits also count a service's calls: Google sells Gemini through both."""


def _known_service(service: str, names: ModelName) -> str:
    """Return the catalogue's name for a service: ``gemini`` is ``google``."""
    return names(service, "*").partition("/")[0]


def _names_by(value: Callable[[CallScope], str | None]) -> Names:
    """Return the function for the names of a call in one dimension; any, if it is not known yet."""

    def names(call: CallScope, _: ModelName) -> Collection[str] | None:
        name = value(call)
        return None if name == WHATEVER else () if name is None else (name,)

    return names


def _tag_names(call: CallScope, _: ModelName) -> Collection[str] | None:
    return None if WHATEVER in call.tags else call.tags


_OF_MODELS: Final[tuple[Dimension, ...]] = ("service", "model")


def _of_counts(period: LimitPeriod, measure: Measure, called: str) -> LimitKind:
    """Return the kind of a limit on a count: ``daily call`` is ``daily_calls`` in a profile."""
    field = f"{called.replace(' ', '_')}s"
    return LimitKind(f"{period}_{measure}", field, period, measure, called, by=_OF_MODELS, leaves_local=True)


KINDS: Final = {
    kind.name: kind
    for kind in (
        LimitKind("stage", "stage_limits", None, names=_names_by(lambda call: call.stage), query="stage"),
        LimitKind("job", "job_limit", None),
        LimitKind("guard", "guard", "rolling", called="guard"),
        LimitKind("rolling", "rolling", "rolling", called="rolling"),
        LimitKind("day", "daily_limit", "day", called="daily"),
        LimitKind("week", "weekly_limit", "week", called="weekly"),
        LimitKind("model", "model_limits", "month", names=_model_names, known_as=_known_model, by=_OF_MODELS),
        LimitKind("tag", "tag_limits", "month", names=_tag_names, query="tag"),
        LimitKind(
            "project", "project_limits", "month", names=_names_by(lambda call: call.project), query="project"
        ),
        LimitKind(
            "operation",
            "operation_limits",
            "month",
            names=_names_by(lambda call: call.operation),
            query="operation",
        ),
        LimitKind(
            "workflow",
            "workflow_limits",
            "month",
            names=_names_by(lambda call: call.workflow),
            query="workflow",
        ),
        LimitKind(
            "service",
            "service_limits",
            "month",
            names=_service_names,
            known_as=_known_service,
            by=("service",),
        ),
        LimitKind("month", "monthly_limit", "month", called="monthly"),
        LimitKind("year", "yearly_limit", "year", called="yearly"),
        _of_counts("day", "calls", "daily call"),
        _of_counts("month", "calls", "monthly call"),
        _of_counts("day", "tokens", "daily token"),
        _of_counts("month", "tokens", "monthly token"),
    )
}
"""All kinds by name, the narrowest first: of limits that are equally tight, that one is reported."""

SCOPES: Final = {**KINDS, "plan": LimitKind("plan", "", "month")}
"""All that a scope can be on: the limits of a budget, and plans, which have a limit of their own."""

_LOCAL: Final = "local/"
"""The beginning of the catalogue's names for models that run on the user's own machine."""


def amount_text(amount: int, measure: Measure, places: int = 2) -> str:
    """Return an amount in the unit of its measure; dollars with ``places`` decimals.

    >>> amount_text(4_500_000_000, "cost"), amount_text(1, "calls"), amount_text(12_000, "tokens")
    ('$4.50', '1 call', '12,000 tokens')
    """
    if measure == "cost":
        return format_usd(Nanos(amount), places)
    return f"{amount:,} {measure[:-1] if amount == 1 else measure}"


def places_beside(limit: int) -> int:
    """Return how many decimals amounts beside a limit need: two, or four below one dollar.

    >>> places_beside(50_000_000_000), places_beside(10_000_000), places_beside(0)
    (2, 4, 2)
    """
    return 2 if limit >= 1_000_000_000 or limit == 0 else 4


def covers(kind: str, name: str | None, call: CallScope, names: ModelName) -> bool:
    """Return whether a call counts against a limit of this kind on ``name``, whoever makes it and when."""
    limit_kind = SCOPES[kind]
    if limit_kind.leaves_local and names(call.service, call.model).startswith(_LOCAL):
        return False
    if limit_kind.names is None:
        return True
    call_names = limit_kind.names(call, names)
    if call_names is None or name in call_names:
        return True
    return (
        limit_kind.known_as is not None
        and name is not None
        and limit_kind.known_as(name, names) in call_names
    )
