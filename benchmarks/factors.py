"""Whether muP's learning-rate factors help healing: with and without them, at several rates.

    python benchmarks/factors.py CUT DENSE --text wikipedia.txt.gz -o healings.jsonl

CUT is a checkpoint that was cut from DENSE. Each seed draws the order of the text, the same for all
runs of the seed; all are judged by their KL from dense on the same blocks held out. Factors above 1
are also a higher rate, so each side stands at the rate that is best for it, with the paired
difference over seeds and Student's 95 % interval: of seeds alone, not of other text or models. A
line a run; run again, it goes on.
"""

from __future__ import annotations

import copy
import json
from pathlib import Path
from statistics import mean, stdev
from typing import Any

import click


@click.command()
@click.argument("cut")
@click.argument("dense")
@click.option("--text", help="As for heal; by default the embedded one.")
@click.option("--tokens", default=49_152, show_default=True, help="Of one run.")
@click.option("--rates", default="3e-4,6e-4", show_default=True, help="Highest learning rates.")
@click.option("--seeds", default=3, show_default=True)
@click.option("--blocks", default=16, show_default=True, help="Held out to judge on.")
@click.option("-o", "--out", type=click.Path(path_type=Path), required=True)
def main(
    cut: str,
    dense: str,
    text: str | None,
    tokens: int,
    rates: str,
    seeds: int,
    blocks: int,
    out: Path,
) -> None:
    """Heal CUT, which was cut from DENSE, in memory, and say what the factors change."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from widthwise.prune import locate
    from widthwise.prune.healing import HealSettings, distil
    from widthwise.prune.healing.blocks import read_blocks
    from widthwise.prune.healing.judging import judge

    paths = [locate(name)[0] for name in (cut, dense)]
    child, parent = (
        AutoModelForCausalLM.from_pretrained(path, dtype=torch.float32).eval() for path in paths
    )
    read = read_blocks(text, AutoTokenizer.from_pretrained(paths[1]), tokens)
    held_out = read.held_out[:blocks]
    runs = [json.loads(line) for line in out.read_text().splitlines()] if out.exists() else []
    known = {(run["seed"], run["rate"], run["factors"]) for run in runs}
    before = judge(child, parent, held_out, 4).divergence
    click.echo(f"before healing: {before.value:.4f} nats a token")
    for seed in range(seeds):
        for rate in map(float, rates.split(",")):
            for factors in (False, True):
                if (seed, rate, factors) in known:
                    continue
                model = copy.deepcopy(child).train()
                settings = HealSettings(
                    tokens=tokens, learning_rate=rate, mup_factors=factors, seed=seed
                )
                distil(model, parent, read.rows, settings)
                kl = judge(model.eval(), parent, held_out, 4).divergence.value
                run = {
                    "seed": seed, "rate": rate, "factors": factors, "kl_nats": kl,
                    "before_nats": before.value, "tokens": tokens, "text": read.fingerprint,
                }  # fmt: skip
                runs.append(run)
                with out.open("a") as file:
                    file.write(json.dumps(run) + "\n")
                click.echo(f"seed {seed}  rate {rate:g}  factors {factors!s:5}  {kl:.4f}")
    _say(runs)


def _say(runs: list[dict[str, Any]]) -> None:
    """Each side at its best rate, and their difference over the seeds that both have."""
    from scipy.stats import t

    cells: dict[tuple[bool, float], dict[int, float]] = {}
    for run in runs:
        cells.setdefault((run["factors"], run["rate"]), {})[run["seed"]] = run["kl_nats"]
    for (factors, rate), values in sorted(cells.items()):
        named = "factors" if factors else "plain"
        click.echo(f"{named:8} rate {rate:g}: {mean(values.values()):.4f} of {len(values)} seeds")
    best = [
        min((c for c in cells if c[0] is side), key=lambda c: mean(cells[c].values()))
        for side in (True, False)
    ]
    ours, theirs = (cells[each] for each in best)
    pairs = [ours[seed] - theirs[seed] for seed in sorted(set(ours) & set(theirs))]
    if len(pairs) < 2:
        raise SystemExit("an interval needs two seeds or more")
    half = float(t.ppf(0.975, len(pairs) - 1)) * stdev(pairs) / len(pairs) ** 0.5
    value = mean(pairs)
    click.echo(
        f"factors at {best[0][1]:g} less plain at {best[1][1]:g}: {value:+.4f} "
        f"[{value - half:+.4f}, {value + half:+.4f}] nats a token, {len(pairs)} seeds"
    )


if __name__ == "__main__":
    main()
