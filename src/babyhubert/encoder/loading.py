"""Resolution of a name to an encoder: a local path, a model of this package, or a repository on the Hugging Face hub.

A local path comes first, but for a folder without weights that is called like a model of the package; a path that does
not exist is an error, never a download and never another model. The published repositories are gated: until a user has
accepted their terms and logged in, the error says where to do so.
"""

from __future__ import annotations

import logging
import os
import re
from pathlib import Path

import torch

from babyhubert.encoder.checkpoints import Checkpoint, read_checkpoint, weights_file
from babyhubert.encoder.hubert import HubertEncoder
from babyhubert.encoder.sharded_weights import is_index, sharded_sha256
from babyhubert.errors import CheckpointError, ModelAccessError
from babyhubert.hashing import file_sha256, fingerprint
from babyhubert.shipped import SHIPPED_MODELS, shipped_models

_LOG = logging.getLogger(__name__)

_REPOSITORY = re.compile(r"([A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*)(?:@([A-Za-z0-9][\w./-]*))?")
"""``owner/name`` or ``owner/name@revision``."""
_FILE_SUFFIXES = (".ckpt", ".pt", ".pth", ".bin", ".safetensors")
_DOWNLOADED = [*(f"*{suffix}" for suffix in _FILE_SUFFIXES), "*.json", "*.toml", "*.yml", "*.yaml", "*.md"]


def resolve_model(
    name_or_path: str | Path,
    revision: str | None = None,
    cache_dir: str | Path | None = None,
    offline: bool = False,
) -> Path:
    """Find a model on this machine, downloading it from the hub if it is named `owner/name`.

    Args:
        name_or_path: A checkpoint file, a model folder, the name of a model of this package, or `owner/name` on the
            hub, with `@revision` behind it for another revision than the newest.
        revision: Branch, tag or commit on the hub, where the name does not say it.
        cache_dir: Where downloads are kept; huggingface_hub's own cache if None.
        offline: Use only what was downloaded before.

    Raises:
        CheckpointError: no such path, and not the name of a repository either.
        ModelAccessError: the repository is gated, unknown or out of reach.
    """
    path = Path(name_or_path).expanduser()
    name = str(name_or_path)
    shipped = isinstance(name_or_path, str) and name in shipped_models()
    if path.exists() and not (shipped and _is_other_folder(path)):
        return path
    if shipped:
        return SHIPPED_MODELS / name
    named = None if isinstance(name_or_path, Path) else _REPOSITORY.fullmatch(name)
    if named is None or Path(named[1]).suffix in _FILE_SUFFIXES or path.suffix in _FILE_SUFFIXES:
        raise CheckpointError(
            f"{name}: no such file or folder (a model on the hub is named owner/name or owner/name@revision; in the "
            f"package: {', '.join(shipped_models())})"
        )
    repository, own = named.groups()
    offline = offline or os.environ.get("HF_HUB_OFFLINE", "").upper() in ("1", "ON", "YES", "TRUE")
    _LOG.info("looking for %s on the hub, or in its cache", name)
    return _download(repository, own or revision, cache_dir, offline)


def _is_other_folder(path: Path) -> bool:
    """True for a folder without weights, such as one of recordings that is called like a model of the package."""
    return path.is_dir() and not any(file.suffix in _FILE_SUFFIXES for file in path.iterdir())


