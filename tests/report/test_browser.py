"""The page in a real browser, driven by a script that a copy of the page carries. Needs a Chromium on the path."""

from __future__ import annotations

import html
import json
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from results_folders import random_rows, write_addressees, write_phonemes, write_run

from commands import command

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome", "chrome"))), None)
QUIET = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync", "--disable-extensions", "--enable-logging=stderr", "--v=0"),
)
DRIVER = (Path(__file__).parent / "driver.js").read_text(encoding="utf-8")

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on the path")


def browse(page: Path, folder: Path, width: int) -> tuple[dict, list[str]]:
    """What the driver saw, and what the console said."""
    copy = page.with_name("driven.html")
    text = page.read_text(encoding="utf-8")
    copy.write_text(text.replace("</body>", f"<script>{DRIVER}</script></body>"), encoding="utf-8")
    options = (f"--user-data-dir={folder}", f"--window-size={width},900", "--virtual-time-budget=8000", "--dump-dom")
    run = subprocess.run(
        [CHROMIUM, *QUIET, *options, copy.as_uri()],
        capture_output=True,
        text=True,
        encoding="utf-8",
        check=False,
        timeout=120,
    )
    found = re.search(r'data-told="([^"]*)"', run.stdout)
    console = [line for line in run.stderr.splitlines() if "CONSOLE" in line]
    assert found, console or run.stderr[-2000:]
    return json.loads(html.unescape(found[1])), console


@pytest.fixture(scope="module")
def page(tmp_path_factory):
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


@pytest.mark.parametrize("width", [1000, 500])
def test_the_page_works_in_a_browser(page, tmp_path, width):
    told, console = browse(page, tmp_path, width)
    assert console == []
    assert told["rows"] == ["a/<b>day</b>", "short", "silent & long"]
    assert {"Recordings", "Minutes of speech an hour", "What failed: 1"} <= set(told["headings"])
    assert sum(told["counts"].values()) == 5000
    assert told["aggregated"] is True
    assert told["zoomed"] == {"span": pytest.approx(4 * 3600e3 / 2**12), "aggregated": False}
    assert told["moved"] > 0
    assert told["listed"] >= 1
    assert told["whole"] == [0, 4 * 3600e3]
    assert told["wheel"] < 4 * 3600e3
    assert told["colours"] > 5
    assert told["filtered"] == 1
    assert told["sorted"] == ["silent & long", "a/<b>day</b>", "short"]
    assert told["opened"] == "a/<b>day</b>"
    assert told["theme"] == "light"
    assert told["wide"] <= 0
    assert told["bold"] == 0
