"""Application behind the page of ``babyhubert app``: what it shows, and what its buttons do."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Mount, Route

from babyhubert.annotation.formats import WRITTEN
from babyhubert.desktop import commands
from babyhubert.desktop.folders import absolute, browse, inspect, keep_dropped
from babyhubert.desktop.models import SpeedTrials, offered
from babyhubert.desktop.overview import OPENED, overview
from babyhubert.desktop.preview import minutes_by_threshold, write_thresholds
from babyhubert.desktop.processes import Processes
from babyhubert.desktop.tools import ReviewServers, finish
from babyhubert.desktop.workspace import Analysis, Options, Workspace
from babyhubert.errors import BabyHubertError, ConfigError
from babyhubert.version import __version__
from babyhubert.web.content import error_as_json, file_below, html_page, look, packaged_files

PACKAGE = "babyhubert.desktop"
_REPORT_POLICY = (
    "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data: blob:; "
    "media-src data: blob:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""The report is one file with its scripts inside; it gets no connection to anything, this server included."""

BodyT = TypeVar("BodyT", bound=BaseModel)


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid")


class _Audio(_Body):
    audio: list[str] = Field(max_length=10_000)


class _New(_Body):
    name: str = Field(max_length=200)
    audio: list[str] = Field(max_length=10_000)
    options: Options


class _Thresholds(_Body):
    thresholds: dict[str, float] = Field(max_length=1000)


class _Format(_Body):
    format: str


class _Clips(_Body):
    number: int = Field(ge=1, le=1000)
    length_s: float = Field(ge=1, le=3600)


class _Annotator(_Body):
    annotator: str = Field(default="", max_length=100)


class Desk:
    """Actions of the buttons of the page, for one workspace.

    Args:
        workspace: The person's analyses.
    """

    def __init__(self, workspace: Workspace) -> None:
        self.workspace = workspace
        self.processes = Processes(workspace.folder / ".processes")
        self.trials = SpeedTrials()
        self.reviews = ReviewServers()

    def state(self) -> dict[str, Any]:
        """Everything that the page shows without being asked for more."""
        return {
            "version": __version__,
            "workspace": str(self.workspace.folder),
            "models": offered(),
            "formats": [{"name": each.name, "program": each.program} for each in WRITTEN.values()],
            "analyses": [overview(each, self.processes) for each in self.workspace.analyses()],
        }

    def one(self, name: str) -> dict[str, Any]:
        """Record of one analysis."""
        return overview(self.workspace.find(name), self.processes)

    def begin(self, new: _New) -> dict[str, Any]:
        """Start an analysis."""
        audio = absolute(new.audio)
        return self._run(self.workspace.add(new.name or audio[0].name, audio, new.options))

    def go_on(self, name: str) -> dict[str, Any]:
        """Continue an analysis that was stopped, or try failed recordings again."""
        return self._run(self.workspace.find(name))

    def stop(self, name: str) -> dict[str, Any]:
        """Stop an analysis; what is finished stays."""
        self.processes.stop(name, self.workspace.find(name).output)
        return self.one(name)

    def forget(self, name: str) -> dict[str, Any]:
        """Take an analysis off the list."""
        if self.processes.is_running(name, self.workspace.find(name).output):
            raise ConfigError(f"'{name}' is running: stop it first")
        self.workspace.remove(name)
        return {}

    def set_thresholds(self, name: str, thresholds: dict[str, float]) -> dict[str, Any]:
        """Decide anew with other thresholds; the stored scores are used, so that it takes seconds."""
        analysis = self.workspace.find(name)
        if self.processes.is_running(name, analysis.output):
            raise ConfigError(f"'{name}' is running: wait, or stop it first")
        path = write_thresholds(analysis.output, thresholds)
        options = analysis.options.model_copy(update={"thresholds": str(path)})
        return self._run(self.workspace.replace(name, options))

    def export(self, name: str, form: str) -> dict[str, Any]:
        """Write another program's format."""
        if form not in WRITTEN:
            raise ConfigError(f"{form}: no format that is written; known are {', '.join(WRITTEN)}")
        words = commands.export(self.workspace.find(name), form)
        return {"said": finish(words), "command": commands.as_typed(words)}

    def draw(self, name: str, clips: _Clips) -> dict[str, Any]:
        """Cut clips to check."""
        analysis = self.workspace.find(name)
        words = commands.sample(analysis, self._clips(analysis), clips.number, clips.length_s)
        return {"said": finish(words), "command": commands.as_typed(words)}

    def review(self, name: str, annotator: str) -> dict[str, Any]:
        """Open the page on which the clips are corrected."""
        return {"address": self.reviews.address(self._clips(self.workspace.find(name)), annotator.strip())}

    def correct(self, name: str, annotator: str) -> dict[str, Any]:
        """Read corrected clips back, and correct the totals by them."""
        analysis = self.workspace.find(name)
        words = commands.corrected_totals(analysis, self._clips(analysis), annotator.strip())
        said = [finish(each) for each in words]
        return {"said": said[-1], "command": "; ".join(map(commands.as_typed, words))}

    def _clips(self, analysis: Analysis) -> Path:
        return analysis.output / "clips"

    def _run(self, analysis: Analysis) -> dict[str, Any]:
        self.processes.start(analysis.name, commands.analyze(analysis), analysis.output)
        return overview(analysis, self.processes)


