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
from families import tiny
from healing_runs import BATCH, BLOCK, QUICK, VOCABULARY, run, save_tokenizer
from safetensors.torch import load_file, save_file

from widthwise import make_plan, prune_checkpoint
from widthwise.errors import OutputError, RunError
from widthwise.prune.healing import HealSettings, NotBetter, heal
from widthwise.prune.healing.text_blocks import read_blocks


def contents(folder: Path) -> dict[str, bytes]:
    return {p.name: p.read_bytes() for p in folder.iterdir()}


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


def test_a_text_that_is_gone_through_again_is_told(healed: Any, text: Path, tmp_path: Path) -> None:
    few = tmp_path / "few.txt"
    few.write_text(text.read_text()[:500])
    found = healed(text=few, tokens=20 * BLOCK)
    assert 1 < found.epochs < 20
    assert "more text heals better" in found.warnings[0]
    (alike,) = healed("other").warnings
    assert alike.startswith("the refit of the pruned model was made from the same text")


@pytest.mark.parametrize("lora", [None, 2])
def test_a_fused_family_is_healed(lora: int | None, text: Path, tmp_path: Path) -> None:
    dense = tmp_path / "dense"
    tiny("phi3", vocab_size=VOCABULARY, initializer_range=0.3).save_pretrained(dense)
    save_tokenizer(dense)
    plan = make_plan(dense, width=20, align=1, criterion="ppm")
    child = prune_checkpoint(dense, tmp_path / "child", plan)
    settings = HealSettings(**{**QUICK, "lora": lora, "tokens": 24 * BATCH})
    found = heal(child, dense, out=tmp_path / "out", text=text, settings=settings, dtype="float32")
    assert found.gain.low > 0
    assert hf.AutoModelForCausalLM.from_pretrained(found.out).config.intermediate_size == 20


def test_what_exists_is_refused_before_any_work(
    healed: Any, child: Path, dense: Path, tmp_path: Path
) -> None:
    (tmp_path / "out").mkdir()
    result = run("heal", child, "--dense", dense, "-o", tmp_path / "out")
    assert result.exit_code == 1
    assert "already exists; pass --force to replace it" in result.stderr
    assert sorted(p.name for p in tmp_path.iterdir()) == ["out"]
    before = contents(child)
    with pytest.raises(OutputError, match="must not be inside each other"):
        heal(child, dense, out=child / "in")
    assert contents(child) == before
    (tmp_path / "out" / "config.json").write_text("{}")
    assert (healed(force=True).out / "model.safetensors").exists()


def test_weights_that_are_not_finite_are_named(child: Path, dense: Path, tmp_path: Path) -> None:
    broken = shutil.copytree(dense, tmp_path / "broken")
    weights = load_file(broken / "model.safetensors")
    weights["model.layers.0.mlp.up_proj.weight"][0, 0] = float("nan")
    save_file(weights, broken / "model.safetensors", {"format": "pt"})
    with pytest.raises(RunError, match=r"the logits of .*broken are not finite: its weights hold"):
        heal(child, broken, out=tmp_path / "out", dtype="float32")
    assert not (tmp_path / "out").exists()
