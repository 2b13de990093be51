"""Word2vec in maximal update parametrization: networks of any width, and of infinite width.

Source: arXiv 2011.14522, Section 8.1 and Appendix D.
"""

from .analogies import Questions, load_questions, right_answers
from .corpus import Corpus, load_corpus
from .figure import draw_runs
from .networks import SkipGram, Word2vecNetwork, check_memory, start
from .page import word2vec_page
from .results import FORMAT, load
from .run import run_word2vec
from .settings import TEXT8, Word2vecSettings
from .summary import by_network, summary
from .training import AnalogyScore, TrainingJob, Word2vecResult, metadata, train

__all__ = [
    "FORMAT",
    "TEXT8",
    "AnalogyScore",
    "Corpus",
    "Questions",
    "SkipGram",
    "TrainingJob",
    "Word2vecNetwork",
    "Word2vecResult",
    "Word2vecSettings",
    "by_network",
    "check_memory",
    "draw_runs",
    "load",
    "load_corpus",
    "load_questions",
    "metadata",
    "right_answers",
    "run_word2vec",
    "start",
    "summary",
    "train",
    "word2vec_page",
]
