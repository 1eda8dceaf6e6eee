"""The report of an import of agents' logs: by program, with what was not understood."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from ...money import Nanos, to_usd
from ...reports.common import plural, priced_in_part
from ...reports.document import Column, Figure, Note, Report, Table, derive
from ..imported import recorded_before
from .calls import CrossCheck
from .importing import ProgramImport
from .recording import SessionTotals

_MANY = 20
"""How many rows of a list are shown; the JSON has all that were kept."""


def sessions_report(imports: Sequence[ProgramImport], *, dry_run: bool) -> Report:
    """Return the report of an import of agents' logs."""
    return Report(
        title="Dry run: nothing was written" if dry_run else "Import of agents' sessions",
        subtitle=", ".join(program_import.program.title for program_import in imports),
        figures=_figures(imports),
        tables=tuple(_tables(imports)),
        notes=tuple(_notes(imports)),
        data=_data(imports, dry_run=dry_run),
    )


def _figures(imports: Sequence[ProgramImport]) -> tuple[Figure, ...]:
    refused = sum(program_import.remarks.refused for program_import in imports)
    files, read = (
        sum(program_import.files for program_import in imports),
        sum(program_import.read for program_import in imports),
    )
    return (
        Figure("files", "Logs", files, "count", note=f"{read:,} read, the others as they were"),
        Figure(
            "added",
            "Calls added",
            sum(program_import.added.calls for program_import in imports),
            "count",
            note=_span(imports),
        ),
        Figure(
            "known", "Known before", sum(program_import.added.known for program_import in imports), "count"
        ),
        Figure("refused", "Not understood", refused, "count", tone="warning" if refused else "plain"),
        Figure("cost", "Cost added", _cost(imports), "money", note=_how_priced(imports)),
    )


def _cost(imports: Sequence[ProgramImport]) -> Nanos:
    return Nanos(sum(program_import.added.cost for program_import in imports))


def _span(imports: Sequence[ProgramImport]) -> str:
    first = min(
        (program_import.added.first for program_import in imports if program_import.added.first), default=None
    )
    last = max(
        (program_import.added.last for program_import in imports if program_import.added.last), default=None
    )
    return f"{first:%Y-%m-%d} to {last:%Y-%m-%d}" if first and last else ""


def _how_priced(imports: Sequence[ProgramImport]) -> str:
    stated, unpriced = (
        sum(getattr(program_import.added, name) for program_import in imports)
        for name in ("stated", "unpriced")
    )
    kinds = ((stated, "as stated"), (unpriced, "unpriced"))
    return ", ".join(f"{number:,} {kind}" for number, kind in kinds if number)


# --- tables


def _tables(imports: Sequence[ProgramImport]) -> Iterator[Table]:
    yield _by_program(imports)
    checks = [row for program in imports for check in program.checks for row in _differences(check)]
    if checks:
        yield _checks_table(checks)
    refusals = [(line.row, line.why) for program in imports for line in program.remarks.refusals]
    if refusals:
        columns = (Column("row", "Where"), Column("why", "Why", wraps=True))
        yield Table("Not understood", columns, tuple(refusals[:_MANY]), key="not_understood")


def _by_program(imports: Sequence[ProgramImport]) -> Table:
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
            program_import.program.title,
            program_import.files,
            program_import.remarks.lines,
            program_import.added.calls,
            program_import.added.tokens_input,
            program_import.added.tokens_output,
            program_import.added.cost,
        )
        for program_import in imports
    )
    return Table("By program", columns, rows, empty="No logs of agents were found.", key="programs")


_Difference = tuple[str, str, int, int, int]


def _differences(check: CrossCheck) -> Iterator[_Difference]:
    """Yield the counts for which a program's own sum of a session differs from that of its log."""
    for model in sorted({*check.stated, *check.logged}):
        own, logged = check.stated.get(model, Counter()), check.logged.get(model, Counter())
        for name in sorted({*own, *logged}):
            if own[name] != logged[name]:
                yield (
                    check.session,
                    f"{model} {name}",
                    own[name],
                    logged[name],
                    own[name] - logged[name],
                )


def _checks_table(rows: Sequence[_Difference]) -> Table:
    columns = (
        Column("session", "Session", rank=1),
        Column("what", "Tokens of"),
        Column("stated", "Its own sum", "count"),
        Column("found", "In the log", "count"),
        Column("difference", "Difference", "count"),
    )
    title = "The program's own sums differ"
    return Table(title, columns, tuple(rows[:_MANY]), key="checks")


