"""Opens the price files, the project's own and the user's: from memory where they were read before."""

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
"""Prices on which other tables agree: the last resort of the project's own catalogue."""


def own_book(memory: Memory, *, table: bool = True) -> PriceBook:
    """Return the project's own catalogue; without ``table`` only what its price files say."""
    contents = {
        Path(str(file)): file.read_bytes() for file in PRICES.iterdir() if file.name.endswith(".yaml")
    }
    paths = sorted(contents)
    table_content = TABLE.read_bytes() if table else b""
    return _book(CATALOGUE, paths, [contents[path] for path in paths], memory, table_content)


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
    """Log a change of the user's prices in the audit trail."""
    name = f"latest-{crc32(os.fsencode(os.path.abspath(path))):08x}"
    known, text = memory.read(name), content.decode("utf-8", "replace")
    if known is not None and known["text"] == text:
        return
    from ..trail import TRAIL, change_of  # imported only when prices have changed

    memory.log(
        TRAIL,
        change_of(os.path.abspath(path), None if known is None else str(known["text"]), text, time.time()),
    )
    memory.write(name, {"text": text})


def remembered_book(source: str, version: str, memory: Memory) -> PriceBook | None:
    """Return an earlier edition of a source, as long as it is remembered."""
    name = f"{source}-{version.rpartition('.')[2]}"
    plain = memory.read(name)
    if plain is None:
        return None
    return PriceBook(plain, source, version, lambda: memory.read(f"{name}{_TABLE_SUFFIX}") or {})


_TABLE_SUFFIX: Final = "-further"
"""Suffix of the name under which the table's models are remembered separately, as few processes need them."""

_own_books: Final[dict[str, dict[str, Any]]] = {}
"""The project's own files as this process has read them: once, also with many storages."""


def _book(
    source: str, paths: list[Path], contents: list[bytes], memory: Memory, table: bytes = b""
) -> PriceBook:
    version = edition([*contents, table] if table else contents)
    name = f"{source}-{version}"
    plain, remembered = _own_books.get(name), name in memory
    if plain is None and (plain := memory.read(name)) is None:
        plain, remembered = _parse(paths, contents, table), False
    if not remembered:
        _remember(name, plain, memory, table)
    if source == CATALOGUE:
        _own_books[name] = plain

    def table_models() -> Mapping[str, Any]:
        from .table import models_of

        return models_of(table) if table else {}

    return PriceBook(plain, source, version, table_models)


def _remember(name: str, plain: dict[str, Any], memory: Memory, table: bytes) -> None:
    memory.write(name, plain)
    if table and memory.has_folder:
        from .table import models_of

        memory.write(f"{name}{_TABLE_SUFFIX}", models_of(table))


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
