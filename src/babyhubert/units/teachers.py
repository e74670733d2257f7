"""Teachers: models that turn audio into the features from which units are made.

A teacher takes a batch of equally long waveforms, as they were recorded (one that was trained on normalised ones
normalises them itself), and gives one vector per frame on the package's frame grid, always in evaluation mode and
without gradients. Its name is a text:

    mfcc                     39 coefficients, see `units.mfcc`
    wavlm-base-plus:6        microsoft/wavlm-base-plus on the hub, output of its 6th transformer block
    wavlm:PATH_OR_REPO:6     any WavLM in transformers' layout
    PATH_OR_REPO:7           any HuBERT checkpoint that this package reads

Layer k is transformers' ``hidden_states[k]``: 0 is the input of the first block, k the output of the k-th block.
Blocks above the chosen one are never run.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, cast

import numpy as np
import torch
from torch import Tensor, nn

from babyhubert.audio.mfcc import MFCC_DIM, mfcc
from babyhubert.compute.device import resolve_device
from babyhubert.compute.processes import RankInfo
from babyhubert.encoder.hubert import HubertEncoder, normalised_waveforms
from babyhubert.encoder.loading import load_encoder, model_hash, resolve_model
from babyhubert.encoder.model_folder import is_model_folder, normalises_waveforms
from babyhubert.errors import CheckpointError, ConfigError, CorpusError, MissingExtraError
from babyhubert.timebase import frame_count

Precision = Literal["float32", "bfloat16"]
Kind = Literal["mfcc", "wavlm", "hubert"]

MFCC = "mfcc"
_WAVLM_PREFIX = "wavlm:"
_NICKNAMES = {"wavlm-base-plus": "microsoft/wavlm-base-plus", "wavlm-base": "microsoft/wavlm-base"}


@dataclass(frozen=True)
class TeacherName:
    """A teacher's name in its parts.

    Attributes:
        text: The complete name.
        kind: Kind of the teacher.
        source: Path or repository; empty for ``mfcc``.
        layer: Index into ``hidden_states``; 0 for ``mfcc``.
    """

    text: str
    kind: Kind
    source: str = ""
    layer: int = 0

    @classmethod
    def parse(cls, text: str) -> TeacherName:
        """Read a name.

        Raises:
            ConfigError: no layer, or one that is not a whole number from 0.
        """
        if text == MFCC:
            return cls(text, "mfcc")
        source, _, layer = text.rpartition(":")
        if not source or not layer.isascii() or not layer.isdigit():
            raise ConfigError(
                f"teacher '{text}': write mfcc, wavlm-base-plus:6, wavlm:PATH_OR_REPOSITORY:LAYER, or "
                "PATH_OR_REPOSITORY:LAYER for a HuBERT checkpoint"
            )
        if source in _NICKNAMES:
            return cls(text, "wavlm", _NICKNAMES[source], int(layer))
        if source.startswith(_WAVLM_PREFIX):
            return cls(text, "wavlm", source.removeprefix(_WAVLM_PREFIX), int(layer))
        if source == MFCC:
            raise ConfigError(f"teacher '{text}': mfcc has no layers; write mfcc")
        return cls(text, "hubert", source, int(layer))


class Teacher(ABC):
    """A model that turns equally long waveforms into features.

    Attributes:
        name: Name for messages.
        identity: All settings that affect the features: kind, hash of the weights, layer, precision (JSON values).
        dim: Width D of the features.
        device: Device of the model and its features.
    """

    def __init__(self, name: str, identity: Mapping[str, Any], dim: int, device: torch.device) -> None:
        self.name, self.identity, self.dim, self.device = name, dict(identity), dim, device

    @torch.no_grad()
    def features(self, waveforms: Tensor) -> Tensor:
        """Features of a batch.

        Args:
            waveforms: 16 kHz, in [-1, 1], not normalised, float32, (B, n), n >= 400, on any device.

        Returns:
            Float32, (B, T(n), D), on the teacher's device.

        Raises:
            CorpusError: the teacher gives another number of frames than the frame grid has.
        """
        features = self._features(waveforms.to(self.device)).float()
        expected = (len(waveforms), frame_count(waveforms.shape[1]), self.dim)
        if tuple(features.shape) != expected:
            raise CorpusError(
                f"teacher {self.name}: {features.shape[1]} frames of width {features.shape[2]} for "
                f"{waveforms.shape[1]} samples instead of {expected[1]} of width {expected[2]}; it does not give one "
                "frame every 320 samples, so its features cannot label audio here"
            )
        return features

    @abstractmethod
    def _features(self, waveforms: Tensor) -> Tensor: ...


class MfccTeacher(Teacher):
    """Kaldi's MFCC with differences, always computed on the CPU."""

    def __init__(self, device: torch.device | None = None) -> None:
        super().__init__(MFCC, {"kind": "mfcc", "version": 1}, MFCC_DIM, device or torch.device("cpu"))

    def _features(self, waveforms: Tensor) -> Tensor:
        rows = [mfcc(row) for row in waveforms.cpu().numpy()]
        return torch.from_numpy(np.stack(rows)).to(self.device)


