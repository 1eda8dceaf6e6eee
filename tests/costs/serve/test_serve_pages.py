"""What the pages show, where they lead, and what they are downloaded as."""

from __future__ import annotations

import csv
import gc
import io
import json
import re
from collections import deque
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import urljoin, urlsplit

import pytest
from starlette.testclient import TestClient

from shared.cost_tracker import CostTracker
from shared.costs.apps.cli.app import Invocation
from shared.costs.apps.serve.addresses import FILTER_LABELS
from shared.costs.apps.serve.guard import Hosts
from shared.costs.apps.serve.rendering import assets
from shared.costs.apps.serve.site import Site
from shared.costs.corrections import CorrectedCall
from shared.costs.demo import DemoFiles
from shared.costs.formats.page import PageCell
from shared.costs.ledger.line import encode
from shared.costs.model import Charge, Usage
from shared.costs.money import from_usd
from shared.costs.reports.overview import OverviewQuestion, overview_facts, overview_report
from shared.costs.reports.reader import Reader
from shared.costs.storage import LEDGER_NAME, CostStorage
from shared.costs.workspace import Workspace
from tests.costs.serve.serve_support import ACCESS, BASE, DAY, ORIGIN, PORT, Links
from tests.support.history import PRICED, entry

TOKEN = {"Authorization": f"Bearer {ACCESS.token}"}
MOST_PAGES = 80


def test_the_first_page_is_the_present_month(browser: TestClient) -> None:
    answer = browser.get(f"{BASE}/")
    assert answer.url.path == f"{BASE}/months/2026-11"
    assert "<h1>November 2026</h1>" in answer.text
    assert "$43.61" in answer.text


def test_every_link_of_every_kind_of_page_leads_to_a_page(browser: TestClient) -> None:
    """Follow links from the first page on, one of each kind; a page on paper has a test of its own."""
    waiting, seen, kinds = deque([f"{BASE}/"]), set[str](), set[str]()
    while waiting and len(seen) < MOST_PAGES:
        way = waiting.popleft()
        kind = re.sub(r"=[^&]*|(?<=[a-z]/)[^/?]+", "", way.removeprefix(BASE))
        if way in seen or kind in kinds or ".pdf" in way:
            continue
        seen.add(way)
        kinds.add(kind)
        answer = browser.get(way)
        assert answer.status_code == 200, way
        if answer.headers["content-type"].startswith("text/html") and "attachment" not in str(answer.headers):
            links = Links(answer.text)
            assert {urlsplit(each).netloc for each in (*links.ways, *links.loaded)} == {""}, way
            waiting += [urljoin(way, each) for each in links.ways if not each.startswith("#")]
    assert {"months", "days", "years", "jobs", "calls", "budgets", "prices", "health"} <= {
        way.split("/")[2].split("?")[0].split(".")[0] for way in seen if way.count("/") > 1
    }


@pytest.mark.parametrize(
    "path",
    [
        "/months/2026-11",
        "/years/2026",
        "/days/2026-11-14",
        "/jobs",
        "/calls",
        "/budgets",
        "/prices",
        "/health",
    ],
)
def test_any_view_is_had_as_a_file(path: str, anybody: TestClient) -> None:
    for kind, begins in (("json", "{"), ("csv", ""), ("html", "<!DOCTYPE html>")):
        answer = anybody.get(f"{path}.{kind}", headers=TOKEN)
        assert answer.status_code == 200
        assert answer.text.startswith(begins)
        assert f'filename="costs{path.replace("/", "-")}.{kind}"' in answer.headers["content-disposition"]
    assert json.loads(anybody.get(f"{path}.json", headers=TOKEN).text)


def test_a_page_is_had_on_paper(anybody: TestClient) -> None:
    answer = anybody.get("/days/2026-11-14.pdf?user=rpatel", headers=TOKEN)
    assert answer.content.startswith(b"%PDF-")
    assert answer.headers["content-type"] == "application/pdf"


def test_metrics_are_read_by_what_reads_metrics(anybody: TestClient) -> None:
    from prometheus_client.openmetrics.parser import text_string_to_metric_families

    answer = anybody.get("/metrics", headers=TOKEN)
    assert answer.headers["content-type"].startswith("application/openmetrics-text; version=1.0.0")
    names = {family.name for family in text_string_to_metric_families(answer.text)}  # type: ignore[no-untyped-call]  # as it is shipped
    assert "cost_ledger_spend_usd" in names
    assert anybody.get("/metrics").status_code == 401


