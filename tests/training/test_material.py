"""What enters training: every layout gives the same material, and what does not fit is named."""

from __future__ import annotations

import csv
import itertools
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from tones import RATE, addressee_table, phoneme_table, settings, voice_type_table, write_table

from babyhubert.annotation.rttm import read_rttm, write_rttm
from babyhubert.annotation.segments import Segments
from babyhubert.errors import AnnotationError, AudioError, ConfigError
from babyhubert.material.settings import SkippedMaterial
from babyhubert.material.utterances import EpochOrder, equal_length_batches
from babyhubert.material.windows import shifted, windows_by, windows_with_context
from babyhubert.phonology.edit_distance import edit_distances
from babyhubert.phonology.inventory import Inventory, read_inventory, simplify
from babyhubert.tasks import registry
from babyhubert.tasks.classification.windows import centred_window
from babyhubert.tasks.phonemes.examples import in_rows, normalised, stretched
from babyhubert.timebase import frame_count


def prepare(name, table, tmp_path, seed=0):
    left_out = SkippedMaterial()
    chosen = getattr(settings(None, {name: table}), name)
    kind = registry.load(registry.KINDS[chosen.kind].training)
    stream = registry.seed_stream(name)
    return kind.prepare(chosen, tmp_path / "audio", seed, left_out, name=name, seed_stream=stream), left_out


def voices(folder, tmp_path, data=None, **changes):
    table = voice_type_table(folder, **changes)
    return prepare("voice_type", {**table, "data": data or table["data"]}, tmp_path)[0]


@pytest.fixture
def copied(scenes, tmp_path) -> Path:
    return Path(shutil.copytree(scenes, tmp_path / "copy"))


def targets(task):
    return [array.tolist() for array in (*task.train.targets, *task.validation.targets)]


def test_published_lists_tables_and_projects_give_what_the_folder_gives(scenes, copied, tmp_path):
    expected = targets(voices(scenes, tmp_path))
    for name in ("train", "validation"):
        names = ["a", "b"] if name == "train" else ["c"]
        (copied / name / "list.txt").write_text("\n".join(["", *names, ""]), encoding="utf-8")
        write_project(copied / f"{name}-project", copied / name, names)
    lists = {side: str(copied / side / "list.txt") for side in ("train", "validation")}
    assert targets(voices(scenes, tmp_path, lists)) == expected
    tables = {side: str(copied / side / "segments.csv") for side in ("train", "validation")}
    assert targets(voices(scenes, tmp_path, tables)) == expected
    projects = {
        side: {"path": str(copied / f"{side}-project"), "annotation_set": "eaf/an1"}
        for side in ("train", "validation")
    }
    found = voices(scenes, tmp_path, projects)
    assert [np.abs(np.array(a) - np.array(b)).mean() < 0.01 for a, b in zip(targets(found), expected, strict=True)]


def test_several_sources_are_one_material(scenes, copied, tmp_path):
    expected = targets(voices(scenes, tmp_path))
    sides = {"train": copied / "train", "validation": copied / "validation"}
    alone = {"path": str(sides["train"] / "segments.csv"), "select": ["b"]}
    (sides["train"] / "list.txt").write_text("a\n", encoding="utf-8")
    data = {"train": [str(sides["train"] / "list.txt"), alone], "validation": str(sides["validation"])}
    assert targets(voices(scenes, tmp_path, data)) == expected
    with pytest.raises(AnnotationError, match=r"b: two sources have a recording of this name .*b\.wav"):
        voices(scenes, tmp_path, {**data, "train": [str(sides["train"]), alone]})
    with pytest.raises(AnnotationError, match="list of sources is empty"):
        voices(scenes, tmp_path, {**data, "train": []})


def test_frames_of_a_source_that_stands_there_three_times_are_drawn_three_times_as_often(scenes, tmp_path):
    table = str(scenes / "train" / "segments.csv")
    sides = {"validation": str(scenes / "validation")}
    both = voices(scenes, tmp_path, {"train": str(scenes / "train"), **sides})
    thrice = [{"path": table, "select": ["a"], "times": 3}, {"path": table, "select": ["b"]}]
    task = voices(scenes, tmp_path, {"train": thrice, **sides})
    assert (task.seconds, targets(task)) == (both.seconds, targets(both))
    assert task.identity != both.identity
    frames = [len(truth) for truth in task.train.targets]
    assert task.train.frames_with_copies == 3 * frames[0] + frames[1]
    kinds = np.repeat([-1, 0], 20_000)
    drawn, at = task.train.draw(kinds, np.random.default_rng(0))
    for kind, weights in ((-1, [np.ones(n) for n in frames]), (0, [truth[:, 0] for truth in task.train.targets])):
        for number in range(2):
            counts = np.bincount(at[(kinds == kind) & (drawn == number)], minlength=frames[number])
            assert not counts[weights[number] == 0].any()
            share = (3, 1)[number] * weights[number] / (3 * weights[0].sum() + weights[1].sum())
            assert np.abs(counts - 20_000 * share).max() < 6 * np.sqrt(20_000 * share.max())


def test_utterances_of_a_source_stand_in_an_epoch_as_often_as_it_says(utterances, tmp_path):
    source = {"path": str(utterances / "utterances.csv"), "times": 2}
    once, _ = prepare("phonemes", phoneme_table(utterances), tmp_path)
    twice, _ = prepare(
        "phonemes", phoneme_table(utterances, data={"train": source, "validation_share": 0.2}), tmp_path
    )
    count = len(twice.train.utterances)
    assert (twice.seconds, len(twice.validation.utterances)) == (once.seconds, len(once.validation.utterances))
    shown = [sum(len(t.batch(n).waveforms) for n in range(t.batches_an_epoch)) for t in (once, twice)]
    assert shown == [len(once.train.utterances), 2 * count]
    order = EpochOrder(np.arange(count), np.arange(count) % 3, 4, seed=0)
    epoch = np.concatenate([order.batch(n) for n in range(order.batches)])
    assert np.array_equal(np.sort(epoch), np.repeat(np.arange(count), np.arange(count) % 3))


