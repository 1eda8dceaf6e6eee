"""What pages say: nothing that only a command line can be told, and no value twice."""

from __future__ import annotations

import re

from shared.costs.formats.html import render
from shared.costs.formats.mail import mail_of
from shared.costs.formats.page import page_of, page_table
from shared.costs.money import Nanos
from shared.costs.reports.common import Breakdown, breakdown_table
from shared.costs.reports.document import Chart, Column, Figure, Layer, Note, Ref, Report, Table
from shared.costs.rollup import Totals


def test_a_page_names_no_option_of_a_command() -> None:
    notes = (Note("More: --show outcomes, all."), Note("Calls of other users: ana; see them with --user."))
    figure = Figure("local", "With local", 10**9, note="82.0%, on your own machine: --show local")
    page = page_of(Report("Savings", figures=(figure, figure), notes=notes))
    assert [note.text for note in page.quiet] == ["Calls of other users: ana."]
    assert [page.hero and page.hero.note, page.figures[0].note] == ["82.0%, on your own machine"] * 2


def test_days_are_sorted_by_their_dates_and_a_cell_says_its_value_once() -> None:
    columns = (Column("day", "Day"), Column("calls", "Calls", "count"), Column("cost", "Cost", "money"))
    table = Table("By day", columns, ((Ref("9 Nov", "day", "2026-11-09"), 7, 2_500_000_000),))
    assert [cell.sort for cell in page_table(table).rows[0]] == ["2026-11-09", "7", "2500000000"]
    text = render(Report("Days", tables=(table,)))
    assert '<td class="number" data-title="Calls">7</td>' in text
    assert '<td class="number lead" data-value="2500000000">$2.50</td>' in text


def test_a_sentence_that_alone_explains_a_name_needs_no_heading() -> None:
    columns = (Column("reason", "Reason"), Column("what", "What", wraps=True), Column("n", "Calls", "count"))
    other = Column("stage", "Stage")
    explained, told = (
        page_table(Table("Why", shown, (("retries", "later attempts", 3, "asr")[: len(shown)],)))
        for shown in (columns, (*columns, other))
    )
    assert [heading.said for heading in explained.headings] == ["", "", ""]
    assert [heading.said for heading in told.headings] == ["", "What", "", "Stage"]


def test_a_mail_draws_what_is_expected_apart_and_says_so() -> None:
    layers = (Layer("gpt", (4e9, 1e9, None)), Layer("expected", (None, 1e9, 2e9), "expected"))
    mail = mail_of(Report("Days", charts=(Chart("Spend", ("1", "2", "3"), layers),)), "").html
    drawn = mail[mail.index("Spend") :]
    cells = re.findall(r'<td height="(\d+)" bgcolor="(#\w+)">', drawn)
    blue, grey = "#2f6fb2", "#aab3bd"
    assert [colour for _, colour in cells] == [blue, grey, blue, grey]
    heights = [int(height) for height, _ in cells]
    assert [round(4 * height / heights[0]) for height in heights] == [4, 1, 1, 2]
    assert "grey is what is expected" in drawn
    alone_spent = mail_of(Report("Days", charts=(Chart("Spend", ("1", "2", "3"), layers[:1]),)), "").html
    assert "expected" not in alone_spent


def test_a_mail_lets_what_is_below_zero_hang_from_it() -> None:
    layers = (Layer("gpt", (4e9, -2e9, None)), Layer("expected", (None, None, 2e9), "expected"))
    mail = mail_of(Report("Days", charts=(Chart("Spend", ("1", "2", "3"), layers),)), "").html
    drawn = mail[mail.index("Spend") :]
    heights = [int(height) for height in re.findall(r'<td height="(\d+)" bgcolor', drawn)]
    assert heights == [60, 30, 30]  # spent, expected, and below
    assert drawn.count("border-top:1px") == 3
    assert drawn.index('title="2: -$2.00"') > drawn.index('title="3: $2.00"')
    upright = mail_of(Report("Days", charts=(Chart("Spend", ("1", "2", "3"), layers[1:]),)), "").html
    assert "border-top:1px" not in upright[upright.index("Spend") :]


def test_a_mail_cuts_what_is_off_the_scale_below_zero_too_and_draws_what_is_expected_there_apart() -> None:
    labels = ("1", "2", "3", "4", "5")
    layers = (
        Layer("gpt", (1e9, 1e9, 1e9, -90e9, None)),
        Layer("expected", (None,) * 4 + (-1e9,), "expected"),
    )
    mail = mail_of(Report("Days", charts=(Chart("Spend", labels, layers),)), "").html
    drawn = mail[mail.index("Spend") :]
    blue, grey = "#2f6fb2", "#aab3bd"
    cells = re.findall(r'<td height="(\d+)"(?: bgcolor="(#\w+)")?>', drawn)
    assert cells == [*[("45", blue)] * 3, ("32", blue), ("3", ""), ("10", blue), ("45", grey)]
    assert "a bar with a gap is off the scale" in drawn
    assert "grey is what is expected" in drawn


def test_a_row_without_a_price_has_a_dash_for_its_share_and_no_bar() -> None:
    whole = Totals(calls=5, unpriced_calls=2, cost=Nanos(10**9))
    sums = {"a": Totals(calls=2, unpriced_calls=1, cost=Nanos(10**9)), "b": Totals(calls=1, unpriced_calls=1)}
    sums["local"] = Totals(calls=2)
    table = breakdown_table(Breakdown("by_model", "Model", sums), whole)
    shares = [(row[-1].text, row[-1].width) for row in page_table(table).rows]
    assert shares == [("100.0%", 100.0), ("-", None), ("0.0%", 0.0)]
    page = render(Report("Month", tables=(table,)))
    assert '<td class="share" data-value=""><div><span>-</span></div></td>' in page  # where percents stand


def test_a_mail_leaves_out_what_nobody_can_say() -> None:
    columns = (Column("job", "Job"), Column("share", "Share", "share"), Column("cost", "Cost", "money"))
    table = Table("Jobs", columns, (("job-1", None, -2_000_000_000),))
    assert not re.search(r">\s*-\s*<", mail_of(Report("Jobs", tables=(table,)), "").html)
