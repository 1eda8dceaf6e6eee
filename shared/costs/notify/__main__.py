"""The sender's process: ``python -m shared.costs.notify COST_STORAGE``."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from ..errors import CostError
from ..index.state import StateDb
from ..storage import CostStorage
from ..workspace import utc_now
from .sender import Sender, run


def main(arguments: list[str]) -> int:
    """Send what is queued in the cost storage named; return an exit code."""
    storage = CostStorage(Path(arguments[0]))
    state = StateDb(storage.state_path)
    try:
        run(storage, Sender(state, os.environ), utc_now)
    except CostError as fault:
        sys.stderr.write(f"{fault}\n")
        return fault.exit_code
    finally:
        state.close()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
