"""Folders as people have them: of another format, with something left behind, or one too high."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers as hf
from checkpoint_files import set_config
from families import tiny, tokens
from safetensors.torch import load_file, save_file

from widthwise import make_plan, prune_checkpoint
from widthwise.cut.checkpoint import Checkpoint, load_model
from widthwise.errors import CheckpointError, UnsupportedModelError

WEIGHTS, INDEX = "model.safetensors", "model.safetensors.index.json"


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    folder = tmp_path / "saved"
    tiny("llama").save_pretrained(folder)
    return folder


@pytest.fixture
def sharded(tmp_path: Path) -> Path:
    folder = tmp_path / "sharded"
    tiny("llama").save_pretrained(folder, max_shard_size="20KB")
    assert len(list(folder.glob("*-of-*"))) > 2
    return folder


def rename(folder: Path, to: str) -> None:
    (folder / WEIGHTS).rename(folder / to)


def of_mistral(folder: Path) -> None:
    rename(folder, "consolidated.safetensors")
    (folder / "params.json").write_text("{}")


def without_config(folder: Path) -> None:
    (folder / "config.json").unlink()


def only_gguf(folder: Path) -> None:
    shutil.rmtree(folder)
    folder.mkdir()
    (folder / "tiny-q4.gguf").write_bytes(b"GGUF")


def in_the_cache_of_the_hub(folder: Path) -> None:
    inner = folder / "snapshots" / "0123abcd"
    shutil.copytree(folder, folder.parent / "copy")
    shutil.rmtree(folder)
    inner.parent.mkdir(parents=True)
    (folder.parent / "copy").rename(inner)


FOLDERS: dict[str, tuple[Callable[[Path], object], str]] = {
    "Mistral's own format": (of_mistral, r"consolidated\.safetensors: this is the format of Mist"),
    "and no config": (
        lambda folder: (of_mistral(folder), without_config(folder)),
        r"consolidated\.safetensors: this is the format of Mistral",
    ),
    "Meta's pickles": (
        lambda folder: (rename(folder, "consolidated.00.pth"), without_config(folder)),
        r"consolidated\.00\.pth: weights must be safetensors",
    ),
    "pickles in shards": (
        lambda folder: rename(folder, "pytorch_model-00001-of-00001.bin"),
        "00001.bin: weights must be safetensors",
    ),
    "TensorFlow": (lambda folder: rename(folder, "tf_model.h5"), "this is TensorFlow's format"),
    "GGUF": (only_gguf, r"name the GGUF file itself, .*tiny-q4\.gguf"),
    "another name": (
        lambda folder: rename(folder, "model.fp16.safetensors"),
        r"transformers does not take model\.fp16\.safetensors under that name",
    ),
    "one too high": (in_the_cache_of_the_hub, "but .*0123abcd holds one: name that folder"),
    "not at all": (lambda folder: (folder / WEIGHTS).unlink(), "neither model.safetensors nor"),
}


@pytest.mark.parametrize("kind", FOLDERS)
def test_a_folder_without_a_checkpoint_is_refused_by_what_it_holds(kind: str, saved: Path) -> None:
    change, message = FOLDERS[kind]
    change(saved)
    with pytest.raises((CheckpointError, UnsupportedModelError), match=message):
        Checkpoint(saved)


def test_shards_without_an_index_are_called_so(sharded: Path) -> None:
    (sharded / INDEX).unlink()
    with pytest.raises(CheckpointError, match=r"and \d+ more are there, but no model\.safetensors"):
        Checkpoint(sharded)


def test_a_stale_index_may_name_more_than_the_model_needs(sharded: Path, tmp_path: Path) -> None:
    index = json.loads((sharded / INDEX).read_text())
    index["weight_map"]["lm_head.scale"] = next(iter(index["weight_map"].values()))
    (sharded / INDEX).write_text(json.dumps(index))
    by_transformers = hf.AutoModelForCausalLM.from_pretrained(sharded).eval()
    with Checkpoint(sharded) as checkpoint:
        ours = load_model(checkpoint)
    assert torch.equal(ours(tokens()).logits, by_transformers(tokens()).logits)
    prune_checkpoint(sharded, tmp_path / "out", make_plan(sharded, width=32, criterion="ppm"))
    set_config(sharded, model_type="of_another_day")  # where no class says what is needed
    with pytest.raises(CheckpointError, match=r"tensor lm_head\.scale is missing, but model\.safe"):
        prune_checkpoint(sharded, tmp_path / "other", make_plan(sharded, width=32, criterion="ppm"))
    assert not (tmp_path / "other").exists()


def test_an_index_of_what_the_model_needs_is_refused(sharded: Path) -> None:
    file = sorted(sharded.glob("*.safetensors"))[0]
    tensors = load_file(file)
    lost = next(name for name in tensors if "mlp" not in name)
    save_file({k: v for k, v in tensors.items() if k != lost}, file, {"format": "pt"})
    with pytest.raises(CheckpointError, match=f"are missing.*{lost}"):
        make_plan(sharded, width=32, criterion="ppm")


@pytest.mark.parametrize(
    "entry",
    [{}, {"quant_method": "fp8"}, {"quant_method": "bitsandbytes", "load_in_4bit": False}],
    ids=["empty", "fp8", "switched off"],
)
def test_whole_weights_are_not_called_quantized(entry: dict[str, Any], saved: Path) -> None:
    set_config(saved, quantization_config=entry)
    with pytest.raises(CheckpointError, match=r"stored as F32.*remove quantization_config from"):
        Checkpoint(saved)
    set_config(saved, quantization_config=None)
    Checkpoint(saved)


def test_weights_of_a_quantization_are_called_so(saved: Path) -> None:
    set_config(saved, quantization_config={"quant_method": "gptq"})
    stored = load_file(saved / WEIGHTS)
    name = "model.layers.0.mlp.down_proj"
    packed = {f"{name}.qweight": stored.pop(f"{name}.weight").to(torch.int32)}
    save_file({**stored, **packed}, saved / WEIGHTS)
    with pytest.raises(UnsupportedModelError, match=r"the weights are quantized \(gptq: integers"):
        Checkpoint(saved)


def test_weights_under_the_prefix_of_peft_are_no_adapter(saved: Path) -> None:
    whole = {f"base_model.model.{k}": v for k, v in load_file(saved / WEIGHTS).items()}
    save_file(whole, saved / WEIGHTS, {"format": "pt"})
    with pytest.raises(CheckpointError, match=r"prefix 'base_model\.model\.' of a wrapper"):
        Checkpoint(saved)
    part = "base_model.model.model.layers.0.mlp.down_proj"
    for name in (f"{part}.lora_magnitude_vector.weight", f"{part}.base_layer.weight"):
        save_file({**whole, name: torch.ones(3)}, saved / WEIGHTS, {"format": "pt"})
        with pytest.raises(UnsupportedModelError, match="hold an adapter"):
            Checkpoint(saved)


def test_a_number_of_layers_that_is_not_stored_is_a_fault_of_the_config(saved: Path) -> None:
    set_config(saved, num_hidden_layers=5)
    with pytest.raises(CheckpointError, match="num_hidden_layers is 5, but 3 layers are stored"):
        Checkpoint(saved)
    set_config(saved, num_hidden_layers=2)
    with pytest.raises(UnsupportedModelError, match=r"2 layers of config\.json \(num_hidden_lay"):
        Checkpoint(saved)


def test_a_byte_order_mark_is_named(saved: Path) -> None:
    file = saved / "config.json"
    file.write_text(file.read_text(), encoding="utf-8-sig")
    with pytest.raises(OSError, match="not a valid JSON file"):
        hf.AutoConfig.from_pretrained(saved)
    with pytest.raises(CheckpointError, match=r"config\.json: begins with a byte order mark"):
        Checkpoint(saved)
