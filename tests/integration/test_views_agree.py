"""Whatever is asked: views, exports and SQL count the same calls and the same nano-dollars."""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, Final
from zoneinfo import ZoneInfo

import pytest
from starlette.testclient import TestClient

from shared.cost_tracker import CostTracker
from shared.costs.apps.cli.program import run
from shared.costs.apps.serve.access import Access
from shared.costs.apps.serve.guard import Hosts
from shared.costs.apps.serve.site import Site
from shared.costs.ledger.reader import read
from shared.costs.model import Entry
from shared.costs.workspace import Workspace
from tests.support.plugin import VARIABLES, remember

pytestmark = pytest.mark.no_cover

ZONES: Final = {"1": "Europe/Berlin", "ana": "Asia/Kolkata", "kim": "Pacific/Chatham"}
MODELS: Final = (("openai", "gpt-4o"), ("google", "gemini-2.5-flash"), ("lab", "prototype"), ("local", "asr"))
COLUMNS: Final = {
    "user": "user_id",
    "job": "job_id",
    "service": "service",
    "model": "model",
    "stage": "stage",
    "category": "operation",
    "workflow": "workflow",
    "project": "project",
    "tier": "service_tier",
}
"""What views filter and break down by, and how entries call it."""

PRICES: Final = """
models: {lab/prototype: {since: 2026-01-01, source: an offer, per_million_tokens: {input: 1.5, output: 3}}}
"""
Ask = Callable[..., Any]


@pytest.fixture(scope="module")
def history(tmp_path_factory: pytest.TempPathFactory, remembered_prices: list[Path]) -> Path:
    """Three users in three zones, some of whose calls were reversed or priced later; no test changes it."""
    folder = tmp_path_factory.mktemp("history")
    zones = "".join(f'  "{user}": {{timezone: {zone}}}\n' for user, zone in ZONES.items())
    profile = folder / "profile.yaml"
    profile.write_text(f"timezone: {ZONES['1']}\nbilling_day: 9\nbudget: {{}}\nusers:\n{zones}")
    with pytest.MonkeyPatch.context() as patch:
        for variable in VARIABLES:
            patch.delenv(variable, raising=False)
        patch.setenv("COST_TRACKER_HOME", str(folder / "home"))
        patch.setenv("COST_TRACKER_PROFILE", str(profile))
        remember(remembered_prices, folder / "home" / "prices")
        write_history(folder)
    return folder


def write_history(folder: Path) -> None:
    rng = random.Random(7)
    for number in range(30):
        job = folder / "out" / rng.choice(["job-1", "job 2"]) if number % 3 else None
        with CostTracker(job, rng.choice([*ZONES])) as tracker:
            for _ in range(4):
                log(tracker, rng)
    for ledger in sorted((folder / "out").rglob("*.jsonl")):
        calls = [each.content for each in read(ledger) if isinstance(each.content, Entry)]
        for call in rng.sample(calls, 4):
            with CostTracker(ledger.parent, call.user_id) as tracker:
                tracker.reverse(call.id, "a mistake")
    (folder / "prices.yaml").write_text(PRICES)
    assert run(["reprice", "--yes"]) == 0


