"""What is streamed is what the safetensors library writes and reads."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from widthwise.io import TORCH_DTYPES, TensorSpec, save_tensors, stream_safetensors

TENSORS = {
    "b.weight": torch.arange(6, dtype=torch.float32).reshape(2, 3).T,  # not contiguous
    "a": torch.tensor(2.5, dtype=torch.float64),
    "none": torch.zeros(0, 4),
    **{name: torch.ones(3).to(getattr(torch, name)) for name in TORCH_DTYPES.values()},
}


def test_a_file_is_that_of_the_library(tmp_path: Path) -> None:
    save_tensors(tmp_path / "ours", TENSORS, {"format": "pt"})
    contiguous = {name: tensor.contiguous() for name, tensor in TENSORS.items()}
    save_file(contiguous, tmp_path / "theirs", {"format": "pt"})
    ours, theirs = load_file(tmp_path / "ours"), load_file(tmp_path / "theirs")
    assert ours.keys() == theirs.keys() == TENSORS.keys()
    for name, tensor in ours.items():
        assert tensor.dtype == theirs[name].dtype
        assert torch.equal(tensor.double(), theirs[name].double())


def test_metadata_is_read_back(tmp_path: Path) -> None:
    save_tensors(tmp_path / "file", {"x": torch.ones(2)}, {"facts": '{"a": "ä"}'})
    with safe_open(tmp_path / "file", "pt") as file:
        assert file.metadata() == {"facts": '{"a": "ä"}'}


@pytest.mark.parametrize("size", [0, 4, 12])
def test_other_bytes_than_the_header_says_are_an_error(size: int, tmp_path: Path) -> None:
    with (
        pytest.raises(ValueError, match=rf"has {size} bytes of tensors, not 8"),
        stream_safetensors(tmp_path / "file", {"x": TensorSpec((2,), "F32")}, {}) as write,
    ):
        write(memoryview(bytes(size)))


@pytest.mark.parametrize(
    ("shape", "portions"),
    [
        ((5, 3), [(0, 2), (2, 4), (4, 5)]),  # of 12 bytes a row
        ((2, 100), [(0, 1), (1, 2)]),  # a row is never divided
        ((), [(0, 1)]),
        ((0, 3), []),
        ((3, 0), [(0, 3)]),
    ],
)
def test_a_tensor_is_read_in_portions_of_rows(
    shape: tuple[int, ...], portions: list[tuple[int, int]]
) -> None:
    assert list(TensorSpec(shape, "F32").portions(24)) == portions
