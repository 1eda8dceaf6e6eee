"""An unchanged program that transcribes, translates or reads documents has its calls recorded under ``run``.

Each program uses the real SDK against a server of this process, which answers as the service does. Live
speech is in ``test_run_speech``.
"""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from shared.costs.money import from_usd
from shared.costs.run.calls import MediaCall
from shared.costs.run.jobs import Jobs
from shared.costs.run.methods import MediaMethod
from tests.costs.run.run_support import dashboard_run, entries, measured
from tests.support.lazily import is_there

Answer = tuple[str, Any, dict[str, str]]
"""A part of the path or of the operation's name, the body (bytes are sound), and headers."""

INFO = {"m1": {"name": "general-nova-3", "version": "v", "arch": "nova-3"}}
ABOUT = {
    "request_id": "dg-1",
    "sha256": "s",
    "created": "2026-11-28T12:00:00Z",
    "duration": 61.5,
    "channels": 2,
    "models": ["m1"],
    "model_info": INFO,
}
TRANSCRIPT = {
    "id": "aai-1",
    "status": "completed",
    "audio_url": "https://example.com/a.mp3",
    "audio_duration": 95,
    "speech_model_used": "universal-2",
    "multichannel": True,
    "audio_channels": 2,
    "text": "x",
    "webhook_auth": False,
}
HEARD = {"language_code": "en", "language_probability": 1.0, "text": "x", "words": []}
PAGES = [{"pageNumber": 1}, {"pageNumber": 2}, {"pageNumber": 3}]
ANALYSED = {"apiVersion": "2024-11-30", "modelId": "prebuilt-read", "pages": PAGES, "content": "x"}
LONG = "type.googleapis.com/google.cloud.speech.v1.LongRunningRecognizeResponse"
VECTOR = [{"object": "embedding", "embedding": [0.1], "index": 0}]
TASK = {"TaskId": "task-1", "TaskStatus": "completed", "RequestCharacters": 9, "Engine": "neural"}
MEDICAL = {"MedicalTranscriptionJobName": "bad", "TranscriptionJobStatus": "QUEUED"}
ANSWERS: tuple[Answer, ...] = (
    ("/v1/listen", {"metadata": ABOUT, "results": {"channels": []}}, {}),
    (
        "/v1/speak",
        b"audio",
        {"dg-char-count": "77", "dg-model-name": "aura-2-thalia-en", "dg-request-id": "dg-2"},
    ),
    ("/v2/transcript/", TRANSCRIPT, {}),
    ("/v2/transcript", {**TRANSCRIPT, "status": "queued", "audio_duration": None}, {}),
    ("/v1/speech-to-text", {**HEARD, "transcription_id": "el-1", "audio_duration_secs": 33.5}, {}),
    ("/v1/text-to-speech", b"audio", {"character-cost": "12", "request-id": "el-2"}),
    (
        "/v2/translate",
        {"translations": [{"detected_source_language": "EN", "text": "x", "billed_characters": 5}]},
        {},
    ),
    ("/v2/document/doc-1/result", b"done", {}),
    ("/v2/document/doc-1", {"document_id": "doc-1", "status": "done", "billed_characters": 50_000}, {}),
    ("/v2/document", {"document_id": "doc-1", "document_key": "k"}, {}),
    ("speech:recognize", {"totalBilledTime": "15s", "requestId": "77"}, {}),
    (
        "speech:longrunningrecognize",
        {"name": "op-1", "done": True, "response": {"@type": LONG, "totalBilledTime": "45s"}},
        {},
    ),
    (":recognize", {"metadata": {"requestId": "sp-2", "totalBilledDuration": "31s"}}, {}),
    (":translateText", {"translations": [{"translatedText": "x"}]}, {}),
    (":process", {"document": {"pages": PAGES}}, {}),
    ("text:synthesize", {"audioContent": "aGk="}, {}),
    ("DetectDocumentText", {"DocumentMetadata": {"Pages": 2}, "Blocks": []}, {"x-amzn-RequestId": "aws-1"}),
    ("StartDocumentAnalysis", {"JobId": "job-1"}, {}),
    (
        "StartTranscriptionJob",
        {"TranscriptionJob": {"TranscriptionJobName": "left", "TranscriptionJobStatus": "IN_PROGRESS"}},
        {},
    ),
    ("StartMedicalTranscriptionJob", {"MedicalTranscriptionJob": MEDICAL}, {}),
    (
        "GetMedicalTranscriptionJob",
        {"MedicalTranscriptionJob": {**MEDICAL, "TranscriptionJobStatus": "FAILED"}},
        {},
    ),
    ("/v1/synthesisTasks/task-1", {"SynthesisTask": TASK}, {}),
    ("/v1/synthesisTasks", {"SynthesisTask": {"TaskId": "task-1", "TaskStatus": "scheduled"}}, {}),
    (
        "GetDocumentAnalysis",
        {
            "JobStatus": "SUCCEEDED",
            "DocumentMetadata": {"Pages": 4},
            "Blocks": [{"BlockType": "TABLE"}],
            "AnalyzeDocumentModelVersion": "1.0",
        },
        {},
    ),
    (
        "TranslateText",
        {"TranslatedText": "x", "SourceLanguageCode": "en", "TargetLanguageCode": "de"},
        {"x-amzn-RequestId": "aws-3"},
    ),
    (
        "GetTranscriptionJob",
        {"TranscriptionJob": {"TranscriptionJobName": "tj", "TranscriptionJobStatus": "COMPLETED"}},
        {},
    ),
    ("/v1/speech", b"mp3", {"x-amzn-RequestCharacters": "33", "x-amzn-RequestId": "aws-4"}),
    (
        "/translate",
        {"value": [{"translations": [{"text": "x", "language": "de", "sourceCharacters": 5}]}]},
        {},
    ),
    (":analyze", None, {"Operation-Location": "{address}/documentintelligence/analyzeResults/op-9"}),
    ("analyzeResults/op-9", {"status": "succeeded", "analyzeResult": ANALYSED}, {}),
    (
        "/multimodalembeddings",
        {
            "object": "list",
            "data": VECTOR,
            "usage": {"text_tokens": 40, "image_pixels": 2_000_000, "video_pixels": 0, "total_tokens": 3_611},
        },
        {},
    ),
    (
        "/requests/fal-1",
        {"images": []},
        {"x-fal-billable-units": "2.5", "x-fal-request-id": "fal-1"},
    ),
)


