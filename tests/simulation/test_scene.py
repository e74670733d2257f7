"""A scene's sound and truth agree, whatever the blocks."""

from __future__ import annotations

import tracemalloc
from dataclasses import dataclass, replace
from itertools import islice, pairwise

import numpy as np
import pytest

from babyhubert.annotation.intervals import complement, intersect, total
from babyhubert.audio.acoustics import band, convolve, fast_size, room_response
from babyhubert.errors import ConfigError
from babyhubert.simulation.noise import passing_noises
from babyhubert.simulation.scene import SceneConfig, simulate_scene
from babyhubert.simulation.utterances import Cast, Utterance
from babyhubert.simulation.voices import SyntheticVoices


def scene(seed: int = 0, index: int = 0, **settings):
    return simulate_scene(SceneConfig(**settings), SyntheticVoices(), np.random.default_rng(seed), index)


@pytest.mark.parametrize("block", [160_000, 1_000, 7_777, 333_333, 10_000_000])
def test_block_size_does_not_matter(block):
    simulated = scene(minutes=0.6)
    whole = simulated.render()
    blocks = list(simulated.blocks(block))
    assert len(whole.waveform) == len(simulated) == 576_000
    assert all(len(b.waveform) == block for b in blocks[:-1])
    np.testing.assert_array_equal(np.concatenate([b.waveform for b in blocks]), whole.waveform)
    assert [t.start for b in blocks for t in b.turns] == [t.start for t in whole.turns]


def test_the_seed_decides_everything():
    assert scene(3, minutes=0.3).render().waveform.tobytes() == scene(3, minutes=0.3).render().waveform.tobytes()
    assert scene(3, minutes=0.3).render().waveform.tobytes() != scene(4, minutes=0.3).render().waveform.tobytes()


def test_truth_is_where_the_energy_is():
    quiet = {"television_share": 0.0, "knocks_per_minute": 0.0, "noises_per_minute": 0.0}
    simulated = scene(5, minutes=4.0, quietest_room_dbfs=-62.0, loudest_room_dbfs=-60.0, **quiet)
    waveform, turns = simulated.render()
    segments = simulated.segments()
    for turn in turns:
        assert turn.start % 16 == 0
        assert turn.end <= len(simulated)
    frames = len(waveform) // 160
    energy = np.sqrt(np.square(waveform[: frames * 160].reshape(frames, 160)).mean(axis=1))
    covered = np.zeros(len(waveform), dtype=bool)
    for start, end, _ in segments:
        covered[start:end] = True
    share = covered[: frames * 160].reshape(frames, 160).mean(axis=1)
    loud = energy > 10 ** (-45 / 20)
    assert loud[share == 1].mean() > 0.85  # the rest is closures of stops
    ends = np.concatenate([[0], segments.end])
    tail = ends[np.searchsorted(np.sort(ends), np.arange(frames) * 160, side="right") - 1]
    long_silent = (share == 0) & (np.arange(frames) * 160 - tail > 8_000)
    assert loud[long_silent].mean() < 0.01
    key_starts = [t.start for t in turns if t.label == "KCHI"]
    for start in key_starts:
        if not covered[max(0, start - 8_000) : start].any():
            assert np.abs(waveform[start : start + 800]).max() > 3 * np.abs(waveform[start - 400 : start]).max()


def test_people_take_turns_as_people_do():
    simulated = scene(6, minutes=10.0, overlap_share=0.3)
    segments, turns = simulated.segments(), list(simulated.turns())
    assert set(segments.labels) == {"KCHI", "OCH", "FEM", "MAL"}
    assert 0.19 < total(segments.start, segments.end) / len(simulated) < 0.31
    edges = np.concatenate([segments.start, segments.end])
    steps = np.repeat([1, -1], len(segments))
    order = np.lexsort((steps, edges))
    assert np.cumsum(steps[order]).max() == 2
    for speaker in {turn.speaker_id for turn in turns}:
        own = [turn for turn in turns if turn.speaker_id == speaker]
        assert all(before.end < after.start for before, after in pairwise(own))
    assert total(*intersect(segments.intervals("KCHI"), segments.intervals("FEM"))) > 0
    assert complement(*segments.intervals(), len(simulated))[0].size > 10


