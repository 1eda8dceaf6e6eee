"""Generators that are stages: what others do between two steps of one is no part of its stage.

A generator waits at its ``yield`` while its caller works on what it got. With the stage open meanwhile, the
calls that the caller makes would be the stage's.
"""

from __future__ import annotations

import functools
from collections.abc import AsyncGenerator, Callable, Generator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .stage import Stage


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
