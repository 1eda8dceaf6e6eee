"""Kinds of charges that once were lost, raised into the stage or taken for another: several samples of each.

Each row is an answer as its SDK gives it, and what has to be recorded of it: the model, the state, the cost.
"""

from __future__ import annotations

import io
import json
import wave
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from test_capture_charges import chat, followed, message

from shared.cost_tracker import CostTracker
from shared.costs.capture.hooks.litellm import record
from shared.costs.capture.reading import UnknownResponse, read_response
from shared.costs.model import Charge, Usage
from shared.costs.pricing.catalogue import Catalogue

AT = "2026-11-28T12:00:00Z"
SEARCH = {"type": "web_search_call", "action": {"type": "search"}}


class HttpResponse:
    """A raw response as generated SDKs give it."""

    def __init__(self, headers: dict[str, str], data: Any = None) -> None:
        self.headers, self.data = headers, data


def named(kind: str, **fields: Any) -> Any:
    """An object of a class of that name, as an SDK's types are told by theirs."""
    made = type(kind, (), {})()
    vars(made).update(fields)
    return made


def textract(**more: Any) -> dict[str, Any]:
    return {"DocumentMetadata": {"Pages": 2}, "Blocks": [], **more}


def blocks(*kinds: str) -> dict[str, Any]:
    return textract(AnalyzeDocumentModelVersion="1.0", Blocks=[{"BlockType": kind} for kind in kinds])


def deepgram(alternative: dict[str, Any], **about: Any) -> dict[str, Any]:
    metadata = {"request_id": "r", "duration": 60, "channels": 1, "model_info": {"m": {"arch": "nova-3"}}}
    return {"metadata": {**metadata, **about}, "results": {"channels": [{"alternatives": [alternative]}]}}


def transcript(**more: Any) -> dict[str, Any]:
    about = {"id": "t", "audio_url": "u", "status": "completed", "audio_duration": 3600}
    return {**about, "speech_model_used": "universal-2", **more}


def ocr(**more: Any) -> dict[str, Any]:
    return {"model": "mistral-ocr-4-0", "pages": [], "usage_info": {"pages_processed": 1000}, **more}


def ai(about: dict[str, Any], tokens: tuple[int, int] = (1000, 200), **more: Any) -> dict[str, Any]:
    usage = {"input_tokens": tokens[0], "output_tokens": tokens[1], "total_tokens": sum(tokens)}
    return {"type": "ai", "content": "x", "usage_metadata": usage, "response_metadata": about, **more}


def claude(**usage: Any) -> dict[str, Any]:
    told = {"input_tokens": 1000, "output_tokens": 200, **usage}
    return ai({"model_name": "claude-opus-4-8", "model_provider": "anthropic", "id": "msg_1", "usage": told})


def gemini(tier: str, model: str = "gemini-3-flash-preview", **counts: int) -> dict[str, Any]:
    usage = {"prompt_token_count": 1000, "candidates_token_count": 100, **counts}
    headers = {"headers": {"x-gemini-service-tier": tier}}
    return {"candidates": [], "model_version": model, "usage_metadata": usage, "sdk_http_response": headers}


