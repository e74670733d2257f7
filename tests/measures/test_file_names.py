"""Start times in the names of files, as recorders write them."""

import pytest
from results_folders import read_rows, write_run

from babyhubert.measures.file_names import start_in_name
from babyhubert.timebase import SAMPLE_RATE
from commands import command


@pytest.mark.parametrize(
    ("name", "time"),
    [
        ("20210510_180000", "18:00:00"),
        ("e20210510_180059_009146", "18:00:59"),
        ("kid7_20210510180000", "18:00:00"),
        ("20210510T073005Z", "07:30:05"),
        ("2021-05-10T18:00:00", "18:00:00"),
        ("2021-05-10T18-00-01", "18:00:01"),
        ("kid 2021-05-10 18.00.00 (2)", "18:00:00"),
        ("2021-05-10_18-05", "18:05:00"),
        ("2021_05_10_18_05_09", "18:05:09"),
        ("210510_1800", "18:00:00"),
        ("REC-210510-180001", "18:00:01"),
        ("20210510_080000_20210510_160000", "08:00:00"),
        ("id123456_1200_20210510_080000", "08:00:00"),
    ],
)
def test_times_are_read(name, time):
    hours, minutes, seconds = map(int, time.split(":"))
    assert start_in_name(name) == ((hours * 60 + minutes) * 60 + seconds) * SAMPLE_RATE


@pytest.mark.parametrize(
    "name",
    ["day1", "20210510", "20211310_180000", "20210532_180000", "20210510_250000", "20210510_186000", "123456_1200",
     "120210510_1800001", "99999999_999999", "", "2021-05-10"],
)  # fmt: skip
def test_other_numbers_are_not_taken_for_times(name):
    assert start_in_name(name) is None


def test_measures_take_them_when_asked_and_tell(tmp_path):
    out = write_run(tmp_path, {"20210510_180500": [], "day2": []}, 7200)
    done = command("measures", out, "--start-times", "from-names")
    assert done.code == 0, done.err
    assert "note: start times from the names of files: 20210510_180500 18:05:00" in done.err
    assert "no date with a time of day in the name of 1 of 2 recordings (day2), measured by elapsed hours" in done.err
    assert "2 recordings measured, 1 by the clock" in done.out
    starts = {row["recording_id"]: row["start_time"] for row in read_rows(out / "measures.csv")}
    assert starts == {"20210510_180500": "18:05:00", "day2": "NA"}
    hours = [row["hour"] for row in read_rows(out / "hourly.csv") if row["recording_id"] == "20210510_180500"]
    assert hours == ["18:00", "19:00", "20:00"]
    assert "from the names" in command("report", out, "--start-times", "from-names", "--no-levels").err
    command("measures", out)  # and otherwise names say nothing
    assert {row["start_time"] for row in read_rows(out / "measures.csv")} == {"NA"}


def test_a_table_of_that_name_is_a_table(tmp_path, monkeypatch):
    out = write_run(tmp_path / "out", {"a": []}, 60)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "from-names").write_text("recording_id,start_time\na,7:00\n")
    command("measures", out, "--start-times", "from-names")
    assert read_rows(out / "measures.csv")[0]["start_time"] == "07:00:00"
