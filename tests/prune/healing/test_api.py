"""Healing from end to end: two checkpoints in, a plain one out that says what it is."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers as hf
from families import WIDTH, tiny
from healing_runs import BATCH, BLOCK, QUICK, VOCABULARY, run, save_tokenizer
from safetensors.torch import load_file

from widthwise import make_plan, prune_checkpoint
from widthwise.cut.checkpoint import Checkpoint
from widthwise.errors import CheckpointError
from widthwise.prune.healing import (
    HealSettings,
    NotBetter,
    distilling,
    gain_verdict,
    heal,
    inspect_healing,
    nats_text,
)
from widthwise.prune.healing.text_blocks import read_blocks
from widthwise.stats import paired_difference

pytestmark = pytest.mark.usefixtures("short_blocks")


def test_the_command_writes_a_plain_checkpoint_that_says_what_it_is(
    child: Path, dense: Path, text: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    result = run(
        "heal", child, "--dense", dense, "--text", text, "--tokens", "1K",
        "--batch-tokens", BATCH, "--learning-rate", "3e-3", "--dtype", "float32", "-o", out,
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    assert result.stdout == f"{out}\n"
    assert "tokens in 0." in result.stderr
    assert "KL fell by" in result.stderr
    assert ": closer to its parent; brackets are 95 % intervals" in result.stderr
    model = hf.AutoModelForCausalLM.from_pretrained(out)
    assert model.config.intermediate_size == 20
    assert hf.AutoTokenizer.from_pretrained(out).get_vocab()
    record = json.loads((out / "widthwise_healing.json").read_text())
    assert record["tokens"] == 1000 // BLOCK * BLOCK
    assert record["text"]["source"] == str(text)
    assert record["after"]["divergence_nats"] < record["before"]["divergence_nats"]
    assert record["gain_interval"][0] > 0
    assert len(record["curve"]) == 8
    assert record["curve"][-1]["tokens"] == record["tokens"]
    assert record["child_refit"]["criterion"] == "activation"
    card = (out / "README.md").read_text()
    assert "992 tokens of" in card
    assert re.search(rf"on \d+ blocks of {BLOCK} tokens held out \| before \| after", card)
    assert "It is closer to its parent than before." in card
    low, high = record["after"]["divergence_interval"]
    assert f" [{low:.4f}, {high:.4f}] |" in card
    assert (out / "widthwise_healing.png").read_bytes().startswith(b"\x89PNG")
    assert record["parent"]["fingerprint"] in card
    assert sorted(p.name for p in tmp_path.iterdir()) == ["out"]


def test_mup_factors_are_in_the_record_the_card_and_the_weights(
    healed: Any, child: Path, dense: Path, text: Path, tmp_path: Path
) -> None:
    out = tmp_path / "scaled"
    result = run(
        "heal", child, "--dense", dense, "--text", text, "--tokens", QUICK["tokens"],
        "--batch-tokens", BATCH, "--learning-rate", "3e-3", "--dtype", "float32", "--mup-factors",
        "-o", out,
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    record = json.loads((out / "widthwise_healing.json").read_text())
    assert record["settings"]["mup_factors"] is True
    factors = record["learning_rate_factors"]
    assert [name for name in factors if not name.endswith("mlp.down_proj.weight")] == []
    assert set(factors.values()) == {WIDTH / 20}
    assert (
        "down_proj at the learning rate times dense width over width (muP)"
        in (out / "README.md").read_text()
    )
    plain = healed().out
    record = json.loads((plain / "widthwise_healing.json").read_text())
    assert record["learning_rate_factors"] is None
    name = next(iter(factors))
    one, two = (load_file(path / "model.safetensors")[name] for path in (out, plain))
    assert not torch.equal(one, two)
    same = run("heal", dense, "--dense", dense, "--mup-factors", "-o", tmp_path / "same")
    assert same.exit_code == 1


def test_inspect_works_and_the_refit_is_not_claimed(healed: Any) -> None:
    out = healed().out
    assert not (out / "widthwise_refit.json").exists()
    assert (out / "widthwise_plan.json").exists()
    result = run("inspect", out)
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["refit"] is None
    with Checkpoint(out) as checkpoint:
        found = inspect_healing(checkpoint)
    assert found is not None
    assert found["verified"] is True
    assert "curve" not in found


def test_other_weights_under_the_record_of_a_healing_are_told_apart(
    healed: Any, child: Path, tmp_path: Path
) -> None:
    out = healed().out
    copy = shutil.copytree(child, tmp_path / "copy")
    with Checkpoint(copy) as checkpoint:
        assert inspect_healing(checkpoint) is None
    shutil.copyfile(out / "widthwise_healing.json", copy / "widthwise_healing.json")
    with Checkpoint(copy) as checkpoint:
        found = inspect_healing(checkpoint)
        assert found is not None
        assert found["verified"] is False
        (copy / "widthwise_healing.json").write_text("{}")
        with pytest.raises(CheckpointError, match="cannot be read as the record of a healing"):
            inspect_healing(checkpoint)


def test_the_numbers_are_those_of_the_written_model(healed: Any, dense: Path, text: Path) -> None:
    found = healed()
    models = [hf.AutoModelForCausalLM.from_pretrained(path) for path in (found.out, dense)]
    tokenizer = hf.AutoTokenizer.from_pretrained(dense)
    rows = read_blocks(text, tokenizer, QUICK["tokens"]).held_out
    with torch.no_grad():
        own, other = (model(rows).logits.log_softmax(-1) for model in models)
    kl = (other.exp() * (other - own)).sum(-1).mean(-1)
    assert found.after.divergence.value == pytest.approx(float(kl.mean()), rel=1e-3)
    losses = [-m[:, :-1].gather(-1, rows[:, 1:, None]).mean() for m in (own, other)]
    expected = float((losses[0] - losses[1]).exp())
    assert found.after.perplexity_ratio[0] == pytest.approx(expected, rel=1e-3)


@pytest.mark.parametrize("compute", ["float32", "bfloat16"])
def test_a_state_is_judged_as_it_is_stored(
    compute: str, dense: Path, text: Path, tmp_path: Path
) -> None:
    """Of a child in bfloat16 a small step is lost to rounding: the numbers are those without it."""
    plan = make_plan(dense, width=20, align=1)
    child = prune_checkpoint(dense, tmp_path / "child", plan, dtype="bfloat16")
    asked = HealSettings(**{**QUICK, "tokens": 12 * BATCH, "learning_rate": None})
    found = heal(child, dense, out=tmp_path / "out", text=text, settings=asked, dtype=compute)
    assert found.after.divergence.value < found.before.divergence.value
    assert found.curve[found.best_step - 1].held_out == found.after.divergence.value


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_the_result_is_stored_as_the_child_is(
    dtype: str, dense: Path, text: Path, tmp_path: Path
) -> None:
    plan = make_plan(dense, width=20, align=1)
    child = prune_checkpoint(dense, tmp_path / "child", plan, dtype=dtype, max_shard_size=30_000)
    assert len(list(child.glob("*.safetensors"))) > 1
    settings = HealSettings(**QUICK)
    heal(child, dense, out=tmp_path / "out", text=text, settings=settings)
    with Checkpoint(child) as before, Checkpoint(tmp_path / "out") as after:
        assert {n: (s.file.name, s.spec) for n, s in before.tensors.items()} == {
            n: (s.file.name, s.spec) for n, s in after.tensors.items()
        }
        changed = [
            not torch.equal(before.rows(n, 0, s.spec.shape[0]), after.rows(n, 0, s.spec.shape[0]))
            for n, s in before.tensors.items()
        ]
    assert all(changed)


def test_a_run_that_was_never_better_writes_nothing_and_says_so(
    healed: Any, child: Path, dense: Path, text: Path, tmp_path: Path
) -> None:
    """A rate that ruins the model: exit 1, one sentence, and neither a result nor a state."""
    before = {p.name: p.read_bytes() for p in child.iterdir()}
    with pytest.raises(NotBetter, match="was not written: on held-out text no state"):
        healed(learning_rate=1e3)
    result = run(
        "heal", child, "--dense", dense, "--text", text, "--tokens", QUICK["tokens"],
        "--batch-tokens", BATCH, "--learning-rate", "1e3", "--dtype", "float32",
        "-o", tmp_path / "out",
    )  # fmt: skip
    assert (result.exit_code, result.stdout) == (1, "")
    assert re.search(r"no state of the training was nearer to .* \(KL 0\.\d+ nats", result.stderr)
    assert list(tmp_path.iterdir()) == []
    assert {p.name: p.read_bytes() for p in child.iterdir()} == before
    existing = healed(learning_rate=3e-3).out
    kept = {p.name: p.read_bytes() for p in existing.iterdir()}
    with pytest.raises(NotBetter):
        healed(learning_rate=1e3, force=True)
    assert {p.name: p.read_bytes() for p in existing.iterdir()} == kept


def test_a_run_without_time_for_a_step_writes_nothing_and_says_so(
    child: Path, dense: Path, text: Path, tmp_path: Path
) -> None:
    result = run(
        "heal", child, "--dense", dense, "--text", text, "--minutes", "1e-6", "-o", tmp_path / "out"
    )
    assert (result.exit_code, result.stdout) == (1, "")
    assert "nothing was trained, and" in result.stderr
    assert "give more minutes" in result.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_text_that_is_gone_through_again_is_told(healed: Any, text: Path, tmp_path: Path) -> None:
    few = tmp_path / "few.txt"
    few.write_text(text.read_text()[:500])
    found = healed(text=few, tokens=20 * BLOCK)
    assert 1 < found.epochs < 20
    assert "more text heals better" in found.warnings[0]
    (alike,) = healed("other").warnings
    assert alike.startswith("the refit of the pruned model was made from the same text")


def test_a_run_without_time_for_a_test_of_rates_says_so(healed: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr(distilling, "TESTED_TOKENS", 10**9)
    found = healed(learning_rate=None, tokens=3 * BATCH, minutes=60)
    assert found.trials == ()
    assert any(
        line.startswith("the time left no room for a test of learning rates: 1e-05 was taken")
        for line in found.warnings
    )
    card = (found.out / "README.md").read_text()
    assert all(f"- note: {line}\n" in card for line in found.warnings)


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


@pytest.mark.parametrize("lora", [None, 2])
def test_a_fused_family_is_healed(lora: int | None, text: Path, tmp_path: Path) -> None:
    dense = tmp_path / "dense"
    tiny("phi3", vocab_size=VOCABULARY, initializer_range=0.3).save_pretrained(dense)
    save_tokenizer(dense)
    plan = make_plan(dense, width=20, align=1)
    child = prune_checkpoint(dense, tmp_path / "child", plan)
    settings = HealSettings(**{**QUICK, "lora": lora, "tokens": 24 * BATCH})
    found = heal(child, dense, out=tmp_path / "out", text=text, settings=settings, dtype="float32")
    assert found.gain.low > 0
    assert hf.AutoModelForCausalLM.from_pretrained(found.out).config.intermediate_size == 20


@pytest.mark.parametrize(
    ("blocks", "word"),
    [(4, None), (6, "closer")],  # all signs of 4 alike have p = 1/8, of 6 p = 1/32
)
def test_a_few_blocks_show_nothing_whatever_their_interval(blocks: int, word: str | None) -> None:
    gain = paired_difference([1.0 + 0.01 * i for i in range(blocks)], [0.5] * blocks)
    assert gain.low > 0
    assert gain_verdict(gain) == word
    back = paired_difference([0.5] * blocks, [1.0 + 0.01 * i for i in range(blocks)])
    assert gain_verdict(back) == (word and "further")


@pytest.mark.parametrize(
    ("values", "texts"),
    [
        ((0.14671, 0.1, 0.2), ("0.1467", "0.1000", "0.2000")),
        ((0.00215, 0.0019, 0.0024), ("0.00215", "0.00190", "0.00240")),
        ((-0.0000188, -0.00002), ("-0.0000188", "-0.0000200")),  # not "closer" by 0.0000
        ((0.0,), ("0.0000",)),
        ((12.5,), ("12.5000",)),
        ((float("inf"), 1.0), ("inf", "1.0000")),
    ],
)
def test_small_divergences_keep_their_digits(
    values: tuple[float, ...], texts: tuple[str, ...]
) -> None:
    assert nats_text(*values) == texts
