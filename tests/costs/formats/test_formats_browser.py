"""The HTML reports in a real browser, at the widths of a desk and a phone, light, dark and on paper."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import pytest

from shared.costs.formats.html import render
from shared.costs.formats.mail import mail_of
from shared.costs.reports.document import Report
from shared.costs.reports.show_job import receipt_report
from shared.costs.reports.statement import statement_report
from tests.costs.formats.test_formats_html import report
from tests.support.elapsed import PATIENCE_S
from tests.support.history import busy_month, entry
from tests.support.statement import receipt_facts, statement_facts

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext, Page

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
PHONE, DESK = 390, 1280
WIDTHS = (PHONE, 800, DESK)

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed")

PAGES: dict[str, Report] = {
    "month": statement_report(statement_facts(busy_month())),
    "receipt": receipt_report(receipt_facts([entry(id=f"e{n}", attempt=n % 2 + 1) for n in range(90)])),
    "any": report(),
    "long names": report("one-very-long-name-without-any-blank-in-it" * 4),
}


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield started
        started.close()


Scheme = Literal["light", "dark"]


class Show:
    """Opens a page of ``PAGES``; fails where the browser has something to say about it."""

    def __init__(self, browser: Browser, folder: Path) -> None:
        self._browser, self._file = browser, folder / "page.html"
        self._contexts: list[BrowserContext] = []

    def __call__(self, name: str, width: int = DESK, scheme: Scheme = "light") -> Page:
        viewport = {"width": width, "height": 900}
        context = self._browser.new_context(viewport=viewport, color_scheme=scheme)  # type: ignore[arg-type]  # a TypedDict
        self._contexts.append(context)
        self._file.write_text(render(PAGES[name]), encoding="utf-8")
        context.set_default_timeout(PATIENCE_S * 1000)
        page, said = context.new_page(), []
        page.on("console", lambda message: said.append(message.text))
        page.on("pageerror", lambda fault: said.append(str(fault)))
        page.goto(self._file.as_uri())
        page.evaluate("document.querySelectorAll('details').forEach((fold) => { fold.open = true; })")
        assert said == []
        return page

    def close(self) -> None:
        for context in self._contexts:
            context.close()


@pytest.fixture
def shown(browser: Browser, tmp_path: Path) -> Iterator[Show]:
    show = Show(browser, tmp_path)
    yield show
    show.close()


def test_a_mail_fits_a_phone_whatever_names_it_has(browser: Browser, tmp_path: Path) -> None:
    mail = report("one_very_long_name_without_any_place_to_break_it_at" * 4)
    (tmp_path / "mail.html").write_text(mail_of(mail, "foot").html, encoding="utf-8")
    page = browser.new_page(viewport={"width": 360, "height": 900})
    page.goto((tmp_path / "mail.html").as_uri())
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    page.close()


# Relative luminance and contrast: https://www.w3.org/TR/WCAG22/#dfn-contrast-ratio
FAINTEST = """(parts) => {
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
  const behind = (part) => getComputedStyle(part.closest(".card")).backgroundColor;
  const found = [...document.querySelectorAll(parts)];
  return Math.min(21, ...found.map((part) => contrast(getComputedStyle(part).fill, behind(part))));
}"""


@pytest.mark.parametrize(("scheme", "colour"), [("light", "rgb(246, 247, 249)"), ("dark", "rgb(19, 22, 26)")])
def test_nothing_overflows_nothing_is_requested_and_bars_can_be_seen(
    scheme: Scheme, colour: str, shown: Show
) -> None:
    for name in PAGES:
        page = shown(name, DESK, scheme)
        for width in WIDTHS:
            page.set_viewport_size({"width": width, "height": 900})
            which = f"{name} at {width}"
            assert page.evaluate("document.documentElement.scrollWidth") <= width, which
            assert page.evaluate("performance.getEntriesByType('resource').length") == 0, which
            assert page.evaluate("getComputedStyle(document.body).backgroundColor") == colour, which
            # WCAG 2.2, 1.4.11 and 1.4.3
            assert page.evaluate(FAINTEST, "rect[class^=part-], rect.bar, .gauge rect:last-child") >= 3, which
            assert page.evaluate(FAINTEST, "svg text") >= 4.5, which


@pytest.mark.parametrize(("width", "scheme"), [(PHONE, "light"), (DESK, "dark")])
@pytest.mark.parametrize("name", ["month", "any"])
def test_axe_finds_no_violation_and_nothing_that_it_cannot_judge(
    name: str, width: int, scheme: Scheme, shown: Show
) -> None:
    from axe_playwright_python.sync_playwright import Axe

    found = Axe().run(shown(name, width, scheme)).response
    assert [(each["id"], each["nodes"][0]["html"]) for each in found["violations"]] == []
    unjudged = [node["html"] for each in found["incomplete"] for node in each["nodes"]]
    # Texts of a drawing are images to axe: FAINTEST looks at them.
    assert [html for html in unjudged if not html.startswith("<text")] == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_texts_of_a_chart_have_the_colour_that_a_reader_forces_on_pages(scheme: Scheme, shown: Show) -> None:
    """A system's high contrast: forced colours leave drawings as they are."""
    page = shown("month", DESK, scheme)
    page.emulate_media(forced_colors="active")
    fills = page.locator(".plot text").evaluate_all("(all) => all.map((text) => getComputedStyle(text).fill)")
    assert {*fills} == {page.evaluate("getComputedStyle(document.body).color")}


