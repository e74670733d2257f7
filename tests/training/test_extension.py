"""A trained model gets blocks and heads on top: what it could do before stays the same to the bit."""

import json

import pytest
import torch
from small_encoders import TINY_LARGE, fresh
from test_finetuning import run, weights
from tones import addressee_table, phoneme_table, settings, voice_type_table

from babyhubert.encoder.canonical import Checkpoint
from babyhubert.encoder.checkpoints import write_checkpoint
from babyhubert.encoder.combination import Part, combine, join
from babyhubert.encoder.context import window_settings_of
from babyhubert.encoder.hubert import HubertEncoder
from babyhubert.encoder.loading import load_checkpoint
from babyhubert.encoder.model_folder import save_model_folder
from babyhubert.encoder.multitask import TaskModel
from babyhubert.errors import CheckpointError, ConfigError

EXTEND = {"heads": "extend", "new_blocks": 2, "encoder_settings": {"hidden_dropout": 0.3}}


@pytest.fixture(scope="module")
def voices(scenes, encoder, tmp_path_factory):
    """A model of voice types; do not write to it."""
    folder = tmp_path_factory.mktemp("voices") / "model"
    run(settings(encoder, {"voice_type": voice_type_table(scenes)}, steps=30, learning_rate=3e-3), folder)
    return folder


@pytest.fixture(scope="module")
def extended(voices, scenes, utterances, tmp_path_factory):
    """The same with two blocks more and heads for addressees and phonemes; do not write to it."""
    folder = tmp_path_factory.mktemp("extended") / "model"
    tables = {"addressee": addressee_table(scenes), "phonemes": phoneme_table(utterances)}
    run(settings(voices, tables, {**EXTEND, "layer_mix": True}, steps=4, learning_rate=1e-2), folder)
    return folder


def model(folder) -> TaskModel:
    return TaskModel.from_checkpoint(load_checkpoint(folder))


def outputs(folder, task: str) -> torch.Tensor:
    network = model(folder)
    audio = torch.randn(2, 8000, generator=torch.Generator().manual_seed(0)) * 0.1
    with torch.no_grad():
        return network.head(task)(network.features(audio, (task,))[task])


def test_what_the_model_could_do_stays_the_same_to_the_bit(voices, extended):
    assert torch.equal(outputs(voices, "voice_type"), outputs(extended, "voice_type"))
    before, after = json.loads((voices / "task.json").read_text()), json.loads((extended / "task.json").read_text())
    assert after["heads"]["voice_type"] == {**before["heads"]["voice_type"], "block": 2}
    assert set(after["heads"]) == set(after["labels"]) == {"voice_type", "addressee", "phonemes"}
    assert "block" not in after["heads"]["addressee"]
    assert after["thresholds"] == before["thresholds"]
    assert after["voice_type"].items() >= before["voice_type"].items()
    alone, together = (
        window_settings_of(card, {name: head["kind"] for name, head in card["heads"].items()})
        for card in (before, after)
    )
    assert together["voice_type"] == alone["voice_type"]
    assert together["addressee"] != together["voice_type"]


def test_the_new_blocks_are_trained_and_the_old_ones_are_not(voices, extended):
    before, after = weights(voices), weights(extended)
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert not changed
    above = [name for name in after if name.startswith(("encoder.layers.2.", "encoder.layers.3."))]
    assert len(above) == 2 * len([name for name in after if name.startswith("encoder.layers.1.")])
    assert after["addressee.layer_weights"].shape == (4,)
    assert after["addressee.layer_weights"].abs().sum() > 0


def test_blocks_above_those_that_a_head_takes_are_not_run(extended, monkeypatch):
    ran = []
    network = model(extended)
    for number, block in enumerate(network.encoder.encoder.layers):
        block.register_forward_hook(lambda *_, number=number: ran.append(number))
    with torch.no_grad():
        network.features(torch.zeros(1, 4000), ("voice_type",))
        assert ran == [0, 1]
        both = network.features(torch.zeros(1, 4000))
    assert ran == [0, 1, 0, 1, 2, 3]
    assert set(both) == {"voice_type", "addressee", "phonemes"}


