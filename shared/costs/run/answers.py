"""Answers that an SDK has read and then failed to turn into what the program asked for.

``parse`` of OpenAI's and Anthropic's SDKs raises if an answer was cut off or does not fit its class
(``LengthFinishReasonError``, pydantic's ``ValidationError``), and litellm if it does not fit a schema
(``enable_json_schema_validation``), breaks a rule of the caller, or has an unknown shape. The answer
has arrived and is billed. Source: ``parse`` of ``APIResponse`` in openai 3.57.0 and anthropic 2.14.0,
``post_call_processing`` and ``HTTPHandler`` in litellm 1.110.2, 2026-11-30.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from contextvars import ContextVar
from typing import Any, Final

_current: Final[ContextVar[LastAnswer | None]] = ContextVar("current_answer", default=None)
"""Collects the answers of the call that this thread or task is making."""


class LastAnswer:
    """The answers that SDKs read inside this context, as functions that return them.

    ``reads`` are the answers that may become the result. ``refused`` are earlier ones that the SDK rejected,
    after which it may have repeated the call.
    """

    __slots__ = ("_before", "reads", "refused")

    def __init__(self) -> None:
        self.reads: list[Callable[[], Any]] = []
        self.refused: list[Callable[[], Any]] = []

    def __enter__(self) -> LastAnswer:
        self._before = _current.get()
        _current.set(self)
        return self

    def __exit__(self, *_: object) -> None:
        _current.set(self._before)


def watch_answers(library: str) -> None:
    """Collect each answer of an SDK as soon as the SDK has read it."""
    import wrapt

    for (module, name), wrapper in _READERS.items():
        if module.startswith(f"{library}."):
            with suppress(ImportError, AttributeError):  # a version that has no such method
                wrapt.wrap_function_wrapper(module, name, wrapper)


def _parsed(wrapped: Any, _instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    response = wrapped(*args, **kwargs)
    if (answer := _current.get()) is not None:
        answer.reads = [lambda: response]
    return response


def _checked(wrapped: Any, _instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    response, answer = args[0] if args else kwargs["original_response"], _current.get()
    try:
        return wrapped(*args, **kwargs)
    except Exception:
        if answer is not None:
            answer.reads = []
            answer.refused.append(lambda: response)
        raise


def _body(wrapped: Any, _instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    return _collect(wrapped(*args, **kwargs))


async def _body_async(wrapped: Any, _instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    return _collect(await wrapped(*args, **kwargs))


def _collect(response: Any) -> Any:
    if (answer := _current.get()) is not None:
        answer.reads.append(response.json)
    return response


_READERS: Final = {
    ("openai._response", "BaseAPIResponse._parse"): _parsed,
    ("openai._legacy_response", "LegacyAPIResponse._parse"): _parsed,
    ("anthropic._response", "BaseAPIResponse._parse"): _parsed,
    ("litellm.utils", "post_call_processing"): _checked,
    ("litellm.llms.custom_httpx.http_handler", "HTTPHandler.post"): _body,
    ("litellm.llms.custom_httpx.http_handler", "AsyncHTTPHandler.post"): _body_async,
}
"""The functions of each SDK that read an answer, and the wrappers that collect it."""
