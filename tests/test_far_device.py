"""What is computed on a device other than the CPU: the same, with every tensor where it belongs."""

from __future__ import annotations

import copy
import os
import pickle
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from every_family import tiny_model
from families import tiny, tokens
from family_trials import inputs
from far_device import far_device
from layered_models import batches
from scripts import ROOT

from widthwise import Nested, activation_norms, apply, make_plan
from widthwise.evaluate.engine import Prompt, ScoringRequest, generate, log_likelihoods
from widthwise.prune import CRITERIA, HealSettings, OpenedModel, distil, per_layer, refit
from widthwise.prune.calibration import state_storage
from widthwise.runs import Event, Executor, Finished, Job, WorkerFactory

# Float32 in another order, of values of about 1, which solving for a refit makes some times worse.
NEAR: dict[str, Any] = {"rtol": 1e-3, "atol": 1e-4}
ALONE = "FAR_DEVICE_ALONE"  # set where pytest runs nothing but this file
IS_ALONE = pytest.mark.skipif(ALONE not in os.environ, reason="the first test runs it")
NO_CUDA = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
DEVICES = [
    pytest.param("imitated", marks=IS_ALONE),
    pytest.param("cuda", marks=[pytest.mark.gpu, NO_CUDA]),
]


@pytest.fixture(params=DEVICES)
def device(request: Any) -> Iterator[str]:
    """A device that is not the CPU: an imitated one, and CUDA where there is one."""
    with far_device() if request.param == "imitated" else nullcontext("cuda") as name:
        yield name