class Service(BaseHTTPRequestHandler):
    """Answers as the services do."""

    protocol_version = "HTTP/1.1"

    def answer(self) -> None:
        """Answer by the path, or by the operation that AWS has in a header."""
        self._read()
        asked = self.path + self.headers.get("x-amz-target", "")
        if asked.endswith("/fal-ai/flux/dev"):
            at = f"{self._address}/fal-ai/flux/requests/fal-1"
            body: Any = {
                "request_id": "fal-1",
                "response_url": at,
                "status_url": f"{at}/status",
                "cancel_url": at,
            }
            headers: dict[str, str] = {}
        elif asked.endswith("/status?logs=false"):
            body, headers = {"status": "COMPLETED", "logs": None, "metrics": {"inference_time": 1.0}}, {}
        else:
            _, body, headers = next(each for each in ANSWERS if each[0] in asked)
        data = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
        self.send_response(202 if body is None else 200)
        self.send_header("content-type", "audio/mpeg" if isinstance(body, bytes) else "application/json")
        self.send_header("content-length", str(len(data)))
        for name, value in headers.items():
            self.send_header(name, value.replace("{address}", self._address))
        self.end_headers()
        self.wfile.write(data)

    def do_GET(self) -> None:
        self.answer()

    def do_POST(self) -> None:
        self.answer()

    @property
    def _address(self) -> str:
        return f"http://{self.headers['host']}"

    def _read(self) -> None:
        if self.headers.get("transfer-encoding") != "chunked":
            self.rfile.read(int(self.headers.get("content-length") or 0))
            return
        while size := int(self.rfile.readline().strip() or b"0", 16):
            self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """The address of the services."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Service)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()


STARTED = """
import sys
import boto3
keys = {"aws_access_key_id": "a", "aws_secret_access_key": "b"}
own = {"region_name": "us-east-1", "endpoint_url": sys.argv[1], **keys}
client = boto3.client("transcribe", **own)
media = {"LanguageCode": "en-US", "Media": {"MediaFileUri": "s3://bucket/a.mp3"}}
"""
NEVER_READ = """
client.start_transcription_job(TranscriptionJobName="left", **media)
client.start_medical_transcription_job(
    MedicalTranscriptionJobName="bad", Specialty="PRIMARYCARE", Type="DICTATION", OutputBucketName="b",
    **media,
)
client.get_medical_transcription_job(MedicalTranscriptionJobName="bad")
polly = boto3.client("polly", **own)
task = polly.start_speech_synthesis_task(
    OutputFormat="mp3", OutputS3BucketName="b", Text="x", VoiceId="Joanna"
)
polly.get_speech_synthesis_task(TaskId=task["SynthesisTask"]["TaskId"])
"""
READ_LATER = """
client.get_transcription_job(TranscriptionJobName="left")
client.get_transcription_job(TranscriptionJobName="left")
"""

POLLY = """
polly = boto3.client("polly", **own)
"""
SYNTHESIZED = """
asked = {"OutputFormat": "mp3", "OutputS3BucketName": "b", "Text": "x", "VoiceId": "Joanna"}
polly.start_speech_synthesis_task(**asked)
"""
SYNTHESIS_READ = """
polly.get_speech_synthesis_task(TaskId="task-1")
"""
FORKED = """
import os
if os.fork() == 0:
    sys.exit()
