"""``optimize note``: a change is noted, and what it saved is measured by the calls since."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import pytest

from shared.costs.apps.cli.commands.optimize import measured, measured_report
from shared.costs.model import Charge, Entry, Usage
from shared.costs.pricing.catalogue import Catalogue
from shared.costs.reports.reader import Reader
from shared.costs.store.annotations import NotedChanges
from shared.costs.workspace import Workspace
from tests.costs.cli.cli_support import Dashboard
from tests.support.golden import check_report
from tests.support.history import entry
from tests.support.saved import save

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
STAGE, OTHER = "13_ai_summarization", "10_translation"
PRICES = Catalogue.load()


def called(number: int, days_ago: float, model: str, tier: str | None = None, stage: str = STAGE) -> Entry:
    """Return a call of a million input tokens, at its price."""
    at, usage = NOW - timedelta(days=days_ago), Usage(tokens_input=1_000_000)
    charge = PRICES.charge("openai", model, usage, at, tier)
    return entry(
        None,
        id=f"c{number}",
        timestamp=at,
        model=model,
        stage=stage,
        usage=usage,
        service_tier=tier,
        charge=charge if isinstance(charge, Charge) else None,
    )


CALLS = [
    *(called(n, 20, "gpt-4o") for n in range(4)),  # $2.50 each, before
    called(4, 45, "gpt-4o"),  # too long ago to promise anything
    called(5, 3, "gpt-4o-mini"),  # $0.15 each, since
    called(6, 2, "gpt-4o-mini"),
    called(7, 2, "gpt-4o"),  # still as before
    called(8, 2, "gpt-4o-mini", stage=OTHER),
    called(9, 20, "gpt-4.1", stage=OTHER),
    called(10, 2, "gpt-4.1", "batch", stage=OTHER),
]


@pytest.fixture
def told(tmp_path: Path, cost_home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Workspace]:
    monkeypatch.setattr("shared.costs.apps.cli.app.Workspace", partial(Workspace, clock=lambda: NOW))
    with Workspace(cost_home, clock=lambda: NOW) as workspace:
        workspace.storage.prepare()
        save(CALLS, tmp_path / "out", workspace)
        yield workspace


def note(dashboard: Dashboard, *words: str) -> object:
    return dashboard("optimize", "note", "--since", "2026-11-15", *words, "--json").json()


def test_a_change_is_measured_by_the_calls_since(told: Workspace, dashboard: Dashboard) -> None:
    note(dashboard, "--stage", STAGE, "--from", "openai/gpt-4o", "--to", "gpt-4o-mini", "cheap", "enough")
    note(dashboard, "--stage", OTHER, "--from", "openai/gpt-4.1", "--tier", "batch")
    changes = dashboard("optimize", "--json").json()["changes"]
    cheaper, batched = changes
    assert (cheaper["calls"], cheaper["unchanged_calls"], cheaper["words"]) == (2, 1, "cheap enough")
    assert (cheaper["cost_usd"], cheaper["without_usd"], cheaper["saved_usd"]) == (0.3, 5.0, 4.7)
    assert cheaper["promised_usd"] == 4.7  # 94 % of what the same calls would have cost
    assert (batched["calls"], batched["saved_usd"], batched["promised_usd"]) == (1, 1.0, 1.0)
    found = measured(Reader(told), NotedChanges(told.storage).all())
    check_report("optimize", measured_report(found, told.profile.timezone))


def test_without_calls_before_nothing_is_promised_and_a_loss_is_said(
    told: Workspace, dashboard: Dashboard
) -> None:
    note(dashboard, "--stage", STAGE, "--from", "openai/gpt-4o-mini", "--to", "openai/gpt-4o")
    [change] = measured(Reader(told), NotedChanges(told.storage).all())
    assert (change.promised, change.effect.saved) == (None, -2_350_000_000)
    report = measured_report([change], told.profile.timezone)
    assert [n.text for n in report.notes if n.tone == "warning"] == [
        "1: 2 calls were still made the old way.",
        "1: costs $2.35 more than before.",
    ]


def test_a_change_can_be_forgotten(told: Workspace, dashboard: Dashboard) -> None:
    assert dashboard("optimize").out.count("optimize note --stage STAGE") == 1
    for _ in range(2):
        note(dashboard, "--from", "openai/gpt-4o", "--tier", "batch")
    assert "forgot 1" in dashboard("optimize", "forget", "1").err
    assert [each.number for each in NotedChanges(told.storage).all()] == [2]
    assert note(dashboard, "--from", "openai/gpt-4o", "--tier", "flex")
    assert [each.number for each in NotedChanges(told.storage).all()] == [2, 3]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("note --to openai/gpt-4o", "say which model was called before"),
        ("note --from openai/gpt-4o", "say what changed"),
        ("note --from acme-1 --tier batch", "'acme-1' names no service"),
        ("note --from openai/gpt-4o --tier batch --since 2026-11-31", "is not a date"),
        ("list --stage x", "did you mean: cost-dashboard optimize note"),
        ("list x", "list takes no words, such as 'x'"),
        ("forget", "say which"),
        ("forget 7", "no change has the number 7"),
        ("forget x", "no change has the number x"),
    ],
)
def test_what_makes_no_sense_is_refused(words: str, said: str, told: Workspace, dashboard: Dashboard) -> None:
    ran = dashboard("optimize", *words.split())
    assert ran.code == 2
    assert said in ran.err
