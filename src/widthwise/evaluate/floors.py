"""The floor of a task: what an answerer that understands nothing gets on the very same items.

Made-up responses go through the harness's own filters, metric and aggregation, so a floor is
computed exactly as a model's score is. The best of a few answerers is taken after the fact, and so
a floor is a little higher than any answerer fixed beforehand could hope for; a model must beat it
all the same.
"""

from __future__ import annotations

import math
import random
import re
import string
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from .loading import harness_seeds, quiet, templates_once

if TYPE_CHECKING:
    from .harness import Document, Part, Task

    Asked = Sequence[tuple[Part, Document]]  # every item of a task, in order

# For the answerers that write: frequent English words, in no order.
_COMMON_WORDS = (
    "the of and to in is you that it he was for on are as with his they at be this have from or "
    "one had by word but not what all were we when your can said there use an each which she do "
    "how their if will up other about out many then them these so some her would make like him "
    "into time has look two more write go see number no way could people my than first water been "
    "call who oil its now find long down day did get come made may part"
).split()
_SENTENCE = "It was a fine day and they went for a long walk by the river."
_CONSTANT_ANSWERS = 10  # of these items' own right answers, the most frequent
_PUNCTUATION = string.punctuation + "\u2018\u2019\u201c\u201d"  # and curly quotes
_TINY = -1e9  # nats of an option that must lose, whatever its length in characters or bytes


@dataclass(frozen=True, kw_only=True)
class Floor:
    """The score of the best trivial answerer, and how it was found.

    Attributes:
        value: In the unit of the task's metric; None if no rule applies.
        kind: Which answerer, in words: `"always 'A'"`, `"chance"`, `"the prompt echoed 10 times"`.
        chance: Expected score of an even guess among the options, for the chance-corrected score
            (score - chance) / (1 - chance); None where there is nothing to choose from.
        answerers: Every answerer that was tried -> its score, where that is finite.
        reason: Why there is no floor, one clause, when `value` is None.
    """

    value: float | None
    kind: str | None
    chance: float | None
    answerers: Mapping[str, float]
    reason: str | None


def floor_of(task: Task) -> Floor:
    """The floor of a task on its chosen items.

    - Options to choose from: an even guess, and each constant choice. Where the data always puts
      the right option in one place (`doc_to_target` is a fixed number), a constant choice would be
      reading the key: there the only answerer finds all options equally likely.
    - One continuation (LAMBADA): the most frequent target, and the code that knows only how often
      each word occurs in these contexts and targets.
    - A whole text (WikiText): the code that knows how often each word, for a metric per word, or
      each byte occurs in these texts.
    - Writing: a few texts that ignore the question, the question echoed, and the right answers
      that are most frequent among these items.

    Cost: 5 s for the 14,042 items of MMLU, 10 s for the 541 prompts of IFEval, on one core.
    """
    asked = [(part, document) for part in task.parts for document in part.documents()]
    kinds = {str(part.harness.OUTPUT_TYPE) for part in task.parts}
    rule = {
        "multiple_choice": _choices,
        "loglikelihood": _continuations,
        "loglikelihood_rolling": _texts,
        "generate_until": _writing,
    }.get(kinds.pop() if len(kinds) == 1 else "")
    if rule is None or not asked:
        return _best(task, {}, reason=f"no trivial answerer is known for the task {task.name}")
    with quiet(), harness_seeds(), templates_once(), same_languages():
        return rule(task, asked)


def _choices(task: Task, asked: Asked) -> Floor:
    options = [_options(part, document) for part, document in asked]
    fixed = any(map(_is_fixed, task.parts))
    columns = []
    for k in range(max(map(len, options))):
        responses = [_prefer(item, o, k) for item, o in zip(asked, options, strict=True)]
        columns.append(_values(task, asked, responses, [k < len(o) for o in options]))
    numbers = all(_is_number(value) for column in columns for value in column if value is not None)
    if not numbers:  # pairs that only the aggregation understands: no even guess, no fair mix
        if fixed:
            reason = f"{task.metric} of options in a fixed order has no rule"
            return _best(task, {}, reason=reason)
        equal = [_prefer(item, o, None) for item, o in zip(asked, options, strict=True)]
        scores = {"uniform likelihood": _aggregate(task, _values(task, asked, equal))}
        for k, column in enumerate(columns):
            if None not in column:
                scores[_always(options, k)] = _aggregate(task, column)
        return _best(task, scores)
    guess = [_mean([v for v in row if v is not None]) for row in zip(*columns, strict=True)]
    chance = _aggregate(task, guess)
    if fixed:  # ties broken at random; the first of equals, as an argmax takes it, would be right
        return _best(task, {"uniform likelihood": chance}, chance=chance)
    scores = {"chance": chance}
    for k, column in enumerate(columns):  # an even guess where there are fewer options
        filled = [g if v is None else v for v, g in zip(column, guess, strict=True)]
        scores[_always(options, k)] = _aggregate(task, filled)
    return _best(task, scores, chance=chance)