def test_classes_weigh_the_same_over_an_epoch_in_which_a_source_stands_three_times(scenes, tmp_path):
    table = str(scenes / "train" / "segments.csv")
    train = [{"path": table, "select": ["a"], "times": 3}, {"path": table, "select": ["b"]}]
    data = {"train": train, "validation": str(scenes / "validation" / "segments.csv")}
    task, _ = prepare("addressee", addressee_table(scenes, balanced=True, data=data), tmp_path)
    shown = [task.batch(number).targets for number in range(task.batches_an_epoch)]
    classes = torch.cat([targets["class"] for targets in shown])
    weights = torch.cat([targets["class_weight"] for targets in shown])
    assert len(classes) > len(task.train)
    sums = [float(weights[classes == k].sum()) for k in range(len(task.labels))]
    np.testing.assert_allclose(sums, len(classes) / len(task.labels), rtol=1e-5)


def test_utterances_outside_what_was_annotated_do_not_enter(scenes, tmp_path):
    table = scenes / "train" / "segments.csv"
    (tmp_path / "u.uem").write_text("a 1 0.000 9.000\nb 1 0.000 20.000\n", encoding="utf-8")
    source = {"path": str(table), "uem": str(tmp_path / "u.uem")}
    data = {"train": source, "validation": str(scenes / "validation" / "segments.csv")}
    everything, _ = prepare("addressee", addressee_table(scenes, data={**data, "train": str(table)}), tmp_path)
    task, left_out = prepare("addressee", addressee_table(scenes, data=data), tmp_path)
    whole = everything.train
    middle = (whole.start + whole.end) // 2
    inside = (whole.recording == 1) | (middle < 9 * RATE)
    assert 0 < inside.sum() < len(whole)
    assert np.array_equal(task.train.start, whole.start[inside])
    assert len(left_out.items["in a stretch that was not annotated"]) == (~inside).sum()


def test_utterances_of_speakers_left_out_are_told_and_rows_without_speakers_refused(utterances, tmp_path):
    kept_out = write_table(tmp_path / "test.csv", "speaker_id", [("000",), ("001",)])
    data = {"train": {"path": str(utterances / "utterances.csv"), "without_speakers": str(kept_out)}}
    data["validation_share"] = 0.2
    _, left_out = prepare("phonemes", phoneme_table(utterances, data=data), tmp_path)
    assert len(left_out.items["said by a speaker who is left out"]) == 8
    rows = [("0000", "audio/0000.wav", "b a")]
    nameless = write_table(tmp_path / "nameless.csv", "utterance_id,path,phones", rows)
    source = {"path": str(nameless), "audio": str(utterances), "without_speakers": str(kept_out)}
    with pytest.raises(AnnotationError, match="no column speaker_id, by which without_speakers"):
        prepare("phonemes", phoneme_table(utterances, data={**data, "train": source}), tmp_path)


def test_a_group_column_that_is_not_there_is_refused(scenes, utterances, tmp_path):
    source = {"path": str(utterances / "utterances.csv"), "group_column": "bogus"}
    with pytest.raises(AnnotationError, match="no column bogus"):
        prepare("phonemes", phoneme_table(utterances, data={"train": source, "validation_share": 0.2}), tmp_path)
    for train in (str(scenes / "train"), str(scenes / "train" / "segments.csv")):
        with pytest.raises(AnnotationError, match="no column bogus"):
            voices(scenes, tmp_path, {"train": {"path": train, "group_column": "bogus"}, "validation_share": 0.5})


def test_voice_type_splits_by_a_group_column(scenes, tmp_path):
    def table(homes):
        rows = [(name, 1, 3, label, home) for name, homes_of in homes.items() for label, home in homes_of]
        return write_table(tmp_path / "rows.csv", "recording_id,start_s,end_s,label,home", rows)

    def data(homes):
        source = {"path": str(table(homes)), "audio": str(scenes / "train"), "group_column": "home"}
        return {"train": source, "validation_share": 0.5}

    both = [("KCHI", "x"), ("FEM", "x")]
    with pytest.raises(AnnotationError, match=r"1 groups .* too few"):
        voices(scenes, tmp_path, data({"a": both, "b": both}))
    task = voices(scenes, tmp_path, data({"a": both, "b": [("KCHI", "y"), ("FEM", "y")]}))
    assert (len(task.train.targets), len(task.validation.targets)) == (1, 1)
    with pytest.raises(AnnotationError, match="rows of several home"):
        voices(scenes, tmp_path, data({"a": [("KCHI", "x"), ("FEM", "y")], "b": both}))


def test_the_same_utterances_cannot_train_and_validate(utterances, tmp_path):
    table = str(utterances / "utterances.csv")
    with pytest.raises(AnnotationError, match=r"utterances\.csv, line 2: is in training and in validation"):
        prepare("phonemes", phoneme_table(utterances, data={"train": table, "validation": table}), tmp_path)


