"""Cells of Bedrock Converse: answers that botocore itself has checked against the service's model."""

from __future__ import annotations

from typing import Any

from .cell import Api

CONVERSE = Api("Bedrock", "Converse", "boto3", "boto3")

COUNTS = {"tokens_input": 1000, "tokens_output": 200}
TEXT = "Sixteen letters."  # 16 characters, taken as 4 tokens where a stream is cut
BEDROCK_SAID = {"model": "anthropic.claude-sonnet-4-5-20250929-v1:0"}
BEDROCK_ID = {"service": "bedrock", **BEDROCK_SAID}
BEDROCK_USAGE = {"inputTokens": 1000, "outputTokens": 200, "totalTokens": 1200}
BEDROCK_CACHE = {
    "totalTokens": 6900,
    "cacheReadInputTokens": 5000,
    "cacheWriteInputTokens": 700,
    "cacheDetails": [{"ttl": "1h", "inputTokens": 200}, {"ttl": "5m", "inputTokens": 500}],
}


def converse(**more: Any) -> Any:
    answer = {
        "output": {"message": {"role": "assistant", "content": [{"text": "Hello."}]}},
        "stopReason": "end_turn",
        "usage": BEDROCK_USAGE,
        "metrics": {"latencyMs": 5},
        "ResponseMetadata": {"RequestId": "b-1", "HTTPStatusCode": 200},
    } | more
    import boto3
    from botocore.stub import Stubber

    keys = {"aws_access_key_id": "x", "aws_secret_access_key": "y"}  # nothing is sent
    client = boto3.client("bedrock-runtime", region_name="eu-central-1", **keys)
    with Stubber(client) as stub:
        stub.add_response("converse", answer)
        return client.converse(modelId=BEDROCK_SAID["model"], messages=[])


def converse_events(whole: bool = True) -> list[Any]:
    events: list[Any] = [
        {"messageStart": {"role": "assistant"}},
        {"contentBlockDelta": {"contentBlockIndex": 0, "delta": {"text": TEXT}}},
        {"messageStop": {"stopReason": "end_turn"}},
        {"metadata": {"usage": BEDROCK_USAGE | BEDROCK_CACHE, "metrics": {"latencyMs": 5}}},
    ]
    return events if whole else events[:2]


BEDROCK_CACHED = {
    "tokens_input": 6700,
    "tokens_output": 200,
    "tokens_cached": 5000,
    "tokens_cache_write": 700,
    "tokens_cache_write_1h": 200,
}

CELLS = [
    CONVERSE.cell("normal", converse, COUNTS, BEDROCK_ID | {"request_id": "b-1"}, said=BEDROCK_SAID),
    CONVERSE.cell(
        "normal",
        lambda: converse(serviceTier={"type": "priority"}),
        COUNTS,
        {"service_tier": "priority"},
        said=BEDROCK_SAID,
        variant="priority",
    ),
    CONVERSE.cell("streamed", converse_events, BEDROCK_CACHED, BEDROCK_ID, said=BEDROCK_SAID),
    CONVERSE.cell(
        "cut", lambda: converse_events(whole=False), {"tokens_output": 4}, BEDROCK_ID, said=BEDROCK_SAID
    ),
    CONVERSE.cell("async", converse_events, BEDROCK_CACHED, BEDROCK_ID, said=BEDROCK_SAID),
    CONVERSE.cell(
        "cached",
        lambda: converse(usage=BEDROCK_USAGE | BEDROCK_CACHE),
        BEDROCK_CACHED,
        BEDROCK_ID,
        said=BEDROCK_SAID,
    ),
]
NONE = [
    *CONVERSE.none("counted in the output, not stated apart", "reasoning"),
    *CONVERSE.none("results are files in the models' own formats", "batch"),
]
