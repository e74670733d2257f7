r"""Make an utterance table of adults from recordings without a list of speakers: commands, prompts, answers.

Each recording holds one adult. It is cut to where the voice is; who speaks is estimated: a man or a woman by pitch
(recordings between the two are left out), and one speaker for recordings that sound alike (spectrum, noise, pitch).
The table is for `babyhubert simulate --utterances`; `--beside` and `--together` join it to one of other speakers.

    python playroom_adults.py speech-to-intent-benchmark/data/speech/clean -o adults \
        --beside utterances/utterances.csv --together people.csv
"""

from __future__ import annotations

import argparse
import csv
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import numpy as np
import soundfile
from numpy.typing import NDArray
from scipy.cluster.hierarchy import fcluster, linkage

COLUMNS = ("utterance_id", "path", "speaker_id", "voice", "duration_s", "phones")
RATE = 16_000
HOP = 160
MEN_BELOW_HZ, WOMEN_FROM_HZ, HIGHEST_HZ = 145.0, 172.0, 290.0
LEAST_SNR_DB = 25.0
RECORDINGS_A_SPEAKER = 10

Audio = NDArray[np.float32]


class Utterance(NamedTuple):
    """One recording: its voice, cut out, and what tells speakers apart."""

    name: str
    voice: Audio
    pitch_hz: float
    snr_db: float
    sound: NDArray[np.float64]


def main() -> None:
    """Cut, estimate, and write the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recordings", type=Path, help="folder of mono recordings at 16 kHz")
    parser.add_argument("-o", "--output", type=Path, required=True, help="folder for audio/ and utterances.csv")
    parser.add_argument("--beside", type=Path, help="utterance table of other speakers")
    parser.add_argument("--together", type=Path, help="table of both to write")
    options = parser.parse_args()
    found = [utterance(path) for path in sorted(options.recordings.glob("*.wav"))]
    if not found:
        raise SystemExit(f"{options.recordings}: no .wav files here")
    (options.output / "audio").mkdir(parents=True, exist_ok=True)
    rows = [row for voice in ("MAL", "FEM") for row in table_of(found, voice, options.output)]
    write(options.output / "utterances.csv", rows)
    if options.beside and options.together:
        write_together(rows, options.output, options.beside, options.together)


def table_of(found: Sequence[Utterance], voice: str, output: Path) -> list[dict[str, str]]:
    """Rows of the men or of the women among the recordings, whose voices are written to audio/."""
    low, high = {"MAL": (0.0, MEN_BELOW_HZ), "FEM": (WOMEN_FROM_HZ, HIGHEST_HZ)}[voice]
    chosen = [each for each in found if low < each.pitch_hz < high and each.snr_db > LEAST_SNR_DB]
    print(f"{voice}: {len(chosen)} of {len(found)} recordings")
    rows = []
    for each, speaker in zip(chosen, speakers(chosen), strict=True):
        path = Path("audio", f"{each.name}.flac")
        soundfile.write(output / path, each.voice / np.abs(each.voice).max() * 0.5, RATE)
        seconds = len(each.voice) / RATE
        row = (each.name, str(path), f"{voice.lower()}-{speaker:02d}", voice, f"{seconds:.3f}", "?")
        rows.append(dict(zip(COLUMNS, row, strict=True)))
    return rows


def write(path: Path, rows: Sequence[dict[str, str]]) -> None:
    """Write an utterance table, without further columns of other tables."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, COLUMNS, extrasaction="ignore")
        writer.writeheader()
        writer.writerows(rows)


def write_together(rows: Sequence[dict[str, str]], folder: Path, beside: Path, together: Path) -> None:
    """Write a table of other speakers' utterances and these, with paths that hold from where the programs run."""
    with beside.open(newline="", encoding="utf-8") as file:
        others = [{**row, "path": str(beside.parent / row["path"])} for row in csv.DictReader(file)]
    write(together, [*others, *({**row, "path": str(folder / row["path"])} for row in rows)])


