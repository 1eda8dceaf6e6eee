"""A conversation of several turns with the real Claude Agent SDK: every turn counts once."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from shared.cost_tracker import CostTracker
from shared.costs.ledger.reader import read
from shared.costs.model import Entry
from tests.support.provider import ProviderServer


@pytest.mark.long
def test_the_turns_of_a_session_add_up_to_what_was_served(tracker: CostTracker, tmp_path: Path) -> None:
    sdk = pytest.importorskip("claude_agent_sdk")

    async def talk(server: ProviderServer) -> None:
        environ = {
            "ANTHROPIC_BASE_URL": server.url("anthropic"),
            "ANTHROPIC_API_KEY": "k",
            "CLAUDE_CONFIG_DIR": str(tmp_path / "claude"),
            "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
        }
        settings: dict[str, Any] = {"model": "claude-sonnet-4-5", "env": environ, "cwd": str(tmp_path)}
        options = sdk.ClaudeAgentOptions(max_turns=1, allowed_tools=[], system_prompt="Be short.", **settings)
        async with sdk.ClaudeSDKClient(options=options) as client:
            for number in range(3):
                await client.query("Say it.")
                answer = client.receive_response()
                if number == 1:  # read as a stream, or result by result: it is the same
                    answer = tracker.log_stream(answer)
                async for message in answer:
                    if number != 1 and isinstance(message, sdk.ResultMessage):
                        tracker.log_response(message)

    with ProviderServer() as server:
        asyncio.run(talk(server))
    entries = [located.content for located in read(tracker._session.job.ledger)]
    assert len(entries) == len(server.answered) == 3
    for entry, served in zip(entries, server.answered, strict=True):
        assert isinstance(entry, Entry)
        assert entry.usage.tokens_input == served.counts.tokens_input
        assert entry.usage.tokens_output == served.counts.tokens_output
        assert entry.actual_cost == entry.cost, "the SDK's own estimate, at today's list price"
