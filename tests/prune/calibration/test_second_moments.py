"""Second moments of a whole model over a text: equal to a plain loop, additive, without padding."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from families import FAMILIES, LAYERS, VOCAB, WIDTH, tiny
from layered_models import uneven_batches

from widthwise.errors import OutputError, RunError
from widthwise.prune.calibration import Calibration, calibrate


def plain_moments(model: Any, layer: int, given: list[dict[str, Any]]) -> torch.Tensor:
    """The sum of h h^T in float64, token by token, with the model run as a whole."""
    seen: list[torch.Tensor] = []
    down = model.get_submodule(f"model.layers.{layer}.mlp.down_proj")
    handle = down.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].detach()))
    with torch.no_grad():
        for batch in given:
            model(**batch)
    handle.remove()
    total = torch.zeros(WIDTH, WIDTH, dtype=torch.float64)
    for batch, rows in zip(given, seen, strict=True):
        mask = batch.get("attention_mask", torch.ones_like(batch["input_ids"]))
        for h, kept in zip(rows.flatten(0, 1).double(), mask.flatten(), strict=True):
            if kept:
                total += torch.outer(h, h)
    return total


@pytest.mark.parametrize("family", FAMILIES)
def test_moments_equal_a_plain_loop(family: str) -> None:
    """Every layer of every family, each layer run on its own. float32 sums of 60 terms: 1e-5."""
    model, given = tiny(family), uneven_batches()
    calibration = calibrate(model, text=given)
    for layer in range(LAYERS):
        halves = calibration.layers[layer]
        for moments, half in ((halves.fit, given[::2]), (halves.held_out, given[1::2])):
            expected = plain_moments(model, layer, half)
            torch.testing.assert_close(
                moments.total.double(), expected, rtol=1e-4, atol=1e-5 * float(expected.max())
            )
            assert moments.tokens == sum(batch["input_ids"].numel() for batch in half)


def test_a_model_is_run_in_eval_mode_and_left_as_it_was() -> None:
    model = tiny("llama", attention_dropout=0.5).train()
    forward = model.model.layers[0].forward
    first, again = (calibrate(model, text=uneven_batches()).layers[1].fit.total for _ in range(2))
    assert torch.equal(first, again)
    assert model.training
    assert model.model.layers[0].forward == forward
    assert not model.model.layers[1].mlp.down_proj._forward_pre_hooks


def test_padding_is_left_out() -> None:
    model, (first, second) = tiny("gemma3_text"), uneven_batches(2)
    whole = calibrate(model, text=[first, second])
    ids = first["input_ids"]
    mask = torch.cat([torch.ones_like(ids), torch.zeros(3, 6, dtype=torch.long)], 1)
    padded = {
        "input_ids": torch.cat([ids, torch.full((3, 6), 5)], 1),
        "attention_mask": mask,
    }
    got = calibrate(model, text=[padded, second])
    for layer in range(LAYERS):
        torch.testing.assert_close(
            got.layers[layer].fit.total, whole.layers[layer].fit.total, rtol=1e-4, atol=1e-6
        )
    assert got.parts[0].fingerprint == whole.parts[0].fingerprint
    assert got.parts[0].fit_tokens == ids.numel()


def test_merging_and_resuming_from_a_file_equal_one_pass(tmp_path: Path) -> None:
    model, given = tiny("qwen3"), uneven_batches(6)
    whole = calibrate(model, text=given)
    first = calibrate(model, text=given[:2], out=tmp_path / "first.safetensors")
    rest = calibrate(model, text=given[2:])
    merged = Calibration.load(tmp_path / "first.safetensors").merged(rest)
    merged.save(tmp_path / "merged.safetensors")
    stored = Calibration.load(tmp_path / "merged.safetensors")
    assert stored.parts == (*first.parts, *rest.parts)
    assert stored.model == whole.model
    for layer in range(LAYERS):
        for half in ("fit", "held_out"):
            got, expected = (getattr(c.layers[layer], half) for c in (stored, whole))
            assert got.tokens == expected.tokens
            torch.testing.assert_close(got.total, expected.total, rtol=1e-5, atol=1e-6)


def test_what_does_not_add_up_is_refused(tmp_path: Path) -> None:
    first = calibrate(tiny("llama"), text=uneven_batches())
    with pytest.raises(RunError, match="text in common cannot be added"):
        first.merged(first)
    with pytest.raises(RunError, match="different GLU weights cannot be added"):
        first.merged(calibrate(tiny("llama", seed=1), text=uneven_batches(seed=4)))
    path = tmp_path / "moments.safetensors"
    first.save(path)
    with pytest.raises(OutputError, match="already exists"):
        first.save(path)
    path.write_bytes(path.read_bytes()[:-8])
    with pytest.raises(RunError, match="cannot be read as moments"):
        Calibration.load(path)
    with pytest.raises(RunError, match="cannot be read as moments"):
        Calibration.load(tmp_path / "absent")
    assert [each.name for each in tmp_path.iterdir()] == [path.name]


def test_a_layer_of_a_file_is_read_when_it_is_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "moments.safetensors"
    calibrate(tiny("llama"), text=uneven_batches(), out=path)
    stored = Calibration.load(path)
    assert len(stored.layers) == LAYERS
    assert stored.layers[1] is not stored.layers[1]  # nothing is kept
    with pytest.raises(KeyError):
        stored.layers[LAYERS]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ([], "at least two batches that are not all padding"),
        (uneven_batches(1), "at least two batches that are not all padding"),
        (
            [{**b, "attention_mask": torch.zeros_like(b["input_ids"])} for b in uneven_batches()],
            "not all padding",
        ),
        ([{"input_ids": torch.full((2, 30), 7)}] * 2, "repeats only 1 different token"),
    ],
)
def test_batches_that_are_no_text_are_refused(given: Any, message: str) -> None:
    with pytest.raises(RunError, match=message):
        calibrate(tiny("llama"), text=given)


def test_a_foreign_token_is_refused() -> None:
    given = uneven_batches()
    given[2]["input_ids"][0, 0] = VOCAB
    with pytest.raises(
        RunError, match=f"token {VOCAB} .* not one of the {VOCAB} tokens of the model"
    ):
        calibrate(tiny("llama"), text=given)


def test_overflow_in_half_precision_is_told() -> None:
    model = tiny("llama")
    with torch.no_grad():
        model.model.layers[1].mlp.up_proj.weight.mul_(1e7)
    calibration = calibrate(model.half(), text=uneven_batches())
    calibration.layers[0].fit.mean("layer 0")
    with pytest.raises(
        RunError,
        match=r"layers\.1\.mlp: its activations are not finite: .* or weights up to this layer",
    ):
        calibration.layers[1].fit.mean("model.layers.1.mlp")


def test_a_tokenizer_that_is_missing_is_told() -> None:
    with pytest.raises(
        RunError, match=r"tokenizer cannot be loaded, because .* pass the tokenizer"
    ):
        calibrate(tiny("llama"))
