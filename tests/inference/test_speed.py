"""Speed modes: what they change, what they must never change, and that results of one never pass for another's."""

import copy
import json

import numpy as np
import pytest
import torch

import babyhubert
from babyhubert.encoder import precision as precision_module
from babyhubert.encoder.precision import fastest_precision, has_byte_products, use_precision
from babyhubert.inference.batching import RecordedBatch, WindowThreads, arranged, windows_at_once
from babyhubert.inference.speed import SPEEDS
from babyhubert.inference.windows import WindowPlan
from babyhubert.tasks.voice_type.prediction import VoiceTypeSettings
from babyhubert.timebase import frame_count
from commands import command, contents, write_sounds

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def models(small_model):
    return {speed: babyhubert.load_model(small_model, device="cpu", speed=speed) for speed in SPEEDS}


def sound(samples, seed=0):
    return np.random.default_rng(seed).standard_normal(samples).astype(np.float32) * 0.1


@pytest.mark.parametrize("samples", [0, 399, 400, 63_999, 64_000, 64_319, 150_000, 200_123])
def test_every_mode_gives_every_frame_once_and_nearly_the_same_scores(models, samples):
    audio = sound(samples)
    scores = {speed: model.scores(audio).astype(np.float64) for speed, model in models.items()}
    for speed, values in scores.items():
        assert values.shape == (frame_count(samples), 4), speed
        assert np.isfinite(values).all()
        if len(values):
            assert np.abs(values - scores["exact"]).mean() < 0.05


def test_exact_is_the_plain_encoder_with_the_published_windows(models):
    exact = models["exact"]
    assert exact.model.encoder.inference_form is None
    assert exact.settings == VoiceTypeSettings()
    audio = torch.from_numpy(sound(64_000))[None]
    with torch.inference_mode():
        encoder = exact.model.encoder
        plain = encoder.encoder(encoder.feature_projection(encoder.feature_extractor(audio)), frozenset(), None)[1]
        assert torch.equal(encoder(audio).last, plain)


@pytest.mark.parametrize("speed", SPEEDS)
def test_a_recording_gets_the_same_bits_in_any_batch_and_on_any_number_of_threads(models, speed):
    model = models[speed]
    audio = sound(200_000)
    threads_before = torch.get_num_threads()
    found = []
    try:
        for threads in (1, 2, 3):
            torch.set_num_threads(threads)
            found += [
                model.scores(audio),
                model.with_batch_size(1).scores(audio),
                model.with_batch_size(3).scores(audio),
            ]
            assert torch.get_num_threads() == threads
    finally:
        torch.set_num_threads(threads_before)
    for other in found[1:]:
        np.testing.assert_array_equal(other, found[0])


def test_long_windows_run_side_by_side_only_as_far_as_memory_goes(monkeypatch):
    monkeypatch.setattr(torch, "get_num_threads", lambda: 64)
    assert windows_at_once(4 * 16_000) == 50
    assert windows_at_once(30 * 16_000) == 6
    assert windows_at_once(3_600 * 16_000) == 1
    monkeypatch.setattr(torch, "get_num_threads", lambda: 2)
    assert windows_at_once(0) == windows_at_once(30 * 16_000) == 2


def test_an_error_in_a_thread_is_raised():
    def broken(waveforms):
        raise RuntimeError("no such kernel")

    with pytest.raises(RuntimeError, match="no such kernel"):
        WindowThreads(broken, 2)(torch.zeros(3, 400))


def test_overlap_and_blend_that_are_given_win():
    assert VoiceTypeSettings.for_speed("fast", overlap=0.75).plan == WindowPlan.from_overlap(4.0, 0.75)
    assert VoiceTypeSettings.for_speed("fast", overlap=0.0).plan == WindowPlan.from_overlap(4.0, 0.0)
    assert VoiceTypeSettings.for_speed("exact", blend="taper").blend == "taper"
    assert VoiceTypeSettings.for_speed("balanced", window_s=8.0).plan.length == 128_000


def test_bfloat16_only_where_the_processor_has_it(monkeypatch):
    monkeypatch.setattr(precision_module, "has_matrix_units", lambda: False)
    assert fastest_precision(CPU) == "float32"
    monkeypatch.setattr(precision_module, "has_matrix_units", lambda: True)
    assert fastest_precision(CPU) == "bfloat16"
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: False, raising=False)
    monkeypatch.undo()
    assert SPEEDS["exact"].precision(CPU, 768) == "exact"