class _NetworkTeacher(Teacher):
    """A network in evaluation mode, in float32 or under bfloat16 autocast (CUDA only)."""

    def __init__(
        self, name: str, network: nn.Module, layer: int, dim: int, kind: Kind, weights: str, precision: Precision
    ) -> None:
        device = next(network.parameters()).device
        if precision == "bfloat16" and device.type != "cuda":
            raise ConfigError(f"teacher {name}: bfloat16 runs on CUDA only, not on {device.type}; use float32")
        identity = {"kind": kind, "weights": weights, "layer": layer, "precision": precision}
        super().__init__(name, identity, dim, device)
        self._network, self._layer, self._precision = network.eval(), layer, precision

    def _features(self, waveforms: Tensor) -> Tensor:
        if self._network.training:  # whoever shares the network may have gone on training it
            self._network.eval()
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self._precision == "bfloat16"):
            return self._hidden(waveforms)

    def _hidden(self, waveforms: Tensor) -> Tensor:
        raise NotImplementedError


class HubertTeacher(_NetworkTeacher):
    """A hidden layer of this package's encoder.

    Args:
        encoder: On its device; put into evaluation mode.
        layer: 0 to its number of blocks.
        name: Name for messages.
        weights: Hash of the weights.
        precision: Precision of the computation.

    Raises:
        ConfigError: no such layer, or bfloat16 without CUDA.
    """

    def __init__(
        self, encoder: HubertEncoder, layer: int, name: str, weights: str, precision: Precision = "float32"
    ) -> None:
        _check_layer(name, layer, encoder.config.layers)
        super().__init__(name, encoder, layer, encoder.config.hidden_size, "hubert", weights, precision)
        if encoder.config.normalise:
            self.identity["normalise"] = True

    def _hidden(self, waveforms: Tensor) -> Tensor:
        return cast("HubertEncoder", self._network)(waveforms, layers={self._layer}).hidden[self._layer]


class WavLMTeacher(_NetworkTeacher):
    """A hidden layer of a transformers ``WavLMModel``, cut off above that layer.

    The layer is the output of its block, before the closing norm that "stable" (large) models have at the end.

    Args:
        model: On its device; put into evaluation mode, and its blocks above ``layer`` are removed.
        layer: 0 to its number of blocks.
        name: Name for messages.
        weights: Hash of the weights.
        precision: Precision of the computation.
        normalise: True if its feature extractor normalises waveforms to zero mean and unit variance.

    Raises:
        ConfigError: no such layer, or bfloat16 without CUDA.
    """

    def __init__(
        self,
        model: Any,
        layer: int,
        name: str,
        weights: str,
        precision: Precision = "float32",
        normalise: bool = False,
    ) -> None:
        blocks = model.encoder.layers
        _check_layer(name, layer, len(blocks))
        model.encoder.layers = blocks[: max(layer, 1)]
        super().__init__(name, model, layer, int(model.config.hidden_size), "wavlm", weights, precision)
        self._normalise = normalise
        if normalise:
            self.identity["normalise"] = True
        self._taken: Tensor | None = None
        if layer == 0:
            blocks[0].register_forward_pre_hook(self._take_input, with_kwargs=True)
        else:
            blocks[layer - 1].register_forward_hook(self._take_output)

    def _hidden(self, waveforms: Tensor) -> Tensor:
        self._network(normalised_waveforms(waveforms) if self._normalise else waveforms)
        taken, self._taken = self._taken, None
        return cast("Tensor", taken)

    def _take_input(self, _: nn.Module, arguments: tuple[Any, ...], keywords: dict[str, Any]) -> None:
        self._taken = arguments[0] if arguments else keywords["hidden_states"]

    def _take_output(self, _: nn.Module, arguments: Any, output: Any) -> None:
        self._taken = output[0] if isinstance(output, tuple) else output


