"""Energy and power of an NVIDIA GPU, as its driver tells them through NVML.

NVML stays open until the process ends. Both readings are of the whole board: other processes on the
GPU are counted, the host is not. A slice of a GPU (MIG) and many virtual GPUs have no meter.
"""

from __future__ import annotations

import importlib
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from ...errors import RunError


@dataclass(frozen=True)
class NvmlCounter:
    """The energy counter: joules since the driver was loaded, renewed about every 0.1 s."""

    nvml: Any
    handle: Any
    scope: str
    source: ClassVar[Literal["nvml_counter"]] = "nvml_counter"
    name = "energy counter"
    is_counter = True
    longest_gap_sec = math.inf  # 64 bits of millijoules do not wrap

    def read(self) -> tuple[float, ...]:
        """Joules."""
        return (self.nvml.nvmlDeviceGetTotalEnergyConsumption(self.handle) / 1000,)

    def joules(self, before: tuple[float, ...], after: tuple[float, ...], seconds: float) -> float:
        """Joules between two readings."""
        return after[0] - before[0]


@dataclass(frozen=True)
class NvmlPower:
    """Power, to be integrated.

    Attributes:
        instant: Read the field of instantaneous power. Otherwise `nvmlDeviceGetPowerUsage`, which
            is instantaneous up to the A100 and, on other Ampere and newer boards, the mean of the
            last second: then up to a second of work at each end is mistaken.
    """

    nvml: Any
    handle: Any
    scope: str
    instant: bool
    source: ClassVar[Literal["nvml_power"]] = "nvml_power"
    is_counter = False
    longest_gap_sec = 1.0  # twenty readings missed: the line between two would be a guess

    @property
    def name(self) -> str:
        return "instantaneous power" if self.instant else "power"

    def read(self) -> tuple[float, ...]:
        """Watts."""
        if not self.instant:
            return (self.nvml.nvmlDeviceGetPowerUsage(self.handle) / 1000,)
        fields = [self.nvml.NVML_FI_DEV_POWER_INSTANT]
        field = self.nvml.nvmlDeviceGetFieldValues(self.handle, fields)[0]
        if field.nvmlReturn != self.nvml.NVML_SUCCESS:
            raise self.nvml.NVMLError(field.nvmlReturn)
        return (field.value.uiVal / 1000,)

    def joules(self, before: tuple[float, ...], after: tuple[float, ...], seconds: float) -> float:
        """Trapezoid under two readings."""
        return (before[0] + after[0]) / 2 * seconds


def load_nvml() -> Any:
    """The module `pynvml`, of the package nvidia-ml-py."""
    return importlib.import_module("pynvml")


def cuda_uuid(device: str) -> str:
    """UUID of a CUDA device as NVML writes it, from torch.

    Raises:
        RunError: torch knows no such device.
    """
    import torch

    try:
        return f"GPU-{torch.cuda.get_device_properties(device).uuid}"
    except (AssertionError, RuntimeError) as error:  # torch raises either, by what is missing
        raise RunError(f"torch does not open {device}: {error}") from error


def open_nvml(load: Callable[[], Any], uuid: str) -> NvmlCounter | NvmlPower:
    """The best working meter of a GPU: its counter, else instantaneous power, else power.

    Args:
        load: Gives the module `pynvml`, or raises ImportError.
        uuid: `GPU-...`.

    Raises:
        RunError: There is none: no bindings, no driver, no such GPU, or nothing that it tells.
    """
    try:
        nvml = load()
    except ImportError as error:
        raise RunError("pynvml is not installed; pip install 'widthwise[energy]'") from error
    try:
        nvml.nvmlInit()
    except nvml.NVMLError as error:
        raise RunError(f"NVML does not start: {error}; is the NVIDIA driver loaded?") from error
    try:
        handle = nvml.nvmlDeviceGetHandleByUUID(uuid)
        gpu = f"GPU {nvml.nvmlDeviceGetIndex(handle)} ({nvml.nvmlDeviceGetName(handle)})"
    except nvml.NVMLError as error:
        slice_ = "a slice of a GPU (MIG) has no meter of its own"
        raise RunError(f"NVML does not open {uuid}: {error}; {slice_}") from error
    scope = f"{gpu}, whole board, all processes"
    reasons = []
    for reader in (
        NvmlCounter(nvml, handle, scope),
        NvmlPower(nvml, handle, scope, instant=True),
        NvmlPower(nvml, handle, scope, instant=False),
    ):
        reason = _fault(nvml, reader)
        if reason is None:
            return reader
        reasons.append(f"{reader.name}: {reason}")
    raise RunError(f"{gpu} tells neither energy nor power ({'; '.join(reasons)})")


def _fault(nvml: Any, reader: NvmlCounter | NvmlPower) -> str | None:
    """Why a reader does not work, or None. A GPU that is on has used, and uses, more than 0."""
    try:
        return None if reader.read()[0] > 0 else "it reads 0"
    except (nvml.NVMLError, AttributeError) as error:  # bindings before 12 lack the field's name
        return str(error)
