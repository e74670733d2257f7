"""Tasks that exist in a configuration alone: trained, run, evaluated and loaded; no line of code knows them."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path

import pytest
from tones import PHONES, write_table

import babyhubert
from commands import command

MOODS = {"KCDS": "trembling", "OCDS": "trembling", "ADS": "steady"}


@pytest.fixture(scope="module")
def material(scenes, utterances, tmp_path_factory) -> Path:
    """The scenes with a column mood, and utterances with an inventory of their own."""
    folder = tmp_path_factory.mktemp("material")
    for part in ("train", "validation"):
        shutil.copytree(scenes / part, folder / part)
        with (folder / part / "segments.csv").open(encoding="utf-8", newline="") as file:
            rows = [(*list(row.values())[:4], MOODS.get(row["addressee"], "")) for row in csv.DictReader(file)]
        write_table(folder / part / "segments.csv", "recording_id,start_s,end_s,label,mood", rows)
    shutil.copytree(utterances, folder / "utterances")
    (folder / "inventory.txt").write_text("\n".join([*PHONES, "<blank>"]) + "\n", encoding="utf-8")
    return folder


def configuration(material: Path, encoder: Path) -> str:
    return f"""
[model]
encoder = "{encoder}"
freeze_convolutions = false
encoder_settings = {{ layer_drop = 0.0 }}

[train]
steps = 80
learning_rate = 3e-3
validate_every = 40

[machine]
device = "cpu"
precision = "float32"

[task.mood]
kind = "classification"
labels = ["trembling", "steady"]
voices = ["FEM"]
tier = "mood@"
codes = {{ trembling = "T", steady = "S" }}
context_s = 4.0
batch_size = 4
dropout = 0.0
balanced = true
data = {{ train = "{material}/train/segments.csv", validation = "{material}/validation/segments.csv" }}

[task.tone]
kind = "frames"
labels = ["high", "low"]
label_map = {{ KCHI = "high", FEM = "low" }}
window_s = 2.0
batch_size = 4
dropout = 0.0
data = {{ train = "{material}/train", validation = "{material}/validation" }}

