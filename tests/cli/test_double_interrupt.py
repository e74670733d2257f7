"""Ctrl-C, pressed twice or more, as a terminal sends it: to the command and to all of its workers."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from commands import command, contents, write_sounds

pytestmark = pytest.mark.skipif(os.name == "nt", reason="signals are those of POSIX")


def interrupted(arguments: tuple, ready: Path, times: int, gap: float) -> tuple[int, str]:
    """Run a command in a session of its own and interrupt all processes of it, once what it waits for is there."""
    process = subprocess.Popen(
        [sys.executable, "-m", "babyhubert", *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        encoding="utf-8",
        env=os.environ | {"PYTHONUTF8": "1"},
        start_new_session=True,
    )
    until = time.monotonic() + 120
    while not list(ready.glob("**/*.jsonl")) and time.monotonic() < until:
        time.sleep(0.05)
    for _ in range(times):
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGINT)
        time.sleep(gap)
    said = process.communicate(timeout=120)[0]
    return process.returncode, said


@pytest.mark.parametrize(("workers", "times"), [(0, 3), (2, 4)])
def test_interrupts(small_model, tmp_path, workers, times):
    if workers:
        pytest.importorskip("distributed")
    audio = write_sounds(tmp_path / "audio", [f"{number}.wav" for number in range(4)], seconds=60)
    out = tmp_path / "out"
    run = ("segment", audio, "--model", small_model, "--device", "cpu", *(("--workers", workers) if workers else ()))
    code, said = interrupted((*run, "-o", out), out, times, 0.2)
    assert code == 130, said
    assert "run the same command again to continue" in said
    assert "Traceback" not in said
    assert "Exception" not in said
    if not workers:
        return
    again = command("segment", audio, "--model", small_model, "--device", "cpu", "-o", out)
    assert again.code == 0, again.err
    assert command("segment", audio, "--model", small_model, "--device", "cpu", "-o", tmp_path / "whole").code == 0
    assert contents(out) == contents(tmp_path / "whole")
