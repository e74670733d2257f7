"""segma's voice-type checkpoints: VTC 2.0 (first generation) and VTC 2.1 (second generation)."""

from __future__ import annotations

import torch

from babyhubert.encoder.flavours.layout import HeadPerLabel, Layout
from babyhubert.encoder.flavours.torchaudio import NAMING

LABELS = ("KCHI", "OCH", "MAL", "FEM")
"""Order of the rows of this package's voice-type head."""

HEAD = HeadPerLabel("voice_type", "task_heads.linear_head_", LABELS)

THRESHOLDS_2_0 = {
    "f1": {"KCHI": 0.368, "OCH": 0.526, "MAL": 0.316, "FEM": 0.368},
    "high-precision": {"KCHI": 0.8, "OCH": 0.6, "MAL": 0.5, "FEM": 0.8},
}
"""The sets published with VTC 2.0 (``f1.yml`` and ``hp.yml``; ``hr.yml`` is the same file as the latter)."""

VTC_2_0 = Layout(
    name="vtc-2.0",
    naming=NAMING,
    prefix="wav2vec2.",
    signature=("task_heads.linear_head_", "wav2vec2."),
    head=HEAD,
    reader_size="base",
    unused={"layer_weights": torch.ones},
    task_settings={"thresholds": THRESHOLDS_2_0},
)
"""The first generation also creates one weight per layer, which its code never reads."""

VTC_2_1 = Layout(
    name="vtc-2.1",
    naming=NAMING,
    prefix="encoder.",
    signature=("task_heads.linear_head_", "encoder.feature_extractor."),
    wrapper="model.",
    head=HEAD,
    reader_size="base",
)
