"""Weights in the published layouts give what the published tools give: each against a plain twin of its tool."""

from __future__ import annotations

import json
from fractions import Fraction

import numpy as np
import pytest
import torch
from making import RATE, babble

pytest.importorskip("transformers")

import published_layouts as published
import published_twins as twins

from babyhubert.annotation.segments import Segments
from babyhubert.encoder.conversion import convert_checkpoint
from babyhubert.inference.task_model import load_task_model
from babyhubert.inference.utterance_predictor import plan_utterances
from babyhubert.inference.windows import WindowPlan
from babyhubert.tasks.classification.prediction import UtteranceClassifier
from babyhubert.tasks.classification.windows import centred_window
from babyhubert.tasks.phonemes.prediction import PhonemeRecogniser
from babyhubert.tasks.phonemes.windows import phoneme_window
from babyhubert.tasks.voice_type.prediction import VoiceTypeSettings, load_model

MS = 16


@pytest.fixture(scope="module", autouse=True)
def lively_weights():
    with pytest.MonkeyPatch.context() as patch:
        encoder = twins.lively_encoder()
        patch.setattr(published, "encoder_tensors", lambda: encoder)
        patch.setattr(published, "drawn", twins.lively_head)
        yield


@pytest.fixture(scope="module")
def hubert(lively_weights):
    return twins.hubert()


@pytest.fixture(scope="module")
def audio():
    return babble(47 * RATE + 123, RATE, seed=3)


