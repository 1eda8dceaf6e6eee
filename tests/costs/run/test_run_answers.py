"""Answers that came and were not good enough, as ``run`` sees them while a library is at work.

litellm itself is tried in ``test_run_charges.py`` where it is installed (350 MB); here what it calls.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any

import pytest

from shared.costs.capture.captured import Captured
from shared.costs.run.answers import watch_answers
from shared.costs.run.calls import WrappedCall
from shared.costs.run.methods import Method

HANDLER = "litellm.llms.custom_httpx.http_handler"


def answer(number: int) -> dict[str, Any]:
    return {
        "id": f"chatcmpl-{number:024}",
        "object": "chat.completion",
        "model": "mistral-large-latest",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": "x"}}],
        "usage": {"prompt_tokens": 100, "completion_tokens": number, "total_tokens": 100 + number},
    }


class Response:
    def __init__(self, body: object) -> None:
        self.body = body

    def json(self) -> object:
        return self.body


class Handler:
    def post(self, body: object) -> Response:
        return Response(body)


class AsyncHandler:
    async def post(self, body: object) -> Response:
        return Response(body)


def post_call_processing(original_response: object, model: str, *, fits: bool) -> None:
    if not fits:
        raise ValueError(f"{model} answered otherwise")


@pytest.fixture
def litellm(monkeypatch: pytest.MonkeyPatch) -> Any:
    module: Any = ModuleType("litellm")
    module.get_llm_provider = lambda model, *_: (model, "mistral", None, None)
    module.utils, handlers = ModuleType("litellm.utils"), ModuleType(HANDLER)
    module.utils.post_call_processing = post_call_processing
    module.sync, module.later = (
        type("HTTPHandler", (Handler,), {}),
        type("AsyncHTTPHandler", (AsyncHandler,), {}),
    )
    handlers.__dict__.update(HTTPHandler=module.sync, AsyncHTTPHandler=module.later)
    for name, each in {"litellm": module, "litellm.utils": module.utils, HANDLER: handlers}.items():
        monkeypatch.setitem(sys.modules, name, each)
    watch_answers("litellm")
    return module


@dataclass
class Ticket:
    told: list[Captured] = field(default_factory=list)
    faults: list[BaseException] = field(default_factory=list)
    denied: None = None
    has_begun: bool | None = None

    def report(self, captured: Captured) -> None:
        self.told.append(captured)

    def failed(self, fault: BaseException) -> None:
        self.faults.append(fault)

    def sending(self) -> None: ...

    def unanswered(self) -> None: ...


def billed(work: Callable[[], object]) -> list[tuple[str, int]]:
    """Return the service and the output of each call that is told of; a failure without one is as such."""
    ticket = Ticket()
    method = Method("litellm.main", "completion", "response", calls_other_sdks=True)
    about = WrappedCall(method, None, (), {"model": "mistral/mistral-large-latest"}, ticket)
    with suppress(ValueError), about.failing():
        work()
    assert not (ticket.told and ticket.faults)
    return [(call.service, call.usage.tokens_output) for call in ticket.told] or [("", len(ticket.faults))]


@pytest.mark.parametrize(
    ("fitting", "found"),
    [(0, [("mistral", 1), ("mistral", 2)]), (2, [("mistral", 1)])],  # a result is read as any
)
def test_what_a_check_refuses_is_billed_each_time(
    litellm: Any, fitting: int, found: list[tuple[str, int]]
) -> None:
    def twice() -> None:
        with suppress(ValueError):
            once(1)
        once(2)

    def once(number: int) -> None:
        litellm.sync().post(answer(number))
        fits = number == fitting
        litellm.utils.post_call_processing(original_response=answer(number), model="m", fits=fits)

    assert billed(twice) == found


def test_what_cannot_be_made_a_result_of_is_billed(litellm: Any) -> None:
    def broken() -> None:
        litellm.sync().post({"access_token": "x"})  # no answer of a model
        litellm.sync().post(answer(1))
        asyncio.run(litellm.later().post(answer(2)))
        raise ValueError

    assert billed(broken) == [("mistral", 1), ("mistral", 2)]


def test_a_failure_without_an_answer_is_told_as_such(litellm: Any) -> None:
    def broken() -> None:
        litellm.sync().post({"error": "busy"})
        raise ValueError

    assert billed(broken) == [("", 1)]
    assert billed(lambda: litellm.sync().post(answer(1))) == [("", 0)]
    litellm.sync().post(answer(1))  # outside any call
    with pytest.raises(ValueError, match="answered otherwise"):
        litellm.utils.post_call_processing(answer(1), "m", fits=False)
