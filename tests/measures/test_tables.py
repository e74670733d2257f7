"""``babyhubert measures`` as a user runs it; every number against counting by hand."""

from __future__ import annotations

import json
import math
import re
from pathlib import Path

import counting_by_hand as hand
import numpy as np
import pytest
from counting_by_hand import ADULTS, SECOND
from results_folders import random_rows, read_json, read_rows, write_addressees, write_phonemes, write_run

from babyhubert.measures.hours import HOUR, hours_of, parse_clock, start_times
from babyhubert.measures.results import read_results
from babyhubert.measures.tables import columns
from commands import command

VOICES = ("KCHI", "OCH", "MAL", "FEM")
MINUTE = 60 * SECOND


def number(text: str) -> float:
    return math.nan if text == "NA" else float(text)


def mean(values: list[int]) -> float:
    return sum(values) / len(values) if values else math.nan


def check(row: dict[str, str], rows: list, low: int, high: int) -> None:
    """One row of a table against its definitions; ``low`` to ``high``: the stretch it tells of."""
    hours = (high - low) / HOUR
    expected: dict[str, float] = {"duration_h": hours}
    for voice in VOICES:
        own, name = [r for r in rows if r[2] == voice], voice.lower()
        here = [r for r in own if low <= r[0] < high]
        speech = sum(max(0, min(e, high) - max(s, low)) for s, e, _ in own)
        joined = [v for v in hand.vocalisations(own, 300 * 16) if low <= v[0] < high]
        expected[f"{name}_segments"] = len(here)
        expected[f"{name}_speech_min"] = speech / MINUTE
        expected[f"{name}_speech_min_per_hour"] = speech / MINUTE / hours
        expected[f"{name}_segment_mean_s"] = mean([e - s for s, e, _ in here]) / SECOND
        expected[f"{name}_vocalisations"] = len(joined)
        expected[f"{name}_vocalisations_per_hour"] = len(joined) / hours
        expected[f"{name}_vocalisation_mean_s"] = mean([e - s for s, e in joined]) / SECOND
    adult = hand.covered(rows, ADULTS, low, high)
    expected["adult_speech_min"] = adult / MINUTE
    expected["adult_speech_s_per_min"] = adult / SECOND / (60 * hours)
    expected["speech_min"] = hand.covered(rows, VOICES, low, high) / MINUTE
    for name, rule in (("lena", hand.lena), ("simple_ctc", hand.simple_ctc), ("floor", hand.floor)):
        count = sum(low <= onset < high for onset in rule(rows))
        expected[f"turns_{name}"] = count
        expected[f"turns_{name}_per_hour"] = count / hours
    for name, value in expected.items():
        assert number(row[name]) == pytest.approx(value, abs=6e-5, nan_ok=True), name


@pytest.mark.parametrize("seed", range(4))
def test_every_number_equals_counting_by_hand(seed, tmp_path):
    generator = np.random.default_rng(seed)
    seconds = [5400.5, 3600.0, 200.25, 9000.0][seed]
    rows = random_rows(generator, 400, seconds, mean_s=2)
    write_run(tmp_path, {"day": rows}, seconds)
    starts = tmp_path / "starts.csv"
    starts.write_text("recording_id,start_time\nday,7:40\n", encoding="utf-8")
    result = command("measures", tmp_path, "--start-times", starts, "--shuffles", 2)
    assert result.code == 0, result.err
    end = round(seconds * SECOND)
    (whole,) = read_rows(tmp_path / "measures.csv")
    assert whole["start_time"] == "07:40:00"
    check(whole, rows, 0, end)
    edges = [0, *range(1200 * SECOND, end, HOUR), end]
    hourly = read_rows(tmp_path / "hourly.csv")
    assert [row["hour"] for row in hourly] == [f"{7 + hour:02d}:00" for hour in range(len(edges) - 1)]
    for row, low, high in zip(hourly, edges[:-1], edges[1:], strict=True):
        check(row, rows, low, high)
    for name in columns():
        if name.endswith(("_segments", "_speech_min", "adult_speech_min", "vocalisations")) or name in (
            "turns_lena",
            "turns_simple_ctc",
            "turns_floor",
            "turns_lena_chance",
            "speech_min",
        ):
            assert number(whole[name]) == pytest.approx(sum(number(row[name]) for row in hourly), abs=1e-3), name


