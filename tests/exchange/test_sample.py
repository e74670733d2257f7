"""``babyhubert sample`` as a user runs it: clips out, corrections in, scored by ``evaluate``."""

from __future__ import annotations

import csv
import errno
import json
import os
import wave
from pathlib import Path

import numpy as np
import pytest
import soundfile
from filelock import FileLock
from making import RATE, babble
from praatio import textgrid as praat
from praatio.data_classes.interval_tier import IntervalTier
from pympi.Elan import Eaf
from results_folders import write_run

from babyhubert.annotation.eaf import write_eaf
from babyhubert.annotation.reading import read_annotations, read_segments
from babyhubert.annotation.rttm import read_rttm, write_rttm
from babyhubert.annotation.segments import VOICE_TYPES, Segments
from babyhubert.annotation.uem import read_uem
from babyhubert.audio.recording import open_recording
from babyhubert.files import temporary_beside
from commands import command, contents, start

SECONDS = {"sub/Zoé 1": 30.0, "007": 20.0, "short": 3.0}
TIERS = {"KCHI": "CHI", "OCH": "OC0", "MAL": "MA0", "FEM": "FA0"}


def drawn(seed: int, seconds: float) -> list[tuple[int, int, str]]:
    """Segments in whole milliseconds, disjoint within a label, as a model leaves them."""
    draw = np.random.default_rng(seed)
    rows = []
    for label in VOICE_TYPES:
        edges = np.sort(draw.choice(int(seconds * 1000), size=8, replace=False))
        rows += [(int(start) * 16, int(end) * 16, label) for start, end in edges.reshape(-1, 2)]
    return rows


