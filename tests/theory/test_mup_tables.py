"""Tables 3, 8 and 9 of arXiv 2203.03466 train the same network: literally, and as exponents."""

from __future__ import annotations

from math import sqrt
from typing import Any

import numpy as np
import pytest
import torch

from widthwise.errors import LimitError
from widthwise.theory import (
    Abc,
    ToyTask,
    activation,
    as_table,
    mup,
    mup_adam,
    ntp,
    table_abc,
    table_abcd,
    table_scales,
    toy,
    train,
)

TABLES = (3, 8, 9)
HIDDEN, WIDTH, SEED = 2, 64, 3
# The same sums in other units: a rounding of 1e-16 in each of 20 steps, grown by training.
ROUNDING = 1e-11


def adams_task() -> ToyTask:
    return toy(lr=0.02, steps=20)


def torch_run(table: int, optimizer: str, task: ToyTask) -> np.ndarray[Any, Any]:
    """Outputs of the table as torch users write it, with a parameter group for each weight."""
    d, o = task.inputs.shape[1], task.targets.shape[1]
    rng = np.random.default_rng(SEED)
    shapes = [(WIDTH, d), (WIDTH, WIDTH), (o, WIDTH)]
    # the input's fan-in and the output's fan-out are constants of the width; here they are 1
    fans: list[Any] = [("input", 1, WIDTH), ("hidden", WIDTH, WIDTH), ("output", WIDTH, 1)]
    rows = [table_scales(table, role, fan_in, fan_out) for role, fan_in, fan_out in fans]
    weights = [
        torch.nn.Parameter(torch.from_numpy(row.initial_std * rng.standard_normal(shape)))
        for row, shape in zip(rows, shapes, strict=True)
    ]
    kind: Any = torch.optim.SGD if optimizer == "sgd" else torch.optim.Adam
    extra = {} if optimizer == "sgd" else {"eps": 0.0}
    groups = [
        {"params": [w], "lr": task.lr * (row.lr_sgd if optimizer == "sgd" else row.lr_adam)}
        for w, row in zip(weights, rows, strict=True)
    ]
    optim = kind(groups, **extra)

    def net(x: torch.Tensor) -> torch.Tensor:
        for weight, row in zip(weights[:-1], rows, strict=False):
            x = torch.tanh(row.multiplier * (x @ weight.T))
        return rows[-1].multiplier * (x @ weights[-1].T)

    followed = []
    for step in range(task.steps + 1):
        with torch.no_grad():
            followed.append(net(torch.from_numpy(task.tests)).numpy())
        x, y = (torch.from_numpy(v) for v in task.example(step))
        optim.zero_grad()
        (0.5 * (net(x) - y).square().sum()).backward()
        optim.step()
    return np.stack(followed)


@pytest.mark.parametrize("table", TABLES)
def test_sgd_by_a_table_is_sgd_by_mup(table: int) -> None:
    task = toy(steps=20)
    ours = train(mup(HIDDEN), task, activation("tanh"), width=WIDTH, seed=SEED).outputs
    as_exponents = train(table_abc(table, HIDDEN), task, activation("tanh"), width=WIDTH, seed=SEED)
    np.testing.assert_allclose(as_exponents.outputs, ours, atol=ROUNDING, rtol=0)
    np.testing.assert_allclose(torch_run(table, "sgd", task), ours, atol=ROUNDING, rtol=0)
    assert np.abs(ours[-1] - ours[0]).max() > 0.1  # it was trained


@pytest.mark.parametrize("table", TABLES)
def test_adam_by_a_table_is_adam_by_mup(table: int) -> None:
    """torch's epsilon is 0 there and 1e-8 of a gradient of order 1 here: 1e-6 after 20 steps."""
    task = adams_task()
    ours = train(mup_adam(HIDDEN), task, activation("tanh"), width=WIDTH, seed=SEED).outputs
    same = train(table_abcd(table, HIDDEN), task, activation("tanh"), width=WIDTH, seed=SEED)
    np.testing.assert_allclose(same.outputs, ours, atol=ROUNDING, rtol=0)
    np.testing.assert_allclose(torch_run(table, "adam", task), ours, atol=1e-5, rtol=0)
    assert np.abs(ours[-1] - ours[0]).max() > 0.1


