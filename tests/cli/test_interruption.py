"""A run that is stopped half-way, however rudely, is continued by the same command to the same bytes."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from commands import command, contents, start, write_sounds

RECORDINGS = 12
pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")


@pytest.fixture(scope="module")
def audio(tmp_path_factory) -> Path:
    """Recordings that take the process long enough to be stopped among them."""
    names = [f"{number:02}.wav" for number in range(RECORDINGS)]
    return write_sounds(tmp_path_factory.mktemp("audio"), names, seconds=40)


def stopped_half_way(
    run: tuple[object, ...], pattern: str, output: Path, how: signal.Signals
) -> tuple[int, str, set[str]]:
    """Start a run and stop it after its first recording: exit status, what it said, and the recordings it finished.

    Begun anew where a busy machine let the run end before it could be stopped.
    """
    for _ in range(5):
        process = start(*run, "-o", output)
        said = stop_after_first(process, pattern, output, how)
        finished = {path.stem for path in output.glob(pattern)}
        if len(finished) < RECORDINGS:
            return process.returncode, said, finished
        shutil.rmtree(output)
    raise AssertionError("no run could be stopped half-way")


def stop_after_first(process: subprocess.Popen[str], pattern: str, output: Path, how: signal.Signals) -> str:
    """Wait for the first finished recording, send a signal, give what the process said on its error stream."""
    until = time.monotonic() + 60
    while not list(output.glob(pattern)):
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < until, "the run has not begun"
        time.sleep(0.002)
    process.send_signal(how)
    return process.communicate(timeout=60)[1]


@pytest.mark.parametrize(
    ("verb", "how"),
    [("segment", signal.SIGINT), ("embed", signal.SIGINT), ("segment", signal.SIGKILL), ("embed", signal.SIGKILL)],
)
def test_the_same_command_continues_to_the_same_bytes(small_model, audio, tmp_path, verb, how):
    out = tmp_path / "out"
    run = (verb, audio, "--model", small_model, "--device", "cpu", "--batch-size", 1)
    records = f".babyhubert/{verb}/records/[0-9]*.json"
    status, said, whole = stopped_half_way(run, records, out, how)
    assert whole
    if how == signal.SIGINT:
        assert status == 130
        assert "run the same command again to continue" in said
        assert "Traceback" not in said
        assert not list(out.rglob(".babyhubert-partial-*"))
        recorded = json.loads((out / "run.json").read_text(encoding="utf-8"))["recordings"]
        assert {recording["recording_id"] for recording in recorded} == whole
    else:
        assert status == -how
    leftover = out / f".babyhubert/{verb}/records/.babyhubert-partial-0123abcd.json"
    leftover.write_text("{", encoding="utf-8")
    second = command(*run, "-o", out)
    assert second.code == 0, second.err
    assert f"{RECORDINGS - len(whole)} recordings done, {len(whole)} kept from before" in second.out
    assert command(*run, "-o", tmp_path / "undisturbed").code == 0
    assert contents(out) == contents(tmp_path / "undisturbed")
    assert not list(out.rglob(".babyhubert-partial-*"))


def test_two_runs_in_one_folder_at_once_are_refused(small_model, audio, tmp_path):
    out = tmp_path / "out"
    run = ("segment", audio, "-o", out, "--model", small_model, "--device", "cpu", "--batch-size", 1)
    first = start(*run)
    try:
        while not list(out.glob("csv/[0-9]*.csv")):
            assert first.poll() is None, first.communicate()
            time.sleep(0.002)
        first.send_signal(signal.SIGSTOP)  # or it might end before the second begins
        second = command(*run)
        assert second.code == 2
        assert f"{out}: another run is writing here" in second.error
    finally:
        first.kill()
        first.communicate()
    assert command(*run).code == 0
    assert len(list(out.glob("csv/*.csv"))) == RECORDINGS
