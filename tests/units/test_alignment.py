"""Finding when phones are said, where the truth is known."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from packs import write_pack

from babyhubert.annotation.raster import frame_counts
from babyhubert.corpus.shards import Pack, Shard, write_index, write_pack_facts
from babyhubert.errors import AnnotationError, CorpusError
from babyhubert.hashing import file_sha256
from babyhubert.phonology.forced_alignment import SpokenPhones, best_paths, gaussian_paths, uniform_path
from babyhubert.units.alignment import align, read_transcripts
from babyhubert.units.phones import Alignment

TONES = {"a": 250.0, "e": 700.0, "i": 1_500.0, "o": 2_600.0, "u": 4_200.0}


def spoken(drawn: np.random.Generator, mean: np.ndarray) -> tuple[SpokenPhones, np.ndarray]:
    """An utterance of random phones of random lengths between silences, and the truth."""
    silence = len(mean) - 1
    phones = drawn.integers(0, silence, size=drawn.integers(3, 9))
    phones = phones[np.concatenate([[True], phones[1:] != phones[:-1]])]
    path = np.repeat([silence, *phones, silence], [drawn.integers(5, 15), *drawn.integers(2, 20, len(phones)), 7])
    features = (mean[path] + drawn.standard_normal((len(path), mean.shape[1]))).astype(np.float32)
    level = np.where(path == silence, -60.0, -20.0).astype(np.float32)
    return SpokenPhones(phones, features, level), path


def test_gaussians_find_boundaries_that_uniform_misses():
    drawn = np.random.default_rng(0)
    mean = 3 * drawn.standard_normal((7, 6))
    pairs = [spoken(drawn, mean) for _ in range(80)]
    utterances, truth = [pair[0] for pair in pairs], np.concatenate([pair[1] for pair in pairs])
    begun = [uniform_path(found, 6) for found in utterances]
    found = gaussian_paths(utterances, begun, phones=7)
    before, after = (np.mean(np.concatenate(paths) == truth) for paths in (begun, found))
    assert before < 0.8
    assert after > 0.97
    for utterance, path in zip(utterances, found, strict=True):
        runs = path[np.concatenate([[True], path[1:] != path[:-1]])]
        assert runs[runs != 6].tolist() == utterance.phones.tolist()


def test_best_path_is_the_best_of_all_paths(monkeypatch):
    drawn = np.random.default_rng(1)
    mean, variance = drawn.standard_normal((4, 2)), 0.5 + drawn.random((4, 2))
    utterances = [
        SpokenPhones(np.array(phones), drawn.standard_normal((frames, 2)).astype(np.float32), np.zeros(frames))
        for phones, frames in (([0, 1, 0], 7), ([2], 1), ([1, 2], 6), ([2, 2], 5))
    ]

    def score(utterance, path):
        rest = utterance.features - mean[list(path)]
        return -0.5 * (rest**2 / variance[list(path)] + np.log(variance[list(path)])).sum()

    def paths(utterance):
        states = [3, *utterance.phones, 3]
        last = len(states) - 1
        for steps in itertools.product((0, 1), repeat=len(utterance.features) - 1):
            for begin in (0, 1):
                places = np.cumsum([begin, *steps])
                if places[-1] in (last - 1, last):
                    yield [states[place] for place in places]

    for found, utterance in zip(best_paths(utterances, mean, variance), utterances, strict=True):
        assert score(utterance, found) == pytest.approx(max(score(utterance, path) for path in paths(utterance)))
    together = best_paths(utterances, mean, variance)
    monkeypatch.setattr("babyhubert.phonology.forced_alignment._UTTERANCES_AT_ONCE", 1)
    for one, other in zip(best_paths(utterances, mean, variance), together, strict=True):
        np.testing.assert_array_equal(one, other)


def tone_pack(folder, recordings=12):
    """Recordings of tones between silences, cut in two segments each; the truth; their transcripts."""
    drawn = np.random.default_rng(4)
    (folder / "shards").mkdir(parents=True)
    columns = {name: [] for name in ("recording_id", "start", "samples", "shard", "offset", "frame_offset", "split")}
    spans, lines, audio, offset, frame_offset = [], ["utterance_id,phones"], [], 0, 0
    for number in range(recordings):
        phones = drawn.permutation(list(TONES))
        lengths = drawn.integers(1_000, 6_000, len(phones))
        sound, time = [drawn.standard_normal(3_200) * 1e-4], 3_200
        for phone, length in zip(phones.tolist(), lengths.tolist(), strict=True):
            sound.append(0.3 * np.sin(2 * np.pi * TONES[phone] * np.arange(length) / 16_000))
            spans.append((f"deep/u{number}", time, time + length, phone))
            time += length
        sound.append(drawn.standard_normal(3_200) * 1e-4)
        whole = np.concatenate(sound) + drawn.standard_normal(time + 3_200) * 1e-4
        half = len(whole) // 2 // 320 * 320
        for begin, end in ((0, half), (half, len(whole))):
            columns["recording_id"].append(f"deep/u{number}")
            columns["start"].append(begin)
            columns["samples"].append(end - begin)
            columns["offset"].append(offset)
            columns["frame_offset"].append(frame_offset)
            offset += end - begin
            frame_offset += int(frame_counts(np.array([end - begin]))[0])
        audio.append(np.round(whole * 32_767).astype("<i2"))
        lines.append(f"u{number},{' '.join(phones)}")
    rows = len(columns["start"])
    columns["shard"], columns["split"] = [0] * rows, ["train"] * rows
    path = folder / "shards" / "00000.i16"
    np.concatenate(audio).tofile(path)
    write_index(folder / "index.parquet", columns)
    write_pack_facts(folder, [Shard(0, offset, frame_offset, rows, file_sha256(path))], {})
    (folder.parent / "transcripts.csv").write_text("\n".join([*lines, "u0,a ? e", "absent,a", "u1x,"]) + "\n")
    return Pack.open(folder), Alignment.from_spans(spans), folder.parent / "transcripts.csv"


def test_tones_are_found_from_their_order_alone(tmp_path):
    pack, truth, transcripts = tone_pack(tmp_path / "pack")
    found = {aligner: align(pack, transcripts, aligner) for aligner in ("uniform", "gaussian")}
    right = {"uniform": 0, "gaussian": 0}
    spoken_frames = 0
    for row in range(len(pack)):
        name = pack.recordings[pack.recording[row]]
        if name == "deep/u0":  # its last line in the table has an unknown phone, and counts
            assert all(name not in alignment.spans for alignment in found.values())
            continue
        true = truth.of_frames(pack, row, name)
        spoken_frames += np.count_nonzero(true >= 0)
        for aligner, alignment in found.items():
            names = np.array([*alignment.phones, "none"])[alignment.of_frames(pack, row, name)]
            right[aligner] += np.count_nonzero((names == np.array([*truth.phones, "none"])[true]) & (true >= 0))
    assert right["gaussian"] > 0.95 * spoken_frames
    assert right["uniform"] < 0.8 * spoken_frames
    assert found["gaussian"].phones == ("a", "e", "i", "o", "sil", "u")


def test_what_cannot_be_aligned_is_said(tmp_path):
    pack = Pack.open(write_pack(tmp_path / "pack", lengths=((800, 800),), held_out=()))
    table = tmp_path / "t.csv"
    table.write_text("utterance_id,phones\nr0,a b c d e f\n")
    with pytest.raises(CorpusError, match="no utterance of it has as many frames"):
        align(pack, table, "uniform")
    table.write_text("utterance_id,phones\nelsewhere,a b\n")
    with pytest.raises(CorpusError, match="none of its recordings"):
        align(pack, table, "uniform")
    table.write_text("utterance_id,text\nr0,a b\n")
    with pytest.raises(AnnotationError, match="no column phones"):
        align(pack, table, "uniform")
    table.write_text("name,phones\nr0,a b\n")
    with pytest.raises(AnnotationError, match="no column recording_id"):
        read_transcripts(table)
