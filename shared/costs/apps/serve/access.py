"""Who may look: a token in a private file, and sessions that are signed with it.

The address that is printed carries the token. It is exchanged once for a cookie, which holds a session
and not the token, and which the browser sends only below a path that nobody else knows: cookies are shared
by all ports of a host, so that a page of another port would be sent a cookie for ``/``.

>>> access = Access("t" * 43, "p" * 22)
>>> session = access.session(now=1_000)
>>> access.is_session(session, now=1_000), access.is_session(session, now=1_000 + SESSION_S)
(True, False)
>>> Access("u" * 43, "p" * 22).is_session(session, now=1_000)
False
"""

from __future__ import annotations

import hmac
import json
import re
import secrets
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from typing import Final, NamedTuple

from ...errors import CostError, StorageUnavailable
from ...platform import open_file
from ...replacing import replacing

SESSION_S: Final = 30 * 24 * 3600
"""How long a session lasts, in seconds."""

FILE: Final = "serve.json"
"""The file of the cost storage that keeps the token, readable by its owner alone."""

_WORD: Final = re.compile(r"[A-Za-z0-9_-]{22,64}", re.ASCII)
_MAX_BYTES: Final = 4096


class Access(NamedTuple):
    """The token, and the first part of the path of every page."""

    token: str
    prefix: str

    def is_token(self, text: str) -> bool:
        """Tell whether this is the token, in a time that says nothing about it."""
        return _same(text, self.token)

    def session(self, now: float) -> str:
        """Return a new session that begins now, in seconds since 1970."""
        body = f"{int(now) + SESSION_S}.{secrets.token_urlsafe(12)}"
        return f"{body}.{self._signed('session', body)}"

    def is_session(self, text: str, now: float) -> bool:
        """Tell whether this is a session that was signed with the token and has not ended."""
        body, _, signature = text.rpartition(".")
        if not _same(signature, self._signed("session", body)):
            return False
        return now < int(body.partition(".")[0])

    def form_secret(self, session: str) -> str:
        """Return what a form of this session must carry."""
        return self._signed("form", session)

    def is_form_secret(self, text: str, session: str) -> bool:
        """Tell whether a form was made for this session."""
        return _same(text, self.form_secret(session))

    def _signed(self, purpose: str, text: str) -> str:
        # The token is random and long: no key needs to be derived from it.
        signed = f"{purpose}\0{text}".encode(errors="surrogateescape")
        return hmac.new(self.token.encode(), signed, sha256).hexdigest()


def _same(one: str, other: str) -> bool:
    encoded = (text.encode(errors="surrogateescape") for text in (one, other))
    return hmac.compare_digest(*encoded)


def access_of(root: Path, *, new: bool = False) -> Access:
    """Return the access of a cost storage; made where there is none, or with ``new`` in place of the old one.

    Raises:
        UnsafePath: its file is a link, a pipe or another account's.
        StorageUnavailable: it cannot be read or written.
    """
    path = root / FILE
    try:
        kept = None if new else _read(path)
        if kept is None:
            kept = Access(secrets.token_urlsafe(32), secrets.token_urlsafe(16))
            with replacing(path) as draft:
                draft.write_text(json.dumps(kept._asdict()) + "\n", encoding="ascii")
    except OSError as fault:
        raise StorageUnavailable(f"{path}: {fault}; see cost-dashboard doctor") from fault
    return kept


class StoredAccess:
    """The access that a cost storage keeps now: another server's ``--new-token`` ends this one's sessions.

    While the file is not there or cannot be read, the last one holds.
    """

    def __init__(self, root: Path, *, new: bool = False) -> None:
        self._path = root / FILE
        self._access = access_of(root, new=new)
        self._seen = _stamp(self._path)

    def __call__(self) -> Access:
        """Return it."""
        seen = _stamp(self._path)
        if seen != self._seen:
            with suppress(OSError, CostError):
                self._access = _read(self._path) or self._access
                self._seen = seen
        return self._access


def _stamp(path: Path) -> tuple[int, int] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_ino, status.st_mtime_ns


def _read(path: Path) -> Access | None:
    """Return what a file keeps; ``None`` where there is none, or it is damaged or readable by others."""
    try:
        with open_file(path) as file:
            if loosely_kept(path):
                return None  # others may know the token
            data = json.loads(file.read(_MAX_BYTES) or b"")
    except (FileNotFoundError, ValueError):
        return None
    words = [str(data.get(name)) for name in Access._fields] if isinstance(data, dict) else []
    return Access(*words) if words and all(map(_WORD.fullmatch, words)) else None


def loosely_kept(path: Path) -> bool:
    """Tell whether anyone but its owner may read or write a file."""
    return bool(path.stat().st_mode & 0o077)
