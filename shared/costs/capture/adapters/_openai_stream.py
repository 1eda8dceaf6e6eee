"""Streams in OpenAI's formats: chat chunks, and events of responses, sessions, speech, transcription, images.

Of a stream, one event carries the usage: the last chat chunk (its ``choices`` are empty, and it comes only
when ``stream_options={"include_usage": True}`` was asked for), ``response.completed``,
``transcript.text.done``, ``speech.audio.done``, ``image_generation.completed``. Of a Realtime session every
``response.done`` does, each turn being a bill, and apart from those every
``conversation.item.input_audio_transcription.completed``, which a model of its own writes.
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
_ADVICE: Final = "; chat streams send usage when asked with stream_options={'include_usage': True}"


def recognises_chunk(chunk: Fields) -> bool:
    """Tell whether this is a chunk of a chat stream or an event of another stream of OpenAI's."""
    kind = chunk.text("type") or ""
    known = kind.startswith(_EVENTS + _SESSION_EVENTS)
    return chunk.text("object") in _CHUNKS or known or _inner_chunk(chunk).has("choices")


def is_session_bill(event: Fields) -> bool:
    """Tell whether this is an event of a Realtime session that states what was used."""
    if event.text("type") == "response.done":
        return event.part("response").has("usage")
    return event.text("type") == _TRANSCRIBED


def session_bills(event: Fields, read: Read) -> Iterable[Captured]:
    """Return the call in one event of a Realtime session that is handed over alone."""
    session = RealtimeSession()
    session.add(event.text("type") or "", event)
    return session.finished(read)


def _inner_chunk(chunk: Fields) -> Fields:
    # The SDK's chat stream helper wraps each chunk into an event of type "chunk".
    return chunk.part("chunk") if chunk.text("type") == "chunk" else Fields(None)


class OpenAIFollower:
    """Follows one stream of any of OpenAI's formats. ``read`` is what reads whole responses."""

    def __init__(self, read: Read) -> None:
        self._read = read
        self._id: str | None = None
        self._model = ""
        self._tier: str | None = None
        self._usage: object = None
        self._whole: Fields = Fields(None)
        self._characters = 0
        self._chat = True
        self._items: list[object] = []
        self._session = RealtimeSession()

    @property
    def is_session(self) -> bool:
        """Whether this is a Realtime session: every turn is a call of its own."""
        return self._session.began

    def finished(self) -> Iterable[Captured]:
        """Return the turns and transcriptions that were completed since the last time."""
        return self._session.finished(self._read)

    def add(self, chunk: Fields) -> None:
        """Take in one chunk or event."""
        chunk = _inner_chunk(chunk) or chunk
        if chunk.text("object") in _CHUNKS:
            self._add_chunk(chunk)
        elif self._session.takes(kind := chunk.text("type") or ""):
            self._session.add(kind, chunk)
        elif kind.startswith(_EVENTS):
            self._add_event(kind, chunk)

    def _add_chunk(self, chunk: Fields) -> None:
        self._id = response_id(chunk) or self._id
        self._model = chunk.text("model") or self._model
        self._tier = chunk.text("service_tier") or self._tier
        # Groq puts it beside, Moonshot into the choice. Where several chunks carry one, the last is the sum;
        # one of zeros, which closes some streams, takes nothing back.
        places = (chunk, chunk.part("x_groq"), *chunk.parts("choices")[:1])
        stated = next((u for place in places if (u := place.get("usage")) is not None), None)
        if stated is not None and (self._usage is None or states_any(Fields(stated))):
            self._usage = stated
        self._characters += delta_characters(chunk)

    def _add_event(self, kind: str, event: Fields) -> None:
        self._chat = False
        response = event.part("response")
        if response:
            self._id = response_id(response) or self._id
            self._model = response.text("model") or self._model
            self._tier = response.text("service_tier") or self._tier
        if response.has("usage"):
            if not self._whole or states_any(response.part("usage")):
                self._whole = response
        elif event.has("usage") or (kind == "transcript.text.done" and event.has("seconds")):
            self._whole = _as_response(kind, event)
        if kind == "response.output_item.done" and event.has("item"):
            self._items.append(tool_call(event.part("item")))
        if kind.endswith(".delta"):
            self._characters += len(event.text("delta") or "")

    def result(self, ending: str) -> Iterable[Captured]:
        """Return the call: as the final usage says, else what arrived, flagged."""
        if self.is_session:
            return [*self.finished(), *self._session.cut(ending)]
        if self._whole:
            return self._read(self._whole)
        if self._usage is not None:
            return self._read(Fields(self._as_chat_response()))
        service = infer_service(self._model) or "openai"
        advice = _ADVICE if self._chat else ""
        cut = without_usage(ending, self._characters, service=service, model=self._model, advice=advice)
        # Tools that had run before the stream was cut are billed, beside the tokens that nobody states.
        ran = Fields({"output": self._items})
        usage, _ = usage_of({**cut.usage.counts(), **tool_counts(ran)})
        units: Units = {"images": pictures} if (pictures := drawn(ran)) else {}
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
    """Give the closing event of a transcription, of speech or of an image the shape of the whole response."""
    if kind.startswith("transcript."):
        usage = event.get("usage") or {"type": "duration", "seconds": event.get("seconds")}
        return Fields({"text": "", "usage": usage})
    if kind.startswith("speech."):
        return Fields({"object": SPEECH, "usage": event.get("usage")})
    picture = {"b64_json": ""}
    names = ("usage", "quality", "size")
    return Fields({"created": 1, "data": [picture], **{name: event.get(name) for name in names}})


