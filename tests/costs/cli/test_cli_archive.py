"""``cost-dashboard archive`` as people run it."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import pytest

from shared.costs.workspace import Workspace
from tests.costs.cli.cli_support import Dashboard

NOW = datetime(2026, 11, 22, 15, tzinfo=UTC)


@pytest.fixture(autouse=True)
def at_noon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shared.costs.apps.cli.app.Workspace", partial(Workspace, clock=lambda: NOW))


@pytest.fixture
def known(jobs: Path, dashboard: Dashboard) -> Path:
    dashboard("rebuild-index", "--scan", str(jobs))
    return jobs


def test_it_archives_what_show_monthly_shows_and_verifies_it(
    known: Path, dashboard: Dashboard, tmp_path: Path
) -> None:
    place = str(tmp_path / "archive")
    shown = json.loads(dashboard("show-monthly", "--month", "2026-10", "--json").out)
    archived = dashboard("archive", "--to", place, "--json")
    assert archived.code == 0
    [month] = [each for each in json.loads(archived.out)["months"] if each["month"] == "2026-10"]
    assert (month["calls"], month["cost_usd"]) == (shown["total_calls"], shown["total_cost"])
    assert month["unpriced_calls"] == shown["unpriced_calls"]
    again = dashboard("archive", "--json")
    assert (again.code, json.loads(again.out)["added"]) == (0, 0)
    verified = dashboard("archive", "verify")
    assert verified.code == 0
    assert "Every file has the bytes" in verified.out
    part = next(Path(place).glob("month=*/*.parquet"))
    part.write_bytes(part.read_bytes()[:-9])
    damaged = dashboard("archive", "verify", "--to", place)
    assert damaged.code == 1
    assert "1 file is not as written" in " ".join(damaged.out.split())


def test_it_packs_ledgers_away_and_puts_them_back(
    known: Path, dashboard: Dashboard, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shared.costs.store.presence.Presence.alive", lambda *_: False)
    ledgers = {path: path.read_bytes() for path in known.rglob("cost_ledger.jsonl")}
    before = [dashboard("query", "--json", "SELECT * FROM entries ORDER BY id"), dashboard("show-monthly")]
    packed = dashboard("archive", "--to", str(tmp_path / "archive"), "--pack", "--json")
    assert packed.code == 0
    gone = {Path(path) for path in json.loads(packed.out)["packed"]["ledgers"]}
    assert gone, packed.out
    assert gone == {path for path in ledgers if not path.exists()}
    after = [dashboard("query", "--json", "SELECT * FROM entries ORDER BY id"), dashboard("show-monthly")]
    assert after == before
    assert dashboard("archive", "unpack").code == 0
    assert {path: path.read_bytes() for path in known.rglob("cost_ledger.jsonl")} == ledgers


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["archive"], "say which archive with --to PLACE"),
        (["archive", "--to", "DIR", "--before", "2026-12"], "2026-11 is not over"),
        (["archive", "--to", "DIR", "--before", "soon"], "not a month: 'soon'"),
        (
            ["archive", "verify", "--to", "DIR", "--before", "2026-10"],
            "verify takes neither --before nor --pack",
        ),
        (["archive", "verify", "--to", "DIR"], "there is no archive"),
        (["archive", "--to", "ftp://x"], "not at ftp://x"),
        (["archive", "write", "job-1", "--to", "DIR"], "leave job-1 out"),
        (["archive", "unpack", "job-1"], "no ledger of job-1 was packed away"),
    ],
)
def test_wrong_words_are_refused(
    known: Path, dashboard: Dashboard, tmp_path: Path, words: list[str], said: str
) -> None:
    ran = dashboard(*[word.replace("DIR", str(tmp_path / "archive")) for word in words])
    assert (ran.code, ran.out) == (2, "")
    assert said in ran.err
