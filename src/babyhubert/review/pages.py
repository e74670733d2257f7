"""Application behind the review page: the list of clips, one clip, its sound, and its changes."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import quote

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Mount, Route

from babyhubert.annotation.columns import NOTE, UNSURE, Column
from babyhubert.annotation.segments import VOICE_TYPES
from babyhubert.errors import AnnotationError, BabyHubertError
from babyhubert.exchange.clips import DONE, UNFINISHED
from babyhubert.review.document import Document, ReviewSegment
from babyhubert.review.peaks import peaks_of
from babyhubert.review.store import DAMAGED, ChangedElsewhereError, ClipStore, OpenedClip
from babyhubert.web.content import error_as_json, file_below, html_page, look, packaged_files

PACKAGE = "babyhubert.review"
_MOST_SEGMENTS = 100_000


class _Segment(BaseModel):
    """A segment as the page sends it."""

    model_config = ConfigDict(extra="forbid", strict=True)

    start: int
    end: int
    label: str
    tier: str = ""
    text: str = ""
    values: dict[str, str] = Field(default_factory=dict)


class _Change(BaseModel):
    """A clip as the page sends it, made from a version of its file."""

    model_config = ConfigDict(extra="forbid", strict=True)

    version: str
    done: bool
    note: str = Field(max_length=10_000)
    segments: list[_Segment] = Field(max_length=_MOST_SEGMENTS)


def review_app(store: ClipStore) -> Starlette:
    """Application that shows and stores the clips of a folder; it belongs behind the guard of a local page."""

    def page(request: Request) -> Response:
        return html_page(request, PACKAGE, "page.html", first=quote(store.first_open()))  # its waveform is preloaded

    return Starlette(
        routes=[Route("/", page), *_clip_routes(store), *shared()],
        exception_handlers={ChangedElsewhereError: _conflict, BabyHubertError: error_as_json},
    )


def shared() -> list[BaseRoute]:
    """Routes to the style and the scripts of the pages of this package."""
    return [Route("/look.css", look), Mount("/static", packaged_files(PACKAGE))]


def _clip_routes(store: ClipStore) -> list[BaseRoute]:
    def clips(request: Request) -> Response:
        first = store.first_open()
        return JSONResponse(
            {
                "folder": store.folder.resolve().name,
                "annotator": store.annotator,
                "clips": store.names,
                "first": first,
                "opened": None if store.state(first) == DAMAGED else _clip_record(store.open(first)),
                "columns": [_column_record(column) for column in _button_columns(store.columns)],
            }
        )

    def states(request: Request) -> Response:
        return JSONResponse({name: store.state(name) for name in store.names})

    def one(request: Request) -> Response:
        return JSONResponse(_clip_record(store.open(_name(request))))

    def version(request: Request) -> Response:
        return JSONResponse({"version": store.version(_name(request))})

    def sound(request: Request) -> Response:
        path = store.sound(_name(request))
        return file_below(store.folder, path.relative_to(store.folder).as_posix(), {".wav"})

    def peaks(request: Request) -> Response:
        return Response(peaks_of(store.sound(_name(request))), media_type="application/octet-stream")

    async def change(request: Request) -> Response:
        body = await request.body()
        new = await run_in_threadpool(_store_change, store, _name(request), body)
        return JSONResponse({"version": new})

    return [
        Route("/api/clips", clips),
        Route("/api/states", states),
        Route("/api/clip/{name:path}", one, methods=["GET"]),
        Route("/api/clip/{name:path}", change, methods=["PUT"]),
        Route("/api/version/{name:path}", version),
        Route("/peaks/{name:path}", peaks),
        Route("/sound/{name:path}", sound),
    ]


def _name(request: Request) -> str:
    return str(request.path_params["name"])


def _store_change(store: ClipStore, name: str, body: bytes) -> str:
    try:
        change = _Change.model_validate_json(body)
    except ValidationError as error:
        fault = error.errors(include_url=False, include_context=False)[0]
        where = ".".join(map(str, fault["loc"]))
        raise AnnotationError(f"{name}: the page sent a change that cannot be ({where}: {fault['msg']})") from None
    segments = tuple(
        ReviewSegment(
            one.start,
            one.end,
            one.label,
            one.tier,
            one.text,
            {column: value for column, value in one.values.items() if value.strip()},
        )
        for one in change.segments
    )
    return store.write(name, Document(segments, DONE if change.done else UNFINISHED, change.note), change.version)


async def _conflict(request: Request, error: Exception) -> JSONResponse:
    return JSONResponse({"error": str(error)}, status_code=409)


def _button_columns(columns: tuple[Column, ...]) -> list[Column]:
    """Columns whose classes are few and known, which become buttons."""
    return [column for column in columns if column.classes and column not in (UNSURE, NOTE)]


def _column_record(column: Column) -> dict[str, Any]:
    return {
        "name": column.name,
        "classes": list(column.classes),
        "voices": list(column.voices or VOICE_TYPES),
    }


def _clip_record(opened: OpenedClip) -> dict[str, Any]:
    return {
        "name": opened.clip.name,
        "recording": opened.clip.recording_id,
        "onset": opened.clip.onset,
        "stretch": list(opened.stretch),
        "length": opened.length_ms,
        "voices": list(opened.voices),
        "version": opened.version,
        "done": opened.document.is_done,
        "note": opened.document.note,
        "readOnly": opened.read_only,
        "notice": opened.notice,
        "segments": [vars(one) | {"values": dict(one.values)} for one in opened.document.segments],
    }


def clips_folder(folder: Path) -> bool:
    """True for a folder that holds clips, false for the output folder of a run."""
    from babyhubert.exchange.clips import CLIPS_TABLE

    return (folder / CLIPS_TABLE).is_file()
