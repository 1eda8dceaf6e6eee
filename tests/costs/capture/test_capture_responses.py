"""Reading single responses: who served them, what the caller says, what is refused or contradictory."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from capture_cells.anthropic import USAGE, beta_message, message
from capture_cells.openai_chat import CHAT, batch_line, chat, response, response_usage
from capture_cells.openai_media import images, transcription
from capture_sink import Broken, Calls

from shared.cost_tracker import CostTracker
from shared.costs.capture.adapters.langchain import LangChainFollower
from shared.costs.capture.agent_sessions import CURRENT
from shared.costs.capture.captured import Captured, usage_of
from shared.costs.capture.fields import Fields
from shared.costs.capture.hooks.langchain import ModelCalls
from shared.costs.capture.hooks.litellm import record
from shared.costs.capture.reading import UnknownResponse, all_adapters, read_response
from shared.costs.capture.streams import track_stream
from shared.costs.ledger.line import decode
from shared.costs.model import Charge, PricedBy, Usage
from shared.costs.money import Nanos, from_usd
from shared.costs.tracking.charging import settle
from shared.costs.tracking.responses import as_call

ANSWER: dict[str, Any] = {"object": "chat.completion", "id": "c-1", "model": "gpt-4o", "usage": CHAT}


class TestWhoServedIt:
    @pytest.mark.parametrize(
        ("more", "service"),
        [
            ({}, "openai"),
            ({"x_groq": {"id": "g"}, "model": "llama-3.3-70b"}, "groq"),
            ({"prompt_filter_results": []}, "azure"),
            ({"provider": "Anthropic", "id": "gen-1", "model": "anthropic/claude-sonnet-4.5"}, "openrouter"),
            ({"citations": ["https://example.org"], "model": "sonar"}, "perplexity"),
            ({"model": "deepseek-chat"}, "deepseek"),
            ({"model": "grok-4"}, "x-ai"),
            ({"model": "some-local-model"}, "openai"),
        ],
    )
    def test_of_servers_that_speak_openais_format(self, more: dict[str, Any], service: str) -> None:
        [call] = read_response(ANSWER | more)
        assert call.service == service

    def test_what_the_caller_says_wins(self) -> None:
        [call] = read_response(ANSWER, service="azure", model="my-deployment")
        assert (call.service, call.model) == ("azure", "my-deployment")

    def test_the_provider_of_a_mistral_dict_is_told_by_its_model(self) -> None:
        [call] = read_response(ANSWER | {"model": "mistral-small-latest"})
        assert call.service == "mistral"


class TestStatedCosts:
    @pytest.mark.parametrize(
        ("cost", "stated"),
        [
            (0.0123, from_usd("0.0123")),
            ({"total_cost": 0.006}, from_usd("0.006")),
            (True, None),
            (-1, None),
            ("x", None),
        ],
    )
    def test_of_openrouter_and_perplexity(self, cost: object, stated: int | None) -> None:
        [call] = read_response(ANSWER | {"usage": CHAT | {"cost": cost}})
        assert call.actual_cost == stated


class TestSeveralCalls:
    def test_an_advisor_of_anthropic_is_a_call_of_its_own(self) -> None:
        advice = {
            "type": "advisor_message",
            "model": "claude-opus-4-7",
            "input_tokens": 800,
            "output_tokens": 90,
        }
        advice |= {"cache_read_input_tokens": 100, "cache_creation_input_tokens": 0}
        first, second = read_response(beta_message(USAGE | {"iterations": [advice]}), model="claude-mine")
        assert (first.model, first.usage.tokens_input) == ("claude-mine", 1000)
        assert (second.model, second.usage) == ("claude-opus-4-7", Usage(900, 90, 100))
        assert first.request_id != second.request_id

    def test_drawing_an_svg_is_a_call_of_the_model_that_wrote_it(self) -> None:
        pytest.importorskip("openai")
        drawing = {"input_tokens": 9, "output_tokens": 70, "reasoning_tokens": 20, "total_tokens": 79}
        made = images(None).model_dump() | {"svg_usage": drawing | {"model": "gpt-5"}, "_request_id": "r"}
        first, second = read_response(made, model="gpt-image-2")
        assert (first.model, first.usage.images, first.request_id) == ("gpt-image-2", 1, "r")
        assert (second.model, second.usage, second.request_id) == (
            "gpt-5",
            Usage(9, 70, tokens_reasoning=20),
            "r/svg",
        )

    def test_what_failed_in_a_batch_is_not_billed(self) -> None:
        failed = batch_line(chat(CHAT))
        failed["response"]["status_code"] = 429
        assert read_response(failed) == ()
        assert read_response({"custom_id": "1", "result": {"type": "errored", "error": {}}}) == ()

    @pytest.mark.parametrize(
        "line",
        [
            {"id": "batch_req_1", "custom_id": "1", "response": None, "error": {"code": "batch_expired"}},
            {"key": "1", "error": {"code": 13, "message": "internal"}},
        ],
    )
    def test_a_request_of_a_batch_without_a_response_is_not_billed(self, line: dict[str, Any]) -> None:
        assert read_response(line) == ()

    def test_an_inlined_response_of_gemini_that_failed_is_not_billed(self) -> None:
        types = pytest.importorskip("google.genai.types")
        assert read_response(types.InlinedResponse(error=types.JobError(code=13))) == ()


class TestIdsThatComeAgain:
    """Ollama draws the ids of its OpenAI format from a thousand numbers: two calls soon share one."""

    def test_the_second_of_the_response_tells_them_apart(self) -> None:
        ids = [ANSWER | {"id": "chatcmpl-417", "created": second} for second in (1, 1, 2)]
        once, again, other = (read_response(made)[0].request_id for made in ids)
        assert once == again != other

    def test_in_streams(self) -> None:
        calls = Calls()
        head = {"object": "chat.completion.chunk", "id": "chatcmpl-417", "model": "llama3.2"}
        for second in (1, 2):
            list(track_stream(iter([head | {"created": second, "usage": CHAT}]), calls.append))
            list(track_stream(iter([head | {"created": second, "choices": []}]), calls.append))
        one, cut_one, two, cut_two = (call.request_id for call in calls)
        assert one == cut_one == "chatcmpl-417@1"
        assert two == cut_two == "chatcmpl-417@2"

    def test_without_a_time_each_is_a_call_of_its_own(self) -> None:
        assert read_response(ANSWER | {"id": "chatcmpl-417"})[0].request_id is None


class TestMissingUsage:
    def test_of_a_response_in_the_background(self) -> None:
        pytest.importorskip("openai")
        made = response(response_usage()).model_copy(update={"usage": None, "status": "queued"})
        [call] = read_response(made)
        assert (call.usage, call.incomplete) == (Usage(), "the response has no usage (status queued)")
        assert call.request_id is None, "the same response comes again when it is complete"

    def test_of_an_interaction_in_the_background(self) -> None:
        made = {"object": "interaction", "id": "v1_x", "model": "gemini-2.5-pro", "status": "in_progress"}
        [call], [later] = read_response(made), read_response(made | {"status": "completed"})
        assert (call.request_id, later.request_id) == (None, "v1_x")

    def test_of_a_transcription(self) -> None:
        pytest.importorskip("openai")
        [call] = read_response(transcription({"type": "duration", "seconds": 0}), model="whisper-1")
        assert "give the audio's duration" in (call.incomplete or "")

    def test_an_older_transcription_states_its_duration_as_text(self) -> None:
        old = {"text": "Hi.", "duration": "8.47", "language": "english", "segments": []}
        [call] = read_response(old, model="whisper-1")
        assert call.usage == Usage(audio_seconds=8.47)

    def test_a_total_alone_is_split_and_flagged(self) -> None:
        [call] = read_response(ANSWER | {"usage": {"total_tokens": 1000}})
        assert call.usage == Usage(800, 200)
        assert "80 % input" in (call.incomplete or "")


class TestRefusals:
    @pytest.mark.parametrize("wrong", [{}, {"answer": 42}, object(), "text", None, 5, b"bytes"])
    def test_an_unknown_object_is_answered_with_the_list_of_what_is_known(self, wrong: object) -> None:
        with pytest.raises(TypeError, match="not a response that log_response can read") as refused:
            read_response(wrong)
        assert isinstance(refused.value, UnknownResponse)
        for adapter in all_adapters():
            assert adapter.knows in str(refused.value)

    @pytest.mark.parametrize("service", ["aws", "cohere"])
    def test_a_response_without_a_model_is_recorded_and_asks_for_it(
        self, service: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        made: dict[str, Any] = {"usage": {"inputTokens": 1, "outputTokens": 1}, "stopReason": "end_turn"}
        if service == "cohere":
            made = {"id": "c", "usage": {"billed_units": {"input_tokens": 1}}}
        assert CostTracker(tmp_path / "job", cost_storage_path=tmp_path / "store").log_response(made) == 0
        [line] = map(json.loads, (tmp_path / "job" / "cost_ledger.jsonl").read_text().splitlines())
        assert (line["model"], line["cost_usd"], line["tokens_input"]) == ("unknown", None, 1)
        said = f"an answer of {line['service']} names no model, and none was given: say which with model="
        assert said in caplog.text

    @pytest.mark.parametrize("count", [-1, "many", True, 1.5, float("nan"), float("inf")])
    def test_a_count_that_is_no_number(self, count: object) -> None:
        with pytest.raises(ValueError, match="prompt_tokens must be"):
            read_response(ANSWER | {"usage": {"prompt_tokens": count}})


TOKENS = {"prompt_tokens": 9, "completion_tokens": 1, "total_tokens": 10}
SPOKEN = {"text": "", "usage": {"type": "duration", "seconds": "soon"}}


@pytest.mark.parametrize(
    ("answer", "model", "usd"),
    [
        (ANSWER | {"model": "gpt-4o\n"}, "gpt-4o_~", None),
        (ANSWER | {"model": "m" * 500}, "mmm", None),
        (ANSWER | {"model": "  "}, "unknown", None),
        (ANSWER | {"id": "  "}, "gpt-4o", 0.0045),
        (ANSWER | {"service_tier": "a\nb"}, "gpt-4o", None),
        (ANSWER | {"usage": TOKENS | {"prompt_tokens": 10**15}}, "gpt-4o", None),
        (ANSWER | {"usage": TOKENS | {"prompt_tokens": 10**12, "total_tokens": 10**12 + 1}}, "gpt-4o", None),
        (ANSWER | {"usage": TOKENS | {"prompt_tokens": "many"}}, "gpt-4o", None),
        (ANSWER | {"usage": TOKENS | {"prompt_tokens": -1}, "model": "m" * 500}, "mmm", None),
        (ANSWER | {"usage": TOKENS | {"wonder_tokens": 10**30}}, "gpt-4o", 3.25e-05),
        (SPOKEN, "unknown", None),
    ],
)
def test_whatever_a_server_says_raises_nothing_and_loses_no_call(
    answer: dict[str, Any], model: str, usd: float | None, tmp_path: Path
) -> None:
    if "usage" in answer and answer["usage"] is CHAT:
        answer = answer | {"usage": TOKENS | {"prompt_tokens": 1000, "completion_tokens": 200}}
    CostTracker(tmp_path / "job", cost_storage_path=tmp_path / "store").log_response(answer)
    [line] = map(decode, (tmp_path / "job" / "cost_ledger.jsonl").read_bytes().splitlines(keepends=True))
    assert line.model.startswith(model)
    assert (None if line.charge is None else line.charge.total) == (None if usd is None else from_usd(usd))


@pytest.mark.parametrize("usage", [{}, [], [1], "x", 5, {"prompt_tokens": None}, {"details": {}}])
def test_a_usage_that_states_nothing_is_not_zero(usage: object) -> None:
    answers: list[dict[str, Any]] = [
        ANSWER | {"usage": usage},
        {"object": "response", "id": "r", "model": "gpt-4o", "output": [], "usage": usage},
        {"type": "message", "id": "m", "model": "claude-opus-4-5", "content": [], "usage": usage},
        {"candidates": [], "modelVersion": "gemini-2.5-flash", "usageMetadata": usage},
        {"id": "c", "usage": {"billed_units": usage}},
    ]
    for answer in answers:
        [call] = read_response(answer)
        assert (call.usage_known, call.usage.is_zero) == (False, True), answer
        assert "no usage" in (call.incomplete or "")


def test_an_answer_that_a_hook_cannot_read_is_recorded_without_its_usage() -> None:
    odd, calls = {"prompt_tokens": "many", "completion_tokens": 1}, Calls()
    record(
        calls,
        {"litellm_params": {"custom_llm_provider": "openai"}, "model": "gpt-4o"},
        ANSWER | {"usage": odd},
    )
    runs = ModelCalls(calls)
    run = uuid4()
    runs.begin(run, {"ls_model_name": "gpt-4o", "ls_provider": "openai"})
    message = {"type": "ai", "content": "x", "usage_metadata": {"input_tokens": "many", "output_tokens": 1}}
    runs.end(run, {"generations": [[{"message": message}]]})
    assert [(call.service, call.model, call.usage_known) for call in calls] == [
        ("openai", "gpt-4o", False)
    ] * 2
    assert [call.incomplete for call in calls] == ["its response could not be read (UnreadableCount)"] * 2


class TestContradictions:
    """A server that contradicts itself must not cost us the entry."""

    def test_more_cached_than_there_was(self) -> None:
        odd = {"prompt_tokens": 5, "completion_tokens": 1, "prompt_tokens_details": {"cached_tokens": 8}}
        [call] = read_response(ANSWER | {"usage": odd})
        assert call.usage == Usage(8, 1, 8)
        assert "contradicts itself: tokens_cached=8" in (call.incomplete or "")

    def test_cache_read_and_written_together_exceed_the_input(self) -> None:
        usage, why = usage_of({"tokens_input": 10, "tokens_cached": 8, "tokens_cache_write": 8})
        assert usage.tokens_input == 16
        assert why

    def test_what_cannot_be_mended_is_raised(self) -> None:
        with pytest.raises(ValueError, match="tokens_input"):
            usage_of({"tokens_input": -1})


class TestRawResponses:
    def test_the_sdks_retries_are_noted(self) -> None:
        """``with_raw_response`` knows how often the SDK tried again; only the last try is billed."""

        class Raw:
            retries_taken = 2

            def parse(self) -> Any:
                return ANSWER

        [call] = read_response(Raw())
        assert call.retries == 2
        assert call.notes == {"sdk_retries": 2}


class ModelResponse(dict):  # type: ignore[type-arg]  # it stands for an untyped one
    """As LiteLLM's, which is too large to be installed everywhere; test_litellm tries the real one."""

    __module__ = "litellm.types.utils"

    def __init__(self, hidden: dict[str, Any], **facts: Any) -> None:
        super().__init__(ANSWER | facts, _hidden_params=hidden)


