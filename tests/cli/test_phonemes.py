"""``babyhubert phonemes`` as a user runs it."""

from __future__ import annotations

import csv
import itertools
import json
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from making import RATE
from task_models import LABELS, write_task_model

import babyhubert
from babyhubert.annotation.reading import read_segments
from babyhubert.phonology import syllables
from commands import command, contents, samples_of, write_sounds

HEADER = "uid,start_time_s,duration_s,label\n"
PUBLISHED = "filename,onset,offset,speaker,phonemes"


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


@pytest.fixture(scope="session")
def phoneme_model(tmp_path_factory):
    return write_task_model(tmp_path_factory.mktemp("models") / "phonemes", ["phonemes"])


@pytest.fixture
def talk(tmp_path):
    """Two recordings and who speaks when in them."""
    audio = write_sounds(tmp_path / "audio", ["007.wav", "home/42.wav"], seconds=37)
    table = "007,0.500,1.000,KCHI\n007,1.000,2.000,FEM\n007,2.000,33.000,KCHI\n"
    (tmp_path / "s.csv").write_text(HEADER + table, encoding="utf-8")
    return audio, tmp_path / "s.csv"


def test_published_table_times_and_syllables(phoneme_model, talk, tmp_path):
    pytest.importorskip("panphon")
    audio, table = talk
    out = tmp_path / "out"
    result = command("phonemes", audio, "-o", out, "--segments", table, "--model", phoneme_model)
    assert result.code == 0, result.err
    assert "home/42: no segment of it" in result.err
    folders = ("phonemes", "phonemes_enriched", "phonemes_timed")
    files = {f"{folder}/{name}.csv" for folder in folders for name in ("007", "home/42")}
    assert set(contents(out)) == files | {"failures.csv"}
    assert (out / "phonemes/home/42.csv").read_text(encoding="utf-8") == PUBLISHED + "\n"
    found, timed = rows(out / "phonemes/007.csv"), rows(out / "phonemes_timed/007.csv")
    assert [(row["filename"], row["onset"], row["offset"], row["speaker"]) for row in found] == [
        ("007", "0.500", "1.500", "KCHI"),
        ("007", "2.000", "35.000", "KCHI"),
    ]
    assert all(set(row["phonemes"].split()) <= set(LABELS["phonemes"][:-1]) for row in found)
    assert len(found[1]["phonemes"].split()) > 100, "utterances of any length are heard to their end"
    for row in found:
        own = [each for each in timed if each["onset"] == row["onset"]]
        assert " ".join(each["phoneme"] for each in own) == row["phonemes"]
        assert [int(each["index"]) for each in own] == list(range(len(own)))
        times = [float(each[key]) for each in own for key in ("start", "end")]
        assert times == sorted(times)
        assert times[0] >= float(row["onset"]) - 0.01
        assert times[-1] <= float(row["offset"]) + 0.01
        assert all(0 < float(each["confidence"]) <= 1 for each in own)
    assert float(timed[-1]["end"]) > 34
    for row in rows(out / "phonemes_enriched/007.csv"):
        assert row["syllables"].replace("|", " ") == row["phonemes"]
        assert int(row["n_phonemes"]) == len(row["phonemes"].split()) == len(row["cv"])
        assert int(row["n_syllables"]) == row["syllables"].count("|") + 1


def segments_file(path, *rows):
    path.write_text(HEADER + "".join(f"{row}\n" for row in rows), encoding="utf-8")
    return path


