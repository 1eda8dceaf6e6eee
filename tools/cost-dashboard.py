#!/usr/bin/env python3
"""The dashboard without installing it: ``python3 tools/cost-dashboard.py``, from any directory."""

import sys
from importlib.util import find_spec
from pathlib import Path

PACKAGES = {"click": "click", "yaml": "pyyaml"}
"""What every command needs, by the name it is imported under."""

if __name__ == "__main__":
    missing = [package for module, package in PACKAGES.items() if find_spec(module) is None]
    if missing:
        sys.exit(
            f"cost-dashboard needs {' and '.join(missing)}, which this Python does not have; install with:\n"
            f"  {sys.executable} -m pip install {' '.join(missing)}"
        )
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
    from shared.costs.cli.main import main

    main()
