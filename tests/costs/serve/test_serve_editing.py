"""Limits edited on a page: as strict as set-budget, nothing lost, nobody overwritten."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from shared.costs.apps.serve.guard import Hosts
from shared.costs.apps.serve.site import MAX_FORM, Site
from shared.costs.money import Nanos
from shared.costs.profile.edit import Edit, edit_profile
from shared.costs.profile.reading import parse_profile
from shared.costs.profile.types import Guard, RollingLimit
from shared.costs.workspace import Workspace
from tests.costs.serve.serve_support import ACCESS, BASE, DAY, ORIGIN, PORT

PROFILE = """\
# agreed in March
budget:
  monthly_limit_usd: 50  # everyone
  stage_limits_usd: {13_ai_summarization: 0.50}
users:
  rpatel:
    timezone: Asia/Kolkata
    budget:
      monthly_limit_usd: 36.00  # after the review
x-note: ours
"""
OWN = {"Origin": ORIGIN, "Sec-Fetch-Site": "same-origin"}
EDIT = f"{BASE}/budgets/edit"


@pytest.fixture
def profile(tmp_path: Path) -> Path:
    path = tmp_path / "profile.yaml"
    path.write_text(PROFILE)
    return path


@pytest.fixture
def editor(profile: Path, cost_home: Path) -> Iterator[TestClient]:
    with (
        Workspace(cost_home, profile, environ={}, clock=lambda: DAY) as workspace,
        TestClient(
            Site(workspace, lambda: ACCESS, Hosts.of("127.0.0.1", PORT, ()), can_edit=True).application(),
            base_url=ORIGIN,
        ) as client,
    ):
        client.get("/", params={"token": ACCESS.token})
        yield client


def fields(page: str) -> dict[str, list[str]]:
    """The fields of a page's form, as a browser would send them."""
    found: dict[str, list[str]] = {}
    [form] = re.findall(r'<form method="post".*?</form>', page, re.DOTALL)
    for tag in re.findall(r"<input[^>]*>", form):
        name, value = (re.search(rf'{key}="([^"]*)"', tag) for key in (" name", "value"))
        if name and ('type="checkbox"' not in tag or " checked" in tag):
            found.setdefault(html.unescape(name[1]), []).append(html.unescape(value[1]) if value else "")
    return found


def opened(editor: TestClient, who: str = "user:rpatel") -> dict[str, list[str]]:
    return fields(editor.get(EDIT, params={"who": who}).text)


def changed(editor: TestClient, form: dict[str, list[str]], **values: str) -> tuple[int, str]:
    """Send a form, and where a difference comes back confirm it; return the last answer."""
    form = {**form, **{name: [value] for name, value in values.items()}}
    answer = editor.post(EDIT, data=form, headers=OWN)
    if answer.status_code == 200:
        answer = editor.post(
            EDIT, data={**fields(answer.text), "confirmed": "yes"}, headers=OWN, follow_redirects=False
        )
    return answer.status_code, html.unescape(answer.text)


def test_what_changes_is_shown_before_and_the_rest_stays(editor: TestClient, profile: Path) -> None:
    form = opened(editor)
    assert form["monthly_limit"] == ["36.00"]
    shown = editor.post(EDIT, data={**form, "monthly_limit": "40"}, headers=OWN)
    assert profile.read_text() == PROFILE
    lines = [
        html.unescape(line) for line in re.findall(r'<span class="(?:added|taken)">(.*?)</span>', shown.text)
    ]
    assert lines == [
        "-      monthly_limit_usd: 36.00  # after the review",
        "+      monthly_limit_usd: 40.00  # after the review",
    ]
    answer = editor.post(
        EDIT, data={**fields(shown.text), "confirmed": "yes"}, headers=OWN, follow_redirects=False
    )
    assert (answer.status_code, answer.headers["location"]) == (303, f"{BASE}/budgets")
    assert profile.read_text() == PROFILE.replace("36.00", "40.00")


CHANGES = {
    "organization": ({"monthly_limit": "500"}, "organization:\n  monthly_limit_usd: 500.00"),
    "defaults": ({"alerts": "90, 50%"}, "alert_threshold_percent: [50, 90]"),
    "user:new one": ({"daily_limit": "$5"}, '"new one":\n    budget:\n      daily_limit_usd: 5.00'),
    "user:rpatel": ({"timezone": "Europe/Berlin"}, "timezone: Europe/Berlin"),
}


