"""The inner loop is that of autograd."""

from __future__ import annotations

import pytest
from maml_networks import batches, check_step, random_weights

from widthwise.experiments.maml import Omniglot


@pytest.mark.parametrize(("ways", "shots"), [(5, 1), (3, 2), (8, 3)])
@pytest.mark.parametrize("inner_steps", [1, 3])
def test_a_step_is_that_of_autograd(
    data: Omniglot, inner_steps: int, ways: int, shots: int
) -> None:
    net = random_weights(7, ways=ways)
    for batch in batches(data, 3, ways=ways, shots=shots):
        check_step(net, batch, inner_steps)
