"""Settings of a network in a GGUF file that transformers' reader drops.

Each key below the architecture's name is taken up, is known to change no number here, or is
refused; so is each tensor.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import numpy as np

from ..errors import UnsupportedModelError
from .gguf_file import TABLE_NAMES, architecture_of
from .gguf_rope import FREQUENCIES, LONG, SHORT, Rotation, rotation_of

_SAME_AS = {  # key to the setting of a config, of those that have it
    "attention.key_length": "head_dim",
    "attention.layer_norm_epsilon": "norm_eps",
    "attention.scale": "attention_multiplier",
    "attention.sliding_window": "sliding_window",
    "attn_logit_softcapping": "attn_logit_softcapping",
    "embedding_scale": "embedding_multiplier",
    "expert_feed_forward_length": "moe_intermediate_size",
    "expert_shared_feed_forward_length": "shared_expert_intermediate_size",
    "final_logit_softcapping": "final_logit_softcapping",
    "residual_scale": "residual_multiplier",
}
# Values that change nothing where no setting takes them.
_NEUTRAL: Mapping[str, tuple[Any, ...]] = {
    "attention.causal": (True,),
    "attention.clamp_kqv": (0.0,),
    "attention.max_alibi_bias": (0.0,),
    "attention.scale": (0.0,),
    "attn_logit_softcapping": (0.0,),
    "embedding_scale": (0.0, 1.0),
    "expert_count": (0,),
    "expert_used_count": (0,),
    "final_logit_softcapping": (0.0,),
    "leading_dense_block_count": (0,),
    "logit_scale": (0.0, 1.0),
    "nextn_predict_layers": (0,),
    "residual_scale": (0.0, 1.0),
    "rope.dimension_sections": ([0, 0, 0, 0],),
}
_HARMLESS = ("context_length", "rope.scaling.finetuned", "tensor_data_layout", "vocab_size")
_BY_TENSORS = ("use_parallel_residual",)
_CHECKED = ("attention.value_length", "rope.dimension_count", "attention.sliding_window_pattern")
# Architectures that transformers reads by rules of its own, and that have no GLU-MLP to cut or
# other layers beside it: their keys are left to it.
_LEFT = tuple(
    "bloom falcon gpt2 gpt-oss lfm2 mamba minimax-m2 qwen35 qwen35moe "
    "starcoder2 t5 t5encoder umt5".split()
)
_SCALE_BY_WIDTH = {"gemma2": 46, "gemma3": 62}  # layers of those scaled by hidden size over heads
_UNUSED = ("rope_freqs.weight", "attn_rot_embd.weight", "attn_rot_embd")


class GgufSettings:
    """The settings and tensors of a file.

    Args:
        reader: gguf's `GGUFReader` of the file.
    """

    def __init__(self, reader: Any) -> None:
        self.architecture = architecture_of(reader)
        start = f"{self.architecture}."
        self.keys = {
            name.removeprefix(start): field.contents()
            for name, field in reader.fields.items()
            if name.startswith(start)
        }
        self.tensors = tuple(tensor.name for tensor in reader.tensors)
        self.ends = _ends(reader)
        self._factors = {
            tensor.name: np.asarray(tensor.data, dtype=np.float64).reshape(-1)
            for tensor in reader.tensors
            if tensor.name in (FREQUENCIES, LONG, SHORT)
        }

    @property
    def is_left(self) -> bool:
        """Whether its architecture is left to transformers' reader."""
        return self.architecture in _LEFT

    def complete(self, config: Any) -> tuple[Rotation, int] | None:
        """Put what transformers' reader drops into its config.

        Returns:
            How positions are turned, and how many numbers of a head; None of an architecture that
            is left to transformers.

        Raises:
            UnsupportedModelError: A key says what the config cannot, by its name.
        """
        if self.is_left:
            return None
        for name in self._dropped():
            self._take_up(config, name, self.keys[name])
        self._set_biases(config)
        if _SCALE_BY_WIDTH.get(self.architecture) == config.num_hidden_layers:
            config.query_pre_attn_scalar = _head_size(config)
        self._check_layers(config)
        head = getattr(config, "head_dim", None) or _head_size(config)
        if self.keys.get("attention.value_length", head) != head:
            raise UnsupportedModelError(f"values of another length than keys, {head}")
        turned = int(self.keys.get("rope.dimension_count", head))
        if turned != head:
            parameters = dict(config.rope_parameters or {})
            config.rope_parameters = {**parameters, "partial_rotary_factor": turned / head}
        rotation = rotation_of(self.keys, self._factors, turned)
        rotation.write(config)
        return rotation, turned

    def check_tensors(self, known: Collection[str], model_class: str) -> None:
        """See that no tensor of the file was passed over.

        Args:
            known: Names of tensors that the model takes.
            model_class: Name of its class.

        Raises:
            UnsupportedModelError: One was, by its name.
        """
        if self.is_left:
            return
        used = (*_UNUSED, LONG, SHORT)
        passed = [name for name in self.tensors if name not in known and not name.endswith(used)]
        if passed:
            more = f", and {len(passed) - 1} others" if len(passed) > 1 else ""
            raise UnsupportedModelError(
                f"the tensor {passed[0]}{more}, for which {model_class} has no place"
            )

    def _dropped(self) -> list[str]:
        """Keys that transformers' reader does not take up, without those of the rotation."""
        from transformers.modeling_gguf_pytorch_utils import GGUF_TO_TRANSFORMERS_MAPPING

        tables: Any = GGUF_TO_TRANSFORMERS_MAPPING["config"]
        table = tables.get(TABLE_NAMES.get(self.architecture, self.architecture), {})
        known_settings = {name for name, setting in table.items() if setting is not None}
        rotation = [name for name in self.keys if name.startswith(("rope.freq", "rope.scal"))]
        return sorted(
            set(self.keys) - known_settings - {*_HARMLESS, *_BY_TENSORS, *_CHECKED, *rotation}
        )

    def _take_up(self, config: Any, name: str, value: Any) -> None:
        setting = _SAME_AS.get(name)
        if setting is not None and hasattr(config, setting):
            setattr(config, setting, value)
        elif name == "attention.key_length" and value == _head_size(config):
            return
        elif name == "attention.sliding_window" and value >= self.keys.get("context_length", 0):
            return  # no text is longer
        elif value not in _NEUTRAL.get(name, ()):
            raise UnsupportedModelError(
                f"the key {self.architecture}.{name} ({value}), which {type(config).__name__} "
                "cannot state, so that its numbers would be others"
            )

    def _set_biases(self, config: Any) -> None:
        """Have biases where the file has them."""
        for setting, part in (("attention_bias", "attn_q.bias"), ("mlp_bias", "ffn_up.bias")):
            if isinstance(getattr(config, setting, None), bool):
                setattr(config, setting, any(name.endswith(part) for name in self.tensors))

    def _check_layers(self, config: Any) -> None:
        pattern = self.keys.get("attention.sliding_window_pattern")
        if pattern is None:
            return
        kinds = config.to_dict().get("layer_types") or ()
        if not isinstance(pattern, list):
            pattern = [(layer + 1) % pattern for layer in range(len(kinds))]
        if [kind != "full_attention" for kind in kinds] != list(map(bool, pattern)):
            raise UnsupportedModelError(
                f"sliding windows in other layers than {type(config).__name__} has them"
            )


def _head_size(config: Any) -> int:
    return int(config.hidden_size // config.num_attention_heads)


def _ends(reader: Any) -> tuple[int, ...]:
    """Tokens that end a text or a turn."""
    fields = (reader.get_field(f"tokenizer.ggml.{name}_token_id") for name in ("eos", "eot", "eom"))
    return tuple(dict.fromkeys(int(field.contents()) for field in fields if field is not None))
