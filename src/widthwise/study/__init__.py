"""Studies: cells that are measured once, and the records they leave."""

from .demo import Demo, DemoSettings
from .records import Record, append, load

__all__ = ["Demo", "DemoSettings", "Record", "append", "load"]
