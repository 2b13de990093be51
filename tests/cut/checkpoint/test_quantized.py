"""Quantized checkpoints are models like any other, read as transformers dequantizes them."""

from __future__ import annotations

import itertools
import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers as hf
from checkpoint_files import load, logits, rewrite, set_config, stored
from command_line import run
from every_family import tiny_model
from families import tiny
from harness_data import PIQA, write_rows
from healing_runs import save_child, save_dense, save_text, save_tokenizer
from quantized_models import (
    WHOLE_CONFIG,
    block_config,
    block_fp8,
    compressed_config,
    quantize,
    quantize_experts,
    row_fp8,
    whole_fp8,
)
from safetensors.torch import save_file
from short_text import save_short_text

from widthwise import apply, make_plan, prune_checkpoint, refit
from widthwise.cut import ModelWeights, fingerprint
from widthwise.cut.checkpoint import Checkpoint, load_model, quantized, resolve_model
from widthwise.cut.checkpoint.mxfp4 import Mxfp4Weight
from widthwise.cut.checkpoint.reader import INDEX
from widthwise.errors import CheckpointError, UnsupportedModelError
from widthwise.notices import shown
from widthwise.study import load as records_of

BLOCK = 4  # divides every size of these models, as transformers needs it


def small_blocks(name: str, tensor: torch.Tensor) -> dict[str, Any]:
    return block_fp8(name, tensor, BLOCK, BLOCK)


def save(folder: Path, model_type: str = "llama", **changes: Any) -> Path:
    tiny_model(model_type, **changes).to(torch.bfloat16).save_pretrained(folder)
    return folder


def dequantized(folder: Path, **how: Any) -> Any:
    """The model as transformers dequantizes it."""
    config: Any = hf.FineGrainedFP8Config(dequantize=True, **how)
    return hf.AutoModelForCausalLM.from_pretrained(
        folder, dtype="auto", quantization_config=config
    ).eval()


def assert_same(model: Any, other: Any) -> None:
    ours, theirs = dict(model.named_parameters()), dict(other.named_parameters())
    assert ours.keys() == theirs.keys()
    for name, tensor in ours.items():
        assert tensor.dtype == theirs[name].dtype == torch.bfloat16, name
        assert torch.equal(tensor, theirs[name]), name


@pytest.fixture
def blocks(tmp_path: Path) -> Path:
    return quantize(save(tmp_path / "blocks"), block_config(BLOCK), small_blocks)


@pytest.mark.parametrize("family", ["llama", "qwen3", "phi3", "deepseek_v3", "qwen3_moe"])
def test_block_fp8_is_cut_as_transformers_dequantizes_it(family: str, tmp_path: Path) -> None:
    folder = quantize(save(tmp_path / "dense", family), block_config(BLOCK), small_blocks)
    theirs = dequantized(folder, weight_block_size=(BLOCK, BLOCK))
    with Checkpoint(folder) as checkpoint:
        assert_same(load_model(checkpoint), theirs)
        assert fingerprint(checkpoint) == fingerprint(ModelWeights(theirs))
    plan = make_plan(folder, remove="40%", criterion="ppm")
    out = prune_checkpoint(folder, tmp_path / "out", plan)
    assert_same(load(out), apply(theirs, plan))
    assert "quantization_config" not in json.loads((out / "config.json").read_text())
    assert not [name for name in stored(out) if "scale" in name]


def test_one_scale_a_matrix_is_read_as_transformers_reads_it(tmp_path: Path) -> None:
    folder = quantize(save(tmp_path / "dense"), WHOLE_CONFIG, whole_fp8)
    theirs = dequantized(folder, weight_block_size=None)
    plan = make_plan(folder, width=29, criterion="ppm")
    assert_same(load(prune_checkpoint(folder, tmp_path / "out", plan)), apply(theirs, plan))


