"""Scores that grow: a few items at a time give what all at once give, whatever happens between."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from sweep_runs import settings_of

from widthwise.errors import RunError
from widthwise.evaluate import Task, TaskAnswer
from widthwise.study import Record
from widthwise.study.evaluation import Evaluation
from widthwise.study.growing_scores import GrowingScores
from widthwise.study.scorer import Scorer
from widthwise.study.variant import Variant

pytestmark = pytest.mark.demo

TASKS = ("embedded:piqa", "embedded:prose")
SIZES = {"piqa": 9, "prose": 6}


class Grown(Evaluation):
    """An evaluation that asks so many items of each task, step by step."""

    steps: tuple[dict[str, int], ...] = ()

    def _measure(self) -> None:
        self.scores = GrowingScores(self.scorer, self.networks, self.store)
        for step in self.steps:
            self.scores.ask(step, lambda _: None)


def grown(folder: Path, model: Path, *steps: dict[str, int]) -> tuple[Grown, list[Record]]:
    study = Grown(folder, settings_of(model, tasks=TASKS, limit=12))
    study.steps = steps
    return study, study.run()


def check_same(records: list[Record], others: list[Record]) -> None:
    """All that was found is the same, but for the clock. In other batches float32 is rounded
    otherwise: by up to 1e-7 of a term, and texts have a thousand."""
    found, expected = (
        {(r.criterion, r.asked, r.quantity): r for r in each} for each in (records, others)
    )
    assert found.keys() == expected.keys()
    for key, other in expected.items():
        own = found[key]
        assert (own.n, own.floor_items) == (other.n, other.floor_items)
        assert own.settings["documents"] == other.settings["documents"]
        assert own.value == pytest.approx(other.value, rel=1e-5)
        assert own.items == pytest.approx(other.items, rel=1e-4, abs=1e-4)
        assert (own.distances is None) == (other.distances is None)
        if own.distances is not None and other.distances is not None:
            assert own.distances.divergence == pytest.approx(
                other.distances.divergence, rel=1e-4, abs=1e-5
            )


@pytest.fixture(scope="module")
def at_once(tiny_checkpoint: Path, tmp_path_factory: Any) -> list[Record]:
    return grown(tmp_path_factory.mktemp("once"), tiny_checkpoint, SIZES)[1]


def test_steps_give_what_one_step_gives(
    at_once: list[Record], tiny_checkpoint: Path, tmp_path: Path
) -> None:
    _, records = grown(tmp_path, tiny_checkpoint, {"piqa": 4}, {"piqa": 6, "prose": 2}, SIZES)
    check_same(records, at_once)
    assert {r.n for r in records if r.quantity == "piqa"} == {9}
    cut = [r for r in records if r.criterion is not None]
    assert all(r.distances is not None and len(r.distances.tokens) == r.n for r in cut)


def test_a_later_run_goes_on_with_the_answers_of_the_folder(
    at_once: list[Record], tiny_checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, _ = grown(tmp_path, tiny_checkpoint, {"piqa": 4, "prose": 6})
    asked: list[int] = []
    real = Scorer.answers

    def counting(self: Scorer, network: Variant, task: Task, *rest: Any) -> tuple[TaskAnswer, ...]:
        asked.append(len(task.item_ids))
        return real(self, network, task, *rest)

    monkeypatch.setattr(Scorer, "answers", counting)
    study, records = grown(tmp_path, tiny_checkpoint, SIZES)
    check_same(records, at_once)
    assert asked == [5] * len(study.networks)  # of piqa, and none of prose
    assert first.scores.count("piqa") == 4


def test_lost_answers_are_asked_again(
    at_once: list[Record], tiny_checkpoint: Path, tmp_path: Path
) -> None:
    _, records = grown(tmp_path, tiny_checkpoint, SIZES)
    (tmp_path / "items" / f"{records[0].cell}.parquet").write_bytes(b"PAR1 cut off")
    study, again = grown(tmp_path, tiny_checkpoint)
    assert study.scores.count(records[0].quantity) == 0
    _, again = grown(tmp_path, tiny_checkpoint, SIZES)
    check_same(again, at_once)


def test_a_network_that_cannot_answer_is_tried_again_by_the_next_run(
    at_once: list[Record], tiny_checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, tried = Scorer.answers, []

    def failing(self: Scorer, network: Variant, task: Task, *rest: Any) -> tuple[TaskAnswer, ...]:
        if network.criterion == "random" and task.name == "piqa":
            tried.append(network)
            raise RunError("no answer")
        return real(self, network, task, *rest)

    with monkeypatch.context() as broken:
        broken.setattr(Scorer, "answers", failing)
        study, records = grown(tmp_path, tiny_checkpoint, {"piqa": 4}, SIZES)
    lacking = [r for r in records if r.value is None]
    assert {(r.criterion, r.quantity) for r in lacking} == {("random", "piqa")}
    assert all(str(r.reason).endswith("no answer") for r in lacking)
    assert len(tried) == len(set(tried)) == len(lacking)  # once each
    assert study.scores.count("piqa") == 9
    _, again = grown(tmp_path, tiny_checkpoint, {"piqa": 2})
    check_same(again, at_once)  # as many items as the others have


def test_what_fits_into_a_time_is_asked(tiny_checkpoint: Path, tmp_path: Path) -> None:
    study, records = grown(tmp_path, tiny_checkpoint, {"piqa": 4})
    scores, spent = study.scores, sum(r.duration_sec for r in records)
    assert scores.seconds({"piqa": 4}) == 0.0
    assert scores.seconds({"piqa": 10}) == pytest.approx(6 / 4 * spent)
    assert scores.seconds({"prose": 3}) > 0.0  # by the length of its texts
    assert scores.missing({"piqa": 4, "prose": 3}) == {"prose": 3}
    assert scores.missing({"piqa": 99}) == {"piqa": 12}  # there are no more
    assert scores.fitting({"piqa": 4}, -1.0) == {}  # which the time has no say in
    assert scores.fitting({"piqa": 10}, 2 * spent) == {"piqa": 10}
    assert scores.fitting({"piqa": 10}, 0.8 * spent) == {"piqa": 4 + int(6 * 0.8 / 1.5)}
    assert scores.fitting({"piqa": 10}, 0.1 * spent) is None
    assert scores.fitting({"piqa": 10}, -1.0) is None
