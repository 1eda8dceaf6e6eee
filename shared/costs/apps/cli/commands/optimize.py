"""``cost-dashboard optimize``: what noted changes have saved since, compared with what was promised."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, Final, NamedTuple
from zoneinfo import ZoneInfo

from ....analysis.whatif import ObservedChange, RepricingEffect, expected, promised, since
from ....errors import WrongUsage
from ....model import Entry
from ....money import Nanos, percent, percent_words, to_usd
from ....reports.common import plural, usd
from ....reports.document import Column, Figure, Note, Report, Table, derive
from ....reports.queries import counted, named_model, zone_of
from ....reports.reader import Reader, in_turn
from ....reports.spec import Option, parse_day
from ....rollup import Query
from ....store.annotations import NotedChange, NotedChanges
from ..app import App, dashboard_command
from ..options import asked_with

LOOK_BACK: Final = timedelta(days=30)
"""How long before a change its calls are looked at, for what it promises."""


class MeasuredChange(NamedTuple):
    """A noted change, and its calls since. ``promised`` is for the same calls; ``None`` without a promise.

    ``unchanged_calls`` were made the old way since.
    """

    change: NotedChange
    effect: RepricingEffect
    promised: Nanos | None = None
    unchanged_calls: int = 0


def made_of(change: NotedChange) -> ObservedChange:
    """Return a noted change as calls show it."""
    return ObservedChange(change.stage, named_model(change.old), named_model(change.new), change.tier)


def with_promise(reader: Reader, change: NotedChange) -> NotedChange:
    """Return a change with what it promises, by the calls of the weeks before it."""
    reader.index.catch_up_all()
    query = Query(start=change.since - LOOK_BACK, end=change.since, stage=change.stage)
    effect = promised(made_of(change), reader.index.entries(query), reader.catalogue)
    return change._replace(promised_before=effect.cost, promised_after=effect.otherwise)


def measured(reader: Reader, changes: Sequence[NotedChange]) -> list[MeasuredChange]:
    """Return what each change has saved until now."""
    reader.index.catch_up_all()
    queries = [Query(start=change.since, end=reader.now, stage=change.stage) for change in changes]
    with reader.progress("Repricing") as advance:
        parts = in_turn([counted(reader, query) for query in queries], advance)
        return [_measured(reader, *each) for each in zip(changes, parts, strict=True)]


def _measured(reader: Reader, change: NotedChange, entries: Iterable[Entry]) -> MeasuredChange:
    made, unchanged = made_of(change), 0

    def passing() -> Iterator[Entry]:
        nonlocal unchanged
        for entry in entries:
            unchanged += entry.sign * made.is_before(entry)
            yield entry

    effect = since(made, passing(), reader.catalogue)
    promise = expected(change.promised_before, change.promised_after, effect.otherwise)
    return MeasuredChange(change, effect, promise, unchanged)


def measured_report(changes: Sequence[MeasuredChange], zone: ZoneInfo) -> Report:
    """Return what each change has saved, the oldest first."""
    table = Table.of(
        "No.",
        changes,
        (Column("number", "No.", "count"), lambda measured: measured.change.number),
        (Column("change", "Change", wraps=True), lambda measured: described(measured.change)),
        (
            Column("since", "Since", rank=2),
            lambda measured: f"{measured.change.since.astimezone(zone):%Y-%m-%d}",
        ),
        (Column("calls", "Calls", "count", rank=3), lambda measured: measured.effect.calls),
        (Column("otherwise", "Without", "money", rank=1), lambda measured: measured.effect.otherwise),
        (Column("saved", "Saved", "difference"), lambda measured: measured.effect.saved),
        (
            Column("promised", "Promised", "difference"),
            lambda measured: "not known" if measured.promised is None else measured.promised,
        ),
        empty="None. Note one: cost-dashboard optimize note --stage STAGE --from MODEL --to MODEL",
    )
    return Report(
        title="Changes and what they saved",
        figures=tuple(_figures(changes)),
        tables=(table,),
        notes=tuple(_notes(changes)),
        data={"saved_usd": to_usd(_saved(changes)), "changes": [_data(measured) for measured in changes]},
    )


def described(change: NotedChange) -> str:
    """Return a change in words.

    >>> from datetime import UTC, datetime
    >>> described(NotedChange(1, datetime(2026, 11, 1, tzinfo=UTC), "asr", "openai/gpt-4", "openai/gpt-4o"))
    'asr: openai/gpt-4 to openai/gpt-4o'
    """
    where = f"{change.stage}: " if change.stage else ""
    what = change.old if change.old == change.new else f"{change.old} to {change.new}"
    tier = f", {change.tier}" if change.tier else ""
    return f"{where}{what}{tier}{f' ({change.words})' if change.words else ''}"


def _saved(changes: Sequence[MeasuredChange]) -> Nanos:
    return Nanos(sum(measured.effect.saved for measured in changes))


def _figures(changes: Sequence[MeasuredChange]) -> Iterator[Figure]:
    if not changes:
        return
    saved = _saved(changes)
    yield Figure(
        "saved", "Saved", saved, "difference", note="so far", tone="good" if saved > 0 else "warning"
    )
    known = [measured for measured in changes if measured.promised is not None]
    if known:
        promise = Nanos(sum(measured.promised or 0 for measured in known))
        kept = Nanos(sum(measured.effect.saved for measured in known))
        share = f"{percent_words(percent(kept, promise))} of it was achieved" if promise > 0 else ""
        yield Figure("promised", "Promised", promise, "difference", note=share)


def _notes(changes: Sequence[MeasuredChange]) -> Iterator[Note]:
    for measured in changes:
        number = measured.change.number
        if measured.unchanged_calls > 0:
            calls = plural(measured.unchanged_calls, "call was", "calls were")
            yield Note(f"{number}: {calls} still made the old way.", "warning")
        if missing := measured.effect.calls - measured.effect.compared:
            calls = plural(missing, "call has", "calls have")
            yield Note(
                f"{number}: {calls} no whole price on both sides and could not be compared.", "warning"
            )
        if measured.effect.saved < 0:
            yield Note(f"{number}: costs {usd(Nanos(-measured.effect.saved))} more than before.", "warning")
    if changes:
        yield Note(
            "Promised: the share that calls of the 30 days before the change would have saved, of what the "
            "calls since would have cost without it. Calls count with their own tokens; the other model may "
            "need more or fewer."
        )


def _data(measured: MeasuredChange) -> dict[str, object]:
    return {
        **derive(measured.change, "number", "since", "stage", "from=old", "to=new", "tier", "words"),
        **derive(measured, "effect.calls", "compared_calls=effect.compared", "unchanged_calls"),
        **derive(measured, "effect.cost", "without=effect.otherwise", "effect.saved", "promised"),
    }


@dashboard_command(
    "Save",
    "optimize note --stage 13_ai_summarization --from openai/gpt-4o --to openai/gpt-4o-mini",
    "optimize note --from openai/gpt-4o --tier batch --since 2026-11-01 nightly summaries can wait",
    "optimize",
    "optimize forget 2",
)
@asked_with(
    Option("", called="action", choices=("list", "note", "forget"), default="list"),
    Option("", called="words", many=True),
    Option("--stage", "Only calls of this stage; without, of all.", "NAME"),
    Option("--from", "What was called before, such as openai/gpt-4o.", "MODEL", called="old"),
    Option("--to", "What is called now; without, the same.", "MODEL", called="new"),
    Option("--tier", "The service tier it is called with now, such as batch.", "TIER"),
    Option("--since", "From this day on; without, from now on.", "DATE", parse_day),
)
def command(app: App, action: str, words: tuple[str, ...], **given: Any) -> None:
    """What your changes have saved, compared with what they promised.

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
