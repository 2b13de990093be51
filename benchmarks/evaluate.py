"""Score a model on a suite of lm-eval: our SharedPrefixLM beside lm-eval's own HFLM.

The same model object, tokenizer, requests and machine for both. Within a repeat the two take
turns, and the next repeat swaps the order, so that a drift of the machine meets both; ratios are
formed within a repeat, and their median is printed. Every run is a new language model, so neither
remembers anything. HFLM gets the batch size that is its best on a part of the same items.

    python benchmarks/evaluate.py                     # about 15 minutes on 2 idle cores
    python benchmarks/evaluate.py --tasks mmlu,boolq --limit 8
    python benchmarks/evaluate.py --parity -o parity  # no timing: are the numbers the same?

Items are runs of neighbours from all over a task: neighbours may share a text (MUSR asks up to
four questions about one story), as they do in the whole task. MMLU is timed on one whole
subject of typical length: a small sample of all 57 subjects would share no solved examples.
"""

from __future__ import annotations

import os
import statistics
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import click
from hf_parity import run_parity
from scoring_backends import (
    GENERATION,
    Result,
    Work,
    answered,
    compared,
    fitting,
    load_backend_model,
    ours,
    provenance,
    theirs,
    write,
)

from widthwise.cli.main import _bound_busy_waiting, _keep_freed_memory
from widthwise.evaluate import Task, load_tasks
from widthwise.evaluate.tasks import TaskDocument

DATA = Path(__file__).resolve().parents[2] / "shared" / "data" / "benchmarks"
RUN = 4  # neighbours that are sampled together
PARITY_ITEMS = 200
# Items of each task: about 18,000 tokens to read for HFLM; more for MMLU, to keep a subject whole.
LIMITS = {"mmlu": 100, "gsm8k": 16, "ifeval": 32, "wikitext": 4, "leaderboard_musr": 12}
LIMITS |= {"truthfulqa_mc1": 20, "truthfulqa_mc2": 16, "hellaswag": 56, "arc_challenge": 140}
LIMITS |= {"winogrande": 400, "piqa": 256, "boolq": 112, "lambada_openai": 200, "ifbench": 32}
OTHER_LIMIT = 100
GOALS = {"mmlu": 6.0, "truthfulqa_mc1": 5.0, "truthfulqa_mc2": 5.0, "leaderboard_musr": 3.0}
GOALS |= {"hellaswag": 2.0, "arc_challenge": 2.0, "arc_easy": 2.0}
OTHER_GOAL, MEAN_GOAL, WHOLE_GOAL = 1.2, 2.2, 4.0


