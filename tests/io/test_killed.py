"""Every kind of file, killed as it is written: the old one or the new one is there, whole.

The folder of a checkpoint is killed at every step in `test_io_atomic_folder.py`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from operator import attrgetter
from pathlib import Path

import pytest
import torch
from families import tiny
from killing import killed_at, killed_within
from matplotlib.figure import Figure

from widthwise import make_plan
from widthwise.cli.figure_options import save_figure
from widthwise.cut import CalibrationSource, LayerFit, Refit
from widthwise.evaluate import TaskAnswer
from widthwise.experiments.tinynet_search import SearchTrial
from widthwise.experiments.tinynet_search.trials import FORMAT, TrialJob, load_trials
from widthwise.experiments.word2vec import SkipGram, networks
from widthwise.prune.calibration import Calibration, FitAndHoldout, Moments
from widthwise.prune.healing.state import StateFolder
from widthwise.report import write_whole
from widthwise.runs import RunFolder, result_format, write_lines
from widthwise.study import Record, append, load
from widthwise.study.item_parquet import write_items
from widthwise.study.refit_cache import RefitCache

Make = Callable[[Path, int], Path]
PART = CalibrationSource(source="text", fingerprint="f", fit_tokens=8, held_out_tokens=8)


def plan(folder: Path, version: int) -> Path:
    make_plan(tiny("llama"), width=8 * version, align=1, criterion="ppm").save(folder / "plan.json")
    return folder / "plan.json"


def settings(folder: Path, version: int) -> Path:
    RunFolder(folder).write_settings({"tasks": [version] * 100})
    return folder / "study.json"


def items(folder: Path, version: int) -> Path:
    answer = TaskAnswer(id=f"x/{version}", responses=((-1.0, True),), metrics={"acc": version})
    write_items(folder, "cell", [answer] * 9, [])
    return folder / "items" / "cell.parquet"


def moments(folder: Path, version: int) -> Path:
    halves = FitAndHoldout(
        fit=Moments(torch.eye(8) * version, 8), held_out=Moments(torch.eye(8), 8)
    )
    calibration = Calibration(
        model="m", parts=(PART,), neurons=(len(halves.fit.total),), groups={0: halves}
    )
    calibration.save(folder / "moments.safetensors", force=True)
    return folder / "moments.safetensors"


def refit(folder: Path, version: int) -> Path:
    cut = make_plan(tiny("llama"), width=8 * version, align=1, criterion="ppm")
    fit = LayerFit(lam=0.1, fit_error=0.1, held_out_error=0.2, curve=(1.0, 0.5))
    made = Refit(
        plan=cut,
        down=tuple(torch.ones(4, cut.width) for _ in cut.keep),
        layers=(fit,) * len(cut.keep),
        parts=(PART,),
        sequential=False,
    )
    (folder / "calibrated").mkdir(exist_ok=True)
    RefitCache(folder).write("ppm", {"text": "x"}, [made])
    return folder / "calibrated" / "ppm.safetensors"


def runs(folder: Path, version: int) -> Path:
    write_lines(folder / "results.jsonl", [{"name": version, "settings": {}}] * 20)
    return folder / "results.jsonl"


def page(folder: Path, version: int) -> Path:
    write_whole(folder / "report.html", f"<p>{version}</p>" * 100)
    return folder / "report.html"


def figure(folder: Path, version: int) -> Path:
    drawn = Figure()
    drawn.add_subplot().plot([0, version])
    save_figure(drawn, folder / "figure.png")
    return folder / "figure.png"


def word2vec(folder: Path, version: int) -> Path:
    matrix = torch.full((30, 2), float(version))
    path = folder / "width-2-seed-0.safetensors"
    networks.save_checkpoint(path, SkipGram(embeddings=matrix, outputs=matrix), {"value": version})
    return path


def healing(folder: Path, version: int) -> Path:
    StateFolder(folder, {}).save({"w": torch.ones(30) * version}, {"step": version})
    return folder / "state.safetensors"


KINDS = [plan, settings, items, moments, refit, runs, page, figure, word2vec, healing]


@pytest.mark.parametrize("make", KINDS, ids=lambda make: make.__name__)
def test_a_killed_writer_leaves_the_old_file_or_the_new_one(make: Make, tmp_path: Path) -> None:
    beside = tmp_path / "beside"
    beside.mkdir()
    new = make(beside, 2).read_bytes()
    path = make(tmp_path, 1)
    old = path.read_bytes()
    assert old != new

    killed_within(len(new) // 2, lambda: make(tmp_path, 2))
    assert path.read_bytes() == old
    killed_at("fsync", lambda: make(tmp_path, 2))
    assert path.read_bytes() == old
    killed_at("replace", lambda: make(tmp_path, 2))
    assert path.read_bytes() == old
    killed_at("fsync", lambda: make(tmp_path, 2), call=2)  # of the folder
    assert path.read_bytes() == new
    make(tmp_path, 1)
    assert path.read_bytes() == old


def record(version: int) -> Record:
    return Record(
        cell=f"c{version}",
        model="m",
        criterion=None,
        asked="dense",
        width=8,
        expansion_ratio=2.0,
        quantity="prose",
        unit="accuracy",
        value=0.5,
        n=1,
    )


def trial(version: int) -> SearchTrial:
    job = TrialJob(experiment="toy", network={}, settings={}, seed=version)
    return SearchTrial(
        key=job.key,
        experiment="toy",
        network={},
        settings={},
        seed=version,
        quantities={},
        reason="it failed",
        duration_sec=0.0,
    )


def records_file(path: Path, version: int) -> None:
    append(path, [record(version)])


def trials_file(path: Path, version: int) -> None:
    FORMAT.append(path, [trial(version)])


@dataclass(frozen=True)
class Named:
    name: str


NAMES = result_format(lambda found: Named(found["name"]), key=attrgetter("name"), command="maml")


def runs_file(path: Path, version: int) -> None:
    NAMES.append(path, [(Named(f"a name of {version}"), {})])


def runs_of(path: Path) -> list[str]:
    return [named.name for named, _ in NAMES.load(path).values()]


@pytest.mark.parametrize(
    ("add", "read"), [(records_file, load), (trials_file, load_trials), (runs_file, runs_of)]
)
def test_a_killed_line_is_none_and_those_before_it_stay(
    add: Callable[[Path, int], None], read: Callable[[Path], list[object]], tmp_path: Path
) -> None:
    path = tmp_path / "lines.jsonl"
    add(path, 1)
    old, size = read(path), path.stat().st_size
    killed_within(size + 20, lambda: add(path, 2))
    assert path.stat().st_size == size + 20
    assert read(path) == old
    killed_at("fsync", lambda: add(path, 2))
    assert read(path)[:1] == old
    assert len(read(path)) == 2  # it was written, only not forced to disk
    add(path, 3)
    assert len(read(path)) == 3
    assert len(path.read_bytes().splitlines()) == 3
