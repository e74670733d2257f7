"""Models called from Python: any form of the same sound gives the same result; embed and save_model."""

import json
import warnings

import numpy as np
import pytest
import soundfile
import torch
from making import RATE, babble
from task_models import write_task_model

import babyhubert
from babyhubert.errors import AnnotationError, AudioError, CheckpointError, ConfigError, OutputError, ReadingWarning
from commands import command, write_sounds


@pytest.fixture(scope="module")
def tasks(tmp_path_factory):
    return write_task_model(tmp_path_factory.mktemp("models") / "tasks", ["voice_type", "addressee", "phonemes"])


@pytest.fixture(scope="module")
def stereo(tmp_path_factory):
    """A file at 44.1 kHz with two channels, and its samples: int16, (2, n)."""
    path = tmp_path_factory.mktemp("audio") / "day.wav"
    frames = 44_100 * 7
    sound = np.stack([babble(frames, 44_100), 0.5 * babble(frames, 44_100, seed=1)])
    samples = np.round(sound * 32_767).astype(np.int16)
    soundfile.write(path, samples.T, 44_100)
    return path, samples


def forms(samples: np.ndarray) -> dict[str, object]:
    floating = samples / np.float32(32_768)
    return {
        "int16": samples,
        "float32": floating,
        "float64": floating.astype(np.float64),
        "tensor": torch.from_numpy(floating),
        "int16 tensor": torch.from_numpy(samples),
        "lists": floating.astype(np.float64).tolist(),
    }


def test_voice_types_do_not_depend_on_the_form_of_the_sound(tasks, stereo):
    path, samples = stereo
    model = babyhubert.load_model(tasks, task="voice-type", device="cpu")
    want = model(path)
    assert {"KCHI", "FEM"} & set(want.labels)
    assert list(model(str(path), 44_100)) == list(want)
    for name, form in forms(samples).items():
        assert list(model(form, sampling_rate=44_100)) == list(want), name
    mono = babyhubert.load_audio(path)
    assert list(model(mono, sampling_rate=RATE)) == list(want)
    with pytest.warns(ReadingWarning, match="no sampling_rate"):
        assert list(model(mono)) == list(want)
    np.testing.assert_array_equal(model.scores(samples, 44_100), model.scores(path))
    assert list(model(samples[0], 44_100)) == list(model(path, channel="first"))
    assert list(model(path, channel="first")) != list(model(path, channel=1))


def test_utterances_do_not_depend_on_the_form_of_the_sound(tasks, stereo):
    path, samples = stereo
    rows = babyhubert.Segments.from_rows([(8_000, 40_000, "KCHI"), (50_000, 96_000, "FEM"), (60_000, 90_000, "KCHI")])
    addressee = babyhubert.load_model(tasks, task="addressee", device="cpu")
    phonemes = babyhubert.load_model(tasks, task="phonemes", device="cpu")
    who, said = addressee(path, rows), phonemes(path, rows)
    assert said.columns["phonemes"].tolist() != ["", ""]
    for form in (samples, torch.from_numpy(samples / np.float32(32_768))):
        found = addressee(form, rows, sampling_rate=44_100)
        assert found.columns["addressee"].tolist() == who.columns["addressee"].tolist()
        np.testing.assert_array_equal(found.columns["p_ADS"], who.columns["p_ADS"])
        assert phonemes(form, rows, 44_100).columns["timed"].tolist() == said.columns["timed"].tolist()


def test_progress_is_told(tasks, stereo):
    seen = []
    babyhubert.load_model(tasks, task="voice-type", device="cpu")(stereo[0], progress=lambda *at: seen.append(at))
    assert seen[-1] == (7.0, 7.0)


def test_oddities_of_a_recording_are_warned_about(tasks, tmp_path):
    soundfile.write(tmp_path / "a.wav", np.zeros(10 * RATE), RATE)
    model = babyhubert.load_model(tasks, task="voice-type", device="cpu")
    with pytest.warns(ReadingWarning, match=r"a\.wav: every sample is 0"):
        model(tmp_path / "a.wav")
    with pytest.raises(AudioError, match="does not exist"):
        model(tmp_path / "none.wav")
    with pytest.raises(AudioError, match="NaN"):
        model(np.full(RATE, np.nan), RATE)
    assert len(model(np.zeros(0), RATE)) == 0


