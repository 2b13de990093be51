"""A small GLU transformer of any width, to check parametrizations on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...errors import LimitError
from .coordinates import Start
from .parametrization import Parametrization, parametrize
from .weights import Kind

if TYPE_CHECKING:
    from torch import nn
    from transformers import LlamaConfig

BASE = 32
HEAD = 8
_VOCABULARY, _ROWS, _TOKENS = 64, 4, 32
_STD, _EMBEDDING_STD = 0.1, 0.02  # at the base width


def glu_config(width: int, *, tied: bool = False) -> LlamaConfig:
    """Two layers of the Llama family: heads of 8, two of them to one of keys and values.

    Args:
        width: Hidden size; GLU blocks have twice as many neurons, and there are more heads.
        tied: Whether embedding and head share their weight.

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
        vocab_size=_VOCABULARY,
        max_position_embeddings=_TOKENS,
        tie_word_embeddings=tied,
    )


def glu_base(width: int, *, tied: bool = False, kind: Kind = "mup") -> Parametrization:
    """Its parametrization, of which width 32 is the base."""
    sizes = (width, BASE, 2 * BASE)
    model, base, delta = (glu_config(size, tied=tied) for size in sizes)
    return parametrize(model, base, delta, kind=kind)


def glu_start(width: int, seed: int, *, lr: float, tied: bool = False, kind: Kind = "mup") -> Start:
    """The network and AdamW for it, on one batch of 4 rows of 32 random tokens.

    Args:
        width: See `glu_config`.
        seed: Of the weights; the tokens are always the same.
        lr: Learning rate at the base width.
        tied, kind: See `glu_config` and `parametrize`.
    """
    import torch
    from transformers import LlamaForCausalLM

    one = glu_base(width, tied=tied, kind=kind)
    with torch.random.fork_rng(devices=[]):  # what it draws is drawn anew
        model = LlamaForCausalLM(glu_config(width, tied=tied))
    one.init_(model, _stds(model), torch.Generator().manual_seed(seed))
    if not tied:
        torch.nn.init.zeros_(model.lm_head.weight)
    one.apply_(model)
    generator = torch.Generator().manual_seed(0)
    tokens = torch.randint(_VOCABULARY, (_ROWS, _TOKENS), generator=generator)
    # gradients get smaller with the width, and AdamW's usual epsilon would outgrow them
    optimizer = torch.optim.AdamW(one.groups(model, lr=lr), eps=1e-15)
    return Start(
        model=model, optimizer=optimizer, loss=lambda: model(input_ids=tokens, labels=tokens).loss
    )


def _stds(model: nn.Module) -> dict[str, float]:
    """Deviations at the base width: little from heads.

    What logits owe to initial weights goes as n^(-1/2) beside what is learned, and would hide it.
    """
    matrices = [name for name, one in model.named_parameters() if one.dim() > 1]
    return {name: _STD for name in matrices} | {"model.embed_tokens.weight": _EMBEDDING_STD}
