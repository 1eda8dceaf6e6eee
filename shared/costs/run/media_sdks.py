"""The methods of the SDKs of speech, translation, documents and hosted models that make a call.

The lowest method that still returns the service's own answer is wrapped, so that every public one
passes through it: raw clients where an SDK is generated (their headers state what speech is billed), the
one method of boto3 that sends requests, the result of an operation where a service works in the background.
Azure's Speech SDK works in a native library: its events and its futures are read. Batches of Document AI,
whose pages lie in a bucket, are recorded as unknown. A job whose result the program never reads is recorded
as unknown when it ends.

Tried with assemblyai 1.8, azure-ai-documentintelligence 1.0, azure-ai-translation-text 2.0,
azure-cognitiveservices-speech 1.53, boto3 1.44, deepgram-sdk 7.17, deepl 1.32, elevenlabs 2.78,
fal-client 1.0, google-cloud-documentai 3.16, -speech 2.41, -texttospeech 2.38, -translate 3.28, -vision 3.16
and voyageai 0.5 (2026-11-30).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any, Final

from .methods import MediaMethod, Reads


def _both(module: str, *names: str, **more: Any) -> list[MediaMethod]:
    """Return methods of a class and of its asynchronous one."""
    return [MediaMethod(module, f"{kind}{name}", **more) for name in names for kind in ("", "Async")]


def _deepgram() -> Iterable[MediaMethod]:
    named: dict[str, Any] = {"service": "deepgram", "model": (("model",),)}
    yield from _both(
        "deepgram.listen.v1.media.raw_client",
        "RawMediaClient.transcribe_url",
        "RawMediaClient.transcribe_file",
        **named,
    )
    yield from _both(
        "deepgram.speak.v1.audio.raw_client", "RawAudioClient.generate", reads="headers", **named
    )
    yield from _both("deepgram.read.v1.text.raw_client", "RawTextClient.analyze", reads="unstated", **named)
    for version in ("1", "2"):
        module = f"deepgram.listen.v{version}.socket_client"
        for kind, emits, iterates in (("", "_emit", "__iter__"), ("Async", "_emit_async", "__aiter__")):
            client = f"{kind}V{version}SocketClient"
            yield MediaMethod(module, f"{client}.recv", "messages", service="deepgram")
            yield MediaMethod(module, f"{client}.{emits}", "message", service="deepgram")
            yield MediaMethod(module, f"{client}.{iterates}", "stream", service="deepgram")


def _assemblyai() -> Iterable[MediaMethod]:
    named: dict[str, Any] = {"service": "assemblyai"}
    for module in ("assemblyai.prerecorded.v2.api", "assemblyai.prerecorded.v2.async_api"):
        yield MediaMethod(module, "create_transcript", "sent", job=("id",), **named)
        yield MediaMethod(module, "get_transcript", "known", sends=False, **named)
    for module in ("client", "async_client"):
        kind = "AsyncRealTimeTranscriber" if "async" in module else "RealTimeTranscriber"
        yield MediaMethod(f"assemblyai.streaming.v3.{module}", f"{kind}._handle_message", "message", **named)
    yield MediaMethod("assemblyai.sync.v1.api", "transcribe", "unstated", **named)
    yield MediaMethod("assemblyai.sync.v1.async_api", "transcribe", "unstated", **named)


def _elevenlabs() -> Iterable[MediaMethod]:
    named: dict[str, Any] = {"service": "elevenlabs", "model": (("model_id",),)}
    yield from _both("elevenlabs.speech_to_text.raw_client", "RawSpeechToTextClient.convert", **named)
    yield from _both(
        "elevenlabs.text_to_speech.raw_client", "RawTextToSpeechClient.convert_with_timestamps", **named
    )
    spoken = {
        "text_to_speech": ("TextToSpeech", ("convert", "stream", "stream_with_timestamps")),
        "text_to_dialogue": ("TextToDialogue", ("convert", "stream")),
        "text_to_sound_effects": ("TextToSoundEffects", ("convert",)),
        "speech_to_speech": ("SpeechToSpeech", ("convert", "stream")),
        "audio_isolation": ("AudioIsolation", ("convert", "stream")),
        "music": ("Music", ("compose", "stream")),
    }
    for folder, (kind, names) in spoken.items():
        module = f"elevenlabs.{folder}.raw_client"
        yield from _both(module, *(f"Raw{kind}Client.{name}" for name in names), reads="headers", **named)


def _google(package: str, service: str, kind: str, **more: Any) -> Iterable[MediaMethod]:
    """Return methods of a client of Google Cloud's, by what they read; ``more`` is theirs."""
    reads: Mapping[Reads, tuple[str, ...]] = more.pop("reads")
    at = f"google.cloud.{package}"
    for what, names in reads.items():
        named: dict[str, Any] = {"job": ("operation", "name")} if what == "sent" else {}
        if what == "stream":
            ways = ((("requests", "first", "streaming_config", "config", "model")),)
            named = {"requests": "requests", "model": ways}
        for name in names:
            method = MediaMethod(
                f"{at}.client", f"{kind}Client.{name}", what, **{**more, **named}, service=service
            )
            yield method
            later = f"{kind}AsyncClient.{name}"
            yield replace(method, module=f"{at}.async_client", name=later, service=service)


