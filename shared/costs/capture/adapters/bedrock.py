"""Bedrock Converse. boto3 gives plain dicts; the response names no model.

Bedrock's "input" excludes the cache: read and written tokens are added to it.
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
    """Return the text units that a guardrail's policies bill, from the trace; word filters are free.

    Source: https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_GuardrailUsage.html
    (2026-11-30).
    """
    units: dict[str, int | float] = {}
    for part in map(fields.part("trace").part("guardrail").part, _CHECKS):
        assessments = part.raw.values() if isinstance(part.raw, Mapping) else ()
        for assessment in assessments:
            for check in map(Fields, assessment if isinstance(assessment, list) else [assessment]):
                usage = check.part("invocation_metrics").part("usage")
                for name, count in every_number(usage, _FREE_POLICIES).items():
                    units[f"guardrail_{name}"] = units.get(f"guardrail_{name}", 0) + count
    return units


_FREE_POLICIES: Final = frozenset({"word_policy_units", "sensitive_information_policy_free_units"})


def _tier(fields: Fields) -> str | None:
    """Return the service tier; latency-optimised inference counts as one, because it has its own prices.

    Source: https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_PerformanceConfiguration.html
    """
    service_tier = tier(fields.part("service_tier").text("type"))
    is_optimized = fields.part("performance_config").text("latency") == "optimized"
    return "optimized" if is_optimized and service_tier is None else service_tier


def recognises_chunk(chunk: Fields) -> bool:
    """Tell whether this is an event of ``converse_stream``: a dict whose only key is an event's name."""
    return isinstance(chunk.raw, dict) and len(chunk.raw) == 1 and next(iter(chunk.raw)) in _EVENTS


class BedrockFollower:
    """Follows a stream, whose ``metadata`` event, after the message's end, has the usage."""

    def __init__(self) -> None:
        self._metadata: Fields = Fields(None)
        self._characters = 0

    def add(self, chunk: Fields) -> None:
        """Read one event."""
        self._metadata = chunk.part("metadata") or self._metadata
        delta = chunk.part("contentBlockDelta").part("delta")
        thought = delta.part("reasoningContent").text("text") or ""
        argument = delta.part("toolUse").text("input") or ""
        self._characters += len(delta.text("text") or "") + len(thought) + len(argument)

    def result(self, ending: str) -> Iterable[Captured]:
        """Return the call, from the metadata or, flagged, from what arrived."""
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