def load_teacher(
    name: str, device: str | torch.device = "auto", precision: Precision = "float32", place: RankInfo | None = None
) -> Teacher:
    """Load the teacher of a name.

    Args:
        name: See the module.
        device: ``auto``, ``cpu``, ``cuda``, ``cuda:1``, ``mps``. With several processes on a machine, ``auto`` and
            ``cuda`` give each its own GPU.
        precision: ``bfloat16`` needs CUDA.
        place: Rank of this process.

    Raises:
        ConfigError: an impossible name, layer, device or precision.
        CheckpointError: no such model, damaged, or of another kind.
        ModelAccessError: it is on the hub and must not, or cannot, be downloaded.
        MissingExtraError: a WavLM without transformers, or ``mfcc`` without kaldi-native-fbank.
    """
    parts = TeacherName.parse(name)
    chosen = own_device(device, place or RankInfo())
    if parts.kind == "mfcc":
        return MfccTeacher(chosen)
    path = resolve_model(parts.source)
    if parts.kind == "wavlm":
        model = _load_wavlm(path, parts.text).to(chosen)
        return WavLMTeacher(model, parts.layer, name, model_hash(path), precision, normalises_waveforms(path))
    return HubertTeacher(load_encoder(path, device=chosen), parts.layer, name, model_hash(path), precision)


def own_device(device: str | torch.device, place: RankInfo) -> torch.device:
    """Device of one process: its own GPU if several share a machine.

    Raises:
        ConfigError: no such device.
    """
    chosen = device if isinstance(device, torch.device) else resolve_device(device)
    if chosen.type == "cuda" and chosen.index is None and place.world > 1:
        return resolve_device(f"cuda:{place.local_rank}")
    return chosen


def _load_wavlm(path: Path, name: str) -> Any:
    if not is_model_folder(path):
        raise CheckpointError(f"teacher {name}: {path} is no folder with config.json and weights, as WavLM needs")
    try:
        from transformers import AutoConfig, WavLMModel
    except ImportError:
        raise MissingExtraError("a WavLM teacher", "pretrain") from None
    try:
        kind = AutoConfig.from_pretrained(path, local_files_only=True).model_type
        loaded: Any = None
        if kind == "wavlm":
            loaded = WavLMModel.from_pretrained(path, local_files_only=True, output_loading_info=True)
    except Exception as error:  # transformers raises many kinds for folders that are not as it wrote them
        reason = " ".join(str(error).split())
        raise CheckpointError(f"teacher {name}: {path} cannot be read as a WavLM model ({reason})") from error
    if loaded is None:
        raise CheckpointError(f"teacher {name}: {path} holds a {kind} model, not WavLM; drop 'wavlm:' for HuBERT")
    model, notes = loaded
    missing = sorted(key for key in notes["missing_keys"] if key != "masked_spec_embed")
    if missing:
        raise CheckpointError(f"teacher {name}: {path} lacks {len(missing)} tensors, {missing[0]} among them")
    return model.float().eval()


def _check_layer(name: str, layer: int, layers: int) -> None:
    if not 0 <= layer <= layers:
        raise ConfigError(f"teacher {name}: no layer {layer}; this model has layers 0 to {layers}")
