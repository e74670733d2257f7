"""Words for a paper: one sentence on how the numbers were made, and the works to cite as BibTeX."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from babyhubert.errors import counted
from babyhubert.measures.results import RunResults
from babyhubert.measures.tables import MeasureSettings
from babyhubert.timebase import samples_to_hours, samples_to_seconds
from babyhubert.version import __version__

SOFTWARE = """@software{babyhubert,
  title   = {{BabyHuBERT}: speech representations and voice types for child-centred daylong recordings},
  author  = {{The BabyHuBERT developers}},
  version = {%s}
}"""

ENCODER = r"""@misc{charlot2025babyhubert,
  title         = {{BabyHuBERT}: Multilingual Self-Supervised Learning for Segmenting Speakers in Child-Centered
                   Long-Form Recordings},
  author        = {Charlot, Th{\'e}o and Kunze, Tarek and Poli, Maxime and Cristia, Alejandrina and Dupoux, Emmanuel
                   and Lavechin, Marvin},
  year          = {2025},
  eprint        = {2509.15001},
  archivePrefix = {arXiv}
}"""

CONTEXT = r"""@misc{charlot2026context,
  title         = {Context-aware child-directed speech detection from long-form recordings},
  author        = {Charlot, Th{\'e}o and Kunze, Tarek and Sheth, Kaveri K. and Cristia, Alejandrina and
                   Lavechin, Marvin},
  year          = {2026},
  eprint        = {2606.01134},
  archivePrefix = {arXiv}
}"""

BABAR = r"""@misc{lavechin2026babar,
  title         = {{BabAR}: from phoneme recognition to developmental measures of young children's speech production},
  author        = {Lavechin, Marvin and Bergelson, Elika and Levy, Roger},
  year          = {2026},
  eprint        = {2603.05213},
  archivePrefix = {arXiv}
}"""

PAPERS = {"babyhubert": ENCODER, "vtc": ENCODER, "addressee": CONTEXT, "babar": BABAR}
"""Works to cite, by a word in a model's name or lineage (lower case)."""

DEMONSTRATION = "playroom-"
"""Beginning of the names of the package's small models, which are for trying things out."""


def demonstration_models(run: Mapping[str, Any]) -> list[str]:
    """Names of the small models of the package that made results."""
    names = [str(model.get("source", "")).replace("\\", "/").rstrip("/").rpartition("/")[2] for model in _models(run)]
    return list(dict.fromkeys(name for name in names if name.startswith(DEMONSTRATION)))


def paper_of(results: RunResults, measures: MeasureSettings) -> dict[str, str]:
    """Sentence and BibTeX for the results of an output folder."""
    return {"sentence": " ".join(_sentences(results, measures)), "bibtex": "\n\n".join(_works(results.run))}


def _works(run: Mapping[str, Any]) -> Iterator[str]:
    known = " ".join(json.dumps([model.get("source"), model.get("card")]) for model in _models(run)).lower()
    demonstration = all(name in demonstration_models(run) for name in _names(run))
    yield SOFTWARE % __version__
    if not demonstration:
        yield from dict.fromkeys(work for word, work in PAPERS.items() if word in known)


def _names(run: Mapping[str, Any]) -> list[str]:
    return [str(model.get("source", "")).rpartition("/")[2] for model in _models(run)]


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
