"""What sessions of agents had spent at each of their results, so that each turn counts once.

A result states the sum of its session so far: of every turn since the session began, also where another
process went on with it or with a fork of it (claude-agent-sdk from 0.3.277 on; before, a session that was
resumed began from zero). Its ``usage`` alone is the turn's own. What came before is found by that: a state
that is known, and that this turn alone leads on from.

The states are kept in a file of the cost storage, one line each, for the processes that come after. Without
one, only results of the same session are held against each other.
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
"""How many turns that were cut in sessions of unknown origin are tried, for one, two and three in a row."""
_TOKENS: Final = ("tokens_input", "tokens_output", "tokens_cached", "tokens_cache_write")

Place = tuple[str, tuple[int, ...]]


class KnownSessions:
    """The sessions that this process has seen results of; with a file, those of its storage's others too."""

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
        """Return what the turn of a result spent, by model; of a result that is read again, the same.

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

    def told(self, session: str, steps: BySpent) -> None:
        """Note steps that were recorded by themselves, since their turn was cut before its result."""
        with self._lock:
            self._catch_up()
            last = self._last.get(session)
            adrift = last is None or session in self._adrift
            spent = _plus(last or {}, steps)
            self._note(session, None, spent, None, spent if adrift else None)
            said = {"session": session, "uuid": None, "spent": spent, "before": None}
            self._write({**said, "cut": spent} if adrift else said)

    def _before(self, session: str, own: Mapping[str, int], spent: BySpent) -> BySpent:
        """Return the state that a turn began from: nothing where it is a session's first."""
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
        """Return the known state that leads to ``rest`` by turns that were cut in sessions of unknown origin.

        A fork that is cut in its first turn has told its steps, but not what it began from.
        """
        if depth == len(_CUTS_MAX):
            return None
        for number in range(before - 1, max(before - _CUTS_MAX[depth], 0) - 1, -1):
            cut = self._cuts[number]
            left = tuple(
                count - cut.get(model, {}).get(name, 0) for name, count in zip(_TOKENS, rest, strict=True)
            )
            if min(left) < 0 or left == rest:
                continue
            found = next(iter(self._states_at(model, left, last)), {} if not any(left) else None)
            if found is None:
                found = self._with_cuts(model, left, last, number, depth + 1)
            if found is not None:
                return _plus(found, cut)
        return None

    def _states_at(self, model: str, rest: tuple[int, ...], last: BySpent | None) -> list[BySpent]:
        """Return the known states with these tokens of a model: of a fork, those of another session."""
        if self._path is not None:
            return self._states.get((model, rest), [])
        mine = last is not None and tuple(last.get(model, {}).get(name, 0) for name in _TOKENS) == rest
        return [last] if mine and last is not None else []

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
        """Take in what other processes have noted since. A file that cannot be read is none."""
        if self._path is None:
            return
        for line in self._new_lines(self._path):
            try:
                said = json.loads(line)
                self._note(said["session"], said["uuid"], said["spent"], said["before"], said.get("cut"))
            except (ValueError, KeyError, TypeError):
                continue  # half a line of a process that died in it

    def _new_lines(self, path: Path) -> Iterator[str]:
        try:
            with path.open("rb") as file:
                file.seek(self._read)
                found = file.read()
        except OSError:
            return
        whole = found[: found.rfind(b"\n") + 1]
        self._read += len(whole)
        yield from whole.decode(errors="replace").splitlines()

    def _write(self, said: Mapping[str, object]) -> None:
        if self._path is None:
            return
        line = json.dumps(said, separators=(",", ":")).encode() + b"\n"
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            descriptor = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        except OSError:
            return  # the session is known to this process all the same
        with open(descriptor, "ab", buffering=0) as file:
            file.write(line)


SESSIONS: Final = KnownSessions()
"""Those of this process, where no tracker asks."""

CURRENT: Final[ContextVar[KnownSessions]] = ContextVar("agent_sessions", default=SESSIONS)
"""Those against which results are held now."""

_of_storage: dict[Path, KnownSessions] = {}


def sessions_in(storage: Path) -> KnownSessions:
    """Return the sessions of a cost storage, the same ones for all of this process."""
    known = _of_storage.get(storage)
    return (
        _of_storage.setdefault(storage, KnownSessions(storage / "agent-sessions.jsonl"))
        if known is None
        else known
    )


@contextmanager
def held_against(sessions: KnownSessions) -> Iterator[None]:
    """Hold results that are read in this block against the given sessions."""
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
        mine = result.setdefault(model, dict.fromkeys(_TOKENS, 0))
        for name, figure in figures.items():
            mine[name] = mine.get(name, 0) + figure
    return result


def _is_within(state: BySpent, spent: BySpent) -> bool:
    return all(
        spent.get(model, {}).get(name, 0) >= figures[name]
        for model, figures in state.items()
        for name in _TOKENS
    )


def _size(state: BySpent) -> int:
    return sum(figures[name] for figures in state.values() for name in _TOKENS)
