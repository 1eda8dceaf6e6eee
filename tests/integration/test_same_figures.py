"""A month as a page, on paper, in a mail and in Markdown: the same figures to the cent, and no local path."""

from __future__ import annotations

import html
import re
import shutil
import socket
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final, NamedTuple

import pytest

from shared.cost_tracker import CostTracker
from shared.costs import periods
from shared.costs.formats import load
from shared.costs.formats.mail import mail_of
from shared.costs.money import format_usd, from_usd
from shared.costs.reports.document import Report
from shared.costs.reports.questions import UserMonth
from shared.costs.reports.reader import Reader
from shared.costs.reports.statement import statement_facts, statement_report
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
