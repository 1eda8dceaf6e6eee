"""The files that come with the code: price lists, SQL, pages, templates of settings.

They are read where the code lies: in a folder, or in an archive that Python runs from (a zipapp,
``--py-files`` of Spark), where no path leads to them. Jinja's ``PackageLoader`` knows both by itself.
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
    from importlib.resources import files  # 20 ms that only an archive pays for

    return files(__package__) / "data"


DATA: Final = _data()
"""The folder of all these files."""

PACKAGE: Final = __package__
"""The package that has the folder, for loaders that ask for it by name."""