def _google_cloud() -> Iterable[MediaMethod]:
    for version in ("v1", "v1p1beta1", "v2"):
        later = ("long_running_recognize",) if version.startswith("v1") else ("batch_recognize",)
        yield from _google(
            f"speech_{version}.services.speech",
            "google-speech",
            "Speech",
            model=(("request", "config", "model"), ("config", "model")),
            default="default" if version.startswith("v1") else None,
            reads={"response": ("recognize",), "sent": later, "stream": ("streaming_recognize",)},
        )
    for version in ("v3", "v3beta1"):
        yield from _google(
            f"translate_{version}.services.translation_service",
            "google-translate",
            "TranslationService",
            text=(("request", "contents"), ("contents",)),
            reads={
                "response": ("translate_text", "translate_document", "adaptive_mt_translate"),
                "sent": ("batch_translate_text", "batch_translate_document"),
            },
        )
    yield MediaMethod(
        "google.cloud.translate_v2.client",
        "Client.translate",
        service="google-translate",
        text=(("values",),),
    )
    for version in ("v1", "v1beta3"):
        yield from _google(
            f"documentai_{version}.services.document_processor_service",
            "google-documentai",
            "DocumentProcessorService",
            model=(("request", "name"), ("name",)),
            reads={"response": ("process_document",), "unstated": ("batch_process_documents",)},
        )
    for version in ("v1", "v1beta1"):
        yield from _google(
            f"texttospeech_{version}.services.text_to_speech",
            "google-tts",
            "TextToSpeech",
            model=(("request", "voice", "name"), ("voice", "name")),
            text=(("request", "input", "text"), ("input", "text")),
            reads={"response": ("synthesize_speech",)},
        )
    yield from _google(
        "vision_v1.services.image_annotator",
        "google-vision",
        "ImageAnnotator",
        reads={"response": ("batch_annotate_images",)},
    )
    named: dict[str, Any] = {"reads": "known", "sends": False, "service": "google"}
    yield MediaMethod(
        "google.api_core.operation", "Operation.result", job=("self", "operation", "name"), **named
    )
    yield MediaMethod(
        "google.api_core.operation_async", "AsyncOperation.result", job=("self", "operation", "name"), **named
    )


_AWS: Final[Mapping[str, Mapping[Reads, tuple[str, ...]]]] = {
    "textract": {
        "response": ("DetectDocumentText", "AnalyzeDocument", "AnalyzeExpense", "AnalyzeID"),
        "known": (
            "GetDocumentTextDetection",
            "GetDocumentAnalysis",
            "GetExpenseAnalysis",
            "GetLendingAnalysis",
        ),
        "sent": (
            "StartDocumentTextDetection",
            "StartDocumentAnalysis",
            "StartExpenseAnalysis",
            "StartLendingAnalysis",
        ),
    },
    "polly": {
        "response": ("SynthesizeSpeech",),
        "known": ("GetSpeechSynthesisTask",),
        "sent": ("StartSpeechSynthesisTask",),
    },
    "transcribe": {
        "known": (
            "GetTranscriptionJob",
            "GetMedicalTranscriptionJob",
            "GetMedicalScribeJob",
            "GetCallAnalyticsJob",
        ),
        "sent": (
            "StartTranscriptionJob",
            "StartMedicalTranscriptionJob",
            "StartMedicalScribeJob",
            "StartCallAnalyticsJob",
        ),
    },
    "translate": {
        "response": ("TranslateText", "TranslateDocument"),
        "unstated": ("StartTextTranslationJob",),
    },
    "rekognition": {
        "response": (
            "DetectText",
            "DetectLabels",
            "DetectFaces",
            "DetectModerationLabels",
            "RecognizeCelebrities",
        ),
        "unstated": ("CompareFaces", "IndexFaces", "SearchFacesByImage", "DetectProtectiveEquipment"),
    },
}
"""The operations of AWS that are billed, and those that tell of them."""


