"""The HTML page of a run: one file that needs no network, and no other file as long as it stays below a few megabytes.

``page.html``, the styles and the scripts beside this module are readable sources; here they are joined with data. If
the details of all recordings together fit :data:`DETAIL_BYTES`, they are in ``report.html``. Otherwise each recording
has a page of its own, ``report/<id>.html``, and ``report.html`` is the table that links to them.
"""

from __future__ import annotations

import html
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import resources
from pathlib import Path
from typing import Any
from urllib.parse import quote

from babyhubert.audio.channels import Channel, parse_channel
from babyhubert.errors import BabyHubertError, counted
from babyhubert.files import exclusive, make_folder, path_below, remove_leftovers, write_text
from babyhubert.hashing import fingerprint
from babyhubert.measures.csv_files import earlier_settings
from babyhubert.measures.hours import start_times
from babyhubert.measures.results import RecordingResult, RunResults
from babyhubert.measures.tables import measure
from babyhubert.progress import NoProgress, RunProgress
from babyhubert.quality.tables import read_quality
from babyhubert.report.clips import Clip, draw_clips
from babyhubert.report.confidence import Confidence, confidence_of
from babyhubert.report.content import columns_of, detail_of, row_of
from babyhubert.report.levels import Levels, levels_of
from babyhubert.report.paper import demonstration_models, paper_of
from babyhubert.report.people import people_of
from babyhubert.report.quality import quality_of
from babyhubert.runs.derived import note_derived, results_state
from babyhubert.runs.folder import STATE_FOLDER, report_lock
from babyhubert.version import __version__

DETAIL_BYTES = 4_000_000
"""Maximum bytes of details in ``report.html``; with them the page stays below 5 MB."""

_SCRIPTS = ("page.js", "sound.js", "overview.js", "quality.js")

_MARKER = re.compile(r"<!-- (title|style|data|script) -->")


@dataclass(frozen=True)
class PageSettings:
    """Content of the page.

    Attributes:
        levels: Read the audio (once) for levels and clipping.
        clips: Number of sound clips per recording.
        seed: Seed of their choice.
        start_times: Table of start times; see `measures.hours`.
        recordings: Table of children and ages; see `report.people`.
    """

    levels: bool = True
    clips: int = 0
    seed: int = 0
    start_times: Path | None = None
    recordings: Path | None = None


@dataclass(frozen=True)
class WrittenPage:
    """Result of writing the page.

    Attributes:
        path: ``report.html``.
        recordings: Number of recordings in it.
        separate: True if recordings have pages of their own.
        failures: Path and one-line error of each recording whose results cannot be read.
    """

    path: Path
    recordings: int
    separate: bool
    failures: Sequence[tuple[Path, str]]


def write_page(
    results: RunResults, settings: PageSettings = PageSettings(), progress: RunProgress | None = None
) -> WrittenPage:
    """Write ``report.html`` into an output folder, and a page per recording if they do not fit into one.

    Raises:
        AnnotationError: the table of start times is malformed.
        OutputError: a page cannot be written, or another report is being written here.
    """
    progress = progress or NoProgress()
    busy = f"{results.folder}: another report is being written here; wait for it"
    lock = report_lock(results.folder)
    make_folder(lock.parent)
    with exclusive(lock, busy):
        remove_leftovers(results.folder / STATE_FOLDER / "report", "levels")
        remove_leftovers(results.folder / "report", "*")
        state = results_state(results.folder)
        written = _write_page(results, settings, progress)
        note_derived(results.folder, "report", [written.path], state=state)
        return written


def _write_page(results: RunResults, settings: PageSettings, progress: RunProgress) -> WrittenPage:
    about = _about(results)
    rows: list[dict[str, Any]] = []
    kept: list[dict[str, Any]] = []
    failures: list[tuple[Path, str]] = []
    size, separate = 0, False
    for row, detail in _contents(results, settings, progress, failures):
        rows.append(row)
        kept.append(detail)
        size += len(_json(detail))
        if size > DETAIL_BYTES:
            separate = True
        if separate:
            for one in kept:
                _write_recording(results.folder, about, one)
            kept = []
    for row in rows:
        row["href"] = quote(f"report/{row['id']}.html", errors="surrogateescape") if separate else None
    data = {"about": about | {"failures": _told(results.failures, failures)}, "rows": rows, "recordings": kept}
    path = results.folder / "report.html"
    write_text(path, join_page(_title(results), data))
    return WrittenPage(path, len(rows), separate, failures)


def join_page(title: str, data: Mapping[str, Any]) -> str:
    """Insert title, style, data and script into the template."""
    parts = {
        "title": html.escape(title),
        "style": f"<style>\n{_source('look.css')}\n{_source('page.css')}</style>",
        "data": f'<script type="application/json" id="data">{_json(data)}</script>',
        "script": "<script>\n" + "\n".join(map(_source, _SCRIPTS)) + "\nshow();\n</script>",
    }
    return _MARKER.sub(lambda match: parts[match[1]], _source("page.html"))


