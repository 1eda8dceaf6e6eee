"""The HTML reports in a real browser, at the widths of a desk and a phone, light, dark and on paper."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from html import unescape
from pathlib import Path
from typing import Any

import pytest

from shared.costs.formats.html import render
from shared.costs.reports.document import Report
from shared.costs.reports.receipt import receipt_report
from shared.costs.reports.statement import statement_report
from tests.costs.formats.test_formats_html import report
from tests.support.history import busy_month, entry
from tests.support.statement import receipt_facts, statement_facts

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
WIDTHS = (390, 800, 1280)

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed")

PAGES: dict[str, Report] = {
    "month": statement_report(statement_facts(busy_month())),
    "receipt": receipt_report(receipt_facts([entry(id=f"e{n}", attempt=n % 2 + 1) for n in range(90)])),
    "any": report(),
    "long names": report("one-very-long-name-without-any-blank-in-it" * 4),
}

HARNESS = """<!DOCTYPE html><meta charset="utf-8"><body><pre id="out"></pre><script>
const pages = %s, widths = %s, found = [];

// Relative luminance and contrast: https://www.w3.org/TR/WCAG22/#dfn-contrast-ratio
const channels = (colour) => colour.match(/[\\d.]+/g).map(Number);
const luminance = (colour) => {
  const [r, g, b] = channels(colour).slice(0, 3).map((c) => {
    c /= 255;
    return c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
};
const contrast = (a, b) => {
  const [x, y] = [luminance(a), luminance(b)].sort((p, q) => q - p);
  return (x + 0.05) / (y + 0.05);
};
const behind = (element) => {
  for (let at = element; at; at = at.parentElement) {
    const colour = getComputedStyle(at).backgroundColor;
    if (channels(colour)[3] !== 0) return colour;
  }
};
const faintest = (inside) => {
  let least = 21;
  const texts = inside.createTreeWalker(inside.body, NodeFilter.SHOW_TEXT);
  while (texts.nextNode()) {
    const element = texts.currentNode.parentElement;
    if (!texts.currentNode.data.trim() || element.closest("script, title")) continue;
    least = Math.min(least, contrast(getComputedStyle(element).color, behind(element)));
  }
  return least;
};
const faintestBar = (inside) => Math.min(...[...inside.querySelectorAll("rect[class^=part-], rect.bar")].map(
  (bar) => contrast(getComputedStyle(bar).fill, behind(bar.closest("section")))));

const measure = async () => {
  for (const width of widths) for (const [name, page] of Object.entries(pages)) {
    const frame = document.createElement("iframe");
    frame.style.cssText = `width:${width}px;height:900px;border:0`;
    frame.srcdoc = page;
    const loaded = new Promise((done) => { frame.onload = done; });
    document.body.append(frame);
    await loaded;
    const inside = frame.contentDocument;
    const table = inside.querySelector("table:has(tbody tr:nth-child(2))");
    const first = () => table.querySelector("tbody td").textContent;
    const before = first();
    const button = table.querySelector("th button");
    button.focus();
    const reached = inside.activeElement === button;
    button.click();
    const ascending = [...table.tBodies[0].rows].map((row) => row.cells[0].dataset.value);
    button.click();
    found.push({
      name, width, reached, ascending, last: first(),
      sort: table.querySelector("th").getAttribute("aria-sort"),
      overflow: inside.documentElement.scrollWidth - width,
      requests: frame.contentWindow.performance.getEntriesByType("resource").length,
      text: faintest(inside), bar: faintestBar(inside),
      page: getComputedStyle(inside.body).backgroundColor,
    });
    frame.remove();
  }
  document.getElementById("out").textContent = JSON.stringify(found);
};
measure();
</script>"""


def browse(page: Path, *options: str) -> subprocess.CompletedProcess[str]:
    assert CHROMIUM
    flags = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"]
    flags += ["--disable-background-networking", "--disable-component-update", "--disable-sync"]
    flags += ["--enable-logging=stderr", f"--user-data-dir={page.parent / 'profile'}", *options]
    return subprocess.run(
        [CHROMIUM, *flags, page.as_uri()], capture_output=True, text=True, timeout=120, check=True
    )


def measured(folder: Path, *options: str) -> list[dict[str, Any]]:
    harness = folder / "harness.html"
    pages = json.dumps({name: render(page) for name, page in PAGES.items()}).replace("</", "<\\/")
    harness.write_text(HARNESS % (pages, json.dumps(WIDTHS)), encoding="utf-8")
    done = browse(harness, "--dump-dom", "--virtual-time-budget=8000", *options)
    text = re.search(r'<pre id="out">(.*?)</pre>', done.stdout, re.DOTALL)
    assert text
    assert text[1], done.stderr
    assert "CONSOLE" not in done.stderr
    found: list[dict[str, Any]] = json.loads(unescape(text[1]))
    return found


@pytest.mark.parametrize(("scheme", "page"), [(1, "rgb(246, 247, 249)"), (0, "rgb(19, 22, 26)")])
def test_nothing_overflows_nothing_is_requested_all_is_readable_and_tables_sort(
    scheme: int, page: str, tmp_path: Path
) -> None:
    results = measured(tmp_path, f"--blink-settings=preferredColorScheme={scheme}")
    assert len(results) == len(PAGES) * len(WIDTHS)
    for result in results:
        which = f"{result['name']} at {result['width']}"
        assert result["overflow"] <= 0, which
        assert result["requests"] == 0, which
        assert result["page"] == page, which
        assert result["text"] >= 4.5, which  # WCAG 2.2, 1.4.3
        assert result["bar"] >= 3, which  # WCAG 2.2, 1.4.11
        assert result["reached"], which
        assert result["ascending"] == sorted(result["ascending"]), which
        assert result["last"] == max(result["ascending"]), which
        assert result["sort"] == "descending", which


@pytest.mark.parametrize(("name", "pages"), [("month", (2, 6)), ("receipt", (2, 4))])
def test_on_paper_the_report_fills_its_pages(name: str, pages: tuple[int, int], tmp_path: Path) -> None:
    page, paper = tmp_path / "page.html", tmp_path / "paper.pdf"
    page.write_text(render(PAGES[name]), encoding="utf-8")
    browse(page, f"--print-to-pdf={paper}", "--no-pdf-header-footer")
    found = len(re.findall(rb"/Type /Page\b", paper.read_bytes()))
    assert pages[0] <= found <= pages[1]
