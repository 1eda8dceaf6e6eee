"""What a profile may say, and how each fault is refused."""

from __future__ import annotations

from pathlib import Path
from unittest.mock import Mock

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.costs.errors import ProfileError
from shared.costs.memory import Memory
from shared.costs.money import Nanos, from_usd, json_number
from shared.costs.profile import Budget, Profile, load_profile, load_remembered
from shared.costs.profile.reading import parse_profile

ROOT = Path(__file__).parents[3]

# The profile of the contract, word for word.
CONTRACT = """
timezone: Europe/Berlin            # default UTC
budget:                            # defaults for every user
  monthly_limit_usd: 50.00
  daily_limit_usd: null
  weekly_limit_usd: null
  job_limit_usd: null
  stage_limits_usd: {13_ai_summarization: 0.50}     # per job
  model_limits_usd: {openai/gpt-4: 10.00}           # per month
  alert_threshold_percent: 80      # or [50, 80, 95]
  block_at_limit: false
  notification_email: null
  notify: []                       # Apprise addresses, or names of environment variables: env:SLACK_COSTS
organization:
  monthly_limit_usd: null
users:
  rpatel: {timezone: Asia/Kolkata, budget: {monthly_limit_usd: 100, block_at_limit: true}}
  "2": {budget: {daily_limit_usd: 5}}
"""


def read(text: str) -> Profile:
    return parse_profile(text.encode(), Path("profile.yaml"))


def test_the_contract_s_profile_reads_as_it_says() -> None:
    profile = read(CONTRACT)
    assert profile.timezone.key == "Europe/Berlin"
    assert profile.organization.monthly_limit is None
    default = profile.for_user("anyone")
    assert (default.user_id, default.timezone.key) == ("anyone", "Europe/Berlin")
    assert default.budget == Budget(
        stage_limits={"13_ai_summarization": from_usd("0.50")}, model_limits={"openai/gpt-4": from_usd(10)}
    )


def test_a_user_s_budget_lies_over_the_defaults_key_by_key() -> None:
    rpatel = read(CONTRACT).for_user("rpatel")
    assert rpatel.timezone.key == "Asia/Kolkata"
    assert (rpatel.budget.monthly_limit, rpatel.budget.block_at_limit) == (from_usd(100), True)
    assert rpatel.budget.stage_limits == {"13_ai_summarization": from_usd("0.50")}
    second = read(CONTRACT).for_user(2)
    assert second.timezone.key == "Europe/Berlin"
    assert (second.budget.daily_limit, second.budget.monthly_limit) == (from_usd(5), from_usd(50))


def test_maps_of_limits_are_merged_and_null_takes_a_limit_away() -> None:
    profile = read(
        "budget: {stage_limits_usd: {asr: 1, mt: 2}, daily_limit_usd: 3}\n"
        "users: {u: {budget: {stage_limits_usd: {mt: null, sum: 4}, daily_limit_usd: null}}}\n"
    )
    assert profile.for_user("u").budget.stage_limits == {"asr": from_usd(1), "sum": from_usd(4)}
    assert profile.for_user("u").budget.daily_limit is None
    assert profile.for_user("v").budget.stage_limits == {"asr": from_usd(1), "mt": from_usd(2)}
    assert profile.for_user("v").budget.daily_limit == from_usd(3)


@pytest.mark.parametrize("text", ["", "# nothing\n", "budget:\n", "users: {u: }\n", "organization: null\n"])
def test_what_is_not_said_is_as_by_default(text: str) -> None:
    profile = read(text)
    assert profile.for_user("u").budget == Budget()
    assert profile.for_user("u").budget.monthly_limit == from_usd(50)
    assert profile.organization == Budget(monthly_limit=None)
    assert profile.timezone.key == "UTC"


