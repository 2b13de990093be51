"""A small Omniglot."""

from __future__ import annotations

from typing import Any

import pytest
import tiny_omniglot

from widthwise.experiments.maml import (
    Omniglot,
    load_omniglot,
)


@pytest.fixture(scope="module")
def data(tmp_path_factory: Any) -> Omniglot:
    return load_omniglot(tiny_omniglot.save(tmp_path_factory.mktemp("data") / "tiny.npz"))
