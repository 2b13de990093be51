"""How many bytes the deployed file has, told before it is there."""

from __future__ import annotations

from pathlib import Path

import pytest

from widthwise import prune_checkpoint
from widthwise.cut.checkpoint import resolve_model
from widthwise.prune import make_plan
from widthwise.shrink.deployed_file import DeployedFile


@pytest.mark.parametrize("dtype", [None, "float32"])
def test_files_of_weights_are_never_larger_than_told(
    dtype: str | None, saved: Path, tmp_path: Path
) -> None:
    file = DeployedFile(source=resolve_model(saved), gguf=None, dtype=dtype)
    plan = make_plan(saved, width=20, align=1, criterion="ppm")
    out = prune_checkpoint(saved, tmp_path / "out", plan, refit=False, dtype=dtype)
    written = sum(path.stat().st_size for path in out.glob("*.safetensors"))
    names = len(file.architecture.tensors)
    assert written <= file.bytes_at(20) <= written + 150 * names  # the header alone is guessed


def test_the_model_as_it_is_has_the_bytes_of_its_files(saved: Path) -> None:
    file = DeployedFile(source=resolve_model(saved), gguf=None, dtype=None)
    assert file.dense_bytes == (saved / "model.safetensors").stat().st_size
    assert str(file) == "the checkpoint"
    assert file.alignment is None


def test_a_type_with_blocks_asks_for_widths_that_fill_them() -> None:
    source = resolve_model("smollm2")
    aligned = {
        kind: DeployedFile(source=source, gguf=kind, dtype=None).alignment
        for kind in ("f16", "q8_0", "q4_k_m")
    }
    assert aligned == {"f16": 16, "q8_0": 32, "q4_k_m": 256}
