"""``babyhubert plot``: the figure holds what was found, in the range that was asked for."""

from __future__ import annotations

import builtins
import re
from pathlib import Path

import numpy as np
import pytest
from results_folders import random_rows, write_run

from babyhubert.annotation.segments import Segments
from babyhubert.errors import ConfigError
from babyhubert.measures.hours import HOUR, hours_of
from babyhubert.measures.results import RecordingResult
from babyhubert.report.plot import FigureSettings, _draw_minutes, parse_moment, parse_size
from commands import command

SECOND = 16_000


@pytest.fixture
def run(tmp_path):
    rows = random_rows(np.random.default_rng(0), 300, 2 * 3600)
    (tmp_path / "starts.csv").write_text("recording_id,start_time\na b/dáy,7:30\n", encoding="utf-8")
    return write_run(tmp_path / "out", {"a b/dáy": rows}, 2 * 3600)


@pytest.mark.parametrize(("suffix", "head"), [(".pdf", b"%PDF"), (".png", b"\x89PNG"), (".svg", b"<?xml")])
def test_each_format_is_written_twice_the_same(run, tmp_path, suffix, head):
    for name in ("one", "two"):
        assert command("plot", run, "-o", tmp_path / f"{name}{suffix}", "--dpi", 40, "--size", "4x3").code == 0
    one = (tmp_path / f"one{suffix}").read_bytes()
    assert one.startswith(head)
    assert one == (tmp_path / f"two{suffix}").read_bytes()


def test_a_range_is_cut_by_the_clock(run, tmp_path):
    figure = tmp_path / "figure.svg"
    options = ("--start-times", tmp_path / "starts.csv", "--from", "8:00", "--to", "8:20:30", "--title", "Día <1>")
    assert command("plot", run, "-o", figure, *options).code == 0
    text = figure.read_text(encoding="utf-8")
    labels = re.findall(r"<text [^>]*>([^<]*)</text>", text)
    assert {"08:00", "08:20", "time of day (segments)", "Día &lt;1&gt;", "key child"} <= set(labels)
    assert "07:50" not in labels


def test_nothing_heard_makes_a_figure_too(tmp_path):
    write_run(tmp_path, {"a": []}, 60)
    assert command("plot", tmp_path, "-o", tmp_path / "a.png", "--dpi", 40).code == 0


def test_moments_by_the_clock_and_from_the_beginning():
    elapsed, clock = hours_of(3 * HOUR), hours_of(3 * HOUR, 23 * HOUR)
    assert parse_moment("--from", "1:30", elapsed) == 90 * 60 * SECOND
    assert parse_moment("--from", "0:30:10", clock) == (90 * 60 + 10) * SECOND
    for text, hours in (("3:01", elapsed), ("22:00", clock), ("half", clock), ("1:99", elapsed)):
        with pytest.raises(ConfigError, match=re.escape(f"--from {text}")):
            parse_moment("--from", text, hours)


def test_sizes():
    assert parse_size("7x3.5") == (7, 3.5)
    for text in ("7", "7x", "0x3", "axb", "7x3x2"):
        with pytest.raises(ConfigError, match="width x height"):
            parse_size(text)


def test_what_cannot_be_drawn_is_one_line(run, tmp_path):
    assert ".pdf, .png or .svg" in command("plot", run, "-o", tmp_path / "a.docx").error
    assert "not in" in command("plot", run, "-o", tmp_path / "a.pdf", "--recording", "b").error
    assert "must come later" in command("plot", run, "-o", tmp_path / "a.pdf", "--from", "1:00", "--to", "0:10").error
    write_run(tmp_path / "two", {"a": [], "b": []}, 60)
    assert "choose one with --recording: a, b" in command("plot", tmp_path / "two", "-o", tmp_path / "a.pdf").error


def test_without_matplotlib_the_extra_is_named(run, tmp_path, monkeypatch):
    real = builtins.__import__

    def without(name, *rest):
        if name.startswith("matplotlib"):
            raise ImportError(name)
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without)
    assert "pip install '.[plot]'" in command("plot", run, "-o", tmp_path / "a.pdf").error


def test_bars_are_the_minutes_within_the_range():
    from matplotlib.figure import Figure

    rows = random_rows(np.random.default_rng(1), 400, 3 * 3600)
    recording = RecordingResult("a", Path("a.wav"), 3 * HOUR, Segments.from_rows(rows))
    start, stop = HOUR // 2, 2 * HOUR
    axis = Figure().subplots()
    _draw_minutes(axis, recording, FigureSettings(start, stop), hours_of(3 * HOUR))
    labels = [container.get_label() for container in axis.containers]
    assert labels == ["key child", "other children", "women", "men"]
    for container, voice in zip(axis.containers, ("KCHI", "OCH", "FEM", "MAL"), strict=True):
        for bar, (low, high) in zip(container, ((start, HOUR), (HOUR, stop)), strict=True):
            spoken = sum(max(0, min(e, high) - max(s, low)) for s, e, label in rows if label == voice)
            assert bar.get_height() == pytest.approx(spoken / (60 * SECOND))


def test_within_an_hour_there_is_a_bar_a_voice():
    from matplotlib.figure import Figure

    rows = random_rows(np.random.default_rng(1), 200, 3600)
    recording = RecordingResult("a", Path("a.wav"), HOUR, Segments.from_rows(rows))
    start, stop = HOUR // 4, HOUR // 2
    axis = Figure().subplots()
    _draw_minutes(axis, recording, FigureSettings(start, stop), hours_of(HOUR))
    labels = [label.get_text() for label in axis.get_yticklabels()]
    assert labels == ["key child", "other\nchildren", "women", "men"]
    for bar, voice in zip(axis.containers[0], ("KCHI", "OCH", "FEM", "MAL"), strict=True):
        spoken = sum(max(0, min(e, stop) - max(s, start)) for s, e, label in rows if label == voice)
        assert bar.get_width() == pytest.approx(spoken / (60 * SECOND))
    heights = [bar.get_y() for bar in axis.containers[0]]
    assert heights == sorted(heights, reverse=True)  # as the lanes: the key child on top
