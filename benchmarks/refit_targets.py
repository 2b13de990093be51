"""What cuts cost in perplexity: all of WikiText-2's test text and LAMBADA, every width and method.

Token perplexity over that of the dense model, text by text, and the geometric mean of the two, with
95 % bootstrap intervals over the same passages for every network. Passages are blocks of 512 tokens
of WikiText-2 (pages joined as published, no overlap) and whole texts of LAMBADA; the first token of
each is not predicted. Goals, without training: at most 1.08, 1.20 and 1.55 with 10, 20 and 40 % of
the neurons removed from every layer; 1.16 and 1.45 at 20 and 40 % with widths by layers. A goal is
met where the upper end of the interval is.

    python benchmarks/refit_targets.py --data FOLDER -o RESULTS  # FOLDER as evaluate --data
    python benchmarks/refit_targets.py --data FOLDER -o RESULTS --also healed-20%=checkpoint
    python benchmarks/refit_targets.py --data FOLDER -o RESULTS --blocks 48 --passages 400  # sample

Passages of each network are kept in RESULTS: run again, it measures what is not there yet. Other
settings need another RESULTS.
"""

from __future__ import annotations

import argparse
import gzip
import json
import math
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

REMOVED = ("10%", "20%", "40%")
UNIFORM = {"10%": 1.08, "20%": 1.20, "40%": 1.55}
BY_LAYERS = {"20%": 1.16, "40%": 1.45}
CONTROLS = ("random", "ppm", "ppm_activation", "activation")
BLOCK, ROWS = 512, 24


def passages(data: Path, tokenizer: Any, blocks: int | None, count: int | None) -> dict[str, Any]:
    """Token rows of both texts; a sample of them by a fixed seed where one is asked for."""

    def rows(file: str, column: str) -> list[str]:
        with gzip.open(data / file, "rt", encoding="utf8") as lines:
            return [json.loads(line)[column] for line in lines]

    def ids(text: str) -> list[int]:
        return tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"]

    whole = ids("\n\n".join(rows("wikitext/test.jsonl.gz", "page")))
    wiki = [whole[i : i + BLOCK] for i in range(0, len(whole) - 1, BLOCK)]
    lambada = [ids(text) for text in rows("lambada_openai/test.jsonl.gz", "text")]
    draw = random.Random(0)
    wiki = draw.sample(wiki, blocks) if blocks else wiki
    lambada = draw.sample(lambada, count) if count else lambada
    return {"wikitext": wiki, "lambada": lambada}


def losses(model: Any, rows: list[list[int]]) -> list[tuple[float, int]]:
    """Nats of every passage, and its predicted tokens, in the order of `rows`."""
    import torch
    from torch.nn.functional import cross_entropy

    order = sorted(range(len(rows)), key=lambda i: len(rows[i]))
    found: dict[int, tuple[float, int]] = {}
    head = model.get_output_embeddings()
    for start in range(0, len(order), ROWS):
        group = order[start : start + ROWS]
        longest = max(len(rows[i]) for i in group)
        ids = torch.zeros(len(group), longest, dtype=torch.long)
        mask = torch.zeros_like(ids)
        for row, i in enumerate(group):
            ids[row, : len(rows[i])] = torch.tensor(rows[i])
            mask[row, : len(rows[i])] = 1
        with torch.no_grad():
            states = model.base_model(input_ids=ids, attention_mask=mask, use_cache=False)[0]
            for row, i in enumerate(group):
                size = len(rows[i])
                logits = head(states[row, : size - 1]).float()
                nats = cross_entropy(logits, ids[row, 1:size], reduction="sum")
                found[i] = float(nats), size - 1
    return [found[i] for i in range(len(rows))]


def networks(dense: Any, path: Path, text: str | None, tokens: int) -> Iterator[tuple[str, Any]]:
    """Names, and how to make each network from the dense model or from its checkpoint at `path`."""
    import widthwise
    from widthwise.prune import open_model
    from widthwise.prune.calibration import TextRequest, activation_norms

    def cut(criterion: str, removed: str) -> Callable[[], Any]:
        def made() -> Any:
            told: dict[str, Any] = {}
            if criterion in ("ppm_activation", "activation"):
                with open_model(dense) as opened:
                    read = TextRequest(text=text, tokens=tokens).read(opened)
                batches = [{"input_ids": b.input_ids} for b in (*read.fit, *read.held_out)]
                told["activation_norms"] = activation_norms(dense, batches)
            plan = widthwise.make_plan(dense, remove=removed, criterion=criterion, **told)
            return widthwise.apply(dense, plan)

        return made

    def refitted(removed: str, by_layers: bool, scales: bool) -> Callable[[], Any]:
        def made() -> Any:
            common = {"remove": removed, "text": text, "tokens": tokens}
            widths = widthwise.per_layer(str(path), **common).widths if by_layers else None
            done = widthwise.refit(str(path), widths=widths, scales=scales, **common)
            return widthwise.apply(dense, done.plan, done)

        return made

    yield "dense", lambda: dense
    for scales in (True, False):
        name = "activation+refit" + ("+scales" if scales else "")
        for removed in REMOVED:
            yield f"{name} {removed}", refitted(removed, by_layers=False, scales=scales)
        for removed in BY_LAYERS:
            yield f"{name} by layers {removed}", refitted(removed, by_layers=True, scales=scales)
    for criterion in CONTROLS:
        for removed in REMOVED:
            yield f"{criterion} {removed}", cut(criterion, removed)


