"""What a model costs to run: speed of reading a prompt and of writing, and energy, on a device."""

from .energy import Energy as Energy
from .energy import JoulesPerToken as JoulesPerToken
from .energy import Meter as Meter
from .energy import Unavailable as Unavailable
from .energy import Window as Window
from .energy import find_meter as find_meter
from .energy import per_token as per_token
from .speed import DtypeChoice as DtypeChoice
from .speed import Speed as Speed
from .speed import faster_dtype as faster_dtype
from .speed import measure_speed as measure_speed
