"""A model of lm-eval's kind that reads shared beginnings once. Imports lm-eval.

Texts become tokens by the rules of lm-eval's `hf` model, and answers mean what they mean there.
Only the way to them differs. Tokens are remembered: the widths of a sweep encode a text once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property, partial
from typing import Any

from lm_eval.api.model import TemplateLM
from lm_eval.models.utils import (
    handle_stop_sequences,
    has_bos_prefix,
    normalize_gen_kwargs,
    postprocess_generated_text,
    resolve_max_length,
)
from lm_eval.utils import get_rolling_token_windows, make_disjoint_window

from ..errors import RunError
from .chat import chat_of
from .engine.cache_trial import CacheUse, cache_use, can_share, check_causal
from .engine.distances import Distance
from .engine.generate import Generated, Prompt, generate
from .engine.likelihood import ScoredRequest, ScoringRequest, Watch, log_likelihoods
from .engine.lm_head import TokenBudget
from .engine.packing import longest_in_trees

_GREEDY = {"until", "max_gen_toks", "do_sample", "temperature"}


class SharedPrefixLM(TemplateLM):  # type: ignore[misc]  # lm-eval publishes no types
    """lm-eval's interface to a causal language model, for `lm_eval.simple_evaluate` or our sweeps.

    Texts are written greedily: of the model's generation settings, only the tokens that end a text
    are applied.

    Args:
        model: Any `AutoModelForCausalLM`, on its device. Its weights and widths may be changed
            between two calls.
        tokenizer: Its tokenizer.
        think_end: End of a block of thinking; a text is given without all up to it.

    Attributes:
        generated: Texts of the last `generate_until`, in the order of its requests.
        watch: What answers to requests are compared with; None compares none.
        distances: How far the answers to the last requests whose likelihoods were asked for are
            from the dense model's; None for each that was not compared.
        on_done: Called with the number of requests done so far; a request may be more than one run.
    """

    def __init__(self, model: Any, tokenizer: Any, *, think_end: str | None = None) -> None:
        super().__init__()
        self.model = model
        self.tokenizer = tokenizer
        self.budget = TokenBudget.of(model)
        self.generated: list[Generated] = []
        self.shortened: list[bool] = []
        self.watch: Watch | None = None
        self.distances: list[Distance | None] = []
        self.on_done: Callable[[int], None] = lambda _: None
        self._device = next(model.parameters()).device
        check_causal(model)
        self._longest = longest_in_trees(model)
        self._shares = can_share(model)
        self._think_end = think_end
        self._known: dict[tuple[str, bool], tuple[int, ...]] = {}

    @property
    def eot_token_id(self) -> int:
        return int(self.tokenizer.eos_token_id)

    @property
    def prefix_token_id(self) -> int:
        begin = self.tokenizer.bos_token_id
        return self.eot_token_id if begin is None else int(begin)

    @property
    def max_length(self) -> int:
        """Tokens that the model reads at most."""
        return int(resolve_max_length(self.model.config, self.tokenizer))

    @property
    def max_gen_toks(self) -> int:
        return 256

    @property
    def tokenizer_name(self) -> str:
        return str(self.tokenizer.name_or_path).replace("/", "__")

    def apply_chat_template(
        self, chat_history: list[dict[str, str]], add_generation_prompt: bool = True
    ) -> str:
        chat = chat_of(self.tokenizer)
        if chat is None:
            raise RunError(f"the tokenizer {self.tokenizer.name_or_path} has no chat template")
        return chat.apply(chat_history, add_generation_prompt=add_generation_prompt)

    def tok_encode(
        self, string: str, add_special_tokens: bool | None = None, **_: Any
    ) -> list[int]:
        self._encode([(string, add_special_tokens)])
        return list(self._known[string, self._specials(string, add_special_tokens)])

    def loglikelihood(self, requests: Sequence[Any], disable_tqdm: bool = False) -> list[Any]:
        """Log-likelihood of each continuation, and whether it is the greedy one."""
        pairs = [_moved(*request.args) for request in requests]
        wholes = [(c + o, None if c else False) for c, o in pairs]
        self._encode([*wholes, *((c, None) for c, _ in pairs if c)])
        encoded = []
        for (context, option), (whole, special) in zip(pairs, wholes, strict=True):
            tokens = self._tokens(whole, special)
            if context:
                begin = self._tokens(context, None)
                encoded.append(((context, option), begin, tokens[len(begin) :]))
            elif tokens[:1] == (self.prefix_token_id,):
                encoded.append(((context, option), tokens[:1], tokens[1:]))
            else:
                encoded.append(((context, option), (self.prefix_token_id,), tokens))
        compared = self._compared(requests)
        return self._loglikelihood_tokens(encoded, compared=compared)

    def _loglikelihood_tokens(
        self,
        requests: Sequence[tuple[Any, Sequence[int], Sequence[int]]],
        compared: Sequence[bool] = (),
        **_: Any,
    ) -> list[Any]:
        runs, self.shortened = [], []
        flags = compared or [False] * len(requests)
        for ((_, text), context, continuation), flag in zip(requests, flags, strict=True):
            if not continuation or len(continuation) > self.max_length:
                raise RunError(
                    f"a continuation must have 1 to {self.max_length} tokens; {text[:40]!r} has "
                    f"{len(continuation)}"
                )
            if not context:
                raise RunError(f"the context before {text[:40]!r} has no tokens")
            tokens = (*context, *continuation)[-(self.max_length + 1) :]
            self.shortened.append(len(tokens) < len(context) + len(continuation))
            runs.append(ScoringRequest(tokens, len(continuation), flag))
        scored = self._scored(runs, self.on_done)
        self.distances = [answer.distance for answer in scored]
        return [(answer.log_likelihood, answer.greedy) for answer in scored]

    def loglikelihood_rolling(
        self, requests: Sequence[Any], disable_tqdm: bool = False
    ) -> list[float]:
        """Log-likelihood of each text, read in windows of the model's context length."""
        runs, owners, self.shortened = [], [], []
        self._encode([(request.args[0], None) for request in requests])
        compared = self._compared(requests)
        for number, request in enumerate(requests):
            windows = get_rolling_token_windows(
                token_list=list(self._tokens(request.args[0], None)),
                prefix_token=self.prefix_token_id,
                max_seq_len=self.max_length,
                context_len=1,
            )
            for context, continuation in map(make_disjoint_window, windows):
                tokens = (*context, *continuation)
                runs.append(ScoringRequest(tokens, len(continuation), compared[number]))
                owners.append(number)
        report = self.on_done
        scored = self._scored(runs, lambda n: report(owners[n - 1] + 1))
        sums = [0.0] * len(requests)
        parts: list[list[Distance]] = [[] for _ in requests]
        for number, answer in zip(owners, scored, strict=True):
            sums[number] += answer.log_likelihood
            if answer.distance is not None:
                parts[number].append(answer.distance)
        self.distances = [Distance.total(each) if each else None for each in parts]
        return sums

    def _compared(self, requests: Sequence[Any]) -> list[bool]:
        """Which of the requests are compared; those that the dense model answers now are noted."""
        if self.watch is None:
            return [False] * len(requests)
        reference = self.watch.reference
        if self.watch.is_dense:
            reference.answered(request.args for request in requests)
        return [reference.compares(request.args) for request in requests]

    def _scored(
        self, runs: Sequence[ScoringRequest], on_runs: Callable[[int], None]
    ) -> list[ScoredRequest]:
        return log_likelihoods(
            self.model,
            runs,
            budget=self.budget,
            longest=self._longest,
            shares=self._shares,
            watch=self.watch,
            on_runs=on_runs,
        )

    @cached_property
    def _cache_use(self) -> CacheUse:
        return cache_use(self.model)

    def generate_until(self, requests: Sequence[Any], disable_tqdm: bool = False) -> list[str]:
        """The greedy continuation of each prompt, cut off before the first stop string."""
        stops, prompts, self.shortened, self.distances = [], [], [], []
        self._encode([(request.args[0], None) for request in requests])
        end = self.tokenizer.decode(self.eot_token_id, skip_special_tokens=False)
        for request in requests:
            context, settings = request.args
            settings = _checked_settings(normalize_gen_kwargs(settings, self.max_gen_toks))
            limit = int(settings["max_gen_toks"])
            room = self.max_length - limit
            if room < 1:
                raise RunError(
                    f"the model reads {self.max_length} tokens, too few to write {limit}: "
                    "ask for fewer with --max-new-tokens"
                )
            stop = handle_stop_sequences(settings.get("until"), eos=end)
            stops.append(stop)
            tokens = self._tokens(context, None)
            self.shortened.append(len(tokens) > room)
            prompts.append(
                Prompt(
                    tokens=tokens[-room:],
                    limit=limit,
                    is_over=partial(_holds, self.tokenizer, [s for s in stop if s and s != end]),
                )
            )
        self.generated = generate(
            self.model,
            prompts,
            self._ends(),
            budget=self.budget,
            use=self._cache_use,
            on_done=self.on_done,
        )
        texts = []
        for written, prompt, stop in zip(self.generated, prompts, stops, strict=True):
            new = list(_to_stop(written.tokens, prompt.is_over))
            text = str(self.tokenizer.decode(new, skip_special_tokens=True))
            texts.append(postprocess_generated_text(text, stop, self._think_end))
        return texts

    def _ends(self) -> frozenset[int]:
        """Tokens that end a text: the tokenizer's, and those of the model's generation settings."""
        named = self.model.generation_config.eos_token_id
        ends = [] if named is None else named if isinstance(named, list) else [named]
        return frozenset([self.eot_token_id, *ends])

    def _tokens(self, text: str, add_special_tokens: bool | None) -> tuple[int, ...]:
        return self._known[text, self._specials(text, add_special_tokens)]

    def _specials(self, text: str, add_special_tokens: bool | None) -> bool:
        """Whether special tokens are added: not where the text begins with one already."""
        if add_special_tokens is not None:
            return add_special_tokens
        return not has_bos_prefix(text, self.tokenizer.decode(self.prefix_token_id))

    def _encode(self, texts: Sequence[tuple[str, bool | None]]) -> None:
        """Remember the tokens of all texts that are new, encoded together."""
        keys = dict.fromkeys((text, self._specials(text, special)) for text, special in texts)
        for special in (True, False):
            new = [key[0] for key in keys if key[1] == special and key not in self._known]
            if new:
                encoding = self.tokenizer(new, add_special_tokens=special, verbose=False)
                for text, tokens in zip(new, encoding["input_ids"], strict=True):
                    self._known[text, special] = tuple(tokens)


def _moved(context: str, continuation: str) -> tuple[str, str]:
    """Spaces at the end of the context belong to the continuation's first word."""
    bare = context.rstrip()
    return bare, context[len(bare) :] + continuation


def _holds(tokenizer: Any, stops: Sequence[str], tokens: Sequence[int]) -> bool:
    """Whether the text, special tokens spelled out, holds a stop string."""
    if not stops:
        return False
    text = tokenizer.decode(list(tokens), skip_special_tokens=False)
    return any(stop in text for stop in stops)


def _to_stop(tokens: Sequence[int], is_over: Callable[[Sequence[int]], bool]) -> Sequence[int]:
    """Without the tokens that were written before a stop string was looked for."""
    while tokens and is_over(tokens[:-1]):
        tokens = tokens[:-1]
    return tokens


def _checked_settings(settings: dict[str, Any]) -> dict[str, Any]:
    """The settings, if they mean greedy decoding."""
    other = sorted(name for name in set(settings) - _GREEDY if settings[name] is not None)
    if settings.get("do_sample") or settings.get("temperature") or other:
        what = ", ".join(other) or "sampling"
        raise RunError(
            f"the task needs {what}, but the backend widthwise decodes greedily; pass --backend hf"
        )
    return settings
