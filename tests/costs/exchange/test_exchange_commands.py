"""The commands over a real cost storage: import, export, import again, query."""

from __future__ import annotations

import csv
import io
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from exchange_samples import entry

from shared.costs.analysis.calls import net_calls
from shared.costs.apps.cli.program import run
from shared.costs.corrections import CorrectedCall
from shared.costs.exchange.exports import exports
from shared.costs.exchange.importing import Importer, ImportSource
from shared.costs.exchange.imports import import_for
from shared.costs.exchange.ledger_access import BATCH, BatchWriter, NotWritten
from shared.costs.exchange.reconciling.calls import calls_between
from shared.costs.ledger.line import encode
from shared.costs.model import Entry
from shared.costs.pricing.catalogue import Catalogue
from shared.costs.rollup import Query
from shared.costs.storage import CostStorage
from shared.costs.store.store import Store
from shared.costs.tracking.corrections import reversal

HISTORY = """\
time,model,input_tokens,output_tokens,cost,job,mood
2025-03-01T10:00:00Z,gpt-4o,1000,200,0.0045,job-1,good
2025-03-01 11:00:00,gpt-4o,1000,200,,job-2,good
2025-03-01T12:00:00Z,gpt-4o,1000,200,0.000000001,,
never,gpt-4o,1,1,1,,
"""
COST = 4_500_000 + 4_500_000 + 1


@pytest.fixture
def storage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> CostStorage:
    found = CostStorage(tmp_path / "storage")
    monkeypatch.setenv("COST_TRACKER_HOME", str(found.root))
    monkeypatch.setenv("COST_TRACKER_USER", "ana")
    return found


@pytest.fixture
def history(tmp_path: Path) -> Path:
    path = tmp_path / "Old laptop.csv"
    path.write_text(HISTORY)
    return path


def asked(capsys: pytest.CaptureFixture[str], *words: object) -> Any:
    capsys.readouterr()
    code = run([str(word) for word in (*words, "--json")])
    return code, json.loads(capsys.readouterr().out)


def entries_of(storage: CostStorage) -> list[Entry]:
    with Store.of(storage) as index:
        return sorted(index.entries(Query()), key=lambda one: one.id)


def test_a_history_comes_in_once(
    history: Path, storage: CostStorage, capsys: pytest.CaptureFixture[str]
) -> None:
    code, dry = asked(capsys, "import", history, "--dry-run")
    assert (code, dry["added"], dry["dry_run"]) == (1, 3, True)
    assert entries_of(storage) == []
    code, told = asked(capsys, "import", history)
    assert (code, told["added"], told["refused"], told["cost_usd"]) == (1, 3, 1, COST / 1e9)
    assert told["unused_fields"] == {"mood": 3}
    assert told["not_understood"][0]["row"] == "line 5"
    assert told["times_without_zone"] == 1
    found = entries_of(storage)
    assert sum(one.cost for one in found) == COST
    assert {(one.user_id, one.job_id) for one in found} == {
        ("ana", "job-1"),
        ("ana", "job-2"),
        ("ana", "imported-Old-laptop"),
    }
    with Store.of(storage) as index:
        assert len(index.jobs(Query(job_id="job-1"))) == 1
    code, again = asked(capsys, "import", history)
    assert (again["added"], again["known"]) == (0, 3)
    assert entries_of(storage) == found


