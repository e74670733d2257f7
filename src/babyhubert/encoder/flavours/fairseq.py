"""fairseq's HuBERT, and s3prl's re-wrapping of it.

fairseq's label table has four rows more than there are units. They come FIRST: its `Dictionary` registers <s>, <pad>,
</s> and <unk> before it reads any unit, and HuBERT uses dictionary indices as rows. (minimal_hubert drops the last
four instead; the published documents do not say which is right.) The four rows are stored separately, so nothing is
lost either way.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from babyhubert.encoder.config import HubertConfig
from babyhubert.encoder.flavours.layout import (
    LABEL_EMBEDDINGS,
    MASK_EMBEDDING,
    PRETRAINING,
    WEIGHT_NORM,
    Layout,
    Renaming,
)
from babyhubert.timebase import FRAME_HOP, SAMPLE_RATE

SPECIAL_SYMBOLS = ("<s>", "<pad>", "</s>", "<unk>")
SPECIAL_ROWS = len(SPECIAL_SYMBOLS)
LABEL_RATE = SAMPLE_RATE / FRAME_HOP
"""Units per second."""

_CONV = r"feature_extractor\.conv_layers\.(\d+)\."
_CONV_TO = r"feature_extractor.conv_layers.\1."
_LAYER = r"encoder\.layers\.(\d+)\."
_LAYER_TO = r"encoder.layers.\1."
_POSITION = r"encoder\.pos_conv_embed\.conv\."
_OLD = WEIGHT_NORM.replace(".", r"\.")

NAMING = Renaming(
    forward=(
        (_CONV + r"0\.(weight|bias)", _CONV_TO + r"conv.\2"),
        (_CONV + r"2\.(?:1\.)?(weight|bias)", _CONV_TO + r"layer_norm.\2"),
        (r"layer_norm\.(weight|bias)", r"feature_projection.layer_norm.\1"),
        (r"post_extract_proj\.(weight|bias)", r"feature_projection.projection.\1"),
        (r"encoder\.pos_conv\.0\.bias", r"encoder.pos_conv_embed.conv.bias"),
        (r"encoder\.pos_conv\.0\.weight_g", WEIGHT_NORM + "0"),
        (r"encoder\.pos_conv\.0\.weight_v", WEIGHT_NORM + "1"),
        (r"encoder\.layer_norm\.(weight|bias)", r"encoder.layer_norm.\1"),
        (_LAYER + r"self_attn\.([qkv]|out)_proj\.(weight|bias)", _LAYER_TO + r"attention.\2_proj.\3"),
        (_LAYER + r"self_attn_layer_norm\.(weight|bias)", _LAYER_TO + r"layer_norm.\2"),
        (_LAYER + r"fc1\.(weight|bias)", _LAYER_TO + r"feed_forward.intermediate_dense.\2"),
        (_LAYER + r"fc2\.(weight|bias)", _LAYER_TO + r"feed_forward.output_dense.\2"),
        (_LAYER + r"final_layer_norm\.(weight|bias)", _LAYER_TO + r"final_layer_norm.\2"),
    ),
    backward=(
        (_CONV + r"conv\.(weight|bias)", _CONV_TO + r"0.\2"),
        (_CONV + r"layer_norm\.(weight|bias)", _CONV_TO + r"2.\2"),
        (r"feature_projection\.layer_norm\.(weight|bias)", r"layer_norm.\1"),
        (r"feature_projection\.projection\.(weight|bias)", r"post_extract_proj.\1"),
        (_POSITION + r"bias", r"encoder.pos_conv.0.bias"),
        (_OLD + "0", r"encoder.pos_conv.0.weight_g"),
        (_OLD + "1", r"encoder.pos_conv.0.weight_v"),
        (r"encoder\.layer_norm\.(weight|bias)", r"encoder.layer_norm.\1"),
        (_LAYER + r"attention\.([qkv]|out)_proj\.(weight|bias)", _LAYER_TO + r"self_attn.\2_proj.\3"),
        (_LAYER + r"layer_norm\.(weight|bias)", _LAYER_TO + r"self_attn_layer_norm.\2"),
        (_LAYER + r"feed_forward\.intermediate_dense\.(weight|bias)", _LAYER_TO + r"fc1.\2"),
        (_LAYER + r"feed_forward\.output_dense\.(weight|bias)", _LAYER_TO + r"fc2.\2"),
        (_LAYER + r"final_layer_norm\.(weight|bias)", _LAYER_TO + r"final_layer_norm.\2"),
    ),
)

MODEL = Layout(
    name="fairseq",
    naming=NAMING,
    prefix="",
    signature=("post_extract_proj.",),
    envelope="model",
    pretraining={
        MASK_EMBEDDING: "mask_emb",
        "final_proj.weight": "final_proj.weight",
        "final_proj.bias": "final_proj.bias",
        LABEL_EMBEDDINGS: "label_embs_concat",
    },
    requires=PRETRAINING,
    special_label_rows=SPECIAL_ROWS,
)


def s3prl_entries(config: HubertConfig, tensors: Mapping[str, Tensor]) -> dict[str, Any]:
    """Entries that s3prl's own loader needs in a file beside those of fairseq: settings, weights and symbols.

    Args:
        config: The encoder.
        tensors: The file's tensors; not copied.
    """
    layers = list(zip(config.conv_dim, config.conv_kernel, config.conv_stride, strict=True))
    units = len(tensors["label_embs_concat"]) - SPECIAL_ROWS
    model = {
        "_name": "hubert",
        "label_rate": LABEL_RATE,
        "extractor_mode": "default",
        "conv_feature_layers": repr(layers),
        "conv_bias": config.conv_bias,
        "encoder_layers": config.layers,
        "encoder_embed_dim": config.hidden_size,
        "encoder_ffn_embed_dim": config.feed_forward,
        "encoder_attention_heads": config.heads,
        "layer_norm_first": config.pre_norm,
        "dropout": config.hidden_dropout,
        "attention_dropout": config.attention_dropout,
        "activation_dropout": config.activation_dropout,
        "dropout_input": config.projection_dropout,
        "encoder_layerdrop": config.layer_drop,
        "feature_grad_mult": config.feature_grad_scale,
        "final_dim": len(tensors["final_proj.weight"]),
        "conv_pos": config.position_kernel,
        "conv_pos_groups": config.position_groups,
    }
    task = {
        "_name": "hubert_pretraining",
        "label_rate": LABEL_RATE,
        "sample_rate": SAMPLE_RATE,
        "normalize": config.normalise,
    }
    return {
        "task_cfg": task,
        "model_cfg": model,
        "model_weight": tensors,
        "dictionaries_symbols": [[*SPECIAL_SYMBOLS, *map(str, range(units))]],
    }
