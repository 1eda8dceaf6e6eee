#!/usr/bin/env python3
"""The first command of the README: set up, run the shipped recordings, say where the transcripts are.

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
    say(_shown(batch))
    code = subprocess.run(batch, cwd=ROOT, check=False).returncode
    if code == 0:
        say(f"next: {_shown([str(program('cost-dashboard')), 'show-job', 'out/latest/'])}")
    return code


def _shown(command: list[str]) -> str:
    return " ".join(command).replace(f"{ROOT}/", "")


if __name__ == "__main__":
    sys.exit(main())
