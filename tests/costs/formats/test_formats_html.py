"""The HTML page: whole in itself, safe and accessible."""

from __future__ import annotations

import re
from collections import Counter
from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.costs.formats.html import render
from shared.costs.money import Nanos
from shared.costs.reports.document import Column, Figure, Gauge, Note, Report, Series, Table

EVIL = "</script><script>alert(1)</script><img src=x onerror=alert(1)>\x1b[31m"


def report(name: str = "openai/gpt-4o") -> Report:
    columns = (
        Column("model", "Model"),
        Column("calls", "Calls", "count", rank=1),
        Column("cost", "Cost", "money"),
        Column("share", "Share", "share"),
    )
    return Report(
        title=f"November {name}",
        subtitle=name,
        gauges=(
            Gauge(
                name, Nanos(40_250_000_000), Nanos(50_000_000_000), 80.5, held=Nanos(10**9), tone="warning"
            ),
            Gauge("none", Nanos(5), Nanos(0), 100.0, tone="plain"),
        ),
        figures=(Figure("spent", "Spent", 40_250_000_000, note=name), Figure("x", "Left", None, "text")),
        series=(
            Series(name, tuple(f"{day} Nov" for day in range(1, 31)), tuple(day * 1e9 for day in range(30))),
            Series("nothing", ("1 Nov",), (0.0,)),
        ),
        tables=(
            Table(
                name,
                columns,
                ((name, 3, 4_500_000, 100.0), ("b", 1, None, None)),
                ("Total", 4, 4_500_000, ""),
            ),
            Table("By stage", (Column("stage", "Stage"),), (), empty="No stages."),
        ),
        notes=(Note(name, "critical"), Note("plain words")),
    )


class Outline(HTMLParser):
    """Collects tags and their attributes, and how deep in tags of their own kind they lie."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.depths: list[int] = []
        self.open: Counter[str] = Counter()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self.depths.append(self.open[tag])
        self.open[tag] += 1

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        self.handle_endtag(tag)

    def handle_endtag(self, tag: str) -> None:
        self.open[tag] -= 1

    def outermost(self, tag: str) -> list[dict[str, str | None]]:
        return [
            attrs
            for (name, attrs), depth in zip(self.tags, self.depths, strict=True)
            if name == tag and not depth
        ]

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attrs for name, attrs in self.tags if name == tag]


def outline(page: str) -> Outline:
    parser = Outline()
    parser.feed(page)
    return parser


def test_the_page_loads_nothing_and_its_policy_forbids_to() -> None:
    page = render(report())
    assert not re.search(r"""(src|href|url|@import)\s*[=(]""", page)
    found = outline(page)
    policy = next(m["content"] for m in found.all("meta") if m.get("http-equiv"))
    assert policy is not None
    assert policy.startswith("default-src 'none'; style-src 'sha256-")
    assert "unsafe" not in policy
    assert not any(name.startswith("on") or name == "style" for _, attrs in found.tags for name in attrs)


def test_the_page_is_accessible() -> None:
    found = outline(render(report()))
    assert found.all("html")[0]["lang"] == "en"
    assert len(found.all("h1")) == 1
    assert len(found.all("main")) == 1
    for drawing in found.outermost("svg"):
        assert drawing.get("aria-label") or drawing.get("aria-hidden") == "true"
    assert all(heading["scope"] == "col" for heading in found.all("th"))
    names = {attrs["id"] for attrs in found.all("h2") if "id" in attrs}
    assert all(table["aria-labelledby"] in names for table in found.all("table"))


def test_figures_and_cells_are_there() -> None:
    page = render(report())
    for text in (
        "$40.25 of $50.00",
        "80.5%",
        "unpriced",
        "No stages.",
        "plain words",
        "most $29.00 on 30 Nov",
    ):
        assert text in page
    assert page.count('<section class="card chart">') == 1


@pytest.mark.no_cover
@given(st.text(min_size=1, max_size=30))
def test_no_text_becomes_markup(text: str) -> None:
    plain, odd = outline(render(report("x"))), outline(render(report(text)))
    assert [tag for tag, _ in odd.tags] == [tag for tag, _ in plain.tags]


def test_an_attack_is_only_text() -> None:
    page = render(report(EVIL))
    assert "<img" not in page
    assert len(outline(page).all("script")) == 1
    assert "\x1b" not in page


def test_two_small_tables_that_follow_each_other_stand_side_by_side() -> None:
    columns = (Column("name", "Name"), Column("share", "Share", "share"))
    small, wide = Table("Small", columns, (("a", 50.0),)), Table("Wide", columns, (("a" * 30, 50.0),))
    for tables, halves in (((small,), 0), ((small, small), 2), ((small, wide, small), 0), ((small,) * 3, 2)):
        page = render(Report("Tables", tables=tables))
        assert page.count('<div class="pair">') * 2 == halves
        assert page.count("<table") == len(tables)
