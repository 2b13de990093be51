"""Neurons of draft layers, which are chosen by weights: nothing runs these layers on text."""

from __future__ import annotations

from ..cut import DraftPlan, DraftWeights, Plan, Weights, kept_widths
from .criteria import ROW_CRITERIA, keep_highest
from .selection import score_group

FALLBACK = "max_abs"  # where a plan's own criterion takes activations; as docs/cutting.md says


def draft_criterion(criterion: str) -> str:
    """The criterion that scores the neurons of draft layers where a plan has this one.

    >>> draft_criterion("l2"), draft_criterion("activation")
    ('l2', 'max_abs')
    """
    return criterion if criterion in (*ROW_CRITERIA, "random") else FALLBACK


def plan_drafts(weights: Weights, plan: Plan) -> DraftPlan | None:
    """Choose the neurons that draft layers keep where a plan is carried out; None without any.

    Each block of them becomes as wide as the config of the result says, which of unequal layers is
    the widest.

    Args:
        weights: The weights that the plan was made for.
        plan: The plan.

    Raises:
        CheckpointError: A weight is NaN or Inf.

    Cost: reads gate and up of the draft layers once.
    """
    if weights.architecture.drafts is None:
        return None
    drafts, criterion = DraftWeights(weights), draft_criterion(plan.criterion)
    widths = weights.architecture.draft_widths(kept_widths(plan, weights.architecture))
    neurons = drafts.architecture.neurons(widths)
    keep = (
        tuple(keep_highest(score_group(drafts, group, criterion, plan.seed or 0), count))
        for group, count in enumerate(neurons)
    )
    return DraftPlan(criterion=criterion, keep=tuple(keep))
