"""Encoders, and pairs of an encoder and a decoder, are calibrated on what each of them reads."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from every_family import VOCAB, load, tiny_model
from families import tiny
from family_trials import inputs
from healing_runs import BLOCK, VOCABULARY, save_text, save_tokenizer
from whole_passes import assert_close, whole_moments

from widthwise.cut import ModelWeights, apply
from widthwise.errors import RunError, UnsupportedModelError
from widthwise.prune import (
    PruneSpec,
    calibrate,
    make_plan,
    open_model,
    per_layer,
    prune_checkpoint,
    refit,
    refits,
    resolve_target,
)
from widthwise.prune.calibration import LayerwiseRunner, TextRequest, activation_norms, text_of

PAIRS = ("t5", "umt5", "longt5", "t5gemma")
FAMILIES = ("modernbert", "nomic_bert", "gte", "eurobert", "t5-encoder", *PAIRS)


def given(model: Any, count: int = 6, *, padded: bool = False) -> list[dict[str, torch.Tensor]]:
    """Batches, perhaps padded on either side, of encoder and decoder in different places."""
    result = [inputs(model, seed, 3, 32) for seed in range(count)]
    for batch in result if padded else ():
        for part in [name for name in batch if name.endswith("input_ids")]:
            mask = torch.ones_like(batch[part])
            mask[0, : 7 if part == "input_ids" else 0] = 0
            mask[1, 15:] = 0
            batch[part.replace("input_ids", "attention_mask")] = mask
    return result


@pytest.mark.parametrize("padded", [False, True])
@pytest.mark.parametrize("family", FAMILIES)
def test_moments_equal_those_of_whole_passes(family: str, padded: bool) -> None:
    model = tiny_model(family)
    batches = given(model, padded=padded)
    with LayerwiseRunner(model, text_of(batches)) as walk:
        for layer, expected in enumerate(whole_moments(model, batches)):
            halves = walk.moments(layer, advance=True)[layer]
            assert_close(halves.fit.total + halves.held_out.total, expected)


@pytest.mark.parametrize("family", PAIRS)
def test_a_decoder_reads_what_its_encoder_says_after_it_was_cut(family: str) -> None:
    model = tiny_model(family)
    batches = given(model, padded=True)
    encoder = [group for group in ModelWeights(model).architecture.groups if group.layer < 3]
    with LayerwiseRunner(model, text_of(batches)) as walk, torch.no_grad():
        for group in encoder:
            walk.moments(group.layer, advance=False)
            dict(model.named_parameters())[group.down][:, ::2] = 0
            walk.advance(group.layer)
        expected = whole_moments(model, batches)
        for layer in (3, 4):
            halves = walk.moments(layer, advance=True)[layer]
            assert_close(halves.fit.total + halves.held_out.total, expected[layer])


@pytest.mark.parametrize("family", ["modernbert", "t5"])
def test_norms_of_activations_leave_padding_out_of_each_stack(family: str) -> None:
    model = tiny_model(family)
    batches = given(model, padded=True)
    norms = activation_norms(model, batches)
    for layer, total in enumerate(whole_moments(model, batches)):
        torch.testing.assert_close(
            norms[layer].double(), total.diagonal().sqrt(), rtol=1e-5, atol=0
        )


def saved(family: str, folder: Path) -> tuple[Path, Path]:
    """A model with a tokenizer of bytes, and a text."""
    tiny_model(family, vocab_size=VOCABULARY).save_pretrained(folder / "dense")
    save_tokenizer(folder / "dense")
    return folder / "dense", save_text(folder / "text.txt")


@pytest.mark.parametrize("family", ["modernbert", "gte", "t5", "t5-encoder"])
@pytest.mark.usefixtures("short_blocks")
def test_a_text_calibrates_a_checkpoint_on_disk(family: str, tmp_path: Path) -> None:
    dense, text = saved(family, tmp_path)
    done = refit(dense, remove="40%", align=8, text=text, tokens=8192, criterion="obs")
    out = prune_checkpoint(dense, tmp_path / "out", done.plan, refit=done)
    narrow, model = load(family, out), load(family, dense)
    ids = {name: rows % VOCABULARY for name, rows in inputs(model, 1).items()}
    with torch.no_grad():
        answers = [each(**ids)[0] for each in (narrow, apply(model, done.plan, done))]
    assert torch.equal(*answers)
    assert all(fit.held_out_error < 1 for fit in done.layers)
    plan = make_plan(dense, remove="40%", align=8, criterion="ppm_activation", calibration=text)
    assert len(plan.keep) == len(done.plan.keep)


@pytest.mark.usefixtures("short_blocks")
def test_a_text_is_read_by_the_encoder_and_then_by_the_decoder(tmp_path: Path) -> None:
    dense, text = saved("t5", tmp_path)
    with open_model(dense) as model:
        batch = TextRequest(text=text, tokens=1024).read(model).fit[0]
        words = model.tokenizer.decode
        assert batch.decoder is not None
        first, second = words(batch.input_ids[0]), words(batch.decoder.input_ids[0, 1:])
    assert [part.input_ids.shape[1] for part in batch.parts] == [BLOCK // 2] * 2
    assert batch.decoder.input_ids[0, 0] == 0  # decoder_start_token_id
    assert text.read_text().startswith(first)
    assert text.read_text()[len(first) :].startswith(second)


def test_moments_that_are_kept_give_the_refits_of_one_pass(tmp_path: Path) -> None:
    model = tiny_model("t5")
    batches = [{**batch, "decoder_input_ids": batch["input_ids"].flip(1)} for batch in given(model)]
    calibration = calibrate(model, text=batches, out=tmp_path / "moments.safetensors")
    spec = PruneSpec(target=resolve_target(width=32), criterion="activation", align=1)
    (kept,), (direct,) = refits(model, [spec], calibration), refits(model, [spec], batches)
    assert kept.plan.keep == direct.plan.keep
    assert all(torch.equal(a, b) for a, b in zip(kept.down, direct.down, strict=True))


def test_batches_that_do_not_fit_a_model_are_refused() -> None:
    pair, single = tiny_model("t5"), tiny("llama", vocab_size=VOCAB)
    batches = given(pair)
    with pytest.raises(RunError, match=r"hold decoder_input_ids, but .* has no decoder"):
        refit(single, width=20, text=batches)
    with pytest.raises(RunError, match="give them 216 and 288; refit on the batches"):
        calibrate(pair, text=batches)
    padded = [
        {name: rows for name, rows in batch.items() if not name.startswith("decoder")}
        for batch in given(pair, padded=True)
    ]
    with pytest.raises(RunError, match="must hold decoder_input_ids as well"):
        refit(pair, width=20, text=padded)
    few = [{"input_ids": batch["input_ids"][:1]} for batch in batches]
    with pytest.raises(RunError, match=r"which encoder and decoder share.* at least 1,024 tokens"):
        refit(pair, width=20, text=few)
    pair.config.decoder_start_token_id = None
    with pytest.raises(RunError, match="must state decoder_start_token_id"):
        refit(pair, width=20, text=[{"input_ids": batch["input_ids"]} for batch in batches])


def test_widths_by_layers_are_of_causal_models() -> None:
    model = tiny_model("modernbert")
    with pytest.raises(UnsupportedModelError, match="which modernbert, an encoder, does not give"):
        per_layer(model, to="1x", text=given(model))
