"""Attributes that hold the scale of attention's logits, from modules and their source."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from .module_source import source_of

if TYPE_CHECKING:
    from torch import nn

_HEADS = (
    *("qk_head_dim", "head_dim", "head_size", "attention_head_size", "key_value_proj_dim"),
    *("dim_head", "d_head", "d_k", "d_kv", "kv_channels"),
)
_COUNTS = ("num_heads", "num_attention_heads", "n_heads", "n_head", "nhead", "heads")
_SCALES = (
    *("scaling", "softmax_scale", "inv_norm_factor", "scale_attn", "norm_factor", "scale"),
    *("attn_scale", "attention_scale", "softmax_scaling", "sm_scale", "scale_factor"),
)
_SDPA = re.compile(r"\w*scaled_dot_product_attention\((?:[^()]|\((?:[^()]|\([^()]*\))*\))*\)")
_TORCH_ATTENTION = "MultiheadAttention"  # it scales within torch, out of reach


@dataclass(frozen=True, kw_only=True)
class AttentionScale:
    """The scale of one attention module.

    Attributes:
        value: Factor of the logits.
        attribute: Attribute of the module.
        divides: Whether logits are divided by the attribute.
    """

    value: float
    attribute: str
    divides: bool

    def set_(self, module: Any, value: float) -> None:
        """Set another factor of the logits."""
        import torch

        number = 1 / value if self.divides else value
        old = getattr(module, self.attribute)
        is_tensor = isinstance(old, torch.Tensor)
        setattr(module, self.attribute, torch.full_like(old, number) if is_tensor else number)


def head_size(module: nn.Module) -> int | None:
    """Size of a head of an attention module; None for any other module."""
    kind: Any = type(module)
    if not _has_weights(module):
        return None
    for name in _HEADS:
        size = getattr(module, name, None)
        if isinstance(size, int) and size > 0:
            return size
    source = source_of(kind)
    if "scaled_dot_product_attention(" not in source and "softmax(" not in source:
        return None
    counts = [getattr(module, name, None) for name in _COUNTS]
    count = next((n for n in counts if isinstance(n, int) and n > 0), None)
    widths = [getattr(child, "in_features", None) for child in module.children()]
    width = next((n for n in widths if isinstance(n, int)), None)
    return width // count if width is not None and count is not None else None


def find_scale(module: nn.Module) -> AttentionScale | None:
    """The scale of an attention module; None where it cannot be set."""
    kind: Any = type(module)
    if kind.__name__ == _TORCH_ATTENTION:
        return None
    source = source_of(kind)
    if any("scale" not in call.partition("(")[2] for call in _SDPA.findall(source)):
        return None  # torch's 1/sqrt(d), whatever the attribute
    for name in _SCALES:
        number = _number(module, name)
        if number is None or isinstance(getattr(kind, name, None), property):
            continue
        used = rf"self\.{name}\b(?!\s*[*/]?=(?!=))"
        if source and not re.search(used, source):
            continue
        divides = bool(re.search(rf"/\s*self\.{name}\b", source))
        if (number >= 1) if divides else (number <= 1):
            return AttentionScale(
                value=1 / number if divides else number, attribute=name, divides=divides
            )
    return None


def _number(module: nn.Module, name: str) -> float | None:
    """A number above 0 that is an attribute of a module, also as a tensor; None for others."""
    import torch

    value = getattr(module, name, None)
    if isinstance(value, torch.Tensor) and not isinstance(value, torch.nn.Parameter):
        value = None if value.is_meta or value.numel() != 1 else float(value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if math.isfinite(value) and value > 0 else None


def _has_weights(module: nn.Module) -> bool:
    """Whether a module or one of its children has weight matrices."""
    owners = [module, *module.children()]
    return any(
        parameter.ndim == 2 and "emb" not in name
        for owner in owners
        for name, parameter in owner.named_parameters(recurse=False)
    )
