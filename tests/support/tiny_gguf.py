"""A GGUF file of a tiny network, written as llama.cpp's converter writes it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import torch
import transformers as hf

_NAMES = {
    "model.embed_tokens": "token_embd",
    "model.norm": "output_norm",
    "lm_head": "output",
    "input_layernorm": "attn_norm",
    "post_attention_layernorm": "ffn_norm",
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
    "self_attn.q_norm": "attn_q_norm",
    "self_attn.k_norm": "attn_k_norm",
    "self_attn.qkv_proj": "attn_qkv",
    "mlp.gate_up_proj": "ffn_up",
    "mlp.gate": "ffn_gate_inp",
    "mlp.shared_expert_gate": "ffn_gate_inp_shexp",
    "mlp.shared_expert.gate_proj": "ffn_gate_shexp",
    "mlp.shared_expert.up_proj": "ffn_up_shexp",
    "mlp.shared_expert.down_proj": "ffn_down_shexp",
}
_GEMMA = {
    **_NAMES,
    "post_attention_layernorm": "post_attention_norm",
    "pre_feedforward_layernorm": "ffn_norm",
    "post_feedforward_layernorm": "post_ffw_norm",
}


def write_gguf(
    model: Any,
    path: Path,
    architecture: str = "llama",
    extra: Callable[[Any], object] = lambda _: None,
) -> None:
    """Write the weights in float32, with a vocabulary of single bytes.

    Args:
        model: Of transformers.
        path: The file.
        architecture: As GGUF names it.
        extra: Called with the writer, for further keys and tensors.
    """
    writer = gguf.GGUFWriter(path, architecture)
    _add_settings(writer, model.config)
    extra(writer)
    names = _GEMMA if architecture.startswith("gemma") else _NAMES
    for name, tensor in model.state_dict().items():
        array = _as_stored(name, tensor.float().numpy(), model.config, architecture)
        stem, _, kind = name.rpartition(".")
        if stem.startswith("model.layers."):
            _, _, layer, part = stem.split(".", 3)
            if part == "mlp.experts":
                _add_experts(writer, layer, kind, array)
                continue
            if part == "mlp.shared_expert_gate":  # one row, stored as a vector
                array = array[0]
            writer.add_tensor(f"blk.{layer}.{names[part]}.{kind}", array)
        elif not (stem == "lm_head" and model.config.tie_word_embeddings):
            writer.add_tensor(f"{names[stem]}.{kind}", array)
    _finish(writer)


def _add_settings(writer: Any, config: Any) -> None:
    """The shape of the network, and a vocabulary of single bytes."""
    writer.add_name("Tiny")
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_key_length(_head(config))
    writer.add_value_length(_head(config))
    writer.add_rope_freq_base(10000.0)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_vocab_size(config.vocab_size)
    words = ["<unk>", "<s>", "</s>", "!!", *(chr(33 + i) for i in range(config.vocab_size - 4))]
    writer.add_tokenizer_model("gpt2")
    writer.add_token_list(words)
    writer.add_token_types([3] * 3 + [1] * (len(words) - 3))
    writer.add_token_merges(["! !"])
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)


def _head(config: Any) -> int:
    """The size of a head."""
    return getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads


def _as_stored(name: str, array: Any, config: Any, architecture: str) -> Any:
    """The numbers of a tensor as llama.cpp keeps them."""
    rotated = name.endswith(("q_proj.weight", "k_proj.weight", "q_proj.bias", "k_proj.bias"))
    if architecture == "llama" and rotated:  # halves of a head are interleaved
        head = _head(config)
        split = array.reshape(len(array) // head, 2, head // 2, -1)
        return np.ascontiguousarray(split.swapaxes(1, 2)).reshape(array.shape)
    if architecture.startswith("gemma") and name.endswith("norm.weight"):
        return array + 1  # transformers adds it when the norm is taken
    return array


def _add_experts(writer: Any, layer: str, kind: str, array: Any) -> None:
    """The experts of a layer, stacked: gates and ups in two tensors, downs in one."""
    parts = {"down": array}
    if kind == "gate_up_proj":
        parts = dict(zip(("gate", "up"), np.split(array, 2, axis=1), strict=True))
    for part, numbers in parts.items():
        writer.add_tensor(f"blk.{layer}.ffn_{part}_exps.weight", np.ascontiguousarray(numbers))


def requantized(path: Path, out: Path, kind: Any) -> Path:
    """A copy of a file whose matrices are of another type."""
    reader = gguf.GGUFReader(path)
    writer = gguf.GGUFWriter(out, "llama")
    for field in reader.fields.values():
        if field.name.startswith("GGUF.") or field.name == "general.architecture":
            continue
        sub_type = field.types[-1] if field.types[0] == gguf.GGUFValueType.ARRAY else None
        writer.add_key_value(field.name, field.contents(), field.types[0], sub_type=sub_type)
    for tensor in reader.tensors:
        if "ffn_" in tensor.name and "norm" not in tensor.name:
            writer.add_tensor(tensor.name, gguf.quants.quantize(tensor.data, kind), raw_dtype=kind)
        else:
            writer.add_tensor(tensor.name, tensor.data)
    _finish(writer)
    return out


def _finish(writer: Any) -> None:
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def save_llama(path: Path, neurons: int) -> Path:
    """Write a GGUF file of a tiny Llama."""
    torch.manual_seed(0)
    shape = {"vocab_size": 96, "hidden_size": 32, "num_hidden_layers": 3}
    heads = {"num_attention_heads": 4, "num_key_value_heads": 2}
    sizes = {"intermediate_size": neurons, "max_position_embeddings": 2048}
    write_gguf(hf.LlamaForCausalLM(hf.LlamaConfig(**shape, **heads, **sizes)), path)
    return path
