"""Gemini CLI: a line for each state of an answer, identified by the answer's id.

``~/.gemini/tmp/PROJECT/chats/session-*.jsonl``; before 0.4x one JSON document per session (``.json``). Seen
on 2026-11-29 with 0.61.0 (``npm install @google/gemini-cli``), run against a server of known usage:

* An answer is written again after its tools have run: with the same id and the same tokens.
* A resumed session continues in its file, and repeats its messages there without their tokens.
* ``input`` includes the cache; ``thoughts`` and ``tool`` (input from tools) are not included in ``output``
and
  ``input``, and are billed with them.
* An interrupted answer leaves no line, and neither do the requests that summarise or route.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import msgspec

from ...platform import with_home
from .calls import ModelCall, Program, Remarks, UsageDecoder, counted, instant
from .files import LogFile, LogSample


class _GeminiTokens(msgspec.Struct):
    input: int | None = 0
    output: int | None = 0
    cached: int | None = 0
    thoughts: int | None = 0
    tool: int | None = 0
    total: int | None = 0


class _GeminiMessage(msgspec.Struct):
    id: str = ""
    type: str = ""
    timestamp: str = ""
    model: str | None = None
    tokens: msgspec.Raw = msgspec.Raw(b"null")
    session_id: str | None = msgspec.field(default=None, name="sessionId")
    kind: str | None = None


_message: Final = msgspec.json.Decoder(_GeminiMessage).decode
_counts: Final = UsageDecoder(_GeminiTokens, all_numbers=True)


def _read(file: LogFile, remarks: Remarks) -> Iterator[ModelCall]:
    if file.path.suffix == ".json":
        yield from _document(file, remarks)
        return
    for raw in file.lines_with(b'"tokens"', b'"sessionId"'):
        try:
            message = _message(raw)
            if message.session_id:
                file.state.setdefault("session", message.session_id)
                file.state["kind"] = message.kind or file.state.get("kind")
            call = _call(message, file.state)
        except (msgspec.DecodeError, ValueError, TypeError) as fault:
            if not file.retry(raw):
                remarks.refuse(str(file.path), f"a line of usage is not as expected: {fault}")
            continue
        if call is not None:
            yield call


def _document(file: LogFile, remarks: Remarks) -> Iterator[ModelCall]:
    document = file.document()
    if not isinstance(document, dict) or not isinstance(document.get("messages"), list):
        raise ValueError("is not a session: it has no list of messages")  # noqa: TRY004 - a value of the file
    file.state["session"] = str(document.get("sessionId") or file.path.stem)
    for number, message in enumerate(document["messages"], start=1):
        try:
            call = _call(_message(msgspec.json.encode(message)), file.state)
        except (msgspec.ValidationError, ValueError, TypeError) as fault:
            remarks.refuse(f"{file.path}, message {number}", f"is not as expected: {fault}")
            continue
        if call is not None:
            yield call


def _call(message: _GeminiMessage, state: Mapping[str, Any]) -> ModelCall | None:
    if message.type != "gemini":
        return None
    tokens, unread = _counts(message.tokens)
    if tokens is None:
        return None
    thoughts = tokens.thoughts or 0
    usage, fault = counted(
        tokens_input=(tokens.input or 0) + (tokens.tool or 0),
        tokens_output=(tokens.output or 0) + thoughts,
        tokens_cached=tokens.cached,
        tokens_reasoning=thoughts,
    )
    session = str(state.get("session") or "")
    kind = state.get("kind")
    return ModelCall(
        key=message.id if len(message.id) >= 16 else f"{session}/{message.id}",
        at=instant(message.timestamp),
        service="google",
        model=message.model or "unknown",
        usage=usage,
        session=session,
        agent=kind if kind not in (None, "main") else None,
        incomplete=fault,
        unread=unread,
    )


def _places(home: Path, environ: Mapping[str, str]) -> list[Path]:
    return [with_home(environ.get("GEMINI_CLI_HOME") or home) / ".gemini" / "tmp"]


def _is_log(path: Path) -> bool:
    return path.suffix in (".json", ".jsonl") and "chats" in path.parent.parts


def _recognises(sample: LogSample) -> bool:
    if {"sessionId", "projectHash", "startTime"} <= sample.first.keys():
        return True
    if b'"projectHash"' not in sample.head or b'"messages"' not in sample.head:
        return False
    try:
        return "projectHash" in json.loads(sample.path.read_bytes())
    except (ValueError, RecursionError, TypeError):
        return False


PROGRAM: Final = Program(
    name="gemini-cli",
    title="Gemini CLI",
    summary="Gemini CLI's sessions, ~/.gemini/tmp/*/chats.",
    versions=(),
    places=_places,
    is_log=_is_log,
    recognises=_recognises,
    read=_read,
)
