"""File types of GGUF (`q4_k_m` ...), and the type that llama.cpp gives each tensor of one.

The rule is that of llama.cpp's quantizer (`llama_tensor_get_type_impl` and
`tensor_allows_quantization` in src/llama-quant.cpp, October 2026), for the file types below.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from .layout import Entry, keys_of
from .llama_cpp import LAYERS_70B
from .quantize import block_size, written_kind

# Name: that of the file type in gguf, and the type of most of its tensors.
FILE_TYPES = {
    "f32": ("ALL_F32", "F32"),
    "f16": ("MOSTLY_F16", "F16"),
    "bf16": ("MOSTLY_BF16", "BF16"),
    "q8_0": ("MOSTLY_Q8_0", "Q8_0"),
    "q6_k": ("MOSTLY_Q6_K", "Q6_K"),
    "q5_k_m": ("MOSTLY_Q5_K_M", "Q5_K"),
    "q4_k_m": ("MOSTLY_Q4_K_M", "Q4_K"),
    "q4_0": ("MOSTLY_Q4_0", "Q4_0"),
}
PLAIN = ("f32", "f16", "bf16")  # without blocks
MIXED = ("q4_k_m", "q5_k_m")  # with more bits where they help most

# Parts of the names of matrices that are small, and stay as they are.
_NEVER = re.compile(
    r"_norm\.weight|ffn_gate_inp\.weight|ffn_gate_tid2eid|altup|laurel|per_layer_model_proj|"
    r"ssm_conv1d|shortconv\.conv\.weight|indexer\.[kq]_proj|time_mix_(first|[wvag]\d|decay_w\d|"
    r"lerp_fused)\.weight|attn_rel_b\.weight|\.position_embd|\.rel_pos|\.patch_(embd|merger)|"
    r"^(position_embd|token_types)\.weight$"
)
_TABLES = ("token_embd.weight", "per_layer_token_embd.weight")
_OUTPUT = "output.weight"
_ATTENTION_V = re.compile(r"attn_(v|qkv|kv_b)\.weight")


def file_type_number(file_type: str) -> int:
    """What `general.file_type` states of a file type."""
    from gguf import LlamaFileType

    return int(LlamaFileType[FILE_TYPES[file_type][0]])


def kinds_at(reader: Any, entries: Sequence[Entry], file_type: str) -> list[Any]:
    """The type of each tensor in a file of a type; one that rows do not fill becomes smaller.

    Args:
        reader: gguf's, of the file with the same tensors in float.
        entries: Its tensors.
        file_type: One of `FILE_TYPES`, not a plain one.
    """
    rule = _Rule(reader, entries, file_type)
    return [written_kind(rule.kind(entry), entry.shape[0]) for entry in entries]


def fallbacks(reader: Any, entries: Sequence[Entry], file_type: str) -> list[Entry]:
    """Tensors whose rows do not fill the blocks of the type that they would have."""
    rule = _Rule(reader, entries, file_type)
    return [entry for entry in entries if entry.shape[0] % block_size(rule.kind(entry))]


class _Rule:
    """What decides the type of a tensor, beside its name."""

    def __init__(self, reader: Any, entries: Sequence[Entry], file_type: str) -> None:
        from gguf import GGMLQuantizationType as Kind

        keys = keys_of(reader)
        self._arch = str(keys["general.architecture"].contents())
        self._file_type, self._types = file_type, Kind
        self._layers = self._key(keys, "block_count")
        self._experts = self._key(keys, "expert_count")
        heads, shared = (self._key(keys, f"attention.head_count{end}") for end in ("", "_kv"))
        self._is_70b = LAYERS_70B.get(self._arch) == self._layers and heads != shared
        names = [entry.name for entry in entries]
        self._is_tied = _OUTPUT not in names
        self._values = _ranks(name for name in names if _ATTENTION_V.search(name))
        downs = (name for name in names if "ffn_down" in name and name.endswith("weight"))
        self._downs = _ranks(downs)

    def _key(self, keys: Mapping[str, Any], name: str) -> Any:
        field = keys.get(f"{self._arch}.{name}")
        return 0 if field is None else field.contents()

    def kind(self, entry: Entry) -> Any:
        """The type that a tensor would have, however long its rows are."""
        default = self._types[FILE_TYPES[self._file_type][1]]
        if not _allows(entry):
            return entry.kind
        if entry.name == _OUTPUT or (self._is_tied and entry.name in _TABLES):
            return self._output(entry, default)
        if entry.name in _TABLES:
            return default
        if _ATTENTION_V.search(entry.name):
            return self._value(entry.name, default)
        eight = self._experts == 8
        if "attn_k.weight" in entry.name and eight:
            return self._types.Q8_0
        if "attn_output.weight" in entry.name and eight and self._file_type == "q4_k_m":
            return self._types.Q5_K
        if "ffn_down" in entry.name and self._file_type in MIXED:
            rank = _layer(entry.name) if self._experts > 1 else self._downs[entry.name]
            return self._types.Q6_K if _more_bits(rank, self._layers) else default
        return default

    def _output(self, entry: Entry, default: Any) -> Any:
        if entry.shape[0] % block_size(default):
            return self._types.Q8_0
        return default if default == self._types.Q8_0 else self._types.Q6_K

    def _value(self, name: str, default: Any) -> Any:
        kind = default
        if self._file_type in MIXED and _more_bits(self._values[name], len(self._values)):
            kind = self._types.Q6_K
        if self._is_70b and kind == self._types.Q4_K:
            kind = self._types.Q5_K
        return self._types.Q8_0 if self._experts == 8 else kind


def _allows(entry: Entry) -> bool:
    """Whether a tensor is written in blocks at all."""
    dimensions = max((at + 1 for at, size in enumerate(entry.shape) if size > 1), default=1)
    return dimensions > 1 and entry.name.endswith("weight") and not _NEVER.search(entry.name)


def _more_bits(rank: int, count: int) -> bool:
    """Whether the layer of a rank is one of the first, the last, or every third between."""
    eighth = count // 8
    return rank < eighth or rank >= 7 * count // 8 or (rank - eighth) % 3 == 2


def _ranks(names: Any) -> dict[str, int]:
    """Number of each name in the order of layers."""
    return {name: rank for rank, name in enumerate(sorted(names, key=lambda n: (_layer(n), n)))}


def _layer(name: str) -> int:
    match = re.match(r"blk\.(\d+)\.", name)
    return int(match[1]) if match else -1
