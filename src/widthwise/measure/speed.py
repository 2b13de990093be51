"""Tokens a second, of the prompt (prefill) and of the text written after it (decode).

Both are timed with one sequence of fixed random tokens and a fixed number of new tokens: a model
that stops early, or late, is not thereby faster or slower. Models are visited in a new random order
every round, so that a machine that warms up, or is busy for a while, does not favour one of them.
"""

from __future__ import annotations

import random
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from ..errors import RunError

if TYPE_CHECKING:
    import torch

_RESAMPLES = 2000  # of the bootstrap: its own error is then 1/sqrt(2 x 2000) = 1.6 % of the error


@dataclass(frozen=True, kw_only=True)
class Speed:
    """Speed of one model at one kind of work.

    Attributes:
        model: Its name in the call.
        quantity: `"prefill"`: one pass over the prompt, logits of its last position only;
            `"decode"`: new tokens one by one with the key-value cache of the prompt, end-of-text
            ignored.
        value: Tokens a second, median over rounds.
        standard_error: Of `value`: standard deviation of the bootstrap of the median over rounds.
        n: Rounds.
        tokens: Tokens a round.
        seconds: Wall time of each round.
        device: `"cpu"` or `"cuda"`.
        dtype: Of the weights.
    """

    model: str
    quantity: Literal["prefill", "decode"]
    value: float
    standard_error: float
    n: int
    tokens: int
    seconds: tuple[float, ...]
    device: str
    dtype: str
    unit: str = "tokens_per_sec"


@dataclass(frozen=True, kw_only=True)
class DtypeChoice:
    """The faster storage type on a device.

    Attributes:
        name: `"bfloat16"` or `"float32"`.
        speedup: Time of float32 / time of bfloat16 for the same matrix product; above 1, bfloat16
            wins.
    """

    name: Literal["bfloat16", "float32"]
    speedup: float


def measure_speed(
    models: Mapping[str, Any],
    *,
    prompt_tokens: int,
    new_tokens: int,
    repeats: int,
    seed: int,
    on_step: Callable[[int], None] | None = None,
) -> list[Speed]:
    """Prefill and decode speed of each model, in the order of `models`, two results a model.

    Args:
        models: Causal language models by name, each on its device; all are held at once.
        prompt_tokens: Length of the prompt, at least 1.
        new_tokens: Tokens written after it, at least 1.
        repeats: Rounds, at least 5; one more, not counted, goes before them to warm up.
        seed: Of the prompt's tokens, of the order of models and of the bootstrap.
        on_step: Called after each model of each round with the number of such steps done, out of
            `len(models) * (repeats + 1)`.

    Raises:
        RunError: A setting out of range.
    """
    for name, got, least in (
        ("prompt_tokens", prompt_tokens, 1),
        ("new_tokens", new_tokens, 1),
        ("repeats", repeats, 5),
    ):
        if got < least:
            raise RunError(f"{name} must be at least {least}; got {got}")
    order, chance = list(models), random.Random(seed)
    seconds: dict[str, list[tuple[float, float]]] = {name: [] for name in models}
    done = 0
    for _ in range(repeats + 1):
        chance.shuffle(order)
        for name in order:
            seconds[name].append(_time(models[name], prompt_tokens, new_tokens, seed))
            done += 1
            if on_step is not None:
                on_step(done)
    results = []
    for name, model in models.items():
        prefill, decode = zip(*seconds[name][1:], strict=True)
        results.append(_speed(name, model, "prefill", prompt_tokens, prefill, seed))
        results.append(_speed(name, model, "decode", new_tokens, decode, seed))
    return results


def faster_dtype(device: str = "cpu") -> DtypeChoice:
    """Whether bfloat16 or float32 is faster here, by a measured product of a GLU block's size.

    Processors without bfloat16 units emulate it, many times slower than float32. Takes a fraction
    of a second.
    """
    import torch

    generator = torch.Generator().manual_seed(0)
    inputs = torch.rand(512, 576, generator=generator)
    weight = torch.rand(1536, 576, generator=generator)
    times: dict[torch.dtype, float] = {}
    for dtype in (torch.float32, torch.bfloat16):
        a, b = inputs.to(device, dtype), weight.to(device, dtype)
        rounds = []
        for _ in range(9):
            _synchronize(a.device)
            start = time.perf_counter()
            for _ in range(4):
                torch.nn.functional.linear(a, b)
            _synchronize(a.device)
            rounds.append(time.perf_counter() - start)
        times[dtype] = min(rounds[1:])  # the least disturbed
    speedup = times[torch.float32] / times[torch.bfloat16]
    return DtypeChoice(name="bfloat16" if speedup >= 1 else "float32", speedup=speedup)


def _time(model: Any, prompt_tokens: int, new_tokens: int, seed: int) -> tuple[float, float]:
    """Seconds of the prompt, and of the new tokens after it."""
    import torch

    parameter = next(model.parameters())
    device = parameter.device
    words = model.get_input_embeddings().num_embeddings
    generator = torch.Generator().manual_seed(seed)
    prompt = torch.randint(words, (1, prompt_tokens), generator=generator).to(device)
    with torch.inference_mode():
        _synchronize(device)
        start = time.perf_counter()
        out = model(prompt, use_cache=True, logits_to_keep=1)
        _synchronize(device)
        middle = time.perf_counter()
        for _ in range(new_tokens):
            token = out.logits[:, -1:].argmax(-1)
            out = model(token, use_cache=True, past_key_values=out.past_key_values)
        _synchronize(device)
        end = time.perf_counter()
    return middle - start, end - middle


def _synchronize(device: torch.device) -> None:
    """Wait for the device, which on CUDA works behind the clock's back."""
    import torch

    if device.type == "cuda":
        torch.cuda.synchronize(device)


def _speed(
    name: str,
    model: Any,
    quantity: Literal["prefill", "decode"],
    tokens: int,
    seconds: tuple[float, ...],
    seed: int,
) -> Speed:
    rates = [tokens / sec for sec in seconds]
    parameter = next(model.parameters())
    return Speed(
        model=name,
        quantity=quantity,
        value=statistics.median(rates),
        standard_error=_median_error(rates, seed),
        n=len(rates),
        tokens=tokens,
        seconds=seconds,
        device=parameter.device.type,
        dtype=str(parameter.dtype).removeprefix("torch."),
    )


def _median_error(values: list[float], seed: int) -> float:
    """Bootstrap standard error of the median (Efron 1979), resampling the rounds."""
    chance = random.Random(seed)
    draws = (chance.choices(values, k=len(values)) for _ in range(_RESAMPLES))
    return statistics.stdev(statistics.median(draw) for draw in draws)
