"""What a calibrated cut takes, from shapes alone: operations, memory and disk.

Operations are counted by kinds (`CutWork`), as a machine does each kind at a pace of its own.
Norms, activations and the reading of the text are left out.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from functools import cached_property
from typing import TypedDict, Unpack

from ..arch import Architecture, TokenFlops, active_shares, token_flops
from ..cut.checkpoint import KEPT_BYTES
from ..io import DTYPE_BYTES
from .calibration.answers import JUDGED_TOKENS, READ_TOKENS
from .calibration.moments import Moments
from .calibration.state_storage import MEMORY_BYTES
from .calibration.text import BATCH_BLOCKS, BLOCK_TOKENS
from .refitting.scale_tuner import HELD_OUT, MOST_TOKENS, STEP_ROWS
from .selection import planned_width
from .sensitivity import MEASURED_WIDTHS
from .spec import PruneSpec

_RIDGES = 4  # that are tried of a group; 3 to 5 of those of real models
_TRIAL_ROWS = 2  # a block of each half, by which layers are checked: in a whole pass, and
_TRIAL_PASSES = 3  # twice layer by layer
_TRIAL_READS = 4  # of each layer, for these rows
_WRITING = 3  # a number that is read, hashed and written takes so many times what reading takes
_PROGRAM_BYTES = 700_000_000  # Python, torch, transformers, a tokenizer and the embedded text
_LOGITS_BYTES = 300_000_000
_REFIT_BYTES = 24  # times I^2: the sums of a group and what its refit makes of them; and
_WEIGHT_BYTES = 32  # times I H: down_proj and changes of it, in float32 (both were measured)


@dataclass(frozen=True, kw_only=True)
class CutWork:
    """Operations of a calibrated cut; or, as the pace of a machine, how many it does in a second.

    Attributes:
        passes: FLOPs of products of weights with hidden states, in the dtype the model is run in.
        attention: FLOPs of scores of attention, and of the sums that they weigh.
        moments: FLOPs of the moments, and of logits.
        factors: FLOPs of Cholesky factorizations, in float32.
        products: FLOPs of the products and the triangular solves of refits, in float32.
        numbers: Weights that are read from files.

    A multiply-add is 2 FLOPs.
    """

    passes: float
    attention: float
    moments: float
    factors: float
    products: float
    numbers: float

    def __add__(self, other: CutWork) -> CutWork:
        names = [each.name for each in fields(self)]
        return CutWork(**{name: getattr(self, name) + getattr(other, name) for name in names})

    def seconds(self, pace: CutWork) -> float:
        """How long the work takes at a pace."""
        times = (getattr(self, each.name) / getattr(pace, each.name) for each in fields(self))
        return float(sum(times))


class CutSteps(TypedDict, total=False):
    """Steps of a calibrated cut that may be done or left out.

    Attributes:
        sequential: Whether each layer is refitted behind those already cut; it is by default.
        by_layers: Whether widths by layers are chosen first, as `per_layer` does.
        scales: Whether rows of the weights are scaled after the refit.
    """

    sequential: bool
    by_layers: bool
    scales: bool


@dataclass(frozen=True, kw_only=True)
class CutEstimate:
    """What a calibrated cut of a model on disk takes; sizes are in bytes.

    Attributes:
        tokens: Most tokens of the text.
        work: Operations, of all layers.
        memory_bytes: Most memory that the process has at one time; of a model on CUDA, most of it
            is that of the device. On CPUs it was 13 % too little to 9 % too much.
        least_bytes: What is needed for certain, on any text, without the program itself.
        state_bytes: Of hidden states in files, in the folder for temporary files (TMPDIR).
        kept_bytes: Of refitted layers, which lie beside the result until it is written.
        result_bytes: Of the weights of the result, as a checkpoint.
    """

    tokens: int
    work: CutWork
    memory_bytes: int
    least_bytes: int
    state_bytes: int
    kept_bytes: int
    result_bytes: int

    @classmethod
    def of(
        cls,
        architecture: Architecture,
        spec: PruneSpec,
        tokens: int,
        *,
        dtype: str = "BF16",
        refitted: bool = True,
        **steps: Unpack[CutSteps],
    ) -> CutEstimate:
        """What a cut to one width takes on one text of so many tokens.

        Args:
            architecture: The model.
            spec: The width and the criterion.
            tokens: Tokens of the text.
            dtype: safetensors name of the dtype that the model is run in: BF16 or F32.
            refitted: Whether down_proj is refitted, as `prune` does, and not only a plan made.
            **steps: What is done, as `CutSteps` name it.

        Raises:
            TargetError: The model has no such width.
            UnsupportedModelError: A config does not say how many experts a token passes.
        """
        cut = _Cut(architecture, spec, tokens, dtype)
        work = cut.work(is_refitted=refitted, is_sequential=steps.get("sequential", True))
        if steps.get("by_layers"):
            work += cut.allocation_work()
        if refitted and steps.get("scales") and architecture.is_causal:
            work += cut.scaling_work()
        kept, result = (cut.kept_bytes, cut.result_bytes) if refitted else (0, 0)
        return cls(
            tokens=tokens,
            work=work,
            memory_bytes=cut.memory_bytes(is_refitted=refitted),
            least_bytes=cut.least_bytes(is_refitted=refitted),
            state_bytes=max(0, cut.state_bytes - MEMORY_BYTES),
            kept_bytes=kept,
            result_bytes=result,
        )


@dataclass(frozen=True)
class _Group:
    """Neurons before and after the cut, tokens that pass them, and whether they are an expert's."""

    layer: int
    neurons: int
    kept: int
    tokens: float
    is_expert: bool


