"""The server of local pages, asked over a socket as a browser, a foreign page and another program would."""

from __future__ import annotations

import http.client
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

pytest.importorskip("starlette", reason="needs the extra review")
pytest.importorskip("uvicorn", reason="needs the extra review")

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from babyhubert.errors import BabyHubertError, ConfigError, OutputError
from babyhubert.web.content import error_as_json, file_below, html_page, look
from babyhubert.web.server import running

WAVE = bytes(range(256)) * 40


@dataclass
class Client:
    port: int
    token: str

    @property
    def own(self) -> dict[str, str]:
        return {"Host": f"127.0.0.1:{self.port}", "Cookie": f"babyhubert-{self.port}={self.token}"}

    def ask(self, path: str, headers: dict[str, str | None] | None = None, method: str = "GET", body: bytes = b""):
        """Status, headers and body; the person's own headers unless others are given."""
        sent = {name: value for name, value in (self.own | (headers or {})).items() if value is not None}
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
        for name, value in (sent | {"Content-Length": str(len(body))}).items():
            connection.putheader(name, value)
        connection.endheaders(body)
        answer = connection.getresponse()
        result = answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read()
        connection.close()
        return result


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("web")
    (root / "secret.wav").write_bytes(b"secret")
    clips = root / "clips"
    (clips / "sub").mkdir(parents=True)
    (clips / "sub" / "a b.wav").write_bytes(WAVE)
    (clips / "sub" / "a b.eaf").write_bytes(b"<x/>")
    (clips / "link.wav").symlink_to(root / "secret.wav")
    (clips / "out").symlink_to(root)
    return clips


@pytest.fixture(scope="module")
def client(folder) -> Iterator[Client]:
    async def change(request: Request) -> Response:
        return JSONResponse(await request.json())

    def fail(request: Request) -> Response:
        raise ConfigError("a value: one line")

    app = Starlette(
        routes=[
            Route("/", lambda request: Response("the page")),
            Route("/report", lambda request: html_page(request, "babyhubert.report", "page.html")),
            Route("/look.css", look),
            Route("/sound/{name:path}", lambda request: file_below(folder, request.path_params["name"], {".wav"})),
            Route("/change", change, methods=["POST"]),
            Route("/fail", fail),
        ],
        exception_handlers={BabyHubertError: error_as_json},
    )
    with running(app) as address:
        parts = urlsplit(address)
        yield Client(parts.port, parse_qs(parts.query)["token"][0])


def test_the_address_gives_a_cookie_and_leads_to_the_page(client):
    status, headers, body = client.ask(f"/?token={client.token}", {"Cookie": None, "Sec-Fetch-Site": "cross-site"})
    assert status == 200
    assert headers["set-cookie"] == f"babyhubert-{client.port}={client.token}; Path=/; HttpOnly; SameSite=Strict"
    assert b'content="0;url=/"' in body
    assert client.ask("/")[2] == b"the page"


def test_an_entry_leads_nowhere_else(client):
    for path in ("//evil.example", "/%2f%2fevil", '/"><script>'):
        status, _, body = client.ask(f"{path.replace(chr(34), '%22')}?token={client.token}")
        assert status == 200
        target = re.search(rb'url=([^"]*)"', body)[1]
        assert re.fullmatch(rb"/[0-9a-z]*", target), target