def test_every_key_of_a_budget_is_read() -> None:
    budget = read(
        """
budget:
  monthly_limit_usd: 1
  daily_limit_usd: 2
  weekly_limit_usd: 3
  job_limit_usd: 4
  stage_limits_usd: {a: 5}
  model_limits_usd: {openai/gpt-4: 6}
  alert_threshold_percent: [95, 50, 80, 50]
  block_at_limit: true
  notification_email: ops@example.org
  notify: [env:SLACK_COSTS, "mailto://user:pass@example.org"]
  on_gate_error: allow
  on_unpriced: warn
  reserve_cap_usd: 0.25
"""
    ).budget
    assert budget == Budget(
        monthly_limit=from_usd(1),
        daily_limit=from_usd(2),
        weekly_limit=from_usd(3),
        job_limit=from_usd(4),
        stage_limits={"a": from_usd(5)},
        model_limits={"openai/gpt-4": from_usd(6)},
        thresholds=(50.0, 80.0, 95.0),
        block_at_limit=True,
        notification_email="ops@example.org",
        notify=("env:SLACK_COSTS", "mailto://user:pass@example.org"),
        on_gate_error="allow",
        on_unpriced="warn",
        reserve_cap=from_usd("0.25"),
    )


def test_the_user_s_own_keys_are_kept_as_written() -> None:
    profile = read("x-team: {lead: ana, ids: [1, 2], on: true, none: }\nx-empty:\n")
    assert profile.extras == {
        "x-team": {"lead": "ana", "ids": ["1", "2"], "on": "true", "none": None},
        "x-empty": None,
    }


def test_aliases_map_own_names_to_catalogue_names() -> None:
    assert read("aliases: {my-deploy: azure/gpt-4o}\n").aliases == {"my-deploy": "azure/gpt-4o"}


