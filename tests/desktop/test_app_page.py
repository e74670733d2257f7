"""`babyhubert app` as a person uses it: in Chromium, from a folder with a broken file to the report."""

from __future__ import annotations

import time

import pytest

pytest.importorskip("starlette", reason="needs the extra app")
pytest.importorskip("uvicorn", reason="needs the extra app")

from commands import write_small_model, write_sounds
from pages import Served, needs_chromium

pytestmark = needs_chromium
WAIT_MS = 120_000


@pytest.fixture(scope="module")
def recordings(tmp_path_factory):
    folder = write_sounds(tmp_path_factory.mktemp("days") / "my recordings", ["day1.wav", "sub/day2.wav"], seconds=20)
    (folder / "broken.wav").write_bytes(bytes(range(256)) * 20)
    return folder


def opened(chromium, served, requests):
    page = chromium.new_context(viewport={"width": 1000, "height": 900}).new_page()
    page.on("request", lambda request: requests.append(request.url))
    page.on("pageerror", lambda error: pytest.fail(str(error)))
    page.goto(served.address)
    page.wait_for_selector("#model option", state="attached")
    return page


def begin(page, recordings, model):
    page.click("#choose")
    page.fill("#path", str(recordings))
    page.press("#path", "Enter")
    page.get_by_text("2 recordings directly inside").wait_for()
    page.click("#take")
    page.get_by_text("2 recordings, 1 min").or_(page.get_by_text("2 recordings, 0.7 min")).wait_for(timeout=WAIT_MS)
    assert "1 recording cannot be read" in page.inner_text("#found summary")
    page.select_option("#model", "other")
    page.fill("#other-model", str(model))
    page.check("input[value=fast]")
    page.click("#start")
    page.wait_for_selector("article")


def test_from_a_folder_to_the_report_with_the_server_killed_between(chromium, recordings, tmp_path):
    model, requests = write_small_model(tmp_path / "model"), []
    served = Served("app", "--folder", tmp_path / "analyses")
    begin(opened(chromium, served, requests), recordings, model)
    served.kill()

    again = Served("app", "--folder", tmp_path / "analyses")
    page = opened(chromium, again, requests)
    page.wait_for_selector('article .state[data-state="failed"]', timeout=WAIT_MS)
    assert "2 recordings done, 1 failed, 0 left" in page.inner_text("article .how")
    page.click(".problems summary")
    assert "broken" in page.inner_text(".problems ul")
    page.click(".command > summary")
    line = page.inner_text(".command code")
    assert line.startswith("babyhubert analyze '")
    assert line.endswith(f"--speed fast --model {model}")
    with page.expect_popup() as popup:
        page.get_by_role("link", name="Report").click()
    popup.value.get_by_role("heading", name="Recordings", exact=True).wait_for()
    assert "day2" in popup.value.inner_text("body")
    page.click(".elsewhere > summary")
    page.get_by_role("button", name="Praat (textgrid)").click()
    page.get_by_text("export").first.wait_for()
    textgrids = tmp_path / "analyses" / "results" / "my recordings" / "textgrid"
    for _ in range(100):
        if (textgrids / "sub" / "day2.TextGrid").is_file():
            break
        time.sleep(0.1)
    assert (textgrids / "day1.TextGrid").is_file()
    again.kill()
    own = {url.split("/", 3)[2].split(":")[0] for url in requests if url.startswith("http")}
    assert own == {"127.0.0.1"}


def test_thresholds_are_changed_with_the_stored_scores(chromium, recordings, tmp_path):
    served = Served("app", "--folder", tmp_path / "analyses")
    page = opened(chromium, served, [])
    begin(page, recordings, write_small_model(tmp_path / "model"))
    page.wait_for_selector('article .state[data-state="failed"]', timeout=WAIT_MS)
    minutes = page.inner_text(".minutes")
    page.click(".thresholds > summary")
    page.wait_for_selector(".sliders input")
    page.locator(".sliders input").first.fill("1")
    assert "1.00: about 0.0 min" in page.locator(".sliders output").first.inner_text()
    page.click(".apply")
    page.locator(".minutes div").filter(has_text="key child0.0 min").wait_for(timeout=WAIT_MS)
    page.wait_for_selector('article .state[data-state="failed"]', timeout=WAIT_MS)
    assert page.inner_text(".minutes") != minutes
    assert (
        "thresholds-of-the-page.toml" in page.inner_text(".command code") or page.click(".command > summary") is None
    )
    served.kill()


def test_dropped_files_are_analysed_from_the_folder_of_analyses(chromium, recordings, tmp_path):
    served = Served("app", "--folder", tmp_path / "analyses")
    page = opened(chromium, served, [])
    page.set_input_files("#files", [recordings / "day1.wav", recordings / "sub" / "day2.wav"])
    page.get_by_text("2 recordings, 0.7 min").or_(page.get_by_text("2 recordings, 1 min")).wait_for(timeout=WAIT_MS)
    kept = sorted((tmp_path / "analyses" / "dropped").rglob("*.wav"))
    assert [path.name for path in kept] == ["day1.wav", "day2.wav"]
    assert kept[0].read_bytes() == (recordings / "day1.wav").read_bytes()
    served.kill()
