"""Many short token rows laid into few wide ones, what they share laid once.

Rows that begin alike form a tree: a question, and its options as branches. Laid into one row, a
token may look at its own ancestors in the tree and at nothing else, and its position is its depth.
The model then computes for each token what it would in the token's own row; no token that two rows
share is read twice, and hardly any is padding.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from .lm_head import evaluating, probe_tokens
from .prefixes import shared_length

if TYPE_CHECKING:
    import torch
    from jaxtyping import Float

WIDTH = 256  # tokens a packed row: wider ones spend more on attention, narrower ones pad more
_TRIAL = 16  # tokens of the rows with which a model is tried
_ROUNDING = 64  # steps of the dtype, at the largest logit, by which the order of additions may tell
_WORTH = 4  # shared tokens from which on two neighbours are kept in one tree


@dataclass
class Packed:
    """A row of tokens that holds one tree or several.

    Attributes:
        tokens: Token ids.
        depths: Number of ancestors of each token.
        spans: Chains of tokens `(start, stop, ancestors)`, each token seeing those before it in
            its chain and the ancestors, which are places in this row.
        paths: Row index to the places of its tokens.
    """

    tokens: list[int] = field(default_factory=list)
    depths: list[int] = field(default_factory=list)
    spans: list[tuple[int, int, list[int]]] = field(default_factory=list)
    paths: dict[int, list[int]] = field(default_factory=dict)

    def add(self, index: int, row: Sequence[int], previous: int | None) -> None:
        """Lay a row; what it shares with row `previous`, laid before, is taken from there."""
        ancestors: list[int] = []
        if previous is not None:
            laid = self.paths[previous]
            ancestors = laid[: shared_length([self.tokens[p] for p in laid], list(row))]
        start, depth = len(self.tokens), len(ancestors)
        self.tokens += row[depth:]
        stop = len(self.tokens)
        self.depths += range(depth, len(row))
        if stop > start:
            self.spans.append((start, stop, ancestors))
        self.paths[index] = [*ancestors, *range(start, stop)]

    @property
    def is_plain(self) -> bool:
        """Whether this is one row as it was."""
        return len(self.paths) == 1


Rows = Sequence[tuple[int, Sequence[int]]]


def pack(rows: Rows, width: int = WIDTH) -> list[Packed]:
    """Lay rows, given as (index, tokens) in lexicographic order, into few rows, widest first.

    Best fit, largest tree first. A tree that is wider than `width` gets a separate row.
    """
    open_rows: list[list[Packed]] = [[] for _ in range(width + 1)]  # by the tokens still free
    packed = []
    for size, tree in sorted(_trees(rows, width), key=lambda tree_size: -tree_size[0]):
        fitting = (free for free in range(size, width + 1) if open_rows[free])
        free = next(fitting, None)
        if free is None:
            row, free = Packed(), width
            packed.append(row)
        else:
            row = open_rows[free].pop()
        previous = None
        for index, tokens in tree:
            row.add(index, tokens, previous)
            previous = index
        if size < free:
            open_rows[free - size].append(row)
    return sorted(packed, key=lambda row: -len(row.tokens))


def unpacked(rows: Rows) -> list[Packed]:
    """Each row unpacked, widest first."""
    alone = [Packed() for _ in rows]
    for packed, (index, tokens) in zip(alone, rows, strict=True):
        packed.add(index, tokens, None)
    return sorted(alone, key=lambda row: -len(row.tokens))


def mask_of(
    batch: Sequence[Packed], prefix: int, dtype: torch.dtype
) -> Float[torch.Tensor, "rows 1 width keys"]:
    """Attention mask, added to the scores: 0 where a token may look, the lowest number elsewhere.

    Returns: Shape (rows, 1, width, prefix + width); a prefix is seen by all. Padding sees itself:
        a token that sees nothing may become NaN, which its weight of 0 elsewhere would not undo.
    """
    import torch

    width = max(len(row.tokens) for row in batch)
    mask = torch.full((len(batch), width, prefix + width), torch.finfo(dtype).min, dtype=dtype)
    mask[:, :, :prefix] = 0
    mask[:, range(width), range(prefix, prefix + width)] = 0
    longest = max(stop - start for row in batch for start, stop, _ in row.spans)
    chain = torch.full((longest, longest), torch.finfo(dtype).min, dtype=dtype).triu(1)
    for number, row in enumerate(batch):
        for start, stop, ancestors in row.spans:
            if ancestors:
                mask[number, start:stop, [prefix + position for position in ancestors]] = 0
            size = stop - start
            mask[number, start:stop, prefix + start : prefix + stop] = chain[:size, :size]
    return mask[:, None]


def _trees(rows: Rows, width: int) -> list[tuple[int, Rows]]:
    """Neighbours that share enough, cut where a tree would become too wide; each with its size."""
    sizes: list[int] = []
    trees: list[list[tuple[int, Sequence[int]]]] = []
    for index, tokens in rows:
        shared = shared_length(trees[-1][-1][1], tokens) if trees else 0
        grown = sizes[-1] + len(tokens) - shared if trees else 0
        if shared >= _WORTH and grown <= max(width, 2 * shared):
            sizes[-1] = grown
            trees[-1].append((index, tokens))
        else:
            sizes.append(len(tokens))
            trees.append([(index, tokens)])
    return list(zip(sizes, trees, strict=True))


def longest_in_trees(model: Any) -> int:
    """Rows up to this many tokens may be packed; 0 where the model does not honour the layout.

    A layer that looks back a limited way would need a layout of its own beyond that way. Whether a
    model honours mask and positions is tried with a small tree.
    """
    config = model.config.get_text_config()
    ways = [getattr(config, name, None) for name in ("sliding_window", "attention_chunk_size")]
    limit = min((int(way) for way in ways if way), default=1 << 30)
    if limit <= _TRIAL:
        return 0
    import torch

    try:
        with evaluating(model), torch.inference_mode():
            return limit if _honours_layout(model) else 0
    except (TypeError, ValueError, RuntimeError):  # it takes no such mask or no positions
        return 0


def _honours_layout(model: Any) -> bool:
    """Whether a packed row gives the logits of its rows.

    Four things are asked, of the part of a row that it does not share with the one laid before. The
    other row's part changes nothing, not even a bit; the shared part does; positions do; and the
    logits are those of the rows alone, as far as the model's dtype can tell: in bfloat16, not far.
    Special tokens (the first of `probe_tokens`) are avoided, whose outputs are so extreme that
    rounding alone changes logits by tens in bfloat16.
    """
    import torch

    spread = probe_tokens(model)
    rows = [spread[1:_TRIAL], [*spread[1:8], *spread[7:0:-1]]]
    packed = Packed()
    packed.add(0, rows[0], None)
    packed.add(1, rows[1], 0)
    device = next(model.parameters()).device
    mask = mask_of([packed], 0, model.dtype).to(device)
    size, unshared = len(packed.tokens), slice(_TRIAL - 1, None)

    def read(tokens: Sequence[int], **layout: Any) -> torch.Tensor:
        ids = torch.tensor([[*tokens, *[0] * (size - len(tokens))]], device=device)
        logits: torch.Tensor = model(ids, use_cache=False, **layout).logits[0]
        return logits

    def laid(tokens: Sequence[int], depths: Sequence[int]) -> torch.Tensor:
        positions = torch.tensor([list(depths)], device=device)
        return read(tokens, attention_mask=mask, position_ids=positions)

    together = laid(packed.tokens, packed.depths)

    def tells(tokens_changed: range, depths: Sequence[int]) -> bool:
        tokens = [spread[16] if p in tokens_changed else packed.tokens[p] for p in range(size)]
        return not torch.equal(laid(tokens, depths)[unshared], together[unshared])

    if tells(range(7, 15), packed.depths) or not tells(range(7), packed.depths):
        return False
    if not tells(range(0), range(size)):
        return False
    # In float64 too, some layers (softmax of gemma2) compute in float32.
    tolerance = _ROUNDING * max(torch.finfo(dtype).eps for dtype in (model.dtype, torch.float32))
    for index, row in enumerate(rows):
        alone = read(row)[: len(row)]
        if (together[packed.paths[index]] - alone).abs().max() > tolerance * alone.abs().max():
            return False
    return True
