"""What noted changes have saved since, beside what was promised."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import timedelta
from typing import Final, NamedTuple
from zoneinfo import ZoneInfo

from ..analysis.measured import Effect, Made, expected, promised, since
from ..model import Entry
from ..money import Nanos, percent, to_usd
from ..rollup import Query
from ..store.noted import NotedChange
from .common import percent_words, plural, usd, usd_or_none
from .document import Column, Figure, Note, Report, Table
from .queries import counted, named_model
from .reader import Reader, in_turn

LOOK_BACK: Final = timedelta(days=30)
"""How long before a change its calls are looked at, for what it promises."""


class Measured(NamedTuple):
    """A noted change, and its calls since. ``promised`` is for the same calls; ``None`` without a promise.

    ``unchanged_calls`` were made the old way since.
    """

    change: NotedChange
    effect: Effect
    promised: Nanos | None = None
    unchanged_calls: int = 0


def made_of(change: NotedChange) -> Made:
    """Return a noted change as calls show it."""
    return Made(change.stage, named_model(change.old), named_model(change.new), change.tier)


def with_promise(reader: Reader, change: NotedChange) -> NotedChange:
    """Return a change with what it promises, by the calls of the weeks before it."""
    reader.index.catch_up_all()
    query = Query(start=change.since - LOOK_BACK, end=change.since, stage=change.stage)
    found = promised(made_of(change), reader.index.entries(query), reader.catalogue)
    return change._replace(promised_before=found.cost, promised_after=found.otherwise)


def measured(reader: Reader, changes: Sequence[NotedChange]) -> list[Measured]:
    """Return what each change has saved until now."""
    reader.index.catch_up_all()
    queries = [Query(start=change.since, end=reader.now, stage=change.stage) for change in changes]
    with reader.progress("Repricing") as advance:
        parts = in_turn([counted(reader, query) for query in queries], advance)
        return [_measured(reader, *each) for each in zip(changes, parts, strict=True)]


def _measured(reader: Reader, change: NotedChange, entries: Iterable[Entry]) -> Measured:
    made, unchanged = made_of(change), 0

    def passing() -> Iterator[Entry]:
        nonlocal unchanged
        for entry in entries:
            unchanged += entry.sign * made.is_before(entry)
            yield entry

    effect = since(made, passing(), reader.catalogue)
    promise = expected(change.promised_before, change.promised_after, effect.otherwise)
    return Measured(change, effect, promise, unchanged)


def measured_report(changes: Sequence[Measured], zone: ZoneInfo) -> Report:
    """Return what each change has saved, the oldest first."""
    table = Table.of(
        "No.",
        changes,
        (Column("number", "No.", "count"), lambda each: each.change.number),
        (Column("change", "Change", wraps=True), lambda each: described(each.change)),
        (Column("since", "Since", rank=2), lambda each: f"{each.change.since.astimezone(zone):%Y-%m-%d}"),
        (Column("calls", "Calls", "count", rank=3), lambda each: each.effect.calls),
        (Column("otherwise", "Without", "money", rank=1), lambda each: each.effect.otherwise),
        (Column("saved", "Saved", "money"), lambda each: each.effect.saved),
        (
            Column("promised", "Promised", "money"),
            lambda each: "not known" if each.promised is None else each.promised,
        ),
        empty="None. Note one: cost-dashboard optimize note --stage STAGE --from MODEL --to MODEL",
    )
    return Report(
        title="Noted changes",
        figures=tuple(_figures(changes)),
        tables=(table,),
        notes=tuple(_notes(changes)),
        data={"saved_usd": to_usd(_saved(changes)), "changes": [_data(each) for each in changes]},
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


def _saved(changes: Sequence[Measured]) -> Nanos:
    return Nanos(sum(each.effect.saved for each in changes))


def _figures(changes: Sequence[Measured]) -> Iterator[Figure]:
    if not changes:
        return
    saved = _saved(changes)
    yield Figure("saved", "Saved", saved, note="until now", tone="good" if saved > 0 else "warning")
    known = [each for each in changes if each.promised is not None]
    if known:
        promise = Nanos(sum(each.promised or 0 for each in known))
        kept = Nanos(sum(each.effect.saved for each in known))
        share = f"{percent_words(percent(kept, promise))} of it was kept" if promise > 0 else ""
        yield Figure("promised", "Promised", promise, note=share)


def _notes(changes: Sequence[Measured]) -> Iterator[Note]:
    for each in changes:
        number = each.change.number
        if each.unchanged_calls > 0:
            calls = plural(each.unchanged_calls, "call was", "calls were")
            yield Note(f"{number}: {calls} still made as before.", "warning")
        if missing := each.effect.calls - each.effect.compared:
            calls = plural(missing, "call has", "calls have")
            yield Note(
                f"{number}: {calls} no whole price on both sides and could not be compared.", "warning"
            )
        if each.effect.saved < 0:
            yield Note(f"{number}: costs {usd(Nanos(-each.effect.saved))} more than before.", "warning")
    if changes:
        yield Note(
            "Promised is the share that the 30 days before the change promised, of what the same calls would "
            "have cost without it. Calls count with their own tokens; the other model may need more or fewer."
        )


def _data(each: Measured) -> dict[str, object]:
    change, effect = each.change, each.effect
    return {
        "number": change.number,
        "since": change.since.isoformat(),
        "stage": change.stage,
        "from": change.old,
        "to": change.new,
        "tier": change.tier,
        "words": change.words,
        "calls": effect.calls,
        "compared_calls": effect.compared,
        "unchanged_calls": each.unchanged_calls,
        "cost_usd": to_usd(effect.cost),
        "without_usd": to_usd(effect.otherwise),
        "saved_usd": to_usd(effect.saved),
        "promised_usd": usd_or_none(each.promised),
    }
