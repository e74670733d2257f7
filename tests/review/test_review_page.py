"""The review page in a real Chromium: what a person does with mouse and keyboard is what is collected."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("starlette", reason="needs the extra review")
pytest.importorskip("uvicorn", reason="needs the extra review")
pytest.importorskip("playwright", reason="needs Playwright")

from driving import CONTEXT, Person, Row, draw_clips, rows_of, write_day

from babyhubert.annotation.columns import Column, write_columns
from babyhubert.annotation.formats import format_of
from babyhubert.annotation.reading import read_segments
from babyhubert.annotation.rttm import write_rttm
from babyhubert.annotation.segments import VOICE_TYPES, Segments
from babyhubert.review.document import Document, ReviewSegment
from babyhubert.review.store import ClipStore
from commands import command
from pages import Served, needs_chromium

pytestmark = needs_chromium


class Script:
    """Corrections of one clip: done at the page, and to a list of rows."""

    def __init__(self, person: Person, rows: list[Row], draw: np.random.Generator) -> None:
        self.person, self.rows, self.draw = person, rows, draw
        self.length = 14_000

    def check(self, step: str) -> None:
        shown = [[f"{start / 1000:.2f} to {end / 1000:.2f}", label] for start, end, label in sorted(self.rows)]
        found = [[times, voice] for times, voice in self.person.rows()]
        assert [voice for _, voice in found] == [voice for _, voice in shown], (step, found, shown)
        near = [abs(float(a) - float(b)) < 0.011 for one, other in zip(found, shown, strict=True)
                for a, b in zip(one[0].split(" to "), other[0].split(" to "), strict=True)]  # fmt: skip
        assert all(near), f"{step}\n{found}\n{shown}"

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
    served = Served("review", clips, *options)
    person = Person.at(chromium, served.address)
    for number, name in enumerate(names):
        person.wait_for_a_clip(name)
        meant[name] = correct_one(person, clips, number)
        if number == len(names) // 2:
            served.kill()
            assert person.faults == []
            assert close_to(rows_of(clips / name), meant[name])
            person.page.context.close()
            served = Served("review", clips, *options)
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


# ---- single properties of the page


def test_everything_works_by_keys_alone(chromium, clips, tmp_path):
    with Served("review", clips, "--annotator", "anna", "--blank") as served:
        person = Person.at(chromium, served.address)
        name = person.clip
        assert person.rows() == []
        person.press("Home", *["ArrowRight"] * 10, "4", "n", *["Shift+ArrowRight"] * 2, "n")  # a woman, 2 to 4 s
        person.press("a", "u", "m")
        person.page.keyboard.type("d is a letter here")
        person.press("Escape", "Home", "Shift+ArrowRight", "Shift+ArrowRight", "Shift+ArrowRight", "[")
        person.press("ArrowRight", "ArrowRight", "]", "=", "-", "?")
        assert person.page.get_by_role("dialog").is_visible()
        assert person.page.evaluate("scrollY") == 0
        person.press("d")  # keys rest while the help is open
        person.press("Escape")
        assert person.rows() == [["4.00 to 4.20", "FEM"]]
        person.press("d")
        person.wait_for_a_clip(ClipStore(clips).names[1])
        person.press("PageUp")
        person.wait_for_a_clip(name)
        assert person.page.get_by_role("button", name="Not done after all").is_visible()
        assert "done" in person.page.locator("#clips option").first.inner_text()
        assert person.faults == []
    (one,) = ClipStore(clips, "anna").open(name).document.segments
    assert (one.start, one.end, one.label) == (4000, 4200, "FEM")
    assert one.values == {"addressee": "KCDS", "unsure": "unsure", "note": "d is a letter here"}


def test_a_screen_reader_finds_names_and_is_told_of_changes(chromium, clips):
    with Served("review", clips) as served:
        person = Person.at(chromium, served.address)
        page = person.page
        unnamed = page.locator("button, select, input, textarea").evaluate_all(
            """all => all.filter(one => !(one.textContent.trim() || one.ariaLabel || one.labels?.length))
                         .map(one => one.id)"""
        )
        assert unnamed == []
        page.get_by_role("listbox", name="Segments").focus()
        person.press("Escape", "ArrowDown")
        segments = page.get_by_role("listbox", name="Segments")
        chosen = segments.get_by_role("option", selected=True)
        assert segments.get_attribute("aria-activedescendant") == chosen.get_attribute("id")
        first = chosen.inner_text().split()
        assert float(first[0]) >= CONTEXT  # the first from the cursor on, which is at the beginning of the stretch
        live = page.locator("[aria-live=polite]")
        live.get_by_text(f"{first[3]}, {first[0]} to {first[2]} seconds").wait_for()
        person.press("Delete")
        live.get_by_text("Deleted:").wait_for()
        person.press("Control+z")
        live.get_by_text("Undone").wait_for()
        assert person.faults == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_fits_a_telephone_and_follows_the_system_s_colours(chromium, clips, scheme):
    with Served("review", clips) as served:
        person = Person.at(chromium, served.address, color_scheme=scheme)
        page = person.page
        page.set_viewport_size({"width": 400, "height": 800})
        assert page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0
        assert page.locator("html").get_attribute("data-theme") == scheme
        background = page.evaluate("getComputedStyle(document.body).backgroundColor")
        assert background == {"light": "rgb(255, 255, 255)", "dark": "rgb(20, 23, 27)"}[scheme]
        page.get_by_role("button", name="Dark" if scheme == "light" else "Light").click()
        assert page.evaluate("getComputedStyle(document.body).backgroundColor") != background
        assert person.faults == []


def test_a_clip_that_elan_saved_meanwhile_is_loaded_and_not_overwritten(chromium, clips):
    name = ClipStore(clips).names[0]
    with Served("review", clips) as served:
        person = Person.at(chromium, served.address)
        before = len(person.rows())
        store = ClipStore(clips)
        opened = store.open(name)
        store.write(name, Document((ReviewSegment(2000, 3000, "MAL"),), "done", "by another program"), opened.version)
        written = (clips / name).read_bytes()
        person.press("j", "Delete")  # before the page has looked again
        person.page.get_by_text("another program changed this clip since it was opened").wait_for()
        assert len(person.rows()) == before - 1
        assert (clips / name).read_bytes() == written
        person.page.get_by_role("button", name="Load what is there now").click()
        person.items().first.get_by_text("2.00 to 3.00").wait_for()
        store.write(name, Document((ReviewSegment(2000, 3500, "MAL"),)), store.version(name))
        person.items().first.get_by_text("2.00 to 3.50").wait_for(timeout=15_000)  # it looks again by itself
        person.press("j", "1")
        person.stored()
        assert [one for one in person.faults if "409" not in one] == []
    assert rows_of(clips / name) == [(2000, 3500, "KCHI")]


def test_columns_and_texts_of_segments_are_shown_and_changed(chromium, tmp_path):
    clips = draw_clips(tmp_path, {"a": 60.0}, 1)
    write_columns(clips, [Column("mood", "mood@", "mood", "classification", ("calm", "cross"), (("calm", "C"),))])
    store = ClipStore(clips)
    (name,) = store.names
    said = {"vcm_type": "N", "mood": "cross"}
    rows = (ReviewSegment(2000, 3000, "MAL", text="hm"), ReviewSegment(4000, 5000, "KCHI", values=said))
    store.write(name, Document(rows), store.version(name))
    with Served("review", clips) as served:
        person = Person.at(chromium, served.address)
        page = person.page
        person.press("Home", "j")
        assert page.get_by_label("transcription").input_value() == "hm"
        page.get_by_label("transcription").fill("hm, yes")
        page.get_by_role("button", name="ADS").click()
        person.press("j")
        assert not page.get_by_role("button", name="ADS").is_visible()  # nobody asks to whom a child speaks
        person.press("a")
        page.get_by_text("addressee is for FEM and MAL").wait_for()
        assert page.get_by_role("button", name="cross", pressed=True).is_visible()
        page.get_by_label("vcm_type").fill("C")
        page.get_by_role("button", name="calm").click()
        person.press("1", "u")
        person.stored()
        assert person.faults == []
    found = {one.start: one for one in ClipStore(clips).open(name).document.segments}
    assert (found[2000].text, found[2000].values) == ("hm, yes", {"addressee": "ADS"})
    assert found[4000].values == {"vcm_type": "C", "mood": "calm", "unsure": "unsure"}
    assert "C" in [one.text for tier in format_of(clips / name).read_tiers(clips / name, "a")
                   for one in tier.pieces if tier.name == "mood@CHI"]  # fmt: skip


def test_it_says_stored_only_when_the_newest_change_is(chromium, tmp_path):
    clips = draw_clips(tmp_path, {"a": 60.0}, 1)
    store = ClipStore(clips)
    (name,) = store.names
    store.write(name, Document((ReviewSegment(2000, 3000, "MAL"),)), store.version(name))
    with Served("review", clips) as served:
        person = Person.at(chromium, served.address)
        person.page.evaluate("""() => {
            const plain = window.fetch;
            window.fetch = async (...given) => {
                const answer = await plain(...given);
                if (given[1]?.method === "PUT") await new Promise((resolve) => setTimeout(resolve, 700));
                return answer;
            };
            window.said = [];
            const place = document.getElementById("stored");
            new MutationObserver(() => window.said.push(place.textContent)).observe(place, { childList: true });
        }""")
        person.press("Home", "j", "1", "4")  # the second change comes while the first is being stored
        for _ in range(100):
            person.page.wait_for_timeout(50)
            if person.page.evaluate("window.said.at(-1) === 'Stored.'"):
                break
        assert person.page.evaluate("window.said.filter((text) => text === 'Stored.').length") == 1
        assert rows_of(clips / name) == [(2000, 3000, "FEM")]


def test_it_plays_a_segment_to_its_end_and_the_stretch(chromium, clips):
    with Served("review", clips) as served:
        person = Person.at(chromium, served.address)
        page = person.page
        person.press("Home", "j")
        end = float(person.rows()[person.selected()][0].partition(" to ")[2])
        person.press("Enter")
        page.get_by_role("button", name="Pause").wait_for()
        page.get_by_role("button", name="Play").wait_for(timeout=15_000)
        assert end - 0.1 <= float(page.locator("#clock").inner_text().split()[0]) <= end + 0.5
        person.press("p")
        page.get_by_role("button", name="Pause").wait_for()
        page.wait_for_timeout(500)
        person.press(" ")
        assert 1.0 < float(page.locator("#clock").inner_text().split()[0]) < 12
        person.press("n")
        page.get_by_text("begins at").wait_for()
        assert person.faults == []


def test_somebody_is_told_when_the_server_has_ended(chromium, clips):
    with Served("review", clips) as served:
        person = Person.at(chromium, served.address)
        served.kill()
        person.press("j", "Delete")
        person.page.get_by_text("The program that serves this page has ended").wait_for()
        assert person.page.get_by_text("Not stored yet!").is_visible()


def test_clips_are_drawn_from_a_run_if_there_are_none(tmp_path):
    run = write_day(tmp_path, {"a": 60.0, "b": 5.0})
    with Served("review", run, "--clips", 2, "--length", 10) as served:
        served.stop()
    assert len(ClipStore(run / "review").names) == 2
    with Served("review", run, "--clips", 3) as served:  # the clips of before, perhaps corrected
        served.stop()
    assert len(ClipStore(run / "review").names) == 2
