"""The jobs that a program started, until an answer of theirs was read.

A transcription of AWS, a document at DeepL or a sentence of Azure's Speech SDK is sent by one method and read
by another. What only the request says of it is kept until then; of what nobody reads, the bill comes all the
same, so it is told of when the program ends.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Hashable, Iterable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, NamedTuple
from weakref import ref

from ..capture.captured import Captured
from .methods import found_at

if TYPE_CHECKING:
    from .calls import MediaCall

STARTED: Final = "/started"
"""What the id of a job ends with in the entry of one whose result was not read."""


class _SubmittedJob(NamedTuple):
    """A job: its call, without what was sent, what is told where nobody reads its result, and who sent it."""

    about: MediaCall
    unread: Captured
    speaker: object
    process: int


def _nothing(*_: str) -> bool:
    """Know nothing of the jobs of other programs."""
    return False


class Jobs:
    """The jobs of one process.

    Args:
        read_late: called with the service and the name of a job whose result was read, which another
            program may have started.
        was_read: tells, by the same, whether another program has read the result of a job.

    """

    def __init__(
        self,
        read_late: Callable[[str, str], object] = _nothing,
        was_read: Callable[[str, str], bool] = _nothing,
    ) -> None:
        self._read_late = read_late
        self._was_read = was_read
        self._models: dict[str, str] = {}
        self._open: dict[Hashable, _SubmittedJob] = {}

    def started(self, about: MediaCall, answer: Any) -> None:
        """Keep a job: what only its request says, and that it has to be read. One without a name is not."""
        job = found_at(answer, about.method.job)
        if not isinstance(job, Hashable) or job is None:
            return
        if isinstance(job, str) and (model := about.model):
            self._models[job] = model
        without = replace(about, instance=None, args=(), given={})
        self._open[_key(job, self._dropped)] = _SubmittedJob(
            without, about.not_read(job), about.speaker, os.getpid()
        )

    def model_of(self, job: object) -> str | None:
        """Return the model that a job was started with."""
        return self._models.get(job) if isinstance(job, str) else None

    def request_of(self, job: Hashable) -> Captured | None:
        """Return what the request of an open job says of its call; ``None`` for no such job."""
        sent = self._open.get(_key(job))
        return sent.unread if sent is not None else None

    def read(self, services: Iterable[str], *jobs: Hashable) -> None:
        """Forget a job whose end was read, under each of its names, and each service that it may have."""
        for job in jobs:
            self._open.pop(_key(job), None)
            if isinstance(job, str):
                for service in services:
                    self._read_late(service, job)

    def heard(self, speaker: object) -> None:
        """Forget the first job of ``speaker`` that is open: what came of it was told in an event."""
        found = (job for job, sent in list(self._open.items()) if sent.speaker is speaker)
        if speaker is not None and (first := next(found, None)) is not None:
            self._open.pop(first, None)

    def tell_unread(self) -> None:
        """Tell of each job that is still open, and was not read elsewhere."""
        while self._open:
            job, sent = self._open.popitem()
            if _is_own(sent) and not (isinstance(job, str) and self._was_read(sent.unread.service, job)):
                sent.about.tell(sent.unread)

    def _dropped(self, job: Hashable) -> None:
        """Tell of a job that nobody can read any more, unless only its result says what is billed."""
        sent = self._open.get(job)
        if sent is not None and _is_own(sent) and sent.unread.usage_known:
            del self._open[job]
            sent.about.tell(sent.unread)


def _key(job: Hashable, dropped: Callable[[Hashable], object] | None = None) -> Hashable:
    """Return what a job is kept under: an object is not kept alive by it."""
    return ref(job, dropped) if getattr(type(job), "__weakrefoffset__", 0) else job


def _is_own(sent: _SubmittedJob) -> bool:
    """Tell whether this process has sent it: a forked child has copies of its parent's."""
    return sent.process == os.getpid()


_FAILED: Final = frozenset({"failed", "error"})
_FAULT_OF_GOOGLE: Final = ("operation", "error", "code")


def has_failed(answer: object) -> bool:
    """Tell whether an answer about a job, or what waits for one, says that it failed: it is not billed.

    >>> has_failed({"TranscriptionJob": {"TranscriptionJobStatus": "FAILED"}}), has_failed({"status": "done"})
    (True, False)
    """
    parts = [answer, *(answer.values() if isinstance(answer, Mapping) else ())]
    return any(_status(part) in _FAILED for part in parts) or bool(found_at(answer, _FAULT_OF_GOOGLE))


def _status(part: object) -> str:
    if not isinstance(part, Mapping):
        stated = getattr(part, "status", None)
        if callable(stated) and hasattr(part, "polling_method"):
            stated = stated()  # what waits for Azure keeps the last status: it does not ask again
    else:
        stated = next((part[name] for name in part if str(name).lower().endswith("status")), None)
    return str(getattr(stated, "value", stated)).lower()
