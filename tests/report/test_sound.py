"""A person's own recording on the page, heard and seen in the browser, sent nowhere; means by child; print."""

from __future__ import annotations

import json
import math
import re
from pathlib import Path

import numpy as np
import pytest
import soundfile
from results_folders import random_rows, write_run

pytest.importorskip("playwright", reason="needs Playwright")
from playwright.sync_api import Page

from commands import command
from pages import needs_chromium, wait

RATE = 16_000
SECONDS = 40
ROWS = [(16_000, 32_000, "KCHI"), (40_000, 56_000, "FEM"), (96_000, 128_000, "KCHI"), (480_000, 496_000, "MAL")]
SECTION = "document.querySelector('#recording section')"

pytestmark = needs_chromium


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    out = tmp_path_factory.mktemp("sound") / "out"
    rows = {"Zoé/day1": ROWS, "ben": [], "eva": [(0, 16_000, "OCH")]}
    write_run(out, rows, dict(zip(rows, (SECONDS, 60, 60), strict=True)))
    people = out.parent / "people.csv"
    people.write_text("recording_id;child_id;age_months\nZoé/day1;c1;12,5\nben;c2;20\neva;c1;14\n", encoding="utf-8")
    assert command("report", out, "--recordings", people).code == 0
    return out / "report.html"


@pytest.fixture
def page(chromium, report):
    context = chromium.new_context(viewport={"width": 1400, "height": 900})
    opened = context.new_page()
    problems: list[str] = []
    opened.on("console", lambda message: problems.append(message.text))
    opened.on("pageerror", lambda error: problems.append(str(error)))
    opened.on("request", lambda request: problems.append(request.url) if request.url.startswith("http") else None)
    opened.goto(report.as_uri())
    opened.click("text=Zoé/day1")
    yield opened
    context.close()
    assert problems == []


def tones(seconds: float = SECONDS, rate: int = RATE, channels: int = 1) -> np.ndarray:
    """1 kHz in the first half, 3 kHz in the second; the second channel is silent."""
    time = np.arange(int(seconds * rate)) / rate
    sound = 0.5 * np.sin(2 * np.pi * np.where(time < seconds / 2, 1000, 3000) * time)
    return np.stack([sound] + [np.zeros_like(sound)] * (channels - 1), axis=1)


def choose(page: Page, path: Path) -> str:
    before = page.evaluate(f"{SECTION}.sound.opened ?? 0")
    page.set_input_files("#recording input[type=file]", path)
    wait(page, f"{SECTION}.sound.opened > {before}")
    return page.inner_text("#recording section [role=status].small")


def slice_of(page: Page, start: int, end: int) -> tuple[np.ndarray, int]:
    script = f"{SECTION}.sound.samples({start}, {end}).then((found) => [[...found.samples], found.rate])"
    samples, rate = page.evaluate(script)
    return np.array(samples), rate


@pytest.mark.parametrize(
    ("kind", "subtype", "rate", "channels"),
    [
        ("WAV", "PCM_U8", 16_000, 1),
        ("WAV", "PCM_16", 44_100, 2),
        ("WAV", "PCM_24", 48_000, 1),
        ("WAVEX", "PCM_24", 16_000, 2),
        ("WAV", "PCM_32", 8_000, 1),
        ("WAV", "FLOAT", 16_000, 2),
        ("WAV", "DOUBLE", 16_000, 1),
        ("RF64", "PCM_16", 16_000, 1),
    ],
)
def test_slices_of_wav_files_are_the_samples(page, tmp_path, kind, subtype, rate, channels):
    path = tmp_path / "day1.wav"
    soundfile.write(path, tones(rate=rate, channels=channels), rate, format=kind, subtype=subtype)
    choose(page, path)
    found, found_rate = slice_of(page, 19_900, 20_250)
    expected = soundfile.read(path, always_2d=True)[0].mean(axis=1)[round(19.9 * rate) : round(20.25 * rate)]
    assert found_rate == rate
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_a_wav_file_that_was_never_closed(page, tmp_path):
    path = tmp_path / "day1.wav"
    soundfile.write(path, tones(), RATE, subtype="PCM_16")
    content = bytearray(path.read_bytes())
    place = content.index(b"data") + 4
    content[place : place + 4] = b"\0\0\0\0"
    path.write_bytes(content)
    choose(page, path)
    assert len(slice_of(page, 39_000, 60_000)[0]) == RATE


