"""`babyhubert convert`, as a user runs it."""

from __future__ import annotations

import hashlib
import json
import re
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import typer
from typer.testing import CliRunner

from babyhubert.cli.convert import LAYOUTS, convert
from babyhubert.encoder.flavours import FLAVOURS
from babyhubert.errors import CheckpointError, ConfigError, OutputError
from babyhubert.inference.thresholds import CALIBRATION_FILE
from babyhubert.tasks.voice_type.prediction import load_model

sys.path.append(str(Path(__file__).parents[1] / "encoder"))
import published_layouts as published

app = typer.Typer()
app.command()(convert)


def run(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def test_layouts_offered_are_the_layouts_known():
    assert LAYOUTS == FLAVOURS


def test_conversion_says_what_it_read_and_wrote(tmp_path):
    source = published.write("vtc-2.1", tmp_path / "best.ckpt")
    result = run(source, tmp_path / "model")
    assert result.exit_code == 0, result.output
    assert "vtc-2.1" in result.output
    assert "voice_type head" in result.output
    assert "verified equal" in result.output
    back = run(tmp_path / "model", tmp_path / "back.ckpt", "--to", "vtc-2.1")
    assert back.exit_code == 0, back.output
    one, two = (torch.load(file, weights_only=True)["state_dict"] for file in (source, tmp_path / "back.ckpt"))
    assert one.keys() == two.keys()
    assert all(torch.equal(one[key], two[key]) for key in one)


def test_refusals(tmp_path):
    source = published.write("torchaudio", tmp_path / "best.ckpt")
    assert isinstance(run(source, source, "--to", "torchaudio").exception, OutputError)
    assert isinstance(run(source, tmp_path / "x", "--to", "onnx").exception, ConfigError)
    assert "no such file" in str(run(tmp_path / "nowhere.ckpt", tmp_path / "x").exception)


def test_loss_is_told(tmp_path):
    source = published.write("fairseq", tmp_path / "f.pt")
    result = run(source, tmp_path / "t.ckpt", "--to", "torchaudio")
    assert result.exit_code == 0, result.exception
    assert "left out" in result.output
    assert "special_label_embeddings" in result.output


@pytest.mark.parametrize("word", ["--to", "--force", "--allow-loss", "transformers", "babar"])
def test_help(word):
    result = CliRunner().invoke(app, ["--help"], env={"COLUMNS": "200", "NO_COLOR": "1", "TERM": "dumb"})
    assert word in result.output


def thresholds_folder(folder, classes=("KCHI", "OCH", "MAL", "FEM")):
    folder.mkdir()
    for name, value in (("f1", 0.4), ("high-recall", 0.2)):
        text = "".join(f"[{label}]\nlower_bound = {value}\n" for label in reversed(classes))
        (folder / f"{name}.toml").write_text(text, encoding="utf-8")
    (folder / CALIBRATION_FILE).write_text("[KCHI]\ntemperature = 2.0\n", encoding="utf-8")
    return folder


def test_a_model_brings_the_thresholds_that_were_tuned_for_it(tmp_path):
    source = published.write("vtc-2.1", tmp_path / "best.ckpt")
    result = run(source, tmp_path / "model", "--thresholds", thresholds_folder(tmp_path / "tuned"))
    assert result.exit_code == 0, result.output
    assert "thresholds f1, high-recall" in result.output
    task = json.loads((tmp_path / "model" / "task.json").read_text(encoding="utf-8"))
    assert list(task["thresholds"]["f1"]) == task["heads"]["voice_type"]["labels"]
    again = run(tmp_path / "model", tmp_path / "again", "--half")
    assert again.exit_code == 0, again.output
    model = load_model(tmp_path / "again", device="cpu")
    model = model.with_settings(replace(model.settings, thresholds="high-recall"))
    assert model.thresholds == dict.fromkeys(model.labels, 0.2)


def test_what_a_class_needs_beside_a_likelier_one_is_stored(tmp_path):
    source = published.write("vtc-2.1", tmp_path / "best.ckpt")
    assert load_model(source, device="cpu").simultaneous == 0
    assert run(source, tmp_path / "model", "--simultaneous", "0.6").exit_code == 0
    model = load_model(tmp_path / "model", device="cpu")
    assert model.simultaneous == 0.6
    for changes, expected in (
        ({"simultaneous": 0.0}, 0.0),
        ({"thresholds": "high-precision"}, 0.6),
        ({"thresholds": "high-recall"}, 0.0),
        ({"thresholds": "tuned/high-recall.toml"}, 0.0),
        ({"thresholds": "high-recall", "simultaneous": 0.7}, 0.7),
    ):
        assert model.with_settings(replace(model.settings, **changes)).simultaneous == expected
    for options, message in (
        (("--simultaneous", "1.5"), "--simultaneous 1.5: a probability"),
        (("--simultaneous", "0.5", "--to", "vtc-2.1"), "no room for rules for overlap"),
    ):
        refused = run(source, tmp_path / "other", *options)
        assert message in str(refused.exception)
    encoder = published.write("torchaudio", tmp_path / "e.ckpt")
    assert "does not tell them" in str(run(encoder, tmp_path / "other", "--simultaneous", "0.5").exception)


def tuning_json(folder, minimum, **model):
    """What `tune voice-type` leaves beside the sets."""
    choice = {"minimum_samples": {"on": minimum[0], "off": minimum[1]}}
    content = {"model": model, "f1": choice, "high_precision": choice, "high_recall": choice}
    (folder / "tuning.json").write_text(json.dumps(content), encoding="utf-8")


def test_what_thresholds_were_tuned_on_is_told_where_it_matters(tmp_path):
    source = published.write("vtc-2.1", tmp_path / "best.ckpt")
    own = hashlib.sha256(source.read_bytes()).hexdigest()
    folder = thresholds_folder(tmp_path / "tuned")
    durations = (
        "note: thresholds f1, high-recall were tuned with other minimum durations than those of 'segment': run "
    )
    durations += "'segment --min-on 0 --min-off 0.25'"
    other = "note: these thresholds were tuned on another model, elsewhere/best.ckpt: "
    for minimum, model, told in (
        ((1_600, 1_600), {}, []),
        ((1_600, 1_600), {"source": "best.ckpt", "sha256": own}, []),
        ((0, 4_000), {}, [durations]),
        ((1_600, 1_600), {"source": "elsewhere/best.ckpt", "sha256": "0" * 64}, [other]),
        ((0, 4_000), {"source": "elsewhere/best.ckpt", "sha256": "0" * 64}, [durations, other]),
    ):
        tuning_json(folder, minimum, **model)
        result = run(source, tmp_path / "model", "--thresholds", folder, "--force")
        assert result.exit_code == 0, result.output
        said = [line for line in result.output.splitlines() if line.startswith("note: ")]
        assert len(said) == len(told)
        assert all(line.startswith(begin) for line, begin in zip(said, told, strict=True))


def test_a_record_of_tuning_that_cannot_be_read_says_nothing(tmp_path):
    source, folder = published.write("vtc-2.1", tmp_path / "best.ckpt"), thresholds_folder(tmp_path / "tuned")
    for text in ("{", "[]", '{"model": null, "f1": {"minimum_samples": 3}}'):
        (folder / "tuning.json").write_text(text, encoding="utf-8")
        result = run(source, tmp_path / "model", "--thresholds", folder, "--force")
        assert result.exit_code == 0, result.output
        assert "note" not in result.output


def test_thresholds_that_do_not_fit_are_refused(tmp_path):
    source = published.write("vtc-2.1", tmp_path / "best.ckpt")
    others = thresholds_folder(tmp_path / "others", ("KCHI", "CDS"))
    for model, folder, layout, message in (
        (source, others, "transformers", "f1' are for CDS, KCHI; this model's classes are KCHI, OCH"),
        (source, thresholds_folder(tmp_path / "tuned"), "vtc-2.1", "no room for thresholds"),
        (published.write("torchaudio", tmp_path / "e.ckpt"), tmp_path / "tuned", "transformers", "does not tell them"),
        (source, tmp_path / "nowhere", "transformers", r"no thresholds \(f1.toml"),
    ):
        refused = run(model, tmp_path / "model", "--to", layout, "--thresholds", folder)
        assert isinstance(refused.exception, CheckpointError | ConfigError)
        assert re.search(message, str(refused.exception))
    assert not (tmp_path / "model").exists()
