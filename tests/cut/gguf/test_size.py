"""How large a GGUF file becomes, told by shapes alone and beside the file itself."""

from __future__ import annotations

from pathlib import Path

import pytest
from family_trials import save_words

from widthwise.cut.checkpoint import resolve_model
from widthwise.cut.gguf import block_width, export_gguf, most_export_bytes, most_tensor_bytes

pytestmark = pytest.mark.demo  # the words are those of SmolLM2


@pytest.mark.long
@pytest.mark.parametrize("file_type", ["f16", "q8_0", "q4_k_m"])
def test_a_file_is_never_larger_than_told_and_little_smaller(
    file_type: str, tmp_path: Path
) -> None:
    if file_type == "q4_k_m":
        pytest.importorskip("xllamacpp")
    dense = save_words("llama", tmp_path / "dense")
    out = tmp_path / "out.gguf"
    export_gguf(resolve_model(dense), out, file_type)
    told = most_export_bytes(resolve_model(dense).checkpoint, file_type)
    assert out.stat().st_size <= told
    # Words and settings are a guess; of real sizes they are a small part of the file.
    assert told - out.stat().st_size < 0.06 * told


def test_a_narrower_model_has_a_smaller_file(tmp_path: Path) -> None:
    checkpoint = resolve_model(save_words("llama", tmp_path / "dense")).checkpoint
    size = checkpoint.architecture.intermediate_size
    sizes = [most_export_bytes(checkpoint, "f16", width) for width in (4, 5, size - 1)]
    assert sizes == sorted(sizes)
    neuron = 3 * checkpoint.architecture.hidden_size * checkpoint.architecture.layers
    assert sizes[1] - sizes[0] == 2 * neuron  # three rows of float16 in each layer


def test_tensors_that_may_have_more_bits_are_counted_with_them() -> None:
    """Q8_0 has 34 bytes for 32 numbers, Q4_K 144 and Q6_K 210 for 256."""
    shape = (2, 256)
    assert most_tensor_bytes("model.norm.weight", (256,), "q8_0") == 4 * 256
    assert most_tensor_bytes("layers.0.mlp.gate_proj.weight", shape, "q8_0") == 2 * 8 * 34
    pytest.importorskip("xllamacpp")
    assert most_tensor_bytes("layers.0.mlp.gate_proj.weight", shape, "q4_k_m") == 2 * 144
    assert most_tensor_bytes("layers.0.mlp.down.weight", shape, "q4_k_m", "down") == 2 * 210
    assert most_tensor_bytes("layers.0.self_attn.v_proj.weight", shape, "q4_k_m") == 2 * 210


def test_widths_fill_blocks_where_those_of_the_model_do() -> None:
    assert [block_width(kind, 1536) for kind in ("f16", "q8_0", "q4_0", "q4_k_m")] == [
        16,
        32,
        32,
        256,
    ]
    assert block_width("q4_k_m", 1500) == 16


def test_a_gguf_file_as_parent_is_counted_by_its_own_words() -> None:
    """Its tokenizer is converted for it, and is that of the model."""
    from widthwise.assets import has_named_model

    if not has_named_model("qwen2.5-coder-0.5b"):
        pytest.skip("the model is not in the cache")
    checkpoint = resolve_model("qwen2.5-coder-0.5b").checkpoint
    told = most_export_bytes(checkpoint, "q8_0")
    # 34 bytes for 32 numbers; the words of Qwen 2.5 have a few megabytes.
    numbers = checkpoint.architecture.parameters * 34 / 32
    assert numbers < told < numbers + 10e6
