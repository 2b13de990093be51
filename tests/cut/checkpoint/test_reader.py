"""What the folder of a checkpoint holds: which file counts, and what is wrong with it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers as hf
from checkpoint_files import loaded, save_untied, set_config, stored
from families import tiny
from layered_models import WIDTHS, batches, run
from safetensors.torch import load_file, save_file

from widthwise import apply, make_plan, prune_checkpoint, refit
from widthwise.cut.checkpoint import REFIT_FILE, Checkpoint, inspect_refit, load_model
from widthwise.errors import CheckpointError, UnsupportedModelError

KEPT = 29


@pytest.fixture
def dense(tmp_path: Path) -> Path:
    return save_untied(tmp_path / "dense")


def test_an_overlong_or_truncated_shard_is_named(saved: Path) -> None:
    file = saved / "model.safetensors"
    data = file.read_bytes()
    for size in (len(data) - 1, len(data) // 2, 100, 7, 0):
        file.write_bytes(data[:size])
        with pytest.raises(CheckpointError, match=r"model\.safetensors: .*(truncated|header)"):
            Checkpoint(saved)
    file.write_bytes(data + b"x")
    with pytest.raises(CheckpointError, match="overlong"):
        Checkpoint(saved)


def test_a_header_that_lies_is_refused(saved: Path) -> None:
    file = saved / "model.safetensors"
    data = file.read_bytes()
    length = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + length])
    header["model.norm.weight"]["shape"] = [31]
    text = json.dumps(header, separators=(",", ":")).encode().ljust(length)
    file.write_bytes(data[:8] + text + data[8 + length :])
    with pytest.raises(CheckpointError, match=r"tensor model\.norm\.weight has 64 bytes"):
        Checkpoint(saved)


@pytest.fixture
def sharded(tmp_path: Path, llama: Any) -> Path:
    llama.save_pretrained(tmp_path / "sharded", max_shard_size="20KB")
    return tmp_path / "sharded"


def test_an_incomplete_checkpoint_names_its_missing_shard(sharded: Path) -> None:
    shard = sorted(sharded.glob("*.safetensors"))[1]
    shard.unlink()
    with pytest.raises(CheckpointError, match=rf"shard {shard.name} is missing \(\d+ tensors"):
        Checkpoint(sharded)


def test_folders_that_are_no_checkpoints_are_named(saved: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(CheckpointError, match=r"no config\.json"):
        Checkpoint(tmp_path / "empty")
    (saved / "config.json").write_text("{")
    with pytest.raises(CheckpointError, match=r"config\.json: cannot be read as JSON"):
        Checkpoint(saved)


def test_pickles_and_adapters_are_refused(saved: Path, tmp_path: Path) -> None:
    (saved / "model.safetensors").rename(saved / "pytorch_model.bin")
    with pytest.raises(
        UnsupportedModelError, match=r"pytorch_model\.bin: weights must be safetens"
    ):
        Checkpoint(saved)
    (saved / "pytorch_model.bin").unlink()
    with pytest.raises(CheckpointError, match=r"neither model\.safetensors nor"):
        Checkpoint(saved)
    (saved / "adapter_config.json").write_text("{}")
    with pytest.raises(UnsupportedModelError, match=r"adapter_config\.json: this is an adapter"):
        Checkpoint(saved)


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
    prune_checkpoint(
        dense, tmp_path / "out", make_plan(dense, width=KEPT, criterion="ppm")
    )  # has one of its own
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
    out = prune_checkpoint(dense, tmp_path / "out", make_plan(dense, width=KEPT, criterion="ppm"))
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


@pytest.mark.usefixtures("own_modules")
def test_a_padded_checkpoint_tells_its_widths_and_is_verified(saved: Path, tmp_path: Path) -> None:
    model = hf.AutoModelForCausalLM.from_pretrained(saved, dtype=torch.float32)
    done = refit(model, width=30, align=1, text=batches(), widths=WIDTHS, dtype="bfloat16")
    assert done.plan.widths == WIDTHS
    folder = prune_checkpoint(saved, tmp_path / "out", done.plan, refit=done)
    found = json.loads(run("inspect", folder).stdout)
    assert found["widths"] == list(WIDTHS)
    assert found["intermediate_size"] == 41
    assert found["refit"]["verified"] is True
    assert json.loads(run("inspect", saved).stdout)["widths"] is None
    how: Any = {"refit": done, "layout": "compact"}
    compact = prune_checkpoint(saved, tmp_path / "compact", done.plan, **how)
    narrow = hf.AutoModelForCausalLM.from_pretrained(compact, trust_remote_code=True)
    assert sum(p.numel() for p in narrow.parameters()) == done.plan.parameters
    assert 2 * done.plan.parameters == done.plan.weight_bytes
    loaded = hf.AutoModelForCausalLM.from_pretrained(folder)
    assert all(
        map(torch.equal, loaded.parameters(), apply(model.bfloat16(), done.plan, done).parameters())
    )
    with torch.no_grad():
        loaded.model.layers[0].mlp.down_proj.weight[3, 40] = 1.0  # of the padding
    loaded.save_pretrained(tmp_path / "changed")
    (tmp_path / "changed" / REFIT_FILE).write_text((folder / REFIT_FILE).read_text())
    with Checkpoint(tmp_path / "changed") as checkpoint:
        record = inspect_refit(checkpoint)
    assert record is not None
    assert "down_proj of 1 of 3 layers (0)" in record["reason"]


@pytest.mark.parametrize("wrong", [[17, 41], [17, 41, 54], [17, 41, 0], "17", [17, 41, 2.5]])
def test_wrong_widths_in_a_config_are_told(wrong: Any, saved: Path) -> None:
    config = json.loads((saved / "config.json").read_text())
    (saved / "config.json").write_text(json.dumps({**config, "widthwise_widths": wrong}))
    with pytest.raises(CheckpointError, match="widthwise_widths must be 3 whole numbers, 1 to 53"):
        Checkpoint(saved)


def test_a_model_type_that_is_no_name_is_refused(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"model_type": ["llama"]}))
    with pytest.raises(CheckpointError, match=r"model_type must be a name; got \['llama'\]"):
        Checkpoint(tmp_path)
