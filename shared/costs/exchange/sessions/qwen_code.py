"""Qwen Code: a file of every billed request, and for older versions the events in its sessions.

``~/.qwen/usage/token-usage-YYYY-MM.jsonl`` and ``~/.qwen/projects/PROJECT/chats/SESSION.jsonl``. Seen on
2026-11-29 with 0.24.4 (``npm install @qwen-code/qwen-code``), run against servers of known usage:

* The usage file has a line for each billed request, also for those without an answer in the session (the
  extractor of memories). From its first line of a session on, only the usage file counts for that session.
* In a session, the ``ui_telemetry`` events of ``qwen-code.api_response`` are all requests; older logs have
usage
  only on the answers (``usageMetadata``).
* The output *includes* thoughts with an endpoint of OpenAI's format, and *excludes* them with Gemini's: the
total
  shows which. Input includes the cache.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

import msgspec

from ...model import NO_UNITS, Units
from ...platform import with_home
from ...pricing.names import infer_service
from .calls import ModelCall, Program, Remarks, UsageDecoder, counted, instant, last_part, note_version
from .files import LogFile, LogSample, opened_log, plain_path

VERSIONS: Final = ("0",)


class _Event(msgspec.Struct):
    name: str = msgspec.field(default="", name="event.name")
    response_id: str | None = None
    model: str = ""
    input_token_count: int | None = 0
    output_token_count: int | None = 0
    cached_content_token_count: int | None = 0
    thoughts_token_count: int | None = 0
    total_token_count: int | None = 0
    auth_type: str | None = None
    subagent_name: str | None = None


_NONE: Final = msgspec.Raw(b"null")


class _Telemetry(msgspec.Struct):
    event: msgspec.Raw = msgspec.field(default=_NONE, name="uiEvent")


class _QwenMetadata(msgspec.Struct, rename="camel"):
    prompt_token_count: int | None = 0
    candidates_token_count: int | None = 0
    thoughts_token_count: int | None = 0
    cached_content_token_count: int | None = 0
    total_token_count: int | None = 0


class _ChatLine(msgspec.Struct, rename="camel"):
    type: str = ""
    uuid: str = ""
    session_id: str = ""
    timestamp: str = ""
    cwd: str = ""
    version: str | None = None
    model: str = ""
    system_payload: _Telemetry | None = None
    usage_metadata: msgspec.Raw = _NONE


class _UsageLine(msgspec.Struct, rename="camel"):
    schema_version: int = 0
    id: str = ""
    timestamp: str = ""
    session_id: str = ""
    model: str = ""
    auth_type: str | None = None
    source: str | None = None
    input_tokens: int | None = 0
    output_tokens: int | None = 0
    cached_tokens: int | None = 0
    thoughts_tokens: int | None = 0
    total_tokens: int | None = 0


_chat_line: Final = msgspec.json.Decoder(_ChatLine).decode
_usage_line: Final = msgspec.json.Decoder(_UsageLine).decode
_event: Final = UsageDecoder(_Event)
_metadata: Final = UsageDecoder(_QwenMetadata)
_counted_line: Final = UsageDecoder(_UsageLine)
SCHEMA: Final = 1


def _read(file: LogFile, remarks: Remarks) -> Iterator[ModelCall]:
    if _is_usage_file(file.path):
        yield from _read_usage_file(file, remarks)
    else:
        yield from _read_session(file, remarks)


def _read_usage_file(file: LogFile, remarks: Remarks) -> Iterator[ModelCall]:
    for raw in file.lines_with(b'"inputTokens"'):
        try:
            line, unread = _counted_line(msgspec.Raw(raw))
            if line is None:
                continue
            if line.schema_version != SCHEMA:
                remarks.versions[f"usage schema {line.schema_version}"] += 1
            counts = (
                line.input_tokens,
                line.output_tokens,
                line.cached_tokens,
                line.thoughts_tokens,
                line.total_tokens,
            )
            call = _call(f"usage/{line.id}", line.timestamp, line.model, counts, line.auth_type)
            agent = line.source if line.source not in (None, "main") else None
            yield call._replace(session=line.session_id, agent=agent, unread=_token_units(unread))
        except (msgspec.DecodeError, ValueError, TypeError) as fault:
            if not file.retry(raw):
                remarks.refuse(str(file.path), f"a line of usage is not as expected: {fault}")


def _read_session(file: LogFile, remarks: Remarks) -> Iterator[ModelCall]:
    covered = _covered_since(file.path)
    for raw in file.lines_with(b"qwen-code.api_response", b'"usageMetadata"'):
        try:
            line = _chat_line(raw)
            file.state["session"] = line.session_id
            since = covered.get(line.session_id)
            if since is not None and line.timestamp >= since:
                continue
            call = _call_of_line(line, file.state)
        except (msgspec.DecodeError, ValueError, TypeError) as fault:
            if not file.retry(raw):
                remarks.refuse(str(file.path), f"a line of usage is not as expected: {fault}")
            continue
        if call is not None:
            note_version(VERSIONS, line.version, remarks)
            yield call._replace(session=line.session_id, version=line.version, project=last_part(line.cwd))


def _call_of_line(line: _ChatLine, state: dict[str, Any]) -> ModelCall | None:
    event, unread = _event(line.system_payload.event) if line.system_payload else (None, NO_UNITS)
    if event is not None and event.name == "qwen-code.api_response":
        state["has_events"] = True
        counts = (
            event.input_token_count,
            event.output_token_count,
            event.cached_content_token_count,
            event.thoughts_token_count,
            event.total_token_count,
        )
        call = _call(line.uuid, line.timestamp, event.model, counts, event.auth_type)
        return call._replace(
            request_id=event.response_id, agent=event.subagent_name, unread=_token_units(unread)
        )
    metadata, unread = _metadata(line.usage_metadata)
    if metadata is None or line.type != "assistant" or state.get("has_events"):
        return None
    counts = (
        metadata.prompt_token_count,
        metadata.candidates_token_count,
        metadata.cached_content_token_count,
        metadata.thoughts_token_count,
        metadata.total_token_count,
    )
    return _call(line.uuid, line.timestamp, line.model, counts, None)._replace(unread=unread)


def _token_units(units: Units) -> Units:
    """Return the numbers of a line that are tokens: the others, such as durations, are not billed."""
    return {name: count for name, count in units.items() if "token" in name}


TokenCounts = tuple[int | None, int | None, int | None, int | None, int | None]
"""Input, output, cached, thoughts and total."""


def _call(key: str, at: str, model: str, counts: TokenCounts, auth_type: str | None) -> ModelCall:
    prompt, completion, cached, thoughts, total = (count or 0 for count in counts)
    is_additional = total == prompt + completion + thoughts if total else auth_type in ("gemini", "vertex-ai")
    usage, fault = counted(
        tokens_input=prompt,
        tokens_output=completion + (thoughts if is_additional else 0),
        tokens_cached=cached,
        tokens_reasoning=thoughts,
    )
    return ModelCall(
        key=key,
        at=instant(at),
        service=_service(auth_type, model),
        model=model or "unknown",
        usage=usage,
        session="",
        incomplete=fault,
    )


_SERVICES: Final = {"gemini": "google", "vertex-ai": "vertex", "anthropic": "anthropic"}


def _service(auth: str | None, model: str) -> str:
    return _SERVICES.get(auth or "") or infer_service(model) or "alibaba"


def _is_usage_file(path: Path) -> bool:
    return path.name.startswith("token-usage-") and path.suffix == ".jsonl"


def _covered_since(session: Path) -> dict[str, str]:
    """Return for each session in the usage files of the same installation when it first appears there."""
    root = next((folder for folder in session.parents if (folder / "usage").is_dir()), None)
    since: dict[str, str] = {}
    files = (root / "usage").iterdir() if root else ()
    for path in sorted(file for file in files if _is_usage_file(plain_path(file))):
        status = path.stat()
        for name, at in _first_lines(path, status.st_size, status.st_mtime_ns).items():
            since.setdefault(name, at)
    return since


@lru_cache(maxsize=64)
def _first_lines(path: Path, _size: int, _mtime: int) -> dict[str, str]:
    """Return the time of the first line of each session in a usage file."""
    first: dict[str, str] = {}
    with opened_log(path) as (file, _):
        for raw in LogFile(path, file, os.fstat(file.fileno()).st_size).lines_with(b'"inputTokens"'):
            try:
                line = _usage_line(raw)
            except msgspec.DecodeError:
                continue  # reported when the file itself is read
            first.setdefault(line.session_id, line.timestamp)
    return first


def _places(home: Path, environ: Mapping[str, str]) -> list[Path]:
    root = with_home(environ.get("QWEN_HOME") or home / ".qwen")
    return [root / "usage", root / "projects"]


def _is_log(path: Path) -> bool:
    return _is_usage_file(path) or (path.suffix == ".jsonl" and path.parent.name == "chats")


def _recognises(sample: LogSample) -> bool:
    if {"schemaVersion", "localDate", "authType", "inputTokens"} <= sample.first.keys():
        return True
    return any({"sessionId", "cwd", "provenance"} <= line.keys() for line in sample.objects) or any(
        "qwen" in str(line.get("systemPayload"))[:200] for line in sample.objects if "sessionId" in line
    )


PROGRAM: Final = Program(
    name="qwen-code",
    title="Qwen Code",
    summary="Qwen Code's usage files and sessions, ~/.qwen.",
    versions=VERSIONS,
    places=_places,
    is_log=_is_log,
    recognises=_recognises,
    read=_read,
)