def test_adults_have_addressees_and_children_none():
    turns = list(scene(7, minutes=12.0).turns())
    assert {turn.addressee for turn in turns if turn.label in {"FEM", "MAL"}} == {"KCDS", "OCDS", "ADS"}
    assert {turn.addressee for turn in turns if turn.label in {"KCHI", "OCH"}} == {""}


def test_short_scenes_hold_several_kinds_of_people():
    assert all(len(scene(seed, minutes=1.0).segments().labels) >= 2 for seed in range(5))


def test_the_key_child_is_loudest():
    levels = {"KCHI": [], "OCH": [], "FEM": [], "MAL": []}
    for index in range(3):
        for turn in scene(8, index, minutes=4.0).turns():
            levels[turn.label].append(
                20 * np.log10(np.square(turn.waveform[: len(turn.utterance.waveform)]).mean()) / 2
            )
    means = {label: np.mean(values) for label, values in levels.items()}
    assert all(means["KCHI"] > means[label] + 3 for label in ("OCH", "FEM", "MAL"))


def test_nothing_clips_unless_asked():
    quiet = scene(9, minutes=3.0, speech_share=0.5, overlap_share=0.5, knocks_per_minute=20.0)
    assert np.abs(quiet.render().waveform).max() < 0.999
    loud = simulate_scene(replace(quiet.config, clipping_share=1.0), SyntheticVoices(), np.random.default_rng(9))
    assert np.count_nonzero(np.abs(loud.render().waveform) == 1.0) > 100


def test_another_recording_has_other_people():
    names = [{turn.speaker_id for turn in scene(0, index, minutes=2.0).turns()} for index in (0, 1)]
    assert not names[0] & names[1]


def test_television_talks_without_a_label():
    silent = scene(10, minutes=1.0, television_share=0.0)
    talking = scene(10, minutes=1.0, television_share=1.0)
    assert silent.segments() == talking.segments()
    added = talking.render().waveform - silent.render().waveform
    assert np.sqrt(np.square(added).mean()) > 1e-3


def test_passing_noises_come_at_their_rate_and_level_and_end():
    rng = np.random.default_rng(3)
    noises = list(islice(passing_noises(6.0, -50.0, -40.0, rng), 200))
    starts = np.array([start for start, _ in noises])
    assert (np.diff(starts) >= 0).all()
    assert starts[-1] / 16_000 / 60 == pytest.approx(200 / 6.0, rel=0.25)
    for _, noise in noises:
        assert 16_000 <= len(noise) <= 12 * 16_000
        assert abs(noise[0]) < 1e-4
        assert abs(noise[-1]) < 1e-4
        half_seconds = noise[: len(noise) // 8_000 * 8_000].reshape(-1, 8_000)
        assert -54 < 10 * np.log10(np.square(half_seconds).mean(axis=1).max()) < -28
    assert next(passing_noises(0.0, -50.0, -40.0, rng), None) is None


def test_memory_does_not_grow_with_length():
    def peak(minutes: float) -> int:
        simulated = scene(11, minutes=minutes)
        tracemalloc.start()
        try:
            for _ in simulated.blocks():
                pass
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    assert peak(6.0) < 1.5 * peak(1.0)


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"minutes": 0.0}, "minutes"),
        ({"minutes": float("nan")}, "minutes"),
        ({"speech_share": 0.9}, "speech_share"),
        ({"overlap_share": -0.1}, "overlap_share"),
        ({"knocks_per_minute": -1.0}, "knocks"),
        ({"noises_per_minute": -1.0}, "noises"),
        ({"loudest_room_dbfs": -10.0}, "room"),
        ({"levels_dbfs": {"KCHI": -20.0}}, "FEM"),
    ],
)
def test_impossible_settings_are_named(settings, named):
    with pytest.raises(ConfigError, match=named):
        SceneConfig(**settings)


