"""muP of real networks: factors by shapes, and that they are there whatever is done to a model."""

from __future__ import annotations

import copy
import pickle
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers as hf
from families import tiny, tokens
from torch import nn

from widthwise.errors import LimitError
from widthwise.mup import Parametrization, initial_stds, parametrize

WIDE = {"hidden_size": 64, "intermediate_size": 159, "num_attention_heads": 8}  # 2, 3, 2 times


def llama(**changes: Any) -> Any:
    return tiny("llama", **changes)


def wide(**changes: Any) -> Any:
    return llama(**{**WIDE, "num_key_value_heads": 4, **changes})


def factors(one: Parametrization) -> dict[str, tuple[str, float, float, float]]:
    """Of the first layer and of what is outside layers, by the last words of the name."""
    return {
        ".".join(w.name.split(".")[-2:]): (w.role, w.std, w.adam, w.sgd)
        for w in one.weights
        if ".layers.1." not in w.name
    }


def test_a_llama_gets_the_factors_of_table_3() -> None:
    found = factors(parametrize(wide(), llama()))
    assert found["embed_tokens.weight"] == ("input", 1, 1, 2)
    assert found["lm_head.weight"] == ("output", 0.5, 0.5, 0.5)
    assert found["norm.weight"] == found["input_layernorm.weight"] == ("input", 1, 1, 2)
    for name in ("q_proj", "k_proj", "v_proj", "o_proj"):
        assert found[f"{name}.weight"] == ("hidden", 0.5**0.5, 0.5, 1)
    assert found["gate_proj.weight"] == ("hidden", 0.5**0.5, 0.5, 1.5)
    assert found["down_proj.weight"] == ("hidden", (1 / 3) ** 0.5, 1 / 3, pytest.approx(2 / 3))


def test_keys_and_values_go_by_their_own_heads() -> None:
    """Where their number stays, keys and values do not grow: their weights are outputs."""
    found = factors(parametrize(wide(num_key_value_heads=2), llama()))
    assert found["k_proj.weight"] == found["v_proj.weight"] == ("output", 0.5, 0.5, 0.5)
    assert found["q_proj.weight"] == found["o_proj.weight"] == ("hidden", 0.5**0.5, 0.5, 1)


def test_the_standard_parametrization_scales_initial_weights_only() -> None:
    found = factors(parametrize(wide(), llama(), kind="sp"))
    assert found["lm_head.weight"] == ("output", 0.5**0.5, 1, 1)
    assert found["q_proj.weight"] == ("hidden", 0.5**0.5, 1, 1)


def test_nothing_changes_at_the_base_width() -> None:
    one = parametrize(llama(), llama(), wide())
    assert {(w.std, w.adam, w.sgd) for w in one.weights} == {(1, 1, 1)}
    assert {w.role for w in one.weights} == {"input", "hidden", "output"}
    assert not one.attention


def test_modules_configs_meta_modules_and_names_say_the_same() -> None:
    model, base = wide(), llama()
    with torch.device("meta"):
        meta = hf.AutoModelForCausalLM.from_config(base.config)
    want = parametrize(model, base)
    assert parametrize(model, meta) == parametrize(model.config, base.config) == want
    shapes = {name: p.shape for name, p in base.named_parameters()}
    assert parametrize(model, shapes).weights == want.weights
    assert parametrize(dict(model.state_dict()), shapes).weights == want.weights


def test_a_weight_kept_the_other_way_round_gets_the_same_factors() -> None:
    small, large = ({"n_embd": n, "n_head": 2, "n_layer": 1, "vocab_size": 11} for n in (16, 48))
    one = parametrize(hf.GPT2Config(**large), hf.GPT2Config(**small))
    found = {w.name.removeprefix("transformer.h.0."): w for w in one.weights}
    assert (found["mlp.c_fc.weight"].fan_in, found["mlp.c_fc.weight"].fan_out) == (3, 3)
    assert found["attn.c_attn.weight"].shape == (48, 144)
    assert found["mlp.c_fc.bias"].role == "input"
    assert found["transformer.wpe.weight"].role == "input"


