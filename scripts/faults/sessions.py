"""Random Realtime and agent sessions, cut, resumed, forked and replayed: each billed turn is recorded once.

    python3 scripts/faults/sessions.py [--steps 1000] [--seed 1]

What the sessions really used is kept beside what their events and results state, and held against the
ledger.
"""

from __future__ import annotations

import random
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from scripts.faults.command_line import command_line
from scripts.faults.common import conclude
from shared.cost_tracker import CostTracker
from shared.costs.capture import agent_sessions
from shared.costs.ledger.reader import read
from shared.costs.model import Entry

MAIN, HELPER, VOICE, LISTENER = "claude-sonnet-4-6", "claude-haiku-4-5", "gpt-realtime", "gpt-4o-transcribe"
_MOST: Final = 1_000_000

Tokens = dict[str, tuple[int, int]]
"""Input and output tokens by model."""


def _plus(one: Tokens, other: Tokens) -> Tokens:
    models = {*one, *other}
    none = (0, 0)
    return {
        model: tuple(a + b for a, b in zip(one.get(model, none), other.get(model, none), strict=True))  # type: ignore[misc]  # two of them
        for model in models
    }


@dataclass
class World:
    """The sessions that go on in one cost storage, and what was really billed."""

    rng: random.Random
    job: Path
    home: Path
    billed: Counter[tuple[str, str]] = field(default_factory=Counter)
    agents: list[tuple[str, Tokens]] = field(default_factory=list)
    results: list[dict[str, Any]] = field(default_factory=list)
    events: list[list[dict[str, Any]]] = field(default_factory=list)
    made: int = 0

    def name(self, kind: str) -> str:
        """Return an id that nothing else has."""
        self.made += 1
        return f"{kind}-{self.made:06}"

    def bill(self, tokens: Tokens) -> None:
        """Count what a provider bills."""
        for model, (inputs, outputs) in tokens.items():
            self.billed[model, "in"] += inputs
            self.billed[model, "out"] += outputs

    def tokens(self) -> tuple[int, int]:
        """Return the tokens of a turn."""
        return self.rng.randint(1, _MOST), self.rng.randint(1, _MOST)

    # --- agents

    def agent_turn(self, tracker: CostTracker) -> None:
        """One turn of a session that is new, resumed or forked, which may be cut before its result."""
        session, before = self._agent()
        own = self.tokens()
        turn: Tokens = {MAIN: own}
        cut = self.rng.random() < 0.2
        if not cut and self.rng.random() < 0.3:
            turn[HELPER] = self.tokens()
        self.bill(turn)
        spent = _plus(before, turn)
        self.agents.append((session, spent))
        steps = self._steps(session, own)
        if cut:
            for _ in tracker.log_stream(iter(steps)):
                pass
            return
        result = self._result(session, own, spent)
        self.results.append(result)
        if self.rng.random() < 0.5:
            tracker.log_response(result)
        else:
            for _ in tracker.log_stream(iter([*steps, result])):
                pass

    def _agent(self) -> tuple[str, Tokens]:
        how = self.rng.random()
        if not self.agents or how < 0.4:
            return self.name("session"), {}
        session, _ = self.rng.choice(self.agents)
        latest = next(spent for name, spent in reversed(self.agents) if name == session)
        return (session if how < 0.8 else self.name("fork")), latest

    def _steps(self, session: str, own: tuple[int, int]) -> list[dict[str, Any]]:
        first = tuple(self.rng.randint(0, count) for count in own)
        parts = [first, tuple(count - done for count, done in zip(own, first, strict=True))]
        return [
            {
                "message_id": self.name("msg"),
                "session_id": session,
                "model": MAIN,
                "usage": {"input_tokens": inputs, "output_tokens": outputs},
            }
            for inputs, outputs in parts
        ]

    def _result(self, session: str, own: tuple[int, int], spent: Tokens) -> dict[str, Any]:
        models = {
            model: {"inputTokens": inputs, "outputTokens": outputs}
            for model, (inputs, outputs) in spent.items()
        }
        usage = {"input_tokens": own[0], "output_tokens": own[1]}
        about = {"type": "result", "session_id": session, "uuid": self.name("uuid"), "num_turns": 1}
        return {**about, "usage": usage, "model_usage": models, "total_cost_usd": 0.0}

    # --- Realtime

    def voice_session(self, tracker: CostTracker) -> None:
        """A connection of some turns, with what it wrote down of its input; it may be cut within a turn."""
        begin = {"type": "session.created", "session": {"type": "realtime", "model": VOICE, **_LISTENS}}
        events: list[dict[str, Any]] = [begin]
        for _ in range(self.rng.randint(0, 4)):
            events += self._voice_turn()
        if self.rng.random() < 0.3:
            cut = {"type": "response.output_audio_transcript.delta", "response_id": self.name("resp")}
            events.append({**cut, "delta": "and so"})
        self.events.append(events)
        stream = tracker.log_stream(each for each in events)
        for _ in stream:
            if self.rng.random() < 0.02:
                break
        else:
            return
        for _ in stream:  # read on by another loop
            pass

    def _voice_turn(self) -> Iterator[dict[str, Any]]:
        inputs, outputs = self.tokens()
        self.bill({VOICE: (inputs, outputs)})
        usage = {"input_tokens": inputs, "output_tokens": outputs, "total_tokens": inputs + outputs}
        response = {
            "object": "realtime.response",
            "id": self.name("resp"),
            "status": "completed",
            "usage": usage,
        }
        if self.rng.random() < 0.5:
            heard, written = self.tokens()
            self.bill({LISTENER: (heard, written)})
            said = {
                "type": "tokens",
                "input_tokens": heard,
                "output_tokens": written,
                "total_tokens": heard + written,
            }
            kind = "conversation.item.input_audio_transcription.completed"
            yield {"type": kind, "item_id": self.name("item"), "content_index": 0, "usage": said}
        yield {"type": "response.done", "response": response}

    # --- all

    def step(self, tracker: CostTracker) -> None:
        """One thing that happens: a turn, a connection, something told again, another process."""
        how = self.rng.random()
        if how < 0.45:
            self.agent_turn(tracker)
        elif how < 0.8:
            self.voice_session(tracker)
        elif how < 0.88 and self.results:
            tracker.log_response(self.rng.choice(self.results))
        elif how < 0.96 and self.events:
            for _ in tracker.log_stream(iter(self.rng.choice(self.events))):
                pass
        else:
            agent_sessions._of_storage.clear()  # what a process has that begins now

    def recorded(self) -> Counter[tuple[str, str]]:
        """Return what the ledger has."""
        found: Counter[tuple[str, str]] = Counter()
        for each in read(self.job / "cost_ledger.jsonl"):
            assert isinstance(each.content, Entry), each
            if each.content.unpriced_units.get("requests"):
                continue  # a turn that was cut before anybody stated it
            found[each.content.model, "in"] += each.content.usage.tokens_input
            found[each.content.model, "out"] += each.content.usage.tokens_output
        return found


_LISTENS: Final = {"audio": {"input": {"transcription": {"model": LISTENER}}}}


def run(steps: int, seed: int, folder: Path) -> World:
    """Let this many things happen, and return the world after them."""
    world = World(random.Random(seed), folder / "job", folder / "home")
    with CostTracker(world.job, "1", cost_storage_path=world.home) as tracker:
        for _ in range(steps):
            world.step(tracker)
    return world


def main() -> int:
    """Run the program; exit code 1 where a turn is missing or counted twice."""
    given = command_line(__doc__, steps=1_000, seed=1).parse_args()
    with tempfile.TemporaryDirectory() as folder:
        world = run(given.steps, given.seed, Path(folder))
        billed, recorded = +world.billed, +world.recorded()
    for key in sorted({*billed, *recorded}):
        mark = "" if billed[key] == recorded[key] else "   WRONG"
        print(f"{key[0]:22} {key[1]:3} billed {billed[key]:>15,} recorded {recorded[key]:>15,}{mark}")
    return conclude("sessions", billed == recorded, seed=given.seed, steps=given.steps)


if __name__ == "__main__":
    sys.exit(main())
