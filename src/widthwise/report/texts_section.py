"""Texts that networks wrote after the same prompts, and where they begin to differ from dense's."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import takewhile

from ..stats import grouped
from ..study import Continuation
from .model_results import ModelResults
from .page import Block, Passage, Section

_NEW_LINES = re.compile(r"\s*\n\s*")
_ABOUT = (
    "What each network writes after a prompt, the likeliest token each time; faint as long as it "
    "is what the dense model writes; ¶ is a new line. A few texts show what a number means; they "
    "prove nothing."
)


def texts_section(results: Sequence[ModelResults]) -> Section:
    """The section; empty where nothing was written."""
    blocks = [block for result in results for block in _blocks(result)]
    return Section(key="texts", title="What it writes", link="Texts", about=_ABOUT, blocks=blocks)


def _blocks(result: ModelResults) -> list[Block]:
    by_prompt = grouped((text.prompt, text) for text in result.texts)
    return [
        Block(
            heading=result.headed(prompt),
            passages=[passage(text, _of_dense(texts)) for text in texts],
        )
        for prompt, texts in by_prompt.items()
    ]


def _of_dense(texts: Sequence[Continuation]) -> str | None:
    return next((each.text for each in texts if each.criterion is None), None)


def passage(written: Continuation, dense: str | None) -> Passage:
    """A text, parted where it begins to differ from the dense model's, at the end of a word."""
    name = "dense"
    if written.criterion is not None:
        name = f"{written.criterion} {written.expansion_ratio:.2f}x"
    if written.text is None:
        return Passage(name=name, shared="", rest=f"missing: {written.reason}")
    if written.criterion is None or dense is None:
        return Passage(name=name, shared="", rest=_on_a_line(written.text))
    pairs = zip(written.text, dense, strict=False)
    shared = "".join(own for own, _ in takewhile(lambda pair: pair[0] == pair[1], pairs))
    if len(shared) < max(len(written.text), len(dense)):
        shared = shared[: shared.rfind(" ") + 1]
    rest = written.text[len(shared) :]
    return Passage(name=name, shared=_on_a_line(shared), rest=_on_a_line(rest))


def _on_a_line(text: str) -> str:
    return _NEW_LINES.sub(" ¶ ", text)
