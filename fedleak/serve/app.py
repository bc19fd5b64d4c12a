"""The application: three pages, read-only, for a browser on this machine."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from fedleak.errors import FedleakError
from fedleak.records import read_bytes
from fedleak.report.build import render_template
from fedleak.results.schema import RESULTS_JSON
from fedleak.serve.listing import PAGES, Entry, entries
from fedleak.studies.compare import compare_runs
from fedleak.studies.report.build import render_study
from fedleak.version import __version__

LARGEST_PAGE = 1 << 28
"""Largest report that is shown, in bytes."""
REFRESH_SECONDS = 5
"""Seconds after which the list is loaded again while something is running."""
NAMES = ("127.0.0.1", "localhost", "[::1]")
"""Names of this machine in the header ``Host``; any other is that of a page that lured the browser here."""
HEADERS = (
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cache-control", b"no-store"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (
        b"content-security-policy",
        b"default-src 'none'; img-src data:; style-src 'unsafe-inline'; form-action 'self'; base-uri 'none'; "
        b"frame-ancestors 'none'",
    ),
)


class LocalOnly:
    """Answers only requests that were addressed to this machine by name, and forbids browsers everything else."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", ()), *HEADERS]
            await send(message)

        hosts = [value.decode("latin-1") for name, value in scope["headers"] if name == b"host"]
        allowed = len(hosts) == 1 and _name(hosts[0]) in NAMES
        refusal = PlainTextResponse("this page answers to localhost and 127.0.0.1 only\n", status_code=421)
        await (self._app if allowed else refusal)(scope, receive, guarded)


def _name(host: str) -> str:
    """The name in a header ``Host``, without the port."""
    name, separator, port = host.rpartition(":")
    return (name if separator and port.isdecimal() else host).lower()


@dataclass(frozen=True)
class ListPage:
    """Values of the list."""

    name: str
    folder: str
    entries: tuple[Entry, ...]
    total: int
    text: str
    state: str
    refresh: int
    version: str


def make_app(root: Path) -> Starlette:
    """The application over the runs and studies below ``root``."""
    pages = _Pages(root.resolve())
    routes = [
        Route("/", pages.index),
        Route("/compare", pages.compare),
        Route("/at/{path:path}", pages.page),
    ]
    return Starlette(routes=routes, middleware=[Middleware(LocalOnly)])


class _Pages:
    def __init__(self, root: Path) -> None:
        self._root = root

    def index(self, request: Request) -> Response:
        """The list, filtered by ``text`` and ``state``."""
        text, state = request.query_params.get("text", "")[:200], request.query_params.get("state", "")[:20]
        found = entries(self._root)
        shown = tuple(entry for entry in found if entry.matches(text, state))
        running = any(entry.state == "running" for entry in found)
        page = ListPage(
            name="Runs and studies",
            folder=str(self._root),
            entries=shown,
            total=len(found),
            text=text,
            state=state,
            refresh=REFRESH_SECONDS if running else 0,
            version=__version__,
        )
        return HTMLResponse(render_template("list.html", page, package="fedleak.serve"))

    def page(self, request: Request) -> Response:
        """A report in place."""
        path = self._inside(request.path_params["path"])
        if path is None or path.name not in PAGES or not path.is_file():
            return PlainTextResponse("there is no such page\n", status_code=404)
        try:
            return HTMLResponse(read_bytes(path, most=LARGEST_PAGE))
        except (OSError, ValueError) as error:
            return PlainTextResponse(f"the page cannot be read: {error}\n", status_code=500)

    def compare(self, request: Request) -> Response:
        """Two runs side by side, in pairs where they attack the same images."""
        names = request.query_params.getlist("run")
        if len(set(names)) != 2:
            return PlainTextResponse("choose two runs\n", status_code=400)
        folders = [self._inside(name) for name in names]
        runs = [folder for folder in folders if folder is not None and (folder / RESULTS_JSON).is_file()]
        if len(runs) != 2:
            return PlainTextResponse("there is no such finished run\n", status_code=404)
        try:
            return HTMLResponse(render_study(compare_runs(runs), self._root))
        except FedleakError as error:
            return PlainTextResponse(f"{error}\n", status_code=422)

    def _inside(self, name: str) -> Path | None:
        """The file or folder of that name below the served folder; None if it is elsewhere, also by links."""
        try:
            path = (self._root / name).resolve()
        except (OSError, ValueError, RuntimeError):  # a zero byte, a name that is too long, or a loop of links
            return None
        hidden = any(part.startswith(".") for part in Path(name).parts)
        return path if path.is_relative_to(self._root) and not hidden else None
