"""OpenAI's chat completions, and every server that speaks the same wire format (``--base-url``)."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Final

from pipeline.engines import EngineOptions, Spent, Unavailable, Used
from pipeline.engines.chat import RETRIES, TIMEOUT_SECONDS, Answer, Prompt, SdkChat, drain, served_as

if TYPE_CHECKING:
    from openai import OpenAI
    from openai.types.chat import ChatCompletion, ChatCompletionChunk
    from openai.types.completion_usage import CompletionUsage

KEY_VARIABLE: Final = "OPENAI_API_KEY"


class OpenAIChat(SdkChat):
    """A model of OpenAI or of a compatible server."""

    backend = "openai"
    provider = "openai"
    _client: OpenAI

    def __init__(self, client: OpenAI, options: EngineOptions) -> None:
        super().__init__(client, options)
        # Other servers know the older name of the limit; OpenAI's newer models only the new one.
        self._limit = "max_tokens" if options.base_url else "max_completion_tokens"

    def _status_error(self) -> type[Exception]:
        from openai import APIStatusError

        return APIStatusError

    def _whole(self, prompt: Prompt) -> Answer:
        raw = self._client.chat.completions.with_raw_response.create(**self._request(prompt))
        reply: ChatCompletion = raw.parse()
        text = reply.choices[0].message.content or ""
        usage = (_usage(reply.usage) or prompt.roughly(text)) | served_as(reply.service_tier)
        return Answer(text, Spent(usage, reply.id, {"sdk_retries": raw.retries_taken}))

    def _streamed(self, prompt: Prompt) -> Answer:
        """Gather a streamed answer; the last chunk has no choices, but the usage that was asked for."""
        came: list[ChatCompletionChunk] = []
        with self._client.chat.completions.create(
            stream=True, stream_options={"include_usage": True}, **self._request(prompt)
        ) as chunks:
            fault = drain(chunks, came.append)
        text = "".join(choice.delta.content or "" for chunk in came for choice in chunk.choices)
        usage = _usage(came[-1].usage if came else None) or prompt.roughly(text)
        usage |= served_as(came[-1].service_tier if came else None)
        request_id = came[0].id if came else None
        return Answer(text, Spent(usage, request_id, {"streamed": True}, fault))

    def _request(self, prompt: Prompt) -> dict[str, Any]:
        messages = [
            {"role": "system", "content": prompt.instructions},
            {"role": "user", "content": prompt.text},
        ]
        return {"model": self.model, "messages": messages, self._limit: self.max_output_tokens}


def _usage(usage: CompletionUsage | None) -> Used | None:
    """Return what a server said it used, or ``None`` when it said nothing.

    Some servers tell a total alone: that goes in as ``tokens_total``, which the ledger splits 80/20
    and flags as estimated.
    """
    if usage is None:
        return None
    if not usage.prompt_tokens and not usage.completion_tokens:
        return {"tokens_total": usage.total_tokens} if usage.total_tokens else None
    prompt, completion = usage.prompt_tokens_details, usage.completion_tokens_details
    return {
        "tokens_input": usage.prompt_tokens,
        "tokens_output": usage.completion_tokens,
        "tokens_cached": (prompt.cached_tokens if prompt else 0) or 0,
        "tokens_cache_write": getattr(prompt, "cache_write_tokens", 0) or 0,
        "tokens_reasoning": (completion.reasoning_tokens if completion else 0) or 0,
    }


def open_client(options: EngineOptions) -> OpenAI:
    """Return a client of the SDK; a server of one's own may do without a key.

    Raises:
        Unavailable: the SDK or the key is missing.
    """
    try:
        import openai
    except ImportError:
        raise Unavailable("pip install '.[providers]'") from None
    key = os.environ.get(KEY_VARIABLE) or ("none" if options.base_url else None)
    if key is None:
        raise Unavailable(f"set {KEY_VARIABLE}, or name a server of your own with --base-url")
    return openai.OpenAI(api_key=key, base_url=options.base_url, max_retries=RETRIES, timeout=TIMEOUT_SECONDS)


def open_chat(options: EngineOptions) -> OpenAIChat:
    """Return the model that ``options`` name.

    Raises:
        Unavailable: the SDK or the key is missing.
    """
    return OpenAIChat(open_client(options), options)
