"""Second moments of the activations of a layer's groups of neurons, as batches run through it.

A block that every token passes is read at the input of its down, and a routed expert from the
tokens that are sent to it. An expert adds g D h to the hidden state: g is the weight that the
router gives it, D its down, and h its activation. So the rows whose second moments are summed are
g h, which weighs each token as the output does. An expert to which few tokens are sent is shown
further tokens of its layer. The moments of other experts would not help it, as neuron 7 of one
expert has nothing to do with neuron 7 of another.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from ...arch import Architecture
from ...cut import owner_of
from ...errors import UnsupportedModelError
from .layer_calls import WITHOUT_TEXT, watched_inputs
from .moments import HALVES, FitAndHoldout, Moments

if TYPE_CHECKING:
    from jaxtyping import Float, Int
    from torch import Tensor, nn


Aside = dict[str, tuple["Tensor", "Tensor"]]
"""Of each half, hidden states that are held back, and the mean weight of each batch."""


class GroupMoments(Protocol):
    """Sums of some groups of a layer; `half` and `kept` are those of the batch that comes next.

    Attributes:
        half: `"fit"` or `"held_out"`.
        kept: Which of the batch's tokens are no padding, or `...` for all.
    """

    half: str
    kept: Any

    def watching(self) -> AbstractContextManager[None]:
        """While open, what runs through the layer is added to the sums."""

    def sums(self) -> tuple[Moments, ...]:
        """All its sums, in the same order for all that are of these groups."""

    def kept_aside(self) -> Aside:
        """What else the result depends on, on the CPU."""

    def add_aside(self, other: Aside) -> None:
        """Add what another, of the tokens behind these, has kept aside."""

    def result(self) -> tuple[FitAndHoldout, ...]:
        """The moments of each group, in their order; nothing is to be added any more."""


def finished(sums: Mapping[range, GroupMoments]) -> dict[int, FitAndHoldout]:
    """The moments of the groups of a layer, by their indices, ascending."""
    return {
        index: halves
        for indices, each in sums.items()
        for index, halves in zip(indices, each.result(), strict=True)
    }


def moments_of_layer(
    model: nn.Module, architecture: Architecture, layer: int
) -> dict[range, GroupMoments]:
    """Empty sums of all groups of a layer, by the indices of the groups that they are of.

    Raises:
        UnsupportedModelError: Its experts are built so that their activations cannot be read.
    """
    result: dict[range, GroupMoments] = {}
    for index, group in enumerate(architecture.groups):
        cut = architecture.cuts[group.down]
        if group.layer != layer or index != cut.group:
            continue
        neurons = architecture.width_of(index)
        if cut.stacked:
            experts = BuiltExperts(
                module=model.get_submodule(group.module),
                first=group.up.removeprefix(f"{group.module}."),
                fused=group.fused,
                transposed=cut.axis == 0,
            )
            result[cut.groups] = ExpertMoments(experts, neurons)
        else:
            result[cut.groups] = BlockMoments(owner_of(model, group.down)[0], neurons)
    return result


class BlockMoments:
    """Sums of one block that every token passes.

    Args:
        down: The linear layer whose input its activations are.
        neurons: Of the block.
    """

    half = "fit"
    kept: Any = ...

    def __init__(self, down: nn.Module, neurons: int) -> None:
        self._down = down
        device = next(down.parameters()).device
        self._moments = {half: Moments.empty(neurons, device) for half in HALVES}

    @contextmanager
    def watching(self) -> Iterator[None]:
        """While open, what runs through the layer is added to the sums."""

        def add(_: int, activations: Tensor) -> None:
            self._moments[self.half].add(activations.flatten(0, -2)[self.kept])

        with watched_inputs([self._down], add):
            yield

    def sums(self) -> tuple[Moments, ...]:
        """Those of both halves."""
        return tuple(self._moments.values())

    def kept_aside(self) -> Aside:
        """Nothing: every token passes the block."""
        return {}

    def add_aside(self, other: Aside) -> None:
        """Nothing is to be added."""

    def result(self) -> tuple[FitAndHoldout, ...]:
        """The moments of the block."""
        return (FitAndHoldout(fit=self._moments["fit"], held_out=self._moments["held_out"]),)


@dataclass(frozen=True, kw_only=True)
class BuiltExperts:
    """All experts of a layer as transformers builds them, each tensor holding all of them.

    Attributes:
        module: The module that has them.
        first: Name within it of the matrix that an expert's input meets first.
        fused: Whether that matrix holds gate and up.
        transposed: Whether weights have shape (experts, inputs, outputs).

    Raises:
        UnsupportedModelError: The experts are built otherwise.
    """

    module: Any
    first: str
    fused: bool
    transposed: bool

    def __post_init__(self) -> None:
        known = ("_apply_gate", "act_fn") if self._router is None else ("activation",)
        if self.weight.dim() != 3 or not any(hasattr(self.module, name) for name in known):
            raise UnsupportedModelError(
                f"the experts are built as {type(self.module).__name__}, whose activations "
                f"widthwise cannot read, so they cannot be calibrated; {WITHOUT_TEXT}"
            )

    @property
    def weight(self) -> Tensor:
        """The matrices that inputs meet first, shape (experts, outputs, inputs) or transposed."""
        return self.module.get_parameter(self.first)  # type: ignore[no-any-return]

    @property
    def _router(self) -> nn.Module | None:
        """The router, where the module holds it as well and is called with all tokens."""
        return getattr(self.module, "router", None)

    def activation(
        self, expert: int, hidden: Float[Tensor, "tokens hidden"]
    ) -> Float[Tensor, "tokens neurons"]:
        """What an expert gives to its down."""
        weight, module = self.weight[expert], self.module
        both = hidden.to(weight) @ (weight if self.transposed else weight.T)
        if (bias := getattr(module, f"{self.first}_bias", None)) is not None:
            both = both + bias[expert]
        activation: Tensor
        if not self.fused:
            activation = module.act_fn(both)
        elif hasattr(module, "_apply_gate"):
            activation = module._apply_gate(both)
        else:
            gate, up = both.chunk(2, dim=-1)
            act = module.act_fn if self._router is None else module.activation
            activation = act(gate) * up
        return activation

    def watched(self, watch: Callable[..., None]) -> AbstractContextManager[Any]:
        """While open, `watch` is called with what the experts are called with.

        That is hidden states, shape (tokens, hidden size), and of each token its experts and the
        weights of these, each of shape (tokens, active); or one tensor that holds every token once
        for each expert.
        """
        if self._router is None:

            def before(_: Any, arguments: tuple[Any, ...], options: dict[str, Any]) -> None:
                watch(*(each.detach() for each in [*arguments, *options.values()][:3]))

            hook: Any = self.module.register_forward_pre_hook(before, with_kwargs=True)
        else:

            def behind(_: Any, arguments: tuple[Any, ...], output: tuple[Any, ...]) -> None:
                (hidden,), (order, _, gates, tokens, *_) = arguments, output
                watch(hidden.detach(), *by_token(len(hidden), order, gates.detach(), tokens))

            hook = self._router.register_forward_hook(behind)
        return hook  # type: ignore[no-any-return]


def by_token(
    tokens: int, order: Int[Tensor, " sent"], gates: Float[Tensor, " sent"], counts: list[int]
) -> tuple[Int[Tensor, "tokens active"], Float[Tensor, "tokens active"]]:
    """Each token's experts and their weights, from what is sent to one expert after the other.

    Args:
        tokens: Number of tokens.
        order: Places in the table of each token's experts, in the order of experts.
        gates: Weights in that order.
        counts: How many tokens are sent to each expert.
    """
    import torch

    numbers = torch.arange(len(counts), device=order.device)
    experts = numbers.repeat_interleave(torch.tensor(counts, device=order.device))
    place = order.argsort()
    return experts[place].view(tokens, -1), gates[place].view(tokens, -1)


@dataclass
class ExpertMoments:
    """Sums of all experts of one layer, while batches run through it.

    Args:
        built: The experts.
        neurons: Of each expert.

    Memory: 8 I^2 bytes an expert, and as many hidden states of each half as an expert has neurons.
    """

    built: BuiltExperts
    neurons: int
    half: str = "fit"
    kept: Any = ...
    _moments: dict[tuple[str, int], Moments] = field(default_factory=dict)
    _others: dict[str, list[Tensor]] = field(default_factory=lambda: {h: [] for h in HALVES})
    _gates: dict[str, list[Tensor]] = field(default_factory=lambda: {h: [] for h in HALVES})

    def __post_init__(self) -> None:
        weight = self.built.weight
        self.experts = len(weight)
        for half in HALVES:
            for expert in range(self.experts):
                self._moments[half, expert] = Moments.empty(self.neurons, weight.device)

    @contextmanager
    def watching(self) -> Iterator[None]:
        """While open, what the experts are called with is added to the sums."""

        def add(hidden: Tensor, *sent: Tensor) -> None:
            if sent:
                self._add(hidden, *sent)
            else:
                self._add_all(hidden)

        with self.built.watched(add):
            yield

    def sums(self) -> tuple[Moments, ...]:
        """Those of each expert in both halves, of the tokens that are sent to it."""
        return tuple(self._moments.values())

    def kept_aside(self) -> Aside:
        """What experts of few tokens are shown, and the weights from which theirs is taken."""
        return {half: self._aside(half) for half in HALVES if self._gates[half]}

    def add_aside(self, other: Aside) -> None:
        """Add what another, of the tokens behind these, has kept aside."""
        device = self.built.weight.device
        for half, (hidden, gates) in other.items():
            self._hold_back(half, hidden.to(device))
            self._gates[half] += list(gates.to(device))

    def result(self) -> tuple[FitAndHoldout, ...]:
        """The moments of each expert, those of few tokens filled up from the layer's others."""
        sums = self._moments
        sent = [sum(sums[half, expert].tokens for half in HALVES) for expert in range(self.experts)]
        for half, expert in sums:
            self._fill_up(half, expert)
        return tuple(
            FitAndHoldout(fit=sums["fit", expert], held_out=sums["held_out", expert], sent=count)
            for expert, count in enumerate(sent)
        )

    def _add(
        self,
        hidden: Float[Tensor, "tokens hidden"],
        experts: Int[Tensor, "tokens active"],
        gates: Float[Tensor, "tokens active"],
    ) -> None:
        """Add one batch, each token to the experts that it is sent to."""
        hidden = hidden.flatten(0, -2)[self.kept]
        experts, gates = experts.flatten(0, -2)[self.kept], gates.flatten(0, -2)[self.kept]
        self._remember(hidden, gates)
        for expert in range(self.experts):
            tokens, slots = (experts == expert).nonzero(as_tuple=True)
            if len(tokens):
                rows = self.built.activation(expert, hidden[tokens])
                self._moments[self.half, expert].add(rows * gates[tokens, slots, None].to(rows))

    def _add_all(self, inputs: Float[Tensor, "rows hidden"]) -> None:
        """Add one batch that holds every token once for each expert, zero where it is not sent."""
        stacked = inputs.reshape(self.experts, -1, inputs.shape[-1])
        self._remember(stacked.sum(0)[self.kept], stacked.new_ones(1, 1))
        for expert, each in enumerate(stacked):
            rows = each[self.kept]
            rows = rows[rows.any(-1)]
            if len(rows):
                self._moments[self.half, expert].add(self.built.activation(expert, rows))

    def _remember(self, hidden: Tensor, gates: Tensor) -> None:
        """Hold hidden states back for experts that few tokens are sent to."""
        self._hold_back(self.half, hidden)
        self._gates[self.half].append(gates.float().mean())

    def _hold_back(self, half: str, hidden: Tensor) -> None:
        """As many hidden states of a half as an expert has neurons, the first of the text."""
        missing = self.neurons - sum(map(len, self._others[half]))
        if missing > 0:
            self._others[half].append(hidden[:missing])

    def _aside(self, half: str) -> tuple[Tensor, Tensor]:
        import torch

        return torch.cat(self._others[half]).cpu(), torch.stack(self._gates[half]).cpu()

    def _fill_up(self, half: str, expert: int) -> None:
        """Give an expert as many rows as it has neurons, with the mean weight of the layer."""
        import torch

        moments = self._moments[half, expert]
        missing = self.neurons - moments.tokens
        if missing > 0 and self._others[half]:
            rows = self.built.activation(expert, torch.cat(self._others[half])[:missing])
            moments.add(rows * torch.stack(self._gates[half]).mean().to(rows))
