"""What media services charge: usage in, USD out, computed by hand from the providers' price lists.

A row is the service and model as a call names them, what it used, the tier, and the amount.
"""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from shared.cost_tracker import CostTracker
from shared.costs.model import Charge, Unpriced, Usage
from shared.costs.money import from_usd
from shared.costs.pricing.catalogue import Catalogue

NOW = datetime(2026, 11, 28, 12, tzinfo=UTC)
OWN = Catalogue.load()


def usd(
    service: str,
    model: str,
    tier: str | None = None,
    at: datetime = NOW,
    region: str | None = None,
    **counts: Any,
) -> int:
    found = OWN.charge(service, model, Usage(**counts), at, tier, region)
    assert isinstance(found, Charge), found
    assert not found.missing, found
    return found.total


SPEECH_TO_TEXT = [
    # service, model, tier, seconds, more counts, USD
    ("openai", "whisper-1", None, 90, {}, "0.009"),  # 1.5 min x 0.006
    ("openai", "gpt-live-1", None, 4, {}, "0.0125"),  # 15 s at least x 0.05 / min
    ("groq", "whisper-large-v3", None, 3, {}, "0.000308333"),  # 10 s at least x 0.111 / h
    ("groq", "whisper-large-v3-turbo", None, 3600, {}, "0.04"),
    ("together", "openai/whisper-large-v3", None, 600, {}, "0.015"),  # 10 min x 0.0015
    ("together", "openai/whisper-large-v3", "streaming", 600, {}, "0.035"),
    ("cloudflare", "@cf/openai/whisper-large-v3-turbo", None, 600, {}, "0.005"),
    ("whisperx", "large-v3", None, 60, {}, "0.006"),
    ("fireworks", "whisper-v3-turbo", None, 600, {}, "0.009"),
    ("fireworks", "whisper-v3", None, 600, {}, "0.015"),
    ("fireworks_ai", "accounts/fireworks/models/whisper-v3", "batch", 600, {}, "0.009"),
    ("fireworks_ai", "accounts/fireworks/models/whisper-v3-turbo", "batch", 600, {}, "0.0054"),  # 40 % less
    ("deepgram", "nova-3", None, 600, {}, "0.043"),  # 10 min x 0.0043
    ("deepgram", "nova-3", "streaming", 600, {}, "0.077"),
    ("deepgram", "nova-3", None, 600, {"channels": 2}, "0.086"),  # each channel
    ("deepgram", "nova-3-medical", None, 3600, {}, "0.312"),
    ("deepgram", "nova-3-multi", "streaming", 60, {}, "0.0092"),
    ("deepgram", "2-general-nova", None, 60, {}, "0.0043"),
    ("deepgram", "nova-2-phonecall", "streaming", 60, {}, "0.0059"),
    ("deepgram", "flux-general-en", None, 60, {}, "0.0077"),
    ("deepgram", "enhanced", None, 60, {}, "0.0145"),
    ("assemblyai", "universal-3-5-pro", None, 3600, {}, "0.21"),
    ("assemblyai", "universal-2", None, 1800, {}, "0.075"),
    ("assemblyai", "universal-streaming", None, 3600, {}, "0.15"),
    ("assemblyai", "u3-rt", None, 3600, {}, "0.45"),
    ("assemblyai", "sync", None, 3600, {}, "0.30"),
    ("speechmatics", "melia", None, 3599.2, {}, "0.129"),  # whole seconds: 3,600
    ("gladia", "solaria-1", None, 3600, {}, "0.61"),
    ("gladia", "solaria-1", "streaming", 3600, {"channels": 2}, "1.50"),
    ("rev-ai", "reverb", None, 4, {}, "0.000833333"),  # 15 s at least x 0.20 / h
    ("rev-ai", "reverb-turbo", None, 3600, {}, "0.10"),
    ("rev-ai", "foreign", None, 3600, {}, "0.30"),
    ("rev-ai", "human", None, 120, {}, "3.98"),
    ("soniox", "stt-async-v5", None, 3600, {"tokens_input": 30_000}, "0.10"),  # its tokens are facts
    ("soniox", "stt-rt-v5", None, 3600, {}, "0.12"),
    ("elevenlabs", "scribe_v1", None, 3600, {}, "0.22"),
    ("elevenlabs", "scribe_v2_realtime", None, 3600, {}, "0.39"),
    ("elevenlabs", "dubbing", None, 60, {}, "0.50"),
    ("mistral", "voxtral-mini-latest", None, 60, {"tokens_input": 400, "tokens_output": 80}, "0.003"),
    (
        "mistral",
        "voxtral-mini-transcribe-3-0",
        None,
        60,
        {"tokens_input": 400, "tokens_output": 80},
        "0.0035",
    ),
    ("mistral", "voxtral-small-transcribe-3", None, 60, {"tokens_input": 400, "tokens_output": 80}, "0.004"),
    ("mistral", "voxtral-mini-transcribe-realtime-3", "streaming", 60, {"tokens_output": 80}, "0.008"),
    ("mistral", "voxtral-mini-2507", None, 60, {"tokens_input": 400, "tokens_output": 80}, "0.002"),
    ("mistral", "voxtral-mini-transcribe-realtime-2602", None, 60, {}, "0.006"),
    ("xai", "grok-voice-transcribe-1.0", None, 3600, {}, "0.10"),
    ("google-speech", "chirp_2", None, 59.1, {}, "0.016"),  # whole seconds: 60
    ("google-speech", "latest_long", None, 60, {"channels": 2}, "0.032"),
    ("google-speech", "latest_long", None, 60.2, {"channels": 2}, "0.032533333"),  # 61 s of each channel
    ("google-speech", "chirp_3", "batch", 600, {}, "0.03"),
    ("google-speech", "video", None, 60, {}, "0.024"),
    ("google-speech", "latest_long+v1", None, 60, {}, "0.024"),
    ("google-speech", "telephony+v1", None, 60.2, {"channels": 2}, "0.0488"),  # 61 s of each channel
    ("google-speech", "v1-logged+v1", None, 60, {}, "0.016"),
    ("google-speech", "medical_dictation+v1", None, 60, {}, "0.078"),
    ("google-cloud-speech", "medical_dictation", None, 60, {}, "0.078"),
    ("google", "chirp_2", None, 60, {}, "0.016"),
    ("vertex_ai", "chirp_2", None, 60, {}, "0.016"),
    ("aws_transcribe", "standard", None, 3, {}, "0.0015"),  # 15 s at least x 0.006 / min
    ("aws-transcribe", "standard", None, 600.5, {"channels": 2}, "0.0601"),  # 601 s, both channels at once
    ("aws-transcribe", "standard", "streaming", 600, {}, "0.10"),
    ("aws-transcribe", "medical", None, 60, {}, "0.075"),
    ("aws-transcribe", "call-analytics", None, 60, {}, "0.03"),
    ("azure-speech", "stt", None, 3600, {}, "1.00"),
    ("azure", "speech/azure-stt", None, 3600, {}, "1.00"),
    ("azure-speech", "stt", "fast", 3600, {}, "0.36"),
    ("azure-speech", "stt", "batch", 3600, {}, "0.18"),
    ("azure-speech", "custom-stt", "batch", 3600, {}, "0.225"),
    ("azure-speech", "whisper", None, 1800, {}, "0.18"),
]


