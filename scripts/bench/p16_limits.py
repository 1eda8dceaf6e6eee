"""P16: what limits cost: deciding under 5 and under 500 of which 5 apply; reserving under one and under five.

All through the tracker, as stages do it, on a storage with some history. Subjects take turns; the medians of
whole reserved calls are compared, and of the decision alone (which limits are on a call, and how they stand).

    python scripts/bench/p16_limits.py [--rounds 7] [--calls 60] [--history 3000]
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from scripts.bench.harness import Measured, Row, interleaved, show
from scripts.faults.command_line import command_line
from shared.cost_tracker import CostTracker
from shared.costs.budgets.limits import LimitIndex
from shared.costs.budgets.scopes import CallScope
from shared.costs.budgets.spending import read_spendings

FIVE: Final = """
  tag_limits_usd: {{"customer:acme": 100000{tags}}}
  project_limits_usd: {{subtitles: 100000{projects}}}
  workflow_limits_usd: {{nightly: 100000{workflows}}}
  service_limits_usd: {{openai: 100000{services}}}
  monthly_limit_usd: 100000
"""
ONE: Final = "\n  monthly_limit_usd: 100000\n"
MODEL: Final = ("openai", "gpt-4o")
ABOUT: Final = {"tags": ("customer:acme",), "project": "subtitles", "workflow": "nightly"}
MANY, FIVE_SCOPES = 1.3, 1.5
"""What is to be reached: at most that many times as long."""


def profile_text(others: int) -> str:
    """Return five limits that are on every call here, and as many as asked that are on none."""

    def more(kind: str) -> str:
        return "".join(f', "{kind}-{number}": 5' for number in range(others // 4))

    named = {kind: more(kind) for kind in ("tags", "projects", "workflows", "services")}
    return FIVE.format(**named)


class Caller:
    """A stage that reserves each call under a profile of its own, in a storage of its own."""

    def __init__(self, folder: Path, name: str, limits: str, history: int) -> None:
        home = folder / name
        home.mkdir()
        profile = home / "profile.yaml"
        profile.write_text(f"budget:\n  block_at_limit: true{limits}")
        self.tracker = CostTracker(home / "job", "rpatel", home / "storage", profile_path=profile)
        for number in range(history):
            self.tracker.log_usage(*MODEL, 900 + number % 200, 100, **ABOUT)  # type: ignore[arg-type]
        self.tracker.get_monthly_cost()
        workspace = self.tracker._session.workspace
        self._index = LimitIndex(workspace.profile, workspace.catalogue_name)
        self._call = CallScope("rpatel", datetime.now(UTC), None, None, *MODEL, "subtitles", *_tags())

    def decide(self) -> None:
        """Find the limits that are on a call, and read how they stand."""
        workspace = self.tracker._session.workspace
        limits = self._index.of_call(self._call, workspace.clock())
        assert len(limits) in (1, 5)
        read_spendings(limits, workspace.index, workspace.catalogue_name)

    def whole(self) -> None:
        """Reserve, log and settle one call."""
        details = {"tokens_input": 1500, "max_tokens_output": 300, **ABOUT}
        with self.tracker.reserve(*MODEL, **details) as hold:  # type: ignore[arg-type]
            self.tracker.log_usage(*MODEL, 1500, 300, reservation=hold, **ABOUT)  # type: ignore[arg-type]


def _tags() -> tuple[tuple[str, ...], str]:
    return ("customer:acme",), "nightly"


def main() -> None:
    """Measure and print."""
    parser = command_line(__doc__, rounds=7)
    parser.add_argument("--calls", type=int, default=60, help="calls of each subject in a round")
    parser.add_argument("--history", type=int, default=3000, help="calls that were logged before")
    options = parser.parse_args()
    # Beside the project, not in /tmp: a tmpfs would make every sync free.
    with tempfile.TemporaryDirectory(dir=Path(__file__).resolve().parents[2]) as name:
        folder = Path(name)
        profiles = {"one": ONE, "five": profile_text(0), "many": profile_text(495)}
        callers = {each: Caller(folder, each, text, options.history) for each, text in profiles.items()}
        subjects: dict[str, Callable[[], object]] = {}
        for each, caller in callers.items():
            subjects |= {f"{each} decide": caller.decide, f"{each} whole": caller.whole}
        found = interleaved(subjects, options.rounds, options.calls)
        for caller in callers.values():
            caller.tracker.close()
    show("P16: limits", list(_rows(found)))


def _rows(found: dict[str, Measured]) -> list[Row]:
    def compared(what: str, one: str, other: str, most: float) -> list[Row]:
        ratio = found[other].median / found[one].median
        return [
            Row(f"{what}, {one.split(maxsplit=1)[0]}", f"{found[one].micros:.0f} us"),
            Row(
                f"{what}, {other.split(maxsplit=1)[0]}",
                f"{found[other].micros:.0f} us",
                f"{ratio:.2f}x",
                f"at most {most}x",
                ratio <= most,
            ),
        ]

    return [
        *compared("deciding", "five decide", "many decide", MANY),
        *compared("a reserved call", "five whole", "many whole", MANY),
        *compared("a reserved call", "one whole", "five whole", FIVE_SCOPES),
    ]


if __name__ == "__main__":
    main()
