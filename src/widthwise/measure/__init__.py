"""What a model costs to run: time, memory and energy of reading and writing, on a device."""

from .autotune import Setting, own_setting, using
from .blocks import BlockCost, measure_blocks
from .costs import LEAST_ROUNDS, Cost, Round, measure_costs
from .dtypes import DtypeChoice, faster_dtype
from .energy.co2 import Intensity, carbon_intensity, grams_per_token
from .energy.meter import Energy, JoulesPerToken, Meter, Unavailable, Window, find_meter, per_token
from .host_overhead import HostTime, host_time
from .machine import Conditions, Peak
from .roofline import Ceilings, Place, measure_ceilings, place
from .workload_pass import Pass, run_pass
from .workloads import NAMED, Workload, check_workload, workload, workloads_of

__all__ = [
    "LEAST_ROUNDS",
    "NAMED",
    "BlockCost",
    "Ceilings",
    "Conditions",
    "Cost",
    "DtypeChoice",
    "Energy",
    "HostTime",
    "Intensity",
    "JoulesPerToken",
    "Meter",
    "Pass",
    "Peak",
    "Place",
    "Round",
    "Setting",
    "Unavailable",
    "Window",
    "Workload",
    "carbon_intensity",
    "check_workload",
    "faster_dtype",
    "find_meter",
    "grams_per_token",
    "host_time",
    "measure_blocks",
    "measure_ceilings",
    "measure_costs",
    "own_setting",
    "per_token",
    "place",
    "run_pass",
    "using",
    "workload",
    "workloads_of",
]
