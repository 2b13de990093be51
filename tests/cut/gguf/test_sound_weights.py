"""What is read of a checkpoint before it is written as GGUF."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from every_family import tiny_model
from safetensors.torch import load_file, save_file

from widthwise.cut import Plan
from widthwise.cut.checkpoint import Checkpoint, read_json
from widthwise.cut.gguf import sound_weights
from widthwise.cut.gguf.sound_weights import check_weights, is_padded
from widthwise.errors import CheckpointError
from widthwise.prune import make_plan, prune_checkpoint


def check(folder: Path) -> None:
    with Checkpoint(folder) as checkpoint:
        check_weights(checkpoint)


def state_widths(folder: Path, widths: list[int]) -> None:
    config = {**read_json(folder / "config.json"), "widthwise_widths": widths}
    (folder / "config.json").write_text(json.dumps(config))


@pytest.fixture(params=["llama", "phi3"])  # the latter has gate and up in one tensor
def dense(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    tiny_model(request.param).save_pretrained(tmp_path / "dense")
    return tmp_path / "dense"


def test_widths_that_a_dense_model_does_not_have_are_refused(dense: Path) -> None:
    """The neurons beyond them were left out of the file."""
    check(dense)
    width = read_json(dense / "config.json")["intermediate_size"]
    state_widths(dense, [width, width, width - 8])
    with pytest.raises(CheckpointError, match=f"states {width - 8} neurons for layer 2, but"):
        check(dense)


def test_padding_is_zero_in_every_chunk(
    dense: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sound_weights, "_CHUNK_BYTES", 1000)  # a few rows
    plan = make_plan(dense, width=32, align=8, criterion="ppm")
    keep = (plan.keep[0], plan.keep[1][:8], plan.keep[2][:24])
    plan = Plan(**{**vars(plan), "keep": keep})
    folder = prune_checkpoint(dense, tmp_path / "padded", plan)
    with Checkpoint(folder) as checkpoint:
        assert is_padded(checkpoint)
        check_weights(checkpoint)
        cut = next(
            (name, cut)
            for name, cut in checkpoint.architecture.cuts.items()
            if cut.group == 1 and cut.axis == 0
        )
    tensors = load_file(folder / "model.safetensors")
    tensors[cut[0]][-1, 3] = 1e-3
    save_file(tensors, folder / "model.safetensors", {"format": "pt"})
    with pytest.raises(CheckpointError, match="8 neurons for layer 1"):
        check(folder)


@pytest.mark.parametrize("value", [torch.nan, torch.inf])
def test_nan_and_inf_are_refused(dense: Path, value: float) -> None:
    tensors = load_file(dense / "model.safetensors")
    tensors["model.layers.1.self_attn.o_proj.weight"][2, 3] = value
    save_file(tensors, dense / "model.safetensors", {"format": "pt"})
    with pytest.raises(CheckpointError, match=r"layers\.1\.self_attn\.o_proj\.weight holds NaN"):
        check(dense)


def test_kinds_of_several_widths_are_no_padding(tmp_path: Path) -> None:
    tiny_model("qwen2_moe").save_pretrained(tmp_path)
    with Checkpoint(tmp_path) as checkpoint:
        assert len(set(checkpoint.widths)) > 1
        assert not is_padded(checkpoint)
        check_weights(checkpoint)