def test_room_response_decays_and_has_unit_energy():
    response = room_response(0.4, 3.0, np.random.default_rng(0))
    assert np.square(response).sum() == pytest.approx(1.0, rel=1e-4)
    assert response[0] == np.abs(response).max()
    early, late = response[100:1_000], response[-900:]
    assert np.square(early).sum() > 1e4 * np.square(late).sum()


def test_convolution_is_convolution():
    rng = np.random.default_rng(0)
    b = rng.standard_normal(77).astype(np.float32)
    for length in (1, 77, 563, 564, 565, 5_000):  # a block holds 564 samples
        a = rng.standard_normal(length).astype(np.float32)
        np.testing.assert_allclose(convolve(a, b), np.convolve(a, b), atol=1e-3)
    for length in (1, 2, 3, 5, 6, 7, 1_000, 160_001):
        assert length <= fast_size(length) < 1.7 * length + 2


def test_band_passes_the_middle():
    response = np.abs(np.fft.rfft(band(300.0, 4_500.0)))
    hertz = np.linspace(0, 8_000, len(response))
    assert np.all(response[(hertz > 600) & (hertz < 3_500)] > 0.9)
    assert np.all(response[(hertz < 50) | (hertz > 6_500)] < 0.1)


@dataclass(frozen=True)
class Bursts:
    """A speaker who says half a second of noise: quick to draw."""

    speaker_id: str

    def utter(self, rng, *, to_child=False):
        del to_child
        return Utterance.from_clean(rng.standard_normal(8_000).astype(np.float32))


class BurstVoices:
    """A key child, two others, two women and two men, in every recording."""

    def cast(self, index, rng):
        del index, rng
        child, first, second, woman, other, man, fellow = map(Bursts, "abcdefg")
        return Cast(child, (first, second), (woman, other), (man, fellow))


def burst_turns(seed, **settings):
    config = SceneConfig(minutes=1.0, speech_share=0.5, **settings)
    return list(simulate_scene(config, BurstVoices(), np.random.default_rng(seed)).turns())


def test_independent_levels_bring_adults_to_the_microphone_and_keep_children_in_order():
    def level(turn):
        return 20 * np.log10(np.sqrt(np.square(turn.waveform[:8_000]).mean()))

    def louder_than_key_child(levels):
        found = {label: [] for label in ("OCH", "FEM", "MAL")}
        for seed in range(12):
            turns = burst_turns(seed, levels=levels)
            key = np.median([level(turn) for turn in turns if turn.label == "KCHI"])
            for turn in turns:
                if turn.label != "KCHI":
                    found[turn.label].append(level(turn) > key)
        return {label: np.mean(louder) for label, louder in found.items()}

    typical, independent = louder_than_key_child("typical"), louder_than_key_child("independent")
    for adult in ("FEM", "MAL"):
        assert typical[adult] < 0.05
        assert 0.15 < independent[adult] < 0.6
    assert independent["OCH"] < 0.1


def test_monologues_are_turns_of_one_adult_in_a_row():
    def in_a_row(share):
        turns = burst_turns(2, monologue_share=share, interjection_share=0.0)
        assert {turn.addressee for turn in turns if turn.label in ("FEM", "MAL")} <= {"ADS", "KCDS", "OCDS"}
        return np.mean([a.speaker_id == b.speaker_id and a.label in ("FEM", "MAL") for a, b in pairwise(turns)])

    assert in_a_row(1.0) > 0.7
    assert in_a_row(0.0) < 0.4


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"levels": "loud"}, "levels = 'loud': one of typical, independent"),
        ({"monologue_share": 1.5}, "monologue_share"),
        ({"backgrounds_per_minute": -1.0}, "backgrounds_per_minute"),
    ],
)
def test_impossible_people_and_backgrounds_are_named(wrong, words):
    with pytest.raises(ConfigError, match=words):
        SceneConfig(**wrong)
