"""Second moments of a whole model over a text: equal to a plain loop, additive, without padding."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from every_family import WIDTH as WIDTH_OF_EXPERTS
from every_family import tiny_model
from families import FAMILIES, LAYERS, VOCAB, WIDTH, tiny
from family_trials import ids_of
from layered_models import uneven_batches

from widthwise import make_plan, refits
from widthwise.cut import ModelWeights
from widthwise.errors import OutputError, RunError
from widthwise.prune import PruneSpec
from widthwise.prune.calibration import Calibration, calibrate
from widthwise.prune.spec import Target


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
        halves = calibration.groups[layer]
        for moments, half in ((halves.fit, given[::2]), (halves.held_out, given[1::2])):
            expected = plain_moments(model, layer, half)
            torch.testing.assert_close(
                moments.total.double(), expected, rtol=1e-4, atol=1e-5 * float(expected.max())
            )
            assert moments.tokens == sum(batch["input_ids"].numel() for batch in half)


def test_a_model_is_run_in_eval_mode_and_left_as_it_was() -> None:
    model = tiny("llama", attention_dropout=0.5).train()
    forward = model.model.layers[0].forward
    first, again = (calibrate(model, text=uneven_batches()).groups[1].fit.total for _ in range(2))
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
            got.groups[layer].fit.total, whole.groups[layer].fit.total, rtol=1e-4, atol=1e-6
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
            got, expected = (getattr(c.groups[layer], half) for c in (stored, whole))
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
    assert len(stored.groups) == LAYERS
    assert stored.groups[1] is not stored.groups[1]  # nothing is kept
    with pytest.raises(KeyError):
        stored.groups[LAYERS]


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
    calibration.groups[0].fit.mean("layer 0")
    with pytest.raises(
        RunError,
        match=r"layers\.1\.mlp: its activations are not finite: .* or weights up to this layer",
    ):
        calibration.groups[1].fit.mean("model.layers.1.mlp")


def test_a_tokenizer_that_is_missing_is_told() -> None:
    with pytest.raises(
        RunError, match=r"tokenizer cannot be loaded, because .* pass the tokenizer"
    ):
        calibrate(tiny("llama"))


def test_moments_of_a_mixture_are_kept_by_groups(tmp_path: Path) -> None:
    """In a file and in memory the same bits, tokens sent to an expert included."""
    model, path = tiny_model("qwen2_moe"), tmp_path / "moments.safetensors"
    given = [{"input_ids": ids_of(seed, 4, 40)} for seed in range(6)]
    stored, held = (calibrate(model, text=given, out=out) for out in (path, None))
    assert stored.neurons == ModelWeights(model).architecture.neurons()
    assert set(stored.neurons) == {24, 40}  # experts, and the one that is shared
    assert [*stored.groups] == sorted(held.groups)
    for group, halves in held.groups.items():
        again = stored.groups[group]
        assert again.sent == halves.sent
        for got, expected in ((again.fit, halves.fit), (again.held_out, halves.held_out)):
            assert got.tokens == expected.tokens
            assert torch.equal(got.total, expected.total)
    sent = [stored.groups[group].sent for group in stored.groups]
    assert sent.count(None) == 3  # a shared expert a layer
    # Two of four experts see each of 960 tokens, in each of three layers.
    assert sum(count or 0 for count in sent) == 2 * 960 * 3


def test_refits_of_a_mixture_by_a_file_are_those_by_the_text(tmp_path: Path) -> None:
    model = tiny_model("qwen2_moe")
    given = [{"input_ids": ids_of(seed, 4, 40)} for seed in range(6)]
    sums = calibrate(model, text=given, out=tmp_path / "moments.safetensors")
    spec = PruneSpec(target=Target("remove", "40%"), criterion="obs", align=8)
    ((by_file,), (by_text,)) = (refits(model, [spec], source) for source in (sums, given))
    assert by_file.plan == by_text.plan
    assert by_file.layers == by_text.layers
    assert all(map(torch.equal, by_file.down, by_text.down))
    assert make_plan(model, spec, calibration=sums).keep == by_file.plan.keep


def test_tokens_of_experts_add_up_over_texts() -> None:
    model = tiny_model("mixtral")
    given = [{"input_ids": ids_of(seed, 4, 40)} for seed in range(8)]
    whole, *parts = (calibrate(model, text=text) for text in (given, given[:4], given[4:]))
    merged = parts[0].merged(parts[1])
    for group, expected in whole.groups.items():
        got = merged.groups[group]
        assert got.sent == expected.sent
        assert expected.fit.tokens >= WIDTH_OF_EXPERTS  # else it would be filled up, twice in parts
        # Sums of the same numbers in another order.
        torch.testing.assert_close(got.fit.total, expected.fit.total, rtol=1e-4, atol=1e-4)
