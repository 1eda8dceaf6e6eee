"""What tests of the site share: its day, its address, and reading its pages."""

from __future__ import annotations

from datetime import UTC, datetime
from html.parser import HTMLParser

from shared.costs.apps.serve.access import Access

DAY = datetime(2026, 11, 22, 16, 0, tzinfo=UTC)
PORT = 8765
ORIGIN = f"http://127.0.0.1:{PORT}"
ACCESS = Access("t" * 43, "prefix-of-the-test-pages")
BASE = f"/{ACCESS.prefix}"


class Links(HTMLParser):
    """The addresses that a page leads to, and those that it loads."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.ways: list[str] = []
        self.loaded: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if tag == "a" and given.get("href"):
            self.ways.append(str(given["href"]))
        if tag in ("img", "script", "link"):
            self.loaded.append(str(given.get("src") or given.get("href")))
