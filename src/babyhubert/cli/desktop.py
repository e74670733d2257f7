"""``babyhubert app``: the page for people who do not use a terminal."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def desktop(
    folder: Annotated[
        Path, typer.Option(help="Folder of your analyses: the list of runs, results, and dropped recordings.")
    ] = Path("~/BabyHuBERT"),
    install_shortcut: Annotated[
        bool,
        typer.Option("--install-shortcut", help="Put a starter for double-clicking on the desktop, and end."),
    ] = False,
    port: Annotated[
        int, typer.Option(help="Port on this machine. Default: a free one.", min=0, max=65535, show_default=False)
    ] = 0,
    browser: Annotated[bool, typer.Option("--browser/--no-browser", help="Open the page in the browser.")] = True,
) -> None:
    """Open a page in the browser: choose recordings, start, watch, and look at the results.

    The page is served to this machine alone, and shows the command that each analysis is equal to. Analyses go on when
    the page is closed, and end only when they are done or stopped.
    """
    from babyhubert.web.server import require_server, serve

    require_server("'babyhubert app'", "app")
    from babyhubert.desktop.pages import desktop_app
    from babyhubert.desktop.shortcut import install_shortcut as install
    from babyhubert.desktop.workspace import Workspace

    workspace = Workspace(folder)
    if install_shortcut:
        for path in install(workspace.folder):
            typer.echo(f"starter: {path}")
        return
    serve(desktop_app(workspace), port=port, browser=browser, show=typer.echo)
