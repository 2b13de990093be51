"""A GGUF file is planned and cut from the file itself."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
import transformers as hf
from checkpoint_files import load
from converted_gguf import TEXT, model_of
from families import built
from healing_runs import QUICK, save_text
from safetensors.torch import load_file
from tiny_gguf import write_gguf

from widthwise import make_plan, prune_checkpoint
from widthwise.assets import convert_gguf
from widthwise.cut import fingerprint
from widthwise.cut.checkpoint import load_model, resolve_model
from widthwise.prune.healing import HealSettings, heal

KEPT = 29


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("WIDTHWISE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "gguf"


@pytest.fixture
def parent(tmp_path: Path, cache: Path) -> Path:
    write_gguf(model_of(), tmp_path / "tiny.gguf")
    return tmp_path / "tiny.gguf"


def converted(cache: Path) -> list[Path]:
    return [path for path in cache.rglob("*.safetensors")]


def test_a_plan_and_a_cut_are_those_of_the_converted_folder(
    parent: Path, cache: Path, tmp_path: Path
) -> None:
    plan = make_plan(parent, width=KEPT, criterion="ppm")
    out = prune_checkpoint(parent, tmp_path / "out", plan)
    assert not converted(cache)
    convert_gguf(parent, tmp_path / "folder", "bfloat16")
    of_folder = make_plan(tmp_path / "folder", width=KEPT, criterion="ppm")
    assert (of_folder.keep, of_folder.fingerprint) == (plan.keep, plan.fingerprint)
    assert of_folder.parent_parameters == plan.parent_parameters
    expected = prune_checkpoint(tmp_path / "folder", tmp_path / "other", of_folder)
    names = {path.name for path in out.iterdir()}
    assert names == {path.name for path in expected.iterdir()}
    for name in names - {"README.md", "widthwise_plan.json"}:  # which name the parent
        assert (out / name).read_bytes() == (expected / name).read_bytes(), name


def test_a_plan_converts_no_tokenizer(parent: Path, cache: Path) -> None:
    make_plan(parent, width=KEPT, criterion="ppm")
    assert [path.name for path in cache.iterdir()] == ["heads"]


def test_a_model_is_loaded_without_a_folder_and_is_that_of_the_folder(
    parent: Path, cache: Path
) -> None:
    source = resolve_model(parent)
    with source.checkpoint as checkpoint:
        model = load_model(checkpoint, dtype=torch.float32)
        assert not converted(cache)
        with resolve_model(source.path).checkpoint as folder:
            assert fingerprint(checkpoint) == fingerprint(folder)
    assert [path.parent for path in converted(cache)] == [source.path]
    stored = load_file(source.path / "model.safetensors")
    for name, tensor in model.named_parameters():
        assert torch.equal(tensor, stored[name].float()), name
    assert source.tokenizer("!!").input_ids == [3]
    made = hf.AutoModelForCausalLM.from_pretrained(source.path).generation_config
    assert model.generation_config.to_dict() == made.to_dict()


def experts(writer: Any) -> None:
    writer.add_expert_count(4)
    writer.add_expert_used_count(2)
    writer.add_expert_feed_forward_length(24)


def test_experts_are_cut_from_the_file(tmp_path: Path, cache: Path) -> None:
    """The logits of the cut are those of the dense model without the neurons that went."""
    model = built(
        hf.Qwen3MoeConfig,
        num_experts=4,
        num_experts_per_tok=2,
        moe_intermediate_size=24,
        initializer_range=0.3,
    )
    write_gguf(model, tmp_path / "tiny.gguf", "qwen3moe", experts)
    plan = make_plan(tmp_path / "tiny.gguf", width=16, criterion="ppm")
    cut = load(prune_checkpoint(tmp_path / "tiny.gguf", tmp_path / "out", plan)).float()
    assert cut.config.moe_intermediate_size == 16
    dense = load_model(resolve_model(tmp_path / "tiny.gguf").checkpoint, dtype=torch.float32)
    layers = [layer.mlp.experts for layer in dense.model.layers]
    with torch.no_grad():
        for group, keep in enumerate(plan.keep):
            gone = [neuron for neuron in range(24) if neuron not in keep]
            layers[group // 4].down_proj[group % 4][:, gone] = 0
        # Sums of other lengths in float32: a neuron that is lost changes logits by more than 0.01.
        torch.testing.assert_close(cut(TEXT).logits, dense(TEXT).logits, rtol=0, atol=1e-4)


@pytest.mark.usefixtures("short_blocks")
def test_a_cut_of_a_file_into_a_file_is_healed_into_a_folder(parent: Path, tmp_path: Path) -> None:
    child = tmp_path / "child.gguf"
    prune_checkpoint(parent, child, make_plan(parent, width=KEPT, align=1, criterion="ppm"))
    text = save_text(tmp_path / "text.txt")
    text.write_text("-".join(text.read_text().split()))  # its vocabulary is without spaces
    out = tmp_path / "out"
    heal(child, parent, out=out, text=text, settings=HealSettings(**QUICK), dtype="float32")
    assert [path.name for path in out.glob("*.safetensors")] == ["model.safetensors"]
    assert not list(out.glob("*.gguf"))
    with resolve_model(child).checkpoint as before, resolve_model(out).checkpoint as after:
        specs = [{n: s.spec for n, s in each.tensors.items()} for each in (before, after)]
        assert specs[0] == specs[1]
        assert fingerprint(before) != fingerprint(after)
    assert load(out).config.intermediate_size == KEPT
