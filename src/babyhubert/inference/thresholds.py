"""Decision thresholds by class name.

A thresholds file is TOML (YAML, as published with VTC 2.0, is read as well) with one table per class: ``[KCHI]`` with
``lower_bound`` (a frame is active if its probability is STRICTLY greater) and, for compatibility with published files,
``upper_bound`` (must be 1.0, as in every published file: the published tool never used it). Classes are matched by
name, never by their order in the file.
"""

from __future__ import annotations

import json
import sys
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path, PurePath
from reprlib import repr as shortened

import yaml

from babyhubert.config import read_bounded, toml_key
from babyhubert.errors import ConfigError
from babyhubert.inference.post_processing import MinimumDurations
from babyhubert.timebase import samples_to_seconds

Thresholds = Mapping[str, float]

_FLOAT_MAX = sys.float_info.max
_YAML_SUFFIXES = (".yml", ".yaml")

HIGH_RECALL = "high-recall"
"""Set that is there to miss nothing."""

CALIBRATION_FILE = "calibration.toml"
"""File beside tuned thresholds that is not a set of thresholds."""

TUNING_FILE = "tuning.json"
"""File beside tuned thresholds with a description of the tuning material."""

PUBLISHED: Mapping[str, Thresholds] = {
    "f1": {"KCHI": 0.437, "OCH": 0.378, "MAL": 0.429, "FEM": 0.377},
    "high-precision": {"KCHI": 0.80, "OCH": 0.52, "MAL": 0.75, "FEM": 0.80},
}
"""The sets published with VTC 2.1 and 2.2 (``f1.toml`` and ``hp.toml``), for models without sets of their own."""


def misses_nothing(name: str) -> bool:
    """True of a set of thresholds, by its name or file, with which every class above its own is to count."""
    return PurePath(name).stem == HIGH_RECALL


def select_thresholds(
    name_or_path: str, labels: Sequence[str], model_sets: Mapping[str, Thresholds] | None = None
) -> dict[str, float]:
    """Return the thresholds of each of ``labels``.

    Args:
        name_or_path: A set's name, or a TOML or YAML file.
        labels: The model's classes.
        model_sets: Sets stored in a model folder, by name. If there are any, no others are known by name: the
            published ones (``f1``, ``high-precision``) were tuned for the published weights.

    Raises:
        ConfigError: no such set or file, an unknown, missing or ill-valued class (named).
    """
    sets = model_sets or PUBLISHED
    if name_or_path in sets:
        return check_thresholds(sets[name_or_path], labels, f"threshold set '{name_or_path}'")
    path = Path(name_or_path)
    if not _is_file(path):
        names = "', '".join(sets)
        others = "that the model brings; 'babyhubert tune voice-type' makes others" if model_sets else "published"
        raise ConfigError(f"thresholds '{name_or_path}': neither a file nor one of the sets '{names}' {others}")
    return check_thresholds(_read(path), labels, str(path))


def check_thresholds(values: Mapping[str, float], labels: Sequence[str], where: str) -> dict[str, float]:
    """Return the thresholds in the order of ``labels``.

    Raises:
        ConfigError: an unknown or missing class, or a value outside [0, 1].
    """
    for label in values:
        if label not in labels:
            raise ConfigError(f"{where}: unknown class '{label}'; the model's classes are {', '.join(labels)}")
    for label in labels:
        if label not in values:
            raise ConfigError(f"{where}: no threshold for class '{label}'; add a table [{label}] with lower_bound")
        if not 0 <= values[label] <= 1:
            raise ConfigError(f"{where}: threshold {values[label]} of class '{label}' is not between 0 and 1")
    return {label: float(values[label]) for label in labels}


def read_threshold_sets(folder: Path) -> dict[str, dict[str, float]]:
    """Read the sets in a folder that ``tune voice-type`` wrote, by the names of their files (``f1``, ``high-recall``).

    Raises:
        ConfigError: there is none, one is malformed, or two have one name.
    """
    found = [path for suffix in (".toml", *_YAML_SUFFIXES) for path in sorted(folder.glob(f"*{suffix}"))]
    files = [path for path in found if path.name != CALIBRATION_FILE]
    for path in files:
        if sum(other.stem == path.stem for other in files) > 1:
            raise ConfigError(f"{folder}: two files of thresholds are called {path.stem}; keep one")
    if not files:
        raise ConfigError(f"{folder}: no thresholds (f1.toml, ...) here; give the folder that 'tune voice-type' wrote")
    return {path.stem: check_thresholds(values := _read(path), list(values), str(path)) for path in files}


