"""What agent sessions had spent at each of their results, so that each turn counts once.

A result states the sum of its session so far: of every turn since the session began, also if another
process continued it or a fork of it (claude-agent-sdk from 0.3.277 on; before, a resumed session
began from zero). Only its ``usage`` is the turn's own. The state before the turn is the known state that this
turn's usage leads on from.

The states are kept in a file of the cost storage, one line each, for later processes. Without a file, only
results of the same session are compared.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Final

from ..forks import lock_of

Figures = dict[str, int]
BySpent = dict[str, Figures]

_SESSIONS_MAX: Final = 1_000
_STATES_MAX: Final = 5_000
_CUTS_MAX: Final = (300, 60, 20)
"""How many cut turns of sessions with an unknown origin are tried, for one, two and three in a row."""
_TOKENS: Final = ("tokens_input", "tokens_output", "tokens_cached", "tokens_cache_write")

Place = tuple[str, tuple[int, ...]]


class KnownSessions:
    """The sessions whose results this process has seen; with a file, also those of other processes."""

    def __init__(self, path: Path | None = None) -> None:
        self._lock = lock_of(self, "_lock")
        self._path = path
        self._read = 0
        self._turns: dict[str, BySpent] = {}
        self._last: dict[str, BySpent] = {}
        self._states: dict[Place, list[BySpent]] = {}
        self._cuts: list[BySpent] = []
        self._adrift: set[str] = set()

    def turn(self, session: str, uuid: str | None, own: Mapping[str, int], spent: BySpent) -> BySpent:
        """Return what the turn of a result spent, by model; the same again if the result is read twice.

        ``own`` are the turn's own tokens, ``spent`` the sums that its result states.
        """
        with self._lock:
            self._catch_up()
            if uuid is not None and uuid in self._turns:
                return _less(spent, self._turns[uuid])
            before = self._before(session, own, spent)
            self._note(session, uuid, spent, before)
            self._write({"session": session, "uuid": uuid, "spent": spent, "before": before})
            return _less(spent, before)

    def add_steps(self, session: str, steps: BySpent) -> None:
        """Note steps that were recorded one by one, because their turn was cut before its result."""
        with self._lock:
            self._catch_up()
            last = self._last.get(session)
            adrift = last is None or session in self._adrift
            spent = _plus(last or {}, steps)
            self._note(session, None, spent, None, spent if adrift else None)
            record = {"session": session, "uuid": None, "spent": spent, "before": None}
            self._write({**record, "cut": spent} if adrift else record)

    def _before(self, session: str, own: Mapping[str, int], spent: BySpent) -> BySpent:
        """Return the state that a turn began from; an empty one for the first turn of a session."""
        last = self._last.get(session)
        for model, figures in spent.items():
            rest = tuple(figures[name] - own.get(name, 0) for name in _TOKENS)
            if min(rest) < 0:
                continue
            if not any(rest):
                return {}
            known = [state for state in self._states_at(model, rest, last) if _is_within(state, spent)]
            if last is not None and last in known:
                return last
            if known:
                return max(known, key=_size)
            if (state := self._with_cuts(model, rest, last, len(self._cuts))) is not None:
                return state
        return last if last is not None and _is_within(last, spent) else {}

    def _with_cuts(
        self, model: str, rest: tuple[int, ...], last: BySpent | None, before: int, depth: int = 0
    ) -> BySpent | None:
        """Return the known state that leads to ``rest`` by cut turns of sessions with an unknown origin.

        A fork that is cut in its first turn has reported its steps, but not the state it began from.
        """
        if depth == len(_CUTS_MAX):
            return None
        for number in range(before - 1, max(before - _CUTS_MAX[depth], 0) - 1, -1):
            cut = self._cuts[number]
            remaining = tuple(
                count - cut.get(model, {}).get(name, 0) for name, count in zip(_TOKENS, rest, strict=True)
            )
            if min(remaining) < 0 or remaining == rest:
                continue
            state = next(iter(self._states_at(model, remaining, last)), {} if not any(remaining) else None)
            if state is None:
                state = self._with_cuts(model, remaining, last, number, depth + 1)
            if state is not None:
                return _plus(state, cut)
        return None

    def _states_at(self, model: str, rest: tuple[int, ...], last: BySpent | None) -> list[BySpent]:
        """Return the known states with these tokens of a model; those of other sessions too, for forks."""
        if self._path is not None:
            return self._states.get((model, rest), [])
        is_last = last is not None and tuple(last.get(model, {}).get(name, 0) for name in _TOKENS) == rest
        return [last] if is_last and last is not None else []

    def _note(
        self,
        session: str,
        uuid: str | None,
        spent: BySpent,
        before: BySpent | None,
        cut: BySpent | None = None,
    ) -> None:
        if cut is not None:
            self._cuts = [*self._cuts[1 - _SESSIONS_MAX :], cut]
            self._adrift.add(session)
        else:
            self._adrift.discard(session)
        if uuid is not None and before is not None:
            self._turns[uuid] = before
        self._last.pop(session, None)
        self._last[session] = spent
        for model, figures in spent.items():
            states = self._states.setdefault((model, tuple(figures[name] for name in _TOKENS)), [])
            if spent not in states:
                states.append(spent)
        while len(self._turns) > _STATES_MAX:
            del self._turns[next(iter(self._turns))]
        while len(self._last) > _SESSIONS_MAX:
            del self._last[next(iter(self._last))]
        while len(self._states) > _STATES_MAX:
            del self._states[next(iter(self._states))]

    def _catch_up(self) -> None:
        """Read what other processes have noted since. A file that cannot be read is treated as missing."""
        if self._path is None:
            return
        for line in self._new_lines(self._path):
            try:
                record = json.loads(line)
                self._note(
                    record["session"], record["uuid"], record["spent"], record["before"], record.get("cut")
                )
            except (ValueError, KeyError, TypeError):
                continue  # half a line, of a process that died while it wrote

    def _new_lines(self, path: Path) -> Iterator[str]:
        try:
            with path.open("rb") as file:
                file.seek(self._read)
                content = file.read()
        except OSError:
            return
        whole_lines = content[: content.rfind(b"\n") + 1]
        self._read += len(whole_lines)
        yield from whole_lines.decode(errors="replace").splitlines()

    def _write(self, record: Mapping[str, object]) -> None:
        if self._path is None:
            return
        line = json.dumps(record, separators=(",", ":")).encode() + b"\n"
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            descriptor = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        except OSError:
            return  # this process still knows the session
        with open(descriptor, "ab", buffering=0) as file:
            file.write(line)


SESSIONS: Final = KnownSessions()
"""The sessions of this process, used outside a tracker."""

CURRENT: Final[ContextVar[KnownSessions]] = ContextVar("agent_sessions", default=SESSIONS)
"""The sessions that results are compared with now."""

_of_storage: dict[Path, KnownSessions] = {}


def sessions_in(storage: Path) -> KnownSessions:
    """Return the sessions of a cost storage; one object for the whole process."""
    known = _of_storage.get(storage)
    return (
        _of_storage.setdefault(storage, KnownSessions(storage / "agent-sessions.jsonl"))
        if known is None
        else known
    )


@contextmanager
def compared_with(sessions: KnownSessions) -> Iterator[None]:
    """Compare results that are read in this block with the given sessions."""
    before = CURRENT.set(sessions)
    try:
        yield
    finally:
        CURRENT.reset(before)


def _less(spent: BySpent, before: BySpent) -> BySpent:
    return {
        model: {name: max(figure - before.get(model, {}).get(name, 0), 0) for name, figure in figures.items()}
        for model, figures in spent.items()
    }


def _plus(before: BySpent, more: BySpent) -> BySpent:
    result = {model: dict(figures) for model, figures in before.items()}
    for model, figures in more.items():
        sums = result.setdefault(model, dict.fromkeys(_TOKENS, 0))
        for name, figure in figures.items():
            sums[name] = sums.get(name, 0) + figure
    return result


def _is_within(state: BySpent, spent: BySpent) -> bool:
    return all(
        spent.get(model, {}).get(name, 0) >= figures[name]
        for model, figures in state.items()
        for name in _TOKENS
    )


def _size(state: BySpent) -> int:
    return sum(figures[name] for figures in state.values() for name in _TOKENS)
