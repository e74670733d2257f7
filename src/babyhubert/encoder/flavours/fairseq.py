"""fairseq's HuBERT, and s3prl's re-wrapping of it.

fairseq's label table has four rows more than there are units. They come FIRST: its `Dictionary` registers <s>, <pad>,
</s> and <unk> before it reads any unit, and HuBERT uses dictionary indices as rows. (minimal_hubert drops the last
four instead; the published documents do not settle it.) The four rows are kept apart, so nothing is lost either way.
"""

from __future__ import annotations

from babyhubert.encoder.flavours.layout import (
    LABEL_EMBEDDINGS,
    MASK_EMBEDDING,
    PRETRAINING,
    WEIGHT_NORM,
    Layout,
    Renaming,
)

SPECIAL_ROWS = 4
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