def test_a_compressed_file_is_decoded_as_a_whole(page, tmp_path):
    soundfile.write(tmp_path / "day1.flac", tones(), RATE)
    told = choose(page, tmp_path / "day1.flac")
    assert "The file is called day1.flac, the recording day1.wav: is it the same?" in told
    found, rate = slice_of(page, 10_000, 11_000)
    assert rate == RATE
    np.testing.assert_allclose(found, tones()[160_000:176_000, 0], atol=1e-3)


@pytest.mark.parametrize(("at", "hertz"), [(5_000, 1000), (25_000, 3000)])
def test_the_picture_is_of_the_view(page, tmp_path, at, hertz):
    soundfile.write(tmp_path / "day1.wav", tones(), RATE, subtype="PCM_16")
    told = choose(page, tmp_path / "day1.wav")
    assert told == "day1.wav: in this browser only, nothing is sent anywhere."
    page.evaluate(f"{SECTION}.timeline.show({at}, 2000)")
    wait(page, f"{SECTION}.sound.pictured?.from === {at}")
    loudest = page.evaluate(f"{SECTION}.sound.loudest")
    assert loudest["bin"] * loudest["rate"] / loudest["size"] == pytest.approx(hertz, abs=50)
    colours = page.evaluate(
        f"(() => {{ const c = {SECTION}.sound.spectrum; const d = c.getContext('2d').getImageData(0, 0, c.width, "
        "c.height).data; return new Set([...d].filter((_, i) => i % 4 === 0)).size; })()"
    )
    assert colours > 10


def test_segments_one_after_the_other_and_played(page, tmp_path):
    soundfile.write(tmp_path / "day1.wav", tones(), RATE, subtype="PCM_16")
    choose(page, tmp_path / "day1.wav")
    page.select_option("select[aria-label='Voice of the next segment']", "KCHI")
    starts = []
    for _ in range(2):
        page.click("text=segment ▶")
        starts.append(page.evaluate(f"{SECTION}.timeline.selected.start"))
    assert starts == [1000, 6000]
    page.click("text=segment ▶")
    assert "No later segment of key child" in page.inner_text(".readout")
    page.click("text=◀ segment")
    assert page.evaluate(f"{SECTION}.timeline.selected.start") == 1000
    page.click("text=Play segment")
    wait(page, f"{SECTION}.sound.now > 1300")
    wait(page, f"{SECTION}.sound.now === null")
    assert page.evaluate(f"{SECTION}.sound.audio.currentTime") == pytest.approx(2.0, abs=0.15)
    page.evaluate(f"{SECTION}.timeline.canvas.focus()")
    page.keyboard.press("n")
    page.keyboard.press(" ")
    wait(page, f"{SECTION}.sound.now > 6000")


def test_files_that_cannot_be_shown_say_so(page, tmp_path):
    (tmp_path / "day1.wav").write_bytes(b"no sound" * 100)
    assert "This browser cannot read the file" in choose(page, tmp_path / "day1.wav")
    assert page.is_disabled("text=Play segment")
    (tmp_path / "other").mkdir()
    soundfile.write(tmp_path / "other" / "day1.wav", tones(10), RATE, subtype="PCM_16")
    assert "It lasts 10 s, the recording 40 s: times may not fit." in choose(page, tmp_path / "other" / "day1.wav")


def test_names_are_filtered_without_accents(page):
    page.fill("input[type=search]", "zoe")
    assert page.locator("#recordings tbody tr").count() == 1
    page.fill("input[type=search]", "C1")
    assert page.locator("#recordings tbody tr").count() == 2