def work_of(task: Task, limit: int | None) -> Work:
    """Documents of a task to time: `limit`, or by default as many as LIMITS says."""
    total = sum(part.total for part in task.parts)
    wanted = limit or LIMITS.get(task.name, OTHER_LIMIT)
    if task.name == "mmlu":
        chosen = whole_subjects(task, wanted)[:limit]
    else:
        runs = [
            documents[start : start + RUN]
            for documents in (list(part.documents()) for part in task.parts)
            for start in range(0, len(documents), RUN)
        ]
        count = min(len(runs), -(-wanted // RUN))
        places = ((2 * number + 1) * len(runs) // (2 * count) for number in range(count))
        chosen = [document for place in places for document in runs[place]][:wanted]
    return Work(name=task.name, documents=tuple(chosen), total=total)


def whole_subjects(task: Task, wanted: int) -> list[TaskDocument]:
    """All documents of as few subjects as make `wanted`: small ones, typical lengths first."""
    subjects = [list(part.documents()) for part in task.parts]

    def length(documents: list[TaskDocument]) -> float:
        return statistics.fmean(len(d.instances[0].args[0]) for d in documents)

    typical = length([document for documents in subjects for document in documents])
    small = [documents for documents in subjects if len(documents) <= 1.5 * LIMITS["mmlu"]]
    small.sort(key=lambda documents: abs(length(documents) - typical))
    chosen: list[TaskDocument] = []
    for documents in small:
        if len(chosen) < wanted:
            chosen += documents
    return chosen


def batch_seconds(
    sizes: Sequence[int], work: Work, model: Any, tokenizer: Any, new_tokens: int
) -> dict[int, float]:
    """Seconds of HFLM with each batch size: on a part of the items, or on a part of each text."""
    part = work.capped(max(1, new_tokens // 4)) if work.kind == GENERATION else work.part
    few = replace(part, documents=part.documents[:2])
    answered(partial(ours, model, tokenizer), few)  # warm both up
    answered(partial(theirs, model, tokenizer, min(sizes)), few)
    fit = fitting(sizes, work, model, tokenizer)
    return {n: answered(partial(theirs, model, tokenizer, n), part)[0] for n in fit}


def timed(
    work: Work,
    model: Any,
    tokenizer: Any,
    sizes: Sequence[int],
    repeats: int,
    new_tokens: int,
) -> Result:
    """Both sides in turn, and how far their answers are apart."""
    work = work.capped(new_tokens)
    searched = batch_seconds(sizes, work, model, tokenizer, new_tokens)
    best = min(searched, key=lambda size: searched[size])
    sides = {"ours": partial(ours, model, tokenizer), "hf": partial(theirs, model, tokenizer, best)}
    seconds: dict[str, list[float]] = {side: [] for side in sides}
    answers: dict[str, list[Any]] = {}
    capped = None
    for repeat in range(repeats):
        for side in list(sides)[:: -1 if repeat % 2 else 1]:
            spent, answers[side], lm = answered(sides[side], work)
            seconds[side].append(spent)
            if side == "ours" and work.kind == GENERATION:
                capped = statistics.fmean(text.capped for text in lm.generated)
    ratios = [hf / own for own, hf in zip(seconds["ours"], seconds["hf"], strict=True)]
    return {
        "task": work.name,
        "kind": work.kind,
        "items": len(work.documents),
        "total": work.total,
        "parts": sorted({document.id.rpartition("/")[0] for document in work.documents}),
        "hf_batch_size": best,
        "hf_search_sec": searched,
        "ours_sec": seconds["ours"],
        "hf_sec": seconds["hf"],
        "ratio": statistics.median(ratios),
        "ratio_range": [min(ratios), max(ratios)],
        **compared(work, answers["ours"], answers["hf"]),
        **({"new_tokens": new_tokens, "capped": capped} if capped is not None else {}),
    }


def show(result: Result) -> None:
    """One line a task."""
    subjects = f" ({', '.join(result['parts'])})" if result["task"] == "mmlu" else ""
    own, hf = (statistics.median(result[f"{side}_sec"]) for side in ("ours", "hf"))
    low, high = result["ratio_range"]
    line = f"{result['task']:17} {result['items']:4} items{subjects}, hf batch size "
    line += f"{result['hf_batch_size']}: ours {own:.2f} s, hf {hf:.2f} s, hf/ours "
    line += f"{result['ratio']:.2f} [{low:.2f}, {high:.2f}]; "
    if result["kind"] == GENERATION:
        line += f"same texts {result['same_texts']:.0%}, at most {result['new_tokens']} tokens"
        line += f", reached by {result['capped']:.0%} of ours"
    else:
        line += f"largest difference {result['largest_difference_nats']:.3g} nats, "
        line += f"{len(result['differing'])} documents answered differently"
    searched = (f"{size}: {spent:.2f} s" for size, spent in result["hf_search_sec"].items())
    click.echo(f"{line}\n{'':17} hf by batch size: {', '.join(searched)}")


def summary(results: Sequence[Result]) -> Result:
    """The mean over tasks, and an extrapolation to the whole log-likelihood tasks."""
    asked = [result for result in results if result["kind"] != GENERATION]
    whole = {
        side: sum(r["total"] * statistics.median(r[f"{side}_sec"]) / r["items"] for r in asked)
        for side in ("ours", "hf")
    }
    return {
        "geometric_mean": statistics.geometric_mean([r["ratio"] for r in results]),
        "whole_sec_extrapolated": whole,
        "whole_ratio_extrapolated": whole["hf"] / whole["ours"] if asked else None,
    }


def verdicts(results: Sequence[Result], sums: Result) -> list[str]:
    """Each goal, met or not; none changes the exit code."""
    rows = [(r["task"], r["ratio"], GOALS.get(r["task"], OTHER_GOAL)) for r in results]
    rows.append(("geometric mean", sums["geometric_mean"], MEAN_GOAL))
    if sums["whole_ratio_extrapolated"] is not None:
        rows.append(("whole log-likelihoods", sums["whole_ratio_extrapolated"], WHOLE_GOAL))
    return [
        f"{'met' if value >= goal else 'not met':7}  {name}: {value:.2f}, goal {goal:g}"
        for name, value, goal in rows
    ]


def run_timing(
    tasks: Sequence[Task], limit: int | None, out: Path | None, settings: Result, **how: Any
) -> None:
    """Every task, then the sums and the goals; the file is written anew after each task."""
    results: list[Result] = []
    for task in tasks:
        results.append(timed(work_of(task, limit), **how))
        show(results[-1])
        sums = summary(results)
        if out:
            write(out, {"settings": settings, **sums, "tasks": results})
    click.echo(f"geometric mean of hf/ours over {len(results)} tasks: {sums['geometric_mean']:.2f}")
    if sums["whole_ratio_extrapolated"] is not None:
        whole = sums["whole_sec_extrapolated"]
        click.echo(
            "the log-likelihood tasks at their true sizes, extrapolated from the seconds an item "
            f"above: ours {whole['ours'] / 60:.0f} min, hf {whole['hf'] / 60:.0f} min, hf/ours "
            f"{sums['whole_ratio_extrapolated']:.2f}"
        )
    click.echo("\n".join(verdicts(results, sums)))


def numbers(_context: Any, _parameter: Any, text: str) -> list[int]:
    sizes = sorted({int(part) for part in text.split(",") if part.strip().isdecimal()})
    if not sizes or sizes[0] < 1:
        raise click.BadParameter(f"must be numbers from 1 on with commas between; got {text!r}")
    return sizes


@click.command()
@click.argument("model", default="smollm2")
@click.option("--tasks", "names", help="Some of the suite's tasks, with commas between.")
@click.option("--limit", type=click.IntRange(min=RUN), help="Items a task; else by task.")
@click.option(
    "--data",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    default=DATA if DATA.is_dir() else None,
    help="Folder of documents for the paper's suite; without one, the embedded suite.",
)
@click.option(
    "--dtype", type=click.Choice(["bfloat16", "float32"]), default="bfloat16", show_default=True
)
@click.option("--repeats", type=click.IntRange(min=1), default=3, show_default=True)
@click.option("--batch-sizes", "sizes", default="1,4,16,32", callback=numbers, show_default=True)
@click.option("--new-tokens", type=click.IntRange(min=1), default=64, show_default=True)
@click.option("--parity", "is_parity", is_flag=True, help="In float32 and without timing.")
@click.option("-o", "out", type=click.Path(path_type=Path), help="JSON; with --parity a folder.")
def main(
    model: str,
    names: str | None,
    limit: int | None,
    data: Path | None,
    dtype: str,
    repeats: int,
    sizes: list[int],
    new_tokens: int,
    is_parity: bool,
    out: Path | None,
) -> None:
    """Time SharedPrefixLM beside lm-eval's HFLM on MODEL, or compare their numbers (--parity)."""
    if is_parity and out is None:
        raise click.UsageError("--parity needs a folder for its results: add -o FOLDER")
    _bound_busy_waiting()
    _keep_freed_memory()
    suite = "paper" if data else "embedded"
    limit = (limit or PARITY_ITEMS) if is_parity else limit
    tasks = load_tasks([suite], data=data, limit=limit if is_parity else None)
    wanted = names.split(",") if names else [task.name for task in tasks]
    if unknown := set(wanted) - {task.name for task in tasks}:
        raise click.UsageError(f"the suite {suite} has no task {', '.join(sorted(unknown))}")
    tasks = tuple(task for task in tasks if task.name in wanted)
    dtype = "float32" if is_parity else dtype
    network, tokenizer = load_backend_model(model, dtype)
    settings = provenance(model=model, suite=suite, dtype=dtype, limit=limit)
    click.echo(", ".join(f"{name} {value}" for name, value in settings.items()))
    if is_parity and out is not None:
        run_parity(tasks, network, tokenizer, out, settings)
        return
    settings["load_average_before"] = os.getloadavg()[0]
    how = {"sizes": sizes, "repeats": repeats, "new_tokens": new_tokens}
    run_timing(tasks, limit, out, settings, model=network, tokenizer=tokenizer, **how)


if __name__ == "__main__":
    main()
