"""Run the agents that were named, and print what each recorded beside what was billed."""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from tabulate import tabulate

from tests.support.agents.recordings import record

from . import __doc__ as about
from .comparing import Row, expected, imported, rows
from .installing import Environment
from .runs import RUNS, perform


def main() -> int:
    """Return 1 where an import is not what was billed and recorded."""
    parser = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("agents", nargs="*", metavar="AGENT", help=", ".join(RUNS))
    parser.add_argument("--at", type=Path, metavar="DIR", help="where the agents are installed, and stay")
    parser.add_argument("--homes", type=Path, metavar="DIR", help="where homes and logs are left, to look at")
    parser.add_argument("--record", action="store_true", help="write the recordings of the tests anew")
    options = parser.parse_args()
    if unknown := sorted({*options.agents} - {*RUNS}):
        parser.error(f"no agent is called {unknown[0]!r}; there are {', '.join(RUNS)}")
    table: list[Row] = []
    differs = False
    with tempfile.TemporaryDirectory() as scratch:
        environment = Environment(options.at or Path(scratch) / "installed")
        for name in options.agents or RUNS:
            home = (options.homes or Path(scratch)).resolve() / name
            run = perform(name, home, environment)
            ours = imported(run, Path(scratch) / f"{name}-costs")
            differs = differs or ours != expected(run)
            table += rows(run, ours, environment)
            if options.record:
                record(name, home, expected(run))
    print(tabulate(table, headers=("Agent", "Who", "Calls", "Input", "Output", ""), intfmt=","))
    return int(differs)


if __name__ == "__main__":
    sys.exit(main())