@pytest.mark.no_cover
@pytest.mark.parametrize(("service", "model", "tier", "seconds", "more", "amount"), SPEECH_TO_TEXT)
def test_speech_to_text(
    service: str, model: str, tier: str | None, seconds: float, more: dict[str, Any], amount: str
) -> None:
    assert usd(service, model, tier, audio_seconds=seconds, **more) == from_usd(amount)


CHARACTERS = [
    # service, model, characters, USD
    ("openai", "tts-1", 1_000, "0.015"),
    ("openai", "tts-1-hd-1106", 1_000, "0.03"),
    ("deepgram", "aura-2-thalia-en", 1_000, "0.03"),
    ("deepgram", "aura-asteria-en", 1_000, "0.015"),
    ("elevenlabs", "eleven_multilingual_v2", 1_000, "0.08"),
    ("elevenlabs", "eleven_v3", 1_000, "0.08"),
    ("elevenlabs", "eleven_flash_v2_5", 1_000, "0.04"),
    ("elevenlabs", "eleven_v4_turbo", 1_000, "0.04"),
    ("cartesia", "sonic-3", 1_000, "0.05"),
    ("rime", "mist", 1_000, "0.03"),
    ("inworld", "inworld-tts-2", 1_000, "0.025"),
    ("fish-audio", "s1", 1_000, "0.015"),
    ("minimax", "speech-02-turbo", 1_000, "0.06"),
    ("minimax", "speech-2.6-hd", 1_000, "0.10"),
    ("mistral", "voxtral-mini-tts-2603", 1_000, "0.016"),
    ("google-tts", "en-US-Chirp3-HD-Kore", 1_000, "0.03"),
    ("google-tts", "de-DE-Neural2-F", 1_000, "0.016"),
    ("google-tts", "en-GB-Standard-A", 1_000, "0.004"),
    ("google_tts", "en-US-Studio-O", 1_000, "0.16"),
    ("aws_polly", "standard", 1_000, "0.004"),
    ("aws_polly", "neural", 1_000, "0.016"),
    ("polly", "generative", 1_000, "0.03"),
    ("aws-polly", "long-form", 1_000, "0.10"),
    ("azure-speech", "en-US-JennyNeural", 1_000, "0.015"),
    ("azure-speech", "en-us-ava:DragonHDLatestNeural", 1_000, "0.022"),
    ("azure", "speech/azure-tts", 1_000, "0.015"),
    ("deepl", "text", 100_000, "2.50"),
    ("deepl", "document", 900, "1.25"),  # 50,000 at least x 25 / million
    ("google-translate", "nmt", 100_000, "2"),
    ("google-translate", "general/translation-llm", 100_000, "1"),
    ("google-cloud-translate", "custom", 100_000, "8"),
    ("aws-translate", "standard", 100_000, "1.50"),
    ("amazon-translate", "active-custom", 100_000, "6"),
    ("azure-translator", "standard", 100_000, "1"),
    ("azure-translator", "custom", 100_000, "4"),
]


