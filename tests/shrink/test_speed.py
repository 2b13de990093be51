"""How many times as fast a narrow model is."""

from __future__ import annotations

from dataclasses import replace

import pytest
from cost_records import ROUNDS, costs

from widthwise.shrink import SpeedRatio
from widthwise.shrink.speed import WHOLE, speed_ratios
from widthwise.stats import Ratio


def speed(value: float, log_error: float) -> SpeedRatio:
    ratio = Ratio(value=value, standard_error=value * log_error, log_error=log_error, n=5)
    return SpeedRatio(metric="tpot", dense=1.0, narrow=1 / value, ratio=ratio)


def test_a_speed_is_higher_where_its_interval_says_so() -> None:
    assert speed(1.2, 0.01).is_shown()
    assert not speed(1.2, 0.2).is_shown()
    assert not speed(0.9, 0.01).is_shown()
    assert speed(1.2, 0.01).is_shown(1.1)
    assert not speed(1.2, 0.01).is_shown(1.19)
    assert speed(1.25, 0.01).both == ("1000 ms", "800 ms")
    assert str(speed(1.2, 0.0)).startswith("writing a token is 1.20 [1.20, 1.20] times as fast")


def test_times_and_rates_both_tell_how_many_times_as_fast() -> None:
    """The narrow model takes half the seconds, and writes twice the tokens a second."""
    dense = costs("dense", ROUNDS)
    narrow = [
        replace(record, items=tuple(f * item for item in record.items), value=f * record.value)
        for record in costs("narrow", ROUNDS)
        for f in [2.0 if record.quantity.endswith(WHOLE) else 0.5]
        if record.value is not None
    ]
    dense, narrow = (
        [replace(r, higher_is_better=r.quantity.endswith(WHOLE)) for r in records]
        for records in (dense, narrow)
    )
    found = {each.metric: each for each in speed_ratios(dense, narrow)}
    assert [*found] == ["ttft", "tpot", "throughput"]
    for each in found.values():
        assert each.ratio.value == pytest.approx(2.0)
        assert each.dense == pytest.approx(2 * each.narrow)


def test_of_files_both_rates_and_what_they_come_to_together_are_told() -> None:
    """A prompt of 512 tokens at 100 tokens a second, and 32 at 10: 8.32 seconds, 0.26 a token."""
    dense, narrow = (
        [
            replace(
                record,
                items=(rate,) * 5,
                quantity=f"512x32x1 {metric}",
                higher_is_better=True,
                settings={"prompt_tokens": [512, 512], "new_tokens": 32},
            )
            for record, (metric, rate) in zip(costs("a", ROUNDS), rates.items(), strict=False)
        ]
        for rates in ({"prefill": 100.0, "decode": 10.0}, {"prefill": 125.0, "decode": 20.0})
    )
    prompt, new, together = speed_ratios(dense, narrow)
    assert [each.metric for each in (prompt, new, together)] == ["prefill", "decode", WHOLE]
    assert prompt.both == ("100 tokens/s", "125 tokens/s")
    assert [each.ratio.value for each in (prompt, new)] == pytest.approx([1.25, 2.0])
    assert together.dense == pytest.approx((5.12 + 3.2) / 32)
    assert together.ratio.value == pytest.approx((5.12 + 3.2) / (4.096 + 1.6))
    assert together.both == ("3.85 tokens/s", "5.62 tokens/s")


def test_what_one_of_them_lacks_is_left_out() -> None:
    dense = costs("dense", ROUNDS)
    assert [each.metric for each in speed_ratios(dense, dense[:1])] == ["ttft"]
    assert [*speed_ratios(dense, [])] == []
