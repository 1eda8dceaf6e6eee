"""Pages as HTML: the parts of a report, which files that are sent have too, within the frame of the site.

The style sheet, the script and the icon have names that change with their content.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from hashlib import sha256
from http import HTTPStatus
from typing import TYPE_CHECKING, Final, NamedTuple

from ...formats.page import FOLDER as SHARED
from ...formats.page import environment, page_of
from ...formats.values import tame
from ...shipped import DATA, PACKAGE
from .addresses import FILTER_LABELS, PageAddress
from .editing import AMOUNTS, COUNTS, GUARDS, NAMED, Form
from .views import NavLink, View

if TYPE_CHECKING:
    from jinja2 import Environment

_FILES: Final = DATA / "serve"
_STYLES: Final = (DATA / "report" / "report.css", _FILES / "serve.css")
_CSS: Final = "text/css; charset=utf-8"
_SOURCES: Final = {
    "style.css": (_STYLES, _CSS),
    "print.css": (_STYLES, _CSS),
    "edit.css": ((_FILES / "edit.css",), _CSS),
    "script.js": ((_FILES / "serve.js",), "text/javascript; charset=utf-8"),
    "icon.svg": ((_FILES / "icon.svg",), "image/svg+xml"),
}
_PAPER_SHEET: Final = "@media print {"
_COMMENT: Final = re.compile(r"/\*.*?\*/", re.DOTALL)
_AROUND: Final = re.compile(r" ?([{};,>~+]) ?")
_AFTER_NAME: Final = re.compile(r"(?<=[{;(])([a-z0-9-]+): ")


class Asset(NamedTuple):
    """A file that a page loads. ``path`` is its address."""

    path: str
    content: bytes
    media_type: str


@cache
def assets() -> Mapping[str, Asset]:
    """Return the assets by the names of their sources."""
    return {name: _asset(name) for name in _SOURCES}


def asset_named(name: str) -> Asset | None:
    """Return the asset at ``/assets/name``; ``None`` where there is none."""
    return next((asset for asset in assets().values() if asset.path == f"/assets/{name}"), None)


def _asset(name: str) -> Asset:
    paths, media_type = _SOURCES[name]
    texts = [path.read_text(encoding="utf-8") for path in paths]
    content = (_styles(name, texts) if name.endswith(".css") else "".join(texts)).encode()
    stem, _, suffix = name.rpartition(".")
    return Asset(f"/assets/{stem}-{sha256(content).hexdigest()[:16]}.{suffix}", content, media_type)


def _styles(name: str, texts: list[str]) -> str:
    """Return the styles of the screen, or those of paper, which stand last in each file, made short."""
    parts = [text.partition(_PAPER_SHEET) for text in texts]
    chosen = (f"{_PAPER_SHEET}{paper}" if name == "print.css" else screen for screen, _, paper in parts)
    text = _COMMENT.sub("", "".join(chosen))
    text = _AROUND.sub(r"\1", " ".join(text.split())).replace(";}", "}")
    return _AFTER_NAME.sub(r"\1:", text)


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
    r' (?:(?:fill|stroke)="(?:#[0-9a-f]{6}|none)"|stroke-linecap="round"|stroke-width="1"(?= )'
    r'|(?:x="0" )?y="0"(?= width)|(?<=<svg )width="100%" height="100%"(?= aria-hidden))'
)
"""Colours of paper, sizes and places at the corner, in drawings: a browser has them from the style sheet.

With one beginning of all it is searched for eight times as fast.
"""


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
            page=page_of(view.report, place.link, place.spend),
            chips=tuple(place.chips()),
            filters=[(label, place.values.get(field, "")) for field, label in FILTER_LABELS.items()],
            kept=[(name, value) for name, value in place.values.items() if name in _KEPT],
            files=[NavLink(kind.upper(), f"{place.to(f'{place.path}.{kind}')}{query}") for kind in downloads],
        )
    )
    return _PAPER.sub("", page)


def edit_page(place: PageAddress, form: Form, secret: str, profile: str, edit: Editing) -> str:
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


def message_page(place: PageAddress, status: int, text: str) -> str:
    """Return a page that says what could not be done."""
    title = HTTPStatus(status).phrase
    return _environment().get_template("message.html.j2").render(**_frame(place, ""), title=title, text=text)


def digest(text: str) -> str:
    """Return a short name of a text's content."""
    return sha256(text.encode()).hexdigest()[:16]


def _frame(place: PageAddress, tab: str) -> dict[str, object]:
    return {
        "place": place,
        "tabs": [Tab(label, place.to(path), key, name == tab) for name, label, path, key in TABS],
        "assets": {name: asset.path for name, asset in assets().items()},
    }


@cache
def _environment() -> Environment:
    from jinja2 import ChoiceLoader, PackageLoader

    folders = ("data/serve", SHARED)
    made = environment().overlay(loader=ChoiceLoader([PackageLoader(PACKAGE, each) for each in folders]))
    made.filters |= {"digest": digest, "tame": tame}
    return made
