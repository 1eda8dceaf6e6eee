"""Tools that OpenAI runs itself in a response: billed on top of the tokens, by the call or the container.

Sources: https://developers.openai.com/api/docs/pricing (built-in tools), and ``ToolUsage`` and the output
items of the ``openai`` package (3.57, 2026-11-28).
"""

from __future__ import annotations

from typing import Final

from ..fields import Fields
from ..unread import unread_counts
from ._openai_format import Counts

DEFAULT_IMAGE_MODEL: Final = "gpt-image-2"
"""The model whose price is used if the response names none. OpenAI then draws with newer models
(``ImageGeneration.model`` of the ``openai`` package), at the same rates."""

_WEB_SEARCH: Final = "web_search_call"
_PREVIEW: Final = "web_search_preview"


def tool_counts(fields: Fields) -> Counts:
    """Return the usage of a response's hosted tools, by the names of ``Usage``.

    xAI states its own counts: searches of the web and of X have one price, and each run of code is billed
    instead of its container. Source: https://docs.x.ai/developers/pricing (tools), 2026-11-29.
    """
    output, xai_usage = fields.parts("output"), _of_xai(fields)
    if xai_usage:
        return {
            "web_searches": xai_usage.count("web_search_calls") + xai_usage.count("x_search_calls"),
            "file_searches": xai_usage.count("file_search_calls"),
            "containers": xai_usage.count("code_interpreter_calls"),
        }
    searches = _web_searches(fields, output)
    is_preview = any((tool.text("type") or "").startswith(_PREVIEW) for tool in fields.parts("tools"))
    counts: Counts = {
        "preview_searches" if is_preview else "web_searches": searches,
        "file_searches": sum(item.text("type") == "file_search_call" for item in output),
        "containers": _containers(output),
    }
    return {name: count for name, count in counts.items() if count}


def _of_xai(fields: Fields) -> Fields:
    return fields.part("usage").part("server_side_tool_usage_details")


def tool_call(item: Fields) -> dict[str, object]:
    """Return the fields of an output item that decide what a tool costs, without any content."""
    action, environment = item.part("action"), item.part("environment")
    return {
        "type": item.text("type"),
        "container_id": item.text("container_id"),
        "action": {"type": action.text("type")},
        "environment": {"type": environment.text("type"), "container_id": environment.text("container_id")},
    }


def _web_searches(fields: Fields, output: list[Fields]) -> int:
    """Return the billed searches: as stated, otherwise the calls that searched.

    Opening a page and searching within it are not billed as searches.
    """
    usage = fields.part("tool_usage").part("web_search")
    if usage.has("num_requests"):
        return usage.count("num_requests")
    return sum(
        item.text("type") == _WEB_SEARCH and item.part("action").text("type") in {None, "search"}
        for item in output
    )


def _containers(output: list[Fields]) -> int:
    """Return how many containers ran code; several calls may share one."""
    container_ids = [
        item.text("container_id") or item.part("environment").text("container_id")
        for item in output
        if item.text("type") == "code_interpreter_call"
        or item.part("environment").text("type") == "container_reference"
    ]
    return len({name for name in container_ids if name}) or min(len(container_ids), 1)


_KNOWN_CALLS: Final = frozenset(
    {
        "apply_patch_call",
        "code_interpreter_call",
        "computer_call",
        "custom_tool_call",
        "file_search_call",
        "function_call",
        "image_generation_call",
        "local_shell_call",
        "mcp_call",
        "shell_call",
        "tool_search_call",
        "web_search_call",
    }
)
"""The calls that a response of ``openai`` 3.57 may have: counted here, or billed by their tokens only."""


def unread_tools(fields: Fields) -> dict[str, int | float]:
    """Return the uses of hosted tools that are not counted here: new kinds of calls, new tools in a usage.

    >>> unread_tools(Fields({"output": [{"type": "video_generation_call"}, {"type": "function_call"}]}))
    {'video_generation_calls': 1}
    """
    units: dict[str, int | float] = {}
    for item in () if _of_xai(fields) else fields.parts("output"):
        kind = item.text("type") or ""
        if kind.endswith("_call") and kind not in _KNOWN_CALLS:
            units[f"{kind}s"] = units.get(f"{kind}s", 0) + 1
    return units | unread_counts(fields.part("tool_usage"), {"web_search", "image_gen"})


def drawn(fields: Fields) -> int:
    """Return how many pictures the image tool drew."""
    return sum(item.text("type") == "image_generation_call" for item in fields.parts("output"))


def image_model(fields: Fields) -> str:
    """Return the model behind the image tool."""
    tools = (tool for tool in fields.parts("tools") if tool.text("type") == "image_generation")
    return next((model for tool in tools if (model := tool.text("model"))), DEFAULT_IMAGE_MODEL)


def searches_always(model: str) -> Counts:
    """Return the search of a chat model that searches at every call.

    Source: https://developers.openai.com/api/docs/pricing (web search), 2026-11-28.

    >>> searches_always("gpt-4o-mini-search-preview-2025-03-11"), searches_always("gpt-5-search-api")
    ({'preview_searches': 1}, {'web_searches': 1})
    """
    if "-search-preview" in model:
        return {"preview_searches": 1}
    return {"web_searches": 1} if "-search-api" in model else {}