def test_means_by_child_and_age(page):
    rows = [[cell.strip() for cell in row.split("\t")] for row in page.inner_text("#overview tbody").splitlines()]
    found = {row[0]: row[1:5] for row in rows}
    assert {name: row[:2] for name, row in found.items()} == {
        "c1": ["12.5 to 14.0", "2"],
        "c2": ["20.0", "1"],
        "all": ["12.5 to 20.0", "3"],
    }
    hours = (SECONDS + 60) / 3600
    rate = 2 / hours  # key child vocalisations of c1 an hour
    assert found["c1"][3] == f"{rate:,.0f}"
    assert page.locator(".ages circle").count() == 3


def test_scores_hide_segments_and_leave_numbers(page):
    """Scores need stored frames: the page's own function is given some."""
    page.evaluate(
        f"{SECTION}.timeline.all.KCHI.scores = new Uint8Array([51, 255]);"
        f"for (const v of ['FEM', 'MAL']) {SECTION}.timeline.all[v].scores = new Uint8Array(1).fill(255)"
    )
    told = page.evaluate(f"{SECTION}.timeline.setLeast(0.5)")
    assert told.startswith("0.50: 3 of 4 segments, 0.1 of 0.1 min.")
    assert page.evaluate(f"[...{SECTION}.timeline.lanes.KCHI.start]") == [6000]
    assert page.evaluate(f"{SECTION}.timeline.setLeast(0)") == ""
    assert page.evaluate(f"{SECTION}.timeline.lanes.KCHI.start.length") == 2


def test_paper_and_words(page):
    sentence = page.inner_text("#paper pre >> nth=0")
    assert "Voices in 3 recordings (0.0 hours) were detected with BabyHuBERT" in sentence
    assert "model coml/VTC-2, SHA-256 of the weights 000000000000" in sentence
    assert "thresholds KCHI 0.437, OCH 0.378, MAL 0.429, FEM 0.377" in sentence
    cited = page.inner_text("#paper pre >> nth=1")
    assert "babyhubert_software" in cited
    assert "2509.15001" in cited
    page.click("text=Words on this page")
    assert "Vocalisation" in page.inner_text("details dl >> nth=-1")


def pages_of(page: Page) -> int:
    return len(re.findall(rb"/Type\s*/Page\b", page.pdf(format="A4")))


def test_prints_on_three_pages(chromium, tmp_path):
    """Many recordings of a long day, and a model whose card holds a whole training."""
    rows = {f"child {n // 3}/day{n}": random_rows(np.random.default_rng(n), 500, 16 * 3600) for n in range(40)}
    write_run(tmp_path / "out", rows, 16 * 3600, failures=[(f"/x{n}", "cannot be read") for n in range(30)])
    training = {f"setting {n}": {"inner": {"deeper": {"deepest": [n] * 5}}} for n in range(200)}
    run = (tmp_path / "out" / "run.json").read_text(encoding="utf-8")
    card = json.dumps({"training": training})[1:-1]
    text = run.replace('"licence"', f'{card}, "licence"').replace("coml/VTC-2", "playroom")
    (tmp_path / "out" / "run.json").write_text(text, encoding="utf-8")
    people = "".join(f"{name},{name[:8]},{n}\n" for n, name in enumerate(rows))
    (tmp_path / "people.csv").write_text(f"recording_id,child_id,age_months\n{people}", encoding="utf-8")
    assert command("report", tmp_path / "out", "--recordings", tmp_path / "people.csv").code == 0
    context = chromium.new_context()
    page = context.new_page()
    page.goto((tmp_path / "out" / "report.html").as_uri())
    assert "Demonstration model." in page.inner_text(".banner")
    assert pages_of(page) <= 3
    page.click("text=Model card")
    narrow = page.evaluate("Math.min(...[...document.querySelectorAll('dd')].filter((d) => d.offsetParent)"
                           ".map((d) => d.clientWidth))")  # fmt: skip
    assert narrow > 300
    assert math.isclose(page.evaluate("document.documentElement.scrollWidth - innerWidth"), 0, abs_tol=20)
    context.close()
