"""Healings that cannot be: each is refused in one sentence, before any work."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest
from families import tiny
from healing_runs import run
from safetensors.torch import load_file, save_file

from widthwise.errors import CheckpointError, OutputError, RunError
from widthwise.prune.healing import HealSettings, heal

pytestmark = pytest.mark.usefixtures("short_blocks")


def contents(folder: Path) -> dict[str, bytes]:
    return {p.name: p.read_bytes() for p in folder.iterdir()}


def test_a_disk_too_small_is_refused_before_training(healed: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr("widthwise.prune.healing.save.free_disk_bytes", lambda _: 1000)
    with pytest.raises(OutputError, match=r"the disk is full: .* bytes are needed, 1,000 free"):
        healed(progress=lambda *_: pytest.fail("it was trained"))


@pytest.mark.parametrize(
    "wrong",
    [
        {"tokens": 1.5}, {"batch_tokens": float("nan")}, {"micro_tokens": 0.5}, {"lora": True},
        {"tokens": 10**12 + 1}, {"batch_tokens": 10**18}, {"lora": 10**30}, {"minutes": 1e300},
        {"seed": -1}, {"minutes": float("inf")}, {"temperature": 1e-9}, {"learning_rate": "fast"},
    ],
)  # fmt: skip
def test_settings_out_of_range_are_refused_by_name(wrong: dict[str, Any]) -> None:
    with pytest.raises(RunError, match=f"{next(iter(wrong))} of a healing must be"):
        HealSettings(**wrong)


def test_what_exists_is_refused_before_any_work(
    healed: Any, child: Path, dense: Path, tmp_path: Path
) -> None:
    (tmp_path / "out").mkdir()
    result = run("heal", child, "--dense", dense, "-o", tmp_path / "out")
    assert result.exit_code == 1
    assert "already exists; pass --force to replace it" in result.stderr
    assert sorted(p.name for p in tmp_path.iterdir()) == ["out"]
    before = contents(child)
    with pytest.raises(OutputError, match="must not lie in one another"):
        heal(child, dense, out=child / "in")
    assert contents(child) == before
    (tmp_path / "out" / "config.json").write_text("{}")
    assert (healed(force=True).out / "model.safetensors").exists()


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
    with pytest.raises(CheckpointError, match="do not share a tokenizer"):
        heal(other, dense, out=tmp_path / "out")
    file.unlink()
    (other / "tokenizer_config.json").unlink()
    with pytest.raises(RunError, match="its tokenizer cannot be loaded"):
        heal(other, dense, out=tmp_path / "out")


def test_a_device_that_is_not_there_is_told(child: Path, tmp_path: Path) -> None:
    with pytest.raises(RunError, match="runs on cpu, cuda or cuda:N; got 'quantum'"):
        heal(child, child, out=tmp_path / "out", device="quantum")
    with pytest.raises(RunError, match="computes in bfloat16 or float32; got 'float16'"):
        heal(child, child, out=tmp_path / "out", dtype="float16")


def test_too_little_text_is_told(child: Path, dense: Path, text: Path, tmp_path: Path) -> None:
    few = tmp_path / "few.txt"
    few.write_text(text.read_text()[:200])
    with pytest.raises(RunError, match=r"tokens; a healing needs at least 384"):
        heal(child, dense, out=tmp_path / "out", text=few)


def test_without_peft_the_extra_is_named(healed: Any, monkeypatch: Any) -> None:
    monkeypatch.setitem(sys.modules, "peft", None)
    with pytest.raises(RunError, match=r"pip install 'widthwise\[lora\]'"):
        healed(lora=2)


def test_weights_that_are_not_finite_are_named(child: Path, dense: Path, tmp_path: Path) -> None:
    broken = shutil.copytree(dense, tmp_path / "broken")
    weights = load_file(broken / "model.safetensors")
    weights["model.layers.0.mlp.up_proj.weight"][0, 0] = float("nan")
    save_file(weights, broken / "model.safetensors", {"format": "pt"})
    with pytest.raises(RunError, match=r"the logits of .*broken are not finite: its weights hold"):
        heal(child, broken, out=tmp_path / "out", dtype="float32")
    assert not (tmp_path / "out").exists()


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
