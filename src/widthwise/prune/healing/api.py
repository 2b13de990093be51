"""`heal` and `distil`: a training from end to end, from checkpoints or of models in memory."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Unpack

from ...cut.checkpoint import Checkpoint, ModelSource, refuse_overlap, resolve_model
from ...errors import RunError
from ...io import check_overwrite, limited_memory
from ...stats import Difference, paired_difference
from .heldout import HeldOut, nats_text
from .learning_rate import rate_factors
from .record import HealedModel, HealingRecord, HealingText, LrTrial, TrainingStep, earlier_refit
from .settings import HealingRequest, HealOptions, HealSettings, require_peft
from .state import state_folder

if TYPE_CHECKING:
    from torch import Tensor

    from .model_pair import ModelPair
    from .run import HealingRun
    from .text_blocks import TextBlocks


@dataclass(frozen=True, kw_only=True)
class Healing:
    """What a healing did.

    Attributes:
        out: The healed checkpoint.
        settings: How it was made.
        source: The text.
        tokens: Tokens trained on.
        epochs: How often the text was gone through.
        seconds: On the clock, over all runs that it took.
        factors: What learning rates were multiplied by, by parameter; 1 of all others.
        curve: Its steps.
        before: The pruned child compared with its parent, on blocks held out.
        after: The healed child, as it is written, on the same blocks.
        block_tokens: Tokens of each of these blocks; fewer than in training where time is short.
        learning_rate: The highest, before the training ever went back.
        trials: Learning rates that were tried; empty where the rate was given.
        best_step: Steps after which the weights were those that are written.
        stopped: `"whole"` where tokens or minutes were used up, `"rising"` where the training ended
            before because nothing got better any more.
        went_back: How often it went back to its best state, at a lower rate.
        warnings: What a reader of the numbers should know; often nothing.
    """

    out: Path
    settings: HealSettings
    source: str
    tokens: int
    epochs: float
    seconds: float
    factors: Mapping[str, float]
    curve: tuple[TrainingStep, ...]
    before: HeldOut
    after: HeldOut
    block_tokens: int
    learning_rate: float
    trials: tuple[LrTrial, ...]
    best_step: int
    stopped: str
    went_back: int
    warnings: tuple[str, ...]

    @property
    def gain(self) -> Difference:
        """Nats a token by which KL from the parent fell on the blocks held out; paired."""
        return paired_difference(self.before.blocks.divergence, self.after.blocks.divergence)


class NotBetter(RunError):
    """A healing after which no state was better than the child itself."""


_NO_TIME = (
    "nothing was trained, and {out} was not written: reading, loading and measuring left no time "
    "for a step in {minutes:g} minutes; give more minutes"
)


def heal(
    child: str | Path | ModelSource,
    dense: str | Path | ModelSource,
    *,
    out: str | Path,
    settings: HealSettings | None = None,
    progress: Callable[[TrainingStep, float], None] | None = None,
    **how: Unpack[HealOptions],
) -> Healing:
    """Train a pruned checkpoint to give the logits of its dense parent, and write a plain one.

    What is written is the state that was nearest to the parent on blocks held out; where none was
    nearer than the child itself, nothing is written. The state is kept next to `out` every five
    minutes and at the first Ctrl-C; the same call goes on from there. With `minutes` what comes out
    depends on the machine's speed; without, on a processor with a fixed number of threads, not even
    on interruptions.

    Args:
        child: The pruned checkpoint: a folder, or whatever `make_plan` takes.
        dense: The parent, likewise.
        out: Folder to make, whole or absent.
        settings: How to train.
        progress: Function that is called with each step and the share of the way that is gone.
        **how: What `HealingRequest` names beside: `text`, `device`, `dtype`, `force`, `command`,
            `status`.

    Raises:
        CheckpointError: One cannot be read, or they do not belong together.
        OutputError: `out` exists, or cannot be written.
        PlanError: `mup_factors` are asked for, and child and parent have the same widths.
        NotBetter: No state was nearer to the parent than the child itself, or there was no time for
            a step. Nothing is written, and no state is left.
        RunError: The text is too short, the loss is not finite, or the state next to `out` is one
            of other settings.
        UnsupportedModelError: The model's family cannot be healed.

    Memory: 20 bytes a parameter of the child, and both models in `dtype`.
    """
    from .budget import NothingTrained  # these load torch
    from .model_pair import check_place, opened_pair
    from .run import HealingRun
    from .save import write_healed

    start, settings = time.monotonic(), settings or HealSettings()
    request = HealingRequest(out=Path(out).absolute(), settings=settings, start=start, **how)
    check_overwrite(request.out, force=request.force)
    if settings.lora is not None:
        require_peft()
    check_place(request.place, request.dtype)
    with opened_pair(resolve_model(child), resolve_model(dense)) as pair:
        _check_pair(pair, request)
        request.status("reading text")
        blocks = pair.read(request.text, settings.to_read(request.kind_of_device))
        wanted = _decisive(request, pair, blocks)
        with state_folder(request.out, wanted) as folder, limited_memory(request.kind_of_device):
            try:
                run = HealingRun(pair, blocks, folder, request)
                run.train(progress or (lambda _step, _share: None))
                request.status("measuring on held-out text")
                weights, result = _result(run)
            except NothingTrained:
                failed = NotBetter(_NO_TIME.format(out=request.out, minutes=settings.minutes))
            except NotBetter as error:
                failed = error
            else:
                record = _record(run, result)
                write_healed(pair.child, weights, record, result.gain, request)
                return result
    raise failed


def _result(run: HealingRun) -> tuple[dict[str, Tensor], Healing]:
    """The best weights, and what is said of them.

    Raises:
        NotBetter: As the checkpoint stores them, they are not nearer to the parent than before.
    """
    course = run.course
    weights, after = run.finished() if course.best_step else ({}, course.best)
    if not after.divergence.value < course.before.divergence.value:
        raise NotBetter(_not_better(run, after if course.best_step else None))
    trainer = course.trainer
    return weights, Healing(
        out=run.request.out,
        settings=run.request.settings,
        source=run.blocks.source,
        tokens=trainer.curve[-1].tokens,
        epochs=trainer.epochs,
        seconds=run.spent(),
        factors=run.factors,
        curve=tuple(trainer.curve),
        before=course.before,
        after=after,
        block_tokens=course.judge.rows.shape[1],
        learning_rate=course.learning_rate,
        trials=course.trials,
        best_step=course.best_step,
        stopped=course.ended or "whole",
        went_back=course.went_back,
        warnings=tuple(_warnings(run)),
    )


def _not_better(run: HealingRun, after: HeldOut | None) -> str:
    course, pair, curve = run.course, run.pair, run.course.trainer.curve
    values = [step.held_out for step in curve] if after is None else [after.divergence.value]
    finite = [value for value in values if value is not None and math.isfinite(value)]
    before, *best = nats_text(course.before.divergence.value, *sorted(finite)[:1])
    return (
        f"{run.request.out} was not written: on held-out text no state of the training was nearer "
        f"to {pair.parent.name} than {pair.child.name} itself (KL {before} nats a token before, "
        f"{f'{best[0]} at best' if best else 'not finite'} after; {curve[-1].tokens:,} tokens, "
        f"{course.trainer.epochs:.2f} times through the text, learning rate "
        f"{course.learning_rate:.2g}); give more text, more time or a lower learning rate"
    )


def _warnings(run: HealingRun) -> Iterator[str]:
    course, pair, blocks, epochs = run.course, run.pair, run.blocks, run.course.trainer.epochs
    if course.ended == "rising":
        best = course.trainer.curve[course.best_step - 1].tokens
        yield (
            f"after {best:,} tokens, {best / blocks.tokens:.1f} times through the text, the "
            "result on held-out text stopped improving: the training ended early, and the best "
            "state is written; more text heals better"
        )
    elif epochs > 1:
        yield (
            f"{blocks.tokens:,} tokens of text were used {epochs:.1f} times for training; "
            "more text heals better"
        )
    if run.request.settings.learning_rate is None and not course.trials:
        yield (
            f"there was no time for a test of learning rates: {course.learning_rate:.2g} was "
            "used, which is low; more minutes heal better"
        )
    refit = earlier_refit(pair.child.path)
    if refit and any(part.source in blocks.names for part in refit.calibration):
        yield (
            "the refit of the pruned model was made from the same text, so the blocks held out are "
            "not new to it: evaluate it on other text"
        )
    if pair.stranger:
        yield pair.stranger
    sizes = [each.architecture.intermediate_size for each in (pair.child, pair.parent)]
    if sizes[0] == sizes[1]:
        yield "the pruned model is as wide as its parent"


def _check_pair(pair: ModelPair, request: HealingRequest) -> None:
    """Raise where these two models cannot be healed as asked, before any work."""
    from .save import check_space

    for each in (pair.child, pair.parent):
        refuse_overlap(each.path, request.out)
    check_space(pair.child, request.out)


def _decisive(request: HealingRequest, pair: ModelPair, blocks: TextBlocks) -> dict[str, Any]:
    """Everything that decides what comes out."""
    return {
        **asdict(request.settings),
        "mup_factors": request.settings.mup_factors
        or None,  # as in states from before there were any
        "child": pair.child_fingerprint,
        "parent": pair.parent_fingerprint,
        "text": blocks.fingerprint,
        "dtype": request.compute_dtype,
    }


def _record(run: HealingRun, result: Healing) -> HealingRecord:
    """What lies beside the result as JSON, but the fingerprint of its weights."""
    pair, blocks, gain = run.pair, run.blocks, result.gain
    return HealingRecord(
        child=_model(pair.child, pair.child_fingerprint),
        parent=_model(pair.parent, pair.parent_fingerprint),
        child_refit=earlier_refit(pair.child.path),
        text=HealingText(
            source=blocks.source,
            fingerprint=blocks.fingerprint,
            tokens=blocks.tokens,
            held_out_blocks=result.after.divergence.n,
            held_out_block_tokens=result.block_tokens,
            block_tokens=blocks.rows.shape[1],
        ),
        settings=result.settings,
        learning_rate=result.learning_rate,
        learning_rate_test=result.trials or None,
        learning_rate_factors=dict(result.factors) or None,
        tokens=result.tokens,
        epochs=result.epochs,
        seconds=result.seconds,
        written_step=result.best_step,
        written_tokens=result.curve[result.best_step - 1].tokens,
        stopped=result.stopped,
        went_back=result.went_back,
        before=result.before.summary(),
        after=result.after.summary(),
        gain_nats=gain.value,
        gain_interval=(gain.low, gain.high),
        gain_p_value=gain.p_value,
        told=result.warnings,
        curve=result.curve,
        fingerprint="",
    )


def _model(checkpoint: Checkpoint, fingerprint: str) -> HealedModel:
    return HealedModel(
        name=checkpoint.name,
        fingerprint=fingerprint,
        intermediate_size=checkpoint.architecture.intermediate_size,
    )


@dataclass(frozen=True, kw_only=True, eq=False)
class Distilled:
    """A child that was trained.

    Attributes:
        weights: Name to trained weight, in float32 at least; the child holds them in its own dtype.
        curve: Its steps.
        best_step: Steps after which the weights were these; 0 where no step made them better, and
            they are as they were.
        before: The child on the rows held out before any step.
        after: The child on the same rows, with these weights.
        trials: Of the test of learning rates; empty where the rate was given.
    """

    weights: Mapping[str, Tensor]
    curve: tuple[TrainingStep, ...]
    best_step: int
    before: HeldOut
    after: HeldOut
    trials: tuple[LrTrial, ...]


def distil(
    child: Any,
    parent: Any,
    rows: Tensor,
    settings: HealSettings | None = None,
    *,
    held_out: Tensor | None = None,
    visit: Callable[[TrainingStep], None] | None = None,
) -> Distilled:
    """Train a child in memory, in place, to give its parent's logits, by held-out text.

    The child ends with the weights that were best on the rows held out, which may be its first.

    Args:
        child: A `transformers` model; all of its parameters that require a gradient are trained.
        parent: One with the same vocabulary, on the same device; it is unchanged.
        rows: Token rows to train on, shape (rows, tokens).
        settings: How; `lora` is not looked at here, and the factors of `mup_factors` are by the
            shapes of both, padding counted.
        held_out: Token rows to judge on, never trained on; None for about every sixteenth of
            `rows`, six at least.
        visit: Called with each step.

    Raises:
        PlanError: `mup_factors` are asked for, and the two differ in more than width.
        RunError: There are fewer than twelve rows and none held out, the loss is not finite
            before anything was trained, there is nothing to train, or no time for a step.
        UnsupportedModelError: A model does something to its logits that is not known here.
    """
    from .budget import prepare  # these load torch
    from .text_blocks import LEAST_HELD, split
    from .training import Trainer

    settings = settings or HealSettings()
    if held_out is None:
        if len(rows) < 2 * LEAST_HELD:
            raise RunError(
                f"{len(rows)} rows are too few to hold some out; give at least {2 * LEAST_HELD} "
                "rows, or pass held_out"
            )
        rows, held_out = split(rows)
    factors = rate_factors(child, parent) if settings.mup_factors else None
    trainer = Trainer(child, parent, rows, settings, factors=factors)
    course = prepare(trainer, held_out)
    while not course.ended:
        step = course.step()
        if visit and step:
            visit(step)
    course.finish()
    return Distilled(
        weights=trainer.masters.weights,
        curve=tuple(trainer.curve),
        best_step=course.best_step,
        before=course.before,
        after=course.best,
        trials=course.trials,
    )