REFUSED = [
    ("monthly: 5", 1, "monthly", "unknown key 'monthly'"),
    ("budget: {monthly: 5}", 1, "budget.monthly", "did you mean 'monthly_calls' or 'monthly_limit_usd'"),
    ("Budget: {}", 1, "Budget", "did you mean 'budget'?"),
    ("budget: {Monthly-Limit-USD: 5}", 1, "budget.Monthly-Limit-USD", "did you mean 'monthly_limit_usd'?"),
    ("budget:\n  montly_limit_usd: 5", 2, "budget.montly_limit_usd", "did you mean 'monthly_limit_usd'?"),
    ("users:\n  u: {limit: 5}", 2, "users.u.limit", "unknown key 'limit'"),
    ("organization: {users: {}}", 1, "organization.users", "unknown key 'users'"),
    ("budget: {daily_limit_usd: 5}\nbudget: {}", 2, "budget", "is here a second time (first on line 1)"),
    ("users: {2: {}, '2': {}}", 1, "users.2", "a second time"),
    ("budget: {daily_limit_usd: -1}", 1, "budget.daily_limit_usd", "-1 is too small; write a number of at"),
    ("budget: {daily_limit_usd: .nan}", 1, "budget.daily_limit_usd", ".nan is not a plain decimal number"),
    ("budget: {daily_limit_usd: .inf}", 1, "budget.daily_limit_usd", ".inf is not a plain decimal number"),
    ("budget: {daily_limit_usd: 1e3}", 1, "budget.daily_limit_usd", "write it out, as in 1000"),
    (
        "budget: {daily_limit_usd: 0.0000000001}",
        1,
        "budget.daily_limit_usd",
        "is below a nano-dollar; write 0",
    ),
    ("budget: {daily_limit_usd: 99999999999999999999}", 1, "budget.daily_limit_usd", "write fewer digits"),
    ("budget: {daily_limit_usd: 1_000}", 1, "budget.daily_limit_usd", "remove the underscores"),
    ("budget: {model_limits_usd: {openai/*: 5}}", 1, "openai/*", "write service_limits_usd: {openai: ...}"),
    ("budget: {service_limits_usd: {openai/gpt-4o: 5}}", 1, "openai/gpt-4o", "model_limits_usd for a model"),
    ("budget: {tag_limits_usd: {'a,b': 5}}", 1, "a,b", "write a limit for each tag"),
    ("budget: {daily_limit_usd: 010}", 1, "budget.daily_limit_usd", "remove the leading zero"),
    ("budget: {daily_limit_usd: 12:30}", 1, "budget.daily_limit_usd", "12:30 is not a plain decimal number"),
    ("budget: {daily_limit_usd: '5'}", 1, "budget.daily_limit_usd", "remove the quotes"),
    ("budget: {daily_limit_usd: true}", 1, "budget.daily_limit_usd", "true is not a plain decimal number"),
    ("budget: {daily_limit_usd: 1000000001}", 1, "budget.daily_limit_usd", "is too large"),
    ("budget: {daily_limit_usd: [5]}", 1, "budget.daily_limit_usd", "a list is not a number"),
    ("budget: {stage_limits_usd: 5}", 1, "budget.stage_limits_usd", "5 is not a map"),
    ("budget: {stage_limits_usd: {' ': 5}}", 1, "budget.stage_limits_usd. ", "an empty name"),
    ('budget: {model_limits_usd: {"a\\tb": 5}}', 1, "budget.model_limits_usd.a\tb", "control characters"),
    ("budget: {block_at_limit: 'false'}", 1, "budget.block_at_limit", "write true or false"),
    ("budget: {block_at_limit: yes}", 1, "budget.block_at_limit", "write true or false"),
    ("budget: {block_at_limit: 1}", 1, "budget.block_at_limit", "write true or false"),
    ("budget: {block_at_limit: }", 1, "budget.block_at_limit", "write true or false"),
    ("budget: {alert_threshold_percent: 0}", 1, "budget.alert_threshold_percent", "0 is not a threshold"),
    ("budget: {alert_threshold_percent: []}", 1, "budget.alert_threshold_percent", "an empty list"),
    ("budget: {alert_threshold_percent: [80, 101]}", 1, "alert_threshold_percent[1]", "101 is too large"),
    ("budget: {alert_threshold_percent: null}", 1, "alert_threshold_percent", "not a plain decimal number"),
    ("budget: {notification_email: nobody}", 1, "notification_email", "write it as name@example.org"),
    ("budget: {notify: SLACK}", 1, "budget.notify", "SLACK is not a list"),
    ("budget: {notify: [SLACK]}", 1, "budget.notify[0]", "or env:NAME"),
    ("budget: {on_gate_error: maybe}", 1, "budget.on_gate_error", "write one of allow, block"),
    ("budget: {on_unpriced: allow}", 1, "budget.on_unpriced", "write one of block, warn"),
    ("budget: {daily_calls: 1.5}", 1, "budget.daily_calls", "write it without decimals"),
    ("budget: {monthly_tokens: -1}", 1, "budget.monthly_tokens", "-1 is too small"),
    ("budget: {rolling: {hours: 0, limit_usd: 3}}", 1, "budget.rolling.hours", "0 is not a window"),
    ("budget: {rolling: {hours: 0.0001, limit_usd: 3}}", 1, "budget.rolling.hours", "in whole seconds"),
    ("budget: {rolling: {hours: 9999, limit_usd: 3}}", 1, "budget.rolling.hours", "is too large"),
    ("budget: {rolling: {hours: 5}}", 1, "budget.rolling", "the key 'limit_usd' is missing"),
    ("budget: {rolling: {days: 5, limit_usd: 3}}", 1, "budget.rolling.days", "unknown key 'days'"),
    (
        "budget: {rolling: [{hours: 1, limit_usd: 3}, {hours: 1.0, limit_usd: 4}]}",
        1,
        "budget.rolling[1]",
        "a second window of 1h; keep the lower limit",
    ),
    ("budget: {guard: {same_request: 0}}", 1, "budget.guard.same_request", "0 is too small"),
    (
        "shared: {url: postgresql://ana:secret@db/costs}",
        1,
        "shared.url",
        "the address of the shared database does not belong here",
    ),
    ("shared: {url: env:X, lease_s: 1}", 1, "shared.lease_s", "1 is too small; write a number of at least 2"),
    ("billing_day: 32", 1, "billing_day", "32 is too large; write a number of at most 31"),
    ("users: {u: {billing_day: 3}}", 1, "users.u.billing_day", "unknown key 'billing_day'"),
    ("timezone: Mars/Olympus", 1, "timezone", "no time zone is called Mars/Olympus; use an IANA name"),
    ("timezone: ../etc/passwd", 1, "timezone", "no time zone is called"),
    ("timezone: 5", 1, "timezone", "no time zone is called 5"),
    ("users: [u]", 1, "users", "a list is not a map"),
    ("users: {'': {}}", 1, "users.", "an empty name"),
    ("users: {u: 5}", 1, "users.u", "5 is not a map"),
    ("aliases: {a: [b]}", 1, "aliases.a", "a list is not text"),
    ("aliases: {a: null}", 1, "aliases.a", "is not text"),
    ("a: &x 1\nb: *x", 1, "a", "anchors and aliases"),
    ("- 1", 1, None, "a list is not a map"),
    ("{", 1, None, "not valid YAML"),
    ("x: 1\n---\ny: 2", 2, None, "a second document"),
]