UPSTREAM = "upstream_usage_cost"


class TestLiteLLM:
    usage = CHAT | {
        "prompt_tokens_details": {
            "cached_tokens": 300,
            "cache_creation_tokens": 90,
            "cache_creation_token_details": {"ephemeral_1h_input_tokens": 40},
        },
        "server_tool_use": {"web_search_requests": 2},
    }

    def test_the_provider_and_the_stated_cost_are_in_the_hidden_parameters(self) -> None:
        hidden = {"custom_llm_provider": "anthropic", "response_cost": 0.0123}
        [call] = read_response(ModelResponse(hidden, usage=self.usage))
        assert (call.service, call.actual_cost) == ("anthropic", from_usd("0.0123"))
        assert call.usage == Usage(1000, 200, 300, 90, 40, web_searches=2)

    def test_a_stream(self, calls: Calls) -> None:
        hidden = {"custom_llm_provider": "bedrock"}
        head = {"object": "chat.completion.chunk", "choices": []}
        list(track_stream(iter([ModelResponse(hidden, **head, usage=self.usage)]), calls.append))
        [call] = calls
        assert (call.service, call.usage.tokens_cache_write_1h) == ("bedrock", 40)

    @pytest.mark.parametrize(
        ("provider", "stated", "upstream", "is_bill"),
        [
            ("openai", {"cost": 0.9}, None, False),
            ("openai", {"cost": 0.9}, ..., False),
            ("acme", {"cost": 0.9}, 0.5, False),
            ("openrouter", {"cost": 0.9}, 0.5, True),
            ("openrouter", {"cost": 0.5}, ..., True),
            ("openrouter", {"cost": 0.9}, None, False),
            ("xai", {"cost": 0.5, "cost_in_usd_ticks": 5 * 10**9}, ..., True),
            ("xai", {"cost": 0.5}, ..., True),
            ("xai", {"cost": 0.9}, None, False),
            ("perplexity", {"cost": 0.5}, None, True),
            ("perplexity", {"cost": {"total_cost": 0.5}}, ..., True),
        ],
    )
    @pytest.mark.parametrize("is_stream", [True, False], ids=["a stream", "whole"])
    def test_what_it_computes_is_no_bill_and_what_the_server_states_stays_one(
        self,
        provider: str,
        stated: dict[str, Any],
        upstream: Any,
        is_bill: bool,
        is_stream: bool,
        calls: Calls,
    ) -> None:
        """So LiteLLM 1.110.2 writes them: its own figure into ``cost``, the server's beside it."""
        hidden = {"custom_llm_provider": provider} | ({} if upstream is ... else {UPSTREAM: upstream})
        usage = {"prompt_tokens": 1000, "completion_tokens": 200, "total_tokens": 1200, **stated}
        if is_stream:
            head = {"object": "chat.completion.chunk", "choices": []}
            begins = ModelResponse({"custom_llm_provider": provider}, **head)
            list(track_stream(iter([begins, ModelResponse(hidden, **head, usage=usage)]), calls.append))
        else:
            record(calls, {}, ModelResponse(hidden | {"response_cost": 0.9}, usage=usage))
        [call] = calls
        settled = settle(as_call(call), Charge({"input": Nanos(7)}, PricedBy("catalogue", "1", "any")))
        assert settled.charge is not None
        assert settled.charge.total == (from_usd("0.5") if is_bill else 7)

    def test_the_stream_of_a_response_states_its_usage_unasked(self, calls: Calls) -> None:
        usage = {"input_tokens": 1000, "output_tokens": 200, "total_tokens": 1200}
        whole = {
            "id": "resp_1",
            "object": "response",
            "model": "gpt-4o",
            "status": "completed",
            "usage": usage,
        }
        record(calls, {"stream": True, "complete_streaming_response": whole}, {})
        assert [call.incomplete for call in calls] == [None]

    @pytest.fixture
    def calls(self) -> Calls:
        return Calls()

    def test_the_logger(self, calls: Calls) -> None:
        about = {"model": "x", "litellm_params": {"custom_llm_provider": "azure"}, "response_cost": 0.5}
        record(calls, about, ANSWER)
        assert [(c.service, c.model, c.actual_cost) for c in calls] == [("azure", "x", from_usd("0.5"))]

    def test_the_logger_waits_for_the_whole_stream(self, calls: Calls) -> None:
        record(calls, {"stream": True}, {"object": "chat.completion.chunk"})
        assert calls == []
        record(calls, {"stream": True, "complete_streaming_response": ANSWER, "response_cost": True}, None)
        assert [(c.model, c.actual_cost) for c in calls] == [("gpt-4o", None)]
        assert "LiteLLM counted these tokens itself" in (calls[0].incomplete or "")

    def test_an_answer_from_its_cache_is_no_spend(self, calls: Calls) -> None:
        record(calls, {"cache_hit": True, "response_cost": 0.0}, ANSWER)
        [call] = calls
        assert (call.usage, call.actual_cost, call.stated_by) == (Usage(), 0, "cache")
        assert call.metadata["answered_from"] == "cache"
        assert (call.request_id or "").endswith("/cache"), "the first answer has an entry of its own"

    def test_the_logger_never_disturbs_the_call(self, caplog: pytest.LogCaptureFixture) -> None:
        record(Broken(), {}, ANSWER)
        calls = Calls()
        record(calls, {}, object())
        assert [(call.model, call.usage_known) for call in calls] == [("unknown", False)]
        assert "disk full" in caplog.text
        assert "not a response that log_response can read" in caplog.text
        assert {record.levelno for record in caplog.records} == {logging.ERROR, logging.WARNING}