def test_a_transposed_rectangle_is_told_by_its_module() -> None:
    class Net(nn.Module):
        def __init__(self, width: int) -> None:
            super().__init__()
            self.up = hf.pytorch_utils.Conv1D(width, 7)
            self.head = hf.pytorch_utils.Conv1D(5, width)

    roles = {w.name: w.role for w in parametrize(Net(32), Net(8)).weights}
    assert roles == {
        "up.weight": "input", "up.bias": "input", "head.weight": "output", "head.bias": "fixed"
    }  # fmt: skip


def test_convolutions_count_their_channels() -> None:
    def net(width: int) -> nn.Module:
        return nn.Sequential(nn.Conv2d(3, width, 5), nn.Conv2d(width, width, 3))

    first, _, second, _ = parametrize(net(24), net(8)).weights
    assert (first.role, first.adam, first.sgd) == ("input", 1, 3)
    assert (second.role, second.adam, second.sgd) == ("hidden", 1 / 3, 1)


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


def test_a_shared_weight_is_an_embedding_whichever_module_comes_first() -> None:
    class Net(nn.Module):
        def __init__(self, width: int) -> None:
            super().__init__()
            self.head = nn.Linear(width, 7, bias=False)
            self.table = nn.Embedding(7, width)
            self.table.weight = self.head.weight

    one = parametrize(Net(24), Net(8))
    assert [(w.name, w.role, w.adam) for w in one.weights] == [("head.weight", "input", 1)]
    assert one.multipliers == {"head": 1 / 3}


def test_a_shared_head_learns_like_one_with_a_larger_norm() -> None:
    """The multiplier on the head's input is the same as on the gain before it, with its rate."""
    pair = [wide(tie_word_embeddings=True), wide(tie_word_embeddings=True)]
    one = parametrize(pair[0], llama(tie_word_embeddings=True))
    one.apply_(pair[0])
    with torch.no_grad():
        pair[1].model.norm.weight *= 0.5
    groups = one.groups(pair[0], lr=0.01), one.groups(pair[1], lr=0.01)
    gain = pair[1].model.norm.weight
    for group in groups[1]:
        group["params"] = [p for p in group["params"] if p is not gain]
    groups[1].append({"params": [gain], "lr": 0.01 * 0.5, "weight_decay": 0.0})
    logits = []
    for model, its in zip(pair, groups, strict=True):
        optimizer = torch.optim.Adam(its, eps=1e-30)
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


def test_learning_rates_and_decay_reach_the_parameters() -> None:
    model = wide()
    one = parametrize(model, llama())
    groups = one.groups(model, lr=0.3, weight_decay=0.1)
    assert sum(len(g["params"]) for g in groups) == len(list(model.parameters()))
    rates = {id(p): g["lr"] for g in groups for p in g["params"]}
    assert rates[id(model.lm_head.weight)] == pytest.approx(0.15)
    assert rates[id(model.model.norm.weight)] == 0.3
    assert rates[id(model.model.layers[1].mlp.down_proj.weight)] == pytest.approx(0.1)
    assert [g["lr"] * g["weight_decay"] for g in groups] == pytest.approx([0.03] * len(groups))
    model.lm_head.weight.requires_grad_(False)
    left = [p for g in one.groups(model, lr=0.3, optimizer="sgd") for p in g["params"]]
    assert len(left) == len(rates) - 1


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


def test_names_within_other_wrappers_are_found() -> None:
    """As FSDP of torch 1 has them: its own words in names, and parameters as flat shards."""

    class Flat(nn.Module):
        def __init__(self, width: int) -> None:
            super().__init__()
            self._fsdp_wrapped_module = nn.Linear(width, 3)
            self._fsdp_wrapped_module.weight = nn.Parameter(torch.zeros(width))

    one = parametrize({"weight": (3, 16), "bias": (3,)}, {"weight": (3, 8), "bias": (3,)})
    groups = one.groups(Flat(16), lr=1.0)
    assert sorted((g["lr"], len(g["params"])) for g in groups) == [(0.5, 1), (1.0, 1)]


def test_initial_weights_are_those_of_the_base_width_times_the_factor() -> None:
    model = wide()
    one = parametrize(model, llama())
    one.init_(model, 0.1, torch.Generator().manual_seed(5))
    first = {name: p.detach().clone() for name, p in model.named_parameters()}
    for weight in one.weights:
        got = float(first[weight.name].std(correction=0))
        if len(weight.shape) == 1:
            assert got == 0  # gains stay 1
        else:  # 5 standard errors of a deviation from 2048 numbers and more
            assert got == pytest.approx(0.1 * weight.std, rel=5 * (2 * 2048) ** -0.5)
    one.init_(model, 0.1, torch.Generator().manual_seed(5))  # draws anew, scales nothing twice
    assert all(torch.equal(p, first[name]) for name, p in model.named_parameters())


