"""Reading a checkpoint of any known layout into one form, and writing that form in any of them.

The layout is recognised by its keys, never by a file name, and read strictly: missing or unexpected tensors are an
error. Formats are described in `flavours/`; this module opens files, removes what training libraries wrap around the
tensors, and recognises the layout.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from torch import Tensor

from babyhubert.encoder.canonical import Checkpoint, Head, check, infer_config, refuse_unusable
from babyhubert.encoder.config import HubertConfig
from babyhubert.encoder.flavours import FLAVOURS, LAYOUTS, WRITABLE
from babyhubert.encoder.flavours.fairseq import s3prl_entries
from babyhubert.encoder.flavours.layout import LAYER_WEIGHTS, SPECIAL_LABEL_EMBEDDINGS, Layout, NamedHead
from babyhubert.encoder.model_folder import is_model_folder, read_model_folder, save_model_folder, weights_of_folder
from babyhubert.encoder.pickles import plain, read_pickle, write_pickle
from babyhubert.errors import CheckpointError, ConfigError

__all__ = ["Checkpoint", "Head", "left_out", "read_checkpoint", "weights_file", "write_checkpoint"]

_ENVELOPES = ("state_dict", "model_weight", "model")
_WRAPPERS = ("module.", "model.")
_PICKLE_SUFFIXES = (".ckpt", ".pt", ".pth", ".bin")
_NORMALISES = "normalises"
_NORMALISING = ("transformers", "fairseq", "babar")
"""Layouts whose readers normalise waveforms, always or by a setting."""
_OUR_KEY = "babyhubert"
"""Key of the entry that this package adds to the published content of a pickle: settings that shapes do not show."""
_SETTINGS = ("shared", "thresholds", "simultaneous")
"""Settings of a model in ``task.json`` besides those of each head."""


def weights_file(path: str | Path) -> Path:
    """Find the weights file of a checkpoint file or folder.

    A folder is a model folder (`config.json` and weights) or holds exactly one `.ckpt`, `.pt` or `.pth` file, at any
    depth, as the published repositories do.

    Raises:
        CheckpointError: the path does not exist, or the folder holds no checkpoint or several.
    """
    path = Path(path)
    if path.is_file():
        return path
    if not path.is_dir():
        what = "neither a regular file nor a folder" if path.exists() else "no such file or folder"
        raise CheckpointError(f"{path}: {what}")
    if is_model_folder(path):
        return weights_of_folder(path)
    found = sorted(file for file in path.rglob("*") if file.suffix in _PICKLE_SUFFIXES and file.is_file())
    if len(found) == 1:
        return found[0]
    if not found:
        raise CheckpointError(
            f"{path}: this folder holds no checkpoint (config.json and model.safetensors, or a .ckpt)"
        )
    names = ", ".join(str(file.relative_to(path)) for file in found[:5])
    raise CheckpointError(f"{path}: {len(found)} checkpoints in this folder ({names}); name one")


def read_checkpoint(path: str | Path) -> Checkpoint:
    """Read a checkpoint file or model folder of any known layout.

    Raises:
        CheckpointError: the path does not exist, the file is damaged, would run code, has an unknown layout, or lacks
            or adds tensors.
    """
    path = Path(path)
    if is_model_folder(path):
        return read_model_folder(path)
    file = weights_file(path)
    if file.suffix == ".safetensors":
        raise CheckpointError(f"{file}: name the folder, which also holds config.json, instead of the weights file")
    content = read_pickle(file)
    tensors, metadata = _unwrap(content, file)
    refuse_unusable(tensors, str(file))
    _refuse_shared(tensors, file)
    wrapper = _wrapper(tensors)
    bare = {key.removeprefix(wrapper): tensor for key, tensor in tensors.items()}
    layout = _recognise(bare, tensors, file)
    if layout.name == "fairseq":
        metadata[_NORMALISES] = _fairseq_normalises(content, file)
    return _read_layout(layout, bare, wrapper, metadata, str(file))


def write_checkpoint(checkpoint: Checkpoint, path: str | Path, flavour: str, *, allow_loss: bool = False) -> None:
    """Write a checkpoint in the layout called `flavour`, completely or not at all. `transformers` is a model folder.

    A single-file layout also gets a `babyhubert` entry with the configuration; other readers do not look at it.

    Args:
        checkpoint: What to write.
        path: Folder for `transformers`, file otherwise; replaced if it exists.
        flavour: One of `FLAVOURS`.
        allow_loss: Leave out heads and pre-training parameters the layout has no room for, instead of refusing.

    Raises:
        CheckpointError: unknown layout, one that needs parameters the checkpoint lacks, or a loss not allowed.
    """
    path = Path(path)
    if flavour not in FLAVOURS:
        raise CheckpointError(f"unknown layout {flavour!r}: use one of {', '.join(FLAVOURS)}")
    if flavour == "transformers":
        save_model_folder(path, checkpoint, checkpoint.metadata.get("task"))
        return
    layout = WRITABLE[flavour]
    _refuse_incomplete(checkpoint, layout)
    lost = [name for name in left_out(checkpoint, flavour) if name != SPECIAL_LABEL_EMBEDDINGS]
    if lost and not allow_loss:
        raise CheckpointError(
            f"the {flavour} layout has no room for {', '.join(lost)}; write 'transformers', which keeps everything, "
            "or allow the loss",
            option="--allow-loss",
        )
    unused = checkpoint.metadata.get("unused", {})
    checkpoint = checkpoint.without_branches()
    tensors = layout.write(checkpoint.encoder, checkpoint.pretraining, checkpoint.heads, unused)
    write_pickle(path, _envelope(layout, tensors, checkpoint))


def left_out(checkpoint: Checkpoint, flavour: str) -> list[str]:
    """Names of pre-training parameters and heads that a layout cannot store."""
    if flavour == "transformers":
        return []
    layout = WRITABLE[flavour]
    room = {*layout.pretraining, *([SPECIAL_LABEL_EMBEDDINGS] if layout.special_label_rows else [])}
    lost = [name for name in checkpoint.pretraining if name not in room]
    heads = {layout.head.task} if layout.head is not None else set()
    if checkpoint.config.normalise and flavour not in _NORMALISING:
        lost.append("the normalisation of waveforms (do_normalize)")
    for below, blocks in zip(checkpoint.config.tops, checkpoint.config.branches, strict=False):
        lost.append(f"the branch of blocks {below + 1} to {below + blocks}")
    return lost + [f"the {task} head" for task in checkpoint.heads if task not in heads]


def _refuse_incomplete(checkpoint: Checkpoint, layout: Layout) -> None:
    absent = [name for name in layout.requires if name not in checkpoint.pretraining]
    if layout.head is not None and layout.head.task not in checkpoint.heads:
        absent.append(f"the {layout.head.task} head")
    if absent:
        raise CheckpointError(
            f"the {layout.name} layout needs {', '.join(absent)}, which this checkpoint does not have; "
            "write 'transformers', which holds an encoder alone"
        )
    if isinstance(layout.head, NamedHead) and checkpoint.heads[layout.head.task].labels != layout.head.labels:
        raise CheckpointError(
            f"the {layout.name} layout does not store labels: its rows are {', '.join(layout.head.labels)}, this "
            f"head's {', '.join(checkpoint.heads[layout.head.task].labels)}; write 'transformers', which names them"
        )
    if (
        isinstance(layout.head, NamedHead)
        and not layout.head.keys.keys() <= checkpoint.heads[layout.head.task].tensors.keys()
    ):
        raise CheckpointError(
            f"the {layout.name} layout has a head of another shape (two linear layers); write 'transformers'"
        )
    if layout.head is not None and _takes_inner_blocks(checkpoint.heads[layout.head.task]):
        raise CheckpointError(
            f"the {layout.name} layout stores heads of the encoder's last block alone, and the {layout.head.task} "
            "head takes others; write 'transformers'"
        )
    if checkpoint.config.relative_buckets:
        raise CheckpointError(
            f"the {layout.name} layout holds a HuBERT encoder, not WavLM with its relative position bias; write "
            "'transformers'"
        )
    if layout.name == "fairseq" and checkpoint.config.feature_norm != "group":
        raise CheckpointError("the fairseq layout is written for group-norm encoders only; write 'transformers'")


def _takes_inner_blocks(head: Head) -> bool:
    return head.block is not None or LAYER_WEIGHTS in head.tensors


def _envelope(layout: Layout, tensors: dict[str, Tensor], checkpoint: Checkpoint) -> dict[str, Any]:
    config, metadata = checkpoint.config.to_transformers(), checkpoint.metadata
    normalises = checkpoint.config.normalise
    task = metadata.get("task", {})
    settings = {key: task[key] for key in (*checkpoint.heads, *_SETTINGS) if key in task}
    ours = {_OUR_KEY: {"config": {**config, "do_normalize": True} if normalises else config, "task": settings}}
    if layout.envelope == "model":
        cfg = {"task": {"_name": "hubert_pretraining", "normalize": True}} if normalises else None
        return {"args": None, "cfg": cfg, "model": tensors, **s3prl_entries(checkpoint.config, tensors), **ours}
    return {
        "epoch": metadata.get("epoch", 0),
        "global_step": metadata.get("global_step", 0),
        "pytorch-lightning_version": metadata.get("pytorch-lightning_version", "2.5.0"),
        "state_dict": tensors,
        "callbacks": {},
        "optimizer_states": [],
        "lr_schedulers": [],
        "hyper_parameters": _hyper_parameters(layout, metadata.get("hyper_parameters", {})),
        **ours,
    }


def _hyper_parameters(layout: Layout, own: Any) -> dict[str, Any]:
    """Hyper-parameters of the file, completed by those that the layout's reader needs."""
    given = dict(own) if isinstance(own, Mapping) else {}
    needed = {name: {**values, **_mapping(given.get(name))} for name, values in layout.hyper_parameters.items()}
    return {**given, **needed}


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _unwrap(content: Any, file: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The tensors of a pickle and the plain values beside them."""
    if not isinstance(content, Mapping):
        raise CheckpointError(f"{file}: holds a {type(content).__name__}, not a dict of tensors")
    inside = next((key for key in _ENVELOPES if isinstance(content.get(key), Mapping)), None)
    tensors = content if inside is None else content[inside]
    if not tensors or not all(isinstance(key, str) and isinstance(value, Tensor) for key, value in tensors.items()):
        raise CheckpointError(f"{file}: unknown layout, no dict of tensors inside (keys: {_some(content)})")
    facts = {} if inside is None else {key: plain(value) for key, value in content.items() if key in _FACTS}
    return dict(tensors), facts


def _fairseq_normalises(content: Mapping[Any, Any], file: Path) -> bool:
    """Value of fairseq's `task.normalize`: from `cfg`, from `args` in older files, or from s3prl's `task_cfg`."""
    places = (("cfg", "task", "normalize"), ("args", "normalize"), ("task_cfg", "normalize"))
    for place in places:
        value: Any = content
        for key in place:
            value = _node(value).get(key) if isinstance(_node(value), Mapping) else None
        value = _node(value)
        if value is not None:
            if not isinstance(value, bool):
                raise CheckpointError(f"{file}: {'.'.join(place)} is {value!r}: true or false is needed")
            return value
    return False


def _node(value: Any) -> Any:
    """Content of an omegaconf node, read without the library; any other value unchanged."""
    if isinstance(value, Mapping):
        return value.get("_content", value.get("_val", value))
    return value


_FACTS = ("epoch", "global_step", "pytorch-lightning_version", "hyper_parameters", _OUR_KEY)


def _refuse_shared(tensors: Mapping[str, Tensor], file: Path) -> None:
    """Refuse tensors that share memory: a thousand names of one tensor would become a thousand copies."""
    total, size = sum(tensor.nbytes for tensor in tensors.values()), file.stat().st_size
    if total > 2 * size:
        raise CheckpointError(
            f"{file}: its tensors share their numbers ({total:,} bytes from a file of {size:,}); save each in full"
        )


def _wrapper(tensors: Mapping[str, Tensor]) -> str:
    """Prefix that training wrappers add to every key: "model." of Lightning, "module." of DDP, or both."""
    found = ""
    while True:
        more = next((word for word in _WRAPPERS if all(key.startswith(found + word) for key in tensors)), None)
        if more is None:
            return found
        found += more


def _recognise(bare: Mapping[str, Tensor], tensors: Mapping[str, Tensor], file: Path) -> Layout:
    for layout in LAYOUTS:
        if layout.recognises(bare.keys()):
            return layout
    raise CheckpointError(
        f"{file}: unknown layout (keys such as {_some(tensors)}); known: {', '.join(FLAVOURS)}, and s3prl's HuBERT"
    )


def _read_layout(
    layout: Layout, bare: Mapping[str, Tensor], wrapper: str, metadata: dict[str, Any], where: str
) -> Checkpoint:
    contents = layout.read(bare)
    inferred = infer_config(contents.encoder, where, layout.dropouts)
    ours = metadata.pop(_OUR_KEY, None)
    config = inferred if ours is None else _recorded_config(ours, where)
    if metadata.pop(_NORMALISES, False):
        config = replace(config, normalise=True)
    if contents.unused:
        metadata["unused"] = contents.unused
    settings = layout.task_settings if ours is None else _recorded_settings(ours, layout, where)
    if settings:
        metadata["task"] = dict(settings)
    checkpoint = Checkpoint(
        layout.name,
        config,
        _own(contents.encoder),
        _own(contents.pretraining),
        {task: replace(head, tensors=_own(head.tensors)) for task, head in contents.heads.items()},
        metadata,
    )
    return check(
        checkpoint,
        where,
        key=lambda name: wrapper + layout.key(name),
        missing=[wrapper + key for key in contents.missing],
        unexpected=[wrapper + key for key in contents.unexpected],
    )


def _recorded_config(ours: Any, where: str) -> HubertConfig:
    try:
        return HubertConfig.from_transformers(ours["config"])
    except (ConfigError, KeyError, TypeError, AttributeError) as error:
        raise CheckpointError(f"{where}: the configuration under {_OUR_KEY!r} is malformed ({error})") from error


def _recorded_settings(ours: Mapping[str, Any], layout: Layout, where: str) -> Mapping[str, Any]:
    """Settings of the heads as stored in the file, else those of the layout."""
    settings = ours.get("task", layout.task_settings)
    if not isinstance(settings, Mapping):
        raise CheckpointError(f"{where}: the settings under {_OUR_KEY!r} are {settings!r}, not a table")
    return settings


def _own(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Copies of the tensors in this process's memory, so that the file can be closed, moved or replaced."""
    return {name: tensor.detach().contiguous().clone() for name, tensor in tensors.items()}


def _some(names: Mapping[Any, Any], at_most: int = 4) -> str:
    shown = ", ".join(str(name) for name in list(names)[:at_most])
    return shown + (", ..." if len(names) > at_most else "") or "none"
