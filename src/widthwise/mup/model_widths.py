"""Configs of transformers at other widths: a whole model's, and small networks of its kind."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from ..arch import is_width_key
from ..errors import LimitError
from .scaling import AskedRole

if TYPE_CHECKING:
    from transformers import PretrainedConfig

BASE, HEAD = 32, 8  # of small networks
_HEADS = (
    *("num_attention_heads", "swa_num_attention_heads", "n_head", "num_heads", "n_heads"),
    *("decoder_attention_heads", "encoder_attention_heads", "attention_heads"),
)
_GROUPS = ("num_key_value_heads", "swa_num_key_value_heads", "num_kv_heads")
_HEAD_SIZES = (
    *("head_dim", "qk_nope_head_dim", "qk_rope_head_dim", "v_head_dim", "kv_channels"),
    *("attention_head_dim", "attention_head_size", "d_head", "dim_head", "rotary_dim"),
    *("qk_head_dim", "swa_head_dim"),
)
_LAYERS = (
    *("num_hidden_layers", "n_layer", "n_layers", "num_layers"),
    *("decoder_layers", "encoder_layers", "num_decoder_layers"),
)
_STREAM = ("size", "dim", "width", "embd", "d_model")  # in names of what has the stream's size
_MOST = {  # of numbers that say nothing of the width, in small networks
    **dict.fromkeys(("num_experts", "num_local_experts", "n_routed_experts"), 4),
    **dict.fromkeys(("num_experts_per_tok", "num_experts_per_token", "moe_topk", "moe_k"), 2),
    **dict.fromkeys(("n_group", "topk_group", "first_k_dense_replace", "num_expert_group"), 1),
    **dict.fromkeys(("q_lora_rank", "kv_lora_rank", "hidden_size_per_layer_input"), 16),
    "moe_num_experts": 4,
    "num_kv_shared_layers": 0,
}


def hidden_size_of(config: PretrainedConfig) -> int:
    """Size of the stream.

    Raises:
        LimitError: The config states none.
    """
    size = getattr(config, "hidden_size", None)
    if not _is_size(size):
        raise LimitError(f"{type(config).__name__} states no hidden_size")
    return int(size)  # type: ignore[arg-type]


def config_at(
    config: PretrainedConfig, hidden_size: int, stated: Mapping[str, int] | None = None
) -> PretrainedConfig:
    """The config of the same model with another hidden size, and MLPs and heads in proportion.

    There are more or fewer heads of the same size; where their number cannot be in proportion,
    their size is.

    Args:
        config: Config of a language model.
        hidden_size: Size of its stream.
        stated: Settings that are to be these instead.

    Raises:
        LimitError: A size would not be a whole number, heads could not share those of keys and
            values, or the class refuses the config.

    Example:
        >>> from transformers import LlamaConfig
        >>> narrow = config_at(LlamaConfig(hidden_size=64, intermediate_size=160), 32)
        >>> narrow.intermediate_size, narrow.num_attention_heads
        (80, 16)
    """
    settings, given = config.to_dict(), _own_names(config, stated or {})
    ratio = Fraction(hidden_size, hidden_size_of(config))
    changes = {key: hidden_size for key in _stream_keys(config, settings)}
    for key in filter(is_width_key, settings):
        if _is_size(settings[key]) and key not in given and key not in changes:
            changes[key] = _whole(key, settings[key] * ratio)
    changes |= {key: size for key, size in _heads_at(settings, ratio).items() if key not in given}
    changes |= _shortened(settings, given)
    made = {**settings, **changes, **given}
    _check_heads(settings, made)
    return _rebuilt(config, made)


def different_settings(
    config: PretrainedConfig, other: PretrainedConfig
) -> dict[str, tuple[int, int]]:
    """The numbers that two configs of a class have and that differ, of both."""
    here, there = config.to_dict(), other.to_dict()
    return {
        key: (value, there[key])
        for key, value in here.items()
        if _is_size(value) and _is_size(there.get(key)) and there[key] != value
    }


@dataclass(frozen=True, kw_only=True)
class NetworkFamily:
    """Small networks of a model's kind, one for each width, for checks of parametrizations.

    They have its blocks, with MLPs in about its proportion, heads of 8, few experts, and nothing
    that is random.

    Attributes:
        config: Config of a language model.
        layers: Number of layers, at least; there are more where one of each kind takes more.
        vocabulary: Number of different tokens.
        stated: Settings that are to be these instead.
        roles: See `parametrize`.
        base: Width at which muP is the standard parametrization.
        base_layers: Number of layers at which it is; None for `layers`.
    """

    config: PretrainedConfig
    layers: int = 2
    vocabulary: int = 64
    stated: Mapping[str, int] = field(default_factory=dict)
    roles: Mapping[str, AskedRole] = field(default_factory=dict)
    base: int = BASE
    base_layers: int | None = None

    def deep(self, layers: int) -> NetworkFamily:
        """The same with another number of layers, and those of the base."""
        return replace(self, layers=layers, base_layers=self.base_layers or self.layers)

    @property
    def bases(self) -> tuple[PretrainedConfig, PretrainedConfig]:
        """The config of the base, and that of twice its width."""
        family = replace(self, layers=self.base_layers or self.layers)
        return family.at(self.base), family.at(2 * self.base)

    def at(self, width: int) -> PretrainedConfig:
        """The config with a hidden size.

        Raises:
            LimitError: The width is no multiple of 16, or the class refuses the config.
        """
        if width < 2 * HEAD or width % (2 * HEAD):
            raise LimitError(f"a width must be a multiple of {2 * HEAD}; got {width}")
        settings = self.config.to_dict()
        changes = dict(self._smaller(settings, width))
        changes |= {key: width for key in _stream_keys(self.config, settings)}
        changes |= {"use_cache": False, **_own_names(self.config, self.stated)}
        return _rebuilt(self.config, {**settings, **changes})

    def _depth(self, settings: Mapping[str, Any]) -> int:
        """Number of layers: as many as have one of each kind at least."""
        kinds = settings.get("layer_types") or ()
        return max([self.layers, *(kinds.index(kind) + 1 for kind in set(kinds))])

    def _smaller(self, settings: Mapping[str, Any], width: int) -> Iterator[tuple[str, Any]]:
        """The settings that are others."""
        layers = next((settings[key] for key in _LAYERS if key in settings), None)
        depth = self._depth(settings)
        for key, value in settings.items():
            if "dropout" in key or key.endswith("pdrop"):
                yield key, 0.0
            elif key in ("rope_parameters", "rope_scaling") and value:
                yield key, _plain_rope(value)
            elif isinstance(value, list) and len(value) == layers:
                yield key, value[:depth]
            elif key == "per_layer_config" and value:
                yield key, {n: part for n, part in value.items() if int(n) < depth}
            elif key.endswith("token_id") and value is not None:
                yield key, value if isinstance(value, int) and value < self.vocabulary else 0
            elif key in _LAYERS:
                yield key, depth
            elif _is_size(value):
                yield key, self._size(key, value, settings, width)

    def _size(self, key: str, value: int, settings: Mapping[str, Any], width: int) -> int:
        if is_width_key(key):
            return max(1, round(Fraction(4 * value, hidden_size_of(self.config)))) * width // 4
        if key in _HEADS:
            return width // HEAD
        if key in _GROUPS:
            return self._groups(key, value, settings, width // HEAD)
        if key in _HEAD_SIZES:
            is_sum = key in ("qk_head_dim", "swa_head_dim") and "qk_rope_head_dim" in settings
            return 2 * HEAD if is_sum else HEAD
        if key.startswith("vocab_size"):
            return self.vocabulary
        return min(value, _MOST.get(key, value))

    def _groups(self, key: str, value: int, settings: Mapping[str, Any], heads: int) -> int:
        """Heads of keys and values: one, as many as there are heads, or half of them."""
        own = _HEADS[_GROUPS.index(key)] if key.startswith("swa") else "num_attention_heads"
        if value == 1:
            return 1
        return heads if value >= settings.get(own, value) else heads // 2


def _stream_keys(config: PretrainedConfig, settings: Mapping[str, Any]) -> list[str]:
    """The hidden size, and others that state the size of the stream."""
    size, own = hidden_size_of(config), _own(config, "hidden_size")
    others = [
        key
        for key, value in settings.items()
        if value == size and any(word in key for word in _STREAM) and not is_width_key(key)
    ]
    return list(dict.fromkeys([own, *others]))


def _heads_at(settings: Mapping[str, Any], ratio: Fraction) -> dict[str, int]:
    """Numbers of heads in proportion, or else their sizes."""
    numbers = {key: settings[key] for key in (*_HEADS, *_GROUPS) if _is_size(settings.get(key))}
    if all((size * ratio).denominator == 1 for size in numbers.values()):
        return {key: int(size * ratio) for key, size in numbers.items()}
    sizes = {key: settings[key] for key in _HEAD_SIZES if _is_size(settings.get(key))}
    return {key: _whole(key, size * ratio) for key, size in sizes.items()}


def _check_heads(settings: Mapping[str, Any], made: Mapping[str, Any]) -> None:
    """Raise LimitError where heads no longer are a multiple of those of keys and values."""
    for key in _GROUPS:
        alike = [of for of in _HEADS if of.startswith("swa") == key.startswith("swa")]
        of = next((of for of in alike if _is_size(made.get(of)) and _is_size(made.get(key))), None)
        if of is not None and made[of] % made[key] and not settings[of] % settings[key]:
            raise LimitError(
                f"{of}, {made[of]}, must be a multiple of {key}, {made[key]}: state both"
            )


def head_notes(base: PretrainedConfig, model: PretrainedConfig) -> list[str]:
    """What follows where heads grow in size, or those of keys and values do not grow at all."""
    notes = []
    there, here = _head_of(base), _head_of(model)
    if there != here:
        notes.append(
            f"Heads have {there} numbers at the base and {here} here, so that logits of attention "
            "are scaled by 1/d; state other num_attention_heads of the base to let their number "
            "grow instead."
        )
    changed = different_settings(base, model)
    for key in _GROUPS:
        shared = getattr(model, key, None)
        if any(head in changed for head in _HEADS) and key not in changed and _is_size(shared):
            notes.append(
                f"{key} stays at {shared}, so that projections of keys and values have the role "
                "output: Muon leaves them to AdamW, and they come near their limit slowly."
            )
    return notes


def _head_of(config: PretrainedConfig) -> int | None:
    size = getattr(config, "head_dim", None)
    heads = next((getattr(config, key) for key in _HEADS if hasattr(config, key)), None)
    if _is_size(size) or not _is_size(heads):
        return size
    return hidden_size_of(config) // int(heads)  # type: ignore[arg-type]


def _shortened(settings: Mapping[str, Any], given: Mapping[str, int]) -> dict[str, Any]:
    """Lists with an entry a layer, where another number of layers is stated."""
    layers = next((given[key] for key in _LAYERS if key in given), None)
    whole = next((settings[key] for key in _LAYERS if key in settings), None)
    lists = {k: v for k, v in settings.items() if isinstance(v, list) and len(v) == whole}
    return {} if layers is None else {key: value[:layers] for key, value in lists.items()}


def _is_size(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0


def _whole(key: str, size: Fraction) -> int:
    if size.denominator != 1 or size < 1:
        raise LimitError(f"{key} would be {float(size):g} in proportion: state it, {key}=N")
    return int(size)


def _own(config: PretrainedConfig, key: str) -> str:
    """The name that a config class itself has for a setting."""
    return str(config.attribute_map.get(key, key))


def _own_names(config: PretrainedConfig, stated: Mapping[str, int]) -> dict[str, int]:
    """Stated settings under the class's names.

    Raises:
        LimitError: The config has no such setting.
    """
    for key in stated:
        if not hasattr(config, key):
            raise LimitError(f"{type(config).__name__} has no setting {key}")
    return {_own(config, key): value for key, value in stated.items()}


def _plain_rope(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Rotations without the scales that are for long texts; of each kind of layer, if by kinds."""
    if "rope_type" not in settings and "type" not in settings:
        return {k: _plain_rope(v) if isinstance(v, Mapping) else v for k, v in settings.items()}
    scaled = ("rope_type", "type", "factor", "short_factor", "long_factor")
    kept = {key: value for key, value in settings.items() if key not in scaled}
    return {**kept, "rope_type": "default"}


def _rebuilt(config: PretrainedConfig, settings: dict[str, Any]) -> PretrainedConfig:
    try:
        return type(config).from_dict(settings)
    except Exception as error:  # classes check their settings with errors of many kinds
        cause = " ".join(str(error).split())
        name = type(config).__name__
        raise LimitError(f"{name} refuses these sizes: {cause[:300]}") from error
