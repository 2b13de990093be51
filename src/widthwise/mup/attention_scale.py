"""Where attention keeps the scale of its logits, read from modules and from their source."""

from __future__ import annotations

import inspect
import math
import re
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import nn

_HEADS: tuple[str, ...] = (
    "qk_head_dim",
    "head_dim",
    "head_size",
    "attention_head_size",
    "key_value_proj_dim",
)
_HEADS += ("dim_head", "d_head", "d_k", "d_kv", "kv_channels")
_COUNTS = ("num_heads", "num_attention_heads", "n_heads", "n_head", "nhead", "heads")
_SCALES: tuple[str, ...] = (
    "scaling",
    "softmax_scale",
    "inv_norm_factor",
    "scale_attn",
    "norm_factor",
    "scale",
)
_SCALES += ("attn_scale", "attention_scale", "softmax_scaling", "sm_scale", "scale_factor")
_SDPA = re.compile(r"\w*scaled_dot_product_attention\((?:[^()]|\((?:[^()]|\([^()]*\))*\))*\)")
_TORCH_ATTENTION = "MultiheadAttention"  # it scales within torch, out of reach


@dataclass(frozen=True, kw_only=True)
class AttentionScale:
    """The scale of one attention module.

    Attributes:
        value: That logits are multiplied by.
        attribute: Of the module.
        divides: Whether logits are divided by the attribute.
    """

    value: float
    attribute: str
    divides: bool

    def set_(self, module: Any, value: float) -> None:
        """Have logits multiplied by another number."""
        import torch

        number = 1 / value if self.divides else value
        old = getattr(module, self.attribute)
        is_tensor = isinstance(old, torch.Tensor)
        setattr(module, self.attribute, torch.full_like(old, number) if is_tensor else number)


def head_size(module: nn.Module) -> int | None:
    """Size of a head of an attention module; None of any other module."""
    if not _has_weights(module):
        return None
    for name in _HEADS:
        size = getattr(module, name, None)
        if isinstance(size, int) and size > 0:
            return size
    source = _source(_class_of(module))
    if "scaled_dot_product_attention(" not in source and "softmax(" not in source:
        return None
    heads = [getattr(module, name, None) for name in _COUNTS]
    count = next((one for one in heads if isinstance(one, int) and one > 0), None)
    widths = [getattr(one, "in_features", None) for one in module.children()]
    width = next((one for one in widths if isinstance(one, int)), None)
    return width // count if width is not None and count is not None else None


def find_scale(module: nn.Module) -> AttentionScale | None:
    """Where an attention module keeps its scale; None where it cannot be set."""
    if type(module).__name__ == _TORCH_ATTENTION:
        return None
    source = _source(_class_of(module))
    if any("scale" not in call.partition("(")[2] for call in _SDPA.findall(source)):
        return None  # torch's own 1/sqrt(d), whatever the module keeps
    for name in _SCALES:
        number = _number(module, name)
        if number is None or isinstance(getattr(type(module), name, None), property):
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
    """A number that a module keeps, also as a tensor of one; None of anything else."""
    import torch

    found = getattr(module, name, None)
    if isinstance(found, torch.Tensor) and not isinstance(found, torch.nn.Parameter):
        found = None if found.is_meta or found.numel() != 1 else float(found)
    if isinstance(found, bool) or not isinstance(found, int | float):
        return None
    return float(found) if math.isfinite(found) and found > 0 else None


def _has_weights(module: nn.Module) -> bool:
    """Whether a module multiplies by weights of its own or of its children."""
    owners = [module, *module.children()]
    return any(
        parameter.ndim == 2 and "emb" not in name
        for owner in owners
        for name, parameter in owner.named_parameters(recurse=False)
    )


def _class_of(module: nn.Module) -> Any:
    return type(module)


@lru_cache(maxsize=256)
def _source(kind: Any) -> str:
    """Source of a class and of those that it derives from, torch's left out; "" if unknown."""
    texts = []
    for one in kind.__mro__:
        if one is object or one.__module__.partition(".")[0] == "torch":
            continue
        try:
            texts.append(inspect.getsource(one))
        except (OSError, TypeError):  # made while running
            continue
    return "\n".join(texts)
