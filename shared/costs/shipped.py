"""The files that come with the code: price lists, SQL, pages, templates of settings.

They are read from where the code is: a folder, or an archive that Python runs from (a zipapp,
``--py-files`` of Spark), where they have no path. Jinja's ``PackageLoader`` supports both.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from importlib.resources.abc import Traversable


def _data() -> Traversable:
    folder = Path(__file__).parent / "data"
    if folder.is_dir():
        return folder
    from importlib.resources import files  # 20 ms, only needed in an archive

    return files(__package__) / "data"


DATA: Final = _data()
"""The folder of all these files."""

PACKAGE: Final = __package__
"""The name of the package with the folder, for loaders that need it."""
