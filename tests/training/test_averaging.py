"""Runs with an average of the weights, against the recursion written out over the weights of every step."""

from __future__ import annotations

import pytest
import torch
from test_finetuning import run, same, tensors, weights
from tones import settings, voice_type_table

from babyhubert.errors import ConfigError
from babyhubert.tasks.voice_type.training import VoiceTypeTask
from babyhubert.training.loop import Loop
from babyhubert.training.task_objective import TaskObjective


@pytest.fixture(autouse=True)
def without_pictures(monkeypatch):
    """Drawing the curves takes longer than the runs here."""
    monkeypatch.setattr(TaskObjective, "draw", lambda *_: None)


@pytest.fixture
def passed(monkeypatch):
    """The plain weights before the first step and after each, as a run passes them."""
    states = []
    take_step = Loop.take_step

    def keep(loop):
        states.append({name: value.clone() for name, value in tensors(loop.model.to_checkpoint()).items()})

    def kept(loop, *arguments, **options):
        if not states:
            keep(loop)
        stopping = take_step(loop, *arguments, **options)
        keep(loop)
        return stopping

    monkeypatch.setattr(Loop, "take_step", kept)
    return states


def average_of(states, decay):
    """The moving average after the last of these, in float64."""
    average = {name: value.double() for name, value in states[0].items()}
    for step, state in enumerate(states[1:], start=1):
        share = 1 - min(decay, (1 + step) / (10 + step))
        average = {name: (1 - share) * value + share * state[name] for name, value in average.items()}
    return average


def assert_close(found, expected):
    for name, value in found.items():
        assert torch.allclose(value.double(), expected[name], rtol=1e-5, atol=1e-6), name


@pytest.mark.parametrize("decay", [0.3, 0.999])
def test_what_is_kept_is_the_moving_average_and_training_does_not_notice(decay, scenes, encoder, tmp_path, passed):
    table = {"voice_type": voice_type_table(scenes)}
    result = run(settings(encoder, table, average=decay, validate_every=2), tmp_path / "averaged")
    averaged = list(passed)
    passed.clear()
    run(settings(encoder, table, validate_every=6), tmp_path / "plain")
    assert all(same(a, b) for a, b in zip(averaged, passed, strict=True))
    assert same(weights(tmp_path / "plain"), passed[-1])
    kept, plain = weights(tmp_path / "averaged"), averaged[result.best_step]
    assert_close(kept, average_of(averaged[: result.best_step + 1], decay))
    assert not torch.allclose(kept["voice_type.weight"], plain["voice_type.weight"], rtol=1e-5, atol=1e-6)


def test_validation_scores_the_average(scenes, encoder, tmp_path):
    table = {"voice_type": voice_type_table(scenes)}
    averaged = run(settings(encoder, table, average=0.9, validate_every=6), tmp_path / "averaged")
    unmoved = {"steps": 1, "learning_rate": 1e-12}
    again = run(settings(tmp_path / "averaged", table, {"heads": "keep"}, **unmoved), tmp_path / "again")
    plain = run(settings(encoder, table, validate_every=6), tmp_path / "plain")
    losses = [result.validations["voice_type"].loss for result in (averaged, again, plain)]
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)
    assert losses[0] != pytest.approx(losses[2], rel=1e-3)


def test_frozen_weights_stay_and_are_not_copied(scenes, encoder, tmp_path):
    table = {"voice_type": voice_type_table(scenes)}
    run(settings(encoder, table, {"freeze_encoder": True}, average=0.9), tmp_path / "model")
    before, after = weights(encoder), weights(tmp_path / "model")
    assert same(before, after)
    assert set(snapshot(tmp_path / "model")["average"]) == {"heads.voice_type.weight", "heads.voice_type.bias"}


def test_steps_without_a_finite_gradient_do_not_poison_the_average(scenes, encoder, tmp_path, passed, monkeypatch):
    loss = VoiceTypeTask.loss

    def damaged(*arguments):
        return loss(*arguments) * (float("nan") if len(passed) in (2, 3, 5) else 1.0)

    monkeypatch.setattr(VoiceTypeTask, "loss", damaged)
    config = settings(encoder, {"voice_type": voice_type_table(scenes)}, average=0.5, validate_every=6)
    assert run(config, tmp_path / "model").best_step == 6
    assert same(passed[1], passed[3])
    assert not same(passed[3], passed[4])
    assert_close(weights(tmp_path / "model"), average_of(passed, 0.5))


def test_runs_without_an_average_keep_none(scenes, encoder, tmp_path):
    config = settings(encoder, {"voice_type": voice_type_table(scenes)}, steps=1)
    run(config, tmp_path / "model")
    assert "average" not in snapshot(tmp_path / "model")


def test_what_is_drawn_is_part_of_a_runs_identity(scenes):
    def fingerprint(**nobody):
        return settings(None, {"voice_type": voice_type_table(scenes, nobody=nobody)}).fingerprint(("voice_type",))

    assert fingerprint(melodies_share=0.1) != fingerprint()


def test_an_average_is_a_setting_that_a_run_cannot_change(scenes, encoder, tmp_path):
    table = {"voice_type": voice_type_table(scenes)}
    run(settings(encoder, table, steps=1), tmp_path / "model")
    with pytest.raises(ConfigError, match="other settings"):
        run(settings(encoder, table, steps=1, average=0.9), tmp_path / "model")


@pytest.mark.parametrize("decay", [1.0, -0.1])
def test_an_impossible_decay_is_named(decay):
    with pytest.raises(ConfigError, match=r"'train\.average' = .*: input should be (less|greater) than"):
        settings(None, {}, average=decay)


def snapshot(output):
    (path,) = output.with_name(f"{output.name}.work").glob("snapshots/step-*.pt")
    return torch.load(path, weights_only=True)
