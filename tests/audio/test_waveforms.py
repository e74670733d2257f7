"""Audio given from Python: a path, arrays, tensors and lists of the same sound give the same samples."""

import warnings

import numpy as np
import pytest
import soundfile
import torch
from making import RATE, babble, noise

from babyhubert.audio.waveforms import load_audio, open_audio
from babyhubert.errors import AudioError, ReadingWarning


def read(audio, sampling_rate=None, **keywords) -> np.ndarray:
    with open_audio(audio, sampling_rate, **keywords) as opened:
        blocks = list(opened.blocks)
    samples = np.concatenate(blocks) if blocks else np.empty(0, np.float32)
    assert opened.exact
    assert opened.n_samples == len(samples)
    return samples


def stereo(rate: int, seconds: float = 3.3) -> np.ndarray:
    """int16, shape (n, 2)."""
    frames = round(seconds * rate)
    left, right = babble(frames, rate), noise(frames, level=0.05)
    return np.round(np.stack([left, right], axis=1) * 32_767).astype(np.int16)


@pytest.mark.parametrize("rate", [8_000, RATE, 44_100, 48_000])
@pytest.mark.parametrize("channel", ["mean", "first", "loudest", 1])
def test_a_file_and_its_samples_give_the_same_numbers(tmp_path, rate, channel):
    samples = stereo(rate)
    soundfile.write(tmp_path / "a.wav", samples, rate)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ReadingWarning)
        want = read(tmp_path / "a.wav", channel=channel)
    forms = {
        "int16": samples.T,
        "int32": samples.T.astype(np.int32) << 16,
        "float32": soundfile.read(tmp_path / "a.wav", dtype="float32")[0].T,
        "float64": soundfile.read(tmp_path / "a.wav")[0].T,
        "big-endian": samples.T.astype(">i2"),
        "tensor": torch.from_numpy(samples.T.copy()),
        "tensor with a gradient": torch.from_numpy(soundfile.read(tmp_path / "a.wav")[0].T.copy()).requires_grad_(),
        "lists": soundfile.read(tmp_path / "a.wav")[0].T.tolist(),
        "list of arrays": list(soundfile.read(tmp_path / "a.wav", dtype="float32")[0].T),
    }
    for name, form in forms.items():
        np.testing.assert_array_equal(read(form, rate, channel=channel), want, err_msg=name)


def test_one_channel_in_every_shape():
    sound = babble(RATE, RATE)
    for form in (sound, sound[None], torch.from_numpy(sound), torch.from_numpy(sound)[None], sound.tolist()):
        np.testing.assert_array_equal(read(form, RATE), sound)
    np.testing.assert_allclose(read(torch.from_numpy(sound).bfloat16(), RATE), sound, atol=2e-3)
    np.testing.assert_array_equal(read(np.full(500, 192, np.uint8), RATE), np.full(500, 0.5, np.float32))


def test_whole_numbers_in_floating_point_are_scaled_with_a_warning():
    sound = np.round(babble(RATE, RATE) * 32_767)
    with pytest.warns(ReadingWarning, match="read as 16-bit numbers"):
        np.testing.assert_allclose(read(sound.astype(np.float32), RATE), babble(RATE, RATE), atol=3e-5)


def test_a_missing_rate_is_warned_about_and_taken_as_16_khz():
    sound = babble(RATE, RATE)
    with pytest.warns(ReadingWarning, match="no sampling_rate.*16000") as caught:
        np.testing.assert_array_equal(read(sound), sound)
    assert caught[0].filename == __file__


