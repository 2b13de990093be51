"""The floor of a record as an estimate: how sure it is, and what luck it shares with the score."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from ..stats import Estimate
from ..study import Record
from .grid import estimate_of

_GUESSES = ("chance", "uniform likelihood")  # answerers that are not chosen by what is right


def floor_of(record: Record) -> Estimate | float | None:
    """The floor with its error over the documents that it was counted on; None if there is none.

    A known number is one that no document can change, as 1/4 for an even guess among four. Of a
    record that does not say how many documents there were, as older ones, the floor is taken to be
    counted on the record's items; of a metric that is no share, to be as uncertain as the score.
    """
    floor = record.floor
    if floor is None or record.value is None:
        return floor
    if record.floor_n is not None:
        error = record.floor_error
        n = record.floor_n
    elif record.floor_kind in _GUESSES:
        return floor
    elif record.unit == "accuracy":
        error, n = math.sqrt(max(0.0, floor * (1 - floor)) / max(1, record.n)), record.n
    else:
        error, n = record.standard_error, record.n
        if error is not None and record.value > 0:
            error *= floor / record.value
    if error == 0 and 0 < floor < 1:  # the same on every document
        return floor
    counted = replace(  # of all documents, and so not stopped early
        record, value=floor, standard_error=error, n=n, items=(), settings={}
    )
    return estimate_of(counted)


def shared_luck(record: Record) -> float:
    """Correlation of the errors of score and floor: 0 where the floor's items are not known.

    Of n items of which the floor was counted on N documents, those among them, it is their own
    correlation over the items times sqrt(n / N).
    """
    n = len(record.items)
    if record.floor_n is None or n < 2 or len(record.floor_items) != n:
        return 0.0
    own, floor = np.array(record.items, float), np.array(record.floor_items, float)
    own, floor = own - own.mean(), floor - floor.mean()
    lengths = math.sqrt(float((own**2).sum()) * float((floor**2).sum()))
    if lengths == 0:
        return 0.0
    return float((own * floor).sum()) / lengths * math.sqrt(min(1.0, n / record.floor_n))
