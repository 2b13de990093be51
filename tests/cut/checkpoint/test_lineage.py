"""What the files of a cut say of its parent."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from widthwise.cut.checkpoint import lineage_of
from widthwise.errors import CheckpointError
from widthwise.prune import make_plan, prune_checkpoint


def test_a_lineage_says_what_was_done_to_the_weights(saved: Path, tmp_path: Path) -> None:
    assert lineage_of(saved) is None
    out = prune_checkpoint(
        saved, tmp_path / "out", make_plan(saved, width=24, align=1, criterion="ppm")
    )
    found = lineage_of(out)
    assert found is not None
    assert (found.criterion, found.healed, found.ratio) == ("ppm", False, 24 / 32)
    (out / "widthwise_healing.json").write_text(json.dumps({"child_refit": {"criterion": "ppm"}}))
    healed = lineage_of(out)
    assert healed is not None
    assert (healed.criterion, healed.healed) == ("ppm+refit", True)
    assert "healed_from" not in healed.stored
    child = {"name": "cuts/out", "fingerprint": "0123456789abcdef" * 4}
    (out / "widthwise_healing.json").write_text(json.dumps({"child": child}))
    named = lineage_of(out)
    assert named is not None
    told = {name: named.stored[name] for name in ("healed_from", "healed_from_weights")}
    assert told == {"healed_from": "cuts/out", "healed_from_weights": "0123456789abcdef"}
    (out / "widthwise_healing.json").write_text("[")
    with pytest.raises(CheckpointError, match=r"widthwise_healing\.json: cannot be read as JSON"):
        lineage_of(out)
