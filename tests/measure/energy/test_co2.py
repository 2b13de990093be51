"""Grams of CO2: the table of codecarbon, countries that it lacks, and arithmetic."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest

from widthwise.errors import RunError
from widthwise.measure.energy import carbon_intensity
from widthwise.measure.energy.co2 import Intensity, grams_per_token

VERSION = metadata.version("codecarbon")

# Runs in a new process; whatever reaches outside it is an error, once the modules are there.
ALONE = """
import os, sys
from widthwise.measure import carbon_intensity

def watch(event, args):
    if event.startswith(("socket.", "subprocess.", "os.posix_spawn", "os.fork", "ctypes.dlopen")):
        raise RuntimeError(f"{event} {args}")
    if event == "open" and args[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
        raise RuntimeError(f"write to {args[0]}")
    if event == "open" and ".codecarbon" in str(args[0]):
        raise RuntimeError(f"configuration {args[0]}")

sys.addaudithook(watch)
assert carbon_intensity("FRA").grams_per_kwh > 0
sys.exit("codecarbon" in sys.modules)
"""


@pytest.fixture(scope="module")
def rows() -> dict[str, Any]:
    """The table as codecarbon itself gives it."""
    from codecarbon.input import DataSource

    return DataSource().get_global_energy_mix_data()


def install(folder: Path, monkeypatch: pytest.MonkeyPatch, table: str | None) -> None:
    """Put another codecarbon, 9.0, before the one that is there; None leaves its table out."""
    info = folder / "codecarbon-9.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: codecarbon\nVersion: 9.0\n")
    if table is not None:
        file = folder / "codecarbon/data/private_infra/global_energy_mix.json"
        file.parent.mkdir(parents=True)
        file.write_text(table)
    monkeypatch.syspath_prepend(folder)


def test_every_country_is_as_codecarbon_computes_it(rows: dict[str, Any]) -> None:
    from codecarbon.core.emissions import Emissions
    from codecarbon.core.units import Energy
    from codecarbon.external.geography import GeoMetadata
    from codecarbon.input import DataSource

    emissions, one_kwh = Emissions(DataSource()), Energy.from_energy(kWh=1.0)
    compared = 0
    for code in rows:
        kilograms = emissions.get_country_emissions(one_kwh, GeoMetadata(country_iso_code=code))
        if kilograms == 0:
            continue
        # codecarbon goes through kilograms: two roundings of a double
        assert carbon_intensity(code).grams_per_kwh == pytest.approx(1000 * kilograms, rel=1e-15)
        compared += 1
    assert compared > 200


def test_a_source_names_version_table_and_year(rows: dict[str, Any]) -> None:
    france = carbon_intensity("FRA")
    year = rows["FRA"]["year"]
    assert france.source == f"codecarbon {VERSION}, global_energy_mix.json, {year}"
    assert france.country == "FRA"
    oldest = min(rows, key=lambda code: rows[code]["year"])  # each country has its own year
    assert carbon_intensity(oldest).source.endswith(f", {rows[oldest]['year']}")
    assert rows[oldest]["year"] < year


def test_small_letters_are_the_same() -> None:
    assert carbon_intensity("fra") == carbon_intensity("Fra") == carbon_intensity("FRA")


@pytest.mark.parametrize("country", ["", "FR", "FRANCE", "France", "F1A", " FRA", "FRA\n", "ÉTA"])
def test_a_country_must_be_three_letters(country: str) -> None:
    with pytest.raises(RunError) as caught:
        carbon_intensity(country)
    rule = "country must be three letters (ISO 3166 alpha-3, such as FRA)"
    assert str(caught.value) == f"{rule}; got {country!r}"


@pytest.mark.parametrize("country", ["MCO", "ZZZ"])  # Monaco buys its electricity; no country
def test_no_average_stands_in_for_a_country(country: str, rows: dict[str, Any]) -> None:
    assert country not in rows
    with pytest.raises(RunError, match=f"has no carbon intensity above 0 for {country}; the world"):
        carbon_intensity(country)


def test_codecarbon_would_have_taken_an_average(monkeypatch: pytest.MonkeyPatch) -> None:
    """Why its own functions are not called: if this fails, they may have become stricter."""
    from codecarbon.core.emissions import Emissions
    from codecarbon.core.units import Energy
    from codecarbon.external.geography import GeoMetadata
    from codecarbon.input import DataSource

    monkeypatch.setattr(logging.getLogger("codecarbon"), "disabled", True)  # its warning
    nowhere = GeoMetadata(country_iso_code="ZZZ")
    kilograms = Emissions(DataSource()).get_country_emissions(Energy(kWh=1.0), nowhere)
    world = DataSource().get_carbon_intensity_per_source_data()["world_average"]
    assert 1000 * kilograms == pytest.approx(world)


def test_0_is_missing(rows: dict[str, Any]) -> None:
    """All water, 0.15 TWh a year: its emissions round to 0, Lesotho's like ones to 0.01 Mt."""
    assert rows["CAF"]["carbon_intensity"] == 0
    assert rows["CAF"]["hydroelectricity_TWh"] == rows["CAF"]["total_TWh"] > 0
    with pytest.raises(RunError, match=f"codecarbon {VERSION} has no carbon intensity above 0 for"):
        carbon_intensity("CAF")


def test_null_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = {"carbon_intensity": 56, "year": 2030}
    missing = {"carbon_intensity": None, "year": 2030}
    install(tmp_path, monkeypatch, json.dumps({"FRA": kept, "USA": missing}))
    france = carbon_intensity("FRA")
    source = "codecarbon 9.0, global_energy_mix.json, 2030"
    assert france == Intensity(country="FRA", grams_per_kwh=56.0, source=source)
    with pytest.raises(RunError, match=r"codecarbon 9.0 has no carbon intensity above 0 for USA"):
        carbon_intensity("USA")


@pytest.mark.parametrize(
    "table",
    [
        None,
        "no json",
        "[]",
        '{"FRA": 56.0}',
        '{"FRA": {"year": 2030}}',
        '{"FRA": {"carbon_intensity": "56", "year": 2030}}',
        '{"FRA": {"carbon_intensity": 56.0, "year": null}}',
    ],
)
def test_a_table_of_another_form_is_told(
    table: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(tmp_path, monkeypatch, table)
    fault = r"codecarbon 9\.0 has another table .* pip install codecarbon==3\.3\.2$"
    with pytest.raises(RunError, match=fault):
        carbon_intensity("FRA")


def test_without_codecarbon_the_extra_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "path", [str(tmp_path)])  # nothing is installed there
    with pytest.raises(RunError) as caught:
        carbon_intensity("FRA")
    assert str(caught.value) == "codecarbon is not installed; pip install 'widthwise[co2]'"


def test_reading_the_table_is_quiet_and_touches_nothing_else(tmp_path: Path) -> None:
    command = [sys.executable, "-B", "-W", "error", "-c", ALONE]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert not list(tmp_path.iterdir())


def test_a_kilowatt_hour_gives_the_intensity() -> None:
    france = carbon_intensity("FRA")
    assert grams_per_token(3.6e6, france) == france.grams_per_kwh  # 3.6e6 / 3.6e6 is exactly 1


def test_grams_are_linear_in_joules() -> None:
    france = carbon_intensity("FRA")
    one = grams_per_token(0.7, france)
    assert grams_per_token(1.4, france) == 2 * one  # doubling is exact
    assert grams_per_token(-0.7, france) == -one  # net joules may be negative
    assert grams_per_token(0.0, france) == 0.0
