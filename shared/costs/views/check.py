"""``check``: the answers for a script, and why."""

from __future__ import annotations

from collections.abc import Sequence
from types import MappingProxyType
from typing import Final, NamedTuple

from ..analysis.checks import Check, Verdict, exit_code
from ..money import Nanos, to_usd
from ..periods import Period
from ..rollup import Totals
from .common import Health, doubts, named, owner
from .report import Column, Note, Report, Table, Tone

_ANSWERS: Final = MappingProxyType({0: "within bounds", 1: "over", 3: "cannot tell"})
_WORDS: Final[dict[Verdict, str]] = {
    "ok": "ok",
    "warning": "warned",
    "over": "OVER",
    "unknown": "cannot tell",
}
_TONES: Final[dict[Verdict, Tone]] = {"warning": "warning", "over": "critical", "unknown": "warning"}


class CheckFacts(NamedTuple):
    """What the view needs to know."""

    user_id: str
    period: Period
    checks: Sequence[Check]
    totals: Totals
    strict: bool
    health: Health = Health()

    @property
    def exit_code(self) -> int:
        """What the command returns."""
        return exit_code(self.checks, strict=self.strict)


def check_report(facts: CheckFacts) -> Report:
    """Return the answers, the worst named first."""
    answer = _ANSWERS[facts.exit_code]
    columns = (
        Column("check", "Check"),
        Column("value", "Now", "amount"),
        Column("allowed", "Allowed", "amount"),
        Column("result", "Result"),
        Column("note", "Note", rank=1),
    )
    rows = tuple(
        (c.name, _shown(c.value), _shown(c.allowed), _WORDS[c.verdict], c.note) for c in facts.checks
    )
    bad = [check for check in facts.checks if check.verdict != "ok"]
    notes = [
        Note(f"{check.name}: {_WORDS[check.verdict]}, {check.note}", _TONES[check.verdict])
        for check in bad
        if check.note
    ]
    return Report(
        title=f"Check of {owner(facts.user_id)}: {answer}",
        subtitle=named(facts.period),
        tables=(Table("Check", columns, rows, empty="No limit is set and nothing else was asked."),),
        notes=(*notes, *doubts(facts.totals, facts.health)),
        data={
            "user_id": facts.user_id,
            "month": facts.period.name,
            "result": answer,
            "exit_code": facts.exit_code,
            "strict": facts.strict,
            "checks": [_check(check) for check in facts.checks],
            "unpriced_calls": facts.totals.unpriced_calls,
            "incomplete": len(facts.health.problems),
        },
    )


def _shown(amount: Nanos | None) -> Nanos | str:
    return "" if amount is None else amount


def _check(check: Check) -> dict[str, object]:
    return {
        "check": check.name,
        "value_usd": None if check.value is None else to_usd(check.value),
        "allowed_usd": None if check.allowed is None else to_usd(check.allowed),
        "result": check.verdict,
        "note": check.note,
    }
