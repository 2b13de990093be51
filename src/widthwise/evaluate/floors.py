"""The floor of a task: what an answerer that understands nothing gets on all its documents.

Made-up responses go through lm-eval's own filters, metric and aggregation, so a floor is
computed exactly as a model's score is; but on all documents of the task, however few of them a
model is asked: the best of a few answerers, chosen on a small sample, would be the best for that
sample. What the chosen answerer gets on each document is kept, so that a model's score can be
compared with it on the same items.
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
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from .frequency_codes import byte_log_likelihoods, word_log_likelihoods
from .harness_loading import harness_seeds, reason_of, silenced, templates_once
from .metric_shares import aggregated, pseudovalues, standard_error_of
from .tasks import with_all_documents

if TYPE_CHECKING:
    from .tasks import Task, TaskDocument

    Documents = Sequence[TaskDocument]  # all of a task, in order

# How floors are counted, as records say; a record that names another way gets a new floor.
FLOOR_RULE = "all documents of the task"

# For the answerers that write: frequent English words, in no order.
_COMMON_WORDS = (
    "the of and to in is you that it he was for on are as with his they at be this have from or "
    "one had by word but not what all were we when your can said there use an each which she do "
    "how their if will up other about out many then them these so some her would make like him "
    "into time has look two more write go see number no way could people my than first water been "
    "call who oil its now find long down day did get come made may part"
).split()
_SENTENCE = "It was a fine day and they went for a long walk by the river."
_CONSTANT_ANSWERS = 10  # of the right answers, the most frequent
_PUNCTUATION = string.punctuation + "\u2018\u2019\u201c\u201d"  # and curly quotes
_LOSING = -1e9  # nats of an option that must lose, whatever its length in characters or bytes


@dataclass(frozen=True, kw_only=True)
class Floor:
    """The score of the best trivial answerer.

    Attributes:
        value: In the unit of the task's metric; None if no rule applies.
        kind: Which answerer, in words: `"always 'A'"`, `"chance"`, `"the prompt echoed 10 times"`.
        chance: Expected score of an even guess among the options, for the chance-corrected score
            (score - chance) / (1 - chance); None where there is nothing to choose from.
        answerers: Every answerer that was tried -> its score, where that is finite.
        documents: Number of documents behind `value`, all of the task; 0 without a value.
        standard_error: Standard error of `value` over the documents; None where unknown.
        items: Id of each document -> its share in `value`, whose mean `value` is; empty where the
            metric cannot be shared out.
        reason: Why there is no floor, one clause, when `value` is None.
    """

    value: float | None = None
    kind: str | None = None
    chance: float | None = None
    answerers: Mapping[str, float] = field(default_factory=dict)
    documents: int = 0
    standard_error: float | None = None
    items: Mapping[str, float] = field(default_factory=dict, repr=False)
    reason: str | None = None

    def corrected(self, value: float) -> float | None:
        """(value - chance) / (1 - chance): 0 for an even guess, 1 for all right."""
        if self.chance is None or self.chance >= 1:
            return None
        return (value - self.chance) / (1 - self.chance)


def compute_floor(task: Task) -> Floor:
    """The floor of a task on all its documents, whichever of them were chosen.

    - Options to choose from: an even guess, and each constant choice. Where the data always puts
      the right option in one place (`doc_to_target` is a fixed number), a constant choice would be
      reading the key: there the only answerer finds all options equally likely.
    - One continuation (LAMBADA): the most frequent target, and the code that knows only how often
      each word occurs in the other documents and in the context.
    - A whole text (WikiText): the code that knows how often each word, for a metric per word,
      occurs in the other texts and earlier in this one; or each byte in the other texts. (By
      frequencies that it had a part in itself, a text would be the likelier the fewer there are.)
    - Writing: a few texts that ignore the question, the question echoed, and the most frequent
      right answers.

    Cost: 5 s for the 14,042 items of MMLU, 10 s for the 541 prompts of IFEval, on one core.
    """
    kinds = {str(lm_task.OUTPUT_TYPE) for lm_task in task.lm_tasks}
    rule = {
        "multiple_choice": _choices,
        "loglikelihood": _continuations,
        "loglikelihood_rolling": _texts,
        "generate_until": _writing,
    }.get(kinds.pop() if len(kinds) == 1 else "")
    if rule is None:
        return Floor(reason=f"no trivial answerer is known for the task {task.name}")
    try:
        with silenced(), harness_seeds(), templates_once(), seeded_langdetect():
            whole = with_all_documents(task)
            return rule(whole, list(whole.documents()))
    except Exception as error:  # of any kind: lm-eval trusts documents, also those not chosen
        return Floor(reason=f"a document of {task.name} does not fit the task ({reason_of(error)})")


def _choices(task: Task, documents: Documents) -> Floor:
    import numpy as np

    choices = (document.lm_task.doc_to_choice(document.doc) for document in documents)
    options = [[str(option).strip() for option in each] for each in choices]
    fixed = any(map(_has_fixed_target, task.lm_tasks))
    columns = []
    for k in range(max(map(len, options))):
        responses = [_choosing(d, o, k) for d, o in zip(documents, options, strict=True)]
        columns.append(_metrics_of(task, documents, responses, [k < len(o) for o in options]))
    numbers = int | float | np.number | np.bool_ | None
    if not all(isinstance(value, numbers) for column in columns for value in column):
        # Pairs that only the aggregation understands: no even guess, no fair mix.
        if fixed:
            reason = f"{task.metric} of options in a fixed order has no rule"
            return _best(task, documents, {}, reason=reason)
        equal = [_choosing(d, o, None) for d, o in zip(documents, options, strict=True)]
        tried = {"uniform likelihood": _metrics_of(task, documents, equal)}
        for k, column in enumerate(columns):
            if None not in column:
                tried[_always(options, k)] = column
        return _best(task, documents, tried)
    known = [[v for v in row if v is not None] for row in zip(*columns, strict=True)]
    guess = [math.fsum(map(float, row)) / len(row) for row in known]
    chance = aggregated(task.aggregate, guess)
    if fixed:  # ties broken at random; the first of equals, as an argmax takes it, would be right
        return _best(task, documents, {"uniform likelihood": guess}, chance=chance)
    tried = {"chance": guess}
    for k, column in enumerate(columns):  # an even guess where there are fewer options
        filled = [g if v is None else v for v, g in zip(column, guess, strict=True)]
        tried[_always(options, k)] = filled
    return _best(task, documents, tried, chance=chance)


def _choosing(
    document: TaskDocument, options: Sequence[str], k: int | None
) -> list[tuple[float, bool]]:
    """Responses under which option `k` wins, however lengths are divided out; None: none wins.

    The unconditional likelihoods that `acc_mutual_info` asks for in addition are all equal.
    """
    nats = [0.0 if k is None or i == k else _LOSING for i in range(len(options))]
    more = len(document.instances) - len(options)
    return [(value, i == k) for i, value in enumerate(nats)] + [(0.0, False)] * more


def _always(options: Sequence[Sequence[str]], k: int) -> str:
    names = {option[k] for option in options if k < len(option)}
    return f"always {names.pop()!r}" if len(names) == 1 else f"always option {k + 1}"


def _continuations(task: Task, documents: Documents) -> Floor:
    if any(len(document.instances) != 1 for document in documents):
        reason = f"the items of {task.name} ask for several log-likelihoods"
        return _best(task, documents, {}, reason=reason)
    pairs = [document.instances[0].args[:2] for document in documents]
    top = Counter(target for _, target in pairs).most_common(1)[0][0]
    constant = [[(0.0 if target == top else -math.inf, target == top)] for _, target in pairs]
    contexts = [_words(context) for context, _ in pairs]
    texts = [words + _words(target) for words, (_, target) in zip(contexts, pairs, strict=True)]
    nats = word_log_likelihoods(texts, given=list(map(len, contexts)))
    code = [[(value, False)] for value in nats]
    tried = {
        f"always {top.strip()!r}": _metrics_of(task, documents, constant),
        "word frequencies of the other texts and before": _metrics_of(task, documents, code),
    }
    return _best(task, documents, tried)


def _words(text: str) -> list[str]:
    """The words of a text, without the punctuation around them."""
    return [word.strip(_PUNCTUATION) for word in text.split()]


def _texts(task: Task, documents: Documents) -> Floor:
    texts = [document.instances[0].args[0] for document in documents]
    if task.metric == "word_perplexity":
        name = "words in the other texts and before"
        nats = word_log_likelihoods([re.split(r"\s+", text) for text in texts])  # as lm-eval counts
    elif task.metric in ("byte_perplexity", "bits_per_byte"):
        name = "single bytes in the other texts"
        nats = byte_log_likelihoods([text.encode() for text in texts])
    else:
        return _best(task, documents, {}, reason=f"no code is known for the metric {task.metric}")
    values = _metrics_of(task, documents, [[value] for value in nats])
    return _best(task, documents, {f"frequencies of {name}": values})


def _writing(task: Task, documents: Documents) -> Floor:
    tried = {}
    for name, write in _writers(documents).items():
        texts = [[_stopped(write(document), document)] for document in documents]
        tried[name] = _metrics_of(task, documents, texts)
    return _best(task, documents, tried)


def _writers(documents: Documents) -> dict[str, Callable[[TaskDocument], str]]:
    """Name of each answerer that writes -> its text for a document."""
    draw = random.Random(0)
    texts = {
        "always '.'": ".",
        "always 'the'": "the",
        "'the' 1280 times": "the " * 1280,
        "100 random words": " ".join(draw.choices(_COMMON_WORDS, k=100)),
        "800 random words": " ".join(draw.choices(_COMMON_WORDS, k=800)),
        "one sentence 80 times": " ".join([_SENTENCE] * 80),
    }
    answers = Counter(answer for document in documents for answer in _answers(document))
    for answer, count in answers.most_common(_CONSTANT_ANSWERS):
        if count > 1:
            texts[f"always {answer!r}"] = answer
    writers: dict[str, Any] = {name: lambda *_, text=text: text for name, text in texts.items()}
    writers["the prompt echoed"] = _question
    writers["the prompt echoed 10 times"] = lambda each: "\n".join([_question(each)] * 10)
    return writers


def _answers(document: TaskDocument) -> list[str]:
    """The last line of each right answer, `"#### 18"` of GSM8K; none where a program checks."""
    lm_task, has_options = document.lm_task, document.lm_task.config.doc_to_choice is not None
    if _has_fixed_target(lm_task) and not has_options:
        return []
    target = lm_task.doc_to_target(document.doc)
    if isinstance(target, int) and has_options:
        target = lm_task.doc_to_choice(document.doc)[target]
    targets = target if isinstance(target, list) else [target]
    lines = [str(target).strip().splitlines()[-1:] for target in targets]
    return [line for last in lines for line in last]


def _question(document: TaskDocument) -> str:
    """The bare question: no solved examples, no chat template, and nothing that ends an answer."""
    text = str(document.lm_task.doc_to_text(document.doc))
    for stop in _stops(document):
        text = text.replace(stop, "")
    return text


def _stopped(text: str, document: TaskDocument) -> str:
    """The text up to where generation would have ended."""
    for stop in _stops(document):
        text = text.split(stop)[0]
    return text


def _stops(document: TaskDocument) -> list[str]:
    until = document.instances[0].args[1].get("until") or []
    return [stop for stop in ([until] if isinstance(until, str) else until) if stop]


def _has_fixed_target(lm_task: Any) -> bool:
    """Whether a task of lm-eval names one number as the target of all documents.

    With options it is the place of the right one, else a placeholder.
    """
    return str(getattr(lm_task.config, "doc_to_target", None)).strip().isdigit()


def _metrics_of(
    task: Task,
    documents: Documents,
    responses: Sequence[Sequence[Any]],
    needed: Sequence[bool] | None = None,
) -> list[Any]:
    """The metric of each document under made-up responses, one a request; None if not needed."""
    for document, answers in zip(documents, responses, strict=True):
        for instance, answer in zip(document.instances, answers, strict=True):
            instance.resps = [answer] * (instance.repeats or 1)
            instance.filtered_resps = {}
    for part in task.parts:
        part.lm_task.apply_filters()
    values: list[Any] = []
    for document, is_needed in zip(documents, needed or [True] * len(documents), strict=True):
        filtered = [instance.filtered_resps[task.filter] for instance in document.instances]
        process = document.lm_task.process_results
        values.append(process(document.doc, filtered)[task.metric] if is_needed else None)
    return values


def _best(
    task: Task,
    documents: Documents,
    tried: Mapping[str, Sequence[Any]],
    *,
    chance: float | None = None,
    reason: str = "no trivial answerer has a finite score",
) -> Floor:
    """The floor among the answerers, by the metric of each document; the first of equals."""
    scores = {name: aggregated(task.aggregate, values) for name, values in tried.items()}
    finite = {name: score for name, score in scores.items() if math.isfinite(score)}
    if not finite:
        return Floor(chance=chance, reason=reason)
    sign = 1 if task.higher_is_better else -1
    kind = max(finite, key=lambda name: sign * finite[name])
    shares = pseudovalues(task.metric, tried[kind], finite[kind], task.aggregate)
    ids = [document.id for document in documents]
    return Floor(
        value=finite[kind],
        kind=kind,
        chance=chance,
        answerers=finite,
        documents=len(documents),
        standard_error=standard_error_of(shares),
        items=dict(zip(ids, shares, strict=True)) if shares else {},
    )


@contextmanager
def seeded_langdetect() -> Iterator[None]:
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