@pytest.mark.parametrize(
    ("config", "encode"),
    [
        (compressed_config("channel"), row_fp8),
        ({"quant_method": "fbgemm_fp8"}, row_fp8),
        (compressed_config("block", block_structure=[16, 16]), None),
        (block_config(), block_fp8),
    ],
    ids=["channel", "fbgemm", "compressed blocks", "blocks"],
)
def test_what_transformers_cannot_read_here_follows_the_formula(
    config: dict[str, Any], encode: Any, tmp_path: Path
) -> None:
    """Sizes are no multiple of the block, or the method wants a GPU or a package."""
    tiny("llama").to(torch.bfloat16).save_pretrained(tmp_path / "dense")  # 53 neurons
    encode = encode or (lambda n, t: {k.replace("_inv", ""): v for k, v in block_fp8(n, t).items()})
    folder = quantize(tmp_path / "dense", config, encode)
    tensors = stored(folder)
    with Checkpoint(folder) as checkpoint:
        model = load_model(checkpoint)
    for name, tensor in model.named_parameters():
        scale = next(
            (tensors[name + e] for e in ("_scale", "_scale_inv") if name + e in tensors), None
        )
        if scale is None:
            assert torch.equal(tensor, tensors[name])
            continue
        rows, columns = (16, 16) if scale.shape[1] > 1 else (1, tensor.shape[1])
        for i, j in itertools.product(*map(range, scale.shape)):
            place = slice(i * rows, (i + 1) * rows), slice(j * columns, (j + 1) * columns)
            expected = (tensors[name][place].float() * scale[i, j].float()).bfloat16()
            assert torch.equal(tensor[place], expected), name
    plan = make_plan(folder, width=29, criterion="l2")
    assert_same(load(prune_checkpoint(folder, tmp_path / "out", plan)), apply(model, plan))


def test_mxfp4_experts_are_cut_as_transformers_dequantizes_them(tmp_path: Path) -> None:
    folder = quantize_experts(save(tmp_path / "dense", "gpt_oss", intermediate_size=64))
    theirs = hf.AutoModelForCausalLM.from_pretrained(
        folder, dtype="auto", quantization_config=hf.Mxfp4Config(dequantize=True)
    ).eval()
    with Checkpoint(folder) as checkpoint:
        assert_same(load_model(checkpoint), theirs)
        assert fingerprint(checkpoint) == fingerprint(ModelWeights(theirs))
    plan = make_plan(folder, width=40, criterion="ppm")
    out = prune_checkpoint(folder, tmp_path / "out", plan)
    assert_same(load(out), apply(theirs, plan))
    assert torch.equal(logits(load(out)), logits(apply(theirs, plan)))


def test_weights_and_scales_may_stand_in_different_shards(blocks: Path, tmp_path: Path) -> None:
    plan = make_plan(blocks, width=29, criterion="ppm")
    expected = load(prune_checkpoint(blocks, tmp_path / "whole", plan))
    tensors = stored(blocks)
    parts = {"a": "scale_inv", "b": "weight"}
    files = {end: f"model-{part}.safetensors" for part, end in parts.items()}
    for end, file in files.items():
        save_file(
            {n: t for n, t in tensors.items() if n.endswith(end)}, blocks / file, {"format": "pt"}
        )
    (blocks / "model.safetensors").unlink()
    weight_map = {n: next(f for end, f in files.items() if n.endswith(end)) for n in tensors}
    (blocks / INDEX).write_text(json.dumps({"metadata": {}, "weight_map": weight_map}))
    assert make_plan(blocks, width=29, criterion="ppm").keep == plan.keep
    assert_same(load(prune_checkpoint(blocks, tmp_path / "out", plan)), expected)
    set_config(blocks, model_type="of_another_day")  # where only the index says what is needed
    prune_checkpoint(blocks, tmp_path / "unknown", make_plan(blocks, width=29, criterion="ppm"))


def test_a_cut_is_calibrated_and_refitted_on_the_dequantized_model(tmp_path: Path) -> None:
    folder = save(tmp_path / "dense", vocab_size=257)
    save_tokenizer(folder)
    quantize(folder, block_config(BLOCK), small_blocks)
    text = save_short_text(tmp_path / "text.txt")
    plain = tmp_path / "plain"
    with Checkpoint(folder) as checkpoint:
        load_model(checkpoint).save_pretrained(plain)
    save_tokenizer(plain)
    got, expected = (refit(each, width=29, text=text, tokens=2048) for each in (folder, plain))
    assert got.plan.keep == expected.plan.keep
    assert all(map(torch.equal, got.down, expected.down))
    out = prune_checkpoint(folder, tmp_path / "out", got.plan, refit=got)
    assert_same(load(out), load(prune_checkpoint(plain, tmp_path / "2", got.plan, refit=got)))


