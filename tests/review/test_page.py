"""The review page in a real Chromium: what a person does with mouse and keyboard is what is collected."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("starlette", reason="needs the extra review")
pytest.importorskip("uvicorn", reason="needs the extra review")
pytest.importorskip("playwright", reason="needs Playwright")

from driving import CHROMIUM, Person, Row, Served, browser, rows_of, write_day

from babyhubert.annotation.reading import read_segments
from babyhubert.annotation.rttm import write_rttm
from babyhubert.annotation.segments import VOICE_TYPES, Segments
from commands import command

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on the path")

CLIPS_HERE = 2
"""Per recording; the same test with 25 was run by hand."""
SECONDS = {"a/day 1": 120.0, "b": 120.0}
CONTEXT = 1.0


@pytest.fixture(scope="module")
def chromium():
    with browser() as opened:
        yield opened


def draw_clips(folder: Path, seconds: dict[str, float], clips: int, *more: object) -> Path:
    run = write_day(folder, seconds)
    options = ("--clips", clips, "--length", 12, "--context", CONTEXT, *more)
    assert command("sample", run, "-o", folder / "clips", *options).code == 0
    return folder / "clips"


@pytest.fixture
def clips(tmp_path) -> Path:
    return draw_clips(tmp_path, SECONDS, CLIPS_HERE)


class Script:
    """Corrections of one clip: done at the page, and to a list of rows."""

    def __init__(self, person: Person, rows: list[Row], draw: np.random.Generator) -> None:
        self.person, self.rows, self.draw = person, rows, draw
        self.length = 14_000

    def check(self, step: str) -> None:
        shown = [[f"{start / 1000:.2f} to {end / 1000:.2f}", label] for start, end, label in sorted(self.rows)]
        found = [[times, voice] for times, voice in self.person.rows()]
        assert [voice for _, voice in found] == [voice for _, voice in shown], (step, found, shown)
        near = [abs(float(a) - float(b)) < 0.006 for one, other in zip(found, shown, strict=True)
                for a, b in zip(one[0].split(" to "), other[0].split(" to "), strict=True)]  # fmt: skip
        assert all(near), (step, found, shown)

    def replace(self, place: int, row: Row) -> None:
        self.rows.sort()
        self.rows[place] = row
        self.rows.sort()

    def relabel(self) -> None:
        place = int(self.draw.integers(len(self.rows)))
        self.person.items().nth(place).click()
        label = VOICE_TYPES[int(self.draw.integers(4))]
        self.person.press(str(1 + VOICE_TYPES.index(label)))
        start, end, _ = sorted(self.rows)[place]
        self.replace(place, (start, end, label))

    def pull_end(self) -> None:
        """Drag the end of a segment that begins in the stretch by some pixels."""
        self.rows.sort()
        place = next(n for n, row in enumerate(self.rows) if row[0] > 2000 and row[1] < 11_000)
        box, whole = self.person.region(place).bounding_box(), self.person.box()
        x, y, by = box["x"] + box["width"] - 3, box["y"] + box["height"] / 2, int(self.draw.integers(20, 60))
        self.person.pull((x, y), (x + by, y))
        start, end, label = self.rows[place]
        self.replace(place, (start, round(end + by / whole["width"] * self.length), label))

    def draw_new(self) -> None:
        """Drag over an empty part of a lane."""
        whole = self.person.box()
        for label in VOICE_TYPES:
            taken = sorted(row for row in self.rows if row[2] == label)
            gaps = zip([1000, *(end for _, end, _ in taken)], [*(start for start, _, _ in taken), 13_000], strict=True)
            wide = [(first + 250, last - 250) for first, last in gaps if last - first > 900]
            if wide:
                break
        first, last = (round(whole["x"] + ms / self.length * whole["width"]) for ms in wide[0])
        y = self.person.lane(label)
        self.person.pull((first, y), (last, y))
        start, end = (round((x - whole["x"]) / whole["width"] * self.length) for x in (first, last))
        self.rows.append((start, end, label))

    def mark_new(self) -> None:
        """Mark a segment by keys alone, over others: voices overlap."""
        steps, length = int(self.draw.integers(5, 40)), int(self.draw.integers(3, 20))
        label = VOICE_TYPES[int(self.draw.integers(4))]
        self.person.press("Escape", str(1 + VOICE_TYPES.index(label)), "Home", *["ArrowRight"] * steps, "n")
        self.person.press(*["ArrowRight"] * length, "n")
        self.rows.append((1000 + 100 * steps, 1000 + 100 * (steps + length), label))

    def delete(self) -> None:
        self.person.press("Escape", "Home", "j", "j", "Delete")
        place = next(n for n, row in enumerate(sorted(self.rows)) if row[0] >= 1000) + 1
        self.rows.remove(sorted(self.rows)[place])

    def change_one_s_mind(self) -> None:
        self.person.press("j", "Delete", "Control+z", "j", "u", "z", "Control+y", "Control+z")

    def split(self) -> None:
        self.rows.sort()
        place = next(n for n, row in enumerate(self.rows) if row[1] - row[0] > 400 and row[0] > 1000)
        start, end, label = self.rows[place]
        self.person.items().nth(place).click()
        self.person.press("ArrowRight", "ArrowRight", "s")
        self.rows[place] = (start, start + 200, label)
        self.rows.append((start + 200, end, label))


def correct_one(person: Person, clips: Path, number: int) -> list[Row]:
    """Correct the clip that is open; what the stretch should hold then."""
    script = Script(person, rows_of(clips / person.clip), np.random.default_rng(number))
    steps = [script.relabel, script.pull_end, script.draw_new, script.mark_new, script.delete, script.split]
    for step in (*steps, script.change_one_s_mind):
        step()
        script.check(step.__name__)
    person.stored()
    return script.rows


def close_to(found: list[Row], meant: list[Row]) -> bool:
    """The same segments; dragged ends to the millisecond that half a pixel is rounded to."""
    return len(found) == len(meant) and all(
        one[2] == other[2] and max(abs(one[0] - other[0]), abs(one[1] - other[1])) <= 1
        for one, other in zip(sorted(found), sorted(meant), strict=True)
    )


def correct_all(chromium, clips: Path, *options: str) -> dict[str, list[Row]]:
    """Correct every clip of a folder; the server is killed in the middle, in a clip that is half done."""
    with (clips / "clips.csv").open(encoding="utf-8", newline="") as file:
        names = [row["clip"] for row in csv.DictReader(file)]
    meant: dict[str, list[Row]] = {}
    served = Served(clips, *options)
    person = Person.at(chromium, served.address)
    for number, name in enumerate(names):
        person.wait_for_a_clip(name)
        meant[name] = correct_one(person, clips, number)
        if number == len(names) // 2:
            served.kill()
            assert person.faults == []
            assert close_to(rows_of(clips / name), meant[name])
            person.page.context.close()
            served = Served(clips, *options)
            person = Person.at(chromium, served.address)
            assert person.clip == name  # the first that is not done
        person.press("d")
        person.stored() if number == len(names) - 1 else None
    assert person.faults == []
    person.page.context.close()
    assert "stopped; everything is stored" in served.stop()
    for name, rows in meant.items():
        assert close_to(rows_of(clips / name), rows), name
    return meant


def in_recording_time(clips: Path, meant: dict[str, list[Row]]) -> dict[str, list[Row]]:
    """What the script meant, cut to the stretches, in samples of the recordings."""
    found: dict[str, list[Row]] = {}
    with (clips / "clips.csv").open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            onset, offset, first = (int(row[key]) for key in ("segment_onset", "segment_offset", "audio_onset"))
            for start, end, label in meant[row["clip"]]:
                start, end = max(start + first, onset), min(end + first, offset)
                if start < end:
                    found.setdefault(row["recording_id"], []).append((16 * start, 16 * end, label))
    return found


def collected_is_what_was_meant(chromium, folder: Path, clips: Path) -> None:
    meant = in_recording_time(clips, correct_all(chromium, clips))
    assert command("sample", "--collect", clips, "-o", folder / "reference").code == 0
    for name, rows in meant.items():
        found = read_segments(folder / "reference" / "csv" / f"{name}.csv", name)[name]
        assert close_to([(start // 16, end // 16, label) for start, end, label in found],
                        [(start // 16, end // 16, label) for start, end, label in rows])  # fmt: skip
        write_rttm(folder / "meant" / f"{name}.rttm", name, Segments.from_rows(rows))
    uem = folder / "reference" / "annotated.uem"
    options = (
        "--reference",
        folder / "meant",
        "--predictions",
        folder / "reference",
        "--uem",
        uem,
        "-o",
        folder / "e",
    )
    assert command("evaluate", "voice-type", *options).code == 0
    with (folder / "e" / "fscore.csv").open(encoding="utf-8", newline="") as file:
        scores = [float(value) for row in csv.DictReader(file) for key, value in row.items() if key in VOICE_TYPES]
    assert min(scores) > 0.999


def test_what_a_person_corrected_is_collected_and_evaluated(chromium, tmp_path, clips):
    collected_is_what_was_meant(chromium, tmp_path, clips)
