"""The two scoring backends that evaluate.py compares: their requests, answers and differences."""

from __future__ import annotations

import gc
import json
import platform
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from widthwise.cut.checkpoint import load_model, resolve_model
from widthwise.evaluate.harness_loading import silenced
from widthwise.evaluate.tasks import TaskDocument
from widthwise.io import free_bytes, write_text

GENERATION = "generate_until"
Result = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Work:
    """Documents of one task that both sides answer, and how many the whole task has."""

    name: str
    documents: tuple[TaskDocument, ...]
    total: int

    @property
    def requests(self) -> list[Any]:
        return [instance for document in self.documents for instance in document.instances]

    @property
    def kind(self) -> str:
        return str(self.requests[0].request_type)

    @property
    def part(self) -> Work:
        """A quarter of the documents from all over, at least 4: to find a batch size on."""
        count = min(len(self.documents), max(4, len(self.documents) // 4))
        places = (number * len(self.documents) // count for number in range(count))
        return replace(self, documents=tuple(self.documents[place] for place in places))

    def capped(self, new_tokens: int) -> Work:
        """With no text longer than this, by the requests' own settings: both sides obey them."""

        def cap(instance: Any) -> Any:
            prompt, settings = instance.args
            limit = min(new_tokens, settings.get("max_gen_toks", new_tokens))
            return replace(instance, arguments=(prompt, {**settings, "max_gen_toks": limit}))

        if self.kind != GENERATION:
            return self
        documents = (replace(d, instances=tuple(map(cap, d.instances))) for d in self.documents)
        return replace(self, documents=tuple(documents))


def load_backend_model(name: str, dtype: str) -> tuple[Any, Any]:
    """A model and its tokenizer; transformers is quiet from here on."""
    import transformers

    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    source = resolve_model(name)
    return load_model(source.checkpoint, dtype=dtype), source.tokenizer


def ours(model: Any, tokenizer: Any) -> Any:
    from widthwise.evaluate.language_model import SharedPrefixLM

    return SharedPrefixLM(model, tokenizer)


def theirs(model: Any, tokenizer: Any, batch_size: int, device: str = "cpu") -> Any:
    from lm_eval.models.huggingface import HFLM

    with silenced():
        return HFLM(pretrained=model, tokenizer=tokenizer, batch_size=batch_size, device=device)


def answered(make: Callable[[], Any], work: Work) -> tuple[float, list[Any], Any]:
    """Wall seconds and answers of a new language model, and that language model."""
    lm, requests = make(), work.requests
    gc.collect()
    with silenced():
        start = time.perf_counter()
        answers = getattr(lm, work.kind)(requests, disable_tqdm=True)
        seconds = time.perf_counter() - start
    return seconds, answers, lm


def fitting(sizes: Sequence[int], work: Work, model: Any, tokenizer: Any) -> list[int]:
    """The batch sizes with which HFLM does not run out of memory; the smallest always.

    For each row it holds logits of the whole vocabulary, their logarithms, and those of the batch
    before. In generation, transformers computes only the last logits.
    """
    if work.kind == GENERATION:
        return list(sizes)
    texts = ["".join(request.args) for request in work.requests]
    longest = max(map(len, tokenizer(texts, verbose=False)["input_ids"]))
    tokens = min(longest, ours(model, tokenizer).max_length)
    row = 3 * tokens * model.get_output_embeddings().weight.shape[0] * model.dtype.itemsize
    room = 0.8 * free_bytes("cpu")
    return [n for n in sizes if n == min(sizes) or min(n, len(texts)) * row < room]


def compared(work: Work, own: Sequence[Any], hf: Sequence[Any]) -> Result:
    """Texts that agree; or the farthest log-likelihoods and documents answered differently."""
    if work.kind == GENERATION:
        return {"same_texts": statistics.fmean(a == b for a, b in zip(own, hf, strict=True))}
    gaps = [abs(number(a) - number(b)) for a, b in zip(own, hf, strict=True)]
    differing, start = [], 0
    for document in work.documents:
        stop = start + len(document.instances)
        if chosen(document, own[start:stop]) != chosen(document, hf[start:stop]):
            differing.append(document.id)
        start = stop
    return {"largest_difference_nats": max(gaps), "differing": differing}


def number(answer: Any) -> float:
    return float(answer[0] if isinstance(answer, tuple) else answer)


def chosen(document: TaskDocument, answers: Sequence[Any]) -> tuple[Any, ...]:
    """The likeliest option and the likeliest per character; of a single one, if it is greedy."""
    if len(answers) == 1:
        return answers[0][1:] if isinstance(answers[0], tuple) else ()
    values = [number(answer) for answer in answers]
    lengths = [max(1, len(i.args[1].removeprefix(" "))) for i in document.instances]
    by_length = [value / length for value, length in zip(values, lengths, strict=True)]
    return values.index(max(values)), by_length.index(max(by_length))


def provenance(**settings: Any) -> Result:
    """What fixes the numbers of a run, beside the machine."""
    import lm_eval
    import torch
    import transformers

    return {
        **settings,
        "threads": torch.get_num_threads(),
        "processor": platform.processor() or platform.machine(),
        "lm_eval": lm_eval.__version__,
        "torch": torch.__version__,
        "transformers": transformers.__version__,
    }


def write(path: Path, content: Any) -> None:
    """Whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_text(path, json.dumps(content, indent=2) + "\n")
