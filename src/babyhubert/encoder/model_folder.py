"""The model folder, this package's own form of a model on disk, which transformers loads as it is.

With `config.json` and `model.safetensors`, `transformers.AutoModel.from_pretrained(folder)` gives the same encoder;
with `preprocessor_config.json`, its feature extractor prepares waveforms as in training. Contents that transformers
has no class for are stored beside: pre-training parameters under `pretraining.`, branches under `branches.<number>.`
and output layers under `heads.<task>.` in the same weights file, and the meaning of their rows in `task.json`. A
folder appears complete or not at all.
"""

from __future__ import annotations

import errno
import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
from torch import Tensor

from babyhubert.encoder.canonical import BRANCHES, Checkpoint, Head, check, refuse_unusable
from babyhubert.encoder.config import HubertConfig
from babyhubert.encoder.ctc_vocabulary import read_vocabulary
from babyhubert.encoder.flavours import huggingface
from babyhubert.encoder.flavours.layout import HEAD_KINDS, PUBLISHED_KINDS, HeadKind
from babyhubert.encoder.model_json import is_there, read_json
from babyhubert.encoder.pickles import read_pickle, refuse_pointer
from babyhubert.encoder.sharded_weights import INDEX_SUFFIX, is_index, read_sharded
from babyhubert.errors import CheckpointError, ConfigError, OutputError
from babyhubert.files import explain_os_error, is_disk_full, make_folder, temporary_beside, write_json
from babyhubert.timebase import SAMPLE_RATE

CONFIG = "config.json"
WEIGHTS = "model.safetensors"
OLD_WEIGHTS = "pytorch_model.bin"
TASK = "task.json"
PREPROCESSOR = "preprocessor_config.json"
PROCESSOR = "processor_config.json"
"""Name that newer versions of transformers give to the feature extractor's settings beside a tokenizer's."""
TASK_FORMAT = 1

_MOST_CARD_BYTES = 1_000_000
_PRETRAINING = "pretraining."
_HEADS = "heads."
_SOURCE = "babyhubert_source"
_UNLABELLED, _PHONEMES = "ctc", "phonemes"
"""Task of a CTC output without, and with, the meaning of its rows."""
_WEIGHT_FILES = (WEIGHTS, OLD_WEIGHTS, WEIGHTS + INDEX_SUFFIX, OLD_WEIGHTS + INDEX_SUFFIX)
"""File names of weights, in the order in which they are looked for."""


def is_model_folder(path: Path) -> bool:
    """True for a folder with a `config.json` and weights beside it."""
    return (path / CONFIG).is_file() and any((path / name).is_file() for name in _WEIGHT_FILES)


def weights_of_folder(folder: Path) -> Path:
    """Find the weights file of a model folder, or the index of several.

    Raises:
        CheckpointError: there is none.
    """
    for name in _WEIGHT_FILES:
        if (folder / name).is_file():
            return folder / name
    raise CheckpointError(f"{folder}: neither {WEIGHTS} nor {OLD_WEIGHTS} here")


