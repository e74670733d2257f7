"""The addressee model's Lightning checkpoint."""

from __future__ import annotations

from babyhubert.encoder.flavours.layout import Layout, NamedHead
from babyhubert.encoder.flavours.torchaudio import NAMING

LABELS = ("ADS", "KCDS", "Other")
"""To adults, to the key child, to others: order of the published classifier's rows."""

MODEL = Layout(
    name="addressee",
    naming=NAMING,
    prefix="wav2vec2.",
    signature=("classifier.", "wav2vec2."),
    head=NamedHead("addressee", LABELS, {"weight": "classifier.weight", "bias": "classifier.bias"}),
    reader_size="base",
    task_settings={"addressee": {"pooling": "published"}},
)
