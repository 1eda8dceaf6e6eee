"""One call in the log of an agent, and what a program's module must provide."""

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
"""How many lines that were not understood are kept with their reasons; further ones are only counted."""


_T = TypeVar("_T")


class ModelCall(NamedTuple):
    """One call, or several if a log has only sums (``usage.requests`` is how many).

    ``key`` identifies the call among all calls of its program: it is the same in every copy of a line.
    ``session`` is the conversation that is charged for it. ``stated`` is the cost that the program states, in
    nano-dollars. ``is_estimate``: the counts are not the provider's. ``agent`` is the name of a sub-agent.
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
    """What the log counts and this code does not read, so that the call is priced only in part."""

    @property
    def size(self) -> tuple[int, int]:
        """The key that orders accounts of one call: it is logged while it grows, and the largest counts."""
        return self.usage.tokens_output, self.usage.tokens_input


Sums = dict[str, Counter[str]]
"""Counts by model."""


@dataclass(slots=True)
class Remarks:
    """What a reader noticed: how many lines it read, and what it did not understand, by name."""

    lines: int = 0
    refused: int = 0
    refusals: list[NotUnderstood] = field(default_factory=list)
    unknown: Counter[str] = field(default_factory=Counter)
    versions: Counter[str] = field(default_factory=Counter)
    empty: Counter[str] = field(default_factory=Counter)
    """Sessions whose log has no usage, by reason."""

    def refuse(self, where: str, why: str) -> None:
        """Count a line that should have been understood."""
        self.refused += 1
        if len(self.refusals) < MAX_REFUSALS:
            self.refusals.append(NotUnderstood(where, clean_text(why)[:300]))


class CrossCheck(NamedTuple):
    """A program's own sums of a session and those of its log: by model and by the names of the counts."""

    session: str
    stated: Sums
    logged: Sums


def _no_checks(_states: Mapping[Path, Mapping[str, object]]) -> list[CrossCheck]:
    return []


@dataclass(frozen=True, slots=True)
class Program:
    """A program whose logs can be read.

    Attributes:
        name: its name on the command line and in the ledgers.
        title: its name in reports.
        summary: what its logs are and where, in a sentence.
        versions: the major versions that were checked; logs of others are read as far as they are understood.
        places: returns the folders of its logs, from the home directory and the environment.
        is_log: whether a file in such a folder is one of its logs, by its name.
        recognises: whether a file is one of its logs, by its content.
        read: yields the calls of a file from ``file.offset`` and ``file.state`` on, where the last import
            stopped, and sets both to where the next one continues.
        check: compares the program's own sums with those of its log; ``states`` are the states of all files
        of
            one session.
        companions: suffixes of files that may contain a part of a log, such as ``-wal`` of a database.

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
    companions: tuple[str, ...] = ()


class UsageDecoder(Generic[_T]):
    """Decodes the counts of a call into a type, and returns counts that the type does not have.

    >>> class Tokens(msgspec.Struct):
    ...     input: int = 0
    >>> counts = UsageDecoder(Tokens)
    >>> counts(msgspec.Raw(b'{"input": 3, "video_tokens": 40}'))
    (Tokens(input=3), {'video_tokens': 40})
    """

    def __init__(self, known: type[_T], *, all_numbers: bool = False) -> None:
        """Take the type of the known counts; with ``all_numbers`` every other number is a count as well."""
        self._all_numbers = all_numbers
        strict = types.new_class(known.__name__, (known,), {"forbid_unknown_fields": True})
        self._strict = msgspec.json.Decoder(strict | None).decode
        self._lenient = msgspec.json.Decoder(known).decode
        self._names = {field.encode_name for field in msgspec.structs.fields(known)}  # type: ignore[arg-type]  # a struct

    def __call__(self, raw: msgspec.Raw) -> tuple[_T | None, Units]:
        """Return the counts, ``None`` for ``null``, and what else is counted.

        Raises:
            ValueError: none of the counts is known, or one is not a number.

        """
        try:
            return self._strict(raw), NO_UNITS
        except msgspec.ValidationError:  # of another shape, or with unknown fields
            counts, fields = self._lenient(raw), msgspec.json.decode(raw)
        if self._names.isdisjoint(fields):
            raise ValueError(f"counts nothing that is known, but {', '.join(fields)}"[:200])
        names = {_snake(name) for name in self._names}
        unread = unread_counts(Fields(fields), names)
        return counts, unread | every_number(Fields(fields), names) if self._all_numbers else unread


def _snake(name: str) -> str:
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()


def note_version(program_versions: tuple[str, ...], version: str | None, remarks: Remarks) -> None:
    """Count a line of a version that was not checked, for a warning in the report.

    >>> remarks = Remarks()
    >>> note_version(("1", "2"), "2.1.332", remarks); note_version(("1", "2"), "3.0.1", remarks)
    >>> dict(remarks.versions)
    {'3.0.1': 1}
    """
    if version and version.partition(".")[0] not in program_versions:
        remarks.versions[clean_text(version)[:40]] += 1


def counted(**counts: int | None) -> tuple[Usage, str | None]:
    """Return counts as a usage, and what is wrong with them if a part exceeds its whole.

    Raises:
        ValueError: a count is negative or too large.

    """
    return usage_of({name: count for name, count in counts.items() if count})


def last_part(folder: str | None) -> str | None:
    r"""Return the last part of a folder's path, which names a project without revealing where it is.

    >>> last_part("/home/ana/secret/app"), last_part("C:\\work\\app"), last_part("/")
    ('app', 'app', None)
    """
    return (folder or "").replace("\\", "/").rstrip("/").rpartition("/")[2][:60] or None


def instant(text: str | None) -> datetime:
    """Return the instant in a timestamp of a log.

    Raises:
        ValueError: it is not a timestamp, or has no zone.

    """
    if not text:
        raise ValueError("has no time")
    at = datetime.fromisoformat(text)
    if at.tzinfo is None:
        raise ValueError(f"a time without a zone: {text!r}")
    return at