def between_values(values):
    """A threshold near the median that no value comes close to."""
    middle = np.sort(values.astype(float))[len(values) // 2 - 50 : len(values) // 2 + 50]
    widest = int(np.diff(middle).argmax())
    return float(middle[widest : widest + 2].mean())


def weights(layout, folder):
    return published.write(layout, folder / f"{layout}.ckpt")


@pytest.mark.parametrize(
    ("seconds", "window", "frames"),
    [
        ((20, 21, 60), (15.5, 25.5), (0, 273)),
        ((0.5, 1.5, 60), (0, 10), (0, 473)),
        ((59.5, 60, 60), (50, 60), (0, 23)),
        ((59.98, 60, 60), (50, 60), (0, 499)),
        ((20, 32, 60), (20, 32), (0, 598)),
    ],
)
def test_the_published_examples_of_addressee_windows(seconds, window, frames):
    onset, offset, recording = (round(value * RATE) for value in seconds)
    found = centred_window(onset, offset, recording)
    assert (found.start, found.stop) == tuple(round(value * RATE) for value in window)
    assert (found.first_frame, found.stop_frame) == frames


def test_the_published_example_of_phoneme_windows():
    found = phoneme_window(60 * RATE, 61 * RATE, 200 * RATE)
    assert found == (50.5 * RATE, 70.5 * RATE, 475, 525)


def test_windows_equal_the_plain_ones_everywhere():
    rng = np.random.default_rng(0)
    for _ in range(3_000):
        recording = int(rng.integers(300, 60_000))
        onset = int(rng.integers(0, recording))
        offset = int(min(recording, onset + rng.integers(0, rng.choice([60, 3_000, 31_000]))))
        start, end = twins.centred_window(onset, offset, recording)
        found = centred_window(onset * MS, offset * MS, recording * MS)
        assert (found.start, found.stop) == (start * MS, end * MS)
        frames = int((end - start) * MS - 400) // 320 + 1
        stop = min(int((end - onset) * MS - 400) // 320, frames)
        assert (found.first_frame, found.stop_frame) == (0, stop if stop > 0 else frames)
        own = centred_window(onset * MS, offset * MS, recording * MS, pooling="utterance")
        assert own[:2] == found[:2]
        assert 0 <= own.first_frame < own.stop_frame <= frames
        first_sample, stop_sample = (found.start + 320 * frame for frame in own[2:])
        assert abs(first_sample - onset * MS) <= 320 or own.first_frame == frames - 1
        assert abs(stop_sample - offset * MS) <= 320 or own.stop_frame in (frames, own.first_frame + 1)
        start, end, wanted = twins.phoneme_window(onset, offset, recording * MS)
        found = phoneme_window(onset * MS, offset * MS, recording * MS)
        if end - start >= 400:
            assert (found.start, found.stop) == (start, end)
            last = (end - start - 400) // 320
            clamped = sorted({min(frame, last) for frame in wanted})
            assert list(range(found.first_frame, found.stop_frame)) == clamped


def test_frames_of_phonemes_on_the_grid_of_20_ms_are_those_of_floating_point():
    rng = np.random.default_rng(1)
    starts, lengths = rng.integers(0, 2_878_000, 5_000), rng.integers(1, 500, 5_000)
    otherwise = 0
    for start, length in zip((starts * 20).tolist(), (lengths * 20).tolist(), strict=True):
        _, _, wanted = twins.phoneme_window(start, start + length, 57_600_000 * MS)
        found = phoneme_window(start * MS, (start + length) * MS, 57_600_000 * MS)
        assert list(range(found.first_frame, found.stop_frame)) == wanted
        exact = [round(Fraction(20_000 - length + 2 * add, 40)) for add in (0, length)]
        otherwise += start > 10_000 and exact != [wanted[0], wanted[-1] + 1]
    assert otherwise > 100, "exact arithmetic would give others"


@pytest.mark.parametrize("layout", ["vtc-2.0", "vtc-2.1"])
def test_voice_types(layout, hubert, audio, tmp_path):
    model = load_model(weights(layout, tmp_path), device="cpu")
    expected = twins.voice_probabilities(hubert, audio)
    medians = dict(zip(twins.VOICES, map(between_values, expected.T), strict=True))
    listed = "".join(f"[{label}]\nlower_bound = {value}\n" for label, value in medians.items())
    (tmp_path / "thresholds.toml").write_text(listed, encoding="utf-8")
    plan = WindowPlan.from_overlap(4.0, 0)
    model = model.with_settings(VoiceTypeSettings(plan=plan, thresholds=str(tmp_path / "thresholds.toml")))
    frames = np.concatenate(list(model.frames([audio])))
    np.testing.assert_allclose(frames, expected, atol=2e-5)
    assert expected.std(axis=0).min() > 0.002
    segments = [(a // 320, b // 320, label) for a, b, label in model.decide(frames)]
    assert segments == twins.voice_segments(expected, medians)
    assert len(segments) > 20


TIMES_MS = [
    (20_000, 21_000, "FEM"),
    (500, 1_500, "MAL"),
    (46_500, 47_000, "FEM"),
    (20_000, 32_000, "MAL"),
    (3_001, 3_011, "FEM"),
    (12_345, 12_346, "MAL"),
    (5_000, 15_000, "FEM"),
    (7_000, 9_777, "KCHI"),
    (30_000, 30_020, "FEM"),
    (1_000, 40_000, "FEM"),
]


def spoken(labels=None):
    return Segments.from_rows((a * MS, b * MS, label if labels is None else labels) for a, b, label in TIMES_MS)


@pytest.mark.parametrize("block", [160_000, 7_777])
def test_addressees(hubert, audio, tmp_path, block):
    model = UtteranceClassifier.of(load_task_model(weights("addressee", tmp_path), device="cpu"))
    assert (model.windows, model.pooling) == ("published", "published")
    found = model(audio, spoken())
    probabilities = np.stack([found.columns[f"p_{label}"] for label in twins.ADDRESSEES], axis=1)
    seen = set()
    for (start, end, label), addressee, values in zip(found, found.columns["addressee"], probabilities, strict=True):
        if label == "KCHI":
            assert (addressee, np.isnan(values).all()) == ("", True)
        elif end - start > 30 * RATE:
            assert (addressee, np.isnan(values).all()) == ("Other", True)
        else:
            expected = twins.addressee_probabilities(hubert, audio, start // MS, end // MS)
            np.testing.assert_allclose(values, expected, atol=1e-5)
            assert addressee == twins.ADDRESSEES[int(expected.argmax())]
            seen.add(tuple(expected.round(4)))
    assert len(seen) == 8
    blocks = [audio[at : at + block] for at in range(0, len(audio), block)]
    rows = model.asked(found)
    streamed = model._run(rows, utterances(found, rows), blocks, None)
    for row, judged in streamed.items():
        np.testing.assert_array_equal(judged.result, probabilities[row])


def test_decisions_of_a_published_checkpoint_are_those_of_the_published_tool(hubert, audio, tmp_path, monkeypatch):
    rng = np.random.default_rng(2)
    onsets = rng.integers(0, 46_900, 56)
    offsets = np.minimum(onsets + rng.integers(10, 6_000, 56), 47_000)
    segments = Segments.from_rows((a, b, "FEM") for a, b in np.stack([onsets, offsets], axis=1).tolist())
    segments = Segments(segments.start * MS, segments.end * MS, segments.label)
    times = [(start // MS, end // MS) for start, end, _ in segments]
    content = published.addressee()
    monkeypatch.setattr(published, "addressee", lambda: content)
    logits = np.log([twins.addressee_probabilities(hubert, audio, *each) for each in times])
    content["state_dict"]["classifier.bias"] -= torch.from_numpy(logits.mean(axis=0)).float()  # every class occurs
    expected = [twins.ADDRESSEES[k] for k in (logits - logits.mean(axis=0)).argmax(axis=1)]
    assert min(map(expected.count, twins.ADDRESSEES)) > 5
    torch.save(content, tmp_path / "best.ckpt")
    loaded = load_task_model(tmp_path / "best.ckpt", device="cpu")
    assert UtteranceClassifier.of(loaded)(audio, segments).columns["addressee"].tolist() == expected
    own = UtteranceClassifier(*plan_utterances(loaded, "addressee", published=True, pooling="utterance"))
    assert (own.windows, own.pooling) == ("published", "utterance")
    assert own(audio, segments).columns["addressee"].tolist() != expected
    grid = UtteranceClassifier(*plan_utterances(loaded, "addressee", pooling="utterance"))
    assert (grid.windows, grid.settings()["pooling"]) == ("grid", "utterance")


def test_the_pooling_goes_with_a_checkpoint_through_every_layout(tmp_path):
    def pooling(path):
        return load_task_model(path, device="cpu").window_settings["addressee"].pooling

    published_file = weights("addressee", tmp_path)
    convert_checkpoint(published_file, tmp_path / "folder", "transformers")
    assert pooling(published_file) == pooling(tmp_path / "folder") == "published"
    card = json.loads((tmp_path / "folder/task.json").read_text(encoding="utf-8"))
    assert card["addressee"] == {"pooling": "published"}
    card["addressee"] = {"context_s": 10.0, "window_rule": "always"}
    (tmp_path / "folder/task.json").write_text(json.dumps(card), encoding="utf-8")
    convert_checkpoint(tmp_path / "folder", tmp_path / "ours.ckpt", "addressee")
    assert pooling(tmp_path / "folder") == pooling(tmp_path / "ours.ckpt") == "utterance"


def test_windows_of_their_own_give_the_same_bits_on_any_number_of_threads(hubert, audio, tmp_path):
    model = UtteranceClassifier.of(load_task_model(weights("addressee", tmp_path), device="cpu"))
    before, found = torch.get_num_threads(), []
    try:
        for threads in (1, 2, 3):
            torch.set_num_threads(threads)
            found.append(model(audio, spoken()).columns["p_ADS"])
            assert torch.get_num_threads() == threads
    finally:
        torch.set_num_threads(before)
    for other in found[1:]:
        np.testing.assert_array_equal(other, found[0])


def utterances(segments, rows):
    from babyhubert.inference.utterances import Utterances

    return Utterances(segments.start[rows], segments.end[rows])


def test_phonemes(hubert, audio, tmp_path):
    model = PhonemeRecogniser.of(load_task_model(weights("babar", tmp_path), device="cpu"))
    assert model.loaded.window_settings["phonemes"].normalise
    found = model.with_changes(windows="published")(audio, spoken("KCHI"))
    assert len(found) == len(TIMES_MS) - 1, "published: utterances over 30 s are left out"
    lengths = []
    for (start, end, _), text, timed in zip(found, found.columns["phonemes"], found.columns["timed"], strict=True):
        ids = twins.phoneme_ids(hubert, audio, start // MS, end // MS)
        assert text.split() == [model.labels[index] for index in ids]
        lengths.append(len(ids))
        assert [each.phoneme for each in timed] == text.split()
        assert all(start - 320 <= each.start < each.end <= end + 320 for each in timed if end - start > 640)
        assert all(0 < each.confidence <= 1 for each in timed)
    assert max(lengths) > 3
    everything = model(audio, spoken("KCHI"))
    assert len(everything) == len(TIMES_MS), "ours: none is left out"
