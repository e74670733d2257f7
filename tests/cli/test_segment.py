"""``babyhubert segment`` as a user runs it: what it writes, what it says, and what it makes of odd recordings."""

from __future__ import annotations

import csv
import hashlib
import json
import shutil
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import soundfile
from making import RATE, babble

import babyhubert
from babyhubert.annotation.reading import read_segments
from babyhubert.annotation.rttm import read_rttm
from babyhubert.audio.libsndfile import SndfileSource
from babyhubert.encoder.multitask import VoiceTypeModel
from babyhubert.tasks.voice_type import outputs as segment_run
from babyhubert.timebase import frame_count
from commands import command, contents, samples_of, spoken, write_small_model, write_sounds

TABLES = {"rttm.csv", "failures.csv", "thresholds.toml"}
EMPTY_CSV = b"segment_onset,segment_offset,speaker_type,confidence\n"
HEADER = "uid,start_time_s,duration_s,label,confidence"


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


@pytest.fixture
def model_must_not_run(monkeypatch):
    def refuse(*_):
        raise AssertionError("the model was run")

    return lambda: monkeypatch.setattr(VoiceTypeModel, "probabilities", refuse)


class TestOutputs:
    def test_tree_mirrors_the_folder_and_every_file_is_in_place(self, small_model, tmp_path):
        audio = write_sounds(tmp_path / "audio", ["a.wav", "home/day.wav", "nursery/day.wav"])
        result = command("segment", audio, "-o", tmp_path / "out", "--model", small_model)
        assert result.code == 0, result.err
        assert "3 recordings done" in result.out
        ids = ["a", "home/day", "nursery/day"]
        files = {f"rttm/{name}.rttm" for name in ids} | {f"csv/{name}.csv" for name in ids}
        assert set(contents(tmp_path / "out")) == files | TABLES
        assert sorted(path.name for path in (tmp_path / "out").iterdir()) == sorted(
            [".babyhubert", "csv", "rttm", "run.json", *TABLES]
        )
        assert contents(tmp_path / "out")["failures.csv"] == b"path,error\n"

    def test_rttm_csv_and_combined_table_say_the_same(self, small_model, tmp_path):
        audio = write_sounds(tmp_path / "audio", ["a.wav", "home/day.wav"])
        out = tmp_path / "out"
        assert command("segment", audio, "-o", out, "--model", small_model).code == 0
        assert spoken(out) == {"KCHI", "OCH", "MAL", "FEM"}
        combined = read_segments(out / "rttm.csv")
        assert list(combined) == ["a", "home/day"]
        for name, segments in combined.items():
            assert read_rttm(out / "rttm" / f"{name}.rttm") == {name: segments}
            assert read_segments(out / "csv" / f"{name}.csv", name) == {name: segments}
        lines = (out / "rttm.csv").read_text(encoding="utf-8").splitlines()
        assert lines[0] == HEADER
        first = (out / "csv" / "a.csv").read_text(encoding="utf-8").splitlines()
        assert first[0] == "segment_onset,segment_offset,speaker_type,confidence"
        assert {line.split(",")[2] for line in first[1:]} == {"CHI", "OCH", "MAL", "FEM"}

    def test_classes_beside_a_likelier_one_need_the_probability_asked_for(self, small_model, tmp_path):
        audio = write_sounds(tmp_path / "audio", ["a.wav"])
        low = tmp_path / "low.toml"
        low.write_text("".join(f"[{label}]\nlower_bound = 0.01\n" for label in ("KCHI", "OCH", "MAL", "FEM")))
        own = tmp_path / "own"
        assert command("convert", small_model, own, "--simultaneous", 1).code == 0
        assert command("convert", own, tmp_path / "copy").code == 0  # keeps it
        copy, overlap = tmp_path / "copy", {}
        for name, model, given in (
            ("default", small_model, None),
            ("0", small_model, 0.0),
            ("1", small_model, 1.0),
            ("own", copy, None),
            ("own, 0", copy, 0.0),
        ):
            out = tmp_path / f"out-{name}"
            options = [] if given is None else ["--simultaneous", str(given)]
            arguments = ["--thresholds", low, "--min-on", "0", "--min-off", "0", *options]
            assert command("segment", audio, "-o", out, "--model", model, *arguments).code == 0
            told = np.zeros((4, 20_000), dtype=bool)
            for row in rows(out / "rttm.csv"):
                start = float(row["start_time_s"])
                frames = slice(round(start * 50), round((start + float(row["duration_s"])) * 50))
                told[["KCHI", "OCH", "MAL", "FEM"].index(row["label"]), frames] = True
            overlap[name] = int((told.sum(axis=0) > 1).sum())
            settings = json.loads((out / "run.json").read_text())["settings"]
            assert settings.get("simultaneous", 0.0) == (float(name == "own") if given is None else given)
        assert overlap["default"] == overlap["0"] > 0
        assert overlap["1"] == 0
        assert overlap["own"] == 0
        assert overlap["own, 0"] == overlap["default"]

    def test_equal_names_in_two_folders_are_both_kept(self, small_model, tmp_path):
        audio = write_sounds(tmp_path / "audio", ["one/day.wav", "two/day.wav"])
        out = tmp_path / "out"
        assert command("segment", audio, "-o", out, "--model", small_model).code == 0
        made = contents(out)
        assert made["csv/one/day.csv"] != made["csv/two/day.csv"]
        clash = command("segment", audio / "one", audio / "two", "-o", tmp_path / "new", "--model", small_model)
        assert clash.code == 2
        assert "give the folder that holds both" in clash.error
        assert not (tmp_path / "new").exists()

    def test_run_record_says_what_was_run_with_what(self, small_model, tmp_path):
        audio = write_sounds(tmp_path / "audio", ["a.wav"], seconds=3)
        (audio / "b.wav").write_text("not audio", encoding="utf-8")
        out = tmp_path / "out"
        command("segment", audio, "-o", out, "--model", small_model, "--overlap", 0.5, "--min-on", 0.2)
        record = json.loads((out / "run.json").read_text(encoding="utf-8"))
        assert record["command"] == "segment"
        assert record["versions"]["babyhubert"] == babyhubert.__version__
        assert {"python", "torch", "numpy", "system"} <= set(record["versions"])
        weights = (small_model / "model.safetensors").read_bytes()
        assert record["model"]["sha256"] == hashlib.sha256(weights).hexdigest()
        assert record["model"]["source"] == str(small_model)
        assert record["model"]["card"]["lineage"] == ["drawn at random"]
        settings = record["settings"]
        assert settings["thresholds"] == {"KCHI": 0.437, "OCH": 0.378, "MAL": 0.429, "FEM": 0.377}
        assert settings["plan"] == {"window_s": 4.0, "hop_s": 2.0, "tail": "shift"}
        assert settings["minimum_samples"] == {"on": 3200, "off": 1600}
        (recording,) = record["recordings"]
        assert (recording["recording_id"], recording["duration_s"]) == ("a", 3.0)
        assert recording["seconds"] > 0
        assert recording["times_real_time"] > 0
        assert [failure["path"] for failure in record["failures"]] == [str(audio / "b.wav")]
        assert record["began"] <= record["ended"]

    def test_probabilities_and_raw_segments_on_request(self, small_model, tmp_path):
        audio = write_sounds(tmp_path / "audio", ["a.wav", "home/day.wav"])
        out = tmp_path / "out"
        flags = ("--save-probs", "--keep-raw", "--min-on", 0.3, "--min-off", 0.3)
        assert command("segment", audio, "-o", out, "--model", small_model, *flags).code == 0
        thresholds = {"KCHI": 0.437, "OCH": 0.378, "MAL": 0.429, "FEM": 0.377}
        for name in ("a", "home/day"):
            probabilities = np.load(out / "probs" / f"{name}.npy")
            samples = soundfile.info(audio / f"{name}.wav").frames
            assert probabilities.shape == (frame_count(samples), 4)
            assert probabilities.dtype == np.float16
            assert np.all((probabilities >= 0) & (probabilities <= 1))
            raw = read_rttm(out / "raw_rttm" / f"{name}.rttm")[name]
            for column, (label, limit) in enumerate(thresholds.items()):
                active = np.zeros(len(probabilities), dtype=bool)
                for start, end, _ in (segment for segment in raw if segment.label == label):
                    active[start // 320 : end // 320] = True
                assert np.array_equal(active, probabilities[:, column].astype(float) > limit)
            assert len(read_rttm(out / "rttm" / f"{name}.rttm")[name]) < len(raw)
        assert read_segments(out / "raw_rttm.csv") == {
            name: read_rttm(out / "raw_rttm" / f"{name}.rttm")[name] for name in ("a", "home/day")
        }
        about = json.loads((out / "probs" / "format.json").read_text(encoding="utf-8"))
        assert "KCHI" in json.dumps(about)

    def test_extras_of_an_earlier_run_follow_later_settings(self, small_model, tmp_path):
        audio = write_sounds(tmp_path / "audio", ["a.wav", "b.wav"])
        run = ("segment", audio, "--model", small_model)
        command(*run, "-o", tmp_path / "out", "--keep-raw", "--save-probs")
        command(*run, "-o", tmp_path / "out", "--thresholds", "high-precision", "--overlap", 0)
        fresh = ("--keep-raw", "--save-probs", "--thresholds", "high-precision", "--overlap", 0)
        command(*run, "-o", tmp_path / "fresh", *fresh)
        assert contents(tmp_path / "out") == contents(tmp_path / "fresh")

    def test_probabilities_are_calibrated_on_request_without_running_the_model(
        self, small_model, tmp_path, model_must_not_run
    ):
        audio, out = write_sounds(tmp_path / "audio", ["a.wav"]), tmp_path / "out"
        run = ("segment", audio, "-o", out, "--model", small_model, "--save-probs")
        assert command(*run).code == 0
        before = np.load(out / "probs" / "a.npy")
        segments = (out / "rttm" / "a.rttm").read_bytes()
        calibration = tmp_path / "calibration.toml"
        corrections = {"KCHI": (2.0, 0.5), "OCH": (1.0, 0.0), "MAL": (0.5, -1.0), "FEM": (1.0, 3.0)}
        calibration.write_text(
            "".join(f"[{label}]\ntemperature = {t}\nbias = {b}\n" for label, (t, b) in corrections.items()),
            encoding="utf-8",
        )
        model_must_not_run()
        assert command(*run, "--calibration", calibration).code == 0
        temperature, bias = np.array(list(corrections.values())).T
        logits = np.log(before.astype(float)) - np.log1p(-before.astype(float))
        np.testing.assert_allclose(
            np.load(out / "probs" / "a.npy"), 1 / (1 + np.exp(-(logits / temperature + bias))), atol=2e-3
        )
        assert (out / "rttm" / "a.rttm").read_bytes() == segments
        assert json.loads((out / "probs" / "format.json").read_text(encoding="utf-8"))["calibrated"] is True
        assert (
            json.loads((out / "run.json").read_text(encoding="utf-8"))["settings"]["calibration"]["FEM"]["bias"] == 3
        )
        assert command(*run).code == 0
        assert np.array_equal(np.load(out / "probs" / "a.npy"), before)
        refused = command("segment", audio, "-o", out, "--model", small_model, "--calibration", calibration)
        assert refused.code != 0
        assert "--save-probs" in refused.err


class TestOddRecordings:
    def test_silence_gives_a_header_and_an_empty_rttm(self, tmp_path):
        # A model that is sure of nothing: silence must not be mistaken for 'not annotated'.
        model = write_small_model(tmp_path / "model")
        audio = tmp_path / "audio"
        audio.mkdir()
        soundfile.write(audio / "zeros.wav", np.zeros(5 * RATE, dtype=np.float32), RATE)
        toml = "".join(f"[{label}]\nlower_bound = 1.0\n" for label in ("KCHI", "OCH", "MAL", "FEM"))
        (tmp_path / "never.toml").write_text(toml, encoding="utf-8")
        options = ("--model", model, "--thresholds", tmp_path / "never.toml")
        assert command("segment", audio, "-o", tmp_path / "out", *options).code == 0
        made = contents(tmp_path / "out")
        assert made["csv/zeros.csv"] == EMPTY_CSV
        assert made["rttm/zeros.rttm"] == b""
        assert made["rttm.csv"] == f"{HEADER}\n".encode()
        scores = np.load(tmp_path / "out" / ".babyhubert" / "segment" / "scores" / "zeros.npy")
        assert scores.shape == (frame_count(5 * RATE), 4)
        assert np.isfinite(scores).all()

    @pytest.mark.parametrize(("samples", "frames"), [(1, 0), (399, 0), (400, 1), (719, 1), (720, 2)])
    def test_very_short_recordings_are_whole_results(self, small_model, tmp_path, samples, frames):
        soundfile.write(tmp_path / "short.wav", babble(samples, RATE), RATE)
        options = ("--model", small_model, "--min-on", 0, "--save-probs")
        result = command("segment", tmp_path / "short.wav", "-o", tmp_path / "out", *options)
        assert result.code == 0, result.err
        assert np.load(tmp_path / "out" / "probs" / "short.npy").shape == (frames, 4)
        if not frames:
            assert contents(tmp_path / "out")["csv/short.csv"] == EMPTY_CSV
            assert contents(tmp_path / "out")["rttm/short.rttm"] == b""
        again = command("segment", tmp_path / "short.wav", "-o", tmp_path / "out", *options)
        assert "1 kept from before" in again.out
        other = command("segment", tmp_path / "short.wav", "-o", tmp_path / "out", *options, "--thresholds", "f1")
        assert other.code == 0

    @pytest.mark.parametrize(("rate", "channels"), [(8_000, 1), (44_100, 2), (48_000, 4)])
    def test_any_rate_and_channels_keep_the_time(self, small_model, tmp_path, rate, channels):
        sound = babble(5 * rate, rate)
        path = tmp_path / "a.wav"
        soundfile.write(path, np.stack([sound] * channels, axis=1) if channels > 1 else sound, rate)
        result = command("segment", path, "-o", tmp_path / "out", "--model", small_model, "--save-probs")
        assert result.code == 0, result.err
        assert len(np.load(tmp_path / "out" / "probs" / "a.npy")) == frame_count(5 * RATE)
        assert ("nothing above 4 kHz" in result.err) == (rate == 8_000)
        assert max(segment.end for segment in read_segments(tmp_path / "out" / "rttm.csv")["a"]) <= 5 * RATE

    def test_stereo_of_equal_channels_is_the_mono_recording(self, small_model, tmp_path):
        sound = (babble(5 * RATE, RATE) * 2**14).round() / 2**15
        soundfile.write(tmp_path / "mono.wav", sound, RATE)
        soundfile.write(tmp_path / "stereo.wav", np.stack([sound, sound], axis=1), RATE)
        soundfile.write(tmp_path / "right.wav", np.stack([np.zeros_like(sound), sound], axis=1), RATE)
        for name, channel in (("mono", "mean"), ("stereo", "mean"), ("right", "1"), ("right", "loudest")):
            out = tmp_path / f"{name}-{channel}"
            command("segment", tmp_path / f"{name}.wav", "-o", out, "--model", small_model, "--channel", channel)
        mono = (tmp_path / "mono-mean" / "csv" / "mono.csv").read_bytes()
        assert len(mono) > 200
        assert (tmp_path / "stereo-mean" / "csv" / "stereo.csv").read_bytes() == mono
        assert (tmp_path / "right-1" / "csv" / "right.csv").read_bytes() == mono
        assert (tmp_path / "right-loudest" / "csv" / "right.csv").read_bytes() == mono

    def test_nan_samples_count_as_silence_and_are_told(self, small_model, tmp_path):
        sound = babble(5 * RATE, RATE)
        silenced = sound.copy()
        sound[30_000:30_500] = np.nan
        silenced[30_000:30_500] = 0
        (tmp_path / "nan").mkdir()
        (tmp_path / "zero").mkdir()
        soundfile.write(tmp_path / "nan" / "a.wav", sound, RATE, subtype="FLOAT")
        soundfile.write(tmp_path / "zero" / "a.wav", silenced, RATE, subtype="FLOAT")
        for name in ("nan", "zero"):
            assert (
                command("segment", tmp_path / name, "-o", tmp_path / f"{name}-out", "--model", small_model).code == 0
            )
        assert spoken(tmp_path / "nan-out")
        assert contents(tmp_path / "nan-out") == contents(tmp_path / "zero-out")
        record = json.loads((tmp_path / "nan-out" / "run.json").read_text(encoding="utf-8"))
        assert record["recordings"][0]["warnings"] == ["500 NaN or infinite samples read as 0"]

    @pytest.mark.parametrize("suffix", [".wav", ".mp3"])
    def test_truncated_recordings_give_what_is_there_and_say_so(self, small_model, tmp_path, suffix):
        path = tmp_path / f"cut{suffix}"
        soundfile.write(path, babble(60 * RATE, RATE), RATE)
        whole = path.read_bytes()
        path.write_bytes(whole[: len(whole) // 2])
        result = command("segment", path, "-o", tmp_path / "out", "--model", small_model, "--overlap", 0)
        assert result.code == 0, result.err
        (recording,) = json.loads((tmp_path / "out" / "run.json").read_text(encoding="utf-8"))["recordings"]
        assert 25 < recording["duration_s"] < 35
        assert recording["warnings"]
        ends = [segment.end for segment in read_segments(tmp_path / "out" / "rttm.csv")["cut"]]
        assert 25 * RATE < max(ends) <= recording["duration_s"] * RATE

    def test_names_with_spaces_dots_accents_and_upper_case(self, small_model, tmp_path):
        names = ["my day.wav", "v1.2.final.wav", "Zoë à l'école.WAV", "子供.wav", "a,b.wav", "sub folder/x.Wav"]
        audio = write_sounds(tmp_path / "audio", names, seconds=2)
        out = tmp_path / "out"
        result = command("segment", audio, "-o", out, "--model", small_model)
        assert result.code == 0, result.err
        ids = {name.rsplit(".", 1)[0] for name in names}
        assert set(contents(out)) == TABLES | {f"rttm/{i}.rttm" for i in ids} | {f"csv/{i}.csv" for i in ids}
        assert {row["uid"] for row in rows(out / "rttm.csv")} == ids
        rttm = (out / "rttm" / "my day.rttm").read_text(encoding="utf-8")
        assert rttm
        assert all(len(line.split()) == 10 and line.split()[1] == "my_day" for line in rttm.splitlines())

    def test_a_name_that_is_not_text_fails_alone(self, small_model, tmp_path):
        audio = write_sounds(tmp_path / "audio", ["a.wav"], seconds=2)
        try:
            shutil.copy(audio / "a.wav", bytes(audio) + b"/caf\xe9.wav")
        except OSError:
            pytest.skip("this file system has only names in UTF-8")
        result = command("segment", audio, "-o", tmp_path / "out", "--model", small_model)
        assert result.code == 1, result.err
        (failure,) = rows(tmp_path / "out" / "failures.csv")
        assert "caf" in failure["path"]
        assert "rename" in failure["error"]
        assert "a" in {row["uid"] for row in rows(tmp_path / "out" / "rttm.csv")}

    def test_bad_recordings_are_listed_and_stop_nobody(self, small_model, tmp_path):
        audio = write_sounds(tmp_path / "audio", ["good.wav", "last.wav"])
        (audio / "empty.wav").touch()
        (audio / "notes.wav").write_text("Recorded on Monday, battery was low\n", encoding="utf-8")
        (audio / "noise.mp3").write_bytes(np.random.default_rng(0).bytes(5_000))
        (audio / "gone.wav").symlink_to(audio / "nowhere.wav")
        result = command("segment", audio, "-o", tmp_path / "out", "--model", small_model)
        assert result.code == 1
        assert "2 recordings done, 0 kept from before, 4 failed" in result.out
        assert "failures.csv" in result.out
        failures = {Path(row["path"]).name: row["error"] for row in rows(tmp_path / "out" / "failures.csv")}
        assert set(failures) == {"empty.wav", "notes.wav", "noise.mp3", "gone.wav"}
        assert "empty" in failures["empty.wav"]
        assert "text file" in failures["notes.wav"]
        assert all(name in error for name, error in failures.items())
        assert set(read_segments(tmp_path / "out" / "rttm.csv")) == {"good", "last"}
        for row in failures:
            assert row in result.err

    def test_a_recording_that_breaks_while_it_is_read_stops_nobody(self, small_model, tmp_path, monkeypatch):
        audio = write_sounds(tmp_path / "audio", ["a.wav", "b.wav", "c.wav"])
        original = VoiceTypeModel.probabilities
        calls = []

        def break_once(self, waveforms):
            calls.append(waveforms)
            if len(calls) == 2:
                (audio / "b.wav").unlink()
            return original(self, waveforms)

        monkeypatch.setattr(VoiceTypeModel, "probabilities", break_once)
        result = command("segment", audio, "-o", tmp_path / "out", "--model", small_model, "--batch-size", 1)
        assert result.code == 1, result.err
        (failure,) = rows(tmp_path / "out" / "failures.csv")
        assert failure["path"] == str(audio / "b.wav")
        assert set(read_segments(tmp_path / "out" / "rttm.csv")) == {"a", "c"}
        assert not list((tmp_path / "out").rglob(".babyhubert-partial-*"))

    def test_a_disk_that_fails_under_one_recording_stops_nobody(self, small_model, tmp_path, monkeypatch):
        audio = write_sounds(tmp_path / "audio", ["a.wav", "b.wav", "c.wav"], seconds=30)
        original = SndfileSource.read
        given = dict.fromkeys(audio.iterdir(), 0)

        def read(self, frames):
            given[self._path] += frames
            if self._path.name == "b.wav" and given[self._path] > 25 * RATE:
                raise OSError(5, "Input/output error")
            return original(self, frames)

        monkeypatch.setattr(SndfileSource, "read", read)
        result = command("segment", audio, "-o", tmp_path / "out", "--model", small_model, "--batch-size", 1)
        assert result.code == 1, result.err
        (failure,) = rows(tmp_path / "out" / "failures.csv")
        assert failure["path"] == str(audio / "b.wav")
        assert "b.wav" in failure["error"]
        assert "Input/output error" in failure["error"]
        assert set(read_segments(tmp_path / "out" / "rttm.csv")) == {"a", "c"}
        assert not list((tmp_path / "out").rglob("*b.*"))

    def test_nothing_readable_is_nothing_done(self, small_model, tmp_path):
        (tmp_path / "audio").mkdir()
        (tmp_path / "audio" / "empty.wav").touch()
        result = command("segment", tmp_path / "audio", "-o", tmp_path / "out", "--model", small_model)
        assert result.code == 2
        assert len(rows(tmp_path / "out" / "failures.csv")) == 1
        assert contents(tmp_path / "out")["rttm.csv"] == f"{HEADER}\n".encode()

    def test_a_recording_alone_gives_the_bytes_it_gives_among_others(self, small_model, tmp_path, monkeypatch):
        audio = write_sounds(tmp_path / "audio", ["a.wav", "b.wav", "c.wav"])
        original = VoiceTypeModel.probabilities
        batches = []

        def watch(self, waveforms):
            batches.append(tuple(waveforms.shape))
            return original(self, waveforms)

        monkeypatch.setattr(VoiceTypeModel, "probabilities", watch)
        keep = ("--model", small_model, "--save-probs", "--device", "cpu")
        command("segment", audio, "-o", tmp_path / "together", *keep)
        many = batches.copy()
        batches.clear()
        command("segment", audio / "b.wav", "-o", tmp_path / "alone", *keep)
        assert len(many) > len(batches)
        assert all(batch in many for batch in batches), "another batch size may give other bits"
        together, alone = contents(tmp_path / "together"), contents(tmp_path / "alone")
        assert len(alone["csv/b.csv"]) > 200
        for name in ("csv/b.csv", "rttm/b.rttm", "probs/b.npy"):
            assert together[name] == alone[name]


class TestRunningAgain:
    def test_whole_recordings_are_kept_and_new_ones_done(self, small_model, tmp_path, model_must_not_run):
        audio = write_sounds(tmp_path / "audio", ["a.wav", "b.wav"])
        run = ("segment", audio, "-o", tmp_path / "out", "--model", small_model)
        assert command(*run).code == 0
        before = contents(tmp_path / "out")
        write_sounds(audio, ["x.wav", "y.wav", "c.wav"])
        (audio / "x.wav").unlink()
        (audio / "y.wav").unlink()
        second = command(*run)
        assert second.code == 0
        assert "2 recordings computed in an earlier run" in second.err
        assert "1 recording done, 2 kept from before" in second.out
        after = contents(tmp_path / "out")
        assert all(after[name] == data for name, data in before.items() if name != "rttm.csv")
        assert set(read_segments(tmp_path / "out" / "rttm.csv")) == {"a", "b", "c"}
        model_must_not_run()
        third = command(*run)
        assert (third.code, contents(tmp_path / "out")) == (0, after)
        assert "0 recordings done, 3 kept from before" in third.out

    @pytest.mark.parametrize(
        "options",
        [
            ("--thresholds", "high-precision"),
            ("--min-on", 0.4),
            ("--min-off", 0.5),
            ("--keep-raw",),
            ("--save-probs",),
        ],
    )
    def test_other_decisions_equal_a_fresh_run_without_running_the_model(
        self, small_model, tmp_path, model_must_not_run, options
    ):
        audio = write_sounds(tmp_path / "audio", ["a.wav", "b.wav"])
        run = ("segment", audio, "--model", small_model)
        assert command(*run, "-o", tmp_path / "fresh", *options).code == 0
        assert command(*run, "-o", tmp_path / "out").code == 0
        first = contents(tmp_path / "out")
        model_must_not_run()
        result = command(*run, "-o", tmp_path / "out", *options)
        assert result.code == 0, result.err
        assert contents(tmp_path / "out") == contents(tmp_path / "fresh") != first

    @pytest.mark.parametrize("options", [("--overlap", 0), ("--window", 2), ("--blend", "taper"), ("--channel", "0")])
    def test_other_scores_run_the_model_again(self, small_model, tmp_path, options):
        audio = write_sounds(tmp_path / "audio", ["a.wav"])
        run = ("segment", audio, "--model", small_model)
        command(*run, "-o", tmp_path / "out")
        result = command(*run, "-o", tmp_path / "out", *options)
        assert "1 recording done" in result.out
        assert "computed in an earlier run" not in result.err
        command(*run, "-o", tmp_path / "fresh", *options)
        assert contents(tmp_path / "out") == contents(tmp_path / "fresh")

    def test_another_model_runs_again(self, small_model, tmp_path):
        audio = write_sounds(tmp_path / "audio", ["a.wav"])
        other = write_small_model(tmp_path / "other", seed=7)
        command("segment", audio, "-o", tmp_path / "out", "--model", small_model)
        first = contents(tmp_path / "out")
        command("segment", audio, "-o", tmp_path / "out", "--model", other)
        command("segment", audio, "-o", tmp_path / "fresh", "--model", other)
        assert contents(tmp_path / "out") == contents(tmp_path / "fresh") != first

    def test_a_replaced_recording_is_done_again(self, small_model, tmp_path):
        audio = write_sounds(tmp_path / "audio", ["a.wav", "b.wav"])
        run = ("segment", audio, "--model", small_model)
        command(*run, "-o", tmp_path / "out")
        (audio / "b.wav").replace(audio / "a.wav")
        write_sounds(audio, ["b.wav"])
        assert "2 recordings done" in command(*run, "-o", tmp_path / "out").out
        command(*run, "-o", tmp_path / "fresh")
        assert contents(tmp_path / "out") == contents(tmp_path / "fresh")

    def test_a_deleted_output_comes_back_without_running_the_model(self, small_model, tmp_path, model_must_not_run):
        audio = write_sounds(tmp_path / "audio", ["a.wav", "b.wav"])
        run = ("segment", audio, "-o", tmp_path / "out", "--model", small_model)
        command(*run)
        before = contents(tmp_path / "out")
        (tmp_path / "out" / "rttm" / "a.rttm").unlink()
        (tmp_path / "out" / "rttm.csv").unlink()
        model_must_not_run()
        assert command(*run).code == 0
        assert contents(tmp_path / "out") == before

    def test_damaged_kept_scores_are_made_again(self, small_model, tmp_path):
        audio = write_sounds(tmp_path / "audio", ["a.wav", "b.wav"])
        run = ("segment", audio, "--model", small_model)
        command(*run, "-o", tmp_path / "out")
        scores = tmp_path / "out" / ".babyhubert" / "segment" / "scores" / "a.npy"
        scores.write_bytes(scores.read_bytes()[:1_000])
        options = ("--thresholds", "high-precision")
        result = command(*run, "-o", tmp_path / "out", *options)
        assert result.code == 0, result.err
        command(*run, "-o", tmp_path / "fresh", *options)
        assert contents(tmp_path / "out") == contents(tmp_path / "fresh")

    def test_force_does_everything_again(self, small_model, tmp_path):
        audio = write_sounds(tmp_path / "audio", ["a.wav"])
        run = ("segment", audio, "-o", tmp_path / "out", "--model", small_model)
        command(*run)
        before = contents(tmp_path / "out")
        (tmp_path / "out" / "csv" / "a.csv").write_text("edited", encoding="utf-8")
        assert "1 recording done, 0 kept" in command(*run, "--force").out
        assert contents(tmp_path / "out") == before


class TestFromPython:
    def test_a_loaded_model_gives_what_the_command_writes(self, small_model, tmp_path):
        audio = write_sounds(tmp_path / "audio", ["a.wav", "b.wav"])
        command("segment", audio, "-o", tmp_path / "out", "--model", small_model, "--save-probs")
        written = read_segments(tmp_path / "out" / "rttm.csv")
        model = babyhubert.load_model(small_model, device="cpu")
        for name in ("a", "b"):
            path = audio / f"{name}.wav"
            assert len(written[name]) > 5
            assert model(path) == model(str(path)) == model(samples_of(path)) == written[name]
            scores, kept = model.scores(path), np.load(tmp_path / "out" / "probs" / f"{name}.npy")
            assert scores.dtype == kept.dtype
            assert np.array_equal(scores, kept)


class TestQuietWindows:
    """Of a recording of eleven minutes in which somebody is heard at the third only."""

    @pytest.fixture(scope="class")
    def sparse(self, tmp_path_factory):
        hiss = np.random.default_rng(0).standard_normal(660 * RATE).astype(np.float32) * 1e-3
        hiss[180 * RATE : 190 * RATE] += babble(10 * RATE, RATE)
        folder = tmp_path_factory.mktemp("sparse")
        soundfile.write(folder / "night.wav", hiss, RATE)
        return folder

    def test_windows_without_sound_are_not_encoded_and_count_as_silent(self, small_model, sparse, tmp_path):
        arguments = ("segment", sparse, "--model", small_model, "--save-probs")
        assert command(*arguments, "-o", tmp_path / "all").code == 0
        result = command(*arguments, "-o", tmp_path / "loud", "--skip-quiet", "10")
        assert result.code == 0, result.err
        every, loud = (np.load(tmp_path / name / "probs" / "night.npy") for name in ("all", "loud"))
        assert loud.shape == every.shape
        heard = np.flatnonzero(loud.any(axis=1))
        assert 175 * 50 < heard.min() < 180 * 50  # windows of 4 s
        assert 190 * 50 < heard.max() < 195 * 50
        inside = slice(180 * 50, 190 * 50)
        np.testing.assert_array_equal(loud[inside], every[inside])
        record = json.loads((tmp_path / "loud" / "run.json").read_text(encoding="utf-8"))
        assert record["settings"]["skip_quiet_db"] == 10
        assert 640 < record["recordings"][0]["skipped_s"] < 650
        assert "not_encoded" in json.loads((tmp_path / "loud/probs/format.json").read_text(encoding="utf-8"))
        assert "not_encoded" not in json.loads((tmp_path / "all/probs/format.json").read_text(encoding="utf-8"))

    def test_skipped_and_whole_scores_are_not_taken_for_each_other(self, small_model, sparse, tmp_path):
        arguments = ("segment", sparse, "--model", small_model, "-o", tmp_path / "out")
        assert command(*arguments).code == 0
        whole = contents(tmp_path / "out")
        assert command(*arguments, "--skip-quiet", "10").code == 0
        assert contents(tmp_path / "out") != whole
        assert command(*arguments).code == 0
        assert contents(tmp_path / "out") == whole

    def test_a_recording_that_is_nowhere_loud_is_a_whole_result(self, small_model, tmp_path):
        (tmp_path / "audio").mkdir()
        soundfile.write(tmp_path / "audio" / "off.wav", np.zeros(20 * RATE, dtype=np.float32), RATE)
        soundfile.write(tmp_path / "audio" / "blink.wav", np.zeros(100, dtype=np.float32), RATE)
        out = tmp_path / "out"
        result = command("segment", tmp_path / "audio", "-o", out, "--model", small_model, "--skip-quiet", "10")
        assert result.code == 0, result.err
        assert "2 recordings done" in result.out
        assert (out / "rttm" / "off.rttm").read_bytes() == (out / "rttm" / "blink.rttm").read_bytes() == b""

    def test_a_recording_that_is_gone_when_its_level_is_measured_fails_alone(self, small_model, tmp_path, monkeypatch):
        audio = write_sounds(tmp_path / "audio", ["good.wav", "lost.wav"])
        original, measured = segment_run.open_directly, []

        @contextmanager
        def lose(path, channel):
            measured.append(path.name)
            path.rename(path.with_suffix(".gone")) if path.name == "lost.wav" else None
            with original(path, channel) as recording:
                yield recording

        monkeypatch.setattr(segment_run, "open_directly", lose)
        result = command("segment", audio, "-o", tmp_path / "out", "--model", small_model, "--skip-quiet", "10")
        assert result.code == 1, result.err
        assert measured == ["good.wav", "lost.wav"]
        assert [row["path"] for row in rows(tmp_path / "out" / "failures.csv")] == [str(audio / "lost.wav")]
        assert set(read_segments(tmp_path / "out" / "rttm.csv")) <= {"good"}

    @pytest.mark.parametrize("margin", ["0", "-5", "nan"])
    def test_impossible_margins_are_refused(self, small_model, sparse, tmp_path, margin):
        result = command("segment", sparse, "-o", tmp_path / "o", "--model", small_model, f"--skip-quiet={margin}")
        assert result.code == 2
        assert "--skip-quiet" in result.error


class TestConfidence:
    @pytest.fixture
    def run(self, small_model, tmp_path):
        audio = write_sounds(tmp_path / "audio", ["a.wav", "home/day.wav"], seconds=4)

        def segment(*options):
            result = command("segment", audio, "-o", tmp_path / "out", "--model", small_model, *options)
            assert result.code == 0, result.err
            return contents(tmp_path / "out")

        return segment

    def test_is_the_mean_log_odds_of_the_frames_in_every_table(self, run, tmp_path):
        run("--save-probs")
        out = tmp_path / "out"
        classes = ("KCHI", "OCH", "MAL", "FEM")
        for name in ("a", "home/day"):
            scores = np.load(out / "probs" / f"{name}.npy").astype(np.float64)
            told = [row for row in rows(out / "rttm.csv") if row["uid"] == name]
            table = rows(out / "csv" / f"{name}.csv")
            assert len(told) == len(table) > 3
            for row, own in zip(told, table, strict=True):
                first = round(50 * float(row["start_time_s"]))
                part = scores[first : first + round(50 * float(row["duration_s"])), classes.index(row["label"])]
                odds = np.log(part / (1 - part)).mean()
                assert float(row["confidence"]) == pytest.approx(1 / (1 + np.exp(-odds)), abs=6e-5)
                assert own["confidence"] == row["confidence"]
        record = json.loads((out / "run.json").read_text(encoding="utf-8"))
        assert record["settings"]["confidence"] == {"kind": "score"}
        assert {one["confidence"] for one in record["recordings"]} == {"score"}

    def test_options_add_it_to_rttm_or_leave_the_published_columns(self, run, model_must_not_run):
        usual = run()
        model_must_not_run()
        inside = run("--confidence")
        assert {name for name in usual if usual[name] != inside[name]} == {"rttm/a.rttm", "rttm/home/day.rttm"}
        scores = [line.split()[8] for line in inside["rttm/a.rttm"].decode().splitlines()]
        assert scores == [line.rsplit(",", 1)[1] for line in inside["csv/a.csv"].decode().splitlines()[1:]]
        published = run("--no-confidence")
        assert published["rttm/a.rttm"] == usual["rttm/a.rttm"]
        assert published["rttm.csv"].startswith(b"uid,start_time_s,duration_s,label\n")
        for name in ("rttm.csv", "csv/a.csv", "csv/home/day.csv"):
            cut = [line.rsplit(",", 1)[0] for line in usual[name].decode().splitlines()]
            assert published[name].decode().splitlines() == cut
        assert run() == usual

    def test_a_calibration_is_applied_and_recorded(self, run, model_must_not_run, tmp_path):
        usual = run()
        model_must_not_run()
        fit = {"intercept": 0.5, "slope": 2.0}
        content = {"format": 1, "classes": dict.fromkeys(("KCHI", "OCH", "MAL", "FEM"), fit), "about": {"segments": 9}}
        (tmp_path / "confidence.json").write_text(json.dumps(content), encoding="utf-8")
        run("--confidence-from", tmp_path / "confidence.json")
        before = [line.split(",") for line in usual["rttm.csv"].decode().splitlines()[1:]]
        for old, row in zip(before, rows(tmp_path / "out" / "rttm.csv"), strict=True):
            odds = np.log(float(old[4]) / (1 - float(old[4])))
            expected = 1 / (1 + np.exp(-(0.5 + 2 * odds)))
            assert float(row["confidence"]) == pytest.approx(expected, abs=1e-3)
        settings = json.loads((tmp_path / "out" / "run.json").read_text(encoding="utf-8"))["settings"]
        assert settings["confidence"]["kind"] == "probability"
        assert settings["confidence_from"] == {"source": str(tmp_path / "confidence.json"), "segments": 9}

    def test_a_calibration_of_other_classes_is_refused(self, small_model, tmp_path):
        audio = write_sounds(tmp_path / "audio", ["a.wav"], seconds=1)
        path = tmp_path / "confidence.json"
        path.write_text('{"format": 1, "classes": {}}', encoding="utf-8")
        options = ("-o", tmp_path / "out", "--model", small_model, "--confidence-from", path)
        assert "has no class KCHI" in command("segment", audio, *options).error
        assert "drop --no-confidence" in command("segment", audio, *options, "--no-confidence").error
