"""The order in which jobs are handed out."""

from __future__ import annotations

import pytest

from widthwise.runs import Job
from widthwise.runs.protocol import schedule_order


def job(key: str, *, alone: bool = False) -> Job:
    return Job(key=key, label=key, work=None, alone=alone)


def test_jobs_alone_come_last_and_the_order_stays_otherwise() -> None:
    jobs = [job("time 1", alone=True), job("a"), job("time 2", alone=True), job("b")]
    assert [each.key for each in schedule_order(jobs)] == ["a", "b", "time 1", "time 2"]


def test_two_jobs_of_one_key_are_refused() -> None:
    with pytest.raises(ValueError, match=r"two jobs have one key: \['a', 'a'\]"):
        schedule_order([job("a"), job("b"), job("a")])
