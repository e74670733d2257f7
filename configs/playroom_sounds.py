"""Collect sounds without voices from free packages: animals, weather, tools, engines, household, games, and music.

Real recordings of a few kinds teach a model those kinds, and it takes others for voices: one that knew dogs and
roosters told a quarter of the time of other animals as children's. Folders and names in which people shout or talk
(voices, deaths of people, markets, schools) are left out, and instruments that are voices.

    python playroom_sounds.py --list    # Debian's packages; unpack each with dpkg -x into packages/NAME
    python playroom_sounds.py packages -o sounds/packages --held-out sounds/packages-held-out

Held out, to measure what a model makes of what it never heard: some species, half of Tux Paint's animals and things
and of TORCS's cars, one game with its music, and a quarter of the instruments.

Licences: 0 A.D. CC BY-SA 3.0 (Wildfire Games); FluidR3_GM MIT (Frank Wen); Widelands, Battle for Wesnoth, LinCity-NG,
Tux Paint, TORCS, sound-icons GPL 2 or later; SuperTux GPL 2 or later and CC BY-SA; Minetest CC BY-SA 3.0;
freedesktop sounds CC BY and CC BY-SA; Hydrogen's drum kits CC0 and GPL; SuperTuxKart (held out) CC BY-SA and CC0.
`fluidsynth` must be installed.
"""

import argparse
import re
import struct
import subprocess
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import NamedTuple

import numpy as np
import soundfile
import soxr

RATE = 16_000

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


def _half(name: str) -> bool:
    """Tell whether a file is held out: files whose names begin with the same word go together."""
    return sum(re.split(r"[\W_\d]", name)[0].lower().encode()) % 2 == 0


class Package(NamedTuple):
    """What is taken from a package: files that match, without those that match `voices`, at most so many."""

    files: str
    voices: str = "$^"
    held_out: Callable[[str], bool] = lambda name: False
    most: int = 120


_PEOPLE = (
    "commune|school|universi|market|shanty|sports|health|resident|harbor|firestation|tavern|inn_|lobby|message|attack"
)
PACKAGES = {
    "widelands-data": Package(r"/(?:sound|critters)/.*\.ogg$", _PEOPLE),
    "wesnoth-1.16-data": Package(
        r"/(?:wolf|bat|horse|gryphon|tusker|horn|birds|night|morning|campfire|ship|lightning|explosion|torch|rumble|cave|"
        r"axe|bow|sword|mace|staff|club|claws|bite|wardrums|flame|thunderstick|fuse|gold|knife|crossbow|sling|tail|wose)"
        r"[^/]*\.ogg$"
    ),
    "lincity-ng-data": Package(r"/sounds/.*\.wav$", _PEOPLE),
    "minetest-data": Package(r"\.ogg$", "player|soundstuff", most=60),
    "supertux-data": Package(r"/sounds/.*\.wav$", most=60),
    "sound-theme-freedesktop": Package(r"\.oga$", "audio-channel"),
    "sound-icons": Package(r"\.wav$", "gentleman"),
    "hydrogen-drumkits": Package(r"\.(?:flac|wav)$", most=40),
    "torcs-data": Package(r"/sound/(?!locked).*\.wav$", held_out=_half),
    "tuxpaint-stamps-default": Package(
        r"/stamps/.*\.(?:ogg|wav)$",
        r"_desc|symbols|signs|flags|final-roll|apollo|hanukkah|christmas|ghost|_[a-z]{2}\.ogg",
        _half,
    ),
    "supertuxkart-data": Package(
        r"/(?:sfx|library)/.*\.ogg$", "wilhelm|ugh|wee|sara|speech|gp_end|lenaut|fanfare|intro", lambda name: True
    ),
}
MUSIC = {
    "wesnoth-1.16-music": Package(r"\.ogg$"),
    "widelands-data": Package(r"/music/.*\.ogg$"),
    "supertuxkart-data": Package(r"/music/.*\.ogg$", held_out=lambda name: True),
}
EXCERPTS, EXCERPT_S = 4, 10
VOICES = (52, 53, 54, 85, 91)  # choirs, a synthesised voice, a voice lead and a choir pad, of programs counted from 0
HELD_SPECIES = ("pig", "sheep", "lion", "peacock", "flamingo")
MELODIES, HELD_MELODIES = 240, 60
TICKS = 480


