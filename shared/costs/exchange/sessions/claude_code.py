"""Claude Code: a line for each block of an answer, each with the usage of the whole message.

``~/.claude/projects/PROJECT/SESSION.jsonl``, sub-agents in ``SESSION/subagents/agent-ID.jsonl``. Seen on
2026-11-29 with 2.1.332 (``npm install @anthropic-ai/claude-code``), run against a server of known usage:

* Lines of one message share ``message.id``. Before 2.1 they were written while the answer arrived, so that
the
  first ones have fewer output tokens: the largest one counts.
* A resumed session continues in its file. A fork (``--fork-session``) copies the lines into a new file, with
  the ids, times and request ids of the first one; ``requestSessionId`` names the session that is charged. A
  sub-agent that begins with its parent's context does the same; its copies may have another ``requestId``:
  only the message id identifies a call.
* ``cost-state`` is the program's own sum of a session, with the beginnings of its forks, its sub-agents, and
  calls that have no line (titles, summaries): it is shown beside the sum of the log, and never added.
* Input tokens do not include the cache; thinking is in the output.
* An interrupted answer has its input, and one token of its output.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

import msgspec

from ...capture.adapters.anthropic import ADAPTER
from ...capture.fields import Fields
from ...model import Usage
from ...platform import with_home
from ...pricing.names import infer_service
from .calls import CrossCheck, ModelCall, Program, Remarks, Sums, instant, last_part, note_version
from .files import LogFile, LogSample

VERSIONS: Final = ("0", "1", "2")
OPEN_MESSAGES: Final = 64
"""How many messages wait for a larger account of themselves before they are yielded."""

CUT: Final = "the answer has no end on record: its output is what was counted until then"
"""Why an interrupted answer is incomplete: the log has its input, and one token of its output."""

LAST_MESSAGES: Final = 8
"""How many messages are remembered from one import to the next, because further lines of them may follow."""

_COUNTS: Final = ("input", "output", "cache_read", "cache_write")
_NOTHING: Final = (0, 0, 0, 0)


class _CacheCreation(msgspec.Struct, forbid_unknown_fields=True):
    ephemeral_1h_input_tokens: int | None = 0
    ephemeral_5m_input_tokens: int | None = 0


class _Searches(msgspec.Struct, forbid_unknown_fields=True):
    web_search_requests: int | None = 0
    web_fetch_requests: int | None = 0


class _ClaudeOutputDetails(msgspec.Struct, forbid_unknown_fields=True):
    thinking_tokens: int | None = 0


class _ClaudeUsage(msgspec.Struct, forbid_unknown_fields=True):
    """A usage whose fields are all known; any other is read by the adapter for live messages."""

    input_tokens: int | None = 0
    output_tokens: int | None = 0
    cache_read_input_tokens: int | None = 0
    cache_creation_input_tokens: int | None = 0
    cache_creation: _CacheCreation | None = None
    server_tool_use: _Searches | None = None
    output_tokens_details: _ClaudeOutputDetails | None = None
    service_tier: str | None = None
    speed: str | None = None
    inference_geo: str | None = None
    iterations: list[dict[str, Any]] | None = None
    fallback_credit: Any = None


class _MinimalUsage(msgspec.Struct):
    """The counts that are read from a usage with unknown fields."""

    input_tokens: int | None = 0
    output_tokens: int | None = 0


class _ClaudeMessage(msgspec.Struct):
    id: str = ""
    model: str = ""
    usage: msgspec.Raw = msgspec.Raw(b"null")
    stop_reason: str | None = None


class _ClaudeLine(msgspec.Struct, rename="camel"):
    type: str = ""
    message: _ClaudeMessage | None = None
    timestamp: str = ""
    session_id: str = ""
    request_session_id: str = ""
    request_id: str | None = None
    uuid: str = ""
    cwd: str = ""
    version: str | None = None
    is_sidechain: bool | None = False
    attribution_agent: str | None = None
    model_usage: dict[str, dict[str, Any]] | None = None


class _ClaudeLineKind(msgspec.Struct):
    type: str = ""


_line: Final = msgspec.json.Decoder(_ClaudeLine).decode
_usage: Final = msgspec.json.Decoder(_ClaudeUsage | None).decode
_decode_minimal: Final = msgspec.json.Decoder(_MinimalUsage).decode
_kind: Final = msgspec.json.Decoder(_ClaudeLineKind).decode
_whole: Final = msgspec.json.Decoder(dict[str, Any]).decode

_OTHER_KINDS: Final = frozenset(
    (
        *("user", "system", "attachment", "summary", "progress", "queue-operation", "file-history-snapshot"),
        *("last-prompt", "mode", "atis-latch", "tools-used", "api-request", "api-request-blob"),
        *("api-request-shape", "custom-title", "ai-title", "tag", "agent-name", "pr-link", "permission-mode"),
    )
)
"""Kinds of lines without a billed call, though a text or a tool's result in them may contain ``"usage"``."""


