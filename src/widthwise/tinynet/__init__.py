"""Small networks by the tiny formula: resolution, depth and width for a budget.

Source: Han et al., Model Rubik's Cube: Twisting Resolution, Depth and Width for TinyNets,
NeurIPS 2020, arXiv 2010.14819.
"""

from .beside import Alternative, alternatives
from .budget import Budget, parse_budget
from .counts import Counts
from .efficientnet import EfficientNet
from .export import Net, load_net, load_weights, write_net
from .families import FAMILIES, family_named
from .family import Family
from .formula import Formula, Point, Proposal
from .inverse import shrink, with_scaled_head
from .latency import latency_sec
from .published import PUBLISHED, Published
from .resnet import ResNet
from .scale import Scale
from .solve import closed_form_width, solve_width
from .transformer import GluTransformer

__all__ = [
    "FAMILIES",
    "PUBLISHED",
    "Alternative",
    "Budget",
    "Counts",
    "EfficientNet",
    "Family",
    "Formula",
    "GluTransformer",
    "Net",
    "Point",
    "Proposal",
    "Published",
    "ResNet",
    "Scale",
    "alternatives",
    "closed_form_width",
    "family_named",
    "latency_sec",
    "load_net",
    "load_weights",
    "parse_budget",
    "shrink",
    "solve_width",
    "with_scaled_head",
    "write_net",
]
