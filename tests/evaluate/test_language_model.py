"""Our language model gives the answers of lm-eval's own: a random network, a real tokenizer."""

from __future__ import annotations

import random
from functools import partial
from typing import Any

import pytest
import torch
from sharp import sharp

from widthwise.errors import RunError

pytest.importorskip("lm_eval")

from lm_eval.api.instance import Instance
from lm_eval.models.huggingface import HFLM
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import GenerationConfig, PreTrainedTokenizerFast

from widthwise.evaluate import language_model_of
from widthwise.evaluate.language_model import SharedPrefixLM

VOCAB = 340
LENGTH = 64  # tokens that the models read
TEXT = [
    "the width of the network is the number of neurons that it has in a layer",
    "a cut of width saves time and memory, and costs what the network knows.",
    "Question: which width is the best?\nAnswer: one, two, three and four.\n\nQuestion: what?",
]
# Sums of up to 200 float32 log-probabilities of size 6: 200 x 6 x 6e-8 = 7e-5, and as much again
# in each of three layers. The project promises 1e-3.
CLOSE = 3e-4


def tokenizer_of(*, begins: bool) -> Any:
    """Byte-level BPE; whether it sets a token before each text, as Llama's does and Qwen's not."""
    inner = Tokenizer(models.BPE())
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    inner.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCAB,
        special_tokens=["<pad>", "<s>", "</s>", "<end>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    inner.train_from_iterator(TEXT * 3, trainer)
    if begins:
        special = [("<s>", 1)]
        inner.post_processor = processors.TemplateProcessing("<s> $A", special_tokens=special)
    return PreTrainedTokenizerFast(
        tokenizer_object=inner,
        bos_token="<s>" if begins else None,
        eos_token="</s>",
        pad_token="<pad>",
        additional_special_tokens=["<end>"],
    )


@pytest.fixture(scope="module", params=[True, False], ids=["begins", "plain"])
def words(request: pytest.FixtureRequest) -> Any:
    return tokenizer_of(begins=request.param)


@pytest.fixture(scope="module")
def model() -> Any:
    made = sharp("llama", vocab_size=VOCAB, max_position_embeddings=LENGTH)
    made.generation_config.eos_token_id = 2
    return made


@pytest.fixture
def both(model: Any, words: Any) -> tuple[Any, Any]:
    """Ours and lm-eval's."""
    return SharedPrefixLM(model, words), theirs(model, words)


def theirs(model: Any, words: Any, batch_size: int = 4) -> Any:
    return HFLM(pretrained=model, tokenizer=words, batch_size=batch_size)


def asked(kind: str, *arguments: tuple[Any, ...]) -> list[Instance]:
    return [
        Instance(request_type=kind, doc={}, arguments=one, idx=number)
        for number, one in enumerate(arguments)
    ]


def sentence(draw: random.Random, count: int) -> str:
    return " ".join(draw.choices(" ".join(TEXT).split(), k=count))


def test_the_tokenizer_merges_across_the_boundary(words: Any) -> None:
    apart = [*words.encode("the wid"), *words.encode("th of", add_special_tokens=False)]
    assert words.encode("the width of") != apart


PAIRS = [
    ("the width of the", " network"),
    ("the width of the", "network"),
    ("the width of the   ", "network"),  # trailing spaces belong to the option
    ("the width of the\n", "network"),
    ("the wid", "th of the network"),  # merged across the boundary
    ("", "the width"),
    ("", " the width"),
    ("a cut of width", " saves"),
    ("a cut of width", " saves time"),  # begins with another option
    ("a cut of width", " saves"),  # asked again
    ("Question: which width is the best?\nAnswer:", " one"),
    ("Question: which width is the best?\nAnswer:", " two"),
    ("Question: which width is the best?\nAnswer:", "!"),
    ("Question: which width is the best?\nAnswer:", "?"),
    ("the width " * 40, "of the network"),  # longer than the context
    ("the width " * 40, "of"),
    ("ünïcode ☃", " ☃"),
    ("<s>the width", " of"),
    ("</s>the width", " of"),
]


def test_log_likelihoods_are_those_of_lm_eval(both: tuple[Any, Any]) -> None:
    draw = random.Random(0)
    shots = "\n\n".join(sentence(draw, 6) for _ in range(2))
    shared = [(f"{shots}\n\n{sentence(draw, 4)}", f" {sentence(draw, n)}") for n in (1, 2, 3, 1)]
    ours, hf = both
    requests = asked("loglikelihood", *PAIRS, *shared)
    got, expected = ours.loglikelihood(requests), hf.loglikelihood(requests, disable_tqdm=True)
    assert [value for value, _ in got] == pytest.approx([v for v, _ in expected], abs=CLOSE)
    assert [greedy for _, greedy in got] == [greedy for _, greedy in expected]
    assert {type(answer) for answer in got} == {tuple}


def test_an_option_that_the_model_would_write_is_greedy(both: tuple[Any, Any], model: Any) -> None:
    ours, hf = both
    context, pairs = "the width of the", []
    ids = ours.tok_encode(context)
    with torch.no_grad():
        order = model(torch.tensor([ids])).logits[0, -1].argsort(descending=True).tolist()
    # The first tokens that are a text by themselves: of these the model holds one most probable.
    for token in order:
        text = ours.tokenizer.decode([token])
        if ours.tok_encode(context + text) == [*ids, token]:
            pairs.append((context, text))
    requests = asked("loglikelihood", *pairs[:5])
    got, expected = ours.loglikelihood(requests), hf.loglikelihood(requests, disable_tqdm=True)
    assert [greedy for _, greedy in got] == [greedy for _, greedy in expected]
    assert got[0][1] == (ours.tokenizer.decode([order[0]]) == pairs[0][1])


def test_a_context_that_begins_with_the_token_that_begins_texts(model: Any) -> None:
    """An empty context is that token; a text that has it already gets no second one."""
    ours, words = SharedPrefixLM(model, tokenizer_of(begins=True)), tokenizer_of(begins=True)
    requests = asked("loglikelihood", ("", "<s>the cut"), ("", "the cut"), ("<s>", "the cut"))
    got = ours.loglikelihood(requests)
    expected = theirs(model, words).loglikelihood(requests, disable_tqdm=True)
    assert [value for value, _ in got] == pytest.approx([v for v, _ in expected], abs=CLOSE)
    assert got[0] == got[1] == got[2]


def test_a_context_of_spaces_is_an_empty_one(both: tuple[Any, Any]) -> None:
    """lm-eval stops at such a context where the tokenizer sets no token before a text."""
    ours, hf = both
    got = ours.loglikelihood(asked("loglikelihood", ("  ", "the cut"), ("", "  the cut")))
    assert got[0] == got[1]
    if ours.tokenizer.bos_token:
        expected = hf.loglikelihood(asked("loglikelihood", ("  ", "the cut")), disable_tqdm=True)
        assert got[0][0] == pytest.approx(expected[0][0], abs=CLOSE)


def test_rolling_log_likelihoods_are_those_of_lm_eval(both: tuple[Any, Any]) -> None:
    """Texts shorter and longer than the context, some a multiple of it."""
    ours, hf = both
    draw = random.Random(1)
    texts = [sentence(draw, n) for n in (1, 5, 30, 90)]
    ids = ours.tokenizer(sentence(draw, 300), add_special_tokens=False)["input_ids"]
    begin = len(ours.tok_encode("")) if ours.tokenizer.bos_token else 0
    texts += [ours.tokenizer.decode(ids[: 2 * LENGTH - begin + more]) for more in (-1, 0, 1)]
    lengths = [len(ours.tok_encode(text)) for text in texts]
    assert max(lengths) > 2 * LENGTH
    assert min(lengths) < LENGTH
    requests = asked("loglikelihood_rolling", *((text,) for text in [*texts, ""]))
    done: list[int] = []
    ours.on_done = done.append
    got = ours.loglikelihood_rolling(requests)
    assert got == pytest.approx(hf.loglikelihood_rolling(requests, disable_tqdm=True), abs=CLOSE)
    assert (got[-1] == 0.0) == (not ours.tokenizer.bos_token)  # else that token is the text
    assert done == sorted(done)


PROMPTS = [
    "the width of the network",
    "Question: which width is the best?\nAnswer:",
    "a",
    "the number of neurons that it has in a layer " * 4,  # cut on the left
    "a cut of width saves time",
    "ünïcode ☃",
]


@pytest.mark.parametrize("settings", [{"max_gen_toks": 20}, {"max_new_tokens": 7, "until": []}])
def test_texts_are_those_of_lm_eval(both: tuple[Any, Any], settings: dict[str, Any]) -> None:
    ours, hf = both
    asks = [(prompt, {"do_sample": False, "until": ["\n\n"], **settings}) for prompt in PROMPTS]
    requests = asked("generate_until", *asks)
    done: list[int] = []
    ours.on_done = done.append
    got = ours.generate_until(requests)
    assert got == hf.generate_until(requests, disable_tqdm=True)
    assert len(set(got)) > 3
    assert done[-1] == len(PROMPTS)
    assert [text.capped for text in ours.generated] == [True] * len(PROMPTS)
    assert max(len(text.tokens) for text in ours.generated) == settings.get("max_gen_toks", 7)


def test_stop_strings_cut_as_lm_eval_does(both: tuple[Any, Any], words: Any) -> None:
    """Strings that really occur: of one character, within a token, across tokens."""
    ours, hf = both
    free = [(prompt, {"until": [], "max_gen_toks": 24}) for prompt in PROMPTS]
    texts = ours.generate_until(asked("generate_until", *free))
    for size in (1, 2, 4):
        for start in (0, 5, 9):
            stops = [text[start : start + size] or "none" for text in texts]
            asks = [
                (prompt, {"until": [stop, "unseen"], "max_gen_toks": 24, "temperature": 0.0})
                for prompt, stop in zip(PROMPTS, stops, strict=True)
            ]
            requests = asked("generate_until", *asks)
            got = ours.generate_until(requests)
            assert got == hf.generate_until(requests, disable_tqdm=True), (size, start)
            expected = [text.split(stop)[0] for text, stop in zip(texts, stops, strict=True)]
            assert got == expected
            assert not any(
                one.capped
                for one, stop, text in zip(ours.generated, stops, texts, strict=True)
                if stop in text
            )


@pytest.mark.parametrize("place", [0, 3, 6])
def test_special_tokens_among_the_stop_strings(words: Any, place: int) -> None:
    """Such a token ends a text though it is not part of it; lm-eval one at a time does the same."""
    made = sharp("llama", vocab_size=VOCAB, max_position_embeddings=LENGTH)
    made.generation_config.eos_token_id = 2
    ours, hf = SharedPrefixLM(made, words), theirs(made, words, 1)
    free = asked("generate_until", (PROMPTS[0], {"until": [], "max_gen_toks": 12}))
    ours.generate_until(free)
    token = ours.generated[0].tokens[place]
    with torch.no_grad():  # from here on the model says "<end>" there
        made.lm_head.weight[[3, token]] = made.lm_head.weight[[token, 3]]
    asks = [(prompt, {"until": ["<end>"], "max_gen_toks": 12}) for prompt in PROMPTS[:3]]
    requests = asked("generate_until", *asks)
    got = ours.generate_until(requests)
    assert 3 in ours.generated[0].tokens
    assert not ours.generated[0].capped
    assert got == hf.generate_until(requests, disable_tqdm=True)


def test_several_tokens_may_end_a_text(model: Any, words: Any) -> None:
    """Those of the model's generation settings, and the tokenizer's."""
    ours = SharedPrefixLM(model, words)
    asks = [(prompt, {"until": [], "max_gen_toks": 20}) for prompt in PROMPTS]
    ours.generate_until(asked("generate_until", *asks))
    ends = sorted({ours.generated[0].tokens[4], ours.generated[1].tokens[7]})
    model.generation_config.eos_token_id = [2, *ends]
    try:
        requests = asked("generate_until", *asks)
        got = ours.generate_until(requests)
        assert not ours.generated[0].capped
        assert len(ours.generated[0].tokens) <= 4
        expected = theirs(model, words).generate_until(requests, disable_tqdm=True)
    finally:
        model.generation_config.eos_token_id = 2
    special = {"skip_special_tokens": True}
    for text, other in zip(got, expected, strict=True):  # which keeps the token that ends it
        assert other in {text, *(text + words.decode([end], **special) for end in ends)}


def test_a_text_is_continued_no_further_than_asked(model: Any, words: Any) -> None:
    ours = SharedPrefixLM(model, words)
    requests = asked("generate_until", *((p, {"until": [], "max_gen_toks": 5}) for p in PROMPTS))
    ours.generate_until(requests)
    assert {len(text.tokens) for text in ours.generated} == {5}
    assert all(text.capped for text in ours.generated)


@pytest.mark.parametrize(
    ("settings", "match"),
    [
        ({"do_sample": True, "temperature": 0.7}, "sampling"),
        ({"temperature": 0.7}, "sampling"),
        ({"top_p": 0.9}, "top_p"),
        ({"max_gen_toks": LENGTH}, "reads 64 tokens, too few to write 64"),
    ],
)
def test_what_is_not_greedy_or_has_no_room_is_said(
    model: Any, words: Any, settings: dict[str, Any], match: str
) -> None:
    request = asked("generate_until", ("the", {"until": [], "max_gen_toks": 5, **settings}))
    with pytest.raises(RunError, match=match):
        SharedPrefixLM(model, words).generate_until(request)


@pytest.mark.parametrize(
    "settings",
    [
        {"repetition_penalty": 2.0},
        {"no_repeat_ngram_size": 1},
        {"suppress_tokens": list(range(4, 200))},
        {"bad_words_ids": [[number] for number in range(4, 200)]},
        {"begin_suppress_tokens": list(range(4, 200))},
        {"min_new_tokens": 9, "eos_token_id": list(range(2, 200))},
        {"forced_eos_token_id": 9},
        {"num_beams": 3, "length_penalty": 2.0, "early_stopping": True},
        {"do_sample": True, "temperature": 1.7, "top_k": 9, "top_p": 0.9},
        {"sequence_bias": [[[9], 50.0]]},
        {"exponential_decay_length_penalty": (2, 5.0)},
        {"penalty_alpha": 0.6, "top_k": 4},
    ],
    ids=lambda settings: "-".join(settings),
)
def test_generation_settings_of_a_checkpoint_change_no_text_of_any_backend(
    model: Any, settings: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each of these changes what `generate` writes, but for sampling, which lm-eval turns off."""
    words = tokenizer_of(begins=True)
    ends = settings.get("eos_token_id", 2)
    monkeypatch.setattr(model, "generation_config", GenerationConfig(eos_token_id=ends))
    few = ((prompt, {"until": [], "max_gen_toks": 12}) for prompt in PROMPTS[:3])
    requests = asked("generate_until", *few)
    ours = language_model_of("widthwise", model, words)
    hf = language_model_of("hf", model, words)
    plain = ours.generate_until(requests)
    asked_for = GenerationConfig(**{"eos_token_id": ends, **settings})
    monkeypatch.setattr(model, "generation_config", asked_for)
    assert ours.generate_until(requests) == plain
    written = hf.generate_until(requests, disable_tqdm=True)
    if ends == 2:  # lm-eval keeps the token that ends a text
        assert written == plain
    assert all(text.startswith(start) for text, start in zip(written, plain, strict=True))
    assert model.generation_config is asked_for  # put back
    if not ({"do_sample", "penalty_alpha"} & set(settings)):
        assert theirs(model, words, 16).generate_until(requests, disable_tqdm=True) != written


def test_text_begins_after_thinking_in_every_backend(model: Any, words: Any) -> None:
    requests = asked("generate_until", *((p, {"until": [], "max_gen_toks": 20}) for p in PROMPTS))
    plain = language_model_of("widthwise", model, words).generate_until(requests)
    mark = plain[0][6]
    expected = [text.split(mark)[-1].lstrip() for text in plain]
    assert expected != plain
    for backend in ("widthwise", "hf"):
        lm = language_model_of(backend, model, words, think_end=mark)
        assert lm.generate_until(requests, disable_tqdm=True) == expected


def test_a_continuation_needs_tokens_and_no_more_than_fit(model: Any, words: Any) -> None:
    ours = SharedPrefixLM(model, words)
    for option, count in (("", 0), (" a" * 100, 100)):
        with pytest.raises(RunError, match=f"must have 1 to {LENGTH} tokens; .* has {count}"):
            ours.loglikelihood(asked("loglikelihood", ("the width", option)))
    with pytest.raises(RunError, match="no tokens"):
        ours._loglikelihood_tokens([(("", "x"), [], [5, 6])])


def test_the_model_may_be_another_at_the_next_call(
    model: Any, words: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Widths of a sweep are scored by one language model, and a text is encoded once."""
    ours = SharedPrefixLM(model, words)
    requests = asked("loglikelihood", *PAIRS)
    first = ours.loglikelihood(requests)
    ours.model = sharp("llama", seed=1, vocab_size=VOCAB, max_position_embeddings=LENGTH)
    monkeypatch.setattr(type(words), "__call__", partial(pytest.fail, "encoded again"))
    second = ours.loglikelihood(requests)
    assert [value for value, _ in second] != pytest.approx([value for value, _ in first], abs=0.1)


def test_names_that_lm_eval_asks_for(both: tuple[Any, Any]) -> None:
    ours, hf = both
    for name in ("eot_token_id", "prefix_token_id", "max_length", "max_gen_toks", "tokenizer_name"):
        assert getattr(ours, name) == getattr(hf, name), name
    for text in ("the width", "<s>the", "</s>the", ""):
        for special in (None, True, False):
            assert ours.tok_encode(text, special) == hf.tok_encode(text, special), (text, special)
    ours.tokenizer.chat_template = (
        "{% for m in messages %}[{{ m.role }}] {{ m.content }}\n{% endfor %}"
        "{% if add_generation_prompt %}[assistant]{% endif %}"
    )
    try:
        chat = [{"role": "user", "content": "cut"}, {"role": "assistant", "content": "so"}]
        for history, adds in ((chat[:1], True), (chat, False)):
            assert ours.apply_chat_template(history, adds) == hf.apply_chat_template(history, adds)
        assert ours.chat_template(True) == hf.chat_template(True)
    finally:
        ours.tokenizer.chat_template = None