@pytest.mark.no_cover
@pytest.mark.parametrize(
    "name", [name for name in exports() if not name.startswith(("focus", "hledger", "beancount"))]
)
def test_every_import_of_an_import_changes_nothing(
    name: str, history: Path, storage: CostStorage, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if name == "parquet":
        pytest.importorskip("duckdb")
    asked(capsys, "import", history)
    before, target = entries_of(storage), tmp_path / f"out.{name}"
    assert run(["export", name, str(target)]) == 0
    code, told = asked(capsys, "import", target)
    assert (code, told["rows"], told["added"], told["known"]) == (0, 3, 0, 3)
    assert entries_of(storage) == before
    other = CostStorage(tmp_path / "other")
    code, told = asked(capsys, "import", target, "--cost-storage", other.root)
    assert (code, told["added"]) == (0, 3)
    assert entries_of(other) == before
    assert run(["export", name, str(target), "--cost-storage", str(other.root)]) == 0
    code, told = asked(capsys, "import", target)
    assert (code, told["added"]) == (0, 0)


AMBIGUOUS = """\
date,input_tokens,output_tokens,cost
3/10/2026 09:00,1000,200,0.5
3/10/2026 09:00,1000,200,0.5
25/10/2026 09:00,1000,200,0.5
10/10/2026 09:00,1000,200,0
"""


def test_a_history_that_was_read_wrong_is_recorded_anew_once_it_is_said_how_it_is_meant(
    storage: CostStorage, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (path := tmp_path / "old.csv").write_text(AMBIGUOUS)

    def imported(*options: str) -> tuple[Any, ...]:
        _, found = asked(capsys, "import", path, "--timezone", "UTC", "--model", "gpt-4o", *options)
        return tuple(found[name] for name in ("added", "known", "recorded_anew", "refused"))

    def months() -> dict[str, tuple[int, float]]:
        found = {
            month: asked(capsys, "show-monthly", "--month", month)[1] for month in ("2026-03", "2026-10")
        }
        return {month: (of["total_calls"], of["total_cost"]) for month, of in found.items()}

    assert imported("--dates", "month-first") == (3, 0, 0, 1)
    assert months() == {"2026-03": (2, 1.0), "2026-10": (1, 0.0045)}
    right = {"2026-03": (0, 0.0), "2026-10": (4, 1.5045)}
    assert imported("--dates", "day-first", "--dry-run") == (1, 1, 2, 0)
    assert imported("--dates", "day-first") == (1, 1, 2, 0)
    assert months() == right
    before = len(entries_of(storage))
    assert imported("--dates", "day-first") == (0, 4, 0, 0)
    assert imported("--dates", "day-first", "--source", "another name") == (0, 4, 0, 0)
    assert (len(entries_of(storage)), months()) == (before, right)
    # There and back again, under another name, for another user, and a cost of nothing that was meant.
    assert imported("--dates", "month-first", "--source", "another name") == (0, 1, 2, 1)
    assert imported("--dates", "day-first", "--user", "bob") == (0, 0, 4, 0)
    assert months() == right
    assert asked(capsys, "show-monthly", "--month", "2026-10", "--user", "ana")[1]["total_calls"] == 0
    assert imported("--dates", "day-first", "--user", "bob", "--zero-is-free") == (0, 3, 1, 0)
    assert months()["2026-10"] == (4, 1.5)
    assert asked(capsys, "verify")[0] == 0


def test_a_row_whose_recording_anew_was_interrupted_counts_once_after_the_next_one(
    storage: CostStorage, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (path := tmp_path / "old.csv").write_text(AMBIGUOUS.splitlines(keepends=True)[0] + "3/10/2026,1,1,0.5\n")
    words = "import", path, "--model", "gpt-4o", "--dates"
    asked(capsys, *words, "month-first")
    [ledger] = storage.root.glob("imported/*/*/cost_ledger.jsonl")
    asked(capsys, *words, "day-first")
    first, taken_back, anew = ledger.read_bytes().splitlines(keepends=True)
    for left in (first + taken_back, first + anew, first + taken_back + anew):
        ledger.write_bytes(left)
        asked(capsys, "rebuild-index")
        asked(capsys, *words, "day-first")
        assert asked(capsys, "show-monthly", "--month", "2026-03")[1]["total_cost"] == 0
        assert asked(capsys, "show-monthly", "--month", "2026-10")[1]["total_cost"] == 0.5
        assert len(ledger.read_bytes().splitlines()) == 3


def test_what_somebody_took_back_stays_taken_back(
    storage: CostStorage, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (path := tmp_path / "old.csv").write_text(AMBIGUOUS.splitlines(keepends=True)[0] + "3/10/2026,1,1,0.5\n")
    words = "import", path, "--model", "gpt-4o", "--dates"
    asked(capsys, *words, "month-first")
    with Store.of(storage) as index:
        [one] = index.entries(Query())
        writer, ledger = BatchWriter(index), next(storage.root.glob("imported/*/*/cost_ledger.jsonl"))
        writer.write(ledger, reversal(CorrectedCall.of(one, ()), "billed once", one.timestamp))
        writer.flush()
    assert asked(capsys, *words, "day-first")[1]["recorded_anew"] == 0
    assert [each.kind for each in entries_of(storage)].count("usage") == 1


def test_an_export_can_go_to_the_terminal(
    history: Path, storage: CostStorage, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    run(["import", str(history)])
    capfdbinary.readouterr()
    assert run(["export", "csv", "-"]) == 0
    shown = capfdbinary.readouterr().out.decode()
    assert len(list(csv.DictReader(io.StringIO(shown)))) == 3


def test_text_of_an_import_says_what_was_not_understood(
    history: Path, storage: CostStorage, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["import", str(history), "--source", "old"]) == 1
    shown = capsys.readouterr().out
    for words in (
        "Entries added",
        "2025-03-01 to 2025-03-01",
        "timestamp is not a time: 'never'",
        "mood",
        "zone",
    ):
        assert words in shown


def test_a_doubtful_zero_is_told(
    storage: CostStorage, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "zeros.csv"
    path.write_text("time,model,tokens,cost\n2025-03-01,gpt-4o,1000,0\n")
    assert run(["import", str(path), "--dry-run"]) == 0
    assert "--zero-is-free" in capsys.readouterr().out
    _, told = asked(capsys, "import", path, "--zero-is-free", "--dry-run")
    assert (told["zero_stated_calls"], told["stated_calls"]) == (1, 1)
    _, told = asked(capsys, "import", path)
    assert (told["zero_stated_calls"], told["priced_calls"]) == (1, 1)


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["nowhere.csv"], "cannot be read"),
        (["{history}", "--timezone", "Mars/Olympus"], "no time zone is called"),
        (["{history}", "--source", "..."], "has no letter or digit"),
        (["{history}", "--from", "parquet"], "cannot be read as a Parquet export"),
    ],
)
def test_what_cannot_be_imported_is_said(
    words: list[str], complaint: str, history: Path, storage: CostStorage, capsys: pytest.CaptureFixture[str]
) -> None:
    if "parquet" in words:
        pytest.importorskip("duckdb")
    assert run(["import", *[word.format(history=history) for word in words]]) in (2, 3)
    assert complaint in capsys.readouterr().err


def test_a_query_is_answered_exactly(
    history: Path, storage: CostStorage, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("duckdb")
    run(["import", str(history)])
    sql = (
        "SELECT job_id, sum(cost_usd) AS cost, count(*) AS calls, NULL AS nothing "
        "FROM entries GROUP BY 1 ORDER BY 1"
    )
    code, told = asked(capsys, "query", sql)
    assert code == 0
    assert told["rows"][0] == {"job_id": "imported-Old-laptop", "cost": 1e-9, "calls": 1, "nothing": None}
    assert run(["query", sql]) == 0
    shown = capsys.readouterr().out
    assert "0.000000001" in shown
    assert "0.0045" in shown
    monkeypatch.setattr(
        "sys.stdin", io.StringIO("SELECT timestamp, estimated FROM entries ORDER BY 1 LIMIT 1")
    )
    code, told = asked(capsys, "query", "-")
    assert told["rows"] == [{"timestamp": "2025-03-01 10:00:00", "estimated": True}]


@pytest.mark.parametrize(
    "words",
    [
        ["export", "csv", "{file}"],
        ["export", "json", "{file}", "--user", "ana"],
        ["export-report", "--entries", "--format", "csv", "-o", "{file}"],
        ["query", "SELECT id FROM entries", "--format", "csv", "-o", "{file}"],
    ],
)
def test_what_misses_a_ledger_says_so_and_ends_with_3(
    words: list[str], history: Path, tmp_path: Path, storage: CostStorage, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("duckdb")
    run(["import", str(history)])
    command = [word.format(file=tmp_path / "all") for word in words]
    assert run(command) == 0
    whole = (tmp_path / "all").read_text()
    gone = next(path for path in storage.root.rglob("cost_ledger.jsonl") if "job-2" in path.parts)
    gone.rename(tmp_path / "elsewhere")
    capsys.readouterr()
    assert run(command) == 3
    told = capsys.readouterr().err
    assert "Incomplete: the entries of 1 ledger are missing: " in told.replace("\n", " ")
    why = "deleted or moved away; its sums are kept, its entries cannot be shown"
    assert f"cannot be read: {why}; see cost-dashboard verify" in told.replace("\n", " ")
    assert 0 < len((tmp_path / "all").read_text()) < len(whole)


def test_a_query_that_is_no_select_is_wrong_usage(
    storage: CostStorage, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("duckdb")
    assert run(["query", "DROP TABLE entries"]) == 2
    assert "one SELECT" in capsys.readouterr().err


REFUNDS = """\
date,model,input_tokens,output_tokens,cost
2026-10-03T10:00:00Z,gpt-4o,1000,200,1.00
2026-10-03T11:00:00Z,gpt-4o,2000,200,2.00
2026-10-04T11:00:00Z,gpt-4o,-2000,-200,-2.00
2026-10-05T11:00:00Z,gpt-4o,,,-0.25
"""


def test_refunds_go_where_their_calls_go_when_rows_are_recorded_anew(
    storage: CostStorage, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (path := tmp_path / "old.csv").write_text(REFUNDS)
    anew = [
        asked(capsys, "import", path, *words)[1]["recorded_anew"]
        for words in ((), ("--user", "bob"), ("--user", "bob"), ("--user", "ben"), ("--user", "ben"))
    ]
    assert anew == [0, 4, 0, 4, 0]
    with Store.of(storage) as index:
        sums = {
            group.key[0]: (group.totals.calls, group.totals.tokens_input, group.totals.cost)
            for group in index.groups(("user_id",), Query())
        }
        first, after = datetime(2026, 10, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC)
        ours = [*calls_between(index, first, after, frozenset({"openai"}), lambda _done, _whole: None)]
        net = [(each.entry.kind, each.entry.user_id, each.cost) for each in net_calls(index.entries(Query()))]
    assert {user: each for user, each in sums.items() if any(each)} == {"ben": (1, 1000, 750_000_000)}
    assert [call.cost for call in ours] == [1_000_000_000, 2_000_000_000]
    assert [each for each in net if each[2]] == [
        ("usage", "ben", 1_000_000_000),
        ("adjustment", "ben", -250_000_000),
    ]
    assert asked(capsys, "verify", "--prices")[0] == 0


def test_a_refund_in_two_logs_takes_back_once(
    storage: CostStorage, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    response = "chatcmpl-0123456789abcdef"
    (path := tmp_path / "old.csv").write_text(
        "timestamp,provider,model,input_tokens,output_tokens,cost,request_id\n"
        f"2026-10-03T10:00:00Z,openai,gpt-4o,1000,200,0.0045,{response}\n"
        f"2026-10-04T10:00:00Z,openai,gpt-4o,-1000,-200,-0.0045,{response}\n"
        f"2026-10-05T10:00:00Z,openai,gpt-4o,,,-0.001,{response}\n"
        "2026-10-05T10:00:00Z,openai,gpt-4o,,,-0.001,chatcmpl-417\n"
    )
    call = {"request_id": response, "model": "gpt-4o", "custom_llm_provider": "openai"}
    numbers = [(3, 1000, 200, 0.0045), (4, -1000, -200, -0.0045), (5, 0, 0, -0.001), (5, 0, 0, -0.002)]
    (log := tmp_path / "spend.json").write_text(
        json.dumps(
            [
                call
                | {"startTime": f"2026-10-0{day}T10:00:00Z", "spend": spend}
                | {"prompt_tokens": tokens_in, "completion_tokens": tokens_out}
                for day, tokens_in, tokens_out, spend in numbers
            ]
        )
    )
    assert asked(capsys, "import", path)[1]["added"] == 4
    told = asked(capsys, "import", log)[1]
    assert (told["added"], told["recorded_elsewhere"], told["cost_usd"]) == (1, 3, -0.002)


# --- the writer -----------------------------------------------------------------------------------


def test_batches_are_written_whole_and_known_before_they_are(storage: CostStorage, tmp_path: Path) -> None:
    ledger = tmp_path / "job-1" / "cost_ledger.jsonl"
    with Store.of(storage) as index:
        writer = BatchWriter(index)
        for number in range(BATCH + 1):
            one = entry(number + 1)
            assert not writer.knows(one.id)
            writer.write(ledger, one)
            assert writer.knows(one.id)
        assert len(ledger.read_bytes().splitlines()) == BATCH
        writer.flush()
        assert sum(group.totals.calls for group in index.groups((), Query())) == BATCH + 1


def test_a_ledger_that_cannot_be_written_stops_the_import_and_a_rerun_adds_the_rest(
    history: Path, storage: CostStorage
) -> None:
    blocked = storage.root / "imported/old/job-2"
    blocked.parent.mkdir(parents=True)
    blocked.write_text("in the way")
    source = ImportSource(history, import_for(history), "old")
    with Store.of(storage) as index:
        importer = Importer(source, storage, Catalogue.load(), BatchWriter(index))
        with pytest.raises(NotWritten, match="cannot be written to"):
            importer.run()
        blocked.unlink()
        tally = Importer(source, storage, Catalogue.load(), BatchWriter(index)).run()
    assert (tally.added, tally.known) == (2, 1)
    assert sum(one.cost for one in entries_of(storage)) == COST


@pytest.mark.no_cover
def test_an_interrupted_import_is_taken_up_again_and_doubles_nothing(
    tmp_path: Path, storage: CostStorage
) -> None:
    history = tmp_path / "long.jsonl"
    given = [entry(number + 1) for number in range(2 * BATCH + 7)]
    history.write_bytes(b"".join(map(encode, given)))
    source = ImportSource(history, import_for(history), "old")

    def interrupted(rows: int) -> None:
        if rows > BATCH:
            raise KeyboardInterrupt

    with Store.of(storage) as index:
        with pytest.raises(KeyboardInterrupt):
            Importer(source, storage, Catalogue.load(), BatchWriter(index), progress=interrupted).run()
        tally = Importer(source, storage, Catalogue.load(), BatchWriter(index)).run()
    assert (tally.added, tally.known) == (BATCH + 7, BATCH)
    assert entries_of(storage) == given


def test_an_entry_that_is_known_from_its_own_ledger_is_not_taken_again(
    storage: CostStorage, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ledger = tmp_path / "job-1" / "cost_ledger.jsonl"
    with Store.of(storage) as index:
        writer = BatchWriter(index)
        writer.write(ledger, entry())
        writer.flush()
    copy = tmp_path / "copy.jsonl"
    copy.write_bytes(encode(entry()) + encode(entry(2)))
    _, told = asked(capsys, "import", copy)
    assert (told["added"], told["known"]) == (1, 1)
