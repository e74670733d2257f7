r"""What a voice-type model makes of real sound: voices where nobody speaks, infants found, meetings, labelled scenes.

Sounds lie in a folder with a sub-folder a kind. Each clip is judged twice: as a recording of its own, and inside a
longer recording with a quiet room around it, as in a day; the two should agree. Kinds named as cries should be found,
in all others every voice is a false alarm.

    python benchmarks/real_sound.py --sounds real/sounds --select '4-*' --meetings real/ami \
        --scenes playroom/dev --scenes simulated/validation -o real-sound.json
"""

from __future__ import annotations

import argparse
import fnmatch
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from babyhubert.annotation.intervals import Intervals, complement, union
from babyhubert.annotation.text import CsvTable, read_speaker_ids
from babyhubert.audio.discovery import discover
from babyhubert.audio.recording import probe
from babyhubert.evaluation.detection import DetectionReport, compare
from babyhubert.evaluation.presentation import read_side
from babyhubert.material.augmentation import coloured_noise
from babyhubert.tasks.voice_type.prediction import VoiceTypeClassifier
from babyhubert.timebase import SAMPLE_RATE, seconds_to_samples
from labelled import add_model_options, model_of, read, recordings_of
from results import write_results

Audio = NDArray[np.float32]

ROOM_S = 12
ROOM_DBFS = -60.0


def main() -> None:
    """Measure and print."""
    options = parse()
    model = model_of(options)
    found: dict[str, Any] = {}
    if options.sounds:
        found |= sounds(model, options.sounds, options.select, options.cries)
    for name, folder in [("meetings", options.meetings), *((str(path), path) for path in options.scenes)]:
        if folder:
            found[name] = labelled_scores(model, folder, options.without_speakers)
            print(name, found[name], flush=True)
    write_results(options, found)


def sounds(model: VoiceTypeClassifier, folder: Path, select: str, cries: Sequence[str]) -> dict[str, Any]:
    """False alarms a kind, and cries found; clips alone and inside a long recording."""
    kinds: dict[str, list[Audio]] = {}
    for kind in sorted(path for path in folder.iterdir() if path.is_dir()):
        files = [file for file in discover([kind]) if fnmatch.fnmatchcase(file.path.name, select)]
        kinds[kind.name] = [read(file.path) for file in files]
    rows = {kind: measure(model, clips) for kind, clips in kinds.items() if clips}
    for kind, row in rows.items():
        print(kind, row, flush=True)
    silent = [row for kind, row in rows.items() if kind not in cries]
    result: dict[str, Any] = {"kinds": rows}
    for place in ("alone", "in_day"):
        seconds = sum(row["seconds"] for row in silent)
        voices = sum(row[place]["any"] * row["seconds"] / 100 for row in silent)
        result[f"false_s_per_hour_{place}"] = round(3600 * voices / seconds, 1) if seconds else None
        result[f"worst_kind_percent_{place}"] = max((row[place]["any"] for row in silent), default=None)
        found = [row[place]["child_where_loud"] for kind, row in rows.items() if kind in cries]
        result[f"cries_found_percent_{place}"] = found
    print({name: value for name, value in result.items() if name != "kinds"}, flush=True)
    return result


def measure(model: VoiceTypeClassifier, clips: Sequence[Audio]) -> dict[str, Any]:
    """Percent of the clips' time told as each class, as any, and as a child where the clip is loud."""
    alone = [model(clip, sampling_rate=SAMPLE_RATE) for clip in clips]
    day, starts = placed(clips)
    segments = model(day, sampling_rate=SAMPLE_RATE)
    row: dict[str, Any] = {"clips": len(clips), "seconds": round(sum(map(len, clips)) / SAMPLE_RATE, 1)}
    masks = [
        [active(found.intervals(label), 0, len(clip)) for label in model.labels]
        for found, clip in zip(alone, clips, strict=True)
    ]
    within = [
        [active(segments.intervals(label), start, len(clip)) for label in model.labels]
        for start, clip in zip(starts, clips, strict=True)
    ]
    loud = [where_loud(clip) for clip in clips]
    row["alone"], row["in_day"] = (shares(model.labels, found, loud) for found in (masks, within))
    differs = [(np.array(a) != np.array(b)).any(axis=0) for a, b in zip(masks, within, strict=True)]
    row["differs"] = percent(np.concatenate(differs))
    return row


def placed(clips: Sequence[Audio]) -> tuple[Audio, list[int]]:
    """A recording with a quiet room between the clips, and where each begins."""
    rng = np.random.default_rng(0)
    gap = ROOM_S * SAMPLE_RATE
    day = quiet_room(sum(map(len, clips)) + gap * (len(clips) + 1), rng)
    starts, at = [], gap
    for clip in clips:
        starts.append(at)
        day[at : at + len(clip)] += clip
        at += len(clip) + gap
    return day.astype(np.float32), starts


