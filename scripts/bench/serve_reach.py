"""The site over a large history: how soon it is there, how quick its pages are, how large they and it become.

Each page is asked for the first time, so that none is one that was kept: eleven months, thirty days, thirty
receipts; beside how long they took stands how long the server had a processor. The floor is an asset, which
is ready. Memory is what the process has resident after its start, and after many more requests. The first
paint is what Chromium says of each month, where it and Playwright are installed. Last, the same month is
asked for by 200 connections at once.

    python3 scripts/bench/serve_reach.py [--entries 1000000] [--jobs 10000] [--requests 10000] [--keep DIR]
"""

from __future__ import annotations

import http.client
import os
import re
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import urlsplit

from scripts.bench.harness import Row, show
from scripts.bench.histories import END, History
from scripts.bench.p6_p7_views import TOOL, prepared
from scripts.faults.command_line import command_line

if TYPE_CHECKING:
    from playwright.sync_api import Page

CROWD = 200


class Site(NamedTuple):
    """A running server: its process, the address that it printed, where it listens, and its token."""

    pid: int
    address: str
    host: str
    token: str

    def get(self, path: str, connection: http.client.HTTPConnection) -> tuple[float, bytes]:
        """Return how long an answer took, in seconds, and its body."""
        begin = time.perf_counter()
        connection.request("GET", path, headers={"Authorization": f"Bearer {self.token}"})
        answer = connection.getresponse()
        body = answer.read()
        if answer.status != 200:
            raise SystemExit(f"{path} was answered {answer.status}: {body[:200]!r}")
        return time.perf_counter() - begin, body

    @property
    def processor_ms(self) -> float:
        """How long its threads had a processor so far, in milliseconds."""
        threads = Path(f"/proc/{self.pid}/task").glob("*/schedstat")
        return sum(int(each.read_text().split()[0]) for each in threads) / 1e6

    @property
    def resident_mb(self) -> float:
        """How much memory the process has resident, in MB."""
        status = Path(f"/proc/{self.pid}/status").read_text()
        return int(status.partition("VmRSS:")[2].split()[0]) / 1000


@contextmanager
def served(history: History) -> Iterator[Site]:
    """Run the server over a history with a profile of two limits."""
    profile = history.storage.root / "profile.yaml"
    profile.write_text("budget: {monthly_limit_usd: 1000000, daily_limit_usd: 100000}\n")
    options = ["--port", "0", "--cost-storage", str(history.storage.root), "--profile", str(profile)]
    # Without written bytecode Python compiles every module anew: no user's machine does that.
    environ = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    process = subprocess.Popen(
        [sys.executable, str(TOOL), "serve", *options], stderr=subprocess.PIPE, text=True, env=environ
    )
    if process.stderr is None:
        raise SystemExit("no stderr")
    try:
        process.stderr.readline()
        printed = process.stderr.readline().strip()
        address = urlsplit(printed)
        yield Site(process.pid, printed, address.netloc, address.query.partition("=")[2])
    finally:
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=30)


def paths(history: History) -> dict[str, list[str]]:
    """Return addresses of each kind, all different."""
    days = [END - timedelta(days=n) for n in range(1, 31)]
    months = [f"/months/{END:%Y}-{number:02d}" for number in range(1, END.month + 1)]
    folders = sorted((history.root / "jobs" / f"{END:%Y-%m}").iterdir())[:30]
    return {
        "month": months,
        "day": [f"/days/{day:%Y-%m-%d}" for day in days],
        "receipt": [f"/jobs/{folder.name}" for folder in folders],
    }


def start_to_page(history: History) -> float:
    """Return how long it takes from the command to the first month's page, in seconds."""
    begin = time.perf_counter()
    with served(history) as site:
        site.get(f"/months/{END:%Y-%m}", http.client.HTTPConnection(site.host))
        return time.perf_counter() - begin


