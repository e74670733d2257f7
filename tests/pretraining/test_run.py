"""Whole runs: learning, exact continuation, several processes, and the mistakes that must stop a run at once."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from filelock import FileLock
from material import UNITS, make_labels, make_pack

from babyhubert.compute.group import ProcessGroup
from babyhubert.corpus.shards import Labels, Pack
from babyhubert.encoder.config import SIZES, HubertConfig
from babyhubert.encoder.loading import load_checkpoint
from babyhubert.errors import ConfigError, CorpusError, OutputError, TrainingError
from babyhubert.files import write_json
from babyhubert.pretraining.objective import PredictionObjective
from babyhubert.pretraining.run import pretrain
from babyhubert.pretraining.settings import TrainingSettings
from babyhubert.training.curves import read_log
from babyhubert.training.loop import Interval, Loop
from babyhubert.training.snapshots import newest_snapshot, snapshots

NANO = {"size": "nano"}
FEW_LENGTHS = {"lengths": 3}
LENGTHS = [32_000 + 640 * index for index in range(24)]
TINY = HubertConfig(conv_dim=(16,) * 7, hidden_size=48, layers=2, heads=2, feed_forward=96)


@pytest.fixture(scope="module", autouse=True)
def _size_tiny():
    """A size `tiny`, for all that is not about learning."""
    SIZES["tiny"] = TINY
    yield
    del SIZES["tiny"]


def run_settings(steps=8, **changes):
    content = {
        "encoder": {"size": "tiny", **changes.pop("encoder", {})},
        "batches": {"seconds": 8.0, **changes.pop("batches", {})},
        "optimiser": {"steps": steps, "warmup_steps": 2, "learning_rate": 1e-3, **changes.pop("optimiser", {})},
        "machine": {
            "device": "cpu",
            "precision": "float32",
            "workers": 0,
            "log_every": 2,
            "save_every": 3,
            "validate_every": 4,
            "keep_every": None,
            "tensorboard": False,
            **changes.pop("machine", {}),
        },
        "health": {"stop_at_chance": False, **changes.pop("health", {})},
        **changes,
    }
    return TrainingSettings.model_validate(content)


@pytest.fixture(scope="module")
def material(tmp_path_factory):
    folder = tmp_path_factory.mktemp("material")
    pack = make_pack(folder / "pack", LENGTHS)
    make_labels(folder / "labels", pack)
    return folder


def started(labels, settings, folder, group):
    return Loop.start(PredictionObjective(labels, settings, group), folder, group)


def train(material, output, settings):
    with ProcessGroup.join("cpu") as group:
        labels = Labels.open(material / "labels", Pack.open(material / "pack"))
        return pretrain(labels, settings, output, group, lambda _: None)


def weights(output):
    return load_checkpoint(output / "model")


def assert_same_weights(a, b):
    for group in ("encoder", "pretraining"):
        for name, tensor in getattr(a, group).items():
            assert torch.equal(tensor, getattr(b, group)[name]), name


@pytest.fixture(scope="module")
def undisturbed(material, tmp_path_factory):
    output = tmp_path_factory.mktemp("undisturbed") / "run"
    train(material, output, run_settings())
    return output


def test_a_run_leaves_what_it_says(undisturbed, material):
    assert {"run.json", "log.jsonl", "curves.csv", "curves.png", "model", "snapshots"} <= {
        path.name for path in undisturbed.iterdir()
    }
    steps = [entry["step"] for entry in read_log(undisturbed / "log.jsonl") if "train/loss" in entry]
    assert steps == [2, 4, 6, 8]
    card = json.loads((undisturbed / "model" / "task.json").read_text())
    assert card["task"] == "masked_prediction"
    assert card["validation"]["step"] == 8
    assert card["training"]["settings"]["optimiser"]["steps"] == 8
    record = json.loads((undisturbed / "run.json").read_text())
    assert record["pack"]["fingerprint"] == Pack.open(material / "pack").fingerprint
    assert list(snapshots(undisturbed / "snapshots")) == [6, 8]


def test_the_model_loads_in_transformers(undisturbed):
    transformers = pytest.importorskip("transformers")
    model = transformers.AutoModel.from_pretrained(undisturbed / "model").eval()
    waveform = torch.randn(1, 16_000, generator=torch.Generator().manual_seed(0))
    ours = __import__("babyhubert").load_encoder(undisturbed / "model")
    with torch.no_grad():
        assert torch.allclose(model(waveform).last_hidden_state, ours(waveform).last, atol=1e-5)


class KilledError(Exception):
    """Stands for SIGKILL: nothing after it runs but what the operating system does."""


def test_how_batches_are_cut_is_part_of_a_runs_identity_and_how_it_is_run_is_not():
    settings = run_settings()
    assert settings.fingerprint != run_settings(batches=FEW_LENGTHS).fingerprint
    assert settings.fingerprint == run_settings(machine={"keep": 7}, health={"most_skipped_steps": 3}).fingerprint


def test_gradient_checkpointing_goes_with_few_lengths(material, tmp_path):
    """Without replay, since recomputing asks for the state of the generator."""
    keeping = {"gradient_checkpointing": True}
    train(material, tmp_path / "kept", run_settings(4, batches=FEW_LENGTHS, machine=keeping))
    train(material, tmp_path / "plain", run_settings(4, batches=FEW_LENGTHS, machine={"replay": "no"}))
    assert_same_weights(weights(tmp_path / "kept"), weights(tmp_path / "plain"))


def test_gradients_in_one_tensor_are_the_same_gradients(material, tmp_path):
    train(material, tmp_path / "one", run_settings(6, batches=FEW_LENGTHS))
    train(material, tmp_path / "apart", run_settings(6, batches=FEW_LENGTHS, machine={"replay": "no"}))
    logs = [
        [entry for entry in read_log(tmp_path / name / "log.jsonl") if "train/loss" in entry]
        for name in ("one", "apart")
    ]
    for a, b in zip(*logs, strict=True):
        assert a["train/loss"] == pytest.approx(b["train/loss"], rel=1e-5)
        assert a["train/gradient_norm"] == pytest.approx(b["train/gradient_norm"], rel=1e-4)
    a, b = weights(tmp_path / "one"), weights(tmp_path / "apart")
    for name, tensor in a.encoder.items():
        assert torch.allclose(tensor, b.encoder[name], atol=1e-4), name


@pytest.fixture(scope="module")
def undisturbed_few_lengths(material, tmp_path_factory):
    output = tmp_path_factory.mktemp("few-lengths") / "run"
    train(material, output, run_settings(batches=FEW_LENGTHS))
    return output


@pytest.mark.parametrize(
    ("at", "batches"), [(1, {}), (3, {}), (4, {}), (7, {}), (4, FEW_LENGTHS)], ids=["1", "3", "4", "7", "few-lengths"]
)
def test_killed_and_continued_is_the_run_that_was_never_killed(at, batches, material, request, tmp_path, monkeypatch):
    undisturbed = request.getfixturevalue("undisturbed_few_lengths" if batches else "undisturbed")
    take_step = Loop.take_step

    def until(loop, *arguments, **options):
        if loop.step == at:
            raise KilledError
        return take_step(loop, *arguments, **options)

    monkeypatch.setattr(Loop, "take_step", until)
    with pytest.raises(KilledError):
        train(material, tmp_path / "run", run_settings(batches=batches))
    monkeypatch.undo()
    result = train(material, tmp_path / "run", run_settings(batches=batches))
    assert result.finished
    assert_same_weights(weights(tmp_path / "run"), weights(undisturbed))
    logs = [
        [{key: value for key, value in entry.items() if "time" not in key and "left" not in key} for entry in log]
        for log in (read_log(path / "log.jsonl") for path in (tmp_path / "run", undisturbed))
    ]
    assert [entry["step"] for entry in logs[0]] == [entry["step"] for entry in logs[1]]
    assert logs[0][-2]["train/hours"] == logs[1][-2]["train/hours"]


def test_a_finished_run_is_left_as_it_is(material, undisturbed):
    before = (undisturbed / "log.jsonl").read_text()
    result = train(material, undisturbed, run_settings())
    assert result.finished
    assert (undisturbed / "log.jsonl").read_text() == before


def test_dropout_and_layer_drop_take_part_in_continuation(material, tmp_path):
    settings = run_settings(6, encoder={"settings": {"layer_drop": 0.5, "hidden_dropout": 0.3}})
    train(material, tmp_path / "a", settings)
    other = run_settings(6, seed=1, encoder={"settings": {"layer_drop": 0.5, "hidden_dropout": 0.3}})
    train(material, tmp_path / "b", other)
    name = "encoder.layers.0.attention.k_proj.weight"
    assert not torch.equal(weights(tmp_path / "a").encoder[name], weights(tmp_path / "b").encoder[name])


def test_other_settings_in_the_same_folder_are_refused(material, tmp_path):
    train(material, tmp_path / "run", run_settings(3))
    with pytest.raises(ConfigError, match="other settings"):
        train(material, tmp_path / "run", run_settings(4))


def test_other_labels_in_the_same_folder_are_refused(material, tmp_path):
    train(material, tmp_path / "run", run_settings(3))
    facts = json.loads((material / "labels" / "labels.json").read_text())
    try:
        write_json(material / "labels" / "labels.json", {**facts, "kmeans": "another"})
        with pytest.raises(ConfigError, match="other labels"):
            train(material, tmp_path / "run", run_settings(3))
    finally:
        write_json(material / "labels" / "labels.json", facts)


def test_two_runs_in_one_folder(material, tmp_path):
    (tmp_path / "run").mkdir()
    with FileLock(tmp_path / "run" / ".lock"), pytest.raises(OutputError, match="another run is writing"):
        train(material, tmp_path / "run", run_settings(3))


def test_a_damaged_snapshot_is_passed_over(material, undisturbed, tmp_path):
    train(material, tmp_path / "run", run_settings())
    snapshot = snapshots(tmp_path / "run" / "snapshots")[8]
    snapshot.write_bytes(snapshot.read_bytes()[:1000])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert newest_snapshot(tmp_path / "run" / "snapshots")[0] == 6
        train(material, tmp_path / "run", run_settings())
    assert_same_weights(weights(tmp_path / "run"), weights(undisturbed))


def test_it_learns(material, tmp_path):
    often = {"log_every": 35, "save_every": 1000, "validate_every": 1000}
    settings = run_settings(70, encoder=NANO, optimiser={"warmup_steps": 30}, machine=often)
    result = train(material, tmp_path / "run", settings)
    assert result.last["train/masked_accuracy"] > 1.5 * result.chance


def test_it_learns_sooner_from_what_it_hears_too(material, tmp_path):
    """The settings of the short recipes: embeddings at right angles, and a loss on unmasked frames."""
    often = {"log_every": 25, "save_every": 1000, "validate_every": 1000}
    settings = {"optimiser": {"warmup_steps": 10}, "machine": often}
    short = {"head": {"embeddings": "centred"}, "loss": {"unmasked": 1.0, "penalty": 1.0}}
    published = train(material, tmp_path / "published", run_settings(25, encoder=NANO, **settings))
    sooner = train(material, tmp_path / "sooner", run_settings(25, encoder=NANO, **settings, **short))
    assert sooner.last["train/unmasked_accuracy"] > published.last["train/unmasked_accuracy"]
    assert sooner.last["train/unmasked_accuracy"] > 2 * sooner.chance


def test_accumulation_is_the_same_step_as_one_large_batch(material, tmp_path):
    """Without dropout, two batches in one step give the gradient of their sum."""
    dropouts = ("hidden_dropout", "attention_dropout", "projection_dropout", "layer_drop")
    settings = run_settings(
        4, encoder={"settings": dict.fromkeys(dropouts, 0.0)}, optimiser={"accumulate": 2, "learning_rate": 1e-4}
    )
    labels = Labels.open(material / "labels", Pack.open(material / "pack"))
    with ProcessGroup.join("cpu") as group:
        loop = started(labels, settings, tmp_path / "run", group)
        batches = next(loop.objective.batches(0))
        reference = started(labels, settings, tmp_path / "run", group).model
        assert len(batches) == 2
        loss = sum(reference(batch).loss for batch in batches) / sum(batch.masked for batch in batches)
        loss.backward()
        norm = torch.nn.utils.get_total_norm([parameter.grad for parameter in reference.parameters()])
        interval = Interval()
        loop.take_step(batches, interval)
    assert interval.norm.item() == pytest.approx(norm.item(), rel=1e-4)


@pytest.mark.parametrize("batches", [{}, FEW_LENGTHS], ids=["", "few lengths"])
def test_a_step_without_a_finite_gradient_changes_nothing_and_many_end_the_run(
    batches, material, tmp_path, monkeypatch
):
    from babyhubert.pretraining import model as model_module

    labels = Labels.open(material / "labels", Pack.open(material / "pack"))
    waveforms = model_module.waveforms
    monkeypatch.setattr(model_module, "waveforms", lambda pcm: pcm.float() * float("nan"))
    with ProcessGroup.join("cpu") as group:
        loop = started(labels, run_settings(batches=batches), tmp_path / "a", group)
        stream = loop.objective.batches(0)
        before = {name: tensor.clone() for name, tensor in loop.model.state_dict().items()}
        loop.take_step(next(stream), Interval())
        assert loop.skipped_in_a_row == 1
        assert all(torch.equal(before[name], tensor) for name, tensor in loop.model.state_dict().items())
        monkeypatch.setattr(model_module, "waveforms", waveforms)
        loop.take_step(next(stream), Interval())
        assert loop.skipped_in_a_row == 0  # nothing of it is left in the gradient
        assert not all(torch.equal(before[name], tensor) for name, tensor in loop.model.state_dict().items())
    monkeypatch.setattr(model_module, "waveforms", lambda pcm: pcm.float() * float("nan"))
    with pytest.raises(TrainingError, match="no finite gradient"):
        train(material, tmp_path / "run", run_settings(8, health={"most_skipped_steps": 4}))


@pytest.mark.parametrize("held_out", [True, False])
def test_a_training_that_diverges_writes_no_model(held_out, material, tmp_path, monkeypatch):
    from babyhubert.corpus.shards import Pack as Material

    if not held_out:
        rows = Material.rows
        monkeypatch.setattr(
            Material, "rows", lambda pack, split: rows(pack, split)[:0] if split == "validation" else rows(pack, split)
        )
    settings = run_settings(8, optimiser={"learning_rate": 1e12}, machine={"validate_every": 8})
    for _ in range(2):  # and not when it is run again either
        with pytest.raises(TrainingError, match=r"step 8: the loss .* is nan.*writes no model"):
            train(material, tmp_path / "run", settings)
        assert not (tmp_path / "run" / "model").exists()


def test_loss_at_chance_ends_the_run(material, tmp_path):
    labels = Labels.open(material / "labels", Pack.open(material / "pack"))
    shuffled = tmp_path / "labels" / "shards"
    shuffled.mkdir(parents=True)
    rng = np.random.default_rng(0)
    for shard in labels.pack.shards:
        values = rng.permutation(labels.shard(shard.number)).astype("<u2")
        (shuffled / shard.labels_name).write_bytes(values.tobytes())
    write_json(tmp_path / "labels" / "labels.json", dict(labels.facts))
    settings = run_settings(40, health={"stop_at_chance": True}, machine={"log_every": 20})
    wrong = Labels.open(tmp_path / "labels", labels.pack)
    with ProcessGroup.join("cpu") as group, pytest.raises(TrainingError, match="nothing is learnt"):
        pretrain(wrong, settings, tmp_path / "run", group, lambda _: None)


def copy_material(material, target):
    import shutil

    shutil.copytree(material, target)
    return target


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda m: (m / "pack" / "shards" / "00001.i16").unlink(), "missing"),
        (lambda m: os.truncate(m / "pack" / "shards" / "00000.i16", 1000), "cut short"),
        (lambda m: os.truncate(m / "labels" / "shards" / "00000.u16", 100), "cut short"),
        (lambda m: (m / "labels" / "labels.json").unlink(), "not finished"),
        (lambda m: np.memmap(m / "labels" / "shards" / "00000.u16", "<u2", "r+").fill(UNITS), "another k-means"),
        (
            lambda m: [np.memmap(m / "labels" / "shards" / f"0000{i}.u16", "<u2", "r+").fill(0) for i in (0, 1)],
            "never occur",
        ),
        (lambda m: np.memmap(m / "pack" / "shards" / "00000.i16", "<i2", "r+").fill(0), "digital silence"),
    ],
)
def test_material_that_does_not_fit_stops_the_run_at_once(damage, message, material, tmp_path):
    copied = copy_material(material, tmp_path / "material")
    damage(copied)
    with pytest.raises(CorpusError, match=message):
        train(copied, tmp_path / "run", run_settings(3))


def test_labels_of_another_pack(material, tmp_path):
    other = make_pack(tmp_path / "pack", LENGTHS, seed=1)
    with pytest.raises(CorpusError, match="another pack"):
        Labels.open(material / "labels", other)


CONFIG = """
[data]
pack = "{material}/pack"
labels = "{material}/labels"
[encoder]
size = "nano"
settings = {{ hidden_dropout = 0.0, attention_dropout = 0.0, projection_dropout = 0.0, layer_drop = 0.0 }}
[batches]
seconds = 3.0
[optimiser]
steps = {steps}
warmup_steps = 2
accumulate = {accumulate}
learning_rate = 1e-3
[machine]
device = "cpu"
workers = 0
log_every = 1
save_every = 1000
validate_every = 1000
tensorboard = false
[health]
stop_at_chance = false
"""


def command(material, output, *, steps, accumulate=1, environment=None, options=()):
    config = output.with_suffix(".toml")
    config.write_text(CONFIG.format(material=material, steps=steps, accumulate=accumulate))
    arguments = [sys.executable, "-m", "babyhubert", "pretrain", str(config), "-o", str(output), *options]
    return subprocess.Popen(
        arguments,
        env={**os.environ, "OMP_NUM_THREADS": "1", **(environment or {})},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.parametrize("options", [(), ("--set", "batches.lengths=3")], ids=["", "few lengths"])
def test_two_processes_take_the_steps_of_one_with_twice_the_batches(material, tmp_path, options):
    """With few lengths gradients lie in one tensor, which is added up without DistributedDataParallel."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    address = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "WORLD_SIZE": "2"}
    pair = [
        command(
            material,
            tmp_path / "two",
            steps=4,
            environment={**address, "RANK": str(r), "LOCAL_RANK": str(r)},
            options=options,
        )
        for r in range(2)
    ]
    one = command(material, tmp_path / "one", steps=4, accumulate=2, options=options)
    for process in (*pair, one):
        _, errors = process.communicate(timeout=240)
        assert process.returncode == 0, errors
    two, alone = ([e for e in read_log(tmp_path / n / "log.jsonl") if "train/loss" in e] for n in ("two", "one"))
    for a, b in zip(two, alone, strict=True):
        assert a["train/loss"] == pytest.approx(b["train/loss"], rel=1e-4)
        assert a["train/gradient_norm"] == pytest.approx(b["train/gradient_norm"], rel=1e-3)
    a, b = weights(tmp_path / "two"), weights(tmp_path / "one")
    for name, tensor in a.encoder.items():
        assert torch.allclose(tensor, b.encoder[name], atol=2e-4), name
    records = [json.loads((tmp_path / n / "run.json").read_text())["processes"] for n in ("two", "one")]
    assert records == [2, 1]


