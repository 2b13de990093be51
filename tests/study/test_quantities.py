"""Quantities of a measured cost: joules become grams where a country is named."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cost_runs import by_place, settings_of
from power_fakes import Bench, Load, gpu_meter

from widthwise import measure
from widthwise.report import cost_tables
from widthwise.study import CostStudy

pytestmark = pytest.mark.usefixtures("quick_ceilings")


def test_joules_become_grams(
    tiny_checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """60 W all along, so that grams follow from seconds; and without a meter there are none."""
    bench = Bench()
    monkeypatch.setattr(measure, "open_meter", lambda device: gpu_meter(bench, Load(60.0)))
    plain: Callable[..., Any] = measure.measure_costs

    def with_clock(models: Any, works: Any, **how: Any) -> Any:
        def clock() -> float:
            bench.run(0.25)
            return bench.clock()

        return plain(models, works, clock=clock, **how)

    monkeypatch.setattr(measure, "measure_costs", with_clock)
    settings = settings_of(tiny_checkpoint, widths=(), workloads=("3x4",), country="FRA")
    records = by_place(CostStudy(tmp_path / "out", settings).run())
    joules, co2 = (records[None, "dense", f"3x4x1 {q}"] for q in ("joules", "co2"))
    intensity = measure.carbon_intensity("FRA")
    assert co2.unit == "grams_per_token"
    assert co2.items == tuple(j / 3.6e6 * intensity.grams_per_kwh for j in joules.items)
    assert len(co2.items) == 5
    (table,) = cost_tables(list(records.values()))
    assert any(note.startswith("CO2: FRA, 56.04 g/kWh (codecarbon") for note in table.notes)

    none = measure.Unavailable(device="cpu", reason="no counter here")
    monkeypatch.setattr(measure, "open_meter", lambda device: none)
    records = by_place(CostStudy(tmp_path / "none", settings).run())
    assert records[None, "dense", "3x4x1 co2"].reason == "no counter here"
