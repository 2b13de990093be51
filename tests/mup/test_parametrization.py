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


def test_a_shared_head_is_multiplied_once() -> None:
    model, base = wide(tie_word_embeddings=True), llama(tie_word_embeddings=True)
    one = parametrize(model, base)
    assert one.multipliers == {"lm_head": 0.5}
    assert "lm_head.weight" not in {w.name for w in one.weights}
    before = model(tokens()).logits
    one.apply_(model)
    one.apply_(model)  # sets, and multiplies nothing twice
    torch.testing.assert_close(model(tokens()).logits, before * 0.5)
    assert parametrize(wide(), llama()).multipliers == {}


def test_a_shared_head_learns_like_one_with_a_larger_norm() -> None:
    """The multiplier on the head's input is the same as on the gain before it, with its rate."""
    pair = [wide(tie_word_embeddings=True), wide(tie_word_embeddings=True)]
    one = parametrize(pair[0], llama(tie_word_embeddings=True))
    one.apply_(pair[0])
    with torch.no_grad():
        pair[1].model.norm.weight *= 0.5
    groups = [one.groups(model, lr=0.01, eps=1e-30) for model in pair]
    gain = pair[1].model.norm.weight
    for group in groups[1]:
        group["params"] = [p for p in group["params"] if p is not gain]
    groups[1].append({"params": [gain], "lr": 0.01 * 0.5, "eps": 1e-30})
    logits = []
    for model, its in zip(pair, groups, strict=True):
        optimizer = torch.optim.Adam(its)
        for _ in range(3):
            optimizer.zero_grad()
            model(tokens(), labels=tokens()).loss.backward()
            optimizer.step()
        logits.append(model(tokens()).logits.detach())
    torch.testing.assert_close(logits[0], logits[1], rtol=1e-3, atol=1e-4)  # float32, three steps


def test_attention_is_scaled_by_1_over_d_where_heads_grow() -> None:
    base = llama()
    same, deep = wide(), wide(num_attention_heads=4, num_key_value_heads=2, head_dim=16)
    assert parametrize(same, base).attention == {}
    one = parametrize(deep, base)
    one.apply_(deep)
    for layer in deep.model.layers:
        assert layer.self_attn.scaling == pytest.approx(8**0.5 / 16)
    assert len(one.attention) == 3


def test_it_survives_pickle_json_and_copies() -> None:
    model, base = wide(tie_word_embeddings=True), llama(tie_word_embeddings=True)
    one = parametrize(model, base)
    assert pickle.loads(pickle.dumps(one)) == one
    assert Parametrization.from_json(one.to_json()) == one
    one.apply_(model)
    again = pickle.loads(pickle.dumps(model))
    torch.testing.assert_close(again(tokens()).logits, model(tokens()).logits)
    assert one.groups(copy.deepcopy(model), lr=1.0)[0]["lr"] == 1.0
    fresh = wide(tie_word_embeddings=True, seed=1)
    fresh.load_state_dict(model.state_dict())
    one.apply_(fresh)
    torch.testing.assert_close(fresh(tokens()).logits, model(tokens()).logits)


def test_it_survives_torch_compile() -> None:
    model, base = wide(tie_word_embeddings=True), llama(tie_word_embeddings=True)
    one = parametrize(model, base)
    compiled = torch.compile(model, backend="eager")
    one.apply_(compiled)
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
