"""``prices``: what models cost and why, what is doubtful, and taking newer prices only when told to."""

from __future__ import annotations

import json
import re
import zipfile
from datetime import UTC, datetime
from pathlib import Path

import pytest

from shared.cost_tracker import CostTracker
from shared.costs.memory import Memory
from shared.costs.pricing.check import CatalogueFinding
from shared.costs.pricing.description import DatedPrice, PricedModel, RateLine
from shared.costs.pricing.update import PriceChange
from shared.costs.reports.prices import (
    CheckedPrices,
    PriceUpdate,
    checked_prices_report,
    price_report,
    price_update_report,
    prices_report,
)
from tests.costs.cli.cli_support import Dashboard
from tests.support.golden import check_report

AT = datetime(2026, 11, 22, 12, tzinfo=UTC)
OFFER = """\
models:
  acme/unheard-of-1:
    since: 2026-01-01
    source: an offer
    per_million_tokens: {input: 1.00, output: 2.00}
"""


@pytest.mark.no_cover
def test_the_list_has_every_model_and_narrows(dashboard: Dashboard) -> None:
    everyone = dashboard("prices", "--json").json()["models"]
    some = dashboard("prices", "list", "GPT-4o", "--json").json()["models"]
    assert 0 < len(some) < len(everyone)
    assert all("gpt-4o" in model["model"] for model in some)
    (mini,) = [model for model in some if model["model"] == "openai/gpt-4o-mini"]
    rates = {rate["part"]: rate["usd"] for rate in mini["current"]["rates"]}
    assert (rates["input"], rates["output"]) == ("0.15", "0.6")
    markdown = dashboard("prices", "list", "gpt-4o", "--format", "md").out
    assert "## openai" in markdown
    assert "| gpt-4o-mini | 0.15 | 0.075 | 0.6 |" in re.sub(" +", " ", markdown)
    assert "No model matches" in dashboard("prices", "list", "no-such-model").out


def test_show_has_rates_dates_sources_and_an_example(dashboard: Dashboard) -> None:
    found = dashboard("prices", "show", "gpt-4o", "--json").json()
    assert found["model"] == "openai/gpt-4o"
    assert found["current"]["since"].startswith("2024-10-02")
    assert found["example"][-1] == "total $0.00675"
    assert {price["source"] for price in found["prices"]} == {"catalogue", "genai-prices"}
    before = dashboard("prices", "show", "openai/gpt-4o", "--on", "2024-06-01", "--json").json()
    assert before["example"][-1] == "total $0.012"
    assert "https://" in dashboard("prices", "show", "gpt-4o").out


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["show"], 2, "which model"),
        (["update"], 2, "name a wheel or a price file"),
        (["check", "gpt-4o"], 2, "leave the name out"),
        (["show", "openai/gpt-4x-ultra"], 3, "nearest:"),
        (["update", "prices.txt"], 2, "neither a wheel"),
        (["update", "genai_prices-0.2.9-py3-none-any.whl"], 3, "pip download"),
    ],
)
def test_what_makes_no_sense_is_refused(
    arguments: list[str], code: int, message: str, dashboard: Dashboard
) -> None:
    ran = dashboard("prices", *arguments)
    assert ran.code == code
    assert message in ran.err


@pytest.mark.no_cover
def test_check_finds_calls_without_a_price_until_they_are_repriced(
    jobs: Path, prices: Path, dashboard: Dashboard
) -> None:
    def found() -> dict[str, str]:
        ran = dashboard("prices", "check", "--json")
        kinds = {one["kind"]: one["model"] for one in ran.json()["findings"]}
        assert ran.code == int("unpriced" in kinds or "repriceable" in kinds)
        return kinds

    assert found()["unpriced"] == "acme/unheard-of-1"
    prices.write_text(OFFER)
    assert found()["repriceable"] == "acme/unheard-of-1"
    assert dashboard("reprice", "--yes").code == 0
    assert not {"unpriced", "repriceable"} & set(found())


