"""Checkpoints with draft layers, by the names and shapes of the hub, and what their blocks give."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from every_family import tiny_model
from safetensors.torch import load_file, save_file
from torch import Tensor
from torch.nn.functional import silu

HIDDEN, HEADS, EXPERTS, LAYERS = 32, 8, 4, 3
Tensors = Mapping[str, Tensor]


@dataclass(frozen=True, kw_only=True)
class Draft:
    """How a family stores draft layers.

    Attributes:
        family: Of `every_family`.
        key: Setting that announces the layers.
        layer: Begin of the names of the first layer.
        beside: Names and shapes of what stands beside the blocks.
        mlp, shared: Width of a dense block, and of a shared expert; 0 for none.
        expert: Width of an expert; 0 for none.
        merged: Whether experts are stored in one tensor.
        shared_name: What the shared expert is called.
    """

    family: str
    key: str
    layer: str
    beside: Mapping[str, tuple[int, ...]]
    mlp: int = 0
    expert: int = 0
    shared: int = 0
    merged: bool = False
    shared_name: str = "shared_expert"

    @property
    def blocks(self) -> dict[str, int]:
        """Name of each block that has tensors of its own, to its width."""
        result = {f"{self.layer}mlp": self.mlp, f"{self.layer}mlp.{self.shared_name}": self.shared}
        if self.expert and not self.merged:
            result |= {f"{self.layer}mlp.experts.{n}": self.expert for n in range(EXPERTS)}
        return {name: width for name, width in result.items() if width}

    def tensors(self) -> dict[str, Tensor]:
        """All that is stored of the draft layers."""
        made = torch.Generator().manual_seed(0)
        shapes = dict(self.beside)
        for name, width in self.blocks.items():
            shapes |= {f"{name}.{part}_proj.weight": (width, HIDDEN) for part in ("gate", "up")}
            shapes[f"{name}.down_proj.weight"] = (HIDDEN, width)
        if self.merged:
            shapes[f"{self.layer}mlp.experts.gate_up_proj"] = (EXPERTS, 2 * self.expert, HIDDEN)
            shapes[f"{self.layer}mlp.experts.down_proj"] = (EXPERTS, HIDDEN, self.expert)
        return {name: torch.randn(shape, generator=made) for name, shape in shapes.items()}


_FC = {"mtp.fc.weight": (HIDDEN, 2 * HIDDEN), "mtp.norm.weight": (HIDDEN,)}
_FC |= {f"mtp.pre_fc_norm_{each}.weight": (HIDDEN,) for each in ("embedding", "hidden")}
_FC |= {"mtp.layers.0.self_attn.o_proj.weight": (HIDDEN, 4 * HEADS)}
_ROUTER = {"mtp.layers.0.mlp.gate.weight": (EXPERTS, HIDDEN)}
_ROUTER |= {"mtp.layers.0.mlp.shared_expert_gate.weight": (1, HIDDEN)}
_MIMO = {f"model.mtp_layers.0.{name}.weight": (HIDDEN,) for name in ("token_layernorm", "norm")}
_MIMO |= {"model.mtp_layers.0.input_proj.weight": (HIDDEN, 2 * HIDDEN)}
_LAST = f"model.layers.{LAYERS}."
_DEEPSEEK = {f"{_LAST}eh_proj.weight": (HIDDEN, 2 * HIDDEN), f"{_LAST}enorm.weight": (HIDDEN,)}
_DEEPSEEK |= {f"{_LAST}shared_head.head.weight": (128, HIDDEN)}
_DEEPSEEK |= {f"{_LAST}embed_tokens.weight": (128, HIDDEN)}
_DEEPSEEK |= {f"{_LAST}mlp.gate.weight": (EXPERTS, HIDDEN)}
_DEEPSEEK |= {f"{_LAST}mlp.gate.e_score_correction_bias": (EXPERTS,)}
_MTP, _NEXTN = "mtp_num_hidden_layers", "num_nextn_predict_layers"

_EXPERTS = Draft(
    family="qwen3_next",
    key=_MTP,
    layer="mtp.layers.0.",
    beside={**_FC, **_ROUTER},
    expert=24,
    shared=40,
)
_AFTER_THE_LAST = Draft(
    family="deepseek_v3",
    key=_NEXTN,
    layer=_LAST,
    beside=_DEEPSEEK,
    expert=24,
    shared=48,
    shared_name="shared_experts",
)
DRAFTS = {
    each.family: each
    for each in (
        Draft(family="qwen3_5", key=_MTP, layer="mtp.layers.0.", beside=_FC, mlp=56),
        Draft(family="exaone4_5", key=_NEXTN, layer="mtp.layers.0.", beside=_FC, mlp=56),
        Draft(family="qwen2", key=_NEXTN, layer="model.mtp_layers.0.", beside=_MIMO, mlp=56),
        replace(_EXPERTS, family="qwen3_5_moe", merged=True),
        _EXPERTS,
        _AFTER_THE_LAST,
        replace(_AFTER_THE_LAST, family="glm4_moe"),
    )
}


def save(
    draft: Draft, folder: Path, more: Tensors | None = None, **changes: Any
) -> dict[str, Tensor]:
    """A tiny model of a family with its draft layers in a folder; the tensors of these."""
    tiny_model(draft.family, **changes).save_pretrained(folder)
    file, tensors = folder / "model.safetensors", {**draft.tensors(), **(more or {})}
    save_file({**load_file(file), **tensors}, file, {"format": "pt"})
    config = json.loads((folder / "config.json").read_text())
    config.get("text_config", config)[draft.key] = 1
    (folder / "config.json").write_text(json.dumps(config))
    return tensors


def stored(folder: Path) -> dict[str, Tensor]:
    """All tensors of a checkpoint, of however many files."""
    files = folder.glob("*.safetensors")
    return {name: tensor for file in files for name, tensor in load_file(file).items()}


def parts(draft: Draft, tensors: Tensors) -> dict[str, tuple[Tensor, Tensor, Tensor]]:
    """Gate, up and down of every block of the draft layers."""
    ends = ("gate_proj.weight", "up_proj.weight", "down_proj.weight")
    found = {n: tuple(tensors[f"{n}.{end}"] for end in ends) for n in draft.blocks}
    if draft.merged:
        both, down = (tensors[f"{draft.layer}mlp.experts.{n}_proj"] for n in ("gate_up", "down"))
        pairs = zip(both, down, strict=True)
        found |= {f"expert {n}": (*pair[0].chunk(2), pair[1]) for n, pair in enumerate(pairs)}
    return found  # type: ignore[return-value]


def output(block: Sequence[Tensor], given: Tensor) -> Tensor:
    """What a block makes of hidden states: `down(silu(gate(x)) * up(x))`."""
    gate, up, down = (each.double() for each in block)
    return (silu(given @ gate.T) * (given @ up.T)) @ down.T
