"""``cost-dashboard serve``."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Final

from ....errors import CostError
from ....extras import install_command
from ....reports.spec import Option
from ..app import App, dashboard_command
from ..options import asked_with

_NEEDED: Final = ("starlette", "uvicorn")


class ExtraMissing(CostError):
    """What this command needs is not installed."""


@dashboard_command(
    "Look",
    "serve",
    "serve --port 0",
    "serve --host 0.0.0.0 --allow-host costs.lan:8765",
    without=("as_json", "format_name", "output"),
)
@asked_with(
    Option("--port", "0: any free one.", least=0, most=65_535, default=8765, shows_default=True),
    Option("--host", "The address to listen on.", "ADDRESS", default="127.0.0.1", shows_default=True),
    Option(
        "--allow-host",
        "Another name that browsers may open; may be repeated.",
        "HOST[:PORT]",
        called="allowed",
        many=True,
    ),
    Option("--edit", "Let limits be changed on the page of budgets.", called="can_edit", flag=True),
    Option("--new-token", "End all sessions: earlier addresses stop working.", flag=True),
)
def command(
    app: App, port: int, host: str, allowed: tuple[str, ...], *, can_edit: bool, new_token: bool
) -> None:
    """Show the reports in a browser, only for you, until Ctrl-C.

    Opens nothing by itself: the address that is printed lets a browser in. Only this machine can reach it,
    unless --host says otherwise. Nothing can be changed on its pages, but limits with --edit.
    """
    missing = [name for name in _NEEDED if find_spec(name) is None]
    if missing:
        raise ExtraMissing(f"serve needs {' and '.join(missing)}: {install_command('serve')}")
    from ...serve.access import StoredAccess
    from ...serve.guard import Hosts
    from ...serve.server import listening, run
    from ...serve.site import Site

    Hosts.of(host, port, allowed)  # wrong ones are refused before anything is opened
    bound = listening(host, port)
    try:
        port = bound.getsockname()[1]
        access = StoredAccess(app.workspace.storage.root, new=new_token)
        shown = host if ":" not in host else f"[{host}]"
        name = allowed[0] if allowed else f"{shown}:{port}"
        app.say(f"Open this address; Ctrl-C ends it:\n  http://{name}/?token={access().token}")
        typed = app.here.text if app.here else str
        site = Site(app.workspace, access, Hosts.of(host, port, allowed), can_edit=can_edit, typed=typed)
        run(site.application(), bound, site.end)
    finally:
        bound.close()
    app.say("ended")