class TestEmbed:
    def test_frames_are_those_of_the_command(self, tasks, tmp_path):
        sounds = write_sounds(tmp_path / "audio", ["a.wav"], 23.0)
        done = command("embed", sounds, "-o", tmp_path / "out", "--model", tasks, "--layers", "0,2", "--device", "cpu")
        assert done.code == 0, done.err
        frames = babyhubert.embed(sounds / "a.wav", [2, 0], model=tasks, device="cpu")
        assert list(frames) == [2, 0]
        for layer, values in frames.items():
            assert values.dtype == np.float32
            np.testing.assert_array_equal(values, np.load(tmp_path / f"out/layer{layer}/a.npy"))
        samples = soundfile.read(sounds / "a.wav", dtype="float32")[0]
        again = babyhubert.embed(samples, 2, RATE, model=babyhubert.load_encoder(tasks))
        np.testing.assert_array_equal(again[2], frames[2])

    def test_vectors_of_segments_are_those_of_the_command(self, tasks, tmp_path):
        sounds = write_sounds(tmp_path / "audio", ["a.wav"], 23.0)
        rows = babyhubert.Segments.from_rows([(1_600, 40_000, "KCHI"), (300_800, 300_900, "FEM")])
        rows.to_rttm(tmp_path / "a.rttm")
        of_segments = ("--segments", tmp_path / "a.rttm", "--layers", "3", "--device", "cpu", "--model", tasks)
        assert command("embed", sounds, "-o", tmp_path / "out", *of_segments).code == 0
        vectors = babyhubert.embed(sounds / "a.wav", model=tasks, segments=rows, device="cpu")
        assert list(vectors) == [3]
        np.testing.assert_array_equal(vectors[3], np.load(tmp_path / "out/layer3.npy"))
        late = babyhubert.Segments.from_rows([(40 * RATE, 41 * RATE, "FEM")])
        with pytest.raises(AnnotationError, match="past the recording's last frame"):
            babyhubert.embed(sounds / "a.wav", model=tasks, segments=late, device="cpu")

    def test_a_short_sound_gives_what_transformers_gives(self, tasks):
        transformers = pytest.importorskip("transformers")
        sound = babble(3 * RATE, RATE)
        theirs = transformers.AutoModel.from_pretrained(tasks).eval()
        with torch.inference_mode():
            hidden = theirs(torch.from_numpy(sound)[None], output_hidden_states=True).hidden_states
        ours = babyhubert.embed(sound, [0, 1, 3], RATE, model=tasks, device="cpu")
        for layer, values in ours.items():
            np.testing.assert_allclose(values, hidden[layer][0], atol=2e-5)

    @pytest.mark.parametrize("layers", [4, -1, [], "2", [1.5], True])
    def test_layers_that_are_not_there_are_refused(self, tasks, layers):
        with pytest.raises(ConfigError, match="layer"):
            babyhubert.embed(np.zeros(RATE), layers, RATE, model=tasks, device="cpu")

    def test_choices_for_a_loaded_encoder_are_refused(self, tasks):
        with pytest.raises(ConfigError, match="has its device and speed already"):
            babyhubert.embed(np.zeros(RATE), None, RATE, model=babyhubert.load_encoder(tasks), speed="fast")

    def test_the_small_model_is_the_default(self):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            vectors = babyhubert.embed(babble(2 * RATE, RATE), None, RATE, device="cpu")
        assert [(layer, values.shape) for layer, values in vectors.items()] == [(4, (99, 192))]


class TestSaveModel:
    @pytest.mark.parametrize("task", ["voice-type", "addressee", "phonemes"])
    @pytest.mark.parametrize("speed", ["exact", "fast"])
    def test_a_saved_model_is_the_same_model(self, tasks, tmp_path, stereo, task, speed):
        model = babyhubert.load_model(tasks, task=task, device="cpu", speed=speed)
        babyhubert.save_model(model, tmp_path / "copy")
        again = babyhubert.load_model(tmp_path / "copy", task=task, device="cpu", speed=speed)
        rows = babyhubert.Segments.from_rows([(8_000, 40_000, "KCHI"), (50_000, 96_000, "FEM")])
        given = () if task == "voice-type" else (rows,)
        assert set(json.loads((tmp_path / "copy/task.json").read_text())["heads"]) == {
            "voice_type",
            "addressee",
            "phonemes",
        }
        one, other = model(stereo[0], *given), again(stereo[0], *given)
        assert list(one) == list(other)
        assert len(one)
        assert [values.tolist() for values in one.columns.values() if values.dtype == object] == [
            values.tolist() for values in other.columns.values() if values.dtype == object
        ]
        with pytest.raises(OutputError, match="pass overwrite=True"):
            babyhubert.save_model(model, tmp_path / "copy")
        babyhubert.save_model(model, tmp_path / "copy", overwrite=True)

    def test_cards_go_along(self, tmp_path):
        model = babyhubert.load_model("playroom", device="cpu")
        babyhubert.save_model(model, tmp_path / "copy")
        again = babyhubert.load_model(tmp_path / "copy", device="cpu")
        assert again.card == model.card
        assert again.settings == model.settings
        assert again.card["lineage"]

    def test_an_encoder_alone(self, tasks, tmp_path):
        encoder = babyhubert.load_encoder(tasks)
        babyhubert.save_model(encoder, tmp_path / "encoder")
        again = babyhubert.load_encoder(tmp_path / "encoder")
        assert again.config == encoder.config
        assert all(torch.equal(value, again.state_dict()[name]) for name, value in encoder.state_dict().items())
        with pytest.raises(CheckpointError, match="no task head here"):
            babyhubert.load_model(tmp_path / "encoder")

    def test_other_objects_and_places_are_refused(self, tasks, tmp_path):
        with pytest.raises(ConfigError, match="Linear is no model"):
            babyhubert.save_model(torch.nn.Linear(2, 2), tmp_path / "x")
        (tmp_path / "full").mkdir()
        (tmp_path / "full/diary.txt").write_text("mine")
        with pytest.raises(OutputError, match="not a model folder"):
            babyhubert.save_model(babyhubert.load_encoder(tasks), tmp_path / "full", overwrite=True)
        assert (tmp_path / "full/diary.txt").read_text() == "mine"