@pytest.mark.parametrize("model", ["default", "latest_long", "acme-calls"])
def test_a_price_of_the_users_own_holds_for_answers_of_version_1_too(model: str, tmp_path: Path) -> None:
    path = tmp_path / "prices.yaml"
    terms = "{since: 2026-01-01, source: the contract, per_audio_minute: 0.01}"
    path.write_text(f"models: {{google-speech/{model}: {terms}}}\n")
    found = Catalogue.load(None, path).charge("google-speech", f"{model}+v1", Usage(audio_seconds=90), NOW)
    assert isinstance(found, Charge)
    assert (found.total, dict(found.missing)) == (from_usd("0.015"), {})


@pytest.mark.parametrize(("service", "model", "characters", "amount"), CHARACTERS)
def test_characters(service: str, model: str, characters: int, amount: str) -> None:
    assert usd(service, model, characters=characters) == from_usd(amount)


PAGES = [
    # service, model, tier, pages, USD
    ("mistral", "mistral-ocr-2505", None, 1_000, "1"),
    ("mistral", "mistral-ocr-2505", "batch", 1_000, "0.50"),
    ("mistral", "mistral-ocr-2512", None, 10, "0.02"),
    ("mistral", "mistral-ocr-latest", None, 10, "0.04"),
    ("google-vision", "text-detection", None, 10, "0.015"),
    ("google-documentai", "ocr", None, 10, "0.015"),
    ("documentai", "layout-parser", None, 10, "0.10"),
    ("google-documentai", "form-parser", None, 10, "0.30"),
    ("google-documentai", "invoice-parser", None, 11, "0.20"),  # 0.10 for every ten pages or part of them
    ("aws-textract", "detect-document-text", None, 10, "0.015"),
    ("textract", "tables", None, 10, "0.15"),
    ("aws-textract", "forms", None, 10, "0.50"),
    ("aws-textract", "forms+tables", None, 10, "0.65"),
    ("aws-textract", "analyze_expense", None, 10, "0.10"),
    ("azure-documents", "prebuilt-read", None, 10, "0.015"),
    ("azure", "doc-intelligence/prebuilt-layout", None, 10, "0.10"),
    ("azure-ai-documentintelligence", "prebuilt-invoice", None, 10, "0.10"),
    ("llamaparse", "fast", None, 100, "0.125"),
    ("llama_parse", "cost_effective", None, 100, "0.375"),
    ("llamaparse", "agentic", None, 100, "1.25"),
    ("llamaparse", "agentic_plus", None, 100, "5.625"),
    ("unstructured", "hi_res", None, 10, "0.30"),
    ("cohere", "parse-v5.0", None, 1_000, "1.50"),
]


