"""A month as a page, on paper, in a mail and in Markdown: the same figures to the cent, and no local path."""

from __future__ import annotations

import html
import re
import shutil
import socket
import subprocess
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final, NamedTuple

import pytest
from starlette.testclient import TestClient

from shared.cost_tracker import CostTracker
from shared.costs import periods
from shared.costs.apps.cli.program import run
from shared.costs.apps.serve.access import Access
from shared.costs.apps.serve.guard import Hosts
from shared.costs.apps.serve.site import Site
from shared.costs.corrections import CorrectedCall
from shared.costs.formats import load
from shared.costs.formats.mail import mail_of
from shared.costs.ledger.line import decode, encode
from shared.costs.model import Charge, PricedBy
from shared.costs.money import format_usd, from_usd
from shared.costs.reports.document import Report
from shared.costs.reports.questions import UserMonth
from shared.costs.reports.reader import Reader
from shared.costs.reports.statement import statement_facts, statement_report
from shared.costs.storage import LEDGER_NAME
from shared.costs.workspace import Workspace

pytestmark = pytest.mark.skipif(shutil.which("pdftotext") is None, reason="poppler-utils is not installed")

ZONE: Final = periods.zone("UTC")
MONTH: Final = periods.previous_month(periods.month(datetime.now(UTC), ZONE))
STAGES: Final = ("06_asr", "10_translation", "13_ai_summarization")
MODELS: Final = (("openai", "gpt-4o"), ("openai", "gpt-4o-mini"), ("anthropic", "claude-3-haiku"))


class Faces(NamedTuple):
    """The month in each form, and what it was made of."""

    report: Report
    texts: dict[str, str]


@pytest.fixture(scope="module")
def faces(tmp_path_factory: pytest.TempPathFactory) -> Faces:
    folder = tmp_path_factory.mktemp("history")
    home, profile = folder / "storage", folder / "profile.yaml"
    profile.write_text("budget: {monthly_limit_usd: 40}\norganization: {monthly_limit_usd: 30}\n")
    for number in range(24):
        ledger = folder / "out" / f"job-{number % 8}"
        with CostTracker(ledger, user_id=("ana", "kim")[number % 2], cost_storage_path=home) as tracker:
            service, model = MODELS[number % 3]
            at = MONTH.start + timedelta(days=number % 20, hours=3)
            tracker.log_usage(
                service, model, 12_345 * (number + 7), 4_321, stage=STAGES[number % 3], timestamp=at
            )
            if number == 5:
                tracker.log_usage("lab", "prototype", 100, stage=STAGES[0], timestamp=at)
    with (folder / "out" / "job-3" / "cost_ledger.jsonl").open("ab") as file:
        file.write(b'{"v":1,"damaged":true}\n')
    with Workspace(home, profile, environ={}) as workspace:
        report = statement_report(statement_facts(Reader(workspace), UserMonth(None, MONTH.name)))
    return Faces(report, dict(_texts(report)))


