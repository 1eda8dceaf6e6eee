"""The site: addresses, pages and downloads as one ASGI application."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from http import HTTPStatus
from importlib.util import find_spec
from pathlib import Path
from typing import Final
from urllib.parse import parse_qsl

from anyio import CapacityLimiter, to_thread
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, RedirectResponse, Response, StreamingResponse
from starlette.routing import Route

from ...errors import CostError, ProfileError, StorageUnavailable, WrongUsage
from ...exchange.openmetrics import openmetrics
from ...formats import EXACT, load
from ...formats.currency import as_shown
from ...formats.values import tame
from ...periods import month
from ...profile.edit import ProfileChanged
from ...reports.reader import Reader
from ...rollup import Query
from ...workspace import Workspace
from .access import Access
from .addresses import PageAddress
from .apart import RecentCache, ReportProcesses
from .editing import EVERYONE, change_of, form_of, form_sent, make, profile_place
from .guard import Hosts, RequestGuard, Visitor
from .live import Watcher, events
from .rendering import NO_VERSION, Editing, asset_named, digest, edit_page, message_page, rendered
from .views import PAGES, PageRequest, SitePage, View, known_values, values_of

THREADS: Final = 4
"""How many pages are made at once: more would wait for each other, and each takes memory."""

SLOW_THREADS: Final = 4
"""How many wait for reports of other processes, beside those."""

KEPT_PAGES: Final = 32
"""How many pages are kept as they were made, as long as nothing changes: tabs ask for the same ones."""

MadePage = tuple[str, str]
"""A page and its tag."""

_TYPES: Final = {
    "json": "application/json",
    "csv": "text/csv; charset=utf-8",
    "html": "text/html; charset=utf-8",
    "pdf": "application/pdf",
}
DOWNLOADS: Final = tuple(kind for kind in _TYPES if kind != "pdf" or find_spec("weasyprint"))
"""What a page can be had as; as PDF where the extra ``pdf`` is installed."""

METRICS_TYPE: Final = "application/openmetrics-text; version=1.0.0; charset=utf-8"
MAX_FORM: Final = 64 * 1024
"""Larger forms are refused, in bytes."""

_FORM: Final = "application/x-www-form-urlencoded"
_IMMUTABLE: Final = {"Cache-Control": "public, max-age=31536000, immutable"}


class Site:
    """Answers requests from one cost storage.

    ``typed`` returns a command as it is to be typed where the server was started, on the same data.
    """

    def __init__(
        self,
        workspace: Workspace,
        access: Callable[[], Access],
        hosts: Hosts,
        *,
        can_edit: bool = False,
        typed: Callable[[str], str] = str,
    ) -> None:
        self._workspace = workspace
        self._access = access
        self._hosts = hosts
        self._root = _identity(workspace.storage.root)
        self._can_edit = can_edit
        self._typed = typed
        self._threads = CapacityLimiter(THREADS)
        self._slowly = CapacityLimiter(SLOW_THREADS)
        self._apart = ReportProcesses(workspace)
        self._made = RecentCache[MadePage](KEPT_PAGES)
        self.watcher = Watcher(self._version)

    def end(self) -> None:
        """End what would go on. May be called from a signal handler."""
        self._apart.end()
        self.watcher.end()

    def application(self) -> RequestGuard:
        """Return what a server runs."""
        faults = (CostError, OSError, HTTPException, ClientDisconnect)
        pages = Starlette(routes=self._routes(), exception_handlers=dict.fromkeys(faults, self._failed))
        pages.router.redirect_slashes = False
        return RequestGuard(pages, self._access, self._hosts)

    def _routes(self) -> list[Route]:
        routes = [
            Route("/", self._home),
            Route("/assets/{name}", _asset),
            Route("/events", self._events),
            Route("/metrics", self._metrics),
            Route("/known", self._known),
        ]
        if self._can_edit:
            routes.append(Route("/budgets/edit", self._edit, methods=["GET", "POST"]))
        for page in PAGES:
            routes += [Route(f"{page.path}.{kind}", partial(self._page, page, kind)) for kind in DOWNLOADS]
            routes.append(Route(page.path, partial(self._page, page, None)))
        return routes

    async def _home(self, request: Request) -> Response:
        profile = await to_thread.run_sync(lambda: self._workspace.profile, limiter=self._threads)
        present = month(self._workspace.clock(), profile.timezone, profile.billing_day).name
        return RedirectResponse(f"{_visit(request).base}/months/{present}", HTTPStatus.SEE_OTHER)

    async def _events(self, _: Request) -> Response:
        return StreamingResponse(events(self.watcher), media_type="text/event-stream")

    async def _metrics(self, _: Request) -> Response:
        reader = self._reader()
        text = await to_thread.run_sync(openmetrics, reader, limiter=self._threads)
        return Response(text, headers={"Content-Type": METRICS_TYPE})

    async def _known(self, _: Request) -> Response:
        reader = self._reader()
        return JSONResponse(await to_thread.run_sync(known_values, reader, limiter=self._threads))

    def _reader(self) -> Reader:
        return Reader(self._there())

    def _there(self) -> Workspace:
        """Return the workspace.

        Raises:
            StorageUnavailable: another folder or none is where its storage was: it would be read as $0. Or
                it cannot be used any more.
        """
        root = self._workspace.storage.root
        now = _identity(root)
        self._root = self._root or now  # made with the first call, or for the first page
        if now != self._root:
            raise StorageUnavailable(
                f"the cost storage {root} was moved, deleted or replaced while this server ran: "
                f"put it back, or start the server again"
            )
        if now is not None:
            self._workspace.storage.require()
        return self._workspace

    def _version(self) -> str:
        """Return what changes with the sums, profile, prices and bills, and with each hour of the clock."""
        workspace = self._there()
        bills = workspace.storage.bills_dir
        files = [_stamp(path) for path in (workspace.profile_path, workspace.prices_path, *bills.glob("*"))]
        hour = workspace.clock().replace(minute=0, second=0, microsecond=0)
        return digest(repr((workspace.index.version, files, hour)))

    async def _page(self, page: SitePage, kind: str | None, request: Request) -> Response:
        limiter = self._slowly if page.asks_apart or kind == "pdf" else self._threads
        return await to_thread.run_sync(self._answer, page, kind, request, limiter=limiter)

    def _answer(self, page: SitePage, kind: str | None, request: Request) -> Response:
        with self._workspace.index.one_look():
            return self._answered(page, kind, request)

    def _answered(self, page: SitePage, kind: str | None, request: Request) -> Response:
        visit, version = _visit(request), self._version()  # what changes from now on is told
        parts = {name: str(value) for name, value in request.path_params.items()}
        if kind and "job" in parts and self._is_job(f"{parts['job']}.{kind}"):
            kind, parts["job"] = None, f"{parts['job']}.{kind}"  # a name that ends like a format
        path = str(request.scope["path"])[len(visit.base) :]
        pairs = parse_qsl(request.url.query, keep_blank_values=True)
        if any(not value for _, value in pairs):  # of a form that was not filled whole
            whole = PageAddress(visit.base, path).to(path, [pair for pair in pairs if pair[1]])
            return RedirectResponse(whole, HTTPStatus.SEE_OTHER)
        key = (
            visit.base,
            path,
            tuple(pairs),
            version,
            self._workspace.clock().replace(second=0, microsecond=0),
        )
        if kind is None and (made := self._made.get(key)):
            return _unless_known(made, version, request)
        place = PageAddress(visit.base, path.removesuffix(f".{kind}"), values_of(pairs, page))
        apart = partial(self._apart.reports, version=version)
        view = page.view(PageRequest(self._reader(), place, parts, pairs, apart, self._can_edit))
        if kind not in EXACT:
            view = self._as_shown(view)
        if kind is not None:
            return self._download(view, kind)
        body = rendered(self._to_copy(view), DOWNLOADS)
        self._made.put(key, (body, f'"{digest(body)}"'))
        return _unless_known(self._made.get(key) or (body, ""), version, request)

    def _as_shown(self, view: View) -> View:
        """Return a view with its amounts in the currency of the profile."""
        currency = self._workspace.loaded_profile().profile.currency
        today = self._workspace.clock().date()
        return view._replace(report=as_shown(view.report, currency, view.day, today))

    def _to_copy(self, view: View) -> View:
        """Return a view whose remedies can be copied and run; files that are sent leave local paths out."""
        notes = tuple(note._replace(remedy=self._typed(note.remedy)) for note in view.report.notes)
        return view._replace(report=view.report._replace(notes=notes))

    async def _edit(self, request: Request) -> Response:
        pairs = await _form(request) if request.method == "POST" else parse_qsl(request.url.query)
        return await to_thread.run_sync(self._edited, request, pairs, limiter=self._threads)

    def _edited(self, request: Request, pairs: list[tuple[str, str]]) -> Response:
        """Return the form of somebody's limits, what it would change, or the way on after it was done."""
        visit, reader = _visit(request), self._reader()
        if not visit.session:
            raise HTTPException(HTTPStatus.FORBIDDEN, "limits are changed in a browser, or by set-budget")
        place = PageAddress(visit.base, "/budgets/edit")
        secret, profile = self._access().form_secret(visit.session), str(profile_place(reader))
        if request.method != "POST":
            form = form_of(reader, dict(pairs).get("who", EVERYONE))
            return _html(edit_page(place, form, secret, profile, Editing()))
        if not self._access().is_form_secret(dict(pairs).get("secret", ""), visit.session):
            raise HTTPException(HTTPStatus.FORBIDDEN, "this form is not of this session; open it again")
        form = form_sent(pairs)
        try:
            if "confirmed" in dict(pairs):
                make(reader, form)
                return RedirectResponse(place.to("/budgets"), HTTPStatus.SEE_OTHER)
            change = change_of(reader, form)
        except ProfileChanged as fault:
            fresh = form_of(reader, form.who)
            return _html(edit_page(place, fresh, secret, profile, Editing(str(fault))), HTTPStatus.CONFLICT)
        except (WrongUsage, ProfileError) as fault:
            body = edit_page(place, form, secret, profile, Editing(str(fault)))
            return _html(body, HTTPStatus.UNPROCESSABLE_ENTITY)
        return _html(edit_page(place, form, secret, profile, Editing("", change.lines, tuple(pairs))))

    def _download(self, view: View, kind: str) -> Response:
        name = "-".join(part for part in view.place.path.split("/") if part)
        plain = "".join(c if c.isascii() and (c.isalnum() or c in "._-") else "_" for c in name)
        headers = {"Content-Disposition": f'attachment; filename="costs-{plain}.{kind}"'}
        content = self._apart.printed(view.report) if kind == "pdf" else load(kind).render(view.report)
        return Response(content, headers=headers, media_type=_TYPES[kind])

    def _is_job(self, name: str) -> bool:
        return bool(self._workspace.index.jobs(Query(job_id=name)))

    async def _failed(self, request: Request, fault: Exception) -> Response:
        """Return a page that says what could not be done."""
        status = _status(fault)
        text = str(fault.detail) if isinstance(fault, HTTPException) else str(fault)
        if text == HTTPStatus.NOT_FOUND.phrase:  # the router's own word
            text = f"nothing is at {tame(str(request.scope['path'])[len(_visit(request).base) :])}"
        headers = getattr(fault, "headers", None)
        if not _visit(request).session:
            return Response(f"{text}\n", status, headers, "text/plain; charset=utf-8")
        page = message_page(PageAddress(_visit(request).base, request.url.path), status, text)
        return Response(page, status, headers, _TYPES["html"])


