"""BabAR, the child phoneme recogniser: transformers' encoder and a two-layer head in a Lightning checkpoint."""

from __future__ import annotations

from babyhubert.encoder.config import TRANSFORMERS_DROPOUTS
from babyhubert.encoder.flavours.huggingface import NAMING
from babyhubert.encoder.flavours.layout import MASK_EMBEDDING, Layout, NamedHead

BLANK = "<blank>"
LABELS = (
    *"abdefhijklmnoprstuvwxyzæçðõøĩŋœ",
    *("œ̃", "ũ", "ɐ", "ɐ̃", "ɑ", "ɑ̃", "ɔ", "ɔ̃", "ə", "ɛ", "ɛ̃", "ɜ", "ɡ", "ɥ", "ɨ", "ɪ", "ɲ"),
    *"ɹɾʁʃʊʌʎʒθ",
    BLANK,
)
"""The 57 published phonemes and the blank, in the order of the output rows. ɡ is U+0261; ĩ, õ and ũ are single code
points, the other nasal vowels carry a combining tilde."""

VOCABULARY = "weights/vocab-phoneme-tinyvox.json"
"""Path of BabAR's symbol table, relative to its own folder."""

_SPECIAL_TOKENS = ("eos_token", "bos_token", "unk_token", "pad_token", "word_delimiter_token")
_NETWORK = {"network_name": "BabyHubert", "vocab_file": VOCABULARY, **dict.fromkeys(_SPECIAL_TOKENS, BLANK)}

_HEAD_TENSORS = ("0.weight", "0.bias", "3.weight", "3.bias")

MODEL = Layout(
    name="babar",
    naming=NAMING,
    prefix="encoder.",
    signature=("phoneme_head.", "encoder.feature_extractor."),
    wrapper="model.",
    pretraining={MASK_EMBEDDING: "encoder.masked_spec_embed"},
    head=NamedHead("phonemes", LABELS, {name: f"phoneme_head.{name}" for name in _HEAD_TENSORS}),
    dropouts=TRANSFORMERS_DROPOUTS,
    hyper_parameters={"network_param": _NETWORK, "optim_param": {}},
    reader_size="base",
    task_settings={"phonemes": {"context_s": 20.0, "normalise": True}},
)
