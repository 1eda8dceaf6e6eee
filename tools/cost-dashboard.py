#!/usr/bin/env python3
"""The dashboard without installing it: ``python3 tools/cost-dashboard.py``, from any directory."""

import sys
from os.path import abspath, dirname
from shlex import quote

ROOT = dirname(dirname(abspath(__file__)))

if __name__ == "__main__":
    sys.path.insert(0, ROOT)
    from shared.costs.apps.cli.main import main

    try:
        main()
    except ModuleNotFoundError as missing:
        if missing.name != "click":  # what else a command needs, it asks for itself
            raise
        sys.exit(
            f"cost-dashboard needs packages that this Python does not have; install them with:\n"
            f"  {quote(sys.executable)} -m pip install {quote(ROOT)}"
        )
