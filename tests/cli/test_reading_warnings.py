"""What reading a recording finds is told where people look: on the terminal, in status, in the tables."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile
from making import RATE, babble, encode_with_av

from babyhubert.audio.discovery import discover
from babyhubert.errors import ReadingWarning
from babyhubert.material.audio_store import AudioStore
from commands import command, write_sounds

CUT = "truncated: header announces"
NAN = "1 NaN or infinite sample read as 0"


@pytest.fixture(scope="module")
def audio(tmp_path_factory) -> Path:
    """One recording without fault, one cut short, one with a sample that is no number."""
    folder = write_sounds(tmp_path_factory.mktemp("warned"), ["good.wav", "cut.wav"], seconds=3)
    (folder / "cut.wav").write_bytes((folder / "cut.wav").read_bytes()[:80_000])
    sound = babble(3 * RATE, RATE, seed=2)
    sound[RATE] = np.nan
    soundfile.write(folder / "nan.wav", sound, RATE, subtype="FLOAT")
    return folder


def warnings(text: str) -> list[str]:
    """Lines of the terminal that warn of a recording."""
    return [line for line in text.splitlines() if line.strip().startswith("warning: ")]


def check_told(lines: list[str], audio: Path) -> None:
    """Both recordings that are warned of are named with what was found, the good one is not."""
    assert len(lines) == 2, lines
    assert any(f"{audio / 'cut.wav'}: {CUT}" in line for line in lines)
    assert any(f"{audio / 'nan.wav'}: {NAN}" in line for line in lines)


@pytest.mark.parametrize("verb", ["segment", "embed", "addressee", "phonemes", "analyze"])
def test_every_command_tells_at_its_end_and_status_tells_again(verb, audio, small_model, tmp_path):
    out = tmp_path / "out"
    model = ("--model", small_model) if verb in ("segment", "embed") else ()
    for _ in range(2):  # the second time everything is kept from before
        result = command(verb, audio, "-o", out, *model)
        assert result.code == 0, result.err
        check_told(warnings(result.err), audio)
        assert "0 failed, 2 with warnings: " in result.out
    status = command("status", out)
    assert status.code == 0
    own = status.out[status.out.index(f"{verb}: ") :]
    check_told(warnings(own)[:2], audio)
    assert "of audio, 2 with warnings" in status.out
    record = next(
        json.loads(line)
        for line in command("status", out, "--json").out.splitlines()
        if json.loads(line)["command"] == verb
    )
    assert [Path(each["path"]).name for each in record["warnings"]] == ["cut.wav", "nan.wav"]


def test_measures_have_a_column_and_published_tables_have_none(audio, small_model, tmp_path):
    assert command("segment", audio, "-o", tmp_path, "--model", small_model).code == 0
    told = command("measures", tmp_path)
    assert "3 recordings measured, 0 by the clock" in told.out
    assert "2 have warnings (column 'warnings')" in told.out
    with (tmp_path / "measures.csv").open(encoding="utf-8", newline="") as file:
        rows = {row["recording_id"]: row for row in csv.DictReader(file)}
    assert list(rows["good"])[-1] == "warnings"
    assert rows["good"]["warnings"] == ""
    assert rows["cut"]["warnings"].startswith(CUT)
    assert rows["nan"]["warnings"] == NAN
    with (tmp_path / "hourly.csv").open(encoding="utf-8", newline="") as file:
        assert {row["recording_id"]: row["warnings"] for row in csv.DictReader(file)}["nan"] == NAN
    assert (tmp_path / "rttm.csv").read_text().startswith("uid,start_time_s,duration_s,label")
    assert (tmp_path / "csv" / "nan.csv").read_text().startswith("segment_onset,segment_offset,speaker_type")


def test_corpus_steps_tell(audio, tmp_path):
    corpus = tmp_path / "corpus"
    steps = (
        ("scan", audio, "-o", corpus),
        ("regions", corpus, "--source", "whole"),
        ("segments", corpus),
        ("pack", corpus),
    )
    for step, *arguments in steps:
        result = command("corpus", step, *arguments)
        assert result.code == 0, result.err
        if step != "segments":  # reads no recording
            check_told(warnings(result.err), audio)
            assert "0 failed, 2 with warnings: " in result.out
    check_told(warnings(command("status", corpus).out)[:2], audio)


def test_merged_shards_tell_what_each_found(audio, small_model, tmp_path):
    for number in (1, 2):
        assert command("segment", audio, "-o", tmp_path, "--model", small_model, "--shard", f"{number}/2").code == 0
    merged = command("merge", tmp_path)
    assert merged.code == 0
    check_told(warnings(merged.err), audio)
    assert "3 recordings done, 0 failed, 2 with warnings: " in merged.out


def test_very_many_are_counted_and_status_lists_all(small_model, tmp_path):
    audio = tmp_path / "audio"
    audio.mkdir()
    for number in range(60):
        soundfile.write(audio / f"{number:02}.wav", babble(800, 8000, seed=number), 8000)
    result = command("segment", audio, "-o", tmp_path / "out", "--model", small_model)
    assert len(warnings(result.err)) == 51
    assert "warning: 10 more like these" in result.err
    assert "60 with warnings" in result.out
    assert len(warnings(command("status", tmp_path / "out").out)) == 60


def test_files_that_are_no_audio_by_name_are_counted_and_named(small_model, tmp_path):
    audio = write_sounds(tmp_path / "audio", ["a.wav"], seconds=1)
    for name in ("b.ds2", "c.xyz", "table.csv", "notes.eaf"):
        (audio / name).write_bytes(b"x")
    result = command("segment", audio, "-o", tmp_path / "out", "--model", small_model)
    assert result.code == 0
    assert (
        f"note: 2 files were left out, not known as audio by name: {audio / 'b.ds2'}, {audio / 'c.xyz'}" in result.err
    )
    (audio / "a.wav").unlink()
    refused = command("segment", audio, "-o", tmp_path / "out", "--model", small_model)
    assert "holds no audio files" in refused.error
    assert str(audio / "b.ds2") in refused.error


@pytest.mark.parametrize(("suffix", "codec"), [("mp2", "mp2"), ("wv", "wavpack"), ("tta", "tta")])
def test_rarer_formats_in_a_folder_are_read(suffix, codec, small_model, tmp_path):
    pytest.importorskip("av")
    (tmp_path / "audio").mkdir()
    encode_with_av(tmp_path / "audio" / f"a.{suffix}", codec, RATE, babble(2 * RATE, RATE))
    result = command("segment", tmp_path / "audio", "-o", tmp_path / "out", "--model", small_model)
    assert result.code == 0
    assert "1 recording done" in result.out


def test_same_names_in_one_folder(small_model, tmp_path):
    audio = write_sounds(tmp_path / "audio", ["m.wav", "m.flac"], seconds=1)
    done = command("segment", audio, "-o", tmp_path / "out", "--model", small_model)
    assert "2 recordings done" in done.out
    assert "names of files that differ in the suffix alone: m.flac is 'm_flac', m.wav is 'm_wav'" in done.err


def test_the_count_at_the_end_names_files_that_were_left_out(small_model, tmp_path):
    audio = write_sounds(tmp_path / "audio", ["a.wav"], seconds=1)
    for expected in (": ", ", 1 file left out (not known as audio by name): ", ", 2 files left out ("):
        result = command("segment", audio, "-o", tmp_path / "out", "--model", small_model)
        assert f"0 failed{expected}" in result.out
        (audio / f"{len(list(audio.iterdir()))}.ds2").write_bytes(b"x")


def test_training_material_warns_also_where_it_was_decoded_before(audio, tmp_path):
    files = discover([audio])
    for _ in range(2):
        with pytest.warns(ReadingWarning) as caught:
            AudioStore.build(files, tmp_path)
        told = sorted(str(each.message) for each in caught)
        assert len(told) == 2
        assert told[0].startswith(f"{audio / 'cut.wav'}: {CUT}")
        assert told[1] == f"{audio / 'nan.wav'}: {NAN}"


def test_backgrounds_of_simulated_recordings_warn_on_the_terminal(audio, tmp_path):
    backgrounds = Path(shutil.copytree(audio, tmp_path / "backgrounds", ignore=lambda *_: ["good.wav", "nan.wav"]))
    out = tmp_path / "out"
    result = command("simulate", "-o", out, "--backgrounds", backgrounds, "--minutes", "1", "--recordings", "1")
    assert result.code == 0, result.err
    assert any(f"warning: {backgrounds / 'cut.wav'}: {CUT}" in line for line in warnings(result.err))
    assert "ReadingWarning" not in result.err
