"""A tiny model of every family that widthwise cuts, built from its config."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
import transformers as hf

from widthwise.arch import in_block

WIDTH, VOCAB = 56, 128
_SHAPE: dict[str, Any] = {
    "hidden_size": 32,
    "intermediate_size": WIDTH,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "vocab_size": VOCAB,
    "max_position_embeddings": 512,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "pad_token_id": 0,
    # Fresh weights are so small that a wrong cut would hardly change a logit.
    "initializer_range": 0.3,
}
LATENT = {
    "num_key_value_heads": 4,
    "q_lora_rank": 16,
    "kv_lora_rank": 8,
    "qk_rope_head_dim": 4,
    "qk_nope_head_dim": 4,
    "v_head_dim": 8,
}
LINEAR_HEADS = {
    "linear_num_key_heads": 2,
    "linear_num_value_heads": 4,
    "linear_key_head_dim": 8,
    "linear_value_head_dim": 8,
}
_LINEAR = {
    **LINEAR_HEADS,
    "layer_types": ["linear_attention", "full_attention", "linear_attention"],
}
MAMBA = {
    "mamba_d_state": 8,
    "mamba_d_conv": 4,
    "mamba_expand": 2,
    "mamba_n_heads": 8,
    "mamba_d_head": 8,
    "mamba_n_groups": 1,
    "mamba_chunk_size": 16,
}
_WINDOWS = {
    "sliding_window": 24,
    "layer_types": ["sliding_attention", "sliding_attention", "full_attention"],
}
_GEMMA4 = {
    **_WINDOWS,
    "head_dim": 8,
    "global_head_dim": 8,
    "vocab_size_per_layer_input": VOCAB,
    "hidden_size_per_layer_input": 0,
    "use_double_wide_mlp": False,
    "num_kv_shared_layers": 0,
}
_HEADS = {"head_dim": 8}
_GEMMA3N = {
    **_WINDOWS,
    "head_dim": 8,
    "vocab_size_per_layer_input": VOCAB,
    "hidden_size_per_layer_input": 8,
    "laurel_rank": 8,
    "num_kv_shared_layers": 0,
    "activation_sparsity_pattern": [0.0] * 3,
}
_NEMOTRON_H = {
    **_HEADS,
    "model_type": "nemotron_h",
    "mamba_num_heads": 8,
    "mamba_head_dim": 8,
    "ssm_state_size": 8,
    "n_groups": 1,
    "chunk_size": 16,
}

# Settings of the config, beside `_SHAPE`, by model type; a name of its own states it.
DENSE: dict[str, dict[str, Any]] = {
    "llama": {},
    "mistral": {},
    "qwen2": {},
    "qwen3": _HEADS,
    "gemma": _HEADS,
    "gemma2": _HEADS,
    "gemma3_text": _HEADS,
    "gemma4_text": _GEMMA4,
    "gemma4_unified_text": _GEMMA4,
    "gemma4_text-double": {
        **_GEMMA4,
        "model_type": "gemma4_text",
        "num_hidden_layers": 4,
        "layer_types": ["sliding_attention", "full_attention"] * 2,
        "use_double_wide_mlp": True,
        "num_kv_shared_layers": 2,
        "hidden_size_per_layer_input": 8,
    },
    "gemma3n_text": _GEMMA3N,
    "gemma3n_text-sparse": {
        **_GEMMA3N,
        "model_type": "gemma3n_text",
        "activation_sparsity_pattern": [0.9, 0.0, 0.0],
        "intermediate_size": [80, WIDTH, 40],
    },
    "vaultgemma": _HEADS,
    "olmo": {},
    "olmo2": {},
    "olmo3": {},
    "olmo_hybrid": _LINEAR,
    "granite": {},
    "granite_swa": {},
    "cohere": {},
    "cohere2": _HEADS,
    "stablelm": {},
    "smollm3": {},
    "ernie4_5": {},
    "exaone4": {},
    "seed_oss": _HEADS,
    "phi3": {},
    "glm": _HEADS,
    "glm4": _HEADS,
    "ministral": _HEADS,
    "ministral3": _HEADS,
    "helium": _HEADS,
    "cwm": _HEADS,
    "hunyuan_v1_dense": _HEADS,
    "hyperclovax": _HEADS,
    "internlm3": _HEADS,
    "iquestcoder": _HEADS,
    "youtu": LATENT,
    "minicpm3": LATENT,
    "diffllama": {},
    "qwen3_5_text": {**_LINEAR, **_HEADS},
    "lfm2": {"layer_types": ["conv", "full_attention", "conv"], "block_multiple_of": 8},
    "lfm3": {},
    "falcon_h1": {**MAMBA, "mamba_d_ssm": 64, "head_dim": 8},
    "bamba": {**MAMBA, "attn_layer_indices": [1]},
    "granitemoehybrid-dense": {
        **MAMBA,
        "model_type": "granitemoehybrid",
        "num_local_experts": 0,
        "shared_intermediate_size": WIDTH,
        "intermediate_size": 48,
        "layer_types": ["mamba", "attention", "mamba"],
    },
    "recurrent_gemma": {"lru_width": 32, "attention_window_size": 16, "intermediate_size": 112},
    "modernbert-decoder": {"global_attn_every_n_layers": 2, "local_attention": 16},
    "arcee": {},
    "nemotron": {},
    "jais2": {},
    "apertus": {},
    "starcoder2": {"residual_dropout": 0.0},
    "phi": {},
    "nanochat": _HEADS,
    "doge": {},
    "nemotron_h-dense": {**_NEMOTRON_H, "layers_block_type": ["linear_attention", "mlp"] * 2},
}


_EXPERTS = {
    "moe_intermediate_size": 24,
    "num_experts": 4,
    "num_local_experts": 4,
    "n_routed_experts": 4,
    "moe_num_experts": 4,
    "num_experts_per_tok": 2,
    "moe_k": 2,
    "moe_topk": 2,
    "n_shared_experts": 2,
    "moe_num_shared_experts": 2,
    "num_shared_experts": 2,
    "shared_expert_intermediate_size": 40,
    "shared_intermediate_size": 40,
    "n_group": 1,
    "topk_group": 1,
    "first_k_dense_replace": 1,
    "moe_layer_start_index": 1,
    "num_dense_layers": 1,
}
_LATENT_MOE = {**LATENT, "head_dim": 4}

# Mixtures of experts: settings beside `_SHAPE` and those of `_EXPERTS` that the class knows.
MIXTURES: dict[str, dict[str, Any]] = {
    "mixtral": {},
    "qwen2_moe": {},
    "qwen3_moe": _HEADS,
    "qwen3_next": {**_LINEAR, **_HEADS},
    "qwen3_5_moe_text": {**_LINEAR, **_HEADS},
    "deepseek_v2": _LATENT_MOE,
    "deepseek_v3": _LATENT_MOE,
    "glm4_moe": _HEADS,
    "ernie4_5_moe": {},
    "olmoe": {},
    "granitemoe": {},
    "granitemoeshared": {},
    "granitemoehybrid": {**MAMBA, "layer_types": ["mamba", "attention", "mamba"]},
    "llama4_text": {"intermediate_size_mlp": 48, "interleave_moe_layer_step": 2, **_HEADS},
    "gpt_oss": _HEADS,
    "lfm2_moe": {"layer_types": ["conv", "full_attention", "conv"]},
    "jamba": {
        **MAMBA,
        "mamba_dt_rank": 4,
        "attn_layer_period": 2,
        "attn_layer_offset": 1,
        "expert_layer_period": 2,
    },
    "hunyuan_v1_moe": _HEADS,
    "minimax": _HEADS,
    "minimax_m2": _HEADS,
    "phimoe": {},
    "dots1": _HEADS,
    "afmoe": _HEADS,
    "jetmoe": {"kv_channels": 8},
    "exaone_moe": _HEADS,
    "cohere2_moe": _HEADS,
    "solar_open": _HEADS,
    "hy_v3": _HEADS,
    "laguna": _HEADS,
    "mellum": _HEADS,
    "flex_olmo": {},
    "mimo_v2_flash": _HEADS,
    "glm4_moe_lite": _LATENT_MOE,
    "nemotron_h": {
        **_NEMOTRON_H,
        "layers_block_type": ["linear_attention", "moe", "full_attention", "mlp"],
        "moe_shared_expert_intermediate_size": 40,
    },
    "granitemoe_swa": {},
    "deepseek_v32": _LATENT_MOE,
    "glm_moe_dsa": _LATENT_MOE,
    "axk1": _LATENT_MOE,
    "flint": _HEADS,
    "nemotron_h-latent": {
        **_NEMOTRON_H,
        "layers_block_type": ["moe", "full_attention"],
        "moe_shared_expert_intermediate_size": 40,
        "moe_latent_size": 16,
    },
}


# Models of text and images: settings of the language model, of the tower, and beside them.
_TOWER: dict[str, Any] = {
    "hidden_size": 16,
    "intermediate_size": 24,
    "num_hidden_layers": 1,
    "depth": 1,
    "num_heads": 2,
    "num_attention_heads": 2,
    "image_size": 28,
    "patch_size": 14,
    "out_hidden_size": 32,
    "fullatt_block_indexes": [0],
    "num_position_embeddings": 16,
    "deepstack_visual_indexes": [0],
}
_PLAIN = (
    *("hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads"),
    *("image_size", "patch_size"),
)
_ROPE = {"rope_type": "default", "mrope_section": [1, 1, 2], "rope_theta": 1e4}
_TOKENS = {
    "image_token_id": 10,
    "video_token_id": 11,
    "vision_start_token_id": 12,
    "vision_end_token_id": 13,
    "image_token_index": 10,
    "boi_token_index": 14,
    "eoi_token_index": 15,
}


def _tower(model_type: str) -> dict[str, Any]:
    return {"model_type": model_type, **{key: _TOWER[key] for key in _PLAIN}}


_VL_MOE = {"moe_intermediate_size": 24, "num_experts": 4, "num_experts_per_tok": 2}
WRAPPERS: dict[str, tuple[dict[str, Any], dict[str, Any], dict[str, Any]]] = {
    "gemma3": (_HEADS, _tower("siglip_vision_model"), {"mm_tokens_per_image": 4}),
    "gemma4": (
        _GEMMA4,
        {"head_dim": 8, "global_head_dim": 8, "num_key_value_heads": 2},
        {"audio_config": None},
    ),
    "mistral3": ({"model_type": "mistral"}, _tower("pixtral"), {"spatial_merge_size": 1}),
    "llava": ({"model_type": "llama"}, _tower("clip_vision_model"), {}),
    "qwen2_vl": ({"rope_parameters": _ROPE}, {"hidden_size": 32, "embed_dim": 16}, {}),
    "qwen2_5_vl": ({"rope_parameters": _ROPE}, {}, {}),
    "qwen3_vl": ({**_HEADS, "rope_parameters": _ROPE}, {}, {}),
    "qwen3_vl_moe": ({**_HEADS, **_VL_MOE, "rope_parameters": _ROPE}, {}, {}),
    "qwen3_5": (
        {**_LINEAR, **_HEADS, "rope_parameters": {**_ROPE, "partial_rotary_factor": 1.0}},
        {},
        {},
    ),
    "qwen3_5_moe": (
        {
            **_LINEAR,
            **_HEADS,
            **_VL_MOE,
            "shared_expert_intermediate_size": 40,
            "rope_parameters": {**_ROPE, "partial_rotary_factor": 1.0},
        },
        {},
        {},
    ),
    "internvl": ({"model_type": "qwen2"}, {"image_size": [28, 28], "patch_size": [14, 14]}, {}),
    "idefics3": ({"model_type": "llama"}, {}, {}),
    "smolvlm": ({"model_type": "llama"}, {}, {}),
    "glm4v": ({"rope_parameters": _ROPE}, {}, {}),
    "aya_vision": ({"model_type": "cohere2", **_HEADS}, _tower("siglip_vision_model"), {}),
    "paligemma": (
        {"model_type": "gemma", **_HEADS},
        _tower("siglip_vision_model"),
        {"projection_dim": 32},
    ),
    "llama4": (
        {
            **_HEADS,
            "intermediate_size_mlp": 48,
            "interleave_moe_layer_step": 2,
            "num_local_experts": 4,
        },
        {
            "vision_output_dim": 32,
            "projector_input_dim": 32,
            "projector_output_dim": 32,
            "pixel_shuffle_ratio": 1.0,
        },
        {},
    ),
    "exaone4_5": ({"model_type": "exaone4"}, {}, {}),
    "mllama": ({}, {}, {}),
    "ovis2": ({"model_type": "qwen2"}, {}, {}),
    "cohere2_vision": (
        {"model_type": "cohere2", **_HEADS},
        _tower("siglip_vision_model"),
        {},
    ),
    "llava_next": ({"model_type": "llama"}, _tower("clip_vision_model"), {}),
    "llava_onevision": ({"model_type": "qwen2"}, _tower("siglip_vision_model"), {}),
    "vipllava": ({"model_type": "llama"}, _tower("clip_vision_model"), {}),
    "glm_ocr": ({"rope_parameters": _ROPE}, {}, {}),
    "glm4v_moe": (
        {
            **_VL_MOE,
            "n_routed_experts": 4,
            "rope_parameters": {**_ROPE, "partial_rotary_factor": 1.0},
        },
        {},
        {},
    ),
    "got_ocr2": ({"model_type": "qwen2"}, {}, {}),
    "janus": ({"model_type": "llama"}, {}, {}),
    "muse_glimmer": ({}, {}, {}),
    "gemma4_unified": (_GEMMA4, {}, {}),
}


# Encoders, and pairs of an encoder and a decoder: their class and the settings of their config.
_MASKED, _PAIR = "AutoModelForMaskedLM", "AutoModelForSeq2SeqLM"
_T5: dict[str, Any] = {
    "d_model": 32,
    "d_ff": WIDTH,
    "d_kv": 8,
    "num_layers": 3,
    "num_decoder_layers": 2,
    "num_heads": 4,
    "vocab_size": VOCAB,
    "initializer_factor": 2.0,
    "decoder_start_token_id": 0,
    "feed_forward_proj": "gated-gelu",
}
ENCODERS: dict[str, tuple[str, dict[str, Any]]] = {
    "modernbert": (
        _MASKED,
        {**_SHAPE, "global_attn_every_n_layers": 2, "local_attention": 16, "cls_token_id": 1},
    ),
    "nomic_bert": (_MASKED, _SHAPE),
    "gte": (_MASKED, _SHAPE),
    "eurobert": (_MASKED, {**_SHAPE, "mask_token_id": 3}),
    "ultrabert": (_MASKED, _SHAPE),
    "jina_embeddings_v3": (_MASKED, _SHAPE),
    "esmc": (_MASKED, {**_SHAPE, "num_key_value_heads": 4}),
    "t5": (_PAIR, _T5),
    "t5-without-gate": (_PAIR, {**_T5, "model_type": "t5", "feed_forward_proj": "relu"}),
    "t5-encoder": ("AutoModelForTextEncoding", {**_T5, "model_type": "t5"}),
    "mt5": (_PAIR, _T5),
    "umt5": (_PAIR, _T5),
    "longt5": (_PAIR, _T5),
    "t5gemma": (
        _PAIR,
        {
            "encoder": {**_SHAPE, "head_dim": 8},
            "decoder": {**_SHAPE, "head_dim": 8, "num_hidden_layers": 2},
            "vocab_size": VOCAB,
        },
    ),
}
FAMILIES = (*DENSE, *MIXTURES, *WRAPPERS, *ENCODERS)


def _known(kind: Any, settings: dict[str, Any]) -> dict[str, Any]:
    """Those settings that a config class has."""
    names = {*getattr(kind, "__dataclass_fields__", ()), *kind.attribute_map}
    return {key: value for key, value in settings.items() if key in names}


def _wrapper_config(model_type: str, changes: dict[str, Any]) -> Any:
    """The config of a tiny model of text and images; changes are of its language model."""
    from transformers.models.auto.configuration_auto import CONFIG_MAPPING

    kind = CONFIG_MAPPING[model_type]
    text, tower, rest = WRAPPERS[model_type]
    parts = {}
    for key, settings in (
        ("text_config", {**_SHAPE, **text, **changes}),
        ("vision_config", tower if "model_type" in tower else {**_TOWER, **tower}),
    ):
        has_class = "model_type" in settings
        parts[key] = settings if has_class else _known(kind.sub_configs[key], settings)
    return kind(**parts, **_known(kind, _TOKENS), **rest)


def config_of(family: str, **changes: Any) -> Any:
    """A tiny config of a family; changes of a wrapper are of its language model."""
    from transformers.models.auto.configuration_auto import CONFIG_MAPPING

    if family in WRAPPERS:
        return _wrapper_config(family, changes)
    if family in ENCODERS:
        settings = {**ENCODERS[family][1], **changes}
    else:
        settings = {**_SHAPE, **(DENSE.get(family) or MIXTURES.get(family, {})), **changes}
    kind = CONFIG_MAPPING[settings.pop("model_type", family)]
    experts = _known(kind, _EXPERTS) if family in MIXTURES else {}
    return kind(**{**experts, **settings})


def _loader(family: str) -> Any:
    """The class of transformers that loads a family."""
    if family in ENCODERS:
        return getattr(hf, ENCODERS[family][0])
    return hf.AutoModelForImageTextToText if family in WRAPPERS else hf.AutoModelForCausalLM


def tiny_model(model_type: str, *, seed: int = 0, **changes: Any) -> Any:
    """A random language model of a family in float32, in eval mode; no bias is zero."""
    torch.manual_seed(seed)
    model = _loader(model_type).from_config(config_of(model_type, **changes))
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name.endswith("bias"):  # they start at zero, where a wrong cut would not show
                parameter.normal_(std=0.1)
            elif model_type in WRAPPERS and in_block(name):
                parameter.normal_(std=0.3)
    return model.eval()


def load(model_type: str, folder: Path) -> Any:
    """A model of a family from a folder."""
    return _loader(model_type).from_pretrained(folder).eval()
