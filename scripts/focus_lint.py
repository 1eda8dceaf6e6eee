"""Check the FOCUS exports of the sample history with the validators of the package index.

    python3 -m venv /tmp/focus && /tmp/focus/bin/pip install focus-validator focus-data-toolkit 'pyarrow<22'
    python3 scripts/focus_lint.py --bin /tmp/focus/bin

`focus-validator` (FinOps Foundation, Python >= 3.12) has the rules of FOCUS 1.2, `focus-data-toolkit`
those of 1.4 as far as single rows and columns go. They want other versions of other libraries than
this project, and so an environment of their own; the validator wants a NumPy that newer versions of
pyarrow refuse. The tests ask the toolkit alone. Exit code 1 when a rule fails.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from shared.costs.demo import write_sample
from shared.costs.exchange.exports import ExportContext, export_named
from shared.costs.exchange.source import IndexedEntries
from shared.costs.rollup import Query
from shared.costs.store.store import Store

CRITERIA = "USAGE_MEASUREMENT_SUPPORTED,TAGGING_SUPPORTED,ACCOUNT_NAMING_SUPPORTED"

ALTERNATIVES = {"InvoiceId-C-005-C": "InvoiceId-C-003-C"}
"""Rules of which one or the other must hold, and the rule that says so: an invoice id is either null,
where there is no invoice, or not. The validator lists the half that does not hold as a failure."""


def exported(folder: Path) -> list[Path]:
    """Write the sample history as FOCUS 1.2 and 1.4."""
    sample = write_sample(folder / "sample", datetime(2026, 11, 22, 9, 30, tzinfo=UTC))
    targets = []
    with Store.of(sample.storage) as index:
        index.add(path for path, _ in sample.jobs)
        for name in ("focus-1.2", "focus-1.4"):
            target = folder / f"{name}.csv"
            rows = export_named(name).write(IndexedEntries(index, Query()), target, ExportContext())
            print(f"{name}: {rows:,} entries")
            targets.append(target)
    return targets


def lint_1_2(validator: Path, data: Path) -> bool:
    """Run the foundation's validator; return whether no rule fails."""
    command = [
        str(validator),
        "--block-download",
        "--validate-version",
        "1.2",
        "--focus-dataset",
        "CostAndUsage",
    ]
    command += ["--data-file", str(data), "--applicability-criteria", CRITERIA, "--show-violations"]
    # The validator looks for its list of currencies beside its package.
    packages = next(validator.parent.parent.glob("lib/python*/site-packages"))
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=packages)
    verdicts = dict(re.findall(r"(\S+): (PASS|FAIL|SKIPPED)\b", done.stdout))
    failed = {rule for rule, verdict in verdicts.items() if verdict == "FAIL"}
    excused = {rule for rule in failed if verdicts.get(ALTERNATIVES.get(rule, "")) == "PASS"}
    passed = sum(verdict == "PASS" for verdict in verdicts.values())
    print(f"FOCUS 1.2: {passed} rules pass, {len(failed - excused)} fail {sorted(failed - excused) or ''}")
    if not passed:
        print(done.stderr[-2_000:])
    return bool(passed) and not failed - excused


def lint_1_4(toolkit: Path, data: Path) -> bool:
    """Run the linter of FOCUS 1.4; return whether it finds nothing."""
    command = [str(toolkit), "validate", "--dataset", "cost-and-usage", str(data)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    print(f"FOCUS 1.4: {(done.stdout + done.stderr).replace(str(data), '').strip()}")
    return done.returncode == 0


def main() -> int:
    """Export, check, and say what was found."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--bin", type=Path, action="append", required=True, help="where the validators are")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        old, new = exported(Path(folder))
        fine = [lint_1_2(found, old) for found in _programs(given.bin, "focus-validator")]
        fine += [lint_1_4(found, new) for found in _programs(given.bin, "focus-toolkit")]
    return 0 if fine and all(fine) else 1


def _programs(folders: list[Path], name: str) -> list[Path]:
    return [folder / name for folder in folders if (folder / name).exists()]


if __name__ == "__main__":
    sys.exit(main())
