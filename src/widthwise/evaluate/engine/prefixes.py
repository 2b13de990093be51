"""Beginnings that many token rows share, found from the tokens alone.

A *prefix* (the few-shot preamble of a subject) is read once, and its key-value cache serves all
rows that begin with it. Prefixes are chosen so that the fewest tokens are read; none is within
another.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

_PREFIX_COST = 256  # tokens' worth of work: a separate pass, and batches left half full


@dataclass(frozen=True)
class SharedPrefix:
    """Rows (by index, in lexicographic order) that share their first `length` tokens."""

    length: int
    rows: tuple[int, ...]


@dataclass
class _Node:
    """A beginning shared by the rows at places `first` to `last` of the sorted order."""

    depth: int
    first: int
    last: int = -1
    children: list[_Node] = field(default_factory=list)
    gain: int = 0  # tokens saved at best by prefixes within this node
    is_prefix: bool = False


def find_prefixes(rows: Sequence[tuple[int, ...]], free: Sequence[int]) -> list[SharedPrefix]:
    """Prefixes that together hold every row once; the last may be empty, of rows that share none.

    Of all ways to choose prefixes of which none is the beginning of another, this reads the fewest
    tokens, a prefix's own cost counted.

    Args:
        rows: Token rows.
        free: Number of first tokens of each row that may be read ahead of the rest.

    Cost: sorting the rows, and time in proportion to their number.
    """
    if not rows:
        return []
    beginnings = [row[:ahead] for row, ahead in zip(rows, free, strict=True)]
    order = sorted(range(len(rows)), key=beginnings.__getitem__)
    prefixes = []
    apart: list[int] = []
    position = 0
    for node in _chosen(_tree([beginnings[index] for index in order])):
        apart += order[position : node.first]
        shared = sorted(order[node.first : node.last + 1], key=rows.__getitem__)
        prefixes.append(SharedPrefix(node.depth, tuple(shared)))
        position = node.last + 1
    apart = sorted([*apart, *order[position:]], key=rows.__getitem__)
    return [*prefixes, SharedPrefix(0, tuple(apart))] if apart else prefixes


def shared_length(a: Sequence[Any], b: Sequence[Any]) -> int:
    """Number of tokens or characters that two rows have in common at their start, by bisection.

    Example:
        >>> shared_length((1, 2, 3), (1, 2, 4, 5))
        2
    """
    low, high = 0, min(len(a), len(b))
    while low < high:
        middle = (low + high + 1) // 2
        if a[low:middle] == b[low:middle]:
            low = middle
        else:
            high = middle - 1
    return low


def _tree(beginnings: Sequence[tuple[int, ...]]) -> _Node:
    """The tree of all beginnings that neighbours share; its root shares nothing."""
    path = [_Node(0, 0)]
    for position in range(1, len(beginnings)):
        shared = shared_length(beginnings[position - 1], beginnings[position])
        first, child = position - 1, None
        while path[-1].depth > shared:
            child = path.pop()
            child.last, first = position - 1, child.first
            if path[-1].depth >= shared:
                path[-1].children.append(child)
                child = None
        if path[-1].depth < shared:
            path.append(_Node(shared, first, children=[child] if child else []))
    while True:
        node = path.pop()
        node.last = len(beginnings) - 1
        if not path:
            return node
        path[-1].children.append(node)


def _chosen(root: _Node) -> Iterator[_Node]:
    """The nodes to make prefixes of, in the order of their places."""
    nodes = [root]
    for node in nodes:
        nodes.extend(node.children)
    for node in reversed(nodes):  # children first
        gain = node.depth * (node.last - node.first) - _PREFIX_COST
        apart = sum(child.gain for child in node.children)
        node.gain, node.is_prefix = max(0, gain, apart), gain > max(0, apart)
    waiting = [root]
    while waiting:
        node = waiting.pop()
        if node.is_prefix:
            yield node
        else:
            waiting.extend(reversed(node.children))
