"""Blocks of a Llama-like model: what they do on calibration tokens, and how they are cut.

For `peers.py`; the rules that decide are in `peers_rules.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from peers_rules import Block, Cut, Rule
from torch import Tensor, nn

from widthwise.prune.calibration import LayerwiseRunner, Moments, text_of

ROWS = 2  # sequences that are run together
BATCH = 4  # sequences of a batch, of which every second batch is held out by `widthwise`
PROJECTIONS = ("gate_proj", "up_proj", "down_proj")


def batches_of(ids: Tensor) -> list[dict[str, Tensor]]:
    """Token ids, shape (sequences, tokens), as `widthwise` takes them for a text."""
    return [{"input_ids": part} for part in ids.split(BATCH)]


def mlps(model: Any) -> list[Any]:
    return [layer.mlp for layer in model.model.layers]


def weights_of(mlp: Any) -> list[nn.Parameter]:
    return [getattr(mlp, name).weight for name in PROJECTIONS]


@contextmanager
def cut_block(mlp: Any, cut: Cut) -> Iterator[None]:
    """One block of a model as a cut leaves it, for a while."""
    whole = [getattr(mlp, name) for name in PROJECTIONS]
    gate, up, down = (weight.detach() for weight in weights_of(mlp))
    biases = (None, None, cut.bias)
    for name, weight, bias in zip(
        PROJECTIONS, (gate[cut.keep], up[cut.keep], cut.down.to(down.dtype)), biases, strict=True
    ):
        made = nn.Linear(*weight.T.shape, bias=bias is not None, device="meta")
        made.weight = nn.Parameter(weight.contiguous(), requires_grad=False)
        if bias is not None:
            made.bias = nn.Parameter(bias.to(down.dtype), requires_grad=False)
        setattr(mlp, name, made)
    try:
        yield
    finally:
        for name, old in zip(PROJECTIONS, whole, strict=True):
            setattr(mlp, name, old)


@contextmanager
def cut_model(model: Any, cuts: Sequence[Cut]) -> Iterator[None]:
    """All blocks of a model as they are cut, for a while."""
    with ExitStack() as stack:
        for mlp, cut in zip(mlps(model), cuts, strict=True):
            stack.enter_context(cut_block(mlp, cut))
        yield


class DenseSums:
    """What the blocks of the dense model do on some tokens, by one pass forth and back.

    Args:
        model: The model; it is unchanged after it.
        ids: Token ids, shape (sequences, tokens).

    The loss, whose gradients are kept, is the mean over all predicted tokens, as a Llama makes it
    of labels. Memory: 4 m^2 bytes a layer, and the gradients in float32.
    """

    def __init__(self, model: Any, ids: Tensor) -> None:
        self._mlps, self.tokens = mlps(model), ids.numel()
        size, device = model.config.intermediate_size, ids.device
        self._moments = [Moments.empty(size, device) for _ in self._mlps]
        self._means = [torch.zeros(size, dtype=torch.float64) for _ in self._mlps]
        self._magnitudes = [torch.zeros(size, dtype=torch.float64) for _ in self._mlps]
        self._gradients = [
            [torch.zeros_like(w, dtype=torch.float32) for w in weights_of(each)]
            for each in self._mlps
        ]
        wanted = [each.requires_grad for each in model.parameters()]
        model.requires_grad_(False)
        with ExitStack() as stack:
            for number, mlp in enumerate(self._mlps):
                for weight in weights_of(mlp):
                    weight.requires_grad_(True)
                hook = mlp.down_proj.register_forward_pre_hook(self._hook(number))
                stack.callback(hook.remove)
            for part in ids.split(ROWS):
                self._run(model, part, len(part) / len(ids))
        for each, want in zip(model.parameters(), wanted, strict=True):
            each.requires_grad_(want)

    def block(self, layer: int, draw: int) -> Block:
        """One layer's block, with all that rules look at."""
        gate, up, down = (weight.detach() for weight in weights_of(self._mlps[layer]))
        return Block(
            gate=gate,
            up=up,
            down=down,
            moment=self._moments[layer].mean(f"layer {layer}"),
            tokens=self.tokens,
            mean=self._means[layer] / self.tokens,
            magnitudes=self._magnitudes[layer],
            gradients=tuple(self._gradients[layer]),
            draw=draw,
        )

    def cuts(self, rule: Rule, widths: Sequence[int], seed: int) -> list[list[Cut]]:
        """For every width the cuts of all layers."""
        layers = range(len(self._mlps))
        found = [rule(self.block(i, seed * len(layers) + i), widths) for i in layers]
        return [list(cuts) for cuts in zip(*found, strict=True)]

    def _hook(self, layer: int) -> Callable[[Any, tuple[Tensor]], None]:
        def watch(_: Any, inputs: tuple[Tensor]) -> None:
            active = inputs[0].detach()
            self._moments[layer].add(active.flatten(0, 1))
            self._means[layer] += active.double().sum((0, 1))
            self._magnitudes[layer] += active.float().abs().mean(1).double().square().sum(0)

        return watch

    def _run(self, model: Any, ids: Tensor, share: float) -> None:
        with torch.enable_grad():
            model(input_ids=ids, labels=ids, use_cache=False).loss.backward()
        for mlp, sums in zip(self._mlps, self._gradients, strict=True):
            for weight, total in zip(weights_of(mlp), sums, strict=True):
                total.add_(weight.grad, alpha=share)
                weight.grad = None


def walked(model: Any, ids: Tensor, rule: Rule, width: int) -> list[Cut]:
    """The cuts of all layers, each by what it is given by those before it once they are cut."""
    cuts = []
    with LayerwiseRunner(model, text_of(batches_of(ids))) as runner:
        for number, mlp in enumerate(mlps(model)):
            (halves,) = runner.moments(number, advance=False).values()
            both = halves.fit.merged(halves.held_out)
            gate, up, down = (weight.detach() for weight in weights_of(mlp))
            moment = both.mean(f"layer {number}")
            block = Block(gate=gate, up=up, down=down, moment=moment, tokens=both.tokens)
            cuts += rule(block, [width])
            with cut_block(mlp, cuts[-1]):
                runner.advance(number)
    return cuts