class RealtimeSession:
    """The turns of a Realtime session. A turn that is cut before its ``response.done`` states no usage."""

    def __init__(self) -> None:
        self.began = False
        self._model = ""
        self._transcriber = ""
        self._alone = True
        self._done: list[Fields] = []
        self._open: dict[str, int] = {}

    def takes(self, kind: str) -> bool:
        """Tell whether an event belongs to a session; once one has begun, every event does."""
        self.began = self.began or kind == "response.done" or kind.startswith(_SESSION_EVENTS)
        return self.began

    def add(self, kind: str, event: Fields) -> None:
        """Take in one event."""
        if kind.startswith(("session.", "transcription_session.")):
            self._configure(event.part("session"))
        elif kind == _TRANSCRIBED:
            self._done.append(self._transcription(event))
        elif kind.startswith("response."):
            self._alone = False
            self._turn(kind, event)

    def _configure(self, session: Fields) -> None:
        self._alone = (
            self._alone and session.text("type") in {None, "transcription"} and not session.has("model")
        )
        self._model = session.text("model") or self._model
        audio = session.part("audio").part("input")
        stated = (session.part("input_audio_transcription"), audio.part("transcription"))
        self._transcriber = next((m for each in stated if (m := each.text("model"))), self._transcriber)

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
            said = len(event.text("delta") or "") if "transcript" in kind or "text" in kind else 0
            self._open[turn] = self._open.get(turn, 0) + said

    def _transcription(self, event: Fields) -> Fields:
        """Return the writing down of what was said, at the rates of the model that does it.

        In a session that converses, the model is that of its configuration, or not known: it is never the one
        that answers.
        """
        model = self._transcriber or ("" if self._alone else _UNKNOWN_MODEL)
        place = (event.text("item_id"), event.get("content_index"))
        known = f"{place[0]}/{place[1]}/transcription" if place[0] else None
        return Fields({"text": "", "model": model, "_request_id": known, "usage": event.get("usage")})

    def finished(self, read: Read) -> Iterable[Captured]:
        """Return what was completed since the last time, and forget it."""
        done, self._done = self._done, []
        return [call for each in done for call in read(each)]

    def cut(self, ending: str) -> Iterable[Captured]:
        """Return the turns that had begun and never stated their usage."""
        for turn, said in self._open.items():
            cut = without_usage(ending, said, service="openai", model=self._model)
            yield replace(cut, request_id=turn or None)
