"""Opens the price files: the project's own and the user's, from memory when they were read before."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final
from zlib import crc32

from ..errors import PriceFileError
from ..memory import Memory
from ..shipped import DATA
from ..small_file import read
from .book import PriceBook, edition

PROFILE: Final = "profile"
"""The user's ``prices.yaml``, as a source of prices."""

CATALOGUE: Final = "catalogue"
"""The project's own price files, as a source of prices."""

PRICES: Final = DATA / "prices"
"""The price lists that come with this version."""

TABLE: Final = PRICES / "agreed.json"
"""What is taken from other tables that agree: the last resort of the project's own catalogue."""


def own_book(memory: Memory, *, table: bool = True) -> PriceBook:
    """Return the project's own catalogue; without ``table`` only what its price files say."""
    lists = {Path(str(file)): file.read_bytes() for file in PRICES.iterdir() if file.name.endswith(".yaml")}
    paths = sorted(lists)
    rest = TABLE.read_bytes() if table else b""
    return _book(CATALOGUE, paths, [lists[path] for path in paths], memory, rest)


def user_book(path: Path, memory: Memory) -> PriceBook | None:
    """Return the user's price file; ``None`` when there is no such file.

    Raises:
        PriceFileError: it cannot be read or does not follow the format.
    """
    if not path.exists():
        return None
    content = read(path, PriceFileError)
    book = _book(PROFILE, [path], [content], memory)
    _log_change(path, content, memory)
    return book


def _log_change(path: Path, content: bytes, memory: Memory) -> None:
    """Remember when the user's prices are others than they were, for the audit trail."""
    name = f"latest-{crc32(os.fsencode(os.path.abspath(path))):08x}"
    known, text = memory.read(name), content.decode("utf-8", "replace")
    if known is not None and known["text"] == text:
        return
    from ..trail import TRAIL, change_of  # only prices that changed pay for it

    memory.log(
        TRAIL,
        change_of(os.path.abspath(path), None if known is None else str(known["text"]), text, time.time()),
    )
    memory.write(name, {"text": text})


def remembered_book(source: str, version: str, memory: Memory) -> PriceBook | None:
    """Return an earlier edition of a source, as long as it is remembered."""
    name = f"{source}-{version.rpartition('.')[2]}"
    found = memory.read(name)
    if found is None:
        return None
    return PriceBook(found, source, version, lambda: memory.read(f"{name}{_FURTHER}") or {})


_FURTHER: Final = "-further"
"""Ends the name under which the models of the table are remembered, apart: few processes need them."""

_own: Final[dict[str, dict[str, Any]]] = {}
"""What this process has read of the project's own files: with many storages it reads them once."""


def _book(
    source: str, paths: list[Path], contents: list[bytes], memory: Memory, table: bytes = b""
) -> PriceBook:
    version = edition([*contents, table] if table else contents)
    name = f"{source}-{version}"
    plain, remembered = _own.get(name), name in memory
    if plain is None and (plain := memory.read(name)) is None:
        plain, remembered = _parse(paths, contents, table), False
    if not remembered:
        _remember(name, plain, memory, table)
    if source == CATALOGUE:
        _own[name] = plain

    def further() -> Mapping[str, Any]:
        from .table import models_of

        return models_of(table) if table else {}

    return PriceBook(plain, source, version, further)


def _remember(name: str, plain: dict[str, Any], memory: Memory, table: bytes) -> None:
    memory.write(name, plain)
    if table and memory.remembers:
        from .table import models_of

        memory.write(f"{name}{_FURTHER}", models_of(table))


def _parse(paths: list[Path], contents: list[bytes], table: bytes) -> dict[str, Any]:
    # Only when a price file has changed: importing and running the YAML parser costs 20 ms and more.
    from ..yaml_strict import parse
    from .reading import read_book
    from .table import add_names

    pairs = zip(paths, contents, strict=True)
    plain = read_book(parse(content, path, PriceFileError) for path, content in pairs)
    if table:
        add_names(plain, table)
    return plain
