"""What a healed checkpoint says of its healing: a record, and a model card."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ...cut import CalibrationSource, fingerprint
from ...cut.checkpoint import (
    HEALING_FILE,
    Checkpoint,
    license_lines,
    license_words,
    loading_code,
    read_json,
    read_refit_record,
)
from ...errors import CheckpointError, WidthwiseError
from ...io import from_plain
from ...stats import Difference
from .heldout import HeldOutSummary, gain_verdict
from .settings import HealSettings

FORMAT = 1
_LATER: Any = {"added_later": True}  # records of older versions lack it


@dataclass(frozen=True, kw_only=True)
class TrainingStep:
    """One step of a healing.

    Attributes:
        tokens: Trained on up to its end.
        seconds: On the clock up to its end.
        loss: All terms together, as they were before it.
        divergence: T^2 KL of parent and child, in nats a token.
        unlikeness: The hidden-state term before its weight; None where it is not computed.
        learning_rate: Of this step, of weights whose factor is 1.
        gradient_norm: Before it was clipped.
        held_out: KL from the parent on the blocks held out, in nats a token, with the weights
            after the step; None where it was not measured, or not finite.
    """

    tokens: int
    seconds: float
    loss: float
    divergence: float
    unlikeness: float | None
    learning_rate: float
    gradient_norm: float
    held_out: float | None = field(default=None, metadata=_LATER)


@dataclass(frozen=True, kw_only=True)
class LrTrial:
    """One learning rate that was tried.

    Attributes:
        rate: The highest of its few steps.
        divergence: KL from the parent on the blocks held out after them, in nats a token; None
            where it is not finite.
    """

    rate: float
    divergence: float | None


@dataclass(frozen=True, kw_only=True)
class HealedModel:
    """A checkpoint that took part: its name, the fingerprint of its GLU weights, and its width."""

    name: str
    fingerprint: str
    intermediate_size: int


@dataclass(frozen=True, kw_only=True)
class HealingText:
    """The text that was trained on, and how much of it was held out."""

    source: str
    fingerprint: str
    tokens: int
    held_out_blocks: int
    held_out_block_tokens: int | None = field(default=None, metadata=_LATER)
    block_tokens: int


@dataclass(frozen=True, kw_only=True)
class EarlierRefit:
    """The refit that a healing began from, without its weights: as in `RefitRecord`."""

    criterion: str
    sequential: bool
    calibration: tuple[CalibrationSource, ...]
    plan: str


@dataclass(frozen=True, kw_only=True)
class HealingRecord:
    """`widthwise_healing.json`.

    Attributes:
        format: Version of this layout.
        child, parent: The pruned checkpoint and the dense one.
        child_refit: The refit of the pruned checkpoint, if it had one.
        text: The text.
        settings, learning_rate, tokens, epochs, seconds, stopped, went_back, told, curve: As in
            `Healing`.
        learning_rate_test: Trials of learning rates.
        learning_rate_factors: What learning rates were multiplied by, by parameter.
        written_step, written_tokens: Steps and tokens after which the weights were as written.
        before, after: The child beside its parent on blocks held out.
        gain_nats, gain_interval, gain_p_value: Nats a token by which the divergence fell.
        fingerprint: Fingerprint of the GLU weights of the result.

    Raises:
        ValueError: Another format.
    """

    format: int = FORMAT
    child: HealedModel
    parent: HealedModel
    child_refit: EarlierRefit | None
    text: HealingText
    settings: HealSettings
    learning_rate: float
    learning_rate_test: tuple[LrTrial, ...] | None = field(default=None, metadata=_LATER)
    learning_rate_factors: Mapping[str, float] | None
    tokens: int
    epochs: float
    seconds: float
    written_step: int | None = field(default=None, metadata=_LATER)
    written_tokens: int | None = field(default=None, metadata=_LATER)
    stopped: str | None = field(default=None, metadata=_LATER)
    went_back: int | None = field(default=None, metadata=_LATER)
    before: HeldOutSummary
    after: HeldOutSummary
    gain_nats: float
    gain_interval: tuple[float, float] | None
    gain_p_value: float | None
    told: tuple[str, ...]
    curve: tuple[TrainingStep, ...]
    fingerprint: str

    def __post_init__(self) -> None:
        if self.format != FORMAT:
            raise ValueError(f"its format must be {FORMAT}; got {self.format!r}")


_CARD = """\
---
{license}library_name: transformers
tags:
- widthwise
- width-pruning
- distillation
---
# {r.child.name}, healed

