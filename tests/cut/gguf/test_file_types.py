"""The type of each tensor of a file type, as llama.cpp's quantizer gives it."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from gguf import GGMLQuantizationType as Kind

from widthwise.cut.gguf.file_types import FILE_TYPES, fallbacks, file_type_number, kinds_at
from widthwise.cut.gguf.layout import Entry


def network(
    layers: int, *, hidden: int = 256, tied: bool = True, arch: str = "llama", experts: int = 0
) -> tuple[Any, list[Entry]]:
    """The tensors of a network, and a reader of no more than its metadata."""
    keys = {
        "general.architecture": arch,
        f"{arch}.block_count": layers,
        f"{arch}.expert_count": experts,
        f"{arch}.attention.head_count": 8,
        f"{arch}.attention.head_count_kv": 2,
    }
    fields = {
        name: SimpleNamespace(contents=lambda value=value: value) for name, value in keys.items()
    }
    stack = (experts,) if experts else ()
    end = "_exps" if experts else ""
    shapes: dict[str, tuple[int, ...]] = {"token_embd.weight": (hidden, 100)}
    for layer in (str(number) for number in range(layers)):
        shapes[f"blk.{layer}.attn_norm.weight"] = (hidden,)
        for part in ("q", "k", "v", "output"):
            shapes[f"blk.{layer}.attn_{part}.weight"] = (hidden, hidden)
        shapes[f"blk.{layer}.ffn_gate_inp.weight"] = (hidden, 4)
        shapes[f"blk.{layer}.ffn_up{end}.weight"] = (hidden, 512, *stack)
        shapes[f"blk.{layer}.ffn_down{end}.weight"] = (512, hidden, *stack)
    if not tied:
        shapes["output.weight"] = (hidden, 100)
    entries = [Entry(None, Kind.F32, shape, name) for name, shape in shapes.items()]
    return SimpleNamespace(fields=fields), entries


def kinds(file_type: str, layers: int = 16, **settings: Any) -> dict[str, str]:
    reader, entries = network(layers, **settings)
    found = kinds_at(reader, entries, file_type)
    return {entry.name: kind.name for entry, kind in zip(entries, found, strict=True)}


def layers_with(found: dict[str, str], part: str, kind: str) -> list[int]:
    return [n for n in range(16) if found[f"blk.{n}.{part}.weight"] == kind]


@pytest.mark.parametrize(("file_type", "most"), [("q4_k_m", "Q4_K"), ("q5_k_m", "Q5_K")])
def test_a_mixture_has_more_bits_in_the_first_the_last_and_every_third_layer(
    file_type: str, most: str
) -> None:
    """The first and the last eighth of 16, and 4, 7, 10, 13: worked out by hand."""
    found = kinds(file_type)
    more = [0, 1, 4, 7, 10, 13, 14, 15]
    for part in ("attn_v", "ffn_down"):
        assert layers_with(found, part, "Q6_K") == more
        assert layers_with(found, part, most) == [n for n in range(16) if n not in more]
    for part in ("attn_q", "attn_k", "attn_output", "ffn_up"):
        assert layers_with(found, part, most) == list(range(16))


def test_norms_and_routers_stay_as_they_are() -> None:
    found = kinds("q4_k_m")
    for part in ("attn_norm", "ffn_gate_inp"):
        assert layers_with(found, part, "F32") == list(range(16))


def test_a_table_that_is_the_head_too_has_the_type_of_a_head() -> None:
    assert kinds("q4_k_m")["token_embd.weight"] == "Q6_K"
    apart = kinds("q4_k_m", tied=False)
    assert (apart["token_embd.weight"], apart["output.weight"]) == ("Q4_K", "Q6_K")
    assert kinds("q8_0")["token_embd.weight"] == "Q8_0"
    assert kinds("q4_0")["token_embd.weight"] == "Q6_K"


def test_eight_experts_and_the_largest_llama_are_cases_of_their_own() -> None:
    found = kinds("q4_k_m", experts=8)
    assert found["blk.2.attn_k.weight"] == found["blk.2.attn_v.weight"] == "Q8_0"
    assert found["blk.2.attn_output.weight"] == "Q5_K"
    assert found["blk.2.ffn_down_exps.weight"] == "Q4_K"
    assert found["blk.4.ffn_down_exps.weight"] == "Q6_K"
    largest = kinds("q4_k_m", layers=80)
    assert largest["blk.11.attn_v.weight"] == "Q5_K"
    assert kinds("q4_k_m", layers=80, arch="gemma3")["blk.11.attn_v.weight"] == "Q4_K"


def test_rows_that_fill_no_block_take_smaller_ones_and_are_told() -> None:
    found = kinds("q4_k_m", hidden=96, tied=False)
    assert found["blk.0.attn_q.weight"] == "Q5_0"
    assert found["blk.0.attn_v.weight"] == "Q8_0"  # for Q6_K
    assert found["output.weight"] == "Q8_0"
    reader, entries = network(16, hidden=96)
    told = [entry.name for entry in fallbacks(reader, entries, "q4_k_m")]
    assert "blk.0.attn_q.weight" in told
    assert "blk.0.ffn_down.weight" not in told  # its rows are as long as the width
    assert "blk.0.attn_norm.weight" not in told


def test_every_file_type_has_a_number() -> None:
    assert [file_type_number(name) for name in FILE_TYPES] == [0, 1, 32, 7, 18, 17, 15, 2]
