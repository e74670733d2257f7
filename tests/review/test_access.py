"""Who gets anything of a served folder: the person with the address alone; and whom the page serves: everybody."""

from __future__ import annotations

import os
import urllib.error
import urllib.request

import pytest

pytest.importorskip("starlette", reason="needs the extra review")
pytest.importorskip("uvicorn", reason="needs the extra review")

from babyhubert.review.store import ClipStore
from pages import Served, needs_chromium

pytestmark = needs_chromium


def test_a_foreign_page_in_the_same_browser_gets_nothing(chromium, clips):
    with Served("review", clips) as served:
        context = chromium.new_context()
        own = context.new_page()
        own.goto(served.address)  # the browser holds the cookie
        own.wait_for_selector("body[data-opened]")
        base = served.address.partition("/?")[0]
        sound = f"{base}/sound/{ClipStore(clips).names[0].replace(' ', '%20')}"
        foreign = context.new_page()
        foreign.route("http://evil.example/**", lambda route: route.fulfill(body="<p>evil", content_type="text/html"))
        foreign.goto("http://evil.example/")
        for address in (f"{base}/api/clips", sound):
            assert foreign.evaluate(
                """async (url) => {
                    const [cookies, mode] = [{credentials: "include"}, {mode: "no-cors"}];
                    const tries = [fetch(url, cookies), fetch(url, {...cookies, ...mode})];
                    const [cors, opaque] = await Promise.allSettled(tries);
                    const audio = new Audio(url);
                    const played = await new Promise((done) => {
                        audio.oncanplay = () => done(true);
                        audio.onerror = () => done(false);
                    });
                    return [cors.status, opaque.status === "fulfilled" ? opaque.value.type : "rejected", played];
                }""",
                address,
            )[0::2] == ["rejected", False]
        frame = foreign.evaluate(
            """(url) => new Promise((done) => {
                const frame = document.createElement("iframe");
                frame.onload = () => done(frame.contentDocument ? "read" : "closed");
                frame.src = url;
                document.body.append(frame);
            })""",
            base,
        )
        assert frame == "closed"
        context.close()


def test_nobody_else_gets_anything_of_a_served_folder(clips):
    (clips.parent / "secret.wav").write_bytes(b"secret")
    with Served("review", clips) as served:
        base, _, token = served.address.partition("/?token=")
        host = base.removeprefix("http://")
        cookie = f"babyhubert-{host.rpartition(':')[2]}={token}"
        good = {"Cookie": cookie}
        assert status(f"{base}/api/clips", good) == 200
        for headers in (
            {},
            {"Cookie": cookie + "x"},
            good | {"Host": "evil.example"},
            good | {"Origin": "http://evil"},
        ):
            for path in ("/", "/api/clips", "/api/states", "/static/clips.js"):
                assert status(base + path, headers) == 403, (headers, path)
        for path in (
            "/sound/..%2fsecret.wav",
            "/sound/../secret.wav",
            "/api/clip/..%2f..%2fsecret.wav",
            "/peaks/%2e%2e/x",
        ):
            assert status(base + path, good) in (400, 404), path
        for path in ("/static/../pages.py", "/static/..%2fpages.py", "/static/%2e%2e/store.py"):
            assert status(base + path, good) == 404, path


def status(address: str, headers: dict[str, str]) -> int:
    try:
        with urllib.request.urlopen(urllib.request.Request(address, headers=headers), timeout=10) as response:
            return response.status
    except urllib.error.HTTPError as error:
        return error.code


AXE = os.environ.get("BABYHUBERT_AXE")


@pytest.mark.skipif(not AXE, reason="set BABYHUBERT_AXE to axe.min.js of the npm package axe-core")
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_no_violation(chromium, clips, scheme):
    for options in ((clips,), (clips.parent / "out", "--quick")):
        with Served("review", *options) as served:
            page = chromium.new_context(color_scheme=scheme).new_page()
            page.add_init_script(path=AXE)
            page.goto(served.address)
            page.wait_for_selector("body[data-opened], body[data-shown]")
            page.keyboard.press("j")
            for key in ("Escape", "?"):
                page.keyboard.press(key)
                found = page.evaluate("() => axe.run(document)")
                assert [(one["id"], [node["target"] for node in one["nodes"]]) for one in found["violations"]] == []
            page.context.close()
