"""Closing a month and looking at it later: each byte that changed is found, and where."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random

import pytest

from shared.cost_tracker import CostTracker
from shared.costs.apps.cli.program import run
from shared.costs.ledger.digests import MARKS, changes_since, digest_from, digest_of
from shared.costs.reports.closing import (
    CannotCheck,
    check_seal,
    close_month,
    closed_report,
    document_of,
    read_document,
)
from shared.costs.reports.reader import Reader
from shared.costs.workspace import Workspace
from tests.support.golden import check_report

AT = datetime(2026, 10, 5, 12, tzinfo=UTC)
LATER = datetime(2026, 11, 20, 12, tzinfo=UTC)
PROFILE = "budget:\n  monthly_limit_usd: 50\n  block_at_limit: true\n"
PRICES = "models:\n  acme/one:\n    per_million_tokens: {input: 1, output: 2}\n    source: https://example.org/prices\n"


@pytest.fixture
def jobs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Three jobs of a closed month, with a profile and prices beside it."""
    (tmp_path / "profile.yaml").write_text(PROFILE)
    (tmp_path / "prices.yaml").write_text(PRICES)
    monkeypatch.setenv("COST_TRACKER_HOME", str(tmp_path / "storage"))
    monkeypatch.setenv("COST_TRACKER_PROFILE", str(tmp_path / "profile.yaml"))
    folders = [tmp_path / f"job-{number}" for number in (1, 2, 3)]
    for number, folder in enumerate(folders):
        with CostTracker(folder) as tracker:
            for call in range(4):
                at = AT + timedelta(days=number, hours=call)
                tracker.log_usage("openai", "gpt-4o", 1_000 + call, 200, stage="13_asr", timestamp=at)
    return folders


@pytest.fixture
def reader(jobs: list[Path]) -> Iterator[Reader]:
    assert jobs
    with Workspace(clock=lambda: LATER) as workspace:
        yield Reader(workspace)


def closed_file(reader: Reader, folder: Path) -> Path:
    path = folder / "sealed.json"
    path.write_text(document_of(close_month(reader, "2026-10")))
    return path


def test_a_month_that_nobody_touched_is_the_same(reader: Reader, tmp_path: Path) -> None:
    path = closed_file(reader, tmp_path)
    check = check_seal(reader, path)
    assert (check.exit_code, check.found, check.later, check.new) == (0, [], [], [])
    assert [one.role for one in check.closed.files] == ["ledger"] * 3 + ["profile", "prices"]
    assert check.closed == close_month(reader, "2026-10")
    assert path.stat().st_size < 5_000


def test_each_byte_that_is_changed_is_found_in_its_line(reader: Reader, tmp_path: Path) -> None:
    path = closed_file(reader, tmp_path)
    document = read_document(path)
    for one in document.files:
        content = one.path.read_bytes()
        for at in range(len(content)):
            one.path.write_bytes(content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :])
            changes = changes_since(one.digest, one.path)
            line = content.count(b"\n", 0, at) + 1
            assert changes, (one.path, at)
            assert changes[0].line == line, (one.path, at)
            start = content.rfind(b"\n", 0, at) + 1
            assert changes[0].offset == start
        one.path.write_bytes(content)
    assert check_seal(reader, path).exit_code == 0


def test_a_long_ledger_has_a_small_digest_and_is_located_by_its_checksums(tmp_path: Path) -> None:
    ledger = tmp_path / "job" / "cost_ledger.jsonl"
    with CostTracker(ledger.parent, cost_storage_path=tmp_path / "storage") as tracker:
        for call in range(300):
            tracker.log_usage("openai", "gpt-4o", call, 1, timestamp=AT)
    before = digest_of(ledger)
    assert (len(before.marks), before.group) == (8 * MARKS - 8 * (MARKS - 60), 5)
    assert digest_from(before._asdict()) == before
    content = ledger.read_bytes()
    picked = Random(7).sample(range(len(content)), 40)
    for at in picked:
        ledger.write_bytes(content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :])
        changes = changes_since(before, ledger)
        line = content.count(b"\n", 0, at) + 1
        assert any(one.line is not None and one.line <= line <= (one.last or 0) for one in changes)
        if content[at : at + 1] != b"\n":
            assert [one.line for one in changes] == [line]
    forged = content.replace(content.split(b"\n")[10], content.split(b"\n")[11], 1)
    ledger.write_bytes(forged)
    # Its checksum is sound, so no more than the group of lines is known.
    assert (11, 15) in [(one.line, one.last) for one in changes_since(before, ledger)]
    ledger.write_bytes(content[:5_000])
    assert changes_since(before, ledger)[0].what == "shorter"
    ledger.unlink()
    assert [one.what for one in changes_since(before, ledger)] == ["gone"]
    ledger.mkdir()
    assert [one.what for one in changes_since(before, ledger)] == ["gone"]


