"""One loaded model at every width: neurons stand best first, and a width is a view of the first."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from ..arch import Target, TensorCut, Width, resolve
from ..cut import (
    ModelWeights,
    Plan,
    check_finite,
    cut_tensor,
    fingerprint,
    owner_of,
    scaled_rows,
    scales_by_name,
    set_sizes,
)
from ..errors import PlanError, TargetError
from .criteria import best_first
from .selection import plan_of, score_group
from .spec import PruneSpec

if TYPE_CHECKING:
    from torch import Tensor, nn

    from ..cut import Refit

Model = TypeVar("Model", bound="nn.Module")
Widths = tuple[int, ...]  # one of each kind of group


class Nested(Generic[Model]):
    """A model in memory whose GLU blocks take any width in milliseconds, copying no weights.

    What a criterion keeps at a width it keeps at every larger width. So the neurons are sorted
    once, best first, in the model's own memory, and a cut is a view: the first rows of gate and
    up, the first columns of down. The same model object is narrow inside `at`, and whole again
    after it, also after an exception.

        with Nested(model) as nested:
            for criterion in ("ppm", "random"):
                nested.sort(criterion)
                for width in (1376, 1088, 768):
                    with nested.at(width) as narrow:
                        narrow(input_ids)

    Logits are those of `apply(model, plan)` up to the order in which down_proj adds neurons; in
    bfloat16 that is a difference as large as that of either from float32. Between `sort` and
    `close` the weights stand sorted in the model: take its plans from `plan`, as `make_plan` would
    number the neurons by their new places. `close` puts every bit back where it was, and
    `at(intermediate_size)` does so for its duration.

    Widths that were refitted, or chosen by moments, come by `sort_by`: gate and up are views then
    as well, and down_proj is the refit's own weight, in its own memory; so are tensors whose rows
    the refit scales.

    Weights changed inside `at` (training) are changed in the model, but for a refit's down_proj,
    whose changes end with the width. Gradients made there belong
    to parameters of that width, which end with it.

    The columns of down are left strided: on the CPU a product with them takes as long as with a
    contiguous copy (within 7 %, the noise, at 1 to 2048 tokens, bfloat16 and float32; torch 2.13,
    H 576, I 1536), while a transposed copy takes twice as long for one token in float32.

    Raises:
        UnsupportedModelError: No plain GLU blocks, or weights that hold no data.
        CheckpointError: A weight is NaN or Inf.

    Cost: `sort` reads and writes every GLU weight once, `at` none; where gate and up are stored as
    one `gate_up_proj`, as of all experts of a layer, `at` moves half of its rows within it (0.1 s
    for 30 layers of that size).
    Memory beyond the model's own: while weights move, one tensor of one layer; while they are
    scored, what `make_plan` needs; otherwise the orders, 8 bytes a neuron.
    """

    def __init__(self, model: Model) -> None:
        import torch

        self._weights = ModelWeights(model)
        architecture = self._weights.architecture
        for name in architecture.cuts:
            rows = architecture.tensors[name].shape[0]
            check_finite(self._weights.rows(name, 0, rows), name)
        self._model = model
        self._fingerprint = fingerprint(self._weights)
        self._own_order = tuple(map(torch.arange, architecture.neurons()))
        # Per tensor, not per group: an interrupt between two tensors can still be undone.
        self._stands = {
            (name, group): self._own_order[group]
            for name, cut in architecture.cuts.items()
            for group in cut.groups
        }
        self._orders: tuple[Tensor, ...] | None = None
        self._spec: PruneSpec | None = None
        self._cuts: dict[Widths, Plan | Refit] = {}
        self._whole: dict[str, nn.Parameter] = {}
        self._at: Widths | None = None
        self._closed = False

    def sort(
        self,
        criterion: str = "ppm",
        seed: int = 0,
        activation_norms: Mapping[int, Tensor] | None = None,
    ) -> None:
        """Order the neurons of every layer by a criterion; again for another one.

        Args:
            criterion, seed: As for `make_plan`.
            activation_norms: Layer to norms of shape (neurons,), for `ppm_activation`, taken with
                the neurons in their own order: before `sort`, or in `at(intermediate_size)`.

        Raises:
            PlanError: Unknown criterion, missing norms, closed, or inside `at`. Where a score
                cannot be had, the neurons stand in their own order, not sorted.
        """
        self._check_free("sort")
        # The width is not used: a spec also checks criterion and seed.
        self._spec = PruneSpec(target=Target("width", "1"), criterion=criterion, seed=seed)
        self._orders, self._cuts = None, {}
        self._arrange(self._own_order)  # of equal scores the lower index of the dense model is kept
        scores = [
            score_group(self._weights, group, criterion, seed, activation_norms)
            for group in range(len(self._own_order))
        ]
        self._orders = tuple(map(best_first, scores))
        self._arrange(self._orders)

    def sort_by(self, cuts: Sequence[Plan | Refit]) -> None:
        """Order the neurons by plans or refits that were made, one a width; no others can be taken.

        Logits at a width are those of `apply(model, plan)`, or `apply(model, refit.plan, refit)`.

        Args:
            cuts: Plans or refits of one criterion, as of `refits`: what a width keeps a larger one
                keeps as well.

        Raises:
            PlanError: A plan of other weights, none, two of one width, or sets that do not nest;
                closed, or inside `at`. The neurons then stand as they stood.
        """
        self._check_free("sort")
        result = {_plan_of(cut).kind_widths: cut for cut in cuts}
        plans = [_plan_of(result[widths]) for widths in sorted(result)]
        if not plans or len(result) < len(cuts):
            raise PlanError("sort takes one plan or more, each with a different width")
        if not all(plan.uniform for plan in plans):
            raise PlanError("sort takes only plans with the same width in all layers")
        if any(plan.fingerprint != self._fingerprint for plan in plans):
            raise PlanError(
                "a plan was made for other GLU weights than those of the model; make a new plan"
            )
        orders = tuple(
            _nested_order(plans, group, len(own)) for group, own in enumerate(self._own_order)
        )
        self._orders, self._spec, self._cuts = orders, None, result
        self._arrange(orders)

    def plan(self, width: int | Widths) -> Plan:
        """The plan whose cut `at(width)` shows: `make_plan(model, width=width, align=1, ...)`, or
        one of those that `sort_by` was given.

        Args:
            width: Of a mixture of experts that of a routed expert, the other kinds of groups in
                proportion; or the width of each kind.

        Raises:
            TargetError: The width is not a whole number in [1, intermediate_size - 1].
            PlanError: Not sorted yet, sorted by plans of other widths, or closed.
        """
        widths = self._checked(width)
        if self._cuts:
            return _plan_of(self._cuts[widths])
        assert self._orders is not None
        assert self._spec is not None
        architecture = self._weights.architecture
        counts = architecture.neurons(widths)
        keep = tuple(
            tuple(sorted(order[:count].tolist()))
            for order, count in zip(self._orders, counts, strict=True)
        )
        asked = Width(f"--width {width}", widths[0], widths[0], 1, widths)
        return plan_of(self._weights, asked, self._spec, keep, self._fingerprint)

    def _checked(self, width: int | Widths) -> Widths:
        """The width of every kind, for which neurons are sorted."""
        self._check_open()
        if not self._cuts and self._orders is None:
            raise PlanError("neurons must be sorted before at(width); call sort(criterion) first")
        widths = self._widths(width)
        if self._cuts and widths not in self._cuts:
            known = ", ".join(map(_words, sorted(self._cuts)))
            raise PlanError(f"there are plans for width {known}; got {width}")
        return widths

    def _widths(self, width: int | Widths) -> Widths:
        """The width of every kind, found to be narrower than the model."""
        architecture = self._weights.architecture
        if not isinstance(width, tuple):
            return resolve(architecture, Target("width", str(width)), align=1).widths
        kinds = architecture.kinds
        is_right = len(width) == len(kinds) and all(
            type(each) is int and 0 < each <= kind.width
            for each, kind in zip(width, kinds, strict=True)
        )
        if not is_right or width == architecture.dense_widths:
            raise TargetError(
                f"--width must have a number of neurons for each of "
                f"{', '.join(f'{kind.name} (width {kind.width})' for kind in kinds)}, not all as "
                f"wide as the model; got {width}"
            )
        return width

    @contextmanager
    def at(self, width: int | Widths) -> Iterator[Model]:
        """The model itself, every GLU block cut to `width` neurons until the context ends.

        `at(intermediate_size)` is the dense model to the bit, its neurons in their own order.

        Args:
            width: As for `plan`.

        Raises:
            TargetError: The width is out of range.
            PlanError: Not sorted yet, closed, or inside another `at`.
        """
        self._check_free("take a width")
        dense = self._weights.architecture.dense_widths
        is_dense = width in (dense, dense[0])
        widths = dense if is_dense else self._checked(width)
        model: Any = self._model
        run_by = self._weights.architecture.is_mixture and model.get_experts_implementation()
        self._at = widths
        try:
            if is_dense:
                self._arrange(self._own_order)
            else:
                self._narrow(widths)
            yield self._model
        finally:
            if is_dense:
                self._arrange(self._orders or self._own_order)
            else:
                self._widen(widths)
                if run_by:
                    model.set_experts_implementation(run_by)
            self._at = None

    def close(self) -> None:
        """Put every weight back to its own place, bit for bit. A second call does nothing.

        Raises:
            PlanError: Inside `at`.
        """
        if not self._closed:
            self._check_free("close")
            self._arrange(self._own_order)
            self._closed = True

    def __enter__(self) -> Nested[Model]:
        self._check_open()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _check_open(self) -> None:
        if self._closed:
            raise PlanError("this Nested is closed; make another one of its model")

    def _check_free(self, what: str) -> None:
        self._check_open()
        if self._at is not None:
            raise PlanError(
                f"the model must have its full width to {what}, but it is at width "
                f"{_words(self._at)}; "
                "leave that `with` block first"
            )

    def _arrange(self, orders: Sequence[Tensor]) -> None:
        """Move neurons within their tensors until group g has neuron orders[g][j] at place j."""
        architecture = self._weights.architecture
        for name, cut in architecture.cuts.items():
            tensor = getattr(*owner_of(self._model, name)).detach()
            parts = tensor if cut.stacked else [tensor]
            for group, part in zip(cut.groups, parts, strict=True):
                stands, order = self._stands[name, group], orders[group]
                if not stands.equal(order):
                    moves = stands.argsort()[order]
                    part.copy_(cut_tensor(part, cut, moves, len(order)))
                    self._stands[name, group] = order

    def _narrow(self, widths: Widths) -> None:
        """Show the first neurons of every tensor as a parameter on the same memory."""
        import torch

        architecture = self._weights.architecture
        counts = architecture.neurons(widths)
        for name, cut in architecture.cuts.items():
            module, attribute = owner_of(self._model, name)
            whole = getattr(module, attribute)
            count, size = counts[cut.group], len(self._own_order[cut.group])
            _bring_up(whole.detach(), cut, count, size, back=False)
            self._whole[name] = whole
            view = whole.detach().narrow(cut.stored_axis, 0, cut.parts * count)
            if name == architecture.groups[cut.group].down:
                view = self._fitted(widths, name, view)
            setattr(module, attribute, torch.nn.Parameter(view, requires_grad=whole.requires_grad))
        cut_at = self._cuts.get(widths)
        refit = None if isinstance(cut_at, Plan) else cut_at
        for name, scales in scales_by_name(architecture, refit).items():
            module, attribute = owner_of(self._model, name)
            self._whole[name] = whole = getattr(module, attribute)
            own = scaled_rows(whole.detach(), scales)
            setattr(module, attribute, torch.nn.Parameter(own, requires_grad=whole.requires_grad))
        set_sizes(self._model, architecture, widths)

    def _fitted(self, widths: Widths, name: str, view: Tensor) -> Tensor:
        """The refitted weight of a down in the order in which neurons stand, where there is one."""
        import torch

        refit, cut = self._cuts.get(widths), self._weights.architecture.cuts[name]
        if refit is None or isinstance(refit, Plan):
            return view
        result = []
        for group in cut.groups:
            # Place j holds the neuron stands[j]; its column is at the rank of its index, as `keep`.
            down = refit.down[group]
            places = self._stands[name, group][: down.shape[1]].argsort().argsort()
            result.append(down[:, places] if cut.axis == 1 else down[:, places].T)
        return (torch.stack(result) if cut.stacked else result[0]).to(view)

    def _widen(self, widths: Widths) -> None:
        """Undo `_narrow`, also one that stopped half-way."""
        architecture = self._weights.architecture
        counts = architecture.neurons(widths)
        for name in list(self._whole):
            whole, cut = self._whole.pop(name), architecture.cuts.get(name)
            setattr(*owner_of(self._model, name), whole)
            if cut is None:  # one whose rows were scaled
                continue
            count, size = counts[cut.group], len(self._own_order[cut.group])
            _bring_up(whole.detach(), cut, count, size, back=True)
        set_sizes(self._model, architecture, architecture.dense_widths)


def _words(widths: Widths) -> str:
    return " and ".join(map(str, widths))


def _plan_of(cut: Plan | Refit) -> Plan:
    return cut if isinstance(cut, Plan) else cut.plan


def _nested_order(plans: Sequence[Plan], group: int, size: int) -> Tensor:
    """Neurons of a group such that each plan, from narrow to wide, keeps the first ones."""
    import torch

    order: list[int] = []
    for kept in (*(plan.keep[group] for plan in plans), range(size)):
        if not set(order) <= set(kept):
            raise PlanError(
                f"in {plans[0].unit} {group}, a narrower plan keeps neurons that a wider plan does "
                "not keep; plans must be nested"
            )
        order += sorted(set(kept) - set(order))
    return torch.tensor(order)


def _bring_up(tensor: Tensor, cut: TensorCut, count: int, size: int, *, back: bool) -> None:
    """Where one tensor holds gate above up: move the kept rows of up to just below those of gate.

    The rows between, dropped ones of gate, go below them: a rotation, so that `back` undoes it.

    Args:
        tensor: A whole tensor.
        cut: How it depends on the width.
        count, size: Neurons that are kept, and that there are.
        back: Whether to undo it.
    """
    if cut.parts == 2 and not cut.interleaved:
        rows = tensor.narrow(cut.stored_axis, count, size)
        rows.copy_(rows.roll(-count if back else count, cut.stored_axis))
