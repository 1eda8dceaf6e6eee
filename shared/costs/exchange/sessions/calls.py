"""What the log of an agent says of one call of a model, and what a program's module has to provide."""

from __future__ import annotations

import re
import types
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Final, Generic, NamedTuple, TypeVar

import msgspec

from ...capture.captured import usage_of
from ...capture.fields import Fields
from ...capture.unread import every_number, unread_counts
from ...ledger.redact import clean_text
from ...model import NO_UNITS, Units, Usage
from ...money import Nanos
from ..imports import NotUnderstood
from .files import LogFile, LogSample

MAX_REFUSALS: Final = 100
"""How many lines that were not understood are kept with their reasons; the others are counted."""


_T = TypeVar("_T")


class ModelCall(NamedTuple):
    """One call, or where a log has no more than sums, several (``usage.requests`` says how many).

    ``key`` is what makes it this call among all of its program: the same in every copy of a line. ``session``
    is the conversation that paid for it. ``stated`` is what the program says it cost, in nano-dollars.
    ``is_estimate`` tells that the counts are not those of the provider. ``agent`` names a sub-agent.
    """

    key: str
    at: datetime
    service: str
    model: str
    usage: Usage
    session: str
    request_id: str | None = None
    tier: str | None = None
    region: str | None = None
    operation: str | None = None
    project: str | None = None
    version: str | None = None
    agent: str | None = None
    stated: Nanos | None = None
    is_estimate: bool = False
    incomplete: str | None = None
    unread: Units = NO_UNITS
    """What the log counts and nothing here reads, so that the call is priced in part."""

    @property
    def size(self) -> tuple[int, int]:
        """By what the largest of several accounts of one call is told: lines are written while it grows."""
        return self.usage.tokens_output, self.usage.tokens_input


Sums = dict[str, Counter[str]]
"""Counts by model."""


@dataclass(slots=True)
class Remarks:
    """What a reader noticed: how many lines it saw, and what it did not understand, by name."""

    lines: int = 0
    refused: int = 0
    refusals: list[NotUnderstood] = field(default_factory=list)
    unknown: Counter[str] = field(default_factory=Counter)
    versions: Counter[str] = field(default_factory=Counter)
    empty: Counter[str] = field(default_factory=Counter)
    """Sessions of which the log has no usage, by the reason."""

    def refuse(self, where: str, why: str) -> None:
        """Count a line that should have been understood."""
        self.refused += 1
        if len(self.refusals) < MAX_REFUSALS:
            self.refusals.append(NotUnderstood(where, clean_text(why)[:300]))


class CrossCheck(NamedTuple):
    """A program's own sums of a session, beside those of its log: by model, by the names of the counts."""

    session: str
    stated: Sums
    found: Sums


def _no_checks(_states: Mapping[Path, Mapping[str, object]]) -> list[CrossCheck]:
    return []


@dataclass(frozen=True, slots=True)
class Program:
    """A program whose logs can be read.

    Attributes:
        name: what it is called on the command line, and in the ledgers.
        title: what people call it.
        summary: where its logs lie and what they are, in a sentence.
        versions: the major versions that were looked at; others are taken as far as they are understood.
        places: the folders in which its logs lie, from the home directory and the environment.
        is_log: whether a file in such a folder is one of its logs, by its name.
        recognises: whether a file is one of its logs, by what it says.
        read: yields the calls of a file, from where ``file.offset`` and ``file.state`` say that the last
            import came to; it leaves both where the next one goes on.
        check: compares what the program itself summed up with what was found; ``states`` are those of all
            files of one session.
        beside: suffixes of files in which a part of a log may stand, such as ``-wal`` of a database.

    """

    name: str
    title: str
    summary: str
    versions: tuple[str, ...]
    places: Callable[[Path, Mapping[str, str]], list[Path]]
    is_log: Callable[[Path], bool]
    recognises: Callable[[LogSample], bool]
    read: Callable[[LogFile, Remarks], Iterator[ModelCall]]
    check: Callable[[Mapping[Path, Mapping[str, object]]], list[CrossCheck]] = _no_checks
    beside: tuple[str, ...] = ()


class UsageDecoder(Generic[_T]):
    """Decodes what a log counts of a call, and tells what it counts beside the members of a type.

    >>> class Tokens(msgspec.Struct):
    ...     input: int = 0
    >>> counts = UsageDecoder(Tokens)
    >>> counts(msgspec.Raw(b'{"input": 3, "video_tokens": 40}'))
    (Tokens(input=3), {'video_tokens': 40})
    """

    def __init__(self, known: type[_T], *, alone: bool = False) -> None:
        """Take the type of what is known; ``alone`` says that whatever number stands there is a count."""
        self._alone = alone
        strict = types.new_class(known.__name__, (known,), {"forbid_unknown_fields": True})
        self._strict = msgspec.json.Decoder(strict | None).decode
        self._lenient = msgspec.json.Decoder(known).decode
        self._names = {each.encode_name for each in msgspec.structs.fields(known)}  # type: ignore[arg-type]  # a struct

    def __call__(self, raw: msgspec.Raw) -> tuple[_T | None, Units]:
        """Return the counts, ``None`` where there are none, and what else is counted.

        Raises:
            ValueError: none of the counts is known, or one is no number.

        """
        try:
            return self._strict(raw), NO_UNITS
        except msgspec.ValidationError:  # of another shape, or with members that are not known
            counts, said = self._lenient(raw), msgspec.json.decode(raw)
        if self._names.isdisjoint(said):
            raise ValueError(f"counts nothing that is known, but {', '.join(said)}"[:200])
        names = {_snake(name) for name in self._names}
        unread = unread_counts(Fields(said), names)
        return counts, unread | every_number(Fields(said), names) if self._alone else unread


def _snake(name: str) -> str:
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()


def note_version(program_versions: tuple[str, ...], version: str | None, remarks: Remarks) -> None:
    """Count a version that nobody looked at: what is understood of it is taken, and that is said.

    >>> remarks = Remarks()
    >>> note_version(("1", "2"), "2.1.332", remarks); note_version(("1", "2"), "3.0.1", remarks)
    >>> dict(remarks.versions)
    {'3.0.1': 1}
    """
    if version and version.partition(".")[0] not in program_versions:
        remarks.versions[clean_text(version)[:40]] += 1


def counted(**counts: int | None) -> tuple[Usage, str | None]:
    """Return counts as a usage, and what is wrong with them where a part exceeds its whole.

    Raises:
        ValueError: a count is negative or too large.

    """
    return usage_of({name: count for name, count in counts.items() if count})


def last_part(folder: str | None) -> str | None:
    r"""Return a folder's own name, by which a project is told; not where it lies.

    >>> last_part("/home/ana/secret/app"), last_part("C:\\work\\app"), last_part("/")
    ('app', 'app', None)
    """
    return (folder or "").replace("\\", "/").rstrip("/").rpartition("/")[2][:60] or None


def instant(text: str | None) -> datetime:
    """Return an instant of a log.

    Raises:
        ValueError: it is none, or has no zone.

    """
    if not text:
        raise ValueError("says no time")
    at = datetime.fromisoformat(text)
    if at.tzinfo is None:
        raise ValueError(f"a time without a zone: {text!r}")
    return at
