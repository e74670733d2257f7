"""Checkpoints in exactly the published layouts, written by hand from the published key tables.

Nothing here comes from the package: the tables below are a second, independent statement of the formats, so that a
mistake in the package's own tables shows. Sizes are tiny; head width is 64 as in every published model.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from torch import Tensor

CONV, WIDTH, INNER, LAYERS, UNITS, PROJECTED = 8, 128, 96, 2, 20, 16
KERNELS = (10, 3, 3, 3, 3, 2, 2)

# torchaudio, transformers, fairseq, shape; {n} runs over blocks
_ONCE = [
    ("feature_extractor.conv_layers.0.layer_norm.weight",) * 2 + ("feature_extractor.conv_layers.0.2.weight", (CONV,)),
    ("feature_extractor.conv_layers.0.layer_norm.bias",) * 2 + ("feature_extractor.conv_layers.0.2.bias", (CONV,)),
    (
        "encoder.feature_projection.layer_norm.weight",
        "feature_projection.layer_norm.weight",
        "layer_norm.weight",
        (CONV,),
    ),
    ("encoder.feature_projection.layer_norm.bias", "feature_projection.layer_norm.bias", "layer_norm.bias", (CONV,)),
    (
        "encoder.feature_projection.projection.weight",
        "feature_projection.projection.weight",
        "post_extract_proj.weight",
        (WIDTH, CONV),
    ),
    (
        "encoder.feature_projection.projection.bias",
        "feature_projection.projection.bias",
        "post_extract_proj.bias",
        (WIDTH,),
    ),
    (
        "encoder.transformer.pos_conv_embed.conv.bias",
        "encoder.pos_conv_embed.conv.bias",
        "encoder.pos_conv.0.bias",
        (WIDTH,),
    ),
    (
        "encoder.transformer.pos_conv_embed.conv.parametrizations.weight.original0",
        "encoder.pos_conv_embed.conv.parametrizations.weight.original0",
        "encoder.pos_conv.0.weight_g",
        (1, 1, 128),
    ),
    (
        "encoder.transformer.pos_conv_embed.conv.parametrizations.weight.original1",
        "encoder.pos_conv_embed.conv.parametrizations.weight.original1",
        "encoder.pos_conv.0.weight_v",
        (WIDTH, WIDTH // 16, 128),
    ),
    ("encoder.transformer.layer_norm.weight", "encoder.layer_norm.weight", "encoder.layer_norm.weight", (WIDTH,)),
    ("encoder.transformer.layer_norm.bias", "encoder.layer_norm.bias", "encoder.layer_norm.bias", (WIDTH,)),
]
_PER_BLOCK = [
    ("attention.k_proj", "self_attn.k_proj", (WIDTH, WIDTH)),
    ("attention.v_proj", "self_attn.v_proj", (WIDTH, WIDTH)),
    ("attention.q_proj", "self_attn.q_proj", (WIDTH, WIDTH)),
    ("attention.out_proj", "self_attn.out_proj", (WIDTH, WIDTH)),
    ("layer_norm", "self_attn_layer_norm", (WIDTH,)),
    ("feed_forward.intermediate_dense", "fc1", (INNER, WIDTH)),
    ("feed_forward.output_dense", "fc2", (WIDTH, INNER)),
    ("final_layer_norm", "final_layer_norm", (WIDTH,)),
]


def key_table() -> list[tuple[str, str, str, tuple[int, ...]]]:
    """Every parameter of the encoder: torchaudio name, transformers name, fairseq name, shape."""
    rows = list(_ONCE)
    for index, kernel in enumerate(KERNELS):
        name = f"feature_extractor.conv_layers.{index}.conv.weight"
        shape = (CONV, 1 if index == 0 else CONV, kernel)
        rows.append((name, name, f"feature_extractor.conv_layers.{index}.0.weight", shape))
    for block in range(LAYERS):
        for ours, fairseq, shape in _PER_BLOCK:
            for kind, size in (("weight", shape), ("bias", shape[:1])):
                rows.append(
                    (
                        f"encoder.transformer.layers.{block}.{ours}.{kind}",
                        f"encoder.layers.{block}.{ours}.{kind}",
                        f"encoder.layers.{block}.{fairseq}.{kind}",
                        size,
                    )
                )
    return rows


def drawn(*shape: int, seed: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed)) * 0.1


def encoder_tensors() -> dict[str, Tensor]:
    """The encoder all layouts hold, under transformers names."""
    return {row[1]: drawn(*row[3], seed=index) for index, row in enumerate(key_table())}


def pretraining_tensors() -> dict[str, Tensor]:
    return {
        "mask_embedding": drawn(WIDTH, seed=1001),
        "final_proj.weight": drawn(PROJECTED, WIDTH, seed=1002),
        "final_proj.bias": drawn(PROJECTED, seed=1003),
        "label_embeddings": drawn(UNITS, PROJECTED, seed=1004),
    }


def _renamed(column: int, prefix: str) -> dict[str, Tensor]:
    tensors = encoder_tensors()
    return {prefix + row[column]: tensors[row[1]] for row in key_table()}


def lightning(state_dict: dict[str, Tensor], **more: Any) -> dict[str, Any]:
    return {
        "epoch": 44,
        "global_step": 400_000,
        "pytorch-lightning_version": "2.5.1",
        "state_dict": state_dict,
        "loops": {"fit_loop": {"state_dict": {}}},
        "callbacks": {},
        "optimizer_states": [{"state": {0: {"exp_avg": torch.zeros(3)}}, "param_groups": [{"lr": 5e-4}]}],
        "lr_schedulers": [{"last_epoch": 400_000}],
        **more,
    }


def babyhubert(prefix: str = "model.") -> dict[str, Any]:
    head = pretraining_tensors()
    state = _renamed(0, "wav2vec2.") | {
        "mask_generator.mask_embedding": head["mask_embedding"],
        "logit_generator.label_embeddings": head["label_embeddings"],
        "logit_generator.final_proj.weight": head["final_proj.weight"],
        "logit_generator.final_proj.bias": head["final_proj.bias"],
    }
    return lightning({prefix + key: value for key, value in state.items()})


def torchaudio_encoder() -> dict[str, Tensor]:
    return _renamed(0, "")


def fairseq() -> dict[str, Any]:
    head = pretraining_tensors()
    special = drawn(4, PROJECTED, seed=1005)
    model = _renamed(2, "") | {
        "mask_emb": head["mask_embedding"],
        "final_proj.weight": head["final_proj.weight"],
        "final_proj.bias": head["final_proj.bias"],
        "label_embs_concat": torch.cat([special, head["label_embeddings"]]),
    }
    return {"args": None, "cfg": {"_name": "hubert"}, "model": model, "optimizer_history": []}


def s3prl() -> dict[str, Any]:
    return {"task_cfg": {}, "model_cfg": {}, "model_weight": fairseq()["model"], "dictionaries_symbols": [["<s>"]]}


VOICES = ("KCHI", "OCH", "MAL", "FEM")


def voice_rows() -> dict[str, tuple[Tensor, Tensor]]:
    return {label: (drawn(1, WIDTH, seed=2000 + row), drawn(1, seed=2010 + row)) for row, label in enumerate(VOICES)}


def _voice_heads(prefix: str) -> dict[str, Tensor]:
    heads = {}
    for label in ("FEM", "KCHI", "MAL", "OCH"):  # the order of a file is not the order of our rows
        weight, bias = voice_rows()[label]
        heads[f"{prefix}task_heads.linear_head_{label}.weight"] = weight
        heads[f"{prefix}task_heads.linear_head_{label}.bias"] = bias
    return heads


def vtc_2_0() -> dict[str, Any]:
    state = _renamed(0, "wav2vec2.") | {"layer_weights": drawn(LAYERS, seed=2020)} | _voice_heads("")
    return lightning(state, hyper_parameters={"config": {"audio": {"chunk_duration_s": 4}}})


def vtc_2_1() -> dict[str, Any]:
    return lightning(_renamed(0, "model.encoder.") | _voice_heads("model."))


def addressee() -> dict[str, Any]:
    state = _renamed(0, "wav2vec2.")
    state |= {"classifier.weight": drawn(3, WIDTH, seed=3000), "classifier.bias": drawn(3, seed=3001)}
    return lightning(state, hyper_parameters={"config": {"lr": 1e-5}})


def babar() -> dict[str, Any]:
    state = _renamed(1, "model.encoder.")
    state |= {
        "model.phoneme_head.0.weight": drawn(WIDTH // 2, WIDTH, seed=4000),
        "model.phoneme_head.0.bias": drawn(WIDTH // 2, seed=4001),
        "model.phoneme_head.3.weight": drawn(58, WIDTH // 2, seed=4002),
        "model.phoneme_head.3.bias": drawn(58, seed=4003),
    }
    tokens = ("eos_token", "bos_token", "unk_token", "pad_token", "word_delimiter_token")
    network = {
        "freeze": True,
        "network_name": "BabyHubert",
        "vocab_file": "vocab.json",
        **dict.fromkeys(tokens, "<blank>"),
    }
    return lightning(state, hyper_parameters={"network_param": network, "optim_param": {"lr": 1e-5}})


def transformers_config() -> dict[str, Any]:
    return {
        "architectures": ["HubertModel"],
        "model_type": "hubert",
        "conv_dim": [CONV] * 7,
        "conv_kernel": list(KERNELS),
        "conv_stride": [5, 2, 2, 2, 2, 2, 2],
        "hidden_size": WIDTH,
        "num_hidden_layers": LAYERS,
        "num_attention_heads": WIDTH // 64,
        "intermediate_size": INNER,
        "mask_time_prob": 0.0,
    }


def transformers_folder(folder: Path, prefix: str = "", old: bool = False) -> Path:
    """A folder as transformers writes it; `old` uses a pickle and the old weight-norm names."""
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps(transformers_config()))
    tensors = {prefix + key: value for key, value in encoder_tensors().items()}
    if old:
        for new, name in (
            ("parametrizations.weight.original0", "weight_g"),
            ("parametrizations.weight.original1", "weight_v"),
        ):
            tensors = {key.replace(new, name): value for key, value in tensors.items()}
        torch.save(tensors, folder / "pytorch_model.bin")
    else:
        safetensors.torch.save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    return folder


FILES = {
    "torchaudio": babyhubert,
    "fairseq": fairseq,
    "vtc-2.0": vtc_2_0,
    "vtc-2.1": vtc_2_1,
    "addressee": addressee,
    "babar": babar,
}


def write(layout: str, path: Path) -> Path:
    torch.save(FILES[layout](), path)
    return path


def tensors_of(content: dict[str, Any]) -> dict[str, Tensor]:
    return content.get("state_dict") or content["model"]
