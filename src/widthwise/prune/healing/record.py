"""What a healed checkpoint says of its healing: a record, and a model card."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ...cut import fingerprint
from ...cut.checkpoint import HEALING_FILE, Checkpoint, license_lines, loading_code
from ...errors import CheckpointError
from ...stats import Difference
from .heldout import gain_verdict, nats_text

FORMAT = 1

_CARD = """\
---
{license}library_name: transformers
tags:
- widthwise
- width-pruning
- distillation
---
# {child}, healed

The GLU-MLP blocks of this model have {width} neurons a layer, those of its parent `{parent}`
{parent_width}. After the cut it was trained with widthwise to give its parent's logits (forward
KL), on {tokens:,} tokens of {source} ({epochs:.2f} times through its text), in {minutes:.1f}
minutes. These are the weights after {written_tokens:,} tokens, the best on held-out text. It is
the parent's only as far as that text goes: measure it before you use it.

| on {blocks} blocks of {block_tokens} tokens held out | before | after |
|---|---|---|
| KL from the parent, nats a token | {before_nats} | {after_nats} |
| perplexity / that of the parent | {before_ratio} | {after_ratio} |

Brackets are 95 % intervals over blocks. {verdict}

{notes}- trained: {trained}; highest learning rate {rate:.2g}, temperature {temperature:g}
- command: `{command}`
- pruned from: `{child}`, fingerprint `{child_print}`
- parent: `{parent}`, fingerprint `{parent_print}`
- everything else, with intervals and the loss curve: `widthwise_healing.json`
- licence of the parent: {license_words}

{code}"""


def _nats(held_out: Mapping[str, Any]) -> str:
    ends = held_out["divergence_interval"] or ()
    value, *rest = nats_text(held_out["divergence_nats"], *ends)
    return f"{value} [{', '.join(rest)}]" if rest else value


def _ratio(held_out: Mapping[str, Any]) -> str:
    ratio, ends = held_out["perplexity_ratio"], held_out["perplexity_ratio_interval"]
    if ratio is None:
        return "beyond all floats"
    return f"{ratio:.3f} [{ends[0]:.3f}, {ends[1]:.3f}]" if ends else f"{ratio:.3f}"


def _verdict(record: Mapping[str, Any]) -> str:
    """Whether the healing is shown to have helped, as a sentence."""
    low, high = record["gain_interval"] or (-math.inf, math.inf)
    p_value, blocks = record["gain_p_value"], record["after"]["blocks"]
    gain = Difference(
        value=record["gain_nats"],
        low=low,
        high=high,
        n=blocks,
        p_value=1.0 if p_value is None else p_value,
    )
    if gain_verdict(gain) == "closer":
        return "It is closer to its parent than before."
    return "That it is closer to its parent than before is not shown."


def _widths(child: Checkpoint) -> str:
    widths = child.widths
    if len(set(widths)) == 1:
        return str(widths[0])
    return f"(padded with zeros to {max(widths)}) {', '.join(map(str, widths))}"


def healed_card(
    folder: Path, child: Checkpoint, record: Mapping[str, Any], command: str | None
) -> str:
    """Markdown with a YAML head.

    Args:
        folder: Of the healed checkpoint, which is there but for the card.
        child: The pruned checkpoint.
        record: What is written to `widthwise_healing.json`.
        command: The command line, or None for a call from Python.
    """
    lines, settings = license_lines(child), record["settings"]
    return _CARD.format(
        license="".join(f"{line}\n" for line in lines),
        license_words=lines[0].partition(":")[2].strip() if lines else "not stated",
        child=record["child"]["name"],
        child_print=record["child"]["fingerprint"],
        width=_widths(child),
        parent=record["parent"]["name"],
        parent_print=record["parent"]["fingerprint"],
        parent_width=record["parent"]["intermediate_size"],
        tokens=record["tokens"],
        written_tokens=record["written_tokens"],
        source=record["text"]["source"],
        epochs=record["epochs"],
        minutes=record["seconds"] / 60,
        blocks=record["after"]["blocks"],
        block_tokens=record["text"]["held_out_block_tokens"],
        before_nats=_nats(record["before"]),
        after_nats=_nats(record["after"]),
        verdict=_verdict(record),
        notes="".join(f"- note: {line}\n" for line in record["told"]),
        before_ratio=_ratio(record["before"]),
        after_ratio=_ratio(record["after"]),
        trained=_trained(settings),
        rate=record["learning_rate"],
        temperature=settings["temperature"],
        code=loading_code(folder),
        command=command or "widthwise.heal(...) in Python",
    )


def _trained(settings: Mapping[str, Any]) -> str:
    if settings["lora"] is not None:
        return f"updates of rank {settings['lora']}, merged"
    if settings["mup_factors"]:
        return "all weights, down_proj at the learning rate times dense width over width (muP)"
    return "all weights"


def inspect_healing(checkpoint: Checkpoint) -> dict[str, Any] | None:
    """What a checkpoint says of its healing, and whether its GLU weights are the healed ones.

    Returns:
        The record without its loss curve, with `verified` and, where that is false, `reason`;
        None for a checkpoint that says nothing of a healing.

    Raises:
        CheckpointError: The record cannot be read.
    """
    path = checkpoint.path / HEALING_FILE
    if not path.exists():
        return None
    try:
        record = dict(json.loads(path.read_text(encoding="utf8")))
        if record["format"] != FORMAT:
            raise ValueError(f"its format must be {FORMAT}; got {record['format']!r}")
        said = record["fingerprint"]
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise CheckpointError(
            f"{path}: cannot be read as the record of a healing: {error!r}"
        ) from error
    record.pop("curve", None)
    if fingerprint(checkpoint) == said:
        return {**record, "verified": True}
    reason = "the GLU weights were changed after the healing, or never had it"
    return {**record, "verified": False, "reason": reason}


def refit_facts(folder: Path) -> dict[str, Any] | None:
    """What a pruned checkpoint says of the refit that its healing began from, without digests."""
    from ...cut.checkpoint import REFIT_FILE

    path = folder / REFIT_FILE
    if not path.exists():
        return None
    try:
        record = json.loads(path.read_text(encoding="utf8"))
        return {key: record.get(key) for key in ("criterion", "sequential", "calibration", "plan")}
    except (OSError, ValueError, AttributeError) as error:
        raise CheckpointError(
            f"{path}: cannot be read as the record of a refit: {error}"
        ) from error
