"""The site in a real browser: every page, narrow and wide, light and dark, by keys, live, while edited."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import pytest

from shared.costs.demo import DemoFiles
from shared.costs.money import Nanos
from shared.costs.profile.edit import Edit, edit_profile
from tests.costs.serve.test_serve_program import serving
from tests.support.browser import launched, needs_chromium, violations
from tests.support.elapsed import PATIENCE_S

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext, Page, Request

ROOT = Path(__file__).parents[3]
PHONE, DESK = 390, 1280

pytestmark = needs_chromium


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with launched() as started:
        yield started


class Visitor:
    """A browser that was let in; fails where a page says something on the console or asks elsewhere."""

    def __init__(self, context: BrowserContext, address: str) -> None:
        self.page: Page = context.new_page()
        self.page.set_default_timeout(PATIENCE_S * 1000)
        self.said: list[str] = []
        self.page.on("console", lambda message: self.said.append(message.text))
        self.page.on("pageerror", lambda fault: self.said.append(str(fault)))
        self.page.on("request", self._asked)
        self._origin = address.partition("?")[0]
        self.page.goto(address)
        self.base = "/".join(self.page.url.split("/")[:4])

    def _asked(self, request: Request) -> None:
        if not request.url.startswith(self._origin):
            self.said.append(f"asked {request.url}")

    def open(self, path: str) -> Page:
        self.page.set_viewport_size({"width": DESK, "height": 900})
        answer = self.page.goto(f"{self.base}{path}")
        assert answer is not None
        assert answer.status == 200, path
        return self.page


@pytest.fixture(scope="module")
def address(sample: DemoFiles) -> Iterator[str]:
    """The sample history, served with its limits open to be changed, which no test of these does."""
    options = "--edit", "--cost-storage", str(sample.storage.root), "--profile", str(sample.profile)
    with serving(*options) as (_, printed):
        yield printed


@pytest.fixture(scope="module")
def visitor(chromium: Browser, address: str) -> Iterator[Visitor]:
    context = chromium.new_context(viewport={"width": DESK, "height": 900})
    made = Visitor(context, address)
    yield made
    context.close()


PAGES = {
    "month": "/months/2026-11",
    "month of a user": "/months/2026-10?user=rpatel&by=stage",
    "year": "/years/2026",
    "day": "/days/2026-11-14?by=user",
    "jobs": "/jobs?q=20261114&month=2026-11&sort=cost",
    "no job": "/jobs?q=no-such-job",
    "job": "/jobs/JOB",
    "calls": "/calls?job=JOB",
    "budgets": "/budgets?user=rpatel&month=2026-11",
    "limits": "/budgets/edit?who=user:rpatel",
    "prices": "/prices?q=claude-3",
    "price": "/prices/openai/gpt-4o",
    "health": "/health",
    "why": "/months/2026-11/why",
    "savings": "/months/2026-11/savings?user=rpatel",
    "reports": "/reports",
    "a report to ask": "/reports/explain",
}
LOOKS: tuple[tuple[int, Literal["light", "dark"]], ...] = (
    (DESK, "light"),
    (DESK, "dark"),
    (PHONE, "light"),
    (PHONE, "dark"),
)
NARROW_TARGETS = """() => [...document.querySelectorAll("nav a, .chips a, summary, button, input")]
  .filter((each) => each.type !== "hidden")
  .filter((each) => { const box = each.getBoundingClientRect(); return box.height && box.height < 24; })
  .filter((each) => each.type !== "checkbox" && !each.closest("th"))
  .map((each) => each.outerHTML)"""
UNSEEN_AMOUNTS = """() => [...document.querySelectorAll("td.lead")].filter((cell) => {
  const box = cell.getBoundingClientRect();
  return box.height && !(box.left >= 0 && box.right <= innerWidth);
}).map((cell) => cell.outerHTML)"""


LABELS_OUTSIDE = """() => [...document.querySelectorAll("svg.labels text")].filter((text) => {
  const card = text.closest(".card").getBoundingClientRect(), box = text.getBoundingClientRect();
  return box.width && (box.left < card.left || box.right > card.right);
}).map((text) => text.textContent)"""


LABELS_TOGETHER = """() => [...document.querySelectorAll("svg.labels")].flatMap((labels) => {
  const boxes = [...labels.querySelectorAll("text")].map((text) => text.getBoundingClientRect());
  const seen = boxes.filter((box) => box.width);
  return seen.slice(1).filter((box, at) => box.left < seen[at].right + 2).map((box) => box.left);
})"""


ENDS_HIDDEN = """() => [...document.querySelectorAll("svg.labels")].filter((labels) =>
  ![labels.firstElementChild, labels.lastElementChild].every((each) => each.checkVisibility())).length"""


@pytest.mark.parametrize("path", ["/", "/days/2026-11-21", "/years/2026"])
def test_labels_of_a_chart_stand_apart_at_the_largest_zoom(path: str, visitor: Visitor) -> None:
    """At 320 px, as WCAG 1.4.10 has it: 1280 px at 400 %."""
    page = visitor.open(path)
    for width in (320, PHONE, DESK):
        page.set_viewport_size({"width": width, "height": 800})
        assert page.evaluate(LABELS_TOGETHER) == [], width
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert page.evaluate(ENDS_HIDDEN) == 0


@pytest.mark.parametrize("name", PAGES)
def test_every_page_is_accessible_and_fits(name: str, visitor: Visitor, sample: DemoFiles) -> None:
    page = visitor.open(PAGES[name].replace("JOB", sample.jobs[len(sample.jobs) // 2][1]))
    for number, (width, scheme) in enumerate(LOOKS):
        page.set_viewport_size({"width": width, "height": 900})
        page.emulate_media(color_scheme=scheme)
        which = f"{name}, {width}, {scheme}"
        assert page.evaluate("document.documentElement.scrollWidth") <= width, which
        assert page.evaluate(NARROW_TARGETS) == [], which
        assert page.evaluate(LABELS_OUTSIDE) == [], which
        assert page.evaluate(UNSEEN_AMOUNTS) == [], which
        if number == 3 or name == "month":
            assert violations(page) == [], which
    assert visitor.said == []


def test_the_command_that_mends_something_is_copied(chromium: Browser, address: str) -> None:
    permissions: list[Any] = ["clipboard-read", "clipboard-write"]
    context = chromium.new_context(permissions=permissions)
    page = Visitor(context, address).open("/health")
    button = page.get_by_role("button", name="Copy command").first
    command = button.get_attribute("data-copy")
    assert command is not None
    assert "reprice --cost-storage " in command  # as it is typed where the server was started
    assert "cost-dashboard reprice" in button.locator("..").inner_text()
    button.click()
    page.get_by_role("button", name="Copied").wait_for()
    assert page.evaluate("navigator.clipboard.readText()") == command
    context.close()


def test_keys_alone_lead_everywhere(visitor: Visitor) -> None:
    page = visitor.open("/months/2026-11")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "main"
    bar = page.locator(".drawing a").first
    bar.focus()
    assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    name = str(bar.get_attribute("aria-label"))
    page.keyboard.press("Enter")
    page.wait_for_url("**/days/2026-11-*")
    assert name.partition(" ")[0] in page.locator("h1").inner_text()
    for key, path in {"j": "/jobs", "b": "/budgets", "p": "/prices", "h": "/health", "m": "/months/"}.items():
        page.keyboard.press("g")
        page.keyboard.press(key)
        page.wait_for_url(f"**{path}*")
    page.keyboard.press("/")
    page.keyboard.type("job-202611")
    page.keyboard.press("Enter")
    page.wait_for_url(re.compile(r"/jobs\?q=job-202611"))
    page.keyboard.press("?")
    assert page.locator("dialog").is_visible()
    page.locator("dialog input").uncheck()
    page.keyboard.press("Escape")
    page.keyboard.press("/")
    assert page.evaluate("document.activeElement.type") != "search"  # keys are off
    page.evaluate("localStorage.clear()")
    assert visitor.said == []


FOCUSED = """() => {
  const it = document.activeElement, box = it.getBoundingClientRect();
  const outline = (each) => each && getComputedStyle(each).outlineStyle;
  const drawn = [it, it.nextElementSibling].map(outline).filter(Boolean);
  const seen = box.bottom > 0 && box.top < innerHeight && drawn.some((style) => style !== "none");
  return [[...document.querySelectorAll("*")].indexOf(it), seen ? "" : it.outerHTML];
}"""


@pytest.mark.parametrize("width", [320, DESK])
@pytest.mark.parametrize("name", ["month of a user", "limits", "a report to ask", "health"])
def test_the_focus_goes_through_a_page_in_order_in_sight_and_out_again(
    name: str, width: int, visitor: Visitor
) -> None:
    page = visitor.open(PAGES[name])
    page.set_viewport_size({"width": width, "height": 700})
    stops: list[int] = []
    for _ in range(300):
        page.keyboard.press("Tab")
        at, unseen = page.evaluate(FOCUSED)
        if stops and at < stops[-1]:
            break
        assert unseen == ""
        stops.append(at)
    else:
        pytest.fail("the focus does not leave the page")
    assert stops == sorted({*stops})
    focusable = "a[href], button, input:not([type=hidden]), select, summary, [tabindex='0']"
    assert len(stops) == page.locator(focusable).and_(page.locator(":visible")).count()


def test_a_click_goes_from_a_bar_to_the_parts_of_one_call(visitor: Visitor) -> None:
    page = visitor.open("/months/2026-11")
    page.locator('.drawing a[href*="2026-11-14"]').click()
    page.wait_for_url("**/days/2026-11-14")
    page.locator(".part td.name a", has_text="openai/gpt-4").first.click()
    assert "model" in page.locator(".chips").inner_text()
    page.locator(".filters nav a", has_text="Calls").click()
    page.wait_for_url(re.compile(r"/calls\?"))
    page.locator("td.name a").first.click()
    page.wait_for_url("**/calls/*")
    assert page.locator("h2", has_text="What the cost is made of").is_visible()
    assert visitor.said == []


def test_tables_are_sorted_by_their_headings(visitor: Visitor) -> None:
    page = visitor.open("/months/2026-11")
    table = page.locator("table").first
    heading = table.locator("th button").first
    heading.click()
    names = table.locator("tbody td:first-child").all_inner_texts()
    assert names == sorted(names)
    assert table.locator("th").first.get_attribute("aria-sort") == "ascending"


def test_all_works_without_script(chromium: Browser, address: str) -> None:
    context = chromium.new_context(java_script_enabled=False)
    visitor = Visitor(context, address)
    page = visitor.open("/months/2026-11")
    page.locator("summary", has_text="Filter").click()
    page.locator("input[name=user]").fill("rpatel")
    page.locator(".filter button").click()
    page.wait_for_url("**user=rpatel")
    page.locator(".switching a", has_text="Stage").click()
    page.wait_for_url("**by=stage*")
    page.locator(".filters nav a", has_text="Jobs").click()
    page.locator("nav a", has_text="Most expensive").click()
    page.wait_for_url("**sort=cost*")
    assert page.locator("table tbody tr").count() == 100
    page.locator('nav[aria-label="Pages"] a', has_text="2").click()
    page.wait_for_url("**page=2*")
    assert page.locator("table tbody tr").count() > 1
    assert visitor.said == []
    context.close()


# --- while a batch runs, and while two people edit


@pytest.fixture
def own(tmp_path: Path, chromium: Browser) -> Iterator[tuple[Visitor, Path]]:
    """A cost storage of the test's own, served; and its profile."""
    profile = tmp_path / "own.yaml"
    profile.write_text("budget:\n  monthly_limit_usd: 50  # as agreed\n")
    context = chromium.new_context()
    with serving("--edit", "--profile", str(profile)) as (_, address):
        yield Visitor(context, address), profile
        context.close()


