"""Small networks by the tiny formula: resolution, depth and width for a budget.

Source: Han et al., Model Rubik's Cube: Twisting Resolution, Depth and Width for TinyNets,
NeurIPS 2020, arXiv 2010.14819.
"""

from .augment import ROOM, Augmentation, resized, shown
from .baselines import Alternative, alternatives
from .budget import Budget, Kind, parse_budget
from .compound_shrink import shrink, with_scaled_head
from .counts import Counts
from .efficientnet import EfficientNet
from .export import Net, load_net, load_weights, write_net
from .family import Family
from .formula import FEWEST, Formula, Point, Proposal
from .images import PhotoSets, load_photo_sets
from .latency import latency_sec
from .multipliers import BASE, Scale
from .pareto import best_ranked, front_ranks
from .proxies import BATCH, CONTROL, PROXIES
from .published import PUBLISHED, Published
from .registry import FAMILIES, family_named
from .resnet import ResNet
from .sampling import DIGITS, NEAR, Sampler, Space, check_space, spread
from .solve import closed_form_width, solve_width
from .training import Recipe, answers_right, drawn_from, trained_network
from .transformer import GluTransformer

__all__ = [
    "BASE",
    "BATCH",
    "CONTROL",
    "DIGITS",
    "FAMILIES",
    "FEWEST",
    "NEAR",
    "PROXIES",
    "PUBLISHED",
    "ROOM",
    "Alternative",
    "Augmentation",
    "Budget",
    "Counts",
    "EfficientNet",
    "Family",
    "Formula",
    "GluTransformer",
    "Kind",
    "Net",
    "PhotoSets",
    "Point",
    "Proposal",
    "Published",
    "Recipe",
    "ResNet",
    "Sampler",
    "Scale",
    "Space",
    "alternatives",
    "answers_right",
    "best_ranked",
    "check_space",
    "closed_form_width",
    "drawn_from",
    "family_named",
    "front_ranks",
    "latency_sec",
    "load_net",
    "load_photo_sets",
    "load_weights",
    "parse_budget",
    "resized",
    "shown",
    "shrink",
    "solve_width",
    "spread",
    "trained_network",
    "with_scaled_head",
    "write_net",
]
