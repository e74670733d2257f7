"""``babyhubert embed`` as a user runs it: representations equal to transformers', whole recordings and segments."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from making import RATE, babble

from babyhubert.encoder.hubert import HubertEncoder
from babyhubert.timebase import frame_count
from commands import command, contents, samples_of, write_sounds


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


def write_segments(path: Path, table: list[tuple[str, float, float, str]]) -> Path:
    lines = [f"{uid},{start},{end - start:.3f},{label}\n" for uid, start, end, label in table]
    path.write_text("uid,start_time_s,duration_s,label\n" + "".join(lines), encoding="utf-8")
    return path


@pytest.fixture
def encoder_must_not_run(monkeypatch):
    def refuse(*_, **__):
        raise AssertionError("the encoder was run")

    return lambda: monkeypatch.setattr(HubertEncoder, "forward", refuse)


class TestWholeRecordings:
    def test_rows_of_every_layer_equal_transformers(self, small_model, tmp_path):
        transformers = pytest.importorskip("transformers")
        audio = write_sounds(tmp_path / "audio", ["a.wav", "home/b.wav"])
        out = tmp_path / "out"
        result = command("embed", audio, "-o", out, "--model", small_model, "--layers", "0,1,2,3", "--device", "cpu")
        assert result.code == 0, result.err
        theirs = transformers.HubertModel.from_pretrained(small_model).eval()
        for name in ("a", "home/b"):
            sound = torch.from_numpy(samples_of(audio / f"{name}.wav"))[None]
            with torch.inference_mode():
                hidden = theirs(sound, output_hidden_states=True).hidden_states
            assert len(hidden) == 4
            for layer, expected in enumerate(hidden):
                found = np.load(out / f"layer{layer}" / f"{name}.npy")
                assert found.dtype == np.float32
                assert found.shape == (frame_count(sound.shape[1]), 32)
                np.testing.assert_allclose(found, expected[0].numpy(), rtol=0, atol=2e-5)
            assert float((hidden[2] - hidden[3]).abs().max()) > 0.01, "layers that are equal would prove nothing"

    def test_layout_default_layer_and_record(self, small_model, tmp_path):
        audio = write_sounds(tmp_path / "audio", ["a.wav", "home/b.wav"], seconds=1)
        (audio / "c.wav").touch()
        result = command("embed", audio, "-o", tmp_path / "out", "--model", small_model)
        assert result.code == 1
        assert set(contents(tmp_path / "out")) == {"layer3/a.npy", "layer3/home/b.npy", "failures.csv"}
        assert [Path(row["path"]).name for row in rows(tmp_path / "out" / "failures.csv")] == ["c.wav"]
        record = json.loads((tmp_path / "out" / "run.json").read_text(encoding="utf-8"))
        assert record["command"] == "embed"
        assert record["settings"]["layers"] == [3]
        assert record["settings"]["plan"] == {"window_s": 20.0, "hop_s": 16.0, "tail": "shift"}
        assert len(record["model"]["sha256"]) == 64
        assert [(entry["recording_id"], entry["frames"]) for entry in record["recordings"]] == [
            ("a", 49),
            ("home/b", frame_count(round(1.37 * RATE))),
        ]
        assert [Path(failure["path"]).name for failure in record["failures"]] == ["c.wav"]

    def test_half_precision_is_the_rounded_single(self, small_model, tmp_path):
        audio = write_sounds(tmp_path / "audio", ["a.wav"], seconds=1)
        for dtype in ("float32", "float16"):
            command("embed", audio, "-o", tmp_path / dtype, "--model", small_model, "--dtype", dtype)
        single, half = (np.load(tmp_path / dtype / "layer3" / "a.npy") for dtype in ("float32", "float16"))
        assert half.dtype == np.float16
        np.testing.assert_array_equal(half, single.astype(np.float16))

    @pytest.mark.parametrize(("samples", "frames"), [(399, 0), (400, 1)])
    def test_very_short_recordings(self, small_model, tmp_path, samples, frames):
        soundfile.write(tmp_path / "a.wav", babble(samples, RATE), RATE)
        result = command("embed", tmp_path / "a.wav", "-o", tmp_path / "out", "--model", small_model)
        assert result.code == 0, result.err
        assert np.load(tmp_path / "out" / "layer3" / "a.npy").shape == (frames, 32)

    def test_frames_come_from_the_window_that_surrounds_them_best(self, small_model, tmp_path):
        audio = write_sounds(tmp_path / "audio", ["a.wav"], seconds=10)
        windows = ("--window", 4, "--overlap", 0.5)
        assert command("embed", audio, "-o", tmp_path / "out", "--model", small_model, *windows).code == 0
        found = np.load(tmp_path / "out" / "layer3" / "a.npy")
        sound = samples_of(audio / "a.wav")
        soundfile.write(tmp_path / "part.wav", sound[32_000:96_000], RATE)
        assert command("embed", tmp_path / "part.wav", "-o", tmp_path / "out2", "--model", small_model).code == 0
        second = np.load(tmp_path / "out2" / "layer3" / "part.npy")
        assert len(second) == 199
        # Windows begin at 0, 2, 4, ... s: that at 2 s is the deepest from about 3 to 5 s of the recording.
        np.testing.assert_allclose(found[152:248], second[52:148], rtol=0, atol=1e-5)

    def test_whole_files_are_kept_and_other_settings_are_not(self, small_model, tmp_path, encoder_must_not_run):
        audio = write_sounds(tmp_path / "audio", ["a.wav", "b.wav"], seconds=1)
        run = ("embed", audio, "-o", tmp_path / "out", "--model", small_model)
        command(*run, "--layers", "1,2")
        first = contents(tmp_path / "out")
        command(*run, "--layers", "2", "--dtype", "float16")
        assert np.load(tmp_path / "out" / "layer2" / "a.npy").dtype == np.float16
        command(*run, "--layers", "1,2", "--force")
        assert contents(tmp_path / "out") == first
        encoder_must_not_run()
        again = command(*run, "--layers", "2,1")
        assert (again.code, contents(tmp_path / "out")) == (0, first)
        assert "2 recordings computed in an earlier run" in again.err
        assert "0 recordings done, 2 kept from before" in again.out


class TestSegments:
    TABLE = (
        ("a", 0.0, 0.5, "KCHI"),
        ("a", 0.31, 1.7, "FEM"),
        ("a", 4.9, 5.4, "FEM"),
        ("a", 2.0, 2.001, "OCH"),
        ("home/b", 1.0, 3.333, "MAL"),
        ("home/b", 9.0, 10.37, "KCHI"),
    )

    def run(self, small_model, tmp_path, table, *options):
        audio = tmp_path / "audio"
        if not (audio / "a.wav").exists():
            write_sounds(audio, ["a.wav", "home/b.wav"], seconds=10)
        windows = ("--window", 3, "--overlap", 0.2, "--layers", "1,3", "--model", small_model, *options)
        path = write_segments(tmp_path / "segments.csv", list(table))
        result = command("embed", audio, "-o", tmp_path / "out", "--segments", path, *windows)
        return audio, windows, result

    def test_vectors_are_means_of_the_rows_of_the_whole_recording(self, small_model, tmp_path):
        audio, windows, result = self.run(small_model, tmp_path, self.TABLE)
        assert result.code == 0, result.err
        assert command("embed", audio, "-o", tmp_path / "whole", *windows).code == 0
        out = tmp_path / "out"
        assert set(contents(out)) == {"layer1.npy", "layer3.npy", "segments.csv", "failures.csv"}
        table = rows(out / "segments.csv")
        assert [int(row["row"]) for row in table] == list(range(6))
        found = [(row["recording_id"], float(row["start_s"]), float(row["end_s"]), row["label"]) for row in table]
        assert sorted(found) == sorted(self.TABLE)
        assert [row["recording_id"] for row in table] == ["a"] * 4 + ["home/b"] * 2
        for layer in (1, 3):
            vectors = np.load(out / f"layer{layer}.npy")
            assert vectors.shape == (6, 32)
            for row, vector in zip(table, vectors, strict=True):
                frames = np.load(tmp_path / "whole" / f"layer{layer}" / f"{row['recording_id']}.npy")
                first, stop = (int(float(row[key]) * 50 + 0.5) for key in ("start_s", "end_s"))
                part = frames[first : max(stop, first + 1)]
                assert int(row["frames"]) == len(part) > 0
                np.testing.assert_allclose(vector, part.mean(axis=0), rtol=0, atol=1e-5)

    def test_one_segment_past_the_end_fails_its_recording_alone(self, small_model, tmp_path):
        audio, _, result = self.run(small_model, tmp_path, [*self.TABLE, ("a", 12.0, 13.0, "FEM")])
        assert result.code == 1, result.err
        (failure,) = rows(tmp_path / "out" / "failures.csv")
        assert failure["path"] == str(audio / "a.wav")
        assert "12.000 s" in failure["error"]
        assert "past" in failure["error"]
        table = rows(tmp_path / "out" / "segments.csv")
        assert [row["recording_id"] for row in table] == ["home/b"] * 2
        assert len(np.load(tmp_path / "out" / "layer3.npy")) == 2

    def test_an_unreadable_recording_with_segments_fails_alone(self, small_model, tmp_path):
        (tmp_path / "audio").mkdir()
        (tmp_path / "audio" / "broken.wav").write_text("not audio", encoding="utf-8")
        _, _, result = self.run(small_model, tmp_path, [*self.TABLE, ("broken", 1.0, 2.0, "FEM")])
        assert result.code == 1, result.err
        (failure,) = rows(tmp_path / "out" / "failures.csv")
        assert Path(failure["path"]).name == "broken.wav"
        assert len(rows(tmp_path / "out" / "segments.csv")) == 6

    def test_segments_of_a_recording_that_was_not_given_are_an_error(self, small_model, tmp_path):
        _, _, result = self.run(small_model, tmp_path, [*self.TABLE, ("elsewhere", 0.0, 1.0, "FEM")])
        assert result.code == 2
        assert "elsewhere" in result.error

    def test_the_output_of_segment_is_a_table_of_segments(self, small_model, tmp_path):
        audio = write_sounds(tmp_path / "audio", ["my day.wav", "sub/b.wav"])
        command("segment", audio, "-o", tmp_path / "vtc", "--model", small_model)
        made = []
        for name, segments in (("table", "rttm.csv"), ("rttm", "rttm"), ("childproject", "csv")):
            options = ("--segments", tmp_path / "vtc" / segments, "--model", small_model)
            result = command("embed", audio, "-o", tmp_path / name, *options)
            assert result.code == 0, result.err
            made.append(np.load(tmp_path / name / "layer3.npy"))
            ids = {row["recording_id"] for row in rows(tmp_path / name / "segments.csv")}
            assert ids == {"my day", "sub/b"}
        assert len(made[0]) == len(rows(tmp_path / "vtc" / "rttm.csv")) > 10
        assert np.array_equal(made[0], made[1])
        assert np.array_equal(made[0], made[2])

    def test_a_recording_without_segments_gives_no_row(self, small_model, tmp_path):
        _, _, result = self.run(small_model, tmp_path, [row for row in self.TABLE if row[0] == "a"])
        assert result.code == 0, result.err
        assert {row["recording_id"] for row in rows(tmp_path / "out" / "segments.csv")} == {"a"}

    def test_other_segments_are_computed_again_and_equal_ones_kept(self, small_model, tmp_path, encoder_must_not_run):
        changed = [*self.TABLE[:5], ("home/b", 8.0, 10.37, "KCHI")]
        self.run(small_model, tmp_path, changed)
        fresh = contents(tmp_path / "out")
        _, _, result = self.run(small_model, tmp_path, self.TABLE)
        assert "1 recording done, 1 kept from before" in result.out
        assert contents(tmp_path / "out") != fresh
        self.run(small_model, tmp_path, changed)
        assert contents(tmp_path / "out") == fresh
        encoder_must_not_run()
        _, _, result = self.run(small_model, tmp_path, changed)
        assert "0 recordings done, 2 kept from before" in result.out
        assert contents(tmp_path / "out") == fresh


def test_speed_changes_the_arithmetic_alone_and_is_told_apart(small_model, tmp_path):
    audio, out = write_sounds(tmp_path / "audio", ["a.wav"]), tmp_path / "out"
    run = ("embed", audio, "-o", out, "--model", small_model)
    assert command(*run).code == 0
    (path,) = out.glob("layer*")
    exact = np.load(path / "a.npy").astype(np.float64)
    assert "1 recording done" in command(*run, "--speed", "fast").out
    quick = np.load(path / "a.npy").astype(np.float64)
    assert quick.shape == exact.shape
    assert 0 < np.linalg.norm(quick - exact) < 0.03 * np.linalg.norm(exact)
    assert "1 kept from before" in command(*run, "--speed", "fast").out
