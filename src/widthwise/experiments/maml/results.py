"""Results of `widthwise maml`."""

from __future__ import annotations

from ..run_format import run_format
from .recipes import recipe_of
from .train import MamlResult


def _check(result: MamlResult) -> None:
    recipe_of(result.network, result.width)  # sees that there is such a network
    if result.test is not None and not 0 <= result.test.accuracy <= 1:
        raise ValueError(f"an accuracy must be from 0 to 1, not {result.test.accuracy:g}")


FORMAT = run_format(
    MamlResult, command="maml", value="test", check=_check, settings={"ways": 5, "shots": 1}
)
load = FORMAT.load
