"""Facts and sentences for a paper's methods section, from what a run and its evaluations recorded.

Every sentence is made of recorded values; what is not recorded is left out, or named as missing. Texts are plain, with
``[@key]`` where a paper is cited; :mod:`babyhubert.report.methods_text` renders them.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePath
from typing import Any

from babyhubert.errors import AnnotationError, counted
from babyhubert.measures.results import RunResults
from babyhubert.report.citations import HUBERT, Citation, citations_of, software
from babyhubert.runs.folder import all_records
from babyhubert.runs.provenance import mixtures
from babyhubert.timebase import SAMPLE_RATE, samples_to_seconds

_NAMES = {"KCHI": "key child", "OCH": "other children", "MAL": "male adults", "FEM": "female adults"}
_HASH_SHOWN = 12


@dataclass(frozen=True)
class MethodsTable:
    """One table: title, headings, rows of texts."""

    title: str
    headings: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass
class Methods:
    """A methods section.

    Attributes:
        paragraphs: Heading and text of each.
        tables: Tables below them.
        citations: What is cited, in order.
        missing: What a reader would ask, and nothing recorded says.
    """

    paragraphs: list[tuple[str, str]] = field(default_factory=list)
    tables: list[MethodsTable] = field(default_factory=list)
    citations: list[Citation] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)

    def cite(self, *citations: Citation) -> str:
        """Markers of papers, for a sentence; each is listed once."""
        self.citations += [one for one in citations if one not in self.citations]
        return "".join(f" [@{one.key}]" for one in citations)

    def add(self, heading: str, sentences: Iterable[str]) -> None:
        """Add a paragraph, if it says anything."""
        text = " ".join(sentences)
        if text:
            self.paragraphs.append((heading, text))


def describe_run(results: RunResults, methods: Methods) -> None:
    """Add recordings, voice types, further tasks, and cautions of a run.

    Raises:
        AnnotationError: a run of another command, without voice types.
    """
    if results.run.get("command") != "segment" and not results.audio:
        raise AnnotationError(
            f"{results.folder}: holds results of '{results.run.get('command')}' and no voice types; give the output "
            "folder of 'babyhubert segment'"
        )
    methods.add("Recordings", _recordings(results, methods))
    methods.add("Voice types", _voice_types(results, methods))
    others = results.run.get("also")
    for command, run in sorted(others.items()) if isinstance(others, Mapping) else ():
        methods.add(_heading(command, run), _task(command, run, methods))
    methods.add("Cautions", _cautions(results))
    methods.tables.append(_settings_table(results))


def _recordings(results: RunResults, methods: Methods) -> Iterator[str]:
    hours, count = results.samples / SAMPLE_RATE / 3600, len(results.audio)
    versions = results.run.get("versions", {})
    version = str(versions.get("babyhubert", ""))
    names = ("babyhubert", "torch", "python")
    by = ", ".join(f"{name} {versions[name]}" for name in names if versions.get(name)) or "babyhubert"
    cited = methods.cite(software(version)) if version else ""
    yield (
        f"{counted(count, 'recording')} with {hours:.2f} hours of audio {'was' if count == 1 else 'were'} processed "
        f"on {results.run.get('device', 'an unknown device')} with {by}{cited}."
    )
    failed = len(results.failures)
    if failed:
        are = "is" if failed == 1 else "are"
        yield f"{counted(failed, 'recording')} could not be processed and {are} not included."
    else:
        yield "No recording failed."
    channel = results.run.get("settings", {}).get("channel")
    if channel:
        yield f"Audio was read at 16 kHz from {_channel(str(channel))}."


def _channel(channel: str) -> str:
    known = {"mean": "the mean of all channels", "first": "the first channel", "loudest": "the loudest channel"}
    return known.get(channel, f"channel {channel}")


def _voice_types(results: RunResults, methods: Methods) -> Iterator[str]:
    run = results.run
    settings, model = run.get("settings", {}), run.get("model", {})
    classes = ", ".join(f"{label} ({_NAMES[label]})" if label in _NAMES else label for label in results.classes)
    yield (
        f"Voice types{f' ({classes})' if classes else ''} were found by {_model(model, methods)}, a network of the "
        f"HuBERT architecture{methods.cite(HUBERT)} with an output for every frame of 20 ms."
    )
    yield from _terms(model, methods)
    plan = settings.get("plan", {})
    if {"window_s", "hop_s"} <= set(plan):
        skipped = settings.get("skip_quiet_db")
        quiet = f"; windows less than {skipped:g} dB above the noise floor were skipped" if skipped is not None else ""
        yield f"Windows of {plan['window_s']:g} s every {plan['hop_s']:g} s were {_blend(settings)}{quiet}."
    if settings.get("speed"):
        yield f"The speed mode was '{settings['speed']}' ({settings.get('precision', 'unknown')} arithmetic)."
    yield from _decisions(settings)
    yield from _confidence(settings.get("confidence"), settings.get("confidence_from"))


def _blend(settings: Mapping[str, Any]) -> str:
    known = {
        "mean": "averaged",
        "taper": "averaged with less weight at their edges",
        "crop": "cropped to their middle",
    }
    return known.get(str(settings.get("blend")), "joined")


def _decisions(settings: Mapping[str, Any]) -> Iterator[str]:
    thresholds = settings.get("thresholds", {})
    if thresholds:
        listed = ", ".join(f"{label} {value:g}" for label, value in thresholds.items())
        named = PurePath(str(settings.get("thresholds_from") or "")).name
        yield (
            f"A frame counted as a class if its probability exceeded the class's threshold "
            f"({listed}{f'; set {named}' if named else ''})."
        )
    if beside := _beside(settings):
        yield (
            f"Where several classes did, the likeliest counted, and others only if their probability exceeded "
            f"{beside:g}."
        )
    minimum = settings.get("minimum_samples", {})
    if {"on", "off"} <= set(minimum):
        on, off = (samples_to_seconds(minimum[name]) for name in ("on", "off"))
        unless = " unless another class counted in them" if beside else ""
        yield (
            f"Gaps within a class shorter than {off:g} s were closed{unless}, then segments shorter than {on:g} s "
            "dropped."
        )


def _beside(settings: Mapping[str, Any]) -> float:
    """Probability that a class needed beside a likelier one; 0: none but its threshold."""
    value = settings.get("simultaneous")
    return value if isinstance(value, int | float) else 0.0


def _confidence(settings: object, origin: object) -> Iterator[str]:
    if not isinstance(settings, Mapping):
        return
    if settings.get("kind") != "probability":
        yield "Each segment has an uncalibrated score (mean log-odds of its frames), which is no probability."
        return
    told = origin if isinstance(origin, Mapping) else {}
    fitted = f", fitted on {told['segments']} reviewed segments" if "segments" in told else ""
    within = f" of {counted(int(told['recordings']), 'recording')}" if "recordings" in told else ""
    yield f"Each segment has a probability of being right (logistic regression per class{fitted}{within})."


def _model(model: Mapping[str, Any], methods: Methods) -> str:
    papers = methods.cite(*citations_of(model))
    name, sha = model.get("source", "an unknown model"), str(model.get("sha256", ""))
    weights = f" (SHA-256 of its weights {sha[:_HASH_SHOWN]}...)" if sha else ""
    if not papers and not str(name).endswith("(shipped)"):  # those of the package have none
        methods.missing.append(f"the paper of the model {name}: nothing that was recorded names one")
    return f"the model {name}{papers}{weights}"


def _terms(model: Mapping[str, Any], methods: Methods) -> Iterator[str]:
    card = model.get("card")
    card = card if isinstance(card, Mapping) else {}
    if card.get("trained_on"):
        yield f"It was trained on {card['trained_on']}."
    if card.get("licence"):
        yield f"Its terms: {card['licence']}."
    else:
        methods.missing.append(f"the terms of the model {model.get('source', '')}: its card names none")


def _heading(command: str, run: Mapping[str, Any]) -> str:
    names = {"addressee": "Addressees", "phonemes": "Phonemes", "embed": "Representations"}
    task = run.get("task")
    return names.get(command, str(task.get("task", command)) if isinstance(task, Mapping) else command)


def _task(command: str, run: Mapping[str, Any], methods: Methods) -> Iterator[str]:
    model, settings = run.get("model"), run.get("settings", {})
    if not isinstance(model, Mapping) or not isinstance(settings, Mapping):
        return
    what = {"addressee": "To whom adults speak", "phonemes": "Phonemes of the key child", "embed": "Representations"}
    task = run.get("task")
    named = f"The task '{task.get('task', command)}'" if isinstance(task, Mapping) else f"'{command}'"
    yield f"{what.get(command, named)} {_was(command)} by {_model(model, methods)}."
    yield from _terms(model, methods)
    if settings.get("speed"):
        yield f"The speed mode was '{settings['speed']}'."


def _was(command: str) -> str:
    return {"addressee": "was predicted", "phonemes": "were recognised", "embed": "were computed"}.get(
        command, "was predicted"
    )


def _cautions(results: RunResults) -> Iterator[str]:
    models = results.models
    if len(models) > 1:
        parts = [f"{counted(len(ids), 'recording')} with {name}" for name, ids in models.items()]
        yield f"The recordings were not processed alike: {'; '.join(parts)}."
    for mixed in mixtures(all_records(results.folder)):
        yield f"Mixed results: {mixed}."
    warned = sum(bool(record.get("warnings")) for record in results.run["recordings"] if isinstance(record, Mapping))
    if warned:
        yield f"{counted(warned, 'recording')} had warnings about the sound (column 'warnings' of measures.csv)."


def _settings_table(results: RunResults) -> MethodsTable:
    """Models and settings, one a row, with complete hashes."""
    rows: list[tuple[str, str, str]] = []
    others = results.run.get("also")
    runs = {"segment": results.run, **(others if isinstance(others, Mapping) else {})}
    for command, run in runs.items():
        model, settings = run.get("model", {}), run.get("settings", {})
        if not isinstance(model, Mapping) or not isinstance(settings, Mapping):
            continue
        rows += [
            (command, name, str(value))
            for name, value in (
                ("model", model.get("source")),
                ("SHA-256 of the weights", model.get("sha256")),
                ("device", run.get("device")),
                ("speed", settings.get("speed")),
                ("began", run.get("began")),
                ("ended", run.get("ended")),
            )
            if value
        ]
        thresholds = settings.get("thresholds")
        if isinstance(thresholds, Mapping):
            rows += [(command, f"threshold {label}", f"{value:g}") for label, value in thresholds.items()]
        if beside := _beside(settings):
            rows.append((command, "probability beside a likelier class", f"{beside:g}"))
    rows += [("software", name, str(value)) for name, value in results.run.get("versions", {}).items()]
    return MethodsTable("Models, settings and software", ("part", "setting", "value"), tuple(rows))


def describe_measures(path: Path, methods: Methods) -> None:
    """Add the settings of measures, if `measures.json` is there; name it as missing if it is damaged.

    Args:
        path: `measures.json`.
        methods: The section.
    """
    try:
        settings = json.loads(path.read_text(encoding="utf-8"))["settings"]
    except FileNotFoundError:
        return
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        settings = None
    if not isinstance(settings, Mapping):
        methods.missing.append(f"the settings of measures: {path} is damaged; run 'babyhubert measures' again")
        return
    sentences = []
    if "vocalisation_gap_ms" in settings:
        sentences.append(
            f"Segments of a class less than {settings['vocalisation_gap_ms']} ms apart were one vocalisation."
        )
    if {"turn_gap_ms", "turn_overlap_ms"} <= set(settings):
        sentences.append(
            f"Turns by the rule 'floor' allowed gaps of {settings['turn_gap_ms']} ms and overlaps of "
            f"{settings['turn_overlap_ms']} ms."
        )
    if settings.get("min_confidence"):
        sentences.append(f"Only segments with a confidence of at least {settings['min_confidence']:g} were counted.")
    if settings.get("shuffles"):
        sentences.append(
            f"Turns expected by chance are means over {settings['shuffles']} shuffles (seed {settings.get('seed')})."
        )
    methods.add("Measures", sentences)
