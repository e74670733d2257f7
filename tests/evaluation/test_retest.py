"""Stability of measures over days of a child."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest

from babyhubert.errors import ConfigError
from babyhubert.evaluation.intraclass import one_way
from babyhubert.evaluation.retest import retest, retest_notes, retest_table, write_retest
from babyhubert.measures.hours import hours_of
from babyhubert.measures.tables import RecordingMeasures
from commands import command, write_sounds


def measures(name: str, rate: float, hours: float = 10.0) -> RecordingMeasures:
    whole = {
        "duration_h": hours,
        "kchi_segments": 100 * rate,
        "kchi_vocalisations_per_hour": rate,
        "kcds_share": np.nan,
    }
    return RecordingMeasures(name, hours_of(round(hours * 3600 * 16_000)), whole, {})


def study(children: int, seed: int = 0) -> tuple[list[RecordingMeasures], dict[str, dict[str, str]]]:
    rng = np.random.default_rng(seed)
    measured, table = [], {}
    for child in range(children):
        for day in range(2 + child % 2):
            name = f"c{child}d{day}"
            measured.append(measures(name, 50 + 10 * child + rng.normal(0, 8)))
            table[name] = {"recording_id": name, "child_id": f"child{child}"}
    return measured, table


def test_it_is_the_correlation_of_one_way():
    measured, table = study(8)
    found = retest(measured, table, "child_id")
    rates = {one.recording_id: one.whole["kchi_vocalisations_per_hour"] for one in measured}
    groups = [np.array([rate for name, rate in rates.items() if name.startswith(f"c{child}d")]) for child in range(8)]
    (row,) = found.measures  # counts grow with the length, and no day has an addressee
    assert row.measure == "kchi_vocalisations_per_hour"
    assert row.correlation == pytest.approx(one_way(groups))
    assert (row.children, row.days) == (8, 20)
    assert row.within_sd == pytest.approx(np.sqrt(sum(((g - g.mean()) ** 2).sum() for g in groups) / 12))
    assert "only 8 children" in "\n".join(retest_notes(found))


def test_recordings_of_a_date_are_one_day_weighted_by_duration():
    table = {
        name: {"recording_id": name, "child_id": name[0], "date_iso": date}
        for name, date in (("a1", "1"), ("a2", "1"), ("a3", "2"), ("b1", "1"), ("b2", "2"), ("c1", "1"))
    }
    rates = {"a1": (10, 6.0), "a2": (40, 2.0), "a3": (20, 8.0), "b1": (30, 8.0), "b2": (35, 8.0), "c1": (1, 8.0)}
    measured = [measures(name, rate, hours) for name, (rate, hours) in rates.items()]
    found = retest(measured, table, "child_id")
    assert found.measures[0].correlation == pytest.approx(one_way([np.array([17.5, 20.0]), np.array([30.0, 35.0])]))
    assert found.single == ("c",)
    assert "1 child with one day left out: c" in "\n".join(retest_notes(found))


def test_too_few_children_are_refused():
    measured, table = study(1)
    with pytest.raises(ConfigError, match="1 child with two days or more, of 1 in column 'child_id'"):
        retest(measured, table, "child_id")
    with pytest.raises(ConfigError, match="no column 'baby'"):
        retest(measured, table, "baby")


def test_table_and_file(tmp_path):
    measured, table = study(6)
    found = retest(measured, table, "child_id")
    assert retest_table(found).row_count == 1
    write_retest(tmp_path, found)
    (row,) = csv.DictReader((tmp_path / "retest.csv").open(encoding="utf-8"))
    assert float(row["icc_1_1"]) == pytest.approx(found.measures[0].correlation.value, abs=1e-5)


def test_the_command(tmp_path: Path, small_model: Path):
    sounds = write_sounds(tmp_path / "audio", [f"{child}{day}.wav" for child in "abc" for day in "12"], 3.0)
    output = tmp_path / "out"
    assert command("segment", sounds, "-o", output, "--model", small_model, "--device", "cpu").code == 0
    table = tmp_path / "recordings.csv"
    table.write_text(
        "recording_filename,child\n" + "".join(f"{child}{day}.wav,{child}\n" for child in "abc" for day in "12")
    )
    done = command("measures", output, "--shuffles", 0, "--retest", table, "--child", "child")
    assert done.code == 0, done.err
    assert "ICC(1,1)" in done.out
    assert "only 3 children" in done.out
    rows = list(csv.DictReader((output / "retest.csv").open(encoding="utf-8")))
    assert {"kchi_vocalisations_per_hour", "adult_speech_s_per_min"} <= {row["measure"] for row in rows}
    table.write_text("recording_filename,child\na1.wav,a\n")
    refused = command("measures", output, "--shuffles", 0, "--retest", table, "--child", "child")
    assert "0 children with two days or more" in refused.error
