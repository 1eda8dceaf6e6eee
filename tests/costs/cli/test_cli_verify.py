from __future__ import annotations

import re
import shlex
from collections import Counter
from pathlib import Path

import pytest

from shared.cost_tracker import CostTracker
from shared.costs.ledger.verify import LINE_KINDS, LedgerBytes, LineFinding, LineKind
from shared.costs.money import Nanos
from shared.costs.reports.verify import (
    Disagreement,
    LostLedger,
    PriceAudit,
    PriceFinding,
    UnreadLedger,
    VerifyFacts,
    verify_report,
)
from shared.costs.rollup import Totals
from shared.costs.storage import LEDGER_NAME
from shared.costs.workspace import Workspace
from tests.costs.cli.cli_support import Dashboard, write_october
from tests.support.golden import check_report

LEDGER, OTHER = Path("/out/job-1/cost_ledger.jsonl"), Path("/out/job-2/cost_ledger.jsonl")


def counts(**by_kind: int) -> Counter[LineKind]:
    """Counts by kind; a wrong name would show in no table."""
    return Counter({kind: by_kind[kind] for kind in LINE_KINDS if kind in by_kind})


SOUND = LedgerBytes(
    LEDGER, 4_470, counts(entry=10), counts(entry=4_470), Totals(calls=10, cost=Nanos(67_500_000))
)
DAMAGED = LedgerBytes(
    LEDGER,
    5_000,
    counts(entry=1, duplicate=1, damaged=60, torn=1),
    counts(entry=447, duplicate=447, damaged=4_000, torn=6),
    Totals(calls=1),
    [
        LineFinding("duplicate", 447, 447, "its id is that of the entry at byte 0"),
        *(LineFinding("damaged", 894 + n * 2, 2, "empty line") for n in range(60)),
        LineFinding("torn", 4_994, 6, "torn: it has no newline at its end"),
    ],
)
CASES = {
    "sound": VerifyFacts([SOUND], compared=1),
    "damaged": VerifyFacts(
        [DAMAGED],
        unread=[UnreadLedger(OTHER, "[Errno 2] No such file or directory")],
        disagreements=[Disagreement(LEDGER, (2, 1), (Nanos(9), Nanos(0)))],
        compared=1,
        waiting=2,
    ),
    "unread": VerifyFacts([], unread=[UnreadLedger(OTHER, "[Errno 2] No such file or directory")]),
    "lost": VerifyFacts(
        [SOUND],
        compared=1,
        lost=[LostLedger(OTHER, 4_470), LostLedger(LEDGER, 0, "2026-11-29T09:30:00+00:00")],
    ),
    "prices": VerifyFacts(
        [SOUND],
        prices=PriceAudit(
            Counter(differs=1, agrees=9), [PriceFinding(LEDGER, "0c" * 14, "differs", "recorded $1")]
        ),
    ),
}
EXIT_CODES = {"sound": 0, "damaged": 1, "unread": 3, "lost": 1, "prices": 1}


@pytest.mark.parametrize("name", CASES)
def test_what_verify_shows(name: str) -> None:
    check_report(f"verify-{name}", verify_report(CASES[name]))
    assert CASES[name].exit_code == EXIT_CODES[name]


def test_verify_says_whether_every_byte_is_sound(tmp_path: Path, dashboard: Dashboard) -> None:
    assert dashboard("verify").code == 0
    write_october(tmp_path / "jobs")
    ledgers = sorted((tmp_path / "jobs").glob(f"*/{LEDGER_NAME}"))
    sound = dashboard("verify", "--json")
    assert sound.code == 0
    found = sound.json()
    assert sum(one["lines"]["entry"] for one in found["ledgers"]) == 11
    assert sum(one["accounted_bytes"] for one in found["ledgers"]) == sum(x.stat().st_size for x in ledgers)
    assert found["index"] == {"compared_ledgers": 3, "disagreements": []}

    content = bytearray(ledgers[0].read_bytes())
    content[100] ^= 1
    ledgers[0].write_bytes(content)
    damaged = dashboard("verify", ledgers[0].parent, "--json")
    assert damaged.code == 1
    [finding] = damaged.json()["ledgers"][0]["findings"]
    assert (finding["kind"], finding["why"]) == ("damaged", "damaged: its checksum does not match")
    [line] = [line for line in dashboard("verify", ledgers[0].parent).out.splitlines() if "checksum" in line]
    assert line.count("damaged") == 1
    assert dashboard("verify", ledgers[1].parent, ledgers[2]).code == 0
    assert dashboard("verify", tmp_path / "nothing").code == 3


def test_the_remedy_for_a_ledger_that_nobody_knows_works_as_printed(
    tmp_path: Path, dashboard: Dashboard
) -> None:
    for name, storage in (("episode 1", None), ("episode 2", tmp_path / "elsewhere")):
        with CostTracker(tmp_path / name, cost_storage_path=storage) as tracker:
            tracker.log_usage("openai", "gpt-4o", 1000)
    found = dashboard("verify")
    assert found.code == 1
    [command] = re.findall(r"cost-dashboard (rebuild-index --root .*)$", found.out, re.MULTILINE)
    assert dashboard(*shlex.split(command)).code == 0
    assert dashboard("verify").code == 0


