"""Analogies: files, and answers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from widthwise.errors import AssetError
from widthwise.experiments.word2vec import (
    Questions,
    load_questions,
    right_answers,
)
from widthwise.experiments.word2vec.analogies import section_scores


def written(path: Path, text: str | bytes) -> Path:
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


QUESTIONS = ": pairs\nA b C d\na b E f\n\n: none\nx y z w\n: More pairs\nf e b a\n"


def asked(tmp_path: Path, text: str = QUESTIONS) -> Questions:
    return load_questions(written(tmp_path / "q.txt", text), list("abcdef"))


def test_questions_are_those_whose_words_are_known(tmp_path: Path) -> None:
    questions = asked(tmp_path)
    assert questions.words.tolist() == [[0, 1, 2, 3], [0, 1, 4, 5], [5, 4, 1, 0]]
    assert questions.sections == (("pairs", 2), ("More pairs", 1))
    assert questions.of == 4


def test_the_answer_is_the_nearest_in_direction_but_for_the_three_words(tmp_path: Path) -> None:
    questions = asked(tmp_path)
    rows = np.random.default_rng(0).normal(size=(6, 4))
    rows[3] = 9 * (rows[1] / np.linalg.norm(rows[1]) - rows[0] / np.linalg.norm(rows[0]))
    rows[3] += 9 * rows[2] / np.linalg.norm(rows[2])  # far too long, but in the right direction
    units = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    expected = []
    for a, b, c, d in questions.words:
        scores = units @ (units[b] - units[a] + units[c])
        scores[[a, b, c]] = -np.inf
        expected.append(int(scores.argmax()) == d and scores.max() > 0)
    assert expected[0]
    assert right_answers(torch.from_numpy(rows), questions).tolist() == expected
    assert not right_answers(torch.eye(6), questions).any()  # no score is above 0
    assert not right_answers(torch.zeros(6, 4), questions).any()


def test_sections_are_counted_each_also_two_of_one_name(tmp_path: Path) -> None:
    questions = asked(tmp_path, ": a\na b c d\na b e f\n: b\nf e b a\n: a\nb a c d\n")
    right = np.array([True, False, True, True])
    assert section_scores(right, questions) == (("a", 1, 2), ("b", 1, 1), ("a", 1, 1))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "there are no analogies at"),
        ("", "has no question"),
        (": only\n", "has no question"),
        (": pairs\na b c\n", r"q.txt:2 must have four words, .* it has 3 words"),
        ("a\n", r"q.txt:1 must have four words, .* it has 1 word$"),
        ("a b c d e\n", "q.txt:1 must have four words"),
        ("Oslo b c d\nOslo x b c\n", "none of the 2 questions .* lacks 2 words, such as oslo, x;"),
        ("Oslo b c d\n", "the one question of .* has not all four .* lacks 1 word, such as oslo;"),
        (b"\xff\xfe", "is no text in UTF-8"),
    ],
)
def test_analogies_that_are_none_are_refused(
    tmp_path: Path, text: bytes | str | None, message: str
) -> None:
    path = tmp_path / "q.txt"
    if text is not None:
        written(path, text)
    with pytest.raises(AssetError, match=message):
        load_questions(path, list("abcdef"))
