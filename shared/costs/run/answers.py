"""What an SDK has read of an answer, before it makes of it what the program asked for, which may fail.

``parse`` of OpenAI's and Anthropic's SDKs raises where an answer was cut off or does not fit its class
(``LengthFinishReasonError``, pydantic's ``ValidationError``), and litellm where one does not fit a schema
(``enable_json_schema_validation``), breaks a rule of the caller's, or has a shape that it does not know. The
answer has come, and is billed. Source: ``parse`` of ``APIResponse`` in openai 3.57.0 and anthropic 2.14.0,
``post_call_processing`` and ``HTTPHandler`` in litellm 1.110.2, 2026-11-30.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from contextvars import ContextVar
from typing import Any, Final

_under_way: Final[ContextVar[LastAnswer | None]] = ContextVar("answer_under_way", default=None)
"""Where the answer of the call goes whose SDK is at work in this thread or task."""


class LastAnswer:
    """What SDKs read while this was entered, as functions that give it.

    ``reads`` are the answers of which a result may come, ``refused`` those before them that were not good
    enough: the call may have been made again.
    """

    __slots__ = ("_before", "reads", "refused")

    def __init__(self) -> None:
        self.reads: list[Callable[[], Any]] = []
        self.refused: list[Callable[[], Any]] = []

    def __enter__(self) -> LastAnswer:
        self._before = _under_way.get()
        _under_way.set(self)
        return self

    def __exit__(self, *_: object) -> None:
        _under_way.set(self._before)


def watch_answers(library: str) -> None:
    """Have an SDK show each answer as it has read it."""
    import wrapt

    for (module, name), shown in _READERS.items():
        if module.startswith(f"{library}."):
            with suppress(ImportError, AttributeError):  # a version that has no such method
                wrapt.wrap_function_wrapper(module, name, shown)


def _parsed(wrapped: Any, _instance: Any, args: tuple[Any, ...], given: dict[str, Any]) -> Any:
    read = wrapped(*args, **given)
    if (answer := _under_way.get()) is not None:
        answer.reads = [lambda: read]
    return read


def _checked(wrapped: Any, _instance: Any, args: tuple[Any, ...], given: dict[str, Any]) -> Any:
    read, answer = args[0] if args else given["original_response"], _under_way.get()
    try:
        return wrapped(*args, **given)
    except Exception:
        if answer is not None:
            answer.reads = []
            answer.refused.append(lambda: read)
        raise


def _body(wrapped: Any, _instance: Any, args: tuple[Any, ...], given: dict[str, Any]) -> Any:
    return _sent(wrapped(*args, **given))


async def _body_later(wrapped: Any, _instance: Any, args: tuple[Any, ...], given: dict[str, Any]) -> Any:
    return _sent(await wrapped(*args, **given))


def _sent(response: Any) -> Any:
    if (answer := _under_way.get()) is not None:
        answer.reads.append(response.json)
    return response


_READERS: Final = {
    ("openai._response", "BaseAPIResponse._parse"): _parsed,
    ("openai._legacy_response", "LegacyAPIResponse._parse"): _parsed,
    ("anthropic._response", "BaseAPIResponse._parse"): _parsed,
    ("litellm.utils", "post_call_processing"): _checked,
    ("litellm.llms.custom_httpx.http_handler", "HTTPHandler.post"): _body,
    ("litellm.llms.custom_httpx.http_handler", "AsyncHTTPHandler.post"): _body_later,
}
"""What reads an answer in each SDK, before it makes of it what was asked for, and how that is seen."""
