"""Cells of speech, translation and document services, with objects of their own packages."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from .cell import Api, Form

DEEPGRAM = Api("Deepgram", "transcription", "deepgram", "deepgram-sdk")
ASSEMBLYAI = Api("AssemblyAI", "transcripts", "assemblyai", "assemblyai")
ELEVENLABS = Api("ElevenLabs", "transcription", "elevenlabs", "elevenlabs")
SPEECH = Api("Google Cloud", "Speech", "google.cloud.speech_v2", "google-cloud-speech")
TRANSLATION = Api("Google Cloud", "batch translation", "google.cloud.translate_v3", "google-cloud-translate")
DOCUMENT_AI = Api("Google Cloud", "Document AI", "google.cloud.documentai_v1", "google-cloud-documentai")
TEXTRACT = Api("AWS", "Textract", "boto3", "boto3")
POLLY = Api("AWS", "Polly", "boto3", "boto3")
TRANSLATOR = Api("Azure", "Translator", "azure.ai.translation.text", "azure-ai-translation-text")
DEEPL = Api("DeepL", "texts", "deepl", "deepl")
DEEPL_DOCUMENTS = Api("DeepL", "documents", "deepl", "deepl")


def deepgram_transcript() -> Any:
    from deepgram.types import ListenV1Response

    info = {"m1": {"name": "general-nova-3", "version": "2024-12-20.0", "arch": "nova-3"}}
    metadata = {
        "request_id": "dg-1",
        "sha256": "s",
        "created": "2026-11-28T12:00:00Z",
        "duration": 61.5,
        "channels": 2,
        "models": ["m1"],
        "model_info": info,
    }
    return ListenV1Response.model_validate({"metadata": metadata, "results": {"channels": []}})


def deepgram_messages(whole: bool = True) -> list[Any]:
    info = {"name": "general-nova-3", "version": "v", "arch": "nova-3"}
    about = {"request_id": "dg-2", "model_info": info, "model_uuid": "m1"}
    slices: list[Any] = [
        {"type": "Results", "channel_index": [0, 1], "start": start, "duration": 4.0, "metadata": about}
        for start in (0.0, 4.0)
    ]
    last = {"type": "Metadata", "request_id": "dg-2", "duration": 9.25, "channels": 1}
    return [*slices, last] if whole else slices


def assemblyai_transcript() -> Any:
    from assemblyai.types import TranscriptResponse

    return TranscriptResponse(  # of pydantic's first version
        id="aai-1",
        audio_url="https://example.com/a.mp3",
        status="completed",
        audio_duration=95,
        multichannel=True,
        audio_channels=2,
        speech_model_used="universal-2",
    )


def assemblyai_session(whole: bool = True) -> list[Any]:
    begin = {"type": "Begin", "id": "aai-2", "expires_at": 1}
    end = {"type": "Termination", "audio_duration_seconds": 50, "session_duration_seconds": 62}
    return [begin, end] if whole else [begin]


def elevenlabs_transcript() -> Any:
    from elevenlabs.types import SpeechToTextChunkResponseModel

    whole = {"language_code": "en", "language_probability": 1.0, "text": "x", "words": []}
    return SpeechToTextChunkResponseModel.model_validate(
        {**whole, "transcription_id": "el-1", "audio_duration_secs": 33.5}
    )


def elevenlabs_channels() -> Any:
    from elevenlabs.types import MultichannelSpeechToTextResponseModel

    one = {
        "language_code": "en",
        "language_probability": 1.0,
        "text": "x",
        "words": [],
        "audio_duration_secs": 20.0,
    }
    return MultichannelSpeechToTextResponseModel.model_validate(
        {"transcripts": [one, one], "transcription_id": "el-2", "audio_duration_secs": 20.0}
    )


def plain(message: Any) -> dict[str, Any]:
    """A protocol buffer's message as the dict that its own method makes."""
    made: dict[str, Any] = type(message).to_dict(message)
    return made


def speech_v1() -> Any:
    from google.cloud import speech_v1

    return plain(speech_v1.RecognizeResponse(total_billed_time=timedelta(seconds=15), request_id=77))


def speech_v2() -> Any:
    from google.cloud import speech_v2

    about = speech_v2.RecognitionResponseMetadata(
        request_id="sp-2", total_billed_duration=timedelta(seconds=31)
    )
    return plain(speech_v2.RecognizeResponse(metadata=about))


def translated_documents() -> Any:
    from google.cloud import translate_v3

    return plain(translate_v3.BatchTranslateDocumentResponse(total_billable_characters=12_000))


def processed() -> Any:
    from google.cloud import documentai_v1

    pages = [documentai_v1.Document.Page(page_number=number) for number in (1, 2, 3)]
    return plain(documentai_v1.ProcessResponse(document=documentai_v1.Document(pages=pages)))


def textract(*kinds: str, **more: Any) -> dict[str, Any]:
    blocks = [{"BlockType": kind} for kind in ("PAGE", *kinds)]
    about = {"RequestId": "aws-1"}
    return {"DocumentMetadata": {"Pages": 4}, "Blocks": blocks, "ResponseMetadata": about, **more}


def polly() -> dict[str, Any]:
    return {"RequestCharacters": 250, "ContentType": "audio/mpeg", "ResponseMetadata": {"RequestId": "aws-2"}}


def translated_text() -> Any:
    from azure.ai.translation.text.models import TranslatedTextItem, TranslationText

    made = [TranslationText(language=each, text="x", source_characters=40) for each in ("de", "fr")]
    return TranslatedTextItem(translations=made)


def deepl_text() -> Any:
    from deepl import TextResult

    return TextResult("Hallo", "EN", 11)


