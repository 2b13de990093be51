"""What travels with a cut checkpoint: what belongs to it, and nothing of the parent's width."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import transformers as hf

from widthwise import make_plan, prune_checkpoint

KEPT = 29
FOREIGN = (
    *("params.json", "consolidated.00.pth", "consolidated.safetensors", "model-q4.gguf"),
    *(
        "openvino_model.xml",
        "openvino_model.bin",
        "model.onnx",
        "tf_model.h5",
        "flax_model.msgpack",
    ),
    *("adapter_config.json", "adapter_model.bin", "trainer_state.json", "training_args.bin"),
    *("optimizer.pt", "scheduler.pt", "pytorch_model.bin.index.json", "quantize_config.json"),
    *("hf_quant_config.json", "config_sentence_transformers.json", "modules.json", "README_zh.md"),
    *(
        "openvino_tokenizer.xml",
        "rng_state.pth",
        "latest",
        "zero_to_fp32.py",
        "pruning_policy.json",
    ),
    *("eval_results.json", "unused_code.py", "tokenizer.onnx", "figure.png", "config_1.json"),
)
OWN = (
    *(
        "vocab.json",
        "merges.txt",
        "tokenizer.model",
        "special_tokens_map.json",
        "chat_template.json",
    ),
    *("added_tokens.json", "preprocessor_config.json", "processor_config.json", "LICENSE.txt"),
    *("tokenizer.model.v3", "target_vocab.json", "THIRD_PARTY_NOTICES.txt", "vocab.bpe"),
    *("video_preprocessor_config.json", "NOTICE", "USE_POLICY.md", "bpe.tiktoken", "source.spm"),
)


def cut(parent: Path, out: Path) -> Path:
    return prune_checkpoint(parent, out, make_plan(parent, width=KEPT, align=1))


def settings(parent: Path, name: str = "config.json", **changes: Any) -> dict[str, Any]:
    file = parent / name
    data = {**(json.loads(file.read_text()) if file.exists() else {}), **changes}
    file.write_text(json.dumps(data))
    return data


@pytest.mark.parametrize("name", FOREIGN)
def test_files_of_other_formats_or_of_the_old_width_stay(name: str, saved: Path) -> None:
    (saved / name).write_text('{"hidden_dim": 53}')
    if name.startswith("adapter"):
        (saved / "adapter_config.json").write_text("{}")
    assert not (cut(saved, saved.parent / "out") / name).exists()


def test_folders_of_other_formats_stay(saved: Path, tmp_path: Path) -> None:
    for folder in ("onnx", "original", "1_Pooling", "model.mlpackage"):
        (saved / folder).mkdir()
        (saved / folder / "config.json").write_text("{}")
    assert not [path for path in cut(saved, tmp_path / "out").iterdir() if path.is_dir()]


def test_what_belongs_to_the_model_travels_to_the_byte(saved: Path, tmp_path: Path) -> None:
    for name in OWN:
        (saved / name).write_text('{ "of": "the model" }')
    out = cut(saved, tmp_path / "out")
    for name in (*OWN, "tokenizer_config.json", "generation_config.json"):
        assert (out / name).read_bytes() == (saved / name).read_bytes()


CODE = """\
from transformers import LlamaConfig, LlamaForCausalLM
from .helping_tiny import NAME

WORDS = "words_of_tiny.dat"


class TinyConfig(LlamaConfig):
    model_type = "tiny_of_its_own"


class TinyForCausalLM(LlamaForCausalLM):
    config_class = TinyConfig
"""
AUTO_MAP = {
    "AutoConfig": "modeling_tiny.TinyConfig",
    "AutoModelForCausalLM": "modeling_tiny.TinyForCausalLM",
}


def test_code_that_the_config_names_travels_with_what_it_needs(saved: Path, tmp_path: Path) -> None:
    settings(saved, model_type="tiny_of_its_own", auto_map=AUTO_MAP)
    (saved / "modeling_tiny.py").write_text(CODE)
    (saved / "helping_tiny.py").write_text("NAME = 'tiny'\n")
    (saved / "words_of_tiny.dat").write_text("words")
    out = cut(saved, tmp_path / "out")
    for name in ("modeling_tiny.py", "helping_tiny.py", "words_of_tiny.dat"):
        assert (out / name).read_bytes() == (saved / name).read_bytes()
    model = hf.AutoModelForCausalLM.from_pretrained(out, trust_remote_code=True)
    assert (type(model).__name__, model.config.intermediate_size) == ("TinyForCausalLM", KEPT)


@pytest.mark.parametrize("where", ["gone_tiny.TinyConfig", "some/where--gone_tiny.TinyConfig"])
def test_names_of_code_that_is_not_there_go_from_a_known_family(
    where: str, saved: Path, tmp_path: Path
) -> None:
    settings(saved, auto_map={"AutoConfig": where, "AutoModelForCausalLM": where})
    out = cut(saved, tmp_path / "out")
    assert "auto_map" not in json.loads((out / "config.json").read_text())
    for trusting in (False, True):
        model = hf.AutoModelForCausalLM.from_pretrained(out, trust_remote_code=trusting)
        assert model.config.intermediate_size == KEPT


def test_code_of_another_repository_stays_named_for_an_unknown_family(
    saved: Path, tmp_path: Path
) -> None:
    remote = {"AutoConfig": "some/where--modeling_tiny.TinyConfig"}
    settings(saved, model_type="tiny_of_its_own", auto_map=remote)
    out = cut(saved, tmp_path / "out")
    assert json.loads((out / "config.json").read_text())["auto_map"] == remote


def test_a_tokenizer_travels_with_its_code_or_without_its_name(saved: Path, tmp_path: Path) -> None:
    named = {"AutoTokenizer": ["tokenization_tiny.TinyTokenizer", None]}
    settings(saved, "tokenizer_config.json", auto_map=named, vocab_file="tiny.words")
    (saved / "tiny.words").write_text("a b c")
    out = cut(saved, tmp_path / "without")
    assert "auto_map" not in json.loads((out / "tokenizer_config.json").read_text())
    assert (out / "tiny.words").exists()
    (saved / "tokenization_tiny.py").write_text("class TinyTokenizer: ...\n")
    out = cut(saved, tmp_path / "with")
    assert json.loads((out / "tokenizer_config.json").read_text())["auto_map"] == named
    assert (out / "tokenization_tiny.py").exists()


def test_a_cut_of_a_cut_has_the_same_companions(saved: Path, tmp_path: Path) -> None:
    once = cut(saved, tmp_path / "once")
    twice = prune_checkpoint(once, tmp_path / "twice", make_plan(once, width=KEPT - 9, align=1))
    assert {p.name for p in twice.iterdir()} == {p.name for p in once.iterdir()}
    shutil.rmtree(once)
    assert hf.AutoModelForCausalLM.from_pretrained(twice).config.intermediate_size == KEPT - 9