POLICIES = {"contentPolicyUnits": 2, "wordPolicyUnits": 2, "sensitiveInformationPolicyFreeUnits": 1}
PRICED: list[tuple[str, Any, dict[str, Any], str, str, str | None]] = [
    # Textract: what was asked for and not found is not the price of plain text.
    ("plain text", textract(), {}, "detect-document-text", "whole", "0.003"),
    ("analysed, nothing found", blocks("LINE"), {}, "analyze-document", "unknown", None),
    ("queries", blocks("QUERY", "QUERY_RESULT"), {}, "queries", "unknown", None),
    ("tables and signatures", blocks("TABLE", "SIGNATURE"), {}, "tables+signatures", "partial", "0.03"),
    ("forms and tables", blocks("KEY_VALUE_SET", "TABLE"), {}, "forms+tables", "whole", "0.13"),
    ("an identity card", textract(IdentityDocuments=[{}]), {}, "analyze-id", "unknown", None),
    ("features given", blocks("LINE"), {"model": "tables"}, "tables", "whole", "0.03"),
    # Features that are billed on top.
    ("speakers", deepgram({"words": [{"speaker": 0}]}), {}, "nova-3+diarize", "whole", "0.0063"),
    ("entities", deepgram({"entities": []}), {}, "nova-3+detect_entities", "whole", "0.006"),
    (
        "of a model that is given",
        deepgram({"words": [{"speaker": 1}]}),
        {"model": "nova-3-multilingual"},
        "nova-3-multilingual+diarize",
        "whole",
        "0.0072",
    ),
    (
        "sentiment",
        deepgram({}, sentiment_info={"input_tokens": 9, "output_tokens": 1}),
        {},
        "nova-3",
        "partial",
        "0.0043",
    ),
    ("speaker labels", transcript(speaker_labels=True), {}, "universal-2+speaker_labels", "whole", "0.17"),
    (
        "two features",
        transcript(redact_pii=True, entity_detection=True),
        {},
        "universal-2+redact_pii+entity_detection",
        "whole",
        "0.25",
    ),
    ("chapters", transcript(auto_chapters=True), {}, "universal-2+auto_chapters", "partial", "0.15"),
    (
        "names",
        {"transcription_id": "t", "words": [], "audio_duration_secs": 3600, "entities": [{}]},
        {"model": "scribe_v2"},
        "scribe_v2+entity_detection",
        "whole",
        "0.29",
    ),
    ("annotated", ocr(document_annotation="{}"), {}, "mistral-ocr-4-0+annotations", "whole", "5.0"),
    (
        "pictures annotated",
        ocr(pages=[{"images": [{"image_annotation": "{}"}]}]),
        {},
        "mistral-ocr-4-0+annotations",
        "whole",
        "5.0",
    ),
    (
        "annotated in a batch",
        ocr(document_annotation="{}"),
        {"batch": True},
        "mistral-ocr-4-0+annotations",
        "whole",
        "2.5",
    ),
    # Gemini's tiers have prices.
    ("priority", gemini("priority"), {}, "gemini-3-flash-preview", "whole", "0.00144"),
    ("flex", gemini("flex", "gemini-2.5-flash"), {}, "gemini-2.5-flash", "whole", "0.000275"),
    (
        "flex, cached",
        gemini("flex", cached_content_token_count=400),
        {},
        "gemini-3-flash-preview",
        "partial",
        "0.0003",
    ),
    # What a trace of Bedrock and a conversation of Mistral bill beside tokens has no price here.
    (
        "checks of a guardrail",
        {
            "stopReason": "end_turn",
            "usage": {"inputTokens": 1000, "outputTokens": 100, "totalTokens": 1100},
            "trace": {
                "guardrail": {
                    "inputAssessment": {"g": {"invocationMetrics": {"usage": POLICIES}}},
                    "outputAssessments": {"g": [{"invocationMetrics": {"usage": POLICIES}}]},
                }
            },
        },
        {"model": "amazon.nova-lite-v1:0"},
        "amazon.nova-lite-v1:0",
        "partial",
        "0.000084",
    ),
    (
        "a conversation",
        {
            "object": "conversation.response",
            "conversation_id": "c",
            "outputs": [{"type": "message.output", "content": "x", "model": "mistral-medium-2508"}],
            "usage": {"prompt_tokens": 1000, "completion_tokens": 100, "total_tokens": 1100},
        },
        {},
        "mistral-medium-2508",
        "whole",
        "0.0006",
    ),
    # LangChain hands on what Anthropic and others state.
    ("in the United States", claude(inference_geo="us"), {}, "claude-opus-4-8", "whole", "0.011"),
    ("fast", claude(speed="fast"), {}, "claude-opus-4-8", "whole", "0.02"),
    (
        "compacted",
        claude(iterations=[{"type": "compaction", "input_tokens": 10_000, "output_tokens": 400}]),
        {},
        "claude-opus-4-8",
        "whole",
        "0.07",
    ),
    (
        "a bill",
        ai({"model_name": "a/b", "model_provider": "openrouter", "token_usage": {"cost": 0.0123}}),
        {},
        "a/b",
        "whole",
        "0.0123",
    ),
    (
        "a tool in blocks of its own",
        ai(
            {"model_name": "gpt-5.1"},
            content=[{"type": "server_tool_call", "name": "web_search", "args": {"type": "search"}}],
        ),
        {},
        "gpt-5.1",
        "whole",
        "0.01325",
    ),
    (
        "a drawing",
        ai({"model_name": "gpt-5.1"}, content=[{"type": "image_generation_call"}]),
        {},
        "gpt-5.1",
        "partial",
        "0.00325",
    ),
    # What raised into the stage.
    (
        "a compaction",
        {
            "object": "response.compaction",
            "id": "resp_c",
            "usage": {"input_tokens": 1000, "output_tokens": 200},
        },
        {"model": "gpt-5.1"},
        "gpt-5.1",
        "whole",
        "0.00325",
    ),
    (
        "a moderation",
        {"id": "modr-1", "model": "omni-moderation-latest", "results": [{}]},
        {},
        "omni-moderation-latest",
        "whole",
        "0.0",
    ),
    (
        "a turn alone",
        {
            "type": "response.done",
            "response": {"id": "resp_t", "usage": {"input_tokens": 100, "output_tokens": 50}},
        },
        {"model": "gpt-realtime"},
        "gpt-realtime",
        "whole",
        "0.0012",
    ),
    (
        "a translation",
        named("TranslationVerbose", text="x", duration=60.0),
        {"model": "whisper-1"},
        "whisper-1",
        "whole",
        "0.006",
    ),
    (
        "a translation without usage",
        named("Translation", text="x"),
        {"model": "whisper-1"},
        "whisper-1",
        "unknown",
        None,
    ),
    ("a bare text", "plain", {"service": "openai", "model": "whisper-1"}, "whisper-1", "unknown", None),
    (
        "a picture without usage",
        {"created": 1, "data": [{"url": "u"}], "usage": {"total_tokens": 0}},
        {"service": "fal", "model": "fal-ai/flux/schnell"},
        "fal-ai/flux/schnell",
        "whole",
        "0.003",
    ),
    (
        "a task of Polly",
        {
            "SynthesisTask": {
                "TaskId": "t",
                "TaskStatus": "completed",
                "Engine": "neural",
                "RequestCharacters": 1000,
            }
        },
        {},
        "neural",
        "whole",
        "0.016",
    ),
    (
        "a medical job",
        {
            "MedicalTranscriptionJob": {
                "MedicalTranscriptionJobName": "j",
                "TranscriptionJobStatus": "COMPLETED",
            }
        },
        {},
        "medical",
        "unknown",
        None,
    ),
    ("labels", {"Labels": [], "ResponseMetadata": {"RequestId": "r"}}, {}, "image", "whole", "0.001"),
    (
        "a document",
        {"TranslatedDocument": {"Content": b"x"}, "TargetLanguageCode": "de"},
        {},
        "standard",
        "unknown",
        None,
    ),
    (
        "speech",
        named("SynthesizeSpeechResponse", audio_content=b"x"),
        {"model": "en-US-Chirp3-HD-Kore"},
        "en-US-Chirp3-HD-Kore",
        "unknown",
        None,
    ),
    (
        "images",
        named("BatchAnnotateImagesResponse", responses=[1, 2]),
        {"model": "document-text-detection"},
        "document-text-detection",
        "whole",
        "0.003",
    ),
    # Prices.
    (
        "pixels",
        named(
            "MultimodalEmbeddingsObject",
            embeddings=[[0.1]],
            total_tokens=4000,
            text_tokens=1000,
            image_pixels=2_000_000,
        ),
        {"model": "voyage-multimodal-3.5"},
        "voyage-multimodal-3.5",
        "whole",
        "0.00132",  # 1,000 tokens x 0.12 a million, 2 million pixels x 0.60 a billion
    ),
    (
        "pixels in a plain answer",
        {
            "object": "list",
            "data": [{"object": "embedding", "embedding": [0.1], "index": 0}],
            "model": "voyage-multimodal-3.5",
            "usage": {"text_tokens": 1000, "image_pixels": 2_000_000, "total_tokens": 4571},
        },
        {},
        "voyage-multimodal-3.5",
        "whole",
        "0.00132",
    ),
    (
        "pixels of a video",
        named(
            "MultimodalEmbeddingsObject",
            embeddings=[[0.1]],
            total_tokens=9000,
            text_tokens=0,
            image_pixels=1_000_000,
            video_pixels=4_000_000,
        ),
        {"model": "voyage-multimodal-3.5"},
        "voyage-multimodal-3.5",
        "whole",
        "0.003",
    ),
    (
        "a form of another kind",
        named("AnalyzeResult", api_version="1", model_id="prebuilt-tax.us.w2", pages=[1, 2]),
        {},
        "prebuilt-tax.us.w2",
        "whole",
        "0.02",
    ),
]


