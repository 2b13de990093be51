"""What travels with a cut checkpoint: what belongs to it, and nothing of the parent's width."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers as hf
from safetensors.torch import load_file, save_file
from tiny_gguf import write_gguf

from widthwise import make_plan, prune_checkpoint
from widthwise.notices import shown

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
    return prune_checkpoint(parent, out, make_plan(parent, width=KEPT, align=1, criterion="ppm"))


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
    twice = prune_checkpoint(
        once, tmp_path / "twice", make_plan(once, width=KEPT - 9, align=1, criterion="ppm")
    )
    assert {p.name for p in twice.iterdir()} == {p.name for p in once.iterdir()}
    shutil.rmtree(once)
    assert hf.AutoModelForCausalLM.from_pretrained(twice).config.intermediate_size == KEPT - 9


SHARD = "model-00001-of-00009.safetensors"


def foreign_weights(parent: Path) -> None:
    """The parent's tensors in other formats and sets, as they are found beside its weights."""
    tensors = load_file(parent / "model.safetensors")
    for name in ("consolidated.safetensors", "mtp.safetensors", "adapter_model.safetensors", SHARD):
        save_file(tensors, parent / name)
    for name in ("consolidated.00.pth", "pytorch_model.bin", "optimizer.pt"):
        torch.save(tensors, parent / name)
    model = hf.AutoModelForCausalLM.from_pretrained(parent, dtype=torch.float32)
    write_gguf(model, parent / "model-f32.gguf")
    for name in ("rust_model.ot", "tf_model.h5", "flax_model.msgpack"):
        shutil.copyfile(parent / "model.safetensors", parent / name)
    for folder, name in {"onnx": "model.onnx", "openvino": "openvino_model.bin"}.items():
        (parent / folder).mkdir()
        shutil.copyfile(parent / "model.safetensors", parent / folder / name)
    (parent / "original").mkdir()
    (parent / "original" / "params.json").write_text('{"ffn_dim_multiplier": 1.5}')
    shutil.copyfile(parent / "consolidated.00.pth", parent / "original" / "consolidated.00.pth")


def foreign_settings(parent: Path) -> None:
    """Files that state the old width, or how the old weights came about."""
    index = {"metadata": {}, "weight_map": dict.fromkeys(load_file(parent / SHARD), SHARD)}
    for name in ("model.safetensors.index.json", "model.safetensors.index.json.bak"):
        (parent / name).write_text(json.dumps(index))  # of shards that the one file replaced
    settings(parent, "params.json", dim=32, hidden_dim=53)
    settings(parent, "adapter_config.json", peft_type="LORA", target_modules=["down_proj"], r=8)
    settings(parent, "quantize_config.json", bits=4, group_size=128)
    settings(parent, "all_results.json", eval_loss=2.5)
    settings(parent, "export_config.json", layers=2, ffn_dim=53)


def test_a_cut_has_one_set_of_weights_and_says_what_stays_behind(
    saved: Path, tmp_path: Path
) -> None:
    plain = {path.name for path in cut(saved, tmp_path / "plain").iterdir()}
    foreign_weights(saved)
    foreign_settings(saved)
    told: list[str] = []
    with shown(told.append):
        out = cut(saved, tmp_path / "out")
    assert {path.name for path in out.iterdir()} == plain
    assert hf.AutoModelForCausalLM.from_pretrained(out).config.intermediate_size == KEPT
    assert [line.count("\n") for line in told] == [0]
    first = "Left out: adapter_config.json, adapter_model.safetensors, all_results.json, "
    assert told[0].startswith(first), told


def test_nothing_is_said_where_nothing_stays_behind(saved: Path, tmp_path: Path) -> None:
    told: list[str] = []
    with shown(told.append):
        once = cut(saved, tmp_path / "once")
        prune_checkpoint(
            once, tmp_path / "twice", make_plan(once, width=KEPT - 9, align=1, criterion="ppm")
        )
    assert told == []


def test_the_index_of_a_sharded_parent_is_made_anew(saved: Path, tmp_path: Path) -> None:
    model = hf.AutoModelForCausalLM.from_pretrained(saved)
    (saved / "model.safetensors").unlink()
    model.save_pretrained(saved, max_shard_size="30KB")
    name, told = "model.safetensors.index.json", list[str]()
    with shown(told.append):
        assert not (cut(saved, tmp_path / "one") / name).exists()
        plan = make_plan(saved, width=KEPT, align=1, criterion="ppm")
        out = prune_checkpoint(saved, tmp_path / "more", plan, max_shard_size="20KB")
    files = {path.name for path in out.glob("model-*.safetensors")}
    assert set(json.loads((out / name).read_text())["weight_map"].values()) == files
    assert told == []  # what was read was not left out


SENTENCES = {"path": "1_Pooling", "type": "sentence_transformers.models.Pooling"}


def test_text_without_a_width_travels(saved: Path, tmp_path: Path) -> None:
    texts = {
        "labels.txt": "cat\ndog\n",
        "modules.json": json.dumps([{"path": ""}, SENTENCES, {"path": "2_Normalize"}]),
        "config_sentence_transformers.json": '{"similarity_fn_name": "cosine"}',
        "1_Pooling/config.json": '{"word_embedding_dimension": 32}',
    }
    (saved / "1_Pooling").mkdir()
    for name, text in texts.items():
        (saved / name).write_text(text)
    (saved / "figure.png").write_bytes(b"\x89PNG\r\n\0\xff")
    out = cut(saved, tmp_path / "out")
    assert {name: (out / name).read_text() for name in texts} == texts
    assert not (out / "figure.png").exists()


def test_modules_that_hold_weights_stay_with_the_file_that_names_them(
    saved: Path, tmp_path: Path
) -> None:
    (saved / "modules.json").write_text(json.dumps([SENTENCES, {"path": "2_Dense"}]))
    for name in ("1_Pooling", "2_Dense"):
        (saved / name).mkdir()
    save_file({"linear.weight": torch.ones(4, 4)}, saved / "2_Dense" / "model.safetensors")
    told: list[str] = []
    with shown(told.append):
        out = cut(saved, tmp_path / "out")
    assert not any((out / name).exists() for name in ("modules.json", "1_Pooling", "2_Dense"))
    assert told[0].startswith("Left out: 1_Pooling/, 2_Dense/ and modules.json; ")
