"""Word2vec in maximal update parametrization: networks of any width, and of infinite width.

Source: arXiv 2011.14522, Section 8.1 and Appendix D.
"""

from .analogies import Questions, load_questions, right_answers
from .corpus import Corpus, load_corpus
from .figure import draw_runs
from .networks import Network, check_memory, start
from .page import word2vec_page
from .results import Key, append, load
from .settings import Settings
from .summary import label_of, summary
from .training import Job, Result, Score, facts_of, train

__all__ = [
    "Corpus",
    "Job",
    "Key",
    "Network",
    "Questions",
    "Result",
    "Score",
    "Settings",
    "append",
    "check_memory",
    "draw_runs",
    "facts_of",
    "label_of",
    "load",
    "load_corpus",
    "load_questions",
    "right_answers",
    "start",
    "summary",
    "train",
    "word2vec_page",
]