def test_what_callers_say_that_any_provider_billed_is_held_against_our_arithmetic(
    tmp_path: Path, prices: Path, dashboard: Dashboard
) -> None:
    """Such a call has no parts: no view says what its input or its output cost."""
    tracker = CostTracker(tmp_path / "out" / "job-1")
    tracker.log_usage("openai", "gpt-4o", 1000, 200, actual_cost_usd=9)
    tracker.log_usage("openai", "gpt-4.1", 1000, 200, actual_cost_usd=0.0036)
    found = dashboard("prices", "check", "--json").json()["findings"]
    assert [one["model"] for one in found if one["kind"] == "bill"] == ["openai/gpt-4o"]
    for view in (["show-job", "job-1"], ["show-monthly"], ["stats"]):
        assert "% of the cost" not in dashboard(*view).out
    tracker.log_usage("openai", "gpt-4o-mini", 1000, 200)
    assert "% of the cost" in dashboard("show-job", "job-1").out
    stated, ours = dashboard("show-job", "job-1").out.split("By model")[1].splitlines()[1:4:2]
    assert (stated.split()[-2:], len(ours.split()) - len(stated.split())) == (["200", "$9.0000"], 2)


@pytest.mark.no_cover
def test_check_lists_what_is_doubtful_of_other_models_only_where_asked(
    jobs: Path, prices: Path, dashboard: Dashboard
) -> None:
    prices.write_text(OFFER.replace("acme/unheard-of-1", "openai/gpt-4.1"))  # $2 and $8 elsewhere
    prices.write_text(
        prices.read_text() + "  openai/gpt-4o:\n" + prices.read_text().partition("gpt-4.1:\n")[2]
    )
    shown = dashboard("prices", "check").out
    every = dashboard("prices", "check", "--everything").out
    assert "differs: openai/gpt-4o:" in shown
    assert "differs: openai/gpt-4.1:" not in shown
    assert "prices check --everything" in shown
    assert "differs: openai/gpt-4.1:" in every
    found = dashboard("prices", "check", "--json").json()["findings"]
    assert {one["model"]: one["in_use"] for one in found if one["kind"] == "differs"}.items() >= {
        "openai/gpt-4o": True,
        "openai/gpt-4.1": False,
    }.items()


def test_coverage_tells_of_the_models_in_use_and_of_all_known(jobs: Path, dashboard: Dashboard) -> None:
    found = dashboard("prices", "coverage", "--json").json()
    states = {one["model"]: one["state"] for one in found["used"]}
    assert states["acme/unheard-of-1"] == "unknown"
    assert states["openai/gpt-4o"] == "whole"
    known = found["known"]
    assert known["models"] == sum(known["states"].values()) > 3_000
    assert known["by_service"]["openai"]["whole"] > 100
    shown = dashboard("prices", "coverage")
    assert shown.code == 0
    assert "Models of your ledgers" in shown.out


def test_a_price_file_is_taken_only_when_told(tmp_path: Path, prices: Path, dashboard: Dashboard) -> None:
    offer = tmp_path / "offer.yaml"
    offer.write_text(OFFER)
    ran = dashboard("prices", "update", offer, "--json")
    assert [(one["kind"], one["model"]) for one in ran.json()["changes"]] == [("added", "acme/unheard-of-1")]
    assert not prices.exists()
    assert "add --yes" in dashboard("prices", "update", offer).out
    assert dashboard("prices", "update", offer, "--yes").code == 0
    assert "acme/unheard-of-1" in prices.read_text()
    assert dashboard("prices", "show", "acme/unheard-of-1", "--json").json()["current"]["source"] == "profile"
    assert "No price changes" in dashboard("prices", "update", offer, "--yes").out
    offer.write_text(OFFER.replace("1.00", "9.00"))
    before = prices.read_text()
    assert dashboard("prices", "update", offer, "--yes").code == 3
    assert prices.read_text() == before


def test_a_release_is_compared_without_installing_it(tmp_path: Path, dashboard: Dashboard) -> None:
    import genai_prices

    wheel = tmp_path / "genai_prices-0.2.99-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        for file in Path(genai_prices.__file__).parent.glob("*.py"):
            archive.write(file, f"genai_prices/{file.name}")
    ran = dashboard("prices", "update", wheel)
    assert ran.code == 0
    assert "No price changes" in ran.out
    assert "genai-prices 0.2.99 into genai-prices" in ran.out


def test_a_release_that_is_in_force_already_shows_what_it_changed(
    tmp_path: Path, prices: Path, dashboard: Dashboard
) -> None:
    """As after an upgrade by pip: an older release is remembered to have priced one model otherwise."""
    assert dashboard("prices", "show", "gpt-5").code == 0
    (kept,) = tmp_path.rglob("genai-prices-*.json")
    memory = Memory(kept.parent)
    older = json.loads(json.dumps(memory.read(kept.stem)).replace("1250", "1111"))
    memory.write("genai-prices-0.1.9", older)
    memory.write("genai-prices-0.1.10", older)
    found = dashboard("prices", "update", "--json").json()
    assert (found["target"], found["written"]) == ("genai-prices 0.1.10", True)
    assert [one["model"] for one in found["changes"]] == ["openai/gpt-5"]
    assert "input $1.111" in found["changes"][0]["before"][0]
    assert "input $1.25" in found["changes"][0]["after"][0]


