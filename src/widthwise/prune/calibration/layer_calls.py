"""The arguments of the layers of a model in a forward pass, so that each can be run alone."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

from ...errors import UnsupportedModelError

if TYPE_CHECKING:
    from torch import Tensor, nn

WITHOUT_TEXT = "choose a criterion that needs no calibration, such as ppm"
_USUAL = "hidden_states"  # the name under which layers take hidden states, where they take them so


@dataclass(frozen=True, kw_only=True)
class LayerCall:
    """The arguments of one layer without its hidden states.

    Attributes:
        place: Position or keyword of the hidden states.
        arguments: Arguments by position.
        options: Arguments by keyword.
    """

    place: int | str
    arguments: tuple[Any, ...]
    options: Mapping[str, Any]

    def run(self, layer: nn.Module, hidden: Tensor) -> Tensor:
        """Hidden states behind a layer."""
        arguments, options = list(self.arguments), dict(self.options)
        if isinstance(self.place, int):
            arguments[self.place] = hidden
        else:
            options[self.place] = hidden
        return first_of(layer(*arguments, **options))


def first_of(result: Any) -> Tensor:
    """Hidden states among what a layer returns: all of it, or the first of several values."""
    states: Tensor = result[0] if isinstance(result, tuple) else result
    return states


@dataclass
class CallCapturer:
    """Captures the arguments of layers; equal tensors of several passes are held once.

    Args:
        layers: The layers in order.
        name: Name of the family, for messages.
        counts: Number of values that each layer returns, as `whole_pass` counts them.
    """

    layers: Sequence[nn.Module]
    name: str
    counts: Sequence[int] = ()
    _known: dict[tuple[Any, ...], Tensor] = field(default_factory=dict)

    def capture(self, run: Callable[[], object]) -> tuple[Tensor, list[LayerCall]]:
        """A pass in which every layer returns its input.

        Returns: Hidden states before the first layer, and the arguments of every layer, in order.

        Raises:
            UnsupportedModelError: The layers are not called once each, in order, or one of them
                without hidden states.
        """
        captured: list[tuple[int, LayerCall, Tensor]] = []

        def return_input(number: int, *arguments: Any, **options: Any) -> Any:
            call, hidden = self._call(number, arguments, options)
            captured.append((number, call, hidden))
            return returned(hidden, self.counts[number])

        forwards = [partial(return_input, number) for number in range(len(self.layers))]
        with patched_forward(self.layers, forwards):
            run()
        _check_order([number for number, _, _ in captured], len(self.layers), self.name)
        seen: dict[int, Any] = {}
        calls = [
            LayerCall(
                place=call.place,
                arguments=self._shared(call.arguments, (number,), seen),
                options=self._shared(dict(call.options), (number,), seen, is_call=True),
            )
            for number, call, _ in captured
        ]
        return captured[0][2], calls

    def _call(
        self, number: int, arguments: tuple[Any, ...], options: dict[str, Any]
    ) -> tuple[LayerCall, Tensor]:
        """One layer's call without its hidden states, and these."""
        from transformers import Cache

        places: list[int | str] = [0] if arguments else []
        places += [_USUAL, *options]
        for place in places:
            value: Any = arguments[place] if isinstance(place, int) else options.get(place)
            if getattr(value, "is_floating_point", bool)() and value.dim() == 3:
                break
        else:
            raise UnsupportedModelError(
                f"layer {number} of {self.name} is not called with hidden states of shape (rows, "
                f"tokens, hidden size), so it cannot be calibrated; {WITHOUT_TEXT}"
            )
        kept = [None if isinstance(each, Cache) else each for each in arguments]
        named = {key: None if isinstance(v, Cache) else v for key, v in options.items()}
        if isinstance(place, int):
            kept[place] = None
        else:
            named[place] = None
        return LayerCall(place=place, arguments=tuple(kept), options=named), value

    def _shared(
        self, value: Any, path: tuple[Any, ...], seen: dict[int, Any], *, is_call: bool = False
    ) -> Any:
        """The value, its tensors taken from an earlier pass where they are equal to those.

        A mapping is left as it is: layers of one pass may write into it for those after them.
        """
        import torch

        if isinstance(value, torch.Tensor):
            if id(value) not in seen:
                path = (*path, tuple(value.shape), value.dtype)
                known = self._known.get(path, value)
                self._known[path] = seen[id(value)] = known if torch.equal(known, value) else value
            return seen[id(value)]
        if type(value) in (tuple, list):
            return type(value)(
                self._shared(each, (*path, number), seen) for number, each in enumerate(value)
            )
        if is_call:
            return {key: self._shared(each, (*path, key), seen) for key, each in value.items()}
        return value


