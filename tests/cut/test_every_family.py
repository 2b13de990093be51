"""Every family that widthwise cuts: by stream and in memory the same bits, reloaded, exact."""

from __future__ import annotations

from pathlib import Path

import pytest
from every_family import EACH_KIND, FAMILIES, HYBRIDS, SOME
from family_trials import (
    check_commands,
    check_cut,
    check_evaluate,
    check_heal,
    check_measure,
    check_refit,
    check_refused,
)

# Its tokens attend to later ones, so that a layer run alone gives other values.
NO_REFIT = {"paligemma"}
# Every family is cut; other trials are of one of each kind, and of all with the long tests.
REFITTED = [family for family in EACH_KIND if family.values[0] not in NO_REFIT]


@pytest.mark.parametrize("family", FAMILIES)
def test_a_family_is_cut_exactly(family: str, tmp_path: Path) -> None:
    check_cut(family, tmp_path)


@pytest.mark.parametrize("family", EACH_KIND)
def test_commands_show_a_family_and_its_card_names_a_class_that_loads_it(
    family: str, tmp_path: Path
) -> None:
    check_commands(family, tmp_path)


@pytest.mark.parametrize("family", EACH_KIND)
def test_damaged_files_of_a_family_are_refused_in_one_sentence(family: str, tmp_path: Path) -> None:
    check_refused(family, tmp_path)


@pytest.mark.parametrize("family", HYBRIDS)
@pytest.mark.usefixtures("quick_ceilings")
def test_costs_of_a_hybrid_are_measured(family: str, tmp_path: Path) -> None:
    check_measure(family, tmp_path)


@pytest.mark.parametrize("family", REFITTED)
def test_a_family_is_refitted(family: str, tmp_path: Path) -> None:
    check_refit(family, tmp_path)


@pytest.mark.parametrize("family", SOME)
@pytest.mark.usefixtures("short_blocks")
def test_a_family_is_healed_and_evaluated(family: str, tmp_path: Path) -> None:
    check_heal(family, tmp_path / "healing")
    check_evaluate(family, tmp_path / "evaluation")
