"""Small networks by the tiny formula: resolution, depth and width for a budget.

Source: Han et al., Model Rubik's Cube: Twisting Resolution, Depth and Width for TinyNets,
NeurIPS 2020, arXiv 2010.14819.
"""

from .augment import CROP_MARGIN, Augmentation, normalize, resized
from .baselines import Baseline, baselines, shrink, with_scaled_head
from .budget import Budget, Kind, parse_budget
from .counts import NetworkCounts
from .efficientnet import EfficientNet
from .export import NetworkSpec, load_net, load_weights, write_net
from .family import Family
from .formula import MIN_POINTS, Formula, FormulaPoint, Proposal
from .images import PhotoSets, load_photo_sets
from .multipliers import BASE, Multipliers
from .pareto import best_ranked, front_ranks
from .proxies import BATCH, CONTROL, PROXIES
from .published import PUBLISHED, Published
from .registry import FAMILIES, family_named
from .resnet import ResNet
from .sampling import BUDGET_TOLERANCE, DIGITS, Sampler, Space, check_space, sample_networks
from .solve import closed_form_width, latency_sec, solve_width
from .training import TrainingRecipe, correct_mask, seeded, trained_network
from .transformer import GluTransformer

__all__ = [
    "BASE",
    "BATCH",
    "BUDGET_TOLERANCE",
    "CONTROL",
    "CROP_MARGIN",
    "DIGITS",
    "FAMILIES",
    "MIN_POINTS",
    "PROXIES",
    "PUBLISHED",
    "Augmentation",
    "Baseline",
    "Budget",
    "EfficientNet",
    "Family",
    "Formula",
    "FormulaPoint",
    "GluTransformer",
    "Kind",
    "Multipliers",
    "NetworkCounts",
    "NetworkSpec",
    "PhotoSets",
    "Proposal",
    "Published",
    "ResNet",
    "Sampler",
    "Space",
    "TrainingRecipe",
    "baselines",
    "best_ranked",
    "check_space",
    "closed_form_width",
    "correct_mask",
    "family_named",
    "front_ranks",
    "latency_sec",
    "load_net",
    "load_photo_sets",
    "load_weights",
    "normalize",
    "parse_budget",
    "resized",
    "sample_networks",
    "seeded",
    "shrink",
    "solve_width",
    "trained_network",
    "with_scaled_head",
    "write_net",
]