@pytest.mark.parametrize(("text", "line", "key", "said"), REFUSED, ids=[r[0][:40] for r in REFUSED])
def test_a_fault_is_refused_with_its_place_and_remedy(
    text: str, line: int, key: str | None, said: str
) -> None:
    with pytest.raises(ProfileError) as refused:
        read(text)
    place = refused.value.place
    assert place.line is None or abs(place.line - line) <= int(key is None)
    assert (key or "") in (place.key or "")
    assert said in str(refused.value)
    assert str(refused.value).startswith("profile.yaml")


def test_a_refused_address_is_not_repeated() -> None:
    with pytest.raises(ProfileError) as refused:
        read("budget: {notify: [xoxb-12345-SECRET]}")
    assert "SECRET" not in str(refused.value)


def test_a_profile_is_loaded_from_its_file(tmp_path: Path) -> None:
    path = tmp_path / "p.yaml"
    path.write_text("budget: {daily_limit_usd: 2.5}\n")
    profile = load_profile(path)
    assert (profile.path, profile.budget.daily_limit) == (path, from_usd("2.5"))
    assert (profile.source, profile.prices_path) == (str(path), tmp_path / "prices.yaml")


def test_without_a_file_the_defaults_hold() -> None:
    profile = load_profile(None)
    assert (profile.source, profile.prices_path, profile.budget) == ("defaults, no file", None, Budget())


def test_a_profile_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ProfileError, match="cannot be read"):
        load_profile(tmp_path / "none.yaml")


def test_the_example_is_the_packaged_template_and_says_the_defaults() -> None:
    example = ROOT / "config" / "profile.yaml"
    template = ROOT / "shared" / "costs" / "data" / "templates" / "profile.yaml"
    assert example.read_bytes() == template.read_bytes()
    profile = load_profile(example)
    assert (profile.budget, profile.organization) == (Budget(), Budget(monthly_limit=None))


@given(st.integers(0, 10**18))
def test_any_amount_reads_back_exactly(nanos: int) -> None:
    text = json_number(Nanos(nanos))
    assert read(f"budget: {{daily_limit_usd: {text}}}").budget.daily_limit == nanos


@given(st.binary(max_size=200) | st.text(max_size=100).map(str.encode))
def test_any_bytes_are_a_profile_or_are_refused(data: bytes) -> None:
    outcome: Profile | ProfileError
    try:
        outcome = parse_profile(data, Path("p.yaml"))
    except ProfileError as refused:
        outcome = refused
    assert isinstance(outcome, Profile) or str(outcome).startswith("p.yaml")


# --- remembered


EVERY_KEY = """
timezone: Asia/Kathmandu
billing_day: 15
budget:
  monthly_limit_usd: 0.000000001
  daily_limit_usd: 5
  weekly_limit_usd: 999999999.5
  job_limit_usd: 2
  stage_limits_usd: {asr: 0.25, mt: 3}
  model_limits_usd: {openai/gpt-4: 10}
  project_limits_usd: {subtitles: 20}
  tag_limits_usd: {"customer:acme": 15}
  workflow_limits_usd: {nightly: 1}
  operation_limits_usd: {summary: 2}
  service_limits_usd: {openai: 3}
  yearly_limit_usd: 400
  rolling: [{hours: 5, limit_usd: 3}, {hours: 0.5, limit_usd: 1}]
  daily_calls: 5
  monthly_calls: 60
  daily_tokens: 7000
  monthly_tokens: 80000
  guard: {usd_per_minute: 2, same_request: 20}
  alert_threshold_percent: [33.3, 50, 0.1]
  block_at_limit: true
  notification_email: costs@example.org
  notify: [env:SLACK_COSTS, "json://localhost/costs"]
  on_gate_error: allow
  on_unpriced: warn
  reserve_cap_usd: 1
organization: {monthly_limit_usd: 70, stage_limits_usd: {asr: 9}}
users:
  ana: {timezone: America/St_Johns, budget: {stage_limits_usd: {asr: null}, alert_threshold_percent: 95}}
  "2": {budget: {monthly_limit_usd: null}}
aliases: {my-deployment: openai/gpt-4o}
shared: {url: env:COSTS, lease_s: 60}
machines:
  desk: {watts: 350, usd_per_kwh: 0.32}
  lab: {usd_per_hour: 0.45, stages: [06_asr], services: [whisperx-local]}
plans:
  max: {usd_per_month: 100, covers: [anthropic/*], users: [ana], since: 2026-11-01, until: 2026-12-31}
  deepl: {covers: [deepl/*], free: {characters: 500000}, monthly_limit_usd: 20}
  stt: {covers: [google/*], volume_discounts: [{above_usd: 100, percent: 12.5}]}
tag_rules: [{tag: "customer:acme", project: "acme-*", user: ana}, {tag: night, workflow: nightly}]
currency: {show: EUR, rates: {2026-11-01: 0.86, 2026-10-01: 0.85}}
x-team: {names: [ana, "true", [~, 1e3]], "": {}}
"""