def test_damage_that_was_acknowledged_is_named_and_fails_no_check(
    tmp_path: Path, dashboard: Dashboard
) -> None:
    write_october(tmp_path / "jobs")
    ledger = min((tmp_path / "jobs").glob(f"*/{LEDGER_NAME}"))
    sound = ledger.read_bytes()
    ledger.write_bytes(sound + b'{"v":1,"half a li\n')
    assert dashboard("check").code == 3
    assert dashboard("verify").code == 1
    acknowledged = dashboard("verify", "--acknowledge", "--json")
    assert (acknowledged.code, acknowledged.json()["sound"]) == (0, True)
    [finding] = acknowledged.json()["ledgers"][0]["findings"]
    assert (finding["kind"], finding["acknowledged"]) == ("damaged", True)
    assert dashboard("check").code == 0
    assert "1 damaged line is acknowledged and not counted." in dashboard("verify").out
    looked = dashboard("doctor", "--json").json()["findings"]
    assert [one["state"] for one in looked if f"acknowledged: {ledger}, byte" in one["found"]] == ["note"]
    assert "Incomplete" not in dashboard("show-monthly").out
    # Other bytes at the same place are other damage, and so is a line that comes later.
    ledger.write_bytes(sound + b'{"v":1,"half a LI\n')
    assert (dashboard("check").code, dashboard("verify").code) == (3, 1)
    dashboard("verify", "--acknowledge")
    with ledger.open("ab") as file:
        file.write(b"nonsense\n")
    assert dashboard("check").code == 3


def lost_together(tmp_path: Path, cost_home: Path) -> tuple[Path, bytes]:
    """Lose a ledger and the sums between two looks; return where it was, and what it said."""
    write_october(tmp_path / "jobs")
    ledger = min((tmp_path / "jobs").glob(f"*/{LEDGER_NAME}"))
    saved = ledger.read_bytes()
    with Workspace(cost_home) as workspace:
        assert workspace.index.catch_up_all()
    ledger.unlink()
    for file in cost_home.glob("sums.db*"):
        file.unlink()
    return ledger, saved


def test_a_ledger_that_is_lost_is_told_until_that_is_acknowledged(
    tmp_path: Path, cost_home: Path, dashboard: Dashboard
) -> None:
    ledger, saved = lost_together(tmp_path, cost_home)
    shown = ("show-monthly", "--month", "2026-10")
    assert "Incomplete" in dashboard(*shown).out
    assert dashboard("check").code == 3
    found = dashboard("verify", "--json")
    assert (found.code, found.json()["sound"]) == (1, False)
    lost = {"ledger": str(ledger), "counted_bytes": len(saved), "acknowledged": None}
    assert found.json()["lost_ledgers"] == [lost]
    assert "accept the loss: cost-dashboard verify --acknowledge" in flat(dashboard("verify").out)
    other = max((tmp_path / "jobs").glob(f"*/{LEDGER_NAME}"))
    assert dashboard("verify", "--acknowledge", other.parent).code == 0
    assert dashboard("verify", ledger).code == 1

    assert dashboard("verify", "--acknowledge", ledger, "--json").json()["lost_ledgers"][0]["acknowledged"]
    assert "Incomplete" not in dashboard(*shown).out
    assert (dashboard("check").code, dashboard("verify").code) == (0, 0)
    assert "except in lost ledgers" in dashboard("verify").out
    [told] = [one for one in dashboard("doctor", "--json").json()["findings"] if str(ledger) in one["found"]]
    assert (told["state"], f"{len(saved):,} bytes of it had been counted" in told["found"]) == ("note", True)
    assert told["found"].startswith("acknowledged on 20")
    dashboard("rebuild-index")
    assert dashboard("check").code == 0


def test_a_lost_ledger_that_comes_back_counts_again(
    tmp_path: Path, cost_home: Path, dashboard: Dashboard
) -> None:
    ledger, saved = lost_together(tmp_path, cost_home)
    whole = 11
    dashboard("verify", "--acknowledge")
    assert month_calls(dashboard) < whole
    ledger.write_bytes(saved)
    ledger.chmod(0o600)
    assert month_calls(dashboard) == whole
    found = dashboard("verify", "--json")
    assert (found.code, found.json()["lost_ledgers"]) == (0, [])
    with CostTracker(ledger.parent, "1") as tracker:
        tracker.log_usage("openai", "gpt-4o", 1_500, 300)
    assert dashboard("verify").code == 0
    ledger.unlink()  # and goes once more, with the sums, after more of it was counted: that is news
    for file in cost_home.glob("sums.db*"):
        file.unlink()
    assert dashboard("check").code == 3


def flat(text: str) -> str:
    return " ".join(text.split())


def month_calls(dashboard: Dashboard) -> int:
    calls = dashboard("show-monthly", "--month", "2026-10", "--json").json()["total_calls"]
    assert isinstance(calls, int)
    return calls


def test_charges_are_recomputed(tmp_path: Path, dashboard: Dashboard) -> None:
    with CostTracker(tmp_path / "jobs" / "job-1", "1") as tracker:
        tracker.log_usage("openai", "gpt-4o", 1_500, 300)
    found = dashboard("verify", "--prices", "--json")
    assert found.code == 0
    assert sum(found.json()["prices"]["outcomes"].values()) == 1


def test_an_index_that_disagrees_is_told(
    tmp_path: Path, dashboard: Dashboard, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_october(tmp_path / "jobs")
    monkeypatch.setattr("shared.costs.store.store.Store.groups", lambda *_: [])
    found = dashboard("verify", "--json")
    assert found.code == 1
    assert len(found.json()["index"]["disagreements"]) == 3


def test_one_job_by_its_id(jobs: Path, dashboard: Dashboard) -> None:
    found = dashboard("verify", "--job", "job-20261006-rpatel-0001", "--json").json()
    assert [Path(one["ledger"]).parent.name for one in found["ledgers"]] == ["job-20261006-rpatel-0001"]
    assert dashboard("verify", jobs, "--job", "job-20261006-rpatel-0001").code == 2
    assert dashboard("verify", "--job", "job-2026").code == 3
