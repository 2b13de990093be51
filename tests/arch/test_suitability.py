"""What a width does not suit is told once, in one line, with the alignment that mends it."""

from __future__ import annotations

import json
from pathlib import Path

import gguf
import pytest
import transformers as hf
from command_line import prune_by_weights, run
from families import tiny

from widthwise.arch import CutWidths, suitability_note
from widthwise.arch.suitability import GROUP, SUPER_BLOCK, unsuited

GROUPS = "groups of 128 (GPTQ, AWQ, FP8 blocks)"
K_TYPES = "llama.cpp's K types (256)"


def note(*kept: int, dense: int = 4096, unaligned: int | None = None, name: str = "") -> str:
    whole = max(kept) if unaligned is None else unaligned
    return suitability_note([CutWidths(name=name, dense=dense, unaligned=whole, kept=kept)])


def test_the_super_block_is_that_of_llama_cpp() -> None:
    assert gguf.QK_K == SUPER_BLOCK
    kind = gguf.GGMLQuantizationType.Q4_K
    assert gguf.GGML_QUANT_SIZES[kind][0] == SUPER_BLOCK


def test_every_width_is_told_by_what_divides_it() -> None:
    for width in range(1, 2049):
        uses = unsuited(width, 4096)
        assert (GROUPS in uses) == (width % GROUP != 0)
        assert (K_TYPES in uses) == (width % SUPER_BLOCK != 0)
        told = [use for use in uses if use.startswith("tensor parallelism")]
        wrong = [count for count in (2, 4, 8) if width % count]
        assert bool(told) == bool(wrong)
        assert all(str(count) in told[0] for count in wrong)


@pytest.mark.parametrize("unaligned", [300, 1382, 2047])
def test_the_offered_alignment_suits_and_gives_the_width_it_says(unaligned: int) -> None:
    text = note(unaligned)
    assert "\n" not in text
    offers = [part.split() for part in text.rpartition("; ")[2].split(", ")]
    for _, step, _, width in offers:
        assert int(width) == unaligned // int(step) * int(step)
        left = note(int(width), unaligned=unaligned)
        assert GROUPS not in left
        assert int(step) < SUPER_BLOCK or left == ""


def test_no_rounding_is_offered_that_leaves_nothing_or_gives_the_same() -> None:
    assert "--align" not in note(100)
    assert note(1408).endswith(f"does not suit {K_TYPES}; --align 256 gives 1280")
    assert note(384, dense=512, unaligned=400).endswith("--align 256 gives 256")


@pytest.mark.parametrize(("kept", "dense"), [(2048, 4096), (29, 53), (4096, 4096), (1000, 1000)])
def test_nothing_is_said_of_what_suits_or_is_a_toy_or_was_not_cut(kept: int, dense: int) -> None:
    assert note(kept, dense=dense) == ""


def test_layers_of_unequal_widths_are_told_in_one_clause() -> None:
    text = note(1024, 1408, 1152, unaligned=1300)
    words = f"widths of 1024 to 1408 do not suit {K_TYPES}"
    assert text == f"{words}; --align 256 gives multiples of it"


def test_kinds_of_a_mixture_are_told_by_their_names() -> None:
    widths = {"experts": (768, 500), "shared": (1408, 1000), "mlp": (1408, 1408)}
    text = suitability_note(
        [
            CutWidths(name=name, dense=dense, unaligned=kept, kept=(kept,))
            for name, (dense, kept) in widths.items()
        ]
    )
    assert text == (
        f"width 500 of experts does not suit tensor parallelism over 8 devices, {GROUPS} or "
        f"{K_TYPES}; width 1000 of shared does not suit {GROUPS} or {K_TYPES}; --align 128 gives "
        "experts 384 and shared 896, --align 256 gives experts 256 and shared 768"
    )


@pytest.fixture
def wide(tmp_path: Path) -> Path:
    tiny("llama", intermediate_size=640).save_pretrained(tmp_path / "wide")
    return tmp_path / "wide"


def test_plan_and_prune_and_the_card_say_it_once(wide: Path, tmp_path: Path) -> None:
    words = f"width 408 does not suit {GROUPS} or {K_TYPES}; --align 128 gives 384"
    words += ", --align 256 gives 256"
    planned = run("plan", wide, "--width", 413, "--json")
    assert planned.stderr.count(words) == 1
    assert json.loads(planned.stdout)["alignment"] == 8
    pruned = run("prune", wide, "--criterion", "ppm", "--width", 413, "-o", tmp_path / "out")
    assert pruned.stderr.count(words) == 1
    assert (tmp_path / "out" / "README.md").read_text().count(f"- {words}\n") == 1
    mended = prune_by_weights(wide, tmp_path / "mended", "--width", 413, "--align", 256)
    assert "not suit" not in mended.stderr + (tmp_path / "mended" / "README.md").read_text()
    counts = json.loads(run("inspect", wide, "--width", 408).stdout)["counts"]
    assert [each["unsuited_for"] for each in counts] == [[K_TYPES], [GROUPS, K_TYPES]]


def test_a_mixture_is_planned_with_a_note_of_each_kind(tmp_path: Path) -> None:
    shape = {"vocab_size": 96, "hidden_size": 32, "num_hidden_layers": 2, "num_experts": 2}
    shape |= {"num_attention_heads": 4, "num_key_value_heads": 2, "num_experts_per_tok": 1}
    shape |= {"moe_intermediate_size": 256, "shared_expert_intermediate_size": 512}
    hf.Qwen2MoeForCausalLM(hf.Qwen2MoeConfig(**shape)).save_pretrained(tmp_path / "mixture")
    planned = run("plan", tmp_path / "mixture", "--width", "experts=200,shared=384")
    assert (
        f"Note: width 200 of experts does not suit {GROUPS} or {K_TYPES}; width 384 of shared "
        f"does not suit {K_TYPES}; --align 128 gives experts 128 and shared 384.\n"
    ) in planned.stderr
