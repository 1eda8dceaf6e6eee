"""``config/pipeline.yaml``: defaults for the command lines of the stages and the batch runner.

A stage's options in the file have the names of its long options (``max_output_tokens`` is
``--max-output-tokens``), are checked against them, and are overruled by the command line.
"""

from __future__ import annotations

import argparse
import difflib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import yaml

from .faults import WrongUsage

DEFAULT_PATH: Final = Path("config") / "pipeline.yaml"
_COMMAND_LINE_ONLY: Final = frozenset({"help", "config", "resume", "skip_budget_check"})
_BATCH_KEYS: Final = frozenset({"workflow", "jobs", "out", "stages"})


def config_path(named: str | None) -> Path | None:
    """Return the file that was named, else ``config/pipeline.yaml`` here where there is one."""
    if named:
        return Path(named).resolve()
    return DEFAULT_PATH.resolve() if DEFAULT_PATH.is_file() else None


def load_config(path: Path | None) -> dict[str, Any]:
    """Return the content of the file; nothing when there is none.

    Raises:
        WrongUsage: it cannot be read, is not a map, or has keys that mean nothing.
    """
    if path is None:
        return {}
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError) as fault:
        raise WrongUsage(f"{path} cannot be read: {fault}") from fault
    config = _map(path, "the file", content)
    _refuse_unknown(path, config, _BATCH_KEYS, "")
    return config


def apply_stage_config(parser: argparse.ArgumentParser, stage: str, path: Path | None) -> None:
    """Make what the file says of ``stage`` the defaults of the parser.

    Raises:
        WrongUsage: as :func:`load_config`, or a value is not one the option takes.
    """
    if path is None:
        return
    stages = _map(path, "stages", load_config(path).get("stages"))
    options = _map(path, f"stages.{stage}", stages.get(stage))
    actions = {action.dest: action for action in parser._actions if action.option_strings}
    _refuse_unknown(path, options, frozenset(actions) - _COMMAND_LINE_ONLY, f"stages.{stage}.")
    for key, value in options.items():
        _check(actions[key], value, f"{path}: stages.{stage}.{key}")
    parser.set_defaults(**options)


def _map(path: Path, where: str, value: object) -> dict[str, Any]:
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise WrongUsage(f"{path}: {where} must be a map, not {value!r}")
    return value


def _refuse_unknown(path: Path, given: Mapping[str, object], known: frozenset[str], prefix: str) -> None:
    for key in given:
        if key not in known:
            near = difflib.get_close_matches(str(key), known, n=1)
            hint = f"did you mean {near[0]}?" if near else f"known are {', '.join(sorted(known))}"
            raise WrongUsage(f"{path}: {prefix}{key} is not known; {hint}")


def _check(action: argparse.Action, value: object, where: str) -> None:
    if action.choices is not None and value not in action.choices:
        raise WrongUsage(f"{where}: {value!r} is none of {', '.join(map(str, action.choices))}")
    wanted = _type_of(action)
    fits = isinstance(value, wanted) and not (wanted is int and isinstance(value, bool))
    if not fits and value is not None:
        raise WrongUsage(f"{where}: must be of type {wanted.__name__}, not {value!r}")


def _type_of(action: argparse.Action) -> type:
    if action.nargs == 0:
        return bool
    if action.nargs == "+":
        return list
    return int if action.type is not None else str