def read_model_folder(folder: str | Path) -> Checkpoint:
    """Read a model folder, ours or one that transformers wrote for a HuBERT, wav2vec 2.0 or WavLM model.

    Raises:
        CheckpointError: a file is missing, damaged or of another kind, or tensors do not fit.
    """
    folder = Path(folder)
    settings = read_json(folder / CONFIG)
    try:
        config = HubertConfig.from_transformers(settings)
    except ConfigError as error:
        raise CheckpointError(f"{folder / CONFIG}: {error}") from error
    config = replace(config, normalise=normalises_waveforms(folder, config.normalise))
    file = weights_of_folder(folder)
    tensors = read_sharded(file, _read_tensors) if is_index(file) else _read_tensors(file)
    refuse_unusable(tensors, str(file))
    pretraining = _taken(tensors, _PRETRAINING)
    task = _read_card(folder / TASK) if is_there(folder / TASK) else None
    heads = _read_heads(_taken(tensors, _HEADS), task, folder)
    branches = {BRANCHES + name: tensor for name, tensor in _taken(tensors, BRANCHES).items()}
    layout = next((each for each in huggingface.TASK_MODELS if each.recognises(tensors)), huggingface.MODEL)
    contents = layout.read(tensors)
    found, phonemes = _labelled(contents.heads, folder, settings)
    source = settings.get(_SOURCE, {})
    if not isinstance(source, dict):
        raise CheckpointError(f"{folder / CONFIG}: {_SOURCE} is {source!r}: a table is needed")
    metadata = dict(source)
    if task is not None:
        metadata["task"] = {key: value for key, value in task.items() if key not in ("format", "heads")}
    elif phonemes:
        metadata["task"] = phonemes
    checkpoint = Checkpoint(
        "transformers",
        config,
        {**contents.encoder, **branches},
        {**contents.pretraining, **pretraining},
        {**found, **heads},
        metadata,
    )
    return check(checkpoint, str(file), layout.key, contents.missing, contents.unexpected)


def save_model_folder(folder: str | Path, checkpoint: Checkpoint, task: Mapping[str, Any] | None = None) -> None:
    """Write a model folder, replacing an older one at the same path.

    Args:
        folder: Path of the folder.
        checkpoint: The model.
        task: Written into `task.json` beside the heads' labels (thresholds, window, lineage, licence).

    Raises:
        OutputError: the path holds something other than a model folder, or cannot be written.
        CheckpointError: the checkpoint is not complete and consistent.
    """
    folder = Path(folder)
    check(checkpoint, str(folder))
    refuse_other_folder(folder)
    make_folder(folder.parent)
    temporary = temporary_beside(folder)
    try:
        temporary.mkdir()
        _write_files(temporary, checkpoint, task)
        _put_in_place(temporary, folder)
    except OSError as error:
        raise explain_os_error(folder, error) from error
    except safetensors.SafetensorError as error:
        if is_disk_full(error):
            raise explain_os_error(folder, OSError(errno.ENOSPC, str(error))) from error
        raise OutputError(f"{folder}: the weights cannot be written ({error})") from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def refuse_other_folder(folder: Path) -> None:
    """Check that a model folder may be written at a path, before hours of work.

    Raises:
        OutputError: the path exists and is neither a model folder nor an empty folder.
    """
    if folder.exists() and not (is_model_folder(folder) or (folder.is_dir() and not any(folder.iterdir()))):
        raise OutputError(f"{folder}: exists and is not a model folder; choose another place")


def _write_files(folder: Path, checkpoint: Checkpoint, task: Mapping[str, Any] | None) -> None:
    source = {key: value for key, value in checkpoint.metadata.items() if key != "task"}
    settings = {**checkpoint.config.to_transformers(), "dtype": "float32"}  # computed in, however they are stored
    write_json(folder / CONFIG, {**settings, _SOURCE: source} if source else settings)
    write_json(folder / PREPROCESSOR, _preprocessor(checkpoint.config))
    if checkpoint.heads or task:
        heads = {name: _described(head) for name, head in checkpoint.heads.items()}
        write_json(folder / TASK, {"format": TASK_FORMAT, "heads": heads, **dict(task or {})})
    tensors = dict(checkpoint.encoder)
    tensors |= {_PRETRAINING + name: tensor for name, tensor in checkpoint.pretraining.items()}
    for name, head in checkpoint.heads.items():
        tensors |= {f"{_HEADS}{name}.{key}": tensor for key, tensor in head.tensors.items()}
    safetensors.torch.save_file(_independent(tensors), folder / WEIGHTS, metadata={"format": "pt"})
    shutil.copymode(folder / CONFIG, folder / WEIGHTS)  # safetensors makes it readable by its owner alone


