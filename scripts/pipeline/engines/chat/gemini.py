"""Google's Gemini API, by the google-genai SDK."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from pipeline.engines import EngineOptions, Spent, Unavailable, Used
from pipeline.engines.chat import RETRIES, TIMEOUT_SECONDS, Answer, Prompt, SdkChat, drain, key_in

if TYPE_CHECKING:
    from google.genai import Client
    from google.genai.types import GenerateContentResponse, GenerateContentResponseUsageMetadata

KEY_VARIABLE: Final = "GEMINI_API_KEY"
FIRST_PAUSE_SECONDS = 0.5
"""How long the SDK waits before it tries again; longer each time."""


class GeminiChat(SdkChat):
    """A model of Google."""

    backend = "gemini"
    provider = "google"
    _client: Client

    def _status_error(self) -> type[Exception]:
        from google.genai.errors import APIError

        return APIError

    def _whole(self, prompt: Prompt) -> Answer:
        reply = self._client.models.generate_content(**self._request(prompt))
        return _answer([reply], prompt, {})

    def _streamed(self, prompt: Prompt) -> Answer:
        came: list[GenerateContentResponse] = []
        fault = drain(self._client.models.generate_content_stream(**self._request(prompt)), came.append)
        return _answer(came, prompt, {"streamed": True}, fault)

    def _request(self, prompt: Prompt) -> dict[str, Any]:
        config = {"system_instruction": prompt.instructions, "max_output_tokens": self.max_output_tokens}
        return {"model": self.model, "contents": prompt.text, "config": config}


def _answer(
    came: list[GenerateContentResponse], prompt: Prompt, details: dict[str, Any], fault: str | None = None
) -> Answer:
    """Put the pieces together; the last one that has a usage has the whole usage."""
    text = "".join(piece.text or "" for piece in came)
    told = [piece.usage_metadata for piece in came if piece.usage_metadata]
    usage = _usage(told[-1]) if told else prompt.roughly(text)
    if fault:
        usage["estimated"] = True
    request_id = came[0].response_id if came else None
    return Answer(text, Spent(usage, request_id, details, fault))


def _usage(usage: GenerateContentResponseUsageMetadata) -> Used:
    """Return what was used. Gemini counts thoughts beside the output, the ledger inside it."""
    thoughts = usage.thoughts_token_count or 0
    return {
        "tokens_input": (usage.prompt_token_count or 0) + (usage.tool_use_prompt_token_count or 0),
        "tokens_output": (usage.candidates_token_count or 0) + thoughts,
        "tokens_cached": usage.cached_content_token_count or 0,
        "tokens_reasoning": thoughts,
    }


def open_chat(options: EngineOptions) -> GeminiChat:
    """Return the model that ``options`` name.

    Raises:
        Unavailable: the SDK or the key is missing.
    """
    try:
        from google import genai
        from google.genai import types
    except ImportError:
        raise Unavailable("pip install '.[providers]'") from None
    key = key_in(KEY_VARIABLE)
    retry = types.HttpRetryOptions(
        attempts=RETRIES + 1, initial_delay=FIRST_PAUSE_SECONDS, jitter=FIRST_PAUSE_SECONDS
    )
    http = types.HttpOptions(
        base_url=options.base_url, timeout=int(TIMEOUT_SECONDS * 1000), retry_options=retry
    )
    return GeminiChat(genai.Client(api_key=key, http_options=http), options)
