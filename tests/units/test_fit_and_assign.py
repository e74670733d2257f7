"""Fitting and labelling: what is learned, what is written, and that no accident changes a byte."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from packs import StandIn, open_pack, spectrum, write_pack
from sklearn.cluster import MiniBatchKMeans
from small_encoders import TINY, fresh

from babyhubert.compute.processes import RankInfo
from babyhubert.config import build_config
from babyhubert.corpus.shards import Labels, Pack
from babyhubert.encoder.canonical import Checkpoint
from babyhubert.encoder.model_folder import save_model_folder
from babyhubert.errors import ConfigError, CorpusError, OutputError
from babyhubert.units.assign import AssignSettings, assign
from babyhubert.units.batches import teach
from babyhubert.units.kmeans import FitSettings, KMeans, assign_units, fit_units
from babyhubert.units.sampling import FrameSample
from babyhubert.units.teachers import HubertTeacher

SETTINGS = FitSettings(teacher="stand-in", clusters=12, n_init=3, max_iter=20, batch_size=100)


def teacher(name: str = "stand-in") -> StandIn:
    return StandIn(spectrum, 8, name)


def fit(pack: Pack, output: Path, settings: FitSettings = SETTINGS, **more) -> KMeans:
    found = fit_units(pack, output, settings, **{"teacher": teacher(), "place": RankInfo(), **more})
    assert found is not None
    return found


def files(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != "lock"
    }


def every_feature(pack: Pack, split: str) -> np.ndarray:
    found = {int(r): f[i] for r, f in _batches(pack, pack.rows(split)) for i, r in enumerate(r)}
    return np.concatenate([found[row].numpy() for row in sorted(found)])


def _batches(pack, rows):
    return [(batch.rows, batch.features) for batch in teach(pack, rows, teacher(), 60.0)]


@pytest.fixture(scope="module")
def fitted(pack: Pack, tmp_path_factory) -> KMeans:
    return fit(pack, tmp_path_factory.mktemp("fit") / "kmeans")


def test_all_frames_of_a_small_corpus_are_learned_from_as_scikit_learn_does(pack: Pack, fitted: KMeans):
    features = every_feature(pack, "train")
    model = MiniBatchKMeans(
        12, n_init=3, max_iter=20, batch_size=100, tol=0.0, max_no_improvement=100, reassignment_ratio=0.0,
        random_state=0, compute_labels=False,
    ).fit(features)  # fmt: skip
    np.testing.assert_allclose(fitted.centres, model.cluster_centers_, rtol=1e-5, atol=1e-5)
    assert fitted.facts["frames_sampled"] == fitted.facts["frames_seen"] == len(features)
    distances = ((features[:, None] - fitted.centres) ** 2).sum(axis=2).min(axis=1)
    assert fitted.facts["inertia"] == pytest.approx(distances.mean(), rel=1e-4)
    assert fitted.facts["variance"] == pytest.approx(features.var(axis=0).sum(), rel=1e-4)


def test_published_settings_are_the_defaults():
    settings = FitSettings(teacher="mfcc")
    assert (settings.clusters, settings.max_iter, settings.batch_size, settings.tol) == (500, 100, 10_000, 0.0)
    assert (settings.max_no_improvement, settings.n_init, settings.reassignment_ratio) == (100, 20, 0.0)
    with pytest.raises(ConfigError, match="clusters"):
        build_config({"teacher": "mfcc", "clusters": 65_537}, FitSettings, "here")


def test_nearest_centres_are_those_of_scikit_learn():
    drawn = np.random.default_rng(0)
    features = (drawn.standard_normal((3_000, 16)) + 5).astype(np.float32)
    model = MiniBatchKMeans(40, n_init=1, random_state=0).fit(features)
    units = assign_units(torch.from_numpy(features), torch.from_numpy(model.cluster_centers_))
    np.testing.assert_array_equal(units.numpy(), model.predict(features))


def test_blocks_of_distances_change_nothing(monkeypatch):
    features = torch.randn(500, 8, generator=torch.Generator().manual_seed(0))
    whole = assign_units(features, features[:30])
    monkeypatch.setattr("babyhubert.units.kmeans._DISTANCES_AT_ONCE", 30 * 7)
    assert torch.equal(assign_units(features, features[:30]), whole)


def test_a_sample_hears_only_segments_with_chosen_frames(pack: Pack, tmp_path):
    settings = SETTINGS.model_copy(update={"frames": 12, "clusters": 4, "seed": 1})
    listener = teacher()
    found = fit(pack, tmp_path / "out", settings, teacher=listener)
    sample = FrameSample.draw(pack, 12, seed=1)
    rows = [row for row in range(len(pack)) if len(sample.chosen(row))]
    assert listener.heard == len(rows) < len(pack.rows("train"))
    assert found.facts["frames_sampled"] == 12


def test_memory_bounds_the_sample():
    generous = SETTINGS.model_copy(update={"memory_gb": 1.0, "frames": 10**9})
    assert 0.9e9 / (4 * 768) < generous.capacity(768) <= 1e9 / (4 * 768)
    assert SETTINGS.capacity(8) == 2_000_000
    with pytest.raises(ConfigError, match=r"memory_gb = 0\.001: too little for 500 clusters of width 768"):
        FitSettings(teacher="x", memory_gb=0.001).capacity(768)


def test_fewer_frames_than_clusters(tmp_path):
    small = open_pack(tmp_path / "pack", lengths=((4_000, 800),), held_out=())
    with pytest.raises(CorpusError, match="14 frames in the training split, fewer than 500 clusters"):
        fit_units(small, tmp_path / "out", FitSettings(teacher="x"), teacher=teacher(), place=RankInfo())
    with pytest.raises(ConfigError, match="frames = 5: fewer than 12 clusters"):
        fit(small, tmp_path / "out", SETTINGS.model_copy(update={"frames": 5}))


def test_every_frame_of_both_splits_gets_its_nearest_centre(pack: Pack, fitted: KMeans, tmp_path):
    labels = assign(pack, fitted, tmp_path / "labels", teacher=teacher(), place=RankInfo())
    assert labels is not None
    assert labels.clusters == 12
    for rows, features in _batches(pack, np.arange(len(pack))):
        for row, frames in zip(rows, features, strict=True):
            distances = ((frames.numpy()[:, None] - fitted.centres) ** 2).sum(axis=2)
            units = labels.units(int(row))
            assert len(units) == pack.frames[row]
            chosen = np.take_along_axis(distances, units[:, None].astype(np.int64), 1)[:, 0]
            np.testing.assert_allclose(chosen, distances.min(axis=1), rtol=1e-4, atol=1e-4)
    assert len(np.unique(np.concatenate([labels.shard(shard.number) for shard in pack.shards]))) > 5


def test_labels_of_a_training_mode_encoder_are_deterministic(pack: Pack, tmp_path):
    encoder = fresh(TINY).train()

    def labelled(name):
        student = HubertTeacher(encoder, 2, "h", "hash")
        encoder.train()
        found = fit(pack, tmp_path / "kmeans", teacher=student)
        return assign(pack, found, tmp_path / name, teacher=student, place=RankInfo())

    assert [labelled("a").shard(n).tolist() for n in range(3)] == [labelled("b").shard(n).tolist() for n in range(3)]


@pytest.mark.parametrize("world", [2, 4])
def test_more_processes_give_the_same_bytes(pack: Pack, fitted: KMeans, tmp_path, world):
    places = [RankInfo(rank, world, rank) for rank in range(world)]
    found = [
        fit_units(pack, tmp_path / "kmeans", SETTINGS, teacher=teacher(), place=place) for place in reversed(places)
    ]
    assert found[0] is None or world > 3
    assert found[-1] is not None
    assert files(tmp_path / "kmeans") == files(fitted.folder)
    one = assign(pack, fitted, tmp_path / "one", teacher=teacher(), place=RankInfo())
    many = [assign(pack, fitted, tmp_path / "many", teacher=teacher(), place=place) for place in places]
    assert one is not None
    assert many[-1] is not None
    assert many[0] is None
    assert files(tmp_path / "one") == files(tmp_path / "many")


class StoppedError(Exception):
    """Stands for a kill."""


def stopping_after(batches: int) -> StandIn:
    left = [batches]

    def function(waveforms):
        left[0] -= 1
        if left[0] < 0:
            raise StoppedError
        return spectrum(waveforms)

    return StandIn(function, 8)


@pytest.mark.parametrize("batches", [0, 2, 4, 6])
def test_a_run_that_was_killed_goes_on_to_the_same_bytes(pack: Pack, fitted: KMeans, tmp_path, batches):
    with pytest.raises(StoppedError):
        fit(pack, tmp_path / "kmeans", teacher=stopping_after(batches))
    assert not (tmp_path / "kmeans" / "kmeans.json").exists()
    again = teacher()
    fit(pack, tmp_path / "kmeans", teacher=again)
    assert again.heard < 7 or batches < 2
    assert files(tmp_path / "kmeans") == files(fitted.folder)

    assign(pack, fitted, tmp_path / "whole", teacher=teacher(), place=RankInfo())
    with pytest.raises(StoppedError):
        assign(pack, fitted, tmp_path / "labels", teacher=stopping_after(batches), place=RankInfo())
    with pytest.raises(CorpusError, match="missing or not finished"):
        Labels.open(tmp_path / "labels", pack)
    assign(pack, fitted, tmp_path / "labels", teacher=teacher(), place=RankInfo())
    assert files(tmp_path / "labels") == files(tmp_path / "whole")


def test_what_is_complete_is_kept_and_what_is_damaged_is_made_again(pack: Pack, fitted: KMeans, tmp_path):
    idle = teacher()
    assert fit(pack, fitted.folder, teacher=idle).sha256 == fitted.sha256
    assign(pack, fitted, tmp_path / "labels", teacher=teacher(), place=RankInfo())
    before = files(tmp_path / "labels")
    assign(pack, fitted, tmp_path / "labels", teacher=idle, place=RankInfo())
    assert idle.heard == 0
    damaged = tmp_path / "labels" / "shards" / "00001.u16"
    damaged.write_bytes(b"\0" * damaged.stat().st_size)
    assign(pack, fitted, tmp_path / "labels", teacher=idle, place=RankInfo())
    assert idle.heard == 3
    assert files(tmp_path / "labels") == before


def test_a_damaged_part_of_the_sample_is_made_again(pack: Pack, fitted: KMeans, tmp_path):
    with pytest.raises(StoppedError):
        fit(pack, tmp_path, teacher=stopping_after(5))
    part = tmp_path / ".babyhubert" / "sample" / "00000.f32"
    part.write_bytes(part.read_bytes()[:-4])
    fit(pack, tmp_path)
    assert files(tmp_path) == files(fitted.folder)


def test_other_results_are_not_overwritten_unasked(pack: Pack, fitted: KMeans, tmp_path):
    fit(pack, tmp_path / "k")
    other = SETTINGS.model_copy(update={"seed": 9})
    with pytest.raises(OutputError, match="--replace"):
        fit(pack, tmp_path / "k", other)
    changed = fit(pack, tmp_path / "k", other, replace=True)
    assert changed.sha256 != fitted.sha256
    assign(pack, fitted, tmp_path / "l", teacher=teacher(), place=RankInfo())
    with pytest.raises(OutputError, match="--replace"):
        assign(pack, changed, tmp_path / "l", teacher=teacher(), place=RankInfo())
    assign(pack, changed, tmp_path / "l", teacher=teacher(), place=RankInfo(), replace=True)
    assert json.loads((tmp_path / "l" / "labels.json").read_text())["kmeans"] == changed.sha256


def test_another_teacher_than_the_one_learned_with_is_refused(pack: Pack, fitted: KMeans, tmp_path):
    with pytest.raises(CorpusError, match=r"another teacher \(stand-in\) than someone else: kind stand-in instead of"):
        assign(pack, fitted, tmp_path, teacher=teacher("someone else"), place=RankInfo())
    first, second = (HubertTeacher(fresh(TINY), layer, "h", "hash") for layer in (1, 2))
    learned = fit(pack, tmp_path / "k", teacher=first)
    with pytest.raises(CorpusError, match="layer 1 instead of 2"):
        assign(pack, learned, tmp_path / "l", teacher=second, place=RankInfo())
    wide = StandIn(lambda waveforms: spectrum(waveforms).repeat(1, 1, 2), 16)
    with pytest.raises(CorpusError, match="centres of width 8, but teacher stand-in gives 16"):
        assign(pack, fitted, tmp_path, teacher=wide, place=RankInfo())


def test_precision_is_that_of_the_fit_unless_told(pack: Pack, fitted: KMeans, tmp_path):
    facts = dict(fitted.facts) | {"teacher": {"name": "mfcc", "kind": "mfcc", "version": 1}}
    assert KMeans(fitted.folder, fitted.centres, facts).teacher_precision == "float32"
    model = tmp_path / "model"
    save_model_folder(model, Checkpoint("transformers", TINY, fresh(TINY).state_dict(), {}, {}, {}))
    teaching = {"name": f"{model}:1", "kind": "hubert", "weights": "x", "layer": 1, "precision": "bfloat16"}
    learned = KMeans(fitted.folder, fitted.centres, dict(fitted.facts) | {"teacher": teaching})
    with pytest.raises(ConfigError, match="bfloat16 runs on CUDA only"):
        assign(pack, learned, tmp_path / "labels", AssignSettings(device="cpu"), place=RankInfo())
    with pytest.raises(CorpusError, match="precision bfloat16 instead of float32"):
        assign(pack, learned, tmp_path / "labels", AssignSettings(device="cpu", precision="float32"), place=RankInfo())


def test_features_that_are_not_finite_stop_both(pack: Pack, fitted: KMeans, tmp_path):
    sick = StandIn(lambda waveforms: spectrum(waveforms) / 0, 8)
    with pytest.raises(CorpusError, match="not finite"):
        fit(pack, tmp_path, teacher=sick)
    with pytest.raises(CorpusError, match="not finite"):
        assign(pack, fitted, tmp_path, teacher=sick, place=RankInfo())


def test_damaged_or_pickled_kmeans_is_refused(fitted: KMeans, tmp_path):
    for name in ("kmeans.json", "kmeans.safetensors"):
        (tmp_path / name).write_bytes((fitted.folder / name).read_bytes())
    (tmp_path / "kmeans.safetensors").write_bytes((fitted.folder / "kmeans.safetensors").read_bytes()[:-1] + b"\1")
    with pytest.raises(CorpusError, match=r"kmeans\.safetensors: missing or damaged"):
        KMeans.load(tmp_path)
    (tmp_path / "model_6s.pt").write_bytes(b"\x80\x04K\x01.")
    with pytest.raises(CorpusError, match="pickled k-means models run code"):
        KMeans.load(tmp_path / "model_6s.pt")
    with pytest.raises(CorpusError, match="units fit"):
        KMeans.load(tmp_path / "absent")


def test_labels_of_another_pack_and_shards_cut_short(pack: Pack, fitted: KMeans, tmp_path):
    assign(pack, fitted, tmp_path / "labels", teacher=teacher(), place=RankInfo())
    other = open_pack(tmp_path / "other", seed=50)
    with pytest.raises(CorpusError, match="belong to another pack"):
        Labels.open(tmp_path / "labels", other)
    with pytest.raises(OutputError, match="another pack"):
        assign(other, fitted, tmp_path / "labels", teacher=teacher(), place=RankInfo())
    shard = tmp_path / "other" / "shards" / "00000.i16"
    shard.write_bytes(shard.read_bytes()[:-2])
    with pytest.raises(CorpusError, match="cut short"):
        Pack.open(tmp_path / "other")


def test_an_index_that_does_not_fit_its_shards_is_refused(fitted: KMeans, tmp_path):
    folder = write_pack(tmp_path / "pack")
    facts = json.loads((folder / "pack.json").read_text())
    facts["shards"][1]["frames"] += 1
    (folder / "pack.json").write_text(json.dumps(facts))
    with pytest.raises(CorpusError, match="disagree on the frames of shard 1"):
        assign(Pack.open(folder), fitted, tmp_path / "labels", teacher=teacher(), place=RankInfo())