@pytest.fixture(scope="module")
def odd(tmp_path_factory: pytest.TempPathFactory) -> Faces:
    """A month with a credit above its stage, a call taken back, partial, unknown, waiting, imported."""
    folder, at = tmp_path_factory.mktemp("odd"), MONTH.start + timedelta(days=3)
    home, profile, ledger = folder / "storage", folder / "profile.yaml", folder / "out" / "job" / LEDGER_NAME
    profile.write_text("organization: {monthly_limit_usd: 30}\n")
    with CostTracker(ledger.parent, user_id="ana", cost_storage_path=home) as tracker:
        tracker.log_usage("openai", "gpt-4o", 1_000_000, stage="06_asr", timestamp=at)  # $2.50
        tracker.log_usage("openai", "gpt-4o-mini", 9_000_000, stage="10_translation", timestamp=at)  # $1.35
        tracker.log_usage(
            "openai", "gpt-4o", 400_000, stage="10_translation", timestamp=at, images=4
        )  # $1.00
        tracker.log_usage("openai", "gpt-4o-mini", 8_000_000, stage="10_translation", timestamp=at)
        tracker.log_usage("lab", "prototype", 100, stage="10_translation", timestamp=at)
        calls = [decode(line) for line in ledger.read_bytes().splitlines(keepends=True)]
        tracker.reverse(calls[3].id, "asked twice")
    change = Charge({"input": from_usd("-4.10")}, PricedBy("bill", "1", calls[0].model))
    credit = CorrectedCall.of(calls[0], ()).adjustment("credit", change, "a credit", at)
    with ledger.open("ab") as file:
        file.write(encode(credit))
    blocked = folder / "out" / "blocked"
    (blocked / LEDGER_NAME).mkdir(parents=True)
    with CostTracker(blocked, user_id="ana", cost_storage_path=home) as tracker:
        tracker.log_usage("openai", "gpt-4o-mini", 1_000_000, stage="10_translation", timestamp=at)  # $0.15
    sums = folder / "sums.csv"
    row = f"{at.isoformat()},claude-3-haiku,anthropic,1.2345,ana,13_ai_summarization"
    sums.write_text(f"timestamp,model,service,cost_usd,user,stage\n{row}\n")
    assert run(["import", str(sums), "--cost-storage", str(home), "--profile", str(profile)]) == 0
    with Workspace(home, profile, environ={}) as workspace:
        report = statement_report(statement_facts(Reader(workspace), UserMonth(None, MONTH.name)))
        served = {
            f"served by {by}": _served(workspace, f"/months/{MONTH.name}?by={by}")
            for by in ("stage", "model")
        }
    return Faces(report, {**dict(_texts(report)), **served})


def _served(workspace: Workspace, path: str) -> str:
    access = Access("token", "pages")
    site = Site(workspace, lambda: access, Hosts.of("127.0.0.1", 8765, ())).application()
    with TestClient(site, base_url="http://127.0.0.1:8765") as client:
        return _words(client.get(path, headers={"Authorization": f"Bearer {access.token}"}).text)


def _texts(report: Report) -> list[tuple[str, str]]:
    mail = mail_of(report, "")
    paper = subprocess.run(
        ["pdftotext", "-layout", "-", "-"], input=load("pdf").render(report), capture_output=True, check=True
    ).stdout.decode()
    return [
        ("page", _words(load("html").render(report))),
        ("paper", paper),
        ("mail", _words(mail.html)),
        ("mail in words", mail.text),
        ("Markdown", load("markdown").render(report).replace("\\", "").replace("**", "")),
    ]


def _words(page: str) -> str:
    """Return the text of a page, its cells divided by blanks."""
    body = re.sub(r"<(style|script|title)\b.*?</\1>", " ", page, flags=re.DOTALL)
    return html.unescape(re.sub(r"<[^>]+>", " ", body))


def _amount_after(name: str, text: str) -> str:
    """Return the first amount after a name that begins a row."""
    found = re.search(rf"(?<![\w/-]){re.escape(name)}(?![\w/-])[^$]*?(-?\$[\d,]+\.\d+)", text)
    assert found, name
    return found[1]


FACES: Final = ("page", "paper", "mail", "mail in words", "Markdown")


@pytest.mark.no_cover
@pytest.mark.parametrize("face", FACES)
def test_spent_and_the_sums_of_stages_and_models_are_the_same_to_the_cent(face: str, faces: Faces) -> None:
    text, data = faces.texts[face], faces.report.data
    total = format_usd(from_usd(data["total_cost"]))  # type: ignore[arg-type]  # a number
    assert _amount_after("Spent", text) == total
    assert f"{total} of $30.00" in re.sub(r"\s+", " ", text).replace(" | ", " ")
    tables = {table.key: table for table in faces.report.tables if table.key}
    rows = 0
    for key in ("by_stage", "by_model"):
        columns = [column.key for column in tables[key].columns]
        for row in tables[key].rows:
            cost = row[columns.index("cost")]
            if cost is not None:
                after = text[text.index(tables[key].title) :]
                assert _amount_after(str(row[0]), after) == format_usd(cost)  # type: ignore[arg-type]  # nano-dollars
                rows += 1
    assert rows == 6


