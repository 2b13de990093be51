"""Energy of a device, from the best meter that it has."""

from .co2 import carbon_intensity

__all__ = [
    "carbon_intensity",
]
