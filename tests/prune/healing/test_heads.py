"""Healing where the head is stored beside the embeddings that it is tied to by the config."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import transformers as hf
from families import tiny
from healing_runs import QUICK, VOCABULARY, save_tokenizer
from safetensors.torch import load_file, save_file

from widthwise import make_plan, prune_checkpoint
from widthwise.prune.healing import HealSettings, heal

HEAD, TABLE = "lm_head.weight", "model.embed_tokens.weight"


@pytest.mark.usefixtures("short_blocks")
@pytest.mark.parametrize("equal", [True, False])
def test_a_stored_head_stays_what_it_was_to_the_embeddings(
    equal: bool, text: Path, tmp_path: Path
) -> None:
    """Equal numbers are one parameter, which is trained once; others are two, as transformers
    ties neither, and each is trained by itself."""
    dense, child, out = (tmp_path / name for name in ("dense", "child", "out"))
    shape = {"vocab_size": VOCABULARY, "initializer_range": 0.3, "tie_word_embeddings": True}
    tiny("llama", **shape).save_pretrained(dense)
    save_tokenizer(dense)
    tensors = load_file(dense / "model.safetensors")
    head = tensors[TABLE] * (1 if equal else 0.5)
    save_file({**tensors, HEAD: head}, dense / "model.safetensors", {"format": "pt"})
    prune_checkpoint(dense, child, make_plan(dense, width=20, align=1))
    found = heal(child, dense, out=out, text=text, settings=HealSettings(**QUICK), dtype="float32")
    assert found.after.divergence.value < found.before.divergence.value
    before, after = (load_file(path / "model.safetensors") for path in (child, out))
    assert before.keys() == after.keys()
    assert torch.equal(after[HEAD], after[TABLE]) is equal
    for name in (HEAD, TABLE):
        assert not torch.equal(after[name], before[name]), name
    model = hf.AutoModelForCausalLM.from_pretrained(out)
    assert (model.lm_head.weight is model.model.embed_tokens.weight) is equal
    assert torch.equal(model.lm_head.weight, after[HEAD])
