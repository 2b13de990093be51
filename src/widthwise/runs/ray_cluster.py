"""The Ray cluster that `RayExecutor` works on: reached or started, and how much room it has."""

from __future__ import annotations

import logging
import os
import socket
from dataclasses import dataclass
from typing import Any

from ..errors import RunError

_LOCAL = {
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",  # everywhere: listen on the loopback address only
    "RAY_USAGE_STATS_ENABLED": "0",
}
_KNOCK_SEC = 10.0


def import_ray() -> Any:
    """The package Ray, imported at first use.

    Raises:
        RunError: It is not installed.
    """
    try:
        import ray
    except ImportError as error:
        raise RunError("the engine `ray` needs Ray: pip install 'ray>=2.50'") from error
    module: Any = ray
    return module


def connect(address: str | None) -> bool:
    """Reach a Ray cluster, or begin one on this machine; False if this process is at one.

    Args:
        address: As in `ray.init`; None means RAY_ADDRESS, and a cluster of our own without it.

    Raises:
        RunError: Ray is not installed, or there is no cluster at the address.
    """
    address = address or os.environ.get("RAY_ADDRESS") or "local"
    if address == "local":
        os.environ.update(_LOCAL)  # read when ray is imported, and by what it begins
    ray = import_ray()
    if ray.is_initialized():
        return False
    options = {"include_dashboard": False} if address == "local" else {}
    try:
        _check_reachable(address)
        ray.init(address, log_to_driver=False, logging_level=logging.ERROR, **options)
    except (OSError, RuntimeError, ValueError, ray.exceptions.RayError) as error:
        first = (str(error).splitlines() or [""])[0]
        raise RunError(
            f"no Ray cluster could be reached at {address}: {first}. Start one with `ray start "
            "--head`, or give no address to start one on this machine."
        ) from error
    _show_logs(False)
    return True


def _check_reachable(address: str) -> None:
    """Raise OSError if nothing listens at the address, where Ray would wait for minutes."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if host and port.isdigit():
        socket.create_connection((host.strip("[]"), int(port)), _KNOCK_SEC).close()


def disconnect() -> None:
    """Leave the cluster, and end it if this process began it."""
    import_ray().shutdown()
    _show_logs(True)


def _show_logs(shown: bool) -> None:
    """Ray prints of every dead worker to the standard output, unless told by its inside."""
    import_ray()._private.worker._worker_logs_enabled = shown


@dataclass(frozen=True, kw_only=True)
class ResourceRequest:
    """What one worker takes of a node; GPUs may be parts of one."""

    cpus: float
    gpus: float

    def __post_init__(self) -> None:
        if self.cpus <= 0 or self.gpus < 0 or (self.gpus > 1 and self.gpus % 1):
            raise RunError(
                "a worker must have more than 0 CPUs, and a part of a GPU or whole GPUs; got "
                f"{self}."
            )

    def fits(self, resources: dict[str, float]) -> int:
        """How many workers have room in the resources of a node.

        >>> ResourceRequest(cpus=1, gpus=0.5).fits({"CPU": 16, "GPU": 2})
        4
        >>> ResourceRequest(cpus=2, gpus=0).fits({"CPU": 5})
        2
        """
        n = [_times(self.cpus, resources.get("CPU", 0.0))]
        whole = resources.get("GPU", 0.0)
        if self.gpus >= 1:
            n.append(_times(self.gpus, whole))
        elif self.gpus:
            n.append(int(whole) * _times(self.gpus, 1.0))  # parts of two GPUs do not add up
        return min(n)

    def __str__(self) -> str:
        return f"{self.cpus:g} CPUs" + (f" and {self.gpus:g} GPUs" if self.gpus else "")


def _times(part: float, whole: float) -> int:
    return int(whole / part + 1e-9)


def nodes() -> list[dict[str, float]]:
    """Resources of the nodes that are there, free or not."""
    records: list[dict[str, Any]] = import_ray().nodes()
    return [node["Resources"] for node in records if node["Alive"]]


def capacity(need: ResourceRequest) -> int:
    """How many workers the cluster has room for.

    Raises:
        RunError: None at all.
    """
    n = sum(need.fits(node) for node in nodes())
    if not n:
        have = "; ".join(
            f"{node.get('CPU', 0):g} CPUs and {node.get('GPU', 0):g} GPUs" for node in nodes()
        )
        raise RunError(
            f"no node of the Ray cluster has room for a worker, which needs {need}; its nodes "
            f"have: {have or 'there is none'}."
        )
    return n
