"""The sender's process: ``python -m shared.costs.notify COST_STORAGE``."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from ..errors import CostError
from ..workspace import Workspace
from .message import StoredMessages
from .sender import Sender, deliver_from, run


def main(arguments: list[str]) -> int:
    """Send what is queued in a cost storage; return an exit code. A storage that is gone is not recreated."""
    root = Path(arguments[0])
    if not root.is_dir():
        return 0
    with Workspace(root) as workspace:
        try:
            messages = StoredMessages(workspace.storage)
            sender = Sender(workspace.notices, os.environ, deliver_from(messages))
            run(workspace.storage, sender, workspace.clock)
            if root.is_dir():
                messages.tidy(
                    {queued.notice.key for queued in workspace.notices.waiting()}, workspace.clock()
                )
        except CostError as fault:
            sys.stderr.write(f"{fault}\n")
            return fault.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
