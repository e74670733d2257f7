"""What the page of `babyhubert app` stands on: the list of analyses, folders, thresholds, starters."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from babyhubert.desktop import commands as command_lines
from babyhubert.desktop.shortcut import install_shortcut
from babyhubert.desktop.workspace import Options, Workspace, safe_name
from babyhubert.errors import ConfigError, OutputError
from commands import command, write_small_model, write_sounds


def test_analyses_are_kept_and_names_are_free(tmp_path):
    workspace = Workspace(tmp_path / "w")
    first = workspace.add("Day: one/two", [tmp_path], Options())
    second = workspace.add("day_ one_two", [tmp_path], Options(speed="fast"))
    assert (first.name, second.name) == ("Day_ one_two", "day_ one_two 2")
    again = Workspace(tmp_path / "w")
    assert [each.name for each in again.analyses()] == [second.name, first.name]
    assert again.find(second.name).options.speed == "fast"
    again.remove(first.name)
    assert [each.name for each in workspace.analyses()] == [second.name]


@pytest.mark.parametrize(
    ("name", "folder"),
    [("../../etc", "etc"), ("a/b", "a_b"), ("  ", ""), ("CON", "_CON"), ("Élodie 3;1", "Élodie 3_1"), ("...", "")],
)
def test_names_of_folders(name, folder):
    assert safe_name(name) == folder


def test_a_damaged_list_is_named(tmp_path):
    (tmp_path / "analyses.json").write_text('{"analyses": [{"name": 3')
    with pytest.raises(OutputError, match=r"analyses\.json: cannot be read"):
        Workspace(tmp_path).analyses()


def test_the_command_is_the_one_of_the_terminal(tmp_path):
    analysis = Workspace(tmp_path).add("x", [tmp_path / "my days"], Options(model="coml/VTC-2", thresholds="f1"))
    line = command_lines.as_typed(command_lines.analyze(analysis))
    assert (
        line == f"babyhubert analyze '{tmp_path}/my days' -o {tmp_path}/results/x --speed balanced --model coml/VTC-2"
    )


@pytest.fixture(scope="module")
def analysed(tmp_path_factory):
    folder = tmp_path_factory.mktemp("analysed")
    write_sounds(folder / "days", ["a.wav", "b.wav"], seconds=12)
    model = write_small_model(folder / "model")
    assert command("segment", folder / "days", "-o", folder / "out", "--model", model, "--save-probs").code == 0
    return folder / "out"


def test_minutes_by_threshold_are_counted_frame_by_frame(analysed):
    from babyhubert.desktop.preview import minutes_by_threshold

    found = minutes_by_threshold(analysed)
    scores = np.concatenate([np.load(path).astype(np.float64) for path in sorted((analysed / "probs").glob("*.npy"))])
    for column, label in enumerate(found["labels"]):
        expected = [float((scores[:, column] > step / 100).sum() * 0.02 / 60) for step in range(101)]
        assert found["minutes"][label] == pytest.approx(expected, abs=6e-4)
    assert found["recordings"] == 2


def test_thresholds_of_the_page_are_a_file_that_segment_reads(analysed):
    from babyhubert.desktop.preview import write_thresholds

    values = {"KCHI": 0.25, "OCH": 1.0, "MAL": 0.5, "FEM": 0.75}
    path = write_thresholds(analysed, values)
    from babyhubert.inference.thresholds import select_thresholds

    assert select_thresholds(str(path), list(values)) == values
    with pytest.raises(ConfigError, match="KCHI"):
        write_thresholds(analysed, values | {"KCHI": 2.0})


def test_dropped_files_stay_below_the_workspace(tmp_path):
    from babyhubert.desktop.folders import keep_dropped

    async def pieces(*given: bytes):
        for each in given:
            yield each

    workspace = Workspace(tmp_path / "w")
    kept = asyncio.run(keep_dropped(workspace, "../..", "../../day.wav", pieces(b"ab", b"cd")))
    assert kept == tmp_path / "w" / "dropped" / "files" / "day.wav"
    assert kept.read_bytes() == b"abcd"
    with pytest.raises(ConfigError, match="two files of this name"):
        asyncio.run(keep_dropped(workspace, "../..", "day.wav", pieces(b"x")))
    with pytest.raises(ConfigError, match=r"notes\.txt: not known as a recording"):
        asyncio.run(keep_dropped(workspace, "b", "notes.txt", pieces(b"x")))


def test_folders_are_browsed(tmp_path):
    from babyhubert.desktop.folders import browse

    write_sounds(tmp_path / "days", ["a.wav", "sub/b.wav"], seconds=1)
    (tmp_path / "days" / "notes.txt").write_text("x")
    found = browse(str(tmp_path / "days"))
    assert (found["folders"], found["recordings"]) == (["sub"], ["a.wav"])
    assert found["parent"] == str(tmp_path)
    for bad in ("days", str(tmp_path / "nowhere")):
        with pytest.raises(ConfigError, match="no such folder"):
            browse(bad)


@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX systems")
def test_a_stopped_analysis_is_continued(tmp_path):
    from babyhubert.desktop.processes import Processes

    write_sounds(tmp_path / "days", [f"{n}.wav" for n in range(6)], seconds=40)
    options = Options(model=str(write_small_model(tmp_path / "model")), speed="exact")
    analysis = Workspace(tmp_path / "w").add("x", [tmp_path / "days"], options)
    processes = Processes(tmp_path / "p")
    processes.start("x", command_lines.analyze(analysis), analysis.output)
    assert processes.is_running("x", analysis.output)
    with pytest.raises(ConfigError, match="'x' is running"):
        processes.start("x", command_lines.analyze(analysis), analysis.output)
    time.sleep(1)
    processes.stop("x", analysis.output)
    wait_for_end(processes, analysis)
    processes.start("x", command_lines.analyze(analysis), analysis.output)
    wait_for_end(processes, analysis)
    assert processes.exit_code("x") == 0
    assert len(json.loads((analysis.output / "run.json").read_text())["recordings"]) == 6
    assert any("6 recordings done" in line or "kept from before" in line for line in processes.last_lines("x"))


def test_a_number_that_another_program_has_now_is_not_the_command(tmp_path):
    from babyhubert.desktop.processes import Processes

    sleeper = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    try:
        (tmp_path / "x.json").write_text(json.dumps({"process": sleeper.pid, "began": time.time() - 9999}))
        processes = Processes(tmp_path)
        assert not processes.is_running("x", tmp_path / "out")
        processes.stop("x", tmp_path / "out")
        assert sleeper.poll() is None
    finally:
        sleeper.send_signal(signal.SIGTERM)
        sleeper.wait(10)


def wait_for_end(processes, analysis):
    for _ in range(1200):
        if not processes.is_running(analysis.name, analysis.output):
            return
        time.sleep(0.1)
    pytest.fail("the command did not end")


@pytest.mark.parametrize(
    ("system", "name", "content"),
    [
        ("Windows", "BabyHuBERT.cmd", "pause"),
        ("Darwin", "BabyHuBERT.command", "#!/bin/sh"),
        ("Linux", "babyhubert.desktop", "Exec="),
    ],
)
def test_starters(tmp_path, system, name, content):
    (path,) = install_shortcut(tmp_path / "my analyses", tmp_path / "desktop", system)
    text = path.read_text()
    assert path.name == name
    assert content in text
    assert "my analyses" in text
    if system != "Windows":
        assert os.access(path, os.X_OK)


@pytest.mark.skipif(os.name == "nt", reason="a shell of POSIX systems")
def test_the_starter_of_macos_runs_the_command(tmp_path):
    (path,) = install_shortcut(tmp_path / "it's here", tmp_path / "desktop", "Darwin")
    text = path.read_text().replace("exec ", "printf '%s\\n' ")
    said = subprocess.run(["/bin/sh", "-c", text], capture_output=True, text=True, check=True).stdout.splitlines()
    assert said == [sys.executable, "-m", "babyhubert", "app", "--folder", str(tmp_path / "it's here")]


def test_starters_of_unknown_systems(tmp_path):
    with pytest.raises(ConfigError, match="Plan 9"):
        install_shortcut(tmp_path, tmp_path, "Plan 9")
