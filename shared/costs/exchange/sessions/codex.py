"""Codex: a line for each answer, and counters that continue those of another thread.

``~/.codex/sessions/YYYY/MM/DD/rollout-*.jsonl`` and ``archived_sessions``. Seen on 2026-11-29 with 0.171.0
(``npm install @openai/codex``), run against a server of known usage:

* ``token_usage_record`` (newer versions) has the usage of one answer and its ``response_id``. A compaction
  is one too. If a log has such lines, only they count.
* Older logs have ``token_count`` with running totals and the last answer. The same line is repeated without a
  new answer (at the end of a turn, before and after a compaction): only another total is another answer. The
  total of a fork begins with that of its parent, so a first total is never taken as one answer. If a line
  does not state the last answer, it is the difference to the total before, or the whole total if that is
  smaller.
* Forks and sub-agents of older versions repeat the lines of their parent: a call is identified by the
parent's
  thread and its totals. Newer forks name their beginning (``history_base``) and copy nothing.
* Input includes cached and written tokens, output the reasoning. The model and the service tier are those
  of the last ``turn_context`` and ``thread_settings_applied``; Codex' ``fast`` is OpenAI's ``priority``.
* An interrupted answer leaves no line.
* Logs older than seven days may be compressed (``files.py``).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import msgspec

from ...platform import with_home
from ...pricing.names import KNOWN_SERVICES, infer_service, normalize_service
from .calls import ModelCall, Program, Remarks, UsageDecoder, counted, instant, last_part, note_version
from .files import LogFile, LogSample

VERSIONS: Final = ("0",)


class _CodexTokens(msgspec.Struct):
    input_tokens: int | None = 0
    cached_input_tokens: int | None = 0
    cache_write_input_tokens: int | None = 0
    output_tokens: int | None = 0
    reasoning_output_tokens: int | None = 0
    total_tokens: int | None = 0


_NONE: Final = msgspec.Raw(b"null")


class _Info(msgspec.Struct):
    total_token_usage: msgspec.Raw = _NONE
    last_token_usage: msgspec.Raw = _NONE


class _CodexSettings(msgspec.Struct):
    model: str | None = None
    service_tier: str | None = None
    model_provider_id: str | None = None


class _Payload(msgspec.Struct):
    type: str | None = None
    id: str | None = None
    cwd: str | None = None
    cli_version: str | None = None
    model: str | None = None
    model_provider: str | None = None
    forked_from_id: str | None = None
    parent_thread_id: str | None = None
    source: Any = None
    thread_id: str | None = None
    thread_settings: _CodexSettings | None = None
    response_id: str | None = None
    usage: msgspec.Raw = _NONE
    info: _Info | None = None


class _CodexLine(msgspec.Struct):
    type: str = ""
    timestamp: str = ""
    payload: _Payload = msgspec.field(default_factory=_Payload)


_line: Final = msgspec.json.Decoder(_CodexLine).decode
_counts: Final = UsageDecoder(_CodexTokens)


def _read(file: LogFile, remarks: Remarks) -> Iterator[ModelCall]:
    state = file.state
    for raw in file.lines_with(
        b'"token_usage_record"',
        b'"token_count"',
        b'"session_meta"',
        b'"turn_context"',
        b'"thread_settings_applied"',
    ):
        try:
            line = _line(raw)
            payload = line.payload
            if line.type == "session_meta":
                _apply_meta(payload, state)
            elif line.type == "turn_context":
                state["model"] = payload.model or state.get("model")
            elif payload.type == "thread_settings_applied" and payload.thread_settings:
                _apply_settings(payload.thread_settings, state)
            elif line.type == "token_usage_record" and (call := _call_of_record(line, state)) is not None:
                state["has_records"] = True
                note_version(VERSIONS, state.get("version"), remarks)
                yield call
            elif payload.type == "token_count" and not state.get("has_records"):
                call = _call_of_counter(line, state)
                if call is not None:
                    note_version(VERSIONS, state.get("version"), remarks)
                    yield call
        except (msgspec.DecodeError, ValueError, TypeError) as fault:
            if not file.retry(raw):
                remarks.refuse(str(file.path), f"a line of usage is not as expected: {fault}")


def _apply_meta(meta: _Payload, state: dict[str, Any]) -> None:
    """Apply the head of a thread to the state. A copied head names the thread that its lines belong to."""
    state.setdefault("session", meta.id)
    state["thread"] = meta.forked_from_id or meta.parent_thread_id or _spawned_by(meta.source) or meta.id
    state["is_agent"] = bool(meta.parent_thread_id or _spawned_by(meta.source))
    state["version"] = meta.cli_version or state.get("version")
    state["provider"] = meta.model_provider or state.get("provider")
    state.setdefault("project", last_part(meta.cwd))


def _spawned_by(source: Any) -> str | None:
    """Return the thread that spawned a sub-agent, from the field of older versions."""
    spawn = source.get("subagent") if isinstance(source, dict) else None
    spawn = spawn.get("thread_spawn") if isinstance(spawn, dict) else None
    parent = spawn.get("parent_thread_id") if isinstance(spawn, dict) else None
    return parent if isinstance(parent, str) else None


def _apply_settings(settings: _CodexSettings, state: dict[str, Any]) -> None:
    state["model"] = settings.model or state.get("model")
    state["provider"] = settings.model_provider_id or state.get("provider")
    state["tier"] = {"fast": "priority", "default": None}.get(
        settings.service_tier or "", settings.service_tier
    )


def _call_of_record(line: _CodexLine, state: Mapping[str, Any]) -> ModelCall | None:
    usage, unread = _counts(line.payload.usage)
    if usage is None:
        return None
    response = line.payload.response_id or ""
    key = (
        response
        if len(response) >= 16
        else f"{line.payload.thread_id}/{response}/{_text(usage)}/{line.timestamp}"
    )
    return _call(line, usage, key, response or None, state)._replace(unread=unread)


def _call_of_counter(line: _CodexLine, state: dict[str, Any]) -> ModelCall | None:
    """Return the answer that was added to a running total; ``None`` if the total did not change."""
    info = line.payload.info
    sums = _counts(info.total_token_usage)[0] if info else None
    if info is None or sums is None:
        return None
    total = _text(sums)
    if total == state.get("total"):
        return None
    last, unread = _counts(info.last_token_usage)
    last = last or _difference(sums, state.get("counts"))
    state["total"] = total
    state["counts"] = msgspec.to_builtins(sums)
    return _call(line, last, f"{state.get('thread')}/{total}", None, state)._replace(unread=unread)


def _difference(total: _CodexTokens, earlier: Mapping[str, int] | None) -> _CodexTokens:
    """Return the difference of a running total to the one before, or all of it if the counter was reset."""
    counts = {name: value or 0 for name, value in msgspec.to_builtins(total).items()}
    added = {name: value - ((earlier or {}).get(name) or 0) for name, value in counts.items()}
    return msgspec.convert(counts if min(added.values()) < 0 else added, _CodexTokens)


def _text(tokens: _CodexTokens) -> str:
    return "/".join(
        str(count or 0)
        for count in (
            tokens.input_tokens,
            tokens.cached_input_tokens,
            tokens.output_tokens,
            tokens.total_tokens,
        )
    )


def _call(
    line: _CodexLine, tokens: _CodexTokens, key: str, response: str | None, state: Mapping[str, Any]
) -> ModelCall:
    usage, fault = counted(
        tokens_input=tokens.input_tokens,
        tokens_output=tokens.output_tokens,
        tokens_cached=tokens.cached_input_tokens,
        tokens_cache_write=tokens.cache_write_input_tokens,
        tokens_reasoning=tokens.reasoning_output_tokens,
    )
    model = state.get("model") or "unknown"
    return ModelCall(
        key=key,
        at=instant(line.timestamp),
        service=_service(state.get("provider"), model),
        model=model,
        usage=usage,
        session=str(state.get("session") or ""),
        request_id=response,
        tier=state.get("tier"),
        project=state.get("project"),
        version=state.get("version"),
        agent="subagent" if state.get("is_agent") else None,
        incomplete=fault,
    )


_LOCAL: Final = {"oss": "ollama", "ollama-chat": "ollama", "lmstudio": "lmstudio"}
"""Providers built into Codex that run the models of ``--oss`` on the user's machine."""


def _service(provider: str | None, model: str) -> str:
    if provider in _LOCAL:
        return _LOCAL[provider]
    service = normalize_service(provider or "openai")
    return service if service in KNOWN_SERVICES else infer_service(model) or service


def _places(home: Path, environ: Mapping[str, str]) -> list[Path]:
    root = with_home(environ.get("CODEX_HOME") or home / ".codex")
    return [root / "sessions", root / "archived_sessions"]


def _is_log(path: Path) -> bool:
    return path.suffix == ".jsonl" and path.name.startswith("rollout-")


def _recognises(sample: LogSample) -> bool:
    return sample.first.get("type") == "session_meta" and isinstance(sample.first.get("payload"), dict)


PROGRAM: Final = Program(
    name="codex",
    title="Codex",
    summary="Codex' sessions, ~/.codex/sessions.",
    versions=VERSIONS,
    places=_places,
    is_log=_is_log,
    recognises=_recognises,
    read=_read,
)
