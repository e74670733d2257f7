"""The quick question: which segments are drawn, how answers are stored, and the page in a real Chromium."""

from __future__ import annotations

import csv
import json
import re
import wave
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("starlette", reason="needs the extra review")
pytest.importorskip("uvicorn", reason="needs the extra review")

from results_folders import write_run

from babyhubert.annotation.segments import VOICE_TYPES
from babyhubert.audio.recording import open_recording
from babyhubert.errors import AnnotationError
from babyhubert.exchange.recordings import Source
from babyhubert.review.answers import REVIEWED_SEGMENTS, Answers
from babyhubert.review.segments_to_ask import SegmentToAsk, draw_segments, sound_around
from commands import command
from pages import Served, needs_chromium

SEEDS = 60
COLUMNS = ["recording_id", "start_s", "end_s", "label", "score", "answer", "annotator", "time"]


def rows_of(folder: Path) -> list[dict[str, str]]:
    with (folder / REVIEWED_SEGMENTS).open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture
def scored(tmp_path) -> Path:
    """A run of two recordings with a hundred segments a class, and frame scores that grow with time."""
    seconds = {"a/x": 500.0, "b": 500.0}
    (tmp_path / "audio" / "a").mkdir(parents=True)
    paths = {}
    for name in seconds:
        paths[name] = tmp_path / "audio" / f"{name}.wav"
        with wave.open(str(paths[name]), "wb") as file:
            file.setparams((1, 2, 16000, 0, "NONE", ""))
            file.writeframes((np.arange(500 * 16000) % 30000).astype("<i2").tobytes())
    rows = {
        name: [(16 * (5000 * n + 400 * v), 16 * (5000 * n + 400 * v + 1000), label)
               for n in range(100) for v, label in enumerate(VOICE_TYPES)]
        for name in seconds
    }  # fmt: skip
    out = write_run(tmp_path / "out", rows, seconds, paths=paths)
    about = json.loads((out / "run.json").read_text(encoding="utf-8"))
    about["model"] = {**(about.get("model") or {}), "classes": list(VOICE_TYPES)}
    (out / "run.json").write_text(json.dumps(about), encoding="utf-8")
    for name in seconds:
        path = out / ".babyhubert" / "segment" / "scores" / f"{name}.npy"
        path.parent.mkdir(parents=True, exist_ok=True)
        np.save(path, np.repeat(np.linspace(0.2, 0.9, 24999)[:, None], 4, axis=1).astype(np.float16))
    return out


def test_every_class_and_every_level_of_the_score_is_drawn(scored):
    drawn = draw_segments(Source(scored), 20, seed=1)
    assert Counter(one.label for one in drawn.segments) == dict.fromkeys(VOICE_TYPES, 20)
    assert len(set(drawn.segments)) == 80
    for label in VOICE_TYPES:
        ranks = sorted((one.score - 0.2) / 0.7 for one in drawn.segments if one.label == label)
        assert all(n / 20 - 0.03 <= rank <= (n + 1) / 20 + 0.03 for n, rank in enumerate(ranks)), ranks
    assert [one.label for one in drawn.segments] != sorted(one.label for one in drawn.segments)
    assert draw_segments(Source(scored), 20, seed=1) == drawn
    assert draw_segments(Source(scored), 20, seed=2).segments != drawn.segments
    assert len(draw_segments(Source(scored), 10_000, seed=0).segments) == 800


def test_each_segment_is_drawn_alike_often(scored):
    times = Counter(one for seed in range(SEEDS) for one in draw_segments(Source(scored), 10, seed).segments)
    share = np.array(sorted(times.values())) / SEEDS
    assert len(times) > 700
    assert abs(share.sum() - 40) < 1e-9
    assert share.max() < 0.05 + 5 * np.sqrt(0.05 * 0.95 / SEEDS)


def test_the_sound_is_that_of_the_recording(scored):
    drawn = draw_segments(Source(scored), 3, seed=0)
    one = next(one for one in drawn.segments if one.start > 1000)
    samples, before = sound_around(drawn.sounds[one.recording_id], one.start, one.end, 1000)
    assert before == 1000
    with open_recording(drawn.sounds[one.recording_id].path) as recording:
        whole = recording.read(0, recording.n_samples)
    np.testing.assert_array_equal(samples, whole[16 * (one.start - 1000) : 16 * (one.end + 1000)])
    early = SegmentToAsk("b", 400, 900, "OCH", 0.5)
    assert sound_around(drawn.sounds["b"], early.start, early.end, 1000)[1] == 400


