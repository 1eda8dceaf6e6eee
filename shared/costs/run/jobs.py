"""The jobs that a program started, until an answer of theirs was read.

A transcription of AWS, a document at DeepL or a sentence of Azure's Speech SDK is sent by one method and read
by another. What only the request says of it is kept until then; of what nobody reads, the bill comes all the
same, so it is told of when the program ends.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from ..capture.captured import Captured
from .methods import found_at

if TYPE_CHECKING:
    from .calls import MediaCall

STARTED: Final = "/started"
"""What the id of a job ends with in the entry of one whose result was not read."""


class _Sent(NamedTuple):
    """A job: its call, without what was sent, and what is told where nobody reads its result."""

    about: MediaCall
    unread: Captured


def _nothing(*_: str) -> None:
    """Do nothing with a job of another program."""


class Jobs:
    """The jobs of one program.

    Args:
        read_late: called with the service and the name of a job whose result was read, and which this
            program did not start.

    """

    def __init__(self, read_late: Callable[[str, str], object] = _nothing) -> None:
        self._read_late = read_late
        self._models: dict[str, str] = {}
        self._open: dict[Hashable, _Sent] = {}

    def started(self, about: MediaCall, answer: Any) -> None:
        """Keep a job: what only its request says, and that it has to be read. One without a name is not."""
        job = found_at(answer, about.method.job)
        if not isinstance(job, Hashable) or job is None:
            return
        if isinstance(job, str) and (model := about.model):
            self._models[job] = model
        self._open[job] = _Sent(replace(about, instance=None, args=(), given={}), about.not_read(job))

    def model_of(self, job: object) -> str | None:
        """Return the model that a job was started with."""
        return self._models.get(job) if isinstance(job, str) else None

    def request_of(self, job: Hashable) -> Captured | None:
        """Return what the request of an open job says of its call; ``None`` for no such job."""
        return self._open[job].unread if job in self._open else None

    def read(self, service: str, *jobs: Hashable) -> None:
        """Forget a job whose end was read, under each of its names."""
        here = [job for job in jobs if self._open.pop(job, None) is not None]
        for job in jobs if not here else ():
            if isinstance(job, str):
                self._read_late(service, job)

    def tell_unread(self) -> None:
        """Tell of each job that is still open."""
        while self._open:
            _, sent = self._open.popitem()
            sent.about.tell(sent.unread)


_FAILED: Final = frozenset({"failed", "error"})


def has_failed(answer: object) -> bool:
    """Tell whether an answer about a job says that it failed: nothing is billed for it.

    >>> has_failed({"TranscriptionJob": {"TranscriptionJobStatus": "FAILED"}}), has_failed({"status": "done"})
    (True, False)
    """
    parts = [answer, *(answer.values() if isinstance(answer, Mapping) else ())]
    return any(_status(part) in _FAILED for part in parts)


def _status(part: object) -> str:
    if not isinstance(part, Mapping):
        stated = getattr(part, "status", None)
    else:
        stated = next((part[name] for name in part if str(name).lower().endswith("status")), None)
    return str(getattr(stated, "value", stated)).lower()
