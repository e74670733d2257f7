"""Mutated copies of what runs keep: believed only where nothing has changed, else an error of ours, or made again."""

from __future__ import annotations

import json
import shutil
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from mutations import mutated, mutation_settings, survives

from babyhubert.audio.discovery import discover
from babyhubert.errors import BabyHubertError
from babyhubert.evaluation.score_folder import find_scores
from babyhubert.exchange.recordings import Source
from babyhubert.inference.thresholds import select_thresholds
from babyhubert.material.audio_store import AudioStore
from babyhubert.measures.results import read_results
from babyhubert.measures.tables import MeasureSettings, measure_all
from babyhubert.report.levels import levels_of
from babyhubert.runs.folder import RunFolder
from babyhubert.runs.journal import read_journal
from babyhubert.runs.kept import current_identity, kept_result
from babyhubert.runs.provenance import check_run
from babyhubert.runs.status import folder_status
from babyhubert.training.snapshots import newest_snapshot, save_snapshot
from commands import command, write_small_model, write_sounds

pytestmark = pytest.mark.filterwarnings("ignore")
STATE = ".babyhubert/segment"


@pytest.fixture(scope="module")
def out(tmp_path_factory):
    """The output folder of a run over two recordings."""
    folder = tmp_path_factory.mktemp("kept")
    recordings = write_sounds(folder / "rec", ["a.wav", "b.wav"], 2.0)
    model = write_small_model(folder / "m")
    assert command("segment", recordings, "-o", folder / "out", "--model", model).code == 0
    return folder / "out"


def changes(path: Path, data: st.DataObject, *, text: bool) -> bytes:
    """A mutated copy of a file, in a folder that is otherwise as it was."""
    original = path.with_name(f"{path.name}.original")
    if not original.exists():
        shutil.copyfile(path, original)
    content = data.draw(mutated(original.read_bytes(), text=text))
    path.write_bytes(content)
    return content


def restore(path: Path) -> bytes:
    original = path.with_name(f"{path.name}.original")
    content = original.read_bytes()
    original.unlink()
    path.write_bytes(content)
    return content


def look(out: Path) -> None:
    """Everything that reads a finished run."""
    results = read_results(out)
    assert isinstance(results.notes, list)
    measure_all(results, MeasureSettings(shuffles=0))
    for one in Source(out).recordings():
        assert one is not None


@settings(mutation_settings, max_examples=120)
@given(data=st.data())
def test_records(out, data):
    path = out / STATE / "records/b.json"
    original = json.loads(json.dumps(RunFolder(out, "segment").record("b")))
    changes(path, data, text=True)
    try:
        folder = RunFolder(out, "segment")
        found = folder.record("b")
        assert found in (None, original) or "outputs" not in found
        survives(lambda: look(out))
        survives(lambda: check_run(out, "segment"))
        survives(lambda: find_scores(out))
        survives(folder.damaged)
        (file,) = [file for file in discover([out.parent / "rec"]) if file.recording_id == "b"]
        kept = kept_result(folder, file, str(original["result"]), [out / "rttm/b.rttm"], current_identity(file.path))
        assert not kept.is_complete or found == original
    finally:
        restore(path)


@settings(mutation_settings, max_examples=150)
@given(data=st.data())
def test_the_run_record(out, data):
    path = out / "run.json"
    changes(path, data, text=True)
    try:
        survives(lambda: look(out))
        survives(lambda: find_scores(out))
    finally:
        restore(path)


@settings(mutation_settings, max_examples=150)
@given(data=st.data())
def test_run_records_of_other_commands(out, data):
    path = out / STATE / "run.json"
    content = changes(path, data, text=True)
    try:
        folder = RunFolder(out, "addressee")
        survives(lambda: folder.write_failures([]))
        survives(lambda: folder.write_run({"command": "addressee", "recordings": [], "failures": []}))
        assert path.read_bytes() == content
    finally:
        restore(path)
        RunFolder(out, "segment").write_run(json.loads(path.read_bytes()))
        shutil.rmtree(out / ".babyhubert/addressee")


