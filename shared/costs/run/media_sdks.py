"""The methods of the SDKs of speech, translation, documents and hosted models that make a call.

The lowest method that still returns the service's own answer is wrapped, because every public one
calls it: raw clients of generated SDKs (their headers state what speech is billed), the
one method of boto3 that sends requests, and the result of an operation for services that work in the
background. Azure's Speech SDK works in a native library, so its events and futures are read. Batches of
Document AI, whose pages are in a bucket, are recorded as unknown. So is a job whose result the program never
reads, when the program ends.

Tested with assemblyai 1.8, azure-ai-documentintelligence 1.0, azure-ai-translation-text 2.0,
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
    """Return methods of a class and of its asynchronous counterpart."""
    return [MediaMethod(module, f"{kind}{name}", **more) for name in names for kind in ("", "Async")]


def _deepgram() -> Iterable[MediaMethod]:
    common: dict[str, Any] = {"service": "deepgram", "model": (("model",),)}
    yield from _both(
        "deepgram.listen.v1.media.raw_client",
        "RawMediaClient.transcribe_url",
        "RawMediaClient.transcribe_file",
        **common,
    )
    yield from _both(
        "deepgram.speak.v1.audio.raw_client", "RawAudioClient.generate", reads="headers", **common
    )
    yield from _both("deepgram.read.v1.text.raw_client", "RawTextClient.analyze", reads="unstated", **common)
    for version in ("1", "2"):
        module = f"deepgram.listen.v{version}.socket_client"
        for kind, emits, iterates in (("", "_emit", "__iter__"), ("Async", "_emit_async", "__aiter__")):
            client = f"{kind}V{version}SocketClient"
            yield MediaMethod(module, f"{client}.recv", "messages", service="deepgram")
            yield MediaMethod(module, f"{client}.{emits}", "message", service="deepgram")
            yield MediaMethod(module, f"{client}.{iterates}", "stream", service="deepgram")


def _assemblyai() -> Iterable[MediaMethod]:
    common: dict[str, Any] = {"service": "assemblyai"}
    for module in ("assemblyai.prerecorded.v2.api", "assemblyai.prerecorded.v2.async_api"):
        yield MediaMethod(module, "create_transcript", "sent", job=("id",), **common)
        yield MediaMethod(module, "get_transcript", "known", sends=False, **common)
    for module in ("client", "async_client"):
        kind = "AsyncRealTimeTranscriber" if "async" in module else "RealTimeTranscriber"
        yield MediaMethod(f"assemblyai.streaming.v3.{module}", f"{kind}._handle_message", "message", **common)
    yield MediaMethod("assemblyai.sync.v1.api", "transcribe", "unstated", **common)
    yield MediaMethod("assemblyai.sync.v1.async_api", "transcribe", "unstated", **common)


def _elevenlabs() -> Iterable[MediaMethod]:
    common: dict[str, Any] = {"service": "elevenlabs", "model": (("model_id",),)}
    yield from _both("elevenlabs.speech_to_text.raw_client", "RawSpeechToTextClient.convert", **common)
    yield from _both(
        "elevenlabs.text_to_speech.raw_client", "RawTextToSpeechClient.convert_with_timestamps", **common
    )
    speech = {
        "text_to_speech": ("TextToSpeech", ("convert", "stream", "stream_with_timestamps")),
        "text_to_dialogue": ("TextToDialogue", ("convert", "stream")),
        "text_to_sound_effects": ("TextToSoundEffects", ("convert",)),
        "speech_to_speech": ("SpeechToSpeech", ("convert", "stream")),
        "audio_isolation": ("AudioIsolation", ("convert", "stream")),
        "music": ("Music", ("compose", "stream")),
    }
    for folder, (kind, names) in speech.items():
        module = f"elevenlabs.{folder}.raw_client"
        yield from _both(module, *(f"Raw{kind}Client.{name}" for name in names), reads="headers", **common)


def _google(package: str, service: str, kind: str, **more: Any) -> Iterable[MediaMethod]:
    """Yield methods of a Google Cloud client; ``more`` has ``reads``, and the other fields of the methods."""
    reads: Mapping[Reads, tuple[str, ...]] = more.pop("reads")
    package_path = f"google.cloud.{package}"
    for kind_of_result, names in reads.items():
        fields: dict[str, Any] = {"job": ("operation", "name")} if kind_of_result == "sent" else {}
        if kind_of_result == "stream":
            model_paths = ((("requests", "first", "streaming_config", "config", "model")),)
            fields = {"requests": "requests", "model": model_paths}
        for name in names:
            method = MediaMethod(
                f"{package_path}.client",
                f"{kind}Client.{name}",
                kind_of_result,
                **{**more, **fields},
                service=service,
            )
            yield method
            async_name = f"{kind}AsyncClient.{name}"
            yield replace(method, module=f"{package_path}.async_client", name=async_name, service=service)


def _google_cloud() -> Iterable[MediaMethod]:
    for version in ("v1", "v1p1beta1", "v2"):
        batch_methods = ("long_running_recognize",) if version.startswith("v1") else ("batch_recognize",)
        yield from _google(
            f"speech_{version}.services.speech",
            "google-speech",
            "Speech",
            model=(("request", "config", "model"), ("config", "model")),
            default="default" if version.startswith("v1") else None,
            reads={"response": ("recognize",), "sent": batch_methods, "stream": ("streaming_recognize",)},
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
    common: dict[str, Any] = {"reads": "known", "sends": False, "service": "google"}
    yield MediaMethod(
        "google.api_core.operation", "Operation.result", job=("self", "operation", "name"), **common
    )
    yield MediaMethod(
        "google.api_core.operation_async",
        "AsyncOperation.result",
        job=("self", "operation", "name"),
        **common,
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
"""The operations of AWS that are billed, and those that return the results of jobs."""


_AWS_JOBS: Final[Mapping[str, str]] = {
    "TranscriptionJob": "TranscriptionJobName",
    "MedicalTranscriptionJob": "MedicalTranscriptionJobName",
    "MedicalScribeJob": "MedicalScribeJobName",
    "CallAnalyticsJob": "CallAnalyticsJobName",
    "SpeechSynthesisTask": "TaskId",
}
"""The field with a job's name, by the end of the operation's name; otherwise ``JobId``."""


_AWS_DEFAULTS: Final[Mapping[str, str]] = {
    "StartTranscriptionJob": "standard",
    "StartMedicalTranscriptionJob": "medical",
    "StartMedicalScribeJob": "medical-scribe",
    "StartCallAnalyticsJob": "call-analytics",
}
"""The models under which Transcribe's jobs are billed."""


