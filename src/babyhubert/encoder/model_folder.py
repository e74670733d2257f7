"""Our own form of a model on disk: a folder that transformers loads as it is.

`config.json` and `model.safetensors` make `transformers.AutoModel.from_pretrained(folder)` give the same encoder,
`preprocessor_config.json` makes its feature extractor leave waveforms alone. What transformers has no class for
stands beside: pre-training parameters under `pretraining.`, output layers under `heads.<task>.` in the same weights
file, and in `task.json` what their rows mean. A folder appears complete or not at all.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
from torch import Tensor

from babyhubert.encoder.canonical import Checkpoint, Head, check
from babyhubert.encoder.config import HubertConfig
from babyhubert.encoder.flavours import huggingface
from babyhubert.encoder.pickles import read_pickle, refuse_pointer
from babyhubert.errors import CheckpointError, ConfigError, OutputError
from babyhubert.files import explain_os_error, make_folder, temporary_beside, write_json
from babyhubert.timebase import SAMPLE_RATE

CONFIG = "config.json"
WEIGHTS = "model.safetensors"
OLD_WEIGHTS = "pytorch_model.bin"
TASK = "task.json"
PREPROCESSOR = "preprocessor_config.json"
TASK_FORMAT = 1

_PRETRAINING = "pretraining."
_HEADS = "heads."
_SOURCE = "babyhubert_source"


def is_model_folder(path: Path) -> bool:
    """Whether the path is a folder with a `config.json` and weights beside it."""
    weights = any((path / name).is_file() for name in (WEIGHTS, OLD_WEIGHTS)) or any(path.glob("*.index.json"))
    return weights and (path / CONFIG).is_file()


def weights_of_folder(folder: Path) -> Path:
    """The weights file of a model folder.

    Raises:
        CheckpointError: there is none, or it is split over several files.
    """
    for name in (WEIGHTS, OLD_WEIGHTS):
        if (folder / name).is_file():
            return folder / name
    if any(folder.glob("*.index.json")):
        raise CheckpointError(f"{folder}: weights split over several files are not supported; save them as one")
    raise CheckpointError(f"{folder}: neither {WEIGHTS} nor {OLD_WEIGHTS} here")


def read_model_folder(folder: str | Path) -> Checkpoint:
    """Read a model folder, ours or one that transformers wrote for a HuBERT model.

    Raises:
        CheckpointError: a file is missing, damaged or of another kind, or tensors do not fit.
    """
    folder = Path(folder)
    settings = _read_json(folder / CONFIG)
    try:
        config = HubertConfig.from_transformers(settings)
    except (ConfigError, TypeError) as error:
        raise CheckpointError(f"{folder / CONFIG}: {error}") from error
    file = weights_of_folder(folder)
    tensors = _read_tensors(file)
    pretraining = _taken(tensors, _PRETRAINING)
    task = _read_json(folder / TASK) if (folder / TASK).is_file() else None
    heads = _read_heads(_taken(tensors, _HEADS), task, folder)
    layout = huggingface.TASK_MODEL if huggingface.TASK_MODEL.recognises(tensors) else huggingface.MODEL
    contents = layout.read(tensors)
    metadata = dict(settings.get(_SOURCE, {}))
    if task is not None:
        metadata["task"] = {key: value for key, value in task.items() if key not in ("format", "heads")}
    checkpoint = Checkpoint(
        "transformers",
        config,
        contents.encoder,
        {**contents.pretraining, **pretraining},
        {**contents.heads, **heads},
        metadata,
    )
    return check(checkpoint, str(file), layout.key, contents.missing, contents.unexpected)


def save_model_folder(folder: str | Path, checkpoint: Checkpoint, task: Mapping[str, Any] | None = None) -> None:
    """Write a model folder, replacing an older one at the same place.

    Args:
        folder: Where.
        checkpoint: What.
        task: Goes into `task.json` beside the heads' labels (thresholds, window, lineage, licence).

    Raises:
        OutputError: the place is taken by something that is not a model folder, or cannot be written.
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
        raise OutputError(f"{folder}: the weights cannot be written ({error})") from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def refuse_other_folder(folder: Path) -> None:
    """Make sure that a model folder may be written at a place: ask before hours of work.

    Raises:
        OutputError: something stands there that is neither a model folder nor an empty folder.
    """
    if folder.exists() and not (is_model_folder(folder) or (folder.is_dir() and not any(folder.iterdir()))):
        raise OutputError(f"{folder}: exists and is not a model folder; choose another place")


def _write_files(folder: Path, checkpoint: Checkpoint, task: Mapping[str, Any] | None) -> None:
    source = {key: value for key, value in checkpoint.metadata.items() if key != "task"}
    settings = checkpoint.config.to_transformers()
    write_json(folder / CONFIG, {**settings, _SOURCE: source} if source else settings)
    write_json(folder / PREPROCESSOR, _preprocessor(checkpoint.config))
    if checkpoint.heads or task:
        labels = {name: {"labels": list(head.labels)} for name, head in checkpoint.heads.items()}
        write_json(folder / TASK, {"format": TASK_FORMAT, "heads": labels, **dict(task or {})})
    tensors = dict(checkpoint.encoder)
    tensors |= {_PRETRAINING + name: tensor for name, tensor in checkpoint.pretraining.items()}
    for name, head in checkpoint.heads.items():
        tensors |= {f"{_HEADS}{name}.{key}": tensor for key, tensor in head.tensors.items()}
    safetensors.torch.save_file(_independent(tensors), folder / WEIGHTS, metadata={"format": "pt"})
    shutil.copymode(folder / CONFIG, folder / WEIGHTS)  # safetensors makes it readable by its owner alone


def _preprocessor(config: HubertConfig) -> dict[str, Any]:
    return {
        "feature_extractor_type": "Wav2Vec2FeatureExtractor",
        "feature_size": 1,
        "sampling_rate": SAMPLE_RATE,
        "padding_side": "right",
        "padding_value": 0.0,
        "do_normalize": False,
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
    """Contiguous CPU tensors that share no memory, as safetensors wants them."""
    prepared = {}
    for name, tensor in tensors.items():
        tensor = tensor.detach().cpu().contiguous()
        prepared[name] = tensor.clone() if tensor.untyped_storage().nbytes() != tensor.nbytes else tensor
    return prepared


def _read_tensors(file: Path) -> dict[str, Tensor]:
    refuse_pointer(file)
    if file.name == OLD_WEIGHTS:
        content = read_pickle(file)
        if not isinstance(content, dict) or not all(isinstance(value, Tensor) for value in content.values()):
            raise CheckpointError(f"{file}: not a dict of tensors")
        return dict(content)
    try:
        return safetensors.torch.load_file(file)
    except (safetensors.SafetensorError, OSError, ValueError) as error:
        raise CheckpointError(f"{file}: not a safetensors file, or cut short; copy or download it again") from error


def _read_json(file: Path) -> dict[str, Any]:
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{file}: cannot be read as JSON ({error})") from error
    if not isinstance(content, dict):
        raise CheckpointError(f"{file}: holds no JSON object")
    return content


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
    return {name: Head(tuple(described[name]["labels"]), found) for name, found in grouped.items()}
