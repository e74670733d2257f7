"""Make the pictures of the documentation anew: python docs/site/pictures.py [RECORDINGS]

Runs the commands of docs/first-hour.md on some recordings (default: two simulated ones), and takes the figure and
screenshots of the report, of `babyhubert app` and of `babyhubert review` with Chromium. Takes some minutes; needs the
dev dependencies and a Chromium on the path.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Browser, Page, sync_playwright

IMAGES = Path(__file__).parents[1] / "images"
WAIT_MS = 1_800_000


def main() -> None:
    """Write every picture."""
    IMAGES.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as name, sync_playwright() as playwright:
        folder = Path(name)
        if len(sys.argv) > 1:
            recordings = Path(sys.argv[1]).absolute()
        else:
            run(folder, "simulate", "-o", "scenes", "--recordings", "2", "--minutes", "30", "--seed", "3")
            recordings = folder / "scenes" / "audio"
        chromium = shutil.which("chromium") or shutil.which("google-chrome")
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        results = take_app(browser, folder, recordings)
        first = min(path.stem for path in (results / "rttm").glob("*.rttm"))
        figure = ("-o", str(IMAGES / "timeline.png"), "--dpi", "110", "--size", "9x4")
        run(folder, "plot", str(results), "--recording", first, *figure)
        take_report(browser, results / "report.html")
        lively = ("--method", "high-volubility", "--clips", "2", "--length", "20", "--context", "2")
        run(folder, "sample", str(results), "-o", "clips", *lively)
        take_review(browser, folder)
        browser.close()


def run(folder: Path, *words: str) -> None:
    """Run a command to its end."""
    subprocess.run([sys.executable, "-m", "babyhubert", *words], cwd=folder, check=True)


@contextmanager
def served(folder: Path, *words: str) -> Iterator[str]:
    """Address of a page that a command serves."""
    line = [sys.executable, "-m", "babyhubert", *words, "--no-browser"]
    process = subprocess.Popen(line, cwd=folder, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        yield next(line.strip() for line in process.stdout if line.startswith("http://"))
    finally:
        process.terminate()
        process.wait()


def take_app(browser: Browser, folder: Path, recordings: Path) -> Path:
    """Analyse the recordings on the page of `babyhubert app`; the results folder."""
    with served(folder, "app", "--folder", "analyses") as address:
        page = browser.new_page(viewport={"width": 1000, "height": 900})
        page.goto(address)
        page.wait_for_selector("#model option", state="attached")
        page.click("#choose")
        page.fill("#path", str(recordings))
        page.press("#path", "Enter")
        page.wait_for_timeout(1000)
        page.click("#take")
        page.fill("#name", "my recordings")
        page.click("#start:not([disabled])")
        page.wait_for_selector('article .state[data-state="done"]', timeout=WAIT_MS)
        page.click(".thresholds > summary")
        page.wait_for_selector(".sliders input")
        page.screenshot(path=IMAGES / "app.png", full_page=True)
    return folder / "analyses" / "results" / "my recordings"


def take_report(browser: Browser, page_file: Path) -> None:
    """Screenshots of the report in a wide and a narrow window."""
    for name, width, height in (("report", 1280, 900), ("report-narrow", 400, 860)):
        shoot(browser.new_page(viewport={"width": width, "height": height}), page_file.as_uri(), name)


def take_review(browser: Browser, folder: Path) -> None:
    """Screenshot of a clip that is corrected."""
    with served(folder, "review", "clips") as address:
        shoot(browser.new_page(viewport={"width": 1000, "height": 760}), address, "review")


def shoot(page: Page, address: str, name: str) -> None:
    """Screenshot of a page a moment after it opened."""
    page.goto(address)
    page.wait_for_timeout(3000)
    page.screenshot(path=IMAGES / f"{name}.png")


if __name__ == "__main__":
    main()
