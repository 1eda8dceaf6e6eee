"""What an SDK has read of an answer, before it makes of it what the program asked for, which may fail.

``parse`` of OpenAI's and Anthropic's SDKs raises where an answer was cut off or does not fit its class
(``LengthFinishReasonError``, pydantic's ``ValidationError``). The answer has come, and is billed.
Source: ``parse`` of ``APIResponse`` in openai 3.57.0 and anthropic 2.14.0, 2026-11-30.
"""

from __future__ import annotations

from contextlib import suppress
from contextvars import ContextVar
from typing import Any, Final

READERS: Final = (
    ("openai._response", "BaseAPIResponse._parse"),
    ("openai._legacy_response", "LegacyAPIResponse._parse"),
    ("anthropic._response", "BaseAPIResponse._parse"),
)
"""What reads an answer in each SDK, before the class that the program gave is made of it."""

_under_way: Final[ContextVar[LastAnswer | None]] = ContextVar("answer_under_way", default=None)
"""Where the answer of the call goes whose SDK is at work in this thread or task."""


class LastAnswer:
    """The last answer that an SDK read while this was entered, in ``read``; ``None`` without one."""

    __slots__ = ("_before", "read")

    def __init__(self) -> None:
        self.read: Any = None

    def __enter__(self) -> LastAnswer:
        self._before = _under_way.get()
        _under_way.set(self)
        return self

    def __exit__(self, *_: object) -> None:
        _under_way.set(self._before)


def watch_answers(library: str) -> None:
    """Have an SDK show each answer as it has read it."""
    import wrapt

    for module, name in READERS:
        if module.startswith(f"{library}."):
            with suppress(ImportError, AttributeError):  # a version that has no such method
                wrapt.wrap_function_wrapper(module, name, _shown)


def _shown(wrapped: Any, _instance: Any, args: tuple[Any, ...], given: dict[str, Any]) -> Any:
    read = wrapped(*args, **given)
    if (answer := _under_way.get()) is not None:
        answer.read = read
    return read
