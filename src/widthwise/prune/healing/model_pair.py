"""A child and its parent: whether they belong together, and both in memory."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ...cut import fingerprint
from ...cut.checkpoint import (
    Checkpoint,
    ModelSource,
    check_loadable,
    check_tokens,
    lineage_of,
    load_model,
    table_rows,
)
from ...errors import CheckpointError, RunError, UnsupportedModelError
from ...notices import notice
from .text_blocks import TextBlocks, read_blocks

_SAMPLE = "Widths 1,024 and 912: naïve café, 東京, “quoted”.\n\n\tdef f(x): return x**2  # ok\n"


@dataclass(frozen=True, kw_only=True, eq=False)
class ModelPair:
    """Two checkpoints on disk, opened.

    Attributes:
        child: The pruned one.
        parent: The dense one.
        child_fingerprint: Of its GLU weights.
        parent_fingerprint: Of the dense one's.
        tokenizer: That both share.
    """

    child: Checkpoint
    parent: Checkpoint
    child_fingerprint: str
    parent_fingerprint: str
    tokenizer: Any

    @property
    def stranger(self) -> str | None:
        """That the child was cut from other weights than the dense one's, where its plan says so.

        Raises:
            PlanError, CheckpointError: What the child says of its cut cannot be read.
        """
        lineage = lineage_of(self.child.path)
        if lineage is None or self.parent_fingerprint.startswith(lineage.parent_weights):
            return None
        return (
            f"{self.child.name} was cut from {lineage.parent}, and the GLU weights of "
            f"{self.parent.name} are not those of that model: another one, or another version or "
            "dtype of it, is what the training goes towards"
        )

    def read(self, text: str | Path | None, tokens: int) -> TextBlocks:
        """The text of a healing, as `read_blocks` reads it with the tokenizer that both share.

        Raises:
            RunError: It cannot be read, or holds a word that the models have no embedding for.
        """
        blocks = read_blocks(text, self.tokenizer, tokens)
        rows = min(table_rows(self.child), table_rows(self.parent))
        for part in (blocks.rows, blocks.held_out):
            check_tokens(part.flatten().tolist(), rows, self.tokenizer, blocks.source)
        return blocks


@contextmanager
def opened_pair(child: ModelSource, dense: ModelSource) -> Iterator[ModelPair]:
    """Open both and check, without loading a weight, that one may be the other's parent.

    Raises:
        CheckpointError: One cannot be read, or they do not belong together.
        UnsupportedModelError: The narrower one is quantized.
    """
    with child.checkpoint as pruned, dense.checkpoint as parent:
        _check_shapes(pruned, parent)
        if pruned.quantization:
            raise UnsupportedModelError(
                f"{pruned.name} is quantized ({pruned.quantization.words}), and trained weights "
                "cannot be written so: heal the unquantized cut, and quantize the result"
            )
        for each in (pruned, parent):
            check_loadable(each)
        prints = fingerprint(pruned), fingerprint(parent)
        if prints[0] == prints[1]:
            raise CheckpointError(
                f"{pruned.name} has the GLU weights of {parent.name} itself: nothing was pruned, "
                "so nothing can be healed"
            )
        pair = ModelPair(
            child=pruned,
            parent=parent,
            child_fingerprint=prints[0],
            parent_fingerprint=prints[1],
            tokenizer=_tokenizer(child, dense),
        )
        if pair.stranger:
            notice(f"{pair.stranger}.")
        yield pair


def _check_shapes(child: Checkpoint, parent: Checkpoint) -> None:
    pruned, dense = child.architecture, parent.architecture
    for what in ("model_type", "hidden_size", "layers"):
        if getattr(pruned, what) != getattr(dense, what):
            raise CheckpointError(
                f"{parent.name} is not the dense parent of {child.name}: {what} is "
                f"{getattr(dense, what)} and {getattr(pruned, what)}"
            )
    if pruned.intermediate_size > dense.intermediate_size:
        raise CheckpointError(
            f"{parent.name} with {dense.intermediate_size} neurons a layer is narrower than "
            f"{child.name} with {pruned.intermediate_size}; --dense must be the wider one"
        )
    for name, spec in pruned.tensors.items():
        there = dense.tensors.get(name)
        if name not in pruned.cuts and there is not None and there.shape != spec.shape:
            raise CheckpointError(
                f"{parent.name} is not the dense parent of {child.name}: {name} has shape "
                f"{list(there.shape)} and {list(spec.shape)}"
            )


def _tokenizer(child: ModelSource, parent: ModelSource) -> Any:
    """The child's tokenizer, after the parent's was seen to be the same."""
    tokenizer, reference = child.tokenizer, parent.tokenizer
    if (
        tokenizer.get_vocab() != reference.get_vocab()
        or tokenizer(_SAMPLE).input_ids != reference(_SAMPLE).input_ids
    ):
        raise CheckpointError(
            f"{child.name} and {parent.name} have different tokenizers, so their logits are about "
            "different tokens and cannot be compared"
        )
    return tokenizer


def check_place(device: str, dtype: str | None) -> None:
    """Raise RunError unless the device is there and the dtype is one to compute in."""
    if dtype not in (None, "bfloat16", "float32"):
        raise RunError(f"dtype of a healing must be bfloat16 or float32; got {dtype!r}")
    if not re.fullmatch(r"cpu|cuda(:[0-9]+)?", device):
        raise RunError(f"device of a healing must be cpu, cuda or cuda:N; got {device!r}")
    try:
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError) as error:  # a torch without CUDA asserts
        raise RunError(f"device {device!r} cannot be used: {str(error).splitlines()[0]}") from error


def model_in(checkpoint: Checkpoint, dtype: str, device: str) -> Any:
    """A checkpoint's model in memory, in eval mode."""
    return load_model(checkpoint, dtype=dtype).to(device)


def narrowed(model: Any, dtype: str) -> dict[str, Tensor]:
    """Hold all parameters in a dtype, buffers as they are; what they were comes back by name."""
    exact = {name: parameter.detach() for name, parameter in model.named_parameters()}
    for parameter in model.parameters():
        parameter.data = parameter.data.to(getattr(torch, dtype))
    return exact
