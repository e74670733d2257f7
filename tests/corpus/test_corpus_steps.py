"""scan, regions, segments, pack: real files through the real steps, and what goes wrong with them."""

from __future__ import annotations

import csv
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile
from filelock import FileLock
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st

from babyhubert.annotation.parquet import read_table
from babyhubert.annotation.reading import read_annotations
from babyhubert.annotation.segments import Segments
from babyhubert.audio.discovery import discover
from babyhubert.audio.preflight import check_recordings
from babyhubert.compute.processes import RankInfo
from babyhubert.corpus.inventory import INVENTORY, read_inventory, scan
from babyhubert.corpus.lengths import cut_segments
from babyhubert.corpus.pack import PackSettings, _held_out, pack_segments
from babyhubert.corpus.regions import REGIONS, RegionSettings, find_regions
from babyhubert.corpus.segments import SegmentSettings
from babyhubert.corpus.shards import Pack
from babyhubert.corpus.spans import read_spans
from babyhubert.errors import AnnotationError, BabyHubertError, ConfigError, CorpusError, OutputError

RATE = 16_000


def write_recording(path, seconds, *, seed=0, rate=RATE, channels=1, level=0.1):
    rng = np.random.default_rng(seed)
    path.parent.mkdir(parents=True, exist_ok=True)
    samples = level * rng.standard_normal((int(seconds * rate), channels))
    soundfile.write(path, samples.clip(-1, 1), rate, subtype="PCM_16")
    return path


@pytest.fixture
def recordings(tmp_path):
    folder = tmp_path / "recordings"
    for number in range(4):
        write_recording(folder / f"day{number}.wav", 20 + number, seed=number)
    return folder


def run_scan(folder, corpus, **options):
    return scan(check_recordings(discover([folder]), corpus, 0), corpus, **options)


def whole_corpus(recordings, corpus):
    run_scan(recordings, corpus)
    find_regions(corpus, RegionSettings())
    cut_segments(corpus, SegmentSettings(longest_s=5.0))
    return corpus


