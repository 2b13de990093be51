"""Proxies beside the number of parameters."""

from __future__ import annotations

from search_trials import drawn

from widthwise.experiments.tinynet_search.findings import (
    proxy_correlation,
)
from widthwise.experiments.tinynet_search.networks import nets_of


def test_proxies_are_judged_beside_the_number_of_parameters() -> None:
    found = {f.proxy: f for f in proxy_correlation(nets_of(drawn()))}
    assert set(found) == {"synflow", "parameters"}  # NASWOT is missing in these trials
    assert found["synflow"].marginal.value > 0.95
    assert found["synflow"].over_control is not None
    assert found["synflow"].over_control.low > 0
    assert found["parameters"].over_control is None
