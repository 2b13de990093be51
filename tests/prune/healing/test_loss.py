"""What a healing minimises: values and gradients against the plain formulas."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from every_family import tiny_model
from families import FAMILIES, tiny, tokens
from family_trials import ids_of

from widthwise.errors import UnsupportedModelError
from widthwise.prune.healing import loss
from widthwise.prune.healing.loss import (
    HealingHead,
    checked_head,
    divergence,
    hidden_states,
    relative_hidden_error,
)

N, H, V = 7, 5, 13


def random(*shape: int, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


def plain_logits(hidden: torch.Tensor, head: HealingHead) -> torch.Tensor:
    found = hidden @ head.weight.T
    found = found if head.bias is None else found + head.bias
    found = found * head.scale
    return found if head.cap is None else torch.tanh(found / head.cap) * head.cap


def plain_divergence(own: torch.Tensor, other: torch.Tensor, temperature: float) -> torch.Tensor:
    """T^2 sum p log(p / q), by the definition."""
    p, q = (other / temperature).softmax(-1), (own / temperature).softmax(-1)
    return temperature**2 * (p * (p.log() - q.log())).sum(-1).mean()


@pytest.mark.parametrize("temperature", [1.0, 2.5])
@pytest.mark.parametrize(
    ("bias", "scale", "cap"),
    [(False, 1.0, None), (True, 1.0, None), (False, 0.3, None), (True, 1.7, 2.0)],
)
def test_the_divergence_and_its_gradients_are_those_of_the_formula(
    temperature: float, bias: bool, scale: float, cap: float | None, monkeypatch: Any
) -> None:
    """In float64, in pieces of three tokens, two at a time; 1e-12 is thousands of roundings."""
    monkeypatch.setattr(loss, "_CHUNK", {"cpu": 3 * V})
    monkeypatch.setattr(loss, "_ROWS", {"cpu": 2 * V})
    leaves = [random(N, H), random(V, H, seed=1), *([random(V, seed=2)] if bias else [])]
    found, expected = [], []
    for result, ours in ((found, True), (expected, False)):
        own = [leaf.clone().requires_grad_() for leaf in leaves]
        head = HealingHead(weight=own[1], bias=own[2] if bias else None, scale=scale, cap=cap)
        parent = HealingHead(weight=random(V, H, seed=3), scale=scale, cap=cap)
        parent_hidden = random(N, H, seed=4)
        if ours:
            value = divergence(own[0], head, parent_hidden, parent, temperature)
        else:
            other = plain_logits(parent_hidden, parent)
            value = plain_divergence(plain_logits(own[0], head), other, temperature)
        (3 * value).backward()  # what comes from outside is multiplied in
        result += [value.detach(), *(leaf.grad for leaf in own)]
    for ours, plain in zip(found, expected, strict=True):
        assert float(plain.abs().max()) > 0.01
        torch.testing.assert_close(ours, plain, rtol=1e-12, atol=1e-12)


def test_in_bfloat16_the_gradient_is_that_of_the_formula_but_for_rounding() -> None:
    """bfloat16 keeps 8 bits: of logits near 3 the error is 0.01, so of p and of gradients 1 %."""
    own, other, weight = (random(N, H, seed=i).bfloat16() for i in (0, 1, 2))
    weight = random(V, H, seed=2).bfloat16().requires_grad_()
    own.requires_grad_()
    divergence(
        own, HealingHead(weight=weight), other, HealingHead(weight=weight.detach())
    ).backward()
    assert own.grad is not None
    assert own.grad.dtype == torch.bfloat16
    wide, fixed = own.detach().double().requires_grad_(), weight.detach().double()
    plain_divergence(wide @ fixed.T, other.double() @ fixed.T, 1.0).backward()
    assert wide.grad is not None
    error = (own.grad.double() - wide.grad).norm() / wide.grad.norm()
    assert float(error) < 0.02


def test_a_child_that_is_its_parent_has_no_divergence() -> None:
    hidden, head = random(N, H), HealingHead(weight=random(V, H, seed=1))
    assert float(divergence(hidden, head, hidden, head)) == pytest.approx(0.0, abs=1e-14)


def test_the_hidden_state_term_is_a_ratio_of_every_token() -> None:
    own = [random(2, 3, H, seed=i).requires_grad_() for i in (0, 1)]
    other = [random(2, 3, H, seed=i) for i in (2, 3)]
    value = relative_hidden_error(own, other)
    ratios = [
        ((a[r, t] - b[r, t]) @ (a[r, t] - b[r, t]) / (b[r, t] @ b[r, t])).detach()
        for a, b in zip(own, other, strict=True)
        for r in range(2)
        for t in range(3)
    ]
    torch.testing.assert_close(value.detach(), torch.stack(ratios).mean())
    value.backward()
    for a, b in zip(own, other, strict=True):
        expected = 2 * (a - b).detach() / b.square().sum(-1, keepdim=True) / 12
        torch.testing.assert_close(a.grad, expected, rtol=1e-12, atol=1e-12)
    assert float(relative_hidden_error(other, other)) == 0.0


@pytest.mark.parametrize("family", FAMILIES)
def test_the_head_gives_the_logits_of_every_family(family: str) -> None:
    """Also where logits are scaled or capped; one product and one function, so 1e-5 in float32."""
    changes = {"granite": {"logits_scaling": 4.0}, "gemma2": {"final_logit_softcapping": 2.0}}
    model = tiny(family, initializer_range=0.3, **changes.get(family, {}))
    rows = tokens()
    checked_head(model, rows)
    with torch.no_grad():
        head = HealingHead.of(model)
        ours = head.logits(head.product(hidden_states(model, rows)[0]))
        own = model(rows).logits.flatten(0, 1)
    torch.testing.assert_close(ours, own, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("family", ["aya_vision", "cohere2_vision", "muse_glimmer"])
def test_the_head_of_a_model_of_images_scales_what_its_own_class_scales(family: str) -> None:
    """The class of Aya's text part scales logits, and that of the whole does not."""
    checked_head(tiny_model(family), ids_of(1))