def _read(file: LogFile, remarks: Remarks) -> Iterator[ModelCall]:
    waiting: dict[str, ModelCall] = {}
    sums = _MessageTotals(file.state)
    blocks, start, line = _Blocks(), file.offset, b""
    for line in file.lines_with(b'"usage"', b'"cost-state"'):
        if blocks.repeats(line):
            continue
        try:
            calls = _calls(line, file, remarks, waiting)
        except (msgspec.DecodeError, ValueError, TypeError) as fault:
            blocks = _Blocks()
            if not file.retry(line):
                remarks.refuse(f"{file.path}", f"a line of usage is not as expected: {fault}")
            continue
        for call in calls:
            known = waiting.get(call.key)
            if known is None:
                if len(waiting) >= OPEN_MESSAGES:
                    yield sums.counted(waiting.pop(next(iter(waiting))))
                waiting[call.key] = call
            elif call.size > known.size:
                waiting[call.key] = call
    for call in waiting.values():
        yield sums.counted(call)
    file.state |= sums.state
    _note_missing_usage(file, remarks, is_read=bool(line or start))


def _note_missing_usage(file: LogFile, remarks: Remarks, *, is_read: bool) -> None:
    """Remark that a log has answers although no line of usage was read from it."""
    if not is_read and _ANSWER(file.head()):
        remarks.empty["logs with answers and no usage that is known"] += 1


_ANSWER: Final = re.compile(rb'"type": ?"assistant"').search


class _Blocks:
    """Recognises further blocks of the last answer, nearly half of all lines, without decoding them."""

    def __init__(self) -> None:
        self._message = self._usage = b""

    def repeats(self, line: bytes) -> bool:
        """Tell whether a line has the message and counts of the last one; if not, remember its own."""
        start = line.rfind(b'"usage"')
        usage = line[start : start + _COUNTS_LENGTH]
        if self._usage == usage and self._message in line:
            return True
        message_id = _MESSAGE_ID(line) if b'"output_tokens":' in usage else None
        self._message, self._usage = (message_id[0], usage) if message_id else (b"", b"\0")
        return False


_COUNTS_LENGTH: Final = 200
"""All counts of a usage are within this many bytes."""

_MESSAGE_ID: Final = re.compile(rb'"id":"msg_[^"\\]{12,}"').search


class _MessageTotals:
    """The log's sums by model, each message once, for the cross-check; the last messages may still grow."""

    def __init__(self, state: Mapping[str, Any]) -> None:
        self._sums: Sums = {model: Counter(counts) for model, counts in state.get("sums", {}).items()}
        self._last: dict[str, list[int]] = dict(state.get("last", {}))

    @property
    def state(self) -> dict[str, Any]:
        """What is remembered until the next import."""
        return {"sums": self._sums, "last": self._last}

    def counted(self, call: ModelCall) -> ModelCall:
        """Add a call to the sums, and return it."""
        usage = call.usage
        uncached = usage.tokens_input - usage.tokens_cached - usage.tokens_cache_write
        counts = [uncached, usage.tokens_output, usage.tokens_cached, usage.tokens_cache_write]
        earlier = self._last.pop(call.key, _NOTHING)
        sums = self._sums.get(call.model)
        if sums is None:
            sums = self._sums[call.model] = Counter()
        for name, count, earlier_count in zip(_COUNTS, counts, earlier, strict=True):
            sums[name] += count - earlier_count
        self._last[call.key] = counts
        if len(self._last) > LAST_MESSAGES:
            del self._last[next(iter(self._last))]
        return call