@pytest.mark.parametrize(("service", "model", "tier", "pages", "amount"), PAGES)
def test_pages(service: str, model: str, tier: str | None, pages: int, amount: str) -> None:
    assert usd(service, model, tier, pages=pages) == from_usd(amount)


OTHERS: list[tuple[str, str, dict[str, Any], str]] = [
    (
        "openai",
        "gpt-image-2",
        {"tokens_input": 50, "tokens_output": 7024, "tokens_image_output": 7024},
        "0.21097",
    ),
    (
        "openai",
        "gpt-image-1.5",
        # 50 x 5 + 20 x 8 (images of 100, 80 of them cached at 2) + 80 x 2 + 4160 x 32, a million each
        {"tokens_input": 150, "tokens_image_input": 100, "tokens_cached": 80, "tokens_image_cached": 80}
        | {"tokens_output": 4160, "tokens_image_output": 4160, "images": 1},
        "0.13369",
    ),
    ("google", "imagen-4.0-fast-generate-001", {"images": 3}, "0.06"),
    ("black-forest-labs", "flux-pro-1.1-ultra", {"images": 2}, "0.12"),
    ("bfl", "flux-kontext-max", {"images": 1}, "0.08"),
    ("replicate", "black-forest-labs/flux-schnell", {"images": 10}, "0.03"),
    ("recraft", "recraftv3", {"images": 1}, "0.04"),
    ("stability", "stable-image-ultra", {"images": 1}, "0.08"),
    ("openai", "sora-2", {"video_seconds": 8}, "0.80"),
    ("openai", "sora-2-pro+1080x1920", {"video_seconds": 8}, "5.60"),
    ("google", "veo-3.1-generate-preview", {"video_seconds": 8}, "3.20"),
    ("google", "veo-3.1-generate-preview+4k", {"video_seconds": 8}, "4.80"),
    ("google", "veo-3.1-fast-generate-001+1080p", {"video_seconds": 8}, "0.96"),
    ("google", "veo-3.1-lite-generate-001+1080p", {"video_seconds": 8}, "0.64"),
    ("x-ai", "grok-imagine-video+720p", {"video_seconds": 10}, "0.70"),
    ("x-ai", "grok-imagine-video-1.5+1080p", {"video_seconds": 10}, "2.50"),
    ("vertex_ai", "veo-3.1-generate-001", {"video_seconds": 8}, "3.20"),
    ("runway", "gen4_turbo", {"video_seconds": 10}, "0.50"),
    ("runwayml", "gen4.5", {"video_seconds": 5}, "0.60"),
    ("rekognition", "detect-labels", {"images": 1_000}, "1"),
    ("cohere", "rerank-v3.5", {"search_units": 3, "requests": 1}, "0.006"),
    ("cohere", "rerank-v4.0-pro", {"search_units": 1_000}, "2.50"),
    ("aws", "amazon.rerank-v1:0", {"search_units": 1_000}, "1"),
    ("vertex", "semantic-ranker-default-004", {"search_units": 1_000}, "1"),
    ("voyage", "rerank-2.5", {"tokens_input": 1_000_000}, "0.05"),
    ("jina_ai", "jina-reranker-m0", {"tokens_input": 1_000_000}, "0.05"),
    ("voyage", "voyage-4-large", {"tokens_input": 1_000_000}, "0.12"),
    (
        "cohere",
        "embed-v4.0",
        {"tokens_input": 2_000_000, "tokens_image_input": 1_000_000, "images": 9},
        "0.59",
    ),
    ("google", "gemini-embedding-2", {"tokens_input": 1_000_000, "tokens_audio_input": 1_000_000}, "6.50"),
    ("bedrock", "cohere.embed-multilingual-v3", {"tokens_input": 1_000_000}, "0.10"),
    ("runpod", "H100", {"gpu_seconds": 90.2}, "0.100858333"),  # by the started second: 91 / 3,600 x 3.99
    ("runpod", "community/a100-sxm", {"gpu_seconds": 1_800}, "0.695"),
    ("runpod", "serverless/h100", {"gpu_seconds": 99.5}, "0.116"),  # 100 s x 0.00116
    ("runpod", "serverless/a40", {"gpu_seconds": 3_600}, "1.224"),
    ("voyage", "voyage-multimodal-3", {"tokens_input": 1_000_000, "pixels": 1_000_000_000}, "0.72"),
    ("fal", "fal-ai/flux/dev", {"billable_units": 2.5}, "0.0625"),
    ("fal", "fal-ai/flux-pro/kontext/max", {"billable_units": 3}, "0.24"),
    ("modal", "h100", {"gpu_seconds": 90}, "0.09875"),  # by the second: 90 / 3,600 x 3.95
    ("huggingface", "a10g", {"gpu_seconds": 61}, "0.033333333"),  # by the minute: 2 of 60 x 1.00
    ("lambda-labs", "h100", {"gpu_seconds": 1}, "0.0715"),
    ("deepgram", "agent", {"session_seconds": 60}, "0.075"),
    ("assemblyai", "agent", {"session_seconds": 3600}, "4.50"),
    ("elevenlabs", "agents", {"session_seconds": 60}, "0.08"),
    ("anthropic", "claude-sonnet-5-5", {"session_seconds": 3600}, "0.05"),
    ("openai", "gpt-5", {"file_searches": 40, "containers": 2, "web_searches": 3}, "0.19"),
    ("openai", "gpt-4.1", {"preview_searches": 1}, "0.025"),
    (
        "openai",
        "gpt-4o-search-preview",
        {"tokens_input": 1_000, "tokens_output": 500, "web_searches": 1},
        "0.0325",
    ),
    ("google", "gemini-3.8-flash", {"web_searches": 5}, "0.07"),
    ("google", "gemini-2.5-flash", {"web_searches": 1, "maps_searches": 1}, "0.06"),
]