def tuning_notes(folder: Path, names: Sequence[str], weights_sha256: str) -> Iterator[str]:
    """Notes on sets in a folder that ``tune voice-type`` wrote, to be shown before they are stored in a model.

    Args:
        folder: The folder; without ``tuning.json`` there are no notes.
        names: The sets.
        weights_sha256: Hash of the model's weights file.
    """
    tuning = _read_tuning(folder / TUNING_FILE)
    for minimum, sets in _minimum_durations(tuning, names).items():
        if minimum != MinimumDurations():
            on, off = samples_to_seconds(minimum.on), samples_to_seconds(minimum.off)
            yield (
                f"thresholds {', '.join(sets)} were tuned with other minimum durations than those of 'segment': "
                f"run 'segment --min-on {on:g} --min-off {off:g}'"
            )
    model = _table(tuning, "model")
    if model.get("sha256") not in (None, weights_sha256):
        yield (
            f"these thresholds were tuned on another model, {model.get('source') or 'of unknown name'}: its weights "
            "file is not the one that was read here"
        )


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # a name that no file can have
        return False


def _read_tuning(path: Path) -> Mapping[str, object]:
    """Read the record of a tuning; empty if there is none that can be read."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def _minimum_durations(tuning: Mapping[str, object], names: Sequence[str]) -> dict[MinimumDurations, list[str]]:
    """Sets by the minimum durations they were tuned with, if recorded."""
    found: dict[MinimumDurations, list[str]] = {}
    for name in names:
        pair = _table(_table(tuning, name.replace("-", "_")), "minimum_samples")
        on, off = pair.get("on"), pair.get("off")
        if isinstance(on, int) and isinstance(off, int):
            found.setdefault(MinimumDurations(on, off), []).append(name)
    return found


def _table(content: Mapping[str, object], key: str) -> Mapping[str, object]:
    found = content.get(key)
    return found if isinstance(found, dict) else {}


def format_thresholds(thresholds: Thresholds) -> str:
    """Return the text of a thresholds file."""
    return "\n".join(
        f"[{toml_key(name)}]\nlower_bound = {value}\nupper_bound = 1.0\n" for name, value in thresholds.items()
    )


def _read(path: Path) -> dict[str, float]:
    kind = "YAML" if path.suffix.lower() in _YAML_SUFFIXES else "TOML"
    try:
        text = read_bounded(path, "thresholds")
        tables = yaml.safe_load(text) if kind == "YAML" else tomllib.loads(text)
    except (tomllib.TOMLDecodeError, yaml.YAMLError, RecursionError, ValueError, OSError) as error:
        raise ConfigError(f"{path}: not a thresholds file in {kind} ({' '.join(str(error).split())})") from error
    if not isinstance(tables, dict) or not all(isinstance(label, str) for label in tables):
        raise ConfigError(f"{path}: not a thresholds file: one table a class with lower_bound is needed")
    return {label: _lower_bound(path, label, table) for label, table in tables.items()}


def _lower_bound(path: Path, label: str, table: object) -> float:
    if not isinstance(table, dict) or "lower_bound" not in table:
        raise ConfigError(f"{path}: class '{label}' needs a table [{label}] with lower_bound")
    for key, value in table.items():
        if key not in ("lower_bound", "upper_bound"):
            raise ConfigError(f"{path}: unknown key '{key}' in [{label}]; lower_bound and upper_bound are known")
        if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < _FLOAT_MAX:
            raise ConfigError(f"{path}: {key} of [{label}] is {shortened(value)}, not a number")
    if table.get("upper_bound", 1.0) != 1.0:
        raise ConfigError(f"{path}: upper_bound of [{label}] is {table['upper_bound']}; only 1.0 has a meaning")
    return float(table["lower_bound"])
