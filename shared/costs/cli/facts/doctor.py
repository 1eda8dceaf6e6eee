"""The facts of ``doctor``: each finding is asked for apart, so that one failure hides no other."""

from __future__ import annotations

import sqlite3
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from ...errors import CostError
from ...pricing.check import stale
from ...views.upkeep import DoctorFacts, Finding
from ...workspace import Workspace
from .doctor_entries import LOOKS, open_to_others

Look = Callable[[Workspace], Iterator[Finding]]


def doctor_facts(workspace: Workspace) -> DoctorFacts:
    """Return what was found about storage, profile, prices, index, ledgers, reservations, alerts ...

    Nothing is mended and nothing that cannot be derived is written: only the index is brought up to
    its ledgers, as by every look at them. Where there is no cost storage yet, none is made.
    """
    if workspace.storage.root.exists():
        return _found(workspace, (_storage, *_SET_UP, *LOOKS))
    with TemporaryDirectory() as nowhere:
        elsewhere = Workspace(
            nowhere, workspace.profile_path, environ=workspace.environ, clock=workspace.clock
        )
        with elsewhere:
            rest = _found(elsewhere, _SET_UP)
    text = f"{workspace.storage.root} is not there yet"
    first = Finding("cost storage", "note", text, "the first call that is logged makes it")
    return rest._replace(findings=[first, *rest.findings])


def _found(workspace: Workspace, looks: Sequence[Look]) -> DoctorFacts:
    findings = [found for look in looks for found in _tried(look, workspace)]
    return DoctorFacts(findings, workspace.clock())


def _tried(look: Look, workspace: Workspace) -> list[Finding]:
    """Return a look's findings, or its failure as one."""
    try:
        return list(look(workspace))
    except (CostError, OSError) as fault:
        return [Finding(look.__name__.strip("_"), "wrong", str(fault), "mend what the message names")]


def _python(_: Workspace) -> Iterator[Finding]:
    version = ".".join(map(str, sys.version_info[:3]))
    yield Finding("python", "ok", f"{version}, SQLite {sqlite3.sqlite_version}, {sys.executable}")


def _storage(workspace: Workspace) -> Iterator[Finding]:
    root = workspace.storage.root
    yield Finding("cost storage", "ok", str(root))
    yield from open_to_others([root, *sorted(root.rglob("*"))])


def _profile(workspace: Workspace) -> Iterator[Finding]:
    loaded = workspace.loaded_profile()
    state, remedy = (
        ("wrong", "mend the file; until then the defaults hold and the gate refuses")
        if loaded.fault
        else ("ok", "")
    )
    yield Finding("profile", "wrong" if state == "wrong" else "ok", loaded.described, remedy)
    variable = workspace.environ.get("COST_TRACKER_PROFILE")
    if variable and not Path(variable).expanduser().exists():
        yield Finding(
            "profile",
            "wrong",
            f"COST_TRACKER_PROFILE names {variable}, which is not there",
            "write it, or unset it",
        )


def _prices(workspace: Workspace) -> Iterator[Finding]:
    loaded = workspace.loaded_catalogue()
    if loaded.fault:
        yield Finding(
            "prices", "wrong", str(loaded.fault), "mend the file; until then your own prices do not count"
        )
    elif workspace.prices_path and workspace.prices_path.exists():
        yield Finding("prices", "ok", f"the catalogue, with {workspace.prices_path} before it")
    else:
        yield Finding("prices", "ok", "the catalogue, without prices of your own")


def _stale(workspace: Workspace) -> Iterator[Finding]:
    """Say which prices were not compared with their sources for long."""
    for old in stale(workspace.loaded_catalogue().catalogue, workspace.clock()):
        yield Finding("stale prices", "note", f"{old.name}: {old.text}", old.remedy)


_SET_UP: Final = (_python, _profile, _prices, _stale)
