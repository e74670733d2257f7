"""torchaudio's HuBERT: BabyHuBERT's Lightning checkpoints, and torchaudio's own state dicts."""

from __future__ import annotations

from babyhubert.encoder.flavours.layout import LABEL_EMBEDDINGS, MASK_EMBEDDING, PRETRAINING, Layout, Renaming

NAMING = Renaming(
    forward=(
        (r"(feature_extractor\..*)", r"\1"),
        (r"encoder\.(feature_projection\..*)", r"\1"),
        (r"encoder\.transformer\.(.*)", r"encoder.\1"),
    ),
    backward=(
        (r"(feature_extractor\..*)", r"\1"),
        (r"(feature_projection\..*)", r"encoder.\1"),
        (r"encoder\.(.*)", r"encoder.transformer.\1"),
    ),
)

PRETRAINING_MODEL = Layout(
    name="torchaudio",
    naming=NAMING,
    prefix="wav2vec2.",
    signature=("wav2vec2.encoder.transformer.",),
    wrapper="model.",
    pretraining={
        MASK_EMBEDDING: "mask_generator.mask_embedding",
        "final_proj.weight": "logit_generator.final_proj.weight",
        "final_proj.bias": "logit_generator.final_proj.bias",
        LABEL_EMBEDDINGS: "logit_generator.label_embeddings",
    },
    requires=PRETRAINING,
    reader_size="base",
)
BARE_ENCODER = Layout(name="torchaudio", naming=NAMING, prefix="", signature=("encoder.transformer.",))
"""Content of `torchaudio.models.hubert_base().state_dict()`."""
