"""Shapes of a checkpoint, and their dependence on the width."""

from __future__ import annotations

from collections.abc import Container, Mapping
from dataclasses import dataclass, replace
from typing import Any

from ..io import TensorSpec

_TABLES = ("embed_tokens", "wte", "word_embeddings", "tok_embeddings", "embed_in", "embeddings")


def table_beside(stem: str, names: Container[str]) -> str:
    """Name of the table of token embeddings that stands where a stack does, or ""."""
    root = stem[: stem.rfind(".") + 1]
    return next((t for table in _TABLES if (t := f"{root}{table}.weight") in names), "")


@dataclass(frozen=True)
class TensorCut:
    """Dependence of a layer's tensor on the width: the size along `axis` is `parts * width`."""

    layer: int
    axis: int
    parts: int = 1


@dataclass(frozen=True, kw_only=True)
class Architecture:
    """Shapes of a checkpoint and their dependence on the width. Holds no weights.

    Attributes:
        model_type: Family as the config names it (`"llama"`).
        hidden_size: H, size of the residual stream.
        intermediate_size: I, neurons in each GLU block; the width.
        layers: Number of GLU blocks.
        stem: Name before the layer number in the names of the tensors (`"model.layers"`).
        fused: True where gate and up are stored as one `gate_up_proj`, gate first.
        tensors: Every stored tensor but those in `left_out`.
        cuts: The tensors that depend on the width.
        left_out: Stored tensors of draft layers (multi-token prediction), which transformers does
            not run and a cut does not carry.
        tied: Names that share the storage of another parameter and are not counted twice.
        parameters: Numbers in the parameters of the model that transformers builds.
        config: The model's config, as a plain mapping.
    """

    model_type: str
    hidden_size: int
    intermediate_size: int
    layers: int
    stem: str
    fused: bool
    tensors: Mapping[str, TensorSpec]
    cuts: Mapping[str, TensorCut]
    left_out: Mapping[str, TensorSpec]
    tied: frozenset[str]
    parameters: int
    config: Mapping[str, Any]

    @property
    def table(self) -> str:
        """Name of the table of token embeddings outside the layers, or ""."""
        return table_beside(self.stem, self.tensors)

    @property
    def expansion_ratio(self) -> float:
        """I / H."""
        return self.intermediate_size / self.hidden_size

    def block(self, layer: int) -> str:
        """Name of a layer's GLU block (`"model.layers.3.mlp"`)."""
        return f"{self.stem}.{layer}.mlp"

    def spec_at(self, name: str, width: int) -> TensorSpec:
        """Shape and dtype of a tensor once every block has `width` neurons."""
        spec, cut = self.tensors[name], self.cuts.get(name)
        if cut is None:
            return spec
        shape = list(spec.shape)
        shape[cut.axis] = cut.parts * width
        return replace(spec, shape=tuple(shape))