class TestLabelsNotAskedAbout:
    @pytest.fixture
    def note(self, phoneme_model, talk, tmp_path):
        """What is said of labels when these segments are given."""
        audio, _ = talk

        def said(*rows):
            table = segments_file(tmp_path / "given.csv", *rows)
            result = command("phonemes", audio, "-o", tmp_path / "out", "--segments", table, "--model", phoneme_model)
            assert result.code == 0, result.err
            return [line for line in result.err.splitlines() if "does not ask about" in line]

        return said

    def test_they_are_told_once_where_a_recording_has_no_others(self, note, tmp_path):
        (line,) = note("007,0.500,1.000,CHI", "007,2.000,1.000,CHI", "home/42,1.000,1.000,FEM", "home/42,3,1,KCHI")
        assert line == (
            "note: labels that 'phonemes' does not ask about: CHI (2), FEM (1); it takes KCHI, of which 1 of 2 "
            f"recordings have none (first: 007); rename CHI in {tmp_path / 'given.csv'} if it means KCHI"
        )
        assert rows(tmp_path / "out/phonemes/007.csv") == []
        (again,) = note("007,0.500,1.000,MOT", "home/42,1.000,1.000,FA1")
        assert "MOT (1), FA1 (1)" in again
        assert "2 of 2 recordings" in again

    def test_no_word_where_there_is_nothing_to_wonder_about(self, note):
        assert note("007,0.500,1.000,KCHI", "007,2.000,1.000,FEM", "007,3.000,1.000,SPEECH") == []
        (line,) = note("007,0.500,1.000,FEM")
        assert "rename" not in line, "FEM is a voice type of ours under its own name"


def test_phonemes_are_the_best_path_through_the_frames(phoneme_model, talk, tmp_path):
    audio, table = talk
    command("phonemes", audio, "-o", tmp_path / "out", "--segments", table, "--model", phoneme_model)
    model = babyhubert.load_model(phoneme_model, device="cpu")
    samples = samples_of(audio / "007.wav")
    found = model(samples, read_segments(table)["007"])
    assert found.columns["phonemes"].tolist() == [row["phonemes"] for row in rows(tmp_path / "out/phonemes/007.csv")]
    import torch

    from babyhubert.inference.task_model import FrameOutputs

    whole = FrameOutputs(model.loaded.network, ["phonemes"])(torch.from_numpy(samples[: 20 * RATE])[None])[0]
    path = whole[25:75].argmax(dim=1).tolist()  # the first window of the grid; 0.5 to 1.5 s
    ids = [symbol for symbol, _ in itertools.groupby(path) if symbol != 5]
    assert found.columns["phonemes"][0].split() == [LABELS["phonemes"][symbol] for symbol in ids]
    assert len(ids) > 3


def test_results_depend_on_the_recording_alone(phoneme_model, talk, tmp_path):
    audio, _ = talk
    for name, more in (("one", ""), ("many", "".join(f"007,{at}.000,2.500,KCHI\n" for at in range(0, 36, 3)))):
        (tmp_path / f"{name}.csv").write_text(HEADER + "007,20.100,1.000,KCHI\n" + more, encoding="utf-8")
        options = ("--segments", tmp_path / f"{name}.csv", "--model", phoneme_model)
        command("phonemes", audio, "-o", tmp_path / name, *options)
    (alone,) = rows(tmp_path / "one/phonemes/007.csv")
    assert alone in rows(tmp_path / "many/phonemes/007.csv")
    assert len(rows(tmp_path / "many/phonemes/007.csv")) == 13


def test_beam_search_gives_sequences_at_least_as_probable(phoneme_model, talk):
    audio, table = talk
    greedy = babyhubert.load_model(phoneme_model, device="cpu")
    segments = read_segments(table)["007"]
    wide = greedy.with_changes(beam=16)
    best, beam = greedy.results(audio / "007.wav", segments), wide.results(audio / "007.wav", segments)
    assert set(best) == set(beam) == {0, 2}
    for row in best:
        assert beam[row].result.log_probability >= best[row].result.log_probability


def test_beam_is_an_option_and_is_recorded(phoneme_model, talk, tmp_path):
    audio, table = talk
    run = ("phonemes", audio, "-o", tmp_path / "out", "--segments", table, "--model", phoneme_model)
    assert command(*run).code == 0
    result = command(*run, "--beam", 8)
    assert "2 recordings done, 0 kept" in result.out
    record = json.loads((tmp_path / "out/run.json").read_text(encoding="utf-8"))
    assert record["settings"]["decoder"] == "beam 8"
    assert record["settings"]["window_s"] == 20.0
    assert "2 kept" in command(*run, "--beam", 8).out