_AWS_JOBS: Final[Mapping[str, str]] = {
    "TranscriptionJob": "TranscriptionJobName",
    "MedicalTranscriptionJob": "MedicalTranscriptionJobName",
    "MedicalScribeJob": "MedicalScribeJobName",
    "CallAnalyticsJob": "CallAnalyticsJobName",
    "SpeechSynthesisTask": "TaskId",
}
"""What names a job, by the end of the operation's name; else it is ``JobId``."""


_AWS_DEFAULTS: Final[Mapping[str, str]] = {
    "StartTranscriptionJob": "standard",
    "StartMedicalTranscriptionJob": "medical",
    "StartMedicalScribeJob": "medical-scribe",
    "StartCallAnalyticsJob": "call-analytics",
}
"""What a job of Transcribe is billed as."""


def _aws_job(operation: str) -> tuple[str, ...]:
    """Return the way to what names a job: from the arguments, or from the answer that says it has begun."""
    kind = operation.removeprefix("Start").removeprefix("Get")
    named = _AWS_JOBS.get(kind, "JobId")
    nested = operation.startswith("Start") and named != "JobId"
    return (kind.removeprefix("Speech"), named) if nested else (named,)


_WITH_FEATURES: Final = frozenset({"AnalyzeDocument", "StartDocumentAnalysis", "GetDocumentAnalysis"})
"""Operations of Textract that bill what was asked for, found or not."""


def _aws() -> Iterable[MediaMethod]:
    for service, operations in _AWS.items():
        for what, names in operations.items():
            for name in names:
                yield MediaMethod(
                    "botocore.client",
                    "BaseClient._make_api_call",
                    what,
                    sends=what != "known",
                    service=f"aws-{service}",
                    model=(("Engine",),),
                    default=_AWS_DEFAULTS.get(name, "standard" if service == "polly" else None),
                    job=_aws_job(name),
                    features="FeatureTypes" if name in _WITH_FEATURES else "",
                    text=(("Text",),) if name == "TranslateText" else (),
                    only=name,
                )


def _bedrock() -> Iterable[MediaMethod]:
    operations: dict[str, Reads] = {
        "Converse": "response",
        "ConverseStream": "stream",
        "InvokeModel": "response",
        "InvokeModelWithResponseStream": "stream",
        "StartAsyncInvoke": "unstated",
    }
    return _of_bedrock(operations, (("modelId",),))


def _bedrock_agents() -> Iterable[MediaMethod]:
    at = "retrieveAndGenerateConfiguration"
    ways = (
        ("foundationModel",),
        (at, "knowledgeBaseConfiguration", "modelArn"),
        (at, "externalSourcesConfiguration", "modelArn"),
        ("rerankingConfiguration", "bedrockRerankingConfiguration", "modelConfiguration", "modelArn"),
        ("targetModelId",),
    )
    operations: dict[str, Reads] = {
        "InvokeAgent": "stream",
        "InvokeInlineAgent": "stream",
        **dict.fromkeys(
            ("InvokeFlow", "OptimizePrompt", "Rerank", "Retrieve", "RetrieveAndGenerate"), "unstated"
        ),
        "RetrieveAndGenerateStream": "unstated",
        "GenerateQuery": "unstated",
    }
    return _of_bedrock(operations, ways, of_agents=True)


def _of_bedrock(
    operations: Mapping[str, Reads], model: tuple[tuple[str, ...], ...], *, of_agents: bool = False
) -> Iterable[MediaMethod]:
    """Yield the operations of a client of Bedrock's, that of boto3 and that of aiobotocore."""
    for module, kind in (("botocore.client", "BaseClient"), ("aiobotocore.client", "AioBaseClient")):
        for name, reads in operations.items():
            yield MediaMethod(
                module,
                f"{kind}._make_api_call",
                reads,
                service="bedrock",
                model=model,
                only=name,
                of_agents=of_agents,
            )


