"""muP of real networks: factors by shapes, and that they are there whatever is done to a model."""

from __future__ import annotations

import copy
import pickle
from pathlib import Path

import pytest
import torch
from families import tokens
from mup_models import llama, wide
from torch import nn

from widthwise.errors import LimitError
from widthwise.mup import Parametrization, initial_stds, parametrize


def test_it_survives_pickle_json_and_copies() -> None:
    model, base = wide(tie_word_embeddings=True), llama(tie_word_embeddings=True)
    one = parametrize(model, base)
    assert pickle.loads(pickle.dumps(one)) == one
    assert Parametrization.from_json(one.to_json()) == one
    one.init_(model, 0.3)
    one.apply_(model)
    assert one.groups(copy.deepcopy(model), lr=1.0)[0]["lr"] == 1.0
    fresh = wide(tie_word_embeddings=True, seed=1)
    fresh.load_state_dict(model.state_dict())  # a plain checkpoint: nothing is to be applied
    torch.testing.assert_close(fresh(tokens()).logits, model(tokens()).logits)


def test_it_survives_torch_compile() -> None:
    model, base = wide(tie_word_embeddings=True), llama(tie_word_embeddings=True)
    one = parametrize(model, base)
    compiled = torch.compile(model, backend="eager")
    one.init_(compiled, 0.3)
    torch.testing.assert_close(compiled(tokens()).logits, model(tokens()).logits)
    plain, wrapped = one.groups(model, lr=0.1), one.groups(compiled, lr=0.1)
    assert [[id(p) for p in g["params"]] for g in plain] == [
        [id(p) for p in g["params"]] for g in wrapped
    ]
    assert parametrize(compiled, base) == one


def test_it_survives_fsdp(tmp_path: Path) -> None:
    """Sharded over one process: the parameters are others, their names stay."""
    from torch.distributed import destroy_process_group, init_process_group
    from torch.distributed.fsdp import fully_shard

    init_process_group("gloo", init_method=f"file://{tmp_path}/store", rank=0, world_size=1)
    try:
        model = wide()
        one = parametrize(model, llama())
        mesh = torch.distributed.init_device_mesh("cpu", (1,))
        for layer in model.model.layers:
            fully_shard(layer, mesh=mesh)
        fully_shard(model, mesh=mesh)
        optimizer = torch.optim.AdamW(one.groups(model, lr=0.1))
        head = next(g for g in optimizer.param_groups if model.lm_head.weight in set(g["params"]))
        assert head["lr"] == pytest.approx(0.05)
    finally:
        destroy_process_group()


def test_other_models_and_broken_texts_are_refused() -> None:
    one = parametrize(nn.Linear(16, 16), nn.Linear(8, 8))
    with pytest.raises(LimitError, match=r"must have the shape \(16, 16\)"):
        one.groups(nn.Linear(32, 16), lr=0.1)
    with pytest.raises(LimitError, match="bias is missing"):
        one.groups(nn.Linear(16, 16, bias=False), lr=0.1)
    with pytest.raises(LimitError, match="at least 0; got -1"):
        one.init_(nn.Linear(16, 16), -1.0)
    with pytest.raises(LimitError, match="other has a deviation"):
        one.init_(nn.Linear(16, 16), {"other": 1.0})
    with pytest.raises(LimitError, match="kind must be one of mup, sp, sp-embedding"):
        parametrize(nn.Linear(16, 16), nn.Linear(8, 8), kind="ntp")  # type: ignore[arg-type]
    for text in ("{", "[]", one.to_json().replace("role", "rule")):
        with pytest.raises(LimitError, match="no parametrization"):
            Parametrization.from_json(text)
    with pytest.raises(LimitError, match="meta device"), torch.device("meta"):
        initial_stds(nn.Linear(2, 2))
