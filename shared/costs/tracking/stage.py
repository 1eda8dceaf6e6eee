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
    """How a stage is run: its name, where its lines go, and the how-manieth attempt it is.

    ``reserve`` (nano-dollars) is held for all its calls together; ``None`` holds nothing. ``reserve_calls``
    and ``reserve_tokens`` are held with it, where limits are on them. ``project`` and
    ``tags`` are those of its calls that name none, and of what is held.
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
        TypeError, ValueError: a name, an attempt or an amount makes no sense.

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

    Calls logged inside the block, also from tasks started in it, belong to it. Calls from threads
    of one's own do too while it is the only open stage of its tracker; otherwise log them with
    this object's own :meth:`log_usage`. A block with a ``yield`` in it stays open while its generator
    waits, and has the calls of whoever asked for the item; a generator that is decorated has its own alone.
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
        """The stage's name, as its entries carry it."""
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
        """Record a call of this stage, from whatever thread. As ``CostTracker.log_usage``; USD."""
        call = reported_call(service, model, tokens_input, tokens_output, self.name, metadata, **details)
        return self.log(call)

    def completed(self, call: Call) -> Call:
        """Return a call of this stage with what the stage says of it, where the call itself does not."""
        return replace(
            call,
            stage=call.stage or self.name,
            reservation=call.reservation or self.hold,
            project=call.project or self.options.project,
            tags=call.tags or self.options.tags,
        )

    def log(self, call: Call) -> float:
        """Record a checked call of this stage and return its USD."""
        return self.session.record(call, self)

    def count(self, outcome: RecordOutcome) -> None:
        """Add one recorded call to what the stage's line will say."""
        with self._lock:
            self.sums.calls += 1
            self.sums.local += outcome.local
            self.sums.unpriced += outcome.entry.unpriced_delta
            self.sums.partial += outcome.entry.partial_delta
            self.sums.cost = type(self.sums.cost)(self.sums.cost + outcome.entry.cost)

    def __enter__(self) -> Self:
        reserving = self._reserving()
        return self._entered(None if reserving is None else reserving.__enter__())

    def _reserving(self) -> Reserving | None:
        """Return what holds money for all calls of the block; ``None`` where nothing is to be held."""
        if self.options.reserve is None:
            return None
        try:
            from .reserving import Reserving, block_request
        except NOT_LOADED as fault:
            raise BudgetGateUnavailable(f"the budget gate cannot be loaded: {fault}; try again") from fault
        return Reserving(self.session, block_request(self.session, self.options, self.options.reserve))

    def _entered(self, hold: Hold | None) -> Self:
        self.hold = hold
        try:
            self._step_in()
        except BaseException:  # a signal handler's: the block is not entered, so nobody leaves it
            self._left(failed=True)
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._left(failed=kind is not None)
        self.session.report(self)

    def _left(self, *, failed: bool) -> None:
        """Give up what entering took; an exception that comes meanwhile keeps none of it."""
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
            with suppress(ValueError):  # it did not get there, or has left already
                self.session.open_stages.remove(self)

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Let calls that are made meanwhile belong to the stage that they are made in, not to this one."""
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
        return self._entered(None if reserving is None else await reserving.__aenter__())

    async def __aexit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self.__exit__(kind)

    def __call__(self, function: Callable[P, R]) -> Callable[P, R]:
        """Run every call of ``function`` as a stage of its own, of a generator all its steps."""
        if inspect.iscoroutinefunction(function):
            return cast("Callable[P, R]", self._around_coroutine(function))
        if inspect.isgeneratorfunction(function):
            return cast("Callable[P, R]", around_generator(self._another, function))
        if inspect.isasyncgenfunction(function):
            return cast("Callable[P, R]", around_async_generator(self._another, function))

        @functools.wraps(function)
        def staged(*args: P.args, **kwargs: P.kwargs) -> R:
            with self._another():
                return function(*args, **kwargs)

        return staged

    def _another(self) -> Stage:
        return Stage(self.session, self.options)

    def _around_coroutine(self, function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        async def staged(*args: Any, **kwargs: Any) -> Any:
            with self._another():
                return await function(*args, **kwargs)

        return staged

    def say(self, level: int, text: str) -> None:
        """Write a line to the stage's logger, or to standard error where it has none."""
        if self.options.logger is not None:
            self.options.logger.log(level, "%s", text)
            return
        encoding = sys.stderr.encoding or "ascii"
        print(text.encode(encoding, "replace").decode(encoding), file=sys.stderr)  # noqa: T201  # its job


# --- generators that are stages: what others do between two steps of one is no part of its stage

# A generator waits at its `yield` while its caller works on what it got. With the stage open meanwhile, the
# calls that the caller makes would be the stage's.


def around_generator(
    stage_of: Callable[[], Stage], function: Callable[..., Generator[Any, Any, Any]]
) -> Callable[..., Generator[Any, Any, Any]]:
    """Return ``function`` with each of its generators in a stage of its own, from first step to end."""

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
    """Return an asynchronous generator's function as :func:`around_generator` returns another one."""

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