@pytest.fixture(scope="module")
def recordings(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("audio")
    for number, (name, seconds) in enumerate(SECONDS.items()):
        path = folder / f"{name}.wav"
        path.parent.mkdir(exist_ok=True)
        soundfile.write(path, babble(int(seconds * RATE), RATE, seed=number), RATE, subtype="FLOAT")
    return folder


@pytest.fixture
def run(tmp_path, recordings) -> Path:
    """An output folder of ``segment``, with scores that doubt most in the middle of each recording."""
    rows = {name: drawn(number, seconds) for number, (name, seconds) in enumerate(SECONDS.items())}
    paths = {name: recordings / f"{name}.wav" for name in SECONDS}
    out = write_run(tmp_path / "out", rows, SECONDS, paths=paths)
    for name, seconds in SECONDS.items():
        scores = np.full((int(seconds * 50) - 1, 4), 0.02, dtype=np.float16)
        scores[len(scores) // 2 : len(scores) // 2 + 100] = 0.5
        path = out / ".babyhubert" / "segment" / "scores" / f"{name}.npy"
        path.parent.mkdir(parents=True, exist_ok=True)
        np.save(path, scores)
    return out


def rows_of(clips: Path) -> list[dict[str, str]]:
    with (clips / "clips.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


OPTIONS = ("--clips", 2, "--length", 4.0)


@pytest.mark.parametrize("kind", ["eaf", "textgrid"])
@pytest.mark.parametrize("method", ["random", "periodic", "high-volubility", "low-confidence"])
def test_clips_sound_and_read_as_the_recording_does_there(run, recordings, tmp_path, method, kind):
    clips = tmp_path / "clips"
    outcome = command("sample", run, "-o", clips, *OPTIONS, "--method", method, "--format", kind, "--context", 1)
    assert outcome.code == 0, outcome.err
    assert outcome.out == f"4 clips of 2 recordings, 0 failed: {clips}\n"
    assert "note: short: 0 of 2 clips (3.0 s have no room for more of 4 s)" in outcome.err
    known = {name: read_segments(run / "csv" / f"{name}.csv", name)[name] for name in SECONDS}
    for row in rows_of(clips):
        name, first = row["recording_id"], int(row["audio_onset"]) * 16
        onset, offset = int(row["segment_onset"]), int(row["segment_offset"])
        assert offset - onset == 4000
        assert row["recording_filename"] == f"{name}.wav"
        assert row["method"] == method
        assert first == max(onset - 1000, 0) * 16
        sound, _ = soundfile.read(clips / Path(row["clip"]).with_suffix(".wav"), dtype="int16")
        whole, _ = soundfile.read(recordings / f"{name}.wav", dtype="float32")
        last = min(offset * 16 + 16_000, len(whole))
        assert len(sound) == last - first
        np.testing.assert_allclose(sound, whole[first:last] * 32_768, atol=0.501)
        there = [
            (max(start, first) - first, min(end, last) - first, label)
            for start, end, label in known[name]
            if start < last and end > first
        ]
        found = read_segments(clips / row["clip"])
        assert list(found.values()) == [Segments.from_rows(there)]
    for name in ("sub/Zoé 1", "007"):
        spans = sorted(
            (int(r["segment_onset"]), int(r["segment_offset"])) for r in rows_of(clips) if r["recording_id"] == name
        )
        assert spans[0][1] <= spans[1][0]


def test_the_same_command_gives_the_same_clips_and_another_seed_others(run, tmp_path):
    for folder, seed in (("a", 1), ("b", 1), ("c", 2)):
        options = (*OPTIONS, "--seed", seed, "--format", "textgrid")  # an .eaf names its folder
        assert command("sample", run, "-o", tmp_path / folder, *options).code == 0
    assert contents(tmp_path / "a") == contents(tmp_path / "b")
    onsets = [[row["segment_onset"] for row in rows_of(tmp_path / folder)] for folder in "abc"]
    assert onsets[0] == onsets[1] != onsets[2]


@pytest.mark.parametrize("suffix", ["flac", "mp3", "ogg", "opus"])
def test_a_clip_of_any_format_is_that_slice_of_the_whole(tmp_path, suffix):
    rate = 48_000 if suffix == "opus" else 44_100
    both = np.stack([babble(20 * rate, rate, seed=channel) for channel in range(2)], axis=1)
    kind = {"format": "OGG", "subtype": "OPUS"} if suffix == "opus" else {}
    (tmp_path / "audio").mkdir()
    soundfile.write(tmp_path / "audio" / f"a.{suffix}", both, rate, **kind)
    write_rttm(tmp_path / "rttm" / "a.rttm", "a", Segments.empty())
    outcome = command(
        *("sample", tmp_path / "rttm", "-o", tmp_path / "x", "--audio", tmp_path / "audio", "--channel", "1"),
        *("--clips", 3, "--length", 2),
    )
    assert outcome.code == 0, outcome.err
    with open_recording(tmp_path / "audio" / f"a.{suffix}", 1) as recording:
        whole = np.concatenate([block.samples for block in recording.blocks()])
    for row in rows_of(tmp_path / "x"):
        sound, _ = soundfile.read((tmp_path / "x" / row["clip"]).with_suffix(".wav"), dtype="float32")
        first = int(row["segment_onset"]) * 16
        assert np.abs(sound - np.clip(whole[first : first + 32_000], -1, 1)).max() < 1e-4


def test_low_confidence_finds_the_doubt(run, tmp_path):
    assert (
        command("sample", run, "-o", tmp_path / "x", "--clips", 1, "--length", 4, "--method", "low-confidence").code
        == 0
    )
    (row,) = [row for row in rows_of(tmp_path / "x") if row["recording_id"] == "007"]
    assert int(row["segment_onset"]) <= 9980
    assert int(row["segment_offset"]) >= 11_980
    assert 0.5 < float(row["worth"]) < 0.7


def test_high_volubility_finds_the_voice_asked_for(tmp_path, recordings):
    rows = [(0, 16_000, "FEM"), (240_000, 300_000, "KCHI")]
    write_rttm(tmp_path / "rttm" / "007.rttm", "007", Segments.from_rows(rows))
    for voice, low, high, worth in (("KCHI", 15_000, 18_750, 3.75), ("FEM", 0, 1000, 1.0)):
        outcome = command(
            *("sample", tmp_path / "rttm", "-o", tmp_path / voice, "--audio", recordings, "--clips", 3, "--length", 4),
            *("--method", "high-volubility", "--voice", voice),
        )
        assert outcome.code == 0, outcome.err
        assert f"007: 1 of 3 clips (no more {voice} speech)" in outcome.err
        (row,) = rows_of(tmp_path / voice)
        assert int(row["segment_onset"]) <= low
        assert int(row["segment_offset"]) >= high
        assert float(row["worth"]) == worth


def test_an_eaf_is_linked_to_its_clip_and_says_what_to_annotate(run, tmp_path):
    assert command("sample", run, "-o", tmp_path / "x", *OPTIONS, "--context", 0.5, "--blank").code == 0
    for row in rows_of(tmp_path / "x"):
        eaf = Eaf(str(tmp_path / "x" / row["clip"]))
        (link,) = eaf.get_linked_files()
        assert link["RELATIVE_MEDIA_URL"] == f"./{Path(row['clip']).stem}.wav"
        assert link["MEDIA_URL"] == (tmp_path / "x" / row["clip"]).with_suffix(".wav").as_uri()
        onset = int(row["segment_onset"]) - int(row["audio_onset"])
        assert eaf.get_annotation_data_for_tier("code") == [(onset, onset + 4000, "annotate")]
        assert [eaf.get_annotation_data_for_tier(name) for name in TIERS.values()] == [[], [], [], []]


def correct_in_elan(path: Path, truth: Segments, first: int) -> None:
    """As an annotator does: removes what is wrong and draws what is right, on the clip's own clock."""
    eaf = Eaf(str(path))
    for label, tier in TIERS.items():
        eaf.remove_all_annotations_from_tier(tier)
        for begin, end, _ in truth.of(label):
            if end > first:
                eaf.add_annotation(tier, max(begin - first, 0) // 16, (end - first) // 16, "hello")
    ((onset, offset, _),) = eaf.get_annotation_data_for_tier("code")
    eaf.remove_all_annotations_from_tier("code")
    eaf.add_annotation("code", onset, offset, "done")
    eaf.to_file(str(path))


def correct_in_praat(path: Path, truth: Segments, first: int) -> None:
    old = praat.openTextgrid(str(path), includeEmptyIntervals=False)
    grid = praat.Textgrid(0, old.maxTimestamp)
    for label, tier in TIERS.items():
        spans = [
            (max(start - first, 0) / 16e3, min((end - first) / 16e3, old.maxTimestamp))
            for start, end, _ in truth.of(label)
        ]
        grid.addTier(
            IntervalTier(tier, [(start, end, "x") for start, end in spans if end > start], 0, old.maxTimestamp)
        )
    grid.save(str(path), format="short_textgrid", includeBlankSpaces=True)


@pytest.mark.parametrize(("kind", "correct"), [("eaf", correct_in_elan), ("textgrid", correct_in_praat)])
def test_the_loop_from_predictions_to_scores(run, tmp_path, kind, correct):
    truth = {name: Segments.from_rows(drawn(100 + number, SECONDS[name])) for number, name in enumerate(SECONDS)}
    clips, reference = tmp_path / "clips", tmp_path / "reference"
    assert command("sample", run, "-o", clips, *OPTIONS, "--format", kind, "--context", 1.5).code == 0
    for row in rows_of(clips):
        correct(clips / row["clip"], truth[row["recording_id"]], int(row["audio_onset"]) * 16)
    outcome = command("sample", "--collect", clips, "-o", reference)
    assert outcome.code == 0, outcome.err
    assert outcome.out.splitlines()[0] == f"4 clips, 0:00:16, 0 failed: {reference}"
    scored = tmp_path / "scored"
    shared = ("--predictions", run, "--uem", reference / "annotated.uem", "--bootstrap", 0)
    outcome = command("evaluate", "voice-type", "--reference", reference, *shared, "-o", scored / "clips")
    assert outcome.code == 0, outcome.err
    for name, segments in truth.items():
        write_rttm(tmp_path / "truth" / f"{name}.rttm", name, segments)
    assert (
        command("evaluate", "voice-type", "--reference", tmp_path / "truth", *shared, "-o", scored / "all").code == 0
    )
    tables = [(scored / side / "fscore.csv").read_text(encoding="utf-8") for side in ("clips", "all")]
    assert tables[0] == tables[1]
    assert "KCHI" in tables[0]


def test_what_nobody_changed_does_not_count(run, tmp_path):
    clips = tmp_path / "clips"
    assert command("sample", run, "-o", clips, *OPTIONS).code == 0
    outcome = command("sample", "--collect", clips, "-o", tmp_path / "none")
    assert outcome.code == 2
    assert "4 clips skipped: their file was not changed" in outcome.err
    assert not (tmp_path / "none").exists()
    first = clips / rows_of(clips)[0]["clip"]
    correct_in_elan(first, Segments.empty(), 0)
    outcome = command("sample", "--collect", clips, "-o", tmp_path / "one")
    assert outcome.code == 0, outcome.err
    assert "3 clips skipped" in outcome.err
    assert read_annotations(tmp_path / "one") == {
        rows_of(clips)[0]["recording_id"].replace(" ", "_"): Segments.empty()
    }
    outcome = command("sample", "--collect", clips, "-o", tmp_path / "all", "--include-unchanged")
    assert outcome.out.startswith("4 clips, 0:00:16, 0 failed")
    assert (
        sum(int((end - start).sum()) for start, end in read_uem(tmp_path / "all" / "annotated.uem").values())
        == 16 * 16_000
    )


def test_addressees_that_people_add_are_kept(run, tmp_path):
    clips = tmp_path / "clips"
    assert command("sample", run, "-o", clips, "--clips", 1, "--length", 4).code == 0
    row = next(row for row in rows_of(clips) if row["recording_id"] == "007")
    eaf = Eaf(str(clips / row["clip"]))
    eaf.remove_all_annotations_from_tier("FA0")
    eaf.add_annotation("FA0", 1000, 2000)
    eaf.add_linguistic_type("XDS", "Symbolic_Association", timealignable=False)
    eaf.add_tier("xds@FA0", "XDS", parent="FA0")
    eaf.add_ref_annotation("xds@FA0", "FA0", 1500, "T")
    eaf.to_file(str(clips / row["clip"]))
    assert command("sample", "--collect", clips, "-o", tmp_path / "ref").code == 0
    start = int(row["segment_onset"]) / 1000 + 1
    table = (tmp_path / "ref" / "rttm_addressee.csv").read_text(encoding="utf-8")
    assert f"007,{start:.3f},1.000,FEM,KCDS\n" in table


def test_two_annotators_agree_as_far_as_they_do(run, tmp_path):
    for who in ("one", "two"):
        assert command("sample", run, "-o", tmp_path / who, *OPTIONS, "--blank").code == 0
        for row in rows_of(tmp_path / who):
            truth = Segments.from_rows([(0, 16 * 10**6, "KCHI")] if who == "one" else [])
            correct_in_elan(tmp_path / who / row["clip"], truth, int(row["audio_onset"]) * 16)
        assert command("sample", "--collect", tmp_path / who, "-o", tmp_path / f"{who}-ref").code == 0
    both = ("--reference", tmp_path / "one-ref", "--predictions", tmp_path / "two-ref")
    outcome = command(
        "evaluate", "voice-type", *both, "--uem", tmp_path / "one-ref" / "annotated.uem", "--bootstrap", 0
    )
    assert outcome.code == 0, outcome.err
    assert "0:00:16" in outcome.out


class TestBadInput:
    def test_clips_that_may_be_corrected_are_not_overwritten(self, run, tmp_path):
        assert command("sample", run, "-o", tmp_path / "x", *OPTIONS).code == 0
        before = contents(tmp_path / "x")
        outcome = command("sample", run, "-o", tmp_path / "x", *OPTIONS, "--seed", 4)
        assert outcome.code == 2
        assert "holds clips already" in outcome.error
        assert contents(tmp_path / "x") == before

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            (("--method", "best"), "--method best: one of random"),
            (("--length", "0"), "--length 0.0: 0.1 s or more"),
            (("--length", "nan"), "--length nan: a duration"),
            (("--voice", "CHI"), "--voice CHI: one of KCHI"),
            (("--format", "praat"), "--format praat: one of eaf"),
            (("--collect", "x"), "one of them"),
        ],
    )
    def test_options(self, run, tmp_path, options, message):
        outcome = command("sample", run, "-o", tmp_path / "x", *options)
        assert outcome.code == 2
        assert message in outcome.error
        assert not (tmp_path / "x").exists()

    def test_nothing_given(self, tmp_path):
        outcome = command("sample", "-o", tmp_path / "x")
        assert outcome.code == 2
        assert "give the output folder" in outcome.error

    def test_audio_that_is_gone_broken_or_cut_short_is_told_and_the_others_cut(self, run, tmp_path):
        about = json.loads((run / "run.json").read_text(encoding="utf-8"))
        for record in about["recordings"]:
            if record["recording_id"] == "007":
                record["path"] = str(tmp_path / "gone.wav")
        (run / "run.json").write_text(json.dumps(about), encoding="utf-8")
        outcome = command("sample", run, "-o", tmp_path / "x", *OPTIONS)
        assert outcome.code == 1
        assert outcome.err.count(f"failed: {tmp_path / 'gone.wav'} does not exist") == 1
        assert {row["recording_id"] for row in rows_of(tmp_path / "x")} == {"sub/Zoé 1"}

    def test_no_audio_is_known(self, tmp_path):
        write_rttm(tmp_path / "rttm" / "a.rttm", "a", Segments.empty())
        outcome = command("sample", tmp_path / "rttm", "-o", tmp_path / "x")
        assert outcome.code == 2
        assert "a: its audio is not known; name it with --audio" in outcome.err
        assert outcome.out.endswith("(nothing written)\n")

    def test_low_confidence_needs_scores(self, tmp_path, recordings):
        write_rttm(tmp_path / "rttm" / "007.rttm", "007", Segments.empty())
        outcome = command(
            *("sample", tmp_path / "rttm", "-o", tmp_path / "x", "--audio", recordings, "--length", 4),
            *("--method", "low-confidence"),
        )
        assert outcome.code == 2
        assert "no frame scores were kept" in outcome.err

    def test_a_file_that_an_annotator_damaged_or_lost(self, run, tmp_path):
        clips = tmp_path / "clips"
        assert command("sample", run, "-o", clips, *OPTIONS).code == 0
        names = [clips / row["clip"] for row in rows_of(clips)]
        names[0].unlink()
        names[1].write_text("half a file")
        correct_in_elan(names[2], Segments.empty(), 0)
        outcome = command("sample", "--collect", clips, "-o", tmp_path / "ref")
        assert outcome.code == 1
        for name in names[:2]:
            assert outcome.err.count(str(name)) == 1
        assert outcome.out.startswith("1 clip, 0:00:04, 2 failed")

    @pytest.mark.parametrize(
        ("old", "new", "message"),
        [
            ("audio_onset", "x", "column audio_onset is missing"),
            (",4000,", ",4 s,", "whole milliseconds"),
            (",4000,", ",0,", "is no clip"),
        ],
    )
    def test_a_list_that_somebody_edited(self, tmp_path, old, new, message):
        header = "clip,recording_id,recording_filename,segment_onset,segment_offset,audio_onset,annotation_sha256\n"
        (tmp_path / "clips").mkdir()
        (tmp_path / "clips" / "clips.csv").write_text((header + "a.eaf,a,a.wav,0,4000,0,x\n").replace(old, new))
        outcome = command("sample", "--collect", tmp_path / "clips", "-o", tmp_path / "ref")
        assert outcome.code == 2
        assert message in outcome.error

    def test_clips_that_overlap_because_two_lists_were_joined(self, run, tmp_path):
        clips = tmp_path / "clips"
        assert command("sample", run, "-o", clips, "--clips", 1, "--length", 4).code == 0
        table = clips / "clips.csv"
        lines = table.read_text(encoding="utf-8").splitlines()
        table.write_text("\n".join([*lines, lines[1]]), encoding="utf-8")
        outcome = command("sample", "--collect", clips, "-o", tmp_path / "ref", "--include-unchanged")
        assert outcome.code == 2
        assert "overlap in" in outcome.error

    def test_no_list_of_clips(self, tmp_path):
        outcome = command("sample", "--collect", tmp_path, "-o", tmp_path / "ref")
        assert outcome.code == 2
        assert "holds no clips.csv" in outcome.error

    def test_a_full_disk_stops_it_and_the_same_command_goes_through_later(self, run, tmp_path, monkeypatch):
        def full(self, data):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        with monkeypatch.context() as patch:
            patch.setattr(wave.Wave_write, "writeframes", full)
            outcome = command("sample", run, "-o", tmp_path / "x", *OPTIONS)
        assert outcome.code == 2
        assert "the disk is full" in outcome.error
        assert contents(tmp_path / "x") == {}
        assert command("sample", run, "-o", tmp_path / "x", *OPTIONS).code == 0


def test_real_recordings_from_prediction_to_scores(corpora, tmp_path):
    """The truth stands in for the annotators: periodic clips of a real scene must score as the scene does there."""
    audio = sorted((corpora / "playroom" / "dev" / "audio").iterdir())[0]
    name = audio.stem
    truth = read_rttm(corpora / "playroom" / "dev" / "rttm" / f"{name}.rttm")[name]
    shifted = Segments(truth.start + 1600, truth.end + 1600, truth.label)  # predictions 100 ms late
    write_rttm(tmp_path / "predictions" / f"{name}.rttm", name, shifted)
    clips, reference = tmp_path / "clips", tmp_path / "reference"
    options = ("--method", "periodic", "--clips", 4, "--length", 30, "--format", "textgrid")
    outcome = command("sample", tmp_path / "predictions", "-o", clips, "--audio", audio, *options)
    assert outcome.code == 0, outcome.err
    for row in rows_of(clips):
        correct_in_praat(clips / row["clip"], truth, int(row["audio_onset"]) * 16)
    assert command("sample", "--collect", clips, "-o", reference).code == 0
    shared = ("--predictions", tmp_path / "predictions", "--uem", reference / "annotated.uem", "--bootstrap", 0)
    for side, folder in (("clips", reference), ("all", corpora / "playroom" / "dev" / "rttm")):
        assert (
            command("evaluate", "voice-type", "--reference", folder, *shared, "-o", tmp_path / f"{side}-scores").code
            == 0
        )
    scores = [json.loads((tmp_path / f"{side}-scores" / "evaluation.json").read_text()) for side in ("clips", "all")]
    assert scores[0]["classes"] == scores[1]["classes"]
    assert 0.5 < scores[0]["classes"]["KCHI"]["f1"] < 1


class TestOneRunAtATime:
    def test_a_finished_sample_that_nobody_touched_is_kept(self, run, tmp_path):
        clips = tmp_path / "x"
        first = command("sample", run, "-o", clips, *OPTIONS)
        assert first.code == 0, first.err
        before = {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in clips.rglob("*") if path.is_file()}
        again = command("sample", run, "-o", clips, *OPTIONS)
        assert again.code == 0, again.err
        assert again.out.strip() == f"{first.out.strip()} (kept as they are)"
        after = {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in clips.rglob("*") if path.is_file()}
        assert after == before

    @pytest.mark.parametrize("change", ["annotation", "sound", "segments", "audio", "seed", "table"])
    def test_and_is_refused_where_anything_differs(self, run, recordings, tmp_path, change):
        clips = tmp_path / "x"
        assert command("sample", run, "-o", clips, *OPTIONS).code == 0
        seed = ()
        if change == "annotation":
            path = next(clips.rglob("*.eaf"))
            path.write_text(path.read_text(encoding="utf-8") + "\n", encoding="utf-8")
        elif change == "sound":
            next(clips.rglob("*.wav")).unlink()
        elif change == "segments":
            path = run / "csv" / "007.csv"
            path.write_text(path.read_text(encoding="utf-8").replace("KCHI", "OCH"), encoding="utf-8")
            path.write_text("segment_onset,segment_offset,speaker_type\n1,900,CHI\n", encoding="utf-8")
        elif change == "audio":
            os.utime(recordings / "007.wav")
        elif change == "seed":
            seed = ("--seed", 9)
        else:
            (clips / "sample.json").unlink()
        outcome = command("sample", run, "-o", clips, *OPTIONS, *seed)
        assert outcome.code == 2
        assert "holds clips already" in outcome.error

    def test_two_at_once_do_not_mix(self, run, tmp_path):
        clips = tmp_path / "x"
        (clips / ".babyhubert" / "sample").mkdir(parents=True)
        with FileLock(clips / ".babyhubert" / "sample" / "lock"):
            assert "another run is writing clips here" in command("sample", run, "-o", clips, *OPTIONS).error
        assert contents(clips) == {}
        assert command("sample", run, "-o", clips, *OPTIONS).code == 0

    def test_two_processes_at_once(self, run, tmp_path):
        """Whoever is first, the clips are those of the table, all of one seed."""
        clips = tmp_path / "x"
        both = [start("sample", run, "-o", clips, *OPTIONS, "--seed", seed) for seed in (0, 1)]
        codes = sorted(process.wait(timeout=120) for process in both)
        said = "".join(process.communicate()[1] for process in both)
        assert codes == [0, 2], said
        assert "another run is writing clips here" in said or "holds clips already" in said
        rows = list(csv.DictReader((clips / "clips.csv").open(encoding="utf-8")))
        assert {row["clip"] for row in rows} == {path.relative_to(clips).as_posix() for path in clips.rglob("*.eaf")}
        assert len({row["seed"] for row in rows}) == 1

    def test_a_sample_that_was_broken_off(self, run, tmp_path, monkeypatch):
        """Is finished by the same command, half-written files included, and mixed with no other."""
        clips = tmp_path / "x"
        written = []

        def write(*arguments):
            written.append(arguments)
            if len(written) == 3:
                raise KeyboardInterrupt
            return write_eaf(*arguments)

        monkeypatch.setattr("babyhubert.annotation.eaf.write_eaf", write)
        assert command("sample", run, "-o", clips, *OPTIONS).code == 130
        monkeypatch.undo()
        left = [temporary_beside(next(clips.rglob("*.eaf"))), temporary_beside(clips / "clips.csv")]
        for path in left:
            path.write_bytes(b"half")
        assert not (clips / "clips.csv").exists()
        other = command("sample", run, "-o", clips, *OPTIONS, "--seed", 9)
        assert "holds clips of a run with other settings that was broken off" in other.error
        assert command("sample", run, "-o", clips, *OPTIONS).code == 0
        assert not [path for path in left if path.exists()]
        assert command("sample", run, "-o", tmp_path / "undisturbed", *OPTIONS).code == 0
        assert contents(clips).keys() == contents(tmp_path / "undisturbed").keys()  # .eaf names its folder
        assert (clips / "clips.csv").read_text("utf-8").count("\n") == 1 + len(list(clips.rglob("*.eaf")))
