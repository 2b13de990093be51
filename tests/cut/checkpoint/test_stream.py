"""The stream from disk to disk gives what memory gives, and numbers that are none are named."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path

import pytest
import torch
from checkpoint_files import change, load
from families import FAMILIES, tiny, tokens
from safetensors.torch import load_file

from widthwise import apply, make_plan, prune_checkpoint
from widthwise.errors import CheckpointError

KEPT = 29


def tensors(path: Path) -> dict[str, torch.Tensor]:
    return {n: t for file in path.glob("*.safetensors") for n, t in load_file(file).items()}


@pytest.mark.parametrize("family", FAMILIES)
def test_the_stream_gives_bitwise_what_memory_gives(family: str, tmp_path: Path) -> None:
    tiny(family).to(torch.bfloat16).save_pretrained(tmp_path / "parent")
    model = load(tmp_path / "parent")
    plan = make_plan(tmp_path / "parent", width=KEPT, criterion="ppm")
    out = prune_checkpoint(tmp_path / "parent", tmp_path / "out", plan)
    in_memory = apply(model, make_plan(model, width=KEPT, criterion="ppm"))
    on_disk = load(out)
    assert on_disk.config.intermediate_size == KEPT
    for (name, a), (_, b) in zip(
        in_memory.named_parameters(), on_disk.named_parameters(), strict=True
    ):
        assert torch.equal(a, b), name
    with torch.no_grad():
        assert torch.equal(in_memory(tokens()).logits, on_disk(tokens()).logits)


def test_small_chunks_change_nothing(
    saved: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = make_plan(saved, width=KEPT, criterion="ppm")
    whole = tensors(prune_checkpoint(saved, tmp_path / "whole", plan))
    for module in ("widthwise.prune.selection", "widthwise.cut.checkpoint.stream"):
        monkeypatch.setattr(f"{module}.CHUNK_BYTES", 200)
    assert make_plan(saved, width=KEPT, criterion="ppm").keep == plan.keep
    chunked = tensors(prune_checkpoint(saved, tmp_path / "chunked", plan))
    assert all(torch.equal(chunked[name], whole[name]) for name in whole)


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), float("-inf")])
@pytest.mark.parametrize("part", ["gate_proj", "down_proj"])
def test_weights_that_are_not_finite_are_named(
    bad: float, part: str, saved: Path, tmp_path: Path
) -> None:
    name = f"model.layers.1.mlp.{part}.weight"
    change(
        saved,
        name,
        lambda t: t.index_put((torch.tensor([3]), torch.tensor([4])), torch.tensor(bad).to(t)),
    )
    with pytest.raises(CheckpointError, match=rf"{name} holds NaN or Inf"):
        prune_checkpoint(saved, tmp_path / "out", make_plan(saved, width=KEPT, criterion="random"))
    assert sorted(p.name for p in tmp_path.iterdir()) == ["parent"]


def test_values_too_large_for_half_precision_are_named(saved: Path, tmp_path: Path) -> None:
    change(saved, "model.norm.weight", lambda t: t * 1e6)
    plan = make_plan(saved, width=KEPT, criterion="ppm")
    with pytest.raises(CheckpointError, match=r"model\.norm\.weight has values too large"):
        prune_checkpoint(saved, tmp_path / "out", plan, dtype="float16")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("is_whole", [True, False])
def test_torch_streams_in_one_thread_and_has_its_own_number_again(
    saved: Path, tmp_path: Path, is_whole: bool
) -> None:
    def look(_: int) -> None:
        seen.append(torch.get_num_threads())
        if not is_whole:
            raise KeyboardInterrupt

    seen: list[int] = []
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        plan = make_plan(saved, remove="40%", criterion="ppm")
        with nullcontext() if is_whole else pytest.raises(KeyboardInterrupt):
            prune_checkpoint(saved, tmp_path / "out", plan, progress=look)
        assert set(seen) == {1}
        assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(before)
