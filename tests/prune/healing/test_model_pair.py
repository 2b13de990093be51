"""A child and its parent belong together, or an error says why not."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from families import tiny
from healing_runs import run
from safetensors.torch import load_file, save_file

from widthwise.errors import CheckpointError, RunError
from widthwise.prune.healing import heal

pytestmark = pytest.mark.usefixtures("short_blocks")


def test_models_that_do_not_belong_together_are_told(
    child: Path, dense: Path, saved: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    with pytest.raises(CheckpointError, match="nothing was pruned, so nothing can be healed"):
        heal(dense, dense, out=out)
    with pytest.raises(CheckpointError, match=r"is narrower than .*--dense must be the wider one"):
        heal(dense, child, out=out)
    with pytest.raises(CheckpointError, match=r"is not the dense parent of .* has shape"):
        heal(child, saved, out=out)
    tiny("qwen2").save_pretrained(tmp_path / "qwen")
    with pytest.raises(CheckpointError, match="model_type is qwen2 and llama"):
        heal(child, tmp_path / "qwen", out=out)
    assert not out.exists()


def test_another_tokenizer_is_told(child: Path, dense: Path, tmp_path: Path) -> None:
    other = shutil.copytree(child, tmp_path / "other")
    file = other / "tokenizer.json"
    data = json.loads(file.read_text())
    vocabulary = data["model"]["vocab"]
    first, second = list(vocabulary)[100:102]
    vocabulary[first], vocabulary[second] = vocabulary[second], vocabulary[first]
    file.write_text(json.dumps(data))
    with pytest.raises(CheckpointError, match="have different tokenizers"):
        heal(other, dense, out=tmp_path / "out")
    file.unlink()
    (other / "tokenizer_config.json").unlink()
    with pytest.raises(RunError, match="there is no tokenizer to load"):
        heal(other, dense, out=tmp_path / "out")


def test_a_device_that_is_not_there_is_told(child: Path, tmp_path: Path) -> None:
    with pytest.raises(RunError, match="must be cpu, cuda or cuda:N; got 'quantum'"):
        heal(child, child, out=tmp_path / "out", device="quantum")
    with pytest.raises(RunError, match="must be bfloat16 or float32; got 'float16'"):
        heal(child, child, out=tmp_path / "out", dtype="float16")


def test_a_parent_that_the_child_was_not_cut_from_is_said(
    healed: Any, child: Path, dense: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", logger="widthwise")
    assert not any("was cut from" in line for line in healed().warnings)
    assert "was cut from" not in caplog.text
    other = shutil.copytree(dense, tmp_path / "other")
    weights = load_file(other / "model.safetensors")
    weights["model.layers.0.mlp.up_proj.weight"] *= 1.5
    save_file(weights, other / "model.safetensors", {"format": "pt"})
    words = ("heal", child, "--dense", other, "--tokens", "4k", "--learning-rate", "1e-3")
    result = run(*words, "--dtype", "float32", "-o", tmp_path / "towards")
    said = f"{child} was cut from {dense}, and the GLU weights of {other} are not those of"
    lines = result.stderr.splitlines()
    told = next(i for i, line in enumerate(lines) if line.startswith(said))
    assert told < lines.index("measuring on held-out text"), result.stderr  # before the work
