"""OpenCode: one message per answer, in a database, or in a file each in older versions.

``~/.local/share/opencode/opencode.db`` (and ``storage/message/SESSION/*.json``). Seen on 2026-11-29 with
1.18.33 (``npm install opencode-ai``), run against servers of known usage:

* A fork copies the messages of its parent under new ids without saying so, with their times, tokens and
costs:
  an answer is identified by those. So is a message that is in a file and, migrated, in the database.
* ``input`` does not include the cache, ``output`` not the reasoning. Tokens that Anthropic caches for an hour
  are not counted separately. The request for a title is not logged, nor is an answer that was interrupted.
* ``cost`` is OpenCode's own calculation, recorded as stated; 0 means that it knows no price.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

import msgspec

from ...money import MAX_ENTRY_NANOS, Nanos, from_usd
from ...pricing.names import KNOWN_SERVICES, infer_service, normalize_service
from ..imports import CannotRead, opened_database
from .calls import ModelCall, Program, Remarks, UsageDecoder, counted, last_part, note_version
from .files import LogFile, LogSample

VERSIONS: Final = ("0", "1")
_EARLIER_MS: Final = 60_000
"""How long before the newest known change messages are read again, in milliseconds."""


class _Cache(msgspec.Struct):
    read: int | None = 0
    write: int | None = 0


class _OpenCodeTokens(msgspec.Struct):
    input: int | None = 0
    output: int | None = 0
    reasoning: int | None = 0
    cache: _Cache = msgspec.field(default_factory=_Cache)
    total: int | None = 0


class _Time(msgspec.Struct):
    created: int | None = None
    completed: int | None = None


class _Path(msgspec.Struct):
    cwd: str | None = None


class _OpenCodeMessage(msgspec.Struct):
    role: str = ""
    time: _Time = msgspec.field(default_factory=_Time)
    tokens: msgspec.Raw = msgspec.Raw(b"null")
    cost: float | None = None
    model: str | None = msgspec.field(default=None, name="modelID")
    provider: str | None = msgspec.field(default=None, name="providerID")
    session: str = msgspec.field(default="", name="sessionID")
    path: _Path = msgspec.field(default_factory=_Path)
    mode: str | None = None


_message: Final = msgspec.json.Decoder(_OpenCodeMessage, strict=False).decode
_counts: Final = UsageDecoder(_OpenCodeTokens, all_numbers=True)


def _read(file: LogFile, remarks: Remarks) -> Iterator[ModelCall]:
    if file.path.suffix != ".db":
        yield from _calls_of_rows(((None, file.path.parent.name, None, file.text()),), file, remarks)
        return
    since = int(file.state.get("since", 0)) - _EARLIER_MS
    try:
        with opened_database(file.path) as database:
            rows = database.execute(_SELECT, (since,))
            yield from _calls_of_rows(rows, file, remarks)
    except sqlite3.Error as fault:
        raise CannotRead(f"{file.path}: cannot be read as OpenCode's database: {fault}") from fault
    file.offset = file.size


_SELECT: Final = """
    SELECT message.time_updated, message.session_id, session.version, message.data
    FROM message LEFT JOIN session ON session.id = message.session_id
    WHERE message.time_updated >= ? ORDER BY message.time_created, message.id"""


def _calls_of_rows(rows: Iterable[Any], file: LogFile, remarks: Remarks) -> Iterator[ModelCall]:
    for updated, session, version, data in rows:
        file.lines += 1
        file.state["since"] = max(int(file.state.get("since", 0)), updated or 0)
        try:
            call = _call(_message(data), session)
        except (msgspec.DecodeError, msgspec.ValidationError, ValueError, TypeError) as fault:
            remarks.refuse(str(file.path), f"a message of session {session} is not as expected: {fault}")
            continue
        if call is not None:
            note_version(VERSIONS, version, remarks)
            yield call._replace(version=version)


def _call(message: _OpenCodeMessage, session: str) -> ModelCall | None:
    """Return the call of an answer; ``None`` if it is not an answer, not complete, or without usage."""
    time = message.time
    if message.role != "assistant" or not time.created or not time.completed:
        return None
    tokens, unread = _counts(message.tokens)
    if tokens is None:
        return None
    cache_read, cache_written, thoughts = (
        tokens.cache.read or 0,
        tokens.cache.write or 0,
        tokens.reasoning or 0,
    )
    usage, fault = counted(
        tokens_input=(tokens.input or 0) + cache_read + cache_written,
        tokens_output=(tokens.output or 0) + thoughts,
        tokens_cached=cache_read,
        tokens_cache_write=cache_written,
        tokens_reasoning=thoughts,
    )
    if usage.is_zero and not message.cost:
        return None
    model = message.model or "unknown"
    key_parts = (
        time.created,
        time.completed,
        tokens.input,
        tokens.output,
        thoughts,
        cache_read,
        cache_written,
        model,
    )
    return ModelCall(
        key="/".join(map(str, key_parts)),
        at=datetime.fromtimestamp(time.created / 1000, UTC),
        service=_service(message.provider, model),
        model=model,
        usage=usage,
        session=session,
        project=last_part(message.path.cwd),
        operation="compaction" if message.mode == "compaction" else None,
        stated=_stated_cost(message.cost),
        incomplete=fault,
        unread=unread,
    )


def _stated_cost(cost: float | None) -> Nanos | None:
    if cost is None:
        return None
    amount = from_usd(Decimal(repr(cost)))
    if not 0 <= amount <= MAX_ENTRY_NANOS:
        raise ValueError(f"cost is not the cost of one call: {cost!r}")
    return amount


def _service(provider: str | None, model: str) -> str:
    service = normalize_service(provider or "")
    return service if service in KNOWN_SERVICES else (provider or infer_service(model) or "unknown")


def _places(home: Path, environ: Mapping[str, str]) -> list[Path]:
    return [Path(environ.get("XDG_DATA_HOME") or home / ".local" / "share") / "opencode"]


def _is_log(path: Path) -> bool:
    if path.suffix == ".db":
        return path.stem.startswith("opencode")
    return path.suffix == ".json" and path.parent.parent.name == "message" and path.name.startswith("msg_")


def _recognises(sample: LogSample) -> bool:
    if sample.tables:
        return "session" in sample.tables and {"data", "session_id"} <= sample.tables.get(
            "message", frozenset()
        )
    return "providerID" in sample.first and "sessionID" in sample.first


PROGRAM: Final = Program(
    name="opencode",
    title="OpenCode",
    summary="OpenCode's database and messages, ~/.local/share/opencode.",
    versions=VERSIONS,
    places=_places,
    is_log=_is_log,
    recognises=_recognises,
    read=_read,
    companions=("-wal",),
)
