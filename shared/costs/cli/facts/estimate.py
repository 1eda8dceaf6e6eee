"""The facts of ``estimate`` and ``compare-models``."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

from ...analysis.estimates import (
    INPUT_SHARE,
    Asked,
    ModelCost,
    StageEstimate,
    compare,
    cost_on,
    estimate_stages,
    stage_histories,
    tokens_of,
)
from ...errors import WrongUsage
from ...model import Usage
from ...rollup import Query
from ...views.estimate import Left, Work
from ...workspace import Workspace
from ..media import TEXTS, characters_of, seconds_of
from ..models import named_model
from ..options import Span
from .common import limits_in, monthly, spendings


class Given(NamedTuple):
    """The work as it stands on the command line: counts, or a file to take them from."""

    tokens_input: int | None = None
    tokens_output: int | None = None
    audio_minutes: float | None = None
    file: Path | None = None
    calls: int = 1
    tier: str | None = None


def work_of(workspace: Workspace, given: Given) -> Work:
    """Return the work that is asked about; what was not said is assumed, and told.

    Raises:
        WrongUsage: nothing was said about it, or it makes no sense.
        NotMeasured: the file does not tell.
    """
    counts: dict[str, Any] = {}
    assumed = list(_measured(given.file, counts)) if given.file else []
    if given.tokens_input is not None:
        counts["tokens_input"] = given.tokens_input
    if given.audio_minutes is not None:
        counts["audio_seconds"] = given.audio_minutes * 60
    if given.tokens_output is not None:
        counts["tokens_output"] = given.tokens_output
    elif tokens := counts.get("tokens_input"):
        counts["tokens_output"] = tokens // INPUT_SHARE
        assumed.append(
            f"Output is taken for {tokens // INPUT_SHARE:,} tokens, a quarter of input: --output-tokens"
        )
    if not counts:
        raise WrongUsage("say how much work it is: --input-tokens, --audio-minutes or --file")
    try:
        usage = Usage(**counts)
    except ValueError as fault:
        raise WrongUsage(str(fault)) from fault
    return Work(Asked(usage, workspace.clock(), given.calls, given.tier), assumed)


def _measured(file: Path, counts: dict[str, Any]) -> list[str]:
    if file.suffix.lower() not in TEXTS:
        counts["audio_seconds"] = seconds_of(file)
        return []
    counts["tokens_input"] = tokens_of(characters_of(file))
    return [f"{file.name} is taken for {counts['tokens_input']:,} tokens, one for four characters"]


def priced(workspace: Workspace, model: str, work: Work) -> tuple[ModelCost, tuple[str, ...]]:
    """Return what the work costs on a model, and the arithmetic of one call."""
    asked, named = work.asked, named_model(model)
    cost = cost_on(named, asked, workspace.catalogue)
    return cost, workspace.catalogue.explain(*named, asked.usage, asked.at, asked.tier)


def compared(workspace: Workspace, models: tuple[str, ...], work: Work) -> list[ModelCost]:
    """Return what the work costs on these models, or on all that are known and have a price for it.

    Free models of a service are left out of all: free of charge, they would seem to do any work.
    """
    catalogue = workspace.catalogue
    if models:
        return compare(map(named_model, models), work.asked, catalogue)
    found = compare(map(named_model, catalogue.models()), work.asked, catalogue)
    return [
        one for one in found if one.cost or (one.cost == 0 and catalogue.is_local(*named_model(one.name)))
    ]


def by_history(workspace: Workspace, user_id: str, stage: str | None, work: Work) -> list[StageEstimate]:
    """Return what a user's stages, or one of them, will cost by what they cost before."""
    workspace.index.catch_up_all()
    groups = workspace.index.groups(("ledger", "stage"), Query(user_id=user_id))
    found = estimate_stages(stage_histories(groups), work.asked.usage)
    return [one for one in found if stage in (None, one.stage)]


def left_of(workspace: Workspace, user_id: str) -> Left:
    """Return what a user has left this month."""
    period = Span().period(workspace.clock(), workspace.profile.for_user(user_id).timezone)
    own = monthly(spendings(workspace, limits_in(workspace, user_id, period)), user_id)
    return Left(user_id, own.remaining if own else None)
