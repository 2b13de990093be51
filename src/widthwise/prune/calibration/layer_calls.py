"""The arguments of the layers of a model in a forward pass, so that each can be run alone."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

from ...errors import UnsupportedModelError

if TYPE_CHECKING:
    from torch import Tensor, nn

# Has the weights of a layer, by its number, in memory while open.
Holder = Callable[[int], AbstractContextManager[object]]
always_held: Holder = nullcontext

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

    def run(
        self, layer: nn.Module, hidden: Tensor, tensors: Mapping[str, Tensor] | None = None
    ) -> Tensor:
        """Hidden states behind a layer; with tensors in the place of its own, by their names."""
        import torch

        arguments, options = list(self.arguments), dict(self.options)
        if isinstance(self.place, int):
            arguments[self.place] = hidden
        else:
            options[self.place] = hidden
        if not tensors:
            return first_of(layer(*arguments, **options))
        called = torch.func.functional_call(layer, dict(tensors), tuple(arguments), options)
        return first_of(called)


def first_of(result: Any) -> Tensor:
    """Hidden states among what a layer returns: all of it, or the first of several values."""
    states: Tensor = result[0] if isinstance(result, tuple) else result
    return states


@dataclass(frozen=True, kw_only=True)
class LayerOutput:
    """What a layer returns in a pass of the whole model.

    Attributes:
        states: Hidden states.
        count: Number of values; 0 for hidden states that are no tuple.
        has_more: Whether there are tensors beside the hidden states, such as a table of positions
            that the first layer makes for those after it.
    """

    states: Tensor
    count: int
    has_more: bool


@dataclass
class CallCapturer:
    """Captures the arguments of a stack of layers; equal tensors of several passes are held once.

    Args:
        layers: The layers in order.
        name: Name of the family, for messages.
        first: Number of the first of them.
        held: Has a layer, by its number, in memory where it is run.
        outputs: What each of them returned to `whole_pass`.
    """

    layers: Sequence[nn.Module]
    name: str
    first: int = 0
    held: Holder = always_held
    outputs: Sequence[LayerOutput] = ()
    _known: dict[tuple[Any, ...], Tensor] = field(default_factory=dict)

    def capture(self, run: Callable[[], object]) -> tuple[Tensor, list[LayerCall]]:
        """A pass in which every layer returns its input.

        A layer that returns tensors beside its hidden states is run for these, which must not
        depend on the hidden states.

        Returns: Hidden states before the first layer, and the arguments of every layer, in order.

        Raises:
            UnsupportedModelError: The layers are not called once each, in order, or one of them
                without hidden states.
        """
        captured: list[tuple[int, LayerCall, Tensor]] = []
        forward = [layer.forward for layer in self.layers]

        def return_input(number: int, *arguments: Any, **options: Any) -> Any:
            call, hidden = self._call(number, arguments, options)
            captured.append((number, call, hidden))
            output = self.outputs[number]
            more: Sequence[Any] = ()
            if output.has_more:
                with self.held(self.first + number):
                    more = forward[number](*arguments, **options)[1:]
            return _returned(hidden, output.count, more)

        forwards = [partial(return_input, number) for number in range(len(self.layers))]
        with patched_forward(self.layers, forwards):
            run()
        numbers = [self.first + number for number, _, _ in captured]
        _check_order(numbers, range(self.first, self.first + len(self.layers)), self.name)
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

    def behind(self, states: Tensor, run: Callable[[], Tensor]) -> Tensor:
        """What a pass makes of these states behind the last layer: all layers return them."""
        forwards = [
            partial(lambda count, *_, **__: _returned(states, count), output.count)
            for output in self.outputs
        ]
        with patched_forward(self.layers, forwards):
            return run()

    def _call(
        self, number: int, arguments: tuple[Any, ...], options: dict[str, Any]
    ) -> tuple[LayerCall, Tensor]:
        """One layer's call without its hidden states, and these."""
        from transformers import Cache

        axes = self.outputs[number].states.dim()  # of several streams they have one more
        places: list[int | str] = [0] if arguments else []
        places += [_USUAL, *options]
        for place in places:
            value: Any = arguments[place] if isinstance(place, int) else options.get(place)
            if getattr(value, "is_floating_point", bool)() and value.dim() == axes:
                break
        else:
            raise UnsupportedModelError(
                f"layer {self.first + number} of {self.name} is not called with hidden states of "
                f"the shape that it returns, so it cannot be calibrated; {WITHOUT_TEXT}"
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
    model: nn.Module,
    layers: Sequence[nn.Module],
    inputs: Mapping[str, Any],
    name: str,
    held: Holder = always_held,
) -> list[LayerOutput]:
    """A pass of the whole model, as it is: what every layer returns.

    Args:
        model: The model.
        layers: All of its layers, in order.
        inputs: Its arguments.
        name: Name of the family, for messages.
        held: Has a layer, by its number, in memory while it is run.

    Raises:
        UnsupportedModelError: The layers are not run once each, in order.
    """
    import torch

    outputs: list[tuple[int, Any]] = []
    forward = [layer.forward for layer in layers]

    def record(number: int, *arguments: Any, **options: Any) -> Any:
        with held(number):
            result = forward[number](*arguments, **options)
        outputs.append((number, result))
        return result

    with patched_forward(layers, [partial(record, number) for number in range(len(layers))]):
        model(**inputs)
    _check_order([number for number, _ in outputs], range(len(layers)), name)
    for number, result in outputs:
        if not isinstance(first_of(result), torch.Tensor):
            raise UnsupportedModelError(
                f"layer {number} of {name} returns no hidden states, so it cannot be calibrated; "
                f"{WITHOUT_TEXT}"
            )
    return [
        LayerOutput(
            states=first_of(result).detach().clone(),
            count=len(result) if isinstance(result, tuple) else 0,
            has_more=isinstance(result, tuple) and any(torch.is_tensor(e) for e in result[1:]),
        )
        for _, result in outputs
    ]


def _returned(hidden: Tensor, count: int, more: Sequence[Any] = ()) -> Any:
    """Hidden states in the form in which a layer returns them, with nothing else but `more`."""
    return (hidden, *(more or [None] * (count - 1))) if count else hidden


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


def check_reached(numbers: Collection[int], layers: range, name: str) -> None:
    """Raise UnsupportedModelError for layers that a pass over text leaves out."""
    absent = sorted(set(layers) - set(numbers))
    if absent:
        is_single = len(absent) == 1
        raise UnsupportedModelError(
            f"{'layer' if is_single else 'layers'} {', '.join(map(str, absent))} of {name} "
            f"{'is' if is_single else 'are'} not used for text, so text cannot calibrate "
            f"{'it' if is_single else 'them'}; {WITHOUT_TEXT}"
        )


def _check_order(numbers: Sequence[int], layers: range, name: str) -> None:
    """Raise UnsupportedModelError unless the layers are called once each and in order."""
    check_reached(numbers, layers, name)
    if list(numbers) != list(layers):
        raise UnsupportedModelError(
            f"the layers of {name} are not run once each and in order, so they cannot be "
            f"calibrated one by one; {WITHOUT_TEXT}"
        )
