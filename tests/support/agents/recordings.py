"""Anonymised recordings of agents' logs, made from real runs: texts are gone, counts stay."""

from __future__ import annotations

import json
import re
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
    return re.sub(r"^/.*/", "/home/ana/", value) if name in KEPT_TEXTS else "..."


def anonymised_lines(text: str, skipped: tuple[str, ...] = ()) -> str:
    """Return JSON lines without texts; lines of the types in ``skipped`` are left out."""
    found = (json.loads(line) for line in text.splitlines())
    kept = (each for each in found if each.get("type") not in skipped)
    return "".join(json.dumps(anonymised(each), separators=(",", ":")) + "\n" for each in kept)
