"""The look of our mails: templates that are filled in, with every text escaped."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from jinja2 import Environment

FOLDER: Final = Path(__file__).parents[1] / "data" / "mail"


def filled(template: str, **values: object) -> str:
    """Return a template of :data:`FOLDER` with these values in it."""
    return _environment().get_template(template).render(values).lstrip()


@cache
def _environment() -> Environment:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined  # no stage pays for it

    return Environment(
        loader=FileSystemLoader(FOLDER),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
