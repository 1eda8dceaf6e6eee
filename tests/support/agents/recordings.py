"""Anonymised recordings of agents' logs, made from real runs: texts are gone, counts stay."""

from __future__ import annotations

import json
import re
import shutil
import sqlite3
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any, Final

FOLDER: Final = Path(__file__).resolve().parents[2] / "data" / "sessions"

KEPT_TEXTS: Final = frozenset(
    (
        *(
            "id",
            "type",
            "subtype",
            "role",
            "model",
            "timestamp",
            "time",
            "date",
            "version",
            "service_tier",
            "speed",
        ),
        *(
            "sessionId",
            "requestSessionId",
            "session_id",
            "requestId",
            "uuid",
            "parentUuid",
            "agentId",
            "entrypoint",
        ),
        *(
            "cwd",
            "stop_reason",
            "inference_geo",
            "userType",
            "attributionAgent",
            "status",
            "operation",
            "mode",
        ),
        *(
            "model_provider",
            "cli_version",
            "originator",
            "source",
            "forked_from_id",
            "parent_thread_id",
            "turn_id",
        ),
        *(
            "kind",
            "startTime",
            "lastUpdated",
            "projectHash",
            "parentID",
            "sessionID",
            "providerID",
            "modelID",
        ),
        *("agent", "finish", "authType", "localDate", "modelVersion", "event.name", "event.timestamp"),
        *(
            "response_id",
            "auth_type",
            "currentModel",
            "copilotVersion",
            "producer",
            "thread_source",
            "thread_id",
        ),
        *(
            "messageId",
            "provider",
            "taskId",
            "$rewindTo",
            "event_name",
            "selectedModel",
            "apiCallId",
            "api",
            "data",
        ),
    )
)
"""The members whose texts a reader may look at; all other texts become "..."."""

DROPPED: Final = frozenset(
    (
        "attachment",
        "shape",
        "toolUseResult",
        "base_instructions",
        "dynamic_tools",
        "tools",
        "git",
        "content_blob",
    )
)
"""The members that are left out: large, and looked at by nobody."""


def anonymised(value: Any, name: str = "") -> Any:
    """Return a JSON value without texts, paths and names of people.

    >>> anonymised({"type": "user", "cwd": "/home/x/app", "message": {"content": "Secret"}})
    {'type': 'user', 'cwd': '/home/ana/app', 'message': {'content': '...'}}
    """
    if isinstance(value, dict):
        return {key: anonymised(each, key) for key, each in value.items() if key not in DROPPED}
    if isinstance(value, list):
        return [anonymised(each, name) for each in value[:20]]
    if not isinstance(value, str):
        return value
    return re.sub(r"^(file:/)?/.*/", "/home/ana/", value) if name in KEPT_TEXTS else "..."


def anonymised_lines(text: str, skipped: tuple[str, ...] = ()) -> str:
    """Return JSON lines without texts; lines of the types in ``skipped`` are left out."""
    found = (json.loads(line) for line in text.splitlines())
    kept = (each for each in found if each.get("type") not in skipped)
    return "".join(json.dumps(anonymised(each), separators=(",", ":")) + "\n" for each in kept)


_LINES: Final[Mapping[str, tuple[str, ...]]] = {
    "claude-code": (".claude/projects", "**/*.jsonl"),
    "codex": (".codex/sessions", "**/*.jsonl"),
    "gemini-cli": (".gemini/tmp", "**/chats/**/*.jsonl"),
    "qwen-code": (".qwen", "usage/*.jsonl", "projects/**/chats/*.jsonl"),
    "copilot-cli": (".copilot/session-state", "**/events.jsonl"),
}
_SKIPPED: Final = (
    "api-request-shape",
    "api-request-blob",
    "api-request",
    "attachment",
    "response_item",
    "world_state",
)


def record(program: str, home: Path, sums: Mapping[str, Mapping[str, int]]) -> None:
    """Write the recording of a program anew: its logs without texts, and what the server billed for them."""
    folder = FOLDER / program
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    if program == "opencode":
        _record_database(home / ".local/share/opencode/opencode.db", folder / "opencode.db")
    else:
        place, *patterns = _LINES[program]
        for path in sorted(each for pattern in patterns for each in (home / place).glob(pattern)):
            target = folder / re.sub(
                r"-[^/]*-work(?=/)", "-home-ana-work", str(path.relative_to(home / place))
            )
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(anonymised_lines(path.read_text(encoding="utf-8"), _SKIPPED), encoding="utf-8")
    (FOLDER / f"{program}.json").write_text(
        json.dumps(sums, indent=2, sort_keys=True) + "\n", encoding="utf-8"
    )


def _record_database(source: Path, target: Path) -> None:
    """Write OpenCode's sessions and messages alone into a database of their own, without texts."""
    with closing(sqlite3.connect(source)) as theirs, closing(sqlite3.connect(target)) as ours:
        ours.execute("CREATE TABLE session (id TEXT PRIMARY KEY, version TEXT, time_created INTEGER)")
        ours.execute(
            "CREATE TABLE message (id TEXT PRIMARY KEY, session_id TEXT, time_created INTEGER,"
            " time_updated INTEGER, data TEXT)"
        )
        rows = theirs.execute("SELECT id, version, time_created FROM session")
        ours.executemany("INSERT INTO session VALUES (?, ?, ?)", rows)
        for *plain, data in theirs.execute(
            "SELECT id, session_id, time_created, time_updated, data FROM message"
        ):
            told = json.dumps(anonymised(json.loads(data)), separators=(",", ":"))
            ours.execute("INSERT INTO message VALUES (?, ?, ?, ?, ?)", (*plain, told))
        ours.commit()
