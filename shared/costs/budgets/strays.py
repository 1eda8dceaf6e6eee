"""With which other labels calls were recorded than were named for them, and for which calls that holds. Pure.

One call that strays from what it was reserved for is recorded, and those like it are held under the limits on
its labels from then on. Where what is named differs from call to call (a tag for each run), no call is
like another: a dimension in which :data:`VARIES` values have strayed to the same labels tells none apart. Nor
do users, where each customer is one.

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
"""How many values of a dimension stand for all."""

MOST: Final = 1_000
"""How many labels are known, with the calls that strayed to them: those that were learnt last."""

MOST_OF_CALL: Final = 200
"""How many of them a call is checked against: those that were learnt last."""

MOST_REMEMBERED: Final = 1_000
"""For how many scopes what holds for them is remembered, so that it need not be found out again."""

_Kind = tuple[str, ...]


class _StrayGroup:
    """The calls that strayed to the same labels: which values they had, by dimension."""

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
    """Return by what calls are alike: besides their tags also by what stands before the colon of each."""
    kinds: _Kind = tuple(sorted(set(map(key_of, scope.tags))))
    model = scope.service, scope.model
    work = scope.stage, scope.project, scope.workflow, scope.operation
    return scope.user_id, model, *work, kinds, scope.tags


class StrayedCalls:
    """What one process knows of it. Safe to use from threads and after a fork."""

    def __init__(self) -> None:
        self._alike: dict[Labels, _StrayGroup] = {}
        self._known: dict[CallScope, tuple[Labels, ...]] = {}
        self._lock = lock_of(self, "_lock")

    def learn(self, scope: CallScope, labels: Labels) -> None:
        """Note that a call reserved for ``scope`` was recorded with other labels."""
        with self._lock:
            known = self._alike.pop(labels, None) or _StrayGroup()
            known.add(scope)
            self._alike[labels] = known
            if len(self._alike) > MOST:
                del self._alike[next(iter(self._alike))]
            self._known.clear()

    def of(self, scope: CallScope) -> tuple[Labels, ...]:
        """Return with which other labels calls like one of this scope, in whatever job, were recorded."""
        if not self._alike:
            return ()
        scope = of_any_job(scope)
        found = self._known.get(scope)
        return self._found(scope) if found is None else found

    def _found(self, scope: CallScope) -> tuple[Labels, ...]:
        with self._lock:
            if len(self._known) >= MOST_REMEMBERED:
                self._known.clear()
            mine = [labels for labels, alike in list(self._alike.items()) if alike.has(scope)]
            found = self._known[scope] = tuple(mine[-MOST_OF_CALL:])
            return found

    def clear(self) -> None:
        """Forget all of it."""
        with self._lock:
            self._alike.clear()
            self._known.clear()


def of_any_job(scope: CallScope) -> CallScope:
    """Return the scope of calls like these in whatever job and whenever."""
    return scope._replace(at=None, ledger=None, job_id=None)


def held_by(limit: Limit, labels: Labels) -> Labels:
    """Return of the labels of a call those for which a limit holds it: what else they say varies.

    >>> from ..rollup import Query
    >>> from .limits import Scope
    >>> limit = Limit(Scope("ana", "tag", "customer:acme"), 1, None, Query())
    >>> held_by(limit, Labels("p", ("customer:acme", "run:7"), "asr")) == Labels(tags=("customer:acme",))
    True
    """
    kind, name = limit.scope.kind, limit.scope.name
    if kind == "tag" and name is not None:  # also where a rule gave it, for a project of many maybe
        return Labels(tags=(name,))
    if kind in {"stage", "project", "workflow", "operation"}:
        return Labels(**{kind: name})  # type: ignore[arg-type]  # each is text
    return Labels(service=labels.service, model=None if kind == "service" else labels.model)
