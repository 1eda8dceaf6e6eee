"""GitHub Copilot CLI: a record for each answer, and the program's own sums when a session ends.

``~/.copilot/session-state/SESSION/events.jsonl``. Seen on 2026-11-29 with 1.0.102 (``npm install
@github/copilot``), run against a server of known usage:

* ``session.usage_record`` has one answer and its id. If a session has such events, only they count.
* Older sessions have only ``session.shutdown``, whose ``modelMetrics`` are those of the *whole* session with
all
  resumed runs: the second one contains the first. The difference is what a run added; it is recorded as a
  sum. A session that was killed has none, which the report says.
* Input includes the cache. Calls with the user's own key (``isByok``) have their provider's price; what
GitHub
  serves is billed by a plan, and stays unpriced.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import msgspec

from ...capture.fields import Fields
from ...capture.unread import unread_counts
from ...model import NO_UNITS, Units
from ...platform import with_home
from ...pricing.names import infer_service
from .calls import CrossCheck, ModelCall, Program, Remarks, counted, instant, last_part, note_version
from .files import LogFile, LogSample

VERSIONS: Final = ("0", "1")
_FIELDS: Final = {
    "input": "input_tokens",
    "output": "output_tokens",
    "cache_read": "cache_read_tokens",
    "cache_write": "cache_write_tokens",
}


class _CopilotUsage(msgspec.Struct, rename="camel"):
    model: str = ""
    input_tokens: int | None = 0
    output_tokens: int | None = 0
    cache_read_tokens: int | None = 0
    cache_write_tokens: int | None = 0
    reasoning_tokens: int | None = 0
    is_byok: bool | None = False
    api_call_id: str | None = None
    agent_name: str | None = None


_COUNTS: Final = frozenset({"inputTokens", "outputTokens"})
_KNOWN: Final = frozenset(
    {
        *_CopilotUsage.__struct_fields__,
        *("max_prompt_tokens", "max_output_tokens", "tool_token_count", "tool_counts", "num_tool_calls"),
        *("request_body_bytes", "request_body_wire_bytes", "available_tool_count", "accounting"),
        *("custom_tool_call_count", "unmatched_tool_result_count", "orphan_tool_call_count"),
    }
)
"""Fields of a usage that are read, or that are not billed."""


class _CopilotRequests(msgspec.Struct):
    count: int | None = 0


class _Metrics(msgspec.Struct):
    requests: _CopilotRequests | None = None
    usage: dict[str, Any] | None = None


class _CopilotContext(msgspec.Struct):
    cwd: str | None = None


class _Data(msgspec.Struct, rename="camel"):
    session_id: str | None = None
    copilot_version: str | None = None
    context: _CopilotContext | None = None
    usage: dict[str, Any] | None = None
    model_metrics: dict[str, _Metrics] | None = None


class _CopilotLine(msgspec.Struct):
    type: str = ""
    id: str = ""
    timestamp: str = ""
    data: _Data = msgspec.field(default_factory=_Data)


_line: Final = msgspec.json.Decoder(_CopilotLine).decode


def _read(file: LogFile, remarks: Remarks) -> Iterator[ModelCall]:
    state = file.state
    state.setdefault("session", file.path.parent.name)
    for raw in file.lines_with(b'"session.start"', b'"session.usage_record"', b'"session.shutdown"'):
        try:
            line = _line(raw)
            calls = _calls(line, state)
        except (msgspec.DecodeError, msgspec.ValidationError, ValueError, TypeError) as fault:
            if not file.retry(raw):
                remarks.refuse(str(file.path), f"a line of usage is not as expected: {fault}")
            continue
        for call in calls:
            note_version(VERSIONS, state.get("version"), remarks)
            yield call
    if not state.get("has_records") and not state.get("sums"):
        remarks.empty["sessions have no usage: they were not ended, or nothing was asked"] += 1


def _calls(line: _CopilotLine, state: dict[str, Any]) -> list[ModelCall]:
    if line.type == "session.start":
        state["session"] = line.data.session_id or state["session"]
        state["version"] = line.data.copilot_version
        state["project"] = last_part(line.data.context.cwd if line.data.context else None)
        return []
    if line.type == "session.usage_record":
        usage, unread = _decode_usage(line.data.usage or {})
        state["has_records"] = True
        sums_of_records = state.setdefault("found", {})
        counts = Counter(sums_of_records.get(usage.model, {}))
        counts.update({name: getattr(usage, _FIELDS[name]) or 0 for name in _FIELDS})
        sums_of_records[usage.model] = counts
        return [_call(line, usage, usage.api_call_id or line.id, state, unread)]
    return _calls_of_shutdown(line, state) if line.type == "session.shutdown" else []


def _calls_of_shutdown(line: _CopilotLine, state: dict[str, Any]) -> list[ModelCall]:
    """Return what a run added to the sums of its session; nothing if each answer has a record."""
    earlier: dict[str, dict[str, int | float]] = state.get("sums", {})
    metrics = (line.data.model_metrics or {}).items()
    sums = {model: _model_sums(of_model) for model, of_model in metrics if of_model.usage}
    state["sums"] = sums
    if state.get("has_records"):
        return []
    return [
        _call_of_run(line, model, counts, earlier.get(model, {}), state) for model, counts in sums.items()
    ]


def _decode_usage(fields: dict[str, Any]) -> tuple[_CopilotUsage, Units]:
    """Return a usage, and what it counts that this code does not read.

    Raises:
        ValueError: it counts nothing that is known.

    """
    if fields and fields.keys().isdisjoint(_COUNTS):
        raise ValueError(f"counts nothing that is known, but {', '.join(fields)}"[:200])
    return msgspec.convert(fields, _CopilotUsage), unread_counts(Fields(fields), _KNOWN)


_UNREAD_PREFIX: Final = "unread/"
"""Prefix of the names of sums that this code does not read."""


def _model_sums(metrics: _Metrics) -> dict[str, int | float]:
    """Return the counts of a model over a session."""
    usage, unread = _decode_usage(metrics.usage or {})
    return {
        **{f"{_UNREAD_PREFIX}{unit}": count for unit, count in unread.items()},
        **{name: getattr(usage, _FIELDS[name]) or 0 for name in _FIELDS},
        "reasoning": usage.reasoning_tokens or 0,
        "requests": (metrics.requests.count or 0) if metrics.requests else 0,
    }


def _call_of_run(
    line: _CopilotLine,
    model: str,
    counts: Mapping[str, int | float],
    earlier: Mapping[str, int | float],
    state: Mapping[str, Any],
) -> ModelCall:
    has_grown = all(counts[name] >= earlier.get(name, 0) for name in counts)
    added = {name: count - earlier.get(name, 0) * has_grown for name, count in counts.items()}
    tokens_in, tokens_out, cache_read, cache_write, reasoning = (
        int(added[name]) for name in (*_FIELDS, "reasoning")
    )
    usage = _CopilotUsage(model, tokens_in, tokens_out, cache_read, cache_write, reasoning)
    unread = {
        name.removeprefix(_UNREAD_PREFIX): count
        for name, count in added.items()
        if name.startswith(_UNREAD_PREFIX) and count
    }
    return _call(line, usage, f"{line.id}/{model}", state, unread, max(int(added["requests"]), 1))


def _call(
    line: _CopilotLine,
    usage: _CopilotUsage,
    key: str,
    state: Mapping[str, Any],
    unread: Units = NO_UNITS,
    requests: int = 0,
) -> ModelCall:
    counts, fault = counted(
        tokens_input=usage.input_tokens,
        tokens_output=usage.output_tokens,
        tokens_cached=usage.cache_read_tokens,
        tokens_cache_write=usage.cache_write_tokens,
        tokens_reasoning=usage.reasoning_tokens,
        requests=requests,
    )
    session = str(state["session"])
    return ModelCall(
        key=key if len(key) >= 16 else f"{session}/{line.id}",
        at=instant(line.timestamp),
        service=(infer_service(usage.model) or "openai") if usage.is_byok else "github-copilot",
        model=usage.model or "unknown",
        usage=counts,
        session=session,
        request_id=usage.api_call_id,
        project=state.get("project"),
        version=state.get("version"),
        agent=usage.agent_name,
        incomplete=fault,
        unread=unread,
    )


def _check(states: Mapping[Path, Mapping[str, Any]]) -> list[CrossCheck]:
    """Compare the sums at the last end of a session with its records."""
    return [
        CrossCheck(
            state["session"],
            {
                model: Counter({name: counts[name] for name in _FIELDS})
                for model, counts in state["sums"].items()
            },
            {model: Counter(counts) for model, counts in state["found"].items()},
        )
        for state in states.values()
        if state.get("has_records") and state.get("sums")
    ]


def _places(home: Path, environ: Mapping[str, str]) -> list[Path]:
    return [with_home(environ.get("COPILOT_HOME") or home / ".copilot") / "session-state"]


def _is_log(path: Path) -> bool:
    return path.name == "events.jsonl"


def _recognises(sample: LogSample) -> bool:
    first = sample.first
    return first.get("type") == "session.start" and "copilotVersion" in str(first.get("data"))


PROGRAM: Final = Program(
    name="copilot-cli",
    title="Copilot CLI",
    summary="GitHub Copilot CLI's sessions, ~/.copilot/session-state.",
    versions=VERSIONS,
    places=_places,
    is_log=_is_log,
    recognises=_recognises,
    read=_read,
    check=_check,
)