BATCH = """
import sys
from shared.cost_tracker import CostTracker
with CostTracker(sys.argv[1], "rpatel") as tracker:
    for number in range(int(sys.argv[2])):
        tracker.log_usage("openai", "gpt-4o", 1_000_000, 0, "13_ai_summarization")
"""


def log(job: Path, calls: int) -> None:
    subprocess.run([sys.executable, "-c", BATCH, str(job), str(calls)], cwd=ROOT, check=True)


def test_pages_follow_a_batch_but_not_under_a_hand(own: tuple[Visitor, Path], tmp_path: Path) -> None:
    from playwright.sync_api import expect

    visitor, _ = own
    log(tmp_path / "job-1", 1)
    page = visitor.open("/")
    expect(page.locator(".live")).to_have_text("Live", timeout=PATIENCE_S * 1000)
    page.evaluate("window.sameDocument = true")
    spent = page.locator(".hero dd")
    assert "$2.50" in spent.inner_text()
    link = page.locator("table a", has_text="job-1").first
    link.focus()
    log(tmp_path / "job-1", 3)
    expect(spent).to_contain_text("$10.00", timeout=PATIENCE_S * 1000)
    assert page.evaluate("document.activeElement.textContent") == "job-1"
    row = page.locator("tr", has=page.get_by_role("link", name="job-1"))
    assert "$2.50" in row.inner_text()  # the part with the focus waits
    page.evaluate("document.activeElement.blur()")
    expect(row).to_contain_text("$10.00", timeout=PATIENCE_S * 1000)
    assert page.evaluate("window.sameDocument")
    assert visitor.said == []