def test_dropout_of_the_frozen_blocks_stays_off_in_training(extended):
    network = model(extended).encoder.freeze_blocks((2,)).train()
    audio = torch.zeros(1, 4000)
    network(audio, layers=(2,))
    assert torch.equal(network(audio, layers=(2,)).hidden[2], network(audio, layers=(2,)).hidden[2])
    assert [block.training for block in network.encoder.layers] == [False, False, True, True]
    trained = {name.split(".")[2] for name, weight in network.named_parameters() if weight.requires_grad}
    assert trained == {"2", "3"}


def test_an_extended_model_is_trained_on(extended, scenes, utterances, tmp_path):
    tables = {"addressee": addressee_table(scenes), "phonemes": phoneme_table(utterances)}
    config = settings(extended, tables, {"heads": "extend", "layer_mix": True}, steps=2, learning_rate=1e-2)
    run(config, tmp_path / "further")
    assert torch.equal(outputs(extended, "voice_type"), outputs(tmp_path / "further", "voice_type"))
    assert len(load_checkpoint(tmp_path / "further").encoder) == len(load_checkpoint(extended).encoder)
    before, after = weights(extended), weights(tmp_path / "further")
    moved = [name for name in before if not torch.equal(before[name], after[name])]
    assert moved
    assert all(
        name.startswith(("encoder.layers.2.", "encoder.layers.3.", "addressee.", "phonemes.")) for name in moved
    )


def test_a_head_on_a_frozen_encoder_alone(voices, scenes, tmp_path):
    tables = {"addressee": addressee_table(scenes)}
    run(settings(voices, tables, {"heads": "extend"}, steps=2, learning_rate=1e-2), tmp_path / "model")
    before, after = weights(voices), weights(tmp_path / "model")
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert {"addressee.weight", "addressee.bias"} <= after.keys() - before.keys()


def test_all_heads_may_be_trained_above_each_other(voices, scenes, tmp_path):
    tables = {"voice_type": voice_type_table(scenes), "addressee": addressee_table(scenes)}
    config = settings(voices, tables, {"heads": "add", "new_blocks": 1}, steps=2, learning_rate=1e-2)
    run(config, tmp_path / "model")
    found = load_checkpoint(tmp_path / "model")
    assert (found.heads["voice_type"].block, found.heads["addressee"].block) == (2, None)
    assert found.config.layers == 3
    assert not torch.equal(outputs(voices, "voice_type"), outputs(tmp_path / "model", "voice_type"))


def test_what_cannot_be_extended_is_refused(voices, encoder, scenes, tmp_path):
    voice_type, addressee = {"voice_type": voice_type_table(scenes)}, {"addressee": addressee_table(scenes)}
    with pytest.raises(ConfigError, match=r'no head but those of this configuration.*use "keep" or "add"'):
        run(settings(voices, voice_type, EXTEND), tmp_path / "a")
    with pytest.raises(ConfigError, match="has no head"):
        run(settings(encoder, addressee, EXTEND), tmp_path / "b")
    with pytest.raises(Exception, match="new_blocks are added to the encoder of a model: give encoder"):
        settings(None, addressee, {"new_blocks": 1})
    save_model_folder(tmp_path / "large", Checkpoint("transformers", TINY_LARGE, fresh(TINY_LARGE).state_dict()))
    with pytest.raises(ConfigError, match=r"model\.new_blocks: .*use 0"):
        run(settings(tmp_path / "large", addressee, {"new_blocks": 1}), tmp_path / "c")


def test_layouts_of_the_last_block_refuse_such_a_head(extended, tmp_path):
    checkpoint = load_checkpoint(extended)
    with pytest.raises(CheckpointError, match=r"heads of the encoder's last block alone.*write 'transformers'"):
        write_checkpoint(checkpoint, tmp_path / "x.ckpt", "vtc-2.0", allow_loss=True)


def test_a_head_of_a_mix_is_refused_by_them_too(voices, encoder, scenes, tmp_path):
    config = settings(encoder, {"voice_type": voice_type_table(scenes)}, {"layer_mix": True}, steps=1)
    run(config, tmp_path / "mix")
    with pytest.raises(CheckpointError, match="last block alone"):
        write_checkpoint(load_checkpoint(tmp_path / "mix"), tmp_path / "x.ckpt", "vtc-2.0", allow_loss=True)


