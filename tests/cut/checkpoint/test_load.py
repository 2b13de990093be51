"""The model that is loaded is the one that is stored, or an error names what is not."""

from __future__ import annotations

import shutil
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers as hf
from checkpoint_files import loaded, logits, rewrite, save_untied, set_config, stored
from healing_runs import save_text, save_tokenizer

from widthwise import make_plan, prune_checkpoint
from widthwise.cut.checkpoint import Checkpoint, load_model
from widthwise.errors import CheckpointError
from widthwise.prune.calibration import calibrate
from widthwise.prune.healing import heal
from widthwise.study.dense_model import DenseModel, ModelFiles

KEPT = 29
Rename = Callable[[str], str]


@pytest.fixture
def dense(tmp_path: Path) -> Path:
    return save_untied(tmp_path / "dense")


def every_command(folder: Path, sound: Path, tmp_path: Path) -> dict[str, Callable[[], Any]]:
    """All that loads a model, or writes what others are to load.

    Args:
        folder: The checkpoint with a fault.
        sound: What it was before.
        tmp_path: For files.
    """
    text = save_text(tmp_path / "text.txt")
    child = tmp_path / "child"
    prune_checkpoint(sound, child, make_plan(sound, width=KEPT, criterion="ppm"))
    return {
        "plan": lambda: make_plan(folder, width=KEPT, criterion="ppm"),
        "plan by activations": lambda: make_plan(
            folder, width=KEPT, criterion="ppm_activation", calibration=text
        ),
        "calibrate": lambda: calibrate(folder, text=text, tokens=2048),
        "heal a child of it": lambda: heal(child, folder, text=text, out=tmp_path / "healed"),
        "heal it": lambda: heal(folder, sound, text=text, out=tmp_path / "healed"),
        "evaluate": lambda: DenseModel(
            files=ModelFiles(str(folder)), dtype=None, device="cpu", seed=0
        ).check(),
        "measure": lambda: (
            DenseModel(files=ModelFiles(str(folder)), dtype="float32", device="cpu", seed=0).dense
        ),
    }


PREFIXES: dict[str, tuple[Rename, str]] = {
    "torch.compile": (lambda name: "_orig_mod." + name, "'_orig_mod.'"),
    "DataParallel": (lambda name: "module." + name, "'module.'"),
    "trainer": (lambda name: "state_dict.actor." + name, "'state_dict.actor.'"),
    "FSDP": (
        lambda name: (
            "_fsdp_wrapped_module."
            + name.replace(".mlp.", "._fsdp_wrapped_module._checkpoint_wrapped_module.mlp.")
        ),
        "'_fsdp_wrapped_module",
    ),
    "compiled layers": (lambda name: name.replace(".mlp.", "._orig_mod.mlp."), "'_orig_mod.'"),
    "half": (
        lambda name: "_orig_mod." + name if ".mlp." not in name else name,
        "'_orig_mod.'",
    ),
}


@pytest.mark.parametrize("kind", PREFIXES)
def test_a_wrappers_prefix_is_refused_by_name_in_every_command(
    kind: str, dense: Path, tmp_path: Path
) -> None:
    sound = shutil.copytree(dense, tmp_path / "sound")
    rename, named = PREFIXES[kind]
    rewrite(dense, {rename(name): tensor for name, tensor in stored(dense).items()})
    for call in every_command(dense, sound, tmp_path).values():
        with pytest.raises(CheckpointError, match=named):
            call()


def test_a_prefix_that_transformers_takes_off_is_no_fault(dense: Path) -> None:
    whole = logits(loaded(dense))
    rewrite(dense, {"model." + name: tensor for name, tensor in stored(dense).items()})
    assert torch.equal(logits(loaded(dense)), whole)


MISSING = (
    "lm_head.weight",
    "model.embed_tokens.weight",
    "model.norm.weight",
    "model.layers.1.self_attn.q_proj.weight",
    "model.layers.2.input_layernorm.weight",
)


@pytest.mark.parametrize("missing", MISSING)
def test_a_missing_tensor_is_refused_by_name_in_every_command(
    missing: str, dense: Path, tmp_path: Path
) -> None:
    sound = shutil.copytree(dense, tmp_path / "sound")
    rewrite(dense, {n: t for n, t in stored(dense).items() if n != missing})
    for call in every_command(dense, sound, tmp_path).values():
        with pytest.raises(CheckpointError, match=f"would be random: {missing}"):
            call()


