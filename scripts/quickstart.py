#!/usr/bin/env python3
"""The first command of the README: set up, run the shipped recordings, say where the transcripts are.

Takes them through speech recognition, translation (where an engine is installed) and summary, on
this machine and at no cost. Run it again: completed stages are not run twice, nothing is doubled.

    python3 scripts/quickstart.py
"""

from __future__ import annotations

import sys

from environment import ROOT, SetUpFailed, program, run_to_its_end, say, set_up


def main() -> int:
    """Run the quick start; the exit code is that of the step that failed."""
    try:
        set_up("local")
    except SetUpFailed as fault:
        say(str(fault))
        return 3
    except KeyboardInterrupt:
        say("interrupted: run it again, it goes on from here")
        return 130
    recordings = sorted(map(str, (ROOT / "scripts" / "recordings").glob("*.flac")))
    batch = [str(program("python")), "scripts/run_batch.py", *recordings, "--resume"]
    say(_shown(batch))
    code = run_to_its_end(batch)
    if code == 0:
        say(f"next: {_shown([str(program('cost-dashboard')), 'show-job', 'out/latest/'])}")
    return code


def _shown(command: list[str]) -> str:
    return " ".join(command).replace(f"{ROOT}/", "")


if __name__ == "__main__":
    sys.exit(main())
