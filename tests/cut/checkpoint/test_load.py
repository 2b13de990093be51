"""The model that is loaded is the one that is stored, or an error names what is not."""

from __future__ import annotations

import json
import shutil
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers as hf
from families import tiny, tokens
from healing_runs import save_text, save_tokenizer
from safetensors.torch import load_file, save_file
from torch import Tensor

from widthwise import make_plan, prune_checkpoint
from widthwise.cut.checkpoint import Checkpoint, load_model
from widthwise.errors import CheckpointError, UnsupportedModelError
from widthwise.notices import shown as notices
from widthwise.prune.calibration import calibrate
from widthwise.prune.healing import heal
from widthwise.study.dense_model import DenseModel, ModelFiles

KEPT = 29
Rename = Callable[[str], str]


def stored(folder: Path) -> dict[str, Tensor]:
    return load_file(folder / "model.safetensors")


def rewrite(folder: Path, tensors: Mapping[str, Tensor]) -> None:
    whole = {name: tensor.contiguous() for name, tensor in tensors.items()}
    save_file(whole, folder / "model.safetensors", {"format": "pt"})


def set_config(folder: Path, **changes: Any) -> None:
    file = folder / "config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **changes}))


@pytest.fixture
def dense(tmp_path: Path) -> Path:
    """A tiny untied Llama with a tokenizer of bytes."""
    folder = tmp_path / "dense"
    tiny("llama", vocab_size=257, tie_word_embeddings=False).save_pretrained(folder)
    save_tokenizer(folder)
    return folder


def loaded(folder: Path) -> Any:
    with Checkpoint(folder) as checkpoint:
        return load_model(checkpoint, dtype=torch.float32)


def logits(model: Any) -> Tensor:
    with torch.no_grad():
        found: Tensor = model(tokens()).logits
    return found


