"""What an import of agents' logs did, as a report: by program, with what was not understood."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from ...money import Nanos, to_usd
from ...reports.common import plural, priced_in_part
from ...reports.document import Column, Figure, Note, Report, Table, derive
from ..imported import recorded_before
from .calls import CrossCheck
from .recording import SessionTotals
from .taking import ProgramImport

_MANY = 20
"""How many rows of a list are shown to people; JSON has all that are kept."""


def sessions_report(taken: Sequence[ProgramImport], *, dry_run: bool) -> Report:
    """Return the report of an import of agents' logs."""
    return Report(
        title="Dry run: nothing was written" if dry_run else "Import of agents' sessions",
        subtitle=", ".join(each.program.title for each in taken),
        figures=_figures(taken),
        tables=tuple(_tables(taken)),
        notes=tuple(_notes(taken)),
        data=_data(taken, dry_run=dry_run),
    )


def _figures(taken: Sequence[ProgramImport]) -> tuple[Figure, ...]:
    refused = sum(each.remarks.refused for each in taken)
    files, read = sum(each.files for each in taken), sum(each.read for each in taken)
    return (
        Figure("files", "Logs", files, "count", note=f"{read:,} read, the others as they were"),
        Figure("added", "Calls added", sum(each.added.calls for each in taken), "count", note=_span(taken)),
        Figure("known", "Known before", sum(each.added.known for each in taken), "count"),
        Figure("refused", "Not understood", refused, "count", tone="warning" if refused else "plain"),
        Figure("cost", "Cost added", _cost(taken), "money", note=_how_priced(taken)),
    )


def _cost(taken: Sequence[ProgramImport]) -> Nanos:
    return Nanos(sum(each.added.cost for each in taken))


def _span(taken: Sequence[ProgramImport]) -> str:
    first = min((each.added.first for each in taken if each.added.first), default=None)
    last = max((each.added.last for each in taken if each.added.last), default=None)
    return f"{first:%Y-%m-%d} to {last:%Y-%m-%d}" if first and last else ""


def _how_priced(taken: Sequence[ProgramImport]) -> str:
    stated, unpriced = (sum(getattr(each.added, name) for each in taken) for name in ("stated", "unpriced"))
    kinds = ((stated, "as stated"), (unpriced, "unpriced"))
    return ", ".join(f"{number:,} {kind}" for number, kind in kinds if number)


# --- tables


def _tables(taken: Sequence[ProgramImport]) -> Iterator[Table]:
    yield _by_program(taken)
    checks = [row for each in taken for check in each.checks for row in _differences(check)]
    if checks:
        yield _checked(checks)
    refusals = [(each.row, each.why) for one in taken for each in one.remarks.refusals]
    if refusals:
        columns = (Column("row", "Where"), Column("why", "Why", wraps=True))
        yield Table("Not understood", columns, tuple(refusals[:_MANY]), key="not_understood")


def _by_program(taken: Sequence[ProgramImport]) -> Table:
    columns = (
        Column("program", "Program"),
        Column("files", "Logs", "count", rank=1),
        Column("lines", "Lines read", "count", rank=2),
        Column("added", "Calls added", "count"),
        Column("tokens_input", "Input", "tokens", rank=1),
        Column("tokens_output", "Output", "tokens", rank=1),
        Column("cost", "Cost", "money"),
    )
    rows = tuple(
        (
            each.program.title,
            each.files,
            each.remarks.lines,
            each.added.calls,
            each.added.tokens_input,
            each.added.tokens_output,
            each.added.cost,
        )
        for each in taken
    )
    return Table("By program", columns, rows, empty="No logs of agents were found.", key="programs")


_Difference = tuple[str, str, int, int, int]


def _differences(check: CrossCheck) -> Iterator[_Difference]:
    """Yield where a program's own sum of a session is another one than that of its log."""
    for model in sorted({*check.stated, *check.found}):
        stated, found = check.stated.get(model, Counter()), check.found.get(model, Counter())
        for name in sorted({*stated, *found}):
            if stated[name] != found[name]:
                yield (
                    check.session,
                    f"{model} {name}",
                    stated[name],
                    found[name],
                    stated[name] - found[name],
                )