class TestAbsence:
    def test_silence_is_zero_and_what_failed_is_absent(self, tmp_path):
        rows = [(0, SECOND, "KCHI"), (2 * SECOND, 3 * SECOND, "FEM")]
        write_run(tmp_path, {"silent": [], "some": rows}, 60, failures=[("/x/broken.wav", "not audio")])
        result = command("measures", tmp_path)
        assert result.code == 0
        assert "2 recordings measured" in result.out
        assert "1 that failed" in result.out
        silent, some = read_rows(tmp_path / "measures.csv")
        assert [silent["recording_id"], some["recording_id"]] == ["silent", "some"]
        for name in ("kchi_segments", "fem_speech_min", "turns_lena", "turns_lena_chance", "adult_speech_s_per_min"):
            assert silent[name] == "0", name
        for name in ("kchi_segment_mean_s", "kcds_min", "phonemes", "canonical_proportion", "start_time"):
            assert silent[name] == "NA", name
        assert some["turns_lena"] == "1"
        assert len(read_rows(tmp_path / "hourly.csv")) == 2

    def test_addressees_and_phones_are_counted_where_they_were_looked_for(self, tmp_path):
        adult = [(0, 60 * SECOND, "FEM"), (30 * SECOND, 90 * SECOND, "MAL"), (100 * SECOND, 130 * SECOND, "FEM")]
        write_run(tmp_path, {"a": [*adult, (95 * SECOND, 96 * SECOND, "KCHI")], "b": adult, "c": []}, 3600)
        told = [(*row, to) for row, to in zip(adult, ("KCDS", "KCDS", "ADS"), strict=True)]
        write_addressees(tmp_path, {"a": told})
        write_phonemes(tmp_path, "a", [(95 * SECOND, 96 * SECOND, "b a b a a"), (97 * SECOND, 98 * SECOND, "")])
        write_phonemes(tmp_path, "c", [])
        assert command("measures", tmp_path, "--shuffles", 0).code == 0
        a, b, c = read_rows(tmp_path / "measures.csv")
        assert (a["kcds_min"], a["ads_min"], a["other_addressee_min"], a["kcds_share"]) == ("1.5", "0.5", "0", "0.75")
        assert (a["kcds_min_per_hour"], a["ads_min_per_hour"]) == ("1.5", "0.5")
        assert b["kcds_min"] == "NA"  # adults, but no row: not looked for
        assert (c["kcds_min"], c["kcds_share"]) == ("0", "NA")  # no adult: nothing to look for
        assert (a["utterances"], a["linguistic_utterances"], a["linguistic_proportion"]) == ("2", "1", "0.5")
        assert (a["phonemes"], a["syllables"], a["canonical_syllables"]) == ("5", "3", "2")
        assert (a["canonical_babbling_ratio"], a["canonical_proportion"]) == ("0.6667", "1")
        assert (b["phonemes"], c["phonemes"], c["canonical_proportion"]) == ("NA", "0", "NA")
        assert a["turns_lena_chance"] == "NA"

    def test_syllables_that_stand_in_the_table_are_taken(self, tmp_path):
        write_run(tmp_path, {"a": []}, 60)
        folder = tmp_path / "phonemes_enriched"
        folder.mkdir()
        (folder / "a.csv").write_text(
            "filename,onset,offset,speaker,phonemes,syllables,n_syllables,n_phonemes,cv\n"
            "a,1.000,2.000,KCHI,a n t a,a n t | a,2,4,VCC | V\n",
            encoding="utf-8",
        )
        (utterance,) = read_results(tmp_path).read("a").utterances
        assert (utterance.syllables, utterance.canonical) == (2, 1)