@pytest.mark.skipif(not hasattr(signal, "SIGUSR1"), reason="signals of POSIX systems")
def test_a_signal_saves_and_ends_and_the_same_command_goes_on(material, tmp_path):
    process = command(material, tmp_path / "run", steps=40)
    log = tmp_path / "run" / "log.jsonl"
    deadline = time.monotonic() + 120
    while not (log.exists() and log.read_text().count("\n") >= 3) and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(signal.SIGUSR1)
    output, errors = process.communicate(timeout=120)
    assert process.returncode == 1, errors
    assert "stopped by SIGUSR1" in output
    step = newest_snapshot(tmp_path / "run" / "snapshots")[0]
    assert 3 <= step < 40
    again = command(material, tmp_path / "run", steps=40)
    output, errors = again.communicate(timeout=240)
    assert again.returncode == 0, errors
    assert f"continued after step {step} of 40" in output


def test_adapting_keeps_the_encoder_and_draws_new_units(material, undisturbed, tmp_path):
    settings = run_settings(
        2, encoder={"size": "base", "start": str(undisturbed / "model")}, optimiser={"learning_rate": 1e-9}
    )
    train(material, tmp_path / "run", settings)
    old, new = weights(undisturbed), weights(tmp_path / "run")
    assert all(torch.allclose(tensor, new.encoder[name], atol=1e-6) for name, tensor in old.encoder.items())
    assert not torch.allclose(old.pretraining["label_embeddings"], new.pretraining["label_embeddings"], atol=1e-2)
    card = json.loads((tmp_path / "run" / "model" / "task.json").read_text())
    assert any("SHA-256" in line for line in card["lineage"])


@pytest.mark.parametrize(
    ("change", "key"),
    [({"optimiser": {"step": 3}}, "optimiser.step"), ({"seed": "a"}, "seed"), ({"mask": {"span": 0}}, "mask.span")],
)
def test_unknown_and_ill_typed_settings_are_named(change, key):
    from babyhubert.config import build_config

    with pytest.raises(ConfigError, match=key):
        build_config(change, TrainingSettings, "file.toml")


def test_pretrain_needs_a_readable_configuration(tmp_path):
    process = subprocess.run(
        [sys.executable, "-m", "babyhubert", "pretrain", str(tmp_path / "no.toml"), "-o", str(tmp_path / "run")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert process.returncode == 2
    assert "no.toml: cannot be read" in process.stderr
    assert not Path(tmp_path / "run").exists()