def _calls(
    raw: bytes, file: LogFile, remarks: Remarks, waiting: Mapping[str, ModelCall]
) -> Sequence[ModelCall]:
    """Return the calls in a line: none for a line of another kind, or with nothing new."""
    if b'"assistant"' not in raw and b'"cost-state"' not in raw:
        _note_kind(_kind(raw).type, remarks)
        return ()
    line = _line(raw)
    if line.type == "cost-state":
        file.state["stated"] = _stated_counts(line)
        file.state["session"] = line.session_id
        return ()
    message = line.message
    usage, is_known = _usage_of(message) if message and line.type == "assistant" else (None, True)
    if message is None or usage is None:
        _note_kind(line.type, remarks)
        return ()
    if message.model == "<synthetic>" or not message.model:
        return ()  # written by the program itself in place of the model, such as an error
    known = waiting.get(_key(line, message))
    if known is not None and (usage.output_tokens or 0) <= known.usage.tokens_output:
        return ()  # a further block of the same answer
    file.state.setdefault("session", line.session_id)
    note_version(VERSIONS, line.version, remarks)
    special = usage.iterations or usage.fallback_credit or message.stop_reason == "refusal"
    call = _plain_call(line, message, usage)
    return _special_calls(call, raw) if special or not is_known else (call,)


def _usage_of(message: _ClaudeMessage) -> tuple[_ClaudeUsage | None, bool]:
    """Return a message's usage, and whether all of its fields are known.

    Raises:
        ValueError: none of its counts is known.
        msgspec.ValidationError: a count is not a number.

    """
    try:
        return _usage(message.usage), True
    except msgspec.ValidationError:
        minimal, fields = _decode_minimal(message.usage), msgspec.json.decode(message.usage)
    if fields.keys().isdisjoint(_MinimalUsage.__struct_fields__):
        raise ValueError(f"counts nothing that is known, but {', '.join(fields)}"[:200])
    return _ClaudeUsage(minimal.input_tokens, minimal.output_tokens), False


def _plain_call(line: _ClaudeLine, message: _ClaudeMessage, usage: _ClaudeUsage) -> ModelCall:
    created = usage.cache_creation or _CacheCreation()
    one_hour, five_minutes = created.ephemeral_1h_input_tokens or 0, created.ephemeral_5m_input_tokens or 0
    cache_read, cache_written = (
        usage.cache_read_input_tokens or 0,
        usage.cache_creation_input_tokens or one_hour + five_minutes,
    )
    counts = Usage(
        tokens_input=(usage.input_tokens or 0) + cache_read + cache_written,
        tokens_output=usage.output_tokens or 0,
        tokens_cached=cache_read,
        tokens_cache_write=cache_written,
        tokens_cache_write_1h=min(one_hour, cache_written),
        tokens_reasoning=_thinking_tokens(usage),
        web_searches=(usage.server_tool_use.web_search_requests or 0) if usage.server_tool_use else 0,
    )
    tier = usage.service_tier if usage.service_tier != "standard" else None
    geo = usage.inference_geo
    return ModelCall(
        key=_key(line, message),
        at=instant(line.timestamp),
        service=_service(message),
        model=message.model,
        usage=counts,
        session=line.request_session_id or line.session_id,
        request_id=message.id or None,
        tier="fast" if usage.speed == "fast" and tier is None else tier,
        region=geo if geo and geo not in ("global", "not_available") else None,
        project=last_part(line.cwd),
        version=line.version,
        agent=(line.attribution_agent or "subagent") if line.is_sidechain else None,
        incomplete=None if message.stop_reason else CUT,
    )


