"""``with tracker.stage(...)``: a stage's calls, its cost line and its alerts.

Works as a context manager and as a decorator, for ordinary and for ``async`` code, and around generators.
"""

from __future__ import annotations

import functools
import inspect
import logging
import sys
from collections.abc import AsyncGenerator, Callable, Generator, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple, ParamSpec, Self, TypedDict, TypeVar, Unpack, cast

from ..errors import NOT_LOADED, BudgetGateUnavailable
from ..forks import lock_of
from ..money import Nanos, from_usd
from .call import Call, reported_call, tag_names
from .context import INNERMOST, name, optional_name, positive
from .costline import StageSums

if TYPE_CHECKING:
    from ..budgets.hold import Hold
    from .call import CallDetails
    from .recording import RecordOutcome
    from .reserving import Reserving
    from .session import Session

P = ParamSpec("P")
R = TypeVar("R")


class StageOptions(NamedTuple):
    """How a stage is run: its name, where its lines go, and which attempt this is, from 1.

    ``reserve`` (nano-dollars) is held for all its calls together; ``None`` holds nothing. ``reserve_calls``
    and ``reserve_tokens`` are held with it, if there are limits on calls or tokens. ``project`` and
    ``tags`` apply to its calls that have none, and to what is held.
    """

    name: str
    logger: logging.Logger | None = None
    attempt: int = 1
    reserve: Nanos | None = None
    override: str | None = None
    project: str | None = None
    tags: tuple[str, ...] = ()
    reserve_calls: int | None = None
    reserve_tokens: int | None = None


class StageArguments(TypedDict, total=False):
    """The keyword arguments of ``CostTracker.stage``; ``reserve`` in USD."""

    logger: logging.Logger | None
    attempt: int | None
    reserve: float | str | None
    reserve_calls: int | None
    reserve_tokens: int | None
    override: str | None
    project: str | None
    tags: Iterable[str]


def stage_options(stage: str, arguments: StageArguments) -> StageOptions:
    """Check the arguments of ``CostTracker.stage``.

    Raises:
        TypeError, ValueError: a name, an attempt or an amount is not valid.

    """
    unknown = arguments.keys() - StageArguments.__annotations__.keys()
    if unknown:
        raise TypeError(f"{min(unknown)!r} is not an argument of stage")
    reserve = arguments.get("reserve")
    return StageOptions(
        name("stage", stage),
        arguments.get("logger"),
        positive("attempt", arguments.get("attempt")) or 1,
        None if reserve is None else _amount(reserve),
        optional_name("override", arguments.get("override")),
        optional_name("project", arguments.get("project")),
        tag_names(arguments.get("tags", ())),
        positive("reserve_calls", arguments.get("reserve_calls")),
        positive("reserve_tokens", arguments.get("reserve_tokens")),
    )


def _amount(reserve: float | str) -> Nanos:
    amount = from_usd(reserve)
    if amount < 0:
        raise ValueError(f"reserve must not be negative, but is {reserve!r}")
    return amount


