"""What a worker refuses: a model that is not there or is another one, and work without a share."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from every_family import tiny_model

from widthwise.cut import fingerprint
from widthwise.cut.checkpoint import ModelSource, resolve_model
from widthwise.errors import RunError
from widthwise.prune.calibration.share_worker import Leave, OpenModel, ShareWorker, SumUp


def do(worker: ShareWorker, work: Any) -> Any:
    return worker.do(work, lambda share, text: None)


def test_a_model_that_is_not_on_its_machine_or_is_another_one_is_refused(tmp_path: Path) -> None:
    tiny_model("llama").save_pretrained(tmp_path)
    source = resolve_model(str(tmp_path))
    with source.checkpoint:
        right = fingerprint(source.checkpoint)
    absent = ModelSource(tmp_path / "absent", "absent")
    with pytest.raises(RunError, match=r"absent is not on .*: the model must be under the same"):
        do(ShareWorker("cpu"), OpenModel(model=absent, fingerprint=right))
    with pytest.raises(RunError, match="holds other weights than here"):
        do(ShareWorker("cpu"), OpenModel(model=source, fingerprint="another"))
    worker = ShareWorker("cpu")
    do(worker, OpenModel(model=source, fingerprint=right))
    do(worker, Leave())


def test_a_worker_that_took_the_place_of_one_has_no_share() -> None:
    with pytest.raises(RunError, match="started anew, and its part of the text is gone"):
        do(ShareWorker("cpu"), SumUp(layer=0, advance=True))
