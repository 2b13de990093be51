"""What families call the tensors of a GLU block and its width; adding a family is a line here.

A tensor goes by its role: "mlp.gate_proj", "mlp.up_proj", "mlp.down_proj", or "mlp.gate_up_proj"
where one tensor holds gate and up. What the layers of a family call so is in `_ROLES`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

# Name of a block within its layer, and the names of its matrices: gate, up, down, or gate and up
# in one, down. In which order one tensor holds gate and up does not matter to a cut, as it keeps
# the same neurons of both.
_BLOCKS = (
    # lfm2, falcon_h1, bamba, jamba; recurrent_gemma
    ("feed_forward", ("gate_proj", "up_proj", "down_proj")),
    ("mlp_block", ("gate_proj", "up_proj", "down_proj")),
    ("feed_forward", ("w1", "w3", "w2")),
    ("mlp", ("c_fc_0", "c_fc_1", "c_proj")),  # exaone 3
    ("mlp", ("fc12", "fc11", "fc2")),  # nomic_bert as the hub stores it: up stands first
    ("mlp", ("up_gate_proj", "down_proj")),  # gte as the hub stores it: up above gate
    ("mlp", ("Wi", "Wo")),  # modernbert
    ("shared_mlp", ("input_linear", "output_linear")),  # granitemoehybrid
)
_GATED = ("mlp.gate_proj", "mlp.up_proj", "mlp.down_proj")
_FUSED = ("mlp.gate_up_proj", "mlp.down_proj")
_ROLES = {
    f"{block}.{name}": role
    for block, names in _BLOCKS
    for name, role in zip(names, _GATED if len(names) == 3 else _FUSED, strict=True)
}
_NAMES = frozenset({"mlp", *(block for block, _ in _BLOCKS)})
_TENSOR = re.compile(r"(?P<matrix>.+)\.(?P<kind>weight|bias)$")


def role_of(rest: str) -> str:
    """Name of a tensor within its layer by its role in a GLU block; another tensor keeps its name.

    >>> role_of("feed_forward.w1.weight"), role_of("self_attn.q_proj.weight")
    ('mlp.gate_proj.weight', 'self_attn.q_proj.weight')
    """
    match = _TENSOR.match(rest)
    if match is None or match["matrix"] not in _ROLES:
        return rest
    return f"{_ROLES[match['matrix']]}.{match['kind']}"


def in_block(name: str) -> bool:
    """Whether a tensor's name is that of one within a block.

    >>> in_block("model.layers.0.mlp.up_proj.weight"), in_block("model.norm.weight")
    (True, False)
    """
    return not _NAMES.isdisjoint(name.split("."))


# Settings that state the width; all but the first mostly in configs of custom code.
WIDTH_KEYS = (
    *("intermediate_size", "ffn_hidden_size", "ffn_dim", "ffn_size", "n_inner", "inner_size"),
    *("d_ff", "ffn_intermediate_size", "feed_forward_size", "mlp_hidden_size", "mlp_dim"),
    "d_inner_mlp",
)


@dataclass(frozen=True, kw_only=True)
class Family:
    """How a family states its width, and what its blocks have beside gate, up and down.

    Attributes:
        width_keys: Settings of the language model that state the width, the usual one first.
        factor: What they state, divided by the width.
        adjusted_by: A switch by which the class computes the width from what is stated; a cut turns
            it off and states the width itself.
        has_gate: False where a block is `down(act(up(x)))`.
        beside: Begin of the names of tensors in the block that do not depend on the width.
    """

    width_keys: tuple[str, ...] = WIDTH_KEYS
    factor: int = 1
    adjusted_by: str | None = None
    has_gate: bool = True
    beside: str | None = None


_USUAL = Family()
_FAMILIES = {
    "lfm2": Family(
        width_keys=("intermediate_size", "block_ff_dim"), adjusted_by="block_auto_adjust_ff_dim"
    ),
    "recurrent_gemma": Family(factor=2),
    "granitemoehybrid": Family(width_keys=("shared_intermediate_size",)),
    "arcee": Family(has_gate=False),
    "nemotron": Family(has_gate=False),
    "jais2": Family(has_gate=False),
    "apertus": Family(has_gate=False, beside="mlp.act_fn."),
}


def family_of(model_type: object) -> Family:
    """How a family states its width; the usual way for a family that is not listed."""
    return _FAMILIES.get(str(model_type), _USUAL)
