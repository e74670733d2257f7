"""Representations of one recording as arrays, for Python code; ``babyhubert embed`` writes those of many to files."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from babyhubert.annotation.segments import Segments
from babyhubert.audio.channels import Channel
from babyhubert.audio.waveforms import AudioInput, AudioProgress, open_audio
from babyhubert.encoder.hubert import HubertEncoder
from babyhubert.errors import ConfigError
from babyhubert.inference.engine import Engine, Failed, Finished, Frames
from babyhubert.inference.speed import Speed
from babyhubert.inference.windows import WindowPlan
from babyhubert.shipped import SMALL_MODEL
from babyhubert.tasks.embedding import Embedder, EmbedSettings
from babyhubert.tasks.segment_means import NeededFrames, SegmentMeans, segment_frames


def embed(
    audio: AudioInput,
    layers: int | Sequence[int] | None = None,
    sampling_rate: int | None = None,
    *,
    model: str | Path | HubertEncoder | None = None,
    segments: Segments | None = None,
    window: float = 20.0,
    overlap: float = 0.2,
    device: str = "auto",
    speed: Speed = "exact",
    channel: Channel = "mean",
    progress: AudioProgress | None = None,
) -> dict[int, NDArray[np.float32]]:
    """Represent a recording: one vector for each frame of 20 ms, or for each segment.

    Frame i begins at sample 320 i and covers 400. All frames are held in memory: for days of recordings use
    ``babyhubert embed``, which writes the same numbers while they are computed.

    Example:
        >>> frames = babyhubert.embed("day1.wav", layers=[2, 4])
        >>> frames[4].shape  # (frames, width)
        >>> encoder = babyhubert.load_encoder("coml/BabyHuBERT")
        >>> vectors = babyhubert.embed("day1.wav", layers=7, model=encoder, segments=segments)[7]

    Args:
        audio: A file of any readable format; or samples of shape (n,) or (channels, n), as a NumPy array, a torch
            tensor or lists.
        layers: Layers: 0 is the input of the first transformer block, k the output of the k-th, as ``hidden_states``
            in transformers. None takes the last.
        sampling_rate: Rate of the samples, Hz. Left out for a file.
        model: A model folder, a checkpoint file, a hub repository, or an encoder from ``load_encoder``. None takes the
            encoder of the small model of the package.
        segments: One vector for each of these instead: the mean over its frames.
        window: Length of windows, in seconds.
        overlap: Fraction that neighbouring windows share; each frame is taken from the window in which it is farthest
            from an edge.
        device: ``auto``, ``cpu``, ``cuda``, ``cuda:1`` or ``mps``; an encoder stays where it is.
        speed: ``exact``, ``balanced`` or ``fast``: the arithmetic of a model that is loaded here.
        channel: ``"mean"`` of all channels, ``"first"``, ``"loudest"``, or a channel's index from 0.
        progress: Called after each block that was read, with the seconds done and those in all.

    Returns:
        By layer: float32, shape (frames, width), or (segments, width).

    Raises:
        AudioError: the file cannot be read, or the samples are no audio.
        AnnotationError: a segment lies past the end of the recording.
        CheckpointError: no such model.
        ConfigError: the encoder lacks a layer, or impossible windows or a missing device.
    """
    embedder = _embedder(model, device, speed)
    chosen = (embedder.encoder.config.layers,) if layers is None else _layers(layers)
    embedder.check_layers(chosen)
    engine = embedder.engine(EmbedSettings(chosen, WindowPlan.from_overlap(window, overlap)))
    with open_audio(audio, sampling_rate, channel=channel, progress=progress) as opened:
        if segments is None:
            values = _frames(engine, opened.blocks, len(chosen), embedder.encoder.config.hidden_size)
        else:
            values = _means(engine, opened.blocks, segments, len(chosen), embedder.encoder.config.hidden_size)
    return {layer: np.ascontiguousarray(values[:, index]) for index, layer in enumerate(chosen)}


def _embedder(model: str | Path | HubertEncoder | None, device: str, speed: Speed) -> Embedder:
    if not isinstance(model, HubertEncoder):
        return Embedder.load(SMALL_MODEL if model is None else os.fspath(model), device=device, speed=speed)
    if device != "auto" or speed != "exact":
        raise ConfigError("an encoder has its device and speed already; give the name of the model to choose them")
    return Embedder(model.eval(), "the given encoder", "")


def _layers(layers: int | Sequence[int]) -> tuple[int, ...]:
    given = [layers] if isinstance(layers, int) else list(layers)
    if not given or not all(isinstance(layer, int | np.integer) and not isinstance(layer, bool) for layer in given):
        raise ConfigError(f"layers is {layers!r}: a whole number, or several, such as [7, 12]")
    return tuple(dict.fromkeys(int(layer) for layer in given))


def _frames(engine: Engine, blocks: Iterable[NDArray[np.float32]], count: int, width: int) -> NDArray[np.float32]:
    parts = [np.empty((0, count, width), dtype=np.float32)]
    for event in engine.run([("recording", blocks)]):
        if isinstance(event, Failed):
            raise event.error
        if isinstance(event, Frames):
            parts.append(event.values)
    return np.concatenate(parts)


def _means(
    engine: Engine, blocks: Iterable[NDArray[np.float32]], segments: Segments, count: int, width: int
) -> NDArray[np.float32]:
    needed = NeededFrames({"recording": segment_frames(segments)})
    means, samples = SegmentMeans(segments, count, width), 0
    for event in replace(engine, wanted=needed).run([("recording", blocks)]):
        if isinstance(event, Failed):
            raise event.error
        if isinstance(event, Frames):
            means.add(event.first, event.values)
        elif isinstance(event, Finished):
            samples = event.samples
    return means.finish(samples, "the recording").astype(np.float32)
