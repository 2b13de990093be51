"""Groups of draft layers: of the kinds that the model has, whatever its tensors are called."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from checkpoint_files import rewrite, set_config, stored
from draft_layers import DRAFTS, EXPERTS, HIDDEN, Draft, save

from widthwise import make_plan, prune_checkpoint
from widthwise.arch import Architecture, counts_at
from widthwise.cut.checkpoint import Checkpoint

DENSE, MIXTURE = DRAFTS["qwen2"], DRAFTS["glm4_moe"]


def read(
    folder: Path, draft: Draft, more: dict[str, tuple[int, ...]] | None = None
) -> Architecture:
    save(draft, folder, {name: torch.ones(shape) for name, shape in (more or {}).items()})
    return Checkpoint(folder).architecture


@pytest.mark.parametrize("name", DRAFTS)
def test_draft_blocks_are_groups_of_the_models_kinds(name: str, tmp_path: Path) -> None:
    draft = DRAFTS[name]
    architecture = read(tmp_path, draft)
    drafts = architecture.drafts
    assert drafts is not None
    assert drafts.kinds == architecture.kinds
    assert drafts.layers == 1
    expected = {"mlp": draft.mlp, "shared": draft.shared, "experts": draft.expert}
    found = [
        (architecture.kinds[group.kind].key, drafts.width_of(number))
        for number, group in enumerate(drafts.groups)
    ]
    assert sorted(width for _, width in found) == sorted(
        width
        for kind, width in expected.items()
        if width
        for _ in range(EXPERTS if kind == "experts" else 1)
    )
    assert {group.name for group in architecture.groups}.isdisjoint(g.name for g in drafts.groups)
    assert not drafts.tensors.keys() & architecture.tensors.keys()
    assert drafts.tensors.keys() == draft.tensors().keys()
    shapes = {each: spec.shape for each, spec in drafts.tensors.items() if each in drafts.cuts}
    wide = {name for name, shape in draft.tensors().items() if name not in draft.beside}
    assert shapes.keys() == wide


def test_several_draft_layers_are_told_apart(tmp_path: Path) -> None:
    second = {
        name.replace("mtp_layers.0", "mtp_layers.1"): tuple(tensor.shape)
        for name, tensor in DENSE.tensors().items()
    }
    drafts = read(tmp_path, DENSE, second).drafts
    assert drafts is not None
    assert drafts.layers == 2
    assert [(g.layer, g.name) for g in drafts.groups] == [
        (0, "model.mtp_layers.0.mlp"),
        (1, "model.mtp_layers.1.mlp"),
    ]


def test_a_block_whose_width_another_setting_states_stays_as_it_is(tmp_path: Path) -> None:
    """A dense draft layer of a mixture without dense layers: ERNIE 4.5 has such."""
    draft = Draft(
        **{**vars(DRAFTS["qwen3_next"]), "expert": 24, "shared": 0, "mlp": 0},
    )
    block = {
        f"mtp.layers.1.mlp.{part}_proj.weight": (HIDDEN, 56) if part == "down" else (56, HIDDEN)
        for part in ("gate", "up", "down")
    }
    architecture = read(tmp_path, draft, block)
    drafts = architecture.drafts
    assert "intermediate_size" not in {kind.key for kind in architecture.kinds}
    assert drafts is not None
    assert drafts.tensors.keys() > block.keys()
    assert len(drafts.groups) == EXPERTS
    assert not drafts.cuts.keys() & block.keys()


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        ({"mlp.experts.0.norm.weight": (24,)}, "experts.0.norm.weight is not part of a plain GLU"),
        ({"mlp.experts.4.up_proj.weight": (24, HIDDEN)}, "has no matrices beside it"),
        ({"mlp.experts.0.up_proj.weight": (23, HIDDEN)}, "must have shape [24, 32]"),
        ({"adapter.w1.weight": (24, HIDDEN)}, "seems to depend on moe_intermediate_size as well"),
    ],
)
def test_draft_layers_that_would_be_half_cut_are_left_out(
    more: dict[str, tuple[int, ...]], reason: str, tmp_path: Path
) -> None:
    named = {MIXTURE.layer + name: shape for name, shape in more.items()}
    architecture = read(tmp_path, MIXTURE, named)
    assert architecture.drafts is None
    assert architecture.left_out.keys() == {*MIXTURE.tensors(), *named}
    assert reason in architecture.left_out_because


@pytest.mark.parametrize(
    ("part", "shape", "is_kept"),
    [
        ("gate_proj.weight_scale", (56, 1), False),
        ("up_proj.weight_scale", (56,), False),
        ("down_proj.column_scale", (1, 56), False),
        ("gate_proj.input_scale", (1,), True),
    ],
)
def test_what_stands_beside_a_matrix_of_a_draft_and_follows_the_width_leaves_drafts_out(
    part: str, shape: tuple[int, ...], is_kept: bool, tmp_path: Path
) -> None:
    """Gate became narrower, and the scale of its rows stayed as it was."""
    name = f"{DENSE.layer}mlp.{part}"
    architecture = read(tmp_path, DENSE, {name: shape})
    assert (architecture.drafts is not None) == is_kept
    if not is_kept:
        assert name in architecture.left_out
        assert f"{name} is not part of a plain GLU block" in architecture.left_out_because


@pytest.mark.parametrize(
    ("settings", "is_kept"),
    [
        ({"intermediate_size": 56, "per_layer_config": {"1": {"intermediate_size": 40}}}, True),
        ({"intermediate_size": 40, "per_layer_config": {"1": {"intermediate_size": 56}}}, False),
    ],
)
def test_beside_widths_by_layers_a_draft_is_of_the_widest_layers(
    settings: dict[str, Any], is_kept: bool, tmp_path: Path
) -> None:
    """What a config states for all layers but some is the largest width after a cut."""
    save(DENSE, tmp_path / "parent")
    tensors, by_layer = stored(tmp_path / "parent"), (56, 40, 56) if is_kept else (40, 56, 40)
    for layer, width in enumerate(by_layer):
        for part in ("gate", "up", "down"):
            name = f"model.layers.{layer}.mlp.{part}_proj.weight"
            rows = tensors[name][:, :width] if part == "down" else tensors[name][:width]
            tensors[name] = rows.contiguous()
    rewrite(tmp_path / "parent", tensors)
    set_config(tmp_path / "parent", allow_global_per_layer_attribute_access=True, **settings)
    parent = Checkpoint(tmp_path / "parent").architecture
    assert [kind.width for kind in parent.kinds] == [56, 40]
    if not is_kept:
        assert "states widths by layers, and for draft layers not the largest" in (
            parent.left_out_because
        )
        return
    plan = make_plan(tmp_path / "parent", width="mlp56=20,mlp40=30", align=1, criterion="ppm")
    out = prune_checkpoint(tmp_path / "parent", tmp_path / "out", plan)
    assert json.loads((out / "config.json").read_text())["intermediate_size"] == 30
    after = Checkpoint(out).architecture
    assert after.drafts is not None
    assert after.drafts.neurons() == (30,)
    counts = counts_at(parent, (20, 30))
    assert counts.weight_bytes == sum(each.nbytes for each in stored(out).values())
