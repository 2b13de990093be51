"""Models of text and images: cut, loaded by the lines of their cards, and healed."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers as hf
from cards import by_card
from checkpoint_files import stored
from families import tiny
from healing_runs import QUICK, VOCABULARY, save_tokenizer
from multimodal_models import MULTIMODAL, save_multimodal
from safetensors.torch import save_file
from torch import Tensor

from widthwise import make_plan, prune_checkpoint
from widthwise.cut.checkpoint import Checkpoint, load_model
from widthwise.prune.calibration import calibrate
from widthwise.prune.healing import HealSettings, heal
from widthwise.prune.refitting import refit

pytestmark = pytest.mark.usefixtures("short_blocks")
KEPT = 20


def logits(model: Any) -> Tensor:
    ids = torch.randint(20, 250, (2, 12), generator=torch.Generator().manual_seed(3))
    with torch.no_grad():
        found: Tensor = model(input_ids=ids).logits
    return found


def without(model: Any, folder: Path, keep: tuple[tuple[int, ...], ...]) -> Any:
    """The dense model with removed neurons at zero."""
    with Checkpoint(folder) as checkpoint:
        architecture = checkpoint.architecture
    width = architecture.intermediate_size
    for name, parameter in model.named_parameters():
        match = re.search(r"layers\.(\d+)\.mlp\.down_proj\.weight$", name)
        if match and parameter.shape[1] == width:
            parameter.data[:, sorted(set(range(width)) - set(keep[int(match[1])]))] = 0
    return model


@pytest.mark.parametrize("kind", MULTIMODAL)
def test_a_cut_model_is_loaded_by_its_card_and_equals_the_dense_one_without_neurons(
    kind: str, tmp_path: Path
) -> None:
    dense = save_multimodal(kind, tmp_path / "dense")
    plan = make_plan(dense, width=KEPT, align=1, criterion="ppm")
    out = prune_checkpoint(dense, tmp_path / "out", plan)
    found = by_card(out)
    assert type(found["model"]).__name__ == type(MULTIMODAL[kind]()).__name__
    assert found["tokenizer"].get_vocab()
    whole = without(hf.AutoModelForImageTextToText.from_pretrained(dense), dense, plan.keep)
    # Sums over fewer neurons round otherwise: float32 keeps seven digits of logits around 10.
    torch.testing.assert_close(logits(found["model"]), logits(whole), rtol=1e-4, atol=1e-4)
    before, after = stored(dense), stored(out)
    assert before.keys() == after.keys()
    assert all(torch.equal(before[n], after[n]) for n in before if "vision" in n or "visual" in n)


@pytest.mark.parametrize("kind", MULTIMODAL)
def test_a_model_is_healed_under_its_stored_names_and_its_tower_stays_as_it_is(
    kind: str, text: Path, tmp_path: Path
) -> None:
    dense = save_multimodal(kind, tmp_path / "dense")
    child = prune_checkpoint(
        dense, tmp_path / "child", make_plan(dense, width=KEPT, align=1, criterion="ppm")
    )
    out = tmp_path / "healed"
    heal(child, dense, out=out, text=text, settings=HealSettings(**QUICK), dtype="float32")
    before, after = stored(child), stored(out)
    assert before.keys() == after.keys()
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert any(".mlp.down_proj." in name for name in changed)
    assert any("embed_tokens" in name for name in changed)
    assert not any("vision" in name or "visual" in name for name in changed)
    model = by_card(out)["model"]
    with Checkpoint(out) as checkpoint:
        assert torch.equal(logits(model), logits(load_model(checkpoint, dtype=torch.float32)))


def test_a_refit_is_written_under_stored_names(text: Path, tmp_path: Path) -> None:
    dense = save_multimodal("llava", tmp_path / "dense")
    done = refit(dense, width=KEPT, align=1, text=text, tokens=2048, sequential=False)
    assert calibrate(dense, text=text, tokens=2048).model == done.plan.fingerprint
    out = prune_checkpoint(dense, tmp_path / "out", done.plan, refit=done)
    assert done.down is not None
    model = by_card(out)["model"]
    weight = model.model.language_model.layers[1].mlp.down_proj.weight
    assert torch.equal(weight, done.down[1])


def test_low_rank_updates_are_merged_under_stored_names(text: Path, tmp_path: Path) -> None:
    pytest.importorskip("peft")
    dense = save_multimodal("gemma3", tmp_path / "dense")
    child = prune_checkpoint(
        dense, tmp_path / "child", make_plan(dense, width=KEPT, align=1, criterion="ppm")
    )
    settings = HealSettings(**QUICK, lora=2)
    out = tmp_path / "healed"
    heal(child, dense, out=out, text=text, settings=settings, dtype="float32")
    before, after = stored(child), stored(out)
    name = "language_model.model.layers.0.mlp.down_proj.weight"
    assert before.keys() == after.keys()
    assert not torch.equal(before[name], after[name])


@pytest.mark.parametrize("prefix", ["base", "doubled"])
def test_names_that_transformers_adapts_are_kept_by_a_healing(
    prefix: str, text: Path, tmp_path: Path
) -> None:
    dense = tmp_path / "dense"
    tiny(
        "llama", vocab_size=VOCABULARY, initializer_range=0.3, tie_word_embeddings=True
    ).save_pretrained(dense)
    save_tokenizer(dense)
    held = {
        name.removeprefix("model.") if prefix == "base" else "model." + name: tensor
        for name, tensor in stored(dense).items()
    }
    save_file(held, dense / "model.safetensors", {"format": "pt"})
    child = prune_checkpoint(
        dense, tmp_path / "child", make_plan(dense, width=KEPT, align=1, criterion="ppm")
    )
    out = tmp_path / "healed"
    heal(child, dense, out=out, text=text, settings=HealSettings(**QUICK), dtype="float32")
    assert stored(out).keys() == held.keys()
    model = hf.AutoModelForCausalLM.from_pretrained(out)
    name = "layers.0.mlp.down_proj.weight"
    there = next(tensor for each, tensor in stored(out).items() if each.endswith(name))
    assert torch.equal(model.model.get_parameter(name), there)
