"""What a ledger line counts for, and the id by which it counts once: all that sums and budgets need.

>>> from datetime import UTC, datetime
>>> from ..model import Entry, Usage
>>> entry = Entry(id="0c", timestamp=datetime(1970, 1, 1, 0, 1, tzinfo=UTC), job_id="job-1", user_id="ana",
...               service="local", model="sphinx", usage=Usage(tokens_input=7))
>>> counted(entry).at, counted(entry).user_id, counted(entry).usage[0]
(60000000, 'ana', 7)
"""

from __future__ import annotations

import json
import os
import re
import struct
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from itertools import chain
from operator import attrgetter
from typing import TYPE_CHECKING, Final, NamedTuple

from ..rollup import Measure, output_part
from ..units import SIGNS, USAGE_FIELDS, Kind

# `hashlib` takes it from here, but also loads OpenSSL. Imported at the top, because an id is needed even when
# no module can be loaded any more.
try:
    from _blake2 import blake2b
except ImportError:  # not in every interpreter
    from hashlib import blake2b

if TYPE_CHECKING:
    from ..model import Entry, Usage

NAMES: Final = (
    "user_id",
    "job_id",
    "stage",
    "service",
    "model",
    "operation",
    "workflow",
    "project",
    "service_tier",
)
"""The fields of an entry that say who it was for and what for, as in :attr:`CountedEntry.names`."""

Names = tuple[str | None, ...]

_names_of: Final = attrgetter(*NAMES)
_usage_of: Final = attrgetter(*USAGE_FIELDS)
EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND: Final = timedelta(microseconds=1)

NO_FURTHER_USAGE: Final = (0,) * (len(USAGE_FIELDS) - 2)


class CountedEntry(NamedTuple):
    """The parts of a line that count.

    ``at`` is the instant that decides its day and month, in microseconds since 1970 UTC. ``names`` has a
    value for each of :data:`NAMES`, ``None`` if the entry has none; ``tags`` are sorted. ``usage`` has
    the counts of :data:`~..model.USAGE_FIELDS`, not yet multiplied by ``sign``. ``cost`` and
    ``cost_output`` are in nano-dollars, with their own sign; ``unpriced`` and ``partial`` are how the line
    changes the number of calls without a charge, and with a partial one.
    """

    id: str
    kind: Kind
    at: int
    names: Names
    tags: tuple[str, ...]
    attempt: int
    estimated: bool
    unpriced: int
    cost: int
    cost_output: int
    usage: tuple[int | float, ...]
    reservation: str | None
    corrects: str | None
    partial: int

    @property
    def user_id(self) -> str:
        """The user who pays."""
        return self.names[0] or ""

    @property
    def sign(self) -> int:
        """The factor of the counts in a sum: 1, 0 or -1."""
        return SIGNS[self.kind]

    def measured(self, measure: Measure) -> int:
        """Return how much this line adds to a sum of cost (nano-dollars), unpriced calls, calls or tokens."""
        if measure == "cost":
            return self.cost
        if measure == "unpriced":
            return self.unpriced + self.partial
        return self.sign * (1 if measure == "calls" else int(self.usage[_INPUT] + self.usage[_OUTPUT]))


_INPUT: Final = USAGE_FIELDS.index("tokens_input")
_OUTPUT: Final = USAGE_FIELDS.index("tokens_output")


def counted(entry: Entry) -> CountedEntry:
    """Return the parts of an entry that count."""
    charge, tags = entry.charge, entry.tags
    return CountedEntry(
        entry.id,
        entry.kind,
        (entry.counted_at - EPOCH) // MICROSECOND,
        _names_of(entry),
        tuple(sorted(tags)) if tags else tags,
        entry.attempt,
        entry.estimated,
        entry.unpriced_delta,
        charge.total if charge else 0,
        output_part(charge),
        _usage_of(entry.usage),
        entry.reservation,
        entry.corrects,
        entry.partial_delta,
    )


def same_call(first: CountedEntry, second: CountedEntry) -> bool:
    """Tell whether two lines with the same id are the same call rather than a conflict.

    They are the same call if they were for the same user and work, with the same usage and cost. When and
    where they were written, the attempt and the reservation do not matter: a request that two processes log
    at once is one call.
    """
    return substance(first) == substance(second)


substance: Final = attrgetter(
    "kind", "corrects", "names", "tags", "usage", "unpriced", "partial", "cost", "cost_output"
)
"""What :func:`same_call` compares, as one value that can be stored or hashed."""


def usage_counts(usage: Usage) -> tuple[int | float, ...]:
    """Return the counts of a usage in the order of ``USAGE_FIELDS``."""
    values: tuple[int | float, ...] = _usage_of(usage)
    return values