@pytest.mark.parametrize(
    "headers",
    [
        {"Cookie": None},
        {"Cookie": "babyhubert-1=x"},
        {"Cookie": "babyhubert-{port}="},
        {"Cookie": "babyhubert-{port}={token}x"},
        {"Cookie": "a{{b; babyhubert-{port}=é"},
        {"Host": "evil.example"},
        {"Host": "evil.example:{port}"},
        {"Host": "127.0.0.1"},
        {"Host": "127.0.0.1.evil.example:{port}"},
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1:1"},
        {"Origin": "https://127.0.0.1:{port}"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ],
)
@pytest.mark.parametrize("path", ["/", "/sound/sub/a%20b.wav", "/nothing"])
def test_others_get_nothing(client, headers, path):
    foreign = {
        name: value.format(port=client.port, token=client.token) if value else value for name, value in headers.items()
    }
    status, answered, body = client.ask(path, foreign)
    assert status == 403
    assert "set-cookie" not in answered
    assert b"the page" not in body
    assert WAVE not in body


def test_a_wrong_token_in_the_address_gets_nothing(client):
    for query in ("token=x", f"token={client.token}&token={client.token}", f"token={client.token}x", "token="):
        status, headers, _ = client.ask(f"/?{query}", {"Cookie": None})
        assert status == 403
        assert "set-cookie" not in headers


def test_two_hosts_are_refused(client):
    with socket.create_connection(("127.0.0.1", client.port)) as plain:
        lines = ["GET / HTTP/1.1", f"Host: 127.0.0.1:{client.port}", "Host: evil.example", "Connection: close"]
        plain.sendall(("\r\n".join([*lines, f"Cookie: {client.own['Cookie']}"]) + "\r\n\r\n").encode())
        status = plain.recv(65536).split(b"\r\n", 1)[0]
    assert re.search(rb" 40[03] ", status)


def test_changes_need_the_own_origin(client):
    own = f"http://127.0.0.1:{client.port}"
    assert client.ask("/change", {"Origin": own}, "POST", b'{"a": 1}')[2] == b'{"a":1}'
    assert client.ask("/change", {}, "POST", b"{}")[0] == 403
    assert client.ask("/change", {"Origin": "http://evil.example"}, "POST", b"{}")[0] == 403


def test_sounds_come_whole_and_by_ranges(client):
    status, headers, body = client.ask("/sound/sub/a%20b.wav")
    assert (status, body, headers["content-type"]) == (200, WAVE, "audio/x-wav")
    assert headers["accept-ranges"] == "bytes"
    status, headers, body = client.ask("/sound/sub/a%20b.wav", {"Range": "bytes=100-199"})
    assert (status, body) == (206, WAVE[100:200])
    assert headers["content-range"] == f"bytes 100-199/{len(WAVE)}"
    assert client.ask("/sound/sub/a%20b.wav", {"Range": f"bytes={len(WAVE)}-"})[0] == 416


@pytest.mark.parametrize(
    "name",
    [
        *(
            "../secret.wav",
            "..%2fsecret.wav",
            "%2e%2e/secret.wav",
            "sub/../../secret.wav",
            "sub%2f..%2f..%2fsecret.wav",
        ),
        *(
            "..%5csecret.wav",
            "%2fetc%2fpasswd",
            "/etc/passwd",
            "link.wav",
            "out/secret.wav",
            "sub/a%20b.eaf",
            "sub",
            "",
        ),
        *("sub/a%20b.wav%00", "C:%5csecret.wav", "none.wav"),
    ],
)
def test_nothing_outside_the_folder_is_served(client, name):
    status, _, body = client.ask(f"/sound/{name}")
    assert status == 404
    assert b"secret" not in body


def test_pages_may_load_nothing_foreign(client):
    _, headers, body = client.ask("/report")
    policy = dict(part.strip().split(" ", 1) for part in headers["content-security-policy"].split(";"))
    assert policy["default-src"] == "'self'"
    assert "http" not in headers["content-security-policy"]
    assert policy["frame-ancestors"] == "'none'"
    assert headers["cache-control"] == "no-store"
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"
    assert b"{nonce}" not in body
    assert client.ask("/report")[1]["content-security-policy"] != headers["content-security-policy"]


def test_errors_are_one_line_of_json(client):
    assert client.ask("/fail")[0::2] == (400, b'{"error":"a value: one line"}')


def test_the_shared_style_is_served(client):
    status, headers, body = client.ask("/look.css")
    assert (status, headers["content-type"]) == (200, "text/css; charset=utf-8")
    assert b"--KCHI" in body


def test_it_is_bound_to_this_machine_alone(client):
    addresses = {info[4][0] for info in socket.getaddrinfo(socket.gethostname(), client.port, socket.AF_INET)}
    for address in addresses - {"127.0.0.1", "127.0.1.1"}:
        with pytest.raises(OSError, match=r"refused|timed out"):
            socket.create_connection((address, client.port), timeout=2)


def test_a_taken_port_is_one_clear_line(client):
    with pytest.raises(OutputError, match=f"--port {client.port}: cannot be used"), running(Starlette(), client.port):
        pass
    with pytest.raises(ConfigError, match="--port 70000"), running(Starlette(), 70000):
        pass


PROGRAM = """
from starlette.applications import Starlette
from babyhubert.cli.interrupts import interrupts_end_in_order
from babyhubert.web.server import serve
with interrupts_end_in_order():
    serve(Starlette(), browser=False, show=lambda line: print(line, flush=True))
"""


@pytest.mark.skipif(os.name != "posix", reason="signals of POSIX")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_in_good_order(number):
    with subprocess.Popen(
        [sys.executable, "-c", PROGRAM], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        address = urlsplit(process.stdout.readline().strip())
        with socket.create_connection(("127.0.0.1", address.port)):  # an open connection does not hold it up
            process.stdout.readline()
            began = time.monotonic()
            process.send_signal(number)
            out, err = process.communicate(timeout=20)
    assert (process.returncode, out.strip(), err) == (0, "stopped; everything is stored", "")
    assert time.monotonic() - began < 15
