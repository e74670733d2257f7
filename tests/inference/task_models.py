"""Small random models with any heads, whose outputs go up and down with the sound."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import torch
from making import RATE, babble
from small_encoders import fresh, generator

from babyhubert.annotation.segments import VOICE_TYPES
from babyhubert.encoder.flavours.layout import PUBLISHED_KINDS, HeadKind
from babyhubert.encoder.heads import HEAD_CLASSES
from babyhubert.encoder.model_folder import save_model_folder
from babyhubert.encoder.multitask import TaskModel
from commands import SMALL

LABELS = {
    "voice_type": VOICE_TYPES,
    "addressee": ("ADS", "KCDS", "Other"),
    "phonemes": ("a", "b", "m", "i", "d", "<blank>"),
}


def write_task_model(
    folder: Path,
    tasks: Collection[str],
    card: Mapping[str, Any] | None = None,
    seed: int = 0,
    own: Mapping[str, tuple[HeadKind, tuple[str, ...]]] | None = None,
) -> Path:
    """A model folder with these heads. Models of one seed share their encoder and, head by head, their weights.

    Args:
        folder: Where.
        tasks: Published tasks.
        card: What ``task.json`` says besides.
        seed: Of the weights.
        own: Other tasks, with their kind and labels.
    """
    encoder = fresh(SMALL, seed)
    labels = LABELS | {task: names for task, (_, names) in (own or {}).items()}
    kinds = {**PUBLISHED_KINDS, **{task: kind for task, (kind, _) in (own or {}).items()}}
    heads = {task: HEAD_CLASSES[kinds[task]](labels[task], SMALL.hidden_size) for task in (*tasks, *(own or {}))}
    model = TaskModel(encoder, heads).eval()
    with torch.no_grad():
        features = encoder(torch.from_numpy(babble(6 * RATE, RATE, seed=0))[None]).last
        for number, task in enumerate(labels):
            if task not in heads:
                continue
            head = heads[task]
            head.reset(generator(seed + number))
            weight, bias = list(head.parameters())[-2:]
            weight.mul_(50)
            logits = _frame_logits(head, features)[0]
            scale = 3 / logits.std(dim=0)
            weight.mul_(scale[:, None])
            bias.copy_(-(logits.mean(dim=0) * scale))
    save_model_folder(folder, model.to_checkpoint(), {"licence": "none", **(card or {})})
    return folder


def _frame_logits(head, features):
    from babyhubert.encoder.heads import FrameHead

    return FrameHead.forward(head, features) if isinstance(head, FrameHead) else head(features)
