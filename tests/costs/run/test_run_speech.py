"""Live speech of an unchanged program is recorded under ``run``: Azure's Speech SDK, and Google's streams.

Both SDKs are the real ones. Azure's recognises in a native library, which speaks to a WebSocket of this
process; Google's speaks gRPC to a server of its package.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import re
import socket
import struct
import sys
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from shared.costs.capture.reading import read_response
from shared.costs.model import Usage
from shared.costs.money import from_usd
from shared.costs.run.calls import AzureSpeechCall
from shared.costs.run.jobs import Jobs
from shared.costs.run.methods import MediaMethod, keeping_first
from tests.costs.run.run_support import dashboard_run, entries
from tests.support.lazily import is_there

PHRASES = (
    {"RecognitionStatus": "Success", "Offset": 1_000_000, "Duration": 25_000_000, "DisplayText": "one"},
    {"RecognitionStatus": "Success", "Offset": 40_000_000, "Duration": 125_000_000, "DisplayText": "two"},
)


class AzureSpeech(threading.Thread):
    """Answers each connection as the service does: it hears two sentences, and says a second of silence."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self._server = socket.create_server(("127.0.0.1", 0))
        self.address = f"ws://127.0.0.1:{self._server.getsockname()[1]}"

    def run(self) -> None:
        while True:
            try:
                connection, _ = self._server.accept()
            except OSError:
                return  # it was closed
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def close(self) -> None:
        """Take no further connection."""
        self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()
        self.join()

    def _serve(self, connection: socket.socket) -> None:
        with connection, connection.makefile("rwb") as file:
            head = b"".join(iter(file.readline, b"\r\n")).decode()
            key = re.search(r"sec-websocket-key: *(\S+)", head, re.IGNORECASE)
            assert key is not None
            accepted = hashlib.sha1((key[1] + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11").encode()).digest()
            lines = ("HTTP/1.1 101 Switching Protocols", "Upgrade: websocket", "Connection: Upgrade")
            accept = f"Sec-WebSocket-Accept: {base64.b64encode(accepted).decode()}"
            file.write(("\r\n".join([*lines, accept]) + "\r\n\r\n").encode())
            file.flush()
            with suppress(ConnectionError):  # the program has ended
                while (message := _message(file)) is not None:
                    for answer in _answers(*message):
                        file.write(answer)
                        file.flush()


def _message(file: Any) -> tuple[int, bytes] | None:
    head = file.read(2)
    if len(head) < 2 or head[0] & 15 == 8:
        return None
    length = head[1] & 127
    if length > 125:
        form = ">H" if length == 126 else ">Q"
        length = struct.unpack(form, file.read(struct.calcsize(form)))[0]
    mask = file.read(4)
    return head[0] & 15, bytes(byte ^ mask[at % 4] for at, byte in enumerate(file.read(length)))


def _answers(kind: int, message: bytes) -> Iterator[bytes]:
    if kind == 1:
        if "Path:ssml" in (asked := message.decode()):
            yield from _said(_request_id(asked))
        return
    size = struct.unpack(">H", message[:2])[0]
    heads, sound = message[2 : 2 + size].decode(), message[2 + size :]
    if "Path:audio" in heads and not sound:
        request_id = _request_id(heads)
        yield _told("turn.start", request_id, {"context": {"serviceTag": "t"}})
        yield _told("speech.hypothesis", request_id, {"Text": "on", "Offset": 1, "Duration": 3_000_000})
        for phrase in PHRASES:
            yield _told("speech.phrase", request_id, phrase)
        yield _told("turn.end", request_id, {})


def _request_id(heads: str) -> str:
    match = re.search(r"X-RequestId: *(\w+)", heads)
    assert match is not None
    return match[1]


def _said(request_id: str) -> Iterator[bytes]:
    yield _told("turn.start", request_id, {"context": {"serviceTag": "t"}})
    heads = f"X-RequestId:{request_id}\r\nContent-Type:audio/x-wav\r\nX-StreamId:1\r\nPath:audio\r\n".encode()
    yield _frame(2, struct.pack(">H", len(heads)) + heads + b"\0" * 32_000)
    yield _told("turn.end", request_id, {})


def _told(path: str, request_id: str, body: Any) -> bytes:
    heads = f"X-RequestId:{request_id}\r\nContent-Type:application/json; charset=utf-8\r\nPath:{path}\r\n\r\n"
    return _frame(1, (heads + json.dumps(body)).encode())


def _frame(kind: int, body: bytes) -> bytes:
    size = len(body)
    return bytes([128 | kind]) + (bytes([size]) if size < 126 else b"\x7e" + struct.pack(">H", size)) + body


@pytest.fixture(scope="module")
def azure() -> Iterator[str]:
    """The address of Azure's service."""
    server = AzureSpeech()
    server.start()
    yield server.address
    server.close()


AZURE = """
import sys, threading
import azure.cognitiveservices.speech as speech
config = speech.SpeechConfig(host=sys.argv[1])
def sound():
    stream = speech.audio.PushAudioInputStream()
    stream.write(bytes(64_000))
    stream.close()
    return speech.audio.AudioConfig(stream=stream)
def listener(heard):
    made = speech.SpeechRecognizer(speech_config=config, audio_config=sound())
    made.recognized.connect(lambda event: heard.append(event.result.text))
    made.recognizing.connect(lambda event: None)
    return made
"""
ONCE = """
heard = []
recognizer = listener(heard)
later = recognizer.recognize_once_async()
assert later.get().text == later.get().text == "one", later.get().cancellation_details
assert heard == ["one"]
another = listener([])
another.recognize_once()
"""
ONLY_TOLD = """
heard, over = [], threading.Event()
recognizer = listener(heard)
recognizer.session_stopped.connect(lambda event: over.set())
later = recognizer.recognize_once_async()
assert over.wait(300)
assert heard == ["one"]
"""
GOING_ON = """
heard, over = [], threading.Event()
recognizer = listener(heard)
recognizer.session_stopped.connect(lambda event: over.set())
recognizer.start_continuous_recognition()
assert over.wait(300)
recognizer.stop_continuous_recognition()
assert heard == ["one", "two"], heard
"""
SPEAKING = """
said = []
config.speech_synthesis_voice_name = "en-US-Ava:DragonHDLatestNeural"
synthesizer = speech.SpeechSynthesizer(speech_config=config, audio_config=None)
synthesizer.synthesis_completed.connect(lambda event: said.append(event.result.reason))
result = synthesizer.speak_text_async("hello \\u4f60\\u597d").get()
assert result.reason == speech.ResultReason.SynthesizingAudioCompleted, result.cancellation_details
marked = "<speak version='1.0' xml:lang='en-US'><voice name='en-US-JennyNeural'>hi<break/></voice></speak>"
synthesizer.speak_ssml(marked)
other = speech.SpeechSynthesizer(speech_config=config, audio_config=None)
left = other.speak_text_async("never asked for")
"""


@pytest.mark.skipif(
    not (is_there("azure.cognitiveservices.speech") and is_there("opentelemetry.sdk")),
    reason="needs azure-cognitiveservices-speech: pip install -e '.[dev-capture]'",
)
@pytest.mark.parametrize(
    ("program", "bills"),
    [
        # Each utterance in steps of a second, $1 an hour; one is told by its event and twice by its future.
        (ONCE, [("stt", "0.000833333")] * 2),
        (ONLY_TOLD, [("stt", "0.000833333")]),
        (GOING_ON, [("stt", "0.000833333"), ("stt", "0.003611111")]),
        # 8 characters of which 2 count twice, at $22 a million; 10 with the mark, and 15, at $15 and $22.
        (SPEAKING, [("hd", "0.00022"), ("hd", "0.00033"), ("neural", "0.000150")]),
    ],
    ids=["once", "only told", "going on", "speaking"],
)
def test_live_speech_of_azure_is_recorded_each_utterance_once(
    tmp_path: Path, azure: str, program: str, bills: list[tuple[str, str]]
) -> None:
    job = tmp_path / "job-1"
    ran = recorded(tmp_path, job, AZURE + program, azure)
    assert ran.returncode == 0, ran.stderr
    assert sorted((entry.model, entry.cost) for entry in entries(job)) == [
        (model, from_usd(cost)) for model, cost in bills
    ]


GOOGLE = """
import asyncio, sys
import grpc
from google.cloud import speech_v1, speech_v2
from google.cloud.speech_v1.services.speech import transports as first
from google.cloud.speech_v2.services.speech import transports as second
channel = grpc.insecure_channel(sys.argv[1])
config = speech_v1.StreamingRecognitionConfig(
    config=speech_v1.RecognitionConfig(language_code="en", model="medical_dictation")
)
def sound():
    yield speech_v1.StreamingRecognizeRequest(audio_content=b"x")
client = speech_v1.SpeechClient(transport=first.SpeechGrpcTransport(channel=channel))
assert len(list(client.streaming_recognize(config, sound()))) == 3
plain = speech_v1.StreamingRecognitionConfig(config={"language_code": "en"})
assert len(list(client.streaming_recognize(plain, sound()))) == 3
def parts():
    yield speech_v2.StreamingRecognizeRequest(
        recognizer="projects/p/locations/global/recognizers/_",
        streaming_config={"config": {"model": "chirp_3"}},
    )
    yield speech_v2.StreamingRecognizeRequest(audio=b"x")
client = speech_v2.SpeechClient(transport=second.SpeechGrpcTransport(channel=channel))
for _ in client.streaming_recognize(requests=parts()):
    pass
async def again():
    channel = grpc.aio.insecure_channel(sys.argv[1])
    client = speech_v2.SpeechAsyncClient(transport=second.SpeechGrpcAsyncIOTransport(channel=channel))
    async def later():
        for part in parts():
            yield part
    stream = await client.streaming_recognize(requests=later())
    assert len([answer async for answer in stream]) == 3
    await channel.close()
asyncio.run(again())
"""


@pytest.fixture(scope="module")
def google() -> Iterator[str]:
    """The address of Google's service, which states after each part what is billed so far."""
    grpc = pytest.importorskip("grpc")
    speech = {
        "v1": pytest.importorskip("google.cloud.speech_v1").StreamingRecognizeResponse,
        "v2": pytest.importorskip("google.cloud.speech_v2").StreamingRecognizeResponse,
    }

    def recognized(version: str) -> Any:
        def answers(requests: Iterator[bytes], _: Any) -> Iterator[bytes]:
            list(requests)
            for seconds in (0, 15, 45):
                billed = timedelta(seconds=seconds)
                stated = (
                    {"total_billed_time": billed, "request_id": 0}
                    if version == "v1"
                    else {"metadata": {"total_billed_duration": billed}}
                )
                yield speech[version].serialize(speech[version](stated))

        return grpc.stream_stream_rpc_method_handler(answers)

    from concurrent.futures import ThreadPoolExecutor

    server = grpc.server(ThreadPoolExecutor(4))
    for version in speech:
        service, method = f"google.cloud.speech.{version}.Speech", "StreamingRecognize"
        server.add_generic_rpc_handlers(
            [grpc.method_handlers_generic_handler(service, {method: recognized(version)})]
        )
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield f"127.0.0.1:{port}"
    server.stop(0).wait()


@pytest.mark.skipif(not is_there("opentelemetry.sdk"), reason="needs the extra capture")
def test_streams_of_google_are_recorded_by_the_model_that_their_first_request_names(
    tmp_path: Path, google: str
) -> None:
    job = tmp_path / "job-1"
    ran = recorded(tmp_path, job, GOOGLE, google)
    assert ran.returncode == 0, ran.stderr
    assert sorted((entry.model, entry.cost) for entry in entries(job)) == [
        ("chirp_3", from_usd("0.012")),
        ("chirp_3", from_usd("0.012")),
        ("default+v1", from_usd("0.018")),
        ("medical_dictation+v1", from_usd("0.0585")),
    ]


def test_the_first_part_of_what_is_sent_is_kept_and_each_goes_on_as_it_was() -> None:
    parts = keeping_first(iter("ab"))
    assert (next(parts), parts.first, list(parts), parts.first) == ("a", "a", ["b"], "a")

    async def later() -> AsyncIterator[str]:
        for part in "cd":
            yield part

    async def read() -> list[str]:
        return [part async for part in keeping_first(later())]

    assert not hasattr(parts, "__aiter__")
    assert asyncio.run(read()) == ["c", "d"]


RESULT: dict[str, Any] = {"result_id": "u1", "duration": 35_000_000, "offset": 5}


def test_a_partial_or_cancelled_result_of_azure_is_no_call_and_a_feature_is_part_of_the_model() -> None:
    def reason(name: str) -> SimpleNamespace:
        return SimpleNamespace(name=name, value=1)

    def read(**more: Any) -> list[tuple[str, Usage]]:
        calls = read_response(SimpleNamespace(**{**RESULT, **more}))
        return [(call.model, call.usage) for call in calls]

    heard = Usage(audio_seconds=3.5)
    assert read(reason=reason("RecognizedSpeech")) == [("stt", heard)]
    assert read(reason=reason("TranslatedSpeech")) == [("speech-translation", heard)]
    assert read(reason=reason("RecognizingSpeech")) == read(reason="TranslatingSpeech") == []
    assert (
        read(reason=reason("Canceled"), duration=0)
        == read(reason="NoMatch", duration=0, commit_token=4)
        == []
    )
    assert read(reason=reason("Canceled")) == [("stt", heard)]
    assert read(speaker_id="Guest-1") == [("stt+diarization", heard)]
    told = {"SpeechServiceConnection_AutoDetectSourceLanguageResult": "de"}
    assert read(properties=told) == [("stt+language-identification", heard)]
    assert read(json='{"PronunciationAssessment":{}}'.replace(":", ": ")) == [("stt+pronunciation", heard)]
    spoken = SimpleNamespace(result_id="s1", audio_duration=timedelta(0), reason=reason("Canceled"))
    assert read_response(spoken) == ()


def test_what_azure_says_is_billed_by_its_text_with_marks_but_those_that_frame_it() -> None:
    def asked(**given: str) -> tuple[str | None, int]:
        [form] = given
        about = AzureSpeechCall(
            MediaMethod("azure", "speak", "sent", service="azure-speech", text=((form,),)), None, (), given
        )
        call = about.unread_job(object())
        return call.model, call.usage.characters

    assert asked(text="hello") == ("neural", 5)
    assert asked(text="\u4f60 \u304b") == ("neural", 4)  # a Chinese character counts twice, a kana does not
    voice = '<speak><voice name="en-US-Ava:DragonHDLatestNeural">hi<break time="1s"/></voice></speak>'
    assert asked(ssml=voice) == ("hd", len('hi<break time="1s"/>'))


def test_a_future_that_is_asked_tells_what_was_said_once() -> None:
    told: list[Any] = []
    future, jobs = _Future(), Jobs()
    named: dict[str, Any] = {"service": "azure-speech"}
    sent = MediaMethod("azure", "speak", "sent", text=(("text",),), **named)
    AzureSpeechCall(sent, None, (), {"text": "four"}, jobs=jobs).remember(future)
    got = MediaMethod("azure", "get", "known", job=("self",), **named)
    about = AzureSpeechCall(got, future, (), {}, jobs=jobs)
    spoken = SimpleNamespace(result_id="s1", audio_duration=timedelta(seconds=1))
    about.report_known(spoken, told.append)
    assert [(call.usage, call.request_id, call.usage_known) for call in told] == [
        (Usage(characters=4), "s1", True)
    ]
    event = MediaMethod("azure", "signal", "event", **named)
    AzureSpeechCall(event, None, (), {}, jobs=jobs).report_known(SimpleNamespace(result=spoken), told.append)
    heard = SimpleNamespace(result=SimpleNamespace(**RESULT))
    AzureSpeechCall(event, None, (), {}, jobs=jobs).report_known(heard, told.append)
    assert [call.operation for call in told] == ["speech", "transcription"]
    assert jobs.request_of(future) is None


class _Future:
    """What a method of the SDK gives, to be asked later."""


def test_what_was_said_is_told_when_nobody_can_ask_for_it_any_more_and_what_was_heard_once() -> None:
    told: list[Any] = []
    ticket: Any = SimpleNamespace(report=told.append)
    named: dict[str, Any] = {"service": "azure-speech"}
    said = MediaMethod("azure", "speak", "sent", text=(("text",),), **named)
    jobs, future = Jobs(), _Future()
    AzureSpeechCall(said, None, (), {"text": "four"}, ticket, jobs).remember(future)
    assert told == []
    del future
    assert [(call.usage, call.usage_known) for call in told] == [(Usage(characters=4), True)]

    handle = object()
    recognizer, signal = SimpleNamespace(_handle=handle), SimpleNamespace(_EventSignal__handle=handle)
    once, event = (
        MediaMethod("azure", "once", "sent", **named),
        MediaMethod("azure", "signal", "event", **named),
    )
    first, second = _Future(), _Future()
    for later in (first, second):
        AzureSpeechCall(once, recognizer, (), {}, ticket, jobs).remember(later)
    heard = SimpleNamespace(result=SimpleNamespace(**RESULT))
    AzureSpeechCall(event, None, (), {}, ticket, jobs).report_known(
        heard, told.append
    )  # of whom is not known
    assert jobs.request_of(first) is not None
    AzureSpeechCall(event, signal, (), {}, ticket, jobs).report_known(heard, told.append)
    assert jobs.request_of(first) is None
    del second  # an event may still tell it
    assert [call.operation for call in told[1:]] == ["transcription"] * 2
    jobs.record_unread()
    assert [call.usage_known for call in told] == [True, True, True, False]


def recorded(tmp_path: Path, job: Path, program: str, address: str) -> Any:
    """Run a program under ``run``, with the Python of this process."""
    script = tmp_path / "program.py"
    script.write_text(program, encoding="utf-8")
    return dashboard_run("--job-dir", job, "--", sys.executable, script, address)
