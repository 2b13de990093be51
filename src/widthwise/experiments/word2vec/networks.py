"""Networks of word2vec, of any width and of infinite width.

f(contexts, word) = <mean of E's rows of the contexts, O's row of the word>: linear, one hidden
layer. O starts at 0 and E at entries of variance 1/n: in this form the multipliers of muP cancel,
and one learning rate, without the width, serves all weights.

Only inner products of E's rows ever matter, and as the width grows E E' starts from the identity.
So the limit is the same program begun with one coordinate a word, E = I and O = 0; any other
orthonormal E gives the same. Kernels (NTK, Gaussian process) never move E: they keep this start.

Source: arXiv 2011.14522, Section 8.1 and Appendix D.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from math import isqrt, sqrt
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from ...errors import LimitError, RunError
from ...io import free_bytes, save_tensors
from ...theory import check_least
from ..seeded_network import SeededNetwork

if TYPE_CHECKING:
    from torch import Tensor

_BYTES = 4  # of a number in single precision
_START = 2**32  # stream of random numbers; those of samples are epochs, which are below it
CHECKPOINT_FORMAT = "widthwise word2vec 1"


@dataclass(frozen=True, kw_only=True, eq=False)
class SkipGram:
    """Weights; training changes them in place.

    Attributes:
        embeddings: Matrix E with a row a word, shape (vocabulary, width).
        outputs: Matrix O of the same shape.
    """

    embeddings: Tensor
    outputs: Tensor


class Word2vecNetwork(SeededNetwork):
    """A network, the limit, or a kernel: `ntk`, `gp`.

    The seed draws the start of finite networks, and the samples of all.
    """

    kernel_names: ClassVar = {"ntk": "NTK", "gp": "GP"}


def check_network(kind: str, width: int | None) -> None:
    """Check that there is such a network.

    Raises:
        LimitError: There is none.
    """
    Word2vecNetwork.check_kind(kind)
    if (kind == "finite") != (width is not None):
        raise LimitError(f"a finite network has a width and no other has one; got {kind}, {width}")
    if width is not None:
        check_least("the width of a finite network", width, 1)


def start(vocabulary: int, width: int | None, *, seed: int = 0, device: str = "cpu") -> SkipGram:
    """A network before training.

    Args:
        vocabulary: Number of words.
        width: Coordinates a word; None is the limit of infinite width, which takes one a word.
        seed: Seed of a finite network's E, uniform on (-sqrt(3/n), sqrt(3/n)).
        device: `cpu` or `cuda`.

    Raises:
        LimitError: It does not fit in memory, or there is no such device.

    Cost: 8 n bytes a word; the limit 8 V.
    """
    import torch

    check_memory(vocabulary, width, device)
    target = torch.device(device)
    if width is None:
        embeddings = torch.eye(vocabulary, device=target)
    else:
        rng = np.random.default_rng([seed, _START])
        drawn = rng.random((vocabulary, width), dtype=np.float32)
        embeddings = torch.from_numpy(drawn).to(target)
        embeddings.sub_(0.5).mul_(sqrt(12 / width))
    return SkipGram(embeddings=embeddings, outputs=torch.zeros_like(embeddings))


def check_memory(vocabulary: int, width: int | None, device: str = "cpu") -> None:
    """Check, before anything is allocated, that both matrices fit in memory.

    Raises:
        LimitError: They do not, with their bytes and the largest vocabulary that fits; or there is
            no such device.
    """
    free = _free_bytes(device)
    columns = vocabulary if width is None else width
    needed = 2 * _BYTES * vocabulary * columns
    if needed <= free:
        return
    most = isqrt(free // (2 * _BYTES)) if width is None else free // (2 * _BYTES * columns)
    name = "the limit" if width is None else f"a network of width {width:,}"
    raise LimitError(
        f"{name} with a vocabulary of {vocabulary:,} words takes {needed:,} bytes, two matrices of "
        f"{vocabulary:,} x {columns:,}, and {free:,} are free on {device}; the largest vocabulary "
        f"that fits is {most:,}" + "; --no-limit trains the networks alone" * (width is None)
    )


def _free_bytes(device: str) -> int:
    if device == "cpu":
        return free_bytes("cpu")
    import torch

    if device != "cuda" or not torch.cuda.is_available():
        raise LimitError(f"a device must be cpu, or cuda where there is one; got {device[:40]!r}")
    return free_bytes(device)


def save_checkpoint(path: Path, network: SkipGram, state: Mapping[str, Any]) -> None:
    """Replace a checkpoint atomically by a new one.

    Args:
        path: File, which one process writes at a time.
        network: Network, whose matrices are written from memory without a copy.
        state: State of the run, as JSON.

    Raises:
        OutputError: It cannot be written; the one before is still there.
    """
    tensors = {"embeddings": network.embeddings, "outputs": network.outputs}
    save_tensors(path, tensors, {"format": CHECKPOINT_FORMAT, "facts": json.dumps(state)})


def is_whole(path: Path) -> bool:
    """Whether a checkpoint is there, with all the bytes that its head names."""
    import safetensors

    try:
        with safetensors.safe_open(path, "pt"):
            return True
    except (OSError, safetensors.SafetensorError):
        return False


def load_checkpoint(path: Path, network: SkipGram) -> dict[str, Any] | None:
    """Read a checkpoint into a network of its shape; returns its state, None without a file.

    Raises:
        RunError: It cannot be read, or is another network's.
    """
    import safetensors

    if not path.exists():
        return None
    try:
        with safetensors.safe_open(path, "pt") as file:
            head = file.metadata() or {}
            if head.get("format") != CHECKPOINT_FORMAT:
                raise ValueError("it is no checkpoint of word2vec")
            state: dict[str, Any] = json.loads(head["facts"])
            for name in ("embeddings", "outputs"):
                stored, matrix = file.get_tensor(name), getattr(network, name)
                if stored.shape != matrix.shape:
                    raise ValueError(f"its {name} are {tuple(stored.shape)}")
                matrix.copy_(stored)
    except (OSError, safetensors.SafetensorError, ValueError, KeyError) as error:
        raise RunError(f"{path}: cannot be read ({error}); move it away to begin anew") from error
    return state
