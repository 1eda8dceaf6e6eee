"""Streams in OpenAI's formats: chat chunks, and events of responses, sessions, speech, transcription, images.

One event of a stream has the usage: the last chat chunk (its ``choices`` are empty, and it comes only
if ``stream_options={"include_usage": True}`` was set), ``response.completed``,
``transcript.text.done``, ``speech.audio.done``, ``image_generation.completed``. In a Realtime session every
``response.done`` has the usage of its turn, and every
``conversation.item.input_audio_transcription.completed`` that of a separate transcription model.
Source: https://platform.openai.com/docs/api-reference/chat-streaming and its neighbours.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Final

from ...model import Units
from ...pricing.names import infer_service
from ..adapter import states_any, without_usage
from ..captured import Captured, usage_of
from ..fields import Fields
from ._openai_format import SPEECH, delta_characters, response_id
from ._openai_tools import drawn, tool_call, tool_counts

Read = Callable[[Fields], Iterable[Captured]]

_CHUNKS: Final = frozenset({"chat.completion.chunk", "text_completion"})
_EVENTS: Final = ("response.", "transcript.text.", "speech.audio.", "image_generation.", "image_edit.")
_SESSION_EVENTS: Final = (
    "session.",
    "conversation.item.",
    "transcription_session.",
    "input_audio_buffer.",
    "output_audio_buffer.",
    "rate_limits.",
)
_TRANSCRIBED: Final = "conversation.item.input_audio_transcription.completed"
_UNKNOWN_MODEL: Final = "unknown"
_ADVICE: Final = "; chat streams send usage with stream_options={'include_usage': True}"


def recognises_chunk(chunk: Fields) -> bool:
    """Tell whether this is a chunk of a chat stream or an event of another OpenAI stream."""
    kind = chunk.text("type") or ""
    known = kind.startswith(_EVENTS + _SESSION_EVENTS)
    return chunk.text("object") in _CHUNKS or known or _inner_chunk(chunk).has("choices")


def is_session_bill(event: Fields) -> bool:
    """Tell whether this is an event of a Realtime session that has usage."""
    if event.text("type") == "response.done":
        return event.part("response").has("usage")
    return event.text("type") == _TRANSCRIBED


def session_bills(event: Fields, read: Read) -> Iterable[Captured]:
    """Return the call in a single event of a Realtime session."""
    session = RealtimeSession()
    session.add(event.text("type") or "", event)
    return session.finished(read)


def _inner_chunk(chunk: Fields) -> Fields:
    # The SDK's chat stream helper wraps each chunk in an event of type "chunk".
    return chunk.part("chunk") if chunk.text("type") == "chunk" else Fields(None)


class OpenAIFollower:
    """Follows one stream in any of OpenAI's formats. ``read`` reads whole responses."""

    def __init__(self, read: Read) -> None:
        self._read = read
        self._id: str | None = None
        self._model = ""
        self._tier: str | None = None
        self._usage: object = None
        self._response: Fields = Fields(None)
        self._characters = 0
        self._chat = True
        self._items: list[object] = []
        self._session = RealtimeSession()

    @property
    def is_session(self) -> bool:
        """Whether this is a Realtime session, in which every turn is a call of its own."""
        return self._session.has_begun

    def finished(self) -> Iterable[Captured]:
        """Return the turns and transcriptions that were completed since the last call."""
        return self._session.finished(self._read)

    def add(self, chunk: Fields) -> None:
        """Read one chunk or event."""
        chunk = _inner_chunk(chunk) or chunk
        if chunk.text("object") in _CHUNKS:
            self._add_chunk(chunk)
        elif self._session.includes(kind := chunk.text("type") or ""):
            self._session.add(kind, chunk)
        elif kind.startswith(_EVENTS):
            self._add_event(kind, chunk)

    def _add_chunk(self, chunk: Fields) -> None:
        self._id = response_id(chunk) or self._id
        self._model = chunk.text("model") or self._model
        self._tier = chunk.text("service_tier") or self._tier
        # Groq has the usage in ``x_groq``, Moonshot in the choice. If several chunks have one, the last is
        # the sum; a usage of zeros, which ends some streams, does not replace an earlier one.
        holders = (chunk, chunk.part("x_groq"), *chunk.parts("choices")[:1])
        usage = next((value for holder in holders if (value := holder.get("usage")) is not None), None)
        if usage is not None and (self._usage is None or states_any(Fields(usage))):
            self._usage = usage
        self._characters += delta_characters(chunk)

    def _add_event(self, kind: str, event: Fields) -> None:
        self._chat = False
        response = event.part("response")
        if response:
            self._id = response_id(response) or self._id
            self._model = response.text("model") or self._model
            self._tier = response.text("service_tier") or self._tier
        if response.has("usage"):
            if not self._response or states_any(response.part("usage")):
                self._response = response
        elif event.has("usage") or (kind == "transcript.text.done" and event.has("seconds")):
            self._response = _as_response(kind, event)
        if kind == "response.output_item.done" and event.has("item"):
            self._items.append(tool_call(event.part("item")))
        if kind.endswith(".delta"):
            self._characters += len(event.text("delta") or "")

    def result(self, ending: str) -> Iterable[Captured]:
        """Return the call, from the final usage or, flagged, from what arrived."""
        if self.is_session:
            return [*self.finished(), *self._session.cut(ending)]
        if self._response:
            return self._read(self._response)
        if self._usage is not None:
            return self._read(Fields(self._as_chat_response()))
        service = infer_service(self._model) or "openai"
        advice = _ADVICE if self._chat else ""
        cut = without_usage(ending, self._characters, service=service, model=self._model, advice=advice)
        # Tools that ran before the stream was cut are billed too.
        tool_calls = Fields({"output": self._items})
        usage, _ = usage_of({**cut.usage.counts(), **tool_counts(tool_calls)})
        units: Units = {"images": pictures} if (pictures := drawn(tool_calls)) else {}
        return [replace(cut, request_id=self._id, usage=usage, unpriced_units=units)]

    def _as_chat_response(self) -> dict[str, object]:
        return {
            "object": "chat.completion",
            "id": self._id,
            "model": self._model,
            "service_tier": self._tier,
            "usage": self._usage,
        }