@pytest.mark.parametrize(("service", "model", "counts", "amount"), OTHERS)
def test_images_video_search_units_and_machines(
    service: str, model: str, counts: dict[str, Any], amount: str
) -> None:
    assert usd(service, model, **counts) == from_usd(amount)


@pytest.mark.parametrize(
    ("model", "amount"),
    [
        ("amazon.nova-pro-v1:0", "5"),
        ("us.meta.llama3-1-70b-instruct-v1:0", "1.8"),
        ("meta.llama3-1-405b-instruct-v1:0", "6"),
    ],
)
def test_bedrock_optimized_for_latency_has_its_own_prices(model: str, amount: str) -> None:
    found = usd("bedrock", model, "optimized", tokens_input=1_000_000, tokens_output=1_000_000)
    assert found == from_usd(amount)


HEARD = {"tokens_input": 1_000_000, "tokens_audio_input": 1_000_000}


def test_sixty_services_and_models_and_more_have_a_price_of_their_own() -> None:
    rows = [(str(row[0]), str(row[1])) for row in (*SPEECH_TO_TEXT, *CHARACTERS, *PAGES, *OTHERS)]
    assert len({OWN.name(service, model) for service, model in rows}) > 100


@pytest.mark.parametrize(
    ("service", "model", "day", "tier", "counts", "amount"),
    [
        ("aws-transcribe", "standard", (2026, 5, 31), None, {"audio_seconds": 60}, "0.024"),
        ("aws-transcribe", "standard", (2026, 6, 1), None, {"audio_seconds": 60}, "0.006"),
        ("aws-transcribe", "standard", (2026, 5, 31), "streaming", {"audio_seconds": 60}, "0.024"),
        ("elevenlabs", "eleven_multilingual_v2", (2026, 6, 30), None, {"characters": 1_000}, "0.10"),
        ("azure-speech", "hd", (2026, 2, 28), None, {"characters": 1_000}, "0.03"),
        ("mistral", "mistral-ocr-latest", (2026, 6, 22), None, {"pages": 1_000}, "2"),
        ("mistral", "mistral-ocr-latest", (2025, 11, 1), "batch", {"pages": 1_000}, "0.50"),
        ("openai", "gpt-4o-transcribe", (2026, 11, 1), None, HEARD, "6"),
        ("openai", "gpt-4o-mini-transcribe-2025-12-15", (2026, 11, 1), None, HEARD, "3"),
        ("azure", "gpt-4o-transcribe", (2026, 11, 1), None, HEARD, "6"),
        ("azure", "gpt-4o-mini-transcribe-2025-12-15", (2026, 11, 1), None, HEARD, "3"),
    ],
)
def test_media_prices_are_those_of_the_day(
    service: str, model: str, day: tuple[int, int, int], tier: str | None, counts: dict[str, Any], amount: str
) -> None:
    assert usd(service, model, tier, datetime(*day, tzinfo=UTC), **counts) == from_usd(amount)