@pytest.mark.parametrize(
    ("answer", "given", "model", "state", "cost"), [row[1:] for row in PRICED], ids=[row[0] for row in PRICED]
)
def test_a_charge_is_whole_or_says_what_is_missing(
    answer: Any, given: dict[str, Any], model: str, state: str, cost: str | None, tmp_path: Path
) -> None:
    with CostTracker(job_dir=tmp_path / "job", cost_storage_path=tmp_path / "home") as tracker:
        tracker.log_response(answer, timestamp=AT, **given)
    [line] = (tmp_path / "job" / "cost_ledger.jsonl").read_text().splitlines()
    entry = json.loads(line, parse_float=Decimal)
    # A line without a price says so by its null; the state stands where something is missing.
    found = entry.get("cost_state", "unknown" if entry["cost_usd"] is None else "whole")
    assert (entry["model"], found) == (model, state)
    assert entry["cost_usd"] == (None if cost is None else Decimal(cost))


@pytest.mark.parametrize("ends", [True, False])
def test_a_streamed_conversation_of_mistral_states_its_usage_at_its_end(ends: bool) -> None:
    spoken = {"type": "message.output.delta", "content": "four words of text", "model": "mistral-medium-2508"}
    used = {"prompt_tokens": 1000, "completion_tokens": 100, "total_tokens": 1100}
    events = [{"type": "conversation.response.started"}, {"event": "x", "data": spoken}]
    events += [{"type": "conversation.response.done", "usage": used}] if ends else []
    [call] = followed(events)
    assert (call.service, call.model, call.usage_known) == ("mistral", "mistral-medium-2508", ends)
    assert call.usage == (Usage(1000, 100) if ends else Usage(tokens_output=5))