def utterance(path: Path) -> Utterance:
    """Cut one recording to its voice and measure it."""
    audio, rate = soundfile.read(path, dtype="float32")
    if rate != RATE or audio.ndim != 1:
        raise SystemExit(f"{path}: {rate} Hz, {audio.ndim} channels; mono at {RATE} Hz is needed")
    return measured(path.stem, audio)


def measured(name: str, audio: Audio) -> Utterance:
    """Cut audio to its voice and measure it."""
    power = np.square(audio[: len(audio) // HOP * HOP].reshape(-1, HOP)).mean(axis=1)
    level = 10 * np.log10(power + 1e-12)
    loud, floor = np.quantile(level, [0.95, 0.05])
    there = np.flatnonzero(level > max(loud - 30, floor + 0.35 * (loud - floor)))
    voice = audio[max(there[0] * HOP - 800, 0) : there[-1] * HOP + 1600]
    return Utterance(name, voice, pitch_hz(voice), float(loud - floor), spectrum(voice))


def pitch_hz(voice: Audio, size: int = 1024) -> float:
    """Median pitch of voiced frames by autocorrelation; NaN where fewer than 20 are voiced."""
    frames = np.lib.stride_tricks.sliding_window_view(voice, size)[::320]
    power = np.square(frames).mean(axis=1)
    frames = frames[power > 0.02 * power.max()]
    window = np.hanning(size)
    same = np.fft.irfft(np.abs(np.fft.rfft((frames - frames.mean(axis=1, keepdims=True)) * window, 2 * size)) ** 2)
    own = np.fft.irfft(np.abs(np.fft.rfft(window, 2 * size)) ** 2)
    same = same[:, :size] / (same[:, :1] + 1e-12) / (own[:size] / own[0])
    first, last = RATE // 400, RATE // 65
    lags = same[:, first:last]
    voiced = lags.max(axis=1) > 0.6
    if voiced.sum() < 20:
        return float("nan")
    shortest = (lags > 0.9 * lags.max(axis=1, keepdims=True)).argmax(axis=1) + first
    return float(np.median(RATE / shortest[voiced]))


def spectrum(voice: Audio, size: int = 512, bands: int = 30) -> NDArray[np.float64]:
    """Mean and spread of the loud frames' levels by band, and the quiet frames' mean, dB against the loud mean."""
    frames = np.lib.stride_tricks.sliding_window_view(voice, size)[::HOP]
    power = np.abs(np.fft.rfft(frames * np.hanning(size))) ** 2
    edges, hertz = np.geomspace(80, 7800, bands + 1), np.fft.rfftfreq(size, 1 / RATE)
    inside = [(hertz >= low) & (hertz < max(high, low + 40)) for low, high in pairwise(edges)]
    level = 10 * np.log10(np.stack([power[:, band].mean(axis=1) for band in inside], axis=1) + 1e-10)
    loudness = level.mean(axis=1)
    loud = level[loudness > np.quantile(loudness, 0.6)]
    quiet = level[loudness < np.quantile(loudness, 0.1)]
    return np.concatenate([loud.mean(axis=0), loud.std(axis=0), quiet.mean(axis=0)]) - np.repeat(
        [loud.mean(), 0.0, loud.mean()], bands
    )


def speakers(chosen: Sequence[Utterance]) -> NDArray[np.int64]:
    """Number of a speaker for each recording: Ward's clusters of about ten that sound alike."""
    sound = np.array([each.sound for each in chosen])
    pitch = np.log([each.pitch_hz for each in chosen])
    table = np.c_[(sound - sound.mean(axis=0)) / sound.std(axis=0), 8 * (pitch - pitch.mean()) / pitch.std()]
    count = max(len(chosen) // RECORDINGS_A_SPEAKER, 1)
    return fcluster(linkage(table, "ward"), count, "maxclust")


if __name__ == "__main__":
    main()