def test_answers_are_one_row_a_segment_and_person(tmp_path):
    one, other = SegmentToAsk("a/x", 400, 1250, "OCH", 0.51239), SegmentToAsk("=b", 0, 100, "FEM", float("nan"))
    anna, ben = Answers(tmp_path, "anna"), Answers(tmp_path, "ben")
    anna.store(one, "right")
    ben.store(one, "KCHI")
    anna.store(other, "unsure")
    anna.store(one, "none")
    rows = rows_of(tmp_path)
    assert list(rows[0]) == COLUMNS
    shown = {(row["recording_id"], row["annotator"]): list(row.values())[1:6] for row in rows}
    assert shown == {
        ("a/x", "ben"): ["0.400", "1.250", "OCH", "0.5124", "KCHI"],
        ("'=b", "anna"): ["0.000", "0.100", "FEM", "", "unsure"],
        ("a/x", "anna"): ["0.400", "1.250", "OCH", "0.5124", "none"],
    }
    assert all(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00", row["time"]) for row in rows)
    assert Answers(tmp_path, "anna").all() == {("a/x", "0.400", "1.250", "OCH"): "none",
                                               ("=b", "0.000", "0.100", "FEM"): "unsure"}  # fmt: skip
    anna.store(other, "")
    assert len(rows_of(tmp_path)) == 2


@pytest.mark.parametrize("answer", ["OCH", "yes", "CHI"])
def test_what_is_no_answer_is_refused(tmp_path, answer):
    with pytest.raises(AnnotationError, match="is no answer"):
        Answers(tmp_path).store(SegmentToAsk("a", 400, 1250, "OCH", 0.5), answer)
    assert not (tmp_path / REVIEWED_SEGMENTS).exists()


def test_a_table_of_something_else_is_not_overwritten(tmp_path):
    (tmp_path / REVIEWED_SEGMENTS).write_text("a,b\n1,2\n", encoding="utf-8")
    with pytest.raises(AnnotationError, match="column recording_id is missing"):
        Answers(tmp_path)


def test_bad_input_is_one_clear_line(tmp_path, scored):
    assert "output folder of 'babyhubert segment'" in command("review", tmp_path, "--quick", "--no-browser").error
    for sound in (tmp_path / "audio").rglob("*.wav"):
        sound.unlink()
    assert "its sound is not there" in command("review", scored, "--quick", "--no-browser").error


@needs_chromium
def test_a_person_answers_by_keys_and_by_mouse(chromium, scored):
    faults: list[str] = []
    expected = draw_segments(Source(scored), 2, seed=0).segments
    meant = {}
    with Served("review", scored, "--quick", "--segments", 2, "--annotator", "anna") as served:
        page = chromium.new_page(viewport={"width": 400, "height": 800})
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.on("console", lambda line: faults.append(line.text) if line.type == "error" else None)
        page.goto(served.address)
        keys = {"y": "right", "n": "wrong", "0": "none", "u": "unsure"}
        for number, one in enumerate(expected[:-1]):
            page.wait_for_selector(f'body[data-shown="{number}"]')
            assert f"({one.label})" in page.locator("#question").inner_text()
            if number < 4:
                key = list(keys)[number]
                page.keyboard.press(key)
                meant[one] = keys[key]
            else:
                other = VOICE_TYPES[(VOICE_TYPES.index(one.label) + number) % 4]
                other = other if other != one.label else VOICE_TYPES[VOICE_TYPES.index(one.label) - 1]
                page.locator(f'#answers button[value="{other}"]').click()
                meant[one] = other
        page.wait_for_selector(f'body[data-shown="{len(expected) - 1}"]')
        page.keyboard.press("b")  # one changes one's mind on the last but one
        page.wait_for_selector(f'body[data-shown="{len(expected) - 2}"]')
        page.keyboard.press(str(1 + VOICE_TYPES.index(expected[-2].label)))
        meant[expected[-2]] = "right"
        page.wait_for_selector(f'body[data-shown="{len(expected) - 1}"]')
        assert page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0
        page.keyboard.press("y")
        meant[expected[-1]] = "right"
        page.get_by_text("All segments are answered").wait_for()
        page.reload()
        page.get_by_text(f"{len(expected)} answered by anna").wait_for()
        assert "stopped" in served.stop()
    assert faults == []
    found = {(row["recording_id"], row["start_s"], row["label"]): (row["answer"], row["score"])
             for row in rows_of(scored / "review")}  # fmt: skip
    assert found == {
        (one.recording_id, f"{one.start / 1000:.3f}", one.label): (answer, f"{one.score:.4f}")
        for one, answer in meant.items()
    }
