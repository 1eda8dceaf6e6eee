"""What local work would have cost: at the named price of its own date, call by call or by sums."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from shared.costs.analysis.avoided import Calls, LocalWork, Saving, of_calls, of_period, saving
from shared.costs.errors import PriceFileError
from shared.costs.model import Entry, Usage
from shared.costs.money import from_usd
from shared.costs.pricing.catalogue import Catalogue
from shared.costs.rollup import Query, Totals

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
PRICES = """
models:
  acme/hearing-1:
    prices:
      - {since: 2026-11-10, source: an offer, per_audio_minute: 0.02}
      - {since: 2026-01-01, source: an offer, per_audio_minute: 0.01}
avoided:
  local/pocketsphinx: openai/whisper-1
  faster-whisper/*: acme/hearing-1
  local/sumy: google/gemini-1.5-pro
  openai/gpt-4o: openai/gpt-4
"""


@pytest.fixture
def prices(tmp_path: Path) -> Catalogue:
    path = tmp_path / "prices.yaml"
    path.write_text(PRICES)
    return Catalogue.load(None, path)


def call(service: str, model: str, usage: Usage, at: datetime = NOW, **more: object) -> Entry:
    values: dict[str, object] = {"id": f"{service}{at.isoformat()}", "timestamp": at, **more}
    return Entry(job_id="j", user_id="1", service=service, model=model, usage=usage, **values)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("usage", "cloud", "at", "usd"),
    [
        (Usage(audio_seconds=600), "openai/whisper-1", NOW, "0.06"),
        (Usage(audio_seconds=600, tokens_output=900), "openai/whisper-1", NOW, "0.06"),
        (Usage(tokens_input=100_000), "google/gemini-1.5-pro", datetime(2024, 9, 1, tzinfo=UTC), "0.35"),
        (Usage(tokens_input=100_000, tokens_output=100_000), "indictrans2/api", NOW, "0.2"),
        (Usage(characters=1_000), "openai/tts-1", NOW, "0.015"),
        (Usage(), "perplexity/sonar", NOW, None),
        (Usage(tokens_input=5), "openai/whisper-1", NOW, None),
        (Usage(audio_seconds=5), "openai/unheard-of", NOW, None),
    ],
)
def test_work_is_valued_by_what_the_cloud_bills_on_that_date(
    usage: Usage, cloud: str, at: datetime, usd: str | None
) -> None:
    found = saving(LocalWork("local", "engine", usage, at), cloud, Catalogue.load())
    assert found.cost == (None if usd is None else from_usd(usd))
    assert found.unverified is (cloud == "indictrans2/api")


def test_only_local_models_have_a_cloud_price_to_compare_with(prices: Catalogue) -> None:
    assert prices.cloud_for("local", "PocketSphinx") == "openai/whisper-1"
    assert prices.cloud_for("faster-whisper", "large-v3") == "acme/hearing-1"
    assert prices.cloud_for("local", "apertium") is None
    assert prices.cloud_for("openai", "gpt-4o") is None
    assert Catalogue.load().cloud_for("local", "pocketsphinx") is None


def test_calls_that_were_undone_avoid_nothing(prices: Catalogue) -> None:
    hour = Usage(audio_seconds=3_600)
    made = [
        call("local", "pocketsphinx", hour),
        call("local", "pocketsphinx", hour, id="undone"),
        call("local", "pocketsphinx", hour, id="x", kind="reversal", corrects="undone", why="a mistake"),
        call("local", "pocketsphinx", hour, id="y", corrects="refund", why="a refund that is taken back"),
        call("openai", "gpt-4o", Usage(5, 5)),
        call("local", "sumy", Usage(audio_seconds=5)),
    ]
    assert of_calls(made, prices) == [
        Saving("local/pocketsphinx", "openai/whisper-1", from_usd("0.36")),
        Saving("local/sumy", "google/gemini-1.5-pro", None),
    ]


class Ledger:
    """Stands for the index: answers queries from a list of calls, and counts how often it is asked."""

    def __init__(self, calls: list[Entry]) -> None:
        self.entries, self.asked = calls, 0

    def read(self, query: Query) -> Iterator[Entry]:
        assert query.start is not None
        assert query.end is not None
        for entry in self.entries:
            same = (entry.service, entry.model) == (query.service, query.model)
            if same and query.start <= entry.timestamp < query.end:
                yield entry

    def sums(self, query: Query) -> Iterable[Totals]:
        self.asked += 1
        totals = Totals()
        for entry in self.read(query):
            totals.add(entry)
        return [totals]


@pytest.mark.parametrize(
    ("service", "model", "asked"),
    [("local", "pocketsphinx", 1), ("faster-whisper", "large-v3", 2), ("local", "sumy", 0)],
)
def test_a_period_comes_to_the_same_as_its_calls(
    service: str, model: str, asked: int, prices: Catalogue
) -> None:
    """Also where the cloud price changes in the middle of it, and where it depends on a call's size."""
    begin, end = datetime(2026, 11, 1, tzinfo=UTC), datetime(2026, 12, 1, tzinfo=UTC)
    calls = [
        call(service, model, Usage(120_000, 500, audio_seconds=90), begin + timedelta(hours=5 * number))
        for number in range(140)
    ]
    ledger = Ledger(calls)
    found = of_period(
        Calls(ledger.sums, ledger.read), Query(start=begin, end=end), [(service, model)], prices
    )
    assert found == of_calls(calls, prices)
    assert found[0].cost
    assert ledger.asked == asked


def test_a_name_without_a_service_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "prices.yaml"
    path.write_text("avoided: {local/pocketsphinx: whisper-1}")
    with pytest.raises(PriceFileError, match="names no service"):
        Catalogue.load(None, path)