def test_inventory_measures_what_is_there(tmp_path):
    folder = tmp_path / "r"
    write_recording(folder / "a.wav", 3.0)
    write_recording(folder / "stereo.wav", 2.0, rate=44_100, channels=2)
    write_recording(folder / "phone.wav", 2.0, rate=8_000)
    soundfile.write(folder / "silent.wav", np.zeros(3 * RATE), RATE)
    soundfile.write(folder / "blink.wav", np.zeros(RATE // 2), RATE)
    soundfile.write(folder / "clipped.wav", np.sign(np.sin(np.arange(2 * RATE))), RATE)
    soundfile.write(folder / "offset.wav", np.full(2 * RATE, 0.25), RATE)
    (folder / "broken.wav").write_bytes(b"RIFF0000WAVEgarbage")
    summary = run_scan(folder, tmp_path / "corpus")
    assert summary.recordings == 7
    assert summary.exit_code == 1
    assert [path.name for path, _ in summary.failures] == ["broken.wav"]
    measured = ("samples", "sample_rate", "channels", "level_dbfs", "clipped_share", "silent_share", "offset")
    columns = ("recording_id", *measured)
    table = read_table(tmp_path / "corpus" / INVENTORY, columns)
    rows = {name: dict(zip(columns[1:], values, strict=True)) for name, *values in zip(*table.values(), strict=True)}
    assert rows["a"]["samples"] == 3 * RATE
    assert rows["a"]["level_dbfs"] == pytest.approx(-20, abs=0.2)
    assert rows["stereo"]["channels"] == 2
    assert rows["stereo"]["samples"] == 2 * RATE
    assert rows["phone"]["sample_rate"] == 8_000
    assert rows["silent"]["silent_share"] == 1
    assert rows["blink"]["silent_share"] == 1
    assert rows["a"]["silent_share"] == 0
    assert rows["silent"]["level_dbfs"] == -np.inf
    assert rows["clipped"]["clipped_share"] > 0.9
    assert rows["offset"]["offset"] == pytest.approx(0.25, abs=1e-3)
    assert summary.facts["recordings below 16 kHz"] == 1


def test_a_second_scan_measures_only_what_changed(recordings, tmp_path, monkeypatch):
    from babyhubert.corpus import inventory

    run_scan(recordings, tmp_path / "corpus")
    measured = []
    measure = inventory._measure
    monkeypatch.setattr(
        inventory, "_measure", lambda file, *a: measured.append(file.recording_id) or measure(file, *a)
    )
    write_recording(recordings / "day1.wav", 9, seed=9)
    summary = run_scan(recordings, tmp_path / "corpus")
    assert measured == ["day1"]
    assert summary.recordings == 4


def test_every_step_keeps_its_own_failures(recordings, tmp_path):
    corpus = tmp_path / "corpus"
    (recordings / 'odd, "name".wav').write_bytes(b"no audio at all")
    run_scan(recordings, corpus)
    (recordings / "day1.wav").unlink()
    find_regions(corpus, RegionSettings())
    cut_segments(corpus, SegmentSettings())
    pack_segments(corpus, PackSettings())

    def failed(name):
        with (corpus / name).open(newline="", encoding="utf-8") as file:
            return [Path(row["path"]).name for row in csv.DictReader(file)]

    assert failed("failures.csv") == ['odd, "name".wav']
    assert failed("regions-failures.csv") == ["day1.wav"]
    assert failed("pack/failures.csv") == []
    told = {step: json.loads((corpus / f"{step}.json").read_text()) for step in ("scan", "regions", "segments")}
    assert [told[step]["recordings"] for step in told] == [4, 3, 4]
    assert told["regions"]["hours_out"] * 3600 == pytest.approx(20 + 22 + 23)
    assert told["segments"]["share of them that is speech"] == 1
    assert "day1.wav" in told["regions"]["failures"][0]["error"]


def test_the_channel_that_was_scanned_is_the_one_that_is_packed(tmp_path):
    folder = tmp_path / "r"
    folder.mkdir()
    sound = np.random.default_rng(0).standard_normal((5 * RATE, 2)) * (0.1, 0.001)
    soundfile.write(folder / "stereo.wav", sound, RATE, subtype="FLOAT")
    run_scan(folder, tmp_path / "corpus", channel=1)
    find_regions(tmp_path / "corpus", RegionSettings())
    cut_segments(tmp_path / "corpus", SegmentSettings())
    pack, _ = pack_segments(tmp_path / "corpus", PackSettings())
    assert np.abs(pack.audio(0) - sound[:, 1]).max() < 1 / 32_000
    first, _ = pack_segments(tmp_path / "corpus", PackSettings(channel="first"), force=True)
    assert np.abs(first.audio(0) - sound[:, 0]).max() < 1 / 32_000


def test_no_recordings(tmp_path):
    with pytest.raises(CorpusError, match=r"inventory\.parquet: no such table"):
        find_regions(tmp_path, RegionSettings())


def test_regions_from_annotations(recordings, tmp_path):
    corpus = tmp_path / "corpus"
    run_scan(recordings, corpus)
    rttm = tmp_path / "rttm"
    rttm.mkdir()
    (rttm / "day0.rttm").write_text(
        "SPEAKER day0 1 2.000 1.500 <NA> <NA> KCHI <NA> <NA>\nSPEAKER day0 1 3.000 2.000 <NA> <NA> FEM <NA> <NA>\n"
    )
    (rttm / "day1.rttm").write_text("")
    settings = RegionSettings(source="annotations", path=str(rttm), pad_s=0.0)
    summary = find_regions(corpus, settings)
    assert len(summary.failures) == 2
    assert all("not annotated" in error for _, error in summary.failures)
    lengths = {row.recording_id: row.samples for row in read_inventory(corpus)}
    spans = read_spans(corpus / REGIONS, lengths, disjoint=True)
    assert {name: (s.tolist(), e.tolist()) for name, (s, e) in spans.items()} == {"day0": ([2 * RATE], [5 * RATE])}
    only = find_regions(corpus, settings.model_copy(update={"labels": ["FEM"]}))
    assert only.hours_out * 3600 == pytest.approx(2.0)


def test_annotations_of_other_recordings(recordings, tmp_path):
    run_scan(recordings, tmp_path / "corpus")
    (tmp_path / "x.rttm").write_text("SPEAKER elsewhere 1 2.000 1.500 <NA> <NA> KCHI <NA> <NA>\n")
    with pytest.raises(CorpusError, match="annotates none of the 4 recordings"):
        find_regions(tmp_path / "corpus", RegionSettings(source="annotations", path=str(tmp_path / "x.rttm")))
    with pytest.raises(ConfigError, match="need to know where"):
        find_regions(tmp_path / "corpus", RegionSettings(source="annotations"))


def annotated(corpus, path, text, **options):
    path.write_text(text)
    return find_regions(corpus, RegionSettings(source="annotations", path=str(path), pad_s=0.0, **options))


LINE = "SPEAKER {} 1 {} {} <NA> <NA> {} <NA> <NA>\n".format


def test_annotations_and_recordings_are_matched_and_what_is_not_is_told(tmp_path):
    corpus = tmp_path / "corpus"
    for name in ("one day.wav", "site/two.wav", "three.wav"):
        write_recording(tmp_path / "r" / name, 20)
    run_scan(tmp_path / "r", corpus)
    lines = LINE("one_day", 1, 2, "KCHI") + LINE("two", 19, 5, "FEM") + LINE("else", 1, 2, "FEM")
    summary = annotated(corpus, tmp_path / "a.rttm", lines)
    assert [path.name for path, _ in summary.failures] == ["three.wav"]
    assert summary.facts["recordings not annotated"] == "1 (three)"
    assert summary.facts["annotated, but not in the inventory"] == "1 (else)"
    assert summary.facts["annotations that end behind their recording, and are cut there"] == 1
    assert summary.hours_out * 3600 == pytest.approx(2 + 1)


@pytest.mark.parametrize(
    ("lines", "options", "error", "message"),
    [
        (LINE("day0", 1, 2, "KCHI"), {"labels": ["CHI"]}, ConfigError, "no label CHI; there are KCHI"),
        (LINE("day0", 1, 2, "KCHI") + LINE("x/day0", 3, 2, "FEM"), {}, None, "not in the inventory': '1 (x/day0)'"),
        (LINE("site/night", 1, 2, "FEM") + LINE("night", 4, 2, "FEM"), {}, CorpusError, "both mean the recording"),
        (LINE("day0", 1, 2, "KCHI") + LINE("day0", 900, 2, "FEM") * 3, {}, None, "3 of its 4 annotations lie behind"),
    ],
)
def test_annotations_that_do_not_fit(lines, options, error, message, recordings, tmp_path):
    write_recording(recordings / "site" / "night.wav", 20)
    run_scan(recordings, tmp_path / "corpus")
    if error is None:
        assert message in str(annotated(tmp_path / "corpus", tmp_path / "a.rttm", lines, **options))
    else:
        with pytest.raises(error, match=message):
            annotated(tmp_path / "corpus", tmp_path / "a.rttm", lines, **options)


def test_regions_from_silero(tmp_path):
    pytest.importorskip("silero_vad")
    folder = tmp_path / "r"
    write_recording(folder / "noise.wav", 5, level=0.001)
    run_scan(folder, tmp_path / "corpus")
    summary = find_regions(tmp_path / "corpus", RegionSettings(source="silero", threshold=0.5))
    assert summary.recordings == 1
    assert summary.hours_out == 0


@examples(deadline=None)
@given(st.lists(st.floats(0, 1, width=32), max_size=60), st.floats(0.1, 0.9), st.floats(0, 1))
def test_regions_of_silero_begin_above_one_threshold_and_last_above_another(values, enter, share):
    from babyhubert.corpus.silero import STEP, speech_runs

    stay = enter * share
    expected, run, entered = [], None, False
    for index, value in enumerate([*values, 0.0]):
        if value > stay:
            run, entered = (index if run is None else run), entered or value > enter
        elif run is not None:
            expected += [(run * STEP, index * STEP)] if entered else []
            run, entered = None, False
    start, end = speech_runs(np.array(values, dtype=np.float64), enter, stay)
    assert list(zip(start.tolist(), end.tolist(), strict=True)) == expected


@pytest.mark.parametrize(("seconds", "tolerance"), [(0.5, 1e-5), (7.3, 1e-5), (130.0, 0.01)])
def test_silero_in_stretches_is_silero_in_one_go(seconds, tolerance):
    silero_vad = pytest.importorskip("silero_vad")
    import torch

    from babyhubert.audio.recording import Block
    from babyhubert.corpus import silero

    rng = np.random.default_rng(0)
    samples = int(seconds * RATE)
    audio = (0.1 * rng.standard_normal(samples) * (np.sin(np.arange(samples) / 9000) > 0)).astype(np.float32)

    class InMemory:
        def blocks(self, size):
            for start in range(0, len(audio), size):
                yield Block(start, audio[start : start + size])

    found = silero.SileroDetector()(InMemory())
    network = silero_vad.load_silero_vad()
    network.reset_states()
    padded = np.pad(audio, (0, -len(audio) % 512))
    with torch.inference_mode():
        straight = np.array([network(torch.from_numpy(step)[None], RATE).item() for step in padded.reshape(-1, 512)])
    assert len(found) == len(straight)
    assert np.abs(found - straight).mean() < tolerance


def test_regions_from_a_voice_type_model(recordings, tmp_path):
    from babyhubert.tasks.voice_type.prediction import load_model

    run_scan(recordings, tmp_path / "corpus")
    scores = load_model(device="cpu").scores(recordings / "day0.wav").max(axis=1).astype(float)
    settings = RegionSettings(source="model", threshold=float(np.median(scores)), device="cpu", pad_s=0.0)
    summary = find_regions(tmp_path / "corpus", settings)
    assert summary.recordings == 4
    start, end = read_spans(tmp_path / "corpus" / REGIONS, {f"day{n}": 30 * RATE for n in range(4)}, disjoint=True)[
        "day0"
    ]
    assert (end - start).sum() / 320 == (scores > np.median(scores)).sum()
    with pytest.raises(ConfigError, match="no class DOG"):
        find_regions(tmp_path / "corpus", settings.model_copy(update={"labels": ["DOG"]}))


ITS = """<ITS><ProcessingUnit><Recording>
<Segment spkr="CHN" startTime="PT1.50S" endTime="PT2.75S"/><Segment spkr="CHF" startTime="PT3S" endTime="PT4S"/>
<Segment spkr="FAN" startTime="PT10.00S" endTime="PT12.10S"/><Segment spkr="SIL" startTime="PT12.10S" endTime="PT20S"/>
</Recording></ProcessingUnit></ITS>"""


def test_lena_files(tmp_path):
    (tmp_path / "day.its").write_text(ITS)
    expected = Segments.from_rows([(24_000, 44_000, "KCHI"), (160_000, 193_600, "FEM")])
    assert read_annotations(tmp_path) == {"day": expected}
    (tmp_path / "day.its").write_text(ITS[:100])
    with pytest.raises(AnnotationError, match=r"not a LENA \.its file"):
        read_annotations(tmp_path)
    (tmp_path / "day.its").write_text(ITS.replace("PT1.50S", "1.5"))
    with pytest.raises(AnnotationError, match=r"startTime '1\.5'"):
        read_annotations(tmp_path)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ("day0,nan,2.0", "not a number"),
        ("day0,-1.0,2.0", "negative time"),
        ("day0,3.0,2.0", "does not end after it starts"),
        ("day0,3.0,x", "not seconds"),
        ("day9,3.0,4.0", "not in the inventory"),
        ("day0,3.0,25.0\nday1,1.0,2.0\nday1,3.0,4.0", "ends behind the recording"),
        ("day0,1.0,3.0\nday0,2.0,4.0", "overlaps the row before"),
        ("day0,1000,3000\nday1,2000,4000", "milliseconds: divide them by 1000"),
        ("day0,16000,48000\nday1,160000,200000", "samples: divide them by 16000"),
        ("day0,20.005,20.015", r"line 2: day0, 20\.005 to 20\.015 s, ends behind the recording, which is 20 s long"),
        ("day0,1.0,2.0\nday1,0.001,inf", "not a number"),
        ("day0,0.001,0.002\nday0,0.003,0.006", "too short for speech, as are 2 of 2 rows .* read as seconds"),
    ],
)
def test_impossible_segment_lists_are_named(rows, message, recordings, tmp_path):
    run_scan(recordings, tmp_path / "corpus")
    (tmp_path / "list.csv").write_text("recording_id,start_s,end_s\n" + rows + "\n")
    with pytest.raises(CorpusError, match=message) as caught:
        cut_segments(tmp_path / "corpus", SegmentSettings(), own_list=tmp_path / "list.csv")
    assert "list.csv" in str(caught.value)
    assert not (tmp_path / "corpus" / "segments.parquet").exists()