def test_a_prune_of_what_lacks_a_tensor_writes_nothing(dense: Path, tmp_path: Path) -> None:
    plan = make_plan(dense, width=KEPT, criterion="ppm")
    rewrite(dense, {n: t for n, t in stored(dense).items() if n != "model.norm.weight"})
    with pytest.raises(CheckpointError, match=r"would be random: model\.norm\.weight"):
        prune_checkpoint(dense, tmp_path / "out", plan)
    assert not (tmp_path / "out").exists()


def test_a_missing_head_says_how_a_tied_one_is_declared(dense: Path) -> None:
    rewrite(dense, {n: t for n, t in stored(dense).items() if n != "lm_head.weight"})
    with pytest.raises(CheckpointError, match=r'must say "tie_word_embeddings": true'):
        loaded(dense)
    set_config(dense, tie_word_embeddings=True)
    model = loaded(dense)
    assert model.lm_head.weight is model.model.embed_tokens.weight


def test_an_embedding_stored_as_the_head_alone_is_loaded_where_they_are_tied(dense: Path) -> None:
    held = stored(dense)
    held["lm_head.weight"] = held.pop("model.embed_tokens.weight")
    rewrite(dense, held)
    set_config(dense, tie_word_embeddings=True)
    assert torch.equal(loaded(dense).model.embed_tokens.weight, held["lm_head.weight"])


def test_a_tensor_of_another_shape_is_refused_by_name(dense: Path) -> None:
    held = stored(dense)
    held["model.layers.0.self_attn.o_proj.weight"] = torch.zeros(32, 16)
    rewrite(dense, held)
    with pytest.raises(CheckpointError, match=r"o_proj\.weight has shape \[32, 16\]"):
        loaded(dense)


LEFT_OUT = (
    "model.layers.0.self_attn.q_proj.bias",
    "model.layers.0.self_attn.q_norm.weight",
    "model.extra",
)


@pytest.mark.parametrize("name", LEFT_OUT)
def test_a_tensor_that_would_be_left_out_of_a_part_is_refused_by_name(
    name: str, dense: Path
) -> None:
    rewrite(dense, {**stored(dense), name: torch.ones(32)})
    with pytest.raises(CheckpointError, match=f"would ignore them: {name}"):
        loaded(dense)


BESIDE = (
    "mtp.layers.0.self_attn.q_proj.weight",  # a draft layer
    "model.layers.1.self_attn.rotary_emb.inv_freq",  # a buffer of older versions
    "score.weight",  # a head of another task
)


@pytest.mark.parametrize("name", BESIDE)
def test_a_part_that_the_class_does_not_have_is_no_fault(name: str, dense: Path) -> None:
    whole = logits(loaded(dense))
    rewrite(dense, {**stored(dense), name: torch.ones(4, 4)})
    assert torch.equal(logits(loaded(dense)), whole)


@pytest.mark.parametrize("shards", [False, True], ids=["one file", "shards"])
def test_an_adapter_beside_full_weights_is_not_applied_and_stays_behind(
    shards: bool, dense: Path, tmp_path: Path
) -> None:
    peft = pytest.importorskip("peft")
    folder = tmp_path / "both"
    model = hf.AutoModelForCausalLM.from_pretrained(dense)
    size = "20KB" if shards else "5GB"
    model.save_pretrained(folder, max_shard_size=size)
    save_tokenizer(folder)
    assert shards == (folder / "model.safetensors.index.json").exists()
    whole = logits(model)
    settings = peft.LoraConfig(
        r=2, target_modules=["q_proj"], modules_to_save=["lm_head"], init_lora_weights=False
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # peft asks for what transformers has renamed
        peft.get_peft_model(model, settings).save_pretrained(folder)
    assert (folder / "adapter_model.safetensors").exists()
    assert torch.equal(logits(loaded(folder)), whole)
    parent = DenseModel(files=ModelFiles(str(folder)), dtype="float32", device="cpu", seed=0)
    assert torch.equal(logits(parent.dense), whole)
    out = prune_checkpoint(folder, tmp_path / "out", make_plan(folder, width=KEPT, criterion="ppm"))
    assert not list(out.glob("adapter_*"))
    hf.AutoModelForCausalLM.from_pretrained(out)


def test_weights_that_were_changed_after_they_were_looked_at_are_refused(dense: Path) -> None:
    """What is loaded is compared as well, not only what the headers said before."""
    with Checkpoint(dense) as checkpoint:
        rewrite(dense, {n: t for n, t in stored(dense).items() if n != "model.norm.weight"})
        with pytest.raises(CheckpointError, match=r"would be random: model\.norm\.weight"):
            load_model(checkpoint, dtype=torch.float32)
