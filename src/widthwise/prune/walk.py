"""Hidden states of all calibration tokens, taken through a model's layers one by one."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Any

from ..errors import RunError, UnsupportedModelError
from ..memory import bounded
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


if TYPE_CHECKING:
    Standing = list[tuple[_Rows, Tensor]]


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
        self._open = ExitStack()

    def __enter__(self) -> Walk:
        self._model.eval()
        with ExitStack() as stack:
            stack.callback(self._model.train, self._training)
            stack.enter_context(bounded(next(self._model.parameters()).device.type))
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
                    hidden = self._through(layer, batch, batch.hidden)
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
                batch.hidden = self._through(layer, batch, batch.hidden)

    def standing(self, tokens: int) -> Standing:
        """Some of the held-out tokens where they stand now; they stay there if the others go on.

        Args:
            tokens: Of how many at least, if there are as many: whole batches, evenly spread.
        """
        held_out = [batch for batch in self._batches if batch.half == "held_out"]
        return [(batch, batch.hidden) for batch in _spread(held_out, tokens)]

    def ends(self, layer: int, standing: Standing) -> Tensor:
        """Hidden states behind the last layer of tokens that stand before `layer`.

        It and all further layers are run as they are now. Shape (tokens, hidden size), padding left
        out.
        """
        import torch

        found = []
        with torch.no_grad():
            for batch, hidden in standing:
                for further in range(layer, self._architecture.layers):
                    hidden = self._through(further, batch, hidden)
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

        def put(*_: Any, **__: Any) -> Tensor:
            return last[0]

        def logits(rows: Tensor) -> Tensor:
            last[:] = [rows[:, None]]  # each token a row, so that masks stay small
            ids = torch.zeros(len(rows), 1, dtype=torch.long, device=rows.device)
            with torch.no_grad():
                found: Tensor = self._model(input_ids=ids, use_cache=False).logits[:, 0]
            return found

        with doing(self._layers(), put):
            yield logits

    def _through(self, layer: int, batch: _Rows, hidden: Tensor) -> Tensor:
        arguments, options = batch.calls[layer]
        module = self._model.get_submodule(f"{self._architecture.stem}.{layer}")
        result: Tensor = module(hidden, *arguments, **options)
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

    with doing(layers, forward):
        yield caught


@contextmanager
def doing(modules: Sequence[nn.Module], forward: Callable[..., Any]) -> Iterator[None]:
    """Modules that do this in place of their own forward pass."""
    before: list[Mapping[str, Any]] = [
        {"forward": module.__dict__["forward"]} if "forward" in module.__dict__ else {}
        for module in modules
    ]
    try:
        for module in modules:
            module.forward = forward
        yield
    finally:
        for module, own in zip(modules, before, strict=True):
            del module.forward
            module.__dict__.update(own)


def _spread(batches: list[_Rows], tokens: int) -> list[_Rows]:
    """Batches evenly spread over all, as few as hold so many tokens."""
    for count in range(1, len(batches)):
        chosen = [batches[i * len(batches) // count] for i in range(count)]
        if sum(_tokens(batch) for batch in chosen) >= tokens:
            return chosen
    return batches


def _tokens(batch: _Rows) -> int:
    return batch.hidden[..., 0].numel() if batch.kept is None else int(batch.kept.sum())


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