LOCAL = (
    *(
        "whisper",
        "openai-whisper",
        "faster-whisper",
        "whisper.cpp",
        "mlx-whisper",
        "nemo",
        "parakeet",
        "vosk",
    ),
    *("pyannote", "indictrans2", "nllb", "marian", "opus-mt", "argos", "libretranslate", "apertium", "piper"),
    *("kokoro", "coqui", "xtts", "espeak", "tesseract", "paddleocr", "easyocr", "surya", "docling", "marker"),
    *("sentence-transformers", "diffusers", "vllm", "ollama"),
)


@pytest.mark.parametrize("service", LOCAL)
def test_local_engines_cost_an_explicit_zero_by_service(service: str) -> None:
    usage = Usage(100, 100, audio_seconds=60, characters=9, pages=2, images=1, video_seconds=3)
    found = OWN.charge(service, "any-model", usage, NOW)
    assert isinstance(found, Charge)
    assert (dict(found.parts), dict(found.missing)) == ({}, {})
    assert OWN.is_local(service, "any-model")
    assert OWN.is_free(service, "any-model", NOW)


@pytest.mark.parametrize("model", ["mlx-whisper", "indictrans2-local"])
def test_some_local_engines_are_known_without_a_service(model: str) -> None:
    for service in ("", "unknown", "litellm"):
        assert OWN.is_local(service, model)


def test_the_same_weights_are_not_free_where_they_are_sold() -> None:
    assert usd("groq", "whisper-large-v3", audio_seconds=3600) == from_usd("0.111")
    assert usd("whisper", "whisper-1", audio_seconds=60) == from_usd("0.006")
    assert usd("indictrans2", "api", tokens_input=1_000_000) == from_usd(1)
    assert not OWN.is_free("whisperx", "large-v3", NOW)


