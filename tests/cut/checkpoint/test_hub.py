"""Of a model of the hub, only the weights that its index names are downloaded."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from loopback_hub import served

from widthwise.cut.checkpoint import Checkpoint
from widthwise.cut.checkpoint.reader import read_header
from widthwise.errors import UnsupportedModelError

CODE = "import sys; from widthwise.cut.checkpoint import resolve_model\n"
CODE += "print(resolve_model(sys.argv[1]).path)"


def fetched(repo: Path, cache: Path, model: str = "some/model") -> tuple[Path, list[str]]:
    """The folder that a process of its own finds, and the names of the files it downloaded."""
    with served(repo) as (address, sent):
        environment = {**os.environ, "HF_ENDPOINT": address, "HF_HOME": str(cache)}
        environment |= {"HF_HUB_OFFLINE": "0", "HF_HUB_DISABLE_TELEMETRY": "1"}
        call = [sys.executable, "-c", CODE, model]
        done = subprocess.run(call, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return Path(done.stdout.strip()), sorted(sent)


def with_foreign_weights(repo: Path) -> None:
    """Beside the weights, those of other programs, as the hub has them."""
    weights = next(repo.glob("model*.safetensors"))
    for name in ("consolidated.safetensors", "mtp.safetensors", "adapter_model.safetensors"):
        shutil.copyfile(weights, repo / name)
    for name in ("onnx", "original"):
        (repo / name).mkdir()
        (repo / name / "config.json").write_text("{}")
        shutil.copyfile(weights, repo / name / "model.safetensors")
    for name in ("model-q4_k_m.gguf", "pytorch_model.bin", "tf_model.h5", "rust_model.ot"):
        (repo / name).write_bytes(b"\0")


def sharded(saved: Path) -> dict[str, str]:
    """Make one file two shards with an index; its weight_map is returned."""
    import transformers as hf

    model = hf.AutoModelForCausalLM.from_pretrained(saved)
    (saved / "model.safetensors").unlink()
    model.save_pretrained(saved, max_shard_size="30KB")
    index = json.loads((saved / "model.safetensors.index.json").read_text())
    assert len(set(index["weight_map"].values())) > 1
    return dict(index["weight_map"])


def weights_of(names: list[str]) -> list[str]:
    kinds = (".safetensors", ".gguf", ".bin", ".h5", ".ot")
    return [name for name in names if name.endswith(kinds)]


def test_the_single_file_is_all_that_is_fetched_of_the_weights(saved: Path, tmp_path: Path) -> None:
    with_foreign_weights(saved)
    folder, sent = fetched(saved, tmp_path / "cache")
    assert weights_of(sent) == ["model.safetensors"]
    assert "chat_template.jinja" in sent
    assert Checkpoint(folder).tensors.keys() == Checkpoint(saved).tensors.keys()
    assert fetched(saved, tmp_path / "cache") == (folder, [])  # once


def test_of_shards_those_are_fetched_that_the_index_names(saved: Path, tmp_path: Path) -> None:
    named = sharded(saved)
    with_foreign_weights(saved)
    shutil.copyfile(saved / named["model.norm.weight"], saved / "model-00007-of-00009.safetensors")
    folder, sent = fetched(saved, tmp_path / "cache")
    assert weights_of(sent) == sorted(set(named.values()))
    assert Checkpoint(folder).tensors.keys() == named.keys()


def test_a_stale_index_beside_one_file_fetches_no_shards(saved: Path, tmp_path: Path) -> None:
    """The file is what transformers loads then, and what `Checkpoint` reads."""
    shard = "model-00001-of-00002.safetensors"
    shutil.copyfile(saved / "model.safetensors", saved / shard)
    index = {"weight_map": {"model.norm.weight": shard}}
    (saved / "model.safetensors.index.json").write_text(json.dumps(index))
    folder, sent = fetched(saved, tmp_path / "cache")
    assert weights_of(sent) == ["model.safetensors"]
    assert Checkpoint(folder).index is None


@pytest.mark.parametrize("is_index", [False, True])
def test_a_file_that_the_config_names_is_fetched(
    saved: Path, tmp_path: Path, is_index: bool
) -> None:
    config = json.loads((saved / "config.json").read_text())
    name = "other.safetensors.index.json" if is_index else "other.safetensors"
    (saved / "config.json").write_text(json.dumps({**config, "transformers_weights": name}))
    shutil.copyfile(saved / "model.safetensors", saved / "other.safetensors")
    if is_index:
        tensors = dict.fromkeys(read_header(saved / "other.safetensors"), "other.safetensors")
        (saved / name).write_text(json.dumps({"weight_map": tensors}))
    folder, sent = fetched(saved, tmp_path / "cache")
    assert weights_of(sent) == ["other.safetensors"]
    assert Checkpoint(folder).tensors


def test_a_repository_without_weights_is_told_by_what_it_has(saved: Path, tmp_path: Path) -> None:
    (saved / "model.safetensors").rename(saved / "consolidated.safetensors")
    (saved / "params.json").write_text('{"hidden_dim": 53}')
    folder, sent = fetched(saved, tmp_path / "cache")
    assert not weights_of(sent)
    with pytest.raises(UnsupportedModelError, match="the format of Mistral or Meta"):
        Checkpoint(folder)
