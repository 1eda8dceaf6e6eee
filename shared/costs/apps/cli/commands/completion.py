"""``cost-dashboard completion``."""

from __future__ import annotations

import sys

import click

from ....reports.spec import Option
from ..app import App, dashboard_command
from ..options import asked_with

_SHARED = ("as_json", "format_name", "output", "cost_storage", "profile")


@dashboard_command(
    "Keep in order", "completion bash >> ~/.bashrc", "completion zsh >> ~/.zshrc", without=_SHARED
)
@asked_with(Option("", called="shell", required=True, choices=("bash", "zsh", "fish")))
def command(app: App, shell: str) -> None:  # noqa: ARG001  # every command gets the app
    """Print what makes your shell complete commands, options and job ids.

    Put it where your shell reads it at its start: ~/.bashrc, ~/.zshrc, or for fish
    ~/.config/fish/completions/cost-dashboard.fish.
    """
    from click.shell_completion import BashComplete, FishComplete, ZshComplete  # only this command needs it

    root = click.get_current_context().find_root()
    completion = {"bash": BashComplete, "zsh": ZshComplete, "fish": FishComplete}[shell]
    program = root.info_name or "cost-dashboard"
    variable = f"_{program.replace('-', '_').upper()}_COMPLETE"
    sys.stdout.write(completion(root.command, {}, program, variable).source() + "\n")