@pytest.mark.parametrize("who", CHANGES)
def test_everybody_has_a_form(who: str, editor: TestClient, profile: Path) -> None:
    values, written = CHANGES[who]
    assert changed(editor, opened(editor, who), **values)[0] == 303
    assert written in profile.read_text()
    assert profile.read_text().startswith("# agreed in March\n")


def test_limits_on_names_are_added_changed_and_taken_away(editor: TestClient, profile: Path) -> None:
    form = opened(editor, "defaults")
    assert form["stage_limits.name"] == ["13_ai_summarization", ""]
    form |= {"stage_limits.name": ["13_ai_summarization", "06_asr"], "stage_limits.amount": ["none", "0.25"]}
    form |= {"block_at_limit": ["yes"]}
    assert changed(editor, form)[0] == 303
    text = profile.read_text()
    assert "13_ai_summarization: null" in text
    assert '"06_asr": 0.25' in text
    assert "block_at_limit: true" in text
    assert opened(editor, "defaults")["stage_limits.name"] == ["06_asr", ""]


REFUSED = {
    "a word": ({"monthly_limit": "much"}, "'much' is not an amount in USD; write 50 or 0.25, or none"),
    "negative": ({"daily_limit": "-1"}, "-1 is negative"),
    "not a number": ({"daily_limit": "nan"}, "'nan' is not an amount"),
    "infinite": ({"weekly_limit": "inf"}, "'inf' is not an amount"),
    "over 100": ({"alerts": "120"}, "'120' is not a percentage"),
    "no alert": ({"alerts": ""}, "at least one percentage"),
    "no zone": ({"timezone": "Mars/Olympus"}, "no time zone is called 'Mars/Olympus'"),
    "an amount for nobody": ({"model_limits.amount": "5"}, "name the model"),
    "nothing": ({}, "nothing was changed"),
    "a name that no line can hold": (
        {"tag_limits.name": "a\nb", "tag_limits.amount": "5"},
        "control characters",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_set_budget_refuses_is_refused_here(case: str, editor: TestClient, profile: Path) -> None:
    values, said = REFUSED[case]
    status, page = changed(editor, opened(editor), **values)
    assert status == 422
    assert said in page
    assert profile.read_text() == PROFILE


@pytest.mark.parametrize("confirmed", [False, True], ids=["before the difference", "after it"])
def test_a_profile_that_somebody_else_changed_is_not_overwritten(
    confirmed: bool, editor: TestClient, profile: Path
) -> None:
    form = {**opened(editor), "monthly_limit": ["40"]}
    if confirmed:
        form = {**fields(editor.post(EDIT, data=form, headers=OWN).text), "confirmed": ["yes"]}
    edit_profile(profile, Edit({"weekly_limit": Nanos(7_000_000_000)}, "rpatel"))
    theirs = profile.read_text()
    answer = editor.post(EDIT, data=form, headers=OWN)
    assert answer.status_code == 409
    assert "somebody else changed it meanwhile" in answer.text
    assert profile.read_text() == theirs
    assert fields(answer.text)["weekly_limit"] == ["7.00"]  # what holds now


def test_a_first_profile_is_the_commented_one(
    cost_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with Workspace(cost_home, environ={}, clock=lambda: DAY) as workspace:
        site = Site(workspace, lambda: ACCESS, Hosts.of("127.0.0.1", PORT, ()), can_edit=True)
        with TestClient(site.application(), base_url=ORIGIN) as client:
            client.get("/", params={"token": ACCESS.token})
            assert changed(client, opened(client, "defaults"), monthly_limit="70")[0] == 303
    text = (cost_home / "profile.yaml").read_text()
    assert "monthly_limit_usd: 70.00" in text
    assert text.count("#") > 10


def test_without_edit_there_is_no_such_page(browser: TestClient) -> None:
    assert browser.get(EDIT).status_code == 404
    assert browser.post(EDIT, headers=OWN).status_code == 404
    assert "/budgets/edit" not in browser.get(f"{BASE}/budgets").text


def test_a_form_is_of_its_session_and_of_its_kind(editor: TestClient, profile: Path) -> None:
    form = {**opened(editor), "monthly_limit": ["40"], "confirmed": ["yes"]}
    for secret in ("", "wrong", ACCESS.form_secret("another session")):
        assert editor.post(EDIT, data={**form, "secret": secret}, headers=OWN).status_code == 403
    assert editor.post(EDIT, data=form).status_code == 403  # no Origin
    assert editor.post(EDIT, json=form, headers=OWN).status_code == 415
    plain = {**OWN, "Content-Type": "application/x-www-form-urlencoded"}
    assert editor.post(EDIT, content=b"x=" + b"y" * MAX_FORM, headers=plain).status_code == 413
    assert editor.post(EDIT, content=b"who=%ff", headers=plain).status_code == 400
    assert editor.post(EDIT, content=b"&a" * 2000, headers=plain).status_code == 400
    assert editor.get(EDIT, params={"who": "nobody"}).status_code == 400
    token = {"Authorization": f"Bearer {ACCESS.token}"}
    assert editor.get("/budgets/edit", headers={**token, "Cookie": ""}).status_code == 403
    assert profile.read_text() == PROFILE


@pytest.mark.parametrize("name", ["who", "digest", "monthly_limit", "alerts"])
def test_a_form_without_a_field_or_with_two_is_none_of_ours(
    name: str, editor: TestClient, profile: Path
) -> None:
    form = opened(editor)
    for values in ([], ["a", "b"]):
        status, page = changed(editor, {**form, name: values})
        assert status in (400, 422)
        assert "open it again" in page
    assert profile.read_text() == PROFILE


def test_a_profile_that_is_refused_is_to_be_mended_by_hand(editor: TestClient, profile: Path) -> None:
    profile.write_text("budget: {monthly_limit: 5}\n")
    answer = editor.get(EDIT, params={"who": "defaults"})
    assert answer.status_code == 503
    assert "monthly_limit_usd" in answer.text
    assert editor.get(f"{BASE}/health").status_code == 200  # which says so too


def test_counts_windows_and_the_guard_are_edited_as_limits_are(editor: TestClient, profile: Path) -> None:
    form = opened(editor)
    form |= {"daily_calls": ["500"], "monthly_tokens": ["2000000"], "guard.same_request": ["20"]}
    form |= {"rolling.name": ["5", "0.5"], "rolling.amount": ["3", "$1"], "guard.usd_per_minute": ["2"]}
    assert changed(editor, form)[0] == 303
    budget = parse_profile(profile.read_bytes(), profile).for_user("rpatel").budget
    assert (budget.daily_calls, budget.monthly_tokens) == (500, 2_000_000)
    assert budget.rolling == (
        RollingLimit(1_800, Nanos(1_000_000_000)),
        RollingLimit(18_000, Nanos(3_000_000_000)),
    )
    assert budget.guard == Guard(Nanos(2_000_000_000), 20)
    form = opened(editor)
    assert form["rolling.name"] == ["0.5", "5", ""]
    form |= {
        "rolling.amount": ["none", "4.00", ""],
        "guard.usd_per_minute": ["none"],
        "daily_calls": ["none"],
    }
    assert changed(editor, form)[0] == 303
    budget = parse_profile(profile.read_bytes(), profile).for_user("rpatel").budget
    assert budget.rolling == (RollingLimit(18_000, Nanos(4_000_000_000)),)
    assert (budget.guard, budget.daily_calls) == (Guard(None, 20), None)
    assert profile.read_text().startswith("# agreed in March\n")


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"daily_calls": "many"}, "'many' is not a whole number; write it as 500, or none"),
        ({"guard.same_request": "0.5"}, "'0.5' is not a whole number"),
        ({"guard.same_request": "0"}, "same_request"),
        ({"rolling.name": "0.0001", "rolling.amount": "3"}, "in whole seconds"),
        ({"rolling.name": "nan", "rolling.amount": "3"}, "in whole seconds"),
        ({"rolling.name": "", "rolling.amount": "3"}, "a window of '' hours"),
    ],
)
def test_what_is_no_count_or_window_is_refused(
    values: dict[str, str], said: str, editor: TestClient, profile: Path
) -> None:
    status, page = changed(editor, opened(editor), **values)
    assert (status, said in page) == (422, True), page
    assert profile.read_text() == PROFILE
