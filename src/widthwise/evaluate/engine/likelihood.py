"""Log-likelihoods of token runs under a causal language model, in few and full batches.

Five savings, none of which changes the number: what runs share at their beginning is read once and
its key-value cache is taken up again (`prefixes`); rows are padded on the right, where causal
attention never looks, and whatever is taken up has one length in a batch, so that no mask is
needed; short rows are laid into few wide ones (`packing`); and the vocabulary projection, the
widest product of a small model, is done only at the positions that are scored, and in float32,
because bfloat16 logits are so coarse (1/8 at 16) that options would tie.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

from ...errors import RunError
from ...io import out_of_memory
from .cache_trial import can_share, check_causal
from .distances import DenseReference, Distance, distances
from .lm_head import LmHead, TokenBudget, evaluating, padded, rope_is_dynamic, rope_limit
from .packing import Packed, longest_in_trees, mask_of, pack, unpacked
from .prefixes import SharedPrefix, find_prefixes

if TYPE_CHECKING:
    import torch
    from jaxtyping import Int

_SCORED = 1024  # tokens a forward pass whose logits are kept: x 50 k words x 4 bytes = 200 MB
_KEPT = 16  # keys and values a forward pass, of the budget: each row keeps the prefix's as its own
_TOO_LONG = "a row of {} tokens does not fit into memory; take a smaller model or shorter prompts"


@dataclass(frozen=True)
class ScoringRequest:
    """Tokens of which the last `scored` are scored, given those before; at least one of each.

    Attributes:
        tokens: All of them.
        scored: Number of those that are scored.
        compared: Whether the answer is compared with the dense model's.
    """

    tokens: tuple[int, ...]
    scored: int
    compared: bool = False


class ScoredRequest(NamedTuple):
    """The score of a request.

    Attributes:
        log_likelihood: Sum of the log-probabilities of the scored tokens, nats.
        greedy: Whether each scored token is the one that the model holds most probable.
        distance: How far the model is from the dense one at some of these tokens; None where that
            is not asked for, or not known.
    """

    log_likelihood: float
    greedy: bool
    distance: Distance | None = None


@dataclass(frozen=True)
class Watch:
    """What becomes of the answers to requests that are compared.

    Attributes:
        reference: The dense model's.
        is_dense: Whether the model that answers is that one, so that its answers are kept.
    """

    reference: DenseReference
    is_dense: bool


def log_likelihoods(
    model: Any,
    runs: Sequence[ScoringRequest],
    *,
    budget: TokenBudget | None = None,
    longest: int | None = None,
    shares: bool | None = None,
    watch: Watch | None = None,
    on_runs: Callable[[int], None] = lambda _: None,
) -> list[ScoredRequest]:
    """Score each run; what runs share at their beginning is read once.

    Args:
        model: Any `AutoModelForCausalLM`; left as it was.
        runs: In any order.
        budget: Tokens of a forward pass; by default what suits the model's device.
        longest: Tokens of the rows that may be packed, as `longest_in_trees` found them for a
            model that `check_causal` let pass; by default both are tried here, which takes nine
            short passes.
        shares: Whether rows may take up one cache, as `can_share` found it; by default that is
            tried where rows begin alike, in five short passes.
        watch: What the requests are compared with that are; None compares none.
        on_runs: Called after each batch with the number of runs done so far.

    Raises:
        RunError: Not even one row fits into memory; the model is no causal one; or a row is longer
            than a model with dynamic rotations reads alike in any company.
    """
    import torch

    with evaluating(model), torch.inference_mode():
        work = _Work(model, runs, budget or TokenBudget.of(model), watch, on_runs)
        if longest is None:
            check_causal(model)
            longest = longest_in_trees(model)
        longest = min(longest, work.rope_limit)
        prefixes = find_prefixes(work.rows, work.free)
        if any(prefix.length for prefix in prefixes):
            may_share = can_share(model) if shares is None else shares
            prefixes = prefixes if may_share else find_prefixes(work.rows, [0] * len(work.rows))
        for prefix in prefixes:
            cache = work.read(prefix)
            rests = [(row, work.rows[row][prefix.length :]) for row in prefix.rows]
            short = [rest for rest in rests if prefix.length + len(rest[1]) <= longest]
            long = [rest for rest in rests if prefix.length + len(rest[1]) > longest]
            work.score(pack(short), prefix.length, cache)
            work.score(unpacked(long), prefix.length, cache)
            del cache  # before the next is read
    return work.results


def _check_dynamic(model: Any, rows: Sequence[Sequence[int]], limit: int) -> None:
    """Beyond the limit, dynamic rotations depend on the rows that a row is read with, or after."""
    longest = max(map(len, rows), default=0)
    if longest > limit and rope_is_dynamic(model):
        raise RunError(
            f"beyond {limit} tokens, the model's encoding of positions depends on the longest text "
            f"of a batch, so a score would depend on other texts; this text has {longest} tokens: "
            f"cut texts to {limit}"
        )


class _Work:
    """Distinct rows of input tokens, the runs that need them, and what came out so far."""

    def __init__(
        self,
        model: Any,
        runs: Sequence[ScoringRequest],
        budget: TokenBudget,
        watch: Watch | None,
        on_runs: Callable[[int], None],
    ) -> None:
        self.head = LmHead(model)
        self.budget = budget
        self.runs = runs
        self.watch = watch
        self.on_runs = on_runs
        self.results: list[Any] = [None] * len(runs)
        self.done = 0
        owners: dict[tuple[int, ...], list[int]] = {}
        for index, run in enumerate(runs):
            owners.setdefault(run.tokens[:-1], []).append(index)
        self.rows = list(owners)
        self.owners = list(owners.values())
        # The outputs from the last token before the scored ones on are needed: it is not shared.
        self.needed = [max(runs[index].scored for index in of_row) for of_row in self.owners]
        # And a row beyond the limit is read in one go: the start of it alone would turn otherwise.
        self.rope_limit = rope_limit(model)
        _check_dynamic(model, self.rows, self.rope_limit)
        self.free = [
            len(row) - needed if len(row) <= self.rope_limit else 0
            for row, needed in zip(self.rows, self.needed, strict=True)
        ]

    def read(self, prefix: SharedPrefix) -> Any:
        """Key-value cache of a prefix, None of an empty one."""
        if not prefix.length:
            return None
        try:
            return self.head.cache(self.rows[prefix.rows[0]][: prefix.length])
        except (MemoryError, RuntimeError) as error:
            if not out_of_memory(error):
                raise
            raise RunError(_TOO_LONG.format(prefix.length)) from error

    def score(self, packed: Sequence[Packed], prefix: int, cache: Any) -> None:
        """Score all runs of these rows, whose first `prefix` tokens are in the cache."""
        start = 0
        while start < len(packed):
            stop = self._stop(packed, start, prefix)
            try:
                self._batch(packed[start:stop], prefix, cache)
                start = stop
            except (MemoryError, RuntimeError) as error:
                if not out_of_memory(error):
                    raise
                if stop - start == 1:
                    size = prefix + len(packed[start].tokens)
                    raise RunError(_TOO_LONG.format(size)) from error
                self.budget.halve()

    def _stop(self, packed: Sequence[Packed], start: int, prefix: int) -> int:
        """End of the batch that begins at `start`: as much as one forward pass should hold."""
        width = len(packed[start].tokens)
        is_beyond = prefix + width > self.rope_limit
        scored = 0
        for stop in range(start, len(packed)):
            rows = stop + 1 - start
            scored += sum(self.needed[row] for row in packed[stop].paths)
            full = rows * width > self.budget.tokens
            full = full or (scored > _SCORED and not self.head.is_bare)
            full = full or rows * (prefix + width) > _KEPT * self.budget.tokens
            full = full or (is_beyond and prefix + len(packed[stop].tokens) <= self.rope_limit)
            if full and rows > 1:
                return stop
        return len(packed)

    def _batch(self, batch: Sequence[Packed], prefix: int, cache: Any) -> None:
        """One forward pass over packed rows, right-padded."""
        import torch

        width = len(batch[0].tokens)
        positions: list[int] = []
        targets: list[int] = []
        owners: list[int] = []
        indices: list[int] = []
        for number, packed in enumerate(batch):
            for row, path in packed.paths.items():
                for index in self.owners[row]:
                    scored = self.runs[index].scored
                    positions += [number * width + position for position in path[-scored:]]
                    targets += self.runs[index].tokens[-scored:]
                    owners += [len(indices)] * scored
                    indices.append(index)
        where, inverse = torch.unique(torch.tensor(positions), return_inverse=True)
        layout = {}
        if not all(packed.is_plain for packed in batch):
            depths = padded([packed.depths for packed in batch])
            layout = {
                "position_ids": depths + prefix,
                "attention_mask": mask_of(batch, prefix, self.head.model.dtype),
            }
        aimed = inverse, torch.tensor(targets)
        tokens = [packed.tokens for packed in batch]
        states: list[torch.Tensor] = []
        chosen, best = self.head.log_probabilities(
            tokens, where, aimed, cache, states.append, **layout
        )
        position = torch.tensor(owners)
        sums = torch.zeros(len(indices), dtype=torch.float64).index_add(0, position, chosen)
        misses = torch.zeros(len(indices), dtype=torch.long).index_add(0, position, (~best).long())
        distances = self._distances(indices, inverse, states)
        for index, value, missed in zip(indices, sums.tolist(), misses.tolist(), strict=True):
            self.results[index] = ScoredRequest(value, missed == 0, distances.get(index))
        self.done += len(indices)
        self.on_runs(self.done)

    def _distances(
        self, indices: Sequence[int], inverse: Int[torch.Tensor, " scored"], states: Sequence[Any]
    ) -> dict[int, Distance]:
        """How far requests of a batch are from the dense model's answers, or keep them if it is it.

        Args:
            indices: Of the requests.
            inverse: For each scored token, request after request, its row in the states.
            states: Inputs of the projection, if they are known.
        """
        import torch

        if self.watch is None or not states:
            return {}
        start, reference, device = 0, self.watch.reference, self.head.device
        pairs: dict[int, tuple[Any, Any]] = {}
        for index in indices:
            run = self.runs[index]
            rows = inverse[start : start + run.scored]
            start += run.scored
            if not run.compared:
                continue
            own = states[0][rows[reference.places(run.scored)].to(device)]
            if self.watch.is_dense:
                reference.keep(self.head.model, run, own)
            elif (dense := reference.states(run)) is not None and self._has_same_words:
                pairs[index] = dense.to(device), own
        if not pairs:
            return {}
        dense, own = (torch.cat(states) for states in zip(*pairs.values(), strict=True))
        sizes = [len(states) for states, _ in pairs.values()]
        found = distances(dense, own, (self._dense_head, self.head), sizes)
        return dict(zip(pairs, found, strict=True))

    @cached_property
    def _dense_head(self) -> LmHead:
        """What makes logits of the dense model's states."""
        assert self.watch is not None
        dense = self.watch.reference.model
        return self.head if dense is self.head.model else LmHead(dense)

    @property
    def _has_same_words(self) -> bool:
        """Whether both models predict one of equally many words."""
        return self._dense_head.vocabulary == self.head.vocabulary