def test_the_profile_with_every_key_says_something_else_than_the_defaults_with_each() -> None:
    said, unsaid = read(EVERY_KEY), Profile()
    assert not [one for one, default in zip(said.budget, unsaid.budget, strict=True) if one == default]
    assert not [one for one, default in zip(said[1:], unsaid[1:], strict=True) if one == default]


@pytest.mark.parametrize("text", ["", CONTRACT, EVERY_KEY, "\ufeffx-name: \u00fc"])
def test_a_remembered_profile_is_the_profile_and_is_not_parsed_again(
    text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, memory = tmp_path / "profile.yaml", Memory(tmp_path / "memory")
    path.write_text(text)
    first = load_remembered(path, memory).profile
    assert first == load_profile(path)
    monkeypatch.setattr("shared.costs.profile.reading.parse_profile", None)
    assert load_remembered(path, memory).profile == first


def test_what_another_version_remembered_is_read_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, memory = tmp_path / "profile.yaml", Memory(tmp_path / "memory")
    path.write_text(CONTRACT)
    load_remembered(path, memory)
    monkeypatch.setattr("shared.costs.profile.loading.__version__", "0.0.9")
    monkeypatch.setattr("shared.costs.profile.reading.parse_profile", Mock(return_value=Profile()))
    assert load_remembered(path, memory).profile == Profile()


def test_a_remembered_time_zone_that_is_gone_is_refused_where_it_stands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, memory = tmp_path / "profile.yaml", Memory(tmp_path / "memory")
    path.write_text("budget: {}\ntimezone: Asia/Kolkata")
    load_remembered(path, memory)
    gone = Mock(side_effect=ValueError)
    monkeypatch.setattr("shared.costs.profile.loading.zone", gone)
    monkeypatch.setattr("shared.costs.periods.zone", gone)
    with pytest.raises(ProfileError, match=r"profile\.yaml:2.*Asia/Kolkata"):
        load_remembered(path, memory)


def test_every_edit_is_seen_even_of_the_same_length(tmp_path: Path) -> None:
    path, memory = tmp_path / "profile.yaml", Memory(tmp_path / "memory")
    for limit in (50, 60, 50):
        path.write_text(f"budget: {{monthly_limit_usd: {limit}}}")
        assert load_remembered(path, memory).profile.budget.monthly_limit == from_usd(limit)


def test_a_remembered_profile_is_refused_in_the_same_words(tmp_path: Path) -> None:
    path, memory = tmp_path / "profile.yaml", Memory(tmp_path / "memory")
    path.write_text("budget:\n  monthly_limit_usd: 1\n  notify: [nonsense]\n")
    refusals = []
    for _ in range(2):
        with pytest.raises(ProfileError) as caught:
            load_remembered(path, memory)
        refusals.append(str(caught.value))
    assert refusals[0] == refusals[1]
    assert f"{path}:3" in refusals[0]


def test_two_profiles_do_not_take_each_other_s_place(tmp_path: Path) -> None:
    memory = Memory(tmp_path / "memory")
    paths = [tmp_path / name for name in ("one.yaml", "two.yaml")]
    for path in paths * 2:
        path.write_text(f"x-name: {path.stem}")
        assert load_remembered(path, memory).profile.extras == {"x-name": path.stem}
        assert load_remembered(path, memory).profile.path == path


def test_a_damaged_memory_costs_time_only(tmp_path: Path) -> None:
    path, memory = tmp_path / "profile.yaml", Memory(tmp_path / "memory")
    path.write_text(CONTRACT)
    first = load_remembered(path, memory).profile
    (kept,) = (tmp_path / "memory").glob("*.json")
    kept.write_bytes(kept.read_bytes()[:-9])
    assert load_remembered(path, memory).profile == first
