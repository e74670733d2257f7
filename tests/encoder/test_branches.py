"""Several transformers on the same convolutions: joined models give what each gave alone, and run what is needed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from small_encoders import TINY, TINY_LARGE, fresh, noise

import babyhubert
from babyhubert.encoder.canonical import Checkpoint
from babyhubert.encoder.checkpoints import left_out, read_checkpoint, write_checkpoint
from babyhubert.encoder.combination import Part, combine, join
from babyhubert.encoder.config import HubertConfig
from babyhubert.encoder.context import WindowSettings, window_settings_of
from babyhubert.encoder.flavours.layout import Head
from babyhubert.encoder.heads import HEAD_CLASSES
from babyhubert.encoder.hubert import HubertEncoder, initialise
from babyhubert.encoder.loading import load_checkpoint
from babyhubert.encoder.matrix_form import use_matrix_form
from babyhubert.encoder.model_folder import save_model_folder
from babyhubert.encoder.multitask import TaskModel
from babyhubert.errors import CheckpointError, ConfigError, OutputError
from commands import command

LABELS = {"voice_type": ("KCHI", "OCH", "MAL", "FEM"), "addressee": ("KCDS", "ADS"), "phonemes": ("a", "b", "<blank>")}
KINDS = {"voice_type": "frames", "addressee": "classification", "phonemes": "ctc"}


def head(task: str, seed: int) -> Head:
    made = HEAD_CLASSES[KINDS[task]](LABELS[task], TINY.hidden_size)
    made.reset(torch.Generator().manual_seed(seed))
    return made.to_head()


def save(folder: Path, seed: int, tasks: tuple[str, ...], config: HubertConfig = TINY, same: bool = True) -> str:
    """A model folder; with ``same``, its convolutions are those of seed 1."""
    weights = {name: tensor.clone() for name, tensor in fresh(config, seed).state_dict().items()}
    if same:
        first = fresh(config, 1).state_dict()
        weights |= {name: first[name].clone() for name in weights if name.startswith("feature_extractor.")}
    card = {task: {"context_s": float(seed)} for task in tasks}
    card |= {"licence": f"terms {seed}", "lineage": [f"start {seed}"], "thresholds": {"f1": {"KCHI": 0.1 * seed}}}
    heads = {task: head(task, seed) for task in tasks}
    save_model_folder(folder, Checkpoint("transformers", config, weights, heads=heads), card)
    return str(folder)


@pytest.fixture
def parts(tmp_path) -> list[str]:
    deeper = TINY.with_changes(layers=4)
    return [
        save(tmp_path / "voices", 1, ("voice_type",)),
        save(tmp_path / "addressees", 2, ("addressee", "voice_type"), deeper),
        save(tmp_path / "phonemes", 3, ("phonemes",), TINY.with_changes(layers=1)),
    ]


@pytest.fixture
def joined(parts, tmp_path) -> Path:
    assert join(parts, tmp_path / "joined").config.own_convolutions == ()
    return tmp_path / "joined"


def model(folder: object) -> TaskModel:
    return TaskModel.from_checkpoint(load_checkpoint(str(folder)))


def features(network: TaskModel, *tasks: str) -> dict[str, torch.Tensor]:
    with torch.no_grad():
        return network.features(noise(2, 6_000), tasks or None, torch.tensor([6_000, 5_000]))


def test_every_task_gives_what_it_gave_alone_to_the_bit(parts, joined):
    both = features(model(joined))
    for source, task in zip(parts, ("voice_type", "addressee", "phonemes"), strict=True):
        assert torch.equal(both[task], features(model(source), task)[task])
        assert torch.equal(features(model(joined), task)[task], both[task])
        alone, found = load_checkpoint(source).heads[task], load_checkpoint(joined).heads[task]
        assert found.labels == alone.labels
        assert all(torch.equal(found.tensors[key], alone.tensors[key]) for key in alone.tensors)


def test_the_card_has_the_settings_of_every_task_and_the_thresholds_of_the_first(joined):
    card = load_checkpoint(joined).metadata["task"]
    assert [card[task]["context_s"] for task in LABELS] == [1.0, 2.0, 3.0]
    assert card["thresholds"] == {"f1": {"KCHI": 0.1}}
    assert [(part["heads"], part["lineage"]) for part in card["joined"]] == [
        (["addressee"], ["start 2"]),
        (["phonemes"], ["start 3"]),
    ]
    assert card["licence"] == "terms 1; terms 2; terms 3"
    assert card["labels"] == {task: list(labels) for task, labels in LABELS.items()}
    assert [line.partition(":")[0] for line in card["lineage"][1:]] == [
        "a branch for addressee",
        "a branch for phonemes",
    ]


def test_every_task_keeps_its_windows(parts, joined):
    def windows(folder: object) -> dict[str, WindowSettings]:
        found = load_checkpoint(str(folder))
        kinds = {name: head.kind for name, head in found.heads.items()}
        return window_settings_of(found.metadata["task"], kinds)

    alone = {task: windows(source)[task] for source, task in zip(parts, LABELS, strict=True)}
    assert windows(joined) == alone
    assert [alone[task].shared for task in LABELS] == [False, True, False]  # the second has two heads
    assert len({each.context_s for each in alone.values()}) == 3


def test_the_matrix_form_computes_branches_too(joined):
    plain, form = model(joined), model(joined)
    use_matrix_form(form.encoder, torch.float32)
    for task, expected in features(plain).items():
        torch.testing.assert_close(features(form)[task], expected, rtol=1e-4, atol=1e-5)
    with torch.no_grad():
        hidden = form.encoder(noise(1, 4_000), layers=range(9)).hidden
        for layer, expected in plain.encoder(noise(1, 4_000), layers=range(9)).hidden.items():
            torch.testing.assert_close(hidden[layer], expected, rtol=1e-4, atol=1e-5)


def test_only_the_transformers_of_the_wanted_tasks_run(joined):
    network, ran = model(joined), []
    for number, (_, _, transformer) in enumerate(network.encoder.stacks):
        transformer.register_forward_hook(lambda *_, number=number: ran.append(number))
    for tasks, expected in ((("addressee",), [1]), (("voice_type", "phonemes"), [0, 2]), ((), [0, 1, 2])):
        ran.clear()
        features(network, *tasks)
        assert ran == expected
    ran.clear()
    network.encoder(noise(1, 4_000))
    assert ran == [0]


def test_a_loaded_model_is_saved_with_all_its_branches(joined, tmp_path):
    babyhubert.save_model(babyhubert.load_model(joined, task="voice_type", device="cpu"), tmp_path / "copy")
    before, after = load_checkpoint(joined), load_checkpoint(tmp_path / "copy")
    assert after.config == before.config
    assert after.heads.keys() == before.heads.keys()
    assert all(torch.equal(after.encoder[name], tensor) for name, tensor in before.encoder.items())


def test_transformers_opens_the_first_model(parts, joined):
    transformers = pytest.importorskip("transformers")
    found = transformers.HubertModel.from_pretrained(str(joined)).eval()
    alone = transformers.HubertModel.from_pretrained(parts[0]).eval()
    with torch.no_grad():
        assert torch.equal(found(noise(1, 4_000)).last_hidden_state, alone(noise(1, 4_000)).last_hidden_state)


def test_a_model_with_other_convolutions_brings_them_along(tmp_path, parts):
    own = save(tmp_path / "own", 4, ("phonemes",), same=False)
    joined = join([*parts[:2], own], tmp_path / "joined")
    assert (joined.config.branches, joined.config.own_convolutions) == ((4, 3), (1,))
    network = model(tmp_path / "joined")
    both = features(network)
    for source, task in zip([*parts[:2], own], ("voice_type", "addressee", "phonemes"), strict=True):
        assert torch.equal(both[task], features(model(source), task)[task])
    use_matrix_form(network.encoder, torch.float32)
    for task, expected in both.items():
        torch.testing.assert_close(features(network)[task], expected, rtol=1e-4, atol=1e-5)
    network = model(tmp_path / "joined")
    network.encoder.freeze_features().train()
    assert {name.split(".")[0] for name, weight in network.encoder.named_parameters() if weight.requires_grad} == {
        "feature_projection",
        "encoder",
        "branches",
    }
    assert not any(w.requires_grad for name, w in network.encoder.named_parameters() if "feature_extractor" in name)
    done = command("join", parts[0], own, "-o", tmp_path / "two")
    assert done.code == 0
    assert "(voice type, phonemes)" in done.out
    assert "1 of them with other convolutions" in done.err


@pytest.mark.parametrize("own", [[2], [0, 0], [-1], ["0"], 1])
def test_own_convolutions_of_no_branch_are_an_error(joined, own):
    settings = json.loads((joined / "config.json").read_text())
    (joined / "config.json").write_text(json.dumps({**settings, "own_convolutions": own}))
    with pytest.raises(CheckpointError, match="own_convolutions"):
        load_checkpoint(joined)


def test_single_file_layouts_take_the_first_transformer_if_they_may(parts, joined, tmp_path):
    checkpoint = load_checkpoint(joined)
    lost = left_out(checkpoint, "vtc-2.0")
    assert lost[:2] == ["the branch of blocks 4 to 7", "the branch of blocks 8 to 8"]
    with pytest.raises(CheckpointError, match="no room for the branch of blocks 4 to 7"):
        write_checkpoint(checkpoint, tmp_path / "x.ckpt", "vtc-2.0")
    write_checkpoint(checkpoint, tmp_path / "x.ckpt", "vtc-2.0", allow_loss=True)
    written, alone = read_checkpoint(tmp_path / "x.ckpt"), load_checkpoint(parts[0])
    assert written.config.branches == ()
    assert all(torch.equal(written.encoder[name], tensor) for name, tensor in alone.encoder.items())


def test_means_of_joined_models_have_their_branches(joined, tmp_path):
    combine([Part(str(joined), 0.5), Part(str(joined), 0.5)], tmp_path / "mean")
    for task, expected in features(model(joined)).items():
        assert torch.equal(features(model(tmp_path / "mean"))[task], expected)


def test_what_cannot_be_joined_is_refused(parts, joined, tmp_path):
    wider = save(tmp_path / "wider", 5, ("phonemes",), TINY.with_changes(feed_forward=64))
    large = save(tmp_path / "large", 5, ("phonemes",), TINY_LARGE)
    bare = save(tmp_path / "bare", 5, ())
    for sources, words in (
        ([parts[0], wider], "another width or another front end"),
        ([parts[0], large], "do_stable_layer_norm"),
        ([parts[0], parts[0]], r"adds no head.*\(its heads: voice type\)"),
        ([parts[2], str(joined)], "has branches itself"),
        ([bare, parts[0]], "no head here"),
    ):
        with pytest.raises(CheckpointError, match=words):
            join(sources, tmp_path / "out")
        assert not (tmp_path / "out").exists()
    with pytest.raises(ConfigError, match="at least two"):
        join(parts[:1], tmp_path / "out")
    with pytest.raises(OutputError, match="exists already"):
        join(parts, joined)


@pytest.mark.parametrize("branches", [[], [4], [4, 2], [0, 1], ["4", 1], 5, [True, 1], None])
def test_branches_of_the_configuration_that_the_weights_lack_are_an_error(joined, branches):
    settings = json.loads((joined / "config.json").read_text())
    assert settings["branches"] == [4, 1]
    (joined / "config.json").write_text(json.dumps({**settings, "branches": branches}))
    with pytest.raises(CheckpointError, match="branches"):
        load_checkpoint(joined)


def test_frozen_blocks_are_never_dropped(joined):
    config = load_checkpoint(joined).config.with_changes(layer_drop=0.9, hidden_dropout=0.0, attention_dropout=0.0)
    encoder = initialise(HubertEncoder(config.with_changes(projection_dropout=0.0)), torch.Generator().manual_seed(0))
    encoder.freeze_blocks((2,)).train()
    frozen, free = [], []
    layers = encoder.encoder.layers
    layers[1].register_forward_hook(lambda _, given, __: frozen.append(given[2:]))
    layers[2].register_forward_hook(lambda _, given, __: free.append(given[2:]))
    encoder(noise(1, 4_000))
    assert frozen[0][0] is None
    assert free[0][0] is not None
    trained = {name for name, weight in encoder.named_parameters() if weight.requires_grad}
    assert {name.split(".")[0] for name in trained} == {"encoder", "branches"}
    assert not any(
        name.startswith(("encoder.layers.0.", "encoder.pos_conv", "encoder.layer_norm")) for name in trained
    )


def test_the_closing_norm_is_frozen_with_the_last_block():
    assert fresh(TINY_LARGE).freeze_blocks((2,)).encoder.layer_norm.weight.requires_grad
    assert not fresh(TINY_LARGE).freeze_blocks((3,)).encoder.layer_norm.weight.requires_grad


@given(st.integers(1, 5), st.lists(st.integers(1, 5), max_size=4), st.data())
def test_every_block_belongs_to_one_transformer(layers, branches, data):
    config = TINY.with_changes(layers=layers, branches=tuple(branches))
    paths = [config.path(top) for top in config.tops]
    assert [block for path in paths for block in path] == list(range(1, config.blocks + 1))
    assert [len(path) for path in paths] == [layers, *branches]
    wanted = data.draw(st.sets(st.integers(0, config.blocks)))
    shares = config.share_out(wanted)
    assert {below + layer for below, own in shares for layer in own or ()} == wanted
    run = [own is not None for _, own in shares]
    needed = [bool(wanted & {*path}) for path in paths]
    assert run == [needed[0] or 0 in wanted or not wanted, *needed[1:]]