def test_what_nobody_says_anything_of_is_refused() -> None:
    with pytest.raises(UnknownResponse):
        read_response("plain", model="whisper-1")


LIVE: list[tuple[str, list[Any], str, str]] = [
    (
        "Flux",
        [{"type": "TurnInfo", "request_id": "f", "turn_index": 0, "audio_window_end": 60.0}],
        "flux-general-en",
        "0.0077",
    ),
    (
        "AssemblyAI",
        [
            {"type": "Begin", "id": "a", "expires_at": 1},
            {"type": "Termination", "session_duration_seconds": 3600},
        ],
        "universal-streaming",
        "0.15",
    ),
    ("Soniox", [{"tokens": [], "total_audio_proc_ms": 3_600_000, "finished": True}], "stt-rt-v5", "0.12"),
    (
        "Google",
        [
            named("StreamingRecognizeResponse", total_billed_time=timedelta(0)),
            named("StreamingRecognizeResponse", total_billed_time=timedelta(seconds=60)),
        ],
        "default",
        "0.024",
    ),
    (
        "Google, a model of both versions",
        [named("StreamingRecognizeResponse", total_billed_time=timedelta(seconds=60))],
        "latest_long",
        "0.024",
    ),
]


@pytest.mark.parametrize(("chunks", "model", "cost"), [row[1:] for row in LIVE], ids=[row[0] for row in LIVE])
def test_live_speech_has_the_price_of_live_speech(
    chunks: list[Any], model: str, cost: str, tmp_path: Path
) -> None:
    with CostTracker(job_dir=tmp_path / "job", cost_storage_path=tmp_path / "home") as tracker:
        list(tracker.log_stream(iter(chunks), model=model))
    [line] = (tmp_path / "job" / "cost_ledger.jsonl").read_text().splitlines()
    assert json.loads(line, parse_float=Decimal)["cost_usd"] == Decimal(cost)


