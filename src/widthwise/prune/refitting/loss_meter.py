"""What a cut model loses on held-out text, beside the dense one, as its layers are cut."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING

from ...cut import TextLoss
from ...errors import RunError
from ...stats import mean_with_error
from ..calibration.answers import JUDGED_TOKENS, READ_TOKENS, divergence_sum, log_ratios
from ..calibration.layerwise import LayerwiseRunner
from ..calibration.text import CalibrationText
from ..calibration.token_batch import TokenBatch

if TYPE_CHECKING:
    from torch import Tensor

    from ..calibration.layerwise import BatchStates

    Through = Callable[[int, BatchStates], BatchStates]


class LossMeter:
    """Runs some held-out blocks of each text of a mix through the dense and the cut layers.

    Args:
        runner: Of a causal model; no layer has been run yet.
        text: What it reads.

    Cost: two forward passes of 4,096 tokens of each text, and logits of 2,048. Memory: the hidden
    states of these tokens, and 0.3 GB for logits, whatever the vocabulary.
    """

    def __init__(self, runner: LayerwiseRunner, text: CalibrationText) -> None:
        self._runner = runner
        self._texts = text.mixed or (text,)
        self._dense = [runner.held_out_states(READ_TOKENS, each) for each in self._texts]
        self._cut = list(self._dense)

    def pass_dense(self, layer: int) -> None:
        """Run the layer that comes next, as the dense model has it."""
        self._dense = [self._runner.through(layer, states) for states in self._dense]

    def pass_cut(self, layer: int, through: Through | None = None) -> None:
        """Run the same layer, as it is cut.

        Args:
            layer: The layer.
            through: How the runner runs it; None where the layer is changed for the while.
        """
        self._cut = [(through or self._runner.through)(layer, states) for states in self._cut]

    def losses(self) -> tuple[TextLoss, ...]:
        """The losses on each text, once both have passed all layers.

        Raises:
            RunError: Logits are not finite.
        """
        return tuple(map(self._loss, range(len(self._texts))))

    def _loss(self, text: int) -> TextLoss:
        pairs = zip(self._dense[text], self._cut[text], strict=True)
        batches = [(rows.batch, dense, cut) for (rows, dense), (_, cut) in pairs]
        step = max(1, sum(batch.tokens for batch, _, _ in batches) // JUDGED_TOKENS)
        blocks = [
            self._compared(dense[..., row, :, :], cut[..., row, :, :], words, places)
            for batch, dense, cut in batches
            for row, words in enumerate(batch.input_ids)
            if len(places := _predicted(batch, row)[::step])
        ]
        divergences, added = zip(*blocks, strict=True)
        if not all(map(math.isfinite, divergences)):
            raise RunError("the logits of the model are not finite on its calibration text")
        loss = mean_with_error(added)
        return TextLoss(
            source=self._texts[text].source,
            blocks=len(blocks),
            divergence=max(mean_with_error(divergences).value, 0.0),  # below 0 only by rounding
            added_loss=loss.value,
            error=loss.standard_error,
        )

    def _compared(
        self, dense: Tensor, cut: Tensor, words: Tensor, places: Tensor
    ) -> tuple[float, float]:
        """Means over some places of a block: KL, dense from cut, and what the cut adds to the loss.

        Args:
            dense, cut: Final hidden states of the block, shape (..., tokens, hidden size).
            words: Its tokens.
            places: Those whose next tokens are predicted.
        """
        here, divergence, added = places.to(dense.device), 0.0, 0.0
        one, other = (each[..., here, :].movedim(-2, 0) for each in (dense, cut))
        follows = words[places + 1].to(dense.device)[:, None]
        for rows, _, own, ratio in log_ratios(self._runner, one, [other]):
            divergence += divergence_sum(own, ratio)
            added += float(ratio.gather(1, follows[rows]).double().sum())
        return divergence / len(places), added / len(places)


def _predicted(batch: TokenBatch, row: int) -> Tensor:
    """Places of a row behind which a token stands that is no padding, nor are they."""
    import torch

    if batch.attention_mask is None:
        return torch.arange(batch.input_ids.shape[1] - 1)
    is_word = batch.attention_mask[row].bool()
    return (is_word[:-1] & is_word[1:]).nonzero().flatten()
