"""What makes a model smaller without any neuron less."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from ..cut.checkpoint import Checkpoint, stored_dtype
from ..cut.gguf import vocabulary_saving
from ..stats import number
from .deployed_file import DeployedFile

_HEADS = ("lm_head.weight", "embed_out.weight", "output.weight")


@dataclass(frozen=True, kw_only=True)
class CheapSaving:
    """One thing that makes the deployed file smaller and takes no neuron.

    Attributes:
        what: What there is to save, as a clause.
        how: What saves it, as the subject of a sentence.
        saved_bytes: Bytes that it saves of the dense file, about.
    """

    what: str
    how: str
    saved_bytes: int

    def __str__(self) -> str:
        return f"{self.how} saves {number(self.saved_bytes, 'bytes')} without a cut, as {self.what}"


def cheap_savings(file: DeployedFile) -> tuple[CheapSaving, ...]:
    """All that is known of a model.

    Cost: where table and head are stored apart, they are read up to the first number that differs.
    """
    return tuple((*_vocabulary(file), *_wide_numbers(file)))


def _vocabulary(file: DeployedFile) -> Iterator[CheapSaving]:
    """A vocabulary that is stored twice."""
    source = file.source
    if source.gguf is not None:
        if saved := vocabulary_saving(source.gguf):
            yield CheapSaving(
                what=f"{source.gguf.name} stores its vocabulary twice",
                how="One copy less (prune --tie-embeddings keeps the finer one)",
                saved_bytes=saved,
            )
        return
    checkpoint = source.checkpoint
    for name in _second_copies(checkpoint):
        table = checkpoint.architecture.table
        yield CheapSaving(
            what=f"the vocabulary is stored twice, as {table} and {name}, with equal numbers",
            how="One copy less (tie_word_embeddings, and the model saved anew)",
            saved_bytes=file.head_bytes(name),
        )


def _second_copies(checkpoint: Checkpoint) -> list[str]:
    """Stored heads that hold the numbers of the table, and are parameters of their own."""
    architecture = checkpoint.architecture
    heads = [n for n in checkpoint.tensors if n.endswith(_HEADS) and n not in architecture.tied]
    return [name for name in heads if architecture.table and _is_copy(checkpoint, name)]


def _is_copy(checkpoint: Checkpoint, name: str) -> bool:
    table = checkpoint.architecture.table
    return name != table and checkpoint.are_equal(name, table)


def _wide_numbers(file: DeployedFile) -> Iterator[CheapSaving]:
    """Numbers in float32, which bfloat16 holds in half the bytes."""
    if file.gguf is not None or file.source.gguf is not None:
        return  # its type says how numbers are stored
    stored = file.source.checkpoint.tensors.values()
    wide = sum(each.spec.nbytes for each in stored if each.spec.dtype == "F32")
    if not wide or stored_dtype(file.dtype) in ("BF16", "F16"):
        return
    share = wide / file.source.checkpoint.stored_bytes
    yield CheapSaving(
        what=f"{share:.0%} of the bytes are numbers in float32",
        how="Storing in bfloat16 (--dtype bfloat16; each number keeps 8 bits of its own)",
        saved_bytes=wide // 2,
    )
