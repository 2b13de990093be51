"""Surgery in memory: the pruned model is the masked model, made smaller, and nothing else."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import Any

import pytest
import torch
from families import FAMILIES, FUSED, LAYERS, WIDTH, tiny, tokens

from widthwise import Plan, apply, apply_, make_plan

KEPT = 29


def masked(model: Any, plan: Plan) -> Any:
    """The dense model with the weights of all removed neurons set to zero."""
    model = copy.deepcopy(model)
    with torch.no_grad():
        for layer, keep in zip(model.model.layers, plan.keep, strict=True):
            gone = torch.tensor(sorted(set(range(WIDTH)) - set(keep)))
            layer.mlp.down_proj.weight[:, gone] = 0
    return model


@pytest.mark.parametrize("family", FAMILIES)
def test_pruned_equals_masked(family: str) -> None:
    model = tiny(family)
    plan = make_plan(model, width=KEPT, align=1, criterion="ppm")
    with torch.no_grad():
        expected = masked(model, plan)(tokens()).logits
        got = apply(model, plan)(tokens()).logits
    # The same sums without their zeros, added in another order: float32 rounding only.
    torch.testing.assert_close(got, expected, rtol=1e-5, atol=1e-5)


def test_biases_are_cut_with_their_neurons() -> None:
    model = tiny("llama", mlp_bias=True)
    plan = make_plan(model, width=KEPT, criterion="ppm")
    with torch.no_grad():
        expected = masked(model, plan)(tokens()).logits
        got = apply(model, plan)(tokens()).logits
    torch.testing.assert_close(got, expected, rtol=1e-5, atol=1e-5)


def ragged(plan: Plan, widths: tuple[int, ...] = (17, 41, 29)) -> Plan:
    """The plan with other neurons, as many in each layer as is said."""
    generator = torch.Generator().manual_seed(5)
    orders = (torch.randperm(WIDTH, generator=generator)[:width] for width in widths)
    return replace(plan, keep=tuple(tuple(sorted(order.tolist())) for order in orders))


@pytest.mark.parametrize("family", FAMILIES)
def test_layers_of_unequal_widths_are_padded_and_equal_masked(family: str) -> None:
    model = tiny(family)
    plan = ragged(make_plan(model, width=KEPT, align=1, criterion="ppm"))
    narrow = apply(model, plan)
    with torch.no_grad():
        expected = masked(model, plan)(tokens()).logits
        got = narrow(tokens()).logits
    torch.testing.assert_close(got, expected, rtol=1e-5, atol=1e-5)  # float32, other order of sums
    assert narrow.config.intermediate_size == 41
    assert narrow.config.widthwise_widths == [17, 41, 29]
    weight = narrow.model.layers[0].mlp.down_proj.weight
    assert torch.equal(weight[:, :17], model.model.layers[0].mlp.down_proj.weight[:, plan.keep[0]])
    assert not weight[:, 17:].any()
    built = tiny(family, intermediate_size=41)
    assert {n: p.shape for n, p in narrow.named_parameters()} == {
        n: p.shape for n, p in built.named_parameters()
    }
    assert apply_(model, plan) is model
    assert all(map(torch.equal, model.parameters(), narrow.parameters()))


def test_padding_has_no_biases_and_gets_no_gradient() -> None:
    model = tiny("llama", mlp_bias=True)
    plan = ragged(make_plan(model, width=KEPT, criterion="ppm"))
    narrow = apply(model, plan)
    with torch.no_grad():
        expected = masked(model, plan)(tokens()).logits
    got = narrow(tokens(), labels=tokens())
    torch.testing.assert_close(got.logits, expected, rtol=1e-5, atol=1e-5)
    got.loss.backward()
    block = narrow.model.layers[0].mlp
    for parameter in (block.gate_proj.weight, block.up_proj.weight, block.up_proj.bias):
        assert not parameter[17:].any()
        assert not parameter.grad[17:].any()
    assert not block.down_proj.weight.grad[:, 17:].any()


def test_what_is_cut_evenly_from_a_padded_model_does_not_state_its_widths(llama: Any) -> None:
    padded = apply(llama, ragged(make_plan(llama, width=KEPT, criterion="ppm")))
    assert not hasattr(
        apply(padded, make_plan(padded, width=11, criterion="ppm")).config, "widthwise_widths"
    )
    assert padded.config.widthwise_widths == [17, 41, 29]


@pytest.mark.parametrize("family", FAMILIES)
def test_keeping_every_neuron_is_the_identity(family: str) -> None:
    model = tiny(family)
    some = make_plan(model, width=KEPT, criterion="ppm")
    everything = Plan(**{**vars(some), "keep": (tuple(range(WIDTH)),) * LAYERS})
    with torch.no_grad():
        assert torch.equal(apply(model, everything)(tokens()).logits, model(tokens()).logits)


@pytest.mark.parametrize("family", FAMILIES)
def test_no_module_keeps_a_stale_size(family: str) -> None:
    pruned = apply(tiny(family), make_plan(tiny(family), width=KEPT, criterion="ppm"))
    assert pruned.config.intermediate_size == KEPT
    for name, module in pruned.named_modules():
        for key, value in vars(module).items():
            assert value not in (WIDTH, 2 * WIDTH), f"{name}.{key} is still {value}"
        if isinstance(module, torch.nn.Linear):
            assert (module.out_features, module.in_features) == tuple(module.weight.shape), name
        if "intermediate_size" in vars(getattr(module, "config", object)):
            assert module.config.intermediate_size == KEPT, name
    built = tiny(family, intermediate_size=KEPT)
    assert {n: p.shape for n, p in pruned.named_parameters()} == {
        n: p.shape for n, p in built.named_parameters()
    }


def test_apply_leaves_its_model_alone_and_apply_changes_it(llama: Any) -> None:
    before = copy.deepcopy(llama.state_dict())
    plan = make_plan(llama, width=KEPT, criterion="ppm")
    pruned = apply(llama, plan)
    assert llama.config.intermediate_size == WIDTH
    for name, value in llama.state_dict().items():
        assert torch.equal(value, before[name]), name
    shared = {p.data_ptr() for p in llama.parameters()} & {
        p.data_ptr() for p in pruned.parameters()
    }
    assert not shared
    assert apply_(llama, plan) is llama
    for (name, a), (_, b) in zip(llama.named_parameters(), pruned.named_parameters(), strict=True):
        assert torch.equal(a, b), name


def test_dtype_device_and_frozen_weights_are_kept() -> None:
    model = tiny("qwen3").to(torch.bfloat16)
    model.model.layers[1].mlp.up_proj.weight.requires_grad_(False)
    pruned = apply(model, make_plan(model, width=KEPT, criterion="ppm"))
    assert {p.dtype for p in pruned.parameters()} == {torch.bfloat16}
    frozen = {n for n, p in pruned.named_parameters() if not p.requires_grad}
    assert frozen == {"model.layers.1.mlp.up_proj.weight"}


def test_tied_embeddings_stay_tied() -> None:
    model = tiny("llama", tie_word_embeddings=True)
    pruned = apply(model, make_plan(model, width=KEPT, criterion="ppm"))
    assert pruned.lm_head.weight is pruned.model.embed_tokens.weight


def test_pruning_twice_nests(llama: Any) -> None:
    at_once = apply(llama, make_plan(llama, width=11, criterion="ppm"))
    middle = apply(llama, make_plan(llama, width=KEPT, criterion="ppm"))
    in_two = apply(middle, make_plan(middle, width=11, criterion="ppm"))
    for (name, a), (_, b) in zip(
        at_once.named_parameters(), in_two.named_parameters(), strict=True
    ):
        assert torch.equal(a, b), name


def test_one_neuron_can_be_left(llama: Any) -> None:
    pruned = apply(llama, make_plan(llama, width=1, criterion="ppm"))
    assert torch.isfinite(pruned(tokens()).logits).all()


def test_a_pruned_model_can_be_saved_loaded_and_trained(llama: Any, tmp_path: Any) -> None:
    pruned = apply(llama, make_plan(llama, width=KEPT, criterion="ppm"))
    pruned.save_pretrained(tmp_path)
    again = type(llama).from_pretrained(tmp_path)
    assert torch.equal(again(tokens()).logits, pruned(tokens()).logits)
    pruned(tokens(), labels=tokens()).loss.backward()
    assert all(p.grad is not None for p in pruned.parameters())


@pytest.mark.parametrize("family", sorted(FUSED))
def test_fused_blocks_keep_the_same_neuron_of_gate_and_up(family: str) -> None:
    model = tiny(family)
    plan = make_plan(model, width=KEPT, criterion="ppm")
    keep = torch.tensor(plan.keep[1])
    old = model.model.layers[1].mlp.gate_up_proj.weight
    new = apply(model, plan).model.layers[1].mlp.gate_up_proj.weight
    assert torch.equal(new[:KEPT], old[:WIDTH][keep])
    assert torch.equal(new[KEPT:], old[WIDTH:][keep])
