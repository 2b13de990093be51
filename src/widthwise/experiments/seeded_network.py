"""A network of some width, its limit or a kernel, of one seed: what jobs and results share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True, kw_only=True)
class SeededNetwork:
    """A network that is trained, or that was.

    Attributes:
        kernel_names: What kernels are called, in the order in which they are shown.
        network: `finite`, `limit`, or a kernel.
        width: Width of a finite network; None otherwise.
        seed: Seed of all that is drawn.
    """

    kernel_names: ClassVar[Mapping[str, str]]
    network: str
    width: int | None = None
    seed: int = 0

    @property
    def key(self) -> tuple[str, int | None, int]:
        """What tells it from the others of a file."""
        return self.network, self.width, self.seed

    @property
    def label(self) -> str:
        """What the network is called in tables and figures: `width 64`, `limit`, `NTK`."""
        if self.network == "finite":
            return f"width {self.width}"
        return self.kernel_names.get(self.network, self.network)

    @property
    def title(self) -> str:
        """The label with the seed."""
        return f"{self.label}, seed {self.seed}"

    @property
    def place(self) -> tuple[int, int]:
        """Where it stands: finite networks by width, then the limit and the kernels."""
        return ("finite", "limit", *self.kernel_names).index(self.network), self.width or 0

    @property
    def cells(self) -> tuple[str, str]:
        """Its kind and its width in a table."""
        return (self.label, "") if self.width is None else ("finite", f"{self.width:,}")