@pytest.mark.parametrize(
    ("service", "model", "free"),
    [
        ("google", "gemma-3-27b-it", True),
        ("openai", "omni-moderation-latest", True),
        ("mistral", "mistral-moderation-latest", True),
        ("openrouter", "deepseek/deepseek-chat-v3:free", True),
        ("openrouter", "somebody/new-model:free", True),
        ("openrouter", "openai/gpt-4o", False),
        ("vertex", "gemma-3-27b-it", False),  # free on the Gemini API alone
        ("openai", "gpt-9", False),
    ],
)
def test_free_models(service: str, model: str, free: bool) -> None:
    assert OWN.is_free(service, model, NOW) is free


VECTOR = {"tokens_input": 1_000, "characters": 7_000}


@pytest.mark.parametrize(
    ("service", "model", "counts", "amount"),
    [
        ("vertex", "text-embedding-005", VECTOR, "0.000175"),
        ("vertex_ai", "text-multilingual-embedding-002", {"characters": 7_000}, "0.000175"),
        ("vertex", "text-embedding-004", {"tokens_input": 1_000}, "0.0001"),
        ("vertex", "gemini-embedding-001", VECTOR, "0.00015"),
        ("google", "gemini-embedding-2", VECTOR, "0.0002"),
    ],
)
def test_a_vector_is_billed_by_the_unit_of_its_model_and_by_tokens_where_nothing_else_is_stated(
    service: str, model: str, counts: dict[str, Any], amount: str
) -> None:
    assert usd(service, model, None, NOW, **counts) == from_usd(amount)


@pytest.mark.parametrize(
    ("service", "model", "counts"),
    [
        ("vertex", "text-embedding-005", {"images": 1}),
        ("openai", "gpt-4o-transcribe", {"audio_seconds": 3_600}),
        ("google", "gemini-2.5-flash", {"audio_seconds": 3_600}),
        ("deepl", "text", {"requests": 1}),
        ("speechmatics", "standard", {"audio_seconds": 3_600}),  # one old list alone has a price
        ("mistral", "voxtral-mini-latest", {"tokens_input": 1_000}),
        ("cohere", "rerank-v3.5", {"tokens_input": 1_000}),
        ("modal", "h100", {"audio_seconds": 5}),
    ],
)
def test_a_unit_that_is_not_billed_alone_is_unknown_and_never_zero(
    service: str, model: str, counts: dict[str, Any]
) -> None:
    assert isinstance(OWN.charge(service, model, Usage(**counts), NOW), Unpriced)


@pytest.mark.parametrize(
    ("service", "model", "why"),
    [
        ("sarvam", "saaras:v3", "rupees"),
        ("openai", "gpt-oss-120b", "sells no gpt-oss"),  # genai-prices has another seller's price for it
        ("acme", "summarizer-9", None),
    ],
)
def test_why_there_is_no_price_is_said_where_that_is_known(service: str, model: str, why: str | None) -> None:
    found = OWN.charge(service, model, Usage(audio_seconds=60), NOW)
    assert isinstance(found, Unpriced)
    assert ("2026-11-28 (" in found.reason) is (why is not None)
    assert why is None or why in found.reason


def test_the_hosted_price_of_whisperx_is_said_once_in_a_process(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shared.costs.tracking.recording._notices_logged", set())
    for job in ("one", "two"):
        with CostTracker(tmp_path / job, cost_storage_path=tmp_path / "costs") as tracker:
            assert tracker.log_usage("WhisperX", "large-v3", audio_seconds=60) == 0.006
            assert tracker.log_usage("openai", "whisper-1", audio_seconds=60) == 0.006
    said = [record.getMessage() for record in caplog.records if "whisperx-local" in record.getMessage()]
    assert len(said) == 1
    assert "priced as the hosted service" in said[0]
    assert OWN.notice("whisperx-local") is None
    described = OWN.describe("whisperx", "large-v3", NOW)
    assert described is not None
    assert described.current is not None
    assert "your own machine" in described.current.note
