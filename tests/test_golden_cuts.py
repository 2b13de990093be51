"""Cuts have the bytes that they had, and refits the numbers.

`golden/cuts.txt` is what 41e98b0 wrote, byte for byte, but for the cards, which now say to measure
what was lost, and of refits of which half of the text their error is and what the cut loses, and
the code and config of compact cuts, which now state widths in `per_layer_config`. Refits
themselves lie in `kept`, as it wrote them.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from golden_cuts import DIGESTS, REFITS, cut, digests
from safetensors.torch import load_file

from widthwise.cut.checkpoint import Checkpoint, inspect_refit

KEPT = Path(__file__).parent / "kept" / "formats-41e98b0"
CLOSE: dict[str, float] = {"rtol": 1e-4, "atol": 1e-5}  # of single precision, in another order


def test_cuts_have_the_bytes_that_they_had(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WIDTHWISE_CACHE", str(tmp_path / "cache"))
    kept = DIGESTS.read_text(encoding="utf8").splitlines()
    found = list(digests(tmp_path))
    assert [line for line in found if line not in kept] == []
    assert found == kept


@pytest.mark.parametrize("name", REFITS)
def test_refits_have_the_numbers_that_they_had(name: str, tmp_path: Path) -> None:
    """The tensors that no refit touches bit for bit, and those of down_proj closely."""
    folder, kept = cut(name, tmp_path), KEPT / name
    now, before = (load_file(each / "model.safetensors") for each in (folder, kept))
    assert list(now) == list(before)
    for tensor, value in before.items():
        if "down_proj" in tensor:
            torch.testing.assert_close(now[tensor], value, **CLOSE)
        else:
            assert torch.equal(now[tensor], value), tensor
    record, expected = _record(folder), _record(kept)
    for layer, like in zip(record.pop("layers"), expected.pop("layers"), strict=True):
        assert len(layer.pop("sha256")) == len(like.pop("sha256")) == 64
        assert layer == pytest.approx(like, rel=1e-4)
    assert all(loss["divergence"] > 0 for loss in record.pop("losses"))  # 41e98b0 knew none
    assert record == expected
    with Checkpoint(folder, "cut") as checkpoint:
        found = inspect_refit(checkpoint)
    assert found is not None
    assert found["verified"]


def _record(folder: Path) -> dict[str, Any]:
    record: dict[str, Any] = json.loads((folder / "widthwise_refit.json").read_text("utf8"))
    return record
