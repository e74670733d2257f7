"""Application behind the quick page: one segment after the other, right, wrong, or which voice?"""

from __future__ import annotations

import io
import wave
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from babyhubert.annotation.segments import VOICE_TYPES
from babyhubert.audio.pcm import to_pcm16
from babyhubert.errors import AnnotationError, BabyHubertError
from babyhubert.review.answers import Answers, key_of
from babyhubert.review.pages import PACKAGE, shared
from babyhubert.review.segments_to_ask import DrawnSegments, SegmentToAsk, sound_around
from babyhubert.timebase import SAMPLE_RATE
from babyhubert.web.content import error_as_json, html_page

AROUND_MS = 1000
"""Sound before and after a segment."""


class _Answer(BaseModel):
    """An answer as the page sends it."""

    model_config = ConfigDict(extra="forbid", strict=True)

    answer: str


def quick_app(drawn: DrawnSegments, answers: Answers) -> Starlette:
    """Application that asks about segments and stores the answers; it belongs behind the guard of a local page."""

    def segments(request: Request) -> Response:
        said = answers.all()
        rows = [_record(one) | {"answer": said.get(key_of(one), "")} for one in drawn.segments]
        return JSONResponse({"annotator": answers.annotator, "voices": list(VOICE_TYPES), "segments": rows})

    def sound(request: Request) -> Response:
        one = _segment(drawn, request)
        samples, before = sound_around(drawn.sounds[one.recording_id], one.start, one.end, AROUND_MS)
        file = io.BytesIO()
        with wave.open(file, "wb") as out:
            out.setparams((1, 2, SAMPLE_RATE, 0, "NONE", ""))
            out.writeframes(to_pcm16(samples).tobytes())
        return Response(file.getvalue(), media_type="audio/x-wav", headers={"X-Before-Ms": str(before)})

    async def answer(request: Request) -> Response:
        try:
            given = _Answer.model_validate_json(await request.body())
        except ValidationError:
            raise AnnotationError("the page sent no answer") from None
        await run_in_threadpool(answers.store, _segment(drawn, request), given.answer)
        return JSONResponse({})

    return Starlette(
        routes=[
            Route("/", lambda request: html_page(request, PACKAGE, "quick.html")),
            Route("/api/segments", segments),
            Route("/api/answer/{number:int}", answer, methods=["PUT"]),
            Route("/sound/{number:int}", sound),
            *shared(),
        ],
        exception_handlers={BabyHubertError: error_as_json},
    )


def _segment(drawn: DrawnSegments, request: Request) -> SegmentToAsk:
    number = request.path_params["number"]
    if number >= len(drawn.segments):
        raise AnnotationError(f"there is no segment {number}")
    return drawn.segments[number]


def _record(one: SegmentToAsk) -> dict[str, Any]:
    """A segment without its score, which people should not see before they answer."""
    return {"recording": one.recording_id, "start": one.start, "end": one.end, "label": one.label}