def test_a_filter_is_a_chip_and_holds_for_the_file_too(anybody: TestClient) -> None:
    page = anybody.get("/months/2026-11?user=rpatel&by=stage", headers=TOKEN).text
    assert "<span>user</span> rpatel" in page
    assert 'href="/months/2026-11?by=stage"' in page  # without the filter
    assert 'href="/days/2026-11-14?user=rpatel&amp;by=stage"' in page
    assert 'href="/months/2026-11.csv?user=rpatel&amp;by=stage"' in page
    whole = anybody.get("/months/2026-11.json", headers=TOKEN).json()
    mine = anybody.get("/months/2026-11.json?user=rpatel", headers=TOKEN).json()
    others = [
        anybody.get(f"/months/2026-11.json?user={user}", headers=TOKEN).json()["total_cost"]
        for user in ("ana", "kim")
    ]
    assert mine["filters"] == {"user": "rpatel"}
    assert round(mine["total_cost"] + sum(others), 9) == whole["total_cost"]


FILTERS = ("user", "model", "service", "stage", "category", "workflow", "project", "tag", "tier", "job")


@pytest.mark.parametrize("by", FILTERS)
def test_every_dimension_divides_and_filters(by: str, anybody: TestClient) -> None:
    """What a name of a breakdown costs is what the month costs with that name as a filter."""
    found = anybody.get(f"/months/2026-11.json?by={by}", headers=TOKEN).json()[f"by_{by}"]
    names = [name for name in found if name != "unassigned"][:2]
    assert names
    for name in names:
        only = anybody.get("/months/2026-11.json", params={by: name}, headers=TOKEN).json()
        assert only["totals"] == found[name]
        calls = anybody.get("/calls.json", params={by: name, "month": "2026-11"}, headers=TOKEN).json()
        assert calls["totals"] == found[name]


def test_a_period_is_the_sum_of_its_parts(anybody: TestClient) -> None:
    year, month = (
        anybody.get(f"{path}.json", headers=TOKEN).json() for path in ("/years/2026", "/months/2026-11")
    )
    assert year["total_cost"] == pytest.approx(sum(part["cost_usd"] for part in year["periods"]))
    assert {part["period"]: part["cost_usd"] for part in year["periods"]}["2026-11"] == month["total_cost"]
    day = anybody.get("/days/2026-11-14.json", headers=TOKEN).json()
    assert {part["period"]: part["cost_usd"] for part in month["periods"]}["2026-11-14"] == day["total_cost"]
    assert day["total_cost"] == pytest.approx(sum(part["cost_usd"] for part in day["periods"]))


