"""A corpus small enough to learn by heart: tones in noise, with the truth of all three tasks."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import soundfile

from babyhubert.annotation.rttm import write_rttm
from babyhubert.annotation.segments import Segments
from babyhubert.config import build_config
from babyhubert.encoder.config import HubertConfig
from babyhubert.training.settings import FinetuningSettings

RATE = 16_000
SHAPE = HubertConfig(
    conv_dim=(8,) * 7, hidden_size=32, layers=2, heads=2, feed_forward=48, position_kernel=16, position_groups=4
)
PITCHES = {"KCHI": 3000, "FEM": 700}
PHONES = {"a": 500, "i": 2500, "u": 1200}
NO_DROPOUT = {
    **dict.fromkeys(("hidden_dropout", "attention_dropout", "activation_dropout", "projection_dropout"), 0.0),
    "layer_drop": 0.0,
}


def write_scenes(folder: Path, names=("a", "b"), seconds: int = 20) -> Path:
    """Recordings with rttm/: a high tone is the key child, a low one a woman; they overlap now and then.

    segments.csv beside them says to whom the woman speaks: to the child when her tone trembles.
    """
    rng = np.random.default_rng(0)
    table = []
    (folder / "wav").mkdir(parents=True, exist_ok=True)
    for name in names:
        sound = 0.01 * rng.standard_normal(seconds * RATE)
        rows = []
        for label, pitch in PITCHES.items():
            for begin in range(0, seconds, 4):
                start = int((begin + rng.uniform(0, 2)) * 1000) * 16
                stop = start + int(rng.uniform(0.8, 1.8) * 1000) * 16
                kind = ("KCDS", "ADS", "OCDS")[begin // 4 % 3] if label == "FEM" else ""
                tremble = 1 + {"KCDS": 0.9, "OCDS": 0.4}.get(kind, 0) * np.sin(
                    2 * np.pi * 8 * np.arange(stop - start) / RATE
                )
                sound[start:stop] += 0.2 * tremble * np.sin(2 * np.pi * pitch * np.arange(stop - start) / RATE)
                rows.append((start, stop, label))
                table.append((name, f"{start / RATE:.6f}", f"{stop / RATE:.6f}", label, kind))
        soundfile.write(folder / "wav" / f"{name}.wav", sound, RATE)
        write_rttm(folder / "rttm" / f"{name}.rttm", name, Segments.from_rows(rows))
    write_table(folder / "segments.csv", "recording_id,start_s,end_s,label,addressee", table)
    return folder


def write_utterances(folder: Path, count: int = 24) -> Path:
    """utterances.csv and its recordings: each phone a tone of its own, by six speakers."""
    rng = np.random.default_rng(1)
    rows = []
    (folder / "audio").mkdir(parents=True, exist_ok=True)
    for number in range(count):
        phones = rng.choice(list(PHONES), rng.integers(2, 6))
        parts = [
            np.concatenate([0.2 * np.sin(2 * np.pi * PHONES[p] * np.arange(4000) / RATE), np.zeros(1600)])
            for p in phones
        ]
        sound = np.concatenate([np.zeros(1600), *parts])
        path = f"audio/{number:04d}.wav"
        soundfile.write(folder / path, sound + 0.01 * rng.standard_normal(len(sound)), RATE)
        rows.append((f"{number:04d}", path, f"{number % 6:03d}", " ".join(phones)))
    write_table(folder / "utterances.csv", "utterance_id,path,speaker_id,phones", rows)
    return folder


def write_table(path: Path, header: str, rows) -> Path:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(header.split(","))
        writer.writerows(rows)
    return path


def voice_type_table(corpus: Path, **changes) -> dict:
    data = {"train": str(corpus / "train"), "validation": str(corpus / "validation")}
    return {"data": data, "labels": list(PITCHES), "window_s": 2.0, "batch_size": 4, "dropout": 0.0, **changes}


def addressee_table(corpus: Path, **changes) -> dict:
    data = {"train": str(corpus / "train" / "segments.csv"), "validation_share": 0.5}
    return {"data": data, "context_s": 4.0, "batch_size": 4, "dropout": 0.0, **changes}


def phoneme_table(utterances: Path, **changes) -> dict:
    data = {"train": str(utterances / "utterances.csv"), "validation_share": 0.2}
    return {"data": data, "context_s": 4.0, "batch_size": 4, "dropout": 0.0, **changes}


def settings(encoder: Path | None, tasks: dict, model: dict | None = None, machine: dict | None = None, **train):
    """Settings of a short run without dropout."""
    chosen = {"encoder": str(encoder)} if encoder else {"size": "nano"}
    content = {
        "model": {**chosen, "encoder_settings": NO_DROPOUT, "freeze_convolutions": False, **(model or {})},
        "train": {"steps": 6, "learning_rate": 1e-3, "validate_every": 3, **train},
        "machine": {"device": "cpu", "precision": "float32", "log_every": 2, "save_every": 2, **(machine or {})},
        **tasks,
    }
    return build_config(content, FinetuningSettings, "test")
