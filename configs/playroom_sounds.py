"""Collects sounds without voices from two free packages: animals, weather, tools, steps of the game 0 A.D., and music.

Real recordings of a few kinds teach a model those kinds. These add others: horses, cattle, elephants, pigs, wind,
water, wood, metal; and instruments of a General MIDI sound font, playing random melodies. Folders in which
people shout or talk (voices, deaths of people, markets, harbours) are left out, and instruments that are voices.

    apt-get download 0ad-data fluid-soundfont-gm    # Debian; unpack with dpkg -x
    python playroom_sounds.py public.zip FluidR3_GM.sf2 -o sounds/packages --held-out sounds/packages-held-out

Some species and a quarter of the instruments are held out, to measure what a model makes of what it never heard.

The sounds of 0 A.D. are CC BY-SA 3.0 (Wildfire Games), FluidR3_GM is under the MIT licence (Frank Wen). `fluidsynth`
must be installed.
"""

import argparse
import struct
import subprocess
import tempfile
import zipfile
from pathlib import Path, PurePosixPath

import numpy as np

# Folders below audio/, and how many of their sounds are taken at most: all animals, some of the many blows and steps
FOLDERS = {
    "actor/fauna": 99,
    "actor/mounted": 8,
    "actor/gate": 4,
    "actor/ship": 6,
    "actor/singlesteps": 8,
    "ambient/weather": 10,
    "ambient/water": 8,
    "ambient/dayscape": 9,
    "attack/destruction": 3,
    "attack/fire": 8,
    "attack/impact": 14,
    "attack/siege": 9,
    "attack/weapon": 14,
    "resource/construction": 12,
    "resource/farming": 9,
    "resource/foraging": 6,
    "resource/lumbering": 12,
    "resource/mining": 14,
}
VOICES = (52, 53, 54, 85, 91)  # choirs, a synthesised voice, a voice lead and a choir pad, of programs counted from 0
HELD_SPECIES = ("pig", "sheep", "lion", "peacock", "flamingo")
MELODIES, HELD_MELODIES = 240, 60
TICKS = 480


def main() -> None:
    """Unpack the sounds, and play the melodies."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("archive", type=Path, help="public.zip of 0 A.D.")
    parser.add_argument("soundfont", type=Path, help="a General MIDI sound font")
    parser.add_argument("-o", "--output", type=Path, required=True, help="folder to write a folder of each kind into")
    parser.add_argument("--held-out", type=Path, required=True, help="the same for what nothing is trained on")
    options = parser.parse_args()
    unpack(options.archive, options.output, options.held_out, np.random.default_rng(5))
    programs = [program for program in range(120) if program not in VOICES]
    known = [program for program in programs if program % 4 != 2]
    held = [program for program in programs if program % 4 == 2]
    make_music(options.output / "music", options.soundfont, known, MELODIES, np.random.default_rng(5))
    make_music(options.held_out / "music", options.soundfont, held, HELD_MELODIES, np.random.default_rng(6))


def unpack(archive: Path, output: Path, held_out: Path, rng: np.random.Generator) -> None:
    """Write a selection of each folder's sounds, as they are, into a folder of its name; some animals are held out."""
    with zipfile.ZipFile(archive) as packed:
        names = sorted(name for name in packed.namelist() if name.endswith(".ogg"))
        for folder, most in FOLDERS.items():
            found = [name for name in names if name.startswith(f"audio/{folder}/")]
            if not found:
                raise SystemExit(f"{archive}: no sounds below audio/{folder}")
            for index in sorted(rng.permutation(len(found))[:most]):
                name = PurePosixPath(found[index]).name
                held = folder == "actor/fauna" and name.startswith(HELD_SPECIES)
                to = (held_out if held else output) / folder.replace("/", "-")
                to.mkdir(parents=True, exist_ok=True)
                (to / name).write_bytes(packed.read(found[index]))


def make_music(folder: Path, soundfont: Path, programs: list[int], count: int, rng: np.random.Generator) -> None:
    """Play a number of pieces on some instruments."""
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(count):
        play(piece(programs, rng), soundfont, folder / f"m-{number:03d}.wav")


def piece(programs: list[int], rng: np.random.Generator) -> bytes:
    """A MIDI file of one to three instruments, or drums, for some ten seconds, each in its own rhythm, one scale."""
    beats_a_minute = rng.uniform(60, 180)
    length = int(10 * beats_a_minute / 60 * TICKS)
    scale = np.sort(rng.choice(12, int(rng.integers(5, 8)), replace=False))
    tempo = int(60e6 / beats_a_minute)
    tracks = [b"\x00\xff\x51\x03" + tempo.to_bytes(3, "big") + b"\x00\xff\x2f\x00"]
    for part in range(int(rng.integers(1, 4))):
        drums = part > 0 and rng.random() < 0.4
        tracks.append(instrument(9 if drums else part, programs, length, scale, rng))
    header = b"MThd" + struct.pack(">IHHH", 6, 1, len(tracks), TICKS)
    return header + b"".join(b"MTrk" + struct.pack(">I", len(track)) + track for track in tracks)


def instrument(channel: int, programs: list[int], length: int, scale: np.ndarray, rng: np.random.Generator) -> bytes:
    """Notes of one channel, as a track: a walk over the scale with rests, sometimes in chords."""
    program = 0 if channel == 9 else int(rng.choice(programs))
    step = int(TICKS * rng.choice([0.25, 0.5, 0.5, 1, 1, 2]))
    held, rests, chord = rng.uniform(0.4, 1.6), rng.uniform(0.0, 0.4), rng.random() < 0.25
    degree, lowest = int(rng.integers(7)), int(rng.integers(3, 7)) * 12
    events = [(0, bytes([0xC0 | channel, program]))]
    for start in range(0, length, step):
        degree = int(np.clip(degree + rng.integers(-3, 4), 0, 2 * len(scale) - 1))
        if rng.random() < rests:
            continue
        for above in (0, 2, 4) if chord else (0,):
            octave, place = divmod(degree + above, len(scale))
            pitch = min(lowest + 12 * octave + int(scale[place]), 120)
            if channel == 9:
                pitch = int(rng.integers(35, 70))
            loudness = int(rng.integers(50, 120))
            events.append((start, bytes([0x90 | channel, pitch, loudness])))
            events.append((start + int(step * held), bytes([0x80 | channel, pitch, 0])))
    events.sort(key=lambda event: event[0])
    track, now = b"", 0
    for tick, message in events:
        track += variable_length(tick - now) + message
        now = tick
    return track + b"\x00\xff\x2f\x00"


def variable_length(number: int) -> bytes:
    """A number as MIDI files write times: seven bits a byte, the highest first."""
    digits = [number & 0x7F]
    while number := number >> 7:
        digits.append(number & 0x7F | 0x80)
    return bytes(reversed(digits))


def play(midi: bytes, soundfont: Path, output: Path) -> None:
    """Render a MIDI file to 16-bit audio of 16 kHz with fluidsynth."""
    with tempfile.NamedTemporaryFile(suffix=".mid") as file:
        file.write(midi)
        file.flush()
        subprocess.run(
            ["fluidsynth", "-ni", "-q", "-g", "0.6", "-r", "16000", "-F", str(output), str(soundfont), file.name],
            check=True,
            stdout=subprocess.DEVNULL,
        )


if __name__ == "__main__":
    main()
