"""The HTML reports in a real browser, at the widths of a desk and a phone, light, dark and on paper."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import pytest

from shared.costs.formats.html import render
from shared.costs.formats.mail import mail_of
from shared.costs.reports.document import Report
from shared.costs.reports.show_job import receipt_report
from shared.costs.reports.statement import statement_report
from tests.costs.formats.test_formats_html import report
from tests.support.browser import launched, needs_chromium, violations
from tests.support.elapsed import PATIENCE_S
from tests.support.history import busy_month, entry
from tests.support.statement import receipt_facts, statement_facts

if TYPE_CHECKING:
    from playwright.sync_api import Page

PHONE, DESK = 390, 1280
WIDTHS = (PHONE, 800, DESK)

pytestmark = needs_chromium

PAGES: dict[str, Report] = {
    "month": statement_report(statement_facts(busy_month())),
    "receipt": receipt_report(receipt_facts([entry(id=f"e{n}", attempt=n % 2 + 1) for n in range(90)])),
    "any": report(),
    "long names": report("one-very-long-name-without-any-blank-in-it" * 4),
}


Scheme = Literal["light", "dark"]


class Show:
    """Opens pages in one tab; fails where the browser has something to say of one."""

    def __init__(self, tab: Page, folder: Path) -> None:
        self._tab, self._file = tab, folder / "page.html"
        self._said: list[str] = []
        tab.set_default_timeout(PATIENCE_S * 1000)
        tab.on("console", lambda message: self._said.append(message.text))
        tab.on("pageerror", lambda fault: self._said.append(str(fault)))

    def __call__(self, name: str, width: int = DESK, scheme: Scheme = "light") -> Page:
        look(self._tab, width, scheme)
        self.open(render(PAGES[name]))
        self._tab.evaluate("document.querySelectorAll('details').forEach((fold) => { fold.open = true; })")
        return self._tab

    def open(self, html: str) -> Page:
        self._said.clear()
        self._file.write_text(html, encoding="utf-8")
        self._tab.goto(self._file.as_uri())
        assert self._said == []
        return self._tab


def look(page: Page, width: int, scheme: Scheme = "light") -> None:
    """Show a page on a screen of this width, in these colours."""
    page.set_viewport_size({"width": width, "height": 900})
    page.emulate_media(media="screen", color_scheme=scheme)


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Show]:
    with launched() as browser:
        yield Show(browser.new_page(), tmp_path_factory.mktemp("shown"))


def test_a_mail_fits_a_phone_whatever_names_it_has(shown: Show) -> None:
    mail = report("one_very_long_name_without_any_place_to_break_it_at" * 4)
    page = shown.open(mail_of(mail, "foot").html)
    look(page, 360)
    assert page.evaluate("document.documentElement.scrollWidth") <= 360


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


COLOURS: dict[Scheme, str] = {"light": "rgb(246, 247, 249)", "dark": "rgb(19, 22, 26)"}


@pytest.mark.parametrize("name", PAGES)
def test_nothing_overflows_nothing_is_requested_and_bars_can_be_seen(name: str, shown: Show) -> None:
    page = shown(name)
    for (scheme, colour), width in product(COLOURS.items(), WIDTHS):
        look(page, width, scheme)
        which = f"{scheme} at {width}"
        assert page.evaluate("document.documentElement.scrollWidth") <= width, which
        assert page.evaluate("performance.getEntriesByType('resource').length") == 0, which
        assert page.evaluate("getComputedStyle(document.body).backgroundColor") == colour, which
        # WCAG 2.2, 1.4.11 and 1.4.3
        assert page.evaluate(FAINTEST, "rect[class^=part-], rect.bar, .gauge rect:last-child") >= 3, which
        assert page.evaluate(FAINTEST, "svg text") >= 4.5, which


@pytest.mark.parametrize("name", ["month", "any"])
def test_axe_finds_no_violation_and_nothing_that_it_cannot_judge(name: str, shown: Show) -> None:
    page = shown(name)
    looks: list[tuple[int, Scheme]] = [(PHONE, "light"), (DESK, "dark")]
    for width, scheme in looks:
        look(page, width, scheme)
        assert violations(page) == [], f"{scheme} at {width}"


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


def test_labels_stand_under_their_bars(shown: Show) -> None:
    page = shown("month")
    chart = page.locator(".chart", has=page.locator("rect.column")).element_handle()
    for width in WIDTHS:
        look(page, width)
        off = page.evaluate(CENTRES, chart)
        assert len(off) >= 4, width
        assert max(map(abs, off)) < 0.5, width


AMOUNTS_IN_SIGHT = """() => [...document.querySelectorAll("td.lead")].filter((cell) => {
  const box = cell.getBoundingClientRect();
  return box.height && !(box.width && box.left >= 0 && box.right <= innerWidth);
}).map((cell) => cell.outerHTML)"""


@pytest.mark.parametrize("name", ["month", "receipt", "any"])
def test_amounts_are_in_sight_on_a_phone_and_right_aligned_everywhere(name: str, shown: Show) -> None:
    page = shown(name, PHONE)
    assert page.locator("td.lead").count() >= 2
    assert page.evaluate(AMOUNTS_IN_SIGHT) == []
    for width in (PHONE, DESK):
        look(page, width)
        sides = page.locator("td.lead").evaluate_all("(all) => all.map((c) => getComputedStyle(c).textAlign)")
        assert set(sides) == {"right"}


def test_a_share_that_nobody_can_say_is_a_dash_beside_bars_and_nothing_in_a_block(shown: Show) -> None:
    seen = []
    for width in (DESK, PHONE):
        page = shown("month", width)
        page.get_by_text("Model", exact=True).and_(page.locator("label")).click()
        assert page.locator("td.name:visible", has_text="gpt-9").count() == 1
        seen.append(page.locator("td.share:visible", has_text=re.compile("^-$")).count())
    assert seen == [1, 0]


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
