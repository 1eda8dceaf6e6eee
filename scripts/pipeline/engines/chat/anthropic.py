"""Anthropic's messages API."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from pipeline.engines import EngineOptions, Spent, Unavailable, Used
from pipeline.engines.chat import RETRIES, TIMEOUT_SECONDS, Answer, Prompt, SdkChat, drain, key_in, served_as

if TYPE_CHECKING:
    from anthropic import Anthropic
    from anthropic.types import Message, Usage

KEY_VARIABLE: Final = "ANTHROPIC_API_KEY"


class AnthropicChat(SdkChat):
    """A model of Anthropic."""

    backend = "anthropic"
    provider = "anthropic"
    _client: Anthropic

    def _status_error(self) -> type[Exception]:
        from anthropic import APIStatusError

        return APIStatusError

    def _whole(self, prompt: Prompt) -> Answer:
        raw = self._client.messages.with_raw_response.create(**self._request(prompt))
        reply: Message = raw.parse()
        details = {"sdk_retries": raw.retries_taken}
        return Answer(_text(reply), Spent(_usage(reply.usage), reply.id, details))

    def _streamed(self, prompt: Prompt) -> Answer:
        """Gather a streamed answer; the SDK keeps the message as far as it has come.

        Output tokens are told when the message ends, so a broken one counts what was seen of it.
        """
        with self._client.messages.stream(**self._request(prompt)) as stream:
            fault = drain(stream, lambda _event: None)
            reply = stream.current_message_snapshot
        usage = _usage(reply.usage)
        if fault:
            usage["tokens_output"] = max(
                usage["tokens_output"], prompt.roughly(_text(reply))["tokens_output"]
            )
            usage["estimated"] = True
        return Answer(_text(reply), Spent(usage, reply.id, {"streamed": True}, fault))

    def _request(self, prompt: Prompt) -> dict[str, Any]:
        return {
            "model": self.model,
            "system": prompt.instructions,
            "messages": [{"role": "user", "content": prompt.text}],
            "max_tokens": self.max_output_tokens,
        }


def _text(reply: Message) -> str:
    return "".join(block.text for block in reply.content if block.type == "text")


def _usage(usage: Usage) -> Used:
    """Return what was used. Anthropic counts the cache beside the input, the ledger inside it."""
    read, written = usage.cache_read_input_tokens or 0, usage.cache_creation_input_tokens or 0
    created = usage.cache_creation
    return {
        "tokens_input": usage.input_tokens + read + written,
        "tokens_output": usage.output_tokens,
        "tokens_cached": read,
        "tokens_cache_write": written,
        "tokens_cache_write_1h": created.ephemeral_1h_input_tokens if created else 0,
        **served_as(usage.service_tier),
    }


def open_chat(options: EngineOptions) -> AnthropicChat:
    """Return the model that ``options`` name.

    Raises:
        Unavailable: the SDK or the key is missing.
    """
    try:
        import anthropic
    except ImportError:
        raise Unavailable("pip install '.[providers]'") from None
    key = key_in(KEY_VARIABLE)
    client = anthropic.Anthropic(
        api_key=key, base_url=options.base_url, max_retries=RETRIES, timeout=TIMEOUT_SECONDS
    )
    return AnthropicChat(client, options)
