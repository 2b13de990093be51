"""What the lines of a model card load."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any


def by_card(folder: Path) -> dict[str, Any]:
    """The names that the one block of code in a card defines, run for its folder."""
    card = (folder / "README.md").read_text()
    code = re.findall(r"```python\n(.*?)```", card, re.DOTALL)
    assert len(code) == 1
    found: dict[str, Any] = {}
    exec(code[0].replace("path/to/this/folder", str(folder)), found)  # what readers do
    return found
