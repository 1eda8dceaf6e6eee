"""Ids of entries: 28 hexadecimal digits (112 bits), unique across ledgers and hosts."""

from __future__ import annotations

import json
import os
import time

# Where `hashlib` has it from, and without OpenSSL, which that loads. At the top: an id is needed even where
# no module can be loaded any more.
try:
    from _blake2 import blake2b
except ImportError:  # another interpreter's
    from hashlib import blake2b


def new_id() -> str:
    """Return a random id that sorts by time: 48 bits of milliseconds since 1970, then 64 random bits.

    >>> len(new_id()), new_id() != new_id()
    (28, True)
    """
    return f"{time.time_ns() // 1_000_000:012x}{os.urandom(8).hex()}"


def id_for_request(job_id: str, service: str, request_id: str) -> str:
    """Return the id of the entry for a provider's request: the same for the same three values.

    Raises:
        ValueError: the request id is empty; it names no request, and as a key it would make
            different calls into one.

    >>> id_for_request("job-1", "openai", "req-7") == id_for_request("job-1", "openai", "req-7")
    True
    """
    if not request_id:
        raise ValueError("an empty request_id names no request; leave it out")
    key = json.dumps([job_id, service, request_id], separators=(",", ":"))
    return blake2b(key.encode("ascii"), digest_size=14, person=b"cost-request").hexdigest()
