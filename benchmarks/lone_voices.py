r"""What a voice-type model makes of single utterances in a quiet room: found as the voice that they are, or as any.

Each utterance is set to a random level and placed in a recording with seconds of a quiet room around it; ``--seconds``
takes only the loudest stretch of that length of each. Percent of the time within 20 dB of each utterance's loudest.

    python benchmarks/lone_voices.py --utterances spoken/held-out.csv --voices MAL FEM -o lone-voices.json
    python benchmarks/lone_voices.py --utterances utterances/utterances.csv --seconds 0.6 \
        --only-speakers playroom-validation-speakers.csv
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from babyhubert.annotation.text import CsvTable
from babyhubert.tasks.voice_type.prediction import VoiceTypeClassifier
from babyhubert.timebase import SAMPLE_RATE
from labelled import add_model_options, model_of, read
from real_sound import active, percent, quiet_room, where_loud
from results import write_results

Audio = NDArray[np.float32]

CLASSES = {"CHI": ("KCHI", "OCH"), "MAL": ("MAL",), "FEM": ("FEM",)}
LEVEL_DBFS = (-40.0, -15.0)
GAP_S = (2.0, 8.0)


def main() -> None:
    """Measure and print."""
    options = parse()
    model = model_of(options)
    rows = [row for _, row in CsvTable(options.utterances)]
    if options.only_speakers:
        chosen = {row["speaker_id"] for _, row in CsvTable(options.only_speakers)}
        rows = [row for row in rows if row["speaker_id"] in chosen]
    results = {}
    for voice in options.voices:
        paths = [options.utterances.parent / row["path"] for row in rows if row["voice"] == voice]
        if paths:
            rng = np.random.default_rng(options.seed)
            chosen_paths = [paths[index] for index in rng.permutation(len(paths))[: options.most]]
            clips = [loudest(read(path), options.seconds) for path in chosen_paths]
            results[voice] = measure(model, clips, CLASSES[voice], rng)
            print(voice, results[voice], flush=True)
    write_results(options, results)


def measure(
    model: VoiceTypeClassifier, clips: Sequence[Audio], classes: Sequence[str], rng: np.random.Generator
) -> dict[str, float]:
    """Percent of the clips' loud time found as one of the classes, and as any class."""
    recording, starts = placed(clips, rng)
    found = model(recording, sampling_rate=SAMPLE_RATE)
    own, anyone = [], []
    for start, clip in zip(starts, clips, strict=True):
        loud = where_loud(clip)
        masks = {label: active(found.intervals(label), start, len(clip))[loud] for label in model.labels}
        own.append(np.any([masks[label] for label in classes], axis=0))
        anyone.append(np.any(list(masks.values()), axis=0))
    return {
        "clips": len(clips),
        "seconds": round(sum(map(len, clips)) / SAMPLE_RATE, 1),
        "as_such": percent(np.concatenate(own)),
        "as_any": percent(np.concatenate(anyone)),
    }


def placed(clips: Sequence[Audio], rng: np.random.Generator) -> tuple[Audio, list[int]]:
    """A recording with the clips at random levels and a quiet room between them, and where each begins."""
    gaps = (rng.uniform(*GAP_S, len(clips) + 1) * SAMPLE_RATE).astype(int)
    room = quiet_room(int(gaps.sum()) + sum(map(len, clips)), rng)
    starts, at = [], 0
    for gap, clip in zip(gaps, clips, strict=False):
        at += int(gap)
        starts.append(at)
        loud = clip[: len(clip) // 160 * 160][np.repeat(where_loud(clip), 160)]
        level = np.sqrt(np.mean(np.square(loud), dtype=np.float64))
        room[at : at + len(clip)] += clip * (10 ** (rng.uniform(*LEVEL_DBFS) / 20) / max(level, 1e-9))
        at += len(clip)
    return room.astype(np.float32), starts


def loudest(clip: Audio, seconds: float | None) -> Audio:
    """The stretch of a length with the most power; all of the clip without a length, or if it is shorter."""
    samples = len(clip) if seconds is None else round(seconds * SAMPLE_RATE)
    if len(clip) <= samples:
        return clip
    power = np.concatenate([[0.0], np.cumsum(np.square(clip, dtype=np.float64))])
    first = int(np.argmax(power[samples:] - power[:-samples]))
    return clip[first : first + samples]


def parse() -> argparse.Namespace:
    """Options."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--utterances", type=Path, required=True, help="table with path, speaker_id and voice")
    parser.add_argument("--voices", nargs="+", choices=CLASSES, default=list(CLASSES))
    parser.add_argument("--only-speakers", type=Path, help="table of the speakers to take")
    parser.add_argument("--most", type=int, default=100, help="utterances of a voice, drawn at random")
    parser.add_argument("--seconds", type=float, help="length of the loudest stretch to take of each")
    parser.add_argument("--seed", type=int, default=0)
    add_model_options(parser)
    parser.add_argument("-o", "--output", type=Path)
    return parser.parse_args()


if __name__ == "__main__":
    main()
