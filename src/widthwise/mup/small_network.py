"""Small networks of a model's kind with Adam, for checks of parametrizations."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

from ..errors import LimitError
from .apply import initial_stds
from .coordinate_check import Stepper, TrainingSetup
from .from_shapes import parametrize
from .layer_names import split_layer
from .model_widths import BASE, NetworkFamily
from .parametrization import Parametrization
from .scaling import Kind

if TYPE_CHECKING:
    from torch import Tensor, nn
    from torch.optim import Optimizer

OptimizerName = Literal["adamw", "muon"]
_VOCABULARY, _ROWS, _TOKENS = 64, 4, 32
_STD, _EMBEDDING_STD = 0.1, 0.02  # at the width BASE
_STREAM_STD = 0.5  # of embeddings in networks of several depths: what layers add gets less
_BETAS = (0.9, 0.95)


class _Both:
    """Two optimizers that step together."""

    def __init__(self, parts: tuple[Optimizer, Optimizer]) -> None:
        self._parts = parts

    @property
    def param_groups(self) -> list[dict[str, Any]]:
        return [group for part in self._parts for group in part.param_groups]

    def step(self) -> None:
        for part in self._parts:
            part.step()

    def zero_grad(self) -> None:
        for part in self._parts:
            part.zero_grad()


@dataclass(frozen=True)
class SmallNetwork:
    """A small network with what trains it."""

    model: Any
    optimizer: Stepper
    parametrization: Parametrization


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
    family: NetworkFamily, width: int, *, kind: Kind = "mup"
) -> Parametrization:
    """The parametrization of a network of a family.

    Args:
        family: What it is one of.
        width: Its hidden size.
        kind: See `parametrize`.
    """
    return parametrize(family.at(width), *family.bases, kind=kind, roles=family.roles)


def small_network(
    family: NetworkFamily,
    width: int,
    seed: int,
    *,
    lr: float,
    kind: Kind = "mup",
    optimizer: OptimizerName = "adamw",
    embedding_std: float = _EMBEDDING_STD,
) -> SmallNetwork:
    """A network, and an optimizer with the learning rates of its parametrization.

    The head starts at 0, so that muP and the standard parametrization differ in learning rates
    alone, but for a head that is tied.

    Args:
        family, width, kind: See `small_parametrization`.
        seed: Seed of the weights.
        lr: Learning rate at the base width.
        optimizer: `adamw`, or `muon`, whose steps of hidden matrices are made as large as AdamW's
            are at the base width, with AdamW for all else.
        embedding_std: Initial deviation of embeddings, at all widths.

    Raises:
        LimitError: There is no such network, or muP has no rule for it.
    """
    import torch
    from transformers import AutoModelForCausalLM

    config = family.at(width)
    parametrization = small_parametrization(family, width, kind=kind)
    with torch.random.fork_rng(devices=[]):  # its weights are replaced
        torch.manual_seed(seed)
        build: Any = AutoModelForCausalLM.from_config
        model = build(config, dtype=torch.float32)
    stds = _stds(model, parametrization, family.base, embedding_std)
    parametrization.init_(model, stds, torch.Generator().manual_seed(seed))
    head = model.get_output_embeddings()
    if head is not None and head.weight is not model.get_input_embeddings().weight:
        torch.nn.init.zeros_(head.weight)
    parametrization.apply_(model)
    # gradients get smaller with the width, and AdamW's usual epsilon would outgrow them
    is_muon = optimizer == "muon"
    groups = parametrization.groups(model, lr=lr, eps=1e-15, beside_muon=is_muon)
    adamw = torch.optim.AdamW(groups, betas=_BETAS)
    if not is_muon:
        return SmallNetwork(model, adamw, parametrization)
    hidden = parametrization.muon_groups(model, lr=lr, adjust_lr_fn="match_rms_adamw")
    both = _Both((torch.optim.Muon(hidden), adamw))
    return SmallNetwork(model, both, parametrization)


def small_start(
    family: NetworkFamily,
    width: int,
    seed: int,
    *,
    lr: float,
    kind: Kind = "mup",
    optimizer: OptimizerName = "adamw",
) -> TrainingSetup:
    """The network and an optimizer for it, on one batch of 4 rows of 32 random tokens.

    Args:
        family, width, kind, optimizer: See `small_network`.
        seed: Seed of the weights; the tokens are always the same.
        lr: Learning rate at the base width.
    """
    import torch

    is_deep = family.base_layers is not None
    found = small_network(
        family,
        width,
        seed,
        lr=lr,
        kind=kind,
        optimizer=optimizer,
        embedding_std=_STREAM_STD if is_deep else _EMBEDDING_STD,
    )
    generator = torch.Generator().manual_seed(0)
    tokens = torch.randint(family.vocabulary, (_ROWS, _TOKENS), generator=generator)
    return TrainingSetup(
        model=found.model,
        optimizer=found.optimizer,
        loss=partial(_loss, found.model, tokens),
        absorbed=found.parametrization.absorbed,
        shown=_with_ends(family),
    )


def _loss(model: Any, tokens: Tensor) -> Tensor:
    """The loss on a batch.

    Raises:
        LimitError: The network cannot be run, as where its config does not fit together.
    """
    try:
        loss: Tensor = model(input_ids=tokens, labels=tokens).loss
    except (RuntimeError, ValueError, TypeError, AttributeError) as error:
        cause = " ".join(str(error).split())
        name = type(model).__name__
        raise LimitError(
            f"a small {name} does not run: {cause[:300]}; --set other sizes"
        ) from error
    return loss


def _with_ends(family: NetworkFamily) -> Callable[[str], str | None]:
    """Names of layers that are alike in networks of all depths.

    The stream as the last layer leaves it, and what is outside the layers: within them a place is
    another share of the depth in each network.
    """
    if family.base_layers is None:
        return str

    def shown(name: str) -> str | None:
        found = split_layer(name)
        if found is None:
            return name
        stack, number, within = found
        return f"{stack}.last" if number == family.layers - 1 and not within else None

    return shown


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