class TestClock:
    def test_hours_go_by_the_clock_across_midnight(self):
        hours = hours_of(3 * HOUR, parse_clock("22:30", "here"))
        assert hours.names == ["22:00", "23:00", "00:00", "01:00"]
        assert hours.days == [0, 0, 1, 1]
        assert hours.edges.tolist() == [0, HOUR // 2, 3 * HOUR // 2, 5 * HOUR // 2, 3 * HOUR]

    def test_elapsed_hours_without_a_start(self):
        hours = hours_of(2 * HOUR + 1)
        assert hours.names == ["0", "1", "2"]
        assert hours.days == [None] * 3

    def test_a_childproject_data_set_tells_its_start_times(self, tmp_path):
        (tmp_path / "metadata").mkdir()
        (tmp_path / "metadata" / "recordings.csv").write_text(
            "experiment,child_id,date_iso,start_time,recording_device_type,recording_filename\n"
            "e,1,2020-01-01,09:15:30,usb,sub/day é.wav\ne,2,2020-01-01,NA,usb,other.wav\n",
            encoding="utf-8",
        )
        audio = tmp_path / "recordings" / "raw"
        paths = {"sub/day é": audio / "sub" / "day é.wav", "other": audio / "other.wav"}
        out = write_run(tmp_path / "out", {"sub/day é": [], "other": []}, 7200, paths=paths)
        assert "1 by the clock" in command("measures", out).out
        starts = {row["recording_id"]: row["start_time"] for row in read_rows(out / "measures.csv")}
        assert starts == {"sub/day é": "09:15:30", "other": "NA"}

    def test_rows_of_start_times_name_recordings_as_other_lists_do(self, tmp_path):
        table = tmp_path / "s.csv"
        table.write_text(
            "recording_id,start_time\nday.wav,1:00\nday.mp3,2:00\nx/day,3:00\nsub/my day.wav,4:00\n"
            "twice.wav,5:00\ntwice,6:00\na/same,7:00\nb/same,8:00\nraw\\old.wav,9:00\n",
            encoding="utf-8",
        )
        ids = ("day", "z/day", "x/day", "my_day", "raw/sub/my day", "twice", "same", "raw/old", "none")
        found = start_times({name: Path(f"{name}.wav") for name in ids}, table)
        hours = {name: None if start is None else start // HOUR for name, start in found.items()}
        expected = (1, 1, 3, 4, 4, 6, None, 9, None)
        assert hours == dict(zip(ids, expected, strict=True))

    def test_recordings_without_a_start_in_the_table_are_told(self, tmp_path):
        write_run(tmp_path, {"a": [], "b": []}, 60)
        table = tmp_path / "s.csv"
        table.write_text("recording_id,start_time\na,7:05\nzzz,8:00\n", encoding="utf-8")
        told = command("measures", tmp_path, "--start-times", table)
        assert "2 recordings measured, 1 by the clock" in told.out
        assert f"note: {table}: no start time for 1 of 2 recordings (b), measured by elapsed hours" in told.err
        assert "it names a, zzz" in told.err
        assert f"note: {table}: names no recording of these results: zzz\n" in told.err
        assert (
            f"{table}: names no recording of these results: zzz"
            in command("report", tmp_path, "--start-times", table).err
        )
        table.write_text("recording_id,start_time\na,7:05\nb,8:00\nzzz,8:00\n", encoding="utf-8")
        assert "no start time" not in command("measures", tmp_path, "--start-times", table).err

    @pytest.mark.parametrize("text", ["25:00", "7h30", "7:61", "noon"])
    def test_what_is_no_time_of_day_is_refused(self, text, tmp_path):
        write_run(tmp_path, {"a": []}, 60)
        (tmp_path / "s.csv").write_text(f"recording_id,start_time\na,{text}\n", encoding="utf-8")
        error = command("measures", tmp_path, "--start-times", tmp_path / "s.csv").error
        assert "line 2" in error
        assert text in error

    def test_two_times_for_one_recording_are_refused(self, tmp_path):
        write_run(tmp_path, {"a": []}, 60)
        (tmp_path / "s.csv").write_text("recording_id,start_time\na,7:00\na,8:00\n", encoding="utf-8")
        assert "two start times" in command("measures", tmp_path, "--start-times", tmp_path / "s.csv").error


class TestFolder:
    def test_settings_stand_beside_the_numbers(self, tmp_path):
        write_run(tmp_path, {"a": []}, 60)
        command("measures", tmp_path, "--turn-gap", 1500, "--seed", 7)
        told = read_json(tmp_path / "measures.json")["settings"]
        assert (told["turn_gap_ms"], told["seed"], told["lena_pause_s"]) == (1500, 7, 5.0)

    def test_the_same_seed_gives_the_same_tables_whatever_else_is_in_the_folder(self, tmp_path):
        rows = random_rows(np.random.default_rng(0), 200, 3600)
        write_run(tmp_path / "one", {"b": rows}, 3600)
        write_run(tmp_path / "two", {"a": rows[:50], "b": rows}, 3600)
        for name in ("one", "two"):
            assert command("measures", tmp_path / name, "--shuffles", 3).code == 0
        assert read_rows(tmp_path / "one" / "measures.csv")[0] == read_rows(tmp_path / "two" / "measures.csv")[1]

    @pytest.mark.parametrize("text", ["{", "[]", '{"recordings": 3}'])
    def test_a_broken_run_record_is_one_line(self, text, tmp_path):
        write_run(tmp_path, {"a": []}, 60)
        (tmp_path / "run.json").write_text(text, encoding="utf-8")
        error = command("measures", tmp_path).error
        assert "run.json" in error
        assert "babyhubert segment" in error

    def test_a_record_without_a_length_does_not_stop_the_others(self, tmp_path):
        write_run(tmp_path, {"a": [], "b": []}, 60)
        run = read_json(tmp_path / "run.json")
        del run["recordings"][0]["duration_s"]
        (tmp_path / "run.json").write_text(json.dumps(run), encoding="utf-8")
        done = command("measures", tmp_path)
        assert done.code == 1
        assert "run.json: no duration_s for a; run 'babyhubert segment' again" in done.err
        assert [row["recording_id"] for row in read_rows(tmp_path / "measures.csv")] == ["b"]

    def test_a_folder_without_a_run_is_refused(self, tmp_path):
        assert "holds no run.json" in command("measures", tmp_path).error
        assert "no such folder" in command("measures", tmp_path / "absent").error


def test_every_column_is_documented():
    page = (Path(__file__).parents[2] / "docs" / "measures.md").read_text(encoding="utf-8")
    told = set(re.findall(r"`([A-Za-z_]+)`", page))
    spelled = {re.sub("^X_", f"{voice.lower()}_", name) for name in told for voice in VOICES}
    spelled |= {name.replace("_R", f"_{rule}") for name in told for rule in ("lena", "simple_ctc", "floor")}
    assert set(columns()) <= spelled


def test_one_damaged_table_never_stops_the_others(tmp_path):
    write_run(tmp_path, {"bad": [], "good": [(0, SECOND, "KCHI")]}, 60)
    (tmp_path / "csv" / "bad.csv").write_text("segment_onset,segment_offset,speaker_type\n1,x,CHI\n", encoding="utf-8")
    result = command("measures", tmp_path)
    assert result.code == 1
    assert "bad.csv, line 2" in result.err
    assert [row["recording_id"] for row in read_rows(tmp_path / "measures.csv")] == ["good"]