@pytest.mark.parametrize("width", [1, 7, 50])
def test_the_symmetry_leaves_training_as_it_is_at_any_width(width: int) -> None:
    task = toy(lr=0.1, steps=10)
    for one in (mup(3), ntp(3), Abc(a=(0, "1/3", 0, 1), b=(0, "1/2", "1/2", 0), c=[1] * 4)):
        theta = ("1/2", "-1/3", "3/4", -1)
        expected = train(one, task, activation("erf"), width=width, seed=1)
        found = train(one.reparametrized(theta), task, activation("erf"), width=width, seed=1)
        np.testing.assert_allclose(found.outputs, expected.outputs, atol=ROUNDING)
        np.testing.assert_allclose(found.movement, expected.movement, atol=ROUNDING)
    adam = mup_adam(2)
    expected = train(adam, task, activation("erf"), width=width, seed=1)
    found = train(adam.reparametrized((1, -1, "1/2")), task, activation("erf"), width=width, seed=1)
    np.testing.assert_allclose(found.outputs, expected.outputs, atol=ROUNDING)


@pytest.mark.parametrize("hidden", [1, 2, 5])
def test_tables_become_one_another(hidden: int) -> None:
    for table in TABLES:
        assert table_abc(table, hidden).with_multipliers(mup(hidden).a) == mup(hidden)
        for other in TABLES:
            assert as_table(table_abc(table, hidden), other) == table_abc(other, hidden)
            assert as_table(table_abcd(table, hidden), other) == table_abcd(other, hidden)


def test_any_parametrization_can_do_without_multipliers() -> None:
    plain = as_table(ntp(2), 3)
    assert [str(x) for x in (*plain.a, *plain.b, *plain.c)] == "0 0 0 0 1/2 1/2 0 1 1".split()


def test_the_tables_are_those_of_the_paper() -> None:
    """Its rows at fan-in 12 and fan-out 48: variance, multiplier, SGD, Adam."""
    fan_in, fan_out = 12, 48
    expected: dict[tuple[int, Any], tuple[float, ...]] = {
        (3, "input"): (1 / fan_in, 1, fan_out, 1),
        (3, "output"): (1 / fan_in**2, 1, 1 / fan_in, 1 / fan_in),
        (3, "hidden"): (1 / fan_in, 1, 1, 1 / fan_in),
        (8, "input"): (1 / fan_in, 1, fan_out, 1),
        (8, "output"): (1, 1 / fan_in, fan_in, 1),
        (8, "hidden"): (1 / fan_in, 1, 1, 1 / fan_in),
        (9, "input"): (1 / fan_out, sqrt(fan_out), 1, 1 / sqrt(fan_out)),
        (9, "output"): (1 / fan_in, 1 / sqrt(fan_in), 1, 1 / sqrt(fan_in)),
        (9, "hidden"): (1 / fan_in, 1, 1, 1 / fan_in),
    }
    for (table, role), row in expected.items():
        found = table_scales(table, role, fan_in, fan_out)
        got = (found.initial_std**2, found.multiplier, found.lr_sgd, found.lr_adam)
        assert got == pytest.approx(row, rel=1e-14)


def test_wrong_tables_roles_and_fans_are_refused() -> None:
    with pytest.raises(LimitError, match=r"must be 3, 8, 9 .* got table 4 and role 'input'"):
        table_abc(4, 2)
    with pytest.raises(LimitError, match="got table 8 and role 'bias'"):
        table_scales(8, "bias", 1, 1)  # type: ignore[arg-type]
    with pytest.raises(LimitError, match="fan-in 0"):
        table_scales(8, "input", 0, 1)
    with pytest.raises(LimitError, match="got 0"):
        table_abcd(8, 0)
