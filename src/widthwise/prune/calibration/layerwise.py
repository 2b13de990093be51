"""The layers of a model, run one by one on all calibration tokens."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from itertools import accumulate, pairwise
from types import EllipsisType
from typing import TYPE_CHECKING, Any

from ...arch import Architecture
from ...cut import ModelWeights
from ...errors import RunError, UnsupportedModelError
from ...io import limited_memory
from .group_moments import GroupMoments, finished, moments_of_layer
from .layer_calls import (
    WITHOUT_TEXT,
    CallCapturer,
    Holder,
    LayerCall,
    always_held,
    whole_pass,
)
from .moments import FitAndHoldout
from .state_storage import StateStorage
from .text import CalibrationText
from .token_batch import TokenBatch

if TYPE_CHECKING:
    from torch import Tensor, nn

    from ..opened_model import OpenedModel

_ROUNDING = 8  # steps of the dtype by which hidden states may differ that are computed alike


@dataclass
class _Rows:
    """A batch: its hidden states so far, and the other arguments of each layer of a stack."""

    batch: TokenBatch
    half: str
    hidden: Tensor
    calls: list[LayerCall]
    kept: Tensor | EllipsisType  # `TokenBatch.kept` of what the stack reads

    def unpadded(self, states: Tensor) -> Tensor:
        """States of tokens that are no padding, shape (tokens, ..., hidden size)."""
        # Of a model on CUDA, states in files are on the CPU.
        kept = ... if isinstance(self.kept, EllipsisType) else self.kept.to(states.device)
        return states.movedim((-3, -2), (0, 1)).flatten(0, 1)[kept]


if TYPE_CHECKING:
    BatchStates = list[tuple[_Rows, Tensor]]
    Change = Callable[[nn.Module, Architecture], AbstractContextManager[None]]


class LayerwiseRunner:
    """Runs one layer after the other on all tokens of a text, and keeps their hidden states.

    A layer is run alone, with the arguments that the model itself would give it: they are captured
    for each batch by a pass in which every layer returns its input, so that masks of sliding
    windows, position embeddings and inputs that depend on the tokens are those of the family and of
    the batch. The layers of a decoder follow those of its encoder, whose last hidden states they
    are given as the changed layers leave them. Meanwhile the model is in eval mode, and no
    gradients are kept.

    Args:
        model: The model; weights of its layers need only be there while they are held.
        text: What is read.
        held: Has a layer of the model, by its number, in memory while it is run.
        share: Numbers of the batches that are run, those to fit before those held out; None for all
            of them.

    Attributes:
        on_batch: Function that is called when a layer has been run on a batch.

    Hidden states have shape (rows, tokens, hidden size), or that behind axes of their own where a
    model keeps several streams of them (Gemma 3n).

    Raises:
        RunError: A token is beyond the vocabulary.
        UnsupportedModelError: Layers run one by one do not do what they do in a whole pass.

    Cost: in addition to the passes asked for, three of two rows, one of each half of the text.
    Memory: all hidden states of all tokens, in the model's dtype, those beyond 1 GiB in files; of
        the other arguments of layers, what differs between batches.
    """

    def __init__(
        self,
        model: nn.Module,
        text: CalibrationText,
        held: Holder = always_held,
        share: Sequence[int] | None = None,
    ) -> None:
        self.module, self.held = model, held
        self.on_batch: Callable[[], None] = _nothing
        self._share = share
        self.device = next(each.device for each in model.parameters() if not each.is_meta)
        self.weights = ModelWeights(model)
        self._architecture = self.weights.architecture
        self._text = text
        self._batches: list[_Rows] = []
        self._storage = StateStorage()
        layers, name = self._layers(), self._architecture.model_type
        starts = [0, *accumulate(each.count for each in self._architecture.stacks)]
        self._stacks = [range(*ends) for ends in pairwise(starts)]  # numbers of layers
        self._capturers = [
            CallCapturer(layers[each.start : each.stop], name, each.start, held)
            for each in self._stacks
        ]
        self._stack = 0  # that hidden states and calls are of
        self._training = model.training
        self._open = ExitStack()

    @classmethod
    def of(cls, model: OpenedModel, text: CalibrationText) -> LayerwiseRunner:
        """One of an opened model, whose layers are read as they are run where it is on disk."""
        return cls(model.by_layers.module, text, model.by_layers.held)

    def __enter__(self) -> LayerwiseRunner:
        import torch

        self.module.eval()
        with ExitStack() as stack:
            stack.callback(self.module.train, self._training)
            stack.enter_context(torch.no_grad())
            stack.enter_context(limited_memory(self.device.type))
            self._begin()
            self._open = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._batches.clear()
        self._open.close()

    def moments(self, layer: int, *, advance: bool) -> dict[int, FitAndHoldout]:
        """Second moments of the groups of the layer that comes next, by their indices, ascending.

        Args:
            layer: That layer.
            advance: Whether hidden states become those behind the layer.
        """
        with self.held(layer):
            return finished(self.sums(layer, advance=advance))

    def sums(self, layer: int, *, advance: bool) -> dict[range, GroupMoments]:
        """The same as they are of this runner's batches, so that others' can be added."""
        self._reach(layer)
        with ExitStack() as stack:
            stack.enter_context(self.held(layer))
            sums = moments_of_layer(self.module, self._architecture, layer)
            for each in sums.values():
                stack.enter_context(each.watching())
            for batch in self._batches:
                for each in sums.values():
                    each.half, each.kept = batch.half, batch.kept
                hidden = self._through(layer, batch, batch.hidden)
                if advance:
                    batch.hidden = self._storage.replaced(batch.hidden, hidden)
        return sums

    def advance(self, layer: int) -> None:
        """Make hidden states those behind the layer, as its weights are now."""
        self._reach(layer)
        with self.held(layer):
            for batch in self._batches:
                hidden = self._through(layer, batch, batch.hidden)
                batch.hidden = self._storage.replaced(batch.hidden, hidden)

    @contextmanager
    def changed(self, change: Change) -> Iterator[None]:
        """Run layers as a change of the model leaves them, while open.

        Args:
            change: What changes layers that are held, for a while; it can be pickled.
        """
        with change(self.module, self._architecture):
            yield

    def held_out_states(self, tokens: int, text: CalibrationText | None = None) -> BatchStates:
        """Hidden states of some held-out tokens as they are now, for `final_states`.

        Args:
            tokens: Fewest tokens, if there are as many; whole batches are taken, evenly spread.
            text: The one, of those that are mixed, that they are of; None for any.
        """
        chosen = {id(batch) for batch in spread((text or self._text).held_out, tokens)}
        return [(each, each.hidden.clone()) for each in self._batches if id(each.batch) in chosen]

    def states(self, half: str) -> BatchStates:
        """Hidden states of one half of the text, `"fit"` or `"held_out"`, as they are now."""
        return [(each, each.hidden.clone()) for each in self._batches if each.half == half]

    def through(
        self, layer: int, states: BatchStates, tensors: Mapping[str, Tensor] | None = None
    ) -> BatchStates:
        """Hidden states behind a layer, as its weights are now, from those before it.

        Args:
            layer: The layer.
            states: Before it.
            tensors: What takes the place of some of its tensors, by their names in it.
        """
        with self.held(layer):
            return [(each, self._through(layer, each, hidden, tensors)) for each, hidden in states]

    def final_states(self, layer: int, states: BatchStates) -> Tensor:
        """Hidden states behind the last layer, from those before `layer`.

        All layers are run as they are now. Shape (tokens, hidden size), or (tokens, streams,
        hidden size) of a model with several streams; padding left out.
        """
        import torch

        for further in range(layer, self._architecture.layers):
            states = self.through(further, states)
        return torch.cat([batch.unpadded(hidden) for batch, hidden in states])

    def logits(self, rows: Tensor) -> Tensor:
        """Logits of final hidden states, shape (tokens, vocabulary), of a model of one stack.

        The model itself makes them: final norm, projection, scale, cap.

        Args:
            rows: Hidden states of the shape of `final_states`.
        """
        import torch

        # Each token is a row, so that masks stay small.
        states = rows[:, None].movedim((0, 1), (-3, -2))
        ids = torch.zeros(len(rows), 1, dtype=torch.long, device=rows.device)
        (capturer,) = self._capturers
        return capturer.behind(
            states, lambda: self.module(input_ids=ids, use_cache=False).logits[:, 0]
        )

    def _module(self, layer: int) -> nn.Module:
        return self.module.get_submodule(self._architecture.layer_names[layer])

    def _layers(self) -> list[nn.Module]:
        return [self._module(layer) for layer in range(self._architecture.layers)]

    def _through(
        self,
        layer: int,
        batch: _Rows,
        hidden: Tensor,
        tensors: Mapping[str, Tensor] | None = None,
    ) -> Tensor:
        """Hidden states of a batch behind a layer."""
        call = batch.calls[layer - self._stacks[self._stack].start]
        states = call.run(self._module(layer), hidden.to(self.device), tensors)
        self.on_batch()
        return states

    def _begin(self) -> None:
        """Embed every batch, and capture the arguments of the layers."""
        self._check_vocabulary()
        for batch in (self._text.fit[0], self._text.held_out[0]):
            self._check_layers(batch.fullest_row())
        self._stack = 0
        batches = [("fit", each) for each in self._text.fit]
        batches += [("held_out", each) for each in self._text.held_out]
        for number in range(len(batches)) if self._share is None else self._share:
            half, batch = batches[number]
            self._batches.append(self._stored(self._before(0, batch, half)))

    def _reach(self, layer: int) -> None:
        """Take every batch to the stack of a layer, behind those that all of it has passed."""
        if layer in self._stacks[self._stack]:
            return
        self._stack += 1
        for number, each in enumerate(self._batches):
            hidden = each.hidden.to(self.device)
            rows = self._before(self._stack, each.batch, each.half, hidden)
            self._batches[number] = self._stored(rows)

    def _stored(self, rows: _Rows) -> _Rows:
        """A batch with its hidden states where they stay."""
        return replace(rows, hidden=self._storage.placed(rows.hidden))

    def _before(
        self, stack: int, batch: TokenBatch, half: str, encoded: Tensor | None = None
    ) -> _Rows:
        """A batch before the layers of a stack.

        Args:
            stack: Number of the stack.
            batch: What is read.
            half: The half of the text that it is of.
            encoded: Hidden states behind the last layer of the stack before it.
        """
        inputs = self._inputs(batch.parts[stack].arguments)
        if encoded is not None:
            before = self._inputs(batch.parts[stack - 1].arguments)
            encoder = self._owner(stack - 1)
            inputs["encoder_hidden_states"] = self._capturers[stack - 1].behind(
                encoded, lambda: encoder(**before)[0]
            )
            inputs["encoder_attention_mask"] = before.get("attention_mask")
        hidden, calls = self._capturers[stack].capture(partial(self._owner(stack), **inputs))
        return _Rows(batch, half, hidden, calls, batch.parts[stack].kept(hidden.device))

    def _owner(self, stack: int) -> nn.Module:
        """The module that runs the layers of a stack."""
        return self.module.get_submodule(self._architecture.stems[stack].rpartition(".")[0])

    def _inputs(self, arguments: Mapping[str, Tensor]) -> dict[str, Any]:
        """Arguments of a model, on its device; it keeps no cache."""
        moved = {name: tensor.to(self.device) for name, tensor in arguments.items()}
        return {**moved, "use_cache": False}

    def _check_layers(self, row: TokenBatch) -> None:
        """Raise UnsupportedModelError unless layers run one by one do what a whole pass does.

        Each is run twice, as a refit runs it: a layer that keeps a state is refused.
        """
        name = self._architecture.model_type
        inputs = self._inputs(row.arguments)
        outputs = whole_pass(self.module, self._layers(), inputs, name, self.held)
        hidden = None
        for stack, layers in enumerate(self._stacks):
            self._stack = stack
            self._capturers[stack].outputs = outputs[layers.start : layers.stop]
            rows = self._before(stack, row, "fit", hidden)
            hidden = rows.hidden
            for layer in layers:
                with self.held(layer):
                    self._through(layer, rows, hidden.clone())
                    hidden = self._through(layer, rows, hidden)
                if not _alike(*map(rows.unpadded, (hidden, outputs[layer].states))):
                    raise UnsupportedModelError(
                        f"layer {layer} of {name} gives other values when it is run alone than in "
                        f"a whole pass, so it cannot be calibrated; {WITHOUT_TEXT}"
                    )

    def _check_vocabulary(self) -> None:
        embedding: Any = self.module.get_input_embeddings()  # type: ignore[operator]
        size = int(embedding.weight.shape[0])
        for part in self._text.parts:
            highest = int(part.input_ids.max())
            if highest >= size:
                raise RunError(
                    f"token {highest} of the calibration text is not one of the {size} tokens of "
                    "the model; use the model's own tokenizer"
                )


def _alike(states: Tensor, others: Tensor) -> bool:
    """Whether hidden states of tokens, shape (..., hidden size), are equal but for rounding.

    Others that are not finite are left out; `Moments.mean` names the layer where they begin.
    """
    import torch

    near = _ROUNDING * torch.finfo(others.dtype).eps
    finite = others.isfinite().all(-1)
    states, others = states[finite].double(), others[finite].double()
    return bool(((states - others).norm(dim=-1) <= near * others.norm(dim=-1)).all())


def _nothing() -> None:
    """What is done where nothing is to be told."""


def spread(batches: Sequence[TokenBatch], tokens: int) -> Sequence[TokenBatch]:
    """Batches evenly spread over all, as few as hold so many tokens."""
    for count in range(1, len(batches)):
        chosen = [batches[i * len(batches) // count] for i in range(count)]
        if sum(batch.tokens for batch in chosen) >= tokens:
            return chosen
    return batches
