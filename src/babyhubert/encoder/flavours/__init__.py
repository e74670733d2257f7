"""Layouts of published checkpoints. Their key names are known only here.

Every layout is data (see :mod:`~babyhubert.encoder.flavours.layout`); the first whose signature fits a file's keys
reads it, so the more specific ones come first.
"""

from __future__ import annotations

from babyhubert.encoder.flavours import addressee, babar, fairseq, huggingface, segma, torchaudio
from babyhubert.encoder.flavours.layout import Layout

LAYOUTS: tuple[Layout, ...] = (
    segma.VTC_2_0,
    segma.VTC_2_1,
    addressee.MODEL,
    babar.MODEL,
    torchaudio.PRETRAINING_MODEL,
    torchaudio.BARE_ENCODER,
    fairseq.MODEL,
    *huggingface.TASK_MODELS,
    huggingface.MODEL,
)

WRITABLE: dict[str, Layout] = {
    layout.name: layout
    for layout in (
        torchaudio.PRETRAINING_MODEL,
        fairseq.MODEL,
        segma.VTC_2_0,
        segma.VTC_2_1,
        addressee.MODEL,
        babar.MODEL,
    )
}
"""Single-file layouts that can be written, by name; `transformers` is a folder and written as a model folder."""

FLAVOURS = ("transformers", *WRITABLE)
"""Layout names that the command line accepts."""
