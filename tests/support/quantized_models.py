"""Checkpoints that are quantized as those of the hub are, by encoders of their own."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from checkpoint_files import rewrite, set_config, stored
from torch import Tensor

FP8_MAX = 448.0  # of E4M3
BLOCK = 16  # of tiny models, where the hub has 128

Encoder = Callable[[str, Tensor], dict[str, Tensor]]


def is_linear(name: str, tensor: Tensor) -> bool:
    """Whether a tensor is one that methods quantize: a matrix, and no table, head or router."""
    spared = ("embed_tokens", "lm_head", ".gate.weight")
    return tensor.ndim == 2 and not any(part in name for part in spared)


def block_fp8(name: str, tensor: Tensor, rows: int = BLOCK, columns: int = BLOCK) -> dict[str, Any]:
    """As DeepSeek-V3 and Qwen3-FP8: a factor for each block; those at the edges are smaller."""
    height, width = tensor.shape
    tall, wide = -(-height // rows), -(-width // columns)
    scale = torch.empty(tall, wide)
    result = torch.empty(tensor.shape, dtype=torch.float8_e4m3fn)
    for i in range(tall):
        for j in range(wide):
            place = slice(i * rows, (i + 1) * rows), slice(j * columns, (j + 1) * columns)
            scale[i, j] = tensor[place].float().abs().max() / FP8_MAX
            result[place] = (tensor[place].float() / scale[i, j]).to(torch.float8_e4m3fn)
    return {name: result, f"{name}_scale_inv": scale}


def row_fp8(name: str, tensor: Tensor) -> dict[str, Tensor]:
    """As compressed-tensors by channels, and fbgemm_fp8: a factor for each row."""
    scale = tensor.float().abs().amax(1, keepdim=True) / FP8_MAX
    return {name: (tensor.float() / scale).to(torch.float8_e4m3fn), f"{name}_scale": scale}


def whole_fp8(name: str, tensor: Tensor) -> dict[str, Tensor]:
    """As Ministral 3: a factor for the whole matrix, and one for its inputs."""
    scale = (tensor.float().abs().max() / FP8_MAX).to(torch.bfloat16)
    return {
        name: (tensor.float() / scale.float()).to(torch.float8_e4m3fn),
        f"{name}_scale_inv": scale,
        f"{name.removesuffix('weight')}activation_scale": torch.tensor(0.5),
    }


def block_config(block: int = BLOCK) -> dict[str, Any]:
    """What config.json says of block FP8."""
    size = [block, block]
    return {"quant_method": "fp8", "weight_block_size": size, "activation_scheme": "dynamic"}


WHOLE_CONFIG = {"quant_method": "fp8", "weight_block_size": None, "activation_scheme": "static"}


def compressed_config(strategy: str, **weights: Any) -> dict[str, Any]:
    """What config.json says of FP8 by compressed-tensors."""
    stated = {"num_bits": 8, "type": "float", "strategy": strategy, "symmetric": True, **weights}
    return {
        "quant_method": "compressed-tensors",
        "format": "float-quantized",
        "quantization_status": "compressed",
        "ignore": ["lm_head"],
        "config_groups": {"group_0": {"targets": ["Linear"], "weights": stated}},
    }


def quantize(
    folder: Path, config: dict[str, Any], encode: Encoder = block_fp8, but: str = "lm_head"
) -> Path:
    """Quantize the matrices of a single-file checkpoint in place, all whose names lack `but`."""
    result: dict[str, Tensor] = {}
    for name, tensor in stored(folder).items():
        is_quantized = is_linear(name, tensor) and but not in name
        result |= encode(name, tensor) if is_quantized else {name: tensor}
    rewrite(folder, result)
    set_config(folder, quantization_config=config)
    return folder


def quantize_experts(folder: Path, seed: int = 0) -> Path:
    """Put random MXFP4 in the place of the experts of gpt_oss, as the hub stores it."""
    generator = torch.Generator().manual_seed(seed)
    result: dict[str, Tensor] = {}
    for name, tensor in stored(folder).items():
        if not name.endswith(("experts.gate_up_proj", "experts.down_proj")):
            result[name] = tensor
            continue
        experts, inputs, outputs = tensor.shape
        shape = (experts, outputs, inputs // 32)
        blocks = torch.randint(0, 256, (*shape, 16), dtype=torch.uint8, generator=generator)
        exponents = torch.randint(119, 125, shape, dtype=torch.uint8, generator=generator)
        result |= {f"{name}_blocks": blocks, f"{name}_scales": exponents}
    rewrite(folder, result)
    set_config(folder, quantization_config={"quant_method": "mxfp4"})
    return folder
