"""How other methods cut one block to a width: each rule from its paper, held against its code.

h is the input of down_proj over the calibration tokens, m its size, H = E[h h^T], D the weight of
down_proj, shape (hidden, m), D_i its column of neuron i, G_i and U_i the rows of gate and up. S are
the neurons that stay, R those that are removed, as many in every layer. Where a paper spreads what
is removed over the layers, or cuts heads as well, only its rule for the neurons of one layer is
taken. What its code computes was read in the public repository named with it.

    random      A uniform score; the seed is the draw.
    l2, ppm     Weights alone: `widthwise.prune.ROW_CRITERIA` (optipfair; arXiv 2512.22671).
    ppm_activation  The hybrid of the paper's library: `widthwise.prune.ppm_activation`.
    wanda_sp    mean_j |D_ji| |h_i|_2: Wanda (arXiv 2306.11695) summed over a column, as the
                FLAP paper (arXiv 2312.11983) extends it; prune_wanda_sp in lib/prune.py of
                CASIA-IVA-Lab/FLAP.
    flap        var(h_i) |D_i|^2, the weighted input feature variance, and the bias sum_R E[h_i] D_i
                in down_proj (arXiv 2312.11983, fluctuation metric and baseline bias compensation);
                metrics["WIFV"], structure UL-UM, and compress in lib/prune.py of the same. Its code
                keeps a running mean and leaves the first sample out; here the mean is that of all.
    modelopt    sqrt(sum_sequences (mean_tokens |h_i|)^2): Minitron's importance of a neuron with
                the aggregation (mean, L2) (arXiv 2407.14679); the forward hook of the MLP in
                modelopt/torch/nas/plugins/megatron.py of NVIDIA/Model-Optimizer.
    taylor      sum |w dL/dw| over G_i, U_i and D_i, L the loss of the next token: LLM-Pruner (arXiv
                2305.11627, its element-wise importance in first order, groups by sum), its default
                `--taylor param_first --grouping_strategy sum`; TaylorImportance in
                LLMPruner/pruner/hf_llama_pruner.py of horseee/LLM-Pruner.
    obs         Of those that are left, the neuron with the least |D_i|^2 / [H^-1]_ii goes, D
                becomes D - D_i [H^-1]_i: / [H^-1]_ii, and the inverse is brought up to date; one
                after the other. H has 1e-2 of the mean of its diagonal added: ZipLM (arXiv
                2302.04089, structured OBS), of which SlimGPT (arXiv 2412.18110) takes many neurons
                at a time; FastOBCStruct.step in src/fast_obc_struct.py of IST-DASLab/DarwinLM,
                taken from ZipLM.
    grail       Wanda-sp's choice, and D H_:S (H_SS + lam I)^-1 with lam = 1e-3 (mean diag H_SS +
                1e-3), which pulls to zero: GRAIL (arXiv 2602.23795, ridge reconstruction by the
                Gram matrix); MagnitudeCompensator.compensate in grail-llm/lib/compensation.py and
                the default of grail-llm/main.py of TWWinde/GRAIL_Compensation.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from widthwise.prune import ROW_CRITERIA, ppm_activation, random

OBS_RIDGE = 1e-2
GRAIL_RIDGE = 1e-3


@dataclass(frozen=True, kw_only=True)
class Block:
    """The block of one layer, and what it does on the calibration tokens.

    Attributes:
        gate, up: Weights, shape (m, hidden).
        down: Weight, shape (hidden, m).
        moment: H, shape (m, m), float64.
        tokens: Number of calibration tokens.
        mean: E[h], shape (m,).
        magnitudes: Of every neuron the sum over sequences of the square of its mean |h|.
        gradients: Of the loss, by gate, up and down, in their shapes.
        draw: Seed of what is random.
    """

    gate: Tensor
    up: Tensor
    down: Tensor
    moment: Tensor
    tokens: int = 1
    mean: Tensor | None = None
    magnitudes: Tensor | None = None
    gradients: tuple[Tensor, Tensor, Tensor] | None = None
    draw: int = 0

    @property
    def norms(self) -> Tensor:
        """Euclidean norm of every neuron over the tokens, shape (m,)."""
        return (self.moment.diagonal() * self.tokens).sqrt()


@dataclass(frozen=True)
class Cut:
    """A block once it is cut.

    Attributes:
        keep: The neurons that stay, ascending, shape (k,).
        down: The weight of down_proj, shape (hidden, k).
        bias: The bias that down_proj gets, shape (hidden,).
    """

    keep: Tensor
    down: Tensor
    bias: Tensor | None = None


Rule = Callable[[Block, Sequence[int]], list[Cut]]


def highest(scores: Tensor, width: int) -> Tensor:
    """The neurons of the highest scores, ascending; of equal ones the first."""
    return scores.sort(descending=True, stable=True).indices[:width].sort().values


def chosen_by(scores: Callable[[Block], Tensor]) -> Rule:
    """The rule that keeps the highest scores, and leaves their columns of down_proj as they are."""

    def rule(block: Block, widths: Sequence[int]) -> list[Cut]:
        found = scores(block)
        kept = (highest(found, width) for width in widths)
        return [Cut(keep, block.down[:, keep]) for keep in kept]

    return rule


def drawn(block: Block) -> Tensor:
    return random(len(block.gate), torch.Generator().manual_seed(block.draw))


def hybrid(block: Block) -> Tensor:
    return ppm_activation((block.gate, block.up), block.down, block.norms)


def wanda(block: Block) -> Tensor:
    return block.down.double().abs().mean(0) * block.norms


def fluctuation(block: Block) -> Tensor:
    variance = block.moment.diagonal() - block.mean.double().square()
    return variance * block.down.double().square().sum(0)


def flap(block: Block, widths: Sequence[int]) -> list[Cut]:
    cuts, baseline = [], block.down.double() * block.mean.double()
    for cut in chosen_by(fluctuation)(block, widths):
        gone = torch.ones(baseline.shape[1], dtype=torch.bool)
        gone[cut.keep] = False
        cuts.append(Cut(cut.keep, cut.down, baseline[:, gone].sum(1)))
    return cuts


def magnitude(block: Block) -> Tensor:
    return block.magnitudes.sqrt()


def taylor(block: Block) -> Tensor:
    weights = (block.gate, block.up, block.down.T)
    gate, up, down = block.gradients
    pairs = zip(weights, (gate, up, down.T), strict=True)
    return sum((weight.double() * gradient.double()).abs().sum(1) for weight, gradient in pairs)


def obs_deletions(moment: Tensor, down: Tensor, count: int) -> list[int]:
    """The neurons that go, in their order; rows of the inverse are brought up to date as they go.

    In float32, as the code of ZipLM. Cost: m^3 operations, and m (count + hidden) a deletion.

    Args:
        moment: H with its ridge, shape (m, m).
        down: The weight of down_proj, shape (hidden, m).
        count: How many go.
    """
    inverse = torch.cholesky_inverse(torch.linalg.cholesky(moment)).float()
    weight, diagonal = down.float().T.clone(), inverse.diagonal().clone()
    updates = inverse.new_zeros(count, len(weight))  # inverse now = inverse - updates^T updates
    deletions: list[int] = []
    for number in range(count):
        costs = torch.linalg.vector_norm(weight, dim=1).square() / diagonal
        costs[deletions] = torch.inf
        gone = int(costs.argmin())
        row = inverse[gone] - updates[:number, gone] @ updates[:number]
        updates[number] = row / row[gone].sqrt()
        weight.addr_(row / row[gone], weight[gone].clone(), alpha=-1)
        diagonal -= updates[number].square()
        deletions.append(gone)
    return deletions


def obs(block: Block, widths: Sequence[int]) -> list[Cut]:
    """What D becomes by these updates depends on S alone, and is solved for directly.

    It is D (H + lam I)_:S [(H + lam I)_SS]^-1.
    """
    damped, size = block.moment.clone(), len(block.gate)
    damped.diagonal().add_(OBS_RIDGE * float(block.moment.diagonal().mean()))
    deletions = obs_deletions(damped, block.down, size - min(widths))
    cuts = []
    for width in widths:
        gone = set(deletions[: size - width])
        keep = torch.tensor([i for i in range(size) if i not in gone])
        cuts.append(Cut(keep, solved(damped, keep, damped, block.down)))
    return cuts


def solved(own: Tensor, keep: Tensor, moment: Tensor, down: Tensor) -> Tensor:
    """D M_:S [A_SS]^-1, shape (hidden, k), of A `own` and M `moment`, in float64."""
    factor = torch.linalg.cholesky(own[keep][:, keep])
    return torch.cholesky_solve(moment[keep] @ down.double().T, factor).T


def grail(block: Block, widths: Sequence[int]) -> list[Cut]:
    cuts = []
    for cut in chosen_by(wanda)(block, widths):
        damped, own = block.moment.clone(), block.moment.diagonal()[cut.keep]
        damped.diagonal().add_(GRAIL_RIDGE * (float(own.mean()) + 1e-3))
        cuts.append(Cut(cut.keep, solved(damped, cut.keep, block.moment, block.down)))
    return cuts


RULES: dict[str, Rule] = {
    "random": chosen_by(drawn),
    "l2": chosen_by(lambda block: ROW_CRITERIA["l2"](block.gate, block.up)),
    "ppm": chosen_by(lambda block: ROW_CRITERIA["ppm"](block.gate, block.up)),
    "ppm_activation": chosen_by(hybrid),
    "wanda_sp": chosen_by(wanda),
    "flap": flap,
    "modelopt": chosen_by(magnitude),
    "taylor": chosen_by(taylor),
    "obs": obs,
    "grail": grail,
}
