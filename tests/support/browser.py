"""A real Chromium, driven by its own protocol, and what axe says of a page that it shows."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

# Chromium without a window first: it draws the same pages with two thirds of the processor time.
PROGRAMS = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome")
CHROMIUM = next(filter(None, map(shutil.which, PROGRAMS)), None)
QUIET = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
]

needs_chromium = pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed")


@contextmanager
def launched() -> Iterator[Browser]:
    """Start Chromium, and end it."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        yield started
        started.close()


def violations(page: Page) -> list[str]:
    """Return the elements of a page that axe faults or cannot judge, each after the rule."""
    from axe_playwright_python.sync_playwright import Axe

    found = Axe().run(page, options={"resultTypes": ["violations", "incomplete"]}).response
    faults = [(each["id"], node["html"]) for each in found["violations"] for node in each["nodes"]]
    unjudged = [(each["id"], node["html"]) for each in found["incomplete"] for node in each["nodes"]]
    # Texts of a drawing are images to axe: the tests look at their colours themselves.
    faults += [(rule, html) for rule, html in unjudged if not html.startswith("<text")]
    return [f"{rule}: {html}" for rule, html in faults]
