"""Configs of tiny models of text and images, whose language model is cut."""

from __future__ import annotations

from typing import Any

from text_configs import GEMMA4, HEADS, LINEAR

TOWER: dict[str, Any] = {
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
TOKENS = {
    "image_token_id": 10,
    "video_token_id": 11,
    "vision_start_token_id": 12,
    "vision_end_token_id": 13,
    "image_token_index": 10,
    "boi_token_index": 14,
    "eoi_token_index": 15,
}


def _tower(model_type: str) -> dict[str, Any]:
    return {"model_type": model_type, **{key: TOWER[key] for key in _PLAIN}}


_CODES = {
    "base_channels": 32,  # divided into 32 groups by its norms
    "channel_multiplier": [1, 1],
    "num_embeddings": 16,
    "projection_dim": 32,
    "image_token_embed_dim": 32,
}  # of images that janus draws
_VL_MOE = {"moe_intermediate_size": 24, "num_experts": 4, "num_experts_per_tok": 2}
# Settings of the language model, of the tower, and beside them.
WRAPPERS: dict[str, tuple[dict[str, Any], dict[str, Any], dict[str, Any]]] = {
    "gemma3": (HEADS, _tower("siglip_vision_model"), {"mm_tokens_per_image": 4}),
    "gemma4": (
        GEMMA4,
        {"head_dim": 8, "global_head_dim": 8, "num_key_value_heads": 2},
        {"audio_config": None},
    ),
    "mistral3": ({"model_type": "mistral"}, _tower("pixtral"), {"spatial_merge_size": 1}),
    "llava": ({"model_type": "llama"}, _tower("clip_vision_model"), {}),
    "qwen2_vl": ({"rope_parameters": _ROPE}, {"hidden_size": 32, "embed_dim": 16}, {}),
    "qwen2_5_vl": ({"rope_parameters": _ROPE}, {}, {}),
    "qwen3_vl": ({**HEADS, "rope_parameters": _ROPE}, {}, {}),
    "qwen3_vl_moe": ({**HEADS, **_VL_MOE, "rope_parameters": _ROPE}, {}, {}),
    "qwen3_5": (
        {**LINEAR, **HEADS, "rope_parameters": {**_ROPE, "partial_rotary_factor": 1.0}},
        {},
        {},
    ),
    "qwen3_5_moe": (
        {
            **LINEAR,
            **HEADS,
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
    "aya_vision": ({"model_type": "cohere2", **HEADS}, _tower("siglip_vision_model"), {}),
    "paligemma": (
        {"model_type": "gemma", **HEADS},
        _tower("siglip_vision_model"),
        {"projection_dim": 32},
    ),
    "llama4": (
        {
            **HEADS,
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
    "ovis2": ({"model_type": "qwen2"}, {"vocab_size": 16}, {"hidden_size": 32}),
    "cohere2_vision": (
        {"model_type": "cohere2", **HEADS},
        _tower("siglip_vision_model"),
        {"alignment_intermediate_size": 32},
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
    "janus": ({"model_type": "llama"}, {"projection_dim": 32}, {"vq_config": _CODES}),
    "muse_glimmer": ({}, {}, {"out_hidden_size": 32, "projector_hidden_size": 32}),
    "gemma4_unified": (GEMMA4, {"mm_embed_dim": 16, "mm_posemb_size": 16}, {}),
}