def test_seconds_in_a_milliseconds_column_are_refused(recordings, tmp_path):
    run_scan(recordings, tmp_path / "corpus")
    (tmp_path / "day0.csv").write_text("segment_onset,segment_offset,speaker_type\n1,3,CHI\n5,9,CHI\n12,14,FEM\n")
    with pytest.raises(CorpusError, match=r"day0, 0\.001 to 0\.003 s, is too short .*milliseconds in ChildProject"):
        cut_segments(tmp_path / "corpus", SegmentSettings(), own_list=tmp_path / "day0.csv")


def test_own_segments_are_taken_as_they_are(recordings, tmp_path):
    run_scan(recordings, tmp_path / "corpus")
    (tmp_path / "list.csv").write_text("recording_id,start_s,end_s\nday0,1.0,1.5\nday1,2.0,20.005\n")
    summary = cut_segments(tmp_path / "corpus", SegmentSettings(), own_list=tmp_path / "list.csv")
    assert summary.hours_out * 3600 == pytest.approx(18.505)
    assert (tmp_path / "corpus" / "segments.png").stat().st_size > 5_000


def test_a_pack_holds_the_audio_of_its_segments(recordings, tmp_path):
    corpus = whole_corpus(recordings, tmp_path / "corpus")
    pack, summary = pack_segments(corpus, PackSettings(shard_mb=0.5))
    assert summary.exit_code == 0
    assert len(pack.shards) > 3
    pack.verify()
    assert pack.samples.sum() == sum(row.samples for row in read_inventory(corpus))
    for row in range(len(pack)):
        name = pack.recordings[pack.recording[row]]
        start, samples = int(pack.start[row]), int(pack.samples[row])
        expected, _ = soundfile.read(recordings / f"{name}.wav", start=start, frames=samples, dtype="int16")
        np.testing.assert_array_equal(pack.pcm(row), expected)
        np.testing.assert_array_equal(pack.audio(row), expected / np.float32(32_768))
    size = sum(path.stat().st_size for path in (corpus / "pack").rglob("*") if path.is_file())
    assert size / pack.samples.sum() < 2.1
    held_out = {pack.recordings[i] for i in pack.recording[pack.validation]}
    assert len(held_out) == 1
    assert not held_out & {pack.recordings[i] for i in pack.recording[~pack.validation]}


