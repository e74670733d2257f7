"""What benchmarks on labelled recordings have in common: their options, and recordings in memory."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from babyhubert.audio.discovery import discover
from babyhubert.audio.recording import open_recording
from babyhubert.inference.speed import SPEEDS
from babyhubert.tasks.voice_type.prediction import VoiceTypeClassifier, load_model


def parser_for(description: str | None) -> argparse.ArgumentParser:
    """Options that name recordings, their truth, a model and the file of results."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--audio", type=Path, required=True, help="folder of recordings")
    parser.add_argument("--reference", type=Path, required=True, help="folder of RTTM files")
    parser.add_argument("--model", help="a voice-type model; default: the shipped one")
    parser.add_argument("-o", "--output", type=Path)
    return parser


def add_model_options(parser: argparse.ArgumentParser) -> None:
    """Options that name a model, its speed and a set of its thresholds."""
    parser.add_argument("--model", help="model folder; default: the small model of the package")
    parser.add_argument("--speed", choices=SPEEDS, default="fast")
    parser.add_argument("--thresholds", default="f1")


def model_of(options: argparse.Namespace) -> VoiceTypeClassifier:
    """The model of these options, on one core."""
    torch.set_num_threads(1)
    model = load_model(options.model, device="cpu", speed=options.speed)
    return model.with_settings(replace(model.settings, thresholds=options.thresholds))


def recordings_of(folder: Path) -> dict[str, Path]:
    """Recordings by id."""
    return {file.recording_id: file.path for file in discover([folder])}


def read(path: Path) -> NDArray[np.float32]:
    """All of a recording, 16 kHz mono."""
    with open_recording(path) as recording:
        return np.concatenate([block.samples for block in recording.blocks()])