def test_without_a_profile_there_is_no_place_for_prices(
    tmp_path: Path, dashboard: Dashboard, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("COST_TRACKER_PROFILE")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "offer.yaml").write_text(OFFER)
    ran = dashboard("prices", "update", "offer.yaml", "--yes")
    assert (ran.code, "cost-dashboard init" in ran.err) == (2, True)


def dated(usd: str, since: datetime | None, **given: object) -> DatedPrice:
    values: dict[str, object] = {
        "model": "acme/large-1",
        "source": "catalogue",
        "version": "f7623856",
        "since": since,
        "tier": None,
        "hours": None,
        "rates": (
            RateLine("input", usd, "million input tokens"),
            RateLine("input", "9", "million input tokens", above=128_000),
            RateLine("output", "10", "million output tokens"),
            RateLine("cache_write", "18.75", "million input tokens"),
            RateLine("cache_write_1h", "30", "million input tokens"),
        ),
        "reference": "https://example.com/prices",
        "unverified": False,
        "note": "",
        "current": False,
        **given,
    }
    return DatedPrice(**values)  # type: ignore[arg-type]  # a test names fields of a price


MODELS = [
    PricedModel(
        "acme/large-1",
        False,
        "large chat",
        (
            dated("2.50", datetime(2026, 6, 1, tzinfo=UTC), current=True, note="it was halved"),
            dated("5", datetime(2026, 1, 1, tzinfo=UTC), model="acme/large-0"),
            dated(
                "1.25",
                None,
                tier="batch",
                hours=(30, 990),
                when="00:30-16:30 UTC",
                source="genai-prices",
                version="0.2.3",
            ),
        ),
        ("1,500 input tokens x $2.50 per million = $0.00375", "total $0.00375"),
    ),
    PricedModel(
        "acme/speech-1",
        False,
        "speech",
        (
            dated(
                "",
                None,
                current=True,
                unverified=True,
                rates=(RateLine("audio_seconds", "0.006", "audio minute"),),
            ),
        ),
        (),
    ),
    PricedModel("local/tiny", True, None, (dated("", None, rates=(), current=True),), ("total $0",)),
    PricedModel("acme/gone", False, None, (dated("1", AT),), ()),
]


def test_what_list_and_show_look_like() -> None:
    check_report("prices-list", prices_report(MODELS, AT))
    check_report("prices-show", price_report(MODELS[0], AT))
    check_report("prices-show-speech", price_report(MODELS[1], AT))
    check_report("prices-show-local", price_report(MODELS[2], AT))


def test_what_check_looks_like() -> None:
    findings = [
        CatalogueFinding(
            "unpriced", "acme/one", "3 of 4 calls have no price: no price for it", "add it to prices.yaml"
        ),
        CatalogueFinding(
            "stale", "prices.yaml", "its sources were last looked at on 2026-01-02", "set `checked`"
        ),
    ]
    check_report("prices-check", checked_prices_report(CheckedPrices(findings, 7, {"litellm": "1.80.0"})))
    elsewhere = CatalogueFinding("differs", "acme/two", "a says $1, b says $2", "see it", in_use=False)
    check_report("prices-check-others", checked_prices_report(CheckedPrices([elsewhere] * 55, 1, {})))
    check_report(
        "prices-check-everything", checked_prices_report(CheckedPrices([elsewhere], 1, {}, everything=True))
    )
    check_report("prices-check-fine", checked_prices_report(CheckedPrices([], 0, {})))


def test_what_an_update_looks_like() -> None:
    changes = [
        PriceChange("added", "acme/two", after=("standard since 2026-06-01: input $1",)),
        PriceChange(
            "changed",
            "acme/one",
            before=("standard since 2026-01-01: input $1",),
            after=("standard since 2026-01-01: input $1", "standard since 2026-11-01: input $2"),
        ),
    ]
    check_report(
        "prices-update", price_update_report(PriceUpdate("offer.yaml", "prices.yaml", changes, False))
    )
    check_report("prices-updated", price_update_report(PriceUpdate("a", "b", changes * 30, True)))
    check_report("prices-update-none", price_update_report(PriceUpdate("a", "b", [], True)))
