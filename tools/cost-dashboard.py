#!/usr/bin/env python3
"""The dashboard without installing it: ``python3 tools/cost-dashboard.py``, from any directory."""

import sys
from os.path import abspath, dirname

if __name__ == "__main__":
    sys.path.insert(0, dirname(dirname(abspath(__file__))))
    from shared.costs.apps.cli.main import main

    try:
        main()
    except ModuleNotFoundError as missing:
        if missing.name != "click":  # what else a command needs, it asks for itself
            raise
        sys.exit(
            f"cost-dashboard needs click and pyyaml, which this Python does not have; install with:\n"
            f"  {sys.executable} -m pip install click pyyaml"
        )
