"""Stands in for the system calls that SQLite makes itself, in C, so that a program can make them fail.

SQLite lets a test replace the calls of its VFS (``xSetSystemCall``, https://sqlite.org/c3ref/vfs.html).
Needs the SQLite that Python uses as a shared library, on Linux; its syncs cannot be replaced. Its record
locks (``fcntl``) are left alone: on a local disk they do not fail but are held by others, and SQLite takes
any failure of one for that, for which it waits 10 s.

>>> seen = []
>>> def stand_in(name, real, arguments):
...     seen.append(name)
...     return real(*arguments)
>>> with replaced(stand_in):
...     import sqlite3, tempfile, pathlib
...     with tempfile.TemporaryDirectory() as folder:
...         sqlite3.connect(pathlib.Path(folder) / "a.db").execute("CREATE TABLE t (x)").connection.close()
>>> "open" in seen, "pwrite" in {name.removesuffix("64") for name in seen}
(True, True)
"""

from __future__ import annotations

import ctypes
import ctypes.util
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final

_INT, _LONG, _PLACE, _TEXT = ctypes.c_int, ctypes.c_ssize_t, ctypes.c_void_p, ctypes.c_char_p


def _kind(*types: Any) -> Any:
    """Return the type of a C function: what it returns, what it takes."""
    return ctypes.CFUNCTYPE(*types, use_errno=True)


_KINDS: Final = {
    "open": _kind(_INT, _TEXT, _INT, _INT),
    "stat": _kind(_INT, _TEXT, _PLACE),
    "fstat": _kind(_INT, _INT, _PLACE),
    "ftruncate": _kind(_INT, _INT, _LONG),
    "pread64": _kind(_LONG, _INT, _PLACE, ctypes.c_size_t, _LONG),
    "pwrite64": _kind(_LONG, _INT, _PLACE, ctypes.c_size_t, _LONG),
    "unlink": _kind(_INT, _TEXT),
    "mmap": _kind(_PLACE, _PLACE, ctypes.c_size_t, _INT, _INT, _INT, _LONG),
}
NAMES: Final = frozenset(_KINDS)
MAP_FAILED: Final = ctypes.c_void_p(-1).value

StandIn = Callable[[str, Callable[..., Any], tuple[Any, ...]], Any]
"""Is given the name of a call, the call itself and its arguments; returns what SQLite is told."""

_SET: Final = ctypes.CFUNCTYPE(_INT, _PLACE, _TEXT, _PLACE)
_GET: Final = ctypes.CFUNCTYPE(_PLACE, _PLACE, _TEXT)


class _Vfs(ctypes.Structure):
    """``sqlite3_vfs``, version 3; the functions that are not used here are plain pointers."""

    _fields_ = (
        ("version", _INT),
        ("file_size", _INT),
        ("longest_path", _INT),
        ("following", _PLACE),
        ("name", _TEXT),
        ("data", _PLACE),
        ("methods", _PLACE * 13),
        ("set_call", _SET),
        ("get_call", _GET),
        ("next_call", _PLACE),
    )


def _vfs() -> _Vfs:
    library = ctypes.CDLL(ctypes.util.find_library("sqlite3") or "libsqlite3.so.0")
    library.sqlite3_vfs_find.restype = ctypes.POINTER(_Vfs)
    found: _Vfs = library.sqlite3_vfs_find(None).contents
    return found


def failed(name: str, number: int) -> Any:
    """Return what the call of this name returns when it fails with ``number`` (an errno)."""
    ctypes.set_errno(number)
    return MAP_FAILED if name == "mmap" else -1


@contextmanager
def replaced(stand_in: StandIn) -> Iterator[None]:
    """Have ``stand_in`` called in place of SQLite's system calls meanwhile."""
    vfs = _vfs()
    here, kept = ctypes.byref(vfs), []
    for name, kind in _KINDS.items():
        real = kind(vfs.get_call(here, name.encode()))
        ours = kind(_calling(stand_in, name, real))
        kept.append(ours)  # SQLite has its address until the block ends
        vfs.set_call(here, name.encode(), ctypes.cast(ours, _PLACE))
    try:
        yield
    finally:
        for name in _KINDS:
            vfs.set_call(here, name.encode(), None)  # the original again


def _calling(stand_in: StandIn, name: str, real: Callable[..., Any]) -> Callable[..., Any]:
    return lambda *arguments: stand_in(name, real, arguments)
