"""Machines and plans in a profile: what is read, and how each fault is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from shared.costs.errors import ProfileError
from shared.costs.profile import Profile
from shared.costs.profile.machines import machine_of
from shared.costs.profile.reading import parse_profile


def read(text: str) -> Profile:
    return parse_profile(text.encode(), Path("profile.yaml"))


def test_a_machine_costs_rent_and_power_rounded_once() -> None:
    machines = read("machines: {a: {usd_per_hour: 0.45, watts: 350, usd_per_kwh: 0.3217}}").machines
    assert machines["a"].usd_per_hour == 562_595_000
    assert machines["a"].cost(1) == 0
    assert machines["a"].cost(3_600_000_000 * 24) == 562_595_000 * 24
    assert machines["a"].terms == "$0.45 an hour and 350 W at $0.3217 per kWh"


@pytest.mark.parametrize(
    ("stage", "service", "tags", "local", "name"),
    [
        ("06_asr", "local", (), True, "lab"),
        ("13_sum", "ollama", (), True, "den"),
        ("13_sum", "local", (), True, "desk"),
        ("06_asr", "openai", (), False, None),
        ("06_asr", "local", ("machine:desk", "night"), True, "desk"),
        ("06_asr", "vllm-at-home", ("machine:lab",), False, "lab"),
        ("06_asr", "local", ("machine:other",), True, "other"),
    ],
)
def test_a_call_finds_its_machine(
    stage: str, service: str, tags: tuple[str, ...], local: bool, name: str | None
) -> None:
    machines = read(
        "machines:\n  desk: {usd_per_hour: 1}\n  lab: {usd_per_hour: 1, stages: [06_asr]}\n"
        "  den: {usd_per_hour: 1, services: [ollama]}\n"
    ).machines
    assert machine_of(machines, stage, service, tags, is_local=local) == name


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        ("machines: [desk]", 1, "write `key: value` lines below it"),
        ("machines:\n  desk: {}", 2, "a machine without a price; add usd_per_hour, or watts and usd_per_kwh"),
        ("machines:\n  desk: {watts: 350}", 2, "the key 'usd_per_kwh' is missing; give watts and"),
        ("machines:\n  desk: {usd_per_kwh: 1, usd_per_hour: 1}", 2, "the key 'watts' is missing"),
        ("machines:\n  desk: {watts: 0, usd_per_kwh: 1}", 2, "0 is too small"),
        ("machines:\n  desk: {watt: 350}", 2, "unknown key 'watt'; did you mean 'watts'?"),
        ("machines:\n  desk: {usd_per_hour: -1}", 2, "-1 is too small"),
        ("machines:\n  desk: {usd_per_hour: 1, stages: asr}", 2, "asr is not a list"),
        ("machines:\n  desk: {usd_per_hour: 1, stages: ['']}", 2, "an empty name"),
        (
            "machines:\n  a: {usd_per_hour: 1}\n  b: {usd_per_hour: 2}",
            3,
            "'b' and 'a' both name neither stages nor services",
        ),
        ("plans:\n  max: {usd_per_month: 9}", 2, "the key 'covers' is missing"),
        ("plans:\n  max: {usd_per_month: 9, covers: []}", 2, "a plan that covers nothing"),
        ("plans:\n  max: {usd_per_month: 9, covers: [gpt-4o]}", 2, "'gpt-4o' names no service"),
        ("plans:\n  max: {covers: ['*']}", 2, "a plan without a price; add usd_per_month"),
        ("plans:\n  max: {covers: ['*'], usd_per_month: 1, price: 2}", 2, "unknown key 'price'"),
        (
            "plans:\n  max: {covers: ['*'], free: {pages: 1, images: 2}}",
            2,
            "2 units; write one unit, such as",
        ),
        ("plans:\n  max: {covers: ['*'], free: {page: 1}}", 2, "did you mean 'pages'?"),
        ("plans:\n  max: {covers: ['*'], free: {pages: 0}}", 2, "0 is too small"),
        (
            "plans:\n  max: {covers: ['*'], usd_per_month: 1,\n   since: 2026-11-02,\n   until: 2026-11-01}",
            4,
            "it ends on 2026-11-01, before it begins on 2026-11-02",
        ),
        (
            "plans:\n  max:\n    covers: ['*']\n    volume_discounts:\n"
            "      - {above_usd: 5, percent: 1}\n      - {above_usd: 5, percent: 2}",
            6,
            "5 is not above the amount before it; write amounts that rise",
        ),
        (
            "plans:\n  max:\n    covers: ['*']\n    volume_discounts:\n      - {above_usd: 5, percent: 101}",
            5,
            "101 is too large",
        ),
        ("tag_rules: {tag: a}", 1, "a map is not a list"),
        ("tag_rules:\n  - {job: a}", 2, "the key 'tag' is missing"),
        ("tag_rules:\n  - {tag: a}", 2, "a rule without a condition; add one of user, job, stage"),
        ("tag_rules:\n  - {tag: a, jobs: b}", 2, "unknown key 'jobs'; did you mean 'job'?"),
        ("tag_rules:\n  - {tag: 'a,b', job: b}", 2, "'a,b' has a comma; write one tag"),
        ("tag_rules:\n  - {tag: a, job: ''}", 2, "an empty name"),
        ("currency: EUR", 1, "EUR is not a map"),
        ("currency: {rates: {2026-11-01: 1}}", 1, "the key 'show' is missing"),
        ("currency: {show: euro, rates: {2026-11-01: 1}}", 1, "euro is not a currency; write its ISO 4217"),
        ("currency: {show: USD, rates: {2026-11-01: 2}}", 1, "in USD without a rate; write currency: null"),
        ("currency: {show: EUR}", 1, "the key 'rates' is missing"),
        ("currency: {show: EUR, rates: {}}", 1, "a currency without a rate"),
        (
            "currency:\n  show: EUR\n  rates:\n    1 Nov: 0.86",
            4,
            "'1 Nov' is not a date; write rates by date",
        ),
        ("currency:\n  show: EUR\n  rates:\n    2026-11-31: 1", 4, "'2026-11-31' is not a date"),
        ("currency: {show: EUR, rates: {2026-11-01: 0}}", 1, "0 is too small"),
    ],
)
def test_a_faulty_machine_or_plan_is_refused_with_its_place(text: str, line: int, said: str) -> None:
    with pytest.raises(ProfileError) as refused:
        read(text)
    assert refused.value.place.line == line
    assert said in str(refused.value)