def _status(fault: Exception) -> int:
    if isinstance(fault, HTTPException):
        return fault.status_code
    if isinstance(fault, LookupError):
        return HTTPStatus.NOT_FOUND
    is_theirs = isinstance(fault, (WrongUsage, ClientDisconnect))
    return HTTPStatus.BAD_REQUEST if is_theirs else HTTPStatus.SERVICE_UNAVAILABLE


async def _form(request: Request) -> list[tuple[str, str]]:
    """Return the values of a form that was sent."""
    if request.headers.get("content-type", "").partition(";")[0].strip() != _FORM:
        raise HTTPException(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, f"forms are sent as {_FORM}")
    body = bytearray()
    async for piece in request.stream():
        body += piece
        if len(body) > MAX_FORM:
            raise HTTPException(
                HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"the form is larger than {MAX_FORM} bytes"
            )
    try:
        return parse_qsl(body.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=1000)
    except ValueError:  # not ASCII, not UTF-8 within, or too many
        raise HTTPException(HTTPStatus.BAD_REQUEST, "the form cannot be read") from None


def _html(body: str, status: int = HTTPStatus.OK, headers: Mapping[str, str] | None = None) -> Response:
    return Response(body, status, headers, _TYPES["html"])


def _visit(request: Request) -> Visitor:
    visit: Visitor = request.scope["cost_visit"]
    return visit


def _unless_known(made: MadePage, version: str, request: Request) -> Response:
    """Return a page, or that it is the one that the visitor has."""
    body, tag = made
    if request.headers.get("if-none-match") == tag:
        return Response(status_code=HTTPStatus.NOT_MODIFIED, headers={"ETag": tag})
    return _html(body.replace(NO_VERSION, f'data-version="{version}"', 1), headers={"ETag": tag})


def _identity(folder: Path) -> tuple[int, int] | None:
    """Return what tells one folder from another that takes its place; ``None`` where there is none."""
    try:
        status = folder.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino


def _stamp(path: Path | None) -> tuple[int, int] | None:
    """Return what tells one version of a file from another; ``None`` where there is none."""
    try:
        status = path.stat() if path else None
    except OSError:
        return None
    return (status.st_mtime_ns, status.st_size) if status else None


async def _asset(request: Request) -> Response:
    asset = asset_named(request.path_params["name"])
    if asset is None:
        raise HTTPException(HTTPStatus.NOT_FOUND)
    return Response(asset.content, headers=_IMMUTABLE, media_type=asset.media_type)
