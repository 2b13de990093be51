"""`widthwise inspect`: exact counts as JSON."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import transformers as hf
from command_line import run
from json_results import printed_json


def test_inspect_prints_exact_counts(saved: Path, llama: Any) -> None:
    result = run("inspect", saved, "--width", "9", "--context", "64")
    data = json.loads(result.stdout)
    words = ("inspect", saved, "--width", "9", "--context", "64", "--json")
    assert printed_json("inspect", run(*words)) == data
    assert data["counts"][0]["parameters"] == sum(p.numel() for p in llama.parameters())
    assert data["counts"][1]["width"] == 9
    assert data["default_alignment"] == 1


GROUPS = "groups of 128 (GPTQ, AWQ, FP8 blocks)"


@pytest.fixture
def mixture(tmp_path: Path) -> Path:
    """One layer of a dense block 160 wide, and one of four experts 96 wide, of which two run."""
    shape = {"vocab_size": 96, "hidden_size": 32, "num_hidden_layers": 2, "head_dim": 8}
    shape |= {"num_attention_heads": 4, "num_key_value_heads": 2, "mlp_only_layers": [0]}
    shape |= {"moe_intermediate_size": 96, "intermediate_size": 160}
    shape |= {"num_experts": 4, "num_experts_per_tok": 2}
    hf.Qwen3MoeForCausalLM(hf.Qwen3MoeConfig(**shape)).save_pretrained(tmp_path / "mixture")
    return tmp_path / "mixture"


def test_each_kind_of_block_of_a_mixture_is_told(mixture: Path) -> None:
    data = json.loads(run("inspect", mixture, "--width", 64, "--width", "experts=64").stdout)
    experts = {"name": "experts", "key": "moe_intermediate_size", "width": 96}
    dense = {"name": "mlp", "key": "intermediate_size", "width": 160}
    assert data["kinds"] == [
        {**experts, "layers": 1, "groups": 4, "experts_per_layer": 4},
        {**dense, "layers": 1, "groups": 1, "experts_per_layer": None},
    ]
    assert data["experts_per_token"] == 2
    assert data["widths"] is None
    whole, proportional, named = data["counts"]
    assert whole["widths"] == {"experts": 96, "mlp": 160}
    assert whole["unsuited_for"] == [f"mlp of width 160: {GROUPS}"]
    assert proportional["widths"] == {"experts": 64, "mlp": 106}
    devices = "mlp of width 106: tensor parallelism over 4 or 8 devices"
    assert proportional["unsuited_for"] == [devices, f"mlp of width 106: {GROUPS}"]
    assert named["widths"] == {"experts": 64, "mlp": 160}
    assert whole["parameters"] - named["parameters"] == 4 * 3 * 32 * (96 - 64)


def test_a_width_is_refused_in_the_words_of_plan(mixture: Path) -> None:
    for width, message in (
        ("wide", "--width must look like 4864; got 'wide'"),
        ("-1", "--width -1 must be above 0"),
        ("97", "width must be in [0, 96]; got 97"),
        ("experts=9,mlp=161", "width must be in [0, 160]; got 161"),
        ("shared=9", "the model has no shared; it has experts of width 96, mlp of width 160"),
    ):
        result = run("inspect", mixture, f"--width={width}")
        assert result.exit_code == 1
        assert message in result.stderr


def test_the_share_that_is_removed_counts_blocks_that_stay_whole(
    mixture: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    result = run("plan", mixture, "--width", "experts=64")
    # 4 experts lose 32 of 96 neurons each, and the dense block none of its 160.
    assert f"{128 / 544:.1%} of neurons removed" in result.stdout
    assert "experts at 2.000x of 3.000x" in result.stdout
    words = ["--criterion", "ppm", "--width", "experts=64", "-o", out]
    assert run("prune", mixture, *words).exit_code == 0
    card = (out / "README.md").read_text()
    assert "| expansion ratio | 3.000x / 5.000x | 2.000x / 5.000x |" in card
    assert "cut to experts 64 / mlp 160" in card
