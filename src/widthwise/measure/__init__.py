"""What a model costs to run: time, memory and energy of reading and writing, on a device."""

from .costs import LEAST_ROUNDS as LEAST_ROUNDS
from .costs import Cost as Cost
from .costs import Round as Round
from .costs import measure_costs as measure_costs
from .dtypes import DtypeChoice as DtypeChoice
from .dtypes import faster_dtype as faster_dtype
from .energy import Energy as Energy
from .energy import JoulesPerToken as JoulesPerToken
from .energy import Meter as Meter
from .energy import Unavailable as Unavailable
from .energy import Window as Window
from .energy import find_meter as find_meter
from .energy import per_token as per_token
from .machine import Conditions as Conditions
from .machine import Peak as Peak
from .machine import free_bytes as free_bytes
from .passes import Pass as Pass
from .passes import run_pass as run_pass
from .roofline import Ceilings as Ceilings
from .roofline import Place as Place
from .roofline import measure_ceilings as measure_ceilings
from .roofline import place as place
from .workloads import NAMED as NAMED
from .workloads import Workload as Workload
from .workloads import workload as workload
from .workloads import workloads_of as workloads_of