@pytest.mark.parametrize(
    ("matrix_units", "byte_products", "width", "expected"),
    [
        (False, True, 768, "int8"),
        (False, True, 192, "float32"),
        (False, False, 768, "float32"),
        (True, True, 768, "bfloat16"),
    ],
)
def test_bytes_only_where_they_are_the_fastest_and_only_in_fast(
    monkeypatch, matrix_units, byte_products, width, expected
):
    monkeypatch.setattr(precision_module, "has_matrix_units", lambda: matrix_units)
    monkeypatch.setattr(precision_module, "has_byte_products", lambda: byte_products)
    assert SPEEDS["fast"].precision(CPU, width) == expected
    assert SPEEDS["balanced"].precision(CPU, width) == ("bfloat16" if matrix_units else "float32")


@pytest.mark.skipif(not has_byte_products(), reason="this CPU has no byte products (VNNI)")
def test_bytes_give_the_same_bits_on_any_number_of_threads(models):
    model = copy.deepcopy(models["exact"])
    use_precision(model.model.encoder, "int8")
    before, found = torch.get_num_threads(), []
    try:
        for threads in (1, 2, 3):
            torch.set_num_threads(threads)
            found += [model.scores(sound(200_000)), model.with_batch_size(1).scores(sound(200_000))]
    finally:
        torch.set_num_threads(before)
    for other in found[1:]:
        np.testing.assert_array_equal(other, found[0])
    assert 0 < np.abs(found[0].astype(float) - models["exact"].scores(sound(200_000)).astype(float)).mean() < 0.02


def test_scores_kept_in_one_mode_are_not_taken_for_anothers(small_model, tmp_path):
    audio, out = write_sounds(tmp_path / "audio", ["a.wav"]), tmp_path / "out"
    run = ("segment", audio, "-o", out, "--model", small_model)
    assert "1 recording done" in command(*run).out
    exact = contents(out)
    assert "1 recording done" in command(*run, "--speed", "fast", "--overlap", "0.75").out  # arithmetic alone differs
    record = json.loads((out / "run.json").read_text(encoding="utf-8"))
    assert record["settings"]["speed"] == "fast"
    assert record["settings"]["precision"] == fastest_precision(CPU)
    assert record["settings"]["plan"]["hop_s"] == 1.0
    assert "1 kept from before" in command(*run, "--speed", "fast", "--overlap", "0.75").out
    assert "1 recording done" in command(*run, "--speed", "balanced").out
    assert "1 recording done" in command(*run).out
    assert contents(out) == exact


def test_an_unknown_mode_is_refused(small_model, tmp_path):
    audio = write_sounds(tmp_path / "audio", ["a.wav"])
    result = command("segment", audio, "-o", tmp_path / "out", "--model", small_model, "--speed", "ludicrous")
    assert result.code == 2
    assert "--speed ludicrous: one of exact, balanced, fast" in result.err


def test_calls_are_arranged_for_the_device():
    def compute(waveforms):
        return waveforms

    for precision in ("exact", "float32"):
        assert isinstance(arranged(compute, CPU, precision, (2, 400)), WindowThreads)
    assert arranged(compute, torch.device("cuda"), "exact", (2, 400)) is compute
    assert isinstance(arranged(compute, torch.device("cuda"), "bfloat16", (2, 400)), RecordedBatch)
    assert arranged(compute, torch.device("mps"), "float32", (2, 400)) is compute


@pytest.mark.skipif(not torch.cuda.is_available(), reason="records CUDA graphs")
def test_a_replayed_batch_is_the_plain_call(small_model):
    model = babyhubert.load_model(small_model, device="cuda", speed="fast").model
    recorded = RecordedBatch(model.probabilities, torch.device("cuda"), (4, 64_000))
    for seed in range(3):
        waveforms = torch.from_numpy(np.stack([sound(64_000, 10 * seed + row) for row in range(4)]))
        torch.testing.assert_close(recorded(waveforms), model.probabilities(waveforms))
    short = torch.from_numpy(sound(3_200))[None]
    torch.testing.assert_close(recorded(short), model.probabilities(short))
