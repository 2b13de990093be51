"""Hidden states of all calibration tokens, taken through a model's layers one by one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Any

from ..errors import RunError, UnsupportedModelError
from .moments import Halves, Moments
from .scoring import ModelWeights
from .texts import Text

if TYPE_CHECKING:
    from torch import Tensor, nn


@dataclass
class _Rows:
    """A batch on its way: its hidden states, and what each layer was called with beside them."""

    hidden: Tensor
    calls: list[tuple[tuple[Any, ...], dict[str, Any]]]
    kept: Tensor | None
    half: str


class Walk:
    """The tokens of a text, standing before one layer of a model at a time.

    A layer is run on its own, with the arguments that the model itself would give it: they are
    caught once by a pass in which every layer hands its input on, so that masks of sliding
    windows and position embeddings are those of the family. The model is in eval mode meanwhile.

    Args:
        model: Any model that `ModelWeights` reads.
        text: Its tokens, with or without padding.

    Raises:
        RunError: A token is beyond the vocabulary.
        UnsupportedModelError: A layer is not called with hidden states first.

    Memory: hidden states, tokens x hidden size, in the model's dtype; masks of padded batches.
    """

    def __init__(self, model: nn.Module, text: Text) -> None:
        self._model = model
        self.weights = ModelWeights(model)
        self._architecture = self.weights.architecture
        self._text = text
        self._batches: list[_Rows] = []
        self._training = model.training

    def __enter__(self) -> Walk:
        self._model.eval()
        try:
            self._begin()
        except BaseException:
            self._model.train(self._training)
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._batches.clear()
        self._model.train(self._training)

    def moments(self, layer: int, *, advance: bool) -> Halves:
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
                    hidden = self._through(layer, batch)
                    if advance:
                        batch.hidden = hidden
        finally:
            handle.remove()
        return Halves(**halves)

    def advance(self, layer: int) -> None:
        """Take the tokens through the layer, as its weights are now."""
        import torch

        with torch.no_grad():
            for batch in self._batches:
                batch.hidden = self._through(layer, batch)

    def _through(self, layer: int, batch: _Rows) -> Tensor:
        arguments, options = batch.calls[layer]
        module = self._model.get_submodule(f"{self._architecture.stem}.{layer}")
        result: Tensor = module(batch.hidden, *arguments, **options)
        return result

    def _begin(self) -> None:
        """Embed every batch, and catch what the layers are called with."""
        import torch

        decoder = self._model.get_submodule(self._architecture.stem.rpartition(".")[0])
        device = self._down(0).weight.device
        known: dict[tuple[int, ...], list[tuple[tuple[Any, ...], dict[str, Any]]]] = {}
        self._check_vocabulary()
        halves = (("fit", self._text.fit), ("held_out", self._text.held_out))
        with torch.no_grad(), _handing_on(self._layers()) as caught:
            for half, batch in ((half, batch) for half, batches in halves for batch in batches):
                mask, shape = batch.attention_mask, tuple(batch.input_ids.shape)
                options = {} if mask is None else {"attention_mask": mask.to(device)}
                decoder(input_ids=batch.input_ids.to(device), use_cache=False, **options)
                hidden, calls = _of_one_pass(caught)
                if mask is None:  # without padding, batches of one shape are called alike
                    calls = known.setdefault(shape, calls)
                kept = None if mask is None else mask.reshape(-1).bool().to(device)
                self._batches.append(_Rows(hidden, calls, kept, half))
                caught.clear()

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


Caught = list[tuple[tuple[Any, ...], dict[str, Any]]]


@contextmanager
def _handing_on(layers: list[nn.Module]) -> Iterator[Caught]:
    """Layers that only hand their input on; their calls are listed."""
    caught: Caught = []

    def forward(*arguments: Any, **options: Any) -> Any:
        caught.append((arguments, options))
        return arguments[0] if arguments else options["hidden_states"]

    before: list[Mapping[str, Any]] = [
        {"forward": layer.__dict__["forward"]} if "forward" in layer.__dict__ else {}
        for layer in layers
    ]
    try:
        for layer in layers:
            layer.forward = forward
        yield caught
    finally:
        for layer, own in zip(layers, before, strict=True):
            del layer.forward
            layer.__dict__.update(own)


def _of_one_pass(caught: Caught) -> tuple[Tensor, Caught]:
    """Hidden states before the first layer, and the further arguments of every layer."""
    calls: Caught = []
    hidden: Any = None
    for arguments, options in caught:
        options = {
            name: value
            for name, value in options.items()
            if "past_key_value" not in name and name != "hidden_states"
        }
        first = arguments[0] if arguments else caught[0][1].get("hidden_states")
        hidden = first if hidden is None else hidden
        calls.append((arguments[1:], options))
    if hidden is None or not hasattr(hidden, "dim") or hidden.dim() != 3:
        raise UnsupportedModelError(
            "a layer must be called with hidden states of shape (rows, tokens, hidden size) first"
        )
    return hidden, calls