@pytest.mark.parametrize("experts", [False, True])
def test_large_weights_are_dequantized_in_slices(
    experts: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So that loading needs little more memory than the model has."""
    if experts:
        folder = quantize_experts(save(tmp_path / "dense", "gpt_oss", intermediate_size=64))
    else:
        folder = quantize(save(tmp_path / "dense"), block_config())
    with Checkpoint(folder) as checkpoint:
        whole = load_model(checkpoint)
        monkeypatch.setattr(quantized, "CHUNK_BYTES", 150)  # 2 or 3 rows of the smaller matrices
        assert_same(load_model(checkpoint), whole)


def test_an_expert_is_not_dequantized_for_each_slice_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A slice of neurons needs all of it, as outputs and inputs change places."""
    folder = quantize_experts(save(tmp_path / "dense", "gpt_oss", intermediate_size=64))
    counted: Counter[tuple[str, int]] = Counter()
    rows = Mxfp4Weight.rows

    def count(weight: Mxfp4Weight, stored: Any, start: int, stop: int) -> torch.Tensor:
        counted[weight.name, start] += 1
        return rows(weight, stored, start, stop)

    monkeypatch.setattr(Mxfp4Weight, "rows", count)
    make_plan(folder, width=40, criterion="ppm")
    assert counted
    assert max(counted.values()) <= 2  # the scores and the fingerprint


@pytest.mark.usefixtures("short_blocks")
def test_a_quantized_parent_is_evaluated_and_healed_towards(tmp_path: Path) -> None:
    dense, plain = quantize(save_dense(tmp_path / "dense"), block_config()), tmp_path / "plain"
    with Checkpoint(dense) as checkpoint:
        load_model(checkpoint).save_pretrained(plain)
    save_tokenizer(plain)
    write_rows(tmp_path / "data" / "piqa" / "validation.jsonl", [PIQA, {**PIQA, "goal": "cut"}])
    suite = ("--suite", "piqa", "--data", tmp_path / "data", "--dtype", "float32")
    values = []
    for folder in (dense, plain):
        out = tmp_path / f"scores-{folder.name}"
        how = "--criterion ppm --to 1.2x --device cpu".split()
        result = run("evaluate", folder, *suite, *how, "-o", out)
        assert result.exit_code == 0, result.output
        values.append(
            [(r.criterion, r.width, r.quantity, r.value) for r in records_of(out / "records.jsonl")]
        )
    assert len(values[0]) > 2
    assert values[0] == values[1]
    text = save_text(tmp_path / "text.txt")
    child = save_child(dense, text, tmp_path / "child")
    how = ("--text", text, "--tokens", "4k", "--learning-rate", "1e-3", "--dtype", "float32")
    result = run("heal", child, "--dense", dense, *how, "-o", tmp_path / "healed")
    assert result.exit_code == 0, result.output
    assert "was cut from" not in result.stderr  # the parent that the child has
    quantize(child, block_config())
    result = run("heal", child, "--dense", dense, *how, "-o", tmp_path / "again")
    assert result.exit_code == 1
    assert "is quantized (FP8 in blocks of 16 x 16), and trained weights cannot" in result.stderr
    assert not (tmp_path / "again").exists()


def test_commands_say_what_is_stored_and_what_becomes_of_it(blocks: Path, tmp_path: Path) -> None:
    size = sum(tensor.nbytes for tensor in stored(blocks).values())
    said = f"weights are stored as FP8 in blocks of 4 x 4 ({size:,} bytes), and read as bfloat16"
    assert json.loads(run("inspect", blocks).stdout)["quantization"] == said
    assert said in run("plan", blocks, "--width", "29").stderr
    for width, is_larger in ((50, True), (1, False)):
        out = tmp_path / str(width)
        result = run("prune", blocks, "--criterion", "ppm", "--width", width, "-o", out)
        assert result.exit_code == 0, result.output
        after = sum(tensor.nbytes for tensor in stored(out).values())
        sentence = (
            f"The result is dequantized: {after:,} bytes of weights in bfloat16, cut from {size:,}"
        )
        assert sentence in result.stderr.replace("\n", " ")
        assert (after > size) == ("larger than its parent" in result.stderr) == is_larger
    card = (out / "README.md").read_text()
    assert f"- quantized parent: its {said}" in card


def test_nothing_is_said_of_whole_weights(saved: Path, tmp_path: Path) -> None:
    said: list[str] = []
    with shown(said.append):
        prune_checkpoint(saved, tmp_path / "out", make_plan(saved, width=29, criterion="ppm"))
    assert said == []
    assert json.loads(run("inspect", saved).stdout)["quantization"] is None


def test_the_dtype_of_the_config_is_read(blocks: Path, tmp_path: Path) -> None:
    """As transformers loads it; the parts that are not quantized stay as stored."""
    set_config(blocks, dtype="float16")
    theirs = dequantized(blocks, weight_block_size=(BLOCK, BLOCK))
    out = prune_checkpoint(blocks, tmp_path / "out", make_plan(blocks, width=29, criterion="ppm"))
    name = "model.layers.1.self_attn.q_proj.weight"
    assert torch.equal(stored(out)[name], theirs.state_dict()[name])
    assert stored(out)["model.embed_tokens.weight"].dtype == torch.bfloat16


def test_the_ends_of_a_text_are_those_of_the_folder(blocks: Path) -> None:
    hf.GenerationConfig(eos_token_id=[2, 5]).save_pretrained(blocks)
    with Checkpoint(blocks) as checkpoint:
        assert load_model(checkpoint).generation_config.eos_token_id == [2, 5]


def test_a_text_part_may_say_that_weights_are_quantized(tmp_path: Path) -> None:
    folder = save(tmp_path / "dense", "llava")
    quantize(folder, block_config(BLOCK), small_blocks, but="vision")
    config = json.loads((folder / "config.json").read_text())
    config["text_config"]["quantization_config"] = config.pop("quantization_config")
    (folder / "config.json").write_text(json.dumps(config))
    with Checkpoint(folder) as checkpoint:
        expected = load_model(checkpoint)
    plan = make_plan(folder, width=29, criterion="ppm")
    out = prune_checkpoint(folder, tmp_path / "out", plan)
    assert "quantization_config" not in json.loads((out / "config.json").read_text())["text_config"]
    assert_same(
        hf.AutoModelForImageTextToText.from_pretrained(out, dtype="auto"), apply(expected, plan)
    )


@pytest.mark.parametrize(
    "config",
    [
        compressed_config("group", group_size=16),
        compressed_config("channel", num_bits=4, type="int"),
        compressed_config("channel", symmetric=False),
        {**compressed_config("channel"), "format": "nvfp4-pack-quantized"},
        {**compressed_config("channel"), "sparsity_config": {"format": "sparse-24-bitmask"}},
        {"quant_method": "compressed-tensors"},
        {"quant_method": "modelopt", "quant_algo": "NVFP4"},
    ],
)
def test_other_formats_are_refused(config: dict[str, Any], tmp_path: Path) -> None:
    folder = quantize(save(tmp_path / "dense"), config, row_fp8)
    with pytest.raises(UnsupportedModelError, match=f"quantized \\({config['quant_method']}"):
        resolve_model(folder).checkpoint  # noqa: B018 - opened at first need


def test_a_damaged_number_is_named(blocks: Path) -> None:
    tensors = stored(blocks)
    name = "model.layers.1.mlp.up_proj.weight_scale_inv"
    tensors[name][0, 0] = float("nan")
    rewrite(blocks, tensors)
    with pytest.raises(
        CheckpointError, match=r"tensor model\.layers\.1\.mlp\.up_proj\.weight holds NaN"
    ):
        make_plan(blocks, width=29, criterion="ppm")
