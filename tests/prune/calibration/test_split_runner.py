"""A text that is divided among workers: the same refit, whatever their number and whatever ends."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import psutil
import pytest
import torch
from every_family import tiny_model
from family_trials import inputs

import widthwise
from widthwise.cut import Refit
from widthwise.cut.checkpoint import by_layers
from widthwise.errors import RunError
from widthwise.notices import shown
from widthwise.prune import PruneSpec
from widthwise.prune.calibration import calibrate
from widthwise.prune.calibration.share_worker import ShareWorker
from widthwise.prune.refitting import refit, refits
from widthwise.runs import Executor, Processes, RayExecutor

os.environ.setdefault("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "0")  # as tests/runs has it
os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
HERE = str(Path(widthwise.__file__).parent.parent)  # what nodes of a cluster import


class _Lent(Processes):
    """Some of the worker processes of another engine, which stay there when this one is closed."""

    def __init__(self, make: Any, *, of: Processes, count: int) -> None:
        Executor.__init__(self, of._workers[:count], attempts=3, patience_sec=1800.0)
        assert make is ShareWorker

    def close(self) -> None:
        pass


@pytest.fixture(scope="module")
def local() -> Iterator[Any]:
    """Makes engines of so many workers, which start once for all tests: each imports torch."""
    with Processes(ShareWorker, devices=["cpu"] * 3) as engine:
        yield lambda count: partial(_Lent, of=engine, count=count)


def saved_model(family: str, folder: Path) -> Any:
    model = tiny_model(family)
    model.save_pretrained(folder)
    return model


def text_of(model: Any, count: int, rows: int = 4) -> list[dict[str, torch.Tensor]]:
    return [inputs(model, seed, rows, 40) for seed in range(count)]


def refitted(folder: Path, text: Any, **how: Any) -> Refit:
    return refit(str(folder), remove="40%", align=8, text=text, **how)


def same(one: Refit, other: Refit) -> bool:
    """To the bit."""
    return (
        (one.plan, one.layers, one.losses) == (other.plan, other.layers, other.losses)
        and all(map(torch.equal, one.down, other.down))
    )  # fmt: skip


@pytest.mark.parametrize(
    ("family", "workers", "sequential"),
    [
        *(pytest.param("llama", n, True, marks=pytest.mark.long) for n in (2, 3)),
        *(("llama", 2, False), ("qwen2_moe", 2, True), ("t5", 2, True)),
    ],
)
def test_a_refit_is_the_same_to_the_bit_by_any_number_of_workers(
    family: str,
    workers: int,
    sequential: bool,
    local: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Though no layer stays in memory here, and parts of the text are not of one size."""
    monkeypatch.setattr(by_layers, "KEPT_BYTES", 0)
    text = text_of(saved_model(family, tmp_path), 7)
    whole = refitted(tmp_path, text, sequential=sequential)
    divided = refitted(tmp_path, text, sequential=sequential, engine=local(workers))
    assert same(divided, whole)


def test_sums_of_the_dense_model_are_the_same(local: Any, tmp_path: Path) -> None:
    text = text_of(saved_model("llama", tmp_path), 5)
    whole = calibrate(str(tmp_path), text=text)
    divided = calibrate(str(tmp_path), text=text, engine=local(2))
    assert divided.parts == whole.parts
    for group, halves in whole.groups.items():
        assert torch.equal(divided.groups[group].fit.total, halves.fit.total)
        assert torch.equal(divided.groups[group].held_out.total, halves.held_out.total)
    spec = [PruneSpec.of(remove="40%", align=8)]
    (one,) = refits(str(tmp_path), spec, text, engine=local(2))
    assert same(one, refits(str(tmp_path), spec, whole)[0])


def test_experts_of_few_tokens_are_shown_the_same_further_tokens(
    local: Any, tmp_path: Path
) -> None:
    """Each worker has fewer of them than an expert needs: the first of the text are taken."""
    text = text_of(saved_model("mixtral", tmp_path), 4, rows=1)
    whole = refitted(tmp_path, text)
    sent = [each.tokens for each in whole.layers]
    assert min(sent) < 2 * 53  # of both halves: some are filled up
    assert same(refitted(tmp_path, text, engine=local(2)), whole)


def test_workers_without_a_batch_are_left_out_and_told(local: Any, tmp_path: Path) -> None:
    text = text_of(saved_model("llama", tmp_path), 2)
    told: list[str] = []
    with shown(told.append):
        divided = refitted(tmp_path, text, engine=local(3))
    assert same(divided, refitted(tmp_path, text))
    assert told[0] == "2 of 3 workers have something to do, as the text is run in 2 batches."


@pytest.mark.long
def test_what_a_lost_worker_leaves_is_gone_on_with(local: Any, tmp_path: Path) -> None:
    """It is killed behind the first layer; what was done is not done again."""
    folder, work = tmp_path / "model", tmp_path / "work"
    work.mkdir()
    text = text_of(saved_model("llama", folder), 4)
    others = psutil.Process().children()

    def started() -> list[psutil.Process]:
        return [each for each in psutil.Process().children() if each not in others]

    def kill_one(layer: int) -> None:
        last = started()[-1]
        last.send_signal(signal.SIGKILL)
        last.wait()

    engine = partial(Processes, devices=["cpu"] * 2)
    with pytest.raises(RunError, match=r"^worker cpu(#2)? failed: .*; run the same again, with"):
        refitted(folder, text, work=work, progress=kill_one, engine=engine)
    assert not started()
    assert [path.name for path in work.iterdir()] == ["layer-00000.safetensors"]
    told: list[str] = []
    with shown(told.append):
        assert same(refitted(folder, text, work=work, engine=local(2)), refitted(folder, text))
    assert told[0] == f"The first layer is taken from {work}, as it is done."


def test_a_model_in_memory_is_refused(local: Any) -> None:
    model = tiny_model("llama")
    with pytest.raises(RunError, match="run where it is; to divide the text among workers, save"):
        refit(model, remove="40%", align=8, text=text_of(model, 2), engine=local(2))


@pytest.mark.long
def test_workers_of_a_ray_cluster_give_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("ray", reason="the package ray is not installed")
    monkeypatch.setenv("PYTHONPATH", HERE)
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    text = text_of(saved_model("llama", tmp_path), 4)
    engine = partial(RayExecutor, workers=2, cpus_per_worker=0.5)
    assert same(refitted(tmp_path, text, engine=engine), refitted(tmp_path, text))
