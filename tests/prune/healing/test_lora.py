"""Low-rank updates end in plain weights, and neurons of zeros stay zeros."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers as hf
from every_family import load, tiny_model
from family_trials import logits, save_pair
from healing_pairs import pair, rows, settings
from healing_runs import BATCH, QUICK
from safetensors.torch import load_file

from widthwise.cut import ModelWeights
from widthwise.errors import RunError
from widthwise.prune.healing import HealSettings, distil, heal
from widthwise.prune.healing.lora import add_lora, merge_lora, zero_neurons

pytestmark = pytest.mark.usefixtures("short_blocks")


@pytest.mark.parametrize("family", ["llama", "phi3"])
def test_padding_stays_zero(family: str) -> None:
    """Neurons of zeros get no gradient: what they write is multiplied by zero on both sides."""
    child, parent = pair(family)
    architecture = ModelWeights(child).architecture
    dead = torch.tensor([3, 4, 19])
    with torch.no_grad():
        for name, cut in architecture.cuts.items():
            index = torch.cat([dead + part * 20 for part in range(cut.parts)])
            child.get_parameter(name).index_fill_(cut.axis, index, 0)
    distil(child, parent, rows(), settings())
    masks = zero_neurons(dict(child.named_parameters()), architecture)
    assert all(mask.nonzero()[:, 0].tolist() == dead.tolist() for mask in masks.values())


def test_without_peft_the_extra_is_named(healed: Any, monkeypatch: Any) -> None:
    monkeypatch.setitem(sys.modules, "peft", None)
    with pytest.raises(RunError, match=r"pip install 'widthwise\[lora\]'"):
        healed(lora=2)


def test_low_rank_updates_end_in_a_plain_checkpoint(
    child: Path, dense: Path, text: Path, tmp_path: Path
) -> None:
    """Of rank 2 at most; what is no linear layer is as it was, padding too."""
    padded = shutil.copytree(child, tmp_path / "padded")
    model = hf.AutoModelForCausalLM.from_pretrained(padded)
    with torch.no_grad():
        for layer in model.model.layers:
            layer.mlp.gate_proj.weight[[3, 17]] = 0
            layer.mlp.up_proj.weight[[3, 17]] = 0
            layer.mlp.down_proj.weight[:, [3, 17]] = 0
    model.save_pretrained(padded)
    settings = HealSettings(**{**QUICK, "tokens": 12 * BATCH, "lora": 2})
    found = heal(padded, dense, out=tmp_path / "out", text=text, settings=settings, dtype="float32")
    assert found.gain.low > 0
    before, after = (load_file(p / "model.safetensors") for p in (padded, found.out))
    assert before.keys() == after.keys()
    moved = 0
    for name, value in before.items():
        change = after[name] - value
        if value.ndim < 2 or "embed" in name or "lm_head" in name:
            assert not change.any(), name
        else:
            moved += 1
            # zeroing two neurons again is a change of rank 2 more at most
            assert int(torch.linalg.matrix_rank(change, rtol=1e-5)) <= 4, name
            assert change.any(), name
        if "down_proj" in name:
            assert not after[name][:, [3, 17]].any()
            assert int((after[name] != 0).any(0).sum()) == 18
        if "gate_proj" in name or "up_proj" in name:
            assert not after[name][[3, 17]].any()
    assert moved == 3 * 7
    hf.AutoModelForCausalLM.from_pretrained(found.out)


# Experts stored one by one, and as one tensor; a router that is a linear layer; a Mamba mixer.
@pytest.mark.parametrize("family", ["qwen3_moe", "gpt_oss", "phimoe", "jamba"])
def test_every_expert_has_an_update_of_low_rank(family: str) -> None:
    """Merged, it gives the answers that were trained; a router is as it was."""
    model = tiny_model(family)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    architecture = ModelWeights(model).architecture
    add_lora(model, 2, seed=0)
    with torch.no_grad():
        generator = torch.Generator().manual_seed(1)
        for name, parameter in model.named_parameters():
            if parameter.requires_grad:
                assert "lora_" in name
                parameter.add_(0.05 * torch.randn(parameter.shape, generator=generator))
    trained = logits(model)
    merge_lora(model)
    # The update is added to the weight, not to what the weight gives: float32 rounding.
    torch.testing.assert_close(logits(model), trained, rtol=0, atol=1e-4 * trained.abs().max())
    after = model.state_dict()
    assert after.keys() == before.keys()
    changes = {name: (after[name] - before[name]) for name in after}
    assert not any(changes[name].any() for name in after if "router" in name or "mamba" in name)
    stacks = [name for name, cut in architecture.cuts.items() if cut.stacked and "bias" not in name]
    assert stacks
    for name in stacks:
        for expert in changes[name]:
            assert int(torch.linalg.matrix_rank(expert, rtol=1e-4)) == 2, name


def test_low_rank_updates_heal_a_mixture(tmp_path: Path) -> None:
    parent, child, text = save_pair("mixtral", tmp_path)
    settings = HealSettings(**{**QUICK, "tokens": 12 * BATCH, "lora": 2, "learning_rate": 1e-2})
    found = heal(child, parent, out=tmp_path / "out", text=text, settings=settings, dtype="float32")
    assert found.gain.low > 0
    before, after = (load_file(p / "model.safetensors") for p in (child, found.out))
    moved = {name for name in before if not torch.equal(before[name], after[name])}
    assert {name for name in before if ".experts." in name or "self_attn" in name} == moved
    load("mixtral", found.out)
