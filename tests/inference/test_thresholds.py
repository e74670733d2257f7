"""Thresholds are matched by name; everything odd in a file is named."""

from dataclasses import replace

import published_layouts as published
import pytest

from babyhubert.annotation.segments import VOICE_TYPES
from babyhubert.encoder.conversion import convert_checkpoint
from babyhubert.errors import ConfigError
from babyhubert.inference.thresholds import format_thresholds, read_threshold_sets, select_thresholds
from babyhubert.tasks.voice_type.prediction import load_model


def toml(**values):
    return "".join(f"[{name}]\nlower_bound = {value}\n" for name, value in values.items())


def test_published_sets():
    assert select_thresholds("f1", VOICE_TYPES) == {"KCHI": 0.437, "OCH": 0.378, "MAL": 0.429, "FEM": 0.377}
    high = {"KCHI": 0.80, "OCH": 0.52, "MAL": 0.75, "FEM": 0.80}
    assert select_thresholds("high-precision", VOICE_TYPES) == high


def test_order_in_the_file_changes_nothing(tmp_path):
    path = tmp_path / "t.toml"
    path.write_text(toml(FEM=0.1, MAL=0.2, OCH=0.3, KCHI=1), encoding="utf-8")
    found = select_thresholds(str(path), VOICE_TYPES)
    assert list(found.items()) == [("KCHI", 1.0), ("OCH", 0.3), ("MAL", 0.2), ("FEM", 0.1)]
    path.write_text(format_thresholds(found), encoding="utf-8")
    assert select_thresholds(str(path), VOICE_TYPES) == found


def test_where_a_model_brings_sets_the_published_ones_are_not_known(tmp_path):
    own = dict.fromkeys(VOICE_TYPES, 0.5)
    sets = {"f1": own, "high-recall": dict.fromkeys(VOICE_TYPES, 0.2)}
    assert select_thresholds("f1", VOICE_TYPES, sets) == own
    with pytest.raises(ConfigError, match=r"'high-precision'.*'f1', 'high-recall'.*tune voice-type"):
        select_thresholds("high-precision", VOICE_TYPES, sets)
    assert select_thresholds("high-precision", VOICE_TYPES, {})["KCHI"] == 0.80
    (tmp_path / "high-precision").write_text(format_thresholds(own), encoding="utf-8")
    assert select_thresholds(str(tmp_path / "high-precision"), VOICE_TYPES, sets) == own


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (toml(KCHI=0.1, OCH=0.1, MAL=0.1, FEM=0.1, CHI=0.1), "unknown class 'CHI'"),
        (toml(KCHI=0.1, OCH=0.1, MAL=0.1), "no threshold for class 'FEM'"),
        (toml(KCHI=1.1, OCH=0.1, MAL=0.1, FEM=0.1), "not between 0 and 1"),
        (toml(KCHI="'x'", OCH=0.1, MAL=0.1, FEM=0.1), "not a number"),
        (toml(KCHI=0.1) + "lower = 3\n", "unknown key 'lower'"),
        (toml(KCHI=0.1) + "upper_bound = 0.5\n", "only 1.0"),
        ("KCHI = 0.5\n", "needs a table"),
        ("[KCHI\n", "not a thresholds file"),
    ],
)
def test_odd_files_are_named(tmp_path, text, message):
    path = tmp_path / "t.toml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError, match=message) as caught:
        select_thresholds(str(path), VOICE_TYPES)
    assert "t.toml" in str(caught.value)


def test_neither_file_nor_set():
    with pytest.raises(ConfigError, match="neither a file nor"):
        select_thresholds("f2", VOICE_TYPES)


YAML = "KCHI:\n  lower_bound: 0.368\n  upper_bound: 1.0\nOCH:\n  lower_bound: 0.526\n  upper_bound: 1.0\n"
YAML += "FEM:\n  lower_bound: 0.368\n  upper_bound: 1.0\nMAL:\n  lower_bound: 0.316\n  upper_bound: 1.0\n"


@pytest.mark.parametrize("name", ["f1.yml", "f1.yaml", "F1.YML"])
def test_published_yaml_files_are_read(name, tmp_path):
    (tmp_path / name).write_text(YAML, encoding="utf-8")
    found = select_thresholds(str(tmp_path / name), VOICE_TYPES)
    assert found == {"KCHI": 0.368, "OCH": 0.526, "MAL": 0.316, "FEM": 0.368}
    assert list(found) == list(VOICE_TYPES)


def test_a_folder_of_published_yaml_files(tmp_path):
    for name in ("f1", "hp"):
        (tmp_path / f"{name}.yml").write_text(YAML, encoding="utf-8")
    assert list(read_threshold_sets(tmp_path)) == ["f1", "hp"]
    (tmp_path / "f1.toml").write_text(toml(KCHI=0.1), encoding="utf-8")
    with pytest.raises(ConfigError, match="two files of thresholds are called f1"):
        read_threshold_sets(tmp_path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("KCHI: [", "not a thresholds file in YAML"),
        ("- KCHI\n", "one table a class"),
        ("", "one table a class"),
        ("1:\n  lower_bound: 0.5\n", "one table a class"),
        ("KCHI: 0.5\n", "needs a table"),
        ("KCHI:\n  lower_bound: yes\n", "not a number"),
        ("KCHI:\n  lower_bound: .nan\n", "not a number"),
        ("KCHI:\n  lower_bound: !!python/object/apply:os.getcwd []\n", "not a thresholds file in YAML"),
        ("[" * 5_000, "not a thresholds file in YAML"),
        ("KCHI:\n  lower_bound: 1" + "0" * 400 + "\n", "not a number"),
        ("a: &a [x, x, x, x, x, x, x, x]\nKCHI:\n  lower_bound: [*a, *a]\n", "'a' needs a table"),
    ],
)
def test_odd_yaml_files_are_named(tmp_path, text, message):
    (tmp_path / "t.yml").write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError, match=message) as caught:
        select_thresholds(str(tmp_path / "t.yml"), VOICE_TYPES)
    assert "t.yml" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 600


def test_a_vtc_2_0_checkpoint_brings_its_own_thresholds(tmp_path):
    found = load_model(published.write("vtc-2.0", tmp_path / "best.ckpt"), device="cpu")
    assert found.thresholds == {"KCHI": 0.368, "OCH": 0.526, "MAL": 0.316, "FEM": 0.368}
    strict = found.with_settings(replace(found.settings, thresholds="high-precision"))
    assert strict.thresholds == {"KCHI": 0.8, "OCH": 0.6, "MAL": 0.5, "FEM": 0.8}
    convert_checkpoint(tmp_path / "best.ckpt", tmp_path / "folder", "transformers")
    assert load_model(tmp_path / "folder", device="cpu").thresholds == found.thresholds
    newer = load_model(published.write("vtc-2.1", tmp_path / "newer.ckpt"), device="cpu")
    assert newer.thresholds == {"KCHI": 0.437, "OCH": 0.378, "MAL": 0.429, "FEM": 0.377}
    convert_checkpoint(tmp_path / "newer.ckpt", tmp_path / "as-2.0.ckpt", "vtc-2.0")
    assert load_model(tmp_path / "as-2.0.ckpt", device="cpu").thresholds == newer.thresholds
