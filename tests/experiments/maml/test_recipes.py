"""Recipes of networks: the paper's, and the nearest between."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from widthwise.errors import LimitError
from widthwise.experiments.maml import KERNELS, RECIPES, RELU, MetaRecipe, recipe_of


def test_recipes_are_the_papers_and_the_nearest_between() -> None:
    assert recipe_of("finite", 1) == RECIPES[2]
    assert recipe_of("finite", 60) == RECIPES[32]
    assert recipe_of("finite", 100_000) == RECIPES[8192] == recipe_of("limit", None)
    assert recipe_of("ntk", None) == KERNELS["ntk"]
    assert recipe_of("relu", 8) == recipe_of("relu", 8192) == RELU


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: recipe_of("finite", 0), "from 1 to 1,000,000; got 0"),
        (lambda: recipe_of("finite", 10**9), "the limit stands for wider ones"),
        (lambda: recipe_of("finite", None), "got None"),
        (lambda: recipe_of("relu", 9000), "of a ReLU network must be from 1 to 8,192; got 9000"),
        (lambda: MetaRecipe(lr=-1.0), "learning rate must be a number above 0; got -1"),
    ],
)
def test_what_cannot_be_is_refused(make: Callable[[], Any], message: str) -> None:
    with pytest.raises(LimitError, match=message):
        make()
