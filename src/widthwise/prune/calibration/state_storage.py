"""Where the hidden states of a text are while layers are run on it: in memory, or in files."""

from __future__ import annotations

import os
import tempfile
from typing import TYPE_CHECKING

from ...errors import RunError

if TYPE_CHECKING:
    from torch import Tensor

MEMORY_BYTES = 2**30  # of hidden states in memory; those beyond are in files


class StateStorage:
    """Places for the hidden states of batches, the first in memory, those beyond in files.

    Files are in the folder for temporary files (TMPDIR), and have no name: they go with the
    process. They are mapped, so that the system writes and reads their pages as it needs memory.

    Args:
        memory_bytes: Most bytes in memory, on the device of the states; None for `MEMORY_BYTES`.
    """

    def __init__(self, memory_bytes: int | None = None) -> None:
        self._left = MEMORY_BYTES if memory_bytes is None else memory_bytes

    def placed(self, states: Tensor) -> Tensor:
        """The hidden states of a batch, in the place that they get.

        Raises:
            RunError: There is no room for them.
        """
        if states.nbytes <= self._left:
            self._left -= states.nbytes
            return states
        return _new_file(states).copy_(states)

    def replaced(self, old: Tensor, new: Tensor) -> Tensor:
        """New hidden states in the place of the old ones, which are gone then."""
        is_in_file = old.untyped_storage().filename is not None
        return old.copy_(new) if is_in_file else new


def _new_file(states: Tensor) -> Tensor:
    """A tensor on the CPU of the same shape and dtype, in a file of its own."""
    import torch

    try:
        descriptor, path = tempfile.mkstemp(prefix="widthwise-states-")
        try:
            os.posix_fallocate(descriptor, 0, states.nbytes)  # a full disk shows here alone
            flat = torch.from_file(path, shared=True, size=states.numel(), dtype=states.dtype)
        finally:
            os.close(descriptor)
            os.unlink(path)
    except OSError as error:
        raise RunError(
            f"the hidden states of the calibration text cannot be kept in {tempfile.gettempdir()}: "
            f"{error}; set TMPDIR to a folder with more room, or calibrate on fewer tokens"
        ) from error
    return flat.reshape(states.shape)
