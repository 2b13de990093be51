"""Fast log-likelihoods and greedy continuations of tokens by a causal language model."""

from .cache_trial import CacheUse, cache_use, can_share, check_causal
from .distances import DenseReference, Distance
from .generate import Generated, Prompt, generate
from .kv_cache import cache_of, given
from .likelihood import ScoredRequest, ScoringRequest, Watch, log_likelihoods
from .lm_head import TokenBudget, grouped_attention, rope_limit
from .packing import longest_in_trees
from .prefixes import shared_length

__all__ = [
    "CacheUse",
    "DenseReference",
    "Distance",
    "Generated",
    "Prompt",
    "ScoredRequest",
    "ScoringRequest",
    "TokenBudget",
    "Watch",
    "cache_of",
    "cache_use",
    "can_share",
    "check_causal",
    "generate",
    "given",
    "grouped_attention",
    "log_likelihoods",
    "longest_in_trees",
    "rope_limit",
    "shared_length",
]