def every_command(folder: Path, sound: Path, tmp_path: Path) -> dict[str, Callable[[], Any]]:
    """All that loads a model, or writes what others are to load.

    Args:
        folder: The checkpoint with a fault.
        sound: What it was before.
        tmp_path: For files.
    """
    text = save_text(tmp_path / "text.txt")
    child = tmp_path / "child"
    prune_checkpoint(sound, child, make_plan(sound, width=KEPT))
    return {
        "plan": lambda: make_plan(folder, width=KEPT),
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
    plan = make_plan(dense, width=KEPT)
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
    with pytest.raises(CheckpointError, match=r"o_proj\.weight is stored in shape \[32, 16\]"):
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
    with pytest.raises(CheckpointError, match=f"would be left out: {name}"):
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
    out = prune_checkpoint(folder, tmp_path / "out", make_plan(folder, width=KEPT))
    assert not list(out.glob("adapter_*"))
    hf.AutoModelForCausalLM.from_pretrained(out)


def test_an_adapter_alone_is_refused(tmp_path: Path) -> None:
    (tmp_path / "adapter_config.json").write_text("{}")
    save_file({"x": torch.zeros(1)}, tmp_path / "adapter_model.safetensors")
    with pytest.raises(UnsupportedModelError, match=r"this is an adapter \(PEFT\)"):
        Checkpoint(tmp_path)


def test_a_single_file_counts_and_not_a_stale_index_beside_it(dense: Path, tmp_path: Path) -> None:
    other = tiny("llama", seed=5, vocab_size=257, tie_word_embeddings=False)
    other.save_pretrained(tmp_path / "old", max_shard_size="20KB")
    for file in (tmp_path / "old").glob("model*"):
        file.rename(dense / file.name)
    assert (dense / "model.safetensors.index.json").exists()
    with Checkpoint(dense) as checkpoint:
        name = "model.layers.0.mlp.gate_proj.weight"
        assert torch.equal(checkpoint.rows(name, 0, 53), stored(dense)[name])
        model = load_model(checkpoint, dtype=torch.float32)
    assert torch.equal(model.get_parameter(name), stored(dense)[name])


def test_an_index_that_names_a_file_that_is_gone_does_not_matter_beside_a_single_file(
    dense: Path,
) -> None:
    index = {
        "metadata": {},
        "weight_map": {"model.norm.weight": "model-00001-of-00009.safetensors"},
    }
    (dense / "model.safetensors.index.json").write_text(json.dumps(index))
    loaded(dense)


def test_an_index_without_metadata_is_an_error_that_says_what_to_add(
    dense: Path, tmp_path: Path
) -> None:
    (dense / "model.safetensors").rename(dense / "model-00001-of-00001.safetensors")
    names = load_file(dense / "model-00001-of-00001.safetensors")
    index: dict[str, Any] = {"weight_map": dict.fromkeys(names, "model-00001-of-00001.safetensors")}
    (dense / "model.safetensors.index.json").write_text(json.dumps(index))
    with pytest.raises(CheckpointError, match=r'add "metadata": \{\}'):
        loaded(dense)
    prune_checkpoint(dense, tmp_path / "out", make_plan(dense, width=KEPT))  # has one of its own
    (dense / "model.safetensors.index.json").write_text(json.dumps({**index, "metadata": {}}))
    loaded(dense)


def test_a_pointer_of_git_lfs_is_called_so(dense: Path) -> None:
    (dense / "model.safetensors").write_text(
        "version https://git-lfs.github.com/spec/v1\noid sha256:a\nsize 1\n"
    )
    with pytest.raises(CheckpointError, match="is a pointer of git-lfs to the weights"):
        Checkpoint(dense)


def test_the_file_that_the_config_names_is_taken(dense: Path, tmp_path: Path) -> None:
    name = "model.layers.0.mlp.gate_proj.weight"
    held = stored(dense)
    held[name] = torch.ones_like(held[name])
    save_file(held, dense / "better.safetensors", {"format": "pt"})
    set_config(dense, transformers_weights="better.safetensors")
    with Checkpoint(dense) as checkpoint:
        assert torch.equal(checkpoint.rows(name, 0, 53), held[name])
    assert torch.equal(loaded(dense).get_parameter(name), held[name])
    out = prune_checkpoint(dense, tmp_path / "out", make_plan(dense, width=KEPT))
    assert torch.equal(stored(out)[name], held[name][:KEPT])
    hf.AutoModelForCausalLM.from_pretrained(out)


def test_a_tensor_in_two_shards_is_taken_as_transformers_takes_it(
    dense: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "two"
    hf.AutoModelForCausalLM.from_pretrained(dense).save_pretrained(folder, max_shard_size="20KB")
    index = json.loads((folder / "model.safetensors.index.json").read_text())
    name = "model.layers.0.mlp.gate_proj.weight"
    last = max(index["weight_map"].values())
    assert index["weight_map"][name] != last
    held = load_file(folder / last)
    save_file({**held, name: torch.ones(53, 32)}, folder / last, {"format": "pt"})
    with Checkpoint(folder) as checkpoint:
        assert torch.equal(checkpoint.rows(name, 0, 53), torch.ones(53, 32))
    assert torch.equal(loaded(folder).get_parameter(name), torch.ones(53, 32))


def test_a_distributed_checkpoint_beside_a_single_file_is_refused(dense: Path) -> None:
    (dense / "shard-00001-model-00001-of-00001.safetensors").write_bytes(b"")
    with pytest.raises(UnsupportedModelError, match="a distributed checkpoint"):
        Checkpoint(dense)


CONFIGS: dict[str, tuple[dict[str, Any], str]] = {
    "unknown type": (
        {"model_type": "foo9", "transformers_version": "99.1"},
        r"does not know the model type 'foo9' \(the checkpoint was written by 99.1\); install one",
    ),
    "no type": ({"model_type": None}, "names no model_type"),
    "code": (
        {"model_type": "foo9", "auto_map": {"AutoModelForCausalLM": "modeling_foo.Foo"}},
        r"comes with code of its own \(modeling_foo.py\), which widthwise does not run",
    ),
    "no language model": ({"model_type": "siglip"}, "no class that writes text"),
    "heads": ({"num_attention_heads": 0}, r"transformers cannot read it as llama: .* by zero"),
    "heads in words": ({"num_attention_heads": "four"}, "transformers cannot read it"),
    "activation": ({"hidden_act": "swosh"}, "transformers cannot load it: KeyError: 'swosh'"),
    "dtype": ({"dtype": "float7"}, r"transformers cannot read it as llama: .*float7"),
    "vocabulary": ({"vocab_size": -5}, "negative dimension"),
}


@pytest.mark.parametrize("kind", CONFIGS)
def test_a_config_that_builds_nothing_is_an_error_that_says_why(kind: str, dense: Path) -> None:
    changes, message = CONFIGS[kind]
    set_config(dense, **changes)
    with pytest.raises((CheckpointError, UnsupportedModelError), match=message):
        loaded(dense)


def test_weights_of_a_class_that_is_not_known_are_cut_all_the_same(
    dense: Path, tmp_path: Path
) -> None:
    set_config(dense, model_type="foo9")
    said: list[str] = []
    with notices(said.append):
        out = prune_checkpoint(dense, tmp_path / "out", make_plan(dense, width=KEPT))
    assert "does not know the model type 'foo9'" in said[0]
    assert "Only the tensors of GLU blocks were checked" in said[0]
    assert stored(out)["model.layers.0.mlp.gate_proj.weight"].shape == (KEPT, 32)


def test_code_that_a_config_names_is_not_run_where_transformers_has_the_class(dense: Path) -> None:
    whole = logits(loaded(dense))
    set_config(dense, auto_map={"AutoModelForCausalLM": "modeling_foo.Foo"})
    assert torch.equal(logits(loaded(dense)), whole)


def test_weights_that_were_changed_after_they_were_looked_at_are_refused(dense: Path) -> None:
    """What is loaded is compared as well, not only what the headers said before."""
    with Checkpoint(dense) as checkpoint:
        rewrite(dense, {n: t for n, t in stored(dense).items() if n != "model.norm.weight"})
        with pytest.raises(CheckpointError, match=r"would be random: model\.norm\.weight"):
            load_model(checkpoint, dtype=torch.float32)
