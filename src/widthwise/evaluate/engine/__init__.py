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
from .trial import CacheUse as CacheUse
from .trial import cache_use as cache_use
from .trial import can_share as can_share
from .trial import check_causal as check_causal
