"""The facts of ``prices``: what the catalogue knows, what the ledgers use, and what an update would bring."""

from __future__ import annotations

import tempfile
from datetime import datetime
from pathlib import Path

from ...errors import CostError, WrongUsage
from ...exchange.destination import replacing
from ...model import Entry
from ...pricing import update
from ...pricing.check import UsedModel, check
from ...pricing.description import PricedModel, listing
from ...pricing.peers import installed_peers
from ...pricing.price_file import file_prices, merged_file
from ...rollup import Query
from ...views.prices import CheckedPrices, PriceUpdate
from ...workspace import PRICES_NAME, Workspace
from ..models import named_model

NEAREST = 5


class NoPrice(CostError, LookupError):
    """No source has a price for a model that was asked for."""


def listed(workspace: Workspace, at: datetime, wanted: str, *, everything: bool) -> list[PricedModel]:
    """Return the models with a price whose name has ``wanted`` in it."""
    models = listing(workspace.catalogue, at, everything=everything)
    return [model for model in models if wanted.lower() in model.name.lower()]


def shown(workspace: Workspace, name: str, at: datetime) -> PricedModel:
    """Return one model, named as ``provider/model`` or as calls name it.

    Raises:
        NoPrice: no source has a price for it; says which names are nearest.
    """
    found = workspace.catalogue.describe(*named_model(name), at)
    if found is None:
        from difflib import get_close_matches  # only when there is nothing else to show

        near = get_close_matches(name, workspace.catalogue.models(), n=NEAREST, cutoff=0.4)
        hint = f"; nearest: {', '.join(near)}" if near else ""
        raise NoPrice(f"no price for {name}{hint}; add it to {workspace.prices_path or PRICES_NAME}")
    return found


def checked(workspace: Workspace) -> CheckedPrices:
    """Return what is doubtful about the prices of the models that the ledgers have, and of their sources."""
    used, peers = _used(workspace), installed_peers()
    findings = check(workspace.catalogue, used, workspace.clock(), peers)
    return CheckedPrices(findings, len(used), {peer.name: peer.version for peer in peers})


def _used(workspace: Workspace) -> list[UsedModel]:
    workspace.index.catch_up_all()
    found = []
    for group in workspace.index.groups(("service", "model"), Query()):
        service, model = str(group.key[0]), str(group.key[1])
        unpriced = group.totals.unpriced_calls
        example = _example(workspace, service, model) if unpriced else None
        found.append(UsedModel(service, model, group.totals.calls, unpriced, example))
    return found


def _example(workspace: Workspace, service: str, model: str) -> Entry | None:
    """Return a call to a model that was logged without a price."""
    entries = workspace.index.entries(Query(service=service, model=model))
    return next((entry for entry in entries if entry.kind == "usage" and entry.charge is None), None)


def updated(workspace: Workspace, source: Path, *, write: bool) -> PriceUpdate:
    """Return what a wheel of ``genai-prices`` or a price file changes; take it only with ``write``.

    Raises:
        UpdateFailed: the wheel cannot be read or installed.
        PriceFileError: a price file does not follow the format, or contradicts the user's own.
        WrongUsage: it is neither; or there is no place for the user's own prices yet.
    """
    if source.suffix == ".whl":
        return _from_release(workspace, source, write=write)
    if source.suffix in (".yaml", ".yml"):
        return _from_file(workspace, source, write=write)
    raise WrongUsage(f"{source} is neither a wheel of genai-prices (.whl) nor a price file (.yaml)")


def upgraded(workspace: Workspace) -> PriceUpdate:
    """Return what the installed ``genai-prices`` changes for the models that an earlier release priced here.

    Raises:
        WrongUsage: no earlier release priced anything here.
    """
    catalogue = workspace.catalogue
    before, present = update.earlier_release(catalogue), update.installed_release(catalogue)
    if before is None:
        raise WrongUsage(
            f"no release before genai-prices {present.version or '(not installed)'} priced calls here: "
            "name a wheel or a price file to take"
        )
    after = {name: prices for name, prices in present.models.items() if name in before.models}
    changes = update.changes(before.models, after)
    return PriceUpdate(f"genai-prices {present.version}", f"genai-prices {before.version}", changes, True)


def _from_release(workspace: Workspace, wheel: Path, *, write: bool) -> PriceUpdate:
    before, after = update.installed_release(workspace.catalogue), update.read_release(wheel)
    changes = update.changes(before.models, after.models)
    if write:
        update.install_release(wheel)
    target = f"genai-prices {before.version}" if before.version else "this environment"
    return PriceUpdate(f"genai-prices {after.version}", target, changes, write)


def _from_file(workspace: Workspace, source: Path, *, write: bool) -> PriceUpdate:
    target = workspace.prices_path
    if target is None:
        raise WrongUsage(f"{PRICES_NAME} lies beside the profile, and there is none: cost-dashboard init")
    text = merged_file(source, target)
    before = file_prices(target) if target.exists() else {}
    with tempfile.TemporaryDirectory() as folder:
        draft = Path(folder) / PRICES_NAME
        draft.write_text(text, encoding="utf-8")
        changes = update.changes(before, file_prices(draft))
    if write and changes:
        with replacing(target) as draft:
            draft.write_text(text, encoding="utf-8", newline="\n")
    return PriceUpdate(str(source), str(target), changes, write)