@pytest.mark.parametrize(
    ("family", "changes", "scale"),
    [
        ("modernbert-decoder", {}, 1.0),  # has a layer of its own before the projection
        ("llama4", {}, 1.0),
        ("minicpm3", {"dim_model_base": 8}, 1.0),  # scales what the projection is given
        ("hyperclovax", {"logits_scaling": 4.0}, 4.0),  # which granite divides by
        ("granite", {"logits_scaling": 4.0}, 0.25),
    ],
)
def test_a_scale_is_what_a_pass_shows(family: str, changes: dict[str, Any], scale: float) -> None:
    assert checked_head(tiny_model(family, **changes), ids_of(1)).scale == scale


def test_logits_that_are_something_else_are_refused(monkeypatch: Any) -> None:
    model = tiny("llama")
    forward = model.forward

    def doubled(*arguments: Any, **options: Any) -> Any:
        found = forward(*arguments, **options)
        found.logits = found.logits.square()
        return found

    monkeypatch.setattr(model, "forward", doubled)
    with pytest.raises(UnsupportedModelError, match="llama changes its logits in a way"):
        checked_head(model, tokens())


@pytest.mark.parametrize("family", ["llama", "gemma2", "phi3"])
def test_the_gradient_of_every_weight_is_that_of_the_plain_loss(family: str) -> None:
    """Through the whole model in float64, tied embeddings included; both terms, and each moves."""
    parent, child = tiny(family).double(), tiny(family, seed=1, intermediate_size=20).double()
    rows, parameters = tokens(), dict(child.named_parameters())
    other = parent(rows, output_hidden_states=True)
    own = child(rows, output_hidden_states=True)
    first = plain_divergence(own.logits, other.logits, 2.0)
    second = relative_hidden_error(
        own.hidden_states[1:], [h.detach() for h in other.hidden_states[1:]]
    )
    plain = [torch.autograd.grad(term, parameters.values(), retain_graph=True, allow_unused=True)
             for term in (first, second)]  # fmt: skip
    with torch.no_grad():
        before, layers_before = hidden_states(parent, rows, layers=True)
    after, layers = hidden_states(child, rows, layers=True)
    terms = (
        divergence(after, HealingHead.of(child), before, HealingHead.of(parent), 2.0),
        relative_hidden_error(layers, layers_before),
    )
    for term, expected in zip(terms, plain, strict=True):
        found = torch.autograd.grad(term, parameters.values(), retain_graph=True, allow_unused=True)
        for name, a, b in zip(parameters, found, expected, strict=True):
            if b is None:  # a head of its own has no part in hidden states
                assert a is None
                continue
            assert float(b.abs().max()) > 0, name
            torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-12)