def test_jobs_are_found_sorted_and_turned_over(anybody: TestClient, sample: DemoFiles) -> None:
    def listed(query: str) -> list[str]:
        answer = anybody.get(f"/jobs.json?{query}", headers=TOKEN).json()
        return [job["job_id"] for job in answer["jobs"]]

    every = {name for _, name in sample.jobs}
    pages = [listed(f"month=all&sort=name&page={page}") for page in range(1, len(every) // 100 + 2)]
    assert [name for page in pages for name in page] == sorted(every)
    assert all(len(page) == 100 for page in pages[:-1])
    assert listed(f"month=all&page={len(pages) + 1}") == []
    some = sample.jobs[17][1]
    assert listed(f"q={some.upper()}") == [some]
    costs = [job["cost_usd"] for job in anybody.get("/jobs.json?sort=cost", headers=TOKEN).json()["jobs"]]
    assert costs == sorted(costs, reverse=True)


def test_a_job_is_the_sum_of_its_calls_and_a_call_shows_its_parts(anybody: TestClient) -> None:
    [job] = anybody.get("/jobs.json?sort=cost&page=1", headers=TOKEN).json()["jobs"][:1]
    receipt = anybody.get(f"/jobs/{job['job_id']}.json", headers=TOKEN).json()
    calls = anybody.get(f"/calls.json?job={job['job_id']}", headers=TOKEN).json()["calls"]
    assert receipt["total_cost"] == pytest.approx(sum(call["cost_usd"] or 0 for call in calls))
    call = anybody.get(f"/calls/{calls[0]['id']}.json", headers=TOKEN).json()
    assert call["cost_usd"] == pytest.approx(sum(call["cost_parts"].values()))
    page = anybody.get(f"/calls/{calls[0]['id']}", headers=TOKEN).text
    assert f'href="/jobs/{job["job_id"]}"' in page
    assert "Priced by" in page


WRONG = {
    "/months/2026-13": 400,
    "/months/2026-1": 400,
    "/months/0000-01": 400,
    "/months/9999-12": 400,
    "/days/2026-02-30": 400,
    "/days/2026-11-2": 400,
    "/years/99999": 400,
    "/years/9999": 400,
    "/months/2026-11?by=colour": 400,
    "/months/2026-11?modle=x": 400,
    "/months/2026-11?user=a&user=b": 400,
    "/months/2026-11?user=%00": 400,
    "/months/2026-11?user=%1b[31m": 400,
    f"/months/2026-11?user={'x' * 501}": 400,
    "/jobs?page=0": 400,
    "/jobs?page=-1": 400,
    "/jobs?page=1.5": 400,
    "/jobs?page=٣": 400,
    "/jobs?page=99999999": 400,
    "/jobs?sort=random": 400,
    "/jobs?month=yesterday": 400,
    "/jobs/no-such-job": 404,
    "/jobs/%2e%2e": 404,
    "/jobs/..%2f..%2fetc": 404,
    "/calls/no-such-call": 404,
    "/calls/%00": 404,
    "/prices/acme/unheard-of-9": 404,
    "/budgets?month=2026-13": 400,
    "/nowhere": 404,
    "/assets/../serve.json": 404,
    "/months/2026-11.exe": 400,
    "//months/2026-11": 404,
}


@pytest.mark.parametrize(("path", "status"), WRONG.items(), ids=[path[:40] for path in WRONG])
def test_wrong_addresses_get_a_clear_answer(path: str, status: int, browser: TestClient) -> None:
    answer = browser.get(f"{ORIGIN}{BASE}{path}")
    assert answer.status_code == status
    assert "<h1>" in answer.text
    assert "Traceback" not in answer.text


def test_an_address_that_is_none_is_named(browser: TestClient) -> None:
    """The page said "Not Found" twice."""
    said = browser.get(f"{ORIGIN}{BASE}/nowhere/<b>").text
    assert "nothing is at /nowhere/&lt;b&gt;" in said
    assert said.count("Not Found") <= 2  # as heading, and as title


def test_a_day_without_a_price_is_not_compared(tmp_path: Path) -> None:
    """It cost "-100%" of the day before."""
    with CostTracker(tmp_path / "job", cost_storage_path=tmp_path / "storage") as tracker:
        tracker.log_usage("openai", "gpt-4o", 1000, timestamp=datetime(2026, 11, 1, 9, tzinfo=UTC))
        tracker.log_usage("acme", "new-model", 1000, timestamp=datetime(2026, 11, 2, 9, tzinfo=UTC))
        tracker.log_usage("openai", "gpt-4o", 2000, timestamp=datetime(2026, 11, 3, 9, tzinfo=UTC))
        tracker.log_usage("openai", "gpt-4o", 1000, timestamp=datetime(2026, 11, 4, 9, tzinfo=UTC))
    with Workspace(
        tmp_path / "storage", environ={}, clock=lambda: datetime(2026, 11, 9, tzinfo=UTC)
    ) as there:
        notes = [
            overview_report(overview_facts(Reader(there), OverviewQuestion(f"2026-11-0{day}")))
            .figures[0]
            .note
            for day in (2, 3, 4)
        ]
    assert notes[:2] == ["", ""]
    assert notes[2].startswith("-50% against")


def test_the_ledger_of_a_job_is_one_that_is_known(anybody: TestClient, sample: DemoFiles) -> None:
    """An address cannot make the server read any other file."""
    ledger, name = sample.jobs[0]
    here = {"ledger": str(ledger.parent)}
    assert anybody.get(f"/jobs/{name}", params=here, headers=TOKEN).status_code == 200
    for folder in (str(ledger.parent.parent), "/etc", str(sample.jobs[1][0].parent), "."):
        assert anybody.get(f"/jobs/{name}", params={"ledger": folder}, headers=TOKEN).status_code == 404


def test_a_page_that_did_not_change_is_not_sent_again(anybody: TestClient) -> None:
    first = anybody.get("/months/2026-10", headers=TOKEN)
    again = anybody.get("/months/2026-10", headers={**TOKEN, "If-None-Match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")


def test_assets_have_names_of_their_content_and_sizes_that_suit_a_phone(anybody: TestClient) -> None:
    for name, most in (
        ("style.css", 12_000),
        ("print.css", 4_000),
        ("script.js", 8_000),
        ("icon.svg", 1_000),
    ):
        asset = assets()[name]
        assert len(asset.content) <= most
        answer = anybody.get(asset.path)
        assert answer.content == asset.content
        assert answer.headers["cache-control"].endswith("immutable")
    for month in ("2026-10", "2026-11"):
        assert len(anybody.get(f"/months/{month}", headers=TOKEN).content) <= 60_000


def test_the_known_values_of_every_filter_are_offered(anybody: TestClient) -> None:
    known = anybody.get("/known", headers=TOKEN).json()
    assert set(known) == set(FILTER_LABELS.values())
    assert "rpatel" in known["user"]
    assert all(values == sorted(set(values)) for values in known.values())
    page = anybody.get("/months/2026-11", headers=TOKEN).text
    assert all(f'data-known="{name}"' in page for name in known)
    assert 'data-known="user"' in anybody.get("/reports/explain", headers=TOKEN).text


def test_pages_are_in_the_currency_of_the_profile_and_files_for_programs_in_dollars(
    sample: DemoFiles, tmp_path: Path
) -> None:
    profile = tmp_path / "profile.yaml"
    profile.write_text("currency: {show: EUR, rates: {2026-10-01: 0.5, 2026-11-01: 0.25}}\n")
    hosts = Hosts.of("127.0.0.1", PORT, ())
    with (
        Workspace(sample.storage.root, profile, environ={}, clock=lambda: DAY) as workspace,
        TestClient(Site(workspace, lambda: ACCESS, hosts).application(), base_url=ORIGIN) as client,
    ):
        for month, rate in (("2026-10", "0.5"), ("2026-11", "0.25")):
            page = client.get(f"/months/{month}", headers=TOKEN).text
            spent = client.get(f"/months/{month}.json", headers=TOKEN).json()["total_cost"]
            assert f"€{spent * float(rate):,.2f}" in page
            assert f"at {rate} for $1" in page
        for path in ("/budgets", "/jobs", "/months/2026-11/savings", "/reports/show-monthly"):
            assert "€" in client.get(path, headers=TOKEN).text, path


@pytest.fixture
def credited(tmp_path: Path) -> Iterator[TestClient]:
    """A site over a call of a dollar, one that was taken back, and a credit of $4.25 for it."""
    call, wrong = (entry("1", id="paid", job_id="paid"), entry("3", id="wrong", job_id="credited"))
    back = CorrectedCall.of(wrong, ()).undo("back", "logged twice", wrong.timestamp + timedelta(hours=2))
    note = {"stated": from_usd("-4.25")}
    credit = replace(
        back, id="credit", kind="adjustment", charge=Charge(note, PRICED), usage=Usage(), period_at=DAY
    )
    storage = CostStorage(tmp_path / "storage")
    storage.prepare()
    for job, lines in (("paid", [call]), ("credited", [wrong, back, credit])):
        ledger = tmp_path / job / LEDGER_NAME
        ledger.parent.mkdir()
        ledger.write_bytes(b"".join(map(encode, lines)))
        ledger.chmod(0o600)
    with Workspace(storage.root, environ={}, clock=lambda: DAY) as workspace:
        workspace.index.add(tmp_path / job / LEDGER_NAME for job in ("paid", "credited"))
        site = Site(workspace, lambda: ACCESS, Hosts.of("127.0.0.1", PORT, ())).application()
        with TestClient(site, base_url=ORIGIN, headers=TOKEN) as client:
            yield client


def test_a_day_of_credits_has_its_hours_its_bar_and_no_shares(credited: TestClient) -> None:
    page = credited.get("/days/2026-11-22").text
    assert "-$4.25" in page
    assert "least -$4.25 at 16:00" in page
    assert '<td class="name short">16:00</td>' in page  # though no call was made then
    assert "% of the cost" not in page
    assert "<span>100.0%</span>" not in page
    assert '<rect class="part-0" ' in page
    month = credited.get("/months/2026-11").text
    assert re.search(r"most \$1.00 on 1 Nov, least -\$[0-9.]+ on 22 Nov", month)
    assert "against" not in credited.get("/days/2026-11-23").text  # a change from a credit is no percentage


def test_the_receipt_of_a_job_that_was_credited_shows_where(credited: TestClient) -> None:
    page = credited.get("/jobs/credited").text
    assert "-$4.25" in page
    assert "By stage" in page
    assert "a month, of which" not in page
    assert "0 calls, all time, job credited, -$4.25" in credited.get("/calls?job=credited").text
    assert "of user 1&#39;s $50.00 a month" in credited.get("/jobs/paid").text


def test_a_month_of_credits_alone_is_no_empty_month(credited: TestClient) -> None:
    """In each way to show it: a page, a month's report, its trend, what a budget says."""
    month = credited.get("/months/2026-11?job=credited").text
    assert '<dd class="plain">-$4.25</dd>' in month
    for path in ("/reports/report?job=credited", "/reports/trend?job=credited"):
        page = credited.get(path).text
        assert '<dd class="plain">-$4.25' in page, path
        assert "No calls" not in page, path


def test_why_begins_with_the_difference_and_leads_to_what_it_names(anybody: TestClient) -> None:
    page = anybody.get("/months/2026-11/why", headers=TOKEN).text
    assert re.search(r'<dl class="hero"><dt>Difference</dt><dd class="plain">\+\$[0-9]+\.[0-9]{2}<', page)
    assert page.count("no known price") == 1
    assert re.findall(r"<h2[^>]*>([^<]+)</h2>", page) == [
        "Why it differs",
        "Largest effects",
        "What stands out",
    ]
    assert re.search('href="/jobs/job-202611', page)
    assert re.search('href="/days/2026-11-', page)
    assert 'href="/months/2026-11?stage=13_ai_summarization"' in page


@pytest.mark.parametrize("path", ["/jobs?page=", "/calls?job=JOB&page=", "/prices?page="])
def test_a_page_past_the_last_one_says_which_that_is(
    path: str, anybody: TestClient, sample: DemoFiles
) -> None:
    page = anybody.get(f"{path.replace('JOB', sample.jobs[0][1])}4321", headers=TOKEN).text
    assert re.search(r"There is no page 4,321: the last one is \d+\.", page)


def test_what_a_page_is_made_of_is_given_back_at_once(anybody: TestClient) -> None:
    """Memory that waits for the search for circles adds up to more than all else."""

    def left() -> int:
        return sum(isinstance(each, PageCell) for each in gc.get_objects())

    anybody.get("/months/2026-10", headers=TOKEN)
    gc.collect()
    gc.disable()
    try:
        before = left()
        assert anybody.get("/months/2026-10?by=stage", headers=TOKEN).status_code == 200
        assert left() == before
    finally:
        gc.enable()


def test_limits_lead_to_the_spend_that_they_bound(sample: DemoFiles, tmp_path: Path) -> None:
    profile = tmp_path / "profile.yaml"
    limits = "tag_limits_usd: {'customer:acme': 9}, stage_limits_usd: {13_ai_summarization: 1}"
    several = "model_limits_usd: {openai/gpt-4o: 9}, service_limits_usd: {openai: 9}"
    profile.write_text(
        f"budget: {{monthly_limit_usd: 50, daily_limit_usd: 5, weekly_limit_usd: 9, {limits}, {several}}}\n"
        "organization: {monthly_limit_usd: 70, yearly_limit_usd: 900}\n"
    )
    with (
        Workspace(sample.storage.root, profile, environ={}, clock=lambda: DAY) as workspace,
        TestClient(
            Site(workspace, lambda: ACCESS, Hosts.of("127.0.0.1", PORT, ())).application(),
            base_url=ORIGIN,
            headers=TOKEN,
        ) as client,
    ):
        page = client.get("/budgets?user=rpatel").text
        ways = dict(re.findall(r'<p><span><a href="([^"]+)">([^<]+)</a></span><strong', page))
        assert all(client.get(way.replace("&amp;", "&")).status_code == 200 for way in ways)
        month = client.get("/months/2026-11").text
    for label in ("week", "model openai/gpt-4o", "service openai"):  # no page has just these
        assert f"<p><span>{label}</span><strong" in page
    job = next(way for way in ways if way.startswith("/calls?job="))
    assert job.endswith("&amp;period=all&amp;stage=13_ai_summarization")
    assert {way: label for way, label in ways.items() if way != job} == {
        "/months/2026-11?user=rpatel": "month",
        "/days/2026-11-22?user=rpatel": "day",
        "/months/2026-11?user=rpatel&amp;tag=customer:acme": "tag customer:acme",
        "/months/2026-11": "organization month",
        "/years/2026": "organization year",
    }
    assert '<a href="/months/2026-11?user=kim">kim, month' in month


def test_a_month_says_how_many_limits_it_leaves_out(sample: DemoFiles, tmp_path: Path) -> None:
    profile = tmp_path / "profile.yaml"
    tags = ", ".join(f"'customer:{number}': 9" for number in range(9))
    profile.write_text(f"organization: {{monthly_limit_usd: 50, tag_limits_usd: {{{tags}}}}}\n")
    with (
        Workspace(sample.storage.root, profile, environ={}, clock=lambda: DAY) as workspace,
        TestClient(
            Site(workspace, lambda: ACCESS, Hosts.of("127.0.0.1", PORT, ())).application(), base_url=ORIGIN
        ) as client,
    ):
        page = client.get("/months/2026-11", headers=TOKEN).text
    shown = page.count('class="gauge"')
    left_out = re.search(r"(\d+) other limits are used less: the page of budgets has them", page)
    assert shown == 6
    assert left_out
    assert int(left_out[1]) == 13 - shown  # with those of three users


def test_prices_are_right_aligned(anybody: TestClient) -> None:
    listed = anybody.get("/prices?q=gpt-4o", headers=TOKEN).text
    assert '<th scope="col" class="number">Input</th>' in listed
    assert '<td class="number" data-title="Input">2.5</td>' in listed
    one = anybody.get("/prices/openai/gpt-4o", headers=TOKEN).text
    assert '<td class="number" data-title="USD">2.5</td>' in one


def test_a_trend_is_drawn(anybody: TestClient) -> None:
    page = anybody.get("/reports/trend?period=weekly&by=user", headers=TOKEN).text
    assert "Spend by week and user" in page
    assert page.count('<rect class="column"') >= 5
    assert "most $" in page
    alone = anybody.get("/reports/trend?period=daily", headers=TOKEN).text
    assert "Spend by day</h2>" in alone
    assert 'href="/days/2026-11-20"' in alone


@pytest.mark.parametrize("path", ["/reports/trend?", "/reports/report?period=daily&"])
def test_days_since_year_one_are_refused_at_once(path: str, anybody: TestClient) -> None:
    """They took minutes, in which no other report was made."""
    answer = anybody.get(f"{path}since=0001-01-01", headers=TOKEN)
    assert answer.status_code == 400
    assert "days are too many to show one by one; begin later, or give --period monthly" in answer.text


def test_a_form_says_what_its_fields_take_and_offers_no_file_before_it_is_sent(anybody: TestClient) -> None:
    page = anybody.get("/reports/explain", headers=TOKEN).text
    assert page.count("<small>A month (2026-10), a week (2026-W45), a day (2026-11-05)") == 2
    assert "This page as" not in page
    assert 'class="files"' not in page
    answered = anybody.get("/reports/explain?before=2026-10&after=2026-11", headers=TOKEN).text
    assert 'class="files"' in answered


def test_a_storage_that_goes_away_is_said_and_not_begun_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home, away = tmp_path / "home", tmp_path / "away"
    tracker = CostTracker(tmp_path / "job", user_id="1", cost_storage_path=home)
    tracker.log_usage("openai", "gpt-4o", 1_000_000, 0)
    paths = ("/months/2026-11", "/jobs.json", "/metrics", "/known", "/health", "/budgets/edit")
    with (
        Workspace(home, environ={}) as workspace,
        TestClient(
            Site(workspace, lambda: ACCESS, Hosts.of("127.0.0.1", PORT, ()), can_edit=True).application(),
            base_url=ORIGIN,
        ) as client,
    ):
        before = [client.get(path, headers=TOKEN).status_code for path in paths]
        home.rename(away)
        for path in paths:
            answer = client.get(path, headers=TOKEN)
            assert answer.status_code == 503, path
            assert f"the cost storage {home} was moved, deleted or replaced" in answer.text
        assert not home.exists()
        away.rename(home)
        with monkeypatch.context() as another:
            another.setattr("os.geteuid", lambda: home.stat().st_uid + 1)
            for path in paths:
                answer = client.get(path, headers=TOKEN)
                assert answer.status_code == 503, path
                assert f"the cost storage {home} cannot be used ({home}: belongs to account" in answer.text
        assert [client.get(path, headers=TOKEN).status_code for path in paths] == before


def test_a_remedy_is_copied_as_it_is_typed_where_the_server_was_started(sample: DemoFiles) -> None:
    here = Invocation(lambda _: {"--profile"}, "tools/cost-dashboard.py", (("--profile", "my profile.yaml"),))
    with (
        Workspace(sample.storage.root, sample.profile, environ={}, clock=lambda: DAY) as workspace,
        TestClient(
            Site(workspace, lambda: ACCESS, Hosts.of("127.0.0.1", PORT, ()), typed=here.text).application(),
            base_url=ORIGIN,
        ) as client,
    ):
        page, file = (client.get(f"/health{kind}", headers=TOKEN).text for kind in ("", ".html"))
    remedies = re.findall(r'data-remedy="([^"]*)"', page)
    assert remedies
    assert all("--profile &#39;my profile.yaml&#39;" in each for each in remedies), remedies
    assert "my profile.yaml" not in file


def test_names_in_data_cannot_become_markup(tmp_path: object, anybody: TestClient) -> None:
    page = anybody.get("/months/2026-11", params={"user": "<script>alert(1)</script>"}, headers=TOKEN).text
    assert "<script>alert" not in page
    assert "&lt;script&gt;alert" in page


def test_fields_that_were_left_empty_are_left_out(anybody: TestClient) -> None:
    answer = anybody.get("/months/2026-11?service=&user=rpatel&model=&by=stage", headers=TOKEN)
    assert (answer.status_code, answer.headers["location"]) == (303, "/months/2026-11?user=rpatel&by=stage")


def test_a_report_is_asked_by_its_form(anybody: TestClient) -> None:
    form = anybody.get("/reports/explain", headers=TOKEN).text
    assert 'name="before"' in form
    assert " required" in form
    asked = {"before": "2026-10", "after": "2026-11", "user": "rpatel"}
    found = anybody.get("/reports/explain.json", params=asked, headers=TOKEN).json()
    assert found["before_usd"] < found["after_usd"]
    again = anybody.get("/reports/explain", params=asked, headers=TOKEN)
    assert 'value="2026-10"' in again.text
    for wrong in (
        {"days": "0"},
        {"days": "x"},
        {"colour": "red"},
        {"by": "colour"},
        {"days": "1", "since": "2026-11-01"},
    ):
        assert anybody.get("/reports/report", params=wrong, headers=TOKEN).status_code == 400
    assert anybody.get("/reports/no-such", headers=TOKEN).status_code == 404
    assert (
        anybody.get("/reports/compare-models", headers=TOKEN).status_code == 200
    )  # its form, and what it needs


def test_why_a_month_cost_more_adds_up(anybody: TestClient) -> None:
    found = anybody.get("/months/2026-11/why.json", headers=TOKEN).json()
    month = anybody.get("/months/2026-11.json", headers=TOKEN).json()
    assert found["difference"]["after_usd"] == month["total_cost"]
    assert anybody.get("/months/2027-01/why", headers=TOKEN).status_code == 400
    assert anybody.get("/months/2026/savings", headers=TOKEN).status_code == 400
    assert anybody.get("/months/2026-11/savings?show=everything", headers=TOKEN).status_code == 400


def test_a_csv_is_a_table(anybody: TestClient) -> None:
    rows = list(csv.reader(io.StringIO(anybody.get("/jobs.csv?month=2026-11", headers=TOKEN).text)))
    assert len({len(row) for row in rows if row}) >= 1
    assert any("job-202611" in cell for row in rows for cell in row)