def test_tools_that_ran_before_a_stream_was_cut_are_billed() -> None:
    item = {"type": "response.output_item.done", "item": SEARCH}
    [call] = followed(
        [{"type": "response.created", "response": {"id": "resp_1", "model": "gpt-5.1"}}, item, item]
    )
    assert (call.usage.web_searches, call.usage_known) == (2, False)
    start = {"type": "message_start", "message": message()}
    block = {"type": "web_search_tool_result", "content": []}
    found = {"type": "content_block_start", "content_block": block}
    failed = {**found, "content_block": {**block, "content": {"type": "error"}}}
    [call] = followed([start, found, failed])
    assert (call.usage.web_searches, call.usage.tokens_input, call.usage_known) == (1, 1000, True)


def test_a_stream_is_billed_as_the_model_that_answered_it() -> None:
    start = {"type": "message_start", "message": message(model="claude-fable-5")}
    tried = [
        {"type": "message", "model": "claude-fable-5", "input_tokens": 1000, "output_tokens": 30},
        {"type": "fallback_message", "model": "claude-opus-5", "input_tokens": 1000, "output_tokens": 20},
    ]
    end = {"type": "message_delta", "delta": {}, "usage": {"output_tokens": 20, "iterations": tried}}
    answered, declined = followed([start, end])
    assert (answered.model, answered.usage.tokens_output) == ("claude-opus-5", 20)
    assert (declined.model, declined.usage.tokens_output) == ("claude-fable-5", 30)


def test_a_refusal_before_output_is_free_in_a_stream_whose_first_event_counts_a_token() -> None:
    usage = {"input_tokens": 1000, "output_tokens": 1}
    start = {"type": "message_start", "message": message(usage=usage)}
    end = {"type": "message_delta", "delta": {"stop_reason": "refusal"}, "usage": {"output_tokens": 0}}
    [call] = followed([start, end])
    assert call.usage == Usage()


def test_a_chat_that_searches_always_does_so_behind_langchain_too() -> None:
    [call] = read_response(ai({"model_name": "gpt-5-search-api"}))
    assert call.usage.web_searches == 1
    assert read_response(chat("gpt-4o", {"prompt_tokens": 1}))[0].usage.web_searches == 0


def test_tools_of_xai_that_no_item_of_output_tells_of_are_said_to_be_missing() -> None:
    used = {"web_search_calls": 2, "x_search_calls": 1, "mcp_calls": 4}
    [call] = read_response(chat("grok-4", {"prompt_tokens": 9, "server_side_tool_usage_details": used}))
    assert (call.usage.web_searches, call.usage.containers, call.unpriced_units) == (3, 0, {})


def test_what_litellm_cannot_say_more_of_is_recorded_at_its_estimate() -> None:
    """Speech is bytes: LiteLLM's own figure is all that there is of it."""
    found: list[Any] = []
    sink = named("Sink", record_captured=found.append)
    kwargs = {"model": "tts-1", "litellm_params": {"custom_llm_provider": "openai"}, "response_cost": 0.015}
    record(sink, kwargs, named("HttpxBinaryResponseContent"))
    assert [(call.service, call.model, call.actual_cost, call.usage_known) for call in found] == [
        ("openai", "tts-1", 15_000_000, False)
    ]


def test_speech_through_litellm_is_its_text_spaces_included(tmp_path: Path) -> None:
    """LiteLLM counts 720 of these 900 characters; $15 a million."""
    kwargs = {"call_type": "speech", "input": "The quick brown fox jumps over the lazy dog. " * 20}
    about = kwargs | {
        "model": "tts-1",
        "litellm_params": {"custom_llm_provider": "openai"},
        "response_cost": 0.0108,
    }
    tracker = CostTracker(tmp_path / "job-1", cost_storage_path=tmp_path / "storage")
    record(tracker, about, named("HttpxBinaryResponseContent"))
    assert tracker.get_job_cost() == 0.0135