@settings(mutation_settings, max_examples=300)
@given(data=st.data())
def test_journals(out, data):
    path = out / STATE / "run.jsonl"
    changes(path, data, text=True)
    try:
        survives(lambda: read_journal(path))
        survives(lambda: [status.as_record() for status in folder_status(out)])
    finally:
        restore(path)


@pytest.mark.parametrize("name", ["rttm/b.rttm", "csv/b.csv", f"{STATE}/scores/b.npy"])
@settings(mutation_settings, max_examples=50)
@given(data=st.data())
def test_outputs(out, name, data):
    path = out / name
    content = changes(path, data, text="scores" not in name)
    try:
        folder = RunFolder(out, "segment")
        record = folder.record("b")
        same = content == path.with_name(f"{path.name}.original").read_bytes()
        assert (folder.fault(record, path) is None) == same
        survives(lambda: look(out))
        if not same:
            with pytest.raises(BabyHubertError, match="b"):
                check_run(out, "segment")
            with pytest.raises(BabyHubertError, match="b"):
                find_scores(out)
    finally:
        restore(path)


@settings(mutation_settings, max_examples=200)
@given(data=st.data())
def test_scores_that_no_record_vouches_for(tmp_path_factory, data):
    folder = tmp_path_factory.mktemp("probs")
    np.save(folder / "a.npy", np.full((40, 2), 0.25, np.float16))
    (folder / "format.json").write_text('{"classes": ["KCHI", "FEM"]}')
    name = data.draw(st.sampled_from(["a.npy", "format.json"]))
    (folder / name).write_bytes(data.draw(mutated((folder / name).read_bytes(), text=name != "a.npy")))
    survives(lambda: find_scores(folder).load("a").sum())


@settings(mutation_settings, max_examples=200)
@given(data=st.data())
def test_thresholds(tmp_path_factory, out, data):
    path = tmp_path_factory.mktemp("thresholds") / "t.toml"
    path.write_bytes(data.draw(mutated((out / "thresholds.toml").read_bytes(), text=True)))
    survives(lambda: select_thresholds(str(path), ("KCHI", "OCH", "MAL", "FEM")))


@settings(mutation_settings, max_examples=100)
@given(data=st.data())
def test_levels(out, data):
    audio = out.parent / "rec/b.wav"
    expected = levels_of(out, "b", audio, "mean")
    path = out / ".babyhubert/report/levels/b.npz"
    path.write_bytes(data.draw(mutated(path.read_bytes())))
    found = levels_of(out, "b", audio, "mean")
    assert np.array_equal(found.level, expected.level)
    assert np.array_equal(found.clipped, expected.clipped)


@settings(mutation_settings, max_examples=100)
@given(data=st.data())
def test_snapshots(tmp_path_factory, data):
    folder = tmp_path_factory.mktemp("snapshots")
    state = {"step": 2, "model": {"weight": torch.arange(300.0)}, "seconds": 1.5}
    path = save_snapshot(folder, 2, state)
    earlier = save_snapshot(folder, 1, {**state, "step": 1})
    content = data.draw(mutated(path.read_bytes()))
    changed = content != path.read_bytes()
    path.write_bytes(content)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        step, found = newest_snapshot(folder)
    assert torch.equal(found["model"]["weight"], state["model"]["weight"])
    assert found == {**found, "step": step, "seconds": 1.5}
    assert step == 2 or changed
    assert earlier.is_file()


@pytest.fixture(scope="module")
def store(tmp_path_factory, out):
    """A store of training audio, and what is in it."""
    folder = tmp_path_factory.mktemp("store")
    return folder, np.array(AudioStore.build(discover([out.parent / "rec"]), folder).samples)


@settings(mutation_settings, max_examples=80)
@given(data=st.data())
def test_stores_of_training_audio(tmp_path_factory, out, store, data):
    written, expected = store
    folder = Path(shutil.copytree(written, tmp_path_factory.mktemp("copy") / "store"))
    suffix = data.draw(st.sampled_from([".json", ".npy"]))
    (path,) = folder.glob(f"*{suffix}")
    path.write_bytes(data.draw(mutated(path.read_bytes(), text=suffix == ".json")))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = AudioStore.build(discover([out.parent / "rec"]), folder)
    assert np.array_equal(found.samples, expected)
    assert found.bounds.tolist() == [0, *np.cumsum(found.lengths)]