def _aws_job(operation: str) -> tuple[str, ...]:
    """Return the path to a job's name: from the arguments, or from the answer that confirms its start."""
    kind = operation.removeprefix("Start").removeprefix("Get")
    field = _AWS_JOBS.get(kind, "JobId")
    is_nested = operation.startswith("Start") and field != "JobId"
    return (kind.removeprefix("Speech"), field) if is_nested else (field,)


_WITH_FEATURES: Final = frozenset({"AnalyzeDocument", "StartDocumentAnalysis", "GetDocumentAnalysis"})
"""Operations of Textract that bill the requested features, whether they are found or not."""


def _aws() -> Iterable[MediaMethod]:
    for service, operations in _AWS.items():
        for reads, names in operations.items():
            for name in names:
                yield MediaMethod(
                    "botocore.client",
                    "BaseClient._make_api_call",
                    reads,
                    sends=reads != "known",
                    service=f"aws-{service}",
                    model=(("Engine",),),
                    default=_AWS_DEFAULTS.get(name, "standard" if service == "polly" else None),
                    job=_aws_job(name),
                    features="FeatureTypes" if name in _WITH_FEATURES else "",
                    text=(("Text",),) if name == "TranslateText" else (),
                    operation=name,
                )


def _bedrock() -> Iterable[MediaMethod]:
    operations: dict[str, Reads] = {
        "Converse": "response",
        "ConverseStream": "stream",
        "InvokeModel": "response",
        "InvokeModelWithResponseStream": "stream",
        "StartAsyncInvoke": "unstated",
    }
    return _bedrock_methods(operations, (("modelId",),))


def _bedrock_agents() -> Iterable[MediaMethod]:
    configuration = "retrieveAndGenerateConfiguration"
    model_paths = (
        ("foundationModel",),
        (configuration, "knowledgeBaseConfiguration", "modelArn"),
        (configuration, "externalSourcesConfiguration", "modelArn"),
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
    return _bedrock_methods(operations, model_paths, is_agent=True)


def _bedrock_methods(
    operations: Mapping[str, Reads], model: tuple[tuple[str, ...], ...], *, is_agent: bool = False
) -> Iterable[MediaMethod]:
    """Yield the operations of a Bedrock client, for boto3 and for aiobotocore."""
    for module, kind in (("botocore.client", "BaseClient"), ("aiobotocore.client", "AioBaseClient")):
        for name, reads in operations.items():
            yield MediaMethod(
                module,
                f"{kind}._make_api_call",
                reads,
                service="bedrock",
                model=model,
                operation=name,
                is_agent=is_agent,
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
    common: dict[str, Any] = {"reads": "known", "sends": False, "service": "azure"}
    job = ("self", "details", "operation_id")
    yield MediaMethod("azure.core.polling._poller", "LROPoller.result", job=job, **common)
    yield MediaMethod("azure.core.polling._async_poller", "AsyncLROPoller.result", job=job, **common)


def _azure_speech() -> Iterable[MediaMethod]:
    common: dict[str, Any] = {"service": "azure-speech"}
    package = "azure.cognitiveservices.speech."
    speech, translation, transcription = (
        f"{package}{name}" for name in ("speech", "translation", "transcription")
    )
    yield MediaMethod(speech, "ResultFuture.get", "known", sends=False, job=("self",), **common)
    yield MediaMethod(speech, "EventSignal.signal", "event", sends=False, **common)
    for module, kind in ((speech, "SpeechRecognizer"), (translation, "TranslationRecognizer")):
        yield MediaMethod(module, f"{kind}.recognize_once_async", "sent", **common)
        yield MediaMethod(module, f"{kind}.start_continuous_recognition_async", "opened", **common)
    for kind in ("ConversationTranscriber", "MeetingTranscriber"):
        yield MediaMethod(transcription, f"{kind}.start_transcribing_async", "opened", **common)
    for verb in ("speak", "start_speaking"):
        for form in ("text", "ssml"):
            name = f"SpeechSynthesizer.{verb}_{form}_async"
            yield MediaMethod(speech, name, "sent", text=((form,),), **common)
    yield MediaMethod(speech, "SpeechSynthesizer.speak_async", "sent", text=(("request",),), **common)


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
    common: dict[str, Any] = {
        "reads": "sent",
        "service": "fal",
        "model": (("application",),),
        "job": ("request_id",),
    }
    for kind in ("SyncClient", "AsyncClient"):
        for name in ("run", "submit"):
            yield MediaMethod("fal_client.client", f"{kind}.{name}", **common)


def media_methods() -> dict[str, list[MediaMethod]]:
    """Return the methods to wrap, by the module whose import shows that a program may use them."""
    by_module: dict[str, list[MediaMethod]] = {}
    for methods_of_sdk in (
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
        for method in methods_of_sdk():
            by_module.setdefault(method.module, []).append(method)
    return by_module