def test_adding_recordings_moves_none_between_splits():
    settings = PackSettings(validation_share=0.2)
    few = [f"day{number}" for number in range(50)]
    many = few + [f"night{number}" for number in range(50)]
    assert _held_out(few, settings) == _held_out(many, settings) & set(few)
    assert 2 < len(_held_out(many, settings)) < 40
    assert _held_out(["one"], settings) == set()
    for seed in range(20):
        assert len(_held_out(["one", "two"], PackSettings(validation_share=0.9, seed=seed))) == 1


def files_of(folder):
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and ".lock" not in path.name
    }


def test_an_interrupted_pack_goes_on_to_the_same_bytes(recordings, tmp_path):
    corpus = whole_corpus(recordings, tmp_path / "corpus")
    pack_segments(corpus, PackSettings(shard_mb=0.5))
    before = files_of(corpus / "pack")
    shards = corpus / "pack" / "shards"
    for path in (corpus / "pack" / "pack.json", *(shards / n for n in ("00003.json", "00002.i16", "00004.parquet"))):
        path.unlink()
    os.truncate(shards / "00001.i16", 1000)
    (shards / ".babyhubert-partial-01234567.i16").write_bytes(b"left by a kill")
    untouched = (shards / "00000.i16").stat().st_mtime_ns
    pack_segments(corpus, PackSettings(shard_mb=0.5))
    assert files_of(corpus / "pack") == before
    assert (shards / "00000.i16").stat().st_mtime_ns == untouched


