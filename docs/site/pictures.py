"""Make the pictures of the documentation anew: python docs/site/pictures.py

Simulates two recordings, runs the commands of docs/first-hour.md on them, and takes the figure and screenshots of the
report with Chromium. Takes some minutes; needs the dev dependencies and a Chromium on the path.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

IMAGES = Path(__file__).parents[1] / "images"
COMMANDS = (
    "simulate -o scenes --recordings 2 --minutes 30 --seed 3",
    "segment scenes/audio -o results",
    "report results",
    "plot results --recording scene_000 -o timeline.png --dpi 110 --size 9x4",
)
SHOTS = {"report": (1280, 900), "report-narrow": (400, 860)}


def main() -> None:
    """Write every picture."""
    IMAGES.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for command in COMMANDS:
            subprocess.run([sys.executable, "-m", "babyhubert", *command.split()], cwd=folder, check=True)
        shutil.copyfile(folder / "timeline.png", IMAGES / "timeline.png")
        take_shots(folder / "results" / "report.html")


def take_shots(page_file: Path) -> None:
    """Screenshots of the report in a wide and a narrow window."""
    from playwright.sync_api import sync_playwright

    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        for name, (width, height) in SHOTS.items():
            page = browser.new_page(viewport={"width": width, "height": height})
            page.goto(page_file.as_uri())
            page.wait_for_timeout(1000)
            page.screenshot(path=IMAGES / f"{name}.png")
        browser.close()


if __name__ == "__main__":
    main()
