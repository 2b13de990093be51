"""What commands do with a model that does not continue a text."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from command_line import run
from every_family import load, tiny_model
from healing_runs import VOCABULARY, save_text, save_tokenizer


@pytest.mark.parametrize(
    ("family", "name"), [("modernbert", "ModernBertForMaskedLM"), ("t5-encoder", "T5EncoderModel")]
)
@pytest.mark.usefixtures("short_blocks")
def test_an_encoder_is_refitted_and_neither_scored_nor_timed_nor_healed(
    family: str, name: str, tmp_path: Path
) -> None:
    dense, child = tmp_path / "dense", tmp_path / "child"
    tiny_model(family, vocab_size=VOCABULARY).save_pretrained(dense)
    save_tokenizer(dense)
    text = save_text(tmp_path / "text.txt")
    counts = json.loads(run("inspect", dense).stdout)["counts"][0]
    assert counts["prefill_flops_per_token"] is None
    assert "causal" in counts["no_flops"]
    words = ["--width", 20, "--exact", "--refit", "--calibration", text, "--tokens", 8192]
    result = run("prune", dense, *words, "-o", child)
    assert result.exit_code == 0, result.output
    assert sum(p.numel() for p in load(family, child).parameters()) < counts["parameters"]
    assert json.loads(run("inspect", child).stdout)["refit"]["verified"] is True
    out = ["-o", tmp_path / "out"]
    for words in (
        ["evaluate", child, "--suite", "embedded:piqa", *out],
        ["heal", child, "--dense", dense, "--text", text, *out],
        ["measure", child, "--workload", "16x4", *out],
    ):
        result = run(*words)
        assert result.exit_code == 1, result.output
        last = result.stderr.splitlines()[-1]
        assert f"is loaded as {name}, which is not a causal language model" in last, last
        assert not (tmp_path / "out" / "records.jsonl").exists()
    result = run("prune", dense, "--width", 20, "--per-layer", "padded", "--refit", *out)
    assert "an encoder, does not give; prune it to one width" in result.stderr