def _thinking_tokens(usage: _ClaudeUsage) -> int:
    thoughts = (usage.output_tokens_details.thinking_tokens or 0) if usage.output_tokens_details else 0
    return min(thoughts, usage.output_tokens or 0)


def _special_calls(call: ModelCall, raw: bytes) -> Sequence[ModelCall]:
    """Return the calls of an answer with steps, credits, a refusal or unknown counts, read by the adapter.

    Steps of other models (an adviser, one that declined) are calls of their own.
    """
    message = {**_whole(raw)["message"], "type": "message", "content": None}
    return [
        call._replace(
            key=call.key if number == 0 else f"{call.key}/{number}",
            model=captured.model,
            usage=captured.usage,
            tier=captured.service_tier,
            region=captured.region,
            request_id=captured.request_id,
            incomplete=captured.incomplete,
            unread=captured.unpriced_units,
        )
        for number, captured in enumerate(ADAPTER.read(Fields(message)))
    ]


def _key(line: _ClaudeLine, message: _ClaudeMessage) -> str:
    """Return a call's key: the message's id if it is globally unique, else with the request's id."""
    if len(message.id) >= 16:
        return message.id
    return f"{message.id}/{line.request_id or line.uuid}"


def _service(message: _ClaudeMessage) -> str:
    start = message.id[:9]
    return _SERVED_BY.get(start) or _maker_of(message.model)


_SERVED_BY: Final = {"msg_bdrk_": "bedrock", "msg_vrtx_": "vertex"}


@lru_cache(maxsize=256)
def _maker_of(model: str) -> str:
    return infer_service(model) or "anthropic"


def _note_kind(kind: str, remarks: Remarks) -> None:
    if kind not in _OTHER_KINDS:
        remarks.unknown[f'lines of type "{kind[:40]}" with a usage'] += 1


# --- the program's own sums

_STATED: Final = {
    "input": "inputTokens",
    "output": "outputTokens",
    "cache_read": "cacheReadInputTokens",
    "cache_write": "cacheCreationInputTokens",
}


def _stated_counts(line: _ClaudeLine) -> dict[str, dict[str, int]]:
    return {
        model: {ours: int(counts.get(theirs) or 0) for ours, theirs in _STATED.items()}
        for model, counts in (line.model_usage or {}).items()
    }


def _check(states: Mapping[Path, Mapping[str, Any]]) -> list[CrossCheck]:
    """Compare a session's last ``cost-state`` with the sums of its own log and those of its sub-agents."""
    stated_by_session = [
        (state["session"], state["stated"]) for state in states.values() if state.get("stated")
    ]
    if not stated_by_session:
        return []
    sums_of_log: Sums = {}
    for state in states.values():
        for model, counts in state.get("sums", {}).items():
            sums_of_log.setdefault(model, Counter()).update(counts)
    session, sums = stated_by_session[-1]
    return [CrossCheck(session, {model: Counter(counts) for model, counts in sums.items()}, sums_of_log)]


# --- where the logs are


def _places(home: Path, environ: Mapping[str, str]) -> list[Path]:
    configured = [path.strip() for path in environ.get("CLAUDE_CONFIG_DIR", "").split(",")]
    folders = [with_home(path) for path in configured if path]
    xdg = Path(environ.get("XDG_CONFIG_HOME") or home / ".config")
    return [folder / "projects" for folder in (folders or [home / ".claude", xdg / "claude"])]


def _is_log(path: Path) -> bool:
    return path.suffix == ".jsonl"


def _recognises(sample: LogSample) -> bool:
    lines = sample.objects
    return any("sessionId" in line and {"uuid", "operation", "mode"} & line.keys() for line in lines) and any(
        {"isSidechain", "userType", "operation", "mode"} & line.keys() for line in lines
    )


PROGRAM: Final = Program(
    name="claude-code",
    title="Claude Code",
    summary="Claude Code's sessions, ~/.claude/projects.",
    versions=VERSIONS,
    places=_places,
    is_log=_is_log,
    recognises=_recognises,
    read=_read,
    check=_check,
)