@pytest.mark.parametrize(
    ("audio", "message"),
    [
        (np.array([0.0, np.nan, 0.1, np.inf]), "NaN or infinite at 2 of 4 positions, the first at index 1"),
        (np.zeros((480, 2)), r"\(480, 2\), which looks like \(samples, channels\): give array.T"),
        (np.zeros((2, 2, 480)), r"shape \(2, 2, 480\)"),
        (np.zeros((32, 480)), "32 channels, at most 16"),
        (np.zeros(()), r"shape \(\)"),
        (np.zeros(480, dtype=np.int64), "int64, which has no full scale"),
        (np.zeros(480, dtype=bool), "bool"),
        (np.zeros(480, dtype=complex), "complex"),
        ([[0.0, 0.1], [0.0]], "different lengths"),
        (["a.wav", "b.wav"], "give a path"),
        (None, "give a path"),
        (object(), "give a path"),
    ],
)
def test_what_is_no_audio_is_refused(audio, message):
    with pytest.raises(AudioError, match=message):
        read(audio, RATE)


@pytest.mark.parametrize("rate", [0, -1, 44_100.5, True, "16k", float("nan"), float("inf")])
def test_impossible_rates_are_refused(rate):
    with pytest.raises(AudioError, match="sampling_rate is"):
        read(np.zeros(480), rate)


def test_rates_of_other_types_are_taken():
    sound = babble(RATE, RATE)
    np.testing.assert_array_equal(read(sound, np.int64(RATE)), read(sound, 16_000.0))


def test_a_rate_given_with_a_file_must_be_the_file_s(tmp_path):
    soundfile.write(tmp_path / "a.wav", babble(RATE, RATE), RATE)
    np.testing.assert_array_equal(read(tmp_path / "a.wav", RATE), read(str(tmp_path / "a.wav")))
    with pytest.raises(AudioError, match="has 16000 Hz, and sampling_rate is 8000"):
        read(tmp_path / "a.wav", 8_000)


def test_no_samples_give_no_blocks():
    assert len(read(np.zeros(0), RATE)) == 0
    assert len(read(np.zeros((2, 0)), 44_100)) == 0


def test_progress_ends_at_the_length(tmp_path):
    soundfile.write(tmp_path / "a.wav", np.tile(babble(RATE, RATE), 70), RATE)
    for audio, rate in ((tmp_path / "a.wav", None), (np.tile(babble(44_100, 44_100), 70), 44_100)):
        seen: list[tuple[float, float]] = []
        read(audio, rate, progress=lambda done, total, seen=seen: seen.append((done, total)))
        assert len(seen) > 2
        assert [done for done, _ in seen] == sorted(done for done, _ in seen)
        assert {total for _, total in seen} == {70.0}
        assert seen[-1] == (70.0, 70.0)


def test_oddities_of_a_file_are_warned_about(tmp_path):
    soundfile.write(tmp_path / "a.wav", babble(8_000, 8_000), 8_000)
    with pytest.warns(ReadingWarning, match=r"a\.wav: 8 kHz: nothing above 4 kHz"):
        read(tmp_path / "a.wav")


class TestLoadAudio:
    def test_a_part_is_that_part_of_the_recording(self, tmp_path):
        soundfile.write(tmp_path / "a.wav", stereo(44_100), 44_100)
        whole = load_audio(tmp_path / "a.wav")
        np.testing.assert_array_equal(whole, read(tmp_path / "a.wav"))
        assert whole.dtype == np.float32
        np.testing.assert_allclose(
            load_audio(tmp_path / "a.wav", start=1.25, stop=2.5), whole[20_000:40_000], atol=1e-6
        )
        np.testing.assert_array_equal(
            load_audio(str(tmp_path / "a.wav"), channel="first"), read(tmp_path / "a.wav", channel="first")
        )

    @pytest.mark.parametrize(
        ("times", "message"),
        [
            ({"start": 5.0}, "lasts 3.3 s, so that nothing begins at 5 s"),
            ({"start": -1.0}, "start is -1.0"),
            ({"start": 2.0, "stop": 1.0}, "before start"),
            ({"stop": float("nan")}, "stop is nan"),
        ],
    )
    def test_impossible_parts_are_refused(self, tmp_path, times, message):
        soundfile.write(tmp_path / "a.wav", stereo(RATE), RATE)
        with pytest.raises(AudioError, match=message):
            load_audio(tmp_path / "a.wav", **times)
