"""Shapes in signatures are checked while tests run, and cost a user nothing."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch
from jaxtyping import TypeCheckError
from shape_checks import modules_with_shapes

from widthwise.prune.criteria import ppm


def test_a_wrong_shape_is_refused() -> None:
    gate, up = torch.ones(3, 2), torch.ones(4, 2)
    assert ppm(gate, gate).shape == (3,)
    with pytest.raises(TypeCheckError, match="rows"):
        ppm(gate, up)


def test_users_load_neither_jaxtyping_nor_beartype() -> None:
    imports = "; ".join(f"import {module}" for module in modules_with_shapes())
    code = f"import sys; {imports}; sys.exit(bool({{'jaxtyping', 'beartype'}} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
