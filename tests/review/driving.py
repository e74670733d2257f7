"""Clips to correct, and a person at the review page: Chromium, driven by mouse and keyboard."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import soundfile
from making import RATE, babble
from playwright.sync_api import Browser, Locator, Page
from results_folders import write_run

from babyhubert.annotation.reading import read_segments
from babyhubert.annotation.segments import VOICE_TYPES
from commands import command

CLIPS_HERE = int(os.environ.get("BABYHUBERT_REVIEW_CLIPS", "1"))
"""Per recording; BABYHUBERT_REVIEW_CLIPS=25 corrects fifty."""
SECONDS = {"a/day 1": max(60.0, 25.0 * CLIPS_HERE), "b": max(60.0, 25.0 * CLIPS_HERE)}
CONTEXT = 1.0

Row = tuple[int, int, str]
"""Start and end in whole milliseconds of the clip, and voice."""


def write_day(folder: Path, seconds: dict[str, float], gap: int = 1500) -> Path:
    """An output folder of ``segment`` on made-up recordings: segments at least 300 ms long, lanes that overlap."""
    rows: dict[str, list[Row]] = {}
    paths = {}
    for number, (name, duration) in enumerate(seconds.items()):
        paths[name] = folder / "audio" / f"{name}.wav"
        paths[name].parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(paths[name], babble(int(duration * RATE), RATE, seed=number), RATE)
        draw = np.random.default_rng(number)
        rows[name] = []
        for label in VOICE_TYPES:
            at = int(draw.integers(0, 2 * gap))
            while at + 4000 < duration * 1000:
                length = int(draw.integers(300, 1500))
                rows[name].append((16 * at, 16 * (at + length), label))
                at += length + int(draw.integers(gap, 3 * gap))
    return write_run(folder / "out", rows, seconds, paths=paths)


def draw_clips(folder: Path, seconds: dict[str, float], clips: int) -> Path:
    """Clips of 12 s with :data:`CONTEXT` around them, drawn from :func:`write_day`."""
    run = write_day(folder, seconds)
    options = ("--clips", clips, "--length", 12, "--context", CONTEXT)
    assert command("sample", run, "-o", folder / "clips", *options).code == 0
    return folder / "clips"


@dataclass
class Person:
    """Somebody at the page, who knows what the clip should say."""

    page: Page
    faults: list[str] = field(default_factory=list)

    @classmethod
    def at(cls, chromium: Browser, address: str, **options: object) -> Person:
        page = chromium.new_context(viewport={"width": 1000, "height": 900}, **options).new_page()
        person = cls(page)
        page.on("pageerror", lambda error: person.faults.append(str(error)))
        page.on("console", lambda line: person.faults.append(line.text) if line.type in ("error", "warning") else None)
        page.goto(address)
        person.wait_for_a_clip()
        return person

    def wait_for_a_clip(self, name: str | None = None) -> None:
        opened = "body[data-opened]" if name is None else f'body[data-opened="{name}"]'
        self.page.wait_for_selector(opened, timeout=20_000)

    def press(self, *keys: str) -> None:
        for key in keys:
            self.page.keyboard.press(key)

    def stored(self) -> None:
        self.page.get_by_text("Stored.", exact=True).wait_for(timeout=10_000)

    @property
    def clip(self) -> str:
        return self.page.locator("body").get_attribute("data-opened")

    def items(self) -> Locator:
        return self.page.locator("#segments li")

    def rows(self) -> list[tuple[str, str]]:
        """Times and voice of each segment, as the list says them."""
        return self.items().evaluate_all(
            "all => all.map(one => [one.querySelector('.times').textContent, one.querySelector('.voice').textContent])"
        )

    def selected(self) -> int:
        """Place of the selected segment in the list."""
        return self.items().evaluate_all("all => all.findIndex(one => one.getAttribute('aria-selected') === 'true')")

    def region(self, place: int) -> Locator:
        name = self.items().nth(place).get_attribute("id")
        return self.page.locator(f'[part="region {name}"]')

    def box(self) -> dict[str, float]:
        """Where the whole clip lies on the page."""
        return self.page.locator("#wave .wrapper").bounding_box()

    def lane(self, voice: str) -> float:
        """Middle of a lane on the page."""
        box = self.page.locator("#lanes span", has_text=voice).bounding_box()
        return box["y"] + box["height"] / 2

    def pull(self, start: tuple[float, float], end: tuple[float, float]) -> None:
        mouse = self.page.mouse
        mouse.move(*start)
        mouse.down()
        mouse.move((start[0] + end[0]) / 2, end[1], steps=3)
        mouse.move(*end, steps=3)
        mouse.up()


def rows_of(file: Path) -> list[Row]:
    """Segments of a clip's file, sorted as the page sorts them."""
    (found,) = read_segments(file).values()
    return sorted((start // 16, end // 16, label) for start, end, label in found)


def as_text(rows: list[Row]) -> list[list[str]]:
    return [[f"{start / 1000:.2f} to {end / 1000:.2f}", label] for start, end, label in rows]