def _download(repository: str, revision: str | None, cache_dir: str | Path | None, offline: bool) -> Path:
    import huggingface_hub
    from huggingface_hub import errors

    try:
        folder = huggingface_hub.snapshot_download(
            repository, revision=revision, cache_dir=cache_dir, local_files_only=offline, allow_patterns=_DOWNLOADED
        )
    except errors.GatedRepoError as error:
        raise ModelAccessError(
            f"{repository} is gated: open https://huggingface.co/{repository}, accept the terms, then run "
            "'hf auth login'; on a machine without network, download it elsewhere and give the folder's path"
        ) from error
    except errors.RevisionNotFoundError as error:
        raise ModelAccessError(f"{repository} has no revision {revision!r} on the hub") from error
    except errors.RepositoryNotFoundError as error:
        raise ModelAccessError(
            f"{repository}: no such path here, and no such model on the hub that you may see; if it is private or "
            f"gated, open https://huggingface.co/{repository}, accept the terms, then run 'hf auth login'"
        ) from error
    except errors.HFValidationError as error:
        raise CheckpointError(
            f"{repository}: no such path here, and no possible name of a model on the hub"
        ) from error
    except (errors.LocalEntryNotFoundError, errors.HfHubHTTPError, errors.OfflineModeIsEnabled) as error:
        reason = "it was not downloaded before" if offline else "the hub cannot be reached"
        raise ModelAccessError(
            f"{repository}: no such path here, and {reason}; download https://huggingface.co/{repository} where there "
            "is network (hf download, after accepting its terms) and give the folder's path"
        ) from error
    except Exception as error:  # a full disk, or the HTTP library's own errors, which change with the hub's client
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        raise ModelAccessError(f"{repository}: the download did not finish ({reason}); try again") from error
    _LOG.info("%s is in %s", repository, folder)
    return Path(folder)


def load_checkpoint(
    source: str | Path,
    *,
    revision: str | None = None,
    cache_dir: str | Path | None = None,
    offline: bool = False,
) -> Checkpoint:
    """Read a checkpoint from a file, a folder or the hub; errors as of :func:`resolve_model` and `read_checkpoint`."""
    return read_checkpoint(resolve_model(source, revision, cache_dir, offline))


def origin_of(source: str, checkpoint: Checkpoint) -> str:
    """Source, hash and licence of a model, for the lineage of those that are made from it."""
    licence = checkpoint.metadata.get("task", {}).get("licence") or "licence unknown: see its source"
    return f"{source}, SHA-256 {model_hash(resolve_model(source))} ({licence})"


def build_encoder(checkpoint: Checkpoint) -> HubertEncoder:
    """Build an encoder with a checkpoint's weights, float32 on the CPU, in evaluation mode. The tensors are copied.

    Raises:
        CheckpointError: the tensors do not fit the configuration.
    """
    with torch.device("meta"):
        encoder = HubertEncoder(checkpoint.config)
    tensors = {name: tensor.to("cpu", torch.float32, copy=True) for name, tensor in checkpoint.encoder.items()}
    try:
        encoder.load_state_dict(tensors, strict=True, assign=True)
    except RuntimeError as error:
        raise CheckpointError(f"the weights do not fit the encoder: {' '.join(str(error).split())}") from error
    return encoder.eval()


def load_encoder(
    source: str | Path | Checkpoint,
    *,
    device: str | torch.device = "cpu",
    dtype: torch.dtype | None = None,
) -> HubertEncoder:
    """Load an encoder for inference: evaluation mode, weight norm folded (`train()` unfolds it).

    Example:
        >>> encoder = babyhubert.load_encoder("coml/BabyHuBERT")
        >>> waveforms = torch.from_numpy(babyhubert.load_audio("day1.wav", stop=10))[None]
        >>> encoder(waveforms, layers=[7]).hidden[7].shape  # (1, frames, width)

    Args:
        source: A file, a folder, `owner/name` on the hub, a model of the package, or a checkpoint already read.
        device: Device to load it on.
        dtype: Floating point type of the weights; float32 if None.

    Raises:
        CheckpointError: the checkpoint is missing, unsafe, incomplete or unknown.
        ModelAccessError: the model is on the hub and may not, or cannot, be downloaded.
    """
    checkpoint = source if isinstance(source, Checkpoint) else load_checkpoint(source)
    return build_encoder(checkpoint).fold_weight_norm().to(device=device, dtype=dtype)


def model_hash(path: str | Path) -> str:
    """SHA-256 of the weights in hexadecimal: of the file, or of all files of an index."""
    file = weights_file(path)
    return sharded_sha256(file) if is_index(file) else file_sha256(file)


def model_settings_hash(path: str | Path) -> str:
    """Hash of the settings that a model folder stores beside its weights (its JSON files); empty for a single file.

    The same weights with another number of attention heads, or another order of labels, are another model.
    """
    folder = Path(path)
    if not folder.is_dir():
        return ""
    return fingerprint({file.name: file_sha256(file) for file in sorted(folder.glob("*.json"))})