def _azure() -> Iterable[MediaMethod]:
    for folder in ("", "aio."):
        yield MediaMethod(
            f"azure.ai.translation.text.{folder}_operations._patch",
            "_TextTranslationClientOperationsMixin.translate",
            service="azure-translator",
        )
        yield MediaMethod(
            f"azure.ai.documentintelligence.{folder}_operations._patch",
            "DocumentIntelligenceClientOperationsMixin.begin_analyze_document",
            "sent",
            service="azure-documents",
            job=("details", "operation_id"),
        )
    named: dict[str, Any] = {"reads": "known", "sends": False, "service": "azure"}
    job = ("self", "details", "operation_id")
    yield MediaMethod("azure.core.polling._poller", "LROPoller.result", job=job, **named)
    yield MediaMethod("azure.core.polling._async_poller", "AsyncLROPoller.result", job=job, **named)


def _azure_speech() -> Iterable[MediaMethod]:
    named: dict[str, Any] = {"service": "azure-speech"}
    at = "azure.cognitiveservices.speech."
    speech, translation, transcription = (
        f"{at}{name}" for name in ("speech", "translation", "transcription")
    )
    yield MediaMethod(speech, "ResultFuture.get", "known", sends=False, job=("self",), **named)
    yield MediaMethod(speech, "EventSignal.signal", "event", sends=False, **named)
    for module, kind in ((speech, "SpeechRecognizer"), (translation, "TranslationRecognizer")):
        yield MediaMethod(module, f"{kind}.recognize_once_async", "sent", **named)
        yield MediaMethod(module, f"{kind}.start_continuous_recognition_async", "opened", **named)
    for kind in ("ConversationTranscriber", "MeetingTranscriber"):
        yield MediaMethod(transcription, f"{kind}.start_transcribing_async", "opened", **named)
    for verb in ("speak", "start_speaking"):
        for form in ("text", "ssml"):
            name = f"SpeechSynthesizer.{verb}_{form}_async"
            yield MediaMethod(speech, name, "sent", text=((form,),), **named)
    yield MediaMethod(speech, "SpeechSynthesizer.speak_async", "sent", text=(("request",),), **named)


def _deepl() -> Iterable[MediaMethod]:
    yield MediaMethod("deepl.translator", "Translator.translate_text", service="deepl")
    yield MediaMethod(
        "deepl.translator",
        "Translator.translate_document_get_status",
        "known",
        sends=False,
        service="deepl",
        job=("handle", "document_id"),
    )
    yield MediaMethod(
        "deepl.translator",
        "Translator.translate_document_upload",
        "sent",
        service="deepl",
        job=("document_id",),
    )
    for name in ("rephrase_text", "correct_text"):
        yield MediaMethod("deepl.deepl_client", f"DeepLClient.{name}", "unstated", service="deepl")


def _voyage() -> Iterable[MediaMethod]:
    for module, kind in (("voyageai.client", "Client"), ("voyageai.client_async", "AsyncClient")):
        for name in ("embed", "contextualized_embed", "multimodal_embed", "rerank"):
            yield MediaMethod(module, f"{kind}.{name}", service="voyageai", model=(("model",),))


def _fal() -> Iterable[MediaMethod]:
    for name in ("_maybe_retry_request", "_async_maybe_retry_request"):
        yield MediaMethod("fal_client.client", name, "known", sends=False, service="fal")
    named: dict[str, Any] = {
        "reads": "sent",
        "service": "fal",
        "model": (("application",),),
        "job": ("request_id",),
    }
    for kind in ("SyncClient", "AsyncClient"):
        for name in ("run", "submit"):
            yield MediaMethod("fal_client.client", f"{kind}.{name}", **named)


def media_methods() -> dict[str, list[MediaMethod]]:
    """Return the methods by the module whose import shows that a program may use them."""
    found: dict[str, list[MediaMethod]] = {}
    for each in (
        _deepgram,
        _assemblyai,
        _elevenlabs,
        _google_cloud,
        _aws,
        _bedrock,
        _bedrock_agents,
        _azure,
        _azure_speech,
        _deepl,
        _voyage,
        _fal,
    ):
        for method in each():
            found.setdefault(method.module, []).append(method)
    return found