CENTRES = """(chart) => {
  const centre = (element) => { const box = element.getBoundingClientRect(); return box.x + box.width / 2; };
  const bars = Object.fromEntries([...chart.querySelectorAll("rect.column")].map(
    (bar) => [bar.querySelector("title").textContent.split(":")[0], centre(bar)]));
  return [...chart.querySelectorAll(".labels text")].filter((label) => label.textContent in bars).map(
    (label) => centre(label) - bars[label.textContent]);
}"""


@pytest.mark.parametrize("width", WIDTHS)
def test_labels_stand_under_their_bars(width: int, shown: Show) -> None:
    page = shown("month", width)
    chart = page.locator(".chart", has=page.locator("rect.column")).element_handle()
    off = page.evaluate(CENTRES, chart)
    assert len(off) >= 4
    assert max(map(abs, off)) < 0.5


AMOUNTS_IN_SIGHT = """() => [...document.querySelectorAll("td.lead")].filter((cell) => {
  const box = cell.getBoundingClientRect();
  return box.height && !(box.width && box.left >= 0 && box.right <= innerWidth);
}).map((cell) => cell.outerHTML)"""


@pytest.mark.parametrize("name", ["month", "receipt", "any"])
def test_amounts_are_in_sight_on_a_phone_and_right_aligned_everywhere(name: str, shown: Show) -> None:
    phone = shown(name, PHONE)
    assert phone.locator("td.lead").count() >= 2
    assert phone.evaluate(AMOUNTS_IN_SIGHT) == []
    for page in (phone, shown(name, DESK)):
        sides = page.locator("td.lead").evaluate_all("(all) => all.map((c) => getComputedStyle(c).textAlign)")
        assert set(sides) == {"right"}


def test_tables_are_sorted_and_chosen_by_keys_alone(shown: Show) -> None:
    page = shown("month")
    table = page.locator("table:visible").nth(1)
    button = table.locator("th button").first
    button.focus()
    for words, order in (("ascending", sorted), ("descending", lambda names: sorted(names, reverse=True))):
        page.keyboard.press("Enter")
        names = table.locator("tbody td:first-child").all_inner_texts()
        assert names == order(names)
        assert table.locator("th").first.get_attribute("aria-sort") == words
    choices = page.locator(".switch input")
    choices.first.focus()
    page.keyboard.press("ArrowRight")
    shown_now = page.locator(".switch > section:visible")
    assert shown_now.count() == 1
    assert shown_now.locator("h3").inner_text() == "By stage"


@pytest.mark.parametrize(("name", "pages"), [("month", (2, 6)), ("receipt", (2, 4))])
def test_on_paper_the_report_fills_its_pages(name: str, pages: tuple[int, int], shown: Show) -> None:
    paper = shown(name).pdf(format="A4", prefer_css_page_size=True)
    found = len(re.findall(rb"/Type /Page\b", paper))
    assert pages[0] <= found <= pages[1]


def test_paper_has_all_folds_open_and_all_choices(shown: Show) -> None:
    page = shown("month")
    page.emulate_media(media="print")
    hidden = page.locator("main table").evaluate_all("(all) => all.filter((t) => !t.offsetHeight).length")
    assert hidden == 0
