"""Widths that are tried for a goal that no shape tells."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from cost_records import ROUNDS, costs
from llama_bench import calls
from shrink_runs import made, quick_runs

from widthwise.errors import RunError, TargetError
from widthwise.prune import PruneSpec
from widthwise.shrink import Shrink, ShrinkResult, ShrinkSettings
from widthwise.shrink import loss as loss_module
from widthwise.shrink import steps as steps_module
from widthwise.shrink.plan import plan_shrink
from widthwise.shrink.search import SpeedSearch
from widthwise.shrink.stages import FinishedStage
from widthwise.shrink.steps import Steps
from widthwise.study import Record

TEXTS = 10


@pytest.fixture
def anything_can_be_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    """A tiny model of random weights beats no floor."""
    monkeypatch.setattr(loss_module, "beats_its_floor", lambda _: True)


def settings_of(folder: Path, text: Path, **changes: Any) -> ShrinkSettings:
    """A tiny model that is asked for the bits per byte of a few texts."""
    rows = [{"text": f"the king of sand {n} was richer than {n + 1}"} for n in range(TEXTS)]
    task = folder / "texts.jsonl"
    task.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return made(folder, text, tasks=(str(task),), **changes)


def run(folder: Path, settings: ShrinkSettings) -> tuple[ShrinkResult, list[str]]:
    told: list[str] = []
    with quick_runs():
        result = Shrink(folder / "out", settings, on_told=told.append).run()
    return result, told


@pytest.mark.long
@pytest.mark.usefixtures("anything_can_be_lost")
def test_the_narrowest_width_that_is_shown_to_lose_little_is_taken(
    text: Path, tmp_path: Path
) -> None:
    """Every width is judged by its own items, and the first that is not shown ends the search."""
    result, told = run(tmp_path, settings_of(tmp_path, text, max_loss="1%"))
    assert result.search is not None
    *good, last = result.search.trials
    assert [trial.is_enough for trial in good] == [True] * len(good)
    assert result.search.found == (last if last.is_enough else good[-1])
    assert result.plan.spec == result.search.found.spec
    assert told[: len(good) + 1] == [f"{trial}." for trial in (*good, last)]
    assert not (tmp_path / "out" / "tries").exists()
    names = [*result.stages]
    tried = [f"try {trial.spec.target.text}" for trial in (*good, last)]
    assert names[: len(tried) + 2] == ["before", *tried, "cut"]
    assert "Widths that were tried" in (tmp_path / "out" / "README.md").read_text(encoding="utf8")
    assert result.verdict.startswith("Asked: a loss of at most 1%; ")


@pytest.mark.long
@pytest.mark.usefixtures("anything_can_be_lost")
def test_an_interrupted_search_goes_on_with_the_width_that_was_tried(
    text: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings, cuts = settings_of(tmp_path, text, max_loss="90%", minutes=1000.0), []

    def stopped(*asked: Any, **more: Any) -> None:
        cuts.append(more["remove"])
        if len(cuts) == 3:
            raise KeyboardInterrupt
        real(*asked, **more)

    real = steps_module.prune
    monkeypatch.setattr(steps_module, "prune", stopped)
    with quick_runs(), pytest.raises(KeyboardInterrupt):
        Shrink(tmp_path / "out", settings).run()
    assert cuts == ["5%", "10%", "15%"]
    assert sorted(p.name for p in (tmp_path / "out" / "tries").iterdir()) == ["10"]  # 5 % went
    result, _ = run(tmp_path, settings)
    assert cuts[3:] == ["15%", "20%", "25%", "30%", "35%", "40%", "50%", "60%"]
    assert result.plan.spec.target.text == "60%"
    assert result.search is not None
    assert not result.search.end_words


@pytest.mark.usefixtures("anything_can_be_lost")
def test_the_minutes_end_a_search_and_that_is_said(text: Path, tmp_path: Path) -> None:
    settings = settings_of(tmp_path, text, max_loss="90%", minutes=1e-6)
    result, told = run(tmp_path, settings)
    assert result.plan.spec.target.text == "5%"
    assert "The 1e-06 minutes allowed no narrower width to be tried" in told[1]


@pytest.mark.long
@pytest.mark.usefixtures("anything_can_be_lost")
def test_with_a_type_of_blocks_the_file_of_a_cut_is_judged(
    text: Path, all_words: Path, tmp_path: Path
) -> None:
    """And the same file without a cut beside it."""
    pytest.importorskip("sentencepiece")
    asked = {"model": str(all_words), "gguf": "q4_0", "max_loss": "90%", "minutes": 1e-6}
    run(tmp_path, settings_of(tmp_path, text, **asked))
    (asked_of,) = (tmp_path / "out" / "evaluations").glob("[0-9]*/study.json")
    assert json.loads(asked_of.read_text())["model"].endswith("out/decoded")
    left = {*(tmp_path / "out").glob("*.gguf"), *(tmp_path / "out").glob("*decoded")}
    assert left == {tmp_path / "out" / "model.gguf"}


@pytest.mark.usefixtures("anything_can_be_lost")
def test_where_no_width_is_shown_to_lose_little_the_sentence_has_the_number(
    text: Path, tmp_path: Path
) -> None:
    settings = settings_of(tmp_path, text, max_loss="0.0000001%")
    with pytest.raises(TargetError, match=r"^--max-loss 0.0000001% is not shown to be kept by any"):
        run(tmp_path, settings)
    with pytest.raises(TargetError, match=r"removed: a loss of .* not shown to be within the"):
        run(tmp_path, settings)  # known without a further cut


def test_a_model_that_beats_no_floor_has_nothing_to_lose(text: Path, tmp_path: Path) -> None:
    with pytest.raises(RunError, match="no loss can be seen: at none of the tasks"):
        run(tmp_path, settings_of(tmp_path, text, max_loss="5%"))


class FakeClock:
    """In the place of steps: writes times as if speed were as the share of neurons wants."""

    def __init__(self, folder: Path, gain: float) -> None:
        self.folder, self.gain = folder, gain
        self.timed: list[list[str]] = []

    def time_widths(self, place: str, specs: Sequence[PruneSpec]) -> None:
        widths = [spec.target.text for spec in specs]
        self.timed.append(widths)
        lines = costs("dense", ROUNDS)
        for asked in widths:
            share = float(asked.removesuffix("%")) / 100
            faster = tuple(value * (1 + self.gain * share) for value in ROUNDS)
            lines += [
                replace(
                    record,
                    criterion="ppm",
                    asked=asked,
                    cell=f"{asked} {record.cell}",
                    width=round(1536 * (1 - share)),
                    higher_is_better=True,
                )
                for record in costs("dense", faster)
            ]
        (self.folder / place).mkdir()
        known = [replace(record, higher_is_better=True) for record in lines]
        text = "\n".join(record.to_json() for record in known) + "\n"
        (self.folder / place / "records.jsonl").write_text(text)
        (self.folder / place / "study.json").write_text("{}")


def searched(folder: Path, text: Path, times: str, gain: float) -> tuple[SpeedSearch, FakeClock]:
    """A search in which speed rises by `gain` times the share of the neurons."""
    settings, clock = made(folder, text, faster=times), FakeClock(folder, gain)
    done: dict[Any, FinishedStage] = {}
    plan = plan_shrink(settings)
    search = SpeedSearch(plan=plan, settings=settings, folder=folder, done=done)
    for name, do in search.stages(clock):  # type: ignore[arg-type]
        do()
        done[name] = FinishedStage(name=name, seconds=1.0)
    return search, clock


@pytest.mark.parametrize(
    ("times", "found", "between"),
    [("1.2x", "25%", ["25%"]), ("1.05x", "10%", ["5%"]), ("1.36x", "40%", ["35%"])],
)
def test_the_widest_width_that_is_as_fast_is_found(
    times: str, found: str, between: list[str], text: Path, tmp_path: Path
) -> None:
    search, clock = searched(tmp_path, text, times, gain=1.0)
    assert search.found is not None
    assert search.found.spec.target.text == found
    assert clock.timed == [["10%", "20%", "30%", "40%", "60%"], between]


def test_a_speed_that_no_width_has_is_refused_with_the_best(text: Path, tmp_path: Path) -> None:
    with pytest.raises(TargetError, match=r"--faster 2x is not shown of any width. With 6"):
        searched(tmp_path, text, "2x", gain=1.0)


def test_a_speed_that_cannot_be_measured_says_why(text: Path, tmp_path: Path) -> None:
    settings = made(tmp_path, text, faster="1.1x")
    place = "speeds"
    done: Mapping[Any, FinishedStage] = {
        place: FinishedStage(name=place, seconds=0.0, reason="no memory for two models")
    }
    plan = plan_shrink(settings)
    search = SpeedSearch(plan=plan, settings=settings, folder=tmp_path, done=done)
    with pytest.raises(RunError, match="speed was not measured: no memory for two models"):
        list(search.stages(FakeClock(tmp_path, 1.0)))  # type: ignore[arg-type]


@pytest.mark.long
@pytest.mark.demo
def test_of_files_speed_is_what_llama_cpp_tells(
    text: Path, all_words: Path, llama_bench: Path, tmp_path: Path
) -> None:
    """Files of the widths are written, timed in turn with the one without a cut, and removed."""
    pytest.importorskip("sentencepiece")
    settings = made(tmp_path, text, model=str(all_words), gguf="f16", faster="1.15x")
    plan = plan_shrink(settings)
    done: dict[Any, FinishedStage] = {}
    search = SpeedSearch(plan=plan, settings=settings, folder=tmp_path, done=done)
    steps = Steps(
        path=tmp_path, settings=settings, source=plan.source, command=None,
        on_progress=lambda *_: None,
    )  # fmt: skip
    for name, do in search.stages(steps):
        done[name] = FinishedStage(name=name, seconds=1.0, reason=do())
    assert search.found is not None
    assert [trial.is_enough for trial in search.trials[:4]] == [False, False, True, True]
    assert search.found == search.trials[2]
    share = search.found.spec.target.text.removesuffix("%")
    files = {Path(words["-m"]).name for words in calls(llama_bench)}
    assert {"dense.gguf", f"cut-{share}.gguf"} <= files
    assert not [*tmp_path.glob("*.gguf"), *tmp_path.glob("cut-*")]


def test_files_that_cannot_be_timed_are_no_speed(
    text: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where a context is too short: every record has a reason, and none a number."""
    search, _ = searched(tmp_path, text, "1.2x", gain=1.0)
    for place in ("speeds", "speeds-between"):
        file = tmp_path / place / "records.jsonl"
        lost = [
            replace(Record.from_json(line), value=None, items=(), n=0, reason="too short")
            for line in file.read_text().splitlines()
        ]
        file.write_text("".join(record.to_json() + "\n" for record in lost))
    assert search.trials == ()
    with pytest.raises(RunError, match="speed was not measured: too short"):
        list(search.stages(FakeClock(tmp_path, 1.0)))  # type: ignore[arg-type]