def _options(part: Part, document: Document) -> list[str]:
    return [str(option).strip() for option in part.harness.doc_to_choice(document.doc)]


def _prefer(
    item: tuple[Part, Document], options: Sequence[str], k: int | None
) -> list[tuple[float, bool]]:
    """Responses under which option `k` wins, however lengths are divided out; None: none wins.

    The unconditional likelihoods that `acc_mutual_info` asks for in addition are all equal.
    """
    nats = [0.0 if k is None or i == k else _TINY for i in range(len(options))]
    more = len(item[1].instances) - len(options)
    return [(value, i == k) for i, value in enumerate(nats)] + [(0.0, False)] * more


def _always(options: Sequence[Sequence[str]], k: int) -> str:
    names = {option[k] for option in options if k < len(option)}
    return f"always {names.pop()!r}" if len(names) == 1 else f"always option {k + 1}"


def _continuations(task: Task, asked: Asked) -> Floor:
    if any(len(document.instances) != 1 for _, document in asked):
        return _best(task, {}, reason=f"the items of {task.name} ask for several log-likelihoods")
    pairs = [document.instances[0].args[:2] for _, document in asked]
    counts = Counter(word for pair in pairs for text in pair for word in _words(text))
    total = sum(counts.values())
    top = Counter(target for _, target in pairs).most_common(1)[0][0]
    constant = [[(0.0 if target == top else -math.inf, target == top)] for _, target in pairs]
    code = [
        [(math.fsum(math.log(counts[word] / total) for word in _words(target)), False)]
        for _, target in pairs
    ]
    scores = {
        f"always {top.strip()!r}": _aggregate(task, _values(task, asked, constant)),
        "word frequencies of these texts": _aggregate(task, _values(task, asked, code)),
    }
    return _best(task, scores)


def _words(text: str) -> list[str]:
    """The words of a text, without the punctuation around them."""
    return [word.strip(_PUNCTUATION) for word in text.split()]


def _texts(task: Task, asked: Asked) -> Floor:
    units: dict[str, tuple[str, Callable[[str], Sequence[Any]]]] = {
        "word_perplexity": ("words", lambda text: re.split(r"\s+", text)),  # as lm-eval counts
        "byte_perplexity": ("single bytes", str.encode),
        "bits_per_byte": ("single bytes", str.encode),
    }
    if task.metric not in units:
        return _best(task, {}, reason=f"no code is known for the metric {task.metric}")
    name, split = units[task.metric]
    texts = [split(document.instances[0].args[0]) for _, document in asked]
    counts = Counter(unit for text in texts for unit in text)
    total = sum(counts.values())
    nats = {unit: math.log(count / total) for unit, count in counts.items()}
    code = [[math.fsum(nats[unit] for unit in text)] for text in texts]
    score = _aggregate(task, _values(task, asked, code))
    return _best(task, {f"frequencies of {name} in these texts": score})


def _writing(task: Task, asked: Asked) -> Floor:
    scores = {}
    for name, write in _writers(asked).items():
        texts = [[_stopped(write(part, document), document)] for part, document in asked]
        scores[name] = _aggregate(task, _values(task, asked, texts))
    return _best(task, scores)


def _writers(asked: Asked) -> dict[str, Callable[[Part, Document], str]]:
    """Name of each answerer that writes -> its text for an item."""
    draw = random.Random(0)
    texts = {
        "always '.'": ".",
        "always 'the'": "the",
        "'the' 1280 times": "the " * 1280,
        "100 random words": " ".join(draw.choices(_COMMON_WORDS, k=100)),
        "800 random words": " ".join(draw.choices(_COMMON_WORDS, k=800)),
        "one sentence 80 times": " ".join([_SENTENCE] * 80),
    }
    answers = Counter(answer for part, document in asked for answer in _answers(part, document))
    for answer, count in answers.most_common(_CONSTANT_ANSWERS):
        if count > 1:
            texts[f"always {answer!r}"] = answer
    writers: dict[str, Any] = {name: lambda *_, text=text: text for name, text in texts.items()}
    writers["the prompt echoed"] = _question
    writers["the prompt echoed 10 times"] = lambda *item: "\n".join([_question(*item)] * 10)
    return writers


