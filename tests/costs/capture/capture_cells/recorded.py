"""The SDKs' own objects as they were when they were recorded, for where an SDK is not installed.

A recording keeps an object's class and its fields as the SDK dumps them. What stands for it later
is a dict of a class with the same name and module: adapters see the SDK that it is of, and every
field of it. ``UPDATE_GOLDEN=1`` records anew, with the SDKs that are installed.
"""

from __future__ import annotations

import dataclasses
import functools
import json
import os
from importlib.metadata import version
from typing import Any

from tests.support.golden import FOLDER

from .cell import Cell

PLAIN = "builtins.dict"


def made(cell: Cell) -> Any:
    """What the cell's SDK makes; where it is not installed, what it made when it was recorded."""
    return cell.make() if cell.has_sdk() else played(cell)


def played(cell: Cell) -> Any:
    """What stands for the recorded object of a cell, or for its chunks."""
    kept = _file(cell.api.provider)["cells"][cell.id]
    return [_stand_in(each) for each in kept] if isinstance(kept, list) else _stand_in(kept)


def recorded_ids(provider: str) -> list[str]:
    """The cells of a provider that are recorded."""
    return sorted(_file(provider)["cells"])


def as_recorded(value: Any) -> Any:
    """The form in which an object, or each chunk of a stream, is kept."""
    if isinstance(value, list):
        return [as_recorded(each) for each in value]
    kind = type(value)
    name = PLAIN if kind is dict else f"{kind.__module__}.{kind.__qualname__}"
    return {"class": name, "fields": _without_nothing(fields_of(value))}


def fields_of(value: Any) -> dict[str, Any]:
    """An SDK's object as a dict by Python's names, with LiteLLM's facts beside the response."""
    if isinstance(value, dict):
        return value
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return dataclasses.asdict(value)
    if hasattr(value, "as_dict"):  # Azure's
        plain: dict[str, Any] = value.as_dict()
        return plain
    if not hasattr(value, "model_dump"):
        return _public(value)
    fields: dict[str, Any] = value.model_dump(mode="json", warnings=False, serialize_as_any=True)
    hidden = getattr(value, "_hidden_params", None)
    return fields | ({"_hidden_params": dict(hidden)} if hidden else {})


def _public(value: Any) -> dict[str, Any]:
    """The public attributes of an ordinary object, as DeepL's and Voyage's, or of one of pydantic 1."""
    names = getattr(value, "__fields__", None) or (name for name in dir(value) if not name.startswith("_"))
    public = {name: getattr(value, name) for name in names}
    stated = {name: getattr(each, "value", each) for name, each in public.items() if not callable(each)}
    kept = {name: each for name, each in stated.items() if isinstance(each, (str, int, float, dict, list))}
    return {name: _rows(each) if isinstance(each, list) else each for name, each in kept.items()}


def _rows(values: list[Any]) -> list[Any]:
    return [each._asdict() if hasattr(each, "_asdict") else each for each in values]


def write(cells: list[Cell]) -> None:
    """Record the cells of one provider, whose SDK is installed, where golden files are to be written."""
    if not os.environ.get("UPDATE_GOLDEN"):
        return
    api = cells[0].api
    lines = [
        f"  {json.dumps(cell.id)}: {json.dumps(as_recorded(cell.make()), ensure_ascii=False)}"
        for cell in cells
    ]
    about = f'{{"sdk": "{api.distribution} {version(api.distribution)}", "cells": {{\n'
    _path(api.provider).write_text(about + ",\n".join(lines) + "\n}}\n", encoding="utf-8")
    _file.cache_clear()


def _path(provider: str) -> Any:
    return FOLDER / "capture" / f"{provider.lower().replace(' ', '-')}.json"


@functools.cache
def _file(provider: str) -> Any:
    return json.loads(_path(provider).read_text(encoding="utf-8"))


def _stand_in(kept: dict[str, Any]) -> Any:
    module, _, name = kept["class"].rpartition(".")
    if kept["class"] == PLAIN:
        return kept["fields"]
    return type(name, (dict,), {"__module__": module})(kept["fields"])


def _without_nothing(value: Any) -> Any:
    """Leave out what the SDK puts where the provider sent nothing."""
    if isinstance(value, dict):
        return {name: _without_nothing(part) for name, part in value.items() if part is not None}
    return [_without_nothing(part) for part in value] if isinstance(value, list) else value
