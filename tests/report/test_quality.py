"""The verdict of `quality` on the page: the sentences, the usable hours, and where a recording is bad."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile
from reading_pages import data_of, unpack_bytes

from babyhubert.simulation.degradations import with_dropouts
from babyhubert.simulation.scene import SceneConfig, simulate_scene
from babyhubert.simulation.voices import SyntheticVoices
from commands import command
from pages import needs_chromium

RATE = 16_000


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, small_model: Path) -> Path:
    """Results over a good recording of 40 s and one with 4 s of clipping from 10 s on and six dropouts."""
    folder = tmp_path_factory.mktemp("quality")
    scene = simulate_scene(SceneConfig(minutes=0.7), SyntheticVoices(), np.random.default_rng(3), 0)
    sound = scene.render().waveform[: 40 * RATE]
    sound = sound / np.abs(sound).max() * 0.5
    bad = sound.copy()
    bad[10 * RATE : 14 * RATE] = np.clip(30 * bad[10 * RATE : 14 * RATE], -0.6, 0.6)
    (folder / "audio").mkdir()
    soundfile.write(folder / "audio/good.wav", sound, RATE)
    soundfile.write(folder / "audio/bad.wav", with_dropouts(bad, 6, 0.05, np.random.default_rng(1)), RATE)
    output = folder / "out"
    assert command("segment", folder / "audio", "-o", output, "--model", small_model, "--device", "cpu").code == 0
    assert command("report", output).code == 0
    assert [each["quality"] for each in data_of(output / "report.html")["recordings"]] == [None, None]
    assert command("quality", output).code == 1
    assert command("report", output).code == 0
    return output


def test_the_page_has_the_verdict_and_the_stretches(run):
    data = data_of(run / "report.html")
    found = {each["id"]: each["quality"] for each in data["recordings"]}
    assert [found["good"]["verdict"], found["bad"]["verdict"]] == ["good", "fault"]
    assert any("6 dropouts" in each["told"] for each in found["bad"]["findings"])
    assert {row["id"]: row["usable"] for row in data["rows"]}["bad"] == pytest.approx(
        found["bad"]["usable_h"], abs=1e-4
    )
    clipped = found["bad"]["stretches"]["clipped"]
    shares = unpack_bytes(clipped["shares"])
    assert len(shares) == 240
    inside = np.flatnonzero(shares)
    assert inside.min() >= 60
    assert inside.max() <= 83
    assert all(10_000 <= start < end <= 14_000 for start, end in clipped["longest"])


def test_a_verdict_on_another_file_is_not_shown(run, tmp_path):
    copy = tmp_path / "out"
    shutil.copytree(run, copy)
    for path in (copy / ".babyhubert/quality/records").glob("*.json"):
        path.unlink()
    assert command("report", copy).code == 0
    assert all(each["quality"] is None for each in data_of(copy / "report.html")["recordings"])


@needs_chromium
@pytest.mark.parametrize("width", [1200, 400])
def test_a_person_sees_it(chromium, run, width):
    page = chromium.new_page(viewport={"width": width, "height": 900})
    problems: list[str] = []
    page.on("console", lambda message: problems.append(message.text))
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.goto((run / "report.html").as_uri() + "#bad")
    section = page.locator("section.quality").first
    told = section.inner_text()
    assert "Has faults" in told
    assert "6 dropouts" in told
    section.locator("summary").click()
    assert "0:00:1" in section.locator("tr", has_text="clipped").inner_text()
    assert page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0
    assert problems == []
