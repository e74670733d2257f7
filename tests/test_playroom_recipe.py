"""The recipe of the package's model: every command of it exists, in an order in which each finds what it reads.

The trainings themselves take a day; here a program stands for `babyhubert` that notes its arguments. What the recipe
does besides calling it is run for real, on a few made-up sounds.
"""

from __future__ import annotations

import csv
import os
import runpy
import shlex
import struct
import subprocess
import sys
import zipfile
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

from babyhubert.config import read_config
from babyhubert.training.settings import FinetuningSettings
from commands import parse

CONFIGS = Path(__file__).parents[1] / "configs"
playroom_sounds = SimpleNamespace(**runpy.run_path(str(CONFIGS / "playroom_sounds.py")))
RATE = 16_000

STAND_IN = """#!{python}
import os, pathlib, shlex, sys
words = sys.argv[1:]
with open({log!r}, "a") as log:
    print(shlex.join(words), file=log)
out = pathlib.Path(words[words.index("-o") + 1]) if "-o" in words else pathlib.Path(words[-1])
for folder in ("rttm", "audio"):
    (out / folder).mkdir(parents=True, exist_ok=True)
(out / "rttm" / "scene.rttm").write_text("")
"""


PLAYER = """#!/bin/sh
for word; do [ "$last" = -F ] && out=$word; last=$word; done
cp "{sound}" "$out"
"""


def voice(hertz: float, seed: int) -> np.ndarray:
    """Two seconds of harmonics with pauses around, of slightly different spectra."""
    rng, time = np.random.default_rng(seed), np.arange(2 * RATE) / RATE
    tone = sum(rng.uniform(0.3, 1) / k * np.sin(2 * np.pi * k * hertz * time) for k in range(1, 12))
    return np.pad(0.1 * tone, RATE) + 1e-4 * rng.standard_normal(4 * RATE)


SOUNDS = {
    "widelands-data": ("data/sound/smiths/smith_00.ogg", "data/sound/taverns/inn_00.ogg", "data/music/menu.ogg"),
    "wesnoth-1.16-data": ("sounds/wolf-hit-1.ogg", "sounds/human-hit-1.ogg"),
    "wesnoth-1.16-music": ("music/battle.ogg",),
    "lincity-ng-data": ("sounds/Mill1.wav", "sounds/MarketLow1.wav"),
    "minetest-data": ("sounds/door.ogg",),
    "supertux-data": ("sounds/brick.wav",),
    "sound-theme-freedesktop": ("stereo/bell.oga", "stereo/audio-channel-left.oga"),
    "sound-icons": ("piano-3.wav",),
    "hydrogen-drumkits": ("kit/snare.flac",),
    "torcs-data": ("data/sound/nsx.wav", "data/sound/viper.wav"),
    "tuxpaint-stamps-default": ("stamps/animals/cow.ogg", "stamps/animals/dog.ogg", "stamps/symbols/math/7.ogg"),
    "supertuxkart-data": ("data/sfx/cow.ogg", "data/music/farm.ogg"),
}
WORDS = {
    ("tuxpaint-stamps-default", "stamps/animals/{}_desc_bg.ogg"): 120.0,
    ("tuxpaint-stamps-default", "stamps/animals/{}_desc_lt.ogg"): 158.0,
    ("ktuberling-data", "ktuberling/sounds/es/{}.wav"): 210.0,
    ("ktuberling-data", "ktuberling/sounds/uk/{}.wav"): 220.0,
}


def write_packages(folder: Path) -> None:
    """Packages as they are after unpacking: sounds, and words of a man, of two women, and of one who can be either."""
    for name, paths in SOUNDS.items():
        for path in paths:
            write_sound(folder / name / path, voice(400, 1))
    for (name, path), hertz in WORDS.items():
        for number in range(6):
            write_sound(folder / name / path.format(f"word{number}"), voice(hertz + number, number))
    for path in ("0ad-data/public.zip", "fluid-soundfont-gm/FluidR3_GM.sf2"):
        (folder / path).parent.mkdir(parents=True)
        (folder / path).write_bytes(b"")


