"""Words for a paper on the page: how the numbers were made in short, and the works to cite. ``methods`` has more."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from babyhubert.errors import counted
from babyhubert.measures.results import RunResults
from babyhubert.measures.tables import MeasureSettings
from babyhubert.report.citations import bibliography, citations_of, software
from babyhubert.timebase import samples_to_hours, samples_to_seconds
from babyhubert.version import __version__

DEMONSTRATION = re.compile(r"playroom\b")
"""Beginning of the names of the package's small models, now and formerly, which are for trying things out."""


def demonstration_models(run: Mapping[str, Any]) -> list[str]:
    """Names of the small models of the package that made results."""
    names = [str(model.get("source", "")).replace("\\", "/").rstrip("/").rpartition("/")[2] for model in _models(run)]
    return list(dict.fromkeys(name for name in names if DEMONSTRATION.match(name)))


def paper_of(results: RunResults, measures: MeasureSettings) -> dict[str, str]:
    """Sentence and BibTeX for the results of an output folder."""
    cited = [software(__version__), *(work for model in _models(results.run) for work in citations_of(model))]
    return {"sentence": " ".join(_sentences(results, measures)), "bibtex": bibliography(cited)}


def _sentences(results: RunResults, measures: MeasureSettings) -> Iterator[str]:
    run = results.run
    hours = samples_to_hours(results.samples)
    model, settings = _part(run, "model"), _part(run, "settings")
    yield (
        f"Voices in {counted(len(results.audio), 'recording')} ({hours:.1f} hours) were detected with "
        f"BabyHuBERT {__version__} ({'; '.join(_of_run(model, settings))})."
    )
    for command, other in _part(run, "also").items():
        if source := _part(other, "model").get("source"):
            yield f"Results of '{command}' are of the model {source}."
    chance = f", beside the number expected by chance ({measures.shuffles} shuffles)" if measures.shuffles else ""
    yield (
        f"Vocalisations are segments of a voice less than {measures.vocalisation_gap_ms / 1000:g} s apart; turns were "
        f"counted by LENA's rule (less than 5 s between key child and adult){chance}."
    )
    failed = len(results.failures)
    if failed:
        verb = "is" if failed == 1 else "are"
        yield f"{counted(failed, 'recording')} could not be processed and {verb} not included."


def _of_run(model: Mapping[str, Any], settings: Mapping[str, Any]) -> Iterator[str]:
    sha256 = str(model.get("sha256") or "")
    yield f"model {model.get('source', 'unknown')}" + (f", SHA-256 of the weights {sha256[:12]}" if sha256 else "")
    window, hop = (_numbers(_part(settings, "plan")).get(key) for key in ("window_s", "hop_s"))
    if window is not None:
        yield f"windows of {window:g} s every {hop or window:g} s"
    if thresholds := _numbers(_part(settings, "thresholds")):
        yield "thresholds " + ", ".join(f"{name} {value:g}" for name, value in thresholds.items())
    if (beside := _numbers(settings).get("simultaneous")) is not None:
        yield f"classes beside a likelier one above {beside:g} only"
    on, off = (_numbers(_part(settings, "minimum_samples")).get(key) for key in ("on", "off"))
    if on is not None and off is not None:
        ends = samples_to_seconds(int(off)), samples_to_seconds(int(on))
        yield f"gaps below {ends[0]:g} s closed, then segments below {ends[1]:g} s dropped"


def _numbers(content: Mapping[str, Any]) -> dict[str, float]:
    return {key: value for key, value in content.items() if isinstance(value, int | float)}


def _models(run: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    models = [_part(one, "model") for one in (run, *_part(run, "also").values())]
    return [model for model in models if model]


def _part(content: object, key: str) -> Mapping[str, Any]:
    part = content.get(key) if isinstance(content, Mapping) else None
    return part if isinstance(part, Mapping) else {}
