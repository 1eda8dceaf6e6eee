#!/usr/bin/env python3
"""Put real output into the README: what a command prints on the sample history of a fixed day.

A picture is a ``text`` block after a comment that names its command:

    <!-- picture: cost-dashboard show-budget --user rpatel -->
    <!-- picture: cost-dashboard show-monthly | head -n 20 -->

    python scripts/make_pictures.py          # writes README.md and the pictures anew
    python scripts/make_pictures.py --check  # exit code 1 when README.md would change
"""

from __future__ import annotations

import argparse
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from starlette.testclient import TestClient

from shared.costs.apps.serve.access import Access
from shared.costs.apps.serve.guard import Hosts
from shared.costs.apps.serve.rendering import assets
from shared.costs.apps.serve.site import Site
from shared.costs.demo import write_sample
from shared.costs.formats import load
from shared.costs.formats.canvas import Canvas
from shared.costs.formats.text import render
from shared.costs.reports.document import Report
from shared.costs.reports.explain import ExplainQuestion, explain_facts, explain_report
from shared.costs.reports.questions import UserMonth
from shared.costs.reports.reader import Reader
from shared.costs.reports.show_budget import budget_facts, budget_report
from shared.costs.reports.show_monthly import month_facts, month_report
from shared.costs.reports.show_optimization import SavingsQuestion, optimization_facts, optimization_report
from shared.costs.reports.statement import statement_facts, statement_report
from shared.costs.workspace import Workspace

README = ROOT / "README.md"
DAY = datetime(2026, 11, 22, 16, 0, tzinfo=UTC)
WIDTH = 90
PAGE = ROOT / "scripts" / "pictures" / "november.png"
PAGE_SIZE = "1280,1640"
SITE = {
    "site.png": ("/months/2026-11", "1280,1120", False),
    "site-day.png": ("/days/2026-11-20?by=stage", "500,1000", True),
}
"""Pictures of pages of ``serve``: the path, the window's size, and whether it is dark."""

PICTURES: dict[str, Callable[[Reader], Report]] = {
    "show-budget --user rpatel": lambda sample: budget_report(budget_facts(sample, UserMonth("rpatel"))),
    "show-monthly": lambda sample: month_report(month_facts(sample, UserMonth())),
    "explain 2026-10 2026-11": lambda sample: explain_report(
        explain_facts(sample, ExplainQuestion("2026-10", "2026-11"))
    ),
    "show-optimization": lambda sample: optimization_report(optimization_facts(sample, SavingsQuestion())),
}

_PICTURE = re.compile(
    r"<!-- picture: (?P<line>cost-dashboard (?P<command>[^|\n]*?)(?: \| head -n (?P<lines>\d+))?) -->\n"
    r"```text\n(?P<shown>.*?)```\n",
    re.DOTALL,
)


@contextmanager
def history() -> Iterator[tuple[Workspace, str]]:
    """Give the sample history of the day, and the folder that no picture is to name."""
    with TemporaryDirectory() as folder:
        sample = write_sample(Path(folder) / "cost-demo", DAY)
        with Workspace(sample.storage.root, sample.profile, environ={}, clock=lambda: DAY) as workspace:
            workspace.index.add(path for path, _ in sample.jobs)
            yield workspace, str(Path(folder).resolve())


def drawn(text: str) -> str:
    """Return the README with every picture as the command prints it now."""
    with history() as (workspace, folder):

        def picture(found: re.Match[str]) -> str:
            report = _without(folder, PICTURES[found["command"]](Reader(workspace)))
            lines = render(report, Canvas(WIDTH)).splitlines(keepends=True)
            shown = "".join(lines[: int(found["lines"])] if found["lines"] else lines)
            return f"<!-- picture: {found['line']} -->\n```text\n$ {found['line']}\n{shown}```\n"

        return _PICTURE.sub(picture, text)


def photograph(browser: str) -> None:
    """Take a picture of the top of the month's report in a browser."""
    with history() as (workspace, _), TemporaryDirectory() as private:
        report = statement_report(statement_facts(Reader(workspace), UserMonth()))
        page = Path(private) / "november.html"
        page.write_text(load("html").render(report), encoding="utf-8")
        _shoot(browser, page, PAGE, PAGE_SIZE)


def photograph_site(browser: str) -> None:
    """Take pictures of pages of ``serve``, at a desk and on a phone."""
    with history() as (workspace, folder), TemporaryDirectory() as private:
        access = Access("token", "pages")
        site = Site(workspace, lambda: access, Hosts.of("127.0.0.1", 8765, ())).application()
        (Path(private) / "assets").mkdir()
        for asset in assets().values():
            (Path(private) / asset.path.lstrip("/")).write_bytes(asset.content)
        with TestClient(site, base_url="http://127.0.0.1:8765") as client:
            for picture, (path, size, is_dark) in SITE.items():
                answer = client.get(path, headers={"Authorization": f"Bearer {access.token}"})
                answer.raise_for_status()
                text = answer.text.replace('"/assets/', '"assets/').replace(f"{folder}/", "")
                # No version: nothing is to be followed in a picture.
                page = Path(private) / "page.html"
                page.write_text(re.sub('data-version="[^"]*"', "", text), encoding="utf-8")
                _shoot(browser, page, PAGE.with_name(picture), size, is_dark=is_dark)


def _shoot(browser: str, page: Path, picture: Path, size: str, *, is_dark: bool = False) -> None:
    with TemporaryDirectory() as private:
        flags = ["--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--no-first-run"]
        flags += ["--disable-quic", "--disable-background-networking", "--disable-component-update"]
        flags += [f"--window-size={size}", f"--blink-settings=preferredColorScheme={int(not is_dark)}"]
        flags += [f"--user-data-dir={private}", f"--screenshot={picture}"]
        subprocess.run([browser, *flags, page.as_uri()], check=True, capture_output=True)


def _without(folder: str, report: Report) -> Report:
    """Return a report that does not name the temporary folder, whose length would move line breaks."""
    notes = tuple(note._replace(text=note.text.replace(f"{folder}/", "")) for note in report.notes)
    return report._replace(notes=notes)


def main() -> int:
    """Write the pictures, or check them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--check", action="store_true", help="change nothing; exit code 1 when it would")
    options = parser.parse_args()
    before = README.read_text(encoding="utf-8")
    after = drawn(before)
    if options.check:
        return int(before != after)
    README.write_text(after, encoding="utf-8")
    if browser := shutil.which("chromium") or shutil.which("google-chrome"):
        PAGE.parent.mkdir(exist_ok=True)
        photograph(browser)
        photograph_site(browser)
    return 0


if __name__ == "__main__":
    sys.exit(main())
