"""What a causal language model makes of tokens: log-likelihoods and greedy continuations, fast."""

from .generate import Generated as Generated
from .generate import Prompt as Prompt
from .generate import generate as generate
from .head import Budget as Budget
from .head import grouped_attention as grouped_attention
from .head import rope_turn as rope_turn
from .likelihood import Run as Run
from .likelihood import Scored as Scored
from .likelihood import log_likelihoods as log_likelihoods
from .naming import cache_of as cache_of
from .naming import given as given
from .packing import longest_in_trees as longest_in_trees
