"""Records of what models cost."""

from __future__ import annotations

from dataclasses import replace

from report_records import COST_TOLD, COST_UNITS, DENSE, record

from widthwise.study import Record

ROUNDS = (1.0, 1.1, 0.9, 1.0, 1.05)


def costs(model: str, times: tuple[float, ...], **told: object) -> list[Record]:
    """Of one dense model: every quantity has these values, one a round."""
    place = None, "dense", DENSE
    return [
        replace(
            record(place, f"8x4 {what}", unit, times[0], n=len(times), items=times, model=model),
            settings={**COST_TOLD, **told},
            cell=f"{model} {what}",
        )
        for what, unit in COST_UNITS.items()
    ]