def transcribed(measured: float | None = None) -> Any:
    """What LiteLLM returns of a transcription whose answer states nothing but its text."""
    made = type("TranscriptionResponse", (), {"__module__": "litellm.types.utils"})()
    hidden = {"custom_llm_provider": "openai", "audio_transcription_duration": measured}
    vars(made).update(text="hello", usage=None, duration=None, _hidden_params=hidden)
    return made


def wav(seconds: int) -> bytes:
    """A recording of silence."""
    with wave.open(content := io.BytesIO(), "wb") as sound:
        sound.setparams((1, 2, 8_000, 0, "NONE", "not compressed"))
        sound.writeframes(bytes(2 * 8_000 * seconds))
    return content.getvalue()


def read_to_the_end(content: bytes) -> io.BytesIO:
    """A file in memory as OpenAI's clients want it: with a name, which is nowhere."""
    file = io.BytesIO(content)
    file.name = "a.wav"
    file.read()
    return file


PIPED = wav(7)[:40] + b"\xff" * 4 + wav(7)[44:]
"""A recording whose encoder could not go back and write how long it became."""


@pytest.mark.parametrize(
    ("file", "measured", "seconds"),
    [
        (("a.wav", wav(7)), None, 7),
        (wav(7), None, 7),
        (PIPED, None, 7),
        (read_to_the_end(wav(7)), None, 7),
        (("a.mp3", b"ID3"), 61.5, 61.5),  # LiteLLM had soundfile
        (("a.mp3", b"ID3"), None, 0),
        (wav(7)[:20], None, 0),
        (None, None, 0),
    ],
    ids=["named", "bytes", "piped", "in memory", "by litellm", "mp3", "cut", "nothing"],
)
def test_a_transcription_through_litellm_is_as_long_as_its_recording(
    file: object, measured: float | None, seconds: float
) -> None:
    found: list[Any] = []
    kwargs = {
        "model": "whisper-1",
        "call_type": "transcription",
        "litellm_params": {"custom_llm_provider": "openai"},
        "input": repr(file),  # as LiteLLM hands it on
        "additional_args": {"complete_input_dict": {"model": "whisper-1", "file": file}},
    }
    record(named("Sink", record_captured=found.append), kwargs, transcribed(measured))
    [call] = found
    assert (call.model, call.usage, call.usage_known) == (
        "whisper-1",
        Usage(audio_seconds=seconds),
        bool(seconds),
    )
    assert call.incomplete is not None


def test_tokens_of_cohere_through_litellm_are_said_to_be_more_than_it_bills() -> None:
    made = type("ModelResponse", (), {"__module__": "litellm.types.utils"})()
    usage = {"prompt_tokens": 700, "completion_tokens": 25}
    hidden = {"custom_llm_provider": "cohere_chat"}
    vars(made).update(
        object="chat.completion", id="c", model="command-r-plus-08-2024", usage=usage, _hidden_params=hidden
    )
    [call] = read_response(made)
    assert (call.service, call.usage) == ("cohere_chat", Usage(700, 25))
    assert "fewer" in (call.incomplete or "")
    quote = Catalogue.load().charge(
        call.service, "command-r+-08-2024", call.usage, datetime(2026, 11, 28, tzinfo=UTC)
    )
    assert isinstance(quote, Charge)
    assert quote.total == 2_000_000


def test_litellm_hands_on_where_and_how_fast_a_call_ran() -> None:
    made = type("ModelResponse", (), {"__module__": "litellm.types.utils"})()
    usage = {"prompt_tokens": 10, "completion_tokens": 2, "inference_geo": "us", "speed": "fast"}
    vars(made).update(object="chat.completion", id="c", model="claude-opus-4-8", usage=usage)
    [call] = read_response(made)
    assert (call.region, call.service_tier) == ("us", "fast")
