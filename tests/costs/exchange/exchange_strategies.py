"""Any entry that a ledger can hold, drawn by Hypothesis."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from hypothesis import strategies as st

from shared.costs.model import Charge, Entry, PricedBy, Usage
from shared.costs.money import Nanos
from shared.costs.units import USAGE_FIELDS, Kind

TEXT = st.text(
    st.characters(codec="utf-8", exclude_characters="\x00"), min_size=1, max_size=12
) | st.sampled_from(
    ["=1+1", "'=1+1", "''x", "@SUM(A1)", "-1", "+1", "\tx", "\rx", 'a"b', "a,b", "a\nb", "a\r\nb", "ü€😀"]
)
AMOUNT = st.integers(-(10**15), 10**15).map(Nanos)


def usages() -> st.SearchStrategy[Usage]:
    count = st.integers(0, 2**20)

    def made(draws: list[int], seconds: float) -> Usage:
        counts: dict[str, Any] = dict(zip(USAGE_FIELDS, draws, strict=True))
        counts["audio_seconds"] = seconds
        counts["tokens_input"] = sum(v for k, v in counts.items() if k.startswith("tokens_"))
        counts["tokens_output"] = counts["tokens_input"]
        counts["tokens_cache_write_1h"] = min(counts["tokens_cache_write_1h"], counts["tokens_cache_write"])
        counts["tokens_audio_cached"] = min(
            counts["tokens_audio_cached"], counts["tokens_cached"], counts["tokens_audio_input"]
        )
        counts["tokens_image_cached"] = min(
            counts["tokens_image_cached"], counts["tokens_cached"], counts["tokens_image_input"]
        )
        return Usage(**counts)

    draws = st.lists(count, min_size=len(USAGE_FIELDS), max_size=len(USAGE_FIELDS))
    return st.builds(made, draws, st.floats(0, 1e6))


SOURCE = st.sampled_from(["profile", "catalogue", "genai-prices", "stated"])
CHARGES = st.builds(
    Charge,
    st.dictionaries(
        st.sampled_from(["input", "cached", "output", "audio_seconds", "odd"]), AMOUNT, max_size=4
    ),
    st.builds(PricedBy, SOURCE, TEXT, TEXT, st.booleans()),
    st.just({}),
).filter(lambda found: abs(found.total) <= 10**15)

INSTANTS = st.datetimes(datetime(2000, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001 - bounds
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=5,
)
KINDS: st.SearchStrategy[Kind] = st.sampled_from(["usage", "usage", "usage", "adjustment", "reversal"])


OPTIONAL = st.none() | TEXT
FIELDS = {
    "id": st.uuids().map(lambda found: found.hex),
    "kind": KINDS,
    "timestamp": INSTANTS,
    "period_at": st.none() | INSTANTS,
    "job_id": TEXT,
    "user_id": TEXT,
    "service": TEXT,
    "model": TEXT,
    "usage": usages(),
    "charge": st.none() | CHARGES,
    "attempt": st.integers(1, 9),
    "actual_cost": st.none() | AMOUNT,
    "catalogue_cost": st.none() | AMOUNT,
    "unpriced_units": st.dictionaries(TEXT, st.integers(0, 10**9) | st.floats(0, 1e6), max_size=2),
    "estimated": st.booleans(),
    "tags": st.lists(TEXT, max_size=3).map(tuple),
    "host": TEXT,
    "pid": st.integers(0, 99_999),
    "metadata": st.dictionaries(TEXT, JSON, max_size=3),
    "corrects": TEXT,
    "why": OPTIONAL,
    "resolves_unpriced": st.booleans(),
    "resolves_partial": st.booleans(),
    "stage": OPTIONAL,
    "service_tier": OPTIONAL,
    "region": OPTIONAL,
    "request_id": OPTIONAL,
    "reservation": OPTIONAL,
    "operation": OPTIONAL,
    "description": OPTIONAL,
    "workflow": OPTIONAL,
    "project": OPTIONAL,
}


def entries() -> st.SearchStrategy[Entry]:
    return st.fixed_dictionaries(FIELDS).map(_entry_of)


def _entry_of(fields: dict[str, Any]) -> Entry:
    if fields["kind"] == "usage":
        fields = fields | {
            "corrects": None,
            "why": None,
            "resolves_unpriced": False,
            "resolves_partial": False,
        }
    return Entry(**fields)
