"""The same work on several models, the cheapest first: those named, or today's of the classes that do it.

The models of your ledgers stand beside them. Whether they do the work as well is for you to judge.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

from ..analysis.estimates import ModelCost, compare
from ..money import Nanos
from ..rollup import Query
from .common import plural
from .document import Column, Note, Report, Table
from .estimate import WORK, EstimatedWork, WorkInput, cost_data, work_data, work_of, work_subtitle
from .queries import named_model
from .reader import Reader
from .spec import Option, Spec

SHOWN: Final = 40


class ComparisonQuestion(NamedTuple):
    """Which work, and on which models: without any, on all that have a price for it."""

    models: Sequence[str]
    work: WorkInput


class ComparisonFacts(NamedTuple):
    """The work, and what it costs on each model."""

    work: EstimatedWork
    costs: Sequence[ModelCost]


def comparison_facts(reader: Reader, asked: ComparisonQuestion) -> ComparisonFacts:
    """Return what the work costs on each model."""
    work = work_of(reader, asked.work)
    return ComparisonFacts(work, compared(reader, asked.models, work))


def compared(reader: Reader, models: Sequence[str], work: EstimatedWork) -> list[ModelCost]:
    """Return what the work costs on these models, or on those that are offered for such work today.

    The models in use are among the latter. Free models of a service are left out: free of charge, they
    would seem to do any work.
    """
    catalogue = reader.catalogue
    if models:
        return compare(map(named_model, models), work.asked, catalogue)
    offered = catalogue.offered(work.asked.usage) or catalogue.models()
    used = {str(model) for model in _in_use(reader)}
    names = dict.fromkeys([*offered, *sorted(used), "local/*"])
    costs = compare(map(named_model, names), work.asked, catalogue)
    return [
        candidate
        for candidate in costs
        if candidate.cost or (candidate.cost == 0 and catalogue.is_local(*named_model(candidate.name)))
    ]


def _in_use(reader: Reader) -> Iterator[str]:
    """Yield the models that the ledgers have, under the catalogue's names."""
    for group in reader.index.groups(("service", "model"), Query()):
        yield reader.catalogue.name(str(group.key[0]), str(group.key[1]))


def comparison_report(facts: ComparisonFacts, shown: int = SHOWN) -> Report:
    """Return what the work costs on several models, beside the cheapest that is not free."""
    work, costs = facts.work, facts.costs
    priced = [candidate for candidate in costs if candidate.cost is not None]
    base = next((candidate.cost for candidate in priced if candidate.cost), None)
    table = Table.of(
        "Cheapest first",
        priced[:shown],
        (Column("model", "Model"), lambda candidate: candidate.name),
        (Column("cost", "Cost", "money", places=4), lambda candidate: candidate.cost),
        (
            Column("times", "Times the cheapest", "times", rank=1),
            lambda candidate: _times(candidate.cost, base),
        ),
        empty="No model has a price for this.",
    )
    notes = [
        Note(f"{candidate.name}: {candidate.why}.", "warning")
        for candidate in costs
        if candidate.cost is None
    ][:5]
    if len(priced) > shown:
        more = plural(len(priced) - shown, "more expensive model", "more expensive models")
        notes.append(Note(f"{more}; --json has them all."))
    return Report(
        title="Models compared",
        subtitle=work_subtitle(work),
        tables=(table,),
        notes=(*notes, *map(Note, work.assumed)),
        data={
            **work_data(work),
            "models": [{"model": candidate.name, **cost_data(candidate)} for candidate in costs],
        },
    )


def _times(cost: Nanos | None, base: Nanos | None) -> float | str:
    return round(cost / base, 1) if cost and base else ""


SPEC: Final = Spec(
    "Save",
    (
        "compare-models --input-tokens 3000 --output-tokens 1000",
        "compare-models gpt-4o gpt-4o-mini claude-3-haiku --input-tokens 3000",
        "compare-models --audio-minutes 60 --json",
    ),
    ComparisonQuestion,
    comparison_facts,
    comparison_report,
    options=(Option("", called="models", metavar="[MODEL]...", many=True), WORK),
)
