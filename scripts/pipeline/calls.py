"""The calls of a stage: each reserves what it may cost, is sent, and is recorded with what it did use."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from time import monotonic
from typing import Final, Protocol, TypeVar

from pipeline.engines import Needs, Spent
from pipeline.engines.chat.refusals import Voidable, void_if_refused

LOCAL: Final = "local"
"""The service of engines on this machine, whose time tells what it cost."""


class Tracker(Protocol):
    """The part of a cost tracker that a call needs; ``CostTracker`` has it."""

    @property
    def reserve(self) -> Callable[..., AbstractContextManager[Voidable]]:
        """Sets money aside for a call that is about to be sent."""

    @property
    def choose(self) -> Callable[..., AbstractContextManager[Choice]]:
        """Sets money aside for the first of several models that the budget allows."""

    @property
    def log_usage(self) -> Callable[..., float]:
        """Records a call with what it did use."""


class Choice(Protocol):
    """A model that the budget allows, by the name that was given, and what is held for it."""

    @property
    def name(self) -> str:
        """The model as it was given."""

    @property
    def hold(self) -> Voidable:
        """What is held for its call."""


class Engine(Protocol):
    """What every engine says of itself. ``service`` and ``model`` are its names in the ledger."""

    backend: str
    service: str
    model: str


E = TypeVar("E", bound=Engine)


class Record(Protocol):
    """Records the one call of a reservation; ``about`` goes into the entry's metadata."""

    def __call__(self, spent: Spent, **about: object) -> None:
        """Record what the call has used."""


@dataclass(frozen=True)
class StageCalls:
    """Makes the calls of one stage. ``override`` says by what a budget's refusal is overridden."""

    tracker: Tracker
    operation: str
    override: str | None

    @contextmanager
    def chosen(
        self, engines: Sequence[E], needs: Needs, instead_of: Engine | None = None
    ) -> Iterator[tuple[E, Record]]:
        """Choose the first engine that the budget still allows; give it, and what records its call.

        ``instead_of`` is the engine that was wanted: the entry of another one keeps its name.

        Raises:
            BudgetExceeded, BudgetGateUnavailable: all are denied, before anything is sent.
        """
        by_name = {name_of(engine): engine for engine in engines}
        with (
            self.tracker.choose(
                list(by_name),
                tokens_input=needs.tokens_input,
                max_tokens_output=needs.max_tokens_output,
                tokens_audio_input=needs.tokens_audio_input,
                audio_seconds=needs.audio_seconds,
                operation=self.operation,
                input_digest=needs.input_digest,
                override=self.override,
                instead_of=None if instead_of is None else name_of(instead_of),
            ) as choice,
            void_if_refused(choice.hold),
        ):
            engine = by_name[choice.name]
            yield engine, self._recorder(engine, choice.hold, needs)

    @contextmanager
    def reserved(self, engine: Engine, needs: Needs) -> Iterator[Record]:
        """Reserve what the call may cost, and give what records it.

        Left without a record the reservation goes on counting, since the call may have been served;
        only a certain refusal gives it back.

        Raises:
            BudgetExceeded, BudgetGateUnavailable: before anything is sent.

        Example::

            with calls.reserved(engine, engine.needs(audio)) as record:
                heard = engine.transcribe(audio)
                record(heard.spent, segments=len(heard.segments))
        """
        with (
            self.tracker.reserve(
                engine.service,
                engine.model,
                tokens_input=needs.tokens_input,
                max_tokens_output=needs.max_tokens_output,
                tokens_audio_input=needs.tokens_audio_input,
                audio_seconds=needs.audio_seconds,
                input_digest=needs.input_digest,
                override=self.override,
            ) as hold,
            void_if_refused(hold),
        ):
            yield self._recorder(engine, hold, needs)

    def _recorder(self, engine: Engine, hold: Voidable, needs: Needs) -> Record:
        began = monotonic()

        def record(spent: Spent, **about: object) -> None:
            took = {"gpu_seconds": round(monotonic() - began, 3)} if engine.service == LOCAL else {}
            self.tracker.log_usage(
                engine.service,
                engine.model,
                request_id=spent.request_id,
                operation=self.operation,
                reservation=hold,
                input_digest=needs.input_digest,
                metadata={"backend": engine.backend, **about, **spent.details},
                **spent.usage,
                **took,
            )

        return record


def name_of(engine: Engine) -> str:
    """Return how an engine's model is called where one is chosen."""
    return f"{engine.service}/{engine.model}"
