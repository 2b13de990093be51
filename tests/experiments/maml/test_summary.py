"""Runs of several seeds, put together."""

from __future__ import annotations

from dataclasses import replace

import pytest
from maml_results import result

from widthwise.experiments.maml.summary import collapse, summary


def test_rows_are_finite_networks_by_width_then_the_limit_then_kernels() -> None:
    results = [
        *(result(0.5, network) for network in ("ntk", "gp", "linear", "limit")),
        *(result(0.5, width=width) for width in (512, 8)),
    ]
    labels = [row.label for row in summary(results)]
    assert labels == ["width 8", "width 512", "limit", "linear kernel", "ReLU GP", "ReLU NTK"]
    assert [row.width for row in summary(results)] == [8, 512, None, None, None, None]


def test_an_estimate_is_the_mean_over_seeds_that_have_one() -> None:
    runs = [result(0.4, width=8, seed=2), result(None, width=8, seed=1), result(0.6, width=8)]
    (row,) = summary(runs)
    assert [run.seed for run in row.runs] == [0, 1, 2]
    assert row.estimate is not None
    assert row.estimate.value == pytest.approx(0.5)
    assert row.estimate.standard_error == pytest.approx(0.1)  # 0.1 sqrt(2) / sqrt(2)
    assert row.estimate.n == 2


def test_a_network_that_failed_everywhere_has_no_estimate() -> None:
    (row,) = summary([result(None, width=8)])
    assert row.estimate is None
    assert len(row.runs) == 1


def test_a_run_that_ends_below_chance_is_named() -> None:
    curve = ((100, 0.48), (300, 0.52), (900, 0.19))
    run = replace(result(0.5, width=128, seed=1), validation=curve, best_step=300)
    assert collapse(run) == (
        "width 128, seed 1 collapsed: in validation 19.0 % after 900 meta-steps, where chance is "
        "20 %; its score is that of its network after 300."
    )
    back = replace(run, validation=((300, 0.1), (900, 0.2)))
    assert collapse(back) == collapse(result(None)) == collapse(replace(run, validation=())) == ""
    assert collapse(run, ways=20) == ""