def test_two_processes_make_the_pack_of_one(recordings, tmp_path):
    corpus = whole_corpus(recordings, tmp_path / "corpus")
    pack_segments(corpus, PackSettings(shard_mb=0.5))
    before = files_of(corpus / "pack")
    shutil.rmtree(corpus / "pack")
    first, _ = pack_segments(corpus, PackSettings(shard_mb=0.5), place=RankInfo(1, 2, 1))
    assert first is None
    second, _ = pack_segments(corpus, PackSettings(shard_mb=0.5), place=RankInfo(0, 2, 0))
    assert second is not None
    assert files_of(corpus / "pack") == before


def test_a_recording_that_vanished_or_changed_is_reported_and_the_others_packed(recordings, tmp_path):
    corpus = whole_corpus(recordings, tmp_path / "corpus")
    (recordings / "day1.wav").unlink()
    write_recording(recordings / "day2.wav", 5, seed=7)
    pack, summary = pack_segments(corpus, PackSettings(shard_mb=0.5))
    assert sorted(path.name for path, _ in summary.failures) == ["day1.wav", "day2.wav"]
    assert summary.exit_code == 1
    assert set(pack.recordings) == {"day0", "day3"}
    pack.verify()
    assert "day1.wav" in (corpus / "pack" / "failures.csv").read_text()


