"""Sentences and tables about accuracy, agreement and estimates for a methods section, from their JSON files."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path, PurePath
from typing import Any

from babyhubert.errors import AnnotationError, counted
from babyhubert.report.citations import PPI
from babyhubert.report.methods import Methods, MethodsTable

EVALUATION, ESTIMATE = "evaluation.json", "estimate.json"


def find_scores(folder: Path) -> list[Path]:
    """Evaluations and estimates in an output folder and in the folders directly below it, sorted."""
    found = [path for name in (EVALUATION, ESTIMATE) for path in (folder / name, *folder.glob(f"*/{name}"))]
    return sorted(path for path in found if path.is_file() and not path.parent.name.startswith("."))


def describe_scores(path: Path, run: Path, methods: Methods) -> None:
    """Add what a file of an evaluation or an estimate says.

    Args:
        path: `evaluation.json` or `estimate.json`, or a folder that holds one.
        run: The output folder that the section is about.
        methods: The section.

    Raises:
        AnnotationError: no such file, or none that `evaluate` or `estimate` wrote.
    """
    file = path
    if path.is_dir():
        file = next((path / name for name in (EVALUATION, ESTIMATE) if (path / name).is_file()), path / EVALUATION)
    content = _read(file)
    for sign, describe in _KINDS:
        if sign in content:
            describe(content, methods, _name(file.parent))
            _note_other_run(content, file, run, methods)
            return
    raise AnnotationError(f"{file}: neither an evaluation nor an estimate; give the -o folder of one")


def _note_other_run(content: Mapping[str, Any], file: Path, run: Path, methods: Methods) -> None:
    """Name an evaluation of predictions that are not in the run's folder."""
    given = content.get("run", content.get("predictions"))
    if given and not Path(str(given)).resolve().is_relative_to(run.resolve()):
        methods.missing.append(f"{file}: is of results in {given}, not in this folder; check that they are the same")


