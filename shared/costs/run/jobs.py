"""The jobs that a program started, until their results are read.

A transcription of AWS, a document at DeepL or a sentence of Azure's Speech SDK is sent by one method and read
by another. What only the request states is kept until then. A job whose result nobody reads is billed all the
same, so it is recorded when the program ends.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Hashable, Iterable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, NamedTuple
from weakref import ref

from ..capture.captured import Captured
from .methods import value_at

if TYPE_CHECKING:
    from .calls import MediaCall

STARTED: Final = "/started"
"""Suffix of the request id in the entry of a job whose result was not read."""


class _SubmittedJob(NamedTuple):
    """A job: its call without the content, what is recorded if nobody reads its result, and who sent it."""

    call: MediaCall
    unread: Captured
    event_source: object
    process: int


def _nothing(*_: str) -> bool:
    """Ignore the jobs of other programs."""
    return False


class Jobs:
    """The jobs of one process.

    Args:
        read_late: called with service and name of each job whose result was read; another program may have
            started it.
        was_read: tells, by service and name, whether another program has read the result of a job.

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

    def add(self, call: MediaCall, answer: Any) -> None:
        """Remember a started job and what only its request states; a job without a name is ignored."""
        job = value_at(answer, call.method.job)
        if not isinstance(job, Hashable) or job is None:
            return
        if isinstance(job, str) and (model := call.model):
            self._models[job] = model
        without_content = replace(call, instance=None, args=(), arguments={})
        self._open[_key(job, self._record_dropped)] = _SubmittedJob(
            without_content, call.unread_job(job), call.event_source, os.getpid()
        )

    def model_of(self, job: object) -> str | None:
        """Return the model that a job was started with."""
        return self._models.get(job) if isinstance(job, str) else None

    def request_of(self, job: Hashable) -> Captured | None:
        """Return the call of an open job as its request states it; ``None`` if no such job is open."""
        submitted = self._open.get(_key(job))
        return submitted.unread if submitted is not None else None

    def close(self, services: Iterable[str], *jobs: Hashable) -> None:
        """Forget a job whose result was read, under each of its names and each service that it may have."""
        for job in jobs:
            self._open.pop(_key(job), None)
            if isinstance(job, str):
                for service in services:
                    self._read_late(service, job)

    def close_first_of(self, event_source: object) -> None:
        """Forget the first open job of ``event_source``, because an event had its result."""
        jobs = (job for job, submitted in list(self._open.items()) if submitted.event_source is event_source)
        if event_source is not None and (first := next(jobs, None)) is not None:
            self._open.pop(first, None)

    def record_unread(self) -> None:
        """Record each job that is still open and was not read by another program."""
        while self._open:
            job, submitted = self._open.popitem()
            was_read = isinstance(job, str) and self._was_read(submitted.unread.service, job)
            if _is_own(submitted) and not was_read:
                submitted.call.record(submitted.unread)

    def _record_dropped(self, job: Hashable) -> None:
        """Record a job that nobody can read any more, unless only its result states what is billed."""
        submitted = self._open.get(job)
        if submitted is not None and _is_own(submitted) and submitted.unread.usage_known:
            del self._open[job]
            submitted.call.record(submitted.unread)


def _key(job: Hashable, dropped: Callable[[Hashable], object] | None = None) -> Hashable:
    """Return the key of a job: a weak reference if possible, so that it does not keep an object alive."""
    return ref(job, dropped) if getattr(type(job), "__weakrefoffset__", 0) else job


def _is_own(submitted: _SubmittedJob) -> bool:
    """Tell whether this process has submitted the job: a forked child has copies of its parent's jobs."""
    return submitted.process == os.getpid()


_FAILED: Final = frozenset({"failed", "error"})
_GOOGLE_ERROR_CODE: Final = ("operation", "error", "code")


def has_failed(answer: object) -> bool:
    """Tell whether an answer about a job, or a poller, says that the job failed, so that it is not billed.

    >>> has_failed({"TranscriptionJob": {"TranscriptionJobStatus": "FAILED"}}), has_failed({"status": "done"})
    (True, False)
    """
    parts = [answer, *(answer.values() if isinstance(answer, Mapping) else ())]
    return any(_status(part) in _FAILED for part in parts) or bool(value_at(answer, _GOOGLE_ERROR_CODE))


def _status(part: object) -> str:
    if not isinstance(part, Mapping):
        status = getattr(part, "status", None)
        if callable(status) and hasattr(part, "polling_method"):
            status = status()  # Azure's poller returns the last status without asking the server
    else:
        status = next((part[name] for name in part if str(name).lower().endswith("status")), None)
    return str(getattr(status, "value", status)).lower()