[task.vowels]
kind = "ctc"
inventory = "{material}/inventory.txt"
context_s = 4.0
batch_size = 4
data = {{ train = "{material}/utterances/utterances.csv", validation_share = 0.2 }}
"""


@pytest.fixture(scope="module")
def config(material, encoder, tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("config") / "own.toml"
    path.write_text(configuration(material, encoder), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def model(config, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("model") / "own"
    done = command("finetune", config, "-o", folder)
    assert done.code == 0, done.err
    return folder


@pytest.fixture(scope="module")
def results(model, material, tmp_path_factory) -> Path:
    """Every task of the model run over the validation recording."""
    out = tmp_path_factory.mktemp("results") / "out"
    audio, segments = material / "validation/wav", material / "validation/rttm"
    assert command("segment", audio, "-o", out, "--model", model, "--device", "cpu").code == 0
    for verb in ("classify", "phonemes"):
        done = command(verb, audio, "-o", out, "--model", model, "--segments", segments, "--device", "cpu")
        assert done.code == 0, done.err
    return out


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_the_model_says_what_its_tasks_are(model):
    card = json.loads((model / "task.json").read_text(encoding="utf-8"))
    assert {name: head["kind"] for name, head in card["heads"].items()} == {
        "mood": "classification",
        "tone": "frames",
        "vowels": "ctc",
    }
    assert card["mood"] == {
        "context_s": 4.0,
        "window_rule": "always",
        "pooling": "utterance",
        "column": "mood",
        "voices": ["FEM"],
        "tier": "mood@",
        "codes": {"trembling": "T", "steady": "S"},
    }


def test_a_frames_task_runs_through_segment_with_its_own_labels(results):
    assert {row["label"] for row in rows_of(results / "rttm.csv")} <= {"high", "low"}


def test_a_classification_task_judges_the_utterances_of_its_voices(results):
    rows = rows_of(results / "rttm_mood.csv")
    assert {row["mood"] for row in rows if row["label"] == "FEM"} <= {"trembling", "steady"}
    assert {row["mood"] for row in rows if row["label"] == "KCHI"} == {""}
    probabilities = rows_of(results / "mood/c.csv")
    assert [set(row) >= {"mood", "confidence", "p_trembling", "p_steady"} for row in probabilities] == [True] * len(
        rows
    )


def test_a_ctc_task_writes_its_symbols_under_its_name(results):
    assert (results / "vowels/c.csv").is_file()
    assert (results / "vowels_timed/c.csv").is_file()


def test_a_task_without_voices_is_asked_about_every_segment(results, material):
    run = json.loads((results / "run.json").read_text(encoding="utf-8"))
    (recording,) = next(each for each in run["also"].values() if each["command"] == "vowels")["recordings"]
    spoken = [row for row in rows_of(material / "validation/segments.csv") if row["label"]]
    assert (recording["utterances"], recording["left_out"]) == (len(spoken), 0)


def test_it_is_evaluated_by_its_column(results, material, tmp_path):
    done = command(
        "evaluate", "classify", "--reference", material / "validation/segments.csv", "--predictions", results, "-o",
        tmp_path, "--bootstrap", 0,
    )  # fmt: skip
    assert done.code == 0, done.err
    scores = json.loads((tmp_path / "evaluation.json").read_text(encoding="utf-8"))
    assert scores["labels"] == ["trembling", "steady"]
    truth = {row["start_s"]: row["mood"] for row in rows_of(material / "validation/segments.csv") if row["mood"]}
    found = {f"{float(row['start_time_s']):.6f}": row["mood"] for row in rows_of(results / "rttm_mood.csv")}
    hits = [found[start] == mood for start, mood in truth.items()]
    counted = scores["confusion"]
    assert sum(counted[name][name] for name in counted) == sum(hits)
    assert sum(hits) / len(hits) > 0.6


def test_analyze_runs_every_task_of_a_model(model, results, material, tmp_path):
    done = command(
        "analyze", material / "validation/wav", "-o", tmp_path / "all", "--model", model, "--device", "cpu",
    )  # fmt: skip
    assert done.code == 0, done.err
    assert (tmp_path / "all/rttm.csv").read_text() == (results / "rttm.csv").read_text()
    assert {"rttm_mood.csv", "vowels"} <= {path.name for path in (tmp_path / "all").iterdir()}


def test_it_is_loaded_by_its_name(model, material):
    mood = babyhubert.load_model(model, task="mood", device="cpu")
    assert (mood.labels, mood.voices, mood.column) == (("trembling", "steady"), ("FEM",), "mood")
    tone = babyhubert.load_model(model, task="tone", device="cpu")
    assert set(tone(material / "validation/wav/c.wav").label) <= {"high", "low"}


def test_shards_are_merged(model, results, material, tmp_path):
    out = tmp_path / "shards"
    for shard in ("1/2", "2/2"):
        command(
            "classify", material / "train/wav", "-o", out, "--model", model, "--segments", material / "train/rttm",
            "--device", "cpu", "--shard", shard,
        )  # fmt: skip
    done = command("merge", out)
    assert done.code == 0, done.err
    assert {row["recording_id"] for row in rows_of(out / "rttm_mood.csv")} == {"a", "b"}


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("[task.mood]", "[task.addressee]", "[task.addressee]: addressee is a published task"),
        ('kind = "classification"', 'kind = "pooled"', "'task.mood.kind' = 'pooled': one of 'frames', "),
        ('kind = "classification"\n', "", "key 'task.mood.kind' is missing"),
        ('"trembling", "steady"]', '"trembling", "steady", "loud"]', "no loud in the training material"),
        ('tier = "mood@"', 'column = "temper"', "no column temper"),
        ("[task.tone]", '[task.again]\nkind = "classification"\nlabels = ["a", "b"]\ncolumn = "mood"\n'
         'data = { train = "x" }\n\n[task.tone]', "the tasks mood and again both write a column mood"),
        ("[task.vowels]", '[task."a b"]', "a name is letters, digits and _"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_task_is_one_clear_line(old, new, message, config, tmp_path):
    changed = config.read_text(encoding="utf-8").replace(old, new, 1)
    (tmp_path / "bad.toml").write_text(changed, encoding="utf-8")
    done = command("finetune", tmp_path / "bad.toml", "-o", tmp_path / "model")
    assert done.code == 2
    assert message in done.err
    assert len(done.err.strip().splitlines()) == 1


def test_a_task_that_a_model_lacks_is_named_with_those_it_has(model, material, tmp_path):
    audio, segments = material / "validation/wav", material / "validation/rttm"
    done = command("classify", audio, "-o", tmp_path, "--model", model, "--segments", segments, "--task", "laughter")
    assert done.code == 2
    assert "no laughter head here (heads found: mood, tone, vowels)" in done.err
    done = command("classify", audio, "-o", tmp_path, "--model", model, "--segments", segments, "--task", "tone")
    assert done.code == 2
    assert "tone is a task of kind frames, not classification" in done.err