def main() -> None:
    """Collect the sounds, and play the melodies."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("packages", type=Path, nargs="?", help="folder of the unpacked packages")
    parser.add_argument("-o", "--output", type=Path, help="folder to write a folder of each kind into")
    parser.add_argument("--held-out", type=Path, help="the same for what nothing is trained on")
    parser.add_argument("--list", action="store_true", help="print the names of the packages and stop")
    options = parser.parse_args()
    if options.list:
        print(*dict.fromkeys(("0ad-data", "fluid-soundfont-gm", *PACKAGES, *MUSIC)))
        return
    if not (options.packages and options.output and options.held_out):
        parser.error("give the folder of packages, -o and --held-out")
    folders = (options.output, options.held_out)
    unpack(one(options.packages, "public.zip"), *folders, np.random.default_rng(5))
    soundfont = one(options.packages, "FluidR3_GM.sf2")
    programs = [program for program in range(120) if program not in VOICES]
    known = [program for program in programs if program % 4 != 2]
    held = [program for program in programs if program % 4 == 2]
    make_music(options.output / "music", soundfont, known, MELODIES, np.random.default_rng(5))
    make_music(options.held_out / "music", soundfont, held, HELD_MELODIES, np.random.default_rng(6))
    for name, package in PACKAGES.items():
        for path, folder in chosen(options.packages, name, package, *folders):
            link(path, folder / name)
    for name, package in MUSIC.items():
        for path, folder in chosen(options.packages, name, package, *folders):
            cut(path, folder / f"{name}-music")


def one(packages: Path, name: str) -> Path:
    """The one file of that name."""
    found = sorted(packages.rglob(name))
    if not found:
        raise SystemExit(f"{packages}: no {name} below it")
    return found[0]


def chosen(packages: Path, name: str, package: Package, output: Path, held_out: Path) -> list[tuple[Path, Path]]:
    """Files of a package, each with the folder it belongs into."""
    files = sorted(path for path in (packages / name).rglob("*") if path.is_file())
    wanted = re.compile(package.files)
    voices = re.compile(package.voices, re.IGNORECASE)
    found = [path for path in files if wanted.search(str(path)) and not voices.search(str(path.relative_to(packages)))]
    if not found:
        raise SystemExit(f"{packages / name}: no sounds of this package below it")
    kept = [found[index] for index in sorted(np.random.default_rng(5).permutation(len(found))[: package.most])]
    return [(path, held_out if package.held_out(path.name) else output) for path in kept]


def link(path: Path, folder: Path) -> None:
    """Link a file into a folder, under a name with that of its own folder."""
    folder.mkdir(parents=True, exist_ok=True)
    to = folder / f"{path.parent.name}-{path.name}".replace(" ", "-")
    to.unlink(missing_ok=True)
    to.symlink_to(path.resolve())


def cut(path: Path, folder: Path) -> None:
    """Write excerpts of a piece of music, evenly spread over it."""
    folder.mkdir(parents=True, exist_ok=True)
    audio, rate = soundfile.read(path, dtype="float32", always_2d=True)
    mono = soxr.resample(audio.mean(axis=1), rate, RATE)
    length = min(EXCERPT_S * RATE, len(mono))
    for number, start in enumerate(np.linspace(0, len(mono) - length, EXCERPTS + 2)[1:-1].astype(int)):
        soundfile.write(folder / f"{path.stem}-{number}.wav".replace(" ", "-"), mono[start : start + length], RATE)


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
