"""Pages as HTML: the parts of a report, which files that are sent have too, within the frame of the site."""

from __future__ import annotations

import re
from functools import cache
from hashlib import sha256
from http import HTTPStatus
from typing import TYPE_CHECKING, Final, NamedTuple

from ...formats.page import FOLDER as SHARED
from ...formats.page import environment, page_of
from ...formats.values import tame
from .addresses import FILTER_LABELS, Place
from .assets import FOLDER, assets
from .editing import AMOUNTS, COUNTS, GUARDS, NAMED, Form
from .views import View, Way

if TYPE_CHECKING:
    from jinja2 import Environment

NO_VERSION: Final = 'data-version=""'
"""Where the version of what a page shows is put in. A page's tag is that of all else."""

_KEPT: Final = ("by", "period", "q", "sort")
"""What a form of filters keeps of the address."""

TABS: Final = (
    ("months", "Month", "/", "m"),
    ("jobs", "Jobs", "/jobs", "j"),
    ("budgets", "Budgets", "/budgets", "b"),
    ("prices", "Prices", "/prices", "p"),
    ("reports", "Reports", "/reports", "r"),
    ("health", "Health", "/health", "h"),
)
"""The parts of the site: the name of a view's part, the label, the path, and the key after ``g``."""


class Editing(NamedTuple):
    """How far an edit is: what is wrong with it, or the lines that it changes and the values that make it."""

    problem: str = ""
    lines: tuple[str, ...] = ()
    carried: tuple[tuple[str, str], ...] = ()


class Tab(NamedTuple):
    """A part of the site in its bar."""

    label: str
    href: str
    key: str
    is_here: bool


_PAPER: Final = re.compile(
    r' (?:fill|stroke)="(?:#[0-9a-f]{6}|none)"| stroke-linecap="round"| stroke-width="1"(?= )'
    r'|(?: x="0")? y="0"(?= width)|(?<=<svg) width="100%" height="100%"(?= aria-hidden)'
)
"""Colours of paper, sizes and places at the corner, in drawings: a browser has them from the style sheet."""


def rendered(view: View, downloads: tuple[str, ...]) -> str:
    """Return the page of a view. ``downloads`` are the kinds of files that it can be had as."""
    place = view.place
    query = place.to("", place.values)[len(place.base) :]
    page = (
        _environment()
        .get_template("view.html.j2")
        .render(
            **_frame(place, view.tab),
            view=view,
            page=page_of(view.report, place.link),
            chips=tuple(place.chips()),
            filters=[(label, place.values.get(field, "")) for field, label in FILTER_LABELS.items()],
            kept=[(name, value) for name, value in place.values.items() if name in _KEPT],
            files=[Way(kind.upper(), f"{place.to(f'{place.path}.{kind}')}{query}") for kind in downloads],
        )
    )
    return _PAPER.sub("", page)


def edit_page(place: Place, form: Form, secret: str, profile: str, edit: Editing) -> str:
    """Return the page on which limits are edited, or on which a change is shown before it is made."""
    carried = [pair for pair in edit.carried if pair[0] not in ("secret", "confirmed")]
    return (
        _environment()
        .get_template("edit.html.j2")
        .render(
            **_frame(place, "budgets"),
            form=form,
            secret=secret,
            profile=profile,
            problem=edit.problem,
            lines=edit.lines,
            carried=carried,
            action=place.to("/budgets/edit"),
            again=place.to("/budgets/edit", {"who": form.who}),
            back=place.to("/budgets"),
            amounts=AMOUNTS,
            named=NAMED,
            counts=COUNTS,
            guards=GUARDS,
        )
    )


def message_page(place: Place, status: int, text: str) -> str:
    """Return a page that says what could not be done."""
    title = HTTPStatus(status).phrase
    return _environment().get_template("message.html.j2").render(**_frame(place, ""), title=title, text=text)


def digest(text: str) -> str:
    """Return a short name of a text's content."""
    return sha256(text.encode()).hexdigest()[:16]


def _frame(place: Place, tab: str) -> dict[str, object]:
    return {
        "place": place,
        "tabs": [Tab(label, place.to(path), key, name == tab) for name, label, path, key in TABS],
        "assets": {name: asset.path for name, asset in assets().items()},
    }


@cache
def _environment() -> Environment:
    from jinja2 import FileSystemLoader

    made = environment().overlay(loader=FileSystemLoader([FOLDER, SHARED]))
    made.filters |= {"digest": digest, "tame": tame}
    return made