def test_what_is_small_but_counts_for_the_price() -> None:
    [call] = read_response(message(USAGE | {"inference_geo": "us", "service_tier": "priority"}))
    assert (call.service_tier, call.region, call.metadata) == ("priority", "us", {"inference_geo": "us"})
    [call] = read_response(chat(CHAT | {"prompt_tokens_details": {"image_tokens": 85}}))
    assert call.usage.tokens_image_input == 85


def test_fields_read_objects_and_dicts_alike() -> None:
    class Part:
        input_tokens = 7
        empty = None

    fields = Fields({"part": Part(), "list": [1, 2], "text": "ab"})
    assert fields.part("part").count("input_tokens") == 7
    assert fields.part("part").get("empty", "input_tokens") == 7
    assert [item.raw for item in fields.parts("list")] == [1, 2]
    assert fields.parts("text") == []
    assert fields.text("list") is None


def test_notes_say_why_a_call_is_incomplete() -> None:
    call = Captured(service="s", model="m", usage=Usage(), incomplete="cut", retries=1, metadata={"a": 1})
    assert call.notes == {"a": 1, "incomplete": "cut", "sdk_retries": 1}


class TestClaudeAgentSessions:
    """Results of one session state all of its turns so far, as the SDK really does: figures of a real run."""

    SPENT = (
        (
            {"inputTokens": 1527, "outputTokens": 9, "costUSD": 0.004716},
            {"input_tokens": 1527, "output_tokens": 9},
        ),
        (
            {"inputTokens": 3070, "outputTokens": 18, "costUSD": 0.00948},
            {"input_tokens": 1543, "output_tokens": 9},
        ),
        (
            {"inputTokens": 4629, "outputTokens": 27, "costUSD": 0.014292},
            {"input_tokens": 1559, "output_tokens": 9},
        ),
    )

    def result(self, number: int, session: str, **more: Any) -> dict[str, Any]:
        spent, turn = self.SPENT[number]
        by_model = {"claude-sonnet-4-5": spent} | more
        facts = {"session_id": session, "num_turns": 1, "uuid": f"{session}-{number}", "usage": turn}
        return facts | {"total_cost_usd": spent["costUSD"], "model_usage": by_model}

    def test_each_turn_is_its_own_part(self) -> None:
        calls = [call for number in range(3) for call in read_response(self.result(number, "three-turns"))]
        assert [call.usage.tokens_input for call in calls] == [1527, 1543, 1559]
        assert [call.usage.tokens_output for call in calls] == [9, 9, 9]
        assert sum(call.actual_cost or 0 for call in calls) == from_usd("0.014292")

    def test_reading_a_result_again_changes_nothing(self) -> None:
        read_response(self.result(0, "again"))
        once, twice = (read_response(self.result(1, "again")) for _ in range(2))
        assert once == twice
        assert once[0].usage.tokens_input == 1543

    def test_the_last_result_alone_is_the_whole_session(self) -> None:
        [call] = read_response(self.result(2, "last-alone"))
        assert call.usage.tokens_input == 4629

    def test_a_resumed_session_begins_from_zero(self) -> None:
        read_response(self.result(2, "resumed"))
        [call] = read_response(self.result(0, "resumed"))
        assert call.usage.tokens_input == 1527
        larger = self.result(0, "resumed") | {
            "uuid": "x",
            "usage": {"input_tokens": 9000, "output_tokens": 90},
        }
        larger["model_usage"] = {"claude-sonnet-4-5": {"inputTokens": 9000, "outputTokens": 90, "costUSD": 1}}
        [call] = read_response(larger)
        assert call.usage.tokens_input == 9000, "as much as its own usage says"

    def test_a_second_model_that_did_nothing_in_this_turn_is_left_out(self) -> None:
        helper = {"claude-haiku-4-5": {"inputTokens": 50, "outputTokens": 5, "costUSD": 0.0001}}
        first = read_response(self.result(0, "helper", **helper))
        second = read_response(self.result(1, "helper", **helper))
        assert [call.model for call in first] == ["claude-sonnet-4-5", "claude-haiku-4-5"]
        assert [call.model for call in second] == ["claude-sonnet-4-5"]

    def test_it_remembers_a_thousand_sessions(self) -> None:
        for number in range(1001):
            read_response(self.result(0, f"many-{number}"))
        assert len(CURRENT.get()._last) == 1000

    def test_no_stated_cost_is_not_a_cost_of_nothing(self) -> None:
        unstated = self.result(0, "unstated")
        unstated["model_usage"] = {"claude-of-tomorrow": {"inputTokens": 1527, "outputTokens": 9}}
        [call] = read_response(unstated)
        assert call.actual_cost is None

    def test_a_turn_that_used_nothing_is_still_a_call(self) -> None:
        nothing = self.result(0, "nothing")
        nothing["model_usage"] = {"claude-sonnet-4-5": {"inputTokens": 0, "outputTokens": 0, "costUSD": 0}}
        [call] = read_response(nothing)
        assert call.usage == Usage()


