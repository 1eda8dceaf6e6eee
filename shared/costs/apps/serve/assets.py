"""The style sheet, the script and the icon, each under a name that changes with its content."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Final, NamedTuple

from ...formats.page import FOLDER as SHARED

FOLDER: Final = Path(__file__).parents[2] / "data" / "serve"

_STYLES: Final = (SHARED / "report.css", FOLDER / "serve.css")
_CSS: Final = "text/css; charset=utf-8"
_SOURCES: Final = {
    "style.css": (_STYLES, _CSS),
    "print.css": (_STYLES, _CSS),
    "edit.css": ((FOLDER / "edit.css",), _CSS),
    "script.js": ((FOLDER / "serve.js",), "text/javascript; charset=utf-8"),
    "icon.svg": ((FOLDER / "icon.svg",), "image/svg+xml"),
}
_PAPER: Final = "@media print {"
_COMMENT: Final = re.compile(r"/\*.*?\*/", re.DOTALL)
_AROUND: Final = re.compile(r" ?([{};,>]) ?")
_AFTER_NAME: Final = re.compile(r"(?<=[{;])([a-z-]+): ")


class Asset(NamedTuple):
    """A file that a page loads. ``path`` is its address."""

    path: str
    content: bytes
    media_type: str


@cache
def assets() -> Mapping[str, Asset]:
    """Return the assets by the names of their sources."""
    return {name: _asset(name) for name in _SOURCES}


def asset_named(name: str) -> Asset | None:
    """Return the asset at ``/assets/name``; ``None`` where there is none."""
    return next((asset for asset in assets().values() if asset.path == f"/assets/{name}"), None)


def _asset(name: str) -> Asset:
    paths, media_type = _SOURCES[name]
    texts = [path.read_text(encoding="utf-8") for path in paths]
    content = (_styles(name, texts) if name.endswith(".css") else "".join(texts)).encode()
    stem, _, suffix = name.rpartition(".")
    return Asset(f"/assets/{stem}-{sha256(content).hexdigest()[:16]}.{suffix}", content, media_type)


def _styles(name: str, texts: list[str]) -> str:
    """Return the styles of the screen, or those of paper, which stand last in each file, made short."""
    parts = [text.partition(_PAPER) for text in texts]
    chosen = (f"{_PAPER}{paper}" if name == "print.css" else screen for screen, _, paper in parts)
    text = _COMMENT.sub("", "".join(chosen))
    text = _AROUND.sub(r"\1", " ".join(text.split())).replace(";}", "}")
    return _AFTER_NAME.sub(r"\1:", text)
