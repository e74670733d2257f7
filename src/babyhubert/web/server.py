"""Server of a local page: bound to 127.0.0.1, guarded by a token, stopped by Ctrl-C.

``uvicorn`` runs in a thread, so that this package keeps the signals: the first Ctrl-C ends the server in good order.
"""

from __future__ import annotations

import secrets
import signal
import socket
import threading
import webbrowser
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import TYPE_CHECKING

from babyhubert.errors import ConfigError, MissingExtraError, OutputError
from babyhubert.web.guard import App, Guard

if TYPE_CHECKING:
    import uvicorn

HOST = "127.0.0.1"
_START_S = 30.0
_STOP_S = 3
_POLL_S = 0.2


def require_server(feature: str, extra: str) -> None:
    """Raise if the libraries of the server are not installed; call it before anything is read or written.

    Args:
        feature: What needs them, for the message.
        extra: Extra of this package that installs them.

    Raises:
        MissingExtraError: they are missing.
    """
    try:
        import starlette  # noqa: F401
        import uvicorn  # noqa: F401
    except ImportError:
        raise MissingExtraError(feature, extra) from None


@contextmanager
def running(app: App, port: int = 0) -> Iterator[str]:
    """Run an application behind :class:`babyhubert.web.guard.Guard` while the block runs.

    Args:
        app: An ASGI application, such as Starlette's.
        port: Port on 127.0.0.1; 0 takes a free one.

    Yields:
        The address with the token.

    Raises:
        OutputError: the port is taken, or the server does not start.
    """
    import uvicorn

    listener = _listener(port)
    port = listener.getsockname()[1]
    token = secrets.token_urlsafe(24)
    config = uvicorn.Config(
        Guard(app, port, token),
        log_level="error",
        access_log=False,
        server_header=False,
        proxy_headers=False,
        ws="none",
        timeout_graceful_shutdown=_STOP_S,
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, name="babyhubert-web", daemon=True)
    thread.start()
    try:
        _wait_for_start(server, thread)
        yield f"http://{HOST}:{port}/?token={token}"
    finally:
        server.should_exit = True
        thread.join(_STOP_S + 2)
        with suppress(OSError):
            listener.close()


def serve(app: App, *, port: int = 0, browser: bool = True, show: Callable[[str], None]) -> None:
    """Serve a page until Ctrl-C, SIGTERM or SIGHUP.

    Args:
        app: An ASGI application.
        port: Port on 127.0.0.1; 0 takes a free one.
        browser: Open the address in the browser.
        show: Prints a line for the user.

    Raises:
        OutputError: see :func:`running`.
    """
    with _stop_signals() as stop, running(app, port) as address:
        show(f"{address}")
        show("open this address in a browser on this machine; Ctrl-C here ends it")
        if browser and not _open(address):
            show("no browser could be opened")
        while not stop.wait(_POLL_S):  # a wait without limit cannot be interrupted on Windows
            pass
    show("stopped; everything is stored")


def _open(address: str) -> bool:
    with suppress(webbrowser.Error, OSError):
        return webbrowser.open(address)
    return False


@contextmanager
def _stop_signals() -> Iterator[threading.Event]:
    """An event that the first signal to stop sets; the handlers of before act on the second."""
    stop = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return
    numbers = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]
    before = {number: signal.getsignal(number) for number in numbers}

    def ask(number: int, frame: FrameType | None) -> None:
        stop.set()
        signal.signal(number, before[number])

    for number in numbers:
        signal.signal(number, ask)
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _listener(port: int) -> socket.socket:
    if not 0 <= port <= 65535:
        raise ConfigError(f"--port {port}: 0 to 65535")
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1) if _REUSE else None
        listener.bind((HOST, port))
    except OSError as error:
        listener.close()
        raise OutputError(
            f"--port {port}: cannot be used ({error.strerror or error}); choose another, or leave it out"
        ) from error
    return listener


_REUSE = hasattr(signal, "SIGHUP")
"""On Windows the option would let two servers share a port."""


def _wait_for_start(server: uvicorn.Server, thread: threading.Thread) -> None:
    waited = threading.Event()
    left = _START_S
    while not server.started:
        if not thread.is_alive() or left <= 0:
            raise OutputError(f"the server of the page did not start on {HOST}; try again with another --port")
        waited.wait(0.01)
        left -= 0.01
