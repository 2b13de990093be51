"""Tiny models of text and images, stored under other names than they have in memory."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
import transformers as hf
from families import HIDDEN, WIDTH
from healing_runs import VOCABULARY, save_tokenizer

TEXT: dict[str, Any] = {
    "hidden_size": HIDDEN,
    "intermediate_size": WIDTH,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 8,
    "vocab_size": VOCABULARY,
    "max_position_embeddings": 512,
    "bos_token_id": 0,
    "eos_token_id": 0,
    "pad_token_id": 0,
    "initializer_range": 0.3,
}
TOWER: dict[str, Any] = {
    "hidden_size": 16,
    "intermediate_size": 24,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "image_size": 28,
    "patch_size": 14,
}


def _gemma3() -> Any:
    config = hf.Gemma3Config(
        text_config=TEXT, vision_config=TOWER, mm_tokens_per_image=4, image_token_index=256,
        boi_token_index=255, eoi_token_index=254, bos_token_id=0, eos_token_id=0,
    )  # fmt: skip
    return hf.Gemma3ForConditionalGeneration(config)


def _mistral3() -> Any:
    config = hf.Mistral3Config(
        text_config=hf.MistralConfig(**TEXT).to_dict(),
        vision_config=hf.PixtralVisionConfig(**TOWER).to_dict(),  # whose blocks are gated as well
        image_token_index=10, spatial_merge_size=1,
    )  # fmt: skip
    return hf.Mistral3ForConditionalGeneration(config)


def _llava() -> Any:
    config = hf.LlavaConfig(
        text_config=hf.LlamaConfig(**TEXT).to_dict(),
        vision_config=hf.CLIPVisionConfig(**TOWER).to_dict(),
        image_token_index=10,
    )
    return hf.LlavaForConditionalGeneration(config)


def _qwen2_5_vl() -> Any:
    rope = {"rope_type": "default", "mrope_section": [1, 1, 2], "rope_theta": 1e4}
    vision = {"depth": 1, "hidden_size": 16, "intermediate_size": 24, "num_heads": 2}
    config = hf.Qwen2_5_VLConfig(
        text_config={**TEXT, "rope_parameters": rope},
        vision_config={**vision, "out_hidden_size": HIDDEN, "fullatt_block_indexes": [0]},
        image_token_id=10, video_token_id=11, vision_start_token_id=12, vision_end_token_id=13,
    )  # fmt: skip
    return hf.Qwen2_5_VLForConditionalGeneration(config)


def _mllama() -> Any:
    text = {key: value for key, value in TEXT.items() if key != "head_dim"}
    rope = {"rope_type": "default", "rope_theta": 1e4}
    vision = {"hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 1}
    size = {"image_size": 28, "patch_size": 14, "max_num_tiles": 1, "attention_heads": 2}
    states = {"num_global_layers": 1, "intermediate_layers_indices": [0], "vision_output_dim": 32}
    config = hf.MllamaConfig(
        text_config={**text, "cross_attention_layers": [1], "rope_parameters": rope},
        vision_config={**vision, **size, **states, "supported_aspect_ratios": [[1, 1]]},
        image_token_index=10,
    )
    return hf.MllamaForConditionalGeneration(config)


MULTIMODAL = {
    "gemma3": _gemma3,
    "mistral3": _mistral3,
    "llava": _llava,
    "qwen2_5_vl": _qwen2_5_vl,
    "mllama": _mllama,  # which leaves a layer out where there is no image
}


def save_multimodal(kind: str, folder: Path) -> Path:
    """A random model of a kind in float32 with a tokenizer of bytes."""
    torch.manual_seed(0)
    model = MULTIMODAL[kind]()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if ".mlp." in name:
                parameter.normal_(std=0.3)  # wide, so that a cut is felt
    model.save_pretrained(folder)
    save_tokenizer(folder)
    return folder