def desktop_app(workspace: Workspace) -> Starlette:
    """Application of the page; it belongs behind the guard of a local page."""
    desk = Desk(workspace)

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        yield
        await run_in_threadpool(desk.reviews.close)

    return Starlette(
        routes=[
            Route("/", lambda request: html_page(request, PACKAGE, "page.html")),
            Route("/look.css", look),
            Mount("/static", packaged_files(PACKAGE)),
            *_questions(desk),
            *_buttons(desk),
        ],
        exception_handlers={BabyHubertError: error_as_json},
        lifespan=lifespan,
    )


def _questions(desk: Desk) -> list[BaseRoute]:
    """Routes that change nothing."""

    async def state(_: Request) -> Response:
        return JSONResponse(await run_in_threadpool(desk.state))

    async def folder(request: Request) -> Response:
        return JSONResponse(await run_in_threadpool(browse, request.query_params.get("path", "")))

    async def speeds(request: Request) -> Response:
        model = request.query_params.get("model", "")
        return JSONResponse(await run_in_threadpool(desk.trials.times_real_time, model))

    async def preview(request: Request) -> Response:
        output = desk.workspace.find(_name(request)).output
        return JSONResponse(await run_in_threadpool(minutes_by_threshold, output))

    def result(request: Request) -> Response:
        output = desk.workspace.find(_name(request)).output
        path = str(request.path_params["path"])
        allowed = path in OPENED or (path.startswith("report/") and path.endswith(".html"))
        response = file_below(output, path if allowed else "", {".html", ".csv"})
        if path.endswith(".html"):
            response.headers["content-security-policy"] = _REPORT_POLICY
        else:
            response.headers["content-disposition"] = f'attachment; filename="{Path(path).name}"'
        return response

    return [
        Route("/api/state", state),
        Route("/api/folder", folder),
        Route("/api/speeds", speeds),
        Route("/api/analyses/{name}/preview", preview),
        Route("/results/{name}/{path:path}", result),
    ]


def _buttons(desk: Desk) -> list[BaseRoute]:
    """Routes that start, stop, write."""

    async def drop(request: Request) -> Response:
        batch, name = request.path_params["batch"], request.path_params["file"]
        path = await keep_dropped(desk.workspace, batch, name, request.stream())
        return JSONResponse({"path": str(path), "folder": str(path.parent)})

    def action(path: str, body: type[BodyT], act: Callable[[str, BodyT], dict[str, Any]]) -> Route:
        async def answer(request: Request) -> Response:
            given = _parse(body, await request.body())
            return JSONResponse(await run_in_threadpool(act, str(request.path_params.get("name", "")), given))

        return Route(path, answer, methods=["POST"])

    one = "/api/analyses/{name}"
    return [
        Route("/api/dropped/{batch}/{file}", drop, methods=["PUT"]),
        action("/api/inspect", _Audio, lambda _, given: inspect(given.audio, desk.workspace)),
        action("/api/analyses", _New, lambda _, given: desk.begin(given)),
        action(f"{one}/continue", _Body, lambda name, _: desk.go_on(name)),
        action(f"{one}/stop", _Body, lambda name, _: desk.stop(name)),
        action(f"{one}/forget", _Body, lambda name, _: desk.forget(name)),
        action(f"{one}/thresholds", _Thresholds, lambda name, given: desk.set_thresholds(name, given.thresholds)),
        action(f"{one}/export", _Format, lambda name, given: desk.export(name, given.format)),
        action(f"{one}/clips", _Clips, desk.draw),
        action(f"{one}/estimate", _Annotator, lambda name, given: desk.correct(name, given.annotator)),
        action(f"{one}/review", _Annotator, lambda name, given: desk.review(name, given.annotator)),
    ]


def _name(request: Request) -> str:
    return str(request.path_params["name"])


def _parse(body: type[BodyT], content: bytes) -> BodyT:
    """Body of a request, checked.

    Raises:
        ConfigError: it is not as it should be; the first fault is named.
    """
    try:
        return body.model_validate_json(content or b"{}")
    except ValidationError as error:
        fault = error.errors(include_url=False, include_context=False)[0]
        where = ".".join(map(str, fault["loc"])) or "the request"
        raise ConfigError(f"{where}: {fault['msg']}") from None
