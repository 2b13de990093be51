"""A small GLU transformer of any width, for checks of parametrizations."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..errors import LimitError
from .coordinate_check import TrainingSetup
from .parametrization import Parametrization, parametrize
from .scaling import Kind

if TYPE_CHECKING:
    from torch import nn
    from torch.optim import Optimizer
    from transformers import LlamaConfig, LlamaForCausalLM

BASE = 32
HEAD = 8
_VOCABULARY, _ROWS, _TOKENS = 64, 4, 32
_STD, _EMBEDDING_STD = 0.1, 0.02  # at the width BASE


def glu_config(
    width: int, *, tied: bool = False, vocabulary: int = _VOCABULARY, tokens: int = _TOKENS
) -> LlamaConfig:
    """Two layers of the Llama family: heads of 8, two of them to one of keys and values.

    Args:
        width: Hidden size; GLU blocks have twice as many neurons, and there are more heads.
        tied: Whether embedding and head share their weight.
        vocabulary: Number of different tokens.
        tokens: Length of the longest row.

    Raises:
        LimitError: The width is no multiple of 16, so that heads do not fit.
    """
    from transformers import LlamaConfig

    if width < 2 * HEAD or width % (2 * HEAD):
        raise LimitError(f"a width must be a multiple of {2 * HEAD}; got {width}")
    return LlamaConfig(
        hidden_size=width,
        intermediate_size=2 * width,
        num_hidden_layers=2,
        num_attention_heads=width // HEAD,
        num_key_value_heads=width // HEAD // 2,
        head_dim=HEAD,
        vocab_size=vocabulary,
        max_position_embeddings=tokens,
        tie_word_embeddings=tied,
    )


def glu_base(
    config: LlamaConfig, *, base: int = BASE, tied: bool = False, kind: Kind = "mup"
) -> Parametrization:
    """The parametrization of such a network.

    Args:
        config: Result of `glu_config`.
        base: Width at which muP is the standard parametrization.
        tied, kind: See `glu_config` and `parametrize`.
    """
    shape = {"vocabulary": config.vocab_size, "tokens": config.max_position_embeddings}
    at_base, delta = (glu_config(size, tied=tied, **shape) for size in (base, 2 * base))
    return parametrize(config, at_base, delta, kind=kind)


def glu_network(
    config: LlamaConfig,
    seed: int,
    *,
    lr: float,
    base: int = BASE,
    tied: bool = False,
    kind: Kind = "mup",
    embedding_std: float = _EMBEDDING_STD,
    betas: tuple[float, float] = (0.9, 0.999),
) -> tuple[LlamaForCausalLM, Optimizer]:
    """The network, and Adam with the learning rates of its parametrization.

    The head starts at 0, so that muP and the standard parametrization differ in learning rates
    alone, but for a head that is tied.

    Args:
        config: Result of `glu_config`.
        seed: Seed of the weights.
        lr: Learning rate at the base width.
        base, tied, kind: See `glu_base`.
        embedding_std: Initial deviation of embeddings, at all widths.
    """
    import torch
    from transformers import LlamaForCausalLM

    parametrization = glu_base(config, base=base, tied=tied, kind=kind)
    with torch.random.fork_rng(devices=[]):  # its weights are replaced
        model = LlamaForCausalLM(config)
    stds = _stds(model, base) | {"model.embed_tokens.weight": embedding_std}
    parametrization.init_(model, stds, torch.Generator().manual_seed(seed))
    if not tied:
        torch.nn.init.zeros_(model.lm_head.weight)
    parametrization.apply_(model)
    # gradients get smaller with the width, and AdamW's usual epsilon would outgrow them
    groups = parametrization.groups(model, lr=lr, eps=1e-15)
    return model, torch.optim.AdamW(groups, betas=betas)


def glu_start(
    width: int, seed: int, *, lr: float, tied: bool = False, kind: Kind = "mup"
) -> TrainingSetup:
    """The network and AdamW for it, on one batch of 4 rows of 32 random tokens.

    Args:
        width: See `glu_config`.
        seed: Seed of the weights; the tokens are always the same.
        lr: Learning rate at the base width, 32.
        tied, kind: See `glu_config` and `parametrize`.
    """
    import torch

    model, optimizer = glu_network(glu_config(width, tied=tied), seed, lr=lr, tied=tied, kind=kind)
    generator = torch.Generator().manual_seed(0)
    tokens = torch.randint(_VOCABULARY, (_ROWS, _TOKENS), generator=generator)
    return TrainingSetup(
        model=model, optimizer=optimizer, loss=lambda: model(input_ids=tokens, labels=tokens).loss
    )


def _stds(model: nn.Module, base: int) -> dict[str, float]:
    """Deviations at the base width.

    The part of the logits from initial weights goes as n^(-1/2) and would hide what is learned.
    """
    matrices = [name for name, weight in model.named_parameters() if weight.dim() > 1]
    std = _STD * (BASE / base) ** 0.5  # what a network of width `BASE` has there
    return dict.fromkeys(matrices, std)
