"""Frame scores that ``babyhubert segment`` stored, found and checked: the input of tuning and calibration."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from babyhubert.audio.names import check_names, match_names, rttm_uri
from babyhubert.errors import AnnotationError
from babyhubert.files import files_below
from babyhubert.frame_store import open_frames
from babyhubert.runs.folder import STATE_FOLDER, RunFolder


@dataclass(frozen=True)
class ScoreFolder:
    """Frame scores of many recordings.

    Attributes:
        folder: Their folder.
        labels: Classes, in the order of columns.
        paths: File of each recording: ``.npy``, shape (frames, classes), probabilities.
        model: Model that computed them (``source`` and ``sha256``), for the record.
        simultaneous: Probability that a class needed beside a likelier one in the run that computed them; 0: none.
    """

    folder: Path
    labels: tuple[str, ...]
    paths: Mapping[str, Path]
    model: Mapping[str, Any]
    simultaneous: float = 0.0

    def load(self, recording: str) -> NDArray[np.floating]:
        """Scores of a recording as a memory map.

        Raises:
            AnnotationError: the file cannot be read, or does not have one column per class.
        """
        path = self.paths[recording]
        try:
            scores: NDArray[np.floating] = open_frames(path)
        except (OSError, ValueError, EOFError) as error:
            raise AnnotationError(f"{path}: not a whole array of scores ({error}); run 'segment' again") from error
        if scores.ndim != 2 or scores.shape[1] != len(self.labels) or scores.dtype.kind != "f":
            raise AnnotationError(
                f"{path}: {scores.dtype} of shape {scores.shape}, not probabilities of shape "
                f"(frames, {len(self.labels)}) for {', '.join(self.labels)}"
            )
        return scores

    def named_as(self, reference: Iterable[str]) -> ScoreFolder:
        """The same scores under the ids of the reference.

        Raises:
            AnnotationError: there is no reference, no scores have the name of one, or two have the same.
        """
        known = set(reference)
        named: dict[str, Path] = {}
        for uri, path in self.paths.items():
            name = uri if uri in known else rttm_uri(uri)
            if name in named:
                raise AnnotationError(f"{named[name]} and {path} both belong to {name} of the reference; keep one")
            named[name] = path
        matched = match_names(known, named)
        named = {matched.get(uri, uri): path for uri, path in named.items()}
        check_names(known, named)
        return replace(self, paths=named)


def find_scores(path: Path) -> ScoreFolder:
    """Find scores in the output folder of ``babyhubert segment``, or in a folder that ``--save-probs`` wrote.

    Raises:
        AnnotationError: there are none, their classes are unknown, or they come from different models or settings.
    """
    path = Path(path)
    if not path.is_dir():
        raise AnnotationError(f"{path}: no such folder; give the output folder of 'babyhubert segment'")
    state = path / STATE_FOLDER / "segment"
    if (state / "scores").is_dir():
        run = _read_json(path / "run.json")
        model = run.get("model", {})
        _check_scores(path)
        found = _collect(state / "scores", model.get("classes"), model, path / "run.json")
        return replace(found, simultaneous=_simultaneous(run))
    for folder in (path / "probs", path):
        if (folder / "format.json").is_file():
            return _collect(folder, _read_json(folder / "format.json").get("classes"), {}, folder / "format.json")
    raise AnnotationError(f"{path}: holds no frame scores; give the output folder of 'babyhubert segment'")


def _simultaneous(run: Mapping[str, Any]) -> float:
    settings = run.get("settings")
    value = settings.get("simultaneous") if isinstance(settings, Mapping) else None
    return float(value) if isinstance(value, int | float) else 0.0


def _collect(folder: Path, labels: Any, model: Mapping[str, Any], source_file: Path) -> ScoreFolder:
    if not isinstance(labels, list) or not labels:
        raise AnnotationError(f"{source_file}: does not say which classes the scores in {folder} are of")
    paths = {
        file.relative_to(folder).with_suffix("").as_posix(): file
        for file in files_below(folder, ".npy")
        if not file.name.startswith(".")
    }
    if not paths:
        raise AnnotationError(f"{folder}: holds no scores (.npy)")
    about = {key: model[key] for key in ("source", "sha256") if key in model}
    return ScoreFolder(folder, tuple(map(str, labels)), paths, about)


def _check_scores(path: Path) -> None:
    """Check that all scores are intact and from one model and one set of windows, since tuning must not mix two
    models.
    """
    folder = RunFolder(path, "segment")
    damaged = folder.damaged()
    if damaged:
        raise AnnotationError(f"{damaged[0][1]} ({len(damaged)} recordings here are damaged)")
    origin: dict[str, str] = {}
    for record in folder.records():
        if "scores" in record:
            origin.setdefault(str(record["scores"]), str(record["recording_id"]))
    if len(origin) > 1:
        first, second = list(origin.values())[:2]
        raise AnnotationError(
            f"{path}: scores of {first} and {second} were made with different models or windows; "
            "segment all recordings with one into a folder of its own"
        )


def _read_json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise AnnotationError(f"{path}: cannot be read ({' '.join(str(error).split())})") from error
    if not isinstance(content, dict):
        raise AnnotationError(f"{path}: not a JSON object")
    return content
