"""P5: a stage process that imports the tracker, logs one call of a known model, and exits.

The floor is ``python -c pass`` in the same run; heavy packages that must not be imported are checked.

    python scripts/bench/p5_start_up.py [--rounds 25]
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from scripts.bench.harness import Row, show
from scripts.faults.command_line import command_line

ROOT = Path(__file__).resolve().parents[2]
STAGE = """
from shared.cost_tracker import CostTracker
CostTracker("{home}/jobs/bench-job").log_usage("openai", "gpt-4o", 1500, 300, stage="13")
"""
BANNED = ("genai_prices", "tabulate", "click", "jinja2", "filelock", "pydantic", "asyncio")
IMPORTED = STAGE + "\nimport sys\nprint(*[m for m in {banned!r} if m in sys.modules])\n"


def run(code: str, environment: dict[str, str]) -> float:
    """Return the seconds that a Python process with ``code`` takes."""
    start = time.perf_counter()
    subprocess.run([sys.executable, "-c", code], check=True, env=environment, cwd=ROOT)
    return time.perf_counter() - start


def main() -> None:
    """Measure and print."""
    parser = command_line(__doc__, rounds=25)
    rounds = parser.parse_args().rounds
    with tempfile.TemporaryDirectory() as home:
        profile = Path(home) / "profile.yaml"
        profile.write_text((ROOT / "config" / "profile.yaml").read_text())
        environment = {**os.environ, "COST_TRACKER_HOME": home, "COST_TRACKER_PROFILE": str(profile)}
        # Where bytecode may not be written every import compiles anew, which no installed package does.
        environment.pop("PYTHONDONTWRITEBYTECODE", None)
        environment["PYTHONPYCACHEPREFIX"] = f"{home}/bytecode"
        stage = STAGE.format(home=home)
        run(stage, environment)  # the first one makes the storage and the bytecode
        floor, whole = [], []
        for _ in range(rounds):
            floor.append(run("pass", environment))
            whole.append(run(stage, environment))
        code = IMPORTED.format(home=home, banned=BANNED)
        heavy = subprocess.run(
            [sys.executable, "-c", code],
            check=True,
            env=environment,
            cwd=ROOT,
            capture_output=True,
            text=True,
        ).stdout.split()
    bare, stage_s = statistics.median(floor), statistics.median(whole)
    above = (stage_s - bare) * 1000
    show(
        "P5: a stage process with a YAML profile",
        [
            Row("python -c pass", f"{bare * 1000:.0f} ms"),
            Row("import, log_usage, exit", f"{stage_s * 1000:.0f} ms"),
            Row("above bare Python", f"{above:.0f} ms", "", "120 ms (aim 80)", above <= 120),
            Row("heavy packages imported", " ".join(heavy) or "none", "", "none", not heavy),
        ],
    )


if __name__ == "__main__":
    main()
