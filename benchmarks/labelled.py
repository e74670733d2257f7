"""What benchmarks on labelled recordings have in common: their options, and recordings in memory."""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from babyhubert.audio.discovery import discover
from babyhubert.audio.recording import open_recording


def parser_for(description: str | None) -> argparse.ArgumentParser:
    """Options that name recordings, their truth, a model and the file of results."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--audio", type=Path, required=True, help="folder of recordings")
    parser.add_argument("--reference", type=Path, required=True, help="folder of RTTM files")
    parser.add_argument("--model", help="a voice-type model; default: the shipped one")
    parser.add_argument("-o", "--output", type=Path)
    return parser


def recordings_of(folder: Path) -> dict[str, Path]:
    """Recordings by id."""
    return {file.recording_id: file.path for file in discover([folder])}


def read(path: Path) -> NDArray[np.float32]:
    """All of a recording, 16 kHz mono."""
    with open_recording(path) as recording:
        return np.concatenate([block.samples for block in recording.blocks()])
