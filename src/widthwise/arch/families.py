"""What families call the tensors of a block and the settings of its width.

Code goes by roles: "mlp.gate_proj.weight" is the gate of a layer's block, whatever a family calls
it, "experts.3.down_proj.weight" that of an expert, "experts.up_proj.weight" of all experts in one
tensor, and "shared" stands for the expert that every token passes. `gate_up_proj` is gate and up in
one tensor. A family with other words is a line here.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from ..errors import UnsupportedModelError

# What a block is called within its layer, what its matrices are called, and the part they are.
_BLOCK = r"(?:mlp|feed_forward|mlp_block|block_sparse_moe|mixer|layer\.\d\.DenseReluDense)"
_PARTS = {
    "gate_proj": "gate_proj",
    "up_proj": "up_proj",
    "gate_up_proj": "gate_up_proj",
    "down_proj": "down_proj",
    # lfm2, mixtral
    "w1": "gate_proj",
    "w3": "up_proj",
    "w2": "down_proj",
    # exaone 3
    "c_fc_0": "gate_proj",
    "c_fc_1": "up_proj",
    "c_proj": "down_proj",
    # starcoder2, phi, nanochat: blocks without a gate
    "c_fc": "up_proj",
    "fc1": "up_proj",
    # nomic_bert, as it is stored
    "fc12": "gate_proj",
    "fc11": "up_proj",
    "fc2": "down_proj",
    # gte, as it is stored
    "up_gate_proj": "gate_up_proj",
    # modernbert
    "Wi": "gate_up_proj",
    "Wo": "down_proj",
    # t5; without a gate its up is called wi
    "wi_0": "gate_proj",
    "wi_1": "up_proj",
    "wi": "up_proj",
    "wo": "down_proj",
    # granitemoe, jetmoe
    "input_linear": "gate_up_proj",
    "output_linear": "down_proj",
}
_PART = "(?P<part>" + "|".join(_PARTS) + ")"
_SHARED = r"(?:shared_experts?|shared_mlp)"
_ROLES = {
    "mlp": re.compile(rf"{_BLOCK}\.{_PART}\.(?P<kind>weight|bias)"),
    "shared": re.compile(rf"(?:{_BLOCK}\.)?{_SHARED}\.{_PART}\.(?P<kind>weight|bias)"),
    "experts": re.compile(
        rf"(?:{_BLOCK}\.)?experts\.(?P<expert>\d+\.)?{_PART}(?P<kind>\.weight|\.bias|_bias|)"
    ),
}
_STACKED_LINEAR = re.compile(
    r"(?:block_sparse_moe|mlp)\.(?P<part>input_linear|output_linear)\.weight"
)
_NAMES = frozenset(
    {"mlp", "feed_forward", "mlp_block", "block_sparse_moe", "shared_mlp", "DenseReluDense"}
)


def role_of(rest: str, axes: int = 2) -> str:
    """Name of a tensor within its layer by its role in a block; another tensor keeps its name.

    Args:
        rest: The name within the layer.
        axes: Number of axes of the tensor: matrices of all experts have three.

    >>> role_of("feed_forward.w1.weight"), role_of("self_attn.q_proj.weight")
    ('mlp.gate_proj.weight', 'self_attn.q_proj.weight')
    >>> role_of("mlp.experts.gate_up_proj", 3), role_of("block_sparse_moe.experts.7.w2.weight")
    ('experts.gate_up_proj.weight', 'experts.7.down_proj.weight')
    """
    if axes == 3 and (match := _STACKED_LINEAR.fullmatch(rest)):
        return f"experts.{_PARTS[match['part']]}.weight"
    for kind, pattern in _ROLES.items():
        if match := pattern.fullmatch(rest):
            which = "bias" if match["kind"].endswith("bias") else "weight"
            expert = match.groupdict().get("expert") or ""
            return f"{kind}.{expert}{_PARTS[match['part']]}.{which}"
    return rest


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
# The same in mixtures of experts, by the kind of group; the first that states the stored width.
MIXTURE_KEYS = {
    "experts": ("moe_intermediate_size", "intermediate_size"),
    "shared": (
        *("shared_expert_intermediate_size", "moe_shared_expert_intermediate_size"),
        *("shared_intermediate_size", "moe_intermediate_size", "intermediate_size"),
    ),
    "mlp": ("intermediate_size_mlp", "dense_intermediate_size", "intermediate_size"),
}
ALL_MIXTURE_KEYS = frozenset(key for keys in MIXTURE_KEYS.values() for key in keys)
LATENT_KEY = "moe_latent_size"  # size of what routed experts read and write, if not the hidden size


def is_width_key(key: str) -> bool:
    """Whether a setting of a config states the width of an MLP, of experts or not.

    >>> is_width_key("intermediate_size"), is_width_key("hidden_size")
    (True, False)
    """
    return (
        key in WIDTH_KEYS
        or key in ALL_MIXTURE_KEYS
        or key.endswith(("intermediate_size", "ffn_hidden_size", "ffn_dim"))
    )


@dataclass(frozen=True, kw_only=True)
class ModelFamily:
    """How a family states its width, and how its blocks differ from the usual ones.

    Attributes:
        width_keys: Settings of the language model that state the width, the usual one first.
        factor: What they state, divided by the width.
        adjusted_by: A switch by which the class computes the width from what is stated; a cut turns
            it off and states the width itself.
        has_gate: False where a block is `down(act(up(x)))`.
        gated_by: A setting whose value begins with "gated" where blocks have a gate.
        stacks: Where it has several stacks of layers, a word in the name of each, in the order in
            which a text runs through them, and the setting that states its number of layers.
        twins: Sections of the config that state the sizes of the language model as well.
        beside: Begin of the names of tensors in the block that do not depend on the width.
        interleaved: True where tensors of all experts hold gate and up neuron by neuron.
        doubled_by: A switch by which blocks of some layers are twice as wide as is stated.
        in_every_layer: False where a layer may be attention or a state space model alone.
        up_first: True where a tensor of both holds up above gate.
        renamed: True where transformers has a block in other tensors than the files.
    """

    width_keys: tuple[str, ...] = WIDTH_KEYS
    factor: int = 1
    adjusted_by: str | None = None
    has_gate: bool = True
    gated_by: str | None = None
    stacks: tuple[tuple[str, str], ...] = ()
    twins: tuple[str, ...] = ()
    beside: str | None = None
    interleaved: bool = False
    doubled_by: str | None = None
    in_every_layer: bool = True
    up_first: bool = False
    renamed: bool = False


_USUAL = ModelFamily()
_T5 = ModelFamily(
    width_keys=("d_ff",),
    gated_by="feed_forward_proj",
    stacks=(("encoder", "num_layers"), ("decoder", "num_decoder_layers")),
)
_FAMILIES = {
    "lfm2": ModelFamily(
        width_keys=("intermediate_size", "block_ff_dim"), adjusted_by="block_auto_adjust_ff_dim"
    ),
    "recurrent_gemma": ModelFamily(factor=2),
    "granitemoehybrid": ModelFamily(width_keys=("shared_intermediate_size",)),
    "arcee": ModelFamily(has_gate=False),
    "nemotron": ModelFamily(has_gate=False),
    "jais2": ModelFamily(has_gate=False),
    "apertus": ModelFamily(has_gate=False, beside="mlp.act_fn."),
    "starcoder2": ModelFamily(has_gate=False),
    "phi": ModelFamily(has_gate=False),
    "nanochat": ModelFamily(has_gate=False),
    "jina_embeddings_v3": ModelFamily(has_gate=False),
    **dict.fromkeys(
        ("gemma4_text", "gemma4_unified_text"), ModelFamily(doubled_by="use_double_wide_mlp")
    ),
    "nemotron_h": ModelFamily(has_gate=False, in_every_layer=False),
    "gpt_oss": ModelFamily(interleaved=True),
    "gte": ModelFamily(up_first=True, renamed=True),
    "nomic_bert": ModelFamily(renamed=True),
    "t5": _T5,
    "mt5": _T5,
    "umt5": _T5,
    "longt5": _T5,
    "t5_gemma_module": ModelFamily(
        stacks=(("encoder", "encoder.num_hidden_layers"), ("decoder", "num_hidden_layers")),
        twins=("encoder",),
    ),
}


def family_of(model_type: object) -> ModelFamily:
    """How a family states its width; the usual way for a family that is not listed."""
    return _FAMILIES.get(str(model_type), _USUAL)


_SHARED_BLOCK = "one block is used by several layers, so that no layer has neurons of its own"
_NO_SETTING = "its class computes the width from mlp_ratio, so that no config can state a cut width"
_REFUSED = {
    "zamba": _SHARED_BLOCK,
    "zamba2": _SHARED_BLOCK,
    "bitnet": "a norm over all neurons of a block (ffn_sub_norm) stands before down, so that each "
    "neuron that goes changes what all others of its block give",
    "dbrx": "all experts of a layer are rows of one matrix, which widthwise does not take apart",
    "dinov2": _NO_SETTING,
    "dinov2_with_registers": _NO_SETTING,
}


def refuse_family(model_type: object) -> None:
    """Raise UnsupportedModelError for a family whose blocks cannot be cut; says why.

    >>> refuse_family("llama")
    """
    if reason := _REFUSED.get(str(model_type)):
        raise UnsupportedModelError(
            f"{model_type} cannot be cut: {reason}; choose a model of another family"
        )
