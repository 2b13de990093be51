"""A vocabulary that a GGUF file stores twice: embeddings are tied, and the head is there too."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...assets import architecture_of, checked_reader
from ...errors import UnsupportedModelError
from .layout import Entry
from .llama_cpp import TIED
from .quantize import bytes_each

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

TABLE, HEAD = "token_embd.weight", "output.weight"
_ROWS = 64  # compared, spread over the vocabulary
_EXACT_BITS = {"F32": 24, "F16": 11, "BF16": 8}  # of a number's own, without its exponent
# Of 32 normal numbers, in their standard deviations: what the steps of a block divide.
_RANGE = 4.2
# Half of root 2, by which two matrices differ that have nothing to do with each other.
_MOST = 0.7


@dataclass(frozen=True)
class TwoCopies:
    """One matrix that is stored as table and as head.

    Attributes:
        finer: gguf's tensor with more bits.
        coarser: The other one; the head where both have as many.
    """

    finer: Any
    coarser: Any

    @property
    def saved(self) -> int:
        """Bytes that one copy less saves."""
        return int(self.coarser.n_bytes)

    def __str__(self) -> str:
        kind, name = self.finer.tensor_type.name, self.finer.name
        return (
            f"The vocabulary is stored once, as {kind} (the numbers of {name}), which llama.cpp "
            f"takes for {TABLE} and {HEAD}: {self.saved:,} bytes less"
        )


def two_copies(path: Path) -> TwoCopies:
    """The two copies of the vocabulary, of which one is enough.

    Args:
        path: A GGUF file.

    Raises:
        CheckpointError: It is no GGUF file.
        UnsupportedModelError: There is one copy, they are two matrices, or llama.cpp would not read
            the file without a head.

    Cost: 64 rows of each are read.
    """
    found = _found(checked_reader(path))
    if isinstance(found, str):
        raise UnsupportedModelError(f"{path.name}: --tie-embeddings cannot be, as {found}")
    return found


def vocabulary_note(path: Path) -> str | None:
    """What one copy of the vocabulary would save; None where there is nothing to save.

    Arguments, errors of reading, and cost as for `two_copies`.
    """
    found = _found(checked_reader(path))
    if isinstance(found, str):
        return None
    kinds = {str(each.name): each.tensor_type.name for each in (found.finer, found.coarser)}
    return (
        f"{path.name} stores its vocabulary twice, as {TABLE} ({kinds[TABLE]}) and {HEAD} "
        f"({kinds[HEAD]}): prune --tie-embeddings keeps the finer copy alone, which makes a .gguf "
        f"file {found.saved:,} bytes smaller without any neuron less"
    )


def vocabulary_saving(path: Path) -> int:
    """Bytes that one copy of the vocabulary would save; 0 where there is nothing to save.

    Arguments, errors of reading, and cost as for `two_copies`.
    """
    found = _found(checked_reader(path))
    return 0 if isinstance(found, str) else found.saved


def tied(entries: Sequence[Entry], copies: TwoCopies) -> list[Entry]:
    """The tensors of a result that has the finer copy alone, by the name of the table."""
    finer = Entry.of(copies.finer)
    return [
        replace(finer, name=TABLE) if entry.name == TABLE else entry
        for entry in entries
        if entry.name != HEAD
    ]


def _found(reader: Any) -> TwoCopies | str:
    """The two copies, or why there are none to spare."""
    tensors = {str(each.name): each for each in reader.tensors if each.name in (TABLE, HEAD)}
    if len(tensors) < 2:
        return f"it has one copy of the vocabulary already: there is no {HEAD}"
    table, head = tensors[TABLE], tensors[HEAD]
    if not _are_one(table, head):
        return f"{TABLE} and {HEAD} are two different matrices"
    architecture = architecture_of(reader)
    if architecture not in TIED:
        return f"llama.cpp needs {HEAD} in every file of the architecture {architecture}"
    is_head_finer = int(head.n_bytes) > int(table.n_bytes)
    return TwoCopies(head, table) if is_head_finer else TwoCopies(table, head)


def _are_one(table: Any, head: Any) -> bool:
    """Whether some rows of two tensors are the same numbers, up to what their types round.

    Twice the error of the coarser type: a head that was trained apart by less than its type rounds
    off may as well be the table.
    """
    import numpy as np

    if table.shape.tolist() != head.shape.tolist():
        return False
    places = np.unique(np.linspace(0, int(table.shape[1]) - 1, _ROWS).astype(np.int64))
    first, second = (_rows(each, places) for each in (table, head))
    bound = min(_MOST, 2 * max(_error(table.tensor_type), _error(head.tensor_type)))
    return bool(np.square(first - second).sum() <= bound**2 * np.square(second).sum())


def _rows(tensor: Any, places: NDArray[np.int64]) -> NDArray[np.float64]:
    import gguf
    import numpy as np

    rows = gguf.quants.dequantize(tensor.data[places], tensor.tensor_type)
    return rows.astype(np.float64)


def _error(kind: Any) -> float:
    """What writing normal numbers in a type changes, over their size, both as root mean squares.

    A step of even ones over the range of a block, divided by root 12. It is 0.039 for Q5_0 and
    0.081 for Q4_K; the copies of Qwen 2.5 Coder differ by 0.044 (Q5_0 and Q8_0, 0.5B) and 0.075
    (Q4_K and Q6_K, 1.5B).
    """
    bits = _EXACT_BITS.get(kind.name, int(8 * bytes_each(kind)))
    return float(_RANGE / (2**bits - 1) / 12**0.5)
