"""Costs of a model: time, memory and energy of reading and writing, on a device."""

from .autotune import DtypeChoice, RuntimeConfig, applied, current_config, faster_dtype
from .blocks import BlockCost, block_nanoseconds, measure_blocks
from .costs import LEAST_ROUNDS, Cost, Round, measure_costs
from .energy.co2 import Intensity, carbon_intensity, grams_per_token
from .energy.meter import (
    Energy,
    EnergyWindow,
    JoulesPerToken,
    Meter,
    Unavailable,
    open_meter,
    per_token,
)
from .host_overhead import HostTime, host_time
from .llama_cpp import (
    FileCost,
    LlamaCpp,
    LlamaRound,
    find_llama_cpp,
    single_prompt,
    time_files,
)
from .machine import Conditions, PeakMemory, calls_sec
from .roofline import PeakRates, RooflinePoint, measure_peak_rates, roofline_point
from .workload_pass import WorkloadPass, run_pass
from .workloads import NAMED, Workload, check_workload, workload, workloads_of

__all__ = [
    "LEAST_ROUNDS",
    "NAMED",
    "BlockCost",
    "Conditions",
    "Cost",
    "DtypeChoice",
    "Energy",
    "EnergyWindow",
    "FileCost",
    "HostTime",
    "Intensity",
    "JoulesPerToken",
    "LlamaCpp",
    "LlamaRound",
    "Meter",
    "PeakMemory",
    "PeakRates",
    "RooflinePoint",
    "Round",
    "RuntimeConfig",
    "Unavailable",
    "Workload",
    "WorkloadPass",
    "applied",
    "block_nanoseconds",
    "calls_sec",
    "carbon_intensity",
    "check_workload",
    "current_config",
    "faster_dtype",
    "find_llama_cpp",
    "grams_per_token",
    "host_time",
    "measure_blocks",
    "measure_costs",
    "measure_peak_rates",
    "open_meter",
    "per_token",
    "roofline_point",
    "run_pass",
    "single_prompt",
    "time_files",
    "workload",
    "workloads_of",
]
