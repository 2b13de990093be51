"""Small networks of a model's kind with Adam, for checks of parametrizations."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .apply import initial_stds
from .coordinate_check import TrainingSetup
from .model_widths import NetworkFamily
from .parametrization import Parametrization, parametrize
from .scaling import Kind

if TYPE_CHECKING:
    from torch import nn
    from torch.optim import Optimizer

BASE = 32
_VOCABULARY, _ROWS, _TOKENS = 64, 4, 32
_STD, _EMBEDDING_STD = 0.1, 0.02  # at the width BASE


def glu_family(
    *, tied: bool = False, vocabulary: int = _VOCABULARY, tokens: int = _TOKENS
) -> NetworkFamily:
    """Two layers of the Llama family: heads of 8, two of them to one of keys and values.

    Args:
        tied: Whether embedding and head share their weight.
        vocabulary: Number of different tokens.
        tokens: Length of the longest row.
    """
    from transformers import LlamaConfig

    config = LlamaConfig(
        hidden_size=BASE,
        intermediate_size=2 * BASE,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=8,
        vocab_size=vocabulary,
        max_position_embeddings=tokens,
        tie_word_embeddings=tied,
    )
    return NetworkFamily(config=config, vocabulary=vocabulary)


def small_parametrization(
    family: NetworkFamily, width: int, *, base: int = BASE, kind: Kind = "mup"
) -> Parametrization:
    """The parametrization of a network of a family.

    Args:
        family: What it is one of.
        width: Its hidden size.
        base: Width at which muP is the standard parametrization.
        kind: See `parametrize`.
    """
    configs = (family.at(size) for size in (width, base, 2 * base))
    return parametrize(*configs, kind=kind, roles=family.roles)


def small_network(
    family: NetworkFamily,
    width: int,
    seed: int,
    *,
    lr: float,
    base: int = BASE,
    kind: Kind = "mup",
    embedding_std: float = _EMBEDDING_STD,
    betas: tuple[float, float] = (0.9, 0.999),
) -> tuple[Any, Optimizer]:
    """The network, and AdamW with the learning rates of its parametrization.

    The head starts at 0, so that muP and the standard parametrization differ in learning rates
    alone, but for a head that is tied.

    Args:
        family, width, base, kind: See `small_parametrization`.
        seed: Seed of the weights.
        lr: Learning rate at the base width.
        embedding_std: Initial deviation of embeddings, at all widths.

    Raises:
        LimitError: There is no such network, or muP has no rule for it.
    """
    import torch
    from transformers import AutoModelForCausalLM

    config = family.at(width)
    parametrization = small_parametrization(family, width, base=base, kind=kind)
    with torch.random.fork_rng(devices=[]):  # its weights are replaced
        torch.manual_seed(seed)
        build: Any = AutoModelForCausalLM.from_config
        model = build(config, dtype=torch.float32)
    stds = _stds(model, parametrization, base, embedding_std)
    parametrization.init_(model, stds, torch.Generator().manual_seed(seed))
    head = model.get_output_embeddings()
    if head is not None and head.weight is not model.get_input_embeddings().weight:
        torch.nn.init.zeros_(head.weight)
    parametrization.apply_(model)
    # gradients get smaller with the width, and AdamW's usual epsilon would outgrow them
    groups = parametrization.groups(model, lr=lr, eps=1e-15)
    return model, torch.optim.AdamW(groups, betas=betas)


def small_start(
    family: NetworkFamily, width: int, seed: int, *, lr: float, kind: Kind = "mup"
) -> TrainingSetup:
    """The network and AdamW for it, on one batch of 4 rows of 32 random tokens.

    Args:
        family, width, kind: See `small_parametrization`.
        seed: Seed of the weights; the tokens are always the same.
        lr: Learning rate at the base width, 32.
    """
    import torch

    model, optimizer = small_network(family, width, seed, lr=lr, kind=kind)
    generator = torch.Generator().manual_seed(0)
    tokens = torch.randint(family.vocabulary, (_ROWS, _TOKENS), generator=generator)
    return TrainingSetup(
        model=model, optimizer=optimizer, loss=lambda: model(input_ids=tokens, labels=tokens).loss
    )


def _stds(
    model: nn.Module, parametrization: Parametrization, base: int, embedding_std: float
) -> dict[str, float]:
    """Deviations at the base width, of matrices that do not start at a constant.

    The part of the logits from initial weights goes as n^(-1/2) and would hide what is learned.
    """
    std = _STD * (BASE / base) ** 0.5  # what a network of width `BASE` has there
    drawn = initial_stds(model)
    return {
        weight.name: embedding_std if weight.role == "input" else std
        for weight in parametrization.weights
        if len(weight.shape) > 1 and drawn[weight.name] > 0
    }
