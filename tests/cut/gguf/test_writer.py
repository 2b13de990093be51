"""GGUF to GGUF: what has nothing to do with the width is the same byte for byte."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest
import torch
import transformers as hf
from command_line import prune_by_weights, run
from every_family import tiny_model
from family_trials import save_words
from llama_cpp import CLOSE, greedy_of_file, greedy_of_model
from tiny_gguf import requantized, write_gguf

import widthwise
from widthwise.cut import Plan, Refit, apply
from widthwise.cut.checkpoint import resolve_model
from widthwise.cut.gguf import down_alignment, export_gguf, write_pruned_gguf
from widthwise.errors import CheckpointError, OutputError, PlanError, UnsupportedModelError
from widthwise.prune import make_plan, prune_checkpoint, prune_gguf, refit

HIDDEN, WIDTH, LAYERS, VOCAB = 64, 96, 3, 96


@pytest.fixture
def model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("WIDTHWISE_CACHE", str(tmp_path / "cache"))
    torch.manual_seed(0)
    shape = {"vocab_size": VOCAB, "hidden_size": HIDDEN, "intermediate_size": WIDTH}
    heads = {"num_attention_heads": 4, "num_key_value_heads": 2, "num_hidden_layers": LAYERS}
    config = hf.LlamaConfig(**shape, **heads, max_position_embeddings=256, initializer_range=0.3)
    made = hf.LlamaForCausalLM(config).eval().to(torch.bfloat16).float()  # as it is converted
    write_gguf(made, tmp_path / "tiny.gguf")
    return made


def read(path: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    reader = gguf.GGUFReader(path)
    fields = {f.name: f.contents() for f in reader.fields.values() if f.name[:5] != "GGUF."}
    return fields, {tensor.name: tensor for tensor in reader.tensors}


@pytest.mark.parametrize("kind", [None, gguf.GGMLQuantizationType.Q4_1])
def test_rows_and_all_else_are_the_same_bit_for_bit(kind: Any, model: Any, tmp_path: Path) -> None:
    source = tmp_path / "tiny.gguf"
    source = source if kind is None else requantized(source, tmp_path / "small.gguf", kind)
    plan = make_plan(source, width=64, criterion="ppm")
    result = prune_gguf(source, tmp_path / "out.gguf", plan)
    before, after = read(source), read(tmp_path / "out.gguf")
    assert after[0].pop("llama.feed_forward_length") == 64
    assert before[0].pop("llama.feed_forward_length") == WIDTH
    own = {name: after[0].pop(name) for name in list(after[0]) if name.startswith("widthwise.")}
    assert before[0] == after[0]
    assert own == {
        "widthwise.version": widthwise.__version__,
        "widthwise.plan": plan.digest,
        "widthwise.width": f"width 64 of {WIDTH}",
        "widthwise.refitted": False,
    }
    assert [*before[1]] == [*after[1]]
    for name, tensor in before[1].items():
        found = after[1][name]
        assert found.tensor_type == tensor.tensor_type
        if "ffn_down" in name:
            continue
        rows: Any = ...
        if "ffn_gate" in name or "ffn_up" in name:
            rows = list(plan.keep[int(name.split(".")[1])])
        assert np.array_equal(found.data, tensor.data[rows])
    assert result.bytes_after == (tmp_path / "out.gguf").stat().st_size < result.bytes_before
    assert (result.error == 0) == (kind is None)
    assert result.error < 0.1  # 4 bits over a range: about 1/16 of it, divided by root 12


def test_the_result_is_the_cut_of_the_converted_model(model: Any, tmp_path: Path) -> None:
    plan = make_plan(tmp_path / "tiny.gguf", width=64, criterion="ppm")
    out = prune_checkpoint(tmp_path / "tiny.gguf", tmp_path / "out.gguf", plan)
    back = hf.AutoModelForCausalLM.from_pretrained(tmp_path, gguf_file=out.name, dtype="float32")
    narrow = dict(apply(model, plan).named_parameters())
    assert all(torch.equal(each, narrow[name]) for name, each in back.named_parameters())
    assert back.config.intermediate_size == 64


def test_a_file_that_was_cut_is_cut_again_and_states_the_last_cut(
    model: Any, tmp_path: Path
) -> None:
    prune_gguf(
        tmp_path / "tiny.gguf",
        tmp_path / "once.gguf",
        make_plan(tmp_path / "tiny.gguf", width=64, criterion="ppm"),
    )
    plan = make_plan(tmp_path / "once.gguf", width=32, criterion="ppm")
    prune_gguf(tmp_path / "once.gguf", tmp_path / "twice.gguf", plan)
    fields, _ = read(tmp_path / "twice.gguf")
    assert fields["widthwise.plan"] == plan.digest
    assert fields["widthwise.width"] == "width 32 of 64"
    assert fields["llama.feed_forward_length"] == 32


def test_a_refit_takes_the_place_of_down(model: Any, tmp_path: Path) -> None:
    batches = [{"input_ids": torch.randint(3, VOCAB, (4, 40))} for _ in range(6)]
    done = refit(resolve_model(tmp_path / "tiny.gguf"), width=64, text=batches, tokenizer=None)
    assert done.scales
    assert not done.rows  # down alone is scaled
    prune_gguf(tmp_path / "tiny.gguf", tmp_path / "out.gguf", done.plan, refit=done)
    fields, tensors = read(tmp_path / "out.gguf")
    assert fields["widthwise.refitted"] is True
    for layer, down in enumerate(done.down):
        assert np.array_equal(tensors[f"blk.{layer}.ffn_down.weight"].data, down.float().numpy())


def test_scales_of_what_is_kept_are_refused(model: Any, tmp_path: Path) -> None:
    batches = [{"input_ids": torch.randint(3, VOCAB, (4, 40))} for _ in range(6)]
    done = refit(resolve_model(tmp_path / "tiny.gguf"), width=64, text=batches, tokenizer=None)
    odd = Refit(**{**vars(done), "rows": {(0, "input_layernorm.weight"): torch.ones(HIDDEN)}})
    with pytest.raises(PlanError, match=r"scales for rows of 1 tensors that a \.gguf file keeps"):
        prune_gguf(tmp_path / "tiny.gguf", tmp_path / "out.gguf", odd.plan, refit=odd)
    assert not (tmp_path / "out.gguf").exists()


def test_widths_by_layers_are_an_array(model: Any, tmp_path: Path) -> None:
    plan = make_plan(tmp_path / "tiny.gguf", width=64, criterion="ppm")
    keep = (plan.keep[0], plan.keep[1][:32], plan.keep[2])
    uneven = Plan(**{**vars(plan), "keep": keep})
    uneven.save(tmp_path / "plan.json")
    words = ["--plan", tmp_path / "plan.json", "-o", tmp_path / "out.gguf"]
    result = run("prune", tmp_path / "tiny.gguf", *words)
    assert result.exit_code == 0, result.output
    assert "Padded" not in result.stderr
    fields, tensors = read(tmp_path / "out.gguf")
    assert fields["general.architecture"] == "deci"  # a Llama of uneven layers
    assert fields["deci.feed_forward_length"] == [64, 32, 64]
    assert not any(name.startswith("llama.") for name in fields)
    assert tensors["blk.1.ffn_down.weight"].data.shape == (HIDDEN, 32)


@pytest.mark.parametrize("layers", [(64, 64, 64), (64, 32, 48)])
def test_llama_cpp_writes_what_transformers_writes(
    layers: tuple[int, ...], model: Any, tmp_path: Path
) -> None:
    """The same greedy tokens, of float32 weights, up to the first that has no text."""
    package = pytest.importorskip("xllamacpp")
    plan = make_plan(tmp_path / "tiny.gguf", width=64, criterion="ppm")
    keep = tuple(keep[:width] for keep, width in zip(plan.keep, layers, strict=True))
    plan = Plan(**{**vars(plan), "keep": keep})
    out = prune_checkpoint(tmp_path / "tiny.gguf", tmp_path / "out.gguf", plan)
    ids = torch.tensor([[1, 40, 41, 42]])
    narrow = apply(model, plan)
    written = narrow.generate(ids, max_new_tokens=12, do_sample=False, eos_token_id=None)
    tokens = written[0, 4:].tolist()
    tokens = tokens[: next((at for at, token in enumerate(tokens) if token < 3), None)]
    assert len(tokens) > 6
    params = package.CommonParams()
    params.model.path, params.n_ctx, params.warmup = str(out), 128, False
    server = package.Server(params)
    asked = {"prompt": ids[0].tolist(), "n_predict": len(tokens), "top_k": 1, "ignore_eos": True}
    answer = server.handle_completions({**asked, "temperature": 0})
    words = gguf.GGUFReader(out).fields["tokenizer.ggml.tokens"].contents()
    assert answer["choices"][0]["text"] == "".join(words[token] for token in tokens)


def test_the_command_rounds_to_blocks_and_says_what_it_wrote(model: Any, tmp_path: Path) -> None:
    kind = gguf.GGMLQuantizationType.Q8_0
    source = requantized(tmp_path / "tiny.gguf", tmp_path / "small.gguf", kind)
    assert down_alignment(source) == 32
    result = run(
        "prune", source, "--criterion", "ppm", "--remove", "20%", "-o", tmp_path / "out.gguf"
    )
    assert result.exit_code == 0, result.output
    assert "width 64 of 96" in result.stderr
    assert "down written as Q8_0, which changes its numbers by" in result.stderr
    assert result.stdout.strip() == str(tmp_path / "out.gguf")
    again = run(
        "prune", source, "--criterion", "ppm", "--remove", "20%", "-o", tmp_path / "out.gguf"
    )
    assert again.exit_code == 1
    assert "already exists" in again.output
    replaced = prune_by_weights(source, tmp_path / "out.gguf", "--remove", "40%", "--force")
    assert replaced.exit_code == 0, replaced.output
    assert "width 32 of 96" in replaced.stderr
    (tmp_path / "folder.gguf").mkdir()
    onto = prune_by_weights(source, tmp_path / "folder.gguf", "--remove", "40%", "--force")
    assert "is a folder; choose another file" in onto.stderr


def test_a_folder_that_is_larger_than_the_file_is_said_before_it_is_written(
    model: Any, tmp_path: Path
) -> None:
    kind = gguf.GGMLQuantizationType.Q8_0
    source = requantized(tmp_path / "tiny.gguf", tmp_path / "small.gguf", kind)
    out = tmp_path / "out"
    larger = prune_by_weights(source, out, "--remove", "20%", "--dtype", "float32")
    nbytes = (out / "model.safetensors").stat().st_size
    header = 8 + int.from_bytes((out / "model.safetensors").read_bytes()[:8], "little")
    assert f"{nbytes - header:,} bytes of weights in float32, more than the" in larger.stderr
    assert f"more than the {source.stat().st_size:,} of small.gguf" in larger.stderr
    smaller = prune_by_weights(source, out, "--remove", "20%", "--dtype", "bfloat16", "--force")
    assert smaller.exit_code == 0, smaller.output
    assert "more than the" not in smaller.stderr


def test_a_home_folder_is_read_as_the_model_is(
    model: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`"~/X.gguf"` in quotes was rounded as a folder is, and down then written in another type."""
    kind = gguf.GGMLQuantizationType.Q8_0
    requantized(tmp_path / "tiny.gguf", tmp_path / "small.gguf", kind)
    monkeypatch.setenv("HOME", str(tmp_path))
    result = prune_by_weights("~/small.gguf", tmp_path / "out.gguf", "--remove", "20%")
    assert result.exit_code == 0, result.output
    assert "width 64 of 96" in result.stderr
    assert "down written as Q8_0, which changes" in result.stderr
    exact = prune_by_weights("~/small.gguf", tmp_path / "exact.gguf", "--remove", "20%", "--exact")
    assert "width 76 of 96" in exact.stderr


