"""Results of earlier runs are believed only where they are what was written, of the same recordings and model."""

from __future__ import annotations

import csv
import json
import os
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile

from babyhubert.runs import provenance
from commands import command, contents, write_small_model, write_sounds


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return write_small_model(tmp_path_factory.mktemp("model") / "m")


@pytest.fixture(scope="module")
def recordings(tmp_path_factory):
    return write_sounds(tmp_path_factory.mktemp("sound"), ["a.wav", "b.wav"], 3.0)


@pytest.fixture(scope="module")
def fresh(tmp_path_factory, model, recordings):
    out = tmp_path_factory.mktemp("fresh") / "out"
    assert command("segment", recordings, "-o", out, "--model", model).code == 0
    assert b"\na," in (out / "rttm.csv").read_bytes()
    assert b"\nb," in (out / "rttm.csv").read_bytes()
    return out


@pytest.fixture
def out(tmp_path, fresh):
    return Path(shutil.copytree(fresh, tmp_path / "out"))


def empty(path: Path) -> None:
    path.write_bytes(b"")


def zero(path: Path) -> None:
    path.write_bytes(bytes(path.stat().st_size))


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-7])


def exchange(path: Path) -> None:
    """The file of the other recording in its place."""
    shutil.copyfile(path.with_name(path.name.replace("b.", "a.")), path)


KEPT = ("rttm/b.rttm", "csv/b.csv", ".babyhubert/segment/scores/b.npy", ".babyhubert/segment/records/b.json")


@pytest.mark.parametrize("damage", [empty, zero, cut, exchange])
@pytest.mark.parametrize("name", KEPT)
def test_what_is_damaged_is_made_again_and_said(out, fresh, model, recordings, name, damage):
    damage(out / name)
    again = command("segment", recordings, "-o", out, "--model", model)
    assert again.code == 0, again.err
    assert any(name in line and "made again" in line for line in again.err.splitlines())
    assert contents(out) == contents(fresh)
    assert "made again" not in command("segment", recordings, "-o", out, "--model", model).err


@pytest.mark.parametrize("damage", [empty, zero, cut])
def test_other_thresholds_never_decide_on_damaged_scores(out, model, recordings, tmp_path, damage):
    damage(out / ".babyhubert/segment/scores/b.npy")
    assert command("segment", recordings, "-o", out, "--model", model, "--min-off", "0.5").code == 0
    expected = tmp_path / "expected"
    assert command("segment", recordings, "-o", expected, "--model", model, "--min-off", "0.5").code == 0
    assert (out / "rttm.csv").read_bytes() == (expected / "rttm.csv").read_bytes()


@pytest.mark.parametrize("name", ["rttm/b.rttm", ".babyhubert/segment/records/b.json"])
def test_damage_to_a_recording_that_is_not_given_blocks_nobody_and_is_told(out, model, recordings, name):
    cut(out / name)
    again = command("segment", recordings / "a.wav", "-o", out, "--model", model)
    assert again.code == 1
    assert name in again.err
    table = (out / "rttm.csv").read_text(encoding="utf-8")
    assert "\na," in table
    assert "\nb," not in table
    assert name in (out / "failures.csv").read_text(encoding="utf-8")


def test_deleted_scores_are_no_fault(out, model, recordings):
    shutil.rmtree(out / ".babyhubert/segment/scores")
    again = command("segment", recordings, "-o", out, "--model", model)
    assert (again.code, "2 kept" in again.out, "made again" in again.err) == (0, True, False)


def test_a_record_of_the_present_code_without_checksums_is_not_believed(out, fresh, model, recordings):
    path = out / ".babyhubert/segment/records/b.json"
    record = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps({k: v for k, v in record.items() if k not in ("outputs", "record_sha256")}))
    empty(out / "rttm/b.rttm")
    again = command("segment", recordings, "-o", out, "--model", model)
    assert "earlier version" in again.err
    assert contents(out) == contents(fresh)


@pytest.mark.parametrize("damage", [empty, zero, cut])
def test_embeddings(tmp_path, model, recordings, damage):
    out, name = tmp_path / "out", "layer3/b.npy"
    assert command("embed", recordings, "-o", out, "--model", model).code == 0
    before = (out / name).read_bytes()
    damage(out / name)
    again = command("embed", recordings, "-o", out, "--model", model)
    assert "1 recording done, 1 kept" in again.out
    assert name in again.err
    assert (out / name).read_bytes() == before


