"""``babyhubert addressee`` as a user runs it."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from making import RATE, babble
from task_models import LABELS, write_task_model

import babyhubert
from babyhubert.annotation.reading import read_segments
from babyhubert.annotation.segments import Segments
from babyhubert.inference.task_model import FrameOutputs
from commands import command, contents, samples_of, write_sounds

HEADER = "uid,start_time_s,duration_s,label\n"


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


@pytest.fixture(scope="session")
def addressee_model(tmp_path_factory):
    return write_task_model(tmp_path_factory.mktemp("models") / "addressee", ["addressee"])


@pytest.fixture(scope="session")
def three_heads(tmp_path_factory):
    return write_task_model(tmp_path_factory.mktemp("models") / "three", ["voice_type", "addressee", "phonemes"])


def plain(model, audio, start, end):
    """Probabilities of one utterance, from every window of the grid and the frames that lie deepest in each."""
    network = babyhubert.load_model(model, task="addressee", device="cpu").loaded.network
    outputs = FrameOutputs(network, ["addressee"])
    frames = (len(audio) - 400) // 320 + 1
    best = np.full(frames, -1)
    values = np.zeros((frames, 3))
    starts = list(range(0, len(audio) - 160_000 + 1, 80_000)) if len(audio) >= 160_000 else [0]
    if starts[-1] // 320 + 499 < frames and len(audio) > 160_000:
        starts.append((len(audio) - 160_000) // 320 * 320)
    for at in starts:
        stop = len(audio) if at == starts[-1] else at + 160_000
        out = outputs(torch.from_numpy(audio[at:stop])[None])[0].numpy()
        depth = np.minimum(np.arange(len(out)) + (10_000 if at == 0 else 0), np.arange(len(out))[::-1])
        if stop == len(audio):
            depth = np.arange(len(out)) + (10_000 if at == 0 else 0)
        span = slice(at // 320, at // 320 + len(out))
        deeper = depth >= best[span]
        values[span][deeper], best[span][deeper] = out[deeper], depth[deeper]
    mean = values[round(start / 320) : round(end / 320)].mean(axis=0)
    return np.exp(mean - mean.max()) / np.exp(mean - mean.max()).sum()


class TestOutputs:
    def test_published_table_and_probabilities(self, addressee_model, tmp_path):
        audio = write_sounds(tmp_path / "audio", ["007.wav", "home/42.wav"], seconds=33)
        table = HEADER + "007,0.500,1.000,FEM\n007,1.000,2.000,KCHI\n007,4.000,28.500,MAL\nhome/42,2.000,0.020,OCH\n"
        table += "home/42,20.000,1.500,FEM\n"
        (tmp_path / "rttm.csv").write_text(table, encoding="utf-8")
        out = tmp_path / "out"
        result = command(
            "addressee", audio, "-o", out, "--segments", tmp_path / "rttm.csv", "--model", addressee_model
        )
        assert result.code == 0, result.err
        files = {"addressee/007.csv", "addressee/home/42.csv", "rttm_addressee.csv", "failures.csv"}
        assert set(contents(out)) == files
        lines = (out / "rttm_addressee.csv").read_text(encoding="utf-8").splitlines()
        assert lines[0] == "uid,start_time_s,duration_s,label,addressee"
        assert [line.rsplit(",", 1)[0] for line in lines[1:]] == table.splitlines()[1:]
        for row in rows(out / "rttm_addressee.csv"):
            assert (row["addressee"] in LABELS["addressee"]) == (row["label"] in ("FEM", "MAL")), row
        detail = [row for name in ("007", "home/42") for row in rows(out / "addressee" / f"{name}.csv")]
        for row in detail:
            if row["addressee"]:
                start = round(float(row["start_time_s"]) * RATE)
                end = start + round(float(row["duration_s"]) * RATE)
                expected = plain(addressee_model, samples_of(audio / f"{row['recording_id']}.wav"), start, end)
                found = [float(row[f"p_{label}"]) for label in LABELS["addressee"]]
                np.testing.assert_allclose(found, expected, atol=1e-4)
                assert float(row["confidence"]) == max(found)
                assert row["addressee"] == LABELS["addressee"][int(np.argmax(found))]
            else:
                assert {row["confidence"], row["p_ADS"], row["p_KCDS"], row["p_Other"]} == {""}

    def test_results_depend_on_the_recording_alone(self, addressee_model, tmp_path):
        audio = write_sounds(tmp_path / "audio", ["a.wav", "b.wav"], seconds=61)
        one = HEADER + "b,50.000,1.000,FEM\n"
        many = one + "".join(f"{uid},{at}.000,3.000,MAL\n" for uid in "ab" for at in range(0, 58, 4))
        for name, table in (("one", one), ("many", many)):
            (tmp_path / f"{name}.csv").write_text(table, encoding="utf-8")
            options = ("--segments", tmp_path / f"{name}.csv", "--model", addressee_model)
            command("addressee", audio, "-o", tmp_path / name, *options)
        (alone,) = rows(tmp_path / "one/addressee/b.csv")
        assert alone in rows(tmp_path / "many/addressee/b.csv")
        assert (tmp_path / "one/addressee/a.csv").read_text(encoding="utf-8").count("\n") == 1

    def test_published_rules_on_request(self, addressee_model, tmp_path):
        audio = write_sounds(tmp_path / "audio", ["a.wav"], seconds=45)
        (tmp_path / "s.csv").write_text(HEADER + "a,1.000,31.000,FEM\na,40.000,1.000,FEM\n", encoding="utf-8")
        run = ("addressee", audio, "--segments", tmp_path / "s.csv", "--model", addressee_model)
        result = command(*run, "-o", tmp_path / "published", "--published")
        assert result.code == 0, result.err
        assert "1 utterances over 30 s are Other without running the model" in result.err
        long, short = rows(tmp_path / "published/addressee/a.csv")
        assert (long["addressee"], long["confidence"]) == ("Other", "")
        assert short["confidence"]
        command(*run, "-o", tmp_path / "ours")
        assert all(row["confidence"] for row in rows(tmp_path / "ours/addressee/a.csv"))

    def test_what_ran_is_recorded(self, addressee_model, tmp_path):
        audio = write_sounds(tmp_path / "audio", ["a.wav"])
        (tmp_path / "s.csv").write_text(HEADER + "a,1.000,1.000,FEM\n", encoding="utf-8")
        command("addressee", audio, "-o", tmp_path / "o", "--segments", tmp_path / "s.csv", "--model", addressee_model)
        record = json.loads((tmp_path / "o/run.json").read_text(encoding="utf-8"))
        assert record["command"] == "addressee"
        assert record["model"]["classes"] == ["ADS", "KCDS", "Other"]
        assert len(record["model"]["sha256"]) == 64
        assert record["settings"]["window_s"] == 10.0
        (recording,) = record["recordings"]
        assert (recording["recording_id"], recording["adult_segments"]) == ("a", 1)


class TestWhereSegmentsComeFrom:
    def test_what_segment_left_is_used(self, small_model, addressee_model, tmp_path):
        audio = write_sounds(tmp_path / "audio", ["a.wav", "home/b.wav"], seconds=12)
        out = tmp_path / "out"
        command("segment", audio, "-o", out, "--model", small_model)
        before = contents(out)
        assert command("addressee", audio, "-o", out, "--model", addressee_model).code == 0
        after = contents(out)
        assert all(after[name] == data for name, data in before.items())
        assert read_segments(out / "rttm_addressee.csv") == read_segments(out / "rttm.csv")
        record = json.loads((out / "run.json").read_text(encoding="utf-8"))
        assert (record["command"], list(record["also"])) == ("segment", ["addressee"])
        command("segment", audio, "-o", out, "--model", small_model)
        assert list(json.loads((out / "run.json").read_text(encoding="utf-8"))["also"]) == ["addressee"]

    def test_a_voice_type_model_is_run_where_there_are_none_and_that_is_said(
        self, small_model, addressee_model, tmp_path
    ):
        audio = write_sounds(tmp_path / "audio", ["a.wav", "b.wav"], seconds=12)
        run = ("addressee", audio, "-o", tmp_path / "out", "--model", addressee_model, "--voice-type", small_model)
        result = command(*run)
        assert result.code == 0, result.err
        assert "no segments yet: finding who speaks when" in result.err
        assert {row["uid"] for row in rows(tmp_path / "out/rttm_addressee.csv")} == {"a", "b"}
        again = command(*run)
        assert "no segments yet" not in again.err
        assert "0 recordings done, 2 kept" in again.out

    def test_a_model_with_both_heads_needs_no_other(self, three_heads, tmp_path):
        audio = write_sounds(tmp_path / "audio", ["a.wav"], seconds=12)
        result = command("addressee", audio, "-o", tmp_path / "out", "--model", three_heads)
        assert result.code == 0, result.err
        assert "playroom" not in result.err
        assert "a" in {row["uid"] for row in rows(tmp_path / "out/rttm_addressee.csv")}

    def test_other_segments_are_judged_again_and_equal_ones_kept(self, addressee_model, tmp_path):
        audio = write_sounds(tmp_path / "audio", ["a.wav", "b.wav"])
        table = tmp_path / "s.csv"
        table.write_text(HEADER + "a,1.000,1.000,FEM\nb,1.000,1.000,FEM\n", encoding="utf-8")
        run = ("addressee", audio, "-o", tmp_path / "out", "--segments", table, "--model", addressee_model)
        command(*run)
        assert "0 recordings done, 2 kept" in command(*run).out
        table.write_text(HEADER + "a,1.000,1.000,FEM\nb,1.500,1.000,FEM\n", encoding="utf-8")
        assert "1 recording done, 1 kept" in command(*run).out
        (row,) = (row for row in rows(tmp_path / "out/rttm_addressee.csv") if row["uid"] == "b")
        assert row["start_time_s"] == "1.500"


class TestOddInput:
    def test_a_day_without_an_adult(self, addressee_model, tmp_path):
        audio = write_sounds(tmp_path / "audio", ["a.wav", "b.wav"])
        (tmp_path / "s.csv").write_text(HEADER + "a,1.000,1.000,KCHI\n", encoding="utf-8")
        out = tmp_path / "out"
        result = command("addressee", audio, "-o", out, "--segments", tmp_path / "s.csv", "--model", addressee_model)
        assert result.code == 0, result.err
        assert "b: no segment of it" in result.err
        assert (out / "rttm_addressee.csv").read_text(encoding="utf-8").splitlines()[1:] == ["a,1.000,1.000,KCHI,"]

    def test_labels_that_are_not_asked_about_are_told(self, small_model, addressee_model, tmp_path):
        audio = write_sounds(tmp_path / "audio", ["a.wav"])
        (tmp_path / "s.csv").write_text(HEADER + "a,1.000,1.000,MOT\na,2.000,1.000,FA1\n", encoding="utf-8")
        run = ("addressee", audio, "--model", addressee_model)
        result = command(*run, "-o", tmp_path / "given", "--segments", tmp_path / "s.csv")
        assert result.code == 0, result.err
        (line,) = (line for line in result.err.splitlines() if "does not ask about" in line)
        assert "MOT (1), FA1 (1); it takes FEM, MAL, of which 1 of 1 recordings have none" in line
        assert f"rename MOT, FA1 in {tmp_path / 's.csv'} if they mean FEM or MAL" in line
        found = command(*run, "-o", tmp_path / "found", "--voice-type", small_model)
        assert "does not ask about" not in found.err

    def test_segments_past_the_end_fail_their_recording_and_no_other(self, addressee_model, tmp_path):
        audio = write_sounds(tmp_path / "audio", ["a.wav", "b.wav"])
        table = HEADER + "a,4.000,5.000,FEM\nb,99.000,1.000,FEM\n"
        (tmp_path / "s.csv").write_text(table, encoding="utf-8")
        for option in ((), ("--published",)):
            out = tmp_path / f"out{len(option)}"
            result = command(
                "addressee", audio, "-o", out, "--segments", tmp_path / "s.csv", "--model", addressee_model, *option
            )
            assert result.code == 1
            (failure,) = rows(out / "failures.csv")
            assert "b.wav" in failure["error"]
            assert "99.000 s begins past the recording's end (5.370 s)" in failure["error"]
            assert [row["uid"] for row in rows(out / "rttm_addressee.csv")] == ["a"]

    @pytest.mark.parametrize("option", [(), ("--published",)])
    def test_tiny_utterances_and_tiny_recordings(self, addressee_model, tmp_path, option):
        folder = write_sounds(tmp_path / "audio", ["a.wav"])
        for name, frames in (("one-frame", 400), ("too-short", 399)):
            soundfile.write(folder / f"{name}.wav", babble(frames, RATE), RATE)
        table = "a,4.990,0.010,FEM\na,1.000,0.001,FEM\na,2.000,0.000,MAL\na,0.000,0.005,MAL\n"
        table += "one-frame,0.000,0.020,FEM\ntoo-short,0.000,0.020,FEM\n"
        (tmp_path / "s.csv").write_text(HEADER + table, encoding="utf-8")
        options = ("--segments", tmp_path / "s.csv", "--model", addressee_model, *option)
        result = command("addressee", folder, "-o", tmp_path / "out", *options)
        assert result.code == 1
        judged = rows(tmp_path / "out/rttm_addressee.csv")
        assert [row["uid"] for row in judged] == ["a"] * 4 + ["one-frame"]
        assert all(row["addressee"] for row in judged)
        (failure,) = rows(tmp_path / "out/failures.csv")
        assert "too-short.wav" in failure["error"]
        assert "shorter than one frame" in failure["error"]

    def test_segments_of_recordings_that_were_not_given(self, addressee_model, tmp_path):
        audio = write_sounds(tmp_path / "audio", ["7.wav"])
        (tmp_path / "s.csv").write_text(HEADER + "007,1.000,1.000,FEM\n", encoding="utf-8")
        result = command(
            "addressee", audio, "-o", tmp_path / "o", "--segments", tmp_path / "s.csv", "--model", addressee_model
        )
        assert result.code == 2
        assert "first: 007" in result.error

    def test_a_model_without_the_head(self, small_model, tmp_path):
        audio = write_sounds(tmp_path / "audio", ["a.wav"])
        result = command("addressee", audio, "-o", tmp_path / "out", "--model", small_model)
        assert result.code == 2
        assert "no addressee head here (heads found: voice_type)" in result.error
        assert not (tmp_path / "out").exists()

    def test_unreadable_recordings_are_listed_once(self, small_model, addressee_model, tmp_path):
        audio = write_sounds(tmp_path / "audio", ["a.wav"])
        (audio / "empty.wav").touch()
        result = command(
            "addressee", audio, "-o", tmp_path / "out", "--model", addressee_model, "--voice-type", small_model
        )
        assert result.code == 1
        assert len(rows(tmp_path / "out/failures.csv")) == 1


def test_from_python(addressee_model, tmp_path):
    audio = write_sounds(tmp_path / "audio", ["a.wav"], seconds=25)
    (tmp_path / "s.csv").write_text(HEADER + "a,1.000,1.000,FEM\na,1.500,20.000,MAL\n", encoding="utf-8")
    command("addressee", audio, "-o", tmp_path / "o", "--segments", tmp_path / "s.csv", "--model", addressee_model)
    model = babyhubert.load_model(addressee_model, device="cpu")
    segments = read_segments(tmp_path / "s.csv")["a"]
    for source in (audio / "a.wav", samples_of(audio / "a.wav")):
        found = model(source, segments)
        written = rows(tmp_path / "o/addressee/a.csv")
        assert found.columns["addressee"].tolist() == [row["addressee"] for row in written]
        np.testing.assert_allclose(found.columns["p_ADS"], [float(row["p_ADS"]) for row in written], atol=1e-4)
    assert len(model(audio / "a.wav", Segments.empty())) == 0


def test_a_model_trained_on_utterances_alone_hears_them_alone(tmp_path):
    audio = write_sounds(tmp_path / "audio", ["a.wav"], seconds=45)
    model = write_task_model(tmp_path / "model", ["addressee"], {"addressee": {"context_s": 0.0}})
    loaded = babyhubert.load_model(model, device="cpu")
    segments = Segments.from_rows([(16_000, 40_000, "FEM"), (20_000, 620_000, "MAL"), (719_900, 720_000, "FEM")])
    found = loaded(audio / "a.wav", segments)
    sound = samples_of(audio / "a.wav")
    for (start, end, _), p_ads in zip(segments, found.columns["p_ADS"], strict=True):
        alone = sound[min(start, len(sound) - 400) : max(end, start + 400)]
        logits = FrameOutputs(loaded.loaded.network, ["addressee"])(torch.from_numpy(alone.copy())[None])[0].mean(
            dim=0
        )
        assert p_ads == pytest.approx(float(torch.softmax(logits, 0)[0]), abs=1e-5)
    table = HEADER + "a,1.000,1.500,FEM\n"
    (tmp_path / "s.csv").write_text(table, encoding="utf-8")
    command("addressee", audio, "-o", tmp_path / "o", "--segments", tmp_path / "s.csv", "--model", model)
    record = json.loads((tmp_path / "o/run.json").read_text(encoding="utf-8"))
    assert (record["settings"]["windows"], record["settings"]["context_s"]) == ("alone", 0.0)