def deepl_status() -> Any:
    from deepl import DocumentStatus

    return DocumentStatus(DocumentStatus.Status.DONE, billed_characters=5_000)


_AT_ONCE: tuple[Form, ...] = ("streamed", "cut")
_BY_UNIT: tuple[Form, ...] = ("cached", "reasoning")

CELLS = [
    DEEPGRAM.cell(
        "normal",
        deepgram_transcript,
        {"audio_seconds": 61.5, "channels": 2},
        {"model": "nova-3", "request_id": "dg-1"},
    ),
    DEEPGRAM.cell(
        "streamed",
        deepgram_messages,
        {"audio_seconds": 9.25, "channels": 1},
        {"service_tier": "streaming", "model": "nova-3"},
    ),
    DEEPGRAM.cell(
        "cut", lambda: deepgram_messages(whole=False), {"audio_seconds": 8.0}, {"request_id": "dg-2"}
    ),
    ASSEMBLYAI.cell(
        "normal",
        assemblyai_transcript,
        {"audio_seconds": 95, "channels": 2},
        {"model": "universal-2", "request_id": "aai-1"},
    ),
    ELEVENLABS.cell("normal", elevenlabs_transcript, {"audio_seconds": 33.5}, said={"model": "scribe_v2"}),
    ELEVENLABS.cell(
        "normal", elevenlabs_channels, {"audio_seconds": 20}, variant="channels", said={"model": "scribe_v2"}
    ),
    SPEECH.cell(
        "normal", speech_v2, {"audio_seconds": 31}, {"request_id": "sp-2"}, said={"model": "chirp_3"}
    ),
    SPEECH.cell(
        "normal",
        speech_v1,
        {"audio_seconds": 15},
        {"request_id": "77", "model": "default+v1"},
        variant="v1",
        said={"model": "default"},
    ),
    TRANSLATION.cell("batch", translated_documents, {"characters": 12_000}, {"model": "nmt"}),
    DOCUMENT_AI.cell("normal", processed, {"pages": 3}, said={"model": "ocr"}),
    TEXTRACT.cell("normal", textract, {"pages": 4}, {"model": "detect-document-text", "request_id": "aws-1"}),
    TEXTRACT.cell(
        "normal",
        lambda: textract("TABLE", "KEY_VALUE_SET"),
        {"pages": 4},
        {"model": "forms+tables"},
        variant="analysed",
    ),
    TEXTRACT.cell(
        "batch",
        lambda: textract(JobStatus="SUCCEEDED"),
        {"pages": 4},
        {"request_id": None, "service_tier": None},
    ),
    POLLY.cell("normal", polly, {"characters": 250}, {"request_id": "aws-2"}, said={"model": "neural"}),
    TRANSLATOR.cell("normal", translated_text, {"characters": 80}, {"service": "azure-translator"}),
    DEEPL.cell("normal", deepl_text, {"characters": 11}, {"model": "text"}),
    DEEPL_DOCUMENTS.cell("normal", deepl_status, {"characters": 5_000}, {"model": "document"}),
]

NONE = [
    *DEEPGRAM.none("the asynchronous client gives the same types", "async"),
    *DEEPGRAM.none("billed by the second", *_BY_UNIT),
    *DEEPGRAM.none("there is none; a callback gets the same response", "batch"),
    *ASSEMBLYAI.none("a live session names no transcript: see the tests of streams", *_AT_ONCE, "async"),
    *ASSEMBLYAI.none("billed by the second", *_BY_UNIT),
    *ASSEMBLYAI.none("every transcript is a job of its own", "batch"),
    *ELEVENLABS.none("its live transcription states no duration", *_AT_ONCE, "async"),
    *ELEVENLABS.none("billed by the second", *_BY_UNIT),
    *ELEVENLABS.none("there is none", "batch"),
    *SPEECH.none("billed at the end of a stream, in a message of the same type", *_AT_ONCE, "async"),
    *SPEECH.none("billed by the second", *_BY_UNIT),
    *SPEECH.none("a batch states its sum on top, as version 1 does", "batch"),
    *TRANSLATION.none("texts state no characters: the call is unknown", "normal"),
    *TRANSLATION.none("the operation's result comes at once", *_AT_ONCE, "async"),
    *TRANSLATION.none("billed by the character", *_BY_UNIT),
    *DOCUMENT_AI.none("documents come at once", *_AT_ONCE, "async"),
    *DOCUMENT_AI.none("billed by the page", *_BY_UNIT),
    *DOCUMENT_AI.none("a batch leaves its documents in a bucket", "batch"),
    *TEXTRACT.none("pages come at once", *_AT_ONCE, "async"),
    *TEXTRACT.none("billed by the page", *_BY_UNIT),
    *POLLY.none("the count comes before the audio, and boto3 has no asynchronous client", *_AT_ONCE, "async"),
    *POLLY.none("billed by the character", *_BY_UNIT),
    *POLLY.none("a task states its characters in the same field", "batch"),
    *TRANSLATOR.none("texts come at once; the asynchronous client gives the same types", *_AT_ONCE, "async"),
    *TRANSLATOR.none("billed by the character", *_BY_UNIT),
    *TRANSLATOR.none("batches are of documents, in a bucket", "batch"),
    *DEEPL.none("texts come at once, and there is no asynchronous client", *_AT_ONCE, "async"),
    *DEEPL.none("billed by the character", *_BY_UNIT),
    *DEEPL.none("there is none", "batch"),
    *DEEPL_DOCUMENTS.none("a status is asked for, not streamed", *_AT_ONCE, "async"),
    *DEEPL_DOCUMENTS.none("billed by the character", *_BY_UNIT),
    *DEEPL_DOCUMENTS.none("there is none", "batch"),
]