ODD: Final = {
    "by_stage": {"06_asr": "-$1.60", "10_translation": "$2.50", "13_ai_summarization": "$1.23"},
    "by_model": {
        "openai/gpt-4o": "-$0.60",
        "openai/gpt-4o-mini": "$1.50",
        "anthropic/claude-3-haiku": "$1.23",
    },
}
"""What the odd month comes to: two sums are below zero, for the credit is more than what it is for."""


@pytest.mark.no_cover
@pytest.mark.parametrize("face", [*FACES, "served by stage", "served by model"])
def test_an_odd_month_is_the_same_to_the_cent(face: str, odd: Faces) -> None:
    text, data = odd.texts[face], odd.report.data
    assert data["total_cost"] == 2.1345
    assert _amount_after("Spent", text) == "$2.13"
    tables = {table.key: table.title for table in odd.report.tables if table.key}
    for key, sums in ODD.items():
        if face.startswith("served") and not face.endswith(key.removeprefix("by_")):
            continue
        after = text[text.index(tables[key]) :]
        assert {name: _amount_after(name, after) for name in sums} == sums
    assert "1 unpriced" in text
    assert "1 priced in part" in re.sub(r"\s+", " ", text)


def test_a_day_of_a_credit_alone_shows_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    day, ledger = MONTH.start + timedelta(days=3), tmp_path / "job" / LEDGER_NAME
    storage = ["--cost-storage", str(tmp_path / "storage")]
    with CostTracker(ledger.parent, user_id="ana", cost_storage_path=tmp_path / "storage") as tracker:
        tracker.log_usage("openai", "gpt-4o", 1_000_000, timestamp=day)
    (call,) = [decode(line) for line in ledger.read_bytes().splitlines(keepends=True)]
    change = Charge({"input": from_usd("-1.10")}, PricedBy("bill", "1", call.model))
    credit = CorrectedCall.of(call, ()).adjustment("credit", change, "a credit", day)
    before = MONTH.start - timedelta(days=3)
    with ledger.open("ab") as file:
        file.write(encode(replace(credit, period_at=day + timedelta(days=2))))
        file.write(encode(replace(credit, id="another", period_at=before)))
    later = f"{day + timedelta(days=2):%Y-%m-%d}"
    of_day, of_month = ["--since", later, "--until", later], ["--month", f"{before:%Y-%m}"]
    for words in (
        *(["report", *of_day], ["trend", *of_day], ["report", *of_month], ["trend", *of_month]),
        *(["show-monthly", *of_month], ["export-report", *of_month]),
    ):
        assert run([*words, *storage]) == 0
        assert re.search(r"Spent +-\$1\.10", capsys.readouterr().out), words
    assert run(["report", *of_month, "--user", "ana", *storage]) == 0
    assert "other users" not in capsys.readouterr().out
    with Workspace(tmp_path / "storage", environ={}) as workspace:
        assert _amount_after("Spent", _served(workspace, f"/days/{later}")) == "-$1.10"


@pytest.mark.parametrize("face", FACES)
def test_no_face_names_a_place_of_this_machine(face: str, faces: Faces, tmp_path: Path) -> None:
    text = faces.texts[face]
    assert "job-3" in text  # whose damage is told
    for place in (str(tmp_path.parent), str(Path.home()) + "/", "/tmp/", "cost_ledger.jsonl", "storage"):
        assert place not in text
    assert socket.gethostname() not in text.split()


def test_the_source_of_the_page_names_none_either(faces: Faces, tmp_path: Path) -> None:
    for made in (load("html").render(faces.report), mail_of(faces.report, "").html):
        assert str(tmp_path.parent.parent) not in made
        assert "cost_ledger.jsonl" not in made
