"""Makes metadata safe to store: secrets out, bounded in size and depth. A best effort, by patterns.

The patterns are those of the credentials themselves (their documented prefixes), of the usual names of
credentials, and of URLs with a password. What matches no known pattern stays.

>>> redact({"api_key": "abc", "note": "used sk-proj-0123456789abcdefghij", "pages": 3})
{'api_key': '[redacted]', 'note': 'used [redacted]', 'pages': 3}
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from typing import Final

MAX_BYTES: Final = 2048
"""The most bytes of metadata, as ASCII JSON."""

MAX_DEPTH: Final = 6
MAX_TEXT: Final = 500
MAX_ITEMS: Final = 50
REDACTED: Final = "[redacted]"

# Prefixes as the providers document them: OpenAI and Anthropic (sk-), Google (AIza, ya29.), AWS (AKIA, ASIA),
# GitHub (ghp_ gho_ ghu_ ghs_ ghr_ github_pat_), GitLab (glpat-), Hugging Face (hf_), Slack (xoxb- ...),
# Stripe (sk_live_ ...), Groq (gsk_), xAI (xai-), Replicate (r8_), npm (npm_), PyPI (pypi-), SendGrid (SG.).
_SECRET: Final = re.compile(
    r"""
      \b sk-[A-Za-z0-9_-]{16,}
    | \b AIza[A-Za-z0-9_-]{30,}
    | \b ya29\.[A-Za-z0-9_-]{20,}
    | \b (?:AKIA|ASIA)[A-Z0-9]{16}\b
    | \b (?:gh[pousr]_|github_pat_|glpat-|hf_|gsk_|xai-|r8_|npm_|pypi-)[A-Za-z0-9_-]{16,}
    | \b xox[abeprs]-[A-Za-z0-9-]{10,}
    | \b (?:sk|pk|rk)_(?:live|test)_[A-Za-z0-9]{16,}
    | \b SG\.[A-Za-z0-9_-]{16,}\.[A-Za-z0-9_-]{16,}
    | \b eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}(?:\.[A-Za-z0-9_-]*)?       # JSON Web Token
    | (?i:\b(?:bearer|basic|token)[ ]+)[A-Za-z0-9._~+/=-]{12,}
    | -----BEGIN[ ][A-Z ]*PRIVATE[ ]KEY-----[\s\S]*?(?:-----END[ ][A-Z ]*PRIVATE[ ]KEY-----|\Z)
    | https://hooks\.slack\.com/[^\s"']+ | https://discord(?:app)?\.com/api/webhooks/[^\s"']+
    """,
    re.VERBOSE,
)
_URL_PASSWORD: Final = re.compile(r"(\b[a-z][a-z0-9+.-]*://)[^\s/@:]*:[^\s/@]+@", re.IGNORECASE)
_NAMED_IN_TEXT: Final = re.compile(
    r"(?i)\b((?:api[_-]?key|access[_-]?key|secret|password|passwd|token|signature|sig|client[_-]?secret)\s*[=:]\s*)"
    r"[\"']?[^\s\"'&,;]{6,}"
)
_SECRET_NAME: Final = re.compile(
    r"(?i)(?:^|[_\-.\s])(?:api[_-]?key|access[_-]?key|private[_-]?key|secret|password|passwd|pwd|authorization|auth"
    r"|credentials?|cookie|jwt|bearer|(?:access|refresh|auth|id|session|api|bot)[_-]?token|token|x-api-key|dsn)$"
)
# The content under these names belongs to the people whose recordings and documents are processed.
_CONTENT_NAME: Final = re.compile(
    r"(?i)^(?:prompts?|completions?|messages|system_prompt|input_text|output_text|response_text|traceback)$"
)


def redact(metadata: Mapping[str, object]) -> dict[str, object]:
    """Return ``metadata`` as it may be stored: plain JSON values, no known secret, at most 2 KB.

    Prompts and completions under their usual names are left out. What does not fit is cut off, and
    ``truncated`` is set. Values that JSON cannot express become text. Never raises.
    """
    if not metadata:
        return {}
    safe = _mapping(metadata, 0)
    if _size(safe) <= MAX_BYTES:
        return safe
    return _fit(safe)


def clean_text(text: str) -> str:
    """Return a text without known secrets and lone surrogates.

    >>> clean_text("see https://me:hunter2@host/x")
    'see https://[redacted]@host/x'
    """
    cleaned = _SECRET.sub(REDACTED, text)
    cleaned = _URL_PASSWORD.sub(rf"\1{REDACTED}@", cleaned)
    cleaned = _NAMED_IN_TEXT.sub(rf"\1{REDACTED}", cleaned)
    return cleaned.encode("utf-8", "replace").decode("utf-8")


def _value(value: object, depth: int) -> object:
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int):
        return value if abs(value) <= 2**53 else str(value)[:MAX_TEXT]
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if isinstance(value, Mapping):
        return _mapping(value, depth + 1) if depth < MAX_DEPTH else "..."
    if isinstance(value, (list, tuple, set, frozenset)):
        return [_value(v, depth + 1) for v in list(value)[:MAX_ITEMS]] if depth < MAX_DEPTH else "..."
    return clean_text(value if isinstance(value, str) else _text_of(value))[:MAX_TEXT]


def _mapping(mapping: Mapping[object, object] | Mapping[str, object], depth: int) -> dict[str, object]:
    safe: dict[str, object] = {}
    for key, value in list(mapping.items())[:MAX_ITEMS]:
        name = clean_text(str(key))[:100]
        if _CONTENT_NAME.search(name):
            continue
        safe[name] = REDACTED if _is_secret(name, value) else _value(value, depth)
    return safe


def _is_secret(name: str, value: object) -> bool:
    # tokens=300 is a count; token="..." is not
    return isinstance(value, (str, bytes)) and _SECRET_NAME.search(name) is not None


def _text_of(value: object) -> str:
    """Return a short text for a value that JSON cannot express, even if its ``str`` raises."""
    try:
        return str(value)
    except Exception:  # somebody else's __str__ must not cost the entry
        return f"<{type(value).__name__}>"


def _size(value: object) -> int:
    return len(json.dumps(value, separators=(",", ":")))


def _fit(safe: dict[str, object]) -> dict[str, object]:
    """Return the members that fit, in the given order."""
    kept: dict[str, object] = {}
    remaining = MAX_BYTES - _size({"truncated": True})
    for key, value in safe.items():
        cost = _size({key: value})
        if cost <= remaining:
            kept[key] = value
            remaining -= cost
    return {**kept, "truncated": True}
