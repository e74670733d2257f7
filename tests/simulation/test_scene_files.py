"""Scenes on disk: exact, consistent, repeatable, and bad input named."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
import soundfile

from babyhubert.annotation.rttm import read_rttm
from babyhubert.annotation.text import read_speaker_ids
from babyhubert.errors import AnnotationError, AudioError, ConfigError, OutputError
from babyhubert.simulation.scene import SceneConfig, simulate_scene
from babyhubert.simulation.utterance_table import Casting, RecordedVoices, SpeakerChoice
from babyhubert.simulation.voices import SyntheticSpeaker
from babyhubert.simulation.writer import write_scenes
from babyhubert.timebase import seconds_to_samples

SETTINGS = {"recordings": 2, "minutes": 0.5, "seed": 1}


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def written(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("scenes")
    assert write_scenes(folder, **SETTINGS) == ["scene_000", "scene_001"]
    return folder


@pytest.fixture
def table(tmp_path) -> Path:
    """Two utterances of each of nine speakers, at 22.05 kHz, some in stereo."""
    rng = np.random.default_rng(0)
    lines = ["path,speaker_id,voice,duration_s,phones,extra"]
    for voice, kind, count in (("CHI", "toddler", 4), ("TEEN", "child", 1), ("FEM", "woman", 3), ("MAL", "man", 1)):
        for k in range(count):
            speaker = SyntheticSpeaker.draw(f"{voice}{k}", kind, rng)
            for j in range(2):
                sound = np.repeat(0.1 * speaker.utter(rng).waveform[:, None], 1 + j, axis=1)
                soundfile.write(tmp_path / f"{voice}{k}{j}.wav", sound, 22_050)
                lines.append(f"{voice}{k}{j}.wav,{voice}{k},{voice},{len(sound) / 22_050:.2f},b a ?,x")
    (tmp_path / "utterances.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return tmp_path / "utterances.csv"


def test_rttm_and_segments_say_the_same(written):
    table = rows(written / "segments.csv")
    for recording_id in ("scene_000", "scene_001"):
        from_csv = [
            (seconds_to_samples(float(r["start_s"])), seconds_to_samples(float(r["end_s"])), r["label"])
            for r in table
            if r["recording_id"] == recording_id
        ]
        assert from_csv
        assert list(read_rttm(written / "rttm" / f"{recording_id}.rttm")[recording_id]) == from_csv


def test_files_hold_the_exact_truth(written):
    from babyhubert.simulation.voices import SyntheticVoices

    config = SceneConfig(minutes=0.5)
    simulated = simulate_scene(config, SyntheticVoices(), np.random.default_rng([1, 1]), 1)
    assert read_rttm(written / "rttm/scene_001.rttm")["scene_001"] == simulated.segments()
    sound, rate = soundfile.read(written / "audio/scene_001.wav", dtype="float32")
    assert rate == 16_000
    np.testing.assert_allclose(sound, simulated.render().waveform, atol=1 / 32_768)


def test_audio_is_16_bit_mono(written):
    info = soundfile.info(written / "audio/scene_000.wav")
    assert (info.samplerate, info.channels, info.subtype, info.frames) == (16_000, 1, "PCM_16", 480_000)


def test_phonemes_have_times_inside_their_utterance(written):
    table = rows(written / "phonemes.csv")
    assert {row["recording_id"] for row in table} == {"scene_000", "scene_001"}
    for row in table:
        times = row["phone_times"].split()
        assert len(times) == len(row["phones"].split())
        if times:
            assert times[0].split("-")[0] == row["start_s"]
            assert abs(float(times[-1].split("-")[1]) - float(row["end_s"])) < 0.011


def test_recordings_table_and_settings(written):
    table = rows(written / "recordings.csv")
    assert [row["path"] for row in table] == ["audio/scene_000.wav", "audio/scene_001.wav"]
    assert {row["duration_s"] for row in table} == {"30.000"}
    assert {row["clipped_samples"] for row in table} == {"0"}
    settings = json.loads((written / "simulation.json").read_text(encoding="utf-8"))
    assert settings["seed"] == 1
    assert settings["scene"]["speech_share"] == 0.25
    assert not list(written.rglob(".partial*"))


def test_same_settings_same_bytes_and_more_recordings_keep_the_first(written, tmp_path):
    write_scenes(tmp_path / "a", **SETTINGS)
    write_scenes(tmp_path / "b", **{**SETTINGS, "recordings": 1})
    for name in ("audio/scene_000.wav", "rttm/scene_000.rttm", "segments.csv", "phonemes.csv", "recordings.csv"):
        assert (tmp_path / "a" / name).read_bytes() == (written / name).read_bytes()
    for name in ("audio/scene_000.wav", "rttm/scene_000.rttm"):
        assert (tmp_path / "b" / name).read_bytes() == (written / name).read_bytes()


def test_a_folder_with_something_else_is_refused(written, tmp_path):
    write_scenes(written, **SETTINGS)
    with pytest.raises(OutputError, match="other settings"):
        write_scenes(written, **{**SETTINGS, "seed": 2})
    (tmp_path / "audio").mkdir()
    with pytest.raises(OutputError, match="other recordings"):
        write_scenes(tmp_path, **SETTINGS)


@pytest.mark.parametrize(
    "wrong",
    [{"recordings": 0}, {"seed": -1}, {"prefix": "a b"}, {"prefix": "a/b"}, {"minutes": 0}, {"audio_format": "mp3"}],
)
def test_bad_settings(tmp_path, wrong):
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        write_scenes(tmp_path, **{**SETTINGS, **wrong})
    assert not list(tmp_path.iterdir())


def test_flac_and_progress(tmp_path):
    seen: list[tuple[str, int]] = []
    write_scenes(
        tmp_path, recordings=1, minutes=0.2, seed=0, audio_format="flac", progress=lambda *news: seen.append(news)
    )
    assert soundfile.info(tmp_path / "audio/scene_000.flac").frames == sum(samples for _, samples in seen) == 192_000


def test_recorded_utterances_become_scenes(table, tmp_path):
    ids = write_scenes(tmp_path / "out", recordings=2, minutes=1.0, seed=0, utterances=table)
    truth = rows(tmp_path / "out" / "segments.csv")
    assert {row["speaker_id"][:-1] for row in truth if row["label"] == "KCHI"} == {"CHI"}
    assert {row["speaker_id"][:-1] for row in truth if row["label"] == "OCH"} <= {"CHI", "TEEN"}
    assert len(ids) == len({row["speaker_id"] for row in truth if row["label"] == "KCHI"}) == 2
    phonemes = rows(tmp_path / "out" / "phonemes.csv")
    assert {row["phones"] for row in phonemes} == {"b a ?"}
    assert {row["phone_times"] for row in phonemes} == {""}


def test_no_child_is_two_people_in_one_recording(table):
    voices = RecordedVoices(table, seed=3)
    for index in range(12):
        cast = voices.cast(index, np.random.default_rng(index))
        names = [person.speaker_id for person in (cast.key_child, *cast.other_children, *cast.women, *cast.television)]
        assert len(names) == len(set(names))
    assert len({voices.cast(index, np.random.default_rng(0)).key_child.speaker_id for index in range(12)}) == 4


def test_speakers_of_a_test_set_stay_out(table, tmp_path):
    everybody = {row["speaker_id"] for row in rows(table)}
    kept_out = {name for name in everybody if name.endswith(("0", "1"))}
    named = tmp_path / "test.csv"
    named.write_text("speaker_id,note\n" + "".join(f"{name},\n" for name in sorted(kept_out)), encoding="utf-8")
    shared = {"recordings": 2, "minutes": 0.5, "seed": 0, "utterances": table}
    names = read_speaker_ids(named)
    assert names == kept_out
    write_scenes(tmp_path / "train", **shared, casting=Casting(SpeakerChoice(without=names)))
    write_scenes(tmp_path / "test", **shared, casting=Casting(SpeakerChoice(only=names)))
    heard = {part: {row["speaker_id"] for row in rows(tmp_path / part / "segments.csv")} for part in ("train", "test")}
    assert heard["train"]
    assert heard["train"] <= everybody - kept_out
    assert heard["test"]
    assert heard["test"] <= kept_out
    with pytest.raises(AnnotationError, match="none of the chosen speakers with the voice CHI"):
        RecordedVoices(table, casting=Casting(SpeakerChoice(only=frozenset())))
    with pytest.raises(ConfigError, match="synthetic voices are drawn"):
        write_scenes(tmp_path / "none", recordings=1, minutes=0.5, seed=0, casting=Casting(SpeakerChoice(only=names)))
    with pytest.raises(AnnotationError, match=r"nothing\.csv"):
        read_speaker_ids(tmp_path / "nothing.csv")


def test_changed_voices_keep_to_their_person_and_range(table):
    as_recorded = {u.path: len(u.load().waveform) for p in RecordedVoices(table)._dealt["FEM"] for u in p.utterances}
    voices = RecordedVoices(table, casting=Casting(voice_change=0.2, key_voice_change=0.4))
    casts = [voices.cast(0, np.random.default_rng(seed)) for seed in range(20)]
    woman_speeds = {woman.speed for cast in casts for woman in cast.women}
    assert len(woman_speeds) > 5
    assert all(0.8 <= speed <= 1.2 for speed in woman_speeds)
    assert max(abs(cast.key_child.speed - 1) for cast in casts) > 0.2
    woman = casts[0].women[0]
    for utterance in woman.utterances:
        assert len(utterance.load(woman.speed).waveform) == pytest.approx(
            as_recorded[utterance.path] / woman.speed, 0.02
        )


def test_anybody_may_wear_the_recorder_if_asked_but_nobody_is_two_people(table):
    def key_children(share: float) -> list[str]:
        voices, found = RecordedVoices(table, casting=Casting(wearer_share=share)), []
        for index in range(40):
            cast = voices.cast(index, np.random.default_rng(index))
            others = [*cast.other_children, *cast.women, *cast.men, *cast.television]
            assert cast.key_child.speaker_id not in {person.speaker_id for person in others}
            found.append(cast.key_child.speaker_id[:3])
        return found

    assert set(key_children(0.0)) == {"CHI"}
    assert 5 < sum(kind != "CHI" for kind in key_children(0.5)) < 35


def test_cries_replace_turns_of_the_key_child_alone(table, tmp_path):
    cry = tmp_path / "cries" / "cry.wav"
    cry.parent.mkdir()
    seconds = np.arange(3 * 16_000) / 16_000
    soundfile.write(cry, 0.3 * np.sin(2 * np.pi * 500 * seconds), 16_000)
    casting = Casting(cries=(cry,), cry_share=0.5)
    scene = simulate_scene(SceneConfig(minutes=4.0), RecordedVoices(table, casting=casting), np.random.default_rng(1))
    cries = [turn for turn in scene.turns() if abs(turn.end - turn.start - 48_000) < 500]
    key_turns = [turn for turn in scene.turns() if turn.label == "KCHI"]
    assert {turn.label for turn in cries} == {"KCHI"}
    assert 0.2 < len(cries) / len(key_turns) < 0.8
    assert {turn.utterance.phones for turn in cries} == {()}


def test_other_vocal_tracts_and_whispers_are_drawn_for_each_person(table):
    voices = RecordedVoices(table, casting=Casting(resonance_change=0.1, whisper_share=0.5))
    casts = [voices.cast(0, np.random.default_rng(seed)) for seed in range(20)]
    factors = {woman.resonances for cast in casts for woman in cast.women}
    assert len(factors) > 5
    assert all(0.9 <= factor <= 1.1 for factor in factors)
    woman = casts[0].women[0]
    rng = np.random.default_rng(0)
    said = [woman.utter(rng) for _ in range(40)]
    plain = [utterance.load(woman.speed, woman.resonances).waveform for utterance in woman.utterances]
    spoken = [
        any(len(one.waveform) == len(other) and np.allclose(one.waveform, other) for other in plain) for one in said
    ]
    assert 0.25 < np.mean(spoken) < 0.75
    for one in said:
        sounding = np.concatenate([one.waveform[a:b] for a, b in zip(*one.spans, strict=True)])
        assert np.sqrt(np.mean(np.square(sounding))) == pytest.approx(1, rel=1e-3)


@pytest.mark.parametrize(
    "wrong",
    [
        {"resonance_change": 0.6},
        {"whisper_share": 2.0},
        {"voice_change": 0.6},
        {"key_voice_change": -0.1},
        {"cry_share": 1.1},
        {"wearer_share": -1.0},
    ],
)
def test_impossible_casting_is_named(wrong):
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        Casting(**wrong)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("CHI00.wav,a,DOG,1,b", "line 20: voice 'DOG'"),
        ("nothing.wav,a,CHI,1,b", "line 20: .*nothing.wav does not exist"),
        ("CHI00.wav,,CHI,1,b", "line 20: speaker_id is empty"),
        ("CHI00.wav,a,CHI,long,b", "line 20: duration_s 'long'"),
        ("CHI00.wav,a,CHI", "line 20: duration_s ''"),
    ],
)
def test_a_bad_row_is_named(table, row, message):
    with table.open("a", encoding="utf-8") as file:
        file.write(row + "\n")
    with pytest.raises(AnnotationError, match=message):
        RecordedVoices(table)


def test_a_bad_table_is_named(table, tmp_path):
    with pytest.raises(AnnotationError, match=r"none\.csv"):
        RecordedVoices(tmp_path / "none.csv")
    table.write_text("path,voice\n", encoding="utf-8")
    with pytest.raises(AnnotationError, match="no column speaker_id, duration_s, phones"):
        RecordedVoices(table)
    table.write_text("path,speaker_id,voice,duration_s,phones\n", encoding="utf-8")
    with pytest.raises(AnnotationError, match="no speaker with the voice CHI"):
        RecordedVoices(table)


def test_damaged_or_silent_audio_is_named(table, tmp_path):
    (utterance,) = {u for p in RecordedVoices(table)._dealt["MAL"] for u in p.utterances if u.path.name == "MAL00.wav"}
    utterance.path.write_bytes(b"not audio")
    with pytest.raises(AudioError, match=r"line 18: .*MAL00\.wav"):
        utterance.load()
    soundfile.write(utterance.path, np.zeros(8_000), 16_000)
    with pytest.raises(AudioError, match="silent"):
        utterance.load()
