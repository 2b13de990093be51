"""Norms of activations, of batches and of a text file."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import pytest
import torch
from families import LAYERS, tokens

from widthwise import activation_norms
from widthwise.errors import RunError
from widthwise.prune import open_model
from widthwise.prune.calibration.activations import norms_of_text


def test_activation_norms_ignore_padding_and_batching(llama: Any) -> None:
    ids = tokens(length=12)
    whole = activation_norms(llama, [{"input_ids": ids}])
    apart = activation_norms(llama, [{"input_ids": row[None]} for row in ids])
    padded = torch.nn.functional.pad(ids, (0, 5))
    mask = torch.nn.functional.pad(torch.ones_like(ids), (0, 5))
    masked = activation_norms(llama, [{"input_ids": padded, "attention_mask": mask}])
    for layer in range(LAYERS):
        # Same numbers from other matrix shapes: float32 accumulates differently, 1e-5 relative.
        torch.testing.assert_close(apart[layer], whole[layer], rtol=1e-5, atol=1e-7)
        torch.testing.assert_close(masked[layer], whole[layer], rtol=1e-5, atol=1e-7)


def test_activation_norms_match_a_direct_computation(llama: Any) -> None:
    ids = tokens()
    seen: list[torch.Tensor] = []
    block = llama.model.layers[1].mlp
    handle = block.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    norms = activation_norms(llama, [{"input_ids": ids}])
    handle.remove()
    with torch.inference_mode():
        inner = torch.nn.functional.silu(block.gate_proj(seen[0])) * block.up_proj(seen[0])
    torch.testing.assert_close(norms[1], inner.flatten(0, 1).norm(dim=0), rtol=1e-5, atol=0)


def test_no_calibration_text_is_an_error(llama: Any) -> None:
    with pytest.raises(RunError, match="at least one batch"):
        activation_norms(llama, [])


@pytest.mark.parametrize("rows", ['{"id": "a7", "text": "words"}\n' * 9, "id,text\n7,words\n" * 9])
def test_norms_are_not_taken_of_a_table(rows: str, tiny_checkpoint: Path, tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_text(rows)
    with (
        open_model(tiny_checkpoint) as model,
        pytest.raises(RunError, match=r"rows\.csv: cannot be read as text: it is a table"),
    ):
        norms_of_text(model, path)


def test_norms_of_packed_text_are_those_of_the_text(tiny_checkpoint: Path, tmp_path: Path) -> None:
    plain, packed = tmp_path / "words.txt", tmp_path / "words.txt.gz"
    plain.write_text("The river ends in the northern sea. " * 40)
    packed.write_bytes(gzip.compress(plain.read_bytes()))
    with open_model(tiny_checkpoint) as model:
        expected, found = (norms_of_text(model, path) for path in (plain, packed))
    assert all(torch.equal(expected[layer], found[layer]) for layer in expected)
