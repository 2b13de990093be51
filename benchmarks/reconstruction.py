"""What may be better than `activation` and one ridge: targets, token weights, gradients, scales.

All methods cut every layer of a Llama-like model to the same width, on the same calibration tokens,
by walks through its layers beside the dense model. They are compared with the default by the
perplexity of WikiText-2's test text and LAMBADA, as `refit_targets.py` measures it, with 95 %
intervals of the ratio to the default over the same passages; and by KL from the dense model on
blocks of the embedded text that follow those of the calibration.

    python benchmarks/reconstruction.py --data FOLDER -o RESULTS    # FOLDER as evaluate --data
    python benchmarks/reconstruction.py --data FOLDER -o RESULTS --removed 0.4 --only default,scales

Networks and passages are kept in RESULTS: run again, it measures what is not there yet. Other
settings need another RESULTS. The methods change a layer so, x the residual stream before the MLP,
n its input, h the input of down_proj, y the output of the MLP, with a hat in the cut network:

    default    down_proj of the neurons that stay is fitted to what the dense weights make of n^
    drift=a    it is fitted to y + a (x - x^): the dense output, and a share of what was lost before
    weighted   tokens count 1 / |x + y|^2, as the norm behind sees them, in the choice and the fit
    attention  o_proj is fitted to its dense output and the same share
    gradient   gate, up and down follow the gradient of that error; down is solved once more
    scales     a factor for each neuron and each output, and norms, by KL to the dense model
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from statistics import mean
from typing import Any

import torch
from folded_scales import divergence, scaled
from refit_targets import hold_settings, losses, passages, ratios
from torch import Tensor, nn
from torch.nn.functional import linear, silu

RIDGES = (1e-4, 1e-3, 1e-2, 1e-1, 1.0, 10.0)
BLOCK, ROWS, CHUNK = 512, 8, 4096
CHOSEN_ON = 16  # blocks behind the calibration text
LR, BATCH, HELD_OUT = 1e-3, 1024, 8  # of `gradient`: every eighth block is held out


@dataclass(frozen=True, kw_only=True)
class Method:
    """How the layers that stay are changed.

    Attributes:
        drift: Share of the drift in the target; None for the target of the default.
        weighted: Whether tokens count in proportion to 1 over their stream's square.
        attention: Whether o_proj is fitted as well.
        passes: Passes of the gradient over the calibration tokens.
        scales: Passes of the scales over the calibration tokens, behind the walk.
    """

    drift: float | None = None
    weighted: bool = False
    attention: bool = False
    passes: int = 0
    scales: int = 0


METHODS = {
    "default": Method(),
    "weighted": Method(weighted=True),
    "drift=0": Method(drift=0.0),
    "drift=0.25": Method(drift=0.25),
    "drift=0.5": Method(drift=0.5),
    "drift=1": Method(drift=1.0),
    "drift=0.5, weighted": Method(drift=0.5, weighted=True),
    "drift=0.5, weighted, attention": Method(drift=0.5, weighted=True, attention=True),
    "gradient": Method(passes=3),
    "drift=0.5, weighted, gradient": Method(drift=0.5, weighted=True, passes=3),
    "scales": Method(scales=1),
    "gradient+scales": Method(passes=3, scales=1),
}


@dataclass
class Network:
    """A cut network: the tensors that differ from those of the dense model, by name."""

    tensors: dict[str, Tensor] = field(default_factory=dict)
    seconds: float = 0.0  # processor time without that of the dense model
    told: list[Any] = field(default_factory=list)


class Ridge:
    """Least squares of targets on rows, pulled towards weights; tokens may be weighted."""

    def __init__(self, fit: int, weights: Tensor | None) -> None:
        self._fit, self._weights = fit, weights

    def _sums(self, rows: Tensor, targets: Tensor, span: range) -> tuple[Tensor, Tensor, float]:
        moment = rows.new_zeros(rows.shape[1], rows.shape[1], dtype=torch.float32)
        cross = rows.new_zeros(rows.shape[1], targets.shape[1], dtype=torch.float32)
        power = 0.0
        for start in range(span.start, span.stop, CHUNK):
            part = slice(start, min(start + CHUNK, span.stop))
            x, y = rows[part].float(), targets[part].float()
            if self._weights is not None:
                root = self._weights[part].sqrt()[:, None]
                x, y = x * root, y * root
            moment += x.T @ x
            cross += x.T @ y
            power += float(y.double().square().sum())
        return moment.double(), cross.double(), power

    def __call__(self, rows: Tensor, targets: Tensor, toward: Tensor) -> tuple[Tensor, float]:
        """Weights, shape (row, target), from both halves, and the ridge that the second chose."""
        moment, cross, _ = self._sums(rows, targets, range(self._fit))
        other, other_cross, power = self._sums(rows, targets, range(self._fit, len(rows)))

        def error(lam: float) -> float:
            values = solved(moment, cross, toward, lam)
            return float((values * (other @ values - 2 * other_cross)).sum()) + power

        lam = min(RIDGES, key=error)
        return solved(moment + other, cross + other_cross, toward, lam), lam


def solved(moment: Tensor, cross: Tensor, toward: Tensor, lam: float) -> Tensor:
    """(H + lam I)^-1 (C + lam W), lam as a share of the mean of the diagonal."""
    ridge = lam * float(moment.diagonal().mean())
    damped = moment.clone()
    damped.diagonal().add_(ridge)
    return torch.cholesky_solve(cross + ridge * toward, torch.linalg.cholesky(damped))


def chunked(run: Callable[[Tensor], Tensor], rows: Tensor) -> Tensor:
    return torch.cat([run(part) for part in rows.split(CHUNK)])


def neurons(rows: Tensor, gate: Tensor, up: Tensor) -> Tensor:
    return silu(linear(rows, gate)) * linear(rows, up)


def attended(layer: Any, states: Tensor, positions: Any) -> Tensor:
    """Inputs of o_proj for all tokens, shape (tokens, heads of one token)."""
    projection, layer.self_attn.o_proj = layer.self_attn.o_proj, nn.Identity()
    parts = [
        layer.self_attn(
            layer.input_layernorm(part), position_embeddings=positions, attention_mask=None
        )[0]
        for part in states.split(ROWS)
    ]
    layer.self_attn.o_proj = projection
    return torch.cat(parts).flatten(0, 1)


@dataclass(frozen=True)
class DenseLayer:
    """What the dense model does in one layer: the streams, and what attention and MLP add."""

    before: Tensor
    attention: Tensor
    middle: Tensor
    mlp: Tensor
    behind: Tensor

    @property
    def weights(self) -> Tensor:
        """1 / |stream behind|^2 of each token, mean 1."""
        inverse = 1 / self.behind.float().square().sum(1)
        return inverse / inverse.mean()


def dense_layer(layer: Any, states: Tensor, positions: Any) -> DenseLayer:
    before = states.flatten(0, 1)
    attention = chunked(layer.self_attn.o_proj, attended(layer, states, positions))
    middle = before + attention
    mlp = chunked(lambda part: layer.mlp(layer.post_attention_layernorm(part)), middle)
    return DenseLayer(before, attention, middle, mlp, middle + mlp)


def cut_layer(
    layer: Any, method: Method, width: int, states: Tensor, dense: DenseLayer, positions: Any
) -> tuple[Tensor, dict[str, Tensor], Any]:
    """Streams behind a layer of the cut network, its tensors, and what is to be told of it."""
    weights, fit, mlp = dense.weights, len(dense.before) // 2, layer.mlp
    solve = Ridge(fit, weights if method.weighted else None)
    before, heads = states.flatten(0, 1), attended(layer, states, positions)
    dtype, tensors = before.dtype, {}
    o_proj = layer.self_attn.o_proj.weight
    if method.attention:
        drift = dense.before.float() - before.float()
        target = dense.attention.float() + (method.drift or 0.0) * drift
        o_proj = solve(heads, target, o_proj.double().T)[0].T.to(dtype).contiguous()
        tensors["self_attn.o_proj"] = o_proj
    middle = before + chunked(lambda part: linear(part, o_proj), heads)
    inputs = chunked(layer.post_attention_layernorm, middle)
    gate, up, down = (each.weight for each in (mlp.gate_proj, mlp.up_proj, mlp.down_proj))
    active = chunked(lambda part: neurons(part, gate, up), inputs)
    counts = weights[:fit] if method.weighted else torch.ones(fit)
    halves = zip(active[:fit].split(CHUNK), counts.split(CHUNK), strict=True)
    power = sum((a.float().square() * c[:, None]).sum(0).double() for a, c in halves)
    scores = power * down.double().square().sum(0)
    keep = torch.argsort(scores, descending=True, stable=True)[:width].sort().values
    if method.drift is None:
        target = chunked(lambda part: linear(part, down), active).float()
    else:
        drift = dense.middle.float() - middle.float()
        target = dense.mlp.float() + method.drift * drift
    gate, up, active = gate[keep], up[keep], active[:, keep].contiguous()
    values, lam = solve(active, target, down[:, keep].double().T)
    told: Any = lam
    if method.passes:
        start = (gate, up, values.T.to(dtype))
        (gate, up, near), told = reconstructed(
            inputs, target, start, weights if method.weighted else None, method.passes
        )
        gate, up = gate.to(dtype), up.to(dtype)
        active = chunked(lambda part: neurons(part, gate, up), inputs)
        values, _ = solve(active, target, near.double().T)
    narrow = values.T.to(dtype).contiguous()
    tensors |= {"mlp.gate_proj": gate, "mlp.up_proj": up, "mlp.down_proj": narrow}
    behind = middle + chunked(lambda part: linear(part, narrow), active)
    return behind.view_as(states), tensors, told


def reconstructed(
    inputs: Tensor, target: Tensor, start: Sequence[Tensor], weights: Tensor | None, passes: int
) -> tuple[list[Tensor], list[float]]:
    """Gate, up and down where the held-out blocks err least, and these errors pass by pass."""
    held = torch.arange(len(inputs)) // BLOCK % HELD_OUT == HELD_OUT - 1
    train, test = (torch.nonzero(each)[:, 0] for each in (~held, held))
    counts = torch.ones(len(inputs)) if weights is None else weights
    power = float((counts * target.square().sum(1)).mean())
    parts = [nn.Parameter(each.float().clone()) for each in start]
    adam = torch.optim.AdamW(parts, lr=LR, betas=(0.9, 0.95), weight_decay=0.0, fused=True)

    def error(tokens: Tensor) -> Tensor:
        gate, up, down = (each.to(inputs.dtype) for each in parts)
        lost = target[tokens] - linear(neurons(inputs[tokens], gate, up), down).float()
        return (counts[tokens] * lost.square().sum(1)).sum() / power

    def held_out() -> float:
        return sum(float(error(tokens)) for tokens in test.split(CHUNK)) / len(test)

    steps, step = passes * (len(train) // BATCH), 0
    errors, best = [held_out()], [each.detach().clone() for each in parts]
    draw = torch.Generator().manual_seed(0)
    for _ in range(passes):
        order = train[torch.randperm(len(train), generator=draw)]
        for tokens in order[: len(train) // BATCH * BATCH].split(BATCH):
            adam.param_groups[0]["lr"] = LR * min(1.0, (step + 1) / 8) * (1 - step / steps)
            with torch.enable_grad():
                (error(tokens) / BATCH).backward()
            adam.step()
            adam.zero_grad(set_to_none=True)
            step += 1
        errors.append(held_out())
        if errors[-1] <= min(errors):
            best = [each.detach().clone() for each in parts]
    return best, errors


def walked(
    model: Any, ids: Tensor, methods: dict[str, Method], removed: float
) -> dict[str, Network]:
    """A network by each method, all side by side with the dense model."""
    embed, size = model.model.embed_tokens, model.config.intermediate_size
    width = size - round(size * removed)
    dense = embed(ids)
    states = {name: dense.clone() for name in methods}
    made = {name: Network() for name in methods}
    positions = model.model.rotary_emb(dense[:1], torch.arange(ids.shape[1])[None])
    for number, layer in enumerate(model.model.layers):
        whole = dense_layer(layer, dense, positions)
        for name, method in methods.items():
            start, network = time.process_time(), made[name]
            states[name], tensors, told = cut_layer(
                layer, method, width, states[name], whole, positions
            )
            network.tensors |= {f"model.layers.{number}.{at}": t for at, t in tensors.items()}
            network.told.append(told)
            network.seconds += time.process_time() - start
        dense = whole.behind.view_as(dense)
        print(f"layer {number} of {removed:.0%}", flush=True)
    return made


def changed(path: Path, network: Network) -> Any:
    """The cut model of a network, in bfloat16."""
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(path, dtype=torch.bfloat16).eval()
    for name, tensor in network.tensors.items():
        module = model.get_submodule(name)
        module.weight = nn.Parameter(tensor.to(torch.bfloat16), requires_grad=False)
    return model


def networks(given: argparse.Namespace, path: Path, dense: Any, ids: Tensor) -> Iterator[str]:
    """Names of the networks, once each is in RESULTS."""
    asked = [name for name in METHODS if not given.only or name in given.only.split(",")]
    for removed in given.removed:
        files = {name: given.out / f"{name} {removed:.0%}.pt" for name in asked}
        walks = {n: replace(METHODS[n], scales=0) for n in asked if not files[n].exists()}
        made = walked(dense, ids, walks, removed) if walks else {}
        for name, network in made.items():
            if METHODS[name].scales:
                start = time.process_time()
                model = changed(path, network)
                network.tensors |= scaled(model, dense, ids, METHODS[name].scales)
                network.seconds += time.process_time() - start
            torch.save(vars(network), files[name])
        yield from (file.stem for file in files.values())


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("-o", "--out", type=Path, required=True)
    parser.add_argument("--model", default="smollm2")
    parser.add_argument("--tokens", type=int, default=65_536)
    parser.add_argument("--removed", type=float, nargs="+", default=[0.2, 0.4])
    parser.add_argument("--only", default="", help="methods, with commas between them")
    parser.add_argument("--blocks", type=int, help="of WikiText-2; by default all")
    parser.add_argument("--passages", type=int, help="of LAMBADA; by default all")
    parser.set_defaults(calibration=None)  # the embedded text
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    torch.set_grad_enabled(False)
    torch.set_float32_matmul_precision("medium")  # float32 sums of products of bfloat16
    hold_settings(given)

    from transformers import AutoModelForCausalLM, AutoTokenizer

    from widthwise.cut.checkpoint import resolve_model
    from widthwise.prune.calibration import read_text

    path = resolve_model(given.model).path
    tokenizer = AutoTokenizer.from_pretrained(path)
    dense = AutoModelForCausalLM.from_pretrained(path, dtype=torch.bfloat16).eval()
    text = read_text(None, tokenizer, given.tokens + CHOSEN_ON * BLOCK)
    ids = torch.cat([batch.input_ids for batch in (*text.fit, *text.held_out)])
    ids, chosen_on = ids[: given.tokens // BLOCK], ids[given.tokens // BLOCK :]
    texts = passages(given.data, tokenizer, given.blocks, given.passages)
    final = torch.cat([dense.model(input_ids=each)[0] for each in chosen_on.split(ROWS)])

    def measured(name: str) -> dict[str, Any]:
        file = given.out / f"{name}.json"
        if not file.exists():
            kept = None if name == "dense" else Network(**torch.load(given.out / f"{name}.pt"))
            model = changed(path, kept) if kept else dense
            states = torch.cat([model.model(input_ids=e)[0] for e in chosen_on.split(ROWS)])
            pairs = zip(final, states, strict=True)
            found: dict[str, Any] = {text: losses(model, rows) for text, rows in texts.items()}
            found["kl"] = [float(divergence(dense.lm_head, *pair)) for pair in pairs]
            found["seconds"] = kept.seconds if kept else 0.0
            file.write_text(json.dumps(found))
        return json.loads(file.read_text())

    baseline = measured("dense")
    defaults: dict[str, dict[str, Any]] = {}
    for name in networks(given, path, dense, ids):
        found, removed = measured(name), name.rpartition(" ")[2]
        default = defaults.setdefault(removed, found)
        said = [f"{name:45s} {found['seconds']:6.0f} s   KL {mean(found['kl']):.4f}"]
        for against in (baseline, default):
            kept = ({text: each[text] for text in texts} for each in (found, against))
            said.append("{:.3f} [{:.3f}, {:.3f}]".format(*ratios(*kept)["both"]))
        print("   ".join(said), flush=True)


if __name__ == "__main__":
    main()
