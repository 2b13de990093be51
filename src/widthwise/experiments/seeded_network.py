"""A network of some width, its limit or a kernel, of one seed: what jobs and results share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from ..errors import LimitError


@dataclass(frozen=True, kw_only=True)
class SeededNetwork:
    """A network that is trained, or that was.

    Attributes:
        finite_names: What networks with a width are called, in the order in which they are shown.
        kernel_names: What kernels are called, likewise.
        network: `finite`, another of `finite_names`, `limit`, or a kernel.
        width: Width of a finite network; None otherwise.
        seed: Seed of all that is drawn.
    """

    finite_names: ClassVar[Mapping[str, str]] = {"finite": "finite"}
    kernel_names: ClassVar[Mapping[str, str]]
    network: str
    width: int | None = None
    seed: int = 0

    @classmethod
    def kinds(cls) -> tuple[str, ...]:
        """What `network` may be, in the order in which networks are shown."""
        others = [name for name in cls.finite_names if name != "finite"]
        return ("finite", "limit", *others, *cls.kernel_names)

    @classmethod
    def check_kind(cls, network: str) -> None:
        """Raise LimitError where there is no such kind of network."""
        if network not in cls.kinds():
            names = ", ".join(cls.kinds())
            raise LimitError(f"a network must be one of {names}; got {network[:40]!r}")

    @property
    def key(self) -> tuple[str, int | None, int]:
        """What tells it from the others of a file."""
        return self.network, self.width, self.seed

    @property
    def label(self) -> str:
        """What the network is called in tables and figures: `width 64`, `limit`, `NTK`."""
        if self.network in self.finite_names:
            name = "" if self.network == "finite" else f"{self.finite_names[self.network]} "
            return f"{name}width {self.width}"
        return self.kernel_names.get(self.network, self.network)

    @property
    def title(self) -> str:
        """The label with the seed."""
        return f"{self.label}, seed {self.seed}"

    @property
    def place(self) -> tuple[int, int]:
        """Where it stands: finite networks by width, the limit, other networks and kernels."""
        return self.kinds().index(self.network), self.width or 0

    @property
    def cells(self) -> tuple[str, str]:
        """Its kind and its width in a table."""
        if self.network in self.finite_names:
            return self.finite_names[self.network], f"{self.width:,}"
        return self.label, ""
