"""OpenAI's chat completions, and every server that speaks the same wire format (``--base-url``)."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Final

from pipeline.engines import EngineOptions, Spent, Unavailable, Used
from pipeline.engines.chat import RETRIES, TIMEOUT_SECONDS, Answer, Prompt, required_model

if TYPE_CHECKING:
    from openai import OpenAI
    from openai.types.chat import ChatCompletionMessageParam
    from openai.types.completion_usage import CompletionUsage

KEY_VARIABLE: Final = "OPENAI_API_KEY"


class OpenAIChat:
    """A model of OpenAI or of a compatible server."""

    backend = "openai"

    def __init__(self, client: OpenAI, options: EngineOptions) -> None:
        self._client = client
        self._stream = options.stream
        # Other servers know the older name of the limit; OpenAI's newer models only the new one.
        self._limit = "max_tokens" if options.base_url else "max_completion_tokens"
        self.service = options.service or "openai"
        self.model = required_model(options)
        self.max_output_tokens = options.max_output_tokens

    def ask(self, prompt: Prompt) -> Answer:
        """Send one request, streamed or not."""
        messages: list[ChatCompletionMessageParam] = [
            {"role": "system", "content": prompt.instructions},
            {"role": "user", "content": prompt.text},
        ]
        limit: dict[str, Any] = {self._limit: self.max_output_tokens}
        return self._streamed(messages, limit) if self._stream else self._whole(messages, limit)

    def _whole(self, messages: list[ChatCompletionMessageParam], limit: dict[str, Any]) -> Answer:
        raw = self._client.chat.completions.with_raw_response.create(
            model=self.model, messages=messages, **limit
        )
        reply = raw.parse()
        text = reply.choices[0].message.content or ""
        details = {"retries": raw.retries_taken}
        return Answer(text, Spent(usage_of(reply.usage), reply.id, details))

    def _streamed(self, messages: list[ChatCompletionMessageParam], limit: dict[str, Any]) -> Answer:
        """Gather a streamed answer; the last chunk has no choices, but the usage that was asked for."""
        text, usage, request_id = "", None, None
        with self._client.chat.completions.create(
            model=self.model, messages=messages, stream=True, stream_options={"include_usage": True}, **limit
        ) as chunks:
            for chunk in chunks:
                text += "".join(choice.delta.content or "" for choice in chunk.choices)
                usage, request_id = chunk.usage or usage, chunk.id or request_id
        return Answer(text, Spent(usage_of(usage), request_id, {"streamed": True}))


def usage_of(usage: CompletionUsage | None) -> Used:
    """Return what a server said it used, as keyword arguments of ``log_usage``.

    Some servers tell a total alone: that goes in as ``tokens_total``, which the ledger splits 80/20
    and flags as estimated. A server that tells nothing leaves zeros, flagged as well.
    """
    if usage is None:
        return {"estimated": True}
    if not usage.prompt_tokens and not usage.completion_tokens:
        return {"tokens_total": usage.total_tokens or 0}
    prompt, completion = usage.prompt_tokens_details, usage.completion_tokens_details
    return {
        "tokens_input": usage.prompt_tokens,
        "tokens_output": usage.completion_tokens,
        "tokens_cached": (prompt.cached_tokens if prompt else 0) or 0,
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
        raise Unavailable("pip install 'cost-ledger[providers]'") from None
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
