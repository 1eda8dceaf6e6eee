"""Three kinds of doing it again, told apart: the SDK's own retry, a stage's retry, a job's rerun."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from shared.cost_tracker import CostTracker
from shared.costs.apps.cli.program import run
from shared.costs.ledger.reader import read
from shared.costs.model import Entry
from tests.support.golden import check
from tests.support.lazily import Lazily
from tests.support.provider import ProviderServer, Reply

openai = Lazily("openai")

STAGE = "13_ai_summarization"


@pytest.fixture
def done(tmp_path: Path, server: ProviderServer, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A job whose first run needed a retry of the SDK and one of the stage, and which was run again."""
    job = tmp_path / "job-7"
    server.next_replies(Reply("busy"), Reply(), Reply(), Reply())
    for name, attempts in (("first", (1, 2)), ("second", (3,))):
        monkeypatch.setenv("COST_TRACKER_RUN", name)
        with CostTracker(job, "rpatel") as tracker:
            for attempt in attempts:
                with tracker.stage(STAGE, attempt=attempt):
                    tracker.log_response(ask(server))
    return job


def ask(server: ProviderServer) -> Any:
    """A call whose answer knows how often the SDK tried."""
    client = openai.OpenAI(api_key="k", base_url=server.url("openai"), max_retries=2)
    said: Any = [{"role": "user", "content": "Say what the notice says, in a few words of your own."}]
    return client.chat.completions.with_raw_response.create(model="gpt-4o", messages=said)


def test_each_entry_says_which_it_is(done: Path, server: ProviderServer) -> None:
    entries = [located.content for located in read(done / "cost_ledger.jsonl")]
    told = [
        (entry.attempt, entry.metadata["run"], entry.metadata.get("sdk_retries", 0))
        for entry in entries
        if isinstance(entry, Entry)
    ]
    assert told == [(1, "first", 1), (2, "first", 0), (3, "second", 0)]
    assert [served.status for served in server.served] == [429, 200, 200, 200]
    ids = [entry.request_id for entry in entries if isinstance(entry, Entry)]
    assert ids == [served.request_id for served in server.answered], "the SDK's retry is one call"


def test_the_receipt_shows_what_was_spent_on_doing_it_again(
    done: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "120")
    capsys.readouterr()
    assert run(["show-job", str(done)]) == 0
    shown = capsys.readouterr().out
    told = ("retried", "Attempts", STAGE)
    figures = [line for line in shown.splitlines() if any(word in line for word in told)]
    check("show-job-retries.txt", "\n".join(line.rstrip() for line in figures) + "\n")
