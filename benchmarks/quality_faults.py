"""Check which degrees of each fault `babyhubert quality` finds, and its false alarms on clean recordings.

    python benchmarks/quality_faults.py CORPORA [--minutes 10] [--only FAULT] [-o table.md]

CORPORA holds ``playroom``, ``real`` and ``cries`` as docs/quality.md describes; simulated scenes are made.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import soundfile as sf

from babyhubert.quality.run import measure_recording
from babyhubert.quality.verdict import Assessment
from babyhubert.simulation import degradations as faults
from babyhubert.timebase import SAMPLE_RATE

LONG = 720 * SAMPLE_RATE
"""Samples of recordings that are still, which take ten minutes to tell."""

Sound = np.ndarray
Degrade = Callable[[Sound, float, np.random.Generator], Sound]


def degrees() -> Iterator[tuple[str, str, str, Degrade]]:
    """Fault, degree, the finding that should tell it, and the change: of a recording and its level of speech."""
    for percent in (0.001, 0.01, 0.1, 1.0, 5.0):
        yield "clipped", f"{percent:g}% of samples", "clipped", lambda x, _, __, p=percent: faults.clipped(x, p / 100)
    for hertz in (3000, 2000, 1500, 1000, 700, 500):
        yield "covered, 24 dB/octave", f"from {hertz} Hz", "muffled", lambda x, _, __, h=hertz: faults.covered(x, h)
    for hertz in (1500, 1000, 700, 500):
        yield (
            "covered, 12 dB/octave",
            f"from {hertz} Hz",
            "muffled",
            lambda x, _, __, h=hertz: faults.covered(x, h, 12),
        )
    for mains in (50.0, 60.0):
        for below in (40, 30, 20, 10, 0, -10):
            yield (f"hum {mains:g} Hz", f"{below} dB below speech", "hum",
                   lambda x, s, _, m=mains, b=below: faults.humming(x, m, b, s))  # fmt: skip
    for seconds in (0.01, 0.02, 0.05, 0.1, 0.5):
        yield ("dropouts", f"{seconds * 1000:g} ms, 2 a minute", "dropouts",
               lambda x, _, rng, d=seconds: faults.with_dropouts(x, len(x) // (30 * SAMPLE_RATE), d, rng))  # fmt: skip
    for seconds in (0.01, 0.02, 0.05, 0.2, 1.0):
        yield ("repeated blocks", f"{seconds * 1000:g} ms, 2 a minute", "repeated",
               lambda x, _, rng, d=seconds: faults.with_repeats(x, len(x) // (30 * SAMPLE_RATE), d, rng))  # fmt: skip
    for factor in (0.5, 0.67, 0.8, 0.92, 1.09, 1.25, 1.5, 2.0):
        yield "speed, by pitch", f"x {factor:g}", "pitch", lambda x, _, __, f=factor: faults.at_speed(x, f)
    for factor in (0.92, 0.98, 1.02, 1.09, 1.2):
        yield ("speed, by a hum", f"x {factor:g}", "speed",
               lambda x, s, _, f=factor: faults.at_speed(faults.humming(x, 50.0, 20, s), f))  # fmt: skip
    for below in (20, 15, 10, 5, 0, -5):
        yield "noise", f"{below} dB below speech", "noisy", lambda x, s, rng, b=below: faults.noisy(x, b, s, rng)
    for noise, rumble in ((-80, -60), (-65, -45), (-55, -30)):
        yield ("drawer", f"noise {noise}, rumble {rumble} dBFS", "not_worn",
               lambda x, _, rng, n=noise, r=rumble: faults.in_a_drawer(LONG, n, r, rng))  # fmt: skip
    yield "worn night (no fault)", "breath and cloth", "", lambda x, _, rng: faults.worn_night(LONG, -70, rng)
    yield "dead channel", "second of two", "silent_channel", lambda x, _, __: np.stack((x, np.zeros_like(x)), axis=1)
    yield "opposite phase", "two channels", "opposite_phase", lambda x, _, __: np.stack((x, -0.9 * x), axis=1)
    yield "silent", "all zeros", "silent", lambda x, _, __: np.zeros_like(x)
    yield "silent", "a third", "silent", lambda x, _, __: np.where(np.arange(len(x)) % 900_000 < 300_000, 0, x)


def assess(sound: Sound, folder: Path, kind: str) -> Assessment:
    """Verdict on samples, written as 16-bit WAV or as Opus."""
    path = folder / f"sound.{kind}"
    sound = np.clip(sound, -1, 1 - 1 / 32768)
    if kind == "opus":
        sf.write(path, sound, SAMPLE_RATE, format="OGG", subtype="OPUS")
    else:
        sf.write(path, sound, SAMPLE_RATE, subtype="PCM_16")
    return measure_recording(path)


def kinds(found: Assessment, severity: str = "fault") -> set[str]:
    """Names of the findings."""
    return {finding.kind for finding in found.findings if finding.severity == severity}


def clean_sounds(corpora: Path, minutes: float) -> dict[str, Sound]:
    """Clean recordings: three of playroom, and the meetings one after the other."""
    length = int(minutes * 60 * SAMPLE_RATE)
    names = sorted((corpora / "playroom").glob("dev/audio/*.opus"))
    found = {path.stem: sf.read(path, dtype="float32", frames=length)[0] for path in names}
    meetings = [
        sf.read(path, dtype="float32")[0] for path in sorted((corpora / "real" / "ami" / "audio").glob("*.wav"))
    ]
    level = [each / np.abs(each).max() * 0.7 for each in meetings]
    found["meetings"] = np.resize(np.concatenate(level), min(length, 4 * sum(map(len, level)))).astype(np.float32)
    return found


def false_alarms(corpora: Path, folder: Path) -> Iterator[str]:
    """Faults of recordings that have none, by corpus, as they are and as Opus."""
    sets = {
        "playroom": sorted((corpora / "playroom").glob("*/audio/*.opus")),
        "meetings": sorted((corpora / "real" / "ami" / "audio").glob("*.wav")),
        "cries": sorted((corpora / "cries").rglob("*.opus")),
        **{f"sounds/{each.name}": sorted(each.glob("*.opus")) for each in sorted((corpora / "real/sounds").iterdir())},
    }
    yield "| clean recordings | number | faults | notes |\n| --- | --- | --- | --- |"
    for name, paths in sets.items():
        counted: dict[str, int] = {}
        noted: dict[str, int] = {}
        for path in paths:
            found = measure_recording(path)
            for kind in kinds(found):
                counted[kind] = counted.get(kind, 0) + 1
            for kind in kinds(found, "note"):
                noted[kind] = noted.get(kind, 0) + 1
        told = [
            ", ".join(f"{kind} {count}" for kind, count in sorted(each.items())) or "0" for each in (counted, noted)
        ]
        yield f"| {name} | {len(paths)} | {told[0]} | {told[1]} |"


def fault_table(corpora: Path, minutes: float, only: str, folder: Path) -> Iterator[str]:
    """Recordings in which each degree is found, and other faults that are named."""
    sounds = clean_sounds(corpora, minutes)
    speech = {name: assess(sound, folder, "wav").figures["speech_dbfs"] for name, sound in sounds.items()}
    yield "| fault | degree | found, WAV | found, Opus | usable h of 1 h | other faults named |"
    yield "| --- | --- | --- | --- | --- | --- |"
    for fault, degree, wanted, change in degrees():
        if only not in fault:
            continue
        hits, others, usable = {"wav": 0, "opus": 0}, set(), []
        for name, sound in sounds.items():
            changed = change(sound, speech[name], np.random.default_rng(0))
            for kind in hits:
                found = assess(changed, folder, kind)
                named = kinds(found)
                hits[kind] += wanted in named if wanted else not named
                others |= named - {wanted}
                usable.append(found.figures["usable_h"] / found.figures["duration_h"])
        told = ", ".join(sorted(others)) or "none"
        yield (f"| {fault} | {degree} | {hits['wav']} of {len(sounds)} | {hits['opus']} of {len(sounds)} | "
               f"{np.mean(usable):.2f} | {told} |")  # fmt: skip


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("corpora", type=Path)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--only", default="")
    parser.add_argument("--no-alarms", action="store_true")
    parser.add_argument("-o", "--output", type=Path)
    given = parser.parse_args()
    lines = []
    with tempfile.TemporaryDirectory() as folder:
        tables = [fault_table(given.corpora, given.minutes, given.only, Path(folder))]
        tables += [] if given.no_alarms else [false_alarms(given.corpora, Path(folder))]
        for table in tables:
            for line in table:
                print(line, flush=True)
                lines.append(line)
    if given.output is not None:
        given.output.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
