"""Grams of CO2 of measured joules, by the carbon intensity of a country's electricity.

Joules come from `energy`. codecarbon gives one number for a country, from the table that it brings;
nothing is asked of the network and no power is estimated. The table is read as a file: importing
codecarbon would run `nvidia-smi` and `rocm-smi`, open NVML and write its warnings to stderr.

An intensity is the mean of a year over all that a country generates, in grams of CO2 equivalents,
fuel supply and building of power stations counted. It leaves out hours, regions, imports, losses on
the way to the meter, and cooling. Emissions in the table are multiples of 0.01 Mt a year, so where
0.1 TWh are generated an intensity may be wrong by 50 g/kWh.

Source:
    codecarbon's documentation, "Methodology": `global_energy_mix.json`, the latest year that Our
    World in Data had for each country ("Lifecycle carbon intensity of electricity generation", of
    Ember's data).
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from ...errors import RunError

_JOULES_PER_KWH = 3.6e6
_TABLE = "codecarbon/data/private_infra/global_energy_mix.json"
_KNOWN = "3.3.2"  # a version that has the table in the form that is read here


@dataclass(frozen=True, kw_only=True)
class Intensity:
    """Carbon intensity of a country's electricity."""

    country: str  # ISO 3166 alpha-3, in capitals
    grams_per_kwh: float  # grams of CO2 equivalents per kilowatt-hour
    source: str  # where the number comes from, with version and year


def carbon_intensity(country: str) -> Intensity:
    """Carbon intensity of a country's electricity, from codecarbon's table.

    codecarbon itself takes the world's average for a country that it does not have; this does not.

    Args:
        country: ISO 3166 alpha-3, such as `FRA`; small letters are the same.

    Raises:
        RunError: `country` is not three letters; codecarbon is not installed, or of a version whose
            table has another form; the table has no number for the country, or 0, which is a very
            small country's number rounded.
    """
    if re.fullmatch("[A-Za-z]{3}", country) is None:
        form = "three letters (ISO 3166 alpha-3, such as FRA)"
        raise RunError(f"country must be {form}; got {country!r}")
    code = country.upper()
    version, table = _read_table()
    if code not in table:
        instead = "the world's average is not put in its place"
        raise RunError(
            f"codecarbon {version} has no carbon intensity above 0 for {code}; {instead}"
        )
    grams_per_kwh, year = table[code]
    source = f"codecarbon {version}, {Path(_TABLE).name}, {year}"
    return Intensity(country=code, grams_per_kwh=grams_per_kwh, source=source)


def grams_per_token(joules_per_token: float, intensity: Intensity) -> float:
    """Grams of CO2 equivalents per token; 3.6e6 joules are a kilowatt-hour.

    Example:
        >>> intensity = Intensity(country="FRA", grams_per_kwh=50.0, source="by hand")
        >>> grams_per_token(36.0, intensity)  # 36 J are 1e-5 kWh
        0.0005
    """
    return joules_per_token / _JOULES_PER_KWH * intensity.grams_per_kwh


def _read_table() -> tuple[str, dict[str, tuple[float, int]]]:
    """codecarbon's version, and grams per kWh and year of each country that has them.

    The only place that knows how codecarbon keeps its table.
    """
    try:
        installed = metadata.distribution("codecarbon")
    except metadata.PackageNotFoundError as error:
        raise RunError("codecarbon is not installed; pip install 'widthwise[co2]'") from error
    try:
        rows = json.loads(Path(str(installed.locate_file(_TABLE))).read_text(encoding="utf8"))
        numbers = {
            code: (row["carbon_intensity"] or 0.0, row["year"]) for code, row in rows.items()
        }
        table = {code: (float(g), int(year)) for code, (g, year) in numbers.items() if g > 0}
    except (OSError, ValueError, AttributeError, KeyError, TypeError) as error:
        known = f"widthwise reads that of {_KNOWN}: pip install codecarbon=={_KNOWN}"
        fault = f"codecarbon {installed.version} has another table of carbon intensities"
        raise RunError(f"{fault} ({type(error).__name__}: {error}); {known}") from error
    return installed.version, table
