"""What the stage scripts and the batch runner share; nothing in here knows about costs.

Importing this package makes ``shared`` importable from a checkout that is not installed: the
folder above ``scripts`` goes on the module search path, right behind the script's own folder. It
is the one place that touches the path, so a stage script only has to import ``pipeline`` first.
"""

import sys
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[2]

if str(CHECKOUT) not in sys.path:
    sys.path.insert(1, str(CHECKOUT))
