"""A small model of the family Llava."""

from __future__ import annotations

from typing import Any

import torch
import transformers as hf
from families import SHAPE

TEXT = {"model_type": "llama", **SHAPE}


VISION = {
    "model_type": "clip_vision_model",
    **{"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1, "image_size": 28},
    **{"num_attention_heads": 2, "patch_size": 14},
}


def llava(**text: Any) -> Any:
    config = hf.LlavaConfig(text_config={**TEXT, **text}, vision_config=VISION)
    torch.manual_seed(0)
    return hf.LlavaForConditionalGeneration(config).eval()
