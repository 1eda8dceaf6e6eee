"""Cells of services that run models of many makers, or bill in credits, with objects of their packages."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from .cell import Api, Form

VOYAGE = Api("Voyage", "embeddings", "voyageai", "voyageai")
VOYAGE_RERANK = Api("Voyage", "rerank", "voyageai", "voyageai")
TOGETHER = Api("Together", "chat", "together", "together")
TOGETHER_AUDIO = Api("Together", "transcription", "together", "together")
TOGETHER_IMAGES = Api("Together", "images", "together", "together")
TOGETHER_VIDEOS = Api("Together", "videos", "together", "together")
TOGETHER_RERANK = Api("Together", "rerank", "together", "together")
GROQ = Api("Groq", "transcription", "groq", "groq")
REPLICATE = Api("Replicate", "predictions", "replicate", "replicate")
FAL = Api("fal", "requests", "fal_client", "fal-client")
RUNWAY = Api("Runway", "tasks", "runwayml", "runwayml")
SONIOX = Api("Soniox", "transcription", "soniox", "soniox")
GLADIA = Api("Gladia", "transcription", "gladiaio_sdk", "gladiaio-sdk")
LLAMA = Api("LlamaCloud", "jobs", "llama_cloud", "llama-cloud")
REDUCTO = Api("Reducto", "documents", "reducto", "reductoai")
SPEECHMATICS = Api("Speechmatics", "transcription", "speechmatics.batch", "speechmatics-batch")
REV = Api("Rev AI", "transcription", "rev_ai", "rev-ai")
CARTESIA = Api("Cartesia", "transcription", "cartesia", "cartesia")

CREATED = "2026-11-28T12:00:00Z"


def sdk(name: str) -> Any:
    """A module of an SDK, which need not be installed, nor has types."""
    return import_module(name)


def voyage_answer(usage: dict[str, int], *rows: dict[str, Any]) -> Any:
    response = sdk("voyageai.api_resources").VoyageResponse()
    return response.construct_from({"data": list(rows), "model": "voyage-4", "usage": usage})


def voyage_embeddings() -> Any:
    made = sdk("voyageai.object").EmbeddingsObject(
        voyage_answer({"total_tokens": 900}, {"embedding": [0.1], "index": 0})
    )
    made.update(voyage_answer({"total_tokens": 100}, {"embedding": [0.2], "index": 1}))
    return made


def voyage_pictures() -> Any:
    usage = {"text_tokens": 40, "image_pixels": 2_000_000, "video_pixels": 0, "total_tokens": 3_611}
    return sdk("voyageai.object").MultimodalEmbeddingsObject(voyage_answer(usage, {"embedding": [0.1]}))


def voyage_ranks() -> Any:
    row = {"index": 0, "relevance_score": 0.9}
    return sdk("voyageai.object").RerankingObject(["a"], voyage_answer({"total_tokens": 250}, row))


TOKENS = {"prompt_tokens": 1000, "completion_tokens": 200, "total_tokens": 1200}
ABOUT = {"id": "tg-1", "model": "meta-llama/Llama-3.3-70B-Instruct-Turbo", "created": 1}


def together_chat() -> Any:
    choice = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "x"}}
    return sdk("together.types.chat").ChatCompletion.model_validate(
        {**ABOUT, "object": "chat.completion", "choices": [choice], "usage": TOKENS, "prompt": []}
    )


def together_chunks(whole: bool = True) -> list[Any]:
    chunk = sdk("together.types.chat").ChatCompletionChunk
    delta = {
        "index": 0,
        "delta": {"role": "assistant", "content": "four words of text"},
        "finish_reason": None,
    }
    said = chunk.construct(**ABOUT, object="chat.completion.chunk", choices=[delta])
    last = chunk.construct(**ABOUT, object="chat.completion.chunk", choices=[], usage=TOKENS)
    return [said, last] if whole else [said]


def together_transcript() -> Any:
    return sdk("together.types.audio.transcription_create_response").AudioTranscriptionVerboseJsonResponse(
        duration=61.5, language="en", segments=[], text="x"
    )


def together_pictures() -> Any:
    picture = {"index": 0, "url": "https://example.com/a.png", "type": "url"}
    return sdk("together.types").ImageFile.model_validate(
        {"id": "tg-2", "model": "black-forest-labs/FLUX.1-schnell", "object": "list", "data": [picture] * 2}
    )


def together_video() -> Any:
    return sdk("together.types").VideoJob.construct(
        id="tg-3",
        created_at=1,
        model="ByteDance/Seedance-1.0-pro",
        seconds="5",
        size="1280x720",
        status="completed",
        outputs={"cost": 0.57, "video_url": "https://example.com/a.mp4"},
    )


def reducto_parse(**usage: Any) -> Any:
    types = sdk("reducto.types.shared")
    counted = sdk("reducto.types").ParseUsage.construct(num_pages=3, **usage)
    return types.ParseResponse.construct(
        duration=1.5, job_id="rd-1", result=None, usage=counted, response_type="parse"
    )


def together_ranks() -> Any:
    usage = {"prompt_tokens": 300, "completion_tokens": 0, "total_tokens": 300}
    return sdk("together.types").RerankCreateResponse.construct(
        id="tg-4", model="Salesforce/Llama-Rank-V1", object="rerank", results=[], usage=usage
    )


def groq_transcript() -> Any:
    return sdk("groq.types.audio").Transcription.construct(
        text="x", duration=33.25, segments=[], x_groq={"id": "req_1"}
    )


def prediction(status: str = "succeeded", **metrics: float) -> Any:
    about = {"id": "rp-1", "model": "black-forest-labs/flux-schnell", "version": "v1", "status": status}
    urls = {"get": "https://api.replicate.com/v1/predictions/rp-1"}
    return sdk("replicate.prediction").Prediction(**about, urls=urls, metrics=metrics)


def fal_completed() -> Any:
    return sdk("fal_client").Completed(logs=[], metrics={"inference_time": 2.5})


def fal_response() -> dict[str, Any]:
    return {"headers": {"x-fal-billable-units": "2.5", "x-fal-request-id": "fal-1"}}


def runway_task(status: str = "Succeeded", charged: int = 25) -> Any:
    module = sdk("runwayml.types.task_retrieve_response")
    said: dict[str, dict[str, Any]] = {
        "Succeeded": {"output": ["https://example.com/a.mp4"]},
        "Failed": {"failure": "unsafe"},
    }
    about = {"id": "rw-1", "createdAt": CREATED, "status": status.upper(), "cost": {"credits": charged}}
    return getattr(module, status).model_validate({**about, **said[status]})


def soniox_transcription() -> Any:
    return sdk("soniox.types.api").Transcription.model_validate(
        {
            "id": "sx-1",
            "status": "completed",
            "created_at": CREATED,
            "model": "stt-async-v5",
            "filename": "a.mp3",
            "enable_speaker_diarization": False,
            "enable_language_identification": False,
            "audio_duration_ms": 61_500,
        }
    )


def soniox_logged() -> Any:
    entry = sdk("soniox.types.api").UsageLogEntry
    zero = {name: 0 for name in entry.model_fields if name.endswith(("_tokens", "_ms"))}
    usd = {name: "0" for name in entry.model_fields if name.endswith("_usd")}
    about = {"uuid": "sx-2", "request_scope": "api", "client_reference_id": "", "model": "stt-async-v5"}
    when = {"start_time": CREATED, "end_time": CREATED}
    stated = {"input_audio_duration_ms": 61_500, "cost_usd": "0.00171"}
    return entry.model_validate({**zero, **usd, **about, **when, **stated})


def soniox_events(whole: bool = True) -> list[Any]:
    event = sdk("soniox.types.realtime").RealtimeEvent
    heard = [event(tokens=[], final_audio_proc_ms=ms, total_audio_proc_ms=ms) for ms in (4_000, 9_250)]
    return [*heard, event(tokens=[], total_audio_proc_ms=9_250, finished=True)] if whole else heard


def gladia_job(kind: str = "pre-recorded") -> Any:
    core = sdk(
        "gladiaio_sdk.v2.live.generated_types"
        if kind == "live"
        else "gladiaio_sdk.v2.prerecorded.generated_types"
    )
    prefix = "LiveV2" if kind == "live" else "PreRecordedV2"
    about = {
        "audio_duration": 61.5,
        "number_of_distinct_channels": 2,
        "billing_time": 123.0,
        "transcription_time": 4.0,
    }
    metadata = getattr(core, f"{prefix}TranscriptionMetadata")(**about)
    result = {"metadata": metadata}
    if kind == "live":
        result["messages"] = []
    job = {"id": "gl-1", "request_id": "G-1", "version": 2, "status": "done", "created_at": CREATED}
    name = "LiveV2TranscriptionResultWithMessages" if kind == "live" else "PreRecordedV2TranscriptionResult"
    return getattr(core, f"{prefix}Response")(**job, kind=kind, result=getattr(core, name)(**result))


def parse_job() -> Any:
    job = {
        "id": "lp-1",
        "project_id": "p",
        "status": "COMPLETED",
        "tier": "agentic",
        "usage": {"credits": 120.0},
    }
    return sdk("llama_cloud.types").ParsingGetResponse.model_validate({"job": job})


def extract_job() -> Any:
    return sdk("llama_cloud.types").ExtractV2Job.model_validate(
        {
            "id": "lx-1",
            "created_at": CREATED,
            "updated_at": CREATED,
            "file_input": "file-1",
            "project_id": "p",
            "status": "COMPLETED",
            "usage": {"credits": 15.0, "extract_credits": 15.0},
        }
    )


def speechmatics_transcript() -> Any:
    return sdk("speechmatics.batch").Transcript.from_dict(
        {
            "format": "2.9",
            "job": {"id": "sm-1", "created_at": CREATED, "data_name": "a.wav", "duration": 61.5},
            "metadata": {
                "created_at": CREATED,
                "type": "transcription",
                "transcription_config": {"language": "en", "operating_point": "standard"},
            },
            "results": [],
        }
    )


def rev_job() -> Any:
    return sdk("rev_ai.models.asynchronous.job").Job.from_json(
        {
            "id": "rv-1",
            "created_on": CREATED,
            "status": "transcribed",
            "duration_seconds": 61.5,
            "transcriber": "low_cost",
        }
    )


def cartesia_transcript() -> Any:
    return sdk("cartesia.types").STTTranscribeResponse(
        text="x", type="transcript", duration=61.5, request_id="ct-1"
    )


def cartesia_messages(whole: bool = True) -> list[Any]:
    kind = sdk(
        "cartesia.types.stt.stt_manual_finalize_transcript_response"
    ).STTManualFinalizeTranscriptResponse
    pieces = ((2.0, True), (1.5, False), (3.5, True))[: 3 if whole else 2]
    return [
        kind(text="x", type="transcript", is_final=final, duration=seconds, request_id="ct-2")
        for seconds, final in pieces
    ]


_AT_ONCE: tuple[Form, ...] = ("streamed", "cut")
_BY_UNIT: tuple[Form, ...] = ("cached", "reasoning")

CELLS = [
    VOYAGE.cell("normal", voyage_embeddings, {"tokens_input": 1000}, said={"model": "voyage-4"}),
    VOYAGE.cell(
        "normal",
        voyage_pictures,
        {"tokens_input": 40, "pixels": 2_000_000},
        variant="pictures",
        said={"model": "voyage-multimodal-3.5"},
    ),
    VOYAGE_RERANK.cell(
        "normal", voyage_ranks, {"tokens_input": 250}, {"operation": "rerank"}, said={"model": "rerank-2.5"}
    ),
    TOGETHER.cell(
        "normal", together_chat, {"tokens_input": 1000, "tokens_output": 200}, {"service": "together"}
    ),
    TOGETHER.cell(
        "streamed", together_chunks, {"tokens_input": 1000, "tokens_output": 200}, {"service": "together"}
    ),
    TOGETHER.cell("cut", lambda: together_chunks(whole=False), {"tokens_output": 5}, {"service": "together"}),
    TOGETHER_AUDIO.cell(
        "normal",
        together_transcript,
        {"audio_seconds": 61.5},
        {"service": "together"},
        said={"model": "openai/whisper-large-v3"},
    ),
    TOGETHER_IMAGES.cell(
        "normal", together_pictures, {"images": 2}, {"service": "together", "request_id": "tg-2"}
    ),
    TOGETHER_VIDEOS.cell(
        "normal", together_video, {"video_seconds": 5}, {"actual_cost": 570_000_000, "stated_by": "bill"}
    ),
    TOGETHER_RERANK.cell("normal", together_ranks, {"tokens_input": 300}, {"service": "together"}),
    GROQ.cell(
        "normal",
        groq_transcript,
        {"audio_seconds": 33.25},
        {"service": "groq", "request_id": "req_1"},
        said={"model": "whisper-large-v3"},
    ),
    REPLICATE.cell(
        "normal",
        lambda: prediction(predict_time=12.5, total_time=14.0),
        {"gpu_seconds": 12.5},
        {"request_id": "rp-1"},
    ),
    REPLICATE.cell(
        "normal",
        lambda: prediction(predict_time=0.5, image_count=2),
        {"images": 2},
        {"metadata": {"predict_seconds": 0.5}},
        variant="official",
    ),
    REPLICATE.cell(
        "normal", lambda: prediction("failed", predict_time=3.0), {"gpu_seconds": 3.0}, variant="failed"
    ),
    FAL.cell(
        "normal",
        fal_response,
        {"billable_units": 2.5},
        {"request_id": "fal-1"},
        said={"model": "fal-ai/flux/dev"},
    ),
    FAL.cell(
        "normal",
        fal_completed,
        {},
        {"usage_known": False},
        variant="status",
        said={"model": "fal-ai/flux/dev"},
    ),
    RUNWAY.cell(
        "normal",
        runway_task,
        {},
        {"actual_cost": 250_000_000, "stated_by": "bill", "request_id": "rw-1"},
        said={"model": "gen4_turbo"},
    ),
    RUNWAY.cell(
        "normal",
        lambda: runway_task("Failed", 5),
        {},
        {"actual_cost": 50_000_000},
        variant="failed",
        said={"model": "gen4_turbo"},
    ),
    SONIOX.cell("normal", soniox_transcription, {"audio_seconds": 61.5}, {"request_id": "sx-1"}),
    SONIOX.cell(
        "normal", soniox_logged, {}, {"actual_cost": 1_710_000, "stated_by": "bill"}, variant="usage log"
    ),
    SONIOX.cell(
        "streamed",
        soniox_events,
        {"audio_seconds": 9.25},
        {"service_tier": "streaming"},
        said={"model": "stt-rt-v5"},
    ),
    SONIOX.cell(
        "cut",
        lambda: soniox_events(whole=False),
        {"audio_seconds": 9.25},
        {"service_tier": "streaming"},
        said={"model": "stt-rt-v5"},
    ),
    GLADIA.cell("normal", gladia_job, {"audio_seconds": 123}, {"model": "solaria-1", "request_id": "gl-1"}),
    GLADIA.cell(
        "normal",
        lambda: gladia_job("live"),
        {"audio_seconds": 123},
        {"service_tier": "streaming"},
        variant="live",
    ),
    LLAMA.cell(
        "normal", parse_job, {}, {"actual_cost": 150_000_000, "model": "agentic", "request_id": "lp-1"}
    ),
    LLAMA.cell(
        "normal", extract_job, {}, {"actual_cost": 18_750_000, "operation": "extract"}, variant="extraction"
    ),
    REDUCTO.cell(
        "normal",
        lambda: reducto_parse(credits=4.5),
        {},
        {"actual_cost": 67_500_000, "model": "parse", "request_id": "rd-1"},
    ),
    REDUCTO.cell("normal", reducto_parse, {"pages": 3}, {"model": "parse"}, variant="without credits"),
    SPEECHMATICS.cell(
        "normal",
        speechmatics_transcript,
        {"audio_seconds": 61.5},
        {"model": "standard", "request_id": "sm-1"},
    ),
    REV.cell("normal", rev_job, {"audio_seconds": 61.5}, {"model": "low_cost", "request_id": "rv-1"}),
    CARTESIA.cell("normal", cartesia_transcript, {"audio_seconds": 61.5}, {"request_id": "ct-1"}),
    CARTESIA.cell(
        "cut", lambda: cartesia_messages(whole=False), {"audio_seconds": 2}, {"service_tier": "streaming"}
    ),
    CARTESIA.cell(
        "streamed",
        cartesia_messages,
        {"audio_seconds": 5.5},
        {"service_tier": "streaming", "request_id": "ct-2"},
    ),
]

_SAME_TYPES = "the asynchronous client gives the same types"

NONE = [
    *VOYAGE.none("vectors come at once", *_AT_ONCE),
    *VOYAGE.none(_SAME_TYPES, "async"),
    *VOYAGE.none("the usage has a total alone", *_BY_UNIT),
    *VOYAGE.none("results are files in the shape of OpenAI's", "batch"),
    *VOYAGE_RERANK.none("ranks come at once", *_AT_ONCE),
    *VOYAGE_RERANK.none(_SAME_TYPES, "async"),
    *VOYAGE_RERANK.none("the usage has a total alone", *_BY_UNIT),
    *VOYAGE_RERANK.none("there is none", "batch"),
    *TOGETHER.none(_SAME_TYPES, "async"),
    *TOGETHER.none("its usage has no details: an extra of the server's reads as in OpenAI chat", *_BY_UNIT),
    *TOGETHER.none("results are files in the shape of OpenAI's", "batch"),
    *TOGETHER_AUDIO.none("its live transcription is another API", *_AT_ONCE),
    *TOGETHER_AUDIO.none(_SAME_TYPES, "async"),
    *TOGETHER_AUDIO.none("billed by the second", *_BY_UNIT),
    *TOGETHER_AUDIO.none("results are files in the shape of OpenAI's", "batch"),
    *TOGETHER_IMAGES.none("pictures come at once", *_AT_ONCE),
    *TOGETHER_IMAGES.none(_SAME_TYPES, "async"),
    *TOGETHER_IMAGES.none("billed by the picture", *_BY_UNIT),
    *TOGETHER_IMAGES.none("there is none", "batch"),
    *TOGETHER_VIDEOS.none("a job is asked for, not streamed", *_AT_ONCE),
    *TOGETHER_VIDEOS.none(_SAME_TYPES, "async"),
    *TOGETHER_VIDEOS.none("the cost is stated", *_BY_UNIT),
    *TOGETHER_VIDEOS.none("there is none", "batch"),
    *TOGETHER_RERANK.none("ranks come at once", *_AT_ONCE),
    *TOGETHER_RERANK.none(_SAME_TYPES, "async"),
    *TOGETHER_RERANK.none("the usage has tokens alone", *_BY_UNIT),
    *TOGETHER_RERANK.none("there is none", "batch"),
    *GROQ.none("texts come at once", *_AT_ONCE),
    *GROQ.none(_SAME_TYPES, "async"),
    *GROQ.none("billed by the second", *_BY_UNIT),
    *GROQ.none("results are files in the shape of OpenAI's", "batch"),
    *REPLICATE.none("a stream has output alone: ask for the prediction when it is over", *_AT_ONCE),
    *REPLICATE.none(_SAME_TYPES, "async"),
    *REPLICATE.none("billed by time, or by what is put out", *_BY_UNIT),
    *REPLICATE.none("there is none", "batch"),
    *FAL.none("a stream has output alone", *_AT_ONCE),
    *FAL.none(_SAME_TYPES, "async"),
    *FAL.none("billed by the endpoint's own unit", *_BY_UNIT),
    *FAL.none("there is none", "batch"),
    *RUNWAY.none("a task is asked for, not streamed", *_AT_ONCE),
    *RUNWAY.none(_SAME_TYPES, "async"),
    *RUNWAY.none("the bill is stated", *_BY_UNIT),
    *RUNWAY.none("there is none", "batch"),
    *SONIOX.none("the asynchronous client gives the same events", "async"),
    *SONIOX.none("billed by the second", *_BY_UNIT),
    *SONIOX.none("every transcription is a job of its own", "batch"),
    *GLADIA.none("messages of a session state no billed time: ask for the job when it is over", *_AT_ONCE),
    *GLADIA.none(_SAME_TYPES, "async"),
    *GLADIA.none("billed by the second", *_BY_UNIT),
    *GLADIA.none("every recording is a job of its own", "batch"),
    *LLAMA.none("a job is asked for, not streamed", *_AT_ONCE),
    *LLAMA.none(_SAME_TYPES, "async"),
    *LLAMA.none("the bill is stated", *_BY_UNIT),
    *LLAMA.none("every document of a batch is a job of its own", "batch"),
    *REDUCTO.none("an answer comes whole", *_AT_ONCE),
    *REDUCTO.none(_SAME_TYPES, "async"),
    *REDUCTO.none("the bill is stated", *_BY_UNIT),
    *REDUCTO.none("its batch queue states fewer credits for the same answer", "batch"),
    *SPEECHMATICS.none("its live transcription is another package", *_AT_ONCE),
    *SPEECHMATICS.none("its client is asynchronous: these are its types", "async"),
    *SPEECHMATICS.none("billed by the second", *_BY_UNIT),
    *SPEECHMATICS.none("every recording is a job of its own", "batch"),
    *REV.none("its live transcription states no duration", *_AT_ONCE),
    *REV.none("there is no asynchronous client", "async"),
    *REV.none("billed by the second", *_BY_UNIT),
    *REV.none("every recording is a job of its own", "batch"),
    *CARTESIA.none(_SAME_TYPES, "async"),
    *CARTESIA.none("billed by the second", *_BY_UNIT),
    *CARTESIA.none("there is none", "batch"),
]