assert os.wait()[1] == 0
"""
READ_BY_ANOTHER = f"""
import subprocess
code = {STARTED + POLLY + SYNTHESIS_READ!r}
subprocess.run([sys.executable, "-c", code, sys.argv[1]], check=True)
"""

DEEPGRAM = """
import asyncio, sys
from deepgram import AsyncDeepgramClient, DeepgramClient
from deepgram.environment import DeepgramClientEnvironment
at = sys.argv[1]
env = DeepgramClientEnvironment(base=at, production=at, agent=at, agent_rest=at)
client = DeepgramClient(api_key="k", environment=env)
client.listen.v1.media.transcribe_url(url="https://example.com/a.mp3", model="nova-3")
client.listen.v1.media.with_raw_response.transcribe_file(request=b"sound" * 9, model="nova-3")
assert b"".join(client.speak.v1.audio.generate(text="hello", model="aura-2-thalia-en")) == b"audio"
async def again():
    client = AsyncDeepgramClient(api_key="k", environment=env)
    await client.listen.v1.media.transcribe_url(url="https://example.com/a.mp3", model="nova-3")
    assert [part async for part in client.speak.v1.audio.generate(text="hello")]
asyncio.run(again())
"""

ASSEMBLYAI = """
import sys
import assemblyai
assemblyai.settings.api_key, assemblyai.settings.base_url = "k", sys.argv[1]
transcript = assemblyai.Transcriber().transcribe("https://example.com/a.mp3")
assert (transcript.audio_duration, transcript.status.value) == (95, "completed")
transcript.wait_for_completion()
"""

ELEVENLABS = """
import asyncio, io, sys
from elevenlabs.client import AsyncElevenLabs, ElevenLabs
client = ElevenLabs(api_key="k", base_url=sys.argv[1])
assert client.speech_to_text.convert(model_id="scribe_v2", file=io.BytesIO(b"x")).text == "x"
assert b"".join(client.text_to_speech.convert("v", text="hello", model_id="eleven_v3")) == b"audio"
with client.text_to_speech.with_raw_response.stream("v", text="hello", model_id="eleven_v3") as raw:
    assert b"".join(raw.data) == b"audio"
async def again():
    client = AsyncElevenLabs(api_key="k", base_url=sys.argv[1])
    assert [part async for part in client.text_to_speech.convert("v", text="hello", model_id="eleven_v3")]
asyncio.run(again())
"""

DEEPL = """
import io, sys
import deepl
client = deepl.DeepLClient("k", server_url=sys.argv[1])
assert client.translate_text("hello", target_lang="DE").text == "x"
client.translate_document(io.BytesIO(b"x"), io.BytesIO(), target_lang="DE", filename="a.txt")
client.translate_document_get_status(deepl.DocumentHandle("doc-1", "k"))
"""

GOOGLE = """
import sys
from google.auth.credentials import AnonymousCredentials
from google.cloud import documentai_v1, speech_v1, speech_v2, translate_v3
from google.cloud.documentai_v1.services.document_processor_service import transports as documents
from google.cloud.speech_v1.services.speech import transports as first
from google.cloud.speech_v2.services.speech import transports as second
from google.cloud.translate_v3.services.translation_service import transports as texts
def over(transport):
    return transport(host=sys.argv[1], credentials=AnonymousCredentials(), url_scheme="http")