@pytest.mark.parametrize(
    ("kind", "value", "reason"),
    [
        (None, np.nan, "blk.1.ffn_down.weight holds NaN or Inf"),
        (None, -np.inf, "blk.1.ffn_down.weight holds NaN or Inf"),
        # Rows of 60 do not fill blocks of 32: they are written in F16, which ends at 65504.
        (gguf.GGMLQuantizationType.Q8_0, 1e5, "blk.1.ffn_down.weight holds numbers too large"),
    ],
)
def test_a_down_of_no_numbers_is_refused_and_leaves_no_file(
    kind: Any, value: float, reason: str, model: Any, tmp_path: Path
) -> None:
    """It was written, with the note that this changes its numbers by nan%."""
    with torch.no_grad():
        model.model.layers[1].mlp.down_proj.weight[0, :] = value
    source = tmp_path / "damaged.gguf"
    write_gguf(model, source)
    source = source if kind is None else requantized(source, tmp_path / "small.gguf", kind)
    plan = make_plan(source, width=60, align=1, criterion="ppm")
    with pytest.raises(CheckpointError, match=re.escape(reason)):
        prune_gguf(source, tmp_path / "out.gguf", plan)
    assert not [each for each in tmp_path.iterdir() if "out.gguf" in each.name]


def test_downs_of_zeros_change_by_nothing(model: Any, tmp_path: Path) -> None:
    """It was a division by zero, after the file had been written."""
    with torch.no_grad():
        for layer in model.model.layers:
            layer.mlp.down_proj.weight.zero_()
    write_gguf(model, tmp_path / "zeros.gguf")
    plan = make_plan(tmp_path / "zeros.gguf", width=64, criterion="ppm")
    assert prune_gguf(tmp_path / "zeros.gguf", tmp_path / "out.gguf", plan).error == 0


