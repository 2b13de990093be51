"""Processor time of one layer's refit by parts, beside the plain float64 oracle.

Parts: the moments (a pass of the layer with the sums), the pass of the cut layer, the choice of the
ridge, and the fits with that ridge. The oracle is the closed form as it stands in
`docs/calibrated.md`, in float64: one factorisation of all neurons for each ridge, and every error
by a product with the whole of H. Both take turns, and ratios are formed within a turn.

    python benchmarks/refit_layer.py                             # the shape of Qwen2.5-Coder-0.5B
    python benchmarks/refit_layer.py --model smollm2 --layer 7   # a real layer
    OMP_NUM_THREADS=1 python benchmarks/refit_layer.py --turns 5

Without --model, the layer has random weights and reads random tokens; no network. Goals: the fits
and the choice take at most a quarter of the oracle's time, and the weights are within a tenth of a
rounding of bfloat16 (2^-9) of the oracle's.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

import torch

from widthwise.arch import Target
from widthwise.cut import down_rows
from widthwise.prune import PruneSpec
from widthwise.prune.calibration.layerwise import LayerwiseRunner
from widthwise.prune.calibration.text import TextRequest
from widthwise.prune.opened_model import open_model
from widthwise.prune.refitting import (
    RIDGES,
    GroupCut,
    Removal,
    group_cuts,
    neuron_order,
    temporarily_cut,
)
from widthwise.prune.refitting.layer_fit import best_ridge

ORACLE_RIDGES = (1e-3, 1e-2, 1e-1, 1.0)
ORACLE_STEP, ORACLE_MOST = 10.0, 1e4


def timed(work: Callable[[], Any]) -> tuple[float, Any]:
    """Seconds of processor time, and what the work gives."""
    start = time.process_time()
    result = work()
    return time.process_time() - start, result


class Oracle:
    """The closed form of a refit in float64."""

    def __init__(self, moment: Any, weight: Any, order: Any, lam: float) -> None:
        matrix = moment.clone()
        matrix.diagonal().add_(lam * float(moment.diagonal().mean()))
        self.factor = torch.linalg.cholesky(matrix[order][:, order])
        self.half = self.factor.T @ weight[order]

    def at(self, k: int) -> Any:
        factor = self.factor[:k, :k]
        return torch.linalg.solve_triangular(factor.T, self.half[:k], upper=True)


def lost(moment: Any, weight: Any, kept: Any, values: Any) -> float:
    """tr[(W - E V)^T H (W - E V)]."""
    rest = weight.clone()
    rest[kept] -= values
    return float(((moment @ rest) * rest).sum())


def oracle_ridge(fit: Any, held_out: Any, weight: Any, order: Any) -> float:
    errors: dict[float, float] = {}
    kept, waiting = order[: len(order) // 2], list(ORACLE_RIDGES)
    while waiting:
        lam = waiting.pop(0)
        values = Oracle(fit, weight, order, lam).at(len(kept))
        errors[lam] = lost(held_out, weight, kept, values)
        best = min(errors, key=errors.__getitem__)
        if not waiting and best == max(errors) and best < ORACLE_MOST:
            waiting = [best * ORACLE_STEP]
        elif not waiting and best == min(errors):
            waiting = [best / ORACLE_STEP]
    return best


def oracle_fits(halves: Any, weight: Any, order: Any, lam: float, width: int) -> Any:
    """The refit to both halves, once the errors of that to the first half are known."""
    fit, held_out = halves.fit.mean(""), halves.held_out.mean("")
    values = Oracle(fit, weight, order, lam).at(width)
    nothing = order[:0]
    for moment in (fit, held_out):
        lost(moment, weight, order[:width], values)
        lost(moment, weight, nothing, weight[:0])
    return Oracle(halves.fit.merged(halves.held_out).mean(""), weight, order, lam).at(width)


def by_oracle(weights: Any, group: int, halves: Any, spec: Any, width: int) -> dict[str, Any]:
    order = neuron_order(weights, group, spec, halves.fit)
    weight = down_rows(weights, group).T.double()
    choice, lam = timed(
        lambda: oracle_ridge(halves.fit.mean(""), halves.held_out.mean(""), weight, order)
    )
    fits, values = timed(lambda: oracle_fits(halves, weight, order, lam, width))
    ascending = order[:width].sort().indices
    return {"choice": choice, "fits": fits, "lam": lam, "down": values[ascending].T}


def choose(halves: Any, weights: Any, group: int, order: Any) -> float:
    fit, held_out = (each.ordered(order, "") for each in (halves.fit, halves.held_out))
    weight, kept = down_rows(weights, group).T.to(fit)[order], len(order) // 2
    return best_ridge(fit, Removal(fit, weight, kept), Removal(held_out, weight, kept), "")


def by_widthwise(weights: Any, group: int, halves: Any, spec: Any, width: int) -> dict[str, Any]:
    """`fits` is all but the choice, which is made once more alone to time it."""
    order = neuron_order(weights, group, spec, halves.fit)
    choice, lam = timed(lambda: choose(halves, weights, group, order))
    whole, (cut,) = timed(lambda: group_cuts(weights, group, halves, spec, [width]))
    return {"choice": choice, "fits": whole - choice, "lam": lam, "cut": cut}


def generated(neurons: int, hidden: int, dtype: str) -> Any:
    """A model of one layer, with random weights."""
    from transformers import Qwen2Config, Qwen2ForCausalLM

    heads = max(1, hidden // 64)
    torch.manual_seed(0)
    return Qwen2ForCausalLM(
        Qwen2Config(
            hidden_size=hidden, intermediate_size=neurons, num_hidden_layers=1,
            num_attention_heads=heads, num_key_value_heads=heads, vocab_size=4096,
        )
    ).to(getattr(torch, dtype))  # fmt: skip


def text_of(options: argparse.Namespace) -> TextRequest:
    if options.model:
        return TextRequest(tokens=options.tokens)
    rows = torch.randint(4096, (options.tokens // 512, 512))
    return TextRequest(text=[{"input_ids": each} for each in rows.chunk(4)])


def turn(runner: Any, opened: Any, layer: int, spec: Any, with_oracle: bool) -> dict[str, Any]:
    weights = opened.weights
    width = weights.architecture.neurons(spec.width(weights.architecture).widths)[layer]
    moments, sums = timed(lambda: runner.moments(layer, advance=False))
    halves = sums[layer]
    ours = by_widthwise(weights, layer, halves, spec, width)
    cut: GroupCut = ours.pop("cut")
    passes, _ = timed(lambda: advance(runner, opened, layer, cut))
    seconds = {"moments": moments, "pass": passes, "choice": ours["choice"], "fits": ours["fits"]}
    result: dict[str, Any] = {"seconds": seconds, "lam": ours["lam"]}
    if with_oracle:
        theirs = by_oracle(weights, layer, halves, spec, width)
        down = theirs.pop("down")
        away = (cut.down.double() - down).norm() / down.norm()
        rounding = (down.to(cut.down.dtype).double() - down).norm() / down.norm()
        result |= {"oracle": theirs, "away": float(away), "stored_rounding": float(rounding)}
        result["ratios"] = {part: theirs[part] / seconds[part] for part in ("choice", "fits")}
    return result


def advance(runner: Any, opened: Any, layer: int, cut: GroupCut) -> None:
    """Run the cut layer on all tokens; hidden states stay those before it, for the next turn."""
    before = [batch.hidden for batch in runner._batches]
    layered = opened.by_layers
    with (
        runner.held(layer),
        temporarily_cut(layered.module, runner.weights.architecture, {layer: cut}),
    ):
        runner.advance(layer)
    for batch, hidden in zip(runner._batches, before, strict=True):
        batch.hidden = hidden


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", help="a checkpoint; else a generated layer")
    parser.add_argument("--layer", type=int, default=0, help="of --model; those before it stay")
    parser.add_argument("--neurons", type=int, default=4864)
    parser.add_argument("--hidden", type=int, default=896)
    parser.add_argument("--dtype", default="float32", help="of the generated layer")
    parser.add_argument("--tokens", type=int, default=16384)
    parser.add_argument("--remove", default="20%")
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--no-oracle", action="store_true")
    options = parser.parse_args(arguments)
    spec = PruneSpec(target=Target("remove", options.remove), criterion="activation")
    model = options.model or generated(options.neurons, options.hidden, options.dtype)
    with open_model(model) as opened:
        text = text_of(options).read(opened)
        layered, turns = opened.by_layers, []
        with LayerwiseRunner(layered.module, text, layered.held) as runner:
            for layer in range(options.layer):
                runner.advance(layer)
            for number in range(options.turns):
                turns.append(turn(runner, opened, options.layer, spec, not options.no_oracle))
                print(f"turn {number}: {turns[-1]}", file=sys.stderr)
    medians = {
        key: {part: statistics.median(each[key][part] for each in turns) for part in turns[0][key]}
        for key in ("seconds", "oracle", "ratios")
        if key in turns[0]
    }
    print(json.dumps({"ridges": RIDGES, **medians, "last": turns[-1]}, indent=2))


if __name__ == "__main__":
    main()
