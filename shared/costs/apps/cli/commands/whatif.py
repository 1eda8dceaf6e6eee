"""``cost-dashboard whatif``."""

from __future__ import annotations

from typing import Any

import click

from ....analysis.whatif import Swap
from ....reports.span import Span
from ....reports.whatif import whatif_facts, whatif_report
from ..app import App, dashboard_command
from ..options import span_options
from ..reporting import asked, filter_options


class SwapOption(click.ParamType[Swap]):
    """``SERVICE/MODEL=SERVICE/MODEL``."""

    name = "from=to"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the swap; both sides need their service."""
        old, sign, new = str(value).partition("=")
        sides = [side.partition("/") for side in (old, new)]
        if not sign or not all(service and model for service, _, model in sides):
            self.fail(f"{value!r} is not FROM=TO; write it as openai/gpt-4=openai/gpt-4o", param, ctx)
        (service, _, model), (other_service, _, other) = sides
        return Swap((service, model), (other_service, other))


@dashboard_command(
    "Save",
    "whatif --swap openai/gpt-4=openai/gpt-4o",
    "whatif --swap openai/gpt-4o=openai/gpt-4o-mini --stage 13_ai_summarization --days 90",
    "whatif --swap openai/gpt-4o=openai/gpt-4o --tier batch",
)
@click.option(
    "--swap",
    "swaps",
    type=SwapOption(),
    multiple=True,
    required=True,
    help="Use the second model for the first.",
)
@click.option("--tier", help="Also send the swapped calls with this service tier, such as batch.")
@span_options
@filter_options
def command(app: App, swaps: tuple[Swap, ...], tier: str | None, span: Span, filters: dict[str, str]) -> None:
    """The same work on other models: your own calls, repriced with their own tokens.

    Without dates: the present month. Filters choose the calls; all others stay as they were. Calls with
    the tag interactive are not sent with a tier that answers late: batch, flex.
    """
    changed = [swap._replace(tier=tier) for swap in swaps]
    app.show(whatif_report(whatif_facts(app.reader, asked("What if", span, filters), changed)))
