"""Content of local pages: files of the package, sounds below one folder, errors as JSON."""

from __future__ import annotations

import os
from collections.abc import Collection
from importlib import resources
from pathlib import Path

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, JSONResponse, Response
from starlette.staticfiles import StaticFiles

from babyhubert.errors import BabyHubertError, UnsafeNameError
from babyhubert.files import path_below
from babyhubert.web.guard import NONCE

LOOK = ("babyhubert.report", "look.css")
"""Package and name of the style that all pages share with the report: colours, type, buttons."""


def packaged_files(package: str) -> StaticFiles:
    """Application that serves the folder ``static`` of a package, to be mounted at a path."""
    return StaticFiles(packages=[(package, "static")])


async def look(request: Request) -> Response:
    """Serve the shared style."""
    return Response(_text(*LOOK), media_type="text/css")


def html_page(request: Request, package: str, name: str, **values: str) -> HTMLResponse:
    """Respond with an HTML file of a package.

    Args:
        request: The request.
        package: Package of the file.
        name: Its name there.
        values: Texts in place of their names in braces, as they may stand in an attribute; ``{nonce}`` becomes the
            nonce that the policy allows.
    """
    page = _text(package, name)
    for key, value in (values | {"nonce": str(request.scope[NONCE])}).items():
        page = page.replace(f"{{{key}}}", value)
    return HTMLResponse(page)


class _LargeFile(FileResponse):
    """File that is sent in few pieces, since each costs a change of threads."""

    chunk_size = 1 << 20


def file_below(folder: Path, name: str, suffixes: Collection[str]) -> FileResponse:
    """Respond with a file below a folder, whole or by ranges.

    Args:
        folder: The folder; nothing outside it is served, whatever the name or symbolic links say.
        name: Path below it, with forward slashes.
        suffixes: Ends of the names that may be served, lower case.

    Raises:
        HTTPException: 404, whatever the reason.
    """
    try:
        path = path_below(folder, name)
    except UnsafeNameError:
        raise HTTPException(404) from None
    inside = Path(os.path.realpath(path)).is_relative_to(os.path.realpath(folder))
    if not inside or path.suffix.lower() not in suffixes or not path.is_file():
        raise HTTPException(404)
    return _LargeFile(path)


async def error_as_json(request: Request, error: Exception) -> JSONResponse:
    """Respond to this package's errors with their sentence; register it for :class:`BabyHubertError`."""
    return JSONResponse({"error": str(error)}, status_code=400 if isinstance(error, BabyHubertError) else 500)


def _text(package: str, name: str) -> str:
    return resources.files(package).joinpath(name).read_text(encoding="utf-8")