def test_a_recording_that_cannot_be_read_is_reported_whatever_the_error(recordings, tmp_path, monkeypatch):
    from babyhubert.corpus import pack as module

    corpus = whole_corpus(recordings, tmp_path / "corpus")
    opened = module.open_recording

    def failing(path, channel):
        if path.name == "day1.wav":
            raise OSError(5, "Input/output error")
        return opened(path, channel)

    monkeypatch.setattr(module, "open_recording", failing)
    pack, summary = pack_segments(corpus, PackSettings(shard_mb=0.5))
    assert set(pack.recordings) == {"day0", "day2", "day3"}
    assert {error for _, error in summary.failures} == {
        f"{recordings / 'day1.wav'}: OSError: [Errno 5] Input/output error"
    }
    monkeypatch.undo()
    again, summary = pack_segments(corpus, PackSettings(shard_mb=0.5))
    assert summary.exit_code == 0
    assert len(again.recordings) == 4


def test_segments_below_a_frame_are_counted(recordings, tmp_path):
    run_scan(recordings, tmp_path / "corpus")
    (tmp_path / "list.csv").write_text("recording_id,start_s,end_s\nday0,1,1.024\nday1,1,1.025\nday2,1,9\n")
    cut_segments(tmp_path / "corpus", SegmentSettings(), own_list=tmp_path / "list.csv")
    pack, summary = pack_segments(tmp_path / "corpus", PackSettings())
    assert pack.samples.tolist() == [400, 8 * RATE]
    assert summary.facts["segments left out, shorter than a frame (25 ms)"] == 1
    assert pack.facts["too_short"] == 1


def test_a_smaller_pack_leaves_no_shards_of_the_larger(recordings, tmp_path):
    corpus = whole_corpus(recordings, tmp_path / "corpus")
    pack_segments(corpus, PackSettings(shard_mb=0.5))
    pack_segments(corpus, PackSettings(), force=True)
    assert sorted(path.name for path in (corpus / "pack" / "shards").iterdir()) == [
        "00000.i16",
        "00000.json",
        "00000.parquet",
    ]


def test_a_pack_of_other_segments_is_not_replaced_silently(recordings, tmp_path):
    corpus = whole_corpus(recordings, tmp_path / "corpus")
    first, _ = pack_segments(corpus, PackSettings())
    cut_segments(corpus, SegmentSettings(longest_s=7.0))
    with pytest.raises(CorpusError, match="--force replaces it"):
        pack_segments(corpus, PackSettings())
    second, _ = pack_segments(corpus, PackSettings(), force=True)
    assert second.fingerprint != first.fingerprint
    second.verify()