def _contents(
    results: RunResults, settings: PageSettings, progress: RunProgress, failures: list[tuple[Path, str]]
) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    begins = start_times(results.audio, settings.start_times)
    people = people_of(results.audio, settings.recordings)
    rules = earlier_settings(results.folder)
    checked = read_quality(results.folder)
    progress.start(len(results.audio), results.samples if settings.levels else 0, 0)
    for recording_id, audio in results.audio.items():
        error = None
        try:
            recording = results.read(recording_id)
            notes = [str(warning) for warning in recording.record.get("warnings", ())]
            if recording.record.get("current_settings") is False:
                notes.append("Kept from an earlier run with other settings than those below.")
            confidence = _confidence(recording, results.run)
            levels, clips = _sounds(results.folder, recording, settings, progress, notes)
            measured = measure(recording, rules, begins[recording_id])
            detail = detail_of(
                recording,
                measured,
                settings=rules,
                confidence=confidence,
                levels=levels,
                clips=clips,
                notes=notes,
            )
            detail["quality"] = quality_of(recording, checked.get(recording_id))
            yield row_of(measured, recording, notes, detail["quality"]) | people[recording_id]._asdict(), detail
        except BabyHubertError as problem:  # one damaged recording never stops the others
            error = str(problem)
            failures.append((audio, error))
        progress.done(recording_id, error)


def _sounds(
    folder: Path, recording: RecordingResult, settings: PageSettings, progress: RunProgress, notes: list[str]
) -> tuple[Levels | None, list[Clip]]:
    """Levels and clips, if the audio can be read; the reason otherwise goes to the notes."""
    levels, clips = None, []
    left = recording.samples if settings.levels else 0

    def advance(samples: int) -> None:
        nonlocal left
        progress.advance(recording.recording_id, samples)
        left -= samples

    fault = recording.audio_fault()
    if fault is not None:
        notes.append(f"No levels or sounds: {fault}")
        advance(left)
        return None, []
    try:
        channel: Channel = parse_channel(str(recording.record.get("channel") or "mean"))
        if settings.levels:
            levels = levels_of(folder, recording.recording_id, recording.path, channel, advance)
        if settings.clips:
            clips = draw_clips(recording, channel, settings.clips, settings.seed)
    except BabyHubertError as problem:
        notes.append(f"No levels or sounds: {problem}")
    advance(left)  # what was kept or cannot be read needs no time
    return levels, clips


def _confidence(recording: RecordingResult, run: Mapping[str, Any]) -> Confidence | None:
    classes = _part(run, "model").get("classes")
    thresholds = _part(_part(run, "settings"), "thresholds")
    if not isinstance(classes, list):
        return None
    known = {name: float(value) for name, value in thresholds.items() if isinstance(value, int | float)}
    return confidence_of(recording, classes, known)


def _about(results: RunResults) -> dict[str, Any]:
    run, measures = results.run, earlier_settings(results.folder)
    return {
        "title": _title(results),
        "made": datetime.now(UTC).isoformat(timespec="seconds"),
        "babyhubert": __version__,
        "began": run.get("began"),
        "ended": run.get("ended"),
        "device": run.get("device"),
        "model": run.get("model"),
        "settings": run.get("settings"),
        "versions": run.get("versions"),
        "also": {name: _kept(one) for name, one in _part(run, "also").items() if isinstance(one, dict)},
        "measures": measures.model_dump(),
        **({"columns": columns_of(results.own_columns)} if results.own_columns else {}),
        "made_from": _made_from(results.folder),
        "notes": results.notes,
        "demonstration": demonstration_models(run),
        "paper": paper_of(results, measures),
        "failures": [],
        "index": None,
    }


def _made_from(folder: Path) -> str:
    """Short hash of the results, by which two pages can be compared."""
    state = results_state(folder)
    return f"results {fingerprint(state)[:12]} of {counted(len(state), 'recording')}" if state else ""


def _kept(run: Mapping[str, Any]) -> dict[str, Any]:
    """Note about another command that ran in the folder."""
    return {key: run[key] for key in ("ended", "device", "model", "settings") if key in run}


def _title(results: RunResults) -> str:
    model = Path(str(_part(results.run, "model").get("source") or "unknown model")).name
    when = str(results.run.get("ended") or "")[:10]
    return f"{results.folder.resolve().name}: voices found by {model}" + (f", {when}" if when else "")


def _write_recording(folder: Path, about: Mapping[str, Any], detail: Mapping[str, Any]) -> None:
    name = str(detail["id"])
    back = "../" * (name.count("/") + 1) + "report.html"
    data = {"about": {**about, "index": back}, "rows": [], "recordings": [detail]}
    write_text(path_below(folder / "report", name, ".html"), join_page(f"{name} – {about['title']}", data))


def _told(listed: Sequence[tuple[str, str]], found: Sequence[tuple[Path, str]]) -> list[dict[str, str]]:
    return [{"path": str(path), "error": error} for path, error in (*listed, *found)]


def _part(content: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    part = content.get(key)
    return part if isinstance(part, dict) else {}


def _json(content: Any) -> str:
    """JSON that is safe within a script element: no character in it can end that element or open a comment."""
    text = json.dumps(content, ensure_ascii=True, separators=(",", ":"), allow_nan=False)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _source(name: str) -> str:
    return resources.files("babyhubert.report").joinpath(name).read_text(encoding="utf-8")
