"""Whether muP's learning-rate factors help healing: with and without them, at several rates.

    python benchmarks/mup_healing.py CUT DENSE --text wikipedia.txt.gz -o healings.jsonl

CUT is a checkpoint that was cut from DENSE. Each seed draws the order of the text, the same for all
runs of the seed; all are judged by their KL from dense on the same blocks held out. Factors above 1
are also a higher rate, so each side stands at the rate that is best for it, with the paired
difference over seeds and Student's 95 % interval: of seeds alone, not of the choice of the rate, of
other text or of other models. A line a run; run again, it goes on.
"""

from __future__ import annotations

import copy
import json
from pathlib import Path
from statistics import mean
from typing import Any

import click


@click.command()
@click.argument("cut")
@click.argument("dense")
@click.option("--text", help="As for heal; by default the embedded one.")
@click.option("--tokens", default=131_072, show_default=True, help="Of one run.")
@click.option("--rates", default="1.5e-4,3e-4,6e-4", show_default=True, help="Highest rates.")
@click.option("--seeds", default=3, show_default=True)
@click.option("--blocks", default=16, show_default=True, help="Held out to judge on.")
@click.option("-o", "--out", type=click.Path(path_type=Path), required=True)
def main(
    cut: str, dense: str, text: str | None, rates: str, seeds: int, out: Path, **how: int
) -> None:
    """Heal CUT, which was cut from DENSE, in memory, and say what the factors change."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from widthwise.cut.checkpoint import resolve_model
    from widthwise.prune.healing.loss import Judge
    from widthwise.prune.healing.text_blocks import read_blocks

    paths = [resolve_model(name).path for name in (cut, dense)]
    child, parent = (
        AutoModelForCausalLM.from_pretrained(path, dtype=torch.float32).eval() for path in paths
    )
    read = read_blocks(text, AutoTokenizer.from_pretrained(paths[1]), how["tokens"])
    held_out = read.held_out[: how["blocks"]]
    judge = Judge(parent, held_out, 4)
    before = judge(child).divergence.value
    click.echo(f"before healing: {before:.4f} nats a token")
    common = {"tokens": how["tokens"], "text": read.fingerprint, "before_nats": round(before, 6)}
    runs = [json.loads(line) for line in out.read_text().splitlines()] if out.exists() else []
    if any({name: run[name] for name in common} != common for run in runs):
        raise SystemExit(f"{out} holds runs of other models, text or tokens; name another file")
    known = {(run["seed"], run["rate"], run["factors"]) for run in runs}
    asked = [
        (seed, rate, factors)
        for seed in range(seeds)
        for rate in map(float, rates.split(","))
        for factors in (False, True)
    ]
    for seed, rate, factors in (run for run in asked if run not in known):
        healed = _healed(child, parent, read.rows, how["tokens"], rate, factors, seed)
        kl = judge(healed).divergence.value
        runs.append({"seed": seed, "rate": rate, "factors": factors, "kl_nats": kl, **common})
        with out.open("a") as file:
            file.write(json.dumps(runs[-1]) + "\n")
        click.echo(f"seed {seed}  rate {rate:g}  factors {factors!s:5}  {kl:.4f}")
    _say(runs)


def _healed(
    child: Any, parent: Any, rows: Any, tokens: int, rate: float, factors: bool, seed: int
) -> Any:
    from widthwise.prune.healing import HealSettings, distil

    model = copy.deepcopy(child).train()
    settings = HealSettings(tokens=tokens, learning_rate=rate, mup_factors=factors, seed=seed)
    distil(model, parent, rows, settings)
    return model.eval()


def _say(runs: list[dict[str, Any]]) -> None:
    """Each side at its best rate, and their difference, over the seeds that all rates have."""
    from widthwise.stats import mean_with_error

    cells: dict[tuple[bool, float], dict[int, float]] = {}
    for run in runs:
        cells.setdefault((run["factors"], run["rate"]), {})[run["seed"]] = run["kl_nats"]
    shared = sorted(set.intersection(*(set(values) for values in cells.values())))
    best = {}
    for factors in (False, True):
        named = "factors" if factors else "plain"
        means = {
            rate: mean(values[seed] for seed in shared)
            for (side, rate), values in sorted(cells.items())
            if side is factors
        }
        for rate, value in means.items():
            click.echo(f"{named:8} rate {rate:g}: {value:.4f} of {len(shared)} seeds")
        best[factors] = min(means, key=means.__getitem__)
        if best[factors] in (min(means), max(means)):
            click.echo(f"{named}: the best rate is at an end of the list, so another may be better")
    lead = mean_with_error(
        [cells[True, best[True]][s] - cells[False, best[False]][s] for s in shared]
    )
    low, high = lead.interval()
    click.echo(
        f"factors at {best[True]:g} less plain at {best[False]:g}: {lead.value:+.4f} "
        f"[{low:+.4f}, {high:+.4f}] nats a token, {len(shared)} seeds"
    )


if __name__ == "__main__":
    main()
