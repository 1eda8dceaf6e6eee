"""Bedrock Converse. boto3 gives plain dicts; the response names no model.

"Input" excludes the cache here: read and written tokens are added to it.
Source: https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_TokenUsage.html
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from ..adapter import Adapter, tier, without_usage
from ..captured import Captured, first_reason, usage_of
from ..fields import Fields
from ..unread import every_number, unread_counts

_EVENTS = (
    "messageStart",
    "contentBlockStart",
    "contentBlockDelta",
    "contentBlockStop",
    "messageStop",
    "metadata",
)


_READ = frozenset(
    {
        "input_tokens",
        "output_tokens",
        "total_tokens",
        "cache_read_input_tokens",
        "cache_write_input_tokens",
        "cache_read_input_token_count",  # the older names of the two
        "cache_write_input_token_count",
        "cache_details",
    }
)


def _recognises(fields: Fields) -> bool:
    usage = fields.get("usage")
    return (
        isinstance(usage, dict)
        and "inputTokens" in usage
        and (fields.has("stopReason") or fields.has("metrics") or fields.has("output"))
    )


def _read(fields: Fields) -> Iterable[Captured]:
    usage_fields = fields.usage("usage")
    missing = None if usage_fields else "the response has no usage"
    read = usage_fields.count("cache_read_input_tokens")
    written = usage_fields.count("cache_write_input_tokens")
    details = usage_fields.parts("cache_details")
    hour = sum(detail.count("input_tokens") for detail in details if detail.text("ttl") == "1h")
    usage, fault = usage_of(
        {
            "tokens_input": usage_fields.count("input_tokens") + read + written,
            "tokens_output": usage_fields.count("output_tokens"),
            "tokens_cached": read,
            "tokens_cache_write": written,
            "tokens_cache_write_1h": hour,
        }
    )
    yield Captured(
        service="bedrock",
        model="",
        usage=usage,
        request_id=fields.part("ResponseMetadata").text("RequestId"),
        service_tier=_tier(fields),
        operation="chat",
        usage_known=bool(usage_fields),
        unpriced_units=unread_counts(usage_fields, _READ) | _guardrail_units(fields),
        incomplete=first_reason((missing, fault)),
    )


_CHECKS: Final = ("input_assessment", "output_assessments")


def _guardrail_units(fields: Fields) -> dict[str, int | float]:
    """Return the text units that the policies of a guardrail bill, as the trace states; words are free.

    Source: https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_GuardrailUsage.html
    (2026-11-30).
    """
    found: dict[str, int | float] = {}
    for part in map(fields.part("trace").part("guardrail").part, _CHECKS):
        checked = part.raw.values() if isinstance(part.raw, Mapping) else ()
        for each in checked:
            for one in map(Fields, each if isinstance(each, list) else [each]):
                usage = one.part("invocation_metrics").part("usage")
                for name, count in every_number(usage, _FREE_POLICIES).items():
                    found[f"guardrail_{name}"] = found.get(f"guardrail_{name}", 0) + count
    return found


_FREE_POLICIES: Final = frozenset({"word_policy_units", "sensitive_information_policy_free_units"})


def _tier(fields: Fields) -> str | None:
    """Return the service tier; inference that is optimised for latency has prices of its own, so it is one.

    Source: https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_PerformanceConfiguration.html
    """
    stated = tier(fields.part("service_tier").text("type"))
    optimized = fields.part("performance_config").text("latency") == "optimized"
    return "optimized" if optimized and stated is None else stated


def recognises_chunk(chunk: Fields) -> bool:
    """Tell whether this is an event of ``converse_stream``: a dict with one of its names as the only key."""
    return isinstance(chunk.raw, dict) and len(chunk.raw) == 1 and next(iter(chunk.raw)) in _EVENTS


class BedrockFollower:
    """Follows a stream: the ``metadata`` event, after the message's end, carries the usage."""

    def __init__(self) -> None:
        self._metadata: Fields = Fields(None)
        self._characters = 0

    def add(self, chunk: Fields) -> None:
        """Take in one event."""
        self._metadata = chunk.part("metadata") or self._metadata
        delta = chunk.part("contentBlockDelta").part("delta")
        thought = delta.part("reasoningContent").text("text") or ""
        argument = delta.part("toolUse").text("input") or ""
        self._characters += len(delta.text("text") or "") + len(thought) + len(argument)

    def result(self, ending: str) -> Iterable[Captured]:
        """Return the call: as the metadata says, else what arrived, flagged."""
        if self._metadata:
            return _read(self._metadata)
        return [without_usage(ending, self._characters, service="bedrock")]


ADAPTER = Adapter(
    name="Bedrock",
    knows="Bedrock Converse",
    packages=frozenset({"botocore"}),
    recognises=_recognises,
    read=_read,
    recognises_chunk=recognises_chunk,
    follow=BedrockFollower,
)