def whole_pass(
    model: nn.Module, layers: Sequence[nn.Module], inputs: Mapping[str, Any], name: str
) -> list[tuple[int, Tensor]]:
    """A pass of the whole model, as it is.

    Returns: Of every layer, how many values it returns (0 for hidden states that are no tuple),
        and its hidden states.

    Raises:
        UnsupportedModelError: The layers are not run once each, in order.
    """
    import torch

    outputs: list[tuple[int, int, Any]] = []

    def record(number: int, _: nn.Module, __: Any, result: Any) -> None:
        count = len(result) if isinstance(result, tuple) else 0
        outputs.append((number, count, first_of(result)))

    with ExitStack() as hooks:
        for number, layer in enumerate(layers):
            hooks.enter_context(layer.register_forward_hook(partial(record, number)))
        model(**inputs)
    _check_order([number for number, _, _ in outputs], len(layers), name)
    for number, _, states in outputs:
        if not isinstance(states, torch.Tensor):
            raise UnsupportedModelError(
                f"layer {number} of {name} returns no hidden states, so it cannot be calibrated; "
                f"{WITHOUT_TEXT}"
            )
    return [(count, states.detach().clone()) for _, count, states in outputs]


def returned(hidden: Tensor, count: int) -> Any:
    """Hidden states in the form in which a layer returns them, and nothing else."""
    return (hidden, *[None] * (count - 1)) if count else hidden


@contextmanager
def patched_forward(
    modules: Sequence[nn.Module], forwards: Sequence[Callable[..., Any]]
) -> Iterator[None]:
    """Other functions in place of the forward passes of some modules, while open."""
    before: list[Mapping[str, Any]] = [
        {"forward": module.__dict__["forward"]} if "forward" in module.__dict__ else {}
        for module in modules
    ]
    try:
        for module, forward in zip(modules, forwards, strict=True):
            module.forward = forward
        yield
    finally:
        for module, attributes in zip(modules, before, strict=True):
            module.__dict__.pop("forward", None)
            module.__dict__.update(attributes)


@contextmanager
def watched_inputs(
    modules: Sequence[nn.Module], watch: Callable[[int, Tensor], None]
) -> Iterator[None]:
    """While open, `watch` is called with the number of each module that runs, and its input."""

    def hook(number: int) -> Callable[..., None]:
        return lambda _, inputs: watch(number, inputs[0].detach())

    with ExitStack() as hooks:
        for number, module in enumerate(modules):
            hooks.enter_context(module.register_forward_pre_hook(hook(number)))
        yield


def check_reached(numbers: Collection[int], layers: int, name: str) -> None:
    """Raise UnsupportedModelError for layers that a pass over text leaves out."""
    absent = sorted(set(range(layers)) - set(numbers))
    if absent:
        is_single = len(absent) == 1
        raise UnsupportedModelError(
            f"{'layer' if is_single else 'layers'} {', '.join(map(str, absent))} of {name} "
            f"{'is' if is_single else 'are'} not used for text, so text cannot calibrate "
            f"{'it' if is_single else 'them'}; {WITHOUT_TEXT}"
        )


def _check_order(numbers: Sequence[int], layers: int, name: str) -> None:
    """Raise UnsupportedModelError unless the layers are called once each and in order."""
    check_reached(numbers, layers, name)
    if list(numbers) != list(range(layers)):
        raise UnsupportedModelError(
            f"the layers of {name} are not run once each and in order, so they cannot be "
            f"calibrated one by one; {WITHOUT_TEXT}"
        )
