"""Exact parameters and multiply-adds of a network, from its shapes alone."""

from __future__ import annotations

from dataclasses import dataclass

FLOAT32_BYTES = 4


@dataclass(frozen=True, kw_only=True)
class NetworkCounts:
    """Costs of a network on any device.

    Attributes:
        parameters: Trainable numbers; equals `sum(p.numel())` of the built model.
        macs: Multiply-adds of one image, of convolutions and linear layers (in a transformer also
            of attention's two products) and nothing else: half of what torch's `FlopCounterMode`
            counts, and what arXiv 2010.14819 calls FLOPs. Norms, activations and pooling are left
            out.
    """

    parameters: int
    macs: int

    @property
    def parameter_bytes(self) -> int:
        """Bytes of the parameters in float32; running statistics of norms are not among them."""
        return FLOAT32_BYTES * self.parameters


class Tally:
    """Adds up a network layer by layer."""

    def __init__(self) -> None:
        self._parameters = 0
        self._macs = 0

    def conv(
        self,
        inputs: int,
        outputs: int,
        *,
        kernel: int,
        pixels: int,
        groups: int = 1,
        bias: bool = False,
    ) -> None:
        """A convolution; `pixels` are those of its output."""
        weights = outputs * (inputs // groups) * kernel * kernel
        self._parameters += weights + bias * outputs
        self._macs += weights * pixels

    def linear(self, inputs: int, outputs: int, *, rows: int = 1, bias: bool = False) -> None:
        """A linear layer on `rows` vectors."""
        self.conv(inputs, outputs, kernel=1, pixels=rows, bias=bias)

    def norm(self, channels: int, *, bias: bool = True) -> None:
        """A normalisation with a scale, and a shift if `bias`."""
        self._parameters += channels * (1 + bias)

    def product(self, macs: int) -> None:
        """A matrix product without parameters."""
        self._macs += macs

    def counts(self) -> NetworkCounts:
        return NetworkCounts(parameters=self._parameters, macs=self._macs)
