"""The labels that calls were recorded with but not reserved for, and the calls that this applies to. Pure.

A call that strays from what it was reserved for is recorded, and calls like it are held under the limits on
its labels from then on. If the labels differ from call to call (a tag for each run), no call would be like
another: so a dimension in which :data:`VARIES` values have strayed to the same labels is ignored. The same
goes for users, if each customer is one.

>>> strays = StrayedCalls()
>>> for run in range(1, 4):
...     strays.learn(CallScope("ana", tags=(f"run:{run}",)), Labels(project="acme"))
>>> strays.of(CallScope("ana", tags=("run:9",)))[0].project
'acme'
>>> strays.of(CallScope("ana", tags=("customer:beta",))), strays.of(CallScope("bo", tags=("run:9",)))
((), ())
"""

from __future__ import annotations

from typing import Final

from ..forks import lock_of
from ..profile.tag_rules import key_of
from .limits import Limit
from .scopes import CallScope, Labels

VARIES: Final = 3
"""How many values of a dimension count as all values."""

MOST: Final = 1_000
"""How many labels are remembered with the calls that strayed to them: the latest ones."""

MOST_OF_CALL: Final = 200
"""How many of them a call is checked against: the latest ones."""

MOST_REMEMBERED: Final = 1_000
"""For how many scopes the result is cached."""

_Kind = tuple[str, ...]


class _StrayGroup:
    """The calls that strayed to the same labels: their values by dimension."""

    def __init__(self) -> None:
        self._seen: tuple[set[object], ...] = tuple(set() for _ in _values(CallScope()))

    def add(self, scope: CallScope) -> None:
        for seen, value in zip(self._seen, _values(scope), strict=True):
            if len(seen) < VARIES:
                seen.add(value)

    def has(self, scope: CallScope) -> bool:
        pairs = zip(self._seen, _values(scope), strict=True)
        return all(value in seen or len(seen) >= VARIES for seen, value in pairs)


def _values(scope: CallScope) -> tuple[object, ...]:
    """Return the values that calls are compared by: also the part before the colon of each tag."""
    kinds: _Kind = tuple(sorted(set(map(key_of, scope.tags))))
    model = scope.service, scope.model
    work = scope.stage, scope.project, scope.workflow, scope.operation
    return scope.user_id, model, *work, kinds, scope.tags


class StrayedCalls:
    """The strayed calls that one process knows of. Safe to use from threads and after a fork."""

    def __init__(self) -> None:
        self._groups: dict[Labels, _StrayGroup] = {}
        self._cache: dict[CallScope, tuple[Labels, ...]] = {}
        self._lock = lock_of(self, "_lock")

    def learn(self, scope: CallScope, labels: Labels) -> None:
        """Note that a call reserved for ``scope`` was recorded with other labels."""
        with self._lock:
            group = self._groups.pop(labels, None) or _StrayGroup()
            group.add(scope)
            self._groups[labels] = group
            if len(self._groups) > MOST:
                del self._groups[next(iter(self._groups))]
            self._cache.clear()

    def of(self, scope: CallScope) -> tuple[Labels, ...]:
        """Return the other labels that calls like one of this scope, in any job, were recorded with."""
        if not self._groups:
            return ()
        scope = of_any_job(scope)
        labels = self._cache.get(scope)
        return self._find(scope) if labels is None else labels

    def _find(self, scope: CallScope) -> tuple[Labels, ...]:
        with self._lock:
            if len(self._cache) >= MOST_REMEMBERED:
                self._cache.clear()
            matching = [labels for labels, alike in list(self._groups.items()) if alike.has(scope)]
            matches = self._cache[scope] = tuple(matching[-MOST_OF_CALL:])
            return matches

    def clear(self) -> None:
        """Forget all of it."""
        with self._lock:
            self._groups.clear()
            self._cache.clear()


def of_any_job(scope: CallScope) -> CallScope:
    """Return the scope of calls like these in any job and at any time."""
    return scope._replace(at=None, ledger=None, job_id=None)


def held_by(limit: Limit, labels: Labels) -> Labels:
    """Return those labels of a call that a limit depends on: the others vary.

    >>> from ..rollup import Query
    >>> from .limits import Scope
    >>> limit = Limit(Scope("ana", "tag", "customer:acme"), 1, None, Query())
    >>> held_by(limit, Labels("p", ("customer:acme", "run:7"), "asr")) == Labels(tags=("customer:acme",))
    True
    """
    kind, name = limit.scope.kind, limit.scope.name
    if kind == "tag" and name is not None:  # also if a rule gave it, perhaps to many projects
        return Labels(tags=(name,))
    if kind in {"stage", "project", "workflow", "operation"}:
        return Labels(**{kind: name})  # type: ignore[arg-type]  # each is text
    return Labels(service=labels.service, model=None if kind == "service" else labels.model)