def test_a_second_writer_of_one_file_is_refused(model: Any, tmp_path: Path) -> None:
    """Both wrote into one file: it held neighbours of both, and its maker ended well."""
    source, out = tmp_path / "tiny.gguf", tmp_path / "out.gguf"
    wide, narrow = (
        make_plan(source, width=64, criterion="ppm"),
        make_plan(source, width=32, criterion="ppm"),
    )
    refused = []

    def meanwhile(_: int) -> None:
        if not refused:
            with pytest.raises(OutputError, match="being written by another process") as found:
                prune_gguf(source, out, narrow)
            refused.append(found)

    prune_gguf(source, out, wide, progress=meanwhile)
    fields, tensors = read(out)
    assert fields["llama.feed_forward_length"] == 64
    assert tensors["blk.2.ffn_down.weight"].data.shape == (HIDDEN, 64)


def test_what_cannot_be_written_is_one_sentence(model: Any, tmp_path: Path) -> None:
    source = tmp_path / "tiny.gguf"
    plan = make_plan(source, width=64, criterion="ppm")
    architecture = resolve_model(source).checkpoint.architecture
    out = tmp_path / "out.gguf"
    tiny_model("llama").save_pretrained(tmp_path / "folder")
    with pytest.raises(UnsupportedModelError, match="by widthwise export"):
        prune_gguf(tmp_path / "folder", out, plan)
    with pytest.raises(OutputError, match="keeps the types of its parent"):
        prune_gguf(source, out, plan, dtype="float16")
    with pytest.raises(OutputError, match="is the parent itself"):
        write_pruned_gguf(source, architecture, plan, source, force=True)
    with pytest.raises(PlanError, match="was made for"):
        prune_gguf(source, out, Plan(**{**vars(plan), "fingerprint": "0" * 64}))
    short = Plan(**{**vars(plan), "keep": plan.keep[:2]})
    with pytest.raises(CheckpointError, match="more layers than the 2 planned"):
        write_pruned_gguf(source, architecture, short, out)
    with pytest.raises(CheckpointError, match="cannot be read as a GGUF file"):
        down_alignment(tmp_path / "folder" / "config.json")
    assert not out.exists()


