"""The layers of a model, run one by one on all calibration tokens."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from types import EllipsisType
from typing import TYPE_CHECKING, Any

from ...cut import ModelWeights
from ...errors import RunError, UnsupportedModelError
from ...io import limited_memory
from .group_moments import moments_of_layer
from .layer_calls import (
    WITHOUT_TEXT,
    CallCapturer,
    LayerCall,
    patched_forward,
    returned,
    whole_pass,
)
from .moments import FitAndHoldout
from .text import CalibrationText, TokenBatch

if TYPE_CHECKING:
    from torch import Tensor, nn

_ROUNDING = 8  # steps of the dtype by which hidden states may differ that are computed alike


@dataclass
class _Rows:
    """A batch: its hidden states so far, and the other arguments of each layer."""

    hidden: Tensor
    calls: list[LayerCall]
    kept: Tensor | EllipsisType  # index of the tokens that are no padding, among all of them
    half: str

    def unpadded(self, states: Tensor) -> Tensor:
        """States of tokens that are no padding, one row each."""
        return states.flatten(0, -2)[self.kept]


if TYPE_CHECKING:
    BatchStates = list[tuple[_Rows, Tensor]]


class LayerwiseRunner:
    """Runs one layer after the other on all tokens of a text, and keeps their hidden states.

    A layer is run alone, with the arguments that the model itself would give it: they are captured
    for each batch by a pass in which every layer returns its input, so that masks of sliding
    windows, position embeddings and inputs that depend on the tokens are those of the family and of
    the batch. Meanwhile the model is in eval mode, and no gradients are kept.

    Raises:
        RunError: A token is beyond the vocabulary.
        UnsupportedModelError: Layers run one by one do not do what they do in a whole pass.

    Cost: in addition to the passes asked for, three of two rows, one of each half of the text.
    Memory: hidden states, tokens x hidden size, in the model's dtype; of the other arguments of
        layers, what differs between batches.
    """

    def __init__(self, model: nn.Module, text: CalibrationText) -> None:
        self._model = model
        self.weights = ModelWeights(model)
        self._architecture = self.weights.architecture
        self._text = text
        self._batches: list[_Rows] = []
        self._capturer = CallCapturer(self._layers(), self._architecture.model_type)
        self._training = model.training
        self._open = ExitStack()

    def __enter__(self) -> LayerwiseRunner:
        import torch

        self._model.eval()
        with ExitStack() as stack:
            stack.callback(self._model.train, self._training)
            stack.enter_context(torch.no_grad())
            stack.enter_context(limited_memory(next(self._model.parameters()).device.type))
            self._begin()
            self._open = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._batches.clear()
        self._open.close()

    def moments(self, layer: int, *, advance: bool) -> dict[int, FitAndHoldout]:
        """Second moments of each group of the layer that comes next, by the index of the group.

        Args:
            layer: That layer.
            advance: Whether hidden states become those behind the layer.
        """
        sums = moments_of_layer(self._model, self._architecture, layer)
        with ExitStack() as stack:
            for each in sums.values():
                stack.enter_context(each.watching())
            for batch in self._batches:
                for each in sums.values():
                    each.half, each.kept = batch.half, batch.kept
                hidden = self._through(layer, batch.calls, batch.hidden)
                if advance:
                    batch.hidden = hidden
        return {
            index: halves
            for indices, each in sums.items()
            for index, halves in zip(indices, each.result(), strict=True)
        }

    def advance(self, layer: int) -> None:
        """Make hidden states those behind the layer, as its weights are now."""
        for batch in self._batches:
            batch.hidden = self._through(layer, batch.calls, batch.hidden)

    def held_out_states(self, tokens: int) -> BatchStates:
        """Hidden states of some held-out tokens as they are now, for `final_states`.

        Args:
            tokens: Fewest tokens, if there are as many; whole batches are taken, evenly spread.
        """
        held_out = [batch for batch in self._batches if batch.half == "held_out"]
        return [(batch, batch.hidden) for batch in _spread(held_out, tokens)]

    def final_states(self, layer: int, states: BatchStates) -> Tensor:
        """Hidden states behind the last layer, from those before `layer`.

        All layers are run as they are now. Shape (tokens, hidden size), padding left out.
        """
        import torch

        final = []
        for batch, hidden in states:
            for further in range(layer, self._architecture.layers):
                hidden = self._through(further, batch.calls, hidden)
            final.append(batch.unpadded(hidden))
        return torch.cat(final)

    @contextmanager
    def head(self) -> Iterator[Callable[[Tensor], Tensor]]:
        """A function from final hidden states to logits: final norm, projection, scale, cap.

        While open, the model itself is run with layers that return the hidden states given, shape
        (tokens, hidden size); logits have shape (tokens, vocabulary).
        """
        import torch

        last: list[Tensor] = []

        def forward(count: int) -> Callable[..., Any]:
            return lambda *_, **__: returned(last[0], count)

        def logits(rows: Tensor) -> Tensor:
            last[:] = [rows[:, None]]  # each token a row, so that masks stay small
            ids = torch.zeros(len(rows), 1, dtype=torch.long, device=rows.device)
            output: Tensor = self._model(input_ids=ids, use_cache=False).logits[:, 0]
            return output

        with patched_forward(self._layers(), [forward(count) for count in self._capturer.counts]):
            yield logits

    def _through(self, layer: int, calls: Sequence[LayerCall], hidden: Tensor) -> Tensor:
        module = self._model.get_submodule(f"{self._architecture.stem}.{layer}")
        return calls[layer].run(module, hidden)

    def _begin(self) -> None:
        """Embed every batch, and capture the arguments of the layers."""
        self._check_vocabulary()
        halves = (("fit", self._text.fit), ("held_out", self._text.held_out))
        for batch in (self._text.fit[0], self._text.held_out[0]):
            self._check_layers(_longest_row(batch))
        for half, batch in ((half, batch) for half, batches in halves for batch in batches):
            hidden, calls = self._capture(batch)
            kept = batch.kept if batch.kept is ... else batch.kept.to(hidden.device)
            self._batches.append(_Rows(hidden, calls, kept, half))

    def _capture(self, batch: TokenBatch) -> tuple[Tensor, list[LayerCall]]:
        decoder = self._model.get_submodule(self._architecture.stem.rpartition(".")[0])
        return self._capturer.capture(partial(decoder, **self._inputs(batch)))

    def _inputs(self, batch: TokenBatch) -> dict[str, Any]:
        """The arguments of a model for a batch."""
        device, mask = next(self._model.parameters()).device, batch.attention_mask
        inputs: dict[str, Any] = {"input_ids": batch.input_ids.to(device), "use_cache": False}
        return inputs if mask is None else {**inputs, "attention_mask": mask.to(device)}

    def _check_layers(self, row: TokenBatch) -> None:
        """Raise UnsupportedModelError unless layers run one by one do what a whole pass does.

        Each is run twice, as a refit runs it: a layer that keeps a state is refused.
        """
        outputs = whole_pass(self._model, self._layers(), self._inputs(row), self._capturer.name)
        self._capturer.counts = [count for count, _ in outputs]
        hidden, calls = self._capture(row)
        for layer, (_, expected) in enumerate(outputs):
            self._through(layer, calls, hidden.clone())
            hidden = self._through(layer, calls, hidden)
            if not _alike(hidden[0, row.kept], expected[0, row.kept]):
                raise UnsupportedModelError(
                    f"layer {layer} of {self._capturer.name} gives other values when it is run "
                    f"alone than in a whole pass, so it cannot be calibrated; {WITHOUT_TEXT}"
                )

    def _layers(self) -> list[nn.Module]:
        stem, count = self._architecture.stem, self._architecture.layers
        return [self._model.get_submodule(f"{stem}.{layer}") for layer in range(count)]

    def _check_vocabulary(self) -> None:
        embedding: Any = self._model.get_input_embeddings()  # type: ignore[operator]
        size = int(embedding.weight.shape[0])
        for batch in (*self._text.fit, *self._text.held_out):
            highest = int(batch.input_ids.max())
            if highest >= size:
                raise RunError(
                    f"token {highest} of the calibration text is not one of the {size} tokens of "
                    "the model; use the model's own tokenizer"
                )


def _longest_row(batch: TokenBatch) -> TokenBatch:
    """The row of a batch with the least padding."""
    mask = batch.attention_mask
    row = 0 if mask is None else int(mask.sum(1).argmax())
    ids = batch.input_ids[row : row + 1]
    return TokenBatch(input_ids=ids, attention_mask=None if mask is None else mask[row : row + 1])


def _alike(states: Tensor, others: Tensor) -> bool:
    """Whether hidden states of tokens, shape (tokens, hidden size), are equal but for rounding.

    Others that are not finite are left out; `Moments.mean` names the layer where they begin.
    """
    import torch

    near = _ROUNDING * torch.finfo(others.dtype).eps
    finite = others.isfinite().all(-1)
    states, others = states[finite].double(), others[finite].double()
    return bool(((states - others).norm(dim=-1) <= near * others.norm(dim=-1)).all())


def _spread(batches: list[_Rows], tokens: int) -> list[_Rows]:
    """Batches evenly spread over all, as few as hold so many tokens."""
    for count in range(1, len(batches)):
        chosen = [batches[i * len(batches) // count] for i in range(count)]
        if sum(len(batch.unpadded(batch.hidden)) for batch in chosen) >= tokens:
            return chosen
    return batches
