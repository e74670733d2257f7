r"""Make utterances of real adults from words that volunteers recorded in many languages for two free programs.

Tux Paint reads out the names of its pictures, KTuberling those of its toys. A language of one of them was recorded by
one or a few adults; here it is one speaker. Who speaks is told by pitch: languages and single words between the
voices of men and women are left out, and so are voices so high that they may be children's. One to five words with
short pauses make an utterance.

    apt-get download tuxpaint-stamps-default ktuberling-data    # Debian; unpack each with dpkg -x into packages/NAME
    python playroom_spoken.py packages -o spoken --beside people.csv --together everybody.csv

Some languages are held out, to measure what a model makes of voices that it never heard (spoken/held-out.csv). Tux
Paint's stamps are GPL 2; KTuberling's sounds are GPL 2 or later, CC BY or CC0.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray
from playroom_adults import (
    COLUMNS,
    HIGHEST_HZ,
    MEN_BELOW_HZ,
    RATE,
    WOMEN_FROM_HZ,
    Utterance,
    measured,
    write,
    write_together,
)

PACKAGES = ("tuxpaint-stamps-default", "ktuberling-data")
LANGUAGE = {
    "tuxpaint": re.compile(r"/stamps/.*(?:_desc|/symbols/.*)_([a-z]{2,3}(?:_[A-Za-z]{2})?)\.(?:ogg|wav)$"),
    "ktuberling": re.compile(r"/ktuberling/sounds/([a-z]{2,3})/[^/]+\.(?:ogg|wav)$"),
}
HELD_OUT = ("fr", "ro", "uk", "wa", "it", "pt", "ko", "en_GB", "de")
WOMEN_BELOW_HZ = 265.0
WORDS_A_SPEAKER = 300
LEAST_WORDS = 5
LEAST_SNR_DB, SHORTEST_S = 15.0, 0.25

Word = NDArray[np.float32]


def main() -> None:
    """Read the packages, and write utterances and tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("packages", type=Path, help=f"folder of the unpacked packages {' and '.join(PACKAGES)}")
    parser.add_argument("-o", "--output", type=Path, required=True, help="folder for audio/ and the tables")
    parser.add_argument("--beside", type=Path, required=True, help="utterance table of other speakers")
    parser.add_argument("--together", type=Path, required=True, help="table of both to write")
    options = parser.parse_args()
    rng = np.random.default_rng(8)
    rows: dict[bool, list[dict[str, str]]] = {True: [], False: []}
    for (source, language), paths in sorted(languages(options.packages).items()):
        voice, words = words_of([paths[index] for index in rng.permutation(len(paths))[:WORDS_A_SPEAKER]])
        if voice and len(words) >= LEAST_WORDS:
            speaker = f"{source}-{language.lower().replace('_', '-')}"
            print(f"{speaker}: {voice}, {len(words)} words")
            rows[language in HELD_OUT] += utterances(words, speaker, voice, options.output, rng)
    if not rows[False]:
        raise SystemExit(f"{options.packages}: no words of {' or '.join(PACKAGES)}")
    write(options.output / "utterances.csv", rows[False])
    write(options.output / "held-out.csv", rows[True])
    write_together(rows[False], options.output, options.beside, options.together)


def languages(packages: Path) -> dict[tuple[str, str], list[Path]]:
    """Files of words by program and language."""
    found: dict[tuple[str, str], list[Path]] = {}
    for path in sorted(path for name in PACKAGES for path in (packages / name).rglob("*")):
        for source, pattern in LANGUAGE.items():
            if match := pattern.search(str(path)):
                found.setdefault((source, match[1]), []).append(path)
    return found


def words_of(paths: Sequence[Path]) -> tuple[str, list[Word]]:
    """The voice of a language, "" if it cannot be told, and its clear words of that voice."""
    found = [word for path in paths if (word := read(path)) is not None]
    pitches = [word.pitch_hz for word in found if not np.isnan(word.pitch_hz)]
    middle = float(np.median(pitches)) if pitches else 0.0
    if 0 < middle < MEN_BELOW_HZ:
        voice, low, high = "MAL", 0.0, MEN_BELOW_HZ
    elif WOMEN_FROM_HZ < middle < WOMEN_BELOW_HZ:
        voice, low, high = "FEM", WOMEN_FROM_HZ, HIGHEST_HZ
    else:
        return "", []
    return voice, [word.voice for word in found if low < word.pitch_hz < high]


def read(path: Path) -> Utterance | None:
    """One word, cut to its voice and measured; None if it is too short or noisy."""
    audio, rate = soundfile.read(path, dtype="float32", always_2d=True)
    mono = soxr.resample(audio.mean(axis=1), rate, RATE)
    if len(mono) < SHORTEST_S * RATE or not np.abs(mono).max() > 1e-3:
        return None
    word = measured(path.stem, mono)
    return word if word.snr_db > LEAST_SNR_DB and len(word.voice) > SHORTEST_S * RATE else None


def utterances(
    words: Sequence[Word], speaker: str, voice: str, output: Path, rng: np.random.Generator
) -> Iterator[dict[str, str]]:
    """Write a speaker's words, one to five at a time; a row of the table each."""
    (output / "audio").mkdir(parents=True, exist_ok=True)
    at = 0
    while at < len(words):
        some = words[at : at + int(rng.integers(1, 6))]
        at += len(some)
        name = f"{speaker}-{at:04d}"
        audio = joined(some, rng)
        soundfile.write(output / "audio" / f"{name}.flac", audio / np.abs(audio).max() * 0.5, RATE)
        row = (name, f"audio/{name}.flac", speaker, voice, f"{len(audio) / RATE:.3f}", "?")
        yield dict(zip(COLUMNS, row, strict=True))


def joined(words: Sequence[Word], rng: np.random.Generator) -> Word:
    """Words at one level with pauses of 50 to 400 ms between them."""
    parts: list[Word] = []
    for word in words:
        if parts:
            parts.append(np.zeros(int(rng.uniform(0.05, 0.4) * RATE), dtype=np.float32))
        parts.append(word / np.float32(np.sqrt(np.mean(np.square(word))) + 1e-6))
    return np.concatenate(parts)


if __name__ == "__main__":
    main()