def test_where_llama_cpp_reads_one_width_zeros_fill_narrower_layers_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """llama.cpp refuses widths by layers of all but a few architectures."""
    monkeypatch.setenv("WIDTHWISE_CACHE", str(tmp_path / "cache"))
    model = tiny_model("qwen2").to(torch.bfloat16).float()
    write_gguf(model, tmp_path / "tiny.gguf", "qwen2")
    plan = make_plan(tmp_path / "tiny.gguf", width=32, align=8, criterion="ppm")
    plan = Plan(**{**vars(plan), "keep": (plan.keep[0], plan.keep[1][:8], plan.keep[2][:24])})
    result = prune_gguf(tmp_path / "tiny.gguf", tmp_path / "out.gguf", plan)
    assert "Padded to width 32" in str(result)
    fields, tensors = read(tmp_path / "out.gguf")
    assert fields["qwen2.feed_forward_length"] == 32
    assert (tensors["blk.1.ffn_up.weight"].data[8:] == 0).all()
    assert (tensors["blk.1.ffn_down.weight"].data[:, 8:] == 0).all()
    pytest.importorskip("xllamacpp")
    prompt = [1, 40, 41, 42]
    expected = greedy_of_model(apply(model, plan), prompt, {0, 1, 2})
    found = greedy_of_file(tmp_path / "out.gguf", prompt, 1)
    assert found[0][0] == expected[0][0]
    assert abs(found[0][1] - expected[0][1]) < CLOSE


@pytest.mark.long
@pytest.mark.demo
@pytest.mark.parametrize("family", ["mixtral", "qwen2_moe"])
def test_each_expert_of_a_mixture_is_cut(family: str, tmp_path: Path) -> None:
    """Rows of gate and up are the same bits, and llama.cpp writes what transformers writes."""
    pytest.importorskip("xllamacpp")
    dense = resolve_model(save_words(family, tmp_path / "dense"))
    export_gguf(dense, tmp_path / "dense.gguf", "f32")
    plan = make_plan(dense, remove="40%", align=8, criterion="ppm")
    architecture = dense.checkpoint.architecture
    out = tmp_path / "out.gguf"
    result = write_pruned_gguf(tmp_path / "dense.gguf", architecture, plan, out)
    before, after = read(tmp_path / "dense.gguf"), read(out)
    ends = {None: "shexp", **{number: "exps" for number in range(4)}}
    for group, keep in zip(architecture.groups, plan.keep, strict=True):
        name = f"blk.{group.layer}.ffn_gate_{ends[group.expert]}.weight"
        old, new = (found[1][name].data for found in (before, after))
        if group.expert is not None:
            old, new = old[group.expert], new[group.expert]
        assert np.array_equal(new, old[list(keep)])
    assert result.error == 0
    model: Any = hf.AutoModelForCausalLM.from_pretrained(
        prune_checkpoint(dense, tmp_path / "narrow", plan)
    )
    prompt = [1, 40, 41, 42]
    expected, found = greedy_of_model(model, prompt, {0, 2}), greedy_of_file(out, prompt)
    assert [token for token, _ in found] == [token for token, _ in expected]
