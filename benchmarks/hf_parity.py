"""Whether the two scoring backends agree, and which is right where they differ most."""

from __future__ import annotations

import copy
import json
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import click
from scoring_backends import (
    GENERATION,
    Result,
    Work,
    answered,
    compared,
    fitting,
    number,
    ours,
    theirs,
    write,
)

from widthwise.evaluate import Task


def run_parity(
    tasks: Sequence[Task], model: Any, tokenizer: Any, folder: Path, settings: Result
) -> None:
    """Every log-likelihood task; one that the folder holds with these settings is not run again."""
    for task in tasks:
        work = Work(name=task.name, documents=tuple(task.documents()), total=0)
        if work.kind == GENERATION:
            continue
        path = folder / f"{task.name}.json"
        known = json.loads(path.read_text()) if path.exists() else {}
        if known.get("settings") != settings:
            known = {"settings": settings, "source": task.source, **parity(work, model, tokenizer)}
            write(path, known)
        worst = known["worst"]
        gap, differing = known["largest_difference_nats"], len(known["differing"])
        off = {s: worst[f"{s}_nats"] - worst["float64_nats"] for s in ("ours", "hf")}
        click.echo(
            f"{task.name:17} {known['items']:4} items, {known['requests']} log-likelihoods: "
            f"largest difference {gap:.3g} nats, {differing} "
            f"documents answered differently; worst {worst['item']} option {worst['option']}: "
            f"float64 {worst['float64_nats']:.6f}, ours {off['ours']:+.2g}, hf {off['hf']:+.2g}"
        )


def parity(work: Work, model: Any, tokenizer: Any) -> Result:
    """How far both sides are apart, and which is right about the item where they are farthest."""
    size = fitting([1, 4], work, model, tokenizer)[-1]
    _, own, _ = answered(partial(ours, model, tokenizer), work)
    _, hf, _ = answered(partial(theirs, model, tokenizer, size), work)
    items = [(d, instance) for d in work.documents for instance in d.instances]
    pairs = [(number(a), number(b)) for a, b in zip(own, hf, strict=True)]
    worst = max(range(len(pairs)), key=lambda index: abs(pairs[index][0] - pairs[index][1]))
    document, instance = items[worst]
    one = replace(work, documents=(replace(document, instances=(instance,)),))
    _, (exact,), _ = answered(partial(theirs, float64(model), tokenizer, 1), one)
    return {
        "task": work.name,
        "items": len(work.documents),
        "requests": len(items),
        **compared(work, own, hf),
        "worst": {
            "item": document.id,
            "option": instance.idx,
            "ours_nats": pairs[worst][0],
            "hf_nats": pairs[worst][1],
            "float64_nats": number(exact),
        },
    }


def float64(model: Any) -> Any:
    """A copy in float64, its norms too: transformers computes those in float32 whatever comes.

    Only norms of Llama's kind are mended. Rotations stay as all of the models have them.
    """
    import torch

    def norm(module: Any, hidden: torch.Tensor) -> torch.Tensor:
        power = hidden.square().mean(-1, keepdim=True)
        return module.weight * hidden * torch.rsqrt(power + module.variance_epsilon)

    exact = copy.deepcopy(model).double()
    for module in exact.modules():
        if hasattr(module, "variance_epsilon"):
            module.forward = partial(norm, module)
    return exact
