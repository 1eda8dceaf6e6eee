"""Opens the price files: the project's own and the user's, from memory when they were read before."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from ..errors import PriceFileError
from ..memory import Memory
from ..small_file import read
from .book import PriceBook, edition

PROFILE: Final = "profile"
"""The user's ``prices.yaml``, as a source of prices."""

CATALOGUE: Final = "catalogue"
"""The project's own price files, as a source of prices."""

DATA: Final = Path(__file__).parent.parent / "data" / "prices"


def own_book(memory: Memory) -> PriceBook:
    """Return the project's own catalogue."""
    paths = sorted(DATA.glob("*.yaml"))
    return _book(CATALOGUE, paths, [path.read_bytes() for path in paths], memory)


def user_book(path: Path, memory: Memory) -> PriceBook | None:
    """Return the user's price file; ``None`` when there is no such file.

    Raises:
        PriceFileError: it cannot be read or does not follow the format.
    """
    return _book(PROFILE, [path], [read(path, PriceFileError)], memory) if path.exists() else None


def remembered_book(source: str, version: str, memory: Memory) -> PriceBook | None:
    """Return an earlier edition of a source, as long as it is remembered."""
    found = memory.read(f"{source}-{version.rpartition('.')[2]}")
    return PriceBook(found, source, version) if found is not None else None


def _book(source: str, paths: list[Path], contents: list[bytes], memory: Memory) -> PriceBook:
    name = edition(contents)
    plain = memory.read(f"{source}-{name}")
    if plain is None:
        # Only when a price file has changed: importing and running the YAML parser costs 20 ms and more.
        from ..yaml_strict import parse
        from .reading import read_book

        pairs = zip(paths, contents, strict=True)
        plain = read_book(parse(content, path, PriceFileError) for path, content in pairs)
        memory.write(f"{source}-{name}", plain)
    return PriceBook(plain, source, name)