@pytest.fixture
def ask(
    history: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Ask:
    """Ask a command about the history, with a profile of the test's own."""
    for name in ("profile.yaml", "prices.yaml"):
        shutil.copy(history / name, tmp_path)
    monkeypatch.setenv("COST_TRACKER_HOME", str(history / "home"))
    monkeypatch.setenv("COST_TRACKER_PROFILE", str(tmp_path / "profile.yaml"))

    def asked(*words: str, ok: int = 0) -> Any:
        capsys.readouterr()
        assert run([*words, "--json"]) == ok, capsys.readouterr().err
        return json.loads(capsys.readouterr().out, parse_float=Decimal)

    return asked


def log(tracker: CostTracker, rng: random.Random) -> None:
    """Log a random call of the last 50 days."""
    service, model = rng.choice(MODELS)
    tracker.log_usage(
        service,
        model,
        rng.randrange(200_000),
        rng.randrange(20_000),
        rng.choice(["06_asr", "13_sum", None]),
        operation=rng.choice(["chat", None]),
        workflow=rng.choice(["w1", "w 2", None]),
        project=rng.choice(["ünï", None]),
        service_tier=rng.choice(["batch", None]),
        tags=rng.choice([["customer:a b"], []]),
        attempt=rng.choice([1, 1, 2]),
        web_searches=rng.choice([0, 0, 2]),
        timestamp=datetime.now(UTC) - timedelta(seconds=rng.randrange(50 * 86_400)),
    )


@pytest.fixture
def page(ask: Ask) -> Iterator[Ask]:
    """Ask a page of the site; depends on ``ask`` for the history."""
    assert ask("report")
    access = Access("token", "pages")
    with Workspace() as workspace:
        site = Site(workspace, lambda: access, Hosts.of("127.0.0.1", 8765, ())).application()
        with TestClient(site, base_url="http://127.0.0.1:8765") as client:

            def asked(path: str, **values: str) -> Any:
                answer = client.get(path, params=values, headers={"Authorization": f"Bearer {access.token}"})
                assert answer.status_code == 200, answer.text
                return json.loads(answer.text, parse_float=Decimal)

            yield asked


SUMS: Final = "sum(cost_usd) AS cost, sum(sign) AS n, sum(unpriced_delta) AS u, sum(partial_delta) AS p"
Sums = tuple[Decimal, int, int, int]
"""Cost, calls, unpriced and partial calls."""


def of_row(row: dict[str, Any]) -> Sums:
    """Return what SQL says."""
    return Decimal(row["cost"] or 0), row["n"] or 0, row["u"] or 0, row["p"] or 0


def of(totals: dict[str, Any]) -> Sums:
    """Return what a view says."""
    calls, unpriced, partial = (totals[name] for name in ("calls", "unpriced_calls", "partial_calls"))
    return Decimal(totals["cost_usd"]), calls, unpriced, partial


def test_a_filter_means_the_same_calls_everywhere(ask: Ask) -> None:
    rng = random.Random(11)
    rows = ask("query", f"SELECT DISTINCT {', '.join(COLUMNS.values())} FROM entries")["rows"]
    for number, sure in enumerate(COLUMNS):
        some = rng.choice([row for row in rows if row[COLUMNS[sure]] is not None])
        names = [name for name in COLUMNS if name == sure or rng.random() < 0.15]
        chosen = {name: some[COLUMNS[name]] for name in names if some[COLUMNS[name]] is not None}
        conditions = [f"{COLUMNS[name]} = '{value}'" for name, value in chosen.items()]
        words = [word for name, value in chosen.items() for word in (f"--{name}", value)]
        if number % 4 == 0:
            words += ["--tag", "customer:a b"]
            conditions.append("tags LIKE '%\"customer:a b\"%'")
        zone = ZoneInfo(ZONES[chosen.get("user", "1")])
        until = datetime.now(zone).date() - timedelta(days=rng.randrange(10))
        since = until - timedelta(days=rng.randrange(40))
        words += ["--since", f"{since}", "--until", f"{until}"]
        start, end = (
            datetime.combine(day, time(), zone).astimezone(UTC) for day in (since, until + timedelta(1))
        )
        at = "coalesce(period_at, timestamp)"
        conditions.append(f"{at} >= '{start:%F %T}' AND {at} < '{end:%F %T}'")
        [row] = ask("query", f"SELECT {SUMS} FROM entries WHERE {' AND '.join(conditions)}")["rows"]
        expected = of_row(row)
        assert of(ask("report", *words)["totals"]) == expected, words
        assert of(ask("export", "json", "-", *words)["summary"]) == expected, words
        days = [of(day) for day in ask("trend", *words)["periods"]]
        assert [sum(column) for column in zip(*days, strict=True)] == [*expected], words


def test_every_breakdown_has_the_groups_of_sql(ask: Ask) -> None:
    for name, column in COLUMNS.items():
        groups = ask("report", "--days", "60", "--by", name)[f"by_{name}"]
        key = {"tier": f"coalesce({column}, 'standard')", "model": f"service || '/' || {column}"}
        rows = ask("query", f"SELECT {key.get(name, column)} AS key, {SUMS} FROM entries GROUP BY key")[
            "rows"
        ]
        expected = {row["key"] or "unassigned": of_row(row) for row in rows}
        assert {group: of(totals) for group, totals in groups.items()} == expected, name
        assert sum(calls for _, calls, _, _ in expected.values()) > 90


@pytest.mark.parametrize("user", ZONES)
def test_a_month_is_the_same_days_everywhere(user: str, ask: Ask, page: Ask, tmp_path: Path) -> None:
    months = ask("query", "SELECT DISTINCT billing_month AS month FROM entries ORDER BY 1")["rows"]
    assert len(months) >= 2
    for month in [row["month"] for row in months]:
        where = f"billing_month = '{month}' AND user_id = '{user}'"
        [row] = ask("query", f"SELECT {SUMS} FROM entries WHERE {where}")["rows"]
        expected, whose = of_row(row), ["--month", month, "--user", user]
        for view in (ask("report", *whose), ask("export", "json", "-", *whose)["summary"]):
            assert of(view.get("totals", view)) == expected
        for view in (ask("show-monthly", *whose), ask("export-report", *whose)):
            assert of(view["totals"]) == expected
        assert Decimal(ask("show-budget", *whose)["spent_usd"]) == expected[0]
        savings = ask("show-optimization", *whose)
        assert of({**savings, "cost_usd": savings["spent_usd"]}) == expected
        assert ask("explain", month, month, "--user", user)["calls_after"] == expected[1]
        assert of(page(f"/months/{month}.json", user=user)["totals"]) == expected
        listed = page("/calls.json", period=month, user=user)
        assert of(listed["totals"]) == expected
        jobs = [of(job) for job in page("/jobs.json", period=month, user=user)["jobs"]]
        assert [sum(column) for column in zip(*jobs, strict=True)] == [*expected]


def test_a_closed_month_is_the_days_that_the_report_of_it_has(ask: Ask, tmp_path: Path) -> None:
    month = ask("query", "SELECT min(billing_month) AS month FROM entries")["rows"][0]["month"]
    closed = ask("close-month", month, str(tmp_path / "closed.json"))
    assert of({**closed}) == of(ask("report", "--month", month)["totals"])
    assert ask("verify", "--sealed", str(tmp_path / "closed.json"))["sealed"]["same"]
    profile = tmp_path / "profile.yaml"
    profile.write_text(profile.read_text().replace("billing_day: 9", "billing_day: 1"))
    sealed = ask("verify", "--sealed", str(tmp_path / "closed.json"), ok=1)[
        "sealed"
    ]  # the profile is another
    assert sealed["calls"]["now"] == closed["calls"]


def test_what_looks_at_every_call_says_how_many_there_are(ask: Ask, tmp_path: Path) -> None:
    [row] = ask("query", f"SELECT {SUMS} FROM entries")["rows"]
    _, calls, unpriced, _ = of_row(row)
    repriced = ask("reprice")
    assert (repriced["examined_calls"], sum(repriced["unpriced"].values())) == (calls, unpriced)
    tried = ask("whatif", "--budget", str(tmp_path / "profile.yaml"), "--days", "60")
    assert (tried["calls"], Decimal(tried["cost_usd"])) == (calls, Decimal(row["cost"]))
    for words in (["stats", "--period", "monthly"], ["summary", "--days", "60"]):
        assert ask(*words)["total_calls"] == calls
