"""Word2vec in maximal update parametrization: networks of any width, and of infinite width.

Source: arXiv 2011.14522, Section 8.1 and Appendix D.
"""

from .analogies import Questions, load_questions, right_answers
from .corpus import Corpus, load_corpus
from .networks import Network, check_memory, start
from .settings import Settings
from .training import Job, Result, Score, facts_of, train

__all__ = [
    "Corpus",
    "Job",
    "Network",
    "Questions",
    "Result",
    "Score",
    "Settings",
    "check_memory",
    "facts_of",
    "load_corpus",
    "load_questions",
    "right_answers",
    "start",
    "train",
]
