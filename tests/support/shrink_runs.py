"""A tiny model, a text and a task, with which a shrink takes seconds."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from cost_runs import CEILINGS
from families import tiny
from harness_data import PIQA, write_rows
from healing_runs import BATCH, BLOCK, QUICK, VOCABULARY, save_tokenizer

from widthwise.shrink import GOALS, ShrinkSettings

LONGER = {"tokens": 40 * BATCH, "learning_rate": 1e-3}  # or no step is better than the scales
LINES = 120  # of text, each of 45 tokens


@contextmanager
def quick_runs() -> Iterator[None]:
    """While open, texts are read in blocks of 32 tokens, and healing ends by tokens, not minutes,
    so that nothing depends on how fast the machine is, whose limits are not measured either."""
    from widthwise import measure
    from widthwise.measure import blocks as timed
    from widthwise.prune.calibration import text as texts
    from widthwise.prune.healing import HealSettings
    from widthwise.prune.healing import text_blocks as blocks
    from widthwise.shrink import steps

    with pytest.MonkeyPatch.context() as patch:
        for module in (texts, blocks):
            patch.setattr(module, "BLOCK_TOKENS", BLOCK)
        patch.setattr(measure, "measure_peak_rates", lambda device, dtype: CEILINGS)
        patch.setattr(timed, "LEAST_ROUND_SEC", 1e-4)
        patch.setattr(steps, "HealSettings", lambda **_: HealSettings(**QUICK | LONGER))
        yield


def made(folder: Path, text: Path, **changes: Any) -> ShrinkSettings:
    """Settings for a tiny Llama in `folder / dense`, which is made, and a task of eight items."""
    dense = folder / "dense"
    if not dense.exists():
        shape = {"vocab_size": VOCABULARY, "max_position_embeddings": 1024}
        tiny("llama", **shape, initializer_range=0.3).save_pretrained(dense)
        save_tokenizer(dense)
        rows = [{**PIQA, "goal": f"cut {number}"} for number in range(8)]
        write_rows(folder / "data" / "piqa" / "validation.jsonl", rows)
        lines = text.read_text().splitlines()[:LINES]
        (folder / "words.txt").write_text("\n".join(lines))
    asked = {} if {*GOALS} & changes.keys() else {"remove": "40%"}
    usual: dict[str, Any] = {
        "minutes": 60.0, "tasks": ("piqa",), "data": str(folder / "data"),
        "text": str(folder / "words.txt"), "device": "cpu",
    }  # fmt: skip
    return ShrinkSettings(**{"model": str(dense), **usual, **asked, **changes})