@pytest.mark.long
@pytest.mark.skipif(ALONE in os.environ, reason="this is what it runs")
def test_all_that_follows_on_the_imitated_device() -> None:
    """In a process of its own: torch knows the device until the end, and would seed it."""
    command = [sys.executable, "-m", "pytest", "-m", "not gpu", "-p", "no:cacheprovider"]
    done = subprocess.run(
        [*command, __file__],
        cwd=ROOT,
        env={**os.environ, ALONE: "1", "PYTHONPATH": str(ROOT / "src")},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert " passed, 1 skipped" in done.stdout


@pytest.fixture
def far_models(device: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Checkpoints on disk are run on the device, as on CUDA where there is one."""
    monkeypatch.setattr(OpenedModel, "run_in", (torch.float32, device))


def _padded() -> list[dict[str, Any]]:
    result = []
    for batch in batches():
        mask = torch.ones_like(batch["input_ids"])
        mask[:, -3:] = 0
        result.append({**batch, "attention_mask": mask})
    return result


def _same(one: Any, other: Any) -> None:
    """Two refits."""
    assert one.plan.keep == other.plan.keep
    for here, there in zip(one.down, other.down, strict=True):
        torch.testing.assert_close(here, there, **NEAR)
    for here, there in zip(one.losses, other.losses, strict=True):
        # Of nearly equal logits, whose rounding is some per cent of their difference.
        assert there.divergence == pytest.approx(here.divergence, rel=0.05, abs=1e-7)


@IS_ALONE
def test_tensors_of_the_imitated_device_and_the_cpu_do_not_mix() -> None:
    """As on CUDA: numbers and indices may be on the CPU, and nothing else."""
    with far_device() as device:
        far, near = torch.ones(3, device=device), torch.ones(3)
        assert far.device.type != "cpu"
        assert (far + torch.tensor(1.0))[torch.tensor([0, 2])].tolist() == [2.0, 2.0]
        assert (far.cpu() + near).tolist() == [2.0] * 3
        for wrong in (lambda: far + near, lambda: near[far > 0], lambda: near.add_(far)):
            with pytest.raises(RuntimeError, match="Expected all tensors to be on the same device"):
                wrong()
        with pytest.raises(TypeError, match="to numpy"):
            far.numpy()


@pytest.mark.parametrize("family", ["llama", "mixtral", "t5gemma"])
def test_a_checkpoint_is_refitted_layer_after_layer(
    family: str, far_models: None, tmp_path: Path
) -> None:
    model = tiny_model(family)
    model.save_pretrained(tmp_path)
    given = [inputs(model, seed, 4, 40) for seed in range(6)]
    here, there = (refit(m, remove="20%", align=1, text=given) for m in (model, tmp_path))
    _same(here, there)


class InTurn(Executor):
    """Two workers in this thread, which alone knows an imitated device; what travels is pickled."""

    def __init__(self, make: WorkerFactory, device: str) -> None:
        self._here = {name: make(device) for name in ("one", "two")}
        super().__init__([], attempts=1, patience_sec=1.0)

    @property
    def workers(self) -> tuple[str, ...]:
        return tuple(self._here)

    def run(self, jobs: Sequence[Job]) -> Iterator[Event]:
        for job in jobs:
            assert job.worker is not None
            work = pickle.loads(pickle.dumps(job.work))
            result = self._here[job.worker].do(work, lambda share, text: None)
            result = pickle.loads(pickle.dumps(result))
            yield Finished(worker=job.worker, job=job, result=result)

    def _wait(self, busy: Any, seconds: float) -> None:
        """Nobody is waited for."""


@pytest.mark.parametrize("family", ["llama", "mixtral", "t5"])
def test_sums_of_workers_on_the_device_are_added_there(
    family: str, far_models: None, device: str, tmp_path: Path
) -> None:
    """The text is too short for some experts, which are shown what workers have held back."""
    model = tiny_model(family)
    model.save_pretrained(tmp_path)
    given = [inputs(model, seed, 1, 40) for seed in range(4)]
    here = refit(model, remove="20%", align=1, text=given)
    engine = partial(InTurn, device=device)
    _same(here, refit(tmp_path, remove="20%", align=1, text=given, engine=engine))


@pytest.mark.parametrize("in_memory", [30_000, 0])
def test_hidden_states_of_padded_rows_may_be_in_files(
    in_memory: int, far_models: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Files are on the host, whatever the device is: of 98,304 bytes some are there, or all."""
    monkeypatch.setattr(state_storage, "MEMORY_BYTES", in_memory)
    model = tiny("llama")
    model.save_pretrained(tmp_path)
    here, there = (refit(m, width=24, align=1, text=_padded()) for m in (model, tmp_path))
    _same(here, there)


def test_widths_by_layers(far_models: None, tmp_path: Path) -> None:
    model = tiny("llama")
    model.save_pretrained(tmp_path)
    here, there = (per_layer(m, remove="40%", align=1, text=batches()) for m in (model, tmp_path))
    assert here.widths == there.widths


def test_every_criterion_of_a_model_in_memory(device: str) -> None:
    model = tiny("llama")
    far, given = copy.deepcopy(model).to(device), batches()
    norms = activation_norms(model, given)
    moved = [{name: ids.to(device) for name, ids in batch.items()} for batch in given]
    for layer, there in activation_norms(far, moved).items():
        torch.testing.assert_close(norms[layer], there, **NEAR)
    for criterion in CRITERIA:
        how = {"activation_norms": norms} if criterion == "ppm_activation" else {}
        here, there = (
            make_plan(m, width=24, align=1, criterion=criterion, **how) for m in (model, far)
        )
        assert here == there


def test_a_model_in_memory_is_refitted_cut_and_nested(device: str) -> None:
    model, ids = tiny("llama"), tokens()
    far, given = copy.deepcopy(model).to(device), batches()
    moved = [{name: ids.to(device) for name, ids in batch.items()} for batch in given]
    here = refit(model, width=24, align=1, text=given, scales=False)
    there = refit(far, width=24, align=1, text=moved, scales=False)
    _same(here, there)
    with torch.no_grad(), Nested(far) as nested:
        wanted = apply(model, here.plan, here)(ids).logits
        nested.sort_by([there])
        with nested.at(24) as narrow:
            torch.testing.assert_close(narrow(ids.to(device)).logits.cpu(), wanted, **NEAR)
    with torch.no_grad():
        narrow = apply(far, there.plan, there)
        torch.testing.assert_close(narrow(ids.to(device)).logits.cpu(), wanted, **NEAR)


def test_a_child_is_trained_towards_its_parent(device: str) -> None:
    model = tiny("llama")
    rows = torch.randint(3, 100, (24, 16), generator=torch.Generator().manual_seed(0))
    settings = HealSettings(tokens=160, batch_tokens=32, learning_rate=1e-3, hidden=0.1)
    parents = model, copy.deepcopy(model).to(device)
    healed = [
        distil(apply(m, make_plan(m, width=24, align=1, criterion="ppm")), m, rows, settings)
        for m in parents
    ]
    here, there = (each.after.divergence.value for each in healed)
    assert here < healed[0].before.divergence.value
    assert there == pytest.approx(here, rel=0.05)  # of nearly equal logits, as above


def test_texts_are_scored_and_continued(device: str) -> None:
    model = tiny("llama").eval()
    far = copy.deepcopy(model).to(device)
    asked = [ScoringRequest((5, 9, 20, *end), 2) for end in ((7, 8), (7, 11), (30, 4, 6))]
    here, there = (log_likelihoods(m, asked) for m in (model, far))
    for one, other in zip(here, there, strict=True):
        assert other.log_likelihood == pytest.approx(one.log_likelihood, abs=1e-4)
        assert one.greedy == other.greedy
    prompts = [Prompt(tokens=(5, 9, 20), limit=6), Prompt(tokens=(7,), limit=4)]
    assert generate(model, prompts, frozenset()) == generate(far, prompts, frozenset())
