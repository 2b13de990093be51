"""What networks write after a few prompts: texts to be read beside each other, and no numbers."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from ..arch import text_config
from ..errors import RunError, WidthwiseError
from ..io import from_json
from ..runs import RecordFormat, RunStore
from .dense_model import DenseModel
from .scorer import Scorer
from .variant import Variant

TEXTS = "texts.jsonl"
NEW_TOKENS = 32
_CONTEXT = ("n_positions", "max_position_embeddings", "n_ctx")  # where a config states its length
PROMPTS = (
    "The capital of France is",
    "To make a good cup of tea, you first",
    "Once upon a time there was a small boat that",
)


@dataclass(frozen=True, kw_only=True)
class Continuation:
    """What one network writes after one prompt, the likeliest token each time.

    Attributes:
        model: Name of the dense parent.
        criterion: How its neurons were chosen; None for the dense model.
        asked: The width as asked for.
        width: Intermediate size that was got.
        expansion_ratio: width / hidden_size, as got.
        prompt: The text before it.
        text: What follows; None with a `reason`.
        reason: Why there is none.
    """

    model: str
    criterion: str | None
    asked: str
    width: int
    expansion_ratio: float
    prompt: str
    text: str | None
    reason: str | None = None

    def to_json(self) -> str:
        """One line of JSON."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, line: str) -> Continuation:
        """Inverse of `to_json`.

        Raises:
            RunError: It is no continuation, and why.
        """
        found: Continuation = from_json(cls, line, "continuation")
        return found


FORMAT = RecordFormat(
    file=TEXTS,
    key=lambda found: (found.criterion, found.asked, found.prompt),
    to_json=Continuation.to_json,
    from_json=Continuation.from_json,
    is_failed=lambda found: found.text is None,
)


def continuations_in(folder: Path) -> tuple[Continuation, ...]:
    """All texts that a study's folder holds; none where it has no such file.

    Raises:
        RunError: A line is none, with its number.
    """
    return tuple(FORMAT.load(folder / TEXTS).values())


def check_prompts(parent: DenseModel, prompts: Sequence[str]) -> None:
    """See, before weights are read, that a model reads the whole of each prompt.

    Raises:
        RunError: One is longer than the model's context, less what is written after it.
    """
    config = text_config(parent.checkpoint.config) if prompts else {}
    stated = [config[name] for name in _CONTEXT if type(config.get(name)) is int]
    for prompt in prompts if stated else ():
        count = len(parent.tokenizer(prompt, verbose=False)["input_ids"])
        if count > stated[0] - NEW_TOKENS:
            raise RunError(
                f"the prompt {prompt[:40]!r} has {count:,} tokens; {parent.name} reads "
                f"{stated[0]:,}, and writes {NEW_TOKENS} of them: give a shorter prompt"
            )


def write_continuations(
    folder: Path,
    scorer: Scorer,
    networks: Sequence[Variant],
    prompts: Sequence[str],
    report: Callable[[str], None] = lambda _: None,
) -> None:
    """Have networks write after prompts, as far as their texts are not in the folder.

    Args:
        folder: Of the study.
        scorer: Opens the networks.
        networks: In the order in which they are asked.
        prompts: Given as they are, without a chat template.
        report: Called with what is done now.

    Raises:
        OutputError: The file cannot be written.
        RunError: A line in it is no continuation.
    """
    store = RunStore(folder, FORMAT)
    store.load()
    for network in networks:
        lacking = [
            prompt
            for prompt in prompts
            if not store.is_done([(network.criterion, network.asked, prompt)])
        ]
        if lacking:
            report(f"{network.label}: texts")
            store.add(_written(scorer, network, lacking))


def _written(scorer: Scorer, network: Variant, prompts: Sequence[str]) -> list[Continuation]:
    texts: Sequence[str | None] = [None] * len(prompts)
    reason = None
    try:
        texts = _texts(scorer, network, prompts)
    except WidthwiseError as error:
        reason = str(error)
    parent: DenseModel = scorer.parent
    width = parent.width(network)
    return [
        Continuation(
            model=parent.name,
            criterion=network.criterion,
            asked=network.asked,
            width=width,
            expansion_ratio=width / parent.checkpoint.architecture.hidden_size,
            prompt=prompt,
            text=text,
            reason=reason,
        )
        for prompt, text in zip(prompts, texts, strict=True)
    ]


def _texts(scorer: Scorer, network: Variant, prompts: Sequence[str]) -> list[str]:
    from lm_eval.api.instance import Instance

    greedy = {"until": [], "max_gen_toks": NEW_TOKENS, "do_sample": False}
    requests = [
        Instance(request_type="generate_until", doc={}, arguments=(prompt, greedy), idx=0)
        for prompt in prompts
    ]
    with scorer.opened(network) as lm:
        lm.on_done = lambda _: None
        found: list[str] = lm.generate_until(requests)
    return found
