"""What a model costs to run: speed of reading a prompt and of writing, on this device."""

from .speed import DtypeChoice as DtypeChoice
from .speed import Speed as Speed
from .speed import faster_dtype as faster_dtype
from .speed import measure_speed as measure_speed
