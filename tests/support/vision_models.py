"""Small vision-language models."""

from __future__ import annotations

from typing import Any

import torch
import transformers as hf


def vision_language(**vision: int) -> Any:
    """A tiny Qwen2.5-VL, whose vision tower has gated blocks as well."""
    text = {"hidden_size": 32, "intermediate_size": 53, "num_hidden_layers": 2, "vocab_size": 101}
    text |= {"num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": 64}
    rope = {"rope_type": "default", "mrope_section": [1, 1, 2], "rope_theta": 10000.0}
    tower = {"depth": 2, "hidden_size": 24, "intermediate_size": 40, "num_heads": 2}
    tower |= {"out_hidden_size": 32, "patch_size": 4, "spatial_merge_size": 2, "window_size": 16}
    config = hf.Qwen2_5_VLConfig(
        text_config={**text, "rope_parameters": rope},
        vision_config={**tower, "fullatt_block_indexes": [1], **vision},
    )
    torch.manual_seed(0)
    return hf.Qwen2_5_VLForConditionalGeneration(config).eval()
