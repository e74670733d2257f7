"""Whole fine-tuning runs: learning, exact continuation, several processes, and a step against an independent one."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from pydantic import ValidationError
from tones import PITCHES, addressee_table, phoneme_table, settings, voice_type_table
from torch.nn import functional as F
from typer.testing import CliRunner

from babyhubert import load_model
from babyhubert.cli.app import app
from babyhubert.compute.group import ProcessGroup
from babyhubert.encoder.loading import load_checkpoint
from babyhubert.errors import BabyHubertError, ConfigError, OutputError, TrainingError
from babyhubert.material.settings import SkippedMaterial
from babyhubert.tasks.interface import Validation
from babyhubert.tasks.voice_type.training import VoiceTypeTask
from babyhubert.training import finetuning
from babyhubert.training.curves import read_log
from babyhubert.training.finetuning import finetune
from babyhubert.training.loop import Interval, Loop
from babyhubert.training.settings import ModelSettings
from babyhubert.training.task_objective import TaskObjective, made_ahead, mean_score

SINGLE = ("voice_type",)


@pytest.fixture(autouse=True)
def without_pictures(request, monkeypatch):
    """Drawing the curves takes longer than the runs here; one test looks at the picture."""
    if request.function.__name__ != "test_several_tasks_train_one_encoder":
        monkeypatch.setattr(TaskObjective, "draw", lambda *_: None)


def run(config, output, names=None, say=lambda _: None):
    with ProcessGroup.join("cpu") as group:
        return finetune(config, names or list(config.tasks), output, group, say)


def all_tables(scenes, utterances):
    return {
        "voice_type": voice_type_table(scenes),
        "addressee": addressee_table(scenes),
        "phonemes": phoneme_table(utterances),
    }


def weights(folder):
    return tensors(load_checkpoint(str(folder)))


def tensors(checkpoint):
    heads = {f"{name}.{key}": value for name, head in checkpoint.heads.items() for key, value in head.tensors.items()}
    return {**checkpoint.encoder, **heads}


def same(a, b):
    return all(torch.equal(a[name], b[name]) for name in a)


def test_voice_type_learns_and_segments_what_it_learnt(scenes, encoder, tmp_path):
    table = {"voice_type": voice_type_table(scenes, batch_size=8)}
    result = run(
        settings(encoder, table, steps=120, learning_rate=3e-3, validate_every=60), tmp_path / "model", SINGLE
    )
    assert result.score > 0.8
    segments = load_model(tmp_path / "model", device="cpu")(scenes / "validation/wav/c.wav")
    assert set(segments.labels) == set(PITCHES)


def test_phonemes_learn_by_heart(utterances, encoder, tmp_path):
    table = {"phonemes": phoneme_table(utterances, batch_size=8)}
    first = run(settings(encoder, table, steps=1, learning_rate=1e-9, monitor="loss"), tmp_path / "first")
    result = run(settings(encoder, table, steps=60, learning_rate=3e-3, monitor="loss"), tmp_path / "model")
    assert result.validations["phonemes"].loss < first.validations["phonemes"].loss / 3


def test_addressee_learns_by_heart(scenes, encoder, tmp_path):
    data = {"train": str(scenes / "train/segments.csv"), "validation": str(scenes / "validation/segments.csv")}
    table = {"addressee": addressee_table(scenes, data=data, balanced=True)}
    result = run(settings(encoder, table, steps=80, learning_rate=3e-3, validate_every=20), tmp_path / "model")
    assert result.score > 0.6


def test_several_tasks_train_one_encoder(scenes, utterances, encoder, tmp_path):
    result = run(settings(encoder, all_tables(scenes, utterances)), tmp_path / "model")
    assert result.finished
    card = json.loads((tmp_path / "model/task.json").read_text(encoding="utf-8"))
    assert card["task"] == "several"
    assert set(card["heads"]) == {"voice_type", "addressee", "phonemes"}
    assert card["addressee"]["context_s"] == 4.0
    assert set(card["thresholds"]["f1"]) == set(PITCHES)
    assert "for tests only" in card["lineage"][-1]
    assert set(weights(tmp_path / "model")) >= {"voice_type.weight", "addressee.bias", "phonemes.3.weight"}
    steps = [entry["step"] for entry in read_log(tmp_path / "model.work/log.jsonl") if "train/hours" in entry]
    assert steps == [2, 4, 6]
    assert {"curves.png", "curves.csv", "run.json", "left_out.csv"} <= {
        path.name for path in (tmp_path / "model.work").iterdir()
    }


@pytest.fixture(scope="module", params=[0.0, 0.9], ids=["plain", "averaged"])
def undisturbed(request, scenes, utterances, encoder, tmp_path_factory):
    """Settings with dropout, and the run that nothing disturbed."""
    changes = {"layer_drop": 0.3, "hidden_dropout": 0.2}
    tables = all_tables(scenes, utterances)
    config = settings(encoder, tables, {"encoder_settings": changes}, average=request.param)
    folder = tmp_path_factory.mktemp("undisturbed") / "model"
    return config, folder, run(config, folder)


class KilledError(Exception):
    """Stands for SIGKILL: nothing after it runs but what the operating system does."""


@pytest.mark.parametrize("at", [1, 3, 5])
def test_killed_and_continued_is_the_run_that_was_never_killed(at, undisturbed, tmp_path, monkeypatch):
    config, folder, whole = undisturbed
    take_step = Loop.take_step

    def until(loop, *arguments, **options):
        if loop.step == at:
            raise KilledError
        return take_step(loop, *arguments, **options)

    monkeypatch.setattr(Loop, "take_step", until)
    with pytest.raises(KilledError):
        run(config, tmp_path / "killed")
    monkeypatch.undo()
    continued = run(config, tmp_path / "killed")
    assert same(weights(folder), weights(tmp_path / "killed"))
    assert continued.best_step == whole.best_step
    assert continued.validations == whole.validations


def test_a_finished_run_is_not_trained_again(scenes, encoder, tmp_path, monkeypatch):
    config = settings(encoder, {"voice_type": voice_type_table(scenes)})
    run(config, tmp_path / "model")
    before = (tmp_path / "model/model.safetensors").read_bytes()
    monkeypatch.setattr(Loop, "take_step", None)
    assert run(config, tmp_path / "model").finished
    assert (tmp_path / "model/model.safetensors").read_bytes() == before


def test_other_settings_or_other_material_do_not_continue_a_run(scenes, encoder, tmp_path):
    run(settings(encoder, {"voice_type": voice_type_table(scenes)}), tmp_path / "model")
    with pytest.raises(ConfigError, match="other settings"):
        run(settings(encoder, {"voice_type": voice_type_table(scenes)}, seed=1), tmp_path / "model")


def test_the_same_seed_gives_the_same_weights_and_another_others(scenes, encoder, tmp_path):
    for name, seed in (("first", 0), ("second", 0), ("other", 1)):
        run(settings(encoder, {"voice_type": voice_type_table(scenes)}, seed=seed), tmp_path / name)
    assert same(weights(tmp_path / "first"), weights(tmp_path / "second"))
    assert not same(weights(tmp_path / "first"), weights(tmp_path / "other"))


def prepared(scenes, utterances, encoder, work, **options):
    config = settings(encoder, all_tables(scenes, utterances), **options)
    tasks = finetuning._read_tasks(config, list(config.tasks), work / "audio", SkippedMaterial())
    return config, tasks


def started(tasks, config, work, group):
    return Loop.start(TaskObjective(tasks, config, work, group), work, group)


def plain_losses(model, batches):
    """The three losses written out as published, row by row where that is clearest."""
    voice = batches["voice_type"]
    logits = model.head("voice_type")(model.encoder(voice.waveforms).last)
    keep = voice.targets["annotated"] > 0
    per_class = [
        F.binary_cross_entropy_with_logits(logits[..., k][keep], voice.targets["labels"][..., k][keep])
        for k in range(logits.shape[-1])
    ]
    said = batches["addressee"]
    features = model.encoder(said.waveforms, lengths=said.lengths).last
    pooled = torch.stack(
        [row[within].mean(dim=0) for row, within in zip(features, said.targets["within"], strict=True)]
    )
    head = model.head("addressee")
    addressee = F.cross_entropy(pooled @ head.weight.T + head.bias, said.targets["class"])
    heard = batches["phonemes"]
    features = model.encoder(heard.waveforms, lengths=heard.lengths).last
    losses, at = [], 0
    for row, first, frames, count in zip(
        features, *(heard.targets[name].tolist() for name in ("first", "frames", "phone_counts")), strict=True
    ):
        own = torch.log_softmax(model.head("phonemes")(row[first : first + frames]), dim=-1)
        target = heard.targets["phones"][at : at + count]
        at += count
        losses.append(
            F.ctc_loss(own[:, None], target[None], (frames,), (count,), blank=57, reduction="none")[0] / count
        )
    return [sum(per_class), addressee, torch.stack(losses).mean()]


@pytest.mark.parametrize(("replay", "clip"), [("auto", "all"), ("no", "all"), ("auto", "encoder")])
def test_a_step_is_what_an_independent_loop_does(replay, clip, scenes, utterances, encoder, tmp_path):
    options = {"machine": {"replay": replay}, "clip_norm": 0.5, "clip": clip, "weight_decay": 0.1}
    config, tasks = prepared(scenes, utterances, encoder, tmp_path, **options)
    with ProcessGroup.join("cpu") as group:
        loop = started(tasks, config, tmp_path, group)
        reference = started(tasks, config, tmp_path, group).model
        batches = next(loop.objective.batches(0))
        interval = Interval()
        loop.take_step(batches, interval)
    optimiser = torch.optim.AdamW(reference.parameters(), lr=1e-3, weight_decay=0.1)
    losses = plain_losses(reference.eval(), batches[0])
    sum(losses).backward()
    clipped = reference if clip == "all" else reference.encoder
    norm = torch.nn.utils.clip_grad_norm_(clipped.parameters(), 0.5)
    optimiser.step()
    assert torch.allclose(interval.sums, torch.stack(losses), rtol=1e-5)
    assert interval.norm.item() == pytest.approx(norm.item(), rel=1e-4)
    for name, value in loop.model.state_dict().items():
        assert torch.allclose(value, reference.state_dict()[name], atol=2e-5), name


def test_accumulated_batches_are_one_large_batch(scenes, utterances, encoder, tmp_path):
    config, tasks = prepared(scenes, utterances, encoder, tmp_path, accumulate=3)
    with ProcessGroup.join("cpu") as group:
        loop = started(tasks, config, tmp_path, group)
        reference = started(tasks, config, tmp_path, group).model.eval()
        batches = next(loop.objective.batches(0))
        interval = Interval()
        loop.take_step(batches, interval)
    weights = {name: sum(together[name].weight for together in batches) for name in tasks}
    total = 0.0
    for together in batches:
        for name, loss in zip(tasks, plain_losses(reference, together), strict=True):
            total = total + loss * together[name].weight / weights[name]
    total.backward()
    gradients = [parameter.grad for parameter in reference.parameters() if parameter.grad is not None]
    assert interval.norm.item() == pytest.approx(torch.nn.utils.get_total_norm(gradients).item(), rel=1e-4)


@pytest.mark.parametrize(("average", "replay"), [(0.0, "no"), (0.9, "auto")])
def test_two_processes_take_the_steps_of_one_that_accumulates_two_batches(
    average, replay, scenes, utterances, encoder, tmp_path
):
    tables = all_tables(scenes, utterances)
    config = settings(encoder, tables, machine={"replay": replay}, accumulate=2, average=average)
    one = run(config, tmp_path / "one")
    shared = config.model_copy(update={"train": config.train.model_copy(update={"accumulate": 1})})
    (tmp_path / "config.json").write_text(shared.model_dump_json(), encoding="utf-8")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    program = (
        "import sys; from pathlib import Path; sys.path[:0] = ['tests/training', 'tests/encoder'];"
        "from test_finetuning import run; from babyhubert.training.settings import FinetuningSettings;"
        f"run(FinetuningSettings.model_validate_json(Path({str(tmp_path / 'config.json')!r}).read_text()),"
        f" Path({str(tmp_path / 'two')!r}))"
    )
    processes = []
    for rank in range(2):
        place = {"RANK": str(rank), "WORLD_SIZE": "2", "LOCAL_RANK": str(rank), "MASTER_ADDR": "127.0.0.1"}
        environment = os.environ | place | {"MASTER_PORT": str(port), "OMP_NUM_THREADS": "1"}
        processes.append(
            subprocess.Popen(
                [sys.executable, "-c", program], env=environment, cwd=Path(__file__).parents[2], stderr=subprocess.PIPE
            )
        )
    for process in processes:
        _, errors = process.communicate(timeout=120)
        assert process.returncode == 0, errors.decode()
    a, b = weights(tmp_path / "one"), weights(tmp_path / "two")
    for name in a:
        assert torch.allclose(a[name], b[name], atol=1e-5), name
    card = json.loads((tmp_path / "two/task.json").read_text(encoding="utf-8"))
    assert card["validation"]["voice_type"]["loss"] == pytest.approx(one.validations["voice_type"].loss, rel=1e-4)


def test_frozen_convolutions_stay_as_they_were(scenes, encoder, tmp_path):
    table = {"voice_type": voice_type_table(scenes)}
    run(settings(encoder, table, {"freeze_convolutions": None}), tmp_path / "model")
    before, after = load_checkpoint(str(encoder)).encoder, load_checkpoint(str(tmp_path / "model")).encoder
    for name, value in before.items():
        assert torch.equal(value, after[name]) == name.startswith("feature_extractor"), name


def test_a_frozen_encoder_trains_the_head_and_the_mix_of_layers(scenes, encoder, tmp_path):
    table = {"voice_type": voice_type_table(scenes)}
    run(settings(encoder, table, {"freeze_encoder": True, "layer_mix": True}), tmp_path / "model")
    assert same(load_checkpoint(str(encoder)).encoder, load_checkpoint(str(tmp_path / "model")).encoder)
    assert weights(tmp_path / "model")["voice_type.layer_weights"].abs().sum() > 0


def test_heads_can_be_kept(scenes, encoder, tmp_path):
    table = {"voice_type": voice_type_table(scenes)}
    run(settings(encoder, table, steps=60, learning_rate=3e-3, validate_every=60), tmp_path / "first")
    config = settings(tmp_path / "first", table, {"heads": "keep"}, steps=1, learning_rate=1e-9)
    assert run(config, tmp_path / "second").score == pytest.approx(
        json.loads((tmp_path / "first/task.json").read_text())["validation"]["voice_type"]["macro_f1"], abs=1e-6
    )
    with pytest.raises(ConfigError, match="not there"):
        run(settings(encoder, table, {"heads": "keep"}), tmp_path / "third")
    fewer = {"voice_type": voice_type_table(scenes, labels=["KCHI"], label_map={"FEM": ""})}
    with pytest.raises(ConfigError, match="KCHI, FEM"):
        run(settings(tmp_path / "first", fewer, {"heads": "keep"}), tmp_path / "fourth")


def test_a_model_can_be_given_further_heads(scenes, encoder, tmp_path):
    table = {"voice_type": voice_type_table(scenes)}
    run(settings(encoder, table, steps=60, learning_rate=3e-3, validate_every=60), tmp_path / "first")
    both = {**table, "addressee": addressee_table(scenes)}
    config = settings(tmp_path / "first", both, {"heads": "add"}, steps=1, learning_rate=1e-9)
    run(config, tmp_path / "second")
    before, after = weights(tmp_path / "first"), weights(tmp_path / "second")
    for name in ("voice_type.weight", "voice_type.bias"):
        assert torch.allclose(before[name], after[name], atol=1e-6)
    assert any(name.startswith("addressee.") for name in after)
    with pytest.raises(ConfigError, match="no head"):
        run(settings(encoder, both, {"heads": "add"}), tmp_path / "third")
    with pytest.raises(ConfigError, match="voice type, for which the configuration has no table"):
        run(
            settings(tmp_path / "first", {"addressee": addressee_table(scenes)}, {"heads": "add"}), tmp_path / "fourth"
        )
    with pytest.raises(ValidationError, match="give encoder"):
        ModelSettings(heads="add")


def test_a_model_without_a_licence_of_its_own_has_that_of_its_start(scenes, encoder, tmp_path):
    table = {"voice_type": voice_type_table(scenes)}
    run(settings(encoder, table, steps=1), tmp_path / "first")
    card = json.loads((tmp_path / "first/task.json").read_text())
    assert card["licence"] == "for tests only"
    own = {**table, "card": {"licence": "CC BY 4.0"}}
    run(settings(tmp_path / "first", own, steps=1), tmp_path / "second", ("voice_type",))
    card = json.loads((tmp_path / "second/task.json").read_text())
    assert card["licence"] == "CC BY 4.0"
    assert card["lineage"][-1].endswith("(for tests only)")


def test_training_ends_early_when_nothing_improves(scenes, encoder, tmp_path):
    table = {"voice_type": voice_type_table(scenes)}
    config = settings(encoder, table, steps=50, validate_every=1, patience=3, learning_rate=1e-12)
    result = run(config, tmp_path / "model")
    assert result.finished
    assert result.step < 10
    assert run(config, tmp_path / "model").step == result.step


def test_steps_without_a_finite_gradient_change_nothing_and_many_end_the_run(scenes, encoder, tmp_path, monkeypatch):
    table = {"voice_type": voice_type_table(scenes)}
    loss = VoiceTypeTask.loss
    monkeypatch.setattr(VoiceTypeTask, "loss", lambda *arguments: loss(*arguments) * float("nan"))
    config = settings(encoder, table, most_skipped_steps=4)
    with pytest.raises(TrainingError, match="no finite gradient"):
        run(config, tmp_path / "model")
    before = load_checkpoint(str(encoder)).encoder
    assert same(before, {k: v for k, v in weights(tmp_path / "model.work/best/step-00000003").items() if k in before})


def test_a_training_that_diverges_writes_no_model(scenes, encoder, tmp_path):
    table = {"voice_type": voice_type_table(scenes)}
    with pytest.raises(TrainingError, match=r"validation loss of voice type is nan.*writes no model"):
        run(settings(encoder, table, learning_rate=1e12), tmp_path / "model")
    assert not (tmp_path / "model").exists()


def test_settings_that_change_shapes_are_refused(scenes, encoder, tmp_path):
    table = {"voice_type": voice_type_table(scenes)}
    with pytest.raises(ConfigError, match=r"encoder_settings"):
        run(settings(encoder, table, {"encoder_settings": {"layers": 3}}), tmp_path / "model")


def test_a_misspelt_key_is_named_by_the_command(tmp_path):
    (tmp_path / "c.toml").write_text('[train]\nstepz = 3\n[voice_type.data]\ntrain = "x"\n', encoding="utf-8")
    result = CliRunner().invoke(app, ["finetune", "voice-type", str(tmp_path / "c.toml"), "-o", str(tmp_path / "m")])
    assert isinstance(result.exception, BabyHubertError)
    assert "stepz" in str(result.exception)


def test_a_folder_that_holds_something_else_is_refused_before_training(scenes, encoder, tmp_path, monkeypatch):
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "notes.txt").write_text("mine")
    monkeypatch.setattr(Loop, "start", lambda *_: pytest.fail("it was asked too late"))
    with pytest.raises(OutputError, match="not a model folder"):
        run(settings(encoder, {"voice_type": voice_type_table(scenes)}), tmp_path / "notes")


def test_a_rate_of_errors_above_one_does_not_outweigh_other_tasks():
    scores = [{"a": Validation(0.6, 1.0, {}), "b": Validation(score, 1.0, {})} for score in (-3.0, 0.2)]
    assert [mean_score(each) for each in scores] == pytest.approx([0.3, 0.4])
    assert mean_score({"b": Validation(-3.0, 1.0, {})}) == -3.0


def test_a_task_without_a_table_is_named(scenes, encoder, tmp_path):
    with pytest.raises(ConfigError, match=r"\[phonemes\]"):
        run(settings(encoder, {"voice_type": voice_type_table(scenes)}), tmp_path / "model", ("phonemes",))


def test_batches_are_the_same_when_threads_make_them():
    made = [list(made_ahead(lambda n: n * n, iter(range(9)), workers)) for workers in (0, 3)]
    assert made[0] == made[1] == [n * n for n in range(9)]
