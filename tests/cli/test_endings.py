"""What a run says while it works and when it ends: numbers that agree, minutes, the next command, 80 columns."""

from __future__ import annotations

import io
import re

import pytest
from rich.console import Console
from rich.progress import Task

from babyhubert.cli.progress import RunProgressDisplay
from babyhubert.errors import counted
from commands import command, write_sounds

DAY = 16 * 3600 * 16_000


@pytest.mark.parametrize("width", [80, 100, 120, 200])
def test_progress_fits_the_terminal_and_labels_the_time_left(width: int, monkeypatch) -> None:
    monkeypatch.setattr(Task, "speed", property(lambda _: 1234.5 * 16_000))
    screen = io.StringIO()
    console = Console(file=screen, force_terminal=True, width=width, highlight=False, color_system=None)
    with RunProgressDisplay("phonemes", console) as display:
        display.start(5678, 5678 * DAY, 0)
        for number in range(1234):
            display.advance(f"day{number}", DAY // 2)
            display.done(f"day{number}", None)
    lines = [line for line in re.split(r"[\r\n]|\x1b\[[0-9;?]*[A-Za-z]", screen.getvalue()) if "1234/5678" in line]
    assert lines
    assert max(map(len, lines)) <= width
    assert re.search(r"1234/5678.* 9872:00:00 of 90848:00:00.* 1234.5 x real time +[0-9:-]+ left", lines[-1])
    assert "…" not in lines[-1]


def test_nouns_agree_with_their_number() -> None:
    assert [counted(number, "recording") for number in range(3)] == ["0 recordings", "1 recording", "2 recordings"]


def test_segment_ends_with_minutes_and_the_next_command(small_model, tmp_path) -> None:
    audio = write_sounds(tmp_path / "audio", ["a.wav", "b.wav"])
    out = tmp_path / "my results"
    done = command("segment", audio, "-o", out, "--model", small_model)
    rows = [line.split(",") for line in (out / "rttm.csv").read_text(encoding="utf-8").splitlines()[1:]]
    told = ", ".join(
        f"{name} {sum(float(row[2]) for row in rows if row[3] == name) / 60:.1f}"
        for name in ("KCHI", "OCH", "MAL", "FEM")
    )
    assert f"minutes of speech: {told}, in 2 recordings, 0:00:10 of audio\n" in done.out
    assert done.out.splitlines()[-1].startswith(f"next: babyhubert report '{out}'")
    alone = command("segment", audio / "a.wav", "-o", tmp_path / "one", "--model", small_model)
    assert alone.err.splitlines()[0] == "1 recording, 0:00:05 of audio"
    assert "1 recording done, 0 kept from before, 0 failed" in alone.out
