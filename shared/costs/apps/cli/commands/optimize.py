"""``cost-dashboard optimize``."""

from __future__ import annotations

from datetime import UTC, date, datetime, time
from typing import Any

import click

from ....errors import WrongUsage
from ....reports.measured import described, measured, measured_report, with_promise
from ....reports.queries import named_model, zone_of
from ....reports.spec import parse_day
from ....store.noted import NotedChange, NotedChanges
from ..app import App, dashboard_command


def _day(_context: click.Context, _option: click.Parameter, text: str | None) -> date | None:
    try:
        return None if text is None else parse_day(text)
    except ValueError as fault:
        raise click.BadParameter(str(fault)) from None


@dashboard_command(
    "Save",
    "optimize note --stage 13_ai_summarization --from openai/gpt-4o --to openai/gpt-4o-mini",
    "optimize note --from openai/gpt-4o --tier batch --since 2026-11-01 nightly summaries can wait",
    "optimize",
    "optimize forget 2",
)
@click.argument("action", type=click.Choice(["list", "note", "forget"]), default="list")
@click.argument("words", nargs=-1)
@click.option("--stage", metavar="NAME", help="Only calls of this stage; without, of all.")
@click.option("--from", "old", metavar="MODEL", help="What was called before, such as openai/gpt-4o.")
@click.option("--to", "new", metavar="MODEL", help="What is called now; without, the same.")
@click.option("--tier", metavar="TIER", help="The service tier it is called with now, such as batch.")
@click.option("--since", metavar="DATE", callback=_day, help="From this day on; without, from now on.")
def command(app: App, action: str, words: tuple[str, ...], **given: Any) -> None:
    """What the changes that you made have saved, beside what they promised.

    `note` notes a change: its stage, the model before and after, or the tier; WORDS are a remark. What it
    promises is computed from the calls of the 30 days before. `list` shows what each has saved since: the
    calls that were made, priced as before. `forget` removes the changes whose numbers are given.
    """
    noted = NotedChanges(app.workspace.storage)
    if action != "note" and any(given.values()):
        raise WrongUsage(f"{action} takes no change; did you mean: cost-dashboard optimize note")
    if action == "forget":
        _forget(app, noted, words)
    elif action == "note":
        change = noted.add(with_promise(app.reader, _change(app, " ".join(words), **given)))
        app.say(f"noted {change.number}: {described(change)}")
    elif words:
        raise WrongUsage(f"list takes no words, such as {words[0]!r}")
    app.show(measured_report(measured(app.reader, noted.all()), zone_of(app.reader, None)))


def _change(app: App, words: str, *, old: str | None, since: date | None, **given: str | None) -> NotedChange:
    if old is None:
        raise WrongUsage("say which model was called before: --from openai/gpt-4o")
    before, after, tier = _named(old), _named(given["new"] or old), given["tier"]
    if before == after and tier is None:
        raise WrongUsage("say what changed: --to another model, or --tier such as batch")
    at = app.workspace.clock()
    if since is not None:
        at = datetime.combine(since, time(), zone_of(app.reader, None)).astimezone(UTC)
    return NotedChange(0, at, given["stage"], before, after, tier, words)


def _named(model: str) -> str:
    """Return a model as ``service/model``."""
    service, name = named_model(model)
    if not service or not name:
        raise WrongUsage(f"{model!r} names no service; write service/model, such as openai/gpt-4o")
    return f"{service}/{name}"


def _forget(app: App, noted: NotedChanges, words: tuple[str, ...]) -> None:
    if not words:
        raise WrongUsage("say which: the number that cost-dashboard optimize shows")
    for word in words:
        if not word.isdecimal() or not noted.forget(int(word)):
            raise WrongUsage(f"no change has the number {word}; see cost-dashboard optimize")
        app.say(f"forgot {int(word)}")