def write_sound(path: Path, audio: np.ndarray) -> None:
    """Write audio in the format of the name."""
    path.parent.mkdir(parents=True, exist_ok=True)
    kind = "OGG" if path.suffix in {".ogg", ".oga"} else path.suffix[1:].upper()
    soundfile.write(path, audio, RATE, format=kind)


@pytest.fixture(scope="module")
def corpora(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("corpora")
    for name in ("playroom", "utterances", "cries/audio", "real/ami/rttm", "adults"):
        (folder / name).mkdir(parents=True)
    (folder / "utterances/utterances.csv").write_text(
        "utterance_id,path,speaker_id,voice,age_years,duration_s,phones\n1,audio/1.opus,so1,CHI,6,2.5,b a\n"
    )
    (folder / "real/ami/rttm/meeting.rttm").write_text("")
    for number, hertz in enumerate([*np.linspace(100, 135, 12), *np.linspace(190, 260, 14), 158.0]):
        soundfile.write(folder / f"adults/{number:02d}.wav", voice(hertz, number), RATE)
    for kind in ("dog-bark", "chainsaw", "rooster", "baby-cry"):
        (folder / "real/sounds" / kind).mkdir(parents=True)
        for clip in ("1-a", "2-b", "4-c"):
            soundfile.write(folder / f"real/sounds/{kind}/{clip}-{kind}.opus", voice(400, 1), RATE, format="OGG")
    write_packages(folder / "packages")
    animals = {"actor/fauna": ("cattle_01", "pig_10")}
    with zipfile.ZipFile(folder / "packages/0ad-data/public.zip", "w") as packed:
        for place, names in (dict.fromkeys(playroom_sounds.FOLDERS, ("sound",)) | animals).items():
            for name in names:
                packed.write(folder / "real/sounds/chainsaw/1-a-chainsaw.opus", f"audio/{place}/{name}.ogg")
    return folder


@pytest.fixture(scope="module")
def run(corpora, tmp_path_factory) -> tuple[Path, list[list[str]]]:
    """Folder of the work, and the arguments of every command in order."""
    folder = tmp_path_factory.mktemp("recipe")
    log, program, work = folder / "log", folder / "babyhubert", folder / "work"
    program.write_text(STAND_IN.format(python=sys.executable, log=str(log)))
    player = folder / "fluidsynth"
    player.write_text(PLAYER.format(sound=corpora / "adults/00.wav"))
    for made in (program, player):
        made.chmod(0o755)
    done = subprocess.run(
        [CONFIGS / "playroom.sh", corpora, work, "--set", "machine.device=cpu"],
        env=os.environ
        | {"BABYHUBERT": str(program), "PYTHON": sys.executable, "PATH": f"{folder}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return work, [shlex.split(line) for line in log.read_text().splitlines()]


def test_every_command_of_the_recipe_exists(run):
    _, commands = run
    assert len(commands) > 30
    for words in commands:
        parse(words)


def test_every_training_has_its_configuration_and_the_options_given(run):
    _, commands = run
    trainings = [words for words in commands if words[0] == "finetune"]
    assert [Path(words[2]).stem for words in trainings].count("playroom") == 2
    for words in trainings:
        assert words[-2:] == ["--set", "machine.device=cpu"]
        changes = [value for key, value in pairwise(words) if key == "--set"]
        read_config(Path(words[2]), FinetuningSettings, changes)


def test_every_folder_of_scenes_that_a_training_reads_was_made_before(run):
    _, commands = run
    made: set[str] = set()
    for words in commands:
        if words[0] == "finetune":
            text = Path(words[2]).read_text(encoding="utf-8")
            read = {part for part in text.split('"') if part.startswith(("simulated/", "scenes/"))}
            assert {"/".join(part.split("/")[:2]) for part in read} <= made
        elif "-o" in words:
            made.add(words[words.index("-o") + 1])


def test_held_out_sounds_are_in_no_training_and_cries_have_a_reference(run):
    work, _ = run
    learnt = {path.name for folder in ("no-voice", "infants") for path in (work / "sounds" / folder).rglob("*.opus")}
    held = {path.name for path in (work / "sounds/held-out").rglob("*.opus")}
    assert {name[0] for name in learnt} == {"1", "2"}
    assert {name[0] for name in held} == {"4"}
    assert len(held) == 4
    assert {path.stem for path in (work / "reference").iterdir()} >= {Path(name).stem for name in held}
    assert (work / "reference/4-c-dog-bark.rttm").read_text() == ""
    (line, *more) = (work / "reference/4-c-baby-cry.rttm").read_text().splitlines()
    assert not more
    onset, duration = map(float, line.split()[3:5])
    assert onset == pytest.approx(1.0, abs=0.1)
    assert duration == pytest.approx(2.0, abs=0.2)
    assert (work / "reference/day-dog-bark.rttm").read_text() == ""
    days = {path.name for path in (work / "reference-days").iterdir()}
    assert days == {path.name for path in (work / "reference").iterdir() if not path.name.startswith("4-")}
    in_day = float((work / "reference/day-baby-cry.rttm").read_text().split()[3])
    assert in_day == pytest.approx(onset + 12, abs=0.01)
    day, rate = soundfile.read(work / "days/day-baby-cry.flac")
    loud = np.flatnonzero(np.abs(day) > 0.05) / rate
    assert loud[0] == pytest.approx(in_day, abs=0.1)
    assert len(day) / rate == pytest.approx(12 + 4 + 12, abs=0.1)


def test_lone_voices_are_links_to_men_and_women_of_the_table(run):
    work, _ = run
    assert {path.stem for path in (work / "voices-alone/MAL").iterdir()} == {f"{n:02d}" for n in range(12)}
    link = work / "voices-alone/FEM/12.flac"
    assert link.resolve() == (work / "adults/audio/12.flac").resolve()
    assert soundfile.info(link).duration > 1


def test_what_is_taken_for_a_voice_is_learnt_from_more_often(run):
    work, _ = run
    for folder, chainsaws in (("no-voice", 2), ("no-voice-2", 4)):
        clips = [path.name for path in (work / "sounds" / folder).rglob("*.opus")]
        assert clips.count("1-a-chainsaw.opus") == chainsaws
        assert clips.count("1-a-rooster.opus") == 2
        assert clips.count("1-a-dog-bark.opus") == 1


def test_men_and_women_are_told_by_pitch_and_what_lies_between_is_left_out(run):
    work, _ = run
    with (work / "people.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    own = [row for row in rows if row["path"].startswith("adults")]
    assert [row["speaker_id"] for row in rows if row not in own] == ["so1"]
    assert {row["utterance_id"] for row in own if row["voice"] == "MAL"} == {f"{n:02d}" for n in range(12)}
    assert {row["utterance_id"] for row in own if row["voice"] == "FEM"} == {f"{n:02d}" for n in range(12, 26)}
    for row in own:
        assert soundfile.info(work / row["path"]).duration == pytest.approx(float(row["duration_s"]), abs=1e-3)
        assert float(row["duration_s"]) == pytest.approx(2.0, abs=0.3)


def test_animals_and_instruments_that_are_held_out_are_in_no_training(run):
    work, _ = run
    learnt = {path.name for path in (work / "sounds/no-voice-3/actor-fauna").iterdir()}
    held = {path.name for path in (work / "sounds/packages-held-out/actor-fauna").iterdir()}
    assert (learnt, held) == ({"cattle_01.ogg"}, {"pig_10.ogg"})
    for kinds in ("no-voice-3", "no-voice-4"):
        assert len(list((work / "sounds" / kinds).rglob("1-a-chainsaw.opus"))) == 4
    assert len(list((work / "sounds/no-voice-3/music").iterdir())) == playroom_sounds.MELODIES


def names_in(folder: Path) -> set[str]:
    """Names of the files in a folder."""
    return {path.name for path in folder.iterdir()}


def test_sounds_of_packages_are_learnt_or_held_out_and_those_with_people_left_out(run):
    sounds = run[0] / "sounds"
    for package in ("tuxpaint-stamps-default", "torcs-data"):
        assert len(names_in(sounds / "no-voice-4" / package)) == 1
        assert len(names_in(sounds / "packages-held-out" / package)) == 1
        assert names_in(sounds / "no-voice-4" / f"{package}-again-2") == names_in(sounds / "no-voice-4" / package)
    assert names_in(sounds / "no-voice-4/lincity-ng-data") == {"sounds-Mill1.wav"}
    assert names_in(sounds / "no-voice-4/widelands-data") == {"smiths-smith_00.ogg"}
    assert names_in(sounds / "no-voice-4/wesnoth-1.16-data") == {"sounds-wolf-hit-1.ogg"}
    assert names_in(sounds / "no-voice-4/sound-theme-freedesktop") == {"stereo-bell.oga"}
    assert len(names_in(sounds / "no-voice-4/wesnoth-1.16-music-music")) == playroom_sounds.EXCERPTS
    assert not list((sounds / "no-voice-4").glob("supertuxkart*"))
    assert not list((sounds / "no-voice-3").glob("tuxpaint*"))
    for link in (sounds / "no-voice-4").rglob("*"):
        assert link.exists(), link


def test_words_become_utterances_of_men_and_women_and_some_languages_are_held_out(run):
    work, _ = run
    learnt, held = (
        list(csv.DictReader((work / "spoken" / name).open(encoding="utf-8")))
        for name in ("utterances.csv", "held-out.csv")
    )
    assert {(row["speaker_id"], row["voice"]) for row in learnt} == {("tuxpaint-bg", "MAL"), ("ktuberling-es", "FEM")}
    assert {(row["speaker_id"], row["voice"]) for row in held} == {("ktuberling-uk", "FEM")}
    for row in learnt:
        info = soundfile.info(work / "spoken" / row["path"])
        assert (info.samplerate, info.channels) == (RATE, 1)
        assert info.duration == pytest.approx(float(row["duration_s"]), abs=1e-3)
    everybody = list(csv.DictReader((work / "everybody.csv").open(encoding="utf-8")))
    assert {"so1", "tuxpaint-bg", "ktuberling-es"} < {row["speaker_id"] for row in everybody}
    assert "ktuberling-uk" not in {row["speaker_id"] for row in everybody}
    alone = {path.name for path in (work / "voices-alone-2").rglob("tuxpaint-*")}
    assert alone == {f"{row['utterance_id']}.flac" for row in learnt if row["voice"] == "MAL"}
    assert len(list((work / "voices-alone-2/CHI").iterdir())) == 1


@pytest.mark.parametrize(
    ("number", "written"), [(0, "00"), (0x7F, "7f"), (0x80, "8100"), (0x3FFF, "ff7f"), (0x4000, "818000")]
)
def test_times_are_written_as_the_midi_specification_has_them(number: int, written: str):
    assert playroom_sounds.variable_length(number).hex() == written


@given(seed=st.integers(0, 10_000))
def test_a_piece_is_a_midi_file_of_the_instruments_given(seed: int):
    piece = playroom_sounds.piece([3, 70], np.random.default_rng(seed))
    kind, length, layout, tracks, ticks = struct.unpack(">4sIHHH", piece[:14])
    assert (kind, length, layout, ticks) == (b"MThd", 6, 1, 480)
    at, programs, notes = 14, set(), 0
    for _ in range(tracks):
        kind, length = struct.unpack(">4sI", piece[at : at + 8])
        track = piece[at + 8 : at + 8 + length]
        at += 8 + length
        assert (kind, track[-4:]) == (b"MTrk", b"\x00\xff\x2f\x00")
        first = track[1]
        if first & 0xF0 == 0xC0 and first != 0xC9:
            programs.add(track[2])
        notes += len(track) > 12
    assert at == len(piece)
    assert programs <= {3, 70}
    assert notes
