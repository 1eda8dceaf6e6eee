#!/usr/bin/env python3
"""The first command of the README: set up, run the shipped recordings, show the budget.

Takes them through speech recognition, translation (where an engine is installed) and summary, on
this machine and at no cost. Run it again: completed stages are not run twice, nothing is doubled.

    python3 scripts/quickstart.py
"""

from __future__ import annotations

import subprocess
import sys

from environment import ROOT, SetUpFailed, program, say, set_up


def main() -> int:
    """Run the quick start; the exit code is that of the step that failed."""
    try:
        set_up("local")
    except SetUpFailed as fault:
        say(str(fault))
        return 3
    recordings = sorted(map(str, (ROOT / "scripts" / "recordings").glob("*.flac")))
    batch = [str(program("python")), "scripts/run_batch.py", *recordings, "--resume"]
    dashboard = [str(program("cost-dashboard")), "show-budget"]
    for step in (batch, dashboard):
        shown = " ".join(step).replace(f"{ROOT}/", "")
        say(shown)
        code = subprocess.run(step, cwd=ROOT, check=False).returncode
        if code:
            return code
    return 0


if __name__ == "__main__":
    sys.exit(main())
