"""Rules of other methods (benchmarks/peers.py) against direct computations from their formulas."""

from __future__ import annotations

import gzip
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers as hf
from scripts import ROOT

import widthwise

with pytest.MonkeyPatch.context() as patched:
    patched.syspath_prepend(str(ROOT / "benchmarks"))
    import peers_table
    from peers_blocks import DenseSums, cut_block, cut_model, mlps, walked
    from peers_rules import OBS_RIDGE, RULES, Block, flap, grail, obs

NEURONS, HIDDEN, LAYERS, WIDTH = 24, 16, 2, 15


@pytest.fixture
def model() -> Any:
    """A Llama in float64, so that differences of the loss are exact."""
    config = hf.LlamaConfig(
        hidden_size=HIDDEN,
        intermediate_size=NEURONS,
        num_hidden_layers=LAYERS,
        num_attention_heads=2,
        num_key_value_heads=2,
        vocab_size=64,
        initializer_range=0.3,
    )
    torch.manual_seed(0)
    return hf.LlamaForCausalLM(config).double().eval()


IDS = torch.randint(0, 64, (8, 40), generator=torch.Generator().manual_seed(1))


def inputs_and_activations(model: Any, layer: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Inputs of a block and of its down_proj, shape (sequences, tokens, size), by one pass."""
    seen: dict[str, torch.Tensor] = {}
    mlp = mlps(model)[layer]
    hooks = [
        module.register_forward_pre_hook(lambda _, given, at=name: seen.update({at: given[0]}))
        for name, module in (("block", mlp), ("down", mlp.down_proj))
    ]
    with torch.no_grad():
        model(input_ids=IDS)
    for hook in hooks:
        hook.remove()
    return seen["block"], seen["down"]


def drawn_block(seed: int = 0) -> Block:
    """A block with correlated neurons, on 200 tokens."""
    draw = torch.Generator().manual_seed(seed)

    def normal(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=draw, dtype=torch.float64)

    rows = normal(200, NEURONS) @ (torch.eye(NEURONS) + 0.3 * normal(NEURONS, NEURONS))
    gate, up, down = normal(NEURONS, HIDDEN), normal(NEURONS, HIDDEN), normal(HIDDEN, NEURONS)
    moment = rows.T @ rows / len(rows)
    return Block(gate=gate, up=up, down=down, moment=moment, tokens=200, mean=rows.mean(0))


def test_every_rule_leaves_as_many_neurons(model: Any) -> None:
    sums = DenseSums(model, IDS)
    for name, rule in RULES.items():
        for width, cuts in zip((20, 9), sums.cuts(rule, (20, 9), seed=3), strict=True):
            for cut in cuts:
                assert cut.keep.tolist() == sorted({*cut.keep.tolist()}), name
                assert len(cut.keep) == width, name
                assert cut.down.shape == (HIDDEN, width), name


@pytest.mark.parametrize("name", ["wanda_sp", "flap", "modelopt"])
def test_scores_of_activations_are_those_of_the_papers(model: Any, name: str) -> None:
    """Neuron by neuron from all activations at once."""
    for layer, cuts in enumerate(DenseSums(model, IDS).cuts(RULES[name], [WIDTH], seed=0)[0]):
        _, active = inputs_and_activations(model, layer)
        down = mlps(model)[layer].down_proj.weight
        scores = []
        for neuron in range(NEURONS):
            own, column = active[:, :, neuron], down[:, neuron]
            scores.append(
                {
                    "wanda_sp": (column.abs() * own.norm()).mean(),
                    "flap": own.var() * column.norm() ** 2,
                    "modelopt": own.abs().mean(1).norm(),
                }[name].detach()
            )
        best = torch.stack(scores).argsort(descending=True)[:WIDTH]
        assert cuts.keep.tolist() == sorted(best.tolist())


def test_the_bias_of_flap_leaves_the_mean_output_as_it_was(model: Any) -> None:
    """Of the first layer, whose inputs no cut changes. Sums of moments are float32."""
    mlp = mlps(model)[0]
    inputs, _ = inputs_and_activations(model, 0)
    (cut, _) = DenseSums(model, IDS).cuts(flap, [WIDTH], seed=0)[0]
    before = mlp(inputs).mean((0, 1))
    with cut_block(mlp, cut):
        torch.testing.assert_close(mlp(inputs).mean((0, 1)), before, rtol=1e-9, atol=1e-12)
        mlp.down_proj.bias = None
        assert (mlp(inputs).mean((0, 1)) - before).norm() > 1e-2 * before.norm()


def test_gradients_of_taylor_are_those_of_the_loss(model: Any) -> None:
    """By differences of the mean loss of all tokens, whose norms a Llama makes in float32.

    So the loss is known to 1e-6, and its slope to 1e-4; slopes are up to 0.05.
    """
    block = DenseSums(model, IDS).block(1, draw=0)
    mlp = mlps(model)[1]

    def loss() -> float:
        with torch.no_grad():
            logits = model(input_ids=IDS).logits[:, :-1].flatten(0, 1)
        return float(torch.nn.functional.cross_entropy(logits, IDS[:, 1:].flatten()))

    for name, gradient in zip(("gate", "up", "down"), block.gradients, strict=True):
        weight = getattr(mlp, f"{name}_proj").weight.data
        for place in ((0, 0), (3, 7), (11, 5)):
            found = []
            for step in (0.01, -0.02):
                weight[place] += step
                found.append(loss())
            weight[place] += 0.01
            slope = (found[0] - found[1]) / 0.02
            assert float(gradient[place]) == pytest.approx(slope, abs=1e-4)


def test_taylor_scores_a_neuron_by_all_its_weights(model: Any) -> None:
    block = DenseSums(model, IDS).block(0, draw=0)
    mlp = mlps(model)[0]
    loss = model(input_ids=IDS, labels=IDS).loss
    weights = [mlp.gate_proj.weight, mlp.up_proj.weight, mlp.down_proj.weight]
    gradients = torch.autograd.grad(loss, weights)
    gate, up, down = ((w * g).detach().abs() for w, g in zip(weights, gradients, strict=True))
    scores = [float(gate[i].sum() + up[i].sum() + down[:, i].sum()) for i in range(NEURONS)]
    best = sorted(range(NEURONS), key=lambda i: -scores[i])[:WIDTH]
    assert RULES["taylor"](block, [WIDTH])[0].keep.tolist() == sorted(best)


def least_loss(moment: torch.Tensor, down: torch.Tensor, keep: list[int]) -> float:
    """tr((D - V)^T H (D - V)) at its least, V free where neurons stay and 0 elsewhere."""
    gone = [i for i in range(NEURONS) if i not in keep]
    across = torch.linalg.solve(moment[keep][:, keep], moment[keep][:, gone])
    schur = moment[gone][:, gone] - moment[gone][:, keep] @ across
    return float((down[:, gone] @ schur * down[:, gone]).sum())


def test_obs_removes_what_raises_the_loss_least_and_fits_the_rest() -> None:
    """Each neuron by trying all of them, with a refit; the rest by the update of the paper."""
    block = drawn_block()
    cuts = obs(block, [20, WIDTH])
    damped = block.moment + OBS_RIDGE * block.moment.diagonal().mean() * torch.eye(NEURONS)
    stay, inverse, weight = [*range(NEURONS)], torch.linalg.inv(damped), block.down.clone()
    for cut in cuts:
        while len(stay) > len(cut.keep):
            rests = {i: [j for j in stay if j != i] for i in stay}
            gone = min(rests, key=lambda i: least_loss(damped, block.down, rests[i]))
            weight -= torch.outer(weight[:, gone], inverse[gone]) / inverse[gone, gone]
            inverse -= torch.outer(inverse[:, gone], inverse[gone]) / inverse[gone, gone]
            stay = rests[gone]
        assert cut.keep.tolist() == stay
        # Rounding of float64, times the condition of H, about 1e5.
        torch.testing.assert_close(cut.down, weight[:, stay], rtol=1e-7, atol=1e-7)


def test_grail_is_ridge_regression_that_pulls_to_zero() -> None:
    """By least squares of the outputs, with a row of sqrt(lam) for each weight."""
    block = drawn_block(1)
    (cut,) = grail(block, [WIDTH])
    root = torch.linalg.cholesky(block.moment).T  # rows whose second moment it is
    lam = 1e-3 * (block.moment.diagonal()[cut.keep].mean() + 1e-3)
    rows = torch.cat([root[:, cut.keep], lam.sqrt() * torch.eye(WIDTH)])
    targets = torch.cat([root @ block.down.T, torch.zeros(WIDTH, HIDDEN)])
    best = torch.linalg.lstsq(rows, targets).solution.T
    torch.testing.assert_close(cut.down, best, rtol=1e-9, atol=1e-9)
    assert cut.keep.tolist() == RULES["wanda_sp"](block, [WIDTH])[0].keep.tolist()


def test_a_walk_calibrates_each_layer_behind_those_that_are_cut(model: Any) -> None:
    first, second = walked(model, IDS, grail, WIDTH)
    with cut_block(mlps(model)[0], first):
        _, active = inputs_and_activations(model, 1)
    rows, mlp = active.flatten(0, 1), mlps(model)[1]
    weights = [getattr(mlp, f"{name}_proj").weight.detach() for name in ("gate", "up", "down")]
    moment, names = rows.T @ rows / len(rows), ("gate", "up", "down")
    block = Block(**dict(zip(names, weights, strict=True)), moment=moment, tokens=len(rows))
    (expected,) = grail(block, [WIDTH])
    assert second.keep.tolist() == expected.keep.tolist()
    # The walk sums in float32.
    torch.testing.assert_close(second.down, expected.down, rtol=1e-3, atol=1e-4)
    dense = DenseSums(model, IDS).cuts(grail, [WIDTH], seed=0)[0][1]
    assert dense.down.shape != second.down.shape or (dense.down - second.down).norm() > 1e-2


def test_a_cut_model_is_that_of_the_package_and_is_whole_again(model: Any) -> None:
    plan = widthwise.make_plan(model, width=WIDTH, align=1, criterion="l2")
    cuts = DenseSums(model, IDS).cuts(RULES["l2"], [WIDTH], seed=0)[0]
    assert [tuple(cut.keep.tolist()) for cut in cuts] == [*plan.keep]
    with torch.no_grad():
        before, expected = model(IDS).logits, widthwise.apply(model, plan)(IDS).logits
        with cut_model(model, cuts):
            # Products of other shapes, in float64.
            torch.testing.assert_close(model(IDS).logits, expected, rtol=1e-9, atol=1e-9)
        assert torch.equal(model(IDS).logits, before)


def planted(excess: float, spread: float, seed: int) -> dict[str, list[list[float]]]:
    """40 passages of 10 tokens in each text, so much worse than 3 nats a token."""
    draw = torch.Generator().manual_seed(seed)
    texts = torch.randn(2, 40, generator=draw) * spread + 30 + 10 * excess
    return {name: [[v, 10] for v in rows.tolist()] for name, rows in zip("wl", texts, strict=True)}


def test_the_default_is_ahead_only_where_passages_and_seeds_show_it() -> None:
    """Passages differ by 0.001 nats a token; of one seed only they are known."""
    lines = [{"method": "dense", "removed": 0.0, "seed": None, "losses": planted(0, 0.01, 0)}]

    def add(method: str, seed: int | None, excess: float) -> None:
        losses = planted(excess, 0.01, 10 + (seed or 0))
        lines.append({"method": method, "removed": 0.1, "seed": seed, "losses": losses})

    for seed in range(3):
        add("widthwise", seed, 0.1)
        add("worse", seed, 0.2)
        add("better", seed, 0.05)
        add("other each time", seed, (0.02, 0.3, 0.2)[seed])
    add("once", 0, 0.3)
    add("seedless", None, 0.4)
    methods = ("widthwise", "worse", "better", "other each time", "once", "seedless")
    rows = [line.split(" | ") for line in peers_table.tables(lines, methods) if "`" in line]
    said = {row[0].strip("| `"): row for row in rows}
    assert [*said] == ["seedless", "once", "worse", "other each time", "widthwise", "better"]
    words = {name: row[-1].strip(" |") for name, row in said.items()}
    assert words == {
        "seedless": "ahead", "once": "ahead on one seed", "worse": "ahead", "widthwise": "",
        "other each time": "not shown", "better": "behind",
    }  # fmt: skip
    assert said["worse"][4].startswith("1.221 [")  # exp(0.2)
    assert said["worse"][5].startswith("0.905 [")  # exp(-0.1)
    assert "unknown" in said["once"][6]


@pytest.mark.long
@pytest.mark.demo
def test_a_run_measures_what_is_not_there_yet(tmp_path: Path) -> None:
    """The real model on a few lines; the second run finds three networks and half a line."""
    for file, column in (("wikitext", "page"), ("lambada_openai", "text")):
        (tmp_path / file).mkdir()
        rows = (
            json.dumps({column: f"The {i} children of the old man saw the sea."}) for i in "abcd"
        )
        with gzip.open(tmp_path / file / "test.jsonl.gz", "wt") as written:
            written.write("\n".join(rows))
    words = ["--data", str(tmp_path), "-o", str(tmp_path / "out"), "--only", "l2", "--seeds", "1"]
    words += ["--tokens", "4096", "--blocks", "1", "--passages", "3"]

    def run(*further: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, str(ROOT / "benchmarks" / "peers.py"), *words, *further]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    first = run()
    assert first.returncode == 0, first.stderr
    networks = tmp_path / "out" / "networks.jsonl"
    whole = networks.read_text()
    assert [line["removed"] for line in map(json.loads, whole.splitlines())] == [0, 0.1, 0.2, 0.4]
    networks.write_text(whole[: whole.rindex("losses")])
    second = run()
    assert second.stdout.count("l2 ") == 1
    assert networks.read_text().splitlines()[:3] == whole.splitlines()[:3]
    assert len(networks.read_text().splitlines()) == 4
    assert run("--table").stdout == "\n".join(["", *second.stdout.split("\n")[1:]]).lstrip("\n")
    other = run("--tokens", "8192")
    assert other.returncode == 1
    assert "other settings" in other.stderr
