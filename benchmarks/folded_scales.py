"""Factors of neurons and outputs, and norms, by KL to the dense model, folded into the weights."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

ROWS = 8
SCALE_LR, SCALE_ROWS, HELD_OUT = 5e-3, 2, 16  # every 16th block is held out


class FactoredNorm(nn.Module):
    """An RMSNorm whose weight is trained in float32."""

    def __init__(self, norm: Any) -> None:
        super().__init__()
        self.weight, self.eps = nn.Parameter(norm.weight.detach().float()), norm.variance_epsilon

    def forward(self, states: Tensor) -> Tensor:
        wide = states.float()
        wide = wide * torch.rsqrt(wide.square().mean(-1, keepdim=True) + self.eps)
        return (self.weight * wide).to(states.dtype)


class FactoredLinear(nn.Module):
    """A projection with a factor for each output, and for each input where asked for."""

    def __init__(self, linear: Any, *, inputs: bool) -> None:
        super().__init__()
        outputs, width = linear.weight.shape
        self.linear, self.outputs = linear, nn.Parameter(torch.ones(outputs))
        self.inputs = nn.Parameter(torch.ones(width), requires_grad=inputs)

    def forward(self, states: Tensor) -> Tensor:
        made = self.linear(states * self.inputs.to(states.dtype))
        return made * self.outputs.to(made.dtype)

    @property
    def weight(self) -> Tensor:
        whole = self.outputs[:, None] * self.linear.weight.float() * self.inputs
        return whole.detach().to(self.linear.weight.dtype)


def factored(model: Any) -> dict[str, nn.Module]:
    """Put factors into a cut model; the modules that hold them by the names of their tensors."""
    model.requires_grad_(False)
    places = {"model.norm": FactoredNorm(model.model.norm)}
    for number, layer in enumerate(model.model.layers):
        at = f"model.layers.{number}"
        for name in ("input_layernorm", "post_attention_layernorm"):
            places[f"{at}.{name}"] = FactoredNorm(getattr(layer, name))
        places[f"{at}.self_attn.o_proj"] = FactoredLinear(layer.self_attn.o_proj, inputs=False)
        places[f"{at}.mlp.down_proj"] = FactoredLinear(layer.mlp.down_proj, inputs=True)
    for name, module in places.items():
        owner, _, last = name.rpartition(".")
        setattr(model.get_submodule(owner), last, module)
    return places


def divergence(head: Any, states: Tensor, others: Tensor) -> Tensor:
    """KL a token of one row from the logits of `states`, shape (tokens, hidden), to the others'."""
    first, second = (head(each).float().log_softmax(-1) for each in (states, others))
    return (first.exp() * (first - second)).sum(-1).mean()


def scaled(model: Any, dense: Any, ids: Tensor, passes: int) -> dict[str, Tensor]:
    """Tensors of a cut model whose scales and norms went near the dense model's predictions."""
    places, head = factored(model), dense.lm_head
    trained = [p for each in places.values() for p in each.parameters() if p.requires_grad]
    groups = [{"params": [p], "base": SCALE_LR * float(p.detach().abs().mean())} for p in trained]
    adam = torch.optim.AdamW(groups, lr=SCALE_LR, betas=(0.9, 0.95), weight_decay=0.0)
    final = torch.cat([dense.model(input_ids=each)[0] for each in ids.split(ROWS)])
    test = range(len(ids) - 1, -1, -HELD_OUT)
    train = torch.tensor([row for row in range(len(ids)) if row not in test])

    def error(rows: Tensor) -> Tensor:
        states = model.model(input_ids=ids[rows], use_cache=False)[0]
        each = [divergence(head, final[row], own) for row, own in zip(rows, states, strict=True)]
        return torch.stack(each).mean()

    def held_out() -> float:
        return sum(float(error(torch.tensor([row]))) for row in test) / len(test)

    batches = len(train) // SCALE_ROWS
    errors, best, step = [held_out()], [p.detach().clone() for p in trained], 0
    draw = torch.Generator().manual_seed(0)
    for _ in range(passes):
        order = train[torch.randperm(len(train), generator=draw)]
        for number, rows in enumerate(order[: batches * SCALE_ROWS].split(SCALE_ROWS)):
            for group in adam.param_groups:
                share = min(1.0, (step + 1) / 5) * (1 - step / (passes * batches))
                group["lr"] = group["base"] * share
            with torch.enable_grad():
                error(rows).backward()
            adam.step()
            adam.zero_grad(set_to_none=True)
            step += 1
            if number in (batches // 2, batches - 1):
                errors.append(held_out())
                print("scales", step, errors[-1], flush=True)
                if errors[-1] <= min(errors):
                    best = [p.detach().clone() for p in trained]
    for parameter, values in zip(trained, best, strict=True):
        parameter.data.copy_(values)
    return {name: each.weight.detach().to(dense.dtype) for name, each in places.items()}
