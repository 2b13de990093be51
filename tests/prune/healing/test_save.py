"""A result is stored as the child is, tied heads too, or refused where no disk holds it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
import transformers as hf
from families import tiny
from healing_runs import QUICK, VOCABULARY, save_tokenizer
from safetensors.torch import load_file, save_file

from widthwise import make_plan, prune_checkpoint
from widthwise.cut.checkpoint import Checkpoint
from widthwise.errors import OutputError
from widthwise.prune.healing import HealSettings, heal

pytestmark = pytest.mark.usefixtures("short_blocks")


HEAD, TABLE = "lm_head.weight", "model.embed_tokens.weight"


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
    prune_checkpoint(dense, child, make_plan(dense, width=20, align=1, criterion="ppm"))
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


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_the_result_is_stored_as_the_child_is(
    dtype: str, dense: Path, text: Path, tmp_path: Path
) -> None:
    plan = make_plan(dense, width=20, align=1, criterion="ppm")
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


def test_a_disk_too_small_is_refused_before_training(healed: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr("widthwise.cut.checkpoint.reader.free_disk_bytes", lambda _: 1000)
    with pytest.raises(OutputError, match=r"the disk is full: .* bytes are needed, 1,000 are free"):
        healed(progress=lambda *_: pytest.fail("it was trained"))
