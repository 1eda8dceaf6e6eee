"""What the SDKs of speech, translation and document services leave out, put elsewhere or say twice."""

from __future__ import annotations

from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from capture_cells.media import assemblyai_session, textract
from test_capture_charges import followed

from shared.costs.capture.reading import read_response
from shared.costs.model import Usage


class HttpResponse:
    """A raw response as generated SDKs give it."""

    def __init__(self, headers: dict[str, str], data: Any = None) -> None:
        self.headers, self.data = headers, data


SPOKEN: list[tuple[dict[str, str], str, int, str]] = [
    (
        {"dg-char-count": "77", "dg-model-name": "aura-2-thalia-en", "dg-request-id": "r"},
        "deepgram",
        77,
        "aura-2",
    ),
    ({"Character-Cost": "12", "request-id": "r"}, "elevenlabs", 12, "eleven_v4"),
]


@pytest.mark.parametrize(("headers", "service", "characters", "model"), SPOKEN)
def test_speech_states_its_characters_in_a_header(
    headers: dict[str, str], service: str, characters: int, model: str
) -> None:
    given = model if service == "elevenlabs" else None
    [call] = read_response(HttpResponse(headers, iter([b"audio"])), model=given)
    assert (call.service, call.model, call.usage, call.request_id) == (
        service,
        model,
        Usage(characters=characters),
        "r",
    )


def test_what_is_in_a_raw_response_is_read_where_its_headers_say_nothing() -> None:
    billed = {"id": "r1", "results": [], "meta": {"billed_units": {"search_units": 2}}}
    [call] = read_response(HttpResponse({"date": "x"}, billed), model="rerank-v3.5")
    assert call.usage == Usage(search_units=2)


@pytest.mark.parametrize("status", ["queued", "processing", "error"])
def test_a_transcript_that_is_not_done_is_no_call(status: str) -> None:
    assert read_response({"id": "t", "audio_url": "u", "status": status, "audio_duration": None}) == ()


def test_a_live_session_is_billed_for_as_long_as_it_was_open() -> None:
    [call] = followed(assemblyai_session(), model="universal-streaming")
    assert (call.usage, call.service_tier, call.request_id) == (Usage(audio_seconds=62), "streaming", "aai-2")
    [cut] = followed(assemblyai_session(whole=False), model="universal-streaming")
    assert not cut.usage_known


UNSTATED: list[tuple[Any, str]] = [
    ({"total_billed_time": timedelta(0), "results": []}, "audio_seconds"),
    ({"transcription_id": "t", "words": [], "audio_duration_secs": None}, "audio_seconds"),
    ({"TranslatedText": "x", "TargetLanguageCode": "de", "SourceLanguageCode": "en"}, "characters"),
    (
        {"TranscriptionJob": {"TranscriptionJobName": "j", "TranscriptionJobStatus": "COMPLETED"}},
        "audio_seconds",
    ),
]


@pytest.mark.parametrize(("answer", "unit"), UNSTATED)
def test_what_is_not_stated_is_unknown_and_never_zero(answer: Any, unit: str) -> None:
    [call] = read_response(answer, model="m")
    assert not call.usage_known
    assert f"give {unit}" in (call.incomplete or "")


def test_pages_of_a_job_that_is_under_way_or_failed_are_not_counted() -> None:
    assert read_response(textract(JobStatus="IN_PROGRESS")) == ()
    assert read_response(textract(JobStatus="FAILED")) == ()


def test_an_utterance_states_ticks_and_a_speech_its_length_alone() -> None:
    utterance = SimpleNamespace(result_id="u1", duration=35_000_000, offset=5)
    [call] = read_response(utterance)
    assert (call.service, call.usage, call.request_id) == ("azure-speech", Usage(audio_seconds=3.5), "u1")
    [spoken] = read_response(SimpleNamespace(result_id="s1", audio_duration=timedelta(seconds=4)))
    assert not spoken.usage_known


def test_a_vector_of_vertex_states_characters_beside_its_tokens() -> None:
    stated = [
        {"values": [0.1], "statistics": {"tokenCount": 5}},
        {"values": [0.2], "statistics": {"tokenCount": 6}},
    ]
    [call] = read_response({"embeddings": stated, "metadata": {"billableCharacterCount": 1_234}})
    assert (call.service, call.usage) == ("google", Usage(tokens_input=11, characters=1_234))


RANKED = [{"index": 0, "relevance_score": 0.9}]
RERANKED: list[tuple[dict[str, Any], str, str, Usage, int | None]] = [
    (
        {"model": "jina-reranker-m0", "object": "list", "usage": {"total_tokens": 815}, "results": RANKED},
        "jina",
        "jina-reranker-m0",
        Usage(tokens_input=815),
        None,
    ),
    (
        {
            "object": "list",
            "data": RANKED,
            "model": "rerank-2.5-lite",
            "usage": {"total_tokens": 26},
        },
        "voyageai",
        "rerank-2.5-lite",
        Usage(tokens_input=26),
        None,
    ),
    (
        {
            "id": "gen-1",
            "model": "cohere/rerank-v3.5",
            "results": RANKED,
            "usage": {"search_units": 2, "cost": 0.004},
        },
        "cohere",
        "cohere/rerank-v3.5",
        Usage(search_units=2),
        4_000_000,
    ),
    (
        {"output": {"results": RANKED}, "usage": {"total_tokens": 79}, "request_id": "r"},
        "unknown",
        "unknown",
        Usage(tokens_input=79),
        None,
    ),
    (
        {"results": RANKED, "meta": {"billed_units": {"total_tokens": 64}, "tokens": {"input_tokens": 60}}},
        "cohere",
        "unknown",
        Usage(tokens_input=64),
        None,
    ),
]


@pytest.mark.parametrize(("answer", "service", "model", "usage", "cost"), RERANKED)
def test_a_reranker_states_tokens_or_searches_and_whose_it_is(
    answer: dict[str, Any], service: str, model: str, usage: Usage, cost: int | None
) -> None:
    [call] = read_response(answer)
    assert (call.service, call.model, call.usage, call.actual_cost) == (service, model, usage, cost)
    assert call.usage_known


def test_a_reranker_that_states_no_count_is_unknown() -> None:
    [call] = read_response({"results": RANKED, "usage": {"total_tokens": 0}}, model="jina-reranker-m0")
    assert not call.usage_known


def test_several_texts_are_one_call() -> None:
    texts = [{"text": "a", "billed_characters": 3}, {"text": "b", "billed_characters": 4}]
    [call] = read_response({"translations": texts})
    assert (call.service, call.usage) == ("deepl", Usage(characters=7))
    azure = [{"translations": [{"text": "x", "to": "de", "source_characters": 5}]}] * 2
    [call] = read_response(azure)
    assert (call.service, call.usage) == ("azure-translator", Usage(characters=10))