# --- notes


def _notes(imports: Sequence[ProgramImport]) -> Iterator[Note]:
    checked = [check for program_import in imports for check in program_import.checks]
    if checked:
        yield _note_of_checks(checked)
    for program_import in imports:
        yield from _notes_of(program_import)


def _note_of_checks(checked: Sequence[CrossCheck]) -> Note:
    differing = sum(any(_differences(check)) for check in checked)
    if not differing:
        return Note(f"{len(checked):,} sessions agree to the token with the program's own sums.", "good")
    return Note(
        f"{differing:,} of {len(checked):,} sessions have different sums of their own: calls without a "
        "line (titles, summaries, interrupted answers) are only in those, and are not added."
    )


def _notes_of(program_import: ProgramImport) -> Iterator[Note]:
    title, remarks, added = program_import.program.title, program_import.remarks, program_import.added
    for name, count in sorted(added.unpriced_models.items()):
        text = f"{title}: no price for {name}: {_calls(count)} unpriced."
        yield Note(text, "warning")
    if added.partial:
        yield priced_in_part(added.partial)
    for version, count in sorted(remarks.versions.items()):
        known = ", ".join(program_import.program.versions)
        yield Note(
            f"{title} {version} is not one of the versions that are known ({known}.x): "
            f"{plural(count, 'line was', 'lines were')} read as far as understood.",
            "warning",
        )
    for description, count in sorted(remarks.unknown.items()):
        yield Note(f"{title}: skipped: {count:,} {description}.", "warning")
    for why, count in sorted(remarks.empty.items()):
        yield Note(f"{title}: {count:,} {why}.")
    yield from _notes_of_calls(title, added)
    if program_import.again:
        again = plural(
            program_import.again, "log was another one than before and was", "logs were others and were"
        )
        yield Note(f"{title}: {again} read from the beginning.")
    if remarks.refused > _MANY:
        yield Note(f"{title}: {remarks.refused:,} lines in all were not understood.", "warning")


def _notes_of_calls(title: str, added: SessionTotals) -> Iterator[Note]:
    if added.elsewhere:
        yield Note(f"{title}: {recorded_before(added.elsewhere)}")
    if added.grown:
        calls = plural(added.grown, "call was", "calls were")
        yield Note(f"{title}: {calls} recorded again, because a later line counts more.")
    if added.zero_stated:
        zero_calls = plural(added.zero_stated, "call is", "calls are")
        yield Note(f"{title}: {zero_calls} stated to cost $0 beside a usage: priced by the list.")


def _calls(count: int) -> str:
    return plural(count, "call counts as", "calls count as")


# --- JSON


def _data(imports: Sequence[ProgramImport], *, dry_run: bool) -> dict[str, object]:
    return {
        "dry_run": dry_run,
        "files": sum(program_import.files for program_import in imports),
        "read": sum(program_import.read for program_import in imports),
        "added": sum(program_import.added.calls for program_import in imports),
        "known": sum(program_import.added.known for program_import in imports),
        "refused": sum(program_import.remarks.refused for program_import in imports),
        "cost_usd": to_usd(_cost(imports)),
        "programs": [_data_of(program_import) for program_import in imports],
    }


def _data_of(program_import: ProgramImport) -> dict[str, object]:
    added, remarks = program_import.added, program_import.remarks
    return {
        **derive(
            program_import, "program=program.name", "files", "read", "read_again=again", "remarks.lines"
        ),
        **derive(added, "added=calls", "known", "recorded_elsewhere=elsewhere", "recorded_anew=grown"),
        **derive(added, "tokens_input", "tokens_output", "cost", "stated_calls=stated"),
        **derive(added, "unpriced_calls=unpriced", "partial_calls=partial"),
        "unpriced_models": dict(sorted(added.unpriced_models.items())),
        **derive(remarks, "refused", "not_understood=refusals"),
        "passed_over": dict(sorted(remarks.unknown.items())),
        "unknown_versions": dict(sorted(remarks.versions.items())),
        "without_usage": dict(sorted(remarks.empty.items())),
        "sessions_checked": len(program_import.checks),
        "differences": [
            dict(zip(("session", "what", "stated", "found", "difference"), row, strict=True))
            for check in program_import.checks
            for row in _differences(check)
        ],
    }
