"""HTML: one file that needs nothing else, charts as inline SVG, light, dark and printable.

No part of it is loaded from anywhere, and its policy forbids to: the one style sheet and the one
script are allowed by their hashes, all else by nothing. Every text is escaped by the template.
"""

from __future__ import annotations

from base64 import b64encode
from hashlib import sha256

from ..reports.document import Report
from .page import asset, environment, page_of
from .values import sendable


def render(report: Report) -> str:
    """Return the report as one HTML page to send: it names no local path."""
    return page_to_send(report)


def page_to_send(report: Report, *, on_paper: bool = False) -> str:
    """Return the page, or with ``on_paper`` the same with what a tagged document needs besides."""
    from markupsafe import Markup  # comes with jinja2

    style, script = asset("report.css"), asset("report.js")
    template = environment(on_paper=on_paper).get_template("report.html.j2")
    # Our own style and script are not data: only they go in unescaped.
    return template.render(
        page=page_of(sendable(report)),
        style=Markup(style),  # noqa: S704  # a file of ours
        script=Markup(script),  # noqa: S704  # a file of ours
        style_hash=_hash(style),
        script_hash=_hash(script),
    )


def _hash(text: str) -> str:
    """Return what a content security policy allows exactly this text by."""
    return f"sha256-{b64encode(sha256(text.encode()).digest()).decode()}"