def test_biases_that_start_random_do_so_by_the_base_width() -> None:
    """torch's own would be smaller at larger widths, where muP has them alike."""

    def net(width: int) -> nn.Module:
        return nn.Sequential(nn.Linear(5, width), nn.Linear(width, width), nn.LayerNorm(width))

    base, model = net(256), net(1024)
    one = parametrize(model, base)
    one.init_(model, initial_stds(base), torch.Generator().manual_seed(0))
    want = 256**-0.5 / 3**0.5  # a uniform draw between plus and minus 1 / sqrt(256)
    # the base's own deviation, of 256 numbers: 4 standard errors of a uniform draw
    assert float(model[1].bias.detach().std()) == pytest.approx(want, rel=0.15)
    assert float(model[1].weight.detach().std()) == pytest.approx(want / 2, rel=0.15)
    assert torch.equal(model[2].weight, torch.ones(1024))


def test_the_table_joins_layers_that_are_alike() -> None:
    text = str(parametrize(wide(), llama()))
    assert len(text.splitlines()) == 13
    assert "model.layers.*.mlp.down_proj.weight" in text
    base = {f"layers.{i}.mlp.weight": (8, 8) for i in range(3)}
    apart = str(parametrize({**base, "layers.1.mlp.weight": (8, 4)}, base))
    assert "layers.1.mlp.weight" in apart
    assert "*" not in apart


LINEAR = {"weight": (16, 16)}


@pytest.mark.parametrize(
    ("model", "base", "delta", "said"),
    [
        (LINEAR, LINEAR, None, "base must differ in width"),
        (LINEAR, {"weight": (8, 8)}, {"weight": (8, 8)}, "has a size of 16 in the model, and 8 in"),
        (LINEAR, {"other": (8, 8)}, None, "weight is in the model and not in base"),
        (LINEAR, {"weight": (8, 8), "bias": (8,)}, None, "bias is in base and not in the model"),
        (LINEAR, {"weight": (8, 8)}, {}, "delta must have parameters; got none"),
        (LINEAR, {"weight": (8,)}, None, "as many dimensions at all widths"),
        (LINEAR, {"weight": (8, -1)}, None, "whole numbers above 0"),
        (LINEAR, {"weight": 8}, None, "whole numbers above 0; got 8"),
        (LINEAR, "gpt2", None, "base must be a module, a config of transformers, or a mapping"),
        ({"emb": (9, 8)}, {"emb": (7, 8)}, None, "embedding of 7 rows in base"),
        ({"w": (8, 8, 8)}, {"w": (4, 4, 4)}, None, "grows along its dimension 3"),
    ],
)
def test_networks_that_do_not_correspond_are_refused(
    model: Any, base: Any, delta: Any, said: str
) -> None:
    with pytest.raises(LimitError, match=said):
        parametrize(model, base, delta)


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"optimizer": "lion"}, "optimizer must be one of adamw, adam, sgd; got 'lion'"),
        ({"optimizer": "adam", "weight_decay": 0.1}, "must be 0 with adam"),
        ({"lr": 0.0}, "lr must be above 0; got 0"),
        ({"lr": float("nan")}, "lr must be above 0; got nan"),
    ],
)
def test_groups_that_cannot_be_had_are_refused(asked: dict[str, Any], said: str) -> None:
    model = nn.Linear(16, 16)
    one = parametrize(model, nn.Linear(8, 8))
    with pytest.raises(LimitError, match=said):
        one.groups(model, **{"lr": 0.1, **asked})


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
    with pytest.raises(LimitError, match="kind must be one of mup, sp"):
        parametrize(nn.Linear(16, 16), nn.Linear(8, 8), kind="ntp")  # type: ignore[arg-type]
    for text in ("{", "[]", one.to_json().replace("role", "rule")):
        with pytest.raises(LimitError, match="no parametrization"):
            Parametrization.from_json(text)
    with pytest.raises(LimitError, match="meta device"), torch.device("meta"):
        initial_stds(nn.Linear(2, 2))