def _described(head: Head) -> dict[str, Any]:
    """Entry of a head in `task.json`."""
    block = {} if head.block is None else {"block": head.block}
    return {"kind": head.kind, "labels": list(head.labels), **block}


def _preprocessor(config: HubertConfig) -> dict[str, Any]:
    return {
        "feature_extractor_type": "Wav2Vec2FeatureExtractor",
        "feature_size": 1,
        "sampling_rate": SAMPLE_RATE,
        "padding_side": "right",
        "padding_value": 0.0,
        "do_normalize": config.normalise,
        "return_attention_mask": config.feature_norm == "layer",
    }


def _put_in_place(temporary: Path, folder: Path) -> None:
    if not folder.exists():
        temporary.rename(folder)
        return
    old = temporary_beside(folder)
    folder.rename(old)
    try:
        temporary.rename(folder)
    except OSError:
        old.rename(folder)
        raise
    shutil.rmtree(old, ignore_errors=True)


def _independent(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Contiguous CPU tensors that share no memory, as safetensors requires."""
    prepared = {}
    for name, tensor in tensors.items():
        tensor = tensor.detach().cpu().contiguous()
        prepared[name] = tensor.clone() if tensor.untyped_storage().nbytes() != tensor.nbytes else tensor
    return prepared


def _read_tensors(file: Path) -> dict[str, Tensor]:
    refuse_pointer(file)
    if file.suffix != ".safetensors":
        content = read_pickle(file)
        if not isinstance(content, dict) or not all(
            isinstance(key, str) and isinstance(value, Tensor) for key, value in content.items()
        ):
            raise CheckpointError(f"{file}: not a dict of tensors")
        return dict(content)
    try:
        return safetensors.torch.load_file(file)
    except Exception as error:  # a damaged file may raise anything, such as types that torch lacks
        raise CheckpointError(f"{file}: not a safetensors file, or cut short; copy or download it again") from error


def normalises_waveforms(folder: Path, default: bool = False) -> bool:
    """Tell whether the feature extractor beside a model normalises waveforms to zero mean and unit variance.

    Args:
        folder: Folder of any model that transformers wrote.
        default: Value without a feature extractor.

    Raises:
        CheckpointError: it prepares waveforms in a way that this package does not support.
    """
    file, settings = folder / PREPROCESSOR, None
    if is_there(file):
        settings = read_json(file)
    elif is_there(folder / PROCESSOR):
        file = folder / PROCESSOR
        settings = read_json(file).get("feature_extractor")
    if settings is None:
        return default
    if not isinstance(settings, dict):
        raise CheckpointError(f"{file}: feature_extractor is {settings!r}: a table is needed")
    for name, only in (("sampling_rate", SAMPLE_RATE), ("feature_size", 1)):
        if settings.get(name, only) != only or isinstance(settings.get(name), bool):
            raise CheckpointError(f"{file}: {name} is {settings[name]!r}: only {only} is supported")
    normalises = settings.get("do_normalize", True)  # transformers' default
    if not isinstance(normalises, bool):
        raise CheckpointError(f"{file}: do_normalize is {normalises!r}: true or false is needed")
    return normalises


def _read_card(file: Path) -> dict[str, Any]:
    """Read the `task.json` of a folder. What segments depend on is checked here, because commands choose among it."""
    card = read_json(file, _MOST_CARD_BYTES)
    if not isinstance(card.get("heads", {}), dict):
        raise CheckpointError(f"{file}: heads is {card['heads']!r}: a table is needed")
    sets = card.get("thresholds", {})
    if not isinstance(sets, dict):
        raise CheckpointError(f"{file}: thresholds is {sets!r}: a table of sets is needed")
    for name, values in sets.items():
        if not isinstance(values, dict) or not all(_is_share(value) for value in values.values()):
            raise CheckpointError(f"{file}: the thresholds {name!r} are {values!r}: numbers from 0 to 1 are needed")
    if not _is_share(beside := card.get("simultaneous", 0.0)):
        raise CheckpointError(f"{file}: simultaneous is {beside!r}: a number from 0 to 1 is needed")
    lineage, licence = card.get("lineage", []), card.get("licence", "")
    if not isinstance(lineage, list) or not all(isinstance(origin, str) for origin in lineage):
        raise CheckpointError(f"{file}: lineage is {lineage!r}: a list of texts is needed")
    if not isinstance(licence, str):
        raise CheckpointError(f"{file}: licence is {licence!r}: a text is needed")
    return card


def _is_share(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= 1


def _taken(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {key.removeprefix(prefix): tensors.pop(key) for key in list(tensors) if key.startswith(prefix)}


def _read_heads(tensors: dict[str, Tensor], task: Mapping[str, Any] | None, folder: Path) -> dict[str, Head]:
    described = {} if task is None else task.get("heads", {})
    if task is not None and task.get("format") != TASK_FORMAT:
        raise CheckpointError(f"{folder / TASK}: format {task.get('format')!r} is not known (only {TASK_FORMAT})")
    grouped: dict[str, dict[str, Tensor]] = {}
    for key, tensor in tensors.items():
        name, _, rest = key.partition(".")
        grouped.setdefault(name, {})[rest] = tensor
    if set(grouped) != set(described):
        raise CheckpointError(
            f"{folder}: {WEIGHTS} has heads {sorted(grouped)} but {TASK} describes {sorted(described)}"
        )
    unlabelled = [name for name, entry in described.items() if not isinstance(entry, dict) or "labels" not in entry]
    if unlabelled:
        raise CheckpointError(f"{folder / TASK}: the {unlabelled[0]} head has no labels")
    for name, entry in described.items():
        labels = entry["labels"]
        if not isinstance(labels, list) or not all(isinstance(label, str) and label for label in labels):
            raise CheckpointError(
                f"{folder / TASK}: labels of the {name} head are {labels!r}: a list of texts is needed"
            )
        if len(set(labels)) != len(labels):
            raise CheckpointError(f"{folder / TASK}: the {name} head has a label twice: {', '.join(labels)}")
    return {
        name: Head(
            tuple(described[name]["labels"]),
            found,
            _kind_of(name, described[name], folder),
            _block_of(name, described[name], folder),
        )
        for name, found in grouped.items()
    }


def _labelled(
    heads: Mapping[str, Head], folder: Path, settings: Mapping[str, Any]
) -> tuple[dict[str, Head], dict[str, Any]]:
    """Heads of a transformers task model, and settings of their tasks.

    A CTC output whose symbols are known is of the task ``phonemes``, trained on utterances alone.
    """
    head = heads.get(_UNLABELLED)
    if head is None:
        return dict(heads), {}
    blank = settings.get("pad_token_id")
    vocabulary = read_vocabulary(folder, len(head.labels), blank if isinstance(blank, int) else None)
    if vocabulary is None:
        return dict(heads), {}
    own: dict[str, Any] = {"context_s": 0.0, "soundless": list(vocabulary.soundless)}
    return {_PHONEMES: replace(head, labels=vocabulary.labels)}, {_PHONEMES: own}


def _kind_of(name: str, entry: Mapping[str, Any], folder: Path) -> HeadKind:
    """Kind of a head; folders written before kinds were stored hold published tasks alone."""
    kind = entry.get("kind", PUBLISHED_KINDS.get(name))
    if kind not in HEAD_KINDS:
        told = "no kind" if kind is None else f"the kind {kind!r}"
        raise CheckpointError(f"{folder / TASK}: the {name} head has {told}: one of {', '.join(HEAD_KINDS)}")
    return kind


def _block_of(name: str, entry: Mapping[str, Any], folder: Path) -> int | None:
    block = entry.get("block")
    if block is not None and (not isinstance(block, int) or isinstance(block, bool) or block < 1):
        raise CheckpointError(f"{folder / TASK}: the {name} head has the block {block!r}: a number from 1 is needed")
    return block
