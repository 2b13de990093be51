"""Codes by frequencies: no text has a part in its own."""

from __future__ import annotations

import math

import pytest

from widthwise.evaluate.frequency_codes import byte_log_likelihoods, word_log_likelihoods


def test_word_code_by_hand() -> None:
    """Other texts "a b" and "b": of "b c b", b was seen twice of 3 words, c is new and spelled."""
    texts = [["b", "c", "b"], ["a", "b"], ["b"]]
    # Letters of the distinct words of the others, a and b, with an end each: 4, half added to 257.
    new_c = (0.5 / (4 + 0.5 * 257)) * (2.5 / (4 + 0.5 * 257))
    first = 2 / (3 + 3)  # b: 2 of 3 words, and 2 + 1 for one that is new
    second = 3 / (4 + 3) * new_c
    third = 3 / (5 + 4)  # b again: seen 3 times of 5 words, of which 3 are distinct
    known = math.log(first * second * third)
    assert word_log_likelihoods(texts)[0] == pytest.approx(known, rel=1e-12)  # rounding
    given = word_log_likelihoods(texts, given=[2, 0, 0])[0]
    assert given == pytest.approx(math.log(third), rel=1e-12)


def test_word_code_gives_no_more_than_everything() -> None:
    """Over all words of at most one byte, seen or not, its probabilities add up to 1 or less."""
    others = [["a", "b", "a"], ["c"]]
    every = ["", *(chr(code) for code in range(128))]
    total = sum(math.exp(word_log_likelihoods([[word], *others])[0]) for word in every)
    assert 0.5 < total <= 1  # longer words, and other bytes, have the rest


def test_byte_code_adds_up_to_one() -> None:
    every = [bytes([byte]) for byte in range(256)]
    total = sum(math.exp(byte_log_likelihoods([text, b"abba"])[0]) for text in every)
    assert total == pytest.approx(1, abs=1e-12)  # rounding of 256 terms
