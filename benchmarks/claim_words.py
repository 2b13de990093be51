"""How often the paper's claims are called supported or contradicted where they are neither.

Studies go as records through `findings.hypotheses`: a dense model, four cuts by ppm, four of each
of three draws of the control, and items that are as hard for all. In each family one claim is
at the edge of being true, and all else is as good for it as can be:

- flat: IFEval is as good at all widths.
- mc2 flat: MMLU falls, HellaSwag and ARC do not, and MC2 stays as it is.
- no lead: MC2 rises while MMLU falls, and HellaSwag and ARC fall exactly as MMLU does.
- at the margin: MUSR loses 5 points at every width.
- one more draw: ppm chooses no better than chance, and draws differ by luck.

At most 5 % of families may have a wrong word; of a claim that needs four parts it is much less.

    python benchmarks/claim_words.py                # 10 minutes of one core
    python benchmarks/claim_words.py --minutes 2    # fewer families, larger errors
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable, Mapping
from functools import partial

from scipy.stats import norm
from words import Chance, portions, rate

from widthwise.findings import build_grid
from widthwise.findings.hypotheses import MARGIN, hypotheses
from widthwise.study import Record

WIDTHS = (400, 360, 320, 280, 240)
DRAWS = ("random", "random~1", "random~2")
SHARED = 0.7  # of the variance of what decides an item: its difficulty for all networks
FALL, RISE = (0.75, 0.70, 0.62, 0.55, 0.45), (0.40, 0.46, 0.52, 0.58, 0.64)
FLAT = (0.55,) * 5
SIZES = (24, 64, 128, 400)  # items
FAMILIES = 4000  # at most
Scores = Mapping[str, tuple[float, ...]]


def study(tasks: Scores, n: int, chance: Chance, luck: float = 0.0) -> list[Record]:
    """Records of one study.

    Args:
        tasks: True score of each network by ppm, dense first; the control has the same.
        n: Items of each task.
        chance: Of difficulties and answers.
        luck: Standard deviation of a network's score over the error that its items leave.
    """
    records = []
    for task, scores in tasks.items():
        hard = math.sqrt(SHARED) * chance.normal(size=n)
        for criterion in ("ppm", *DRAWS):
            own = luck * chance.normal() * 1.25 / math.sqrt(n)
            for width, score in zip(WIDTHS, scores, strict=True):
                if width < WIDTHS[0] or criterion == "ppm":
                    latent = hard + math.sqrt(1 - SHARED) * chance.normal(size=n)
                    latent += own * (width < WIDTHS[0])
                    items = (latent < norm.ppf(score)).astype(float)
                    records.append(_record(task, criterion, width, items.tolist()))
    return records


def _record(task: str, criterion: str, width: int, items: list[float]) -> Record:
    is_dense, n = width == WIDTHS[0], len(items)
    value = sum(items) / n
    return Record(
        cell=f"{task} {criterion} {width}",
        model="null",
        criterion=None if is_dense else criterion,
        asked="dense" if is_dense else f"{width}",
        width=width,
        expansion_ratio=width / 100,
        quantity=task,
        unit="accuracy",
        value=value,
        standard_error=math.sqrt(value * (1 - value) / (n - 1)),
        n=n,
        floor=0.05,
        floor_kind="chance",
        higher_is_better=True,
        items=tuple(items),
    )


def is_wrong(tasks: Scores, claim: str, n: int, chance: Chance, luck: float = 0.0) -> bool:
    """Whether the claim that begins so is called supported or contradicted."""
    records = study(tasks, n, chance, luck)
    found = hypotheses(build_grid(records), "ppm")
    (outcome,) = (each.outcome for each in found if each.claim.startswith(claim))
    return outcome in ("supported", "contradicted")


def families() -> Mapping[str, Callable[[int, Chance], bool]]:
    """By name whether one drawn family of n items has a wrong word."""
    trade: Scores = {"mmlu": FALL, "truthfulqa_mc2": RISE}
    other = {"hellaswag": FLAT, "arc_challenge": FLAT}
    same = {"hellaswag": FALL, "arc_challenge": FALL}
    lost = (0.55, *[0.55 - MARGIN] * 4)
    flat: Scores = {"ifeval": FLAT}
    return {
        "flat": partial(is_wrong, flat, "IFEval"),
        "mc2 flat": partial(is_wrong, {**trade, **other, "truthfulqa_mc2": FLAT}, "TruthfulQA"),
        "no lead": partial(is_wrong, {**trade, **same}, "TruthfulQA"),
        "at the margin": partial(is_wrong, {"leaderboard_musr": lost}, "MUSR"),
        "one more draw": partial(is_wrong, flat, "ppm", luck=1.0),
        "one more lucky draw": partial(is_wrong, flat, "ppm", luck=4.0),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=10.0)
    seconds = 60 * parser.parse_args().minutes
    every = families()
    own = portions(len(every) * len(SIZES), seconds)
    print("families with a wrong word, by items")
    for name, one in every.items():
        cells = []
        for n in SIZES:
            share, error, done = rate(partial(one, n), FAMILIES, n, next(own))
            cells.append(f"{n}: {share:.1%} ± {error:.1%} of {done}")
        print(f"  {name:20} {', '.join(cells)}", flush=True)


if __name__ == "__main__":
    main()