class TestWhatAResultWasMadeFrom:
    def test_another_recording_of_the_same_name_replaces_nothing(self, tmp_path, model, recordings):
        for child, name in (("child1", "a.wav"), ("child2", "b.wav")):
            (tmp_path / child).mkdir()
            shutil.copyfile(recordings / name, tmp_path / child / "day1.wav")
        out = tmp_path / "out"
        for verb in ("segment", "embed"):
            assert command(verb, tmp_path / "child1", "-o", out, "--model", model).code == 0
            before = contents(out)
            other = command(verb, tmp_path / "child2", "-o", out, "--model", model)
            assert other.code == 2
            assert str(tmp_path / "child1" / "day1.wav") in other.err
            assert {**contents(out), "failures.csv": b""} == {**before, "failures.csv": b""}
            assert command(verb, tmp_path / "child2", "-o", out, "--model", model, "--force").code == 0
            assert contents(out) != before
            shutil.rmtree(out)

    def test_a_recording_that_was_moved_is_the_same_recording(self, tmp_path, model, recordings):
        first = Path(shutil.copytree(recordings, tmp_path / "first"))
        command("segment", first, "-o", tmp_path / "out", "--model", model)
        second = first.rename(tmp_path / "second")
        assert "2 kept" in command("segment", second, "-o", tmp_path / "out", "--model", model).out

    @pytest.mark.parametrize("at", ["head", "middle", "tail"])
    def test_other_content_of_the_same_size_and_time(self, tmp_path, model, recordings, at):
        folder = Path(shutil.copytree(recordings, tmp_path / "rec"))
        command("segment", folder, "-o", tmp_path / "out", "--model", model)
        sound, rate = soundfile.read(folder / "a.wav", dtype="int16")
        start = {"head": 0, "middle": len(sound) // 2 - 500, "tail": len(sound) - 1000}[at]
        sound[start : start + 1000] = 0
        before = (folder / "a.wav").stat()
        soundfile.write(folder / "a.wav", sound, rate)
        os.utime(folder / "a.wav", ns=(before.st_atime_ns, before.st_mtime_ns))
        assert (folder / "a.wav").stat().st_size == before.st_size
        again = command("segment", folder, "-o", tmp_path / "out", "--model", model)
        assert "1 recording done, 1 kept" in again.out
        assert "has changed" in again.err

    def test_a_recording_that_is_replaced_while_it_is_read_fails(self, tmp_path, model, recordings, monkeypatch):
        from babyhubert.runs import streaming

        folder = Path(shutil.copytree(recordings, tmp_path / "rec"))
        whole = streaming._Stream.blocks

        def blocks(self):
            for number, block in enumerate(whole(self)):
                if number == 0 and self._file.recording_id == "a":
                    shutil.copyfile(recordings / "b.wav", tmp_path / "new.wav")
                    (tmp_path / "new.wav").rename(folder / "a.wav")
                yield block

        with monkeypatch.context() as patch:
            patch.setattr(streaming._Stream, "blocks", blocks)
            run = command("segment", folder, "-o", tmp_path / "out", "--model", model)
        assert run.code == 1
        assert "while it was read" in run.err
        assert not (tmp_path / "out/rttm/a.rttm").exists()
        assert "1 recording done, 1 kept" in command("segment", folder, "-o", tmp_path / "out", "--model", model).out

    @pytest.mark.parametrize("verb", ["segment", "embed"])
    def test_other_settings_of_a_model_with_the_same_weights(self, tmp_path, model, recordings, verb):
        own = Path(shutil.copytree(model, tmp_path / "m"))
        command(verb, recordings, "-o", tmp_path / "out", "--model", own)
        config = json.loads((own / "config.json").read_text(encoding="utf-8"))
        (own / "config.json").write_text(json.dumps({**config, "num_attention_heads": 4}), encoding="utf-8")
        command(verb, recordings, "-o", tmp_path / "out", "--model", own)
        command(verb, recordings, "-o", tmp_path / "fresh", "--model", own)
        assert contents(tmp_path / "out") == contents(tmp_path / "fresh")

    def test_evaluate_and_tune_tell_that_another_version_made_the_results(self, out, monkeypatch):
        given = (("evaluate", "--predictions"), ("tune", "--scores"))
        for verb, option in given:
            result = command(verb, "voice-type", "--reference", out / "rttm", option, out, "--bootstrap", "0")
            assert "another version" not in result.err
        monkeypatch.setattr(provenance, "__version__", "9.9.9")
        for verb, option in given:
            result = command(verb, "voice-type", "--reference", out / "rttm", option, out, "--bootstrap", "0")
            assert result.code == 0, result.err
            assert f"note: {out}: results of 'segment' were made by another version of babyhubert" in result.err
            assert "9.9.9 (" in result.err

    def test_measures_tell_of_addressees_that_are_about_other_segments(self, out, model, recordings):
        assert command("addressee", recordings, "-o", out).code == 0
        assert "are of other segments" not in command("measures", out).err
        lower = out.parent / "lower.toml"
        text = (out / "thresholds.toml").read_text()
        lower.write_text(re.sub(r"lower_bound = .*", "lower_bound = 0.05", text))
        segmented = command("segment", recordings, "-o", out, "--model", model, "--thresholds", lower)
        assert segmented.code == 0, segmented.err
        told = f"{out}: results of 'addressee' are of other segments than 'segment' has left here since (a, b)"
        assert told in segmented.err
        assert told in command("measures", out).err
        assert command("addressee", recordings, "-o", out).code == 0
        assert "are of other segments" not in command("measures", out).err

    def test_another_version_makes_results_again(self, out, model, recordings, monkeypatch):
        assert "2 kept" in command("segment", recordings, "-o", out, "--model", model).out
        monkeypatch.setattr(provenance, "__version__", "9.9.9")
        assert "1 recording done" in command("segment", recordings / "a.wav", "-o", out, "--model", model).out
        run = json.loads((out / "run.json").read_text(encoding="utf-8"))
        assert "9.9.9" in run["versions"]["babyhubert"].split(", ")
        assert len(run["versions"]["babyhubert"].split(", ")) == 2
        assert [r["made_with"]["babyhubert"] == "9.9.9" for r in run["recordings"]] == [True, False]
        assert "2 versions" in command("measures", out).err


class TestMixtures:
    @pytest.fixture
    def mixed(self, out, recordings, tmp_path):
        other = write_small_model(tmp_path / "other", seed=5)
        return out, command("segment", recordings / "a.wav", "-o", out, "--model", other)

    def test_two_models(self, mixed, tmp_path):
        out, run = mixed
        assert "2 models" in run.err
        assert "2 models" in command("measures", out).err
        assert "2 models" in command("report", out, "--no-levels").err
        reference = Path(shutil.copytree(out / "rttm", tmp_path / "reference"))
        told = command("evaluate", "voice-type", "--reference", reference, "--predictions", out, "--bootstrap", 0)
        assert (told.code, "2 models" in told.err) == (0, True)

    def test_metannots_names_each(self, mixed, tmp_path):
        out, _ = mixed
        told = command("export", out, "-o", tmp_path / "x", "--to", "childproject")
        assert "2 models" in told.err
        shas = {r["made_with"]["sha256"] for r in json.loads((out / "run.json").read_text("utf-8"))["recordings"]}
        (metannots,) = (tmp_path / "x").rglob("metannots.yml")
        assert len(shas) == 2
        assert all(sha in metannots.read_text(encoding="utf-8") for sha in shas)

    def test_two_sets_of_settings(self, out, model, recordings):
        run = command("segment", recordings / "a.wav", "-o", out, "--model", model, "--min-off", "0.5")
        assert "2 sets of settings that differ in minimum durations" in run.err
        assert "2 sets of settings" in command("measures", out).err

    def test_one_is_no_mixture(self, out, model, recordings):
        assert "sets of settings" not in command("segment", recordings, "-o", out, "--model", model).err
        assert "note" not in command("measures", out).err


def test_measures_fail_for_what_is_damaged_and_count_the_others(out):
    cut(out / "csv/b.csv")
    told = command("measures", out)
    assert told.code == 1
    assert "csv/b.csv" in told.err
    with (out / "measures.csv").open(encoding="utf-8", newline="") as file:
        assert [row["recording_id"] for row in csv.DictReader(file)] == ["a"]


def test_damaged_predictions_are_not_evaluated(out, fresh):
    empty(out / "rttm/b.rttm")
    told = command("evaluate", "voice-type", "--reference", fresh / "rttm", "--predictions", out, "--bootstrap", 0)
    assert told.code == 2
    assert "rttm/b.rttm" in told.error


def test_clips_of_replaced_audio_are_not_cut(tmp_path, model, recordings):
    folder = Path(shutil.copytree(recordings, tmp_path / "rec"))
    command("segment", folder, "-o", tmp_path / "out", "--model", model)
    shutil.copyfile(folder / "b.wav", folder / "a.wav")
    told = command("sample", tmp_path / "out", "-o", tmp_path / "clips", "--clips", 1, "--length", 1)
    assert told.code == 1
    assert "a.wav: was replaced" in told.err
    assert [path.name[0] for path in (tmp_path / "clips").glob("*.wav")] == ["b"]
    told = command("report", tmp_path / "out", "--with-clips", 1)
    assert "a.wav: was replaced" in told.err
    page = (tmp_path / "out/report.html").read_text(encoding="utf-8")
    assert page.count("No levels or sounds") == 1


@pytest.mark.parametrize("damage", [empty, cut, zero])
def test_levels_of_the_report_are_measured_again(out, damage):
    assert command("report", out).code == 0
    levels = out / ".babyhubert/report/levels/b.npz"
    before = dict(np.load(levels))
    damage(levels)
    assert command("report", out).code == 0
    after = dict(np.load(levels))
    assert all(np.array_equal(before[name], after[name]) for name in before)
