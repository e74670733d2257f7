"""The published tools, written plainly from their description on transformers' HubertModel; nothing of the package.

Times are milliseconds and seconds in floating point, as there. One window at a time.
"""

from __future__ import annotations

import itertools
import math

import numpy as np
import published_layouts as published
import torch
from torch.nn import functional as F
from transformers import HubertConfig, HubertModel

VOICES = ("KCHI", "OCH", "MAL", "FEM")
ADDRESSEES = ("ADS", "KCDS", "Other")


def lively_encoder() -> dict[str, torch.Tensor]:
    """An encoder that lets a window's sound through to its outputs, in the place of `published_layouts`' own."""
    tensors = {}
    for seed, (_, name, _, shape) in enumerate(published.key_table()):
        values = torch.randn(*shape, generator=torch.Generator().manual_seed(seed))
        if len(shape) > 1:
            values *= 2 / math.prod(shape[1:]) ** 0.5
        else:
            values = 0.1 * values + (1.0 if "norm" in name and name.endswith("weight") else 0.0)
        tensors[name] = values
    return tensors


def lively_head(*shape: int, seed: int) -> torch.Tensor:
    """Outputs that spread, in the place of `published_layouts.drawn`."""
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed)) * 2 / math.prod(shape[1:]) ** 0.5


def hubert() -> HubertModel:
    model = HubertModel(HubertConfig(**published.transformers_config()))
    missing, unexpected = model.load_state_dict(published.encoder_tensors(), strict=False)
    assert set(missing) <= {"masked_spec_embed"}
    assert not unexpected
    return model.eval()


@torch.inference_mode()
def features(model: HubertModel, audio: np.ndarray) -> torch.Tensor:
    return model(torch.from_numpy(np.ascontiguousarray(audio))[None]).last_hidden_state[0]


def voice_probabilities(model: HubertModel, audio: np.ndarray) -> np.ndarray:
    """VTC up to 2.1: windows of 64,000 every 63,680, then what remains."""
    rows, parts, start = published.voice_rows(), [], 0
    while len(audio) - start >= 400:
        frames = features(model, audio[start : start + 64_000])
        logits = [frames @ rows[label][0].T + rows[label][1] for label in VOICES]
        parts.append(torch.sigmoid(torch.cat(logits, dim=1)).numpy())
        start += 63_680
    return np.concatenate(parts)


def voice_segments(probabilities: np.ndarray, thresholds: dict[str, float]) -> list[tuple[int, int, str]]:
    """Strictly above the threshold; runs; gaps under 0.1 s closed, then segments under 0.1 s dropped. In frames."""
    found = []
    for column, label in enumerate(VOICES):
        runs, at = [], 0
        for active, group in itertools.groupby(probabilities[:, column] > thresholds[label]):
            length = len(list(group))
            if active and runs and at - runs[-1][1] < 5:
                runs[-1][1] = at + length
            elif active:
                runs.append([at, at + length])
            at += length
        found += [(a, b, label) for a, b in runs if b - a >= 5]
    return sorted(found)


def centred_window(onset_ms: float, offset_ms: float, recording_ms: float, context_ms: float = 10_000):
    duration = offset_ms - onset_ms
    fill = max((context_ms - duration) / 2, 0)
    start, end = onset_ms - fill, offset_ms + fill
    if start < 0:
        start, end = 0, context_ms
    if end > recording_ms:
        start, end = max(recording_ms - context_ms, 0), recording_ms
    return start, end


def addressee_probabilities(model: HubertModel, audio: np.ndarray, onset_ms: int, offset_ms: int) -> np.ndarray:
    """The mean over the window's first frames, as many as fit between the utterance's onset and the window's end."""
    start, end = centred_window(onset_ms, offset_ms, len(audio) / 16)
    frames = features(model, audio[round(start * 16) : round(end * 16)])
    mask = torch.zeros(len(frames))
    mask[: max(math.floor(((end - onset_ms) * 16 - 400) / 320), 0)] = 1
    if mask.sum() == 0:
        mask[:] = 1
    pooled = (frames * mask[:, None]).sum(0) / mask.sum()
    state = published.addressee()["state_dict"]
    return torch.softmax(pooled @ state["classifier.weight"].T + state["classifier.bias"], dim=-1).numpy()


def phoneme_window(onset_ms: int, offset_ms: int, samples: int, context_ms: float = 20_000):
    """First and last sample, and frames, from the seconds of an RTTM line; every step in floating point."""
    line = f"SPEAKER x 1 {onset_ms / 1000:.3f} {(offset_ms - onset_ms) / 1000:.3f} <NA> <NA> KCHI <NA> <NA>".split()
    begin, duration = float(line[3]), float(line[4])
    begin, finish = begin * 1000, (begin + duration) * 1000
    centre = (begin + finish) / 2
    start = max(0, min(centre - context_ms / 2, begin))
    length = min(samples / 16_000 * 1000, max(centre + context_ms / 2, finish)) - start
    first, stop = round((begin - start) * 50.0 / 1000.0), round((finish - start) * 50.0 / 1000.0)
    sample = int(start * 16_000 / 1000.0)
    return sample, sample + int(length * 16_000 / 1000.0), list(range(first, max(stop, first + 1)))


def phoneme_ids(model: HubertModel, audio: np.ndarray, onset_ms: int, offset_ms: int) -> list[int]:
    start, end, wanted = phoneme_window(onset_ms, offset_ms, len(audio))
    window = audio[start:end].astype(np.float64)
    window = (window - window.mean()) / np.sqrt(window.var() + 1e-7)
    frames = features(model, window.astype(np.float32))
    frames = frames[[min(frame, len(frames) - 1) for frame in wanted]]
    state = published.babar()["state_dict"]
    inner = F.relu(frames @ state["model.phoneme_head.0.weight"].T + state["model.phoneme_head.0.bias"])
    logits = inner @ state["model.phoneme_head.3.weight"].T + state["model.phoneme_head.3.bias"]
    best = logits.argmax(dim=1).tolist()
    return [symbol for symbol, _ in itertools.groupby(best) if symbol != 57]
