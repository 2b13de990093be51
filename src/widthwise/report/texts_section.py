"""Texts that networks wrote after the same prompts, and where they begin to differ."""

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
    "What each network writes after a prompt, the likeliest token each time. Faint is what the "
    "first one writes as well, up to where they begin to differ; ¶ is a new line. A few texts show "
    "what a number means; they prove nothing."
)


def texts_section(results: Sequence[ModelResults]) -> Section:
    """The texts of all studies, prompt by prompt; empty where nothing was written."""
    named = [(result.headed(_label(text)), text) for result in results for text in result.texts]
    return written_section(named)


def written_section(texts: Sequence[tuple[str, Continuation]]) -> Section:
    """A section of texts with the names of who wrote them; the first after each prompt is the one
    that the others are compared with."""
    by_prompt = grouped((text.prompt, (name, text)) for name, text in texts)
    blocks = [
        Block(
            heading=prompt,
            passages=[
                passage(name, text, group[0][1].text if number else None)
                for number, (name, text) in enumerate(group)
            ],
        )
        for prompt, group in by_prompt.items()
    ]
    return Section(key="texts", title="What it writes", link="Texts", about=_ABOUT, blocks=blocks)


def passage(name: str, written: Continuation, first: str | None) -> Passage:
    """A text, parted where it begins to differ from the first one, at the end of a word; that
    itself is whole."""
    if written.text is None:
        return Passage(name=name, shared="", rest=f"missing: {written.reason}")
    pairs = zip(written.text, first or "", strict=False)
    shared = "".join(own for own, _ in takewhile(lambda pair: pair[0] == pair[1], pairs))
    if len(shared) < max(len(written.text), len(first or "")):
        shared = shared[: shared.rfind(" ") + 1]
    rest = written.text[len(shared) :]
    return Passage(name=name, shared=_on_a_line(shared), rest=_on_a_line(rest))


def _label(text: Continuation) -> str:
    return f"{text.criterion} {text.expansion_ratio:.2f}x" if text.criterion else "dense"


def _on_a_line(text: str) -> str:
    return _NEW_LINES.sub(" ¶ ", text)