def test_recordings_that_nobody_annotated_are_told(copied, tmp_path):
    (copied / "train" / "rttm" / "b.rttm").unlink()
    task, left_out = prepare("voice_type", voice_type_table(copied), tmp_path)
    assert len(task.train.targets) == 1
    assert [Path(item).name for item in left_out.items["a recording without annotations"]] == ["b.wav"]
    only = {"path": str(copied / "train"), "select": ["a"]}
    data = {"train": only, "validation": str(copied / "validation")}
    _, left_out = prepare("voice_type", voice_type_table(copied, data=data), tmp_path)
    assert not left_out.items


def test_a_recording_shorter_than_a_frame_is_told(copied, tmp_path):
    soundfile.write(copied / "train" / "wav" / "b.wav", np.zeros(300), RATE)
    (copied / "train" / "rttm" / "b.rttm").write_text("SPEAKER b 1 0.0 0.01 <NA> <NA> KCHI <NA> <NA>\n")
    task, left_out = prepare("voice_type", voice_type_table(copied), tmp_path)
    assert [Path(item).name for item in left_out.items["shorter than a frame (400 samples)"]] == ["b.wav"]
    assert np.isfinite(task.batch(0).waveforms.numpy()).all()


def test_classes_that_validation_never_meets_are_named_and_nobody_at_all_is_refused(copied, tmp_path):
    rttm = copied / "validation" / "rttm" / "c.rttm"
    rttm.write_text("".join(line for line in rttm.open() if "KCHI" in line), encoding="utf-8")
    assert "without FEM: nothing will be known of that" in voices(copied, tmp_path).summary
    (copied / "validation" / "uem").mkdir()
    (copied / "validation" / "uem" / "c.uem").write_text("c 1 0.000 20.000\n", encoding="utf-8")
    rttm.write_text("SPEAKER c 1 19.999 0.001 <NA> <NA> KCHI <NA> <NA>\n", encoding="utf-8")
    with pytest.raises(AnnotationError, match="no speech in the validation material"):
        voices(copied, tmp_path)


def test_what_is_nobodys_in_a_project_is_passed_over_and_its_tables_are_checked(copied, tmp_path):
    project = copied / "project"
    write_project(project, copied / "train", ["a", "b"])
    source = {"path": str(project), "annotation_set": "eaf/an1"}
    data = {"train": source, "validation": str(copied / "validation")}
    expected = targets(voices(copied, tmp_path, data))
    converted = project / "annotations/eaf/an1/converted/a_0_20000.csv"
    converted.write_text(converted.read_text(encoding="utf-8") + "0,20000,NA\n", encoding="utf-8")
    assert targets(voices(copied, tmp_path, data)) == expected
    with pytest.raises(AnnotationError, match=r"no annotation_set 'vtc'.*\(eaf/an1\)"):
        voices(copied, tmp_path, {**data, "train": {**source, "annotation_set": "vtc"}})
    index = project / "metadata/annotations.csv"
    whole = index.read_text(encoding="utf-8")
    index.write_text(whole.replace("a_0_20000.csv", ""), encoding="utf-8")
    with pytest.raises(AnnotationError, match="no annotation_filename"):
        voices(copied, tmp_path, data)
    index.write_text(whole.replace("range_onset", "from"), encoding="utf-8")
    with pytest.raises(AnnotationError, match="no column range_onset"):
        voices(copied, tmp_path, data)


def test_a_label_map_to_no_class_is_named(scenes, tmp_path):
    with pytest.raises(AnnotationError, match=r"voice_type.label_map makes 'ADULT' of 'FEM'"):
        voices(scenes, tmp_path, label_map={"FEM": "ADULT"})


def test_no_utterance_to_train_on_is_said_as_such(scenes, tmp_path):
    with pytest.raises(AnnotationError, match="addressee: no utterance to train on"):
        prepare("addressee", addressee_table(scenes, adults=["NOBODY"]), tmp_path)


def test_how_often_a_source_is_repeated_is_part_of_a_runs_identity(scenes, tmp_path):
    source = {"path": str(scenes / "train")}
    chosen = [
        settings(None, {"voice_type": voice_type_table(scenes, data={"train": train, "validation": "v"})})
        for train in (source, {**source, "times": 1}, {**source, "times": 2})
    ]
    prints = [each.fingerprint(("voice_type",)) for each in chosen]
    assert prints[0] == prints[1] != prints[2]
    data = [
        {"train": {"path": str(scenes / "train"), "times": times}, "validation": str(scenes / "validation")}
        for times in (1, 2)
    ]
    once, twice, again = (voices(scenes, tmp_path, data=each).identity for each in (*data, data[0]))
    assert once == again != twice


def test_errors_in_a_source_are_those_of_its_kind(scenes):
    for train, message in (
        ({"path": "x", "times": 0}, r"'voice_type.data.train.table.times' = 0: input should be greater than 0$"),
        (["x", {"path": "y", "tims": 1}], r"unknown key 'voice_type.data.train.list.1.table.tims'$"),
    ):
        with pytest.raises(ConfigError, match=message):
            settings(None, {"voice_type": voice_type_table(scenes, data={"train": train})})


def test_speakers_of_a_test_set_do_not_enter_training(scenes, utterances, tmp_path):
    table = str(utterances / "utterances.csv")
    everybody, _ = prepare("phonemes", phoneme_table(utterances), tmp_path)
    kept_out = write_table(tmp_path / "test.csv", "speaker_id,voice", [("000", "CHI"), ("001", "MAL")])
    data = {"train": {"path": table, "without_speakers": str(kept_out)}, "validation_share": 0.2}
    fewer, _ = prepare("phonemes", phoneme_table(utterances, data=data), tmp_path)
    counts = [len(task.train.utterances) + len(task.validation.utterances) for task in (everybody, fewer)]
    assert counts == [24, 16]