def test_a_result_of_a_langchain_model_that_completes_text() -> None:
    output = {
        "token_usage": {"prompt_tokens": 10, "completion_tokens": 2},
        "model_name": "gpt-3.5-turbo-instruct",
    }
    result = {"generations": [[{"text": "a"}], [{"text": "b"}], []], "llm_output": output}
    [call] = read_response(result)
    assert (call.service, call.model, call.usage) == ("openai", "gpt-3.5-turbo-instruct", Usage(10, 2))
    assert read_response({"generations": [[]]}) == ()


CLAUDE_ENDED: dict[str, Any] = {"model_name": "claude-opus-4-6", "model_provider": "anthropic"}


@pytest.mark.parametrize(
    ("about", "tokens_input", "known"),
    [
        (CLAUDE_ENDED, 0, False),
        (CLAUDE_ENDED, 4800, True),
        ({"model_name": "llama3", "model_provider": "ollama"}, 0, True),
    ],
)
def test_a_stream_of_claude_that_does_not_repeat_its_input_is_not_an_input_of_nothing(
    about: dict[str, Any], tokens_input: int, known: bool
) -> None:
    usage = {"input_tokens": tokens_input, "output_tokens": 50, "total_tokens": tokens_input + 50}
    chunk = {"type": "AIMessageChunk", "content": "", "response_metadata": about, "usage_metadata": usage}
    follower = LangChainFollower()
    follower.add(Fields(chunk))
    for [call] in (read_response(chunk), list(follower.result("ended"))):
        assert (call.usage.tokens_output, call.usage_known) == (50, known)
        assert ("0 input tokens" in str(call.incomplete)) is not known


