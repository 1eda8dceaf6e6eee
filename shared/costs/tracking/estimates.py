"""What a call would cost, before it is made."""

from __future__ import annotations

import os
from functools import lru_cache
from pathlib import Path

from ..model import UNKNOWN, Charge, Unpriced
from ..money import ZERO, Nanos, to_usd
from ..pricing.names import infer_service
from ..profile.loading import PROFILE_VARIABLE
from ..rollup import output_part
from ..storage import HOME_VARIABLE
from ..workspace import Workspace
from .call import Call, make_call
from .recording import log


def estimate(workspace: Workspace, call: Call) -> Nanos:
    """Return what a call would cost now, in nano-dollars; zero and a warning if it has no price."""
    charge = _charge(workspace, call)
    return charge.total if charge else ZERO


def calculate_cost(
    model: str, tokens_input: int, tokens_output: int, service: str | None = None
) -> tuple[float, float, float]:
    """Return what a call would cost now in USD: for input, for output, and in all.

    ``service`` is inferred from the model's name when left out. A model without a price gives
    zeros and a warning.

    Raises:
        TypeError, ValueError: a count or name is not valid.

    Example:
        >>> calculate_cost("gpt-4o", 1000, 200)
        (0.0025, 0.002, 0.0045)

    """
    service_name = service or infer_service(model) or UNKNOWN
    charge = _charge(_current_workspace(), make_call(service_name, model, tokens_input, tokens_output))
    output = output_part(charge)
    total = charge.total if charge else ZERO
    return to_usd(Nanos(total - output)), to_usd(output), to_usd(total)


def _current_workspace() -> Workspace:
    """Return the workspace of this environment; its catalogue is read once."""
    variables = (os.environ.get(HOME_VARIABLE), os.environ.get(PROFILE_VARIABLE))
    return _workspace_of(Path.cwd(), variables)


@lru_cache(maxsize=8)
def _workspace_of(_cwd: Path, _variables: tuple[str | None, ...]) -> Workspace:
    return Workspace()


def _charge(workspace: Workspace, call: Call) -> Charge | None:
    catalogue = workspace.loaded_catalogue().catalogue
    verdict = catalogue.charge(
        call.service, call.model, call.usage, workspace.clock(), call.service_tier, call.region
    )
    if isinstance(verdict, Unpriced):
        log.warning("unpriced: %s", verdict.reason)
        return None
    return verdict
