"""Thresholds are matched by name; everything odd in a file is named."""

import pytest

from babyhubert.annotation.segments import VOICE_TYPES
from babyhubert.errors import ConfigError
from babyhubert.inference.thresholds import format_thresholds, select_thresholds


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
