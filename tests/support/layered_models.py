"""Plans with a width of its own for each layer, and tokens to calibrate tiny models on."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from click.testing import CliRunner, Result
from families import VOCAB, WIDTH

from widthwise import Plan, make_plan
from widthwise.cli import main

WIDTHS = (17, 41, 29)


def batches(
    count: int = 4, rows: int = 4, *, low: int = 3, high: int = VOCAB, seed: int = 3
) -> list[dict[str, Any]]:
    generator = torch.Generator().manual_seed(seed)
    return [
        {"input_ids": torch.randint(low, high, (rows, 40), generator=generator)}
        for _ in range(count)
    ]


def uneven_batches(count: int = 4, seed: int = 3) -> list[dict[str, Any]]:
    """Batches of 20 tokens a row, and of one more in each further batch."""
    generator = torch.Generator().manual_seed(seed)
    return [
        {"input_ids": torch.randint(3, VOCAB, (3, 20 + i), generator=generator)}
        for i in range(count)
    ]


def ragged(model: Any, widths: tuple[int, ...] = WIDTHS) -> Plan:
    plan = make_plan(model, width=30, align=1, criterion="ppm")
    generator = torch.Generator().manual_seed(5)
    orders = (torch.randperm(WIDTH, generator=generator)[:width] for width in widths)
    return replace(plan, keep=tuple(tuple(sorted(order.tolist())) for order in orders))


def run(*words: Any) -> Result:
    return CliRunner().invoke(main, [str(word) for word in words])
