"""transformers' `HubertModel`, `Wav2Vec2Model` and `WavLMModel`, which name their parameters alike.

They come alone or inside a task class, under a prefix; `HubertForCTC` and its like add a linear output, `lm_head`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from torch import Tensor

from babyhubert.encoder.flavours.layout import MASK_EMBEDDING, Head, Layout, Renaming

NAMING = Renaming(
    forward=((r"((?:feature_extractor|feature_projection|encoder)\..*)", r"\1"),),
    backward=((r"(.*)", r"\1"),),
)


@dataclass(frozen=True)
class LetterHead:
    """The output of `HubertForCTC` and its like. Its symbols are in a tokenizer's file, so labels are row numbers.

    The reader of model folders replaces them by the symbols where that file is present.
    """

    task: str = "ctc"
    keys: Mapping[str, str] = field(default_factory=lambda: {"weight": "lm_head.weight", "bias": "lm_head.bias"})

    def take(self, tensors: dict[str, Tensor]) -> tuple[Head | None, list[str]]:
        """See :class:`~babyhubert.encoder.flavours.layout.HeadLayout`. The head is optional."""
        found = {name: tensors.pop(key) for name, key in self.keys.items() if key in tensors}
        if not found:
            return None, []
        missing = [key for name, key in self.keys.items() if name not in found]
        if missing:
            return None, missing
        return Head(tuple(str(row) for row in range(len(found["bias"]))), found, "ctc"), []

    def give(self, head: Head) -> dict[str, Tensor]:
        """See :class:`~babyhubert.encoder.flavours.layout.HeadLayout`."""
        return {key: head.tensors[name] for name, key in self.keys.items()}


MODEL = Layout(
    name="transformers",
    naming=NAMING,
    prefix="",
    signature=("feature_projection.",),
    pretraining={MASK_EMBEDDING: "masked_spec_embed"},
)
TASK_MODELS = tuple(
    Layout(
        name="transformers",
        naming=NAMING,
        prefix=prefix,
        signature=(f"{prefix}feature_projection.",),
        pretraining={MASK_EMBEDDING: f"{prefix}masked_spec_embed"},
        head=LetterHead(),
    )
    for prefix in ("hubert.", "wav2vec2.", "wavlm.")
)