def quiet_room(samples: int, rng: np.random.Generator) -> Audio:
    """Pink noise at the level of a quiet room."""
    room = coloured_noise(1, samples, (1.0, 1.0), rng)[0]
    room *= 10 ** (ROOM_DBFS / 20) / np.sqrt(np.mean(np.square(room), dtype=np.float64))
    return room


def active(intervals: tuple[NDArray[np.int64], NDArray[np.int64]], first: int, samples: int) -> NDArray[np.bool_]:
    """Which 10-ms steps of a stretch lie in the intervals."""
    middles = first + 160 * np.arange(samples // 160) + 80
    start, end = union(*intervals)
    return np.searchsorted(start, middles, side="right") > np.searchsorted(end, middles, side="right")


def where_loud(clip: Audio) -> NDArray[np.bool_]:
    """Steps of 10 ms within 20 dB of the clip's loudest (95th percentile, over 0.1 s)."""
    steps = np.square(clip[: len(clip) // 160 * 160].reshape(-1, 160), dtype=np.float64).mean(axis=1)
    smooth = np.convolve(steps, np.full(10, 0.1), "same")
    return smooth > 0.01 * np.percentile(smooth, 95)


def shares(
    labels: Sequence[str], masks: Sequence[Sequence[NDArray[np.bool_]]], loud: Sequence[NDArray[np.bool_]]
) -> dict[str, float]:
    """Percent of the time by class, in any, and in a child's class where the sound is loud."""
    by_label = [np.concatenate([clip[k] for clip in masks]) for k in range(len(labels))]
    row = {label: percent(mask) for label, mask in zip(labels, by_label, strict=True)}
    child = [mask for label, mask in zip(labels, by_label, strict=True) if label in ("KCHI", "OCH")]
    anyone, sounding = np.any(by_label, axis=0), np.concatenate(list(loud))
    return row | {"any": percent(anyone), "child_where_loud": percent(np.any(child, axis=0)[sounding])}


def percent(mask: NDArray[np.bool_]) -> float:
    """Share of a mask that is true."""
    return round(100 * float(mask.mean()), 1)


def labelled_scores(model: VoiceTypeClassifier, folder: Path, without: Path | None = None) -> dict[str, Any]:
    """F1 by class, macro F1, confusion and overlap of the recordings in ``audio/`` against ``rttm/``.

    With ``without``, a table of speakers, the same without the time in which they speak, too.
    """
    reference = read_side(folder / "rttm")
    recordings = recordings_of(folder / "audio")
    predictions = {name: model(path) for name, path in recordings.items()}
    found = summary(compare(reference, predictions, model.labels, None))
    table = next((path for path in (folder / "segments.csv", folder.parent / "segments.csv") if path.is_file()), None)
    if without is None or table is None:
        return found
    speakers = read_speaker_ids(without)
    theirs = [row for _, row in CsvTable(table) if row["speaker_id"] in speakers]
    others = {name: time_outside(theirs, name, probe(path).n_samples) for name, path in recordings.items()}
    return found | {"without_speakers": summary(compare(reference, predictions, model.labels, others))}


def time_outside(rows: Sequence[Mapping[str, str]], recording: str, length: int) -> Intervals:
    """All time of a recording of this length outside these rows, in samples."""
    times = [(row["start_s"], row["end_s"]) for row in rows if row["recording_id"] == recording]
    bounds = np.array([[seconds_to_samples(float(t)) for t in pair] for pair in times], dtype=np.int64).reshape(-1, 2)
    return complement(bounds[:, 0], bounds[:, 1], length)


def summary(report: DetectionReport) -> dict[str, Any]:
    """A report in percent; classes that the reference lacks have no F1."""
    there = report.totals[:, 0] + report.totals[:, 2] > 0
    f1 = {label: round(100 * value, 1) for (label, value), has in zip(report.f1.items(), there, strict=True) if has}
    confusion: Mapping[str, Any] = {
        label: [round(v / SAMPLE_RATE, 1) for v in row]
        for label, row in zip((*report.labels, "none"), report.confusion.tolist(), strict=True)
    }
    overlap = report.overlap
    return {
        "f1": f1,
        "macro_f1": round(sum(f1.values()) / max(len(f1), 1), 1),
        "overlap_recall": round(100 * overlap.recall, 1),
        "overlap_precision": round(100 * overlap.precision, 1),
        "confusion_s": confusion,
    }


def parse() -> argparse.Namespace:
    """Options."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_model_options(parser)
    parser.add_argument("--sounds", type=Path, help="folder with a sub-folder a kind of sound")
    parser.add_argument("--select", default="*", help="pattern of the names of clips")
    parser.add_argument("--cries", nargs="*", default=["baby-cry"], help="kinds in which a child is to be found")
    parser.add_argument("--meetings", type=Path, help="folder with audio/ and rttm/")
    parser.add_argument("--scenes", type=Path, action="append", default=[], help="the same (may be repeated)")
    parser.add_argument("--without-speakers", type=Path, help="table of speakers: scenes also without their time")
    parser.add_argument("-o", "--output", type=Path)
    return parser.parse_args()


if __name__ == "__main__":
    main()