def microseconds(at: datetime) -> int:
    """Return an instant in microseconds since 1970.

    >>> microseconds(datetime(1970, 1, 1, 1, tzinfo=UTC))
    3600000000
    """
    return (at - EPOCH) // MICROSECOND


# --- dimensions

DIM_COLUMNS: Final = (
    "user_id",
    "stage",
    "service",
    "model",
    "operation",
    "workflow",
    "project",
    "tags",
    "service_tier",
    "repeated",
)
"""The stored dimensions, in this order; an empty text if an entry has none. ``repeated`` is ``1`` for
a second or later attempt."""

Dim = tuple[str, ...]


@lru_cache(maxsize=4096)
def _dim(names: tuple[str | None, ...], tags: tuple[str, ...], is_repeated: bool) -> Dim:
    user, _, *others, tier = names
    texts = (user, *others, ",".join(sorted(tags)), tier, "1" if is_repeated else "")
    return tuple(text or "" for text in texts)


def dim_of(line: CountedEntry) -> Dim:
    """Return the dimensions of a line, in the order of :data:`DIM_COLUMNS`; cached, as a process has few."""
    return _dim(line.names, line.tags, line.attempt > 1)


# --- ids: 28 hexadecimal digits (112 bits), unique across ledgers and hosts


def new_id() -> str:
    """Return a random id that sorts by time: 48 bits of milliseconds since 1970, then 64 random bits.

    >>> len(new_id()), new_id() != new_id()
    (28, True)
    """
    return f"{time.time_ns() // 1_000_000:012x}{os.urandom(8).hex()}"


def id_for_request(job_id: str, service: str, request_id: str) -> str:
    """Return the id of the entry for a provider's request, derived from these three values.

    Raises:
        ValueError: the request id is empty; as a key it would merge different calls into one.

    >>> id_for_request("job-1", "openai", "req-7") == id_for_request("job-1", "openai", "req-7")
    True
    """
    if not request_id:
        raise ValueError("an empty request_id names no request; leave it out")
    key = json.dumps([job_id, service, request_id], separators=(",", ":"))
    return blake2b(key.encode("ascii"), digest_size=14, person=b"cost-request").hexdigest()


# --- ids as two integers, so that ten million of them stay small and sort by time

# An id of ours has 112 bits: 48 of milliseconds, 64 random (or 112 of a hash). 96 of them are kept, so two
# different ids collide with a probability of 2**-48 for calls of the same millisecond, and of 2**-96
# otherwise. Ids from elsewhere are hashed first.
_SIGN: Final = 1 << 63
_ID_DIGITS: Final = 28


def key_of(entry_id: str) -> tuple[int, int]:
    """Return the sortable 64-bit key of an id, signed as in SQLite, and 32 further bits.

    >>> key_of("0191f0a1b2c3" + "0123456789abcdef")
    (113136042940498211, 2309737967)
    >>> key_of("call-7") == key_of("call-8")
    False
    """
    # ``int`` also accepts capitals, signs, blanks, underscores and 0x, which are other ids. (One in half a
    # million ids of ours has no letter; it is hashed like those from elsewhere, which works as well.)
    is_ours = len(entry_id) == _ID_DIGITS and _HEXADECIMAL(entry_id) and not entry_id.isdigit()
    value = int(entry_id, 16) if is_ours else _hashed(entry_id)
    key = value >> 48
    return (key - (_SIGN << 1) if key >= _SIGN else key), value & 0xFFFFFFFF


def keys_of(entry_ids: Sequence[str]) -> tuple[Sequence[int], Sequence[int]]:
    """Return the two columns of what ``key_of`` returns for each of many ids.

    It takes a fifth of the time if all ids are of our form.

    >>> ids = ["0191f0a1b2c30123456789abcdef", "8a91f0a1b2c30123456789abcdef"]
    >>> list(zip(*keys_of(ids))) == [key_of(entry_id) for entry_id in ids]
    True
    """
    digits = "".join(entry_ids)
    if (
        set(map(len, entry_ids)) == {_ID_DIGITS}
        and _HEXADECIMAL(digits)
        and not any(map(str.isdigit, entry_ids))
    ):
        both = struct.unpack(">" + _KEY * len(entry_ids), bytes.fromhex(digits))
    else:
        both = tuple(chain.from_iterable(map(key_of, entry_ids)))
    return both[0::2], both[1::2]


_HEXADECIMAL: Final = re.compile("[0-9a-f]*").fullmatch
_KEY: Final = "q2xI"
"""The key and the last 32 bits of an id's 14 bytes."""


def _hashed(entry_id: str) -> int:
    return int.from_bytes(blake2b(entry_id.encode("utf-8", "surrogatepass"), digest_size=14).digest())