client = speech_v1.SpeechClient(transport=over(first.SpeechRestTransport))
config = {"language_code": "en", "model": "latest_long"}
client.recognize(config=config, audio={"content": b"x"})
later = client.long_running_recognize(config=config, audio={"uri": "gs://bucket/a"})
for _ in range(2):
    assert later.result(timeout=300).total_billed_time.seconds == 45
client = speech_v2.SpeechClient(transport=over(second.SpeechRestTransport))
asked = speech_v2.RecognizeRequest(
    recognizer="projects/p/locations/global/recognizers/_",
    config=speech_v2.RecognitionConfig(model="chirp_3"), content=b"x",
)
client.recognize(request=asked)
client = translate_v3.TranslationServiceClient(transport=over(texts.TranslationServiceRestTransport))
client.translate_text(parent="projects/p", contents=["hello", "x"], target_language_code="de")
client = documentai_v1.DocumentProcessorServiceClient(
    transport=over(documents.DocumentProcessorServiceRestTransport)
)
raw = {"content": b"x", "mime_type": "application/pdf"}
client.process_document(request={"name": "projects/p/locations/us/processors/x", "raw_document": raw})
"""

AWS = """
import sys
import boto3
keys = {"aws_access_key_id": "a", "aws_secret_access_key": "b"}
own = {"region_name": "us-east-1", "endpoint_url": sys.argv[1], **keys}
client = boto3.client("textract", **own)
# As packages do that stand between a client and its operations.
client._make_api_call(operation_name="DetectDocumentText", api_params={"Document": {"Bytes": b"x"}})
place = {"S3Object": {"Bucket": "bucket", "Name": "a.pdf"}}
job = client.start_document_analysis(DocumentLocation=place, FeatureTypes=["TABLES", "FORMS"])["JobId"]
client.get_document_analysis(JobId=job)
client.get_document_analysis(JobId=job, NextToken="2")
translate = boto3.client("translate", **own).translate_text
made = translate(Text="hello", SourceLanguageCode="en", TargetLanguageCode="de")
assert made["TranslatedText"] == "x"
boto3.client("transcribe", **own).get_transcription_job(TranscriptionJobName="tj")
spoken = boto3.client("polly", **own).synthesize_speech(Text="hello", OutputFormat="mp3", VoiceId="Joanna")
assert spoken["AudioStream"].read() == b"mp3"
"""

AZURE = """
import io, sys
from azure.ai.documentintelligence import DocumentIntelligenceClient
from azure.ai.translation.text import TextTranslationClient
from azure.core.credentials import AzureKeyCredential
key = AzureKeyCredential("k")
TextTranslationClient(credential=key, endpoint=sys.argv[1]).translate(body=["hello"], to_language=["de"])
client = DocumentIntelligenceClient(sys.argv[1], key)
poller = client.begin_analyze_document("prebuilt-read", body=io.BytesIO(b"x"), polling_interval=0)
assert len(poller.result().pages) == len(poller.result().pages) == 3
"""

VOYAGE = """
import sys
import voyageai
client = voyageai.Client(api_key="k", base_url=sys.argv[1] + "/v1")
assert client.multimodal_embed([["a picture"]], model="voyage-multimodal-3.5").image_pixels == 2_000_000
"""

FAL = """
import sys
import fal_client.client as fal
fal.RUN_URL_FORMAT = fal.QUEUE_URL_FORMAT = sys.argv[1] + "/"
assert fal.SyncClient(key="k").subscribe("fal-ai/flux/dev", {"prompt": "x"}) == {"images": []}
"""

PROGRAMS: list[tuple[str, str, str, set[tuple[str, str | None, str | None]]]] = [
    (
        "deepgram",
        "deepgram",
        DEEPGRAM,
        {("deepgram/nova-3", "dg-1", "0.008815"), ("deepgram/aura-2", "dg-2", "0.00231")},
    ),
    ("assemblyai", "assemblyai", ASSEMBLYAI, {("assemblyai/universal-2", "aai-1", "0.003958333")}),
    (
        "elevenlabs",
        "elevenlabs",
        ELEVENLABS,
        {("elevenlabs/scribe_v2", "el-1", "0.002047222"), ("elevenlabs/eleven_v3", "el-2", "0.00096")},
    ),
    ("deepl", "deepl", DEEPL, {("deepl/text", None, "0.000125"), ("deepl/document", "doc-1", "1.25")}),
    (
        "google",
        "google.cloud.documentai_v1",
        GOOGLE,
        {
            ("google-speech/latest_long+v1", "77", "0.006"),
            ("google-speech/latest_long+v1", "op-1", "0.018"),
            ("google-speech/chirp_3", "sp-2", "0.008266667"),
            ("google-translate/nmt", None, "0.00012"),
            ("google-documentai/x", None, None),
        },
    ),
    (
        "aws",
        "boto3",
        AWS,
        {
            ("aws-textract/detect-document-text", "aws-1", "0.003"),
            ("aws-textract/forms+tables", "job-1", "0.26"),  # both were asked for, one was found
            ("aws-translate/standard", "aws-3", "0.000075"),
            ("aws-transcribe/standard", "tj", None),
            ("aws-polly/standard", "aws-4", "0.000132"),
        },
    ),
    (
        "azure",
        "azure.ai.documentintelligence",
        AZURE,
        {("azure-translator/standard", None, "0.00005"), ("azure-documents/prebuilt-read", "op-9", "0.0045")},
    ),
    ("voyage", "voyageai", VOYAGE, {("voyageai/voyage-multimodal-3.5", None, "0.0012048")}),
    ("fal", "fal_client", FAL, {("fal/fal-ai/flux/dev", "fal-1", "0.0625")}),
]


@pytest.mark.skipif(not is_there("opentelemetry.sdk"), reason="needs the extra capture")
@pytest.mark.parametrize(
    ("module", "program", "bills"), [row[1:] for row in PROGRAMS], ids=[row[0] for row in PROGRAMS]
)
def test_calls_of_an_unchanged_program_are_recorded_once_at_their_price(
    tmp_path: Path, address: str, module: str, program: str, bills: set[tuple[str, str | None, str | None]]
) -> None:
    if not is_there(module):
        pytest.skip(f"needs {module}: pip install -e '.[dev-capture]'")
    job = tmp_path / "job-1"
    ran = recorded(tmp_path, job, program, address)
    assert ran.returncode == 0, ran.stderr
    found = entries(job)
    assert len(found) == len(bills)
    for entry in found:
        named = f"{entry.service}/{entry.model}"
        [bill] = [bill for bill in bills if bill[:2] == (named, entry.request_id)]
        assert (entry.cost if entry.charge else None) == (None if bill[2] is None else from_usd(bill[2])), (
            named
        )


def test_a_run_is_stopped_by_what_polls_and_pages_of_results_tell_once(tmp_path: Path, address: str) -> None:
    if not (is_there("boto3") and is_there("opentelemetry.sdk")):
        pytest.skip("needs boto3 and the extra capture")
    job = tmp_path / "job-1"
    ran = recorded(tmp_path, job, AWS, address, "--budget", "0.27")
    assert ran.returncode == 0, ran.stderr  # 0.263, with both pages of one job's results counted once
    again = recorded(tmp_path, tmp_path / "job-2", AWS, address, "--budget", "0.262")
    assert again.returncode != 0
    assert "budget of this run" in again.stderr


def test_a_job_that_nobody_reads_is_said_at_the_end_until_another_program_reads_it(
    tmp_path: Path, address: str
) -> None:
    if not (is_there("boto3") and is_there("opentelemetry.sdk")):
        pytest.skip("needs boto3 and the extra capture")
    job = tmp_path / "job-1"
    ran = recorded(tmp_path, job, STARTED + NEVER_READ, address, **measured())
    assert ran.returncode == 0, ran.stderr
    found = {(entry.model, entry.request_id): entry for entry in entries(job)}
    assert set(found) == {("standard", "left/started"), ("neural", "task-1")}  # the failed one is not billed
    left = found["standard", "left/started"]
    assert left.charge is None
    assert "the job left was started and no result of it was read" in str(left.metadata["incomplete"])
    again = recorded(tmp_path, job, STARTED + READ_LATER, address, **measured())
    assert again.returncode == 0, again.stderr
    corrected = [(entry.kind, entry.corrects) for entry in entries(job)]
    assert corrected.count(("reversal", left.id)) == 1
    assert len(corrected) == 4  # with what was read: of Transcribe's jobs that states no seconds


@pytest.mark.parametrize("between", [FORKED + SYNTHESIS_READ, READ_BY_ANOTHER], ids=["fork", "process"])
def test_a_job_that_another_process_has_a_copy_of_or_reads_is_no_second_call(
    tmp_path: Path, address: str, between: str
) -> None:
    if not (is_there("boto3") and is_there("opentelemetry.sdk")):
        pytest.skip("needs boto3 and the extra capture")
    job = tmp_path / "job-1"
    program = STARTED + POLLY + SYNTHESIZED + between
    ran = recorded(tmp_path, job, program, address)
    assert ran.returncode == 0, ran.stderr
    assert [(entry.model, entry.request_id) for entry in entries(job)] == [("neural", "task-1")]


LONG_BEGUN = """
import sys
from google.api_core import operation
from google.auth.credentials import AnonymousCredentials
from google.cloud import speech_v1
from google.cloud.speech_v1.services.speech import transports
from google.longrunning import operations_pb2
own = {"host": sys.argv[1], "credentials": AnonymousCredentials(), "url_scheme": "http"}
client = speech_v1.SpeechClient(transport=transports.SpeechRestTransport(**own))
"""
LONG_LEFT = """
client.long_running_recognize(config={"language_code": "en"}, audio={"uri": "gs://bucket/a"})
"""
LONG_READ = """
kind = speech_v1.LongRunningRecognizeResponse
begun = operations_pb2.Operation(name="op-1", done=True)
begun.response.Pack(kind.pb(kind(total_billed_time={"seconds": 45})))
later = operation.from_gapic(begun, client.transport.operations_client, kind)
assert later.result(timeout=300).total_billed_time.seconds == 45
"""


LONG_FAILED = """
failed = operations_pb2.Operation(name="op-1", done=True, error={"code": 3, "message": "no sound"})
operations, kind = client.transport.operations_client, speech_v1.LongRunningRecognizeResponse
later = operation.from_gapic(failed, operations, kind)
try:
    later.result(timeout=300)
