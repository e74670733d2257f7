"""Several files as one session have the measures of the recording that they were cut from."""

import numpy as np
import pytest
from results_folders import random_rows, read_rows, write_run

from babyhubert.timebase import SAMPLE_RATE
from commands import command

CUTS = (0, 1_200, 2_900, 4_000)  # seconds


def cut(rows):
    """Rows of each part, from its own beginning, and the rows that no cut divides."""
    bounds = [second * SAMPLE_RATE for second in CUTS]
    whole, parts = [], [[] for _ in CUTS[1:]]
    for start, end, label in rows:
        part = int(np.searchsorted(bounds, start, side="right")) - 1
        if end <= bounds[part + 1]:
            whole.append((start, end, label))
            parts[part].append((start - bounds[part], end - bounds[part], label))
    return whole, parts


@pytest.fixture
def folders(tmp_path):
    whole, parts = cut(random_rows(np.random.default_rng(5), 2_000, CUTS[-1]))
    lengths = {f"day_{n}": CUTS[n + 1] - CUTS[n] for n in range(3)}
    write_run(tmp_path / "whole", {"one": whole}, CUTS[-1])
    rows = {"other": [], **{f"day_{n}": parts[n] for n in range(3)}}
    write_run(tmp_path / "parts", rows, {"other": 60.0, **lengths})
    return tmp_path / "whole", tmp_path / "parts"


def write_table(path, *rows: str):
    path.write_text("\n".join(["recording_id,session", *rows]) + "\n", encoding="utf-8")
    return path


def test_a_session_has_the_measures_of_the_whole(folders, tmp_path):
    whole, parts = folders
    table = write_table(tmp_path / "s.csv", "day_0,one", "day_1.wav,one", "day_2,one", "gone,two")
    done = command("measures", parts, "--sessions", table, "--shuffles", 20)
    assert done.code == 0, done.err
    assert "1 session measured" in done.out
    assert f"note: {table}: names no recording of these results: gone" in done.err
    assert f"note: {table}: no session for 1 recording (other)" in done.err
    assert command("measures", whole, "--shuffles", 20).code == 0
    (session,) = read_rows(parts / "sessions.csv")
    (recording,) = read_rows(whole / "measures.csv")
    assert (session.pop("session"), session.pop("recordings")) == ("one", "3")
    del recording["recording_id"], recording["start_time"]
    assert session == recording
    assert len(read_rows(parts / "measures.csv")) == 4  # as without sessions


def test_the_order_is_that_of_the_table(folders, tmp_path):
    _, parts = folders
    forwards = write_table(tmp_path / "a.csv", "day_0,x", "day_1,x", "day_2,x")
    backwards = write_table(tmp_path / "b.csv", "day_2,x", "day_1,x", "day_0,x")
    found = []
    for table in (forwards, backwards):
        assert command("measures", parts, "--sessions", table, "--shuffles", 0).code == 0
        found.append(read_rows(parts / "sessions.csv")[0])
    assert found[0]["kchi_segments"] == found[1]["kchi_segments"]
    assert found[0]["duration_h"] == found[1]["duration_h"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("recording_id,child\nday_0,x\n", "columns recording_id (or recording_filename) and session are needed"),
        ("recording_id,session\nday_0,\n", "line 2: no session for day_0"),
        ("recording_id,session\nday_0,x\nday_0.wav,y\n", "line 3: day_0 is in the session x already"),
    ],
)
def test_tables_without_meaning_are_refused(folders, tmp_path, text, message):
    (tmp_path / "s.csv").write_text(text)
    assert message in command("measures", folders[1], "--sessions", tmp_path / "s.csv", "--shuffles", 0).error


def test_a_part_of_the_day_is_no_session(folders, tmp_path):
    table = write_table(tmp_path / "s.csv", "day_0,x")
    done = command("measures", folders[1], "--sessions", table, "--from", "7:00")
    assert "a session is measured as a whole" in done.error


def test_one_damaged_recording_fails_its_session_alone(folders, tmp_path):
    _, parts = folders
    (parts / "csv" / "day_1.csv").write_text("nonsense\n")
    (parts / "rttm" / "day_1.rttm").write_text("nonsense\n")
    table = write_table(tmp_path / "s.csv", "day_0,x", "day_1,x", "day_2,y")
    done = command("measures", parts, "--sessions", table, "--shuffles", 0)
    assert done.code == 1
    assert "failed: session x: " in done.err
    assert [row["session"] for row in read_rows(parts / "sessions.csv")] == ["y"]