def ratios(
    found: dict[str, list[list[float]]], dense: dict[str, list[list[float]]]
) -> dict[str, tuple[float, float, float]]:
    """Perplexity over dense, text by text and in the geometric mean: value and interval."""
    import numpy as np

    draws: dict[str, Any] = {}
    values: dict[str, float] = {}
    rng = np.random.default_rng(0)
    for text, rows in found.items():
        mine, theirs = np.array(rows), np.array(dense[text])
        excess, counts = mine[:, 0] - theirs[:, 0], mine[:, 1]
        picked = rng.integers(0, len(excess), (2000, len(excess)))
        draws[text] = excess[picked].sum(axis=1) / counts[picked].sum(axis=1)
        values[text] = float(excess.sum() / counts.sum())
    draws["both"] = np.mean(list(draws.values()), axis=0)
    values["both"] = sum(values.values()) / len(values)
    result = {}
    for text, drawn in draws.items():
        low, high = np.quantile(drawn, [0.025, 0.975])
        result[text] = (math.exp(values[text]), math.exp(low), math.exp(high))
    return result


def goal(name: str) -> float | None:
    method, _, removed = name.rpartition(" ")
    goals = {
        f"activation+refit{scales}{order}": shares
        for scales in ("+scales", "")
        for order, shares in (("", UNIFORM), (" by layers", BY_LAYERS))
    }
    return goals.get(method, {}).get(removed)


def hold_settings(given: argparse.Namespace) -> None:
    """Keep what all networks of RESULTS have in common; end where it is something else."""
    names = ("model", "calibration", "tokens", "blocks", "passages")
    settings = {name: str(getattr(given, name)) for name in names}
    settings["data"] = str(given.data.resolve())
    given.out.mkdir(parents=True, exist_ok=True)
    file = given.out / "settings.json"
    if not any(given.out.glob("*.json")):
        file.write_text(json.dumps(settings))
    known = json.loads(file.read_text()) if file.exists() else "not kept"
    if known != settings:
        raise SystemExit(f"{given.out} holds results of other settings: {known}; name another one")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("-o", "--out", type=Path, required=True)
    parser.add_argument("--model", default="smollm2")
    parser.add_argument("--calibration", help="text as for prune; by default the embedded one")
    parser.add_argument("--tokens", type=int, default=65_536)
    parser.add_argument("--blocks", type=int, help="of WikiText-2; by default all")
    parser.add_argument("--passages", type=int, help="of LAMBADA; by default all")
    parser.add_argument("--only", default="", help="networks whose name begins so, and dense")
    parser.add_argument("--also", action="append", default=[], metavar="NAME=CHECKPOINT")
    given = parser.parse_args()

    hold_settings(given)

    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from widthwise.cut.checkpoint import resolve_model

    path = resolve_model(given.model).path
    texts = passages(given.data, AutoTokenizer.from_pretrained(path), given.blocks, given.passages)
    load = AutoModelForCausalLM.from_pretrained
    dense = load(path, dtype=torch.bfloat16).eval()
    todo = [
        (name, make)
        for name, make in networks(dense, path, given.calibration, given.tokens)
        if name == "dense" or name.startswith(given.only)
    ]
    for name, _, folder in (each.partition("=") for each in given.also):
        todo.append((name, lambda at=folder: load(at, dtype=torch.bfloat16).eval()))
    baseline = None
    for name, make in todo:
        file = given.out / f"{name}.json"
        if not file.exists():
            model = make()
            measured = {text: losses(model, rows) for text, rows in texts.items()}
            file.write_text(json.dumps(measured))
        found = json.loads(file.read_text())
        if baseline is None:
            baseline = found
            for text, rows in found.items():
                perplexity = math.exp(sum(r[0] for r in rows) / sum(r[1] for r in rows))
                print(f"dense, {text}: {len(rows)} passages, perplexity {perplexity:.2f}")
            continue
        parts = [
            f"{text} {value:7.3f} [{low:.3f}, {high:.3f}]"
            for text, (value, low, high) in ratios(found, baseline).items()
        ]
        aim = goal(name)
        high = ratios(found, baseline)["both"][2]
        said = "" if aim is None else f"   goal {aim}: {'met' if high <= aim else 'not shown met'}"
        print(f"{name:36s} {'   '.join(parts)}{said}", flush=True)


if __name__ == "__main__":
    main()