def test_what_speakers_say_who_are_left_out_is_not_annotated_for_voice_type(scenes, tmp_path):
    fields = "recording_id,start_s,end_s,label,speaker_id"
    rows = [("a", 1, 3, "KCHI", "x"), ("a", 2.5, 4, "FEM", "y"), ("b", 0, 1, "FEM", "z"), ("b", 5, 6, "FEM", "y")]
    table = write_table(tmp_path / "rows.csv", fields, rows)
    kept_out = write_table(tmp_path / "doubtful.csv", "speaker_id", [("y",), ("nobody",)])
    source = {"path": str(table), "audio": str(scenes / "train"), "without_speakers": str(kept_out)}
    table = voice_type_table(scenes, data={"train": source, "validation": str(scenes / "validation")})
    task, left_out = prepare("voice_type", table, tmp_path)
    assert len(left_out.items["said by a speaker who is left out"]) == 2
    for number, (unknown, truth) in enumerate([((2.5, 4), (1, 2.5)), ((5, 6), (0, 1))]):
        centres = (np.arange(len(task.train.targets[number])) + 0.5) * 0.02
        left_out = (centres > unknown[0]) & (centres < unknown[1])
        assert np.array_equal(task.train.annotated[number], ~left_out)
        spoken = task.train.targets[number].any(axis=1) & ~left_out
        assert np.array_equal(spoken, (centres > truth[0]) & (centres < truth[1]))
    whole = {"path": str(scenes / "train"), "without_speakers": str(kept_out)}
    with pytest.raises(AnnotationError, match="no column speaker_id, by which without_speakers"):
        voices(scenes, tmp_path, {"train": whole, "validation": str(scenes / "validation")})


