"""Scales of the rows of matrices and of norms, by KL from the dense model."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ...cut import Refit, RowScales, ScaleTuning, narrow_tensor, owner_of, scaled_rows
from ...cut.checkpoint import renamed_parts
from ...errors import CheckpointError, RunError
from ...notices import notice
from ...stats import counted
from ..calibration.answers import READ_TOKENS, answered_at_once
from ..calibration.layerwise import LayerwiseRunner, spread
from ..calibration.text import CalibrationText
from ..calibration.token_batch import TokenBatch
from ..opened_model import OpenedModel
from .finished_steps import FinishedSteps, TuningState
from .layer_fit import GroupCut, cuts_of_layer, temporarily_cut
from .loss_meter import LossMeter
from .scalable import scalable

if TYPE_CHECKING:
    from torch import Tensor

    from ..calibration.layerwise import BatchStates

RATE, WARM_UP = 5e-3, 5  # the highest rate, and the steps until it is reached
MOST_TOKENS = 32_768
STEP_ROWS = 1
HELD_OUT = 16  # of so many rows, one chooses the state that is kept, and is not tuned on


def tuning_rows(text: CalibrationText) -> tuple[list[TokenBatch], list[TokenBatch]]:
    """The rows that are tuned on, and those that choose the state that is kept, each a batch.

    They are of the half of the text that refits are fitted to, evenly spread over it where it has
    more than `MOST_TOKENS`; so what a cut loses can still be measured on the other half.
    """
    rows = [row for batch in text.fit for row in batch.rows() if row.tokens]
    share = min(1.0, MOST_TOKENS / sum(row.tokens for row in rows))
    count = max(1, round(share * len(rows)))
    rows = [rows[i * len(rows) // count] for i in range(count)]
    chosen_by = {*range(HELD_OUT - 1, count, HELD_OUT)} or {count - 1}
    tuned = [row for number, row in enumerate(rows) if number not in chosen_by]
    return tuned, [rows[number] for number in sorted(chosen_by)]


def scaled(
    model: OpenedModel,
    text: CalibrationText,
    cuts: Sequence[GroupCut],
    refit: Refit,
    steps: FinishedSteps,
) -> Refit:
    """A refit whose weights are scaled by rows so that the cut answers better.

    Of a GGUF file down_proj alone is scaled, as all but the blocks stays there bit for bit.

    Args:
        model: The dense model, causal and of one stack of layers.
        text: What the refit was made from.
        cuts: Its groups, in order.
        refit: The same with all that is known of it, which stays where half of the text is a single
            row.
        steps: Where steps that are done are kept.

    Raises:
        RunError: An answer is not finite.
        CheckpointError: A weight becomes too large for its dtype.
    """
    tuned, choosing = tuning_rows(text)
    if not tuned:
        notice("Nothing is scaled after the refit, as half of the text is a single row.")
        return refit
    measured = [
        each for part in text.mixed or (text,) for each in spread(part.held_out, READ_TOKENS)
    ]
    read = replace(text, fit=(*tuned, *choosing), held_out=tuple(measured), mixed=())
    with LayerwiseRunner.of(model, read) as runner:
        meter = LossMeter(runner, text)
        for layer in range(model.weights.architecture.layers):
            meter.pass_dense(layer)
        names: list[list[str]] = []
        if not model.is_gguf:
            names = scalable(model.weights, runner.weights, renamed_parts(runner.module))
        tuner = ScaleTuner(runner, cuts, names, recompute=not model.by_layers.all_stay)
        tuning = tuner.tune(len(tuned), steps)
        for layer in range(model.weights.architecture.layers):
            meter.pass_cut(layer, tuner.through)
        return replace(
            refit,
            down=tuple(cut.down for cut in tuner.folded()),
            rows=tuner.rows(),
            scales=tuning,
            losses=meter.losses(),
        )


_SAY_SEC = 60.0  # between two lines that say how long it takes


class ScaleTuner:
    """Multiplies rows of the weights of a cut by scales that make it answer better.

    With a scale for each output and each neuron of down_proj, D' = diag(a) D diag(b), and one for
    each row of other matrices, W' = diag(a) W, and each element of a norm, the KL divergence of the
    next token, dense from cut, is made smaller by Adam over rows of text.

    Args:
        runner: Its half to fit are rows that are tuned on, and behind them those that choose; no
            layer has been run.
        cuts: What down_proj is before, by groups.
        names: The other tensors that are scaled, of each layer, by their names in it.
        recompute: Whether layers are run again on the way back, so that one is in memory at a time.

    Cost: a pass of the dense model, and for every row a pass forth and one back of the cut one, and
        another one forth where layers are run again.
    Memory: hidden states of the text twice, and of one row what its layers keep for the way back,
        or its states between layers where they are run again.
    """

    def __init__(
        self,
        runner: LayerwiseRunner,
        cuts: Sequence[GroupCut],
        names: Sequence[Sequence[str]],
        *,
        recompute: bool,
    ) -> None:
        import torch

        self._runner, self._cuts, self._recompute = runner, cuts, recompute
        self._architecture = architecture = runner.weights.architecture
        tensors = architecture.tensors
        self._others = [(layer, name) for layer, inside in enumerate(names) for name in inside]
        owners = architecture.layer_names
        self._sizes = [size for cut in cuts for size in cut.down.shape]
        self._sizes += [tensors[f"{owners[i]}.{name}"].shape[0] for i, name in self._others]
        self.scales = torch.ones(sum(self._sizes), device=runner.device)
        self._begins = runner.states("fit")
        self._dense = self._answers(self._begins)
        self._vocabulary = runner.logits(self._dense[0][:1]).shape[-1]

    def tune(self, count: int, steps: FinishedSteps) -> ScaleTuning:
        """Find the scales; those are kept that do best on the rows that choose.

        Args:
            count: Rows that are tuned on.
            steps: Where steps that are done are kept.

        Raises:
            RunError: An answer is not finite.
        """
        import torch

        choosing = range(count, len(self._begins))
        order = torch.randperm(count, generator=torch.Generator().manual_seed(0))
        batches = torch.split(order, STEP_ROWS)
        state = steps.begun(self.scales) or TuningState.at(self.scales, self._mean(choosing))
        self.scales, pace = state.scales, _Pace(len(batches) - state.step)
        for step in range(state.step, len(batches)):
            share = min(1.0, (step + 1) / WARM_UP) * (1 - step / len(batches))
            state.move(self._gradient(batches[step].tolist()), RATE * share)
            if step + 1 in (len(batches) // 2, len(batches)):
                state.judge(self._mean(choosing))
            steps.keep(state)
            pace.step()
        self.scales = state.best
        return ScaleTuning(
            tokens=sum(rows.batch.tokens for rows, _ in self._begins[:count]),
            steps=len(batches),
            kept_step=state.best_step,
            before=state.errors[0],
            after=min(state.errors),
        )

    def folded(self) -> list[GroupCut]:
        """The cuts with the scales in their down_proj.

        Raises:
            CheckpointError: A weight becomes too large for its dtype.
        """
        import torch

        cuts, vectors = [], self._vectors()
        for group, cut in enumerate(self._cuts):
            down = self._scaled_down(group, vectors).to(cut.down.dtype).cpu()
            if not torch.isfinite(down).all():
                where = self._architecture.groups[group].name
                raise CheckpointError(
                    f"{where}: with its scales the refit has values too large for {down.dtype}"
                )
            cuts.append(replace(cut, down=down))
        return cuts

    def rows(self) -> RowScales:
        """The scales of tensors other than down_proj."""
        vectors = self._vectors()[2 * len(self._cuts) :]
        return {key: each.cpu() for key, each in zip(self._others, vectors, strict=True)}

    def through(
        self, layer: int, states: BatchStates, vectors: Sequence[Tensor] = ()
    ) -> BatchStates:
        """Hidden states behind a layer of the cut with its scales.

        Args:
            layer: The layer.
            states: Before it.
            vectors: The scales of each tensor, where they were divided already.
        """
        vectors = vectors or self._vectors()
        cuts, module = cuts_of_layer(self._architecture, self._cuts, layer), self._runner.module
        with self._runner.held(layer), temporarily_cut(module, self._architecture, cuts):
            return self._runner.through(layer, states, self._tensors(layer, cuts, vectors))

    def _vectors(self) -> Sequence[Tensor]:
        """The scales of rows and of columns of each down_proj, then of rows of other tensors."""
        import torch

        return torch.split(self.scales, self._sizes)

    def _scaled_down(self, group: int, vectors: Sequence[Tensor]) -> Tensor:
        """A group's down_proj with its scales, in float32."""
        rows, columns = vectors[2 * group : 2 * group + 2]
        return rows[:, None] * self._cuts[group].down.to(rows) * columns

    def _tensors(
        self, layer: int, cuts: Mapping[int, GroupCut], vectors: Sequence[Tensor]
    ) -> Mapping[str, Tensor]:
        """What takes the place of tensors of a layer that is cut, by their names in it."""
        begin = f"{self._architecture.layer_names[layer]}."
        down = {group: self._scaled_down(group, vectors) for group in cuts}
        keep = {group: cut.keep for group, cut in cuts.items()}
        result = {}
        for name in {self._architecture.groups[group].down for group in cuts}:
            stored: Any = getattr(*owner_of(self._runner.module, name))
            narrow = narrow_tensor(self._architecture, name, stored, keep, down)
            result[name.removeprefix(begin)] = narrow
        others = vectors[2 * len(self._cuts) :]
        for (of_layer, name), vector in zip(self._others, others, strict=True):
            if of_layer == layer:
                whole: Any = getattr(*owner_of(self._runner.module, begin + name))
                result[name] = scaled_rows(whole.detach(), vector)
        return result

    def _answers(self, states: BatchStates) -> list[Tensor]:
        """Final hidden states of the dense model, row by row."""
        for layer in range(self._architecture.layers):
            states = self._runner.through(layer, states)
        return [rows.unpadded(hidden) for rows, hidden in states]

    def _gradient(self, rows: Sequence[int]) -> Tensor:
        """Of the mean divergence on some rows, by the scales; from final states on in parts."""
        import torch

        with torch.enable_grad():
            finals, slopes = self._finals(rows), []
            for row, own in zip(rows, finals, strict=True):
                found: list[Tensor] = []
                for tokens in answered_at_once(len(own), self._vocabulary):
                    part = own[tokens].detach().requires_grad_()
                    value = self._compared(row, tokens, part) / (len(own) * len(rows))
                    found += torch.autograd.grad(value, part)
                slopes.append(torch.cat(found))
            (gradient,) = torch.autograd.grad(finals, self.scales, slopes)
        if not gradient.isfinite().all():
            raise RunError("the gradient of the scales is not finite on the calibration text")
        return gradient

    def _mean(self, rows: Sequence[int]) -> float:
        """The mean divergence on some rows."""
        batches = [rows[start : start + STEP_ROWS] for start in range(0, len(rows), STEP_ROWS)]
        result = sum(sum(self._divergences(batch)) for batch in batches) / len(rows)
        if not math.isfinite(result):
            raise RunError("the logits of the model are not finite on its calibration text")
        return result

    def _divergences(self, rows: Sequence[int]) -> list[float]:
        """Mean KL divergence of the next token over the tokens of each row, dense from cut."""
        result = []
        for row, own in zip(rows, self._finals(rows), strict=True):
            parts = (
                self._compared(row, tokens, own[tokens])
                for tokens in answered_at_once(len(own), self._vocabulary)
            )
            result.append(sum(map(float, parts)) / len(own))
        return result

    def _finals(self, rows: Sequence[int]) -> list[Tensor]:
        """Final hidden states of the cut with its scales on some rows, each layer read once."""
        states, vectors = [self._begins[row] for row in rows], self._vectors()
        for layer in range(self._architecture.layers):
            states = self._behind(layer, states, vectors)
        return [each.unpadded(hidden) for each, hidden in states]

    def _compared(self, row: int, tokens: slice, own: Tensor) -> Tensor:
        """The sum of the divergence over some tokens of a row, from their final hidden states."""
        import torch

        wide = torch.promote_types(own.dtype, torch.float32)
        states = (self._dense[row][tokens], own)
        dense, logs = (self._runner.logits(each).to(wide).log_softmax(-1) for each in states)
        return (dense.exp() * (dense - logs)).sum()

    def _behind(self, layer: int, states: BatchStates, vectors: Sequence[Tensor]) -> BatchStates:
        """Hidden states behind a layer; where none stays, it is run again on the way back."""
        from torch.utils.checkpoint import checkpoint

        if not self._recompute:
            return self.through(layer, states, vectors)
        rows = [each for each, _ in states]

        def run(*hidden: Tensor) -> tuple[Tensor, ...]:
            behind = self.through(layer, [*zip(rows, hidden, strict=True)], vectors)
            return tuple(each for _, each in behind)

        hidden = checkpoint(run, *(each for _, each in states), use_reentrant=False)
        return [*zip(rows, hidden, strict=True)]


class _Pace:
    """Says how many steps there are, and from the first one on, now and then, how long the others
    take."""

    def __init__(self, steps: int) -> None:
        self._steps = self._left = steps
        self._start = self._said = time.monotonic()
        notice(f"Rows of the weights are scaled next, in {counted(steps, 'step')}.")

    def step(self) -> None:
        """One more is done."""
        self._left -= 1
        now, is_first = time.monotonic(), self._left == self._steps - 1
        if self._left and (is_first or now - self._said > _SAY_SEC):
            self._said = now
            minutes = math.ceil((now - self._start) * self._left / (self._steps - self._left) / 60)
            notice(f"Scaling: {counted(self._left, 'step')} left, about {minutes} min.")