def test_what_came_later_is_told_apart_from_what_changed(
    reader: Reader, jobs: list[Path], tmp_path: Path
) -> None:
    path = closed_file(reader, tmp_path)
    with CostTracker(jobs[0]) as tracker:
        tracker.log_usage("openai", "gpt-4o", 10, 10, timestamp=LATER)
    assert check_seal(reader, path).exit_code == 0  # a call of another month is no change of this one
    with CostTracker(jobs[0]) as tracker, CostTracker(tmp_path / "job-new") as another:
        tracker.log_usage("openai", "gpt-4o", 1_000, 0, timestamp=AT)
        another.log_usage("openai", "gpt-4o", 1_000, 0, timestamp=AT)
    (tmp_path / "profile.yaml").write_text(PROFILE + "# more\n")
    check = check_seal(reader, path)
    assert check.exit_code == 1
    assert [(one.path.parent.name, one.entries, one.cost) for one in check.later] == [("job-1", 1, 2_500_000)]
    assert [one.parent.name for one in check.new] == ["job-new"]
    assert [(one.role, one.change.line) for one in check.found] == [("profile", 4)]
    assert check.cost - check.closed.cost == 5_000_000


def test_entries_that_came_later_are_a_change_also_where_sums_stay_as_they_were(
    jobs: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with Workspace(clock=lambda: LATER) as workspace:
        path = closed_file(Reader(workspace), tmp_path)
    with CostTracker(jobs[0]) as tracker:  # a call, and what takes it back
        tracker.log_usage("openai", "gpt-4o", 1_000, 0, timestamp=AT)
        last = (jobs[0] / "cost_ledger.jsonl").read_bytes().splitlines()[-1]
        tracker.reverse(json.loads(last)["id"], "logged twice")
    assert run(["verify", "--sealed", str(path)]) == 1
    shown = " ".join(capsys.readouterr().out.split())
    assert "2 entries were appended since that count in 2026-10; its calls and cost are the same." in shown
    assert "2026-10 is as it was closed" not in shown


def test_the_file_tells_when_it_was_changed_itself(reader: Reader, tmp_path: Path) -> None:
    path = closed_file(reader, tmp_path)
    text = path.read_text()
    for broken, why in (
        (text.replace('"calls": 12', '"calls": 13'), "its own digest does not match"),
        (text.replace("cost-ledger month", "cost-ledger year"), "of another format"),
        ("{}", "was not written by"),
        ("[1]", "was not written by"),
        ("nonsense", "was not written by"),
    ):
        path.write_text(broken)
        with pytest.raises(CannotCheck, match=why):
            read_document(path)
    with pytest.raises(CannotCheck, match="cannot be read"):
        read_document(tmp_path / "nowhere.json")


@pytest.mark.parametrize(("billing_day", "version", "calls"), [(1, 1, 12), (7, 2, 4)])
def test_a_month_that_begins_on_another_day_is_of_a_format_that_older_versions_refuse(
    billing_day: int, version: int, calls: int, jobs: list[Path], tmp_path: Path
) -> None:
    assert jobs
    profile = tmp_path / "profile.yaml"
    profile.write_text(f"{PROFILE}billing_day: {billing_day}\n")
    with Workspace(clock=lambda: LATER) as workspace:
        path = closed_file(Reader(workspace), tmp_path)
    assert json.loads(path.read_text())["version"] == version
    profile.write_text(f"{PROFILE}billing_day: 20\n")  # what was sealed keeps its own
    with Workspace(clock=lambda: LATER) as workspace:
        check = check_seal(Reader(workspace), path)
    assert (check.closed.calls, check.calls, check.later, check.new) == (calls, calls, [], [])
    assert [one.role for one in check.found] == ["profile"]


def test_what_cannot_be_sealed_is_said(reader: Reader, jobs: list[Path]) -> None:
    reader.index.catch_up_all()
    ledger = jobs[0] / "cost_ledger.jsonl"
    content = ledger.read_bytes()
    ledger.unlink()
    ledger.mkdir()
    try:
        closed = close_month(reader, "2026-10")
    finally:
        ledger.rmdir()
        ledger.write_bytes(content)
    assert closed.calls == 12
    assert all("job-1" in why for why in closed.unread)


def test_the_report_of_a_closed_month(reader: Reader) -> None:
    closed = close_month(reader, "2026-10")
    # The names of the host and the process are in each line, and are as long as they are.
    files = [one._replace(digest=one.digest._replace(size=1_592)) for one in closed.files]
    check_report("close-month", closed_report(closed._replace(files=files), "sealed-2026-10.json"))


def test_the_commands(jobs: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sealed = tmp_path / "sealed.json"
    assert run(["close-month", "2026-10", str(sealed), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["calls"] == 12
    assert run(["verify", "--sealed", str(sealed), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["sealed"]["same"] is True
    ledger = jobs[1] / "cost_ledger.jsonl"
    ledger.write_bytes(ledger.read_bytes().replace(b"gpt-4o", b"gpt-4p", 1))
    assert run(["verify", "--sealed", str(sealed)]) == 1
    shown = capsys.readouterr().out
    assert "line 1" in shown
    assert "Changed since" in shown
    assert run(["close-month", "2999-01", str(sealed)]) == 2
    assert "is not over" in capsys.readouterr().err
    assert run(["close-month", "October", str(sealed)]) == 2
    assert run(["verify", "--sealed", str(tmp_path / "none.json")]) == 3