def _read(path: Path) -> Mapping[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise AnnotationError(
            f"{path}: no evaluation or estimate here ({' '.join(str(error).split())}); give the -o folder of one"
        ) from error
    if not isinstance(content, Mapping):
        raise AnnotationError(f"{path}: neither an evaluation nor an estimate")
    return content


def _evaluation(content: Mapping[str, Any], methods: Methods, where: str) -> None:
    classes, mean = content["classes"], content.get("mean", {})
    sentences = [f"Accuracy was measured against {_reference(content)} ({content.get('metric', 'F1')})."]
    number = content.get("recordings")
    if isinstance(number, int):
        sentences.append(f"{counted(number, 'recording')} were scored." if number != 1 else "1 recording was scored.")
    if mean.get("f1") is not None:
        sentences.append(f"The mean F1 over classes was {_percent(mean['f1'])} %{_interval(mean, 'f1_interval')}.")
    sentences += _bootstrap(content)
    methods.add(f"Accuracy ({where})", sentences)
    rows = [
        (label, *(_percent(own.get(name)) for name in ("precision", "recall", "f1")), _ends(own.get("f1_interval")))
        for label, own in [*classes.items(), ("mean", mean)]
    ]
    headings = ("class", "precision %", "recall %", "F1 %", "interval of F1")
    methods.tables.append(MethodsTable(f"Accuracy ({where})", headings, tuple(rows)))


def _phonemes(content: Mapping[str, Any], methods: Methods, where: str) -> None:
    rate = content.get("phoneme_error_rate")
    told = f": {_percent(rate)} %{_interval(content, 'interval')}" if rate is not None else ""
    methods.add(
        f"Accuracy ({where})",
        [f"Phonemes were scored against {_reference(content)} ({content['metric']}){told}.", *_bootstrap(content)],
    )


def _agreement(content: Mapping[str, Any], methods: Methods, where: str) -> None:
    kappa, f1 = content["kappa"], content.get("f1", {})
    mean = kappa.get("mean", {})
    sentences = [
        f"Two annotations ({_name(content.get('first'))} and {_name(content.get('second'))}) were compared on frames "
        "of 20 ms.",
    ]
    if mean.get("kappa") is not None:
        ends = _ends(mean.get("interval"), _two)
        sentences.append(f"Cohen's kappa, mean over classes, was {mean['kappa']:.2f}{f' ({ends})' if ends else ''}.")
    alpha = content.get("alpha", {}).get("mean", {})
    if alpha.get("alpha") is not None:
        ends = _ends(alpha.get("interval"), _two)
        sentences.append(f"Krippendorff's alpha was {alpha['alpha']:.2f}{f' ({ends})' if ends else ''}.")
    sentences += _bootstrap(f1)
    methods.add(f"Agreement ({where})", sentences)
    rows = []
    for label, own in kappa.get("classes", {}).items():
        score = f1.get("classes", {}).get(label, {})
        rows.append((label, _two(own.get("kappa")), _ends(own.get("interval"), _two), _percent(score.get("f1"))))
    headings = ("class", "kappa", "interval", "F1 %")
    methods.tables.append(MethodsTable(f"Agreement ({where})", headings, tuple(rows)))
    amounts = [
        (f"{row['amount']} a {row['unit']}", str(row["class"]), str(row["units"]), _two(icc["value"]), ends or "-")
        for row in content.get("intraclass", [])
        for icc in [row["icc_2_1"]]
        for ends in [_ends(icc.get("interval"), _two)]
    ]
    if amounts:
        columns = ("amount", "class", "units", "ICC(2,1)", "interval")
        methods.tables.append(MethodsTable(f"Agreement of amounts ({where})", columns, tuple(amounts)))


def _estimate(content: Mapping[str, Any], methods: Methods, where: str) -> None:
    rows = [row for row in content["estimates"] if isinstance(row, Mapping) and row.get("level") == "all"]
    first: Mapping[str, Any] = rows[0] if rows else {}
    sentences = []
    if "clips" in first:
        sentences.append(
            f"Totals were corrected by {counted(int(first['clips']), 'clip')} "
            f"({first.get('annotated_min', 0):.1f} minutes) that people annotated, drawn at random from "
            f"{counted(int(first.get('recordings', 0)), 'recording')} ({_reference(content)}), by the survey "
            f"difference estimator with a fitted coefficient (prediction-powered inference{methods.cite(PPI)}); "
            f"intervals are of {100 * content.get('confidence', 0.95):g} %."
        )
    methods.add(f"Corrected totals ({where})", sentences)
    cells = [
        (str(row.get("measure")), *(_one(row.get(name)) for name in ("machine", "corrected", "low", "high")))
        for row in rows
        if row.get("corrected") is not None
    ]
    left = len(rows) - len(cells)
    if left:
        methods.missing.append(f"{where}: {counted(left, 'measure')} without an estimate (found in no clip)")
    headings = ("measure", "machine", "corrected", "low", "high")
    methods.tables.append(MethodsTable(f"Corrected totals ({where})", headings, tuple(cells)))


_KINDS: tuple[tuple[str, Callable[[Mapping[str, Any], Methods, str], None]], ...] = (
    ("estimates", _estimate),
    ("kappa", _agreement),
    ("phoneme_error_rate", _phonemes),
    ("classes", _evaluation),
)
"""A key that only one kind of file has, and what describes it."""


def _reference(content: Mapping[str, Any]) -> str:
    given = content.get("reference")
    return f"annotations by people ({_name(given)})" if given else "annotations by people"


def _name(path: object) -> str:
    """Last part of a path: papers do not tell where files lie on a machine."""
    return PurePath(str(path)).name if path else "unnamed"


def _bootstrap(content: Mapping[str, Any]) -> Iterator[str]:
    drawn = content.get("bootstrap")
    if isinstance(drawn, Mapping):
        share = 100 * drawn.get("confidence", 0.95)
        yield f"Intervals are of {share:g} %, from {drawn.get('resamples')} resamples over {drawn.get('over')}."


def _percent(value: object) -> str:
    return f"{100 * value:.1f}" if isinstance(value, int | float) else "-"


def _two(value: object) -> str:
    return f"{value:.2f}" if isinstance(value, int | float) else "-"


def _one(value: object) -> str:
    return f"{value:.1f}" if isinstance(value, int | float) else "-"


def _ends(pair: object, show: Callable[[object], str] = _percent) -> str:
    if not isinstance(pair, list) or len(pair) != 2 or any(end is None for end in pair):
        return ""
    return f"{show(pair[0])} to {show(pair[1])}"


def _interval(content: Mapping[str, Any], name: str) -> str:
    ends = _ends(content.get(name))
    return f" ({ends})" if ends else ""
