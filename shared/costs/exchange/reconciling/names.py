"""One canonical name for a model, from the names in calls, in bills and in displays."""

from __future__ import annotations

import re
from functools import cache
from typing import Final

from ...pricing.names import normalize_model_name, without_version

_DATE: Final = re.compile(r"-(?:20\d{2}-?\d{2}-?\d{2}|\d{4})$")
_WORDS: Final = re.compile(r"[\s._:/-]+")
_CLAUDE: Final = re.compile(
    r"claude-?(\d+(?:-\d+)?)-?(opus|sonnet|haiku|fable|instant)(?:v\d)?|claude-?(opus|sonnet|haiku|fable)-?(\d+(?:-\d+)?)"
)
_NOVA: Final = re.compile(r"nova-?(\d)?(?:-0)?-?(micro|lite|pro|premier)")
_GEMINI_MARKS: Final = re.compile(r"(?<=gemini-\d)-0(?=-)|-preview(?:-\d\d-\d{2,4})?(?=-|$)")
_LLAMA: Final = re.compile(r"(llama.*)-instruct")
_MAKERS: Final = re.compile(
    r"^(?:(?:us-gov|us|eu|apac|global|au|jp)-)?(?:anthropic|amazon|meta|mistral|cohere|google|openai)-"
)


@cache
def folded(model: str) -> str:
    """Return a model's name without path, maker, date and version, in one canonical spelling.

    >>> [folded(name) for name in ("claude-haiku-4-5-20251001", "Claude Haiku 4.5", "Claude4.5Haiku")]
    ['claude-haiku-4-5', 'claude-haiku-4-5', 'claude-haiku-4-5']
    >>> folded("gpt-4o-2024-08-06"), folded("openai/gpt-4o"), folded("Gemini 2.5 Flash Lite")
    ('gpt-4o', 'gpt-4o', 'gemini-2-5-flash-lite')
    >>> [folded(name) for name in ("NovaLite", "amazon.nova-lite-v1:0", "Nova2.0Lite")]
    ['nova-lite', 'nova-lite', 'nova-2-lite']
    >>> folded("Gemini 3.0 Pro"), folded("gemini-3-pro-preview"), folded("gemini-3-pro-image-preview")
    ('gemini-3-pro', 'gemini-3-pro', 'gemini-3-pro-image')
    >>> folded("Llama3-3-70B"), folded("us.meta.llama3-3-70b-instruct-v1:0")
    ('llama3-3-70b', 'llama3-3-70b')
    >>> folded("us.anthropic.claude-sonnet-4-5-20250929-v1:0"), folded("openai.gpt-oss-120b-1:0")
    ('claude-sonnet-4-5', 'gpt-oss-120b')
    """
    name = re.sub(r"-v\d+(?::\d+)?$|-\d+:\d+$", "", model.strip().lower())
    name = re.sub(r"\[.*?\]$|:(?:nitro|online|free|beta|floor)$", "", name)
    name = normalize_model_name(name)
    name = name.rpartition("/")[2] if "/" in name else name
    name = _WORDS.sub("-", without_version(name) or name).strip("-")
    name = _MAKERS.sub("", _DATE.sub("", name) if _DATE.search(name) and "gpt-" in name else name)
    name = re.sub(r"-(?:20\d{6})$", "", name)
    if match := _CLAUDE.fullmatch(name):
        number, family = (match[1], match[2]) if match[1] else (match[4], match[3])
        return f"claude-{family}-{number}"
    if name.startswith("gemini-"):
        return _GEMINI_MARKS.sub("", name)
    if match := _NOVA.fullmatch(name):
        return "-".join(filter(None, ("nova", match[1], match[2])))
    return match[1] if (match := _LLAMA.fullmatch(name)) else name