def test_means_of_two_extensions_keep_the_block(extended, scenes, utterances, tmp_path):
    tables = {"addressee": addressee_table(scenes), "phonemes": phoneme_table(utterances)}
    run(settings(extended, tables, {"heads": "extend", "layer_mix": True}, steps=2), tmp_path / "other")
    combine([Part(str(extended), 0.5), Part(str(tmp_path / "other"), 0.5)], tmp_path / "mean")
    assert load_checkpoint(tmp_path / "mean").heads["voice_type"].block == 2
    assert torch.equal(outputs(extended, "voice_type"), outputs(tmp_path / "mean", "voice_type"))


@pytest.mark.parametrize("block", [0, 5, True, "2"])
def test_an_impossible_block_is_an_error_of_the_folder(extended, tmp_path, block):
    checkpoint = load_checkpoint(extended)
    folder = tmp_path / "model"
    save_model_folder(folder, checkpoint, checkpoint.metadata["task"])
    card = json.loads((folder / "task.json").read_text())
    card["heads"]["voice_type"]["block"] = block
    (folder / "task.json").write_text(json.dumps(card))
    with pytest.raises(CheckpointError, match="voice_type head"):
        load_checkpoint(folder)


def test_blocks_are_those_of_transformers(extended):
    transformers = pytest.importorskip("transformers")
    reference = transformers.HubertModel.from_pretrained(str(extended)).eval()
    network, audio = model(extended), torch.randn(1, 6000, generator=torch.Generator().manual_seed(1)) * 0.1
    assert isinstance(network.encoder, HubertEncoder)
    with torch.no_grad():
        hidden = reference(audio, output_hidden_states=True).hidden_states
        found = network.features(audio, ("voice_type",))["voice_type"]
    torch.testing.assert_close(found, hidden[2], rtol=1e-4, atol=1e-4)


def test_a_joined_branch_is_trained_and_the_first_model_stays_the_same(voices, scenes, utterances, encoder, tmp_path):
    run(settings(encoder, {"phonemes": phoneme_table(utterances)}, steps=2), tmp_path / "phonemes")
    join([str(voices), str(tmp_path / "phonemes")], tmp_path / "joined")
    tables = {"phonemes": phoneme_table(utterances), "addressee": addressee_table(scenes)}
    config = settings(
        tmp_path / "joined", tables, {"heads": "extend", "layer_mix": False}, steps=2, learning_rate=1e-2
    )
    run(config, tmp_path / "model")
    before, after = weights(tmp_path / "joined"), weights(tmp_path / "model")
    moved = {name for name in before if not torch.equal(before[name], after[name])}
    assert {name.split(".")[0] for name in moved} == {"branches", "phonemes"}
    assert torch.equal(outputs(voices, "voice_type"), outputs(tmp_path / "model", "voice_type"))
    heads = load_checkpoint(tmp_path / "model").heads
    assert {task: head.block for task, head in heads.items()} == {"voice_type": None, "phonemes": 4, "addressee": None}
    with pytest.raises(ConfigError, match=r"model\.new_blocks: .*has branches"):
        run(settings(tmp_path / "joined", tables, EXTEND), tmp_path / "longer")


@pytest.mark.parametrize(("task", "branches"), [("voice_type", ()), ("phonemes", (2,))])
def test_a_training_of_one_task_leaves_the_branches_of_others_behind(
    voices, scenes, utterances, encoder, tmp_path, task, branches
):
    run(settings(encoder, {"phonemes": phoneme_table(utterances)}, steps=2), tmp_path / "phonemes")
    join([str(voices), str(tmp_path / "phonemes")], tmp_path / "joined")
    table = voice_type_table(scenes) if task == "voice_type" else phoneme_table(utterances)
    run(settings(tmp_path / "joined", {task: table}, {"heads": "keep"}, steps=2), tmp_path / "model")
    assert load_checkpoint(tmp_path / "model").config.branches == branches
    run(settings(tmp_path / "joined", {task: table}, {"heads": "new"}, steps=2), tmp_path / "new")
    assert load_checkpoint(tmp_path / "new").config.branches == ()