def test_published_rules_on_request(phoneme_model, talk, tmp_path):
    audio, table = talk
    out = tmp_path / "out"
    result = command("phonemes", audio, "-o", out, "--segments", table, "--model", phoneme_model, "--published")
    assert result.code == 0, result.err
    assert "1 utterances over 30 s left out, as published" in result.err
    folders = ["phonemes", "phonemes_timed", *(["phonemes_enriched"] if find_spec("panphon") else [])]
    for folder in folders:
        found = rows(out / folder / "007.csv")
        key, name = ("recording_id", "007") if folder == "phonemes_timed" else ("filename", "007.wav")
        assert {(row[key], row["onset"]) for row in found} == {(name, "0.500")}
        for row in found:
            if "cv" in row:
                assert row["cv"].split(" ") == [
                    "CV"[symbol in "aeiouyæøœɐɑɔəɛɜɨɪʊʌãõũĩœ̃ɐ̃ɑ̃ɔ̃ɛ̃jwɥh"] for symbol in row["phonemes"].split()
                ]
    scored = command("evaluate", "phonemes", "--reference", out / "phonemes", "--predictions", out)
    assert scored.code == 0, scored.err


def test_without_panphon_everything_but_syllables_is_written(phoneme_model, talk, tmp_path, monkeypatch):
    audio, table = talk
    monkeypatch.setattr(syllables, "find_spec", lambda _: None)
    run = ("phonemes", audio, "-o", tmp_path / "out", "--segments", table, "--model", phoneme_model)
    assert command(*run).code == 0
    assert not (tmp_path / "out/phonemes_enriched").exists()
    refused = command(*run, "--syllables")
    assert refused.code == 2
    assert "pip install '.[phones]'" in refused.error


def test_normalisation_is_the_models_own(talk, tmp_path):
    audio, table = talk
    model = write_task_model(tmp_path / "n", ["phonemes"], {"phonemes": {"context_s": 20.0, "normalise": True}})
    louder = samples_of(audio / "007.wav") * np.float32(0.25)
    segments = read_segments(table)["007"]
    loaded = babyhubert.load_model(model, device="cpu")
    assert (
        loaded(louder, segments).columns["phonemes"].tolist()
        == loaded(samples_of(audio / "007.wav"), segments).columns["phonemes"].tolist()
    )


@pytest.mark.parametrize("option", [(), ("--published",), ("--beam", 4)])
def test_odd_utterances(phoneme_model, talk, tmp_path, option):
    audio, _ = talk
    table = "007,36.990,0.010,KCHI\n007,1.000,0.001,KCHI\n007,2.000,0.000,KCHI\nhome/42,60.000,1.000,KCHI\n"
    (tmp_path / "odd.csv").write_text(HEADER + table, encoding="utf-8")
    options = ("--segments", tmp_path / "odd.csv", "--model", phoneme_model, *option)
    result = command("phonemes", audio, "-o", tmp_path / "out", *options)
    assert result.code == 1, result.err
    assert len(rows(tmp_path / "out/phonemes/007.csv")) == 3
    (failure,) = rows(tmp_path / "out/failures.csv")
    assert "42.wav" in failure["error"]
    assert "past the recording's end" in failure["error"]
    assert not (tmp_path / "out/phonemes/home/42.csv").exists()


def test_labels_without_a_blank_are_refused(tmp_path, talk, monkeypatch):
    audio, table = talk
    monkeypatch.setitem(LABELS, "phonemes", ("a", "b", "m"))
    model = write_task_model(tmp_path / "no-blank", ["phonemes"])
    result = command("phonemes", audio, "-o", tmp_path / "out", "--segments", table, "--model", model)
    assert result.code == 2
    assert "<blank>" in result.error
