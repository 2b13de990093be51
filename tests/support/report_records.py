"""Made-up records of a study with the shape of `widthwise demo`, for the tests of the report."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from widthwise.study import Record

HIDDEN, DENSE = 576, 1536
ASKED = {"2.4x": 1376, "2.133x": 1216, "1.867x": 1072, "1.6x": 912, "1.333x": 752, "1.067x": 608}
# task: (dense accuracy, floor, its name, share of the way to the floor at each width cut by ppm)
TASKS = {
    "mmlu": (0.262, 0.290, "always option 2", (1.0,) * 6),
    "arc_easy": (0.550, 0.260, "always option 3", (0.15, 0.45, 0.65, 0.8, 0.95, 1.0)),
    "hellaswag": (0.420, 0.250, "chance", (0.2, 0.5, 0.75, 0.9, 1.0, 1.0)),
    "piqa": (0.660, 0.500, "chance", (0.1, 0.35, 0.6, 0.8, 0.9, 1.0)),
    "boolq": (0.600, 0.622, "always 'yes'", (1.0,) * 6),
}
PROSE = {"ppm": (1.05, 1.26, 1.52, 1.83, 2.3, 2.9), "random": (1.9, 2.9, 3.6, 4.1, 4.6, 5.1)}
SETTINGS = {"seed": 0, "dtype": "bfloat16", "device": "cpu", "threads": 2}
COST_UNITS = {
    **{"ttft": "sec", "tpot": "sec", "throughput": "tokens_per_sec"},
    **{"joules": "joules_per_token", "net_joules": "joules_per_token"},
    **{"allocated": "bytes", "resident": "bytes"},
}
COST_TOLD = {
    **{"workload": "8x4", "prompts": 1, "prompt_tokens": [8, 8], "new_tokens": 4, "batch": 1},
    **{"weight_bytes": 2e8, "attention": "sdpa", "threads": 1, "decoding": "called"},
    **{"decoding_reason": None, "intensity": None, "dtype": "bfloat16", "device": "cpu"},
    **{"ceilings": {"name": "a chip", "flops_per_sec": 2e11, "bytes_per_sec": 1e10}},
    "time": "2026-01-01T00:00:00",
}


def make_records(items: int = 100, seed: int = 0) -> list[Record]:
    """Items share a difficulty, so widths are correlated as real ones are."""
    rng = np.random.default_rng(seed)
    records = []
    networks = [(None, "dense", DENSE)]
    networks += [(c, asked, w) for c in ("ppm", "random") for asked, w in ASKED.items()]
    for name, (dense, floor, kind, shares) in TASKS.items():
        difficulty = rng.uniform(size=items)
        for criterion, asked, width in networks:
            share = 0.0 if criterion is None else shares[list(ASKED).index(asked)]
            share = min(1.0, share * (2.0 if criterion == "random" else 1.0))
            chance = dense + share * (floor - dense)
            moved = rng.uniform(size=items) < 0.5 * share
            right = np.where(moved, rng.uniform(size=items), difficulty) < chance
            at = (criterion, asked, width)
            records.append(score(at, name, right.astype(float), floor=floor, floor_kind=kind))
    texts = rng.normal(0, 0.2, 40)
    for criterion, asked, width in networks:
        mean = 0.85 if criterion is None else PROSE[criterion][list(ASKED).index(asked)]
        shares_of_texts = mean * (1 + texts + rng.normal(0, 0.03, 40))
        records.append(
            score(
                (criterion, asked, width),
                "prose",
                shares_of_texts,
                unit="bits_per_byte",
                floor=4.312,
                floor_kind="frequencies of single bytes in these texts",
                higher_is_better=False,
            )
        )
    for at in networks:
        records += costs(at, rng)
    return records


def score(
    at: tuple[str | None, str, int],
    quantity: str,
    items: Any,
    *,
    unit: str = "accuracy",
    floor: float | None = 0.25,
    floor_kind: str | None = "chance",
    higher_is_better: bool | None = True,
) -> Record:
    values = np.asarray(items, dtype=float)
    spread = float(values.std(ddof=1)) / len(values) ** 0.5 if len(values) > 1 else None
    return record(
        at,
        quantity,
        unit,
        float(values.mean()),
        standard_error=spread,
        n=len(values),
        floor=floor,
        floor_kind=floor_kind,
        higher_is_better=higher_is_better,
        items=tuple(float(v) for v in values),
        duration_sec=4.2,
        settings={**SETTINGS, "shots": 5 if quantity == "mmlu" else 0},
    )


def sweep_records(items: int = 200) -> list[Record]:
    """What `widthwise evaluate` stores of 13 tasks: perplexities, written texts, no floor, gaps."""
    rng = np.random.default_rng(1)
    at = [(None, "dense", DENSE)]
    at += [(c, asked, w) for c in ("ppm", "random") for asked, w in ASKED.items()]
    records = [found for place in at for found in costs(place, rng) if found.quantity != "decode"]
    names = ("mmlu", "arc", "hellaswag", "piqa", "boolq", "winogrande", "mc1", "mc2", "musr")
    for number, name in enumerate((*names, "gsm8k", "ifeval")):
        difficulty = rng.uniform(size=items)
        for index, place in enumerate(at):
            right = (difficulty < 0.7 * 0.93**index).astype(float)
            made = score(place, name, right, floor=0.25, floor_kind=f"always option {number % 4}")
            written = {"capped": 0.125, "loops": 0.5} if name in ("gsm8k", "ifeval") else {}
            settings = described(f"{name}-metric,none", chance_corrected=None, **written)
            if not written:
                settings["chance_corrected"] = (made.value - 0.25) / 0.75
            records.append(replace(made, settings={**made.settings, **settings}))
    for name, floor in (("wikitext", 412.0), ("lambada_openai", None)):
        for index, place in enumerate(at):
            values = 20.0 * 4.0**index * (1 + rng.normal(0, 0.3, items))
            made = score(place, name, values, unit="word_perplexity", higher_is_better=False)
            no_floor = None if floor else "no trivial answerer is known"
            settings = described("word_perplexity,none", no_floor=no_floor, chance_corrected=None)
            settings |= {"floors": {"word frequencies of these texts": floor} if floor else {}}
            kind = "word frequencies of these texts" if floor else None
            made = replace(made, floor=floor, floor_kind=kind)
            records.append(replace(made, settings={**made.settings, **settings}))
    gone = {"value": None, "standard_error": None, "items": (), "reason": "no memory", "n": 0}
    bare = {"floor": None, "floor_kind": None, "higher_is_better": None, "settings": SETTINGS}
    lost = (("mmlu", None), ("piqa", "random"))
    return [
        replace(r, **gone, **bare)
        if (r.quantity, r.criterion) in lost and r.asked in ("dense", "1.6x")
        else r
        for r in records
    ]


def described(metric: str, **changes: Any) -> dict[str, Any]:
    """The settings in which a record says what its score is."""
    return {
        "metric": metric,
        "shots": 0,
        "source": "200 of 1,319 items, seed 0",
        "floors": {"chance": 0.25, "always 'A'": 0.2},
        "no_floor": None,
        "chance_corrected": 0.1,
        "metrics": {metric: 0.4},
        "capped": None,
        "loops": None,
        **changes,
    }


def costs(at: tuple[str | None, str, int], rng: np.random.Generator) -> list[Record]:
    criterion, _, width = at
    parameters = 28_311_552 + 30 * (4 * 221_184 + 3 * HIDDEN * width)
    found = [
        record(at, "parameters", "count", float(parameters), n=1),
        record(at, "bytes", "bytes", float(2 * parameters + 30_000), n=1),
    ]
    for quantity, dense in (("prefill", 402.0), ("decode", 17.2)):
        if criterion == "random":
            continue
        repeats = dense * (DENSE / width) ** 0.6 * (1 + rng.normal(0, 0.03, 7))
        found.append(
            record(
                at,
                quantity,
                "tokens_per_sec",
                float(repeats.mean()),
                standard_error=float(repeats.std(ddof=1)) / 7**0.5,
                n=7,
                higher_is_better=True,
                items=tuple(float(v) for v in repeats),
                duration_sec=1.3,
                settings=SETTINGS,
            )
        )
    return found


def record(
    at: tuple[str | None, str, int],
    quantity: str,
    unit: str,
    value: float | None,
    *,
    model: str = "SmolLM2-135M-Instruct",
    **rest: Any,
) -> Record:
    criterion, asked, width = at
    return Record(
        cell=f"{criterion}-{asked}-{quantity}",
        model=model,
        criterion=criterion,
        asked=asked,
        width=width,
        expansion_ratio=width / HIDDEN,
        quantity=quantity,
        unit=unit,
        value=value,
        **{"n": 0, **rest},
    )