class Stage:
    """One run of one stage. Made by ``CostTracker.stage``.

    Calls logged inside the block, also from tasks started in it, belong to it. So do calls from other
    threads while it is the only open stage of its tracker; otherwise log them with this object's own
    :meth:`log_usage`. A block with a ``yield`` in it stays open while its generator waits, and so gets the
    calls that its consumer makes; a decorated generator gets only its own.
    """

    def __init__(self, session: Session, options: StageOptions) -> None:
        self.options = options
        self.sums = StageSums()
        self.outer: Stage | None = None
        self.hold: Hold | None = None
        self.session = session
        self._lock = lock_of(self, "_lock")

    @property
    def name(self) -> str:
        """The stage's name, as in its entries."""
        return self.options.name

    def log_usage(
        self,
        service: str,
        model: str,
        tokens_input: int = 0,
        tokens_output: int = 0,
        metadata: Mapping[str, object] | None = None,
        **details: Unpack[CallDetails],
    ) -> float:
        """Record a call of this stage from any thread, as ``CostTracker.log_usage``; return its USD."""
        call = reported_call(service, model, tokens_input, tokens_output, self.name, metadata, **details)
        return self.log(call)

    def completed(self, call: Call) -> Call:
        """Return a call with the stage's name, reservation, project and tags, if it has none of its own."""
        return replace(
            call,
            stage=call.stage or self.name,
            reservation=call.reservation or self.hold,
            project=call.project or self.options.project,
            tags=call.tags or self.options.tags,
        )

    def log(self, call: Call) -> float:
        """Record a checked call of this stage and return its cost in USD."""
        return self.session.record(call, self)

    def count(self, outcome: RecordOutcome) -> None:
        """Add one recorded call to the sums of the stage's cost line."""
        with self._lock:
            self.sums.calls += 1
            self.sums.local += outcome.local
            self.sums.unpriced += outcome.entry.unpriced_delta
            self.sums.partial += outcome.entry.partial_delta
            self.sums.cost = type(self.sums.cost)(self.sums.cost + outcome.entry.cost)

    def __enter__(self) -> Self:
        reserving = self._reserving()
        return self._enter(None if reserving is None else reserving.__enter__())

    def _reserving(self) -> Reserving | None:
        """Return the reservation for all calls of the block; ``None`` if nothing is to be held."""
        if self.options.reserve is None:
            return None
        try:
            from .reserving import Reserving, block_request
        except NOT_LOADED as fault:
            raise BudgetGateUnavailable(f"the budget gate cannot be loaded: {fault}; try again") from fault
        return Reserving(self.session, block_request(self.session, self.options, self.options.reserve))

    def _enter(self, hold: Hold | None) -> Self:
        self.hold = hold
        try:
            self._step_in()
        except BaseException:  # a signal handler's: the block is not entered, so nobody leaves it
            self._leave(failed=True)
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._leave(failed=kind is not None)
        self.session.report(self)

    def _leave(self, *, failed: bool) -> None:
        """Undo what entering did, the hold too, even if an exception interrupts it."""
        try:
            self._step_out()
        finally:
            if self.hold is not None:
                self.hold.close(failed=failed)

    def _step_out(self) -> None:
        try:
            if INNERMOST.get() is self:
                INNERMOST.set(self.outer)
        finally:
            with suppress(ValueError):  # it was not added yet, or is removed already
                self.session.open_stages.remove(self)

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Let calls made in this block belong to the surrounding stage instead of this one."""
        self._step_out()
        try:
            yield
        finally:
            self._step_in()

    def _step_in(self) -> None:
        self.outer = INNERMOST.get()
        INNERMOST.set(self)
        self.session.open_stages.append(self)

    async def __aenter__(self) -> Self:
        reserving = self._reserving()
        return self._enter(None if reserving is None else await reserving.__aenter__())

    async def __aexit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self.__exit__(kind)

    def __call__(self, function: Callable[P, R]) -> Callable[P, R]:
        """Run each call of ``function`` as a stage of its own; for a generator, all its steps."""
        if inspect.iscoroutinefunction(function):
            return cast("Callable[P, R]", self._around_coroutine(function))
        if inspect.isgeneratorfunction(function):
            return cast("Callable[P, R]", around_generator(self._new_run, function))
        if inspect.isasyncgenfunction(function):
            return cast("Callable[P, R]", around_async_generator(self._new_run, function))

        @functools.wraps(function)
        def staged(*args: P.args, **kwargs: P.kwargs) -> R:
            with self._new_run():
                return function(*args, **kwargs)

        return staged

    def _new_run(self) -> Stage:
        return Stage(self.session, self.options)

    def _around_coroutine(self, function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        async def staged(*args: Any, **kwargs: Any) -> Any:
            with self._new_run():
                return await function(*args, **kwargs)

        return staged

    def say(self, level: int, text: str) -> None:
        """Write a line to the stage's logger, or to standard error where it has none."""
        if self.options.logger is not None:
            self.options.logger.log(level, "%s", text)
            return
        encoding = sys.stderr.encoding or "ascii"
        print(text.encode(encoding, "replace").decode(encoding), file=sys.stderr)  # noqa: T201  # its job


# --- generators as stages: what the caller does between two steps is not part of the stage

# A generator waits at its `yield` while its caller works on the item. If the stage stayed open meanwhile, the
# caller's calls would count as the stage's.


def around_generator(
    stage_of: Callable[[], Stage], function: Callable[..., Generator[Any, Any, Any]]
) -> Callable[..., Generator[Any, Any, Any]]:
    """Return ``function`` with each of its generators in its own stage, from first step to end."""

    @functools.wraps(function)
    def staged(*args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:
        with stage_of() as stage:
            steps = function(*args, **kwargs)
            step: Callable[[], Any] = functools.partial(next, steps)
            while True:
                try:
                    item = step()
                except StopIteration as end:
                    return end.value
                with stage.paused():
                    try:
                        sent = yield item
                    except BaseException as fault:  # the generator's own concern, GeneratorExit too
                        step = functools.partial(steps.throw, fault)
                    else:
                        step = functools.partial(steps.send, sent)

    return staged


def around_async_generator(
    stage_of: Callable[[], Stage], function: Callable[..., AsyncGenerator[Any, Any]]
) -> Callable[..., AsyncGenerator[Any, Any]]:
    """As :func:`around_generator`, for a function of asynchronous generators."""

    @functools.wraps(function)
    async def staged(*args: Any, **kwargs: Any) -> AsyncGenerator[Any, Any]:
        async with stage_of() as stage:
            steps = function(*args, **kwargs)
            step: Callable[[], Any] = steps.__anext__
            while True:
                try:
                    item = await step()
                except StopAsyncIteration:
                    return
                with stage.paused():
                    try:
                        sent = yield item
                    except BaseException as fault:
                        step = functools.partial(steps.athrow, fault)
                    else:
                        step = functools.partial(steps.asend, sent)

    return staged
