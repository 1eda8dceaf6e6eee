"""Names of services and models: the spellings that mean the same, and those that do not."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.costs.pricing.names import (
    generations,
    infer_service,
    normalize_model_name,
    normalize_service,
    service_in_name,
    without_version,
)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("gemini", "google"),
        ("claude", "anthropic"),
        (" OpenAI ", "openai"),
        ("bedrock", "aws"),
        ("xai", "x-ai"),
        ("gcp.vertex_ai", "vertex"),
        ("az.ai.openai", "azure"),
        ("my-own-server", "my-own-server"),
    ],
)
def test_services(name: str, expected: str) -> None:
    assert normalize_service(name) == expected


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("GPT-4o", "gpt-4o"),
        ("gpt4o", "gpt-4o"),
        ("gpt4mini", "gpt-4o-mini"),
        ("gpt-35-turbo", "gpt-3.5-turbo"),
        ("openai/gpt-4o", "gpt-4o"),
        ("azure_openai/gpt-4", "gpt-4"),
        ("models/gemini-1.5-pro", "gemini-1.5-pro"),
        ("gemini/models/gemini-1.5-pro", "gemini-1.5-pro"),
        ("projects/p/locations/l/publishers/google/models/gemini-1.5-pro", "gemini-1.5-pro"),
        ("sonnet", "claude-sonnet-5-5"),
        ("claude-haiku", "claude-haiku-5-5"),
        ("meta-llama/Llama-3-70b", "meta-llama/llama-3-70b"),
        ("claude-sonnet-4-5-my-finetune", "claude-sonnet-4-5-my-finetune"),
        ("", ""),
    ],
)
def test_models(name: str, expected: str) -> None:
    assert normalize_model_name(name) == expected


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("gpt-4o", "openai"),
        ("o3-mini", "openai"),
        ("whisper", "openai"),
        ("claude-3-opus", "anthropic"),
        ("haiku", "anthropic"),
        ("models/gemini-1.5-pro", "google"),
        ("groq/llama-3.3-70b-versatile", "groq"),
        ("mistral-large-latest", "mistral"),
        ("command-r", "cohere"),
        ("grok-4", "x-ai"),
        ("llama-3-70b", None),
        ("meta-llama/llama-3-70b", None),
    ],
)
def test_the_service_of_a_model(name: str, expected: str | None) -> None:
    assert infer_service(name) == expected


def test_the_service_in_a_name() -> None:
    assert service_in_name("gemini/gemini-1.5-pro") == "google"
    assert service_in_name("meta-llama/llama-3") is None
    assert service_in_name("gpt-4o") is None


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("claude-3-5-sonnet-20241022", "claude-3-5-sonnet"),
        ("gpt-4o-2024-08-06", "gpt-4o"),
        ("claude-3-opus@20240229", "claude-3-opus"),
        ("claude-3-opus-20240229-v1:0", "claude-3-opus-20240229"),
        ("gemini-1.5-pro-002", "gemini-1.5-pro"),
        ("gemini-2.5-flash-preview-05-20", "gemini-2.5-flash"),
        ("gemini-2.5-flash-preview-09-2025", "gemini-2.5-flash"),
        ("computer-use-preview", "computer-use"),
        ("gemini-1.5-pro-exp-0827", "gemini-1.5-pro"),
        ("mistral-large-latest", "mistral-large"),
        ("gpt-4o", None),
        ("gpt-4o-mini", None),
        ("claude-3-5-sonnet-20241322", None),
        ("claude-sonnet-4-5-my-finetune", None),
        ("gemini-1.5-flash-8b", None),
        ("-latest", None),
    ],
)
def test_version_marks(name: str, expected: str | None) -> None:
    assert without_version(name) == expected


def test_families() -> None:
    assert generations("sonnet")[0] == "claude-sonnet-5-5"
    assert generations("claude-opus")[-1] == "claude-3-opus"
    assert generations("claude-3-opus") == ()


@given(st.text(max_size=40))
def test_normalising_any_text_works_and_stands_still(name: str) -> None:
    once = normalize_model_name(name)
    assert normalize_model_name(once) == once or "/" in once
    assert normalize_service(normalize_service(name)) == normalize_service(name)
