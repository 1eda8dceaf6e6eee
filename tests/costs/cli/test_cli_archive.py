"""``cost-dashboard archive`` as people run it."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import pytest

from shared.costs.archive.manifest import Manifest
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
    ("change", "said"),
    [
        (
            lambda file: file.write_bytes(file.read_bytes()[:-40]),
            "_manifest.json: is not the manifest of an archive",
        ),
        (lambda file: file.unlink(), "_manifest.json: is not there"),
        (lambda file: next(file.parent.glob("month=2026-10/*")).unlink(), ".parquet: is not there"),
        (lambda file: file.write_bytes(Manifest().document()), "_manifest.json: does not name a"),
    ],
)
def test_verify_and_doctor_say_what_is_wrong_with_an_archive(
    known: Path, dashboard: Dashboard, tmp_path: Path, change: Callable[[Path], object], said: str
) -> None:
    place = tmp_path / "archive"
    dashboard("archive", "--to", str(place))
    files = len(list(place.glob("month=*/*.parquet")))
    [found] = [
        each
        for each in json.loads(dashboard("doctor", "--json").out)["findings"]
        if each["what"] == "archive"
    ]
    assert (found["state"], found["found"]) == ("ok", f"{files} file{'s' * (files > 1)} in {place}")
    sound = dashboard("verify", "--json", "--acknowledge")
    assert (sound.code, json.loads(sound.out)["archives"]) == (0, [])
    change(place / "_manifest.json")
    verified = dashboard("verify", "--json")
    assert verified.code == 1
    [fault] = json.loads(verified.out)["archives"]
    assert said in fault["why"]
    assert json.loads(dashboard("verify", str(known), "--json").out)["archives"] == []
    assert "Problems found" in dashboard("verify").out
    looked = dashboard("doctor", "--json")
    assert looked.code == 1
    [found] = [each for each in json.loads(looked.out)["findings"] if each["what"] == "archive"]
    assert (found["state"], found["found"]) == ("wrong", fault["why"])
    assert str(place) in found["remedy"]


def test_an_archive_that_cannot_be_asked_is_no_damage(
    known: Path, dashboard: Dashboard, tmp_path: Path
) -> None:
    place = tmp_path / "archive"
    dashboard("archive", "--to", str(place))
    assert dashboard("verify", "--acknowledge").code == 0
    (place / "_manifest.json").unlink()
    (place / "_manifest.json").mkdir()  # reading it fails, as on a share that went away
    verified = dashboard("verify", "--json")
    assert verified.code == 3
    assert "cannot be read" in json.loads(verified.out)["archives"][0]["why"]
    assert "Could not read every archive" in dashboard("verify").out


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
