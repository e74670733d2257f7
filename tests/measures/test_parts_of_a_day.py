"""Measures of a part of the day, and of other periods than hours."""

import json

import numpy as np
import pytest
from results_folders import random_rows, read_rows, write_run

from babyhubert.errors import AnnotationError, ConfigError
from babyhubert.measures.hours import DAY, HOUR, hours_of, parse_clock, part_of_day
from babyhubert.measures.results import read_results
from babyhubert.measures.tables import MeasureSettings, measure
from babyhubert.timebase import SAMPLE_RATE
from commands import command

START = parse_clock("6:10", "here")
ADDITIVE = ("_min", "_segments", "_vocalisations", "turns_floor", "duration_h", "_chance")


@pytest.fixture(scope="module")
def recording(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    write_run(folder, {"a": random_rows(np.random.default_rng(3), 3_000, 9 * 3600)}, 9 * 3600)
    return read_results(folder).read("a")


def numbers(values) -> np.ndarray:
    return np.array([np.nan if value is None else value for value in values], dtype=float)


@pytest.mark.parametrize("period", [15, 30, 60, 120, 1440])
def test_periods_add_up_to_the_hours(recording, period):
    hourly = measure(recording, MeasureSettings(shuffles=0), START)
    other = measure(recording, MeasureSettings(shuffles=0, period_min=period), START)
    for name, value in hourly.whole.items():
        np.testing.assert_equal(other.whole[name], value)
        if name.endswith(ADDITIVE) and not name.endswith("_per_min") and not np.isnan(value):
            np.testing.assert_allclose(other.hourly[name].sum(), value, err_msg=name)
    assert other.hours.names[0] == {15: "06:00", 30: "06:00", 60: "06:00", 120: "06:00", 1440: "00:00"}[period]


def test_a_part_of_the_day_has_the_numbers_of_its_hours(recording):
    day = measure(recording, MeasureSettings(shuffles=0), START)
    part = measure(recording, MeasureSettings(shuffles=0, from_time="7:00", to_time="13:00"), START)
    assert part.hours.names == ["07:00", "08:00", "09:00", "10:00", "11:00", "12:00"]
    rows = slice(day.hours.names.index("07:00"), day.hours.names.index("13:00"))
    for name in day.whole:
        np.testing.assert_array_equal(part.hourly[name], day.hourly[name][rows], err_msg=name)
        if name.endswith(ADDITIVE) and not name.endswith("_per_min") and not np.isnan(part.whole[name]):
            np.testing.assert_allclose(part.whole[name], part.hourly[name].sum(), err_msg=name)
    assert part.whole["duration_h"] == 6.0


def test_it_equals_counting_by_hand(recording):
    """Segments that begin between 7:20 and 9:40; their minutes are cut there."""
    first, last = (parse_clock(text, "here") - START for text in ("7:20", "9:40"))
    part = measure(recording, MeasureSettings(shuffles=0, from_time="7:20", to_time="9:40"), START)
    for label in ("KCHI", "OCH", "MAL", "FEM"):
        own = recording.segments.of(label)
        inside = (own.start >= first) & (own.start < last)
        assert part.whole[f"{label.lower()}_segments"] == inside.sum()
        cut = np.clip(own.end, first, last) - np.clip(own.start, first, last)
        np.testing.assert_allclose(part.whole[f"{label.lower()}_speech_min"], cut.sum() / SAMPLE_RATE / 60)
        np.testing.assert_allclose(
            part.whole[f"{label.lower()}_segment_mean_s"], (own.end - own.start)[inside].mean() / SAMPLE_RATE
        )
    np.testing.assert_allclose(part.whole["duration_h"], 2 + 1 / 3)
    assert part.hours.names == ["07:00", "08:00", "09:00"]


def test_chance_is_that_of_the_same_hours(recording):
    part = measure(recording, MeasureSettings(shuffles=40, from_time="7:00", to_time="13:00"), START)
    day = measure(recording, MeasureSettings(shuffles=40), START)
    rows = slice(day.hours.names.index("07:00"), day.hours.names.index("13:00"))
    name = next(name for name in day.whole if name.endswith("_chance"))
    assert part.whole[name] == pytest.approx(day.hourly[name][rows].sum(), rel=0.1)
    np.testing.assert_allclose(part.whole[name], part.hourly[name].sum())


class TestParts:
    @pytest.mark.parametrize(
        ("start", "hours", "first", "last", "part"),
        [
            ("6:00", 16, "7:00", "20:00", (1, 14)),
            ("8:00", 4, "7:00", "20:00", (0, 4)),
            ("18:00", 6, "7:00", "20:00", (0, 2)),
            ("18:00", 12, "22:00", "2:00", (4, 8)),
            ("23:00", 4, "22:00", "2:00", (0, 3)),
            ("6:00", 10, "0:00", "12:00", (0, 6)),
            ("20:00", 8, "0:00", "12:00", (4, 8)),
        ],
    )
    def test_stretches(self, start, hours, first, last, part):
        found = part_of_day(hours * HOUR, *(parse_clock(text, "here") for text in (start, first, last)), where="a.wav")
        assert found == (part[0] * HOUR, part[1] * HOUR)

    def test_brute_force(self):
        """Minute by minute, for any times."""
        generator = np.random.default_rng(0)
        minute = 60 * SAMPLE_RATE
        for start, first, last, length in generator.integers(0, 1440, (200, 4)).tolist():
            if first == last or not length:
                continue
            of_day = (start + np.arange(length)) % 1440
            inside = np.flatnonzero(((of_day - first) % 1440) < (last - first) % 1440)
            try:
                begin, end = part_of_day(length * minute, start * minute, first * minute, last * minute, "a")
            except AnnotationError:
                assert not len(inside) or np.any(np.diff(inside) > 1)
            else:
                assert (begin, end) == (inside[0] * minute, (inside[-1] + 1) * minute)
                assert np.all(np.diff(inside) == 1)

    def test_several_days(self):
        with pytest.raises(AnnotationError, match=r"a\.wav: 2 parts lie between 07:00 and 20:00"):
            part_of_day(DAY, *(parse_clock(text, "here") for text in ("12:00", "7:00", "20:00")), where="a.wav")

    def test_names_of_periods(self):
        half = HOUR // 2
        assert hours_of(2 * HOUR, parse_clock("6:40", "x"), period=half).names == [
            "06:30", "07:00", "07:30", "08:00", "08:30",
        ]  # fmt: skip
        assert hours_of(HOUR + 1, period=half).names == ["0:00", "0:30", "1:00"]


def test_the_command(tmp_path):
    rows = random_rows(np.random.default_rng(0), 300, 3 * 3600)
    out = write_run(tmp_path, {"20210510_060000": rows, "20210510_220000": [], "day": rows}, 3 * 3600)
    words = ("measures", out, "--start-times", "from-names", "--shuffles", 5)
    done = command(*words, "--from", "7:00", "--to", "20:00", "--period", "30")
    assert done.code == 1
    failures = [line for line in done.err.splitlines() if line.startswith("failed: ")]
    assert len(failures) == 2
    assert any("20210510_220000.wav: nothing was recorded between 07:00 and 20:00" in line for line in failures)
    assert any("day.wav: no start time" in line and "--start-times" in line for line in failures)
    (row,) = read_rows(out / "measures.csv")
    assert row["duration_h"] == "2"
    assert [row["hour"] for row in read_rows(out / "hourly.csv")] == ["07:00", "07:30", "08:00", "08:30"]
    settings = json.loads((out / "measures.json").read_text())["settings"]
    assert (settings["from_time"], settings["to_time"], settings["period_min"]) == ("7:00", "20:00", 30)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--from", "7"), "from 7: no time of day"),
        (("--to", "25:00"), "to 25:00: no time of day"),
        (("--from", "7:00", "--to", "7:00"), "from 7:00 to 7:00 is no time"),
        (("--period", "7"), "minutes that divide a day"),
    ],
)
def test_impossible_parts_are_refused(tmp_path, options, message):
    out = write_run(tmp_path, {"a": []}, 60)
    assert message in command("measures", out, *options).error


def test_one_end_is_enough():
    assert MeasureSettings(from_time="7:00").times() == (7 * HOUR, DAY)
    assert MeasureSettings(to_time="20:00").times() == (0, 20 * HOUR)
    assert MeasureSettings(from_time="20:00", to_time="24:00").times() == (20 * HOUR, DAY)
    with pytest.raises(ConfigError):
        MeasureSettings(from_time="noon")
