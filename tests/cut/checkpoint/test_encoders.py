"""Encoders as the hub stores them: other names than in memory, tables that are stored twice."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from every_family import WIDTH, load, tiny_model
from family_trials import logits, without
from safetensors.torch import load_file, save_file

from widthwise.arch import counts_at
from widthwise.cut import apply
from widthwise.cut.checkpoint import Checkpoint
from widthwise.errors import UnsupportedModelError
from widthwise.prune import make_plan, prune_checkpoint

KEPT = 24


def saved(family: str, folder: Path) -> tuple[Path, dict[str, torch.Tensor]]:
    tiny_model(family).save_pretrained(folder)
    return folder / "model.safetensors", load_file(folder / "model.safetensors")


def edit(folder: Path, **changes: Any) -> None:
    file = folder / "config.json"
    config = {**json.loads(file.read_text()), **changes}
    file.write_text(json.dumps({k: v for k, v in config.items() if v is not None}))


def check(family: str, dense: Path, out: Path) -> dict[str, torch.Tensor]:
    """The cut of a folder is that of the model in memory, and answers as the masked dense one."""
    plan = make_plan(dense, width=KEPT, align=1, criterion="ppm")
    model = load(family, dense)
    narrow = load(family, prune_checkpoint(dense, out, plan))
    in_memory = dict(apply(model, plan).named_parameters())
    assert all(torch.equal(each, in_memory[name]) for name, each in narrow.named_parameters())
    masked = logits(without(model, plan))
    # Sums of the same numbers in another order: float32 rounding, grown by the layers.
    torch.testing.assert_close(logits(narrow), masked, rtol=0, atol=1e-5 * masked.abs().max())
    with Checkpoint(dense) as checkpoint:
        assert counts_at(checkpoint.architecture).parameters == numel(model)
    assert plan.parameters == numel(narrow)
    return load_file(out / "model.safetensors")


def numel(model: Any) -> int:
    return sum(parameter.numel() for parameter in model.parameters())


def test_gte_is_stored_up_first_and_may_have_the_prefix_of_its_first_code(tmp_path: Path) -> None:
    file, tensors = saved("gte", tmp_path / "dense")
    assert tensors["gte.encoder.layer.0.mlp.up_gate_proj.weight"].shape == (2 * WIDTH, 32)
    renamed = {name.replace("gte.", "new.", 1): each for name, each in tensors.items()}
    save_file(renamed, file, {"format": "pt"})
    stored = check("gte", tmp_path / "dense", tmp_path / "out")
    assert stored["new.encoder.layer.0.mlp.up_gate_proj.weight"].shape == (2 * KEPT, 32)


def test_the_width_of_nomic_bert_is_stated_in_both_ways_of_the_hub(tmp_path: Path) -> None:
    saved("nomic_bert", tmp_path / "dense")
    edit(tmp_path / "dense", n_inner=WIDTH)
    check("nomic_bert", tmp_path / "dense", tmp_path / "out")
    written = json.loads((tmp_path / "out" / "config.json").read_text())
    assert (written["n_inner"], written["intermediate_size"]) == (KEPT, KEPT)


@pytest.mark.parametrize("is_apart", [False, True])
def test_t5_with_its_tables_stored_again_and_a_head_of_its_own(
    tmp_path: Path, is_apart: bool
) -> None:
    file, tensors = saved("t5", tmp_path / "dense")
    table = tensors["shared.weight"]
    again = {f"{part}.embed_tokens.weight": table.clone() for part in ("encoder", "decoder")}
    head = table.flip(0).contiguous() if is_apart else table.clone()
    save_file({**tensors, **again, "lm_head.weight": head}, file, {"format": "pt"})
    edit(tmp_path / "dense", tie_word_embeddings=False if is_apart else None)
    check("t5", tmp_path / "dense", tmp_path / "out")


def test_a_t5_whose_decoder_is_not_stored_is_refused_unless_its_class_has_none(
    tmp_path: Path,
) -> None:
    file, tensors = saved("t5", tmp_path)
    kept = {name: each for name, each in tensors.items() if not name.startswith("decoder.")}
    save_file(kept, file, {"format": "pt"})
    with pytest.raises(Exception, match=r"decoder\.block\.0"):
        prune_checkpoint(
            tmp_path, tmp_path.parent / "out", make_plan(tmp_path, width=KEPT, criterion="ppm")
        )
    edit(tmp_path, architectures=["T5EncoderModel"])
    out = prune_checkpoint(
        tmp_path, tmp_path.parent / "out", make_plan(tmp_path, width=KEPT, criterion="ppm")
    )
    assert load("t5-encoder", out).config.d_ff == KEPT


def test_an_encoder_is_not_stored_as_compact(tmp_path: Path) -> None:
    from family_trials import inputs

    from widthwise.prune import refit

    saved("modernbert", tmp_path / "dense")
    model = load("modernbert", tmp_path / "dense")
    batches = [inputs(model, seed, 4, 40) for seed in range(4)]
    done = refit(tmp_path / "dense", remove="40%", widths=[20, 30, 40], text=batches)
    with pytest.raises(UnsupportedModelError, match=r"only a causal language model .* use padded"):
        prune_checkpoint(
            tmp_path / "dense", tmp_path / "out", done.plan, refit=done, layout="compact"
        )
    out = prune_checkpoint(tmp_path / "dense", tmp_path / "out", done.plan, refit=done)
    assert torch.equal(logits(load("modernbert", out)), logits(apply(model, done.plan, done)))