def _checked(rows: Sequence[_Difference]) -> Table:
    columns = (
        Column("session", "Session", rank=1),
        Column("what", "Tokens of"),
        Column("stated", "Its own sum", "count"),
        Column("found", "In the log", "count"),
        Column("difference", "Difference", "count"),
    )
    title = "The program's own sums are other ones"
    return Table(title, columns, tuple(rows[:_MANY]), key="checks")


# --- notes


def _notes(taken: Sequence[ProgramImport]) -> Iterator[Note]:
    checked = [check for each in taken for check in each.checks]
    if checked:
        yield _note_of_checks(checked)
    for each in taken:
        yield from _notes_of(each)


def _note_of_checks(checked: Sequence[CrossCheck]) -> Note:
    differing = sum(any(_differences(check)) for check in checked)
    if not differing:
        return Note(f"{len(checked):,} sessions agree to the token with the program's own sums.", "good")
    return Note(
        f"{differing:,} of {len(checked):,} sessions have other sums of their own: calls that stand on no "
        "line (titles, summaries, interrupted answers) are in those alone, and are not added."
    )


def _notes_of(taken: ProgramImport) -> Iterator[Note]:
    title, remarks, added = taken.program.title, taken.remarks, taken.added
    for name, count in sorted(added.unpriced_models.items()):
        text = f"{title}: no price for {name}: {_calls(count)} unpriced."
        yield Note(text, "warning")
    if added.partial:
        yield priced_in_part(added.partial)
    for version, count in sorted(remarks.versions.items()):
        known = ", ".join(taken.program.versions)
        yield Note(
            f"{title} {version} is not one of the versions that are known ({known}.x): "
            f"{plural(count, 'line was', 'lines were')} taken as far as understood.",
            "warning",
        )
    for what, count in sorted(remarks.unknown.items()):
        yield Note(f"{title}: passed over: {count:,} {what}.", "warning")
    for why, count in sorted(remarks.empty.items()):
        yield Note(f"{title}: {count:,} {why}.")
    yield from _notes_of_calls(title, added)
    if taken.again:
        again = plural(taken.again, "log was another one than before and was", "logs were others and were")
        yield Note(f"{title}: {again} read from the beginning.")
    if remarks.refused > _MANY:
        yield Note(f"{title}: {remarks.refused:,} lines in all were not understood.", "warning")


def _notes_of_calls(title: str, added: SessionTotals) -> Iterator[Note]:
    if added.elsewhere:
        yield Note(f"{title}: {recorded_before(added.elsewhere)}")
    if added.grown:
        anew = plural(added.grown, "call was", "calls were")
        yield Note(f"{title}: {anew} recorded anew, since a later line counts more.")
    if added.zero_stated:
        zero = plural(added.zero_stated, "call is", "calls are")
        yield Note(f"{title}: {zero} stated to cost $0 beside a usage: priced by the list.")


def _calls(count: int) -> str:
    return plural(count, "call counts as", "calls count as")


# --- JSON


def _data(taken: Sequence[ProgramImport], *, dry_run: bool) -> dict[str, object]:
    return {
        "dry_run": dry_run,
        "files": sum(each.files for each in taken),
        "read": sum(each.read for each in taken),
        "added": sum(each.added.calls for each in taken),
        "known": sum(each.added.known for each in taken),
        "refused": sum(each.remarks.refused for each in taken),
        "cost_usd": to_usd(_cost(taken)),
        "programs": [_data_of(each) for each in taken],
    }


def _data_of(taken: ProgramImport) -> dict[str, object]:
    added, remarks = taken.added, taken.remarks
    return {
        **derive(taken, "program=program.name", "files", "read", "read_again=again", "remarks.lines"),
        **derive(added, "added=calls", "known", "recorded_elsewhere=elsewhere", "recorded_anew=grown"),
        **derive(added, "tokens_input", "tokens_output", "cost", "stated_calls=stated"),
        **derive(added, "unpriced_calls=unpriced", "partial_calls=partial"),
        "unpriced_models": dict(sorted(added.unpriced_models.items())),
        **derive(remarks, "refused", "not_understood=refusals"),
        "passed_over": dict(sorted(remarks.unknown.items())),
        "unknown_versions": dict(sorted(remarks.versions.items())),
        "without_usage": dict(sorted(remarks.empty.items())),
        "sessions_checked": len(taken.checks),
        "differences": [
            dict(zip(("session", "what", "stated", "found", "difference"), row, strict=True))
            for check in taken.checks
            for row in _differences(check)
        ],
    }
