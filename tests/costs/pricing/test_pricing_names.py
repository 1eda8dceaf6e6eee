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
    spellings,
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


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("llama-3.3-70b-versatile", "groq"),
        ("kimi-k3", "moonshotai"),
        ("glm-5.3", "zai"),
        ("MiniMax-M2.5", "minimax"),
        ("nova-3", "deepgram"),
        ("scribe_v1", "elevenlabs"),
        ("jamba-large-1.7", "ai21"),
        ("codex-mini-latest", "openai"),
        ("mlx-whisper", "local"),
        ("faster-whisper", "local"),
        ("us.anthropic.claude-sonnet-4-5-20250929-v1:0", "aws"),
        ("amazon.nova-pro-v1:0", "aws"),
        ("meta.llama3-3-70b-instruct-v1:0", "aws"),
        ("cohere.embed-english-v3", "aws"),
        ("openai.gpt-5.4", "aws"),
        # Oracle's cloud has names like those.
        ("meta.llama-3.3-70b-instruct", None),
        ("cohere.embed-english-v3.0", None),
        ("cohere.command-r-plus-08-2024", None),
        ("openai.gpt-5-mini", None),
        ("arn:aws:bedrock:us-east-1::foundation-model/anthropic.claude-3-haiku-20240307-v1:0", "aws"),
        ("qwen3-max", "dashscope"),
        ("rerank-2.5-lite", "voyageai"),
        ("rerank-3", "voyageai"),
        ("rerank-v3.5", "cohere"),
        ("command_and_search", "google-speech"),
        ("chirp_3", "google-speech"),
        ("chirp3-hd", "google-tts"),
        ("en-US-Chirp3-HD-Kore", "google-tts"),
        ("cmn-CN-Wavenet-A", "google-tts"),
        ("en-us-ava:DragonHDLatestNeural", "azure-speech"),
        ("aura-2-thalia-en", "deepgram"),
        ("text-embedding-005", "vertex"),
        ("bulbul:v2", "sarvam"),
        ("whisper-large-v3", None),
        # Weights that anybody can run, and names that several sell.
        ("large-v3", None),
        ("gemma-3-27b-it", None),
        ("qwen3-32b", None),
    ],
)
def test_who_alone_sells_a_name(name: str, expected: str | None) -> None:
    assert infer_service(name) == expected


@pytest.mark.parametrize(
    ("service", "name", "among", "region"),
    [
        (
            "aws",
            "arn:aws:bedrock:us-east-1:1:inference-profile/eu.amazon.nova-pro-v1:0",
            "eu.amazon.nova-pro-v1:0",
            "us-east-1",
        ),
        (
            "aws",
            "arn:aws-us-gov:bedrock:us-gov-west-1::foundation-model/x.y-v1:0",
            "x.y-v1:0",
            "us-gov-west-1",
        ),
        (
            "aws",
            "bedrock/invoke/us-west-2/meta.llama3-8b-instruct-v1:0",
            "meta.llama3-8b-instruct-v1:0",
            "us-west-2",
        ),
        (
            "aws",
            "us-gov.anthropic.claude-haiku-5-5",
            "us-gov-west-1/anthropic.claude-haiku-5-5",
            "us-gov-west-1",
        ),
        ("aws", "anthropic.claude-3-haiku-20240307-v1:0:48k", "anthropic.claude-3-haiku-20240307-v1:0", None),
        (
            "aws",
            "arn:aws:bedrock:us-east-1:1:application-inference-profile/a1b2c3",
            "arn:aws:bedrock:us-east-1:1:application-inference-profile/a1b2c3",
            None,
        ),
        ("azure", "azure/eu/gpt-4.1", "gpt-4.1", "eu"),
        ("azure", "global-standard/gpt-4o-mini", "gpt-4o-mini", "global"),
        ("azure", "azure_ai/Claude-Sonnet-4-5", "claude-sonnet-4-5", None),
        (
            "vertex",
            "projects/p/locations/europe-west1/publishers/anthropic/models/claude-opus-5",
            "claude-opus-5",
            "europe-west1",
        ),
        ("vertex", "publishers/meta/models/llama-3.3-70b-instruct-maas", "llama-3.3-70b-instruct-maas", None),
        ("anthropic", "claude-sonnet-4-5-20250929[1m]", "claude-sonnet-4-5-20250929", None),
        ("anthropic", "claude-opus-4.5", "claude-opus-4-5", None),
        ("anthropic", "claude-4-5-sonnet", "claude-sonnet-4-5", None),
        ("anthropic", "claude-sonnet-3.7", "claude-3-7-sonnet", None),
        ("openai", "text-embedding-ada-002:v2", "text-embedding-ada-002", None),
        ("openai", "ft:gpt-4.1-mini-2025-04-14:acme::Abc123", "ft:gpt-4.1-mini-2025-04-14", None),
        ("openrouter", "openai/gpt-4o:nitro", "openai/gpt-4o", None),
        ("openrouter", "anthropic/claude-sonnet-4.5:online", "anthropic/claude-sonnet-4.5", None),
        ("deepgram", "general-nova-3", "nova-3", None),
        ("deepgram", "2-phonecall-nova", "nova-2-phonecall", None),
        ("fireworks", "deepseek-v3p1", "accounts/fireworks/models/deepseek-v3p1", None),
    ],
)
def test_names_as_they_are_written(service: str, name: str, among: str, region: str | None) -> None:
    found = spellings(service, name)
    assert among in found.names
    assert found.region == region


def test_a_router_that_picks_the_host_leaves_doubt() -> None:
    assert spellings("openrouter", "openai/gpt-4o:floor").routed
    assert not spellings("openrouter", "openai/gpt-4o").routed
    assert not spellings("openrouter", "deepseek/deepseek-r1:free").routed


@pytest.mark.parametrize(
    ("service", "name"),
    [
        ("anthropic", "claude-sonnet-4-5-my-finetune"),
        ("aws", "arn:aws:bedrock:us-east-1:1:custom-model/amazon.nova-pro-v1:0/abc"),
        ("openai", "gpt-4o-acme"),
    ],
)
def test_what_is_another_model_stays_one(service: str, name: str) -> None:
    assert spellings(service, name).names == (name,)
