"""Scores of a model on a task, and on prose."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

from ..errors import RunError
from .likelihood import Run, context_length, log_likelihoods
from .tasks import Item, Score, Task, accuracy_floor


def score_task(
    model: Any, tokenizer: Any, task: Task, *, on_item: Callable[[int], None] | None = None
) -> Score:
    """Accuracy of a causal language model on a multiple-choice task.

    An item is worth 1 when its right option has the highest log-likelihood under `task.metric`, the
    first of equals winning, else 0; this is lm-eval's `acc` and `acc_norm`. Context and option are
    encoded together and split where the context alone would end; a prompt longer than the model's
    context loses its beginning.

    Args:
        model: Any `AutoModelForCausalLM`, on its device.
        tokenizer: Its tokenizer.
        on_item: Called with the number of items done so far.

    Raises:
        RunError: The model's output is not finite; names the task and the item.
    """
    length = context_length(model, tokenizer)
    likelihoods: dict[str, list[float]] = {}
    for preamble in dict.fromkeys(item.preamble for item in task.items):
        items = [item for item in task.items if item.preamble == preamble]
        before = len(likelihoods)
        sums = log_likelihoods(
            model,
            [item_runs(tokenizer, item, length) for item in items],
            on_groups=None if on_item is None else partial(_add, on_item, before),
        )
        for item, values in zip(items, sums, strict=True):
            likelihoods[item.id] = values
    correct = []
    for item in task.items:
        values = likelihoods[item.id]
        _require_finite(values, f"task {task.name}, item {item.id}")
        if task.metric == "acc_norm":
            values = [v / _length(o) for v, o in zip(values, item.options, strict=True)]
        correct.append(float(values.index(max(values)) == item.answer))
    floor, kind = accuracy_floor(task)
    return _score(task.name, "accuracy", correct, floor, kind, higher_is_better=True)


def score_prose(
    model: Any,
    tokenizer: Any,
    texts: Sequence[str],
    *,
    name: str = "prose",
    on_text: Callable[[int], None] | None = None,
) -> Score:
    """Bits that a causal language model needs for a byte of text (UTF-8), over all texts.

    Every token of a text is predicted, the first one from the beginning-of-text token (end-of-text
    where there is none), as lm-eval's rolling log-likelihood does; texts longer than the model's
    context are read in windows, each as long as the context.

    The value R = total bits / total bytes is a ratio of two sums over texts, so the value of one
    text is its linearized share, R + (bits - R bytes) / mean bytes. The shares have the mean R, and
    their standard deviation / sqrt(n) is the ratio estimator's standard error (Cochran, Sampling
    Techniques, 3rd ed., eq. 6.13); differences of two models' shares pair in the same way.

    The floor is the best code that knows only how often each byte occurs in these very texts.

    Raises:
        RunError: No text, an empty one, or a model whose output is not finite, with the text's
            number.
    """
    length = context_length(model, tokenizer)
    start = _start_token(tokenizer)
    if len(texts) < 2 or not all(texts):
        raise RunError(f"{name}: at least two texts are needed, none of them empty")
    groups = []
    for text in texts:
        tokens = tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"]
        groups.append(list(_windows([start, *tokens], length)))
    sums = log_likelihoods(model, groups, on_groups=on_text)
    for number, values in enumerate(sums):
        _require_finite(values, f"{name}, text {number}")
    bits = [-math.fsum(values) / math.log(2) for values in sums]
    sizes = [len(text.encode()) for text in texts]
    ratio = math.fsum(bits) / sum(sizes)
    mean = sum(sizes) / len(sizes)
    shares = [ratio + (b - ratio * size) / mean for b, size in zip(bits, sizes, strict=True)]
    kind = "frequencies of single bytes in these texts"
    return _score(name, "bits_per_byte", shares, _entropy(texts), kind, higher_is_better=False)


def item_runs(tokenizer: Any, item: Item, length: int) -> list[Run]:
    """The tokens of an item, one run an option, split as lm-eval splits them."""
    context = item.preamble + item.context
    stripped = context.rstrip()
    texts = [stripped, *(context + option for option in item.options)]
    first, *wholes = tokenizer(texts, verbose=False)["input_ids"]
    runs = []
    for whole in wholes:
        scored = max(1, len(whole) - len(first))
        if scored == len(whole):  # nothing before the option: lm-eval conditions on this token
            whole = [_start_token(tokenizer), *whole]
        runs.append(Run(tuple(whole[-(max(length, scored) + 1) :]), scored))
    return runs


def _add(report: Callable[[int], None], before: int, done: int) -> None:
    report(before + done)


def _length(option: str) -> int:
    """Characters of an option without the space that sets it off, as lm-eval's acc_norm counts."""
    return max(1, len(option.removeprefix(" ")))


def _start_token(tokenizer: Any) -> int:
    """Beginning-of-text, else end-of-text."""
    begin = tokenizer.bos_token_id
    return int(begin if begin is not None else tokenizer.eos_token_id)


def _windows(tokens: Sequence[int], length: int) -> Iterator[Run]:
    """Runs of at most `length` inputs that together predict every token but the first, once."""
    end = min(length + 1, len(tokens))
    yield Run(tuple(tokens[:end]), end - 1)
    while end < len(tokens):
        scored = min(length, len(tokens) - end)
        end += scored
        yield Run(tuple(tokens[end - length - 1 : end]), scored)


def _entropy(texts: Sequence[str]) -> float:
    """Bits a byte of the order-0 code that fits these texts best."""
    counts = Counter(byte for text in texts for byte in text.encode())
    total = sum(counts.values())
    return -math.fsum(c / total * math.log2(c / total) for c in counts.values())


def _require_finite(values: Sequence[float], where: str) -> None:
    if not all(map(math.isfinite, values)):
        raise RunError(f"{where}: the model's output is not finite; its weights may be damaged")


def _score(
    task: str,
    unit: str,
    items: Sequence[float],
    floor: float,
    floor_kind: str,
    *,
    higher_is_better: bool,
) -> Score:
    n = len(items)
    value = math.fsum(items) / n
    variance = math.fsum((item - value) ** 2 for item in items) / (n - 1)
    return Score(
        task=task,
        value=value,
        standard_error=math.sqrt(variance / n),
        unit=unit,
        n=n,
        floor=floor,
        floor_kind=floor_kind,
        higher_is_better=higher_is_better,
        items=tuple(items),
    )
