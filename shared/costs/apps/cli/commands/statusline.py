"""``cost-dashboard statusline``: what the words are; the line itself needs neither click nor the reports."""

from __future__ import annotations

import os

from ....reports.spec import USER, Option
from ...statusline.line import PLACES
from ...statusline.program import LineArguments, print_line
from ..app import App, dashboard_command
from ..options import asked_with


@dashboard_command(
    "Look",
    "statusline",
    "statusline --for tmux --user rpatel",
    "statusline --template '{percent} of {limit} {mark}'",
    prepares=False,
    without=("as_json", "format_name", "output", "debug"),
)
@asked_with(
    Option("--for", "Where it is shown; else a prompt.", called="place", choices=tuple(filter(None, PLACES))),
    Option("--template", "What it is made of, in place of the usual parts.", "TEXT"),
    USER,
)
def command(app: App, place: str | None, template: str | None, user: str | None) -> int:
    """One line for a prompt, tmux or an agent's status hook: today, the month, the running job.

    In zsh, with setopt PROMPT_SUBST: PROMPT='$(cost-dashboard statusline --for zsh) %# '.
    For Claude Code, whose JSON on standard input adds its own estimate of the session, marked ~:
    "statusLine": {"type": "command", "command": "cost-dashboard statusline --for claude"}. A template may
    name {day} {day_limit} {month} {limit} {percent} {remaining} {mark} {unpriced} {job} {job_cost}
    {session} {model} {user} {doubt}. Sums that may be incomplete begin with ≥, as those of calls without
    a price do. It prints a line and exits with 0 whatever is wrong.
    """
    storage = str(app.workspace.storage.root)
    profile = str(app.profile) if app.profile else None
    print_line(LineArguments(PLACES[place or ""], template, user, storage, profile), os.environ)
    return 0