def test_nothing_to_pack(recordings, tmp_path):
    corpus = tmp_path / "corpus"
    run_scan(recordings, corpus)
    (tmp_path / "day0.rttm").write_text("")
    find_regions(corpus, RegionSettings(source="annotations", path=str(tmp_path / "day0.rttm")))
    cut_segments(corpus, SegmentSettings())
    with pytest.raises(CorpusError, match="no segment to pack"):
        pack_segments(corpus, PackSettings())


def test_two_runs_in_one_folder(recordings, tmp_path):
    corpus = whole_corpus(recordings, tmp_path / "corpus")
    (corpus / "pack").mkdir()
    with FileLock(corpus / "pack" / ".lock-0"), pytest.raises(OutputError, match="another run is packing"):
        pack_segments(corpus, PackSettings())


def test_a_damaged_shard_is_found(recordings, tmp_path):
    corpus = whole_corpus(recordings, tmp_path / "corpus")
    pack, _ = pack_segments(corpus, PackSettings())
    np.memmap(corpus / "pack" / "shards" / "00000.i16", "<i2", "r+")[5] ^= 1
    with pytest.raises(CorpusError, match="checksum differs"):
        pack.verify()
    os.truncate(corpus / "pack" / "shards" / "00000.i16", 100)
    with pytest.raises(CorpusError, match="cut short"):
        Pack.open(corpus / "pack")


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="signals of POSIX systems")
def test_a_killed_scan_goes_on(tmp_path):
    folder = tmp_path / "r"
    for number in range(12):
        write_recording(folder / f"d{number:02d}.wav", 30, seed=number, rate=44_100, channels=2)
    arguments = [sys.executable, "-m", "babyhubert", "corpus", "scan", str(folder), "-o", str(tmp_path / "corpus")]
    process = subprocess.Popen(arguments, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    records = tmp_path / "corpus" / ".babyhubert" / "scan" / "records"
    deadline = time.monotonic() + 60
    while len(list(records.glob("*.json"))) < 2 and time.monotonic() < deadline and process.poll() is None:
        time.sleep(0.01)
    process.kill()
    process.wait()
    summary = run_scan(folder, tmp_path / "corpus")
    assert summary.recordings == 12
    undisturbed = run_scan(folder, tmp_path / "other")
    assert undisturbed.hours_in == summary.hours_in
    tables = [(tmp_path / name / INVENTORY).read_bytes() for name in ("corpus", "other")]
    assert tables[0] == tables[1]


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="signals of POSIX systems")
def test_a_killed_pack_goes_on_to_the_same_bytes(tmp_path):
    folder = tmp_path / "r"
    for number in range(12):
        write_recording(folder / f"d{number:02d}.wav", 30, seed=number, rate=44_100, channels=2)
    corpus, other = tmp_path / "corpus", tmp_path / "other"
    whole_corpus(folder, corpus)
    shutil.copytree(corpus, other)
    pack_segments(other, PackSettings(shard_mb=0.2))
    arguments = [sys.executable, "-m", "babyhubert", "corpus", "pack", str(corpus), "--shard-mb", "0.2"]
    second, end = corpus / "pack" / "shards" / "00001.json", corpus / "pack" / "pack.json"
    for _ in range(5):  # on a busy machine it may end before it is killed
        process = subprocess.Popen(arguments, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + 60
        while not second.exists() and time.monotonic() < deadline and process.poll() is None:
            time.sleep(0.005)
        process.kill()
        process.wait()
        if not end.exists():
            break
        shutil.rmtree(corpus / "pack")
    assert second.exists()
    assert not end.exists()
    pack_segments(corpus, PackSettings(shard_mb=0.2))
    assert files_of(corpus / "pack") == files_of(other / "pack")


def test_missing_silero_is_one_sentence(monkeypatch):
    from babyhubert.corpus.silero import SileroDetector

    monkeypatch.setitem(sys.modules, "silero_vad", None)
    with pytest.raises(BabyHubertError, match=r"silero detector needs .* pip install .\.\[pretrain\]"):
        SileroDetector()


VAD = "start,end,speaker,uri\n1000,3000,A,day0\n12000,2500,B,day0\n15000,500,A,day0\n2000,4000,A,day1\n"
VAD_SPANS = {"day0": [(1.0, 4.0), (12.0, 14.5), (15.0, 15.5)], "day1": [(2.0, 6.0)]}


def in_samples(spans):
    return {name: (np.array(rows) * RATE).astype(np.int64).T.tolist() for name, rows in spans.items()}


def found_in(path):
    table = read_table(path, ("recording_id", "start", "end"))
    found = {}
    for name, *times in zip(table["recording_id"], table["start"].tolist(), table["end"].tolist(), strict=True):
        found.setdefault(name, []).append(times)
    return {name: np.array(rows).T.tolist() for name, rows in found.items()}


@pytest.mark.parametrize(
    ("text", "meaning"),
    [
        (VAD, "durations"),
        (VAD.replace("end", "duration"), "durations"),
        (VAD.replace(",3000,", ",3000.0,"), "durations"),
        ("start,end,speaker,uri\n1000,4000,A,day0\n12000,14500,,day0\n15000,15500,A,day0\n2000,6000,A,day1\n", "ends"),
    ],
)
def test_regions_of_a_detectors_table(text, meaning, recordings, tmp_path):
    run_scan(recordings, tmp_path / "corpus")
    (tmp_path / "vad.csv").write_text(text)
    settings = RegionSettings(source="annotations", path=str(tmp_path / "vad.csv"), pad_s=0)
    summary = find_regions(tmp_path / "corpus", settings)
    assert found_in(tmp_path / "corpus" / REGIONS) == in_samples(VAD_SPANS)
    assert summary.facts["second column of the detector's table read as"] == meaning


@pytest.mark.parametrize(
    "text",
    [
        "uri,start,duration\nday0,1.000,3.000\nday0,12.000,2.500\n\nday0,15.000,0.500\nday1,2.000,4.000",
        "path,onset,length\nday0.wav,16000,48000\nday0.wav,192000,40000\nday0.wav,240000,8000\nday1.wav,32000,64000\n",
        "path,onset,length\n/x/day0.wav,16000,48000\n/x/day0.wav,192000,40000\n/x/day0.wav,240000,8000\n"
        "/x/day1.wav,32000,64000\n",
        VAD,
    ],
)
def test_segment_lists_of_the_published_preparation(text, recordings, tmp_path):
    run_scan(recordings, tmp_path / "corpus")
    (tmp_path / "list.csv").write_text(text)
    cut_segments(tmp_path / "corpus", SegmentSettings(), own_list=tmp_path / "list.csv")
    assert found_in(tmp_path / "corpus" / "segments.parquet") == in_samples(VAD_SPANS)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("start,end,speaker,uri\n1.5,2,A,day0\n", "line 2: start '1.5' must be whole milliseconds"),
        ("start,end,speaker,uri\n1500,-2,A,day0\n", "line 2: end '-2' ms must not be negative"),
        ("start,end,speaker,uri\n1500,1000,A,\n", "line 2: names no recording"),
        ("path,onset,length\nday0.wav,1.5,2\n", "line 2: onset '1.5' is no number of samples"),
        ("path,onset,length\n/,1,2\n", "line 2: names no recording"),
        ("uri,start,duration\nday0,x,2\n", "line 2: start 'x' is not a finite number"),
        ("uri,start,duration\nday9,1,2\n", "day9, 1 to 3 s, is not in the inventory"),
    ],
)
def test_odd_rows_of_published_lists_are_named(text, message, recordings, tmp_path):
    run_scan(recordings, tmp_path / "corpus")
    (tmp_path / "list.csv").write_text(text)
    with pytest.raises(BabyHubertError, match=message) as caught:
        cut_segments(tmp_path / "corpus", SegmentSettings(), own_list=tmp_path / "list.csv")
    assert "list.csv" in str(caught.value)