except Exception as fault:
    assert "no sound" in str(fault)
else:
    raise AssertionError
"""


def test_a_job_that_failed_is_no_call_though_nobody_read_its_result(tmp_path: Path, address: str) -> None:
    if not (is_there("google.cloud.speech_v1") and is_there("opentelemetry.sdk")):
        pytest.skip("needs google-cloud-speech: pip install -e '.[dev-capture]'")
    job = tmp_path / "job-1"
    ran = recorded(tmp_path, job, LONG_BEGUN + LONG_LEFT + LONG_FAILED, address)
    assert ran.returncode == 0, ran.stderr
    assert not (job / "cost_ledger.jsonl").exists()


def _poller(status: str) -> Any:
    return SimpleNamespace(status=lambda: status, polling_method=lambda: None)


def test_what_waits_for_a_job_says_that_it_failed_and_not_that_it_takes_long() -> None:
    jobs, told = Jobs(), list[Any]()
    ticket: Any = SimpleNamespace(report=told.append, failed=lambda _: None, denied=None)
    named: dict[str, Any] = {"service": "azure-documents"}
    begun = MediaMethod("azure", "begin", "sent", job=("id",), **named)
    result = MediaMethod("azure", "result", "known", job=("self", "id"), **named)
    for job, status in (("a", "Failed"), ("b", "InProgress")):
        MediaCall(begun, None, (), {}, ticket, jobs).remember(SimpleNamespace(id=job))
        poller = _poller(status)
        poller.id = job
        with pytest.raises(ZeroDivisionError), MediaCall(result, poller, (), {}, ticket, jobs).failing():
            1 / 0  # noqa: B018  # what the SDK raises
    jobs.record_unread()
    assert [call.request_id for call in told] == ["b/started"]


def test_a_job_is_taken_for_read_whatever_its_reader_calls_the_service(tmp_path: Path, address: str) -> None:
    if not (is_there("google.cloud.speech_v1") and is_there("opentelemetry.sdk")):
        pytest.skip("needs google-cloud-speech: pip install -e '.[dev-capture]'")
    job = tmp_path / "job-1"
    for rest in (LONG_LEFT, LONG_READ):
        ran = recorded(tmp_path, job, LONG_BEGUN + rest, address)
        assert ran.returncode == 0, ran.stderr
    assert [(entry.kind, entry.request_id) for entry in entries(job)][::2] == [
        ("usage", "op-1/started"),
        ("reversal", None),
    ]


def recorded(
    tmp_path: Path,
    job: Path,
    program: str,
    address: str,
    *options: str,
    **environ: str,
) -> Any:
    """Run a program under ``run``, with the Python of this process."""
    script = tmp_path / "program.py"
    script.write_text(program, encoding="utf-8")
    return dashboard_run("--job-dir", job, *options, "--", sys.executable, script, address, **environ)
