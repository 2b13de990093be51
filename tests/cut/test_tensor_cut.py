"""One tensor cut: by parts, neuron by neuron, of one group of a stack, and filled up again."""

from __future__ import annotations

import torch
from every_family import tiny_model

from widthwise.arch import TensorCut
from widthwise.cut import ModelWeights, cut_tensor
from widthwise.cut.tensor_cut import cut_group, zero_padded

KEEP = torch.tensor([0, 2])


def test_parts_of_a_neuron_stay_together_however_they_are_held() -> None:
    rows = torch.arange(8.0)[:, None]
    by_parts = cut_tensor(rows, TensorCut(0, 0, 2), KEEP, 4)
    assert by_parts.flatten().tolist() == [0, 2, 4, 6]
    mixed = cut_tensor(rows, TensorCut(0, 0, 2, interleaved=True), KEEP, 4)
    assert mixed.flatten().tolist() == [0, 1, 4, 5]
    columns = cut_tensor(rows.T.contiguous(), TensorCut(0, 1), KEEP, 8)
    assert columns.flatten().tolist() == [0, 2]


def test_of_a_group_the_refit_is_taken_where_it_is_its_down() -> None:
    architecture = ModelWeights(tiny_model("gpt_oss")).architecture
    group = architecture.groups[2]
    down, part = torch.ones(32, 2), torch.arange(56.0 * 32).view(56, 32)
    assert torch.equal(cut_group(architecture, group.down, 2, part, [0, 2], down), down.T)
    assert torch.equal(cut_group(architecture, group.down, 2, part, [0, 2], None), part[KEEP])
    up = torch.arange(32.0 * 112).view(32, 112)
    assert torch.equal(cut_group(architecture, group.up, 2, up, [0, 2], down), up[:, [0, 1, 4, 5]])


def test_zeros_stand_behind_the_neurons_of_each_part() -> None:
    rows = torch.ones(4, 1)
    padded = zero_padded(rows, TensorCut(0, 0, 2), 3)
    assert padded.flatten().tolist() == [1, 1, 0, 1, 1, 0]
    assert zero_padded(rows, TensorCut(0, 0, 2), 2) is rows
