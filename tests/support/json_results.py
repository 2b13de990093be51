"""What `--json` prints, compared with the keys that docs/cli.md states."""

from __future__ import annotations

import json
from typing import Any

import pytest
from click.testing import Result
from scripts import load_script

REFERENCE = load_script("tools/cli_reference.py")


def printed_json(command: str, result: Result) -> dict[str, Any]:
    """The one object on standard output, in one line."""
    found: dict[str, Any] = json.loads(result.stdout, parse_constant=pytest.fail)
    assert result.stdout.count("\n") == 1
    assert [*found] == REFERENCE.JSON_KEYS[command].split(), command
    for model in found["models"] if command in REFERENCE.STUDIES else ():
        assert [*model] == REFERENCE.MODEL_KEYS.split()
        assert all([*record] == REFERENCE.RECORD_KEYS.split() for record in model["records"])
    return found