def test_a_limit_is_changed_by_keys_alone(own: tuple[Visitor, Path]) -> None:
    visitor, profile = own
    page = visitor.open("/budgets/edit?who=defaults")

    def tab_to(words: str) -> None:
        for _ in range(60):
            page.keyboard.press("Tab")
            label = "(document.activeElement.labels?.[0] ?? document.activeElement).textContent.trim()"
            if page.evaluate(label) == words:
                return
        pytest.fail(f"no key leads to {words}")

    tab_to("Weekly")
    page.keyboard.type("12")
    page.keyboard.press("Enter")
    page.locator(".change .added").wait_for()
    tab_to("Change it")
    assert page.locator(".change .added").inner_text() == "+  weekly_limit_usd: 12.00"
    page.keyboard.press("Enter")
    page.wait_for_url("**/budgets")
    assert "monthly_limit_usd: 50  # as agreed\n  weekly_limit_usd: 12.00\n" in profile.read_text()
    assert visitor.said == []


def test_two_editors_do_not_overwrite_each_other(own: tuple[Visitor, Path]) -> None:
    visitor, profile = own
    page = visitor.open("/budgets/edit?who=defaults")
    page.get_by_label("Monthly", exact=True).fill("60")
    edit_profile(profile, Edit({"daily_limit": Nanos(5_000_000_000)}))
    page.get_by_role("button", name="Show what changes").click()
    assert "somebody else changed it meanwhile" in page.get_by_role("alert").inner_text()
    assert page.get_by_label("Daily", exact=True).input_value() == "5.00"
    assert page.get_by_label("Monthly", exact=True).input_value() == "50.00"
    assert visitor.said == ["Failed to load resource: the server responded with a status of 409 (Conflict)"]
    page.get_by_label("Monthly", exact=True).fill("60")
    page.get_by_role("button", name="Show what changes").click()
    assert page.locator(".change .added").inner_text() == "+  monthly_limit_usd: 60.00  # as agreed"
    page.get_by_role("button", name="Change it").click()
    page.wait_for_url("**/budgets")
    assert "monthly_limit_usd: 60.00  # as agreed" in profile.read_text()
    assert "daily_limit_usd: 5.00" in profile.read_text()