The GLU-MLP blocks of this model have {width} neurons a layer, those of its parent `{parent}`
{parent_width}. After the cut it was trained with widthwise to give its parent's logits (forward
KL), on {r.tokens:,} tokens of {source} ({epochs:.2f} times through its text), in {minutes:.1f}
minutes. These are the weights after {r.written_tokens:,} tokens, the best on held-out text. It is
the parent's only as far as that text goes: measure it before you use it.

| on {r.after.blocks} blocks of {r.text.held_out_block_tokens} tokens held out | before | after |
|---|---|---|
| KL from the parent, nats a token | {r.before.nats} | {r.after.nats} |
| perplexity / that of the parent | {r.before.ratio} | {r.after.ratio} |

Brackets are 95 % intervals over blocks. {verdict}

{notes}- trained: {trained}; highest learning rate {rate:.2g}, temperature {temperature:g}
- command: `{command}`
- pruned from: `{r.child.name}`, fingerprint `{r.child.fingerprint}`
- parent: `{parent}`, fingerprint `{r.parent.fingerprint}`
- everything else, with intervals and the loss curve: `widthwise_healing.json`
- licence of the parent: {license_words}

{code}"""


def _widths(child: Checkpoint) -> str:
    widths = child.widths
    if len(set(widths)) == 1:
        return str(widths[0])
    if widths == child.architecture.neurons():
        return ", ".join(map(str, widths))
    return f"(padded with zeros to {max(widths)}) {', '.join(map(str, widths))}"


def healed_card(
    folder: Path, child: Checkpoint, record: HealingRecord, gain: Difference, command: str | None
) -> str:
    """Markdown with a YAML head."""
    lines, is_closer = license_lines(child), gain_verdict(gain) == "closer"
    return _CARD.format(
        license="".join(f"{line}\n" for line in lines),
        license_words=license_words(lines),
        r=record,
        parent=record.parent.name,
        parent_width=record.parent.intermediate_size,
        source=record.text.source,
        epochs=record.epochs,
        rate=record.learning_rate,
        temperature=record.settings.temperature,
        width=_widths(child),
        minutes=record.seconds / 60,
        verdict="It is closer to its parent than before."
        if is_closer
        else "That it is closer to its parent than before is not shown.",
        notes="".join(f"- note: {line}\n" for line in (*record.told, *_of_drafts(child))),
        trained=_trained(record.settings),
        code=loading_code(folder),
        command=command or "widthwise.heal(...) in Python",
    )


def _of_drafts(child: Checkpoint) -> list[str]:
    """What became of draft layers, where the child has some."""
    if child.architecture.drafts is None:
        return []
    return ["draft layers are those of the child, bit for bit: transformers does not run them"]


def _trained(settings: HealSettings) -> str:
    if settings.lora is not None:
        return f"updates of rank {settings.lora}, merged"
    if settings.mup_factors:
        return "all weights, down_proj at the learning rate times dense width over width (muP)"
    return "all weights"


def read_healing_record(folder: Path) -> HealingRecord | None:
    """What a checkpoint folder says of its healing; None where it says nothing.

    Raises:
        CheckpointError: The record cannot be read.
    """
    path = folder / HEALING_FILE
    if not path.exists():
        return None
    try:
        record: HealingRecord = from_plain(HealingRecord, read_json(path), "the record")
    except (ValueError, TypeError, WidthwiseError) as error:
        raise CheckpointError(
            f"{path}: cannot be read as the record of a healing: {error}"
        ) from error
    return record


def inspect_healing(checkpoint: Checkpoint) -> dict[str, Any] | None:
    """What a checkpoint says of its healing, and whether its GLU weights are the healed ones.

    Returns:
        The record without its loss curve, with `verified` and, where that is false, `reason`;
        None for a checkpoint that says nothing of a healing.

    Raises:
        CheckpointError: The record cannot be read.
    """
    record = read_healing_record(checkpoint.path)
    if record is None:
        return None
    stored = read_json(checkpoint.path / HEALING_FILE)
    shown = {name: value for name, value in stored.items() if name != "curve"}
    if fingerprint(checkpoint) == record.fingerprint:
        return {**shown, "verified": True}
    reason = "the GLU weights were changed after the healing, or never had it"
    return {**shown, "verified": False, "reason": reason}


def earlier_refit(folder: Path) -> EarlierRefit | None:
    """The refit that a pruned checkpoint says it had.

    Raises:
        CheckpointError: Its record cannot be read.
    """
    record = read_refit_record(folder)
    if record is None:
        return None
    return EarlierRefit(
        criterion=record.criterion,
        sequential=record.sequential,
        calibration=record.calibration,
        plan=record.plan,
    )
