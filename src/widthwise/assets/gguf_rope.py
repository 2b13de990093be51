"""The rotation of positions that a GGUF file states, as a config of transformers states it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import UnsupportedModelError

Floats = NDArray[np.float64]

FREQUENCIES, LONG, SHORT = (
    "rope_freqs.weight",
    "rope_factors_long.weight",
    "rope_factors_short.weight",
)
_BASE = 10000.0  # of llama.cpp, where a file states none; and of Gemma 3's sliding windows
# Largest relative difference of two frequencies that are the same: they are powers of float32.
_SAME = 1e-5
_CONTEXT = 8192.0  # before scaling, of Llama 3: one of several numbers where any would do


@dataclass(frozen=True, kw_only=True)
class Rotation:
    """Rotary embedding: the angle by which a position turns each pair of numbers of a head.

    Attributes:
        base: Base of the frequencies.
        scaling: Its `rope_parameters` but for the base; empty where there is no scaling.
        sliding_base: Base of the layers with a sliding window, which are never scaled.
        factors: Divisors of the frequencies of the base, as the file states them; None where
            `scaling` states it alone.
    """

    base: float
    sliding_base: float
    scaling: Mapping[str, Any] = field(default_factory=dict)
    factors: Floats | None = None

    def write(self, config: Any) -> None:
        """Put it into a config, of layers of one kind or of several."""
        old = config.rope_parameters or {}
        if "full_attention" in old:
            full = {**old["full_attention"], "rope_theta": self.base, **self.scaling}
            config.rope_parameters = {**old, "full_attention": full}
            if "sliding_attention" in old:
                sliding = {**old["sliding_attention"], "rope_theta": self.sliding_base}
                config.rope_parameters = {**config.rope_parameters, "sliding_attention": sliding}
            return
        partial_factor = {k: v for k, v in old.items() if k == "partial_rotary_factor"}
        new = {"rope_type": "default", **partial_factor, "rope_theta": self.base, **self.scaling}
        if new != {"rope_type": "default", **old}:
            config.rope_parameters = new
        original = self.scaling.get("original_max_position_embeddings")
        if original and hasattr(config, "original_max_position_embeddings"):
            config.original_max_position_embeddings = original


def rotation_of(
    keys: Mapping[str, Any], factors: Mapping[str, Floats], dimensions: int
) -> Rotation:
    """The rotation of a file.

    Args:
        keys: Its metadata below the architecture's name.
        factors: Its tensors of factors, by name.
        dimensions: Numbers of a head that are turned.

    Raises:
        UnsupportedModelError: No config of transformers can state it; the message says what.
    """
    base = float(keys.get("rope.freq_base", _BASE))
    sliding_base = float(keys.get("rope.freq_base_swa", _BASE))
    make = partial(Rotation, base=base, sliding_base=sliding_base)
    factor = float(keys.get("rope.scaling.factor", keys.get("rope.scale_linear", 0.0)))
    kind = str(keys.get("rope.scaling.type", "linear"))
    if LONG in factors or SHORT in factors:
        return make(scaling=_longrope(keys, factors, factor))
    divided = factors.get(FREQUENCIES)
    if divided is not None and np.allclose(divided, 1.0, rtol=_SAME):
        divided = None
    if divided is not None:
        if factor not in (0.0, 1.0):
            raise UnsupportedModelError("both rope_freqs and a scaling factor")
        scaling = _llama3(divided, base, dimensions, keys.get("context_length"))
        return make(scaling=scaling, factors=divided)
    if kind == "none" or factor in (0.0, 1.0):
        return make()
    if kind == "linear":
        scaling = {"rope_type": "linear", "factor": factor}
        return make(scaling=scaling, factors=np.full(dimensions // 2, factor))
    if kind == "yarn":
        return make(scaling=_yarn(keys, factor))
    raise UnsupportedModelError(f"a rotation scaled by {kind!r} without its factors")


def check_rotation(model: Any, rotation: Rotation, dimensions: int) -> None:
    """See that a model turns positions as its file says.

    Of a model on torch's meta device, whose frequencies are nowhere, they are computed again.

    Raises:
        UnsupportedModelError: It does not.
    """
    rotary = next((module for _, module in model.named_modules() if _frequencies(module)), None)
    if rotary is None:
        return
    if any(frequencies.is_meta for frequencies in _frequencies(rotary).values()):
        make: Any = type(rotary)
        rotary = make(model.config)
    for name, frequencies in _frequencies(rotary).items():
        sliding = name.startswith("sliding")
        base = rotation.sliding_base if sliding else rotation.base
        expected = base ** -(np.arange(0, dimensions, 2) / dimensions)
        if rotation.factors is not None and not sliding:
            expected = expected / rotation.factors
        elif rotation.scaling and not sliding:
            continue  # transformers' function of the parameters that were read
        got = frequencies.detach().double().cpu().numpy()
        if got.shape != expected.shape or not np.allclose(got, expected, rtol=_SAME, atol=0):
            raise UnsupportedModelError(
                f"a rotation that {type(model).__name__} cannot have: {dimensions} numbers of a "
                f"head are turned, with the base {base:g}"
            )


def _frequencies(module: Any) -> dict[str, Any]:
    """The frequencies of a module, by name."""
    named = dict(module.named_buffers(recurse=False))
    return {
        name: buffer
        for name, buffer in named.items()
        if name.endswith("inv_freq") and not name.endswith("original_inv_freq")
    }


def _yarn(keys: Mapping[str, Any], factor: float) -> dict[str, Any]:
    if float(keys.get("rope.scaling.yarn_ext_factor", 1.0)) != 1.0:
        raise UnsupportedModelError("rope.scaling.yarn_ext_factor, which YaRN has not")
    if float(keys.get("rope.scaling.yarn_log_multiplier", 0.0)):
        raise UnsupportedModelError("rope.scaling.yarn_log_multiplier")
    before = keys.get("rope.scaling.original_context_length", keys.get("context_length"))
    scaling: dict[str, Any] = {"rope_type": "yarn", "factor": factor}
    if before is not None:
        scaling["original_max_position_embeddings"] = int(before)
    for key, name in (("yarn_beta_fast", "beta_fast"), ("yarn_beta_slow", "beta_slow")):
        if f"rope.scaling.{key}" in keys:
            scaling[name] = float(keys[f"rope.scaling.{key}"])
    scales = [keys.get(f"rope.scaling.{key}") for key in ("attn_factor", "yarn_attn_factor")]
    if any(scale is not None for scale in scales):  # llama.cpp multiplies YaRN's own by it
        scale = math.prod(float(part) for part in scales if part is not None)
        scaling["attention_factor"] = scale * (1.0 + 0.1 * math.log(factor))
    return scaling


def _longrope(
    keys: Mapping[str, Any], factors: Mapping[str, Floats], factor: float
) -> dict[str, Any]:
    before, after = keys.get("rope.scaling.original_context_length"), keys.get("context_length")
    if LONG not in factors or SHORT not in factors or before is None:
        raise UnsupportedModelError("long and short factors of a rotation that are not all there")
    scaling: dict[str, Any] = {
        "rope_type": "longrope",
        "long_factor": [float(number) for number in factors[LONG]],
        "short_factor": [float(number) for number in factors[SHORT]],
        "original_max_position_embeddings": int(before),
    }
    if factor not in (0.0, 1.0) or after is not None:
        scaling["factor"] = factor if factor not in (0.0, 1.0) else float(after or before) / before
    if "rope.scaling.attn_factor" in keys:
        scaling["attention_factor"] = float(keys["rope.scaling.attn_factor"])
    return scaling


def _llama3(divided: Floats, base: float, dimensions: int, context: Any) -> dict[str, Any]:
    """The parameters of Llama 3's scaling that give these factors.

    Between two wavelengths 1 / factor is linear in the frequency: a line through what lies between
    gives both. Of its numbers one is free: wavelengths count alone.
    """
    waves = 2 * math.pi * base ** (np.arange(0, dimensions, 2) / dimensions)
    if len(waves) != len(divided):
        raise UnsupportedModelError(f"{len(divided)} factors of {len(waves)} frequencies")
    factor = float(divided.max())
    smooth = (1 / divided - 1 / factor) / (1 - 1 / factor)  # 1: as it was, 0: divided by `factor`
    between = (smooth > _SAME) & (smooth < 1 - _SAME)
    candidates = [(1.0, 4.0, old) for old in (_CONTEXT, float(context or _CONTEXT))]
    candidates += [(1.0, 4.0, 2.0**power) for power in range(4, 21)]
    if between.sum() >= 2:
        slope, constant = np.polyfit(1 / waves[between], smooth[between], 1)
        if constant < 0:  # (old / wave - low) / (high - low), with low = 1
            high = 1 - 1 / constant
            candidates.append((1.0, float(high), float(slope * (high - 1))))
    for low, high, old in candidates:
        for length in (round(old), old):
            line = np.clip((length / waves - low) / (high - low), 0, 1)
            if np.allclose(1 / ((1 - line) / factor + line), divided, rtol=_SAME):
                return {
                    "rope_type": "llama3",
                    "factor": factor,
                    "low_freq_factor": low,
                    "high_freq_factor": round(high) if abs(high - round(high)) < _SAME else high,
                    "original_max_position_embeddings": length,
                }
    raise UnsupportedModelError(
        "factors of a rotation (rope_freqs) that are not those of Llama 3, and that no config of "
        "transformers can state"
    )