@dataclass(frozen=True)
class _Cut:
    """A cut as its estimate needs it; arguments as of `CutEstimate.of`."""

    architecture: Architecture
    spec: PruneSpec
    tokens: int
    dtype: str

    @cached_property
    def read(self) -> int:
        """Tokens that each stack of layers reads."""
        return self.tokens // len(self.architecture.stacks)

    @cached_property
    def widths(self) -> tuple[int, ...]:
        return self.spec.width(self.architecture).widths

    @cached_property
    def token_flops(self) -> tuple[TokenFlops, TokenFlops]:
        """FLOPs of a token of a block of text, before and after the cut."""
        model, context = self.architecture, BLOCK_TOKENS
        return token_flops(model, context=context), token_flops(model, self.widths, context=context)

    @cached_property
    def groups(self) -> list[_Group]:
        shares, groups = active_shares(self.architecture), []
        neurons = zip(
            self.architecture.groups,
            self.architecture.neurons(),
            self.architecture.neurons(self.widths),
            strict=True,
        )
        for group, before, after in neurons:
            is_expert = group.expert is not None
            tokens = self.read * float(shares[group.layer]) if is_expert else self.read
            groups.append(_Group(group.layer, before, after, tokens, is_expert))
        return groups

    @cached_property
    def layer_numbers(self) -> list[int]:
        """Weights of each layer."""
        counts = dict.fromkeys(self.architecture.layer_names, 0)
        for name, spec in self.architecture.tensors.items():
            for stem in self.architecture.stems:
                number = name.removeprefix(f"{stem}.").partition(".")[0]
                if name.startswith(f"{stem}.{number}.") and f"{stem}.{number}" in counts:
                    counts[f"{stem}.{number}"] += spec.numel
        return [*counts.values()]

    @property
    def stays(self) -> bool:
        """Whether all layers stay in memory once they were read."""
        return sum(self.layer_numbers) * DTYPE_BYTES[self.dtype] <= KEPT_BYTES

    @property
    def judged(self) -> int:
        """Held-out tokens on which the dense and the cut model are compared."""
        return min(READ_TOKENS, self.read // 2) if self.architecture.is_causal else 0

    def work(self, *, is_refitted: bool, is_sequential: bool) -> CutWork:
        """Operations of a plan or a refit of all layers, and of what stands around them."""
        judged = self.judged * is_refitted
        reads = sum(self.layer_numbers) * (1 if self.stays else 1 + _TRIAL_READS)
        factors, products = self._refit_flops(1) if is_refitted else (0.0, 0.0)
        return self._work(
            dense=self.read + judged,
            narrow=self.read * (is_refitted and is_sequential) + judged,
            answers=2 * min(judged, JUDGED_TOKENS),
            refits=(factors + self._chosen_flops(), products),
            numbers=reads + _WRITING * self.architecture.parameters * is_refitted,
        )

    def allocation_work(self) -> CutWork:
        """Operations of `per_layer`: every layer alone at some widths, and all layers behind it."""
        layers, each = self.architecture.layers, MEASURED_WIDTHS
        passes = each * (layers + 1) / 2  # through all layers, in the sum over those that are cut
        again = 0 if self.stays else _TRIAL_READS + passes
        factors, products = self._refit_flops(each)
        return self._work(
            dense=self.read + (1 + passes) * self.judged,
            narrow=0,
            answers=(1 + each) * layers * min(self.judged, JUDGED_TOKENS),
            refits=(factors + self._chosen_flops(), products),
            numbers=sum(self.layer_numbers) * (1 + again),
        )

    def _work(
        self,
        *,
        dense: float,
        narrow: float,
        answers: int,
        refits: tuple[float, float],
        numbers: float,
    ) -> CutWork:
        """Operations of one walk through the layers.

        Args:
            dense: Tokens that pass all layers as they are, but for those by which they are tried.
            narrow: Tokens that pass all layers as they are cut.
            answers: Tokens whose logits are made for a comparison.
            refits: FLOPs of factorizations, and of products.
            numbers: Weights that are read.
        """
        model = self.architecture
        whole, cut = self.token_flops
        trial = min(_TRIAL_ROWS * BLOCK_TOKENS, self.read)
        dense, head = dense + _TRIAL_PASSES * trial, whole.head if model.is_causal else 0
        return CutWork(
            passes=dense * whole.layers + narrow * cut.layers + trial * head + self._expert_flops(),
            attention=(dense + narrow) * whole.attention,
            moments=answers * head + sum(self._moment_flops(each) for each in self.groups),
            factors=refits[0],
            products=refits[1],
            numbers=numbers,
        )

    def scaling_work(self) -> CutWork:
        """Operations of scales: a dense pass, and each row forth, once more, and back."""
        model, rows = self.architecture, min(MOST_TOKENS, self.read // 2)
        whole, cut = self.token_flops
        measured = min(READ_TOKENS, self.read // 2)
        trial = _TRIAL_PASSES * min(_TRIAL_ROWS * BLOCK_TOKENS, self.read)
        # Back costs twice what forth does, but gate and up have no gradients of their own.
        unscaled = 4 * model.hidden_size * sum(g.kept * g.tokens / self.read for g in self.groups)
        passes = 3 if self.stays else 4
        reads = _TRIAL_READS + 3 + 2 * rows / (BLOCK_TOKENS * STEP_ROWS)  # forth and back, a step
        dense, tuned = rows + measured + trial, rows * (passes + 3 / HELD_OUT) + measured
        layers = dense * whole.layers + tuned * cut.layers - rows * unscaled
        return CutWork(
            passes=layers + (3 + 6 / HELD_OUT) * rows * whole.head,
            attention=dense * whole.attention + tuned * cut.attention,
            moments=2 * min(measured, JUDGED_TOKENS) * whole.head,
            factors=0.0,
            products=0.0,
            numbers=0.0 if self.stays else sum(self.layer_numbers) * reads,
        )

    def _moment_flops(self, group: _Group) -> float:
        least = 2 * min(group.neurons, self.read // 2) if group.is_expert else 0
        return max(group.tokens, least) * Moments.flops(group.neurons)

    def _expert_flops(self) -> float:
        """Of the activations of experts, which are computed once more for their moments."""
        hidden = self.architecture.hidden_size
        return sum(4 * hidden * g.neurons * g.tokens for g in self.groups if g.is_expert)

    def _chosen_flops(self) -> float:
        """Of the rounds of `obs`, in float64."""
        is_obs = self.spec.criterion == "obs"
        return sum(2 * 3 * each.neurons**3 for each in self.groups) if is_obs else 0.0

    def _refit_flops(self, widths: int) -> tuple[float, float]:
        """Factorizations and products of refits of all groups, each at so many widths like one."""
        factors, products, d = 0.0, 0, self.architecture.hidden_size
        for group in self.groups:
            m, k = group.neurons, group.kept
            half = m // 2
            factors += (
                _RIDGES * half**3 / 3 + 2 * m**3 / 3
            )  # then of one half of the text, and of both
            products += (3 * _RIDGES + 2) * half**2 * d + 2 * _removal(m, half, d) + m**2 * d
            products += widths * (6 * k**2 * d + 3 * _removal(m, k, d))
        return factors, products

    @cached_property
    def state_bytes(self) -> int:
        """Of the hidden states of all tokens."""
        return self.read * self.architecture.hidden_size * DTYPE_BYTES[self.dtype]

    def memory_bytes(self, *, is_refitted: bool) -> int:
        """Most memory at one time."""
        hidden, size = self.architecture.hidden_size, DTYPE_BYTES[self.dtype]
        widest = max(each.neurons for each in self.groups)
        refit = _REFIT_BYTES * widest**2 + _WEIGHT_BYTES * widest * hidden
        others = self._sums_bytes - 8 * widest**2
        phases = [self._sums_bytes + self._batch_bytes]
        phases += [others + refit, _LOGITS_BYTES] if is_refitted else []
        judged = 2 * min(READ_TOKENS, self.read) * hidden * size if is_refitted else 0
        return (
            _PROGRAM_BYTES
            + self._weight_bytes
            + min(MEMORY_BYTES, self.state_bytes)
            + judged
            + max(phases)
        )

    def least_bytes(self, *, is_refitted: bool) -> int:
        """Weights, the sums of a layer and, for a refit, those of a group again."""
        widest = max(each.neurons for each in self.groups)
        return self._weight_bytes + self._sums_bytes + (8 * widest**2 if is_refitted else 0)

    @property
    def _weight_bytes(self) -> int:
        """Of what stands outside of the layers, and of the layers that are there at one time."""
        model, layers = self.architecture, self.layer_numbers
        stored = (spec.numel for name, spec in model.tensors.items() if name not in model.tied)
        outside = sum(stored) - sum(layers)
        return (outside + (sum(layers) if self.stays else max(layers))) * DTYPE_BYTES[self.dtype]

    @property
    def _sums_bytes(self) -> int:
        """Of the moments of the layer that has most: half of two symmetric sums in float64."""
        of_layers = [0] * self.architecture.layers
        for each in self.groups:
            of_layers[each.layer] += 8 * each.neurons**2
        return max(of_layers)

    @property
    def _batch_bytes(self) -> int:
        """Of the activations of one batch: gate, up, two products, and them in float32."""
        size = DTYPE_BYTES[self.dtype]
        each = 4 * size + (4 if size < 4 else 0)
        tokens = min(BATCH_BLOCKS * BLOCK_TOKENS, self.read)
        return each * tokens * max(group.neurons for group in self.groups)

    @property
    def kept_bytes(self) -> int:
        """Of refitted layers: down_proj as it is stored, places of neurons, and curves."""
        total, model = 0, self.architecture
        for cut, group in zip(self.groups, model.groups, strict=True):
            stored = self.spec.stored_dtype or model.tensors[group.down].dtype
            total += cut.kept * (model.hidden_size * DTYPE_BYTES[stored] + 8) + 8 * cut.neurons
        return total

    @property
    def result_bytes(self) -> int:
        return planned_width("", self.architecture, self.spec).weight_bytes


def _removal(neurons: int, kept: int, hidden: int) -> int:
    """FLOPs of what is lost with all but so many neurons, as `Removal` computes it."""
    gone = neurons - kept
    return (2 * kept + gone) * gone * hidden
