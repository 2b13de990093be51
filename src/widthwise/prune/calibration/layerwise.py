"""Hidden states of all calibration tokens, taken through a model's layers one by one."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Any

from ...cut import ModelWeights
from ...errors import RunError, UnsupportedModelError
from ...io import limited_memory
from .layer_calls import (
    WITHOUT_TEXT,
    CallCatcher,
    LayerCall,
    LayerPass,
    patched_forward,
    returned,
    whole_pass,
)
from .moments import FitAndHoldout, Moments
from .text import CalibrationText, TokenBatch

if TYPE_CHECKING:
    from torch import Tensor, nn

_ROUNDING = 8  # steps of the dtype by which hidden states may differ that are computed alike


@dataclass
class _Rows:
    """A batch on its way: its hidden states, and what each layer is called with beside them."""

    hidden: Tensor
    calls: list[LayerCall]
    kept: Tensor | None
    half: str


if TYPE_CHECKING:
    BatchStates = list[tuple[_Rows, Tensor]]


class LayerwiseRunner:
    """The tokens of a text, standing before one layer of a model at a time.

    A layer is run on its own, with the arguments that the model itself would give it: they are
    caught for each batch by a pass in which every layer hands its input on, so that masks of
    sliding windows, position embeddings and inputs that depend on the tokens are those of the
    family and of the batch. The model is in eval mode meanwhile.

    Args:
        model: Any model that `ModelWeights` reads.
        text: Its tokens, with or without padding.

    Raises:
        RunError: A token is beyond the vocabulary.
        UnsupportedModelError: Layers run one by one do not do what they do in a whole pass.

    Cost: beside the passes asked for, three of two rows, one of each half of the text.
    Memory: hidden states, tokens x hidden size, in the model's dtype; of what layers are called
        with beside them, what differs between batches.
    """

    def __init__(self, model: nn.Module, text: CalibrationText) -> None:
        self._model = model
        self.weights = ModelWeights(model)
        self._architecture = self.weights.architecture
        self._text = text
        self._batches: list[_Rows] = []
        self._catcher = CallCatcher(self._layers(), self._architecture.model_type)
        self._training = model.training
        self._open = ExitStack()

    def __enter__(self) -> LayerwiseRunner:
        self._model.eval()
        with ExitStack() as stack:
            stack.callback(self._model.train, self._training)
            stack.enter_context(limited_memory(next(self._model.parameters()).device.type))
            self._begin()
            self._open = stack.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._batches.clear()
        self._open.close()

    def moments(self, layer: int, *, advance: bool) -> FitAndHoldout:
        """Second moments of one layer's activations, where the tokens stand now.

        Args:
            layer: The layer before which they stand.
            advance: Take the tokens through the layer as well.
        """
        import torch

        down = self._down(layer)
        size = self._architecture.intermediate_size
        halves = {half: Moments.empty(size, down.weight.device) for half in ("fit", "held_out")}
        current: list[_Rows] = []

        def record(_: nn.Module, inputs: tuple[Tensor, ...]) -> None:
            rows, batch = inputs[0].detach().flatten(0, -2), current[-1]
            halves[batch.half].add(rows if batch.kept is None else rows[batch.kept])

        handle = down.register_forward_pre_hook(record)
        try:
            with torch.no_grad():
                for batch in self._batches:
                    current.append(batch)
                    hidden = self._through(layer, batch.calls, batch.hidden)
                    if advance:
                        batch.hidden = hidden
        finally:
            handle.remove()
        return FitAndHoldout(**halves)

    def advance(self, layer: int) -> None:
        """Take the tokens through the layer, as its weights are now."""
        import torch

        with torch.no_grad():
            for batch in self._batches:
                batch.hidden = self._through(layer, batch.calls, batch.hidden)

    def held_out_states(self, tokens: int) -> BatchStates:
        """Some of the held-out tokens where they stand now; they stay there if the others go on.

        Args:
            tokens: Of how many at least, if there are as many: whole batches, evenly spread.
        """
        held_out = [batch for batch in self._batches if batch.half == "held_out"]
        return [(batch, batch.hidden) for batch in _spread(held_out, tokens)]

    def final_states(self, layer: int, states: BatchStates) -> Tensor:
        """Hidden states behind the last layer of tokens that stand before `layer`.

        It and all further layers are run as they are now. Shape (tokens, hidden size), padding left
        out.
        """
        import torch

        found = []
        with torch.no_grad():
            for batch, hidden in states:
                for further in range(layer, self._architecture.layers):
                    hidden = self._through(further, batch.calls, hidden)
                rows = hidden.flatten(0, -2)
                found.append(rows if batch.kept is None else rows[batch.kept])
        return torch.cat(found)

    @contextmanager
    def head(self) -> Iterator[Callable[[Tensor], Tensor]]:
        """What follows the last layer, as the model does it: final norm, projection, scale, cap.

        While open, the model itself is run with layers that do nothing, so the function given turns
        hidden states, shape (tokens, hidden size), into logits, shape (tokens, vocabulary).
        """
        import torch

        last: list[Tensor] = []

        def put(count: int) -> Callable[..., Any]:
            return lambda *_, **__: returned(last[0], count)

        def logits(rows: Tensor) -> Tensor:
            last[:] = [rows[:, None]]  # each token a row, so that masks stay small
            ids = torch.zeros(len(rows), 1, dtype=torch.long, device=rows.device)
            with torch.no_grad():
                found: Tensor = self._model(input_ids=ids, use_cache=False).logits[:, 0]
            return found

        with patched_forward(self._layers(), [put(count) for count in self._catcher.counts]):
            yield logits

    def _through(self, layer: int, calls: Sequence[LayerCall], hidden: Tensor) -> Tensor:
        module = self._model.get_submodule(f"{self._architecture.stem}.{layer}")
        return calls[layer].run(module, hidden)

    def _begin(self) -> None:
        """Embed every batch, and catch what the layers are called with."""
        import torch

        self._check_vocabulary()
        halves = (("fit", self._text.fit), ("held_out", self._text.held_out))
        with torch.no_grad():
            for batch in (self._text.fit[0], self._text.held_out[0]):
                self._check_layers(_longest_row(batch))
            for half, batch in ((half, batch) for half, batches in halves for batch in batches):
                caught = self._caught(batch)
                mask = batch.attention_mask
                kept = None if mask is None else mask.reshape(-1).bool().to(caught.hidden.device)
                self._batches.append(_Rows(caught.hidden, caught.calls, kept, half))

    def _caught(self, batch: TokenBatch) -> LayerPass:
        decoder = self._model.get_submodule(self._architecture.stem.rpartition(".")[0])
        return self._catcher.catch(partial(decoder, **self._inputs(batch)))

    def _inputs(self, batch: TokenBatch) -> dict[str, Any]:
        """What a model is called with."""
        device, mask = self._down(0).weight.device, batch.attention_mask
        inputs: dict[str, Any] = {"input_ids": batch.input_ids.to(device), "use_cache": False}
        return inputs if mask is None else {**inputs, "attention_mask": mask.to(device)}

    def _check_layers(self, row: TokenBatch) -> None:
        """Raise UnsupportedModelError unless layers run one by one do what a whole pass does.

        Each is run twice, as a refit runs it: a layer that remembers the first time is no good.
        """
        outputs = whole_pass(self._model, self._layers(), self._inputs(row), self._catcher.name)
        self._catcher.counts = [count for count, _ in outputs]
        caught = self._caught(row)
        hidden = caught.hidden
        kept = ... if row.attention_mask is None else row.attention_mask[0].bool()
        for layer, (_, expected) in enumerate(outputs):
            self._through(layer, caught.calls, hidden.clone())
            hidden = self._through(layer, caught.calls, hidden)
            if not _alike(hidden[0, kept], expected[0, kept]):
                raise UnsupportedModelError(
                    f"layer {layer} of {self._catcher.name}, run alone, does not do what it does "
                    f"in a whole pass, so it cannot be calibrated; {WITHOUT_TEXT}"
                )

    def _down(self, layer: int) -> Any:
        """The linear layer whose input the activations are."""
        return self._model.get_submodule(f"{self._architecture.block(layer)}.down_proj")

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
                    f"token {highest} of the calibration text is beyond the {size} tokens of the "
                    "model; use the model's own tokenizer"
                )


def _longest_row(batch: TokenBatch) -> TokenBatch:
    """The row of a batch with the least padding."""
    mask = batch.attention_mask
    row = 0 if mask is None else int(mask.sum(1).argmax())
    ids = batch.input_ids[row : row + 1]
    return TokenBatch(input_ids=ids, attention_mask=None if mask is None else mask[row : row + 1])


def _alike(states: Tensor, others: Tensor) -> bool:
    """Whether hidden states of tokens, shape (tokens, hidden size), are equal but for rounding.

    Others that are not finite are left out: moments say by themselves where those begin.
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
        if sum(_tokens(batch) for batch in chosen) >= tokens:
            return chosen
    return batches


def _tokens(batch: _Rows) -> int:
    return batch.hidden[..., 0].numel() if batch.kept is None else int(batch.kept.sum())