def _as_response(kind: str, event: Fields) -> Fields:
    """Return the last event of a transcription, of speech or of an image in the shape of a whole response."""
    if kind.startswith("transcript."):
        usage = event.get("usage") or {"type": "duration", "seconds": event.get("seconds")}
        return Fields({"text": "", "usage": usage})
    if kind.startswith("speech."):
        return Fields({"object": SPEECH, "usage": event.get("usage")})
    picture = {"b64_json": ""}
    names = ("usage", "quality", "size")
    return Fields({"created": 1, "data": [picture], **{name: event.get(name) for name in names}})


class RealtimeSession:
    """The turns of a Realtime session. A turn that is cut before its ``response.done`` has no usage."""

    def __init__(self) -> None:
        self.has_begun = False
        self._model = ""
        self._transcriber = ""
        self._only_transcribes = True
        self._done: list[Fields] = []
        self._open: dict[str, int] = {}

    def includes(self, kind: str) -> bool:
        """Tell whether an event belongs to a session; after the first session event, every event does."""
        self.has_begun = self.has_begun or kind == "response.done" or kind.startswith(_SESSION_EVENTS)
        return self.has_begun

    def add(self, kind: str, event: Fields) -> None:
        """Read one event."""
        if kind.startswith(("session.", "transcription_session.")):
            self._configure(event.part("session"))
        elif kind == _TRANSCRIBED:
            self._done.append(self._transcription(event))
        elif kind.startswith("response."):
            self._only_transcribes = False
            self._turn(kind, event)

    def _configure(self, session: Fields) -> None:
        self._only_transcribes = (
            self._only_transcribes
            and session.text("type") in {None, "transcription"}
            and not session.has("model")
        )
        self._model = session.text("model") or self._model
        audio = session.part("audio").part("input")
        transcriptions = (session.part("input_audio_transcription"), audio.part("transcription"))
        self._transcriber = next(
            (model for transcription in transcriptions if (model := transcription.text("model"))),
            self._transcriber,
        )

    def _turn(self, kind: str, event: Fields) -> None:
        response = event.part("response")
        turn = response.text("id") or event.text("response_id") or ""
        if kind == "response.done":
            self._open.pop(turn, None)
            if response.has("usage"):
                names = {"object": "realtime.response", "model": response.text("model") or self._model}
                self._done.append(Fields({**names, "id": turn or None, "usage": response.get("usage")}))
            elif response.text("status") != "failed":
                self._open[turn] = 0
        elif turn:
            character_count = len(event.text("delta") or "") if "transcript" in kind or "text" in kind else 0
            self._open[turn] = self._open.get(turn, 0) + character_count

    def _transcription(self, event: Fields) -> Fields:
        """Return a transcription in the shape of a response, with the model that transcribes.

        In a session that also answers, it is the configured one or unknown, never the one that answers.
        """
        model = self._transcriber or ("" if self._only_transcribes else _UNKNOWN_MODEL)
        item = (event.text("item_id"), event.get("content_index"))
        request_id = f"{item[0]}/{item[1]}/transcription" if item[0] else None
        return Fields({"text": "", "model": model, "_request_id": request_id, "usage": event.get("usage")})

    def finished(self, read: Read) -> Iterable[Captured]:
        """Return what was completed since the last call."""
        done, self._done = self._done, []
        return [call for response in done for call in read(response)]

    def cut(self, ending: str) -> Iterable[Captured]:
        """Yield the turns that began and never stated their usage."""
        for turn, character_count in self._open.items():
            call = without_usage(ending, character_count, service="openai", model=self._model)
            yield replace(call, request_id=turn or None)
