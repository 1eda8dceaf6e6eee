"""The table providers x API forms: one file a provider, its cells and the forms that it does not have."""

from __future__ import annotations

import pkgutil
from importlib import import_module
from typing import Final

from .cell import FORMS, Api, Cell, Form, NoSuchForm

_ORDER: Final = ("OpenAI", "Anthropic", "Gemini", "Mistral", "Cohere", "Bedrock", "Ollama")
_FILES: Final = [
    module
    for found in pkgutil.iter_modules(__path__, f"{__name__}.")
    if hasattr(module := import_module(found.name), "CELLS")
]
"""Every file of this folder that has cells."""


def _place(each: Cell | NoSuchForm) -> int:
    """The named ones first, as the README names them; the libraries around them after."""
    return _ORDER.index(each.api.provider) if each.api.provider in _ORDER else len(_ORDER)


CELLS: Final[list[Cell]] = sorted((cell for file in _FILES for cell in file.CELLS), key=_place)
NONE: Final[list[NoSuchForm]] = sorted(
    (none for file in _FILES for none in getattr(file, "NONE", [])), key=_place
)
WHOLE: Final = [cell for cell in CELLS if cell.form in {"normal", "cached", "reasoning", "batch"}]
"""Those that read one object, and no stream."""
APIS: Final[list[Api]] = list(dict.fromkeys(cell.api for cell in CELLS))
PROVIDERS: Final[list[str]] = list(dict.fromkeys(api.provider for api in APIS))

__all__ = ["APIS", "CELLS", "FORMS", "NONE", "PROVIDERS", "WHOLE", "Api", "Cell", "Form", "NoSuchForm"]
