from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.costs.ledger.redact import MAX_BYTES, REDACTED, clean_text, redact

# Made up, in the forms that the providers document.
CANARIES = {
    "openai": "sk-proj-Canary0123456789abcdefghijklmnop",
    "openai old": "sk-Canary0123456789abcdefghijklmnop",
    "anthropic": "sk-ant-api03-Canary0123456789abcdefghij",
    "google": "AIzaCanary0123456789abcdefghijklmnopqrs",
    "google oauth": "ya29.Canary0123456789abcdefghij",
    "aws": "AKIACANARY0123456789",
    "aws session": "ASIACANARY0123456789",
    "github": "ghp_Canary0123456789abcdefghij",
    "github server": "ghs_Canary0123456789abcdefghij",
    "github fine": "github_pat_Canary0123456789abcdefghij",
    "gitlab": "glpat-Canary0123456789abcd",
    "hugging face": "hf_Canary0123456789abcdefghij",
    "groq": "gsk_Canary0123456789abcdefghij",
    "xai": "xai-Canary0123456789abcdefghij",
    "replicate": "r8_Canary0123456789abcdefghij",
    "npm": "npm_Canary0123456789abcdefghij",
    "pypi": "pypi-Canary0123456789abcdefghij",
    "slack": "xoxb-0123456789-Canary0123456789",
    "stripe": "sk_live_Canary0123456789abcd",
    "sendgrid": "SG.Canary0123456789ab.Canary0123456789ab",
    "jwt": "eyJCanary012.eyJCanary012.Canary_sig",
    "bearer": "Bearer Canary0123456789",
    "basic": "Authorization: Basic Q2FuYXJ5MDEyMzQ=",
    "url": "https://me:Canary-pass@host.example/path",
    "database": "postgres://app:Canary-pass@db/costs",
    "slack hook": "https://hooks.slack.com/services/T0/B0/Canary0123",
    "discord hook": "https://discord.com/api/webhooks/1/Canary0123",
    "query": "https://host.example/?api_key=Canary0123456789",
    "assignment": 'password = "Canary0123456789"',
    "private key": "-----BEGIN RSA PRIVATE KEY-----\nCanary0123\n-----END RSA PRIVATE KEY-----",
}
SECRET = ("Canary", "CANARY", "Q2FuYXJ5")


@pytest.mark.parametrize("name", CANARIES)
def test_no_canary_gets_through(name: str) -> None:
    canary = CANARIES[name]
    stored = json.dumps(
        redact({"note": f"called with {canary} today", "list": [{"deep": canary}], canary: "as a name"})
    )
    assert not any(secret in stored for secret in SECRET), stored
    assert REDACTED in stored


NAMES_OF_SECRETS = (
    *("api_key", "OPENAI_API_KEY", "x-api-key", "private_key", "aws_secret", "client_secret", "jwt", "dsn"),
    *("password", "db_password", "token", "access_token", "session_token", "Authorization", "cookie"),
)


@pytest.mark.parametrize("name", NAMES_OF_SECRETS)
def test_values_under_the_names_of_secrets_are_left_out(name: str) -> None:
    assert redact({name: "abc"}) == {name: REDACTED}


@pytest.mark.parametrize("name", ["tokens", "max_tokens", "token", "author", "key", "backend", "secretary"])
def test_counts_and_ordinary_names_stay(name: str) -> None:
    assert redact({name: 7}) == {name: 7}


@pytest.mark.parametrize("name", ["prompt", "Prompts", "completion", "messages", "traceback"])
def test_content_is_not_kept(name: str) -> None:
    assert redact({name: "what the user said", "pages": 2}) == {"pages": 2}


@pytest.mark.parametrize(
    "text", ["sk-short", "a task-list", "https://host.example/path?page=2", "tokens: 300"]
)
def test_ordinary_text_stays(text: str) -> None:
    assert clean_text(text) == text


class Rude:
    def __str__(self) -> str:
        raise RuntimeError("no")


ODD: list[tuple[object, object]] = [
    (float("nan"), "nan"),
    (float("-inf"), "-inf"),
    (2**60, str(2**60)),
    (b"bytes", "b'bytes'"),
    (Rude(), "<Rude>"),
    ("a\ud800b", "a?b"),
    ((1, 2), [1, 2]),
    (None, None),
    (True, True),
]


@pytest.mark.parametrize(("given_value", "stored"), ODD)
def test_odd_values_are_stored_safely(given_value: object, stored: object) -> None:
    assert redact({"value": given_value}) == {"value": stored}


def test_deep_and_endless_metadata_end() -> None:
    endless: dict[str, Any] = {}
    endless["again"] = endless
    assert "..." in json.dumps(redact(endless))
    looped: list[Any] = []
    looped.append(looped)
    assert "..." in json.dumps(redact({"list": looped}))


def test_what_does_not_fit_is_cut_and_said() -> None:
    found = redact({"first": 1, **{f"n{i}": "x" * 400 for i in range(10)}, "last": 2})
    assert found["first"] == 1
    assert found["last"] == 2
    assert found["truncated"] is True
    assert len(json.dumps(found, separators=(",", ":"))) <= MAX_BYTES


LONG = st.sampled_from(["x" * 400, "\N{PILE OF POO}" * 150, '"' * 300])  # a few of them do not fit
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary() | LONG,
    lambda inner: st.lists(inner, max_size=6) | st.dictionaries(st.text(), inner, max_size=6),
    max_leaves=12,
)


@pytest.mark.no_cover
@given(st.dictionaries(st.text() | st.integers(), json_values, max_size=8))
def test_anything_becomes_json_of_bounded_size(metadata: dict[Any, object]) -> None:
    assert len(json.dumps(redact(metadata), allow_nan=False, separators=(",", ":"))) <= MAX_BYTES


def test_nothing_is_nothing() -> None:
    assert redact({}) == {}