def _answers(part: Part, document: Document) -> list[str]:
    """The last line of each right answer of an item, `"#### 18"` of GSM8K; none where checked."""
    if _is_fixed(part) and part.harness.config.doc_to_choice is None:
        return []
    target = part.harness.doc_to_target(document.doc)
    if isinstance(target, int) and part.harness.config.doc_to_choice is not None:
        target = part.harness.doc_to_choice(document.doc)[target]
    targets = target if isinstance(target, list) else [target]
    lines = [str(target).strip().splitlines()[-1:] for target in targets]
    return [line for last in lines for line in last]


def _question(part: Part, document: Document) -> str:
    """The question of an item, without solved examples, chat template and what ends an answer."""
    text = part.harness.doc_to_text(document.doc)
    text = text if isinstance(text, str) else str(document.instances[0].args[0])
    for stop in _stops(document):
        text = text.replace(stop, "")
    return text


def _stopped(text: str, document: Document) -> str:
    """The text up to where generation would have ended."""
    for stop in _stops(document):
        text = text.split(stop)[0]
    return text


def _stops(document: Document) -> list[str]:
    until = document.instances[0].args[1].get("until") or []
    return [stop for stop in ([until] if isinstance(until, str) else until) if stop]


def _is_fixed(part: Part) -> bool:
    """Whether the task names one number as the target of all items: a place, or a placeholder."""
    return str(getattr(part.harness.config, "doc_to_target", None)).strip().isdigit()


def _values(
    task: Task,
    asked: Asked,
    responses: Sequence[Sequence[Any]],
    needed: Sequence[bool] | None = None,
) -> list[Any]:
    """The metric of each item under made-up responses, one a request; None where not needed.

    The task's instances are left as they were found.
    """
    instances = [instance for part in task.parts for instance in part.harness.instances]
    before = [(instance.resps, instance.filtered_resps) for instance in instances]
    try:
        for (_, document), answers in zip(asked, responses, strict=True):
            for instance, answer in zip(document.instances, answers, strict=True):
                instance.resps = [answer] * (instance.repeats or 1)
                instance.filtered_resps = {}
        for part in task.parts:
            part.harness.apply_filters()
        return [
            _value(task, part, document) if wanted else None
            for (part, document), wanted in zip(asked, needed or [True] * len(asked), strict=True)
        ]
    finally:
        for instance, (resps, filtered) in zip(instances, before, strict=True):
            instance.resps, instance.filtered_resps = resps, filtered


def _value(task: Task, part: Part, document: Document) -> Any:
    filtered = [instance.filtered_resps[task.filter] for instance in document.instances]
    return part.harness.process_results(document.doc, filtered)[task.metric]


def _aggregate(task: Task, values: Sequence[Any]) -> float:
    """The harness's aggregate over all items of all parts."""
    return float(task.parts[0].harness.aggregation()[task.metric](values))


def _best(
    task: Task,
    scores: Mapping[str, float],
    *,
    chance: float | None = None,
    reason: str = "no trivial answerer has a finite score",
) -> Floor:
    """The floor among the scores, the first of equals."""
    finite = {name: score for name, score in scores.items() if math.isfinite(score)}
    if not finite:
        return Floor(value=None, kind=None, chance=chance, answerers={}, reason=reason)
    sign = 1 if task.higher_is_better else -1
    kind = max(finite, key=lambda name: sign * finite[name])
    return Floor(value=finite[kind], kind=kind, chance=chance, answerers=finite, reason=None)


def _is_number(value: Any) -> bool:
    import numpy as np

    return isinstance(value, int | float | np.number | np.bool_)


def _mean(values: Sequence[float]) -> float:
    return math.fsum(map(float, values)) / len(values)


@contextmanager
def same_languages() -> Iterator[None]:
    """The random numbers of langdetect, where a task has imported it, the same every time."""
    factory = getattr(sys.modules.get("langdetect"), "DetectorFactory", None)
    seed = getattr(factory, "seed", None)
    try:
        if factory is not None:
            factory.seed = 0
        yield
    finally:
        if factory is not None:
            factory.seed = seed
