"""The whole recipe on a few generated recordings: killed, continued, and never silently something else."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from material import tones
from small_encoders import TINY, fresh

from babyhubert.compute.group import ProcessGroup
from babyhubert.config import read_config
from babyhubert.corpus.shards import Labels, Pack
from babyhubert.encoder.canonical import Checkpoint
from babyhubert.encoder.config import HubertConfig
from babyhubert.encoder.loading import load_checkpoint, load_encoder
from babyhubert.encoder.model_folder import save_model_folder
from babyhubert.errors import ConfigError, MissingExtraError
from babyhubert.pretraining import requirements
from babyhubert.pretraining.plan import operations_per_second, plan
from babyhubert.pretraining.recipe import Recipe, train_by_recipe
from babyhubert.training.curves import read_log
from commands import command, write_sounds

RECIPE = """
device = "cpu"
[audio]
paths = ["{audio}"]
[segments]
longest_s = 4.0
[pack]
shard_mb = 0.6
validation_share = 0.1
"""
ITERATION = """
[[iterations]]
units = {{ teacher = "{teacher}", clusters = {clusters}, frames = 4000, n_init = 1, batch_size = 500 }}
[iterations.training]
encoder = {{ size = "nano" }}
batches = {{ seconds = 8.0, shortest_s = 1.0 }}
optimiser = {{ steps = 6, warmup_steps = 2 }}
machine = {{ workers = 0, log_every = 2, save_every = 3, validate_every = 6, tensorboard = false }}
health = {{ stop_at_chance = false }}
"""


@pytest.fixture(scope="module")
def kitchen(tmp_path_factory):
    folder = tmp_path_factory.mktemp("kitchen")
    rng = np.random.default_rng(0)
    (folder / "audio").mkdir()
    for number in range(6):
        soundfile.write(folder / "audio" / f"day{number}.wav", tones(16_000 * (8 + number), rng)[0], 16_000)
    iterations = [("mfcc", 12), ("previous:3", 16)]
    tables = [ITERATION.format(teacher=teacher, clusters=clusters) for teacher, clusters in iterations]
    (folder / "recipe.toml").write_text(RECIPE.format(audio=folder / "audio") + "".join(tables))
    return folder


def run_recipe(kitchen, output, overrides=()):
    lines: list[str] = []
    with ProcessGroup.join("cpu") as group:
        result = train_by_recipe(read_config(kitchen / "recipe.toml", Recipe, overrides), output, group, lines.append)
    return result, lines


@pytest.fixture(scope="module")
def undisturbed(kitchen):
    run_recipe(kitchen, kitchen / "undisturbed")
    return kitchen / "undisturbed"


def final(output):
    """What must not depend on interruptions: labels, losses, weights."""
    pack = Pack.open(output / "corpus" / "pack")
    labels = [
        np.concatenate([Labels.open(output / f"iteration-{i}" / "labels", pack).shard(s.number) for s in pack.shards])
        for i in (1, 2)
    ]
    logs = [read_log(output / f"iteration-{i}" / "run" / "log.jsonl") for i in (1, 2)]
    losses = [[(entry["step"], entry.get("validation/loss")) for entry in log] for log in logs]
    return labels, losses, load_checkpoint(output / "model")


def assert_same_result(a, b):
    (labels, losses, model), (other_labels, other_losses, other_model) = final(a), final(b)
    assert all(np.array_equal(x, y) for x, y in zip(labels, other_labels, strict=True))
    assert losses == other_losses
    assert all(torch.equal(tensor, other_model.encoder[name]) for name, tensor in model.encoder.items())


def test_a_recipe_leaves_a_model_with_its_history(undisturbed):
    encoder = load_encoder(undisturbed / "model")
    assert encoder.config.size_name == "nano"
    card = json.loads((undisturbed / "model" / "task.json").read_text())
    assert any("k-means clusters of mfcc" in line for line in card["lineage"])
    assert any("previous:3" in line for line in card["lineage"])
    steps = json.loads((undisturbed / "recipe.json").read_text())["steps"]
    assert list(steps) == [
        "regions", "segments", "pack",
        "units 1", "labels 1", "report 1", "training 1",
        "units 2", "labels 2", "report 2", "training 2",
    ]  # fmt: skip
    assert (undisturbed / "iteration-2" / "report" / "units.png").stat().st_size > 5_000


def test_a_small_encoder_learns_the_units_of_another_one(kitchen, tmp_path):
    """As in configs/distil.toml: the teacher has another width and another depth."""
    teacher = tmp_path / "teacher"
    save_model_folder(teacher, Checkpoint("transformers", TINY, dict(fresh(TINY).state_dict())))
    content = RECIPE.format(audio=kitchen / "audio") + ITERATION.format(teacher=f"{teacher.as_posix()}:2", clusters=12)
    (tmp_path / "recipe.toml").write_text(content)
    result, _ = run_recipe(tmp_path, tmp_path / "out")
    assert result.finished
    assert load_encoder(tmp_path / "out/model").config.size_name == "nano"
    card = json.loads((tmp_path / "out/model/task.json").read_text())
    assert any(f"k-means clusters of {teacher.as_posix()}:2" in line for line in card["lineage"])


def test_a_finished_recipe_does_nothing_again(kitchen, undisturbed):
    before = (undisturbed / "iteration-1" / "labels" / "labels.json").stat().st_mtime_ns
    result, lines = run_recipe(kitchen, undisturbed)
    assert result.finished
    assert sum("done before" in line for line in lines) == 11
    assert (undisturbed / "iteration-1" / "labels" / "labels.json").stat().st_mtime_ns == before


def test_other_settings_do_not_replace_what_is_there(kitchen, undisturbed):
    with pytest.raises(ConfigError, match="'pack' was made with other settings"):
        run_recipe(kitchen, undisturbed, ["pack.seed=5"])
    with pytest.raises(ConfigError, match="'segments' was made with other settings"):
        run_recipe(kitchen, undisturbed, ["segments.longest_s=3.0"])


def killed_when(kitchen, output, done):
    """Start the command and kill it, as the system does, once `done` says so."""
    arguments = [sys.executable, "-m", "babyhubert", "recipe", str(kitchen / "recipe.toml"), "-o", str(output)]
    process = subprocess.Popen(
        arguments, env={**os.environ, "OMP_NUM_THREADS": "1"}, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    deadline = time.monotonic() + 120
    while not done() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.005)
    process.kill()
    assert process.wait() != 0


def test_killed_twice_and_continued_is_the_undisturbed_recipe(kitchen, undisturbed, tmp_path):
    output = tmp_path / "out"
    killed_when(kitchen, output, lambda: (output / "corpus" / "pack" / "shards" / "00000.json").exists())
    assert not (output / "model").exists()
    log = output / "iteration-1" / "run" / "log.jsonl"
    killed_when(kitchen, output, lambda: log.exists() and '"step": 4' in log.read_text())
    assert not (output / "model").exists()
    result, lines = run_recipe(kitchen, output)
    assert result.finished
    assert "pack: done before" in lines
    assert_same_result(output, undisturbed)


def test_previous_needs_an_iteration_before(kitchen, tmp_path):
    text = (kitchen / "recipe.toml").read_text().replace('teacher = "mfcc"', 'teacher = "previous:1"')
    (tmp_path / "recipe.toml").write_text(text)
    with ProcessGroup.join("cpu") as group, pytest.raises(ConfigError, match="no iteration before the first"):
        train_by_recipe(read_config(tmp_path / "recipe.toml", Recipe), tmp_path / "out", group, lambda _: None)


def test_a_missing_package_is_told_before_the_scan(kitchen, tmp_path, monkeypatch):
    monkeypatch.setattr(requirements, "find_spec", lambda module: None if module == "silero_vad" else module)
    recipe = read_config(kitchen / "recipe.toml", Recipe, ["regions.source=silero"])
    with ProcessGroup.join("cpu") as group, pytest.raises(MissingExtraError, match=r"silero-vad.*'\.\[pretrain\]'"):
        train_by_recipe(recipe, tmp_path / "out", group, lambda _: None)
    assert not (tmp_path / "out").exists()


def test_an_iteration_goes_on_from_the_one_before(kitchen, undisturbed, tmp_path):
    """One step at a vanishing rate leaves the weights of iteration 1 where they were."""
    text = (kitchen / "recipe.toml").read_text()
    first, mark, second = text.rpartition("[[iterations]]")
    second = second.replace('encoder = { size = "nano" }', 'encoder = { size = "nano", start = "previous" }')
    second = second.replace("steps = 6, warmup_steps = 2", "steps = 1, warmup_steps = 1, learning_rate = 1e-12")
    (tmp_path / "recipe.toml").write_text(first + mark + second)
    output = tmp_path / "out"
    shutil.copytree(undisturbed, output, ignore=shutil.ignore_patterns("iteration-2", "model", "*.lock"))
    shutil.copytree(undisturbed / "iteration-1" / "run" / "model", output / "iteration-1" / "run" / "model")
    journal = json.loads((output / "recipe.json").read_text())
    journal["steps"] = {name: step for name, step in journal["steps"].items() if not name.endswith("2")}
    (output / "recipe.json").write_text(json.dumps(journal))
    with ProcessGroup.join("cpu") as group:
        train_by_recipe(read_config(tmp_path / "recipe.toml", Recipe), output, group, lambda _: None)
    before = load_checkpoint(output / "iteration-1" / "run" / "model")
    after = load_checkpoint(output / "model")
    assert all(torch.allclose(tensor, after.encoder[name], atol=1e-6) for name, tensor in before.encoder.items())
    card = json.loads((output / "model" / "task.json").read_text())
    assert any("iteration-1" in line and "SHA-256" in line for line in card["lineage"])


def test_unknown_keys_are_named(kitchen):
    with pytest.raises(ConfigError, match=r"unknown key 'regions\.thresh'"):
        read_config(kitchen / "recipe.toml", Recipe, ["regions.thresh=0.2"])


@pytest.mark.parametrize(("window", "expected"), [(4, 14.2), (10, 14.8), (30, 16.7)])
def test_arithmetic_of_base_is_the_known_one(window, expected):
    assert operations_per_second(HubertConfig.of_size("base"), window) / 1e9 == pytest.approx(expected, abs=0.1)


ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    "name", ["babyhubert-base", "babyhubert-small", "babyhubert-nano", "babyhubert-adapt", "distil"]
)
def test_shipped_recipes_are_valid(name):
    recipe = read_config(ROOT / "configs" / f"{name}.toml", Recipe)
    cost = plan(recipe, 1000.0)
    assert 115 < cost.disk_gb < 200
    assert cost.accelerator_hours > 0


def test_the_published_recipe_is_the_published_one():
    recipe = read_config(ROOT / "configs" / "babyhubert-base.toml", Recipe)
    first, second = recipe.iterations
    assert (first.units.teacher, second.units.teacher) == ("wavlm-base-plus:6", "previous:7")
    for iteration in recipe.iterations:
        units, training = iteration.units, iteration.training
        assert (units.clusters, units.n_init, units.batch_size, units.max_iter) == (500, 20, 10_000, 100)
        assert (training.encoder.size, training.batches.seconds) == ("base", 175.0)
        assert (training.batches.shortest_s, training.batches.longest_s, training.batches.buckets) == (2, 30, 1000)
        optimiser = training.optimiser
        assert (optimiser.steps, optimiser.learning_rate, optimiser.warmup_steps) == (400_000, 5e-4, 32_000)
        assert (optimiser.beta1, optimiser.beta2, optimiser.eps, optimiser.weight_decay) == (0.9, 0.98, 1e-6, 0.01)
        assert optimiser.clip_norm == 10.0
        assert (training.mask.probability, training.mask.span, training.mask.least) == (0.8, 10, 2)


def test_the_plan_runs_nothing(kitchen, tmp_path):
    command = [sys.executable, "-m", "babyhubert", "recipe", str(kitchen / "recipe.toml"), "--plan", "--hours", "10"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "GPU hours" in done.stdout
    assert not list(tmp_path.iterdir())


def test_the_plan_counts_the_given_audio_and_explains_its_columns(tmp_path):
    sounds = write_sounds(tmp_path / "audio", ["a.wav", "b.wav"], 90)
    (sounds / "broken.wav").write_bytes(b"RIFFxxxx")
    config = Path(__file__).parents[2] / "configs" / "babyhubert-small.toml"
    done = command("recipe", config, "--plan", "--set", f'audio.paths=["{sounds}"]', "--hours", "100", "--pace", "50")
    assert done.code == 0, done.err
    assert done.out.startswith(
        "given audio: 2 recordings, 0.05 h, 1 cannot be read; about 0.01 h of training segments (the first row)\n"
    )
    rows = [line.split() for line in done.out.splitlines()[2:4]]
    recipe = read_config(config, Recipe, [f'audio.paths=["{sounds}"]'])
    for row, hours in zip(rows, (0.2 * 180.37 / 3600, 100), strict=True):
        cost = plan(recipe, hours, 1, 50)
        assert float(row[0]) == pytest.approx(hours, abs=0.01)
        assert float(row[1].replace(",", "")) == pytest.approx(cost.disk_gb, abs=0.1)
        assert float(row[4].replace(",", "")) == pytest.approx(cost.accelerator_hours, abs=0.1)
    for word in ("passes", "GPU hours", "50 hours of audio per GPU hour (--pace)", "1 GPU (--accelerators)"):
        assert word in done.out


def test_the_plan_of_audio_that_is_not_here(tmp_path):
    config = Path(__file__).parents[2] / "configs" / "babyhubert-small.toml"
    done = command("recipe", config, "--plan", "--set", 'audio.paths=["/nowhere/at/all"]')
    assert "the audio of this recipe is not counted: /nowhere/at/all does not exist" in done.out
    assert "13,000" in done.out
