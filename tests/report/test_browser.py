"""The page in a real browser, used as a person does."""

from __future__ import annotations

import numpy as np
import pytest
from results_folders import random_rows, write_addressees, write_phonemes, write_run

from commands import command
from pages import needs_chromium, wait

pytestmark = needs_chromium

HOURS = 4 * 3600e3
"""Length of the first recording, in ms."""
TIMELINE = "document.querySelector('#recording section').timeline"
COLOURS = f"""(() => {{
    const {{ canvas }} = {TIMELINE};
    const {{ data }} = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
    return new Set(new Uint32Array(data.buffer)).size;
}})()"""


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    out = tmp_path_factory.mktemp("browser") / "out"
    rows = random_rows(np.random.default_rng(0), 5000, 4 * 3600)
    names = ("a/<b>day</b>", "short", "silent & long")
    recordings = {names[0]: rows, names[1]: [(0, 16000, "KCHI")], names[2]: []}
    seconds = dict(zip(names, (4 * 3600, 60, 5 * 3600), strict=True))
    write_run(out, recordings, seconds, failures=[("/x", "<b>no</b>")])
    write_addressees(out, {names[0]: [(*row, "KCDS") for row in rows if row[2] in ("MAL", "FEM")]})
    write_phonemes(out, "short", [(0, 16000, "b a <b>")])
    assert command("report", out).code == 0
    return out / "report.html"


@pytest.fixture(params=[1000, 500])
def page(chromium, report, request):
    context = chromium.new_context(viewport={"width": request.param, "height": 900})
    opened = context.new_page()
    problems: list[str] = []
    opened.on("console", lambda message: problems.append(message.text))
    opened.on("pageerror", lambda error: problems.append(str(error)))
    opened.goto(report.as_uri())
    wait(opened, f"{TIMELINE}.aggregated !== undefined")  # painted once
    yield opened
    context.close()
    assert problems == []


def test_the_timeline_follows_keys_and_the_wheel(page):
    lanes = page.evaluate(f"Object.values({TIMELINE}.lanes).map((lane) => lane.start.length)")
    assert sum(lanes) == 5000
    assert page.evaluate(f"{TIMELINE}.aggregated") is True
    assert page.evaluate(COLOURS) > 5
    canvas = page.get_by_role("img", name="Timeline with a lane")
    canvas.focus()
    for _ in range(12):
        page.keyboard.press("+")
    wait(page, f"{TIMELINE}.aggregated === false")
    assert page.evaluate(f"{TIMELINE}.span") == pytest.approx(HOURS / 2**12)
    before = page.evaluate(f"{TIMELINE}.from")
    page.keyboard.press("ArrowRight")
    wait(page, f"{TIMELINE}.from > {before}")
    page.get_by_text("Segments in view, as a table").click()
    wait(page, f"{TIMELINE}.list.querySelectorAll('tbody tr').length > 0")
    canvas.focus()
    page.keyboard.press("Home")
    wait(page, f"{TIMELINE}.span === {HOURS} && {TIMELINE}.from === 0 && {TIMELINE}.aggregated")
    canvas.hover()
    page.keyboard.down("Control")
    page.mouse.wheel(0, -200)
    page.keyboard.up("Control")
    wait(page, f"{TIMELINE}.span < {HOURS}")


def test_the_table_is_filtered_sorted_and_opens_a_recording(page):
    names = page.locator("#recordings tbody th")
    assert names.all_inner_texts() == ["a/<b>day</b>", "short", "silent & long"]
    assert {"Recordings", "Minutes of speech an hour", "What failed: 1"} <= set(
        page.locator("h2, h3").all_text_contents()
    )
    filtering = page.locator("input[type=search]")
    filtering.fill("<b>")
    assert names.all_inner_texts() == ["a/<b>day</b>"]
    filtering.fill("")
    page.locator("#recordings thead").get_by_role("button", name="Hours", exact=True).click()
    assert names.all_inner_texts() == ["silent & long", "a/<b>day</b>", "short"]
    page.locator("#recordings tbody a").nth(1).click()
    assert page.locator("#recording h2").inner_text() == "a/<b>day</b>"


def test_names_are_text_and_nothing_is_wider_than_the_window(page):
    assert page.locator("b").count() == page.locator(".tiles b").count()
    assert page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth") <= 0
    page.locator("#theme").click()
    assert page.evaluate("document.documentElement.dataset.theme") == "light"