def test_gemini_without_usage_is_flagged() -> None:
    [call] = read_response({"modelVersion": "gemini-2.5-pro", "candidates": [], "responseId": "r"})
    assert call.incomplete == "the response has no usage"
    grounded = {"groundingMetadata": {"webSearchQueries": ["q"]}}
    usage = {"promptTokenCount": 1, "totalTokenCount": 1}
    [call] = read_response({"candidates": [grounded, grounded], "modelVersion": "g", "usageMetadata": usage})
    assert call.usage.web_searches == 1, "a grounded prompt is billed once"


def test_groundings_of_an_interaction() -> None:
    usage = {"total_input_tokens": 5, "grounding_tool_count": [{"type": "google_search", "count": 2}]}
    [call] = read_response({"id": "i", "model": "gemini-2.5-flash", "usage": usage})
    assert call.usage.web_searches == 2


def test_an_older_message_of_langchain_has_the_providers_own_usage() -> None:
    about = {"token_usage": {"prompt_tokens": 10, "completion_tokens": 2}, "model_name": "gpt-4o"}
    [call] = read_response({"type": "ai", "response_metadata": about})
    assert call.usage == Usage(10, 2)
    [call] = read_response(
        {"type": "ai", "response_metadata": {"model_provider": "bedrock_converse", "model_id": "m"}}
    )
    assert (call.service, call.incomplete) == ("bedrock", "the message has no usage")


@pytest.mark.parametrize("streamed", [True, False])
def test_langchain_has_of_cohere_what_is_billed_of_streams_alone(streamed: bool) -> None:
    counts = {"input_tokens": 100.0, "output_tokens": 20.0}
    message: dict[str, Any] = {"type": "AIMessageChunk" if streamed else "ai"}
    message["response_metadata"] = {"token_count": counts | ({"total_tokens": 120.0} if streamed else {})}
    if not streamed:
        message["usage_metadata"] = {"input_tokens": 100, "output_tokens": 20}
    follower = LangChainFollower()
    follower.add(Fields(message))
    [call], [followed] = read_response(message), list(follower.result("ended"))
    assert (call.usage, call.usage_known) == (Usage(100, 20), True)
    assert ("it bills fewer" in str(call.incomplete)) is not streamed
    if streamed:
        assert (followed.usage, followed.usage_known, followed.incomplete) == (call.usage, True, None)