def write_project(project, folder, names):
    for name in names:
        segments = read_rttm(folder / "rttm" / f"{name}.rttm")[name]
        raw = project / "recordings/raw"
        raw.mkdir(parents=True, exist_ok=True)
        shutil.copy(folder / "wav" / f"{name}.wav", raw)
        converted = project / "annotations/eaf/an1/converted"
        converted.mkdir(parents=True, exist_ok=True)
        rows = [(s // 16, e // 16, "CHI" if label == "KCHI" else label) for s, e, label in segments]
        write_table(converted / f"{name}_0_20000.csv", "segment_onset,segment_offset,speaker_type", rows)
    (project / "metadata").mkdir()
    recordings = [(f"{name}.wav", f"child-{name}") for name in names]
    write_table(project / "metadata/recordings.csv", "recording_filename,child_id", recordings)
    ranges = [("eaf/an1", f"{name}.wav", 0, 20_000, f"{name}_0_20000.csv", "") for name in names]
    header = "set,recording_filename,range_onset,range_offset,annotation_filename,error"
    write_table(project / "metadata/annotations.csv", header, ranges)


def test_parquet_keeps_zero_padded_ids(scenes, copied, tmp_path):
    pyarrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    folder = copied / "train"
    (folder / "wav/a.wav").rename(folder / "wav/0007.wav")
    (folder / "wav/b.wav").rename(folder / "wav/12.wav")
    with (folder / "segments.csv").open(encoding="utf-8") as file:
        rows = [{**row, "recording_id": {"a": "0007", "b": "12"}[row["recording_id"]]} for row in csv.DictReader(file)]
    for row in rows:
        row |= {"start_s": float(row["start_s"]), "end_s": float(row["end_s"])}
    parquet.write_table(pyarrow.Table.from_pylist(rows), folder / "segments.parquet")
    data = {"train": str(folder / "segments.parquet"), "validation": str(scenes / "validation")}
    task = voices(scenes, tmp_path, data)
    assert task.train.store.recording_ids == ("wav/0007", "wav/12")
    assert sorted(map(np.sum, task.train.targets)) == sorted(map(np.sum, voices(scenes, tmp_path).train.targets))


def test_uem_keeps_unannotated_stretches_out_of_loss_and_score(scenes, copied, tmp_path):
    (copied / "train/uem").mkdir()
    for name in ("a", "b"):
        (copied / f"train/uem/{name}.uem").write_text(f"{name} 1 4.0 10.0\n", encoding="utf-8")
    (copied / "validation/c.uem").write_text("c 1 0.0 5.0\n", encoding="utf-8")
    data = {
        "train": str(copied / "train"),
        "validation": {"path": str(copied / "validation"), "uem": str(copied / "validation/c.uem")},
    }
    task = voices(copied, tmp_path, data)
    assert task.seconds == pytest.approx(12.0)
    batch = task.batch(0)
    assert 0 < batch.weight < batch.targets["annotated"].numel()
    assert sum(b.weight for b in task.validation_batches(0, 1)) == 250
    head = task.new_head(8, None)
    features = torch.randn(*batch.targets["annotated"].shape, 8)
    changed = features + 100 * (1 - batch.targets["annotated"])[..., None]
    head.eval()
    assert task.loss(head, features, batch).item() == pytest.approx(task.loss(head, changed, batch).item())


@pytest.mark.parametrize("window", [None, 3.0])
@pytest.mark.parametrize("seconds", [0.5, 1.9, 2.0, 7.3])
def test_validation_scores_every_frame_once_whatever_the_length(scenes, tmp_path, seconds, window):
    folder = tmp_path / "odd"
    samples = round(seconds * RATE)
    folder.mkdir()
    soundfile.write(folder / "x.wav", np.random.default_rng(0).standard_normal(samples) * 0.01, RATE)
    write_rttm(folder / "rttm/x.rttm", "x", Segments.from_rows([(0, samples // 2, "KCHI")]))
    data = {"train": str(scenes / "train"), "validation": str(folder)}
    task = voices(scenes, tmp_path, data, inference_window_s=window)
    seen = list(task.validation_batches(0, 1))
    assert task.card()["context_s"] == (window or 2.0)
    assert max(batch.waveforms.shape[1] for batch in seen) == min(round((window or 2.0) * RATE), samples)
    assert sum(batch.weight for batch in seen) == frame_count(samples)
    positive = sum((b.targets["labels"] * b.targets["annotated"][..., None]).sum().item() for b in seen)
    assert positive == task.validation.targets[0].sum()
    shares = [sum(b.weight for b in task.validation_batches(rank, 3)) for rank in range(3)]
    assert sum(shares) == frame_count(samples)


def test_recordings_shorter_than_the_window_are_trained_on_with_their_own_length(scenes, copied, tmp_path):
    sound, _ = soundfile.read(copied / "train/wav/a.wav")
    soundfile.write(copied / "train/wav/a.wav", sound[: RATE // 2], RATE)
    write_rttm(copied / "train/rttm/a.rttm", "a", Segments.from_rows([(0, RATE // 4, "KCHI")]))
    task = voices(copied, tmp_path, batch_size=200)
    batch = task.batch(0)
    assert batch.lengths is not None
    short = batch.lengths == RATE // 2
    assert short.any()
    assert (batch.targets["annotated"][short].sum(dim=1) == frame_count(RATE // 2)).all()
    assert not batch.waveforms[short][:, RATE // 2 :].any()


def test_balanced_windows_hold_rare_classes_more_often(scenes, tmp_path):
    rare = tmp_path / "rare"
    rare.mkdir()
    soundfile.write(rare / "x.wav", np.zeros(120 * RATE), RATE)
    rows = [(begin * RATE, begin * RATE + RATE, "FEM") for begin in range(0, 119, 2)] + [
        (50 * RATE, 51 * RATE, "KCHI")
    ]
    write_rttm(rare / "rttm/x.rttm", "x", Segments.from_rows(rows))
    data = {"train": str(rare), "validation": str(scenes / "validation")}
    met = {}
    for share in (0.0, 1.0):
        task = voices(scenes, tmp_path, data, balanced_share=share, batch_size=100)
        met[share] = (task.batch(0).targets["labels"][..., 0].sum(dim=1) > 0).float().mean().item()
    assert met[0.0] < 0.1
    assert met[1.0] > 0.4


def test_mixed_windows_unite_their_targets(scenes, tmp_path):
    plain = voices(scenes, tmp_path, batch_size=8)
    mixed = voices(scenes, tmp_path, batch_size=8, mix={"probability": 1.0, "level_db": [0.0, 0.0]})
    a, b = plain.batch(3), mixed.batch(3)
    gained = b.targets["labels"] - a.targets["labels"]
    assert gained.min() == 0
    assert gained.sum() > 0
    added = (b.waveforms - a.waveforms).numpy()
    for row in range(8):
        frames = np.flatnonzero(gained[row].sum(dim=-1).numpy())
        if len(frames):
            assert np.abs(added[row, frames[0] * 320 : frames[-1] * 320 + 320]).max() > 0.1


def test_shorter_windows_hold_as_much_audio_and_keep_their_labels(scenes, tmp_path):
    task = voices(scenes, tmp_path, window_s=4.0, shortest_window_s=0.5, batch_size=4)
    shapes = []
    for number in range(30):
        batch = task.batch(number)
        sound = batch.waveforms.numpy()
        frames = batch.targets["labels"].shape[1]
        assert frames == frame_count(sound.shape[1])
        cells = np.square(sound[:, : frames * 320].reshape(len(sound), frames, 320)).mean(axis=-1)
        spoken = batch.targets["labels"].numpy().max(axis=-1) > 0
        assert ((cells > 0.002) == spoken).mean() > 0.94
        shapes.append(sound.shape)
    lengths = np.array([samples for _, samples in shapes]) / RATE
    assert lengths.min() < 0.8
    assert 3.0 < lengths.max() <= 4.0
    assert all(13 < rows * samples / RATE < 19 for rows, samples in shapes)
    assert len(set(shapes)) > 15
    with pytest.raises(ConfigError, match="shortest_window_s is 9"):
        voices(scenes, tmp_path, window_s=4.0, shortest_window_s=9.0)


def test_recorded_sounds_make_windows_without_voices_and_stand_behind_those_with(scenes, tmp_path):
    sounds = tmp_path / "sounds"
    for name, pitch in (("dog/1-a", 5000), ("dog/4-a", 6000)):
        path = sounds / f"{name}.wav"
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, 0.3 * np.sin(2 * np.pi * pitch * np.arange(RATE) / RATE), RATE)
    table = {"silent_share": 0.0, "tones_share": 0.0, "recorded_share": 1.0, "folder": str(sounds)}

    def pitches(batch):
        """Share of the power of each window around 5 and around 6 kHz (a change of speed included)."""
        power = np.abs(np.fft.rfft(batch.waveforms.numpy())) ** 2
        hertz = np.fft.rfftfreq(batch.waveforms.shape[1], 1 / RATE)
        return [
            power[:, (hertz > low) & (hertz < high)].sum(axis=1) / power.sum(axis=1)
            for low, high in ((4100, 5900), (5950, 7100))
        ]

    only = voices(scenes, tmp_path, batch_size=12, nobody={"probability": 1.0, "select": ["dog/1-*"], **table}).batch(
        0
    )
    assert not only.targets["labels"].any()
    assert (only.targets["annotated"] == 1).all()
    lower, higher = pitches(only)
    assert (lower > 0.6).mean() > 0.8
    assert (higher < 0.3).all()
    plain = voices(scenes, tmp_path, batch_size=12).batch(0)
    behind = {"probability": 0.0, "background": {"probability": 1.0, "snr_db": [0.0, 0.0]}, **table}
    batch = voices(scenes, tmp_path, batch_size=12, nobody=behind).batch(0)
    np.testing.assert_array_equal(batch.targets["labels"], plain.targets["labels"])
    added = batch.waveforms.numpy() - plain.waveforms.numpy()
    power, own = (np.square(sound).mean(axis=1) for sound in (added, plain.waveforms.numpy()))
    np.testing.assert_allclose(power, own, rtol=0.01)
    with pytest.raises(ConfigError, match="fits"):
        voices(scenes, tmp_path, nobody={"select": ["cat/*"], **table})
    with pytest.raises(ConfigError, match="recorded_share needs folder"):
        voices(scenes, tmp_path, nobody={"recorded_share": 0.5, "silent_share": 0.0, "tones_share": 0.0})


def test_windows_without_voices_go_through_the_same_microphones_as_all_others(scenes, tmp_path):
    table = {"probability": 1.0, "silent_share": 0.0, "tones_share": 0.0, "level_dbfs": [-40.0, -40.0]}
    for gain_db in (0.0, 20.0):
        batch = voices(scenes, tmp_path, batch_size=12, nobody=table, augmentation={"gain_db": gain_db}).batch(0)
        level = 10 * np.log10(np.square(batch.waveforms.numpy()).mean(axis=1))
        assert not batch.targets["labels"].any()
        assert np.ptp(level) == pytest.approx(0, abs=0.01) if not gain_db else np.ptp(level) > 10
        assert abs(level + 40).max() < gain_db + 0.01


def test_classes_and_overlap_weigh_in_the_loss_as_they_are_told_to(scenes, tmp_path):
    weights = {"positive_weights": {"FEM": 3.0}, "overlap_weight": 5.0}
    task = voices(scenes, tmp_path, mix={"probability": 0.5}, **weights)
    batch = task.batch(0)
    truth, annotated = batch.targets["labels"].numpy(), batch.targets["annotated"].numpy()
    assert 0 < (truth.sum(axis=-1) > 1).sum() < (truth.sum(axis=-1) == 1).sum()
    head = task.new_head(8, None).eval()
    head.reset(torch.Generator().manual_seed(0))
    features = torch.randn(*truth.shape[:2], 8, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        found = task.loss(head, features, batch).item()
        scores = torch.sigmoid(head(features)).double().numpy()
    plain = -np.where(truth > 0, np.array([1.0, 3.0]) * np.log(scores), np.log(1 - scores)).sum(axis=-1)
    assert found == pytest.approx((plain * annotated * np.where(truth.sum(axis=-1) > 1, 5.0, 1.0)).sum(), rel=1e-5)


def test_targets_follow_the_speed(scenes, tmp_path):
    """A tone is heard where the labels say so, at any speed."""
    table = {"augmentation": {"speed": {"probability": 1.0, "factor": [0.8, 1.25]}}, "batch_size": 16}
    batch = voices(scenes, tmp_path, **table).batch(0)
    sound = batch.waveforms.numpy()
    cells = np.square(sound[:, : 99 * 320].reshape(16, 99, 320)).mean(axis=-1)
    spoken = batch.targets["labels"].numpy()[:, :99].max(axis=-1) > 0
    assert ((cells > 0.002) == spoken).mean() > 0.98


def test_a_test_share_is_seen_by_neither_training_nor_validation(utterances, tmp_path):
    data = {"train": str(utterances / "utterances.csv"), "validation_share": 0.2, "test_share": 0.2}
    task, left_out = prepare("phonemes", phoneme_table(utterances, data=data), tmp_path)
    held = left_out.items["held out for a test"]
    assert len(held) == 4
    assert len(task.train.utterances) + len(task.validation.utterances) + len(held) == 24
    other, _ = prepare("phonemes", phoneme_table(utterances, data={**data, "split_seed": 1}), tmp_path)
    assert other.identity != task.identity


# --- what does not fit ---


def test_labels_that_are_unknown_are_named_with_the_remedy(copied, tmp_path):
    write_rttm(copied / "train/rttm/a.rttm", "a", Segments.from_rows([(0, RATE, "SPEECH"), (0, RATE, "KCHI")]))
    with pytest.raises(AnnotationError, match=r"SPEECH.*label_map"):
        voices(copied, tmp_path)
    voices(copied, tmp_path, label_map={"SPEECH": ""})


def test_an_annotation_without_its_recording_is_named(copied, tmp_path):
    write_rttm(copied / "train/rttm/gone.rttm", "gone", Segments.from_rows([(0, 100, "KCHI")]))
    with pytest.raises(AnnotationError, match="gone"):
        voices(copied, tmp_path)


def test_a_class_that_never_occurs_is_named(scenes, tmp_path):
    with pytest.raises(AnnotationError, match=r"no OCH.*voice_type\.labels"):
        voices(scenes, tmp_path, labels=["KCHI", "OCH", "FEM"])


def test_a_class_that_validation_lacks_counts_in_no_mean(scenes, copied, tmp_path):
    write_rttm(copied / "validation/rttm/c.rttm", "c", Segments.from_rows([(0, 5 * RATE, "KCHI")]))
    task = voices(copied, tmp_path)
    head = task.new_head(8, None).eval()
    with torch.no_grad():
        tallies = [
            task.tally(head, torch.randn(*b.targets["annotated"].shape, 8), b) for b in task.validation_batches(0, 1)
        ]
    tally = sum(tallies)
    found = task.conclude(tally)
    assert found.score == found.figures["f1_KCHI"]
    assert np.isnan(found.figures["f1_FEM"])


def test_recordings_in_both_parts_are_refused(scenes, tmp_path):
    with pytest.raises(AnnotationError, match="in training and in validation"):
        voices(scenes, tmp_path, {"train": str(scenes / "train"), "validation": str(scenes / "train")})


def test_a_recording_that_cannot_be_read_is_named(copied, tmp_path):
    (copied / "train/wav/a.wav").write_bytes(b"no sound")
    with pytest.raises(AudioError, match=r"1 of 2.*a\.wav"):
        voices(copied, tmp_path)


def test_no_validation_material_is_an_error_that_says_what_to_give(scenes, tmp_path):
    with pytest.raises(AnnotationError, match="validation_share"):
        voices(scenes, tmp_path, {"train": str(scenes / "train")})


def test_adults_without_addressee_and_long_ones_are_told(scenes, copied, tmp_path):
    with (copied / "train/segments.csv").open(encoding="utf-8") as file:
        rows = list(csv.reader(file))
    adults = [row for row in rows[1:] if row[3] == "FEM"]
    adults[0][4] = ""
    write_table(copied / "train/segments.csv", ",".join(rows[0]), rows[1:])
    data = {"train": str(copied / "train/segments.csv"), "validation": str(scenes / "validation/segments.csv")}
    task, left_out = prepare("addressee", addressee_table(scenes, data=data, longest_s=1.7), tmp_path)
    assert len(left_out.items["no addressee given"]) == 1
    assert len(task.train) == len(adults) - sum(map(len, left_out.items.values())) + sum(
        "validation" in item for items in left_out.items.values() for item in items
    )
    adults[1][4] = "XDS"
    write_table(copied / "train/segments.csv", ",".join(rows[0]), rows[1:])
    with pytest.raises(AnnotationError, match=r"XDS.*label_map"):
        prepare("addressee", addressee_table(scenes, data=data), tmp_path)


def rewrite(utterances, tmp_path, phones):
    """A copy of the corpus whose first utterance has other phones."""
    folder = Path(shutil.copytree(utterances, tmp_path / "utterances"))
    with (folder / "utterances.csv").open(encoding="utf-8") as file:
        rows = list(csv.reader(file))
    rows[1][3] = phones
    write_table(folder / "utterances.csv", ",".join(rows[0]), rows[1:])
    return folder


def test_phones_outside_the_inventory_are_named_and_can_be_mapped(utterances, tmp_path):
    folder = rewrite(utterances, tmp_path, "tʃ a ! !")
    with pytest.raises(AnnotationError, match=r"! \(2\), tʃ \(1\).*phone_map"):
        prepare("phonemes", phoneme_table(folder), tmp_path)
    with pytest.raises(AnnotationError, match=r": ! \(2\);"):
        prepare("phonemes", phoneme_table(folder, simplify=True), tmp_path)
    prepare("phonemes", phoneme_table(folder, simplify=True, phone_map={"!": ""}), tmp_path)
    with pytest.raises(ConfigError, match="not in the inventory"):
        prepare("phonemes", phoneme_table(folder, phone_map={"!": "q"}), tmp_path)


@pytest.mark.parametrize(
    ("phones", "reason"), [("", "no phones given"), ("a ? i", "not known"), ("a i u " * 40, "frames a phone")]
)
def test_utterances_that_cannot_be_learnt_from_are_left_out_and_told(utterances, tmp_path, phones, reason):
    _, left_out = prepare("phonemes", phoneme_table(rewrite(utterances, tmp_path, phones)), tmp_path)
    (found,) = left_out.items
    assert reason in found
    assert "line 2" in str(left_out)


def test_utterances_longer_than_the_limit_are_left_out_and_told(utterances, tmp_path):
    _, left_out = prepare("phonemes", phoneme_table(utterances, longest_s=1.6), tmp_path)
    assert next(iter(left_out.items)) == "longer than 1.6 s"


def test_the_published_inventory_and_how_other_symbols_are_taken_apart(tmp_path):
    published = Inventory().symbols
    assert len(published) == 57
    taken_apart = {
        "tʃ": "t ʃ",
        "dʒ": "d ʒ",
        "aɪ": "a ɪ",
        "oʊ": "o ʊ",
        "iː": "i",
        "ɝ": "ɜ ɹ",
        "ˈa": "a",
        "g": "ɡ",
    }
    for symbol, parts in taken_apart.items():
        assert simplify(symbol, published) == parts.split()
    assert simplify("!", published) is None
    assert Inventory().encode("a | i") == [0, 7 - 1]
    (tmp_path / "vocabulary.json").write_text('{"b": 1, "a": 0, "<blank>": 2}', encoding="utf-8")
    assert read_inventory(tmp_path / "vocabulary.json") == ("a", "b", "<blank>")
    (tmp_path / "twice.txt").write_text("a\nb\na\n", encoding="utf-8")
    with pytest.raises(ConfigError, match="once"):
        read_inventory(tmp_path / "twice.txt")


# --- order and windows ---


def test_an_epoch_shows_every_utterance_once_and_another_epoch_in_another_order():
    order = EpochOrder(np.arange(1000) % 37, np.ones(1000, dtype=np.int64), 16, seed=3)
    epochs = [np.concatenate([order.batch(e * order.batches + n) for n in range(order.batches)]) for e in range(2)]
    assert all(sorted(epoch) == list(range(1000)) for epoch in epochs)
    assert epochs[0].tolist() != epochs[1].tolist()
    lengths = np.random.default_rng(0).integers(0, 5, 100)
    batches = list(equal_length_batches(lengths, 8))
    assert sorted(np.concatenate(batches)) == list(range(100))
    assert all(len(set(lengths[batch])) == 1 for batch in batches)


def test_windows_always_have_context_and_moved_ones_hold_the_same_utterance():
    rng = np.random.default_rng(0)
    start = rng.integers(0, 50 * RATE, 200)
    end = np.minimum(start + rng.integers(100, 15 * RATE, 200), 60 * RATE)
    length = np.full(200, 60 * RATE)
    windows = windows_with_context(start, end, length, 10 * RATE)
    assert (windows.start >= 0).all()
    assert (windows.stop <= length).all()
    inside = (start > 3 * RATE) & (end < 57 * RATE)
    assert ((start - windows.start)[inside] >= 2.5 * RATE).all()
    assert ((windows.stop - end)[inside] >= 2.5 * RATE).all()
    assert np.abs(windows.start + windows.first_frame * 320 - start).max() <= 320
    moved = shifted(windows, length, 10 * RATE, rng)
    assert (moved.width == windows.width).all()
    assert (moved.start + moved.first_frame * 320 == windows.start + windows.first_frame * 320).all()
    short = (end - start < 4 * RATE) & inside
    assert (moved.start != windows.start)[short].mean() > 0.9
    assert (moved.start >= 0).all()
    assert (moved.stop <= length).all()


def test_published_windows_are_those_of_the_sheet():
    windows = windows_by(
        centred_window, np.array([20, 20]) * RATE, np.array([21, 32]) * RATE, np.array([60, 60]) * RATE, 10 * RATE
    )
    assert windows.start.tolist() == [15.5 * RATE, 20 * RATE]
    assert windows.first_frame.tolist() == [0, 0]
    assert windows.stop_frame.tolist() == [273, 598]


def test_normalised_rows_do_not_see_their_padding():
    rows = np.random.default_rng(0).standard_normal((2, 1000)).astype(np.float32) * 3 + 1
    rows[1, 600:] = 0
    found = normalised(rows, np.array([1000, 600]))
    assert np.allclose([found[0].mean(), found[1, :600].mean()], 0, atol=1e-6)
    assert np.allclose([found[0].std(), found[1, :600].std()], 1, atol=1e-5)
    assert not found[1, 600:].any()


@pytest.mark.parametrize("seed", range(20))
def test_edit_distance_equals_the_textbook(seed):
    rng = np.random.default_rng(seed)
    a, b = (rng.integers(0, 4, rng.integers(0, 9)).tolist() for _ in range(2))

    def textbook(i, j):
        if i == 0 or j == 0:
            return i + j
        return min(textbook(i - 1, j) + 1, textbook(i, j - 1) + 1, textbook(i - 1, j - 1) + (a[i - 1] != b[j - 1]))

    assert edit_distances([np.array(a, int)], [np.array(b, int)], 4) == textbook(len(a), len(b))


def test_the_first_batches_may_learn_frames_of_a_forced_alignment(utterances, tmp_path):
    rows = in_rows([stretched(np.array([9, 4, 4, 5]), 8), stretched(np.array([1, 2, 3]), 2)])
    assert rows.tolist() == [[9, 9, 4, 4, 4, 4, 5, 5], [1, 2, *[-100] * 6]]

    task, _ = prepare("phonemes", phoneme_table(utterances, frame_start=2), tmp_path)
    for row, path in enumerate(task.train.aligned):
        found = [symbol for symbol, _ in itertools.groupby(path.tolist()) if symbol != task.inventory.blank]
        assert found == [symbol for symbol, _ in itertools.groupby(task.train.of(row).tolist())]
    batches = [task.batch(number) for number in range(3)]
    assert ["aligned" in batch.targets for batch in batches] == [True, True, False]
    batch, head = batches[1], task.new_head(8, None).eval()
    features = torch.randn(len(batch.waveforms), 200, 8, generator=torch.Generator().manual_seed(0))
    expected = 0.0
    for row, (first, count) in enumerate(zip(batch.targets["first"], batch.targets["frames"], strict=True)):
        scores = torch.log_softmax(head(features[row, first : first + count]), dim=-1).detach()
        expected -= sum(float(scores[frame, batch.targets["aligned"][row, frame]]) for frame in range(count)) / int(
            count
        )
    targets = {name: value for name, value in batch.targets.items() if name not in ("aligned", "frame_share")}
    ctc = task.loss(head, features, replace(batch, targets=targets)).item()
    assert task.loss(head, features, batch).item() == pytest.approx(0.5 * expected + 0.5 * ctc, rel=1e-5)
    assert [float(batch.targets.get("frame_share", 0)) for batch in batches] == [1.0, 0.5, 0.0]


def test_the_first_of_these_batches_may_be_of_frames_alone(utterances, tmp_path):
    task, _ = prepare("phonemes", phoneme_table(utterances, frame_start=6, frames_alone=2), tmp_path)
    shares = [task.settings.share_of_frames(number) for number in range(8)]
    assert shares == [1.0, 1.0, 1.0, 0.75, 0.5, 0.25, None, None]
    assert float(task.batch(1).targets["frame_share"]) == 1.0
    only, _ = prepare("phonemes", phoneme_table(utterances, frame_start=2, frames_alone=2), tmp_path)
    assert [only.settings.share_of_frames(number) for number in range(3)] == [1.0, 1.0, None]
    with pytest.raises(ConfigError, match="frames_alone is 3: at most frame_start, which is 2"):
        prepare("phonemes", phoneme_table(utterances, frame_start=2, frames_alone=3), tmp_path)