def rows(history: History, requests: int) -> list[Row]:
    """Return the table."""
    starts = [start_to_page(history) for _ in range(3)]
    table = [_row("start to the first month's page", min(starts) * 1000, "ms", 1000)]
    with served(history) as site:
        connection = http.client.HTTPConnection(site.host)
        kinds = paths(history)
        _, page = site.get(kinds["month"][-1], connection)
        first = site.resident_mb
        asset = re.findall(rb'"(/assets/[^"]+)"', page)[0].decode()
        floor = statistics.median(site.get(asset, connection)[0] for _ in range(50))
        table.append(Row("an asset (the floor)", f"{floor * 1000:.1f} ms"))
        for kind, most in (("month", 60), ("day", 20), ("receipt", 100)):
            took = [_took(site, path, connection) for path in kinds[kind]]
            ms, own = map(statistics.median, zip(*took, strict=True))
            table.append(_row(f"{kind}, asked for the first time", ms, "ms", most, f"{own:.1f} at work"))
        table.append(_row("month page", len(page) / 1000, "KB", 60))
        for name, most in (("script", 8), ("style", 12)):
            path = re.findall(rf'"(/assets/{name}-[^"]+)"'.encode(), page)[0].decode()
            table.append(_row(name, len(site.get(path, connection)[1]) / 1000, "KB", most))
        table.append(_first_paint(site, kinds["month"]))
        table.append(_row("memory after the first page", first, "MB", 80))
        table.append(_row(f"memory after {requests:,} requests", _after(site, kinds, requests), "MB", 80))
        table.append(Row(f"{CROWD} at once", f"{_crowd(site, kinds['month'][-1]):.1f} s"))
    return table


def _took(site: Site, path: str, connection: http.client.HTTPConnection) -> tuple[float, float]:
    """Return how long an answer took, and how long the server had a processor for it, in milliseconds."""
    before = site.processor_ms
    seconds, _ = site.get(path, connection)
    return seconds * 1000, site.processor_ms - before


def _first_paint(site: Site, months: Sequence[str]) -> Row:
    """Return how soon a browser that was let in shows something of a month."""
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if chromium is None or find_spec("playwright") is None:
        return Row("first paint", "not measured: it needs Chromium and the extra dev-browser")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page = browser.new_page()
        page.goto(site.address)
        base = "/".join(page.url.split("/")[:4])
        paints = [_painted(page, f"{base}{month}") for month in months]
        browser.close()
    return _row("first paint", statistics.median(paints), "ms", 250)


PAINTED = """() => new Promise((tell) => {
  const observer = new PerformanceObserver((seen) => tell(seen.getEntries()[0].startTime));
  observer.observe({type: "paint", buffered: true});
})"""


def _painted(page: Page, address: str) -> float:
    page.goto(address)
    return float(page.evaluate(PAINTED))


def _after(site: Site, kinds: dict[str, Sequence[str]] | dict[str, list[str]], requests: int) -> float:
    every = [path for some in kinds.values() for path in some]
    connection = http.client.HTTPConnection(site.host)
    for number in range(requests):
        site.get(every[number % len(every)], connection)
    return site.resident_mb


def _crowd(site: Site, path: str) -> float:
    begin = time.perf_counter()
    connections = [http.client.HTTPConnection(site.host, timeout=120) for _ in range(CROWD)]
    for connection in connections:
        connection.request("GET", path, headers={"Authorization": f"Bearer {site.token}"})
    if {connection.getresponse().status for connection in connections} != {200}:
        raise SystemExit("not all were answered")
    return time.perf_counter() - begin


def _row(what: str, figure: float, unit: str, most: float, beside: str = "") -> Row:
    return Row(what, f"{figure:.1f} {unit}", beside, f"{most:g} {unit}", figure <= most)


def main() -> None:
    """Print the table."""
    parser = command_line(__doc__, entries=1_000_000, jobs=10_000, requests=10_000)
    parser.add_argument("--keep", type=Path, help="where the history is, or is to be kept")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        history = prepared(given.keep or Path(folder) / "history", given.entries, given.jobs)
        show(
            f"serve over {history.entries:,} entries in {history.jobs:,} jobs", rows(history, given.requests)
        )


if __name__ == "__main__":
    main()
