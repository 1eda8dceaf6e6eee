"""The site: addresses, pages and downloads as one ASGI application."""

from __future__ import annotations

from functools import partial
from http import HTTPStatus
from pathlib import Path
from typing import Final
from urllib.parse import parse_qsl

from anyio import CapacityLimiter, to_thread
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response, StreamingResponse
from starlette.routing import Route

from ...errors import CostError, WrongUsage
from ...formats import load
from ...formats import names as format_names
from ...periods import month
from ...reports.reader import Reader
from ...rollup import Query
from ...workspace import Workspace
from .access import Access
from .addresses import Place
from .apart import Apart
from .assets import asset_named
from .guard import Guard, Visit
from .hosts import Hosts
from .live import Watcher, events
from .rendering import NO_VERSION, digest, message_page, rendered
from .views import PAGES, Asked, Page, View, values_of

THREADS: Final = 4
"""How many pages are made at once: more would wait for each other, and each takes memory."""

SLOW_THREADS: Final = 4
"""How many wait for reports of other processes, beside those."""

_TYPES: Final = {
    "json": "application/json",
    "csv": "text/csv; charset=utf-8",
    "html": "text/html; charset=utf-8",
    "pdf": "application/pdf",
}
DOWNLOADS: Final = tuple(kind for kind in _TYPES if kind in format_names())
_IMMUTABLE: Final = {"Cache-Control": "public, max-age=31536000, immutable"}


class Site:
    """Answers requests from one cost storage."""

    def __init__(self, workspace: Workspace, access: Access, hosts: Hosts) -> None:
        self._workspace = workspace
        self._access = access
        self._hosts = hosts
        self._threads = CapacityLimiter(THREADS)
        self._slowly = CapacityLimiter(SLOW_THREADS)
        self._apart = Apart(workspace)
        self.watcher = Watcher(self._version)

    def end(self) -> None:
        """End what would go on. May be called from a signal handler."""
        self._apart.end()
        self.watcher.end()

    def application(self) -> Guard:
        """Return what a server runs."""
        faults = (CostError, OSError, HTTPException)
        pages = Starlette(routes=self._routes(), exception_handlers=dict.fromkeys(faults, self._failed))
        return Guard(pages, self._access, self._hosts)

    def _routes(self) -> list[Route]:
        routes = [
            Route("/", self._home),
            Route("/assets/{name}", _asset),
            Route("/events", self._events),
        ]
        for page in PAGES:
            routes += [Route(f"{page.path}.{kind}", partial(self._page, page, kind)) for kind in DOWNLOADS]
            routes.append(Route(page.path, partial(self._page, page, None)))
        return routes

    async def _home(self, request: Request) -> Response:
        profile = await to_thread.run_sync(lambda: self._workspace.profile, limiter=self._threads)
        present = month(self._workspace.clock(), profile.timezone).name
        return RedirectResponse(f"{_visit(request).base}/months/{present}", HTTPStatus.SEE_OTHER)

    async def _events(self, _: Request) -> Response:
        return StreamingResponse(events(self.watcher), media_type="text/event-stream")

    def _version(self) -> str:
        """Return what changes with the sums, the profile, the prices, and with each hour of the clock."""
        workspace = self._workspace
        files = [_stamp(path) for path in (workspace.profile_path, workspace.prices_path)]
        hour = workspace.clock().replace(minute=0, second=0, microsecond=0)
        return digest(repr((workspace.index.version, files, hour)))

    async def _page(self, page: Page, kind: str | None, request: Request) -> Response:
        limiter = self._slowly if page.asks_apart else self._threads
        return await to_thread.run_sync(self._answer, page, kind, request, limiter=limiter)

    def _answer(self, page: Page, kind: str | None, request: Request) -> Response:
        visit, version = _visit(request), self._version()  # what changes from now on is told
        parts = {name: str(value) for name, value in request.path_params.items()}
        if kind and "job" in parts and self._is_job(f"{parts['job']}.{kind}"):
            kind, parts["job"] = None, f"{parts['job']}.{kind}"  # a name that ends like a format
        path = str(request.scope["path"])[len(visit.base) :]
        pairs = parse_qsl(request.url.query, keep_blank_values=True)
        place = Place(visit.base, path.removesuffix(f".{kind}"), values_of(pairs, page))
        apart = partial(self._apart.reports, version=version)
        view = page.view(Asked(Reader(self._workspace), place, parts, pairs, apart))
        return self._shown(view, version, request) if kind is None else _download(view, kind)

    def _shown(self, view: View, version: str, request: Request) -> Response:
        """Return the page, or that it is the one that the visitor has."""
        body = rendered(view, DOWNLOADS)
        tag = f'"{digest(body)}"'
        if request.headers.get("if-none-match") == tag:
            return Response(status_code=HTTPStatus.NOT_MODIFIED, headers={"ETag": tag})
        body = body.replace(NO_VERSION, f'data-version="{version}"', 1)
        return Response(body, headers={"ETag": tag}, media_type=_TYPES["html"])

    def _is_job(self, name: str) -> bool:
        return bool(self._workspace.index.jobs(Query(job_id=name)))

    async def _failed(self, request: Request, fault: Exception) -> Response:
        """Return a page that says what could not be done."""
        status = _status(fault)
        text = str(fault.detail) if isinstance(fault, HTTPException) else str(fault)
        headers = getattr(fault, "headers", None)
        if not _visit(request).session:
            return Response(f"{text}\n", status, headers, "text/plain; charset=utf-8")
        page = message_page(Place(_visit(request).base, request.url.path), status, text)
        return Response(page, status, headers, _TYPES["html"])


def _status(fault: Exception) -> int:
    if isinstance(fault, HTTPException):
        return fault.status_code
    if isinstance(fault, LookupError):
        return HTTPStatus.NOT_FOUND
    return HTTPStatus.BAD_REQUEST if isinstance(fault, WrongUsage) else HTTPStatus.SERVICE_UNAVAILABLE


def _visit(request: Request) -> Visit:
    visit: Visit = request.scope["cost_visit"]
    return visit


def _stamp(path: Path | None) -> tuple[int, int] | None:
    """Return what tells one version of a file from another; ``None`` where there is none."""
    try:
        found = path.stat() if path else None
    except OSError:
        return None
    return (found.st_mtime_ns, found.st_size) if found else None


def _download(view: View, kind: str) -> Response:
    name = "-".join(part for part in view.place.path.split("/") if part)
    plain = "".join(c if c.isascii() and (c.isalnum() or c in "._-") else "_" for c in name)
    headers = {"Content-Disposition": f'attachment; filename="costs-{plain}.{kind}"'}
    return Response(load(kind).render(view.report), headers=headers, media_type=_TYPES[kind])


async def _asset(request: Request) -> Response:
    asset = asset_named(request.path_params["name"])
    if asset is None:
        raise HTTPException(HTTPStatus.NOT_FOUND)
    return Response(asset.content, headers=_IMMUTABLE, media_type=asset.media_type)
