"""A task a few items at a time: one order for all, stops that fit, and what cannot stop."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from harness_answers import BENCHMARKS, Oracle, documents, one_task
from hypothesis import given, settings
from hypothesis import strategies as st

from widthwise.evaluate import Task, TaskAnswer, answer_task, chosen_items, sequential_answers
from widthwise.evaluate.score import item_values
from widthwise.stats import confidence_sequence

SIZE, STEP = 300, 64


@pytest.fixture(scope="module")
def folder(tmp_path_factory: Any) -> Path:
    return documents(tmp_path_factory.mktemp("documents"), SIZE)


@pytest.fixture(scope="module")
def piqa(folder: Path) -> Task:
    return one_task("piqa", folder)


def walk(
    task: Task,
    networks: dict[str, str],
    half_width: float,
    *,
    seed: int = 0,
    broken: dict[str, int] | None = None,
) -> tuple[dict[str, list[TaskAnswer]], list[str]]:
    """Each network by the oracle named, to the end; `broken` fail in that step of theirs.

    Returns the answers and who was asked, in order.
    """
    asked: list[str] = []

    def ask(network: str, part: Task) -> Sequence[TaskAnswer] | None:
        asked.append(network)
        if asked.count(network) - 1 == (broken or {}).get(network):
            return None
        return answer_task(Oracle(networks[network]), part)

    return sequential_answers(task, list(networks), half_width, ask, seed=seed), asked


def ids(answers: Sequence[TaskAnswer]) -> list[str]:
    return [answer.id for answer in answers]


def test_twins_stop_early_on_a_common_prefix_of_one_order(piqa: Task) -> None:
    found, _ = walk(piqa, {"dense": "a", "twin": "a", "other": "b"}, 0.08)
    taken = {network: ids(answers) for network, answers in found.items()}
    assert len(taken["twin"]) == 2 * STEP  # one step leaves +-0.104, two leave +-0.053
    assert len(taken["other"]) == len(taken["dense"]) == SIZE  # half of the answers differ
    assert taken["twin"] == taken["dense"][: 2 * STEP]
    assert taken["other"] == taken["dense"]
    assert sorted(taken["dense"]) == sorted(piqa.item_ids)
    places = [piqa.item_ids.index(id_) for id_ in taken["dense"][:STEP]]
    assert places != sorted(places)  # a drawn order, also within a step


def test_a_network_stops_at_the_first_step_that_is_narrow_enough(piqa: Task) -> None:
    for half_width in (0.25, 0.12, 0.06):
        found, _ = walk(piqa, {"dense": "a", "twin": "a"}, half_width)
        n = len(found["twin"])
        own, other = (item_values(piqa, found[name]) for name in ("twin", "dense"))
        differences = [a - b for a, b in zip(own, other, strict=True)]
        assert confidence_sequence(differences).half_width <= half_width
        if n > STEP:
            assert confidence_sequence(differences[: n - STEP]).half_width > half_width


def test_a_huge_half_width_takes_one_step_and_a_tiny_one_all_items(piqa: Task) -> None:
    found, asked = walk(piqa, {"dense": "a", "other": "b"}, 0.99)
    assert asked == ["dense", "other"]
    assert {len(answers) for answers in found.values()} == {STEP}
    found, _ = walk(piqa, {"dense": "a", "twin": "a"}, 1e-6)
    assert {len(answers) for answers in found.values()} == {SIZE}


def test_the_answers_are_those_to_the_whole_task(piqa: Task) -> None:
    found, _ = walk(piqa, {"dense": "a", "other": "b"}, 1e-6)
    for network, name in (("dense", "a"), ("other", "b")):
        whole = {answer.id: answer for answer in answer_task(Oracle(name), piqa)}
        assert {answer.id: answer for answer in found[network]} == whole


def test_the_order_is_that_of_the_seed(piqa: Task) -> None:
    orders = [ids(walk(piqa, {"d": "a", "t": "a"}, 0.3, seed=s)[0]["d"]) for s in (0, 0, 1)]
    assert orders[0] == orders[1]
    assert orders[0] != orders[2]


@pytest.mark.parametrize("name", ["wikitext", "lambada_openai"])
def test_perplexities_are_measured_on_all_items_in_one_step(name: str, folder: Path) -> None:
    """They have no bounds; of equal answers the difference is 0 all the same."""
    task = one_task(name, folder)
    found, asked = walk(task, {"dense": "a", "twin": "a"}, 0.99)
    assert asked == ["dense", "twin"]
    assert {len(answers) for answers in found.values()} == {SIZE}


@pytest.mark.skipif(not (BENCHMARKS / "nltk_data").is_dir(), reason="ifeval needs punkt_tab")
def test_items_with_several_verdicts_are_measured_in_full(folder: Path) -> None:
    task = one_task("ifeval", folder, limit=70)
    several = dataclasses.replace(task, metric="inst_level_strict_acc")
    for each, n in ((task, STEP), (several, 70)):
        found, _ = walk(each, {"dense": "a", "twin": "a"}, 0.99)
        assert {len(answers) for answers in found.values()} == {n}


def test_dense_alone_is_measured_in_full(piqa: Task) -> None:
    found, _ = walk(piqa, {"dense": "a"}, 0.99)
    assert len(found["dense"]) == SIZE


def test_a_network_that_fails_is_given_up_and_the_others_go_on(piqa: Task) -> None:
    networks = {"dense": "a", "twin": "a", "ruin": "b"}
    found, asked = walk(piqa, networks, 0.1, broken={"ruin": 1})
    assert set(found) == {"dense", "twin"}
    assert len(found["twin"]) == 2 * STEP
    assert asked.count("ruin") == 2
    # A later run may need dense for all items to compare the one that was given up.
    assert len(found["dense"]) == SIZE


def test_without_dense_all_others_go_on_to_the_end(piqa: Task) -> None:
    networks = {"dense": "a", "twin": "a", "other": "b"}
    for step in (0, 1):
        found, asked = walk(piqa, networks, 0.01, broken={"dense": step})
        assert asked.count("dense") == step + 1  # never asked again
        assert {name: len(a) for name, a in found.items()} == {"twin": SIZE, "other": SIZE}
    found, asked = walk(piqa, networks, 0.1, broken=dict.fromkeys(networks, 0))
    assert asked == list(networks)
    assert found == {}


def test_chosen_items_of_a_group_are_asked_the_same(folder: Path) -> None:
    task = one_task("leaderboard_musr", folder)
    whole = list(task.documents())
    before = [len(part.doc_ids) for part in task.parts]
    places = [before[0] - 1, 2, before[0], 0]  # of the first two parts, in any order
    some = chosen_items(task, places)
    assert some.item_ids == tuple(whole[place].id for place in sorted(places))
    assert len(some.parts) == 2
    for document, place in zip(some.documents(), sorted(places), strict=True):
        assert document.doc == whole[place].doc
        assert [i.args for i in document.instances] == [i.args for i in whole[place].instances]
    assert [len(part.doc_ids) for part in task.parts] == before
    assert [document.id for document in task.documents()] == [document.id for document in whole]


@given(st.lists(st.integers(0, SIZE - 1), unique=True, min_size=1))
@settings(deadline=None, max_examples=8)
def test_answers_to_chosen_items_are_those_to_all(piqa: Task, places: list[int]) -> None:
    whole = answer_task(Oracle(), piqa)
    assert answer_task(Oracle(), chosen_items(piqa, places)) == tuple(
        whole[place] for place in sorted(places)
    )
