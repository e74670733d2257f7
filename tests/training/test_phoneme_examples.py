"""Consistency of two passes, and joined utterances: losses by hand, labels where their sound is, and off is off."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from tones import phoneme_table, settings
from torch.nn import functional as F

from babyhubert.compute.group import ProcessGroup
from babyhubert.errors import ConfigError
from babyhubert.material.augmentation import Augmentation, AugmentationSettings
from babyhubert.material.settings import SkippedMaterial
from babyhubert.material.utterances import WindowBatch
from babyhubert.tasks.phonemes.examples import Examples, joined, make_batch, masked
from babyhubert.tasks.phonemes.losses import inconsistency
from babyhubert.tasks.phonemes.settings import ConsistencySettings, JoinSettings
from babyhubert.training import finetuning
from babyhubert.training.precision import resolve_precision
from babyhubert.training.snapshots import newest_snapshot

NOISE = {"gain_db": 6.0, "noise": {"probability": 1.0}}


def task_of(utterances, tmp_path, **table):
    config = settings(None, {"phonemes": phoneme_table(utterances, **table)})
    return finetuning._read_tasks(config, ["phonemes"], tmp_path, SkippedMaterial())["phonemes"]


def test_inconsistency_and_its_gradient_by_hand():
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(4, 7, 5, generator=generator, dtype=torch.float64, requires_grad=True)
    frames = torch.tensor([7, 3, 7, 3])
    found = inconsistency(torch.log_softmax(logits, -1), frames)

    p = torch.softmax(logits.detach(), -1).numpy()
    expected, gradient = np.zeros(2), np.zeros((4, 7, 5))
    for row in range(2):
        for frame in range(int(frames[row])):
            a, b = p[row, frame], p[2 + row, frame]
            expected[row] += (np.sum(a * np.log(a / b)) + np.sum(b * np.log(b / a))) / 2
            # d/dz of sum(t log(t / softmax(z))) with the target t held still is softmax(z) - t
            gradient[row, frame], gradient[2 + row, frame] = (a - b) / 2, (b - a) / 2
    assert found.tolist() == pytest.approx(expected.tolist(), rel=1e-12)
    found.sum().backward()
    assert np.allclose(logits.grad.numpy(), gradient, atol=1e-12)


def test_the_loss_of_joined_examples_in_two_passes_by_hand(utterances, tmp_path):
    task = task_of(
        utterances,
        tmp_path,
        batch_size=6,
        dropout=0.0,
        augmentation=NOISE,
        consistency={"weight": 0.4, "ramp": 4, "masks": 1},
        join={"probability": 1.0, "most": 3},
    )
    for number, weight in ((1, 0.1), (9, 0.4)):
        batch = task.batch(number)
        rows = len(batch.waveforms) // 2
        parts = batch.targets["parts"].tolist()
        assert sum(parts) == batch.weight == len(task._order.batch(number))
        assert max(parts) > 1
        features = torch.randn(2 * rows, 3000, 8, generator=torch.Generator().manual_seed(0))
        head = task.new_head(8, None).eval()
        head.reset(torch.Generator().manual_seed(1))
        for parameter in head.parameters():
            parameter.data *= 30
        frames, counts = batch.targets["frames"].tolist(), batch.targets["phone_counts"].tolist()
        at = np.cumsum([0, *counts])
        total = 0.0
        for row in range(rows):
            scores = [
                torch.log_softmax(head(features[k, : frames[row]]), -1).double().detach() for k in (row, rows + row)
            ]
            for k, own in zip((row, rows + row), scores, strict=True):
                target = batch.targets["phones"][at[k] : at[k + 1]]
                ctc = F.ctc_loss(
                    own[:, None], target[None], (frames[row],), (counts[row],), blank=task.inventory.blank
                )
                total += 0.5 * parts[row] * float(ctc)  # torch's mean divides by the phones
            a, b = (own.exp() for own in scores)
            divergence = float(((a - b) * (scores[0] - scores[1])).sum()) / 2
            total += parts[row] * weight * divergence / counts[row]
        assert float(task.loss(head, features, batch).detach()) == pytest.approx(total, rel=1e-4)


def test_two_passes_share_times_and_differ_in_sound(utterances, tmp_path):
    changes = {**NOISE, "speed": {"probability": 1.0}, "tempo": {"probability": 1.0}}
    batch = task_of(utterances, tmp_path, batch_size=4, augmentation=changes, consistency={}).batch(3)
    one, other = batch.waveforms.chunk(2)
    assert batch.weight == 4
    assert len(batch.waveforms) == 8
    for name in ("first", "frames", "phone_counts"):
        assert torch.equal(*batch.targets[name].chunk(2)), name
    phones = batch.targets["phones"]
    assert torch.equal(*phones.chunk(2))
    assert not torch.equal(one, other)


def windows(seed: int = 0) -> tuple[WindowBatch, list[np.ndarray]]:
    """Windows in which every utterance is a number of its own, and the context another."""
    rng = np.random.default_rng(seed)
    frames = rng.integers(20, 60, 9)
    first = rng.integers(0, 10, 9)
    lengths = (first + frames + rng.integers(0, 10, 9)) * 320 + 80
    waveforms = np.zeros((9, int(lengths.max())), dtype=np.float32)
    for row in range(9):
        waveforms[row, : lengths[row]] = -1.0
        waveforms[row, first[row] * 320 : (first[row] + frames[row]) * 320 + 80] = row + 1
    phones = [np.arange(10 * row, 10 * row + 3) for row in range(9)]
    return WindowBatch(waveforms, lengths, first, first + frames), phones


def test_joined_utterances_bring_their_sound_and_their_labels():
    read, phones = windows()
    frames = read.stop_frame - read.first_frame
    aligned = [np.full(count, 100 + row) for row, count in enumerate(frames)]
    examples = Examples(read, phones, aligned=aligned)
    choice = JoinSettings(most=4, longest_s=2.5, gap_s=0.1)
    made = joined(examples, choice, 7, np.random.default_rng(1))
    assert made.parts.sum() == 9
    assert 1 < made.parts.max() <= 4
    assert (made.read.stop_frame <= 125).all()
    seen = []
    for row, (waveform, length) in enumerate(zip(made.read.waveforms, made.read.lengths, strict=True)):
        assert (length - 400) // 320 + 1 == made.read.stop_frame[row] == len(made.aligned[row])
        assert not waveform[length:].any()
        assert (waveform >= 0).all()  # nothing of the contexts
        order = [int(value) - 1 for value in dict.fromkeys(waveform[:length].tolist()) if value]
        assert np.array_equal(made.phones[row], np.concatenate([phones[own] for own in order]))
        seen += order
        cells = waveform[: len(made.aligned[row]) * 320].reshape(-1, 320)
        for own in order:
            place = np.flatnonzero(made.aligned[row] == 100 + own)
            assert len(place) == frames[own]
            assert (cells[place] == own + 1).all()
        between = cells[made.aligned[row] == 7]
        assert (between[:, 80:] == 0).all()
        runs = np.diff(np.flatnonzero(np.diff(np.r_[0, made.aligned[row] == 7, 0])))[::2]
        assert len(runs) == len(order) - 1
        assert (runs * 320 - 80 <= 1600 + 320).all()
    assert sorted(seen) == list(range(9))


def test_masks_stay_inside_the_utterance():
    read, phones = windows()
    read = WindowBatch(np.abs(read.waveforms) + 1, read.lengths, read.first_frame, read.stop_frame)
    settings = ConsistencySettings(masks=3, mask_s=0.05)
    made = masked(Examples(read, phones), settings, np.random.default_rng(0)).read.waveforms
    silenced = (made == 0) & (read.waveforms != 0)
    assert 0 < silenced.sum() <= 9 * 3 * 800
    for row, (first, stop) in enumerate(zip(read.first_frame, read.stop_frame, strict=True)):
        assert not silenced[row, : first * 320].any()
        assert not silenced[row, stop * 320 :].any()
        assert silenced[row].sum() <= 3 * 800
    assert np.array_equal(made[~silenced], read.waveforms[~silenced])


def test_off_is_as_without(utterances, encoder, tmp_path):
    weights = []
    for name, table in (
        ("without", {}),
        ("off", {"consistency": {"weight": 0.0}, "join": {"probability": 0.0}}),
        ("on", {"consistency": {"weight": 0.2}}),
        ("joined", {"join": {"probability": 1.0}}),
    ):
        own = {"phonemes": phoneme_table(utterances, frame_start=2, augmentation=NOISE, **table)}
        config = settings(encoder, own, steps=4, validate_every=4)
        with ProcessGroup.join("cpu") as group:
            finetuning.finetune(config, ["phonemes"], tmp_path / name, group, lambda _: None)
        state = newest_snapshot(tmp_path / f"{name}.work/snapshots")[1]["model"]
        weights.append(torch.cat([value.flatten() for value in state.values()]))
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])
    assert not torch.equal(weights[0], weights[3])


def test_a_batch_of_one_pass_is_what_was_read():
    read, phones = windows()
    batch = make_batch([Examples(read, phones).changed(Augmentation(AugmentationSettings()), None)], 9.0)
    assert np.array_equal(batch.waveforms.numpy(), read.waveforms)
    assert set(batch.targets) == {"first", "frames", "phones", "phone_counts"}


def test_half_precision_needs_a_gpu(utterances, tmp_path):
    config = settings(None, {"phonemes": phoneme_table(utterances)}, machine={"precision": "fp16"})
    with ProcessGroup.join("cpu") as group, pytest.raises(ConfigError, match=r"fp16 needs a GPU"):
        finetuning.finetune(config, ["phonemes"], tmp_path / "model", group)
    assert not list(tmp_path.iterdir())
    with pytest.raises(ConfigError, match=r"machine\.precision = fp16 needs a GPU.*machine\.precision=auto"):
        resolve_precision("fp16", torch.device("cpu"))
    assert resolve_precision("fp16", torch.device("cuda")) == "fp16"
    assert resolve_precision("auto", torch.device("cpu")) == "float32"


@pytest.mark.parametrize(
    "table", [{"consistency": {"wieght": 1.0}}, {"consistency": {"weight": -1.0}}, {"join": {"most": 1}}]
)
def test_impossible_settings_are_named(utterances, tmp_path, table):
    with pytest.raises(ConfigError, match=r"phonemes\.(consistency|join)\.\w+"):
        task_of(utterances, tmp_path, **table)
