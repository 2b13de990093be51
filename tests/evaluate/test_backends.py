"""lm-eval's own models as backends: which model they are given, and what is said without them."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import transformers as hf
from families import tiny
from healing_runs import VOCABULARY, save_tokenizer
from sweep_runs import answers, run, settings_of

from widthwise.errors import RunError
from widthwise.evaluate import backends

pytestmark = [pytest.mark.demo, pytest.mark.usefixtures("first_documents")]


def test_vllm_reads_the_checkpoint_of_each_width(
    tiny_checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """vLLM needs a GPU: lm-eval's hf model stands in for it, on the folders that it is given."""
    from lm_eval.models.huggingface import HFLM

    given: list[Path] = []

    def stand_in(pretrained: str, dtype: str, batch_size: str) -> Any:
        assert batch_size == "auto"
        given.append(Path(pretrained))
        return HFLM(pretrained=pretrained, dtype=dtype, device="cpu", batch_size=4)

    module = ModuleType("lm_eval.models.vllm_causallms")
    module.VLLM = stand_in  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, module.__name__, module)
    monkeypatch.setattr(backends, "require_vllm", lambda: None)
    monkeypatch.setattr("widthwise.study.evaluate_settings.require_vllm", lambda: None)
    settings = {"tasks": ("embedded:piqa",), "widths": ("40%",)}
    records = run(tmp_path / "vllm", settings_of(tiny_checkpoint, **settings, backend="vllm"))
    ours = run(tmp_path / "ours", settings_of(tiny_checkpoint, **settings))
    cut = [tmp_path / "vllm" / "checkpoints" / name for name in ("ppm-40%", "random-40%")]
    assert given == [tiny_checkpoint, *cut]
    for key, record in records.items():
        if key[2] == "piqa":
            there = answers(tmp_path / "vllm", record)["log_likelihoods"]
            here = answers(tmp_path / "ours", ours[key])["log_likelihoods"]
            for one, other in zip(there, here, strict=True):
                # Two orders of summing some hundred float32 numbers.
                assert list(one) == pytest.approx(list(other), rel=2e-5)


def test_a_missing_vllm_is_said(
    tiny_checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *rest: None if name == "vllm" else found(name)
    )
    with pytest.raises(RunError, match="backend vllm needs vLLM and a GPU that it supports"):
        run(tmp_path / "out", settings_of(tiny_checkpoint, backend="vllm"))


def test_padding_that_the_model_has_no_row_for_is_none_of_its_tokens(tmp_path: Path) -> None:
    """As classes of tokenizers add one of their own, whatever the model."""
    folder = tmp_path / "model"  # which reads prompts whole, and so of unequal lengths
    tiny("llama", vocab_size=VOCABULARY, max_position_embeddings=2048).save_pretrained(folder)
    save_tokenizer(folder)
    tokenizer = hf.AutoTokenizer.from_pretrained(folder)
    tokenizer.add_special_tokens({"pad_token": "<|pad|>"})
    assert tokenizer.pad_token_id == VOCABULARY
    tokenizer.save_pretrained(folder)
    settings = {"tasks": ("embedded:ifbench",), "widths": ()}
    records = run(tmp_path / "hf", settings_of(folder, **settings, backend="hf"))
    ours = run(tmp_path / "ours", settings_of(folder, **settings))
    for key, record in records.items():
        if key[2] == "ifbench":
            there, here = answers(tmp_path / "hf", record), answers(tmp_path / "ours", ours[key])
            assert there["text"].tolist() == here["text"].tolist()
