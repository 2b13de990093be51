"""Shapes of modules, configs and names, and layouts of weights."""

from __future__ import annotations

import torch
import transformers as hf
from mup_models import llama, wide
from torch import nn

from widthwise.mup import parametrize


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
    assert found["mlp.c_fc.bias"].role == "vector"
    assert found["transformer.wpe.weight"].role == "input"


def test_a_transposed_rectangle_is_told_by_its_module() -> None:
    class Net(nn.Module):
        def __init__(self, width: int) -> None:
            super().__init__()
            self.up = hf.pytorch_utils.Conv1D(width, 7)
            self.head = hf.pytorch_utils.Conv1D(5, width)

    roles = {w.name: w.role for w in parametrize(Net(32), Net(8)).weights}
    assert roles == {
        "up.weight": "input", "up.bias": "vector", "head.weight": "output", "head.bias": "fixed"
    }  # fmt: skip


def test_convolutions_count_their_channels() -> None:
    def net(width: int) -> nn.Module:
        return nn.Sequential(nn.Conv2d(3, width, 5), nn.Conv2d(width, width, 3))

    first, _, second, _ = parametrize(net(24), net(8)).weights
    assert (first.role, first.adam, first.sgd) == ("input", 1, 3)
    assert (second.role, second.adam, second.sgd) == ("hidden", 1 / 3, 1)


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
